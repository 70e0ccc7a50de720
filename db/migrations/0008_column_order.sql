-- The columns of scheduled_tasks in an order that PostgreSQL reads quickly, and what each status means in one place.
--
-- Every claim and every settlement copies the row and looks at a dozen of its columns, and PostgreSQL has to walk to a column over all
-- of varying length before it. So what has a fixed length and is never NULL comes first, what indexes and fences ask for next, and
-- what is only carried along last. One CASE says what belongs to each status, instead of eleven checks that each look at every row.
--
-- Pages are filled to 70 %: a claim's version of a row finds room beside the one before more often, and less is written.
--
-- This copies the table: see docs/runbook.md for what that means where it is large.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

LOCK TABLE scheduled_tasks IN ACCESS EXCLUSIVE MODE;
ALTER TABLE task_resolutions DROP CONSTRAINT task_resolutions_task_id_fkey;
CREATE TEMPORARY TABLE granted ON COMMIT DROP AS
SELECT c.relname, c.relowner, a.grantee, a.privilege_type, a.is_grantable
FROM pg_class AS c LEFT JOIN LATERAL aclexplode(c.relacl) AS a ON true
WHERE c.oid IN ('scheduled_tasks'::regclass, 'attempts'::regclass);
DROP VIEW attempts;

CREATE TABLE tasks_in_order (
    id               uuid        NOT NULL,
    merchant_id      uuid        NOT NULL,
    run_at           timestamptz NOT NULL DEFAULT now(),
    scheduled_for    timestamptz NOT NULL DEFAULT now(),
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    attempt          integer     NOT NULL DEFAULT 0,
    released         integer     NOT NULL DEFAULT 0,
    looks            integer     NOT NULL DEFAULT 0,
    max_attempts     integer     NOT NULL DEFAULT 100,
    declines         integer     NOT NULL DEFAULT 0,
    status           text        COLLATE "C" NOT NULL DEFAULT 'pending',
    -- Since when, and as whom, something may have reached Stripe.
    first_sent_at    timestamptz,
    claimed_at       timestamptz,
    worker_id        uuid,
    finished_at      timestamptz,
    kind             text        NOT NULL,
    target           text        COLLATE "C" NOT NULL DEFAULT '',
    intent           text        COLLATE "C" NOT NULL DEFAULT '',
    sent_auth        text,
    sent_account     text,
    -- Set while the task waits: for its merchant to be resumed, for another task of its object, for its turn under a limit.
    held_at          timestamptz,
    waiting_since    timestamptz,
    parked_at        timestamptz,
    -- When Stripe is to be looked at next; NULL when nothing more will be learned there.
    look_at          timestamptz,
    retry_of         uuid,
    -- How the attempt ended that ended the task. NULL: every attempt is in task_attempts.
    final_outcome    text,
    final_reason     text,
    result           jsonb,
    last_error       jsonb,
    on_decline       jsonb,
    -- The request, frozen when the task is scheduled. A row without it is never sent.
    request_method   text        NOT NULL DEFAULT '',
    request_path     text        NOT NULL DEFAULT '',
    request_version  text        NOT NULL DEFAULT '',
    request_hash     bytea       NOT NULL DEFAULT '',
    request_body     text        NOT NULL DEFAULT '',
    params           jsonb       NOT NULL DEFAULT '{}',
    metadata         jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT scheduled_tasks_state CHECK (CASE status
        WHEN 'running' THEN first_sent_at IS NOT NULL AND worker_id IS NOT NULL AND claimed_at IS NOT NULL AND finished_at IS NULL
            AND final_outcome IS NULL AND final_reason IS NULL
            AND held_at IS NULL AND waiting_since IS NULL AND parked_at IS NULL AND look_at IS NULL
        WHEN 'succeeded' THEN first_sent_at IS NOT NULL AND finished_at IS NOT NULL
            AND (final_outcome IS NOT NULL AND final_outcome = 'succeeded' AND final_reason IS NOT NULL
                    AND worker_id IS NOT NULL AND claimed_at IS NOT NULL
                OR final_outcome IS NULL AND final_reason IS NULL AND worker_id IS NULL AND claimed_at IS NULL)
            AND held_at IS NULL AND waiting_since IS NULL AND parked_at IS NULL AND look_at IS NULL
        WHEN 'pending' THEN finished_at IS NULL AND worker_id IS NULL AND claimed_at IS NULL
            AND final_outcome IS NULL AND final_reason IS NULL AND look_at IS NULL
        WHEN 'failed' THEN finished_at IS NOT NULL
            AND (final_outcome IS NOT NULL AND final_outcome IN ('refused', 'not_sent') AND final_reason IS NOT NULL
                    AND worker_id IS NOT NULL AND claimed_at IS NOT NULL
                OR final_outcome IS NULL AND final_reason IS NULL AND worker_id IS NULL AND claimed_at IS NULL)
            AND held_at IS NULL AND waiting_since IS NULL AND parked_at IS NULL AND look_at IS NULL
        WHEN 'in_doubt' THEN first_sent_at IS NOT NULL AND finished_at IS NULL AND worker_id IS NULL AND claimed_at IS NULL
            AND final_outcome IS NULL AND final_reason IS NULL
            AND held_at IS NULL AND waiting_since IS NULL AND parked_at IS NULL
        WHEN 'canceled' THEN first_sent_at IS NULL AND finished_at IS NOT NULL AND worker_id IS NULL AND claimed_at IS NULL
            AND final_outcome IS NULL AND final_reason IS NULL
            AND held_at IS NULL AND waiting_since IS NULL AND parked_at IS NULL AND look_at IS NULL
        ELSE false END),
    CONSTRAINT scheduled_tasks_sent_as_somebody
        CHECK ((first_sent_at IS NULL) = (sent_auth IS NULL) AND (first_sent_at IS NULL) = (sent_account IS NULL)),
    CONSTRAINT scheduled_tasks_attempts CHECK (released >= 0 AND looks >= 0 AND released + looks <= attempt
        AND max_attempts BETWEEN 1 AND 1000 AND declines >= 0),
    CONSTRAINT scheduled_tasks_intent_length CHECK (intent = '' OR char_length(intent) <= 255)
) WITH (fillfactor = 70,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);

INSERT INTO tasks_in_order (id, merchant_id, run_at, scheduled_for, created_at, updated_at, attempt, released, looks, max_attempts,
    declines, status, first_sent_at, claimed_at, worker_id, finished_at, kind, target, intent, sent_auth, sent_account, held_at,
    waiting_since, parked_at, look_at, retry_of, final_outcome, final_reason, result, last_error, on_decline, request_method,
    request_path, request_version, request_hash, request_body, params, metadata)
SELECT id, merchant_id, run_at, scheduled_for, created_at, updated_at, attempt, released, looks, max_attempts,
    declines, status, first_sent_at, claimed_at, worker_id, finished_at, kind, target, intent, sent_auth, sent_account, held_at,
    waiting_since, parked_at, look_at, retry_of, final_outcome, final_reason, result, last_error, on_decline, request_method,
    request_path, request_version, request_hash, request_body, params, metadata
FROM scheduled_tasks
ORDER BY id;

DROP TABLE scheduled_tasks;
ALTER TABLE tasks_in_order RENAME TO scheduled_tasks;
ALTER TABLE scheduled_tasks ADD CONSTRAINT scheduled_tasks_pkey PRIMARY KEY (id);
CREATE INDEX idx_scheduled_tasks_status_run_at ON scheduled_tasks (status, run_at);
CREATE INDEX idx_scheduled_tasks_held ON scheduled_tasks (merchant_id) WHERE held_at IS NOT NULL;
CREATE INDEX idx_scheduled_tasks_waiting ON scheduled_tasks (target, merchant_id, scheduled_for, id) WHERE waiting_since IS NOT NULL;
CREATE INDEX idx_scheduled_tasks_parked ON scheduled_tasks (merchant_id, (first_sent_at IS NULL), scheduled_for, id) WHERE parked_at IS NOT NULL;
CREATE INDEX idx_scheduled_tasks_look_at ON scheduled_tasks (look_at) WHERE look_at IS NOT NULL;
CREATE UNIQUE INDEX idx_scheduled_tasks_retry_of ON scheduled_tasks (retry_of) WHERE retry_of IS NOT NULL;
CREATE UNIQUE INDEX scheduled_tasks_one_per_object ON scheduled_tasks (target, merchant_id)
    WHERE target <> '' AND first_sent_at IS NOT NULL AND finished_at IS NULL;
CREATE UNIQUE INDEX scheduled_tasks_one_per_intent ON scheduled_tasks (merchant_id, intent)
    WHERE intent <> '' AND status NOT IN ('failed', 'canceled');
ALTER TABLE scheduled_tasks
    ADD CONSTRAINT scheduled_tasks_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES scheduled_tasks (id);
ALTER TABLE task_resolutions
    ADD CONSTRAINT task_resolutions_task_id_fkey FOREIGN KEY (task_id) REFERENCES scheduled_tasks (id) ON DELETE CASCADE;
CREATE TRIGGER tasks_go_with_their_keys AFTER DELETE ON scheduled_tasks REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION forget_task_keys();

CREATE VIEW attempts (task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence) AS
SELECT task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence
FROM task_attempts
UNION ALL
SELECT id, attempt, 'send', worker_id, claimed_at, finished_at, final_outcome, final_reason,
    coalesce((result->>'replayed')::boolean, false), coalesce(result->>'request_id', last_error->>'request_id', ''), last_error, NULL
FROM scheduled_tasks
WHERE final_outcome IS NOT NULL;

COMMENT ON VIEW attempts IS 'Every attempt of every task.';
COMMENT ON TABLE scheduled_tasks IS 'Stripe operations, each to be carried out once, under the idempotency key task_<id>.';
COMMENT ON COLUMN scheduled_tasks.merchant_id IS 'A row of merchants, which are never deleted.';
COMMENT ON COLUMN scheduled_tasks.run_at IS 'When it may run next; moves with every retry.';
COMMENT ON COLUMN scheduled_tasks.scheduled_for IS 'When the caller asked for it to run.';
COMMENT ON COLUMN scheduled_tasks.attempt IS 'Counts claims and never goes back: with worker_id it is the fencing token.';
COMMENT ON COLUMN scheduled_tasks.released IS 'Claims given back before anything was sent; not counted against max_attempts.';
COMMENT ON COLUMN scheduled_tasks.looks IS 'Claims that were looks; they do not count against max_attempts.';
COMMENT ON COLUMN scheduled_tasks.declines IS 'Declines that led to this task: its place in the on_decline plan.';
COMMENT ON COLUMN scheduled_tasks.on_decline IS 'How a decline is followed up.';
COMMENT ON COLUMN scheduled_tasks.intent IS 'What the caller wants to happen once, whatever requests ask for it: renewal:sub_123:2026-12.';
COMMENT ON COLUMN scheduled_tasks.worker_id IS 'Who runs it, or who ran the attempt that ended it.';
COMMENT ON COLUMN scheduled_tasks.claimed_at IS 'When the attempt began that runs, or that ended it.';
COMMENT ON COLUMN scheduled_tasks.parked_at IS 'Since when the task waits in its merchant''s lane; run_at then only says when it is looked at again at the latest.';

-- Who owned the table and the view, and what was granted on them.
-- +goose StatementBegin
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT relname, relowner, grantee, privilege_type, is_grantable FROM granted LOOP
        IF one.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('ALTER TABLE %I OWNER TO %I', one.relname, pg_get_userbyid(one.relowner));
        END IF;
        IF one.grantee IS NOT NULL THEN
            EXECUTE format('GRANT %s ON %I TO %s %s', one.privilege_type, one.relname,
                CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(one.grantee)) END,
                CASE WHEN one.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END);
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- The order stays: every statement names its columns. The checks go back to what earlier migrations take away.
SET LOCAL lock_timeout = '5s';

ALTER TABLE scheduled_tasks
    DROP CONSTRAINT scheduled_tasks_state,
    DROP CONSTRAINT scheduled_tasks_attempts,
    ADD CONSTRAINT scheduled_tasks_status_known
        CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'in_doubt', 'canceled')),
    ADD CONSTRAINT scheduled_tasks_running_has_worker
        CHECK ((status = 'running' OR final_outcome IS NOT NULL) = (worker_id IS NOT NULL) AND (worker_id IS NULL) = (claimed_at IS NULL)),
    ADD CONSTRAINT scheduled_tasks_final_attempt
        CHECK ((final_outcome IS NULL) = (final_reason IS NULL)
            AND (final_outcome IS NULL OR status = 'succeeded' AND final_outcome = 'succeeded'
                OR status = 'failed' AND final_outcome IN ('refused', 'not_sent'))),
    ADD CONSTRAINT scheduled_tasks_finished_is_terminal
        CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    ADD CONSTRAINT scheduled_tasks_sent_when_it_may_have_run
        CHECK (status NOT IN ('running', 'succeeded', 'in_doubt') OR first_sent_at IS NOT NULL),
    ADD CONSTRAINT scheduled_tasks_canceled_was_never_sent CHECK (status <> 'canceled' OR first_sent_at IS NULL),
    ADD CONSTRAINT scheduled_tasks_held_is_pending CHECK (held_at IS NULL OR status = 'pending'),
    ADD CONSTRAINT scheduled_tasks_waiting_is_pending CHECK (waiting_since IS NULL OR status = 'pending'),
    ADD CONSTRAINT scheduled_tasks_parked_is_pending CHECK (parked_at IS NULL OR status = 'pending'),
    ADD CONSTRAINT scheduled_tasks_looked_at_is_in_doubt CHECK (look_at IS NULL OR status = 'in_doubt'),
    ADD CONSTRAINT scheduled_tasks_attempts CHECK (released >= 0 AND looks >= 0 AND released + looks <= attempt),
    ADD CONSTRAINT scheduled_tasks_max_attempts CHECK (max_attempts BETWEEN 1 AND 1000),
    ADD CONSTRAINT scheduled_tasks_declines CHECK (declines >= 0);
