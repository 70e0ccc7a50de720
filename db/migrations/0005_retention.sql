-- Where finished tasks go when they are old, so that scheduled_tasks, its indexes and their vacuum do not grow with history.
--
-- One row holds a whole task: its row of scheduled_tasks as it stood, its attempts, its resolution and its caller's key. The
-- columns beside the document are those by which an archived task is still looked for. There are no partitions: nothing is
-- ever dropped by age here, and each look by id, intent or retry_of would have to visit all of them.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE archived_tasks (
    id           uuid        PRIMARY KEY,
    merchant_id  uuid        NOT NULL, -- a merchant's row is never deleted
    intent       text        NOT NULL,
    status       text        NOT NULL,
    retry_of     uuid,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz NOT NULL,
    archived_at  timestamptz NOT NULL DEFAULT now(),
    document     jsonb       NOT NULL,
    CONSTRAINT archived_tasks_finished CHECK (status IN ('succeeded', 'failed', 'canceled'))
);
COMMENT ON TABLE archived_tasks IS 'Finished tasks older than TASK_RETENTION, one document each. Rows are only ever added.';
COMMENT ON COLUMN archived_tasks.document IS '{task, attempts, resolution, key}: the rows of the task, named as in their tables.';

-- What succeeded stays done: its intent is never free again. Not unique, because history is kept whatever it says; new tasks
-- are judged when they are scheduled.
CREATE INDEX archived_tasks_intent ON archived_tasks (merchant_id, intent) WHERE intent <> '' AND status = 'succeeded';
CREATE INDEX archived_tasks_retry_of ON archived_tasks (retry_of) WHERE retry_of IS NOT NULL;

-- Deleting a task finds its key by this; without it each deletion would read all keys.
CREATE INDEX task_keys_task_id ON task_keys (task_id);

-- +goose Down
SET LOCAL lock_timeout = '5s';

-- Everything goes back to where it was, except callers' keys: those were forgotten when their tasks were archived, and may
-- belong to other tasks by now.
INSERT INTO scheduled_tasks
SELECT t.*
FROM archived_tasks AS a CROSS JOIN LATERAL jsonb_populate_record(NULL::scheduled_tasks, a.document->'task') AS t;

INSERT INTO task_attempts (task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence)
SELECT a.id, x.attempt, x.kind, x.worker_id, x.started_at, x.finished_at, x.outcome, x.reason, x.replayed, x.request_id, x.error, x.evidence
FROM archived_tasks AS a CROSS JOIN LATERAL jsonb_to_recordset(a.document->'attempts') AS x (attempt integer, kind text,
    worker_id uuid, started_at timestamptz, finished_at timestamptz, outcome text, reason text, replayed boolean, request_id text,
    error jsonb, evidence jsonb)
WHERE NOT EXISTS (SELECT 1 FROM attempts AS known WHERE known.task_id = a.id AND known.attempt = x.attempt);

INSERT INTO task_resolutions (task_id, outcome, note, request_id, resolved_at)
SELECT a.id, r.outcome, r.note, r.request_id, r.resolved_at
FROM archived_tasks AS a CROSS JOIN LATERAL jsonb_populate_record(NULL::task_resolutions, a.document->'resolution') AS r
WHERE jsonb_typeof(a.document->'resolution') = 'object';

DROP INDEX task_keys_task_id;
DROP TABLE archived_tasks;
