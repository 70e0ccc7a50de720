-- What changes of tasks, for whoever watches (GET /v1/events).
--
-- The statements that change a status write what they changed into task_events while event_watch has its row, and look at that row
-- alone while it has none. Both tables are unlogged: a crash of PostgreSQL empties them together, and whoever watched is told to
-- read everything again. See docs/decisions.md.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE UNLOGGED TABLE event_watch (
    the_only  boolean     PRIMARY KEY DEFAULT true CHECK (the_only), -- there is one row, or none
    epoch     text        COLLATE "C" NOT NULL,
    until     timestamptz NOT NULL,
    complete  boolean     NOT NULL DEFAULT false,
    horizon   xid8        NOT NULL DEFAULT '0',
    most      integer     NOT NULL CHECK (most > 0)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE event_watch IS 'There is a row while changes of tasks are written into task_events.';
COMMENT ON COLUMN event_watch.epoch IS 'Names this row among all that there were: marks of another one mean nothing.';
COMMENT ON COLUMN event_watch.until IS 'Whoever watches moves this on. Once it has passed, anybody may delete the row; until then it stands.';
COMMENT ON COLUMN event_watch.complete IS 'No statement is under way any more that has not seen the row: from then on every change is written.';
COMMENT ON COLUMN event_watch.horizon IS 'What transactions up to this one have written may have been deleted.';
COMMENT ON COLUMN event_watch.most IS 'So many tasks of one statement are written in detail, the rest only counted.';

CREATE UNLOGGED TABLE task_events (
    id            bigint        GENERATED ALWAYS AS IDENTITY, -- tells the order of two changes of one task
    xact          xid8          NOT NULL DEFAULT pg_current_xact_id(),
    at            timestamptz   NOT NULL DEFAULT now(),
    tasks         integer       NOT NULL,
    kept          integer       NOT NULL,
    ids           uuid[]        NOT NULL,
    merchant_ids  uuid[]        NOT NULL,
    kinds         text[]        NOT NULL,
    targets       text[]        NOT NULL,
    statuses      text[]        NOT NULL,
    attempts      integer[]     NOT NULL,
    run_ats       timestamptz[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000);
-- Compressing what lives for a quarter of an hour is not worth its time.
ALTER TABLE task_events
    ALTER COLUMN ids SET STORAGE EXTERNAL, ALTER COLUMN merchant_ids SET STORAGE EXTERNAL, ALTER COLUMN kinds SET STORAGE EXTERNAL,
    ALTER COLUMN targets SET STORAGE EXTERNAL, ALTER COLUMN statuses SET STORAGE EXTERNAL, ALTER COLUMN attempts SET STORAGE EXTERNAL,
    ALTER COLUMN run_ats SET STORAGE EXTERNAL;
CREATE INDEX task_events_xact ON task_events (xact);
COMMENT ON TABLE task_events IS 'One row for each statement that changed tasks while somebody watched. Kept for a quarter of an hour.';
COMMENT ON COLUMN task_events.tasks IS 'How many tasks the statement changed; kept, how many of them stand in the arrays.';

-- Whoever may change tasks writes events: where deploy/roles.sql is not used, that is the services' user.
-- +goose StatementBegin
DO $$
DECLARE
    one oid;
BEGIN
    FOR one IN
        SELECT DISTINCT acl.grantee
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
        WHERE c.oid = 'scheduled_tasks'::regclass AND acl.privilege_type = 'UPDATE'
    LOOP
        EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON event_watch, task_events TO '
            || CASE WHEN one = 0 THEN 'PUBLIC' ELSE one::regrole::text END;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TABLE task_events;
DROP TABLE event_watch;
