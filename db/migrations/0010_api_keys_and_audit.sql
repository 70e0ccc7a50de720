-- Keys of the API beside ADMIN_API_KEY, and a log of who changed what.
--
-- A key is kept as its SHA-256 alone. Scheduling is recorded in the task's own row: a row of the log for each task would cost
-- more than the task's claim. See docs/decisions.md, 51 and 55.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE api_keys (
    id            uuid        PRIMARY KEY,
    name          text        NOT NULL,
    hash          bytea       NOT NULL,
    hint          text        NOT NULL,
    scopes        text[]      NOT NULL,
    merchant_id   uuid        REFERENCES merchants (id),
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    text        NOT NULL DEFAULT '',
    expires_at    timestamptz,
    last_used_at  timestamptz,
    revoked_at    timestamptz,
    replaced_by   uuid        REFERENCES api_keys (id),
    CONSTRAINT api_keys_one_per_hash UNIQUE (hash),
    CONSTRAINT api_keys_hash_length CHECK (octet_length(hash) = 32),
    CONSTRAINT api_keys_scopes_known CHECK (cardinality(scopes) > 0
        AND scopes <@ ARRAY['tasks:read', 'tasks:write', 'merchants:read', 'merchants:write', 'admin']),
    -- Who may make keys could make one for every merchant.
    CONSTRAINT api_keys_admin_is_for_all CHECK (merchant_id IS NULL OR NOT 'admin' = ANY (scopes))
);
CREATE INDEX api_keys_merchant_id ON api_keys (merchant_id, id) WHERE merchant_id IS NOT NULL;
COMMENT ON TABLE api_keys IS 'Who may call the API. Rows are never deleted: the log names them.';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key, which has 256 random bits.';
COMMENT ON COLUMN api_keys.hint IS 'The beginning of the key, to tell keys apart.';
COMMENT ON COLUMN api_keys.last_used_at IS 'Written every few seconds, not at each use.';

CREATE TABLE audit_log (
    id           uuid        PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text        COLLATE "C" NOT NULL,
    actor_name   text        NOT NULL DEFAULT '',
    action       text        COLLATE "C" NOT NULL,
    object       text        COLLATE "C" NOT NULL,
    merchant_id  uuid,
    address      text        NOT NULL DEFAULT '',
    request_id   text        NOT NULL DEFAULT '',
    detail       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_object ON audit_log (object, at, id);
CREATE INDEX audit_log_actor ON audit_log (actor, at, id);
CREATE INDEX audit_log_action ON audit_log (action, at, id);
COMMENT ON TABLE audit_log IS 'Who did what to which object, when, from where. Rows are only ever added. No secrets.';
COMMENT ON COLUMN audit_log.actor IS 'The id of an API key, ADMIN_API_KEY or billctl.';

-- +goose StatementBegin
CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only ever added to' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
-- Also for sessions that apply what another server sends, as whoever may set session_replication_role can say of theirs.
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_is_append_only;

ALTER TABLE scheduled_tasks ADD COLUMN created_by text;
COMMENT ON COLUMN scheduled_tasks.created_by IS 'Actor, address and request id of the call that scheduled it. NULL: a worker, after a decline, or a version before 10.';

-- +goose Down
SET LOCAL lock_timeout = '5s';
-- The log is not lost in passing. Whoever means it says `billctl migrate down --lose-audit-log`, or to goose
-- PGOPTIONS='-c billonce.lose_audit_log=yes'.
-- +goose StatementBegin
DO $$
BEGIN
    IF current_setting('billonce.lose_audit_log', true) IS DISTINCT FROM 'yes' AND EXISTS (SELECT FROM audit_log) THEN
        RAISE EXCEPTION 'the audit log has entries, which this would delete: copy them, then say --lose-audit-log (goose: PGOPTIONS=''-c billonce.lose_audit_log=yes'')';
    END IF;
END
$$;
-- +goose StatementEnd
ALTER TABLE scheduled_tasks DROP COLUMN created_by;
DROP TABLE audit_log;
DROP FUNCTION keep_audit_log();
DROP TABLE api_keys;
