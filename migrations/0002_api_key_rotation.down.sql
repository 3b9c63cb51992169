DROP TRIGGER api_key_deleted ON api_key;
DROP TRIGGER api_key_changed ON api_key;
DROP FUNCTION luna_key_changed;

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
$$;

ALTER TABLE api_key DROP COLUMN previous_expires_at, DROP COLUMN previous_hash;
