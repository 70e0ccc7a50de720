-- Which key sealed each token, and a proof that it was sealed for where it stands.
--
-- The id says by which key a token opens, and how far a rotation is. The binding is an HMAC, under a key of its own, over table, column,
-- row, key id and the sealed text: a token that was copied into another row or column, or put back under another key's id, is refused.
-- The text itself stays iv:authTag:encryptedContent. Tokens of older releases have neither; `billctl keys rotate` gives them both.
--
-- Sealings are counted for each key, ahead and in blocks: two random IVs of one key must never come to be equal.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE merchants
    ADD COLUMN access_token_key_id text,
    ADD COLUMN access_token_binding bytea,
    ADD COLUMN refresh_token_key_id text,
    ADD COLUMN refresh_token_binding bytea;
-- Every row there is has NULL: reading them all under the lock would find nothing.
ALTER TABLE merchants
    ADD CONSTRAINT merchants_access_token_binding_check CHECK (octet_length(access_token_binding) = 32) NOT VALID,
    ADD CONSTRAINT merchants_refresh_token_binding_check CHECK (octet_length(refresh_token_binding) = 32) NOT VALID;
COMMENT ON COLUMN merchants.access_token_key_id IS 'Id of the key that sealed it; NULL: an older release did.';
COMMENT ON COLUMN merchants.access_token_binding IS 'HMAC over table, column, row, key id and the sealed text; NULL: an older release sealed it.';
COMMENT ON COLUMN merchants.refresh_token_key_id IS 'Id of the key that sealed it; NULL: an older release did.';
COMMENT ON COLUMN merchants.refresh_token_binding IS 'HMAC over table, column, row, key id and the sealed text; NULL: an older release sealed it.';

ALTER TABLE encryption_keys
    ADD COLUMN sealings bigint NOT NULL DEFAULT 0,
    ADD COLUMN bound_at timestamptz,
    ADD COLUMN retired_at timestamptz;
COMMENT ON COLUMN encryption_keys.sealings IS 'How many tokens the key has sealed at most since version 9: processes count ahead, in blocks. What it sealed before is not in it.';
COMMENT ON COLUMN encryption_keys.bound_at IS 'When a process that demands bindings first found none missing.';
COMMENT ON COLUMN encryption_keys.retired_at IS 'When a rotation to another key ended. No process seals with it again unless billctl keys reinstate says so.';

-- An api of the release before this one knows nothing of bindings: what it stores beside one of another token would look as if it had been
-- moved there. So what such a process stores counts as not bound. A later release drops this.
-- +goose StatementBegin
CREATE FUNCTION unbind_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.access_token IS DISTINCT FROM OLD.access_token AND NEW.access_token_binding IS NOT DISTINCT FROM OLD.access_token_binding THEN
        NEW.access_token_key_id := NULL;
        NEW.access_token_binding := NULL;
    END IF;
    IF NEW.refresh_token IS DISTINCT FROM OLD.refresh_token AND NEW.refresh_token_binding IS NOT DISTINCT FROM OLD.refresh_token_binding THEN
        NEW.refresh_token_key_id := NULL;
        NEW.refresh_token_binding := NULL;
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tokens_of_older_releases BEFORE UPDATE OF access_token, refresh_token ON merchants FOR EACH ROW
    WHEN (current_setting('application_name') = 'billonce-api') EXECUTE FUNCTION unbind_tokens();

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TRIGGER tokens_of_older_releases ON merchants;
DROP FUNCTION unbind_tokens();
ALTER TABLE encryption_keys DROP COLUMN retired_at, DROP COLUMN bound_at, DROP COLUMN sealings;
ALTER TABLE merchants
    DROP COLUMN refresh_token_binding, DROP COLUMN refresh_token_key_id,
    DROP COLUMN access_token_binding, DROP COLUMN access_token_key_id;
