-- What the services' roles of deploy/roles.sql need of the schema.
--
-- Whether a merchant has a token is a column of its own, so that a role which may not read sealed tokens can still tell. Adding it
-- copies the table of merchants, which is small.
--
-- Workers schedule nothing by themselves but what follows a decline. A function does that for them, with the rights of whoever
-- owns it, and takes everything of the new task from the one that was declined: a worker's role needs no INSERT on scheduled_tasks.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE merchants
    ADD COLUMN has_access_token boolean NOT NULL GENERATED ALWAYS AS (access_token IS NOT NULL) STORED,
    ADD COLUMN has_refresh_token boolean NOT NULL GENERATED ALWAYS AS (refresh_token IS NOT NULL) STORED;

-- A task that has not failed, or whose plan is at its end, has no successor; one that was repeated already keeps that repetition.
-- +goose StatementBegin
CREATE FUNCTION schedule_after_decline(of_task uuid, next_task uuid, hash bytea, after_seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, retry_of, intent, on_decline, declines,
        request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts)
    SELECT next_task, t.merchant_id, t.kind, t.target, t.params, t.metadata, t.id, t.intent, t.on_decline, t.declines + 1,
        t.request_method, t.request_path, replace(t.request_body, t.id::text, next_task::text), t.request_version, hash,
        now() + make_interval(secs => after_seconds), now() + make_interval(secs => after_seconds), t.max_attempts
    FROM scheduled_tasks AS t
    WHERE t.id = of_task AND t.status = 'failed' AND t.declines < jsonb_array_length(t.on_decline->'retry_after')
        AND after_seconds BETWEEN 0 AND 7776000 -- 90 days, as plans allow
    ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION schedule_after_decline IS 'Schedules what follows the decline of a task, and reports whether it did.';
REVOKE EXECUTE ON FUNCTION schedule_after_decline FROM PUBLIC;
-- Whoever may schedule tasks may call it: where deploy/roles.sql is not used, that is the services' user.
-- +goose StatementBegin
DO $$
DECLARE
    one oid;
BEGIN
    FOR one IN
        SELECT DISTINCT acl.grantee
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
        WHERE c.oid = 'scheduled_tasks'::regclass AND acl.privilege_type = 'INSERT'
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION schedule_after_decline TO ' || CASE WHEN one = 0 THEN 'PUBLIC' ELSE one::regrole::text END;
    END LOOP;
END $$;
-- +goose StatementEnd
-- It finds its tables where this migration put them, whatever the caller's search_path says.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION schedule_after_decline SET search_path = %I, pg_temp', current_schema());
END $$;
-- +goose StatementEnd

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP FUNCTION schedule_after_decline;
ALTER TABLE merchants DROP COLUMN has_refresh_token, DROP COLUMN has_access_token;
