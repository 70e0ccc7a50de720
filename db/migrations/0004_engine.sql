-- Stands in for the migration that moves a task's last attempt into its row: only the view over all attempts.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';
CREATE VIEW attempts AS
    SELECT task_id, attempt, kind, worker_id, started_at, finished_at, outcome, reason, replayed, request_id, error, evidence
    FROM task_attempts;

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP VIEW attempts;
