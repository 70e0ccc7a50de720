-- The roles of a billonce database, each with what its program needs and nothing else.
--
--   billonce_migrate  owns the schema: migrations, and nothing at run time
--   billonce_api      writes tasks and merchants; writes sealed tokens and cannot read them back
--   billonce_worker   reads sealed tokens and carries tasks out; can neither schedule a task nor change what one asks for
--   billonce_read     reads everything but tokens and keys
--   billonce_rotate   reads and writes sealed tokens, for billctl keys
--
-- Run it with psql -v ON_ERROR_STOP=1 -f or billctl roles apply: once as a superuser (or as one who owns the database and may create
-- roles), which makes the roles and hands the schema over to billonce_migrate; then after each migration, as billonce_migrate or again as
-- that user, which renews the grants. billctl migrate up does the second by itself. It may be run at any time and as often as wanted: each
-- run takes away whatever is not granted here. The database is billonce's alone: everybody else loses access to it.
--
-- The roles are made without a login. Either give each one (ALTER ROLE billonce_api LOGIN PASSWORD ...), or make users of your own that
-- are members (CREATE ROLE api_2027 LOGIN PASSWORD ... IN ROLE billonce_api); one that migrates then needs
-- ALTER ROLE ... SET role = billonce_migrate, so that what it creates belongs to that role.

BEGIN;

-- Handing a table over waits for whoever reads it, and whoever comes later waits behind that: rather give up.
SET LOCAL lock_timeout = '5s';

-- One at a time; the number is arbitrary and used for nothing else.
DO $$ BEGIN PERFORM pg_advisory_xact_lock(7203114692); END $$;

-- The roles belong to the whole server: another database's run may be making them at this moment.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['billonce_migrate', 'billonce_api', 'billonce_worker', 'billonce_read', 'billonce_rotate'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- the other run was quicker
            END;
        END IF;
    END LOOP;
END $$;

-- The schema and all that is in it belong to billonce_migrate, except what extensions brought. There is something to do in the first
-- run, and after somebody else has migrated.
DO $$
DECLARE
    one record;
BEGIN
    -- Who hands something over must have the new owner's rights. Who has made a role in PostgreSQL 16 or later is a member without them.
    IF NOT pg_has_role('billonce_migrate', 'USAGE') THEN
        EXECUTE format('GRANT billonce_migrate TO %I', current_user);
    END IF;
    FOR one IN
        SELECT format('SCHEMA %I', nspname) AS name FROM pg_namespace
        WHERE nspname = current_schema() AND nspowner <> 'billonce_migrate'::regrole
        UNION ALL
        SELECT format('TABLE %s', c.oid::regclass) FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
            AND c.relowner <> 'billonce_migrate'::regrole
            AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proowner <> 'billonce_migrate'::regrole
            AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s OWNER TO billonce_migrate', one.name);
    END LOOP;
END $$;

-- Who comes into the database, and who creates something there. Only the database's owner can say that.
DO $$
BEGIN
    IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM billonce_migrate, billonce_api, billonce_worker, billonce_read, billonce_rotate CASCADE',
            current_database());
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO billonce_migrate, billonce_api, billonce_worker, billonce_read, billonce_rotate',
            current_database());
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO billonce_migrate', current_database()); -- migration 8 wants it
    ELSE
        RAISE NOTICE 'the database is not this user''s: who may come into it stays as it is';
    END IF;
    -- Whoever has no right to a table shall be told so, and not that it does not exist: USAGE stays everybody's.
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM billonce_api, billonce_worker, billonce_read, billonce_rotate CASCADE', current_schema());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO billonce_api, billonce_worker, billonce_read, billonce_rotate', current_schema());
END $$;

-- A new function is nobody's to call until somebody says whose. Tables are nobody's anyway.
ALTER DEFAULT PRIVILEGES FOR ROLE billonce_migrate REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- The grants. Nothing is changed while the schema is older than this file, as it is before the first migration.
DO $$
DECLARE
    one record;
BEGIN
    IF to_regclass('console_sessions') IS NULL THEN
        RAISE NOTICE 'the schema is older than roles.sql: migrate, then run this again';
        RETURN;
    END IF;

    -- Taking a right on a table away takes it from the columns as well.
    FOR one IN
        SELECT format('TABLE %s', oid::regclass) AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relowner = 'billonce_migrate'::regrole
        UNION ALL
        SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proowner = 'billonce_migrate'::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, billonce_api, billonce_worker, billonce_read, billonce_rotate CASCADE', one.name);
    END LOOP;

    -- Everybody.
    GRANT SELECT ON goose_db_version TO billonce_api, billonce_worker, billonce_read, billonce_rotate;

    -- Merchants. A row's version (xmin) tells a worker whether it has to read the row again.
    GRANT SELECT (id, name, stripe_connect_id, livemode, has_access_token, has_refresh_token, paused_at, pause_reason, pause_detail,
            resumed_at, disconnected_at, created_at, updated_at)
        ON merchants TO billonce_api, billonce_worker, billonce_read, billonce_rotate;
    GRANT SELECT (xmin, access_token, refresh_token) ON merchants TO billonce_worker;
    GRANT INSERT (id, name, stripe_connect_id, livemode, access_token, refresh_token) ON merchants TO billonce_api;
    GRANT UPDATE (name, access_token, refresh_token, paused_at, pause_reason, pause_detail, resumed_at, disconnected_at, updated_at)
        ON merchants TO billonce_api;
    GRANT UPDATE (paused_at, pause_reason, pause_detail, updated_at) ON merchants TO billonce_worker;
    GRANT SELECT (access_token, refresh_token), UPDATE (access_token, refresh_token) ON merchants TO billonce_rotate;
    GRANT SELECT (access_token_key_id, refresh_token_key_id) ON merchants TO billonce_api, billonce_worker, billonce_read, billonce_rotate;
    GRANT SELECT (access_token_binding, refresh_token_binding) ON merchants TO billonce_api, billonce_worker, billonce_rotate;
    GRANT INSERT (access_token_key_id, access_token_binding, refresh_token_key_id, refresh_token_binding) ON merchants TO billonce_api;
    GRANT UPDATE (access_token_key_id, access_token_binding, refresh_token_key_id, refresh_token_binding)
        ON merchants TO billonce_api, billonce_rotate;
    GRANT INSERT (merchant_id) ON merchant_pace TO billonce_api; -- by the trigger that gives each new merchant its pace
    GRANT SELECT, UPDATE (next_at, in_flight, slowdown, slowed_at, parked_at, ready_at) ON merchant_pace TO billonce_worker;
    GRANT SELECT ON merchant_pace TO billonce_read;

    -- Tasks. The api says what is to happen and when; the worker, how far it has come. Neither can write the other's columns, and
    -- finished tasks leave by the worker's hand.
    GRANT SELECT ON scheduled_tasks, task_keys, task_attempts, attempts, task_resolutions, archived_tasks
        TO billonce_api, billonce_worker, billonce_read;
    GRANT INSERT (id, merchant_id, kind, target, params, metadata, retry_of, intent, on_decline, declines, request_method, request_path,
            request_body, request_version, request_hash, run_at, scheduled_for, max_attempts, created_by, trace_context)
        ON scheduled_tasks TO billonce_api;
    GRANT UPDATE (status, run_at, scheduled_for, held_at, waiting_since, parked_at, look_at, finished_at, updated_at)
        ON scheduled_tasks TO billonce_api;
    GRANT INSERT ON task_keys, task_resolutions TO billonce_api;
    GRANT UPDATE (status, attempt, released, looks, run_at, first_sent_at, claimed_at, worker_id, finished_at, sent_auth, sent_account,
            held_at, waiting_since, parked_at, look_at, final_outcome, final_reason, result, last_error, updated_at), DELETE
        ON scheduled_tasks TO billonce_worker;
    GRANT EXECUTE ON FUNCTION schedule_after_decline TO billonce_worker;
    GRANT INSERT, DELETE ON task_attempts TO billonce_worker;
    GRANT DELETE ON task_keys, task_resolutions TO billonce_worker;
    GRANT INSERT ON archived_tasks TO billonce_worker;

    -- Workers and the clock.
    GRANT SELECT, INSERT, UPDATE (heartbeat_at, draining_at), DELETE ON workers TO billonce_worker;
    GRANT SELECT, INSERT, UPDATE (succeeded, failed, in_doubt, retried), DELETE ON outcome_minutes TO billonce_worker;
    GRANT SELECT ON workers, outcome_minutes TO billonce_api;
    GRANT SELECT, UPDATE (high_water) ON clock TO billonce_worker;
    GRANT SELECT, INSERT ON clock_steps TO billonce_worker;
    GRANT SELECT ON workers, outcome_minutes, clock, clock_steps TO billonce_read;

    -- What is told to whoever watches. Who changes tasks writes it, the api reads it, and both clear away what is old.
    GRANT SELECT ON event_watch TO billonce_api, billonce_worker;
    GRANT INSERT (epoch, until, most), UPDATE (until, complete, horizon, most), DELETE ON event_watch TO billonce_api;
    GRANT UPDATE (horizon), DELETE ON event_watch TO billonce_worker;
    GRANT SELECT, INSERT (tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats), DELETE
        ON task_events TO billonce_api, billonce_worker;
    GRANT SELECT ON event_watch, task_events TO billonce_read;

    -- Encryption keys: identifiers and check values, never the keys. development_key is one, and always empty in production.
    -- A service cannot take back that a key is retired.
    GRANT SELECT ON encryption_keys TO billonce_api, billonce_worker, billonce_rotate, billonce_read;
    GRANT INSERT (key_id, check_value, active), UPDATE (active, bound_at) ON encryption_keys TO billonce_api, billonce_worker;
    GRANT INSERT (key_id, check_value, active, sealings), UPDATE (sealings) ON encryption_keys TO billonce_api, billonce_rotate;
    GRANT UPDATE (retired_at) ON encryption_keys TO billonce_rotate;
    GRANT SELECT, INSERT (key) ON development_key TO billonce_api, billonce_worker;

    -- Keys of the API, hashed, and the log of who changed what, which is only ever added to. When was now.
    GRANT SELECT, INSERT (id, name, hash, hint, scopes, merchant_id, created_by, expires_at),
            UPDATE (expires_at, last_used_at, revoked_at, replaced_by)
        ON api_keys TO billonce_api;
    GRANT SELECT (id, name, hint, scopes, merchant_id, created_at, created_by, expires_at, last_used_at, revoked_at, replaced_by)
        ON api_keys TO billonce_read;
    GRANT SELECT, INSERT (token_hash, api_key_id, admin_check, expires_at), UPDATE (last_seen_at), DELETE
        ON console_sessions TO billonce_api;
    GRANT SELECT (api_key_id, created_at, last_seen_at, expires_at) ON console_sessions TO billonce_read;
    GRANT INSERT (id, actor, actor_name, action, object, merchant_id, address, request_id, detail)
        ON audit_log TO billonce_api, billonce_rotate;
    GRANT SELECT ON audit_log TO billonce_api, billonce_read;
END $$;

COMMIT;
