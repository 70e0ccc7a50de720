-- The indexes that claims and lists read through.
--
-- The claim takes pending tasks in the order of run_at from idx_scheduled_tasks_status_run_at; take-over and the gauges
-- read it too. The partial ones cost the claim nothing: no claim or settlement of an ordinary task touches them.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';
CREATE INDEX IF NOT EXISTS idx_scheduled_tasks_status_run_at ON scheduled_tasks (status, run_at);
CREATE INDEX IF NOT EXISTS idx_merchants_stripe_connect_id ON merchants (stripe_connect_id);
CREATE INDEX IF NOT EXISTS idx_scheduled_tasks_held ON scheduled_tasks (merchant_id) WHERE held_at IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_scheduled_tasks_retry_of ON scheduled_tasks (retry_of) WHERE retry_of IS NOT NULL;

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP INDEX IF EXISTS idx_scheduled_tasks_retry_of;
DROP INDEX IF EXISTS idx_scheduled_tasks_held;
DROP INDEX IF EXISTS idx_merchants_stripe_connect_id;
DROP INDEX IF EXISTS idx_scheduled_tasks_status_run_at;
