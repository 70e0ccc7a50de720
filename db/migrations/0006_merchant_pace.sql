-- How fast each merchant's tasks may go, by the whole fleet: MERCHANT_RATE and MERCHANT_CONCURRENCY.
--
-- A merchant's pace is one narrow row that claims lock in the order of merchants. Due tasks beyond the limits are parked, once: they
-- leave the queue for the merchant's lane, from which they are taken as the limits allow. So one merchant's backlog stands in
-- nobody's way, and nothing is moved twice.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE scheduled_tasks
    ADD COLUMN parked_at timestamptz,
    ADD CONSTRAINT scheduled_tasks_parked_is_pending CHECK (parked_at IS NULL OR status = 'pending');
COMMENT ON COLUMN scheduled_tasks.parked_at IS 'Since when the task waits in its merchant''s lane; run_at then only says when it is looked at again at the latest.';
CREATE INDEX idx_scheduled_tasks_parked ON scheduled_tasks (merchant_id, (first_sent_at IS NULL), scheduled_for, id) WHERE parked_at IS NOT NULL;

CREATE TABLE merchant_pace (
    merchant_id  uuid              PRIMARY KEY REFERENCES merchants (id) ON DELETE CASCADE,
    next_at      timestamptz       NOT NULL DEFAULT '-infinity', -- when the next call would be on time; the virtual clock of GCRA
    in_flight    integer           NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    slowdown     double precision  NOT NULL DEFAULT 1 CHECK (slowdown BETWEEN 1 AND 64), -- by Stripe's 429s; wears off
    slowed_at    timestamptz       NOT NULL DEFAULT '-infinity',
    parked_at    timestamptz,      -- when a task was last parked; NULL: the lane is empty
    ready_at     timestamptz,      -- when the lane may go on
    CONSTRAINT merchant_pace_lane CHECK ((parked_at IS NULL) = (ready_at IS NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE merchant_pace IS 'What limits how fast a merchant''s tasks go, fleet-wide.';
CREATE INDEX merchant_pace_lanes ON merchant_pace (ready_at) WHERE parked_at IS NOT NULL;

INSERT INTO merchant_pace (merchant_id) SELECT id FROM merchants;
-- Every merchant has a pace, whoever makes it.
-- +goose StatementBegin
CREATE FUNCTION make_merchant_pace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO merchant_pace (merchant_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER merchants_have_a_pace AFTER INSERT ON merchants FOR EACH ROW EXECUTE FUNCTION make_merchant_pace();

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TRIGGER merchants_have_a_pace ON merchants;
DROP FUNCTION make_merchant_pace();
DROP TABLE merchant_pace;
UPDATE scheduled_tasks SET run_at = now() WHERE parked_at IS NOT NULL;
DROP INDEX idx_scheduled_tasks_parked;
ALTER TABLE scheduled_tasks DROP COLUMN parked_at;
