-- What the overview and the search for tasks need.
--
-- outcome_minutes says what attempts came to, for a chart of the last hours: each worker adds to its row of the present minute beside
-- its heartbeat. It is no ledger: what a worker that dies has not written yet is missing. Minutes older than two days are deleted.
--
-- A worker that drains says so. Paused merchants are found by an index; the table of merchants is small and seldom written.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE outcome_minutes (
    minute     timestamptz NOT NULL,
    worker_id  uuid        NOT NULL,
    succeeded  integer     NOT NULL DEFAULT 0,
    failed     integer     NOT NULL DEFAULT 0,
    in_doubt   integer     NOT NULL DEFAULT 0,
    retried    integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (minute, worker_id)
) WITH (fillfactor = 50); -- each row is written over a few times, beside itself
COMMENT ON TABLE outcome_minutes IS 'What attempts of each worker came to, by minute. For a chart: not everything is in it.';

ALTER TABLE workers ADD COLUMN draining_at timestamptz;
COMMENT ON COLUMN workers.draining_at IS 'Since when it only ends what it has begun.';

CREATE INDEX merchants_paused ON merchants (id) WHERE paused_at IS NOT NULL AND disconnected_at IS NULL;

-- Who may write down that a worker lives may also write down what came of its work: where deploy/roles.sql is not used, that is the
-- services' user.
-- +goose StatementBegin
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT acl.grantee, acl.privilege_type
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
        WHERE c.oid = 'workers'::regclass AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') AND acl.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON outcome_minutes TO %s', one.privilege_type,
            CASE WHEN one.grantee = 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP INDEX merchants_paused;
ALTER TABLE workers DROP COLUMN draining_at;
DROP TABLE outcome_minutes;
