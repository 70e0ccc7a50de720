-- Which request scheduled a task, for whoever follows requests with OpenTelemetry: the attempts of a task link to it, days later.
--
-- It is NULL where tracing is off, and then costs nothing: the row has its NULLs in a bitmap that is as long as before. What follows a
-- decline belongs to the request of the first task.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE scheduled_tasks ADD COLUMN trace_context text;
COMMENT ON COLUMN scheduled_tasks.trace_context IS 'W3C traceparent of the request that scheduled it, and its tracestate after a space. NULL: nobody followed the request.';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION schedule_after_decline(of_task uuid, next_task uuid, hash bytea, after_seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, retry_of, intent, on_decline, declines,
        request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts, trace_context)
    SELECT next_task, t.merchant_id, t.kind, t.target, t.params, t.metadata, t.id, t.intent, t.on_decline, t.declines + 1,
        t.request_method, t.request_path, replace(t.request_body, t.id::text, next_task::text), t.request_version, hash,
        now() + make_interval(secs => after_seconds), now() + make_interval(secs => after_seconds), t.max_attempts, t.trace_context
    FROM scheduled_tasks AS t
    WHERE t.id = of_task AND t.status = 'failed' AND t.declines < jsonb_array_length(t.on_decline->'retry_after')
        AND after_seconds BETWEEN 0 AND 7776000 -- 90 days, as plans allow
    ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING;
    RETURN FOUND;
END
$$;
-- +goose StatementEnd
-- To replace a function is to take its settings away.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION schedule_after_decline SET search_path = %I, pg_temp', current_schema());
END $$;
-- +goose StatementEnd

-- +goose Down
SET LOCAL lock_timeout = '5s';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION schedule_after_decline(of_task uuid, next_task uuid, hash bytea, after_seconds double precision) RETURNS boolean
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
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION schedule_after_decline SET search_path = %I, pg_temp', current_schema());
END $$;
-- +goose StatementEnd
ALTER TABLE scheduled_tasks DROP COLUMN trace_context;
