-- The attempt that ends a task stays in the task's row.
--
-- Nearly every task ends with its first attempt. Its worker and the time of its claim are in the row already, its request id and
-- error in result and last_error; what is missing is the outcome and its reason. So the settlement writes one row instead of two,
-- and task_attempts holds what came before the end. The view attempts reads both.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE scheduled_tasks
    -- How the attempt ended that ended the task. NULL: every attempt is in task_attempts.
    ADD COLUMN final_outcome  text,
    ADD COLUMN final_reason   text,
    DROP CONSTRAINT scheduled_tasks_running_has_worker,
    ADD CONSTRAINT scheduled_tasks_running_has_worker
        CHECK ((status = 'running' OR final_outcome IS NOT NULL) = (worker_id IS NOT NULL) AND (worker_id IS NULL) = (claimed_at IS NULL)),
    ADD CONSTRAINT scheduled_tasks_final_attempt
        CHECK ((final_outcome IS NULL) = (final_reason IS NULL)
            AND (final_outcome IS NULL OR status = 'succeeded' AND final_outcome = 'succeeded'
                OR status = 'failed' AND final_outcome IN ('refused', 'not_sent')));

COMMENT ON COLUMN scheduled_tasks.worker_id IS 'Who runs it, or who ran the attempt that ended it.';
COMMENT ON COLUMN scheduled_tasks.claimed_at IS 'When the attempt began that runs, or that ended it.';
COMMENT ON TABLE task_attempts IS 'What attempts did, except one that ended its task and is told whole by the task''s row. Rows are only ever added.';

CREATE VIEW attempts (task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence) AS
SELECT task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence
FROM task_attempts
UNION ALL
SELECT id, attempt, 'send', worker_id, claimed_at, finished_at, final_outcome, final_reason,
    coalesce((result->>'replayed')::boolean, false), coalesce(result->>'request_id', last_error->>'request_id', ''), last_error, NULL
FROM scheduled_tasks
WHERE final_outcome IS NOT NULL;
COMMENT ON VIEW attempts IS 'Every attempt of every task.';

-- +goose Down
SET LOCAL lock_timeout = '5s';
INSERT INTO task_attempts (task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error)
SELECT a.task_id, a.attempt, a.kind, a.worker_id, a.started_at, a.finished_at, a.outcome, a.reason, a.replayed, a.request_id, a.error
FROM attempts AS a JOIN scheduled_tasks AS t ON t.id = a.task_id AND t.attempt = a.attempt AND t.final_outcome IS NOT NULL;
DROP VIEW attempts;
ALTER TABLE scheduled_tasks DROP CONSTRAINT scheduled_tasks_running_has_worker, DROP CONSTRAINT scheduled_tasks_final_attempt;
UPDATE scheduled_tasks SET worker_id = NULL, claimed_at = NULL WHERE final_outcome IS NOT NULL;
ALTER TABLE scheduled_tasks
    DROP COLUMN final_outcome, DROP COLUMN final_reason,
    ADD CONSTRAINT scheduled_tasks_running_has_worker
        CHECK ((status = 'running') = (worker_id IS NOT NULL) AND (status = 'running') = (claimed_at IS NOT NULL));
