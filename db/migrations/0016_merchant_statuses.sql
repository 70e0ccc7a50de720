-- Merchants are listed by their status.
--
-- Those that are paused have an index (merchants_paused, of 0012). Those that have left get one: they were found by a walk over all others.
-- So do active ones: the planner goes by the key while it knows that most are active, and otherwise reads all of them and sorts.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';
CREATE INDEX merchants_active ON merchants (id) WHERE paused_at IS NULL AND disconnected_at IS NULL;
CREATE INDEX merchants_disconnected ON merchants (id) WHERE disconnected_at IS NOT NULL;

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP INDEX merchants_disconnected;
DROP INDEX merchants_active;
