-- Who is signed in to the console.
--
-- The browser holds 256 random bits, and the table their SHA-256: what stands here opens nothing. A session ends with its key, whose
-- row says so; one of ADMIN_API_KEY, which has no row, is tied to it by a code that only the browser's bits can check.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

CREATE TABLE console_sessions (
    token_hash    bytea        PRIMARY KEY,
    api_key_id    uuid         REFERENCES api_keys (id),
    admin_check   bytea,
    created_at    timestamptz  NOT NULL DEFAULT now(),
    last_seen_at  timestamptz  NOT NULL DEFAULT now(),
    expires_at    timestamptz  NOT NULL,
    CONSTRAINT console_sessions_hash_length CHECK (octet_length(token_hash) = 32),
    CONSTRAINT console_sessions_of_one_key CHECK ((api_key_id IS NULL) = (admin_check IS NOT NULL))
);
CREATE INDEX console_sessions_expires_at ON console_sessions (expires_at);
COMMENT ON TABLE console_sessions IS 'Who is signed in to the console. Rows that have ended are deleted when somebody signs in.';
COMMENT ON COLUMN console_sessions.token_hash IS 'SHA-256 of what the browser holds, which has 256 random bits.';
COMMENT ON COLUMN console_sessions.api_key_id IS 'NULL: ADMIN_API_KEY.';
COMMENT ON COLUMN console_sessions.admin_check IS 'A code over ADMIN_API_KEY under what the browser holds: another key ends the session.';
COMMENT ON COLUMN console_sessions.last_seen_at IS 'Written once a minute at most.';

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TABLE console_sessions;
