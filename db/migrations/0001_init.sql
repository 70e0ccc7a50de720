-- The tables of billonce.
--
-- scheduled_tasks is the hot one: it has two indexes in all (its key, and (status, run_at) of 0002), because each further
-- full index costs the claim about a third of its rate. What only some rows need is a partial index or a table of its own.
-- CHECK constraints tie a task's status to its timestamps, so that no code path can leave a half-true row.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE merchants (
    id                 uuid        PRIMARY KEY,
    name               text        NOT NULL,
    stripe_connect_id  text        NOT NULL,
    livemode           boolean     NOT NULL DEFAULT false,
    access_token       text,       -- sealed: iv:authTag:encryptedContent
    refresh_token      text,       -- sealed: iv:authTag:encryptedContent
    paused_at          timestamptz,
    pause_reason       text,
    resumed_at         timestamptz,
    disconnected_at    timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT merchants_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT merchants_pause_has_reason CHECK ((paused_at IS NULL) = (pause_reason IS NULL)),
    CONSTRAINT merchants_disconnected_has_no_token
        CHECK (disconnected_at IS NULL OR (access_token IS NULL AND refresh_token IS NULL))
);
COMMENT ON TABLE merchants IS 'Connected Stripe accounts. Tokens are sealed before they reach this table.';

-- One connected merchant per Stripe account and mode: two would each bill the same customers.
CREATE UNIQUE INDEX merchants_one_connected ON merchants (stripe_connect_id, livemode) WHERE disconnected_at IS NULL;

CREATE TABLE scheduled_tasks (
    id               uuid        PRIMARY KEY,
    merchant_id      uuid        NOT NULL REFERENCES merchants (id),
    kind             text        NOT NULL,
    target           text        NOT NULL DEFAULT '',
    params           jsonb       NOT NULL DEFAULT '{}',
    metadata         jsonb       NOT NULL DEFAULT '{}',
    status           text        NOT NULL DEFAULT 'pending',
    run_at           timestamptz NOT NULL DEFAULT now(),
    scheduled_for    timestamptz NOT NULL DEFAULT now(),
    attempt          integer     NOT NULL DEFAULT 0,
    released         integer     NOT NULL DEFAULT 0,
    max_attempts     integer     NOT NULL DEFAULT 100,
    retry_of         uuid        REFERENCES scheduled_tasks (id),
    -- The request, frozen when the task is scheduled. A row without it is never sent.
    request_method   text        NOT NULL DEFAULT '',
    request_path     text        NOT NULL DEFAULT '',
    request_body     text        NOT NULL DEFAULT '',
    request_version  text        NOT NULL DEFAULT '',
    request_hash     bytea       NOT NULL DEFAULT '',
    -- Who runs it, while it runs.
    worker_id        uuid,
    claimed_at       timestamptz,
    -- Since when, and as whom, something may have reached Stripe.
    first_sent_at    timestamptz,
    sent_auth        text,
    sent_account     text,
    -- Set while the task waits only because its merchant is paused or disconnected.
    held_at          timestamptz,
    result           jsonb,
    last_error       jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    CONSTRAINT scheduled_tasks_status_known
        CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'in_doubt', 'canceled')),
    CONSTRAINT scheduled_tasks_running_has_worker
        CHECK ((status = 'running') = (worker_id IS NOT NULL) AND (status = 'running') = (claimed_at IS NOT NULL)),
    CONSTRAINT scheduled_tasks_finished_is_terminal
        CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT scheduled_tasks_sent_when_it_may_have_run
        CHECK (status NOT IN ('running', 'succeeded', 'in_doubt') OR first_sent_at IS NOT NULL),
    CONSTRAINT scheduled_tasks_canceled_was_never_sent CHECK (status <> 'canceled' OR first_sent_at IS NULL),
    CONSTRAINT scheduled_tasks_sent_as_somebody
        CHECK ((first_sent_at IS NULL) = (sent_auth IS NULL) AND (first_sent_at IS NULL) = (sent_account IS NULL)),
    CONSTRAINT scheduled_tasks_held_is_pending CHECK (held_at IS NULL OR status = 'pending'),
    CONSTRAINT scheduled_tasks_attempts CHECK (attempt >= 0 AND released BETWEEN 0 AND attempt),
    CONSTRAINT scheduled_tasks_max_attempts CHECK (max_attempts BETWEEN 1 AND 1000)
) WITH (fillfactor = 90,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);
COMMENT ON TABLE scheduled_tasks IS 'Stripe operations, each to be carried out once, under the idempotency key task_<id>.';
COMMENT ON COLUMN scheduled_tasks.run_at IS 'When it may run next; moves with every retry.';
COMMENT ON COLUMN scheduled_tasks.scheduled_for IS 'When the caller asked for it to run.';
COMMENT ON COLUMN scheduled_tasks.attempt IS 'Counts claims and never goes back: with worker_id it is the fencing token.';
COMMENT ON COLUMN scheduled_tasks.released IS 'Claims given back before anything was sent; not counted against max_attempts.';

-- Callers' Idempotency-Keys. A table of its own, so that a claim or a settlement never writes to this index.
CREATE TABLE task_keys (
    key            text        PRIMARY KEY,
    -- Checked at commit: the key is taken first, then the task is inserted.
    task_id        uuid        NOT NULL REFERENCES scheduled_tasks (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    fingerprint    bytea       NOT NULL,
    -- What the first answer said and the task may have changed since.
    scheduled_for  timestamptz NOT NULL,
    run_at         timestamptz NOT NULL,
    CONSTRAINT task_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255)
);
COMMENT ON TABLE task_keys IS 'Idempotency-Key of a request that scheduled a task; holds for as long as the task exists.';

-- Append-only: one row per attempt, written by the statement that settles it.
CREATE TABLE task_attempts (
    task_id       uuid        NOT NULL REFERENCES scheduled_tasks (id) ON DELETE CASCADE,
    attempt       integer     NOT NULL,
    worker_id     uuid        NOT NULL,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL DEFAULT now(),
    outcome       text        NOT NULL,
    reason        text        NOT NULL,
    replayed      boolean     NOT NULL DEFAULT false,
    request_id    text        NOT NULL DEFAULT '',
    error         jsonb,
    PRIMARY KEY (task_id, attempt),
    CONSTRAINT task_attempts_outcome_known CHECK (outcome IN ('succeeded', 'refused', 'not_sent', 'unknown'))
);
COMMENT ON TABLE task_attempts IS 'What each attempt of a task did. Rows are only ever added.';

-- What a person decided about a task in doubt.
CREATE TABLE task_resolutions (
    task_id      uuid        PRIMARY KEY REFERENCES scheduled_tasks (id) ON DELETE CASCADE,
    outcome      text        NOT NULL CHECK (outcome IN ('succeeded', 'failed')),
    note         text        NOT NULL CHECK (char_length(note) BETWEEN 1 AND 2000),
    request_id   text        NOT NULL DEFAULT '',
    resolved_at  timestamptz NOT NULL DEFAULT now()
);

-- Living workers. A running task whose worker has no row here is an orphan and goes back.
CREATE TABLE workers (
    id            uuid        PRIMARY KEY,
    hostname      text        NOT NULL,
    pid           integer     NOT NULL,
    version       text        NOT NULL,
    concurrency   integer     NOT NULL,
    lease         interval    NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT now()
);

-- Which keys have sealed rows of this database: identifiers and check values, never the keys.
CREATE TABLE encryption_keys (
    key_id       text        PRIMARY KEY,
    check_value  text        NOT NULL,
    active       boolean     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX encryption_keys_one_active ON encryption_keys (active) WHERE active;

-- The key that development processes without ENCRYPTION_KEY share. Always empty in production.
CREATE TABLE development_key (
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    key         text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TABLE development_key;
DROP TABLE encryption_keys;
DROP TABLE workers;
DROP TABLE task_resolutions;
DROP TABLE task_attempts;
DROP TABLE task_keys;
DROP TABLE scheduled_tasks;
DROP TABLE merchants;
