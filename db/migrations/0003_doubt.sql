-- What doubt, waiting and repetition need: looks at Stripe, one task at a time per object, intents and dunning.
--
-- Every index is partial. Only scheduled_tasks_one_per_object is written by an ordinary task, once, when it is claimed; all
-- others hold the few rows that wait, are looked at, or name an intent.
--
-- Where several tasks at one object are open, one of them has to end first: the migration says so, and changes nothing.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

-- +goose StatementBegin
DO $$
DECLARE
    objects integer;
    example record;
BEGIN
    SELECT count(*) INTO objects FROM (
        SELECT 1 FROM scheduled_tasks WHERE target <> '' AND first_sent_at IS NOT NULL AND finished_at IS NULL
        GROUP BY target, merchant_id HAVING count(*) > 1) AS crowded;
    IF objects > 0 THEN
        SELECT target, merchant_id, string_agg(id::text || ' (' || status || ')', ', ' ORDER BY id) AS tasks INTO example
        FROM scheduled_tasks WHERE target <> '' AND first_sent_at IS NOT NULL AND finished_at IS NULL
        GROUP BY target, merchant_id HAVING count(*) > 1 ORDER BY target, merchant_id LIMIT 1;
        RAISE EXCEPTION '% objects have more than one task that was sent and has not ended; from this version on there is one at a time', objects
            USING DETAIL = format('For example %s of merchant %s: %s.', example.target, example.merchant_id, example.tasks),
                HINT = 'Let the workers of the present version finish what is pending or running, resolve what is in doubt, and migrate again.';
    END IF;
END $$;
-- +goose StatementEnd

ALTER TABLE scheduled_tasks
    ALTER COLUMN target TYPE text COLLATE "C", -- compared a lot, never sorted for people
    -- What the caller wants to happen once, whatever requests ask for it: renewal:sub_123:2026-12.
    ADD COLUMN intent         text        NOT NULL DEFAULT '',
    -- How a decline is followed up, and how many declines lie behind this task.
    ADD COLUMN on_decline     jsonb,
    ADD COLUMN declines       integer     NOT NULL DEFAULT 0,
    -- Set while the task waits for another one with the same merchant and target.
    ADD COLUMN waiting_since  timestamptz,
    -- When Stripe is to be looked at next; NULL when nothing more will be learned there.
    ADD COLUMN look_at        timestamptz,
    -- Claims that were looks; they do not count against max_attempts.
    ADD COLUMN looks          integer     NOT NULL DEFAULT 0,
    DROP CONSTRAINT scheduled_tasks_attempts,
    ADD CONSTRAINT scheduled_tasks_attempts CHECK (released >= 0 AND looks >= 0 AND released + looks <= attempt),
    ADD CONSTRAINT scheduled_tasks_intent_length CHECK (char_length(intent) <= 255),
    ADD CONSTRAINT scheduled_tasks_declines CHECK (declines >= 0),
    ADD CONSTRAINT scheduled_tasks_waiting_is_pending CHECK (waiting_since IS NULL OR status = 'pending'),
    ADD CONSTRAINT scheduled_tasks_looked_at_is_in_doubt CHECK (look_at IS NULL OR status = 'in_doubt');

-- What is in doubt already is looked at as soon as a worker can.
UPDATE scheduled_tasks SET look_at = now() WHERE status = 'in_doubt';

COMMENT ON COLUMN scheduled_tasks.declines IS 'Declines that led to this task: its place in the on_decline plan.';

-- One at a time per object: at most one task of a merchant and target may have reached Stripe without its outcome being known.
CREATE UNIQUE INDEX scheduled_tasks_one_per_object ON scheduled_tasks (target, merchant_id)
    WHERE target <> '' AND first_sent_at IS NOT NULL AND finished_at IS NULL;
CREATE INDEX idx_scheduled_tasks_waiting ON scheduled_tasks (target, merchant_id, scheduled_for, id) WHERE waiting_since IS NOT NULL;
CREATE INDEX idx_scheduled_tasks_look_at ON scheduled_tasks (look_at) WHERE look_at IS NOT NULL;
CREATE UNIQUE INDEX scheduled_tasks_one_per_intent ON scheduled_tasks (merchant_id, intent)
    WHERE intent <> '' AND status NOT IN ('failed', 'canceled');

ALTER TABLE task_attempts
    ADD COLUMN kind      text NOT NULL DEFAULT 'send',
    -- What a look found, without anything of a customer's.
    ADD COLUMN evidence  jsonb,
    -- Each attempt is written by the statement that changes its task; checking that once more costs a settlement a tenth.
    DROP CONSTRAINT task_attempts_task_id_fkey,
    ADD CONSTRAINT task_attempts_kind_known CHECK (kind IN ('send', 'look'));

-- The latest time that any worker has seen, and where the clock stepped back behind it: the age of a key is counted by a clock
-- that may not stand still.
CREATE TABLE clock (
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    high_water  timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO clock DEFAULT VALUES;
CREATE TABLE clock_steps (
    seen_at     timestamptz PRIMARY KEY DEFAULT now(), -- by the clock after the step
    high_water  timestamptz NOT NULL,                  -- by the clock before it
    back        interval    NOT NULL
);

ALTER TABLE merchants ADD COLUMN pause_detail text NOT NULL DEFAULT '';
COMMENT ON COLUMN merchants.pause_detail IS 'What is wrong and what to do, in our own words.';
UPDATE merchants SET pause_reason = 'needs_reauth' WHERE pause_reason = 'token_unreadable';

-- +goose Down
SET LOCAL lock_timeout = '5s';
ALTER TABLE merchants DROP COLUMN pause_detail;
DROP TABLE clock_steps;
DROP TABLE clock;
ALTER TABLE task_attempts DROP COLUMN kind, DROP COLUMN evidence,
    ADD CONSTRAINT task_attempts_task_id_fkey FOREIGN KEY (task_id) REFERENCES scheduled_tasks (id) ON DELETE CASCADE;
DROP INDEX scheduled_tasks_one_per_intent;
DROP INDEX idx_scheduled_tasks_look_at;
DROP INDEX idx_scheduled_tasks_waiting;
DROP INDEX scheduled_tasks_one_per_object;
-- Looks become released claims, so that what is left of attempt keeps counting sends.
UPDATE scheduled_tasks SET released = released + looks WHERE looks > 0;
ALTER TABLE scheduled_tasks
    DROP CONSTRAINT scheduled_tasks_attempts,
    ALTER COLUMN target TYPE text COLLATE "default",
    DROP COLUMN intent, DROP COLUMN on_decline, DROP COLUMN declines, DROP COLUMN waiting_since, DROP COLUMN look_at,
    DROP COLUMN looks,
    ADD CONSTRAINT scheduled_tasks_attempts CHECK (attempt >= 0 AND released BETWEEN 0 AND attempt);
