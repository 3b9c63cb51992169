-- Rotation of API keys: the secret a key had before works on for a while. Revocations and the like are
-- told to every server at once.
--
-- Locks: ACCESS EXCLUSIVE on api_key for a moment; new columns are NULL, nothing is rewritten.

ALTER TABLE api_key
    ADD COLUMN previous_hash bytea UNIQUE CHECK (octet_length(previous_hash) = 32),
    ADD COLUMN previous_expires_at timestamptz,
    ADD CHECK ((previous_hash IS NULL) = (previous_expires_at IS NULL));

-- The key of this hash, whoever's it is, by its present secret or the one before.
CREATE OR REPLACE FUNCTION luna_find_key(
    hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[],
    OUT expires_at timestamptz, OUT revoked_at timestamptz
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.account_id, k.key_id, k.role, k.scopes, k.expires_at, k.revoked_at
    FROM public.api_key k
    WHERE k.key_hash = luna_find_key.hash
    UNION ALL
    SELECT k.account_id, k.key_id, k.role, k.scopes, least(k.expires_at, k.previous_expires_at),
           k.revoked_at
    FROM public.api_key k
    WHERE k.previous_hash = luna_find_key.hash
    LIMIT 1
$$;

-- Servers remember keys for some seconds; this makes them forget those of an account.
CREATE FUNCTION luna_key_changed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('luna_keys', OLD.account_id::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER api_key_changed
    AFTER UPDATE OF key_hash, previous_hash, previous_expires_at, role, scopes, expires_at, revoked_at
    ON api_key FOR EACH ROW EXECUTE FUNCTION luna_key_changed();
CREATE TRIGGER api_key_deleted
    AFTER DELETE ON api_key FOR EACH ROW EXECUTE FUNCTION luna_key_changed();
