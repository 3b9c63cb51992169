-- Accounts and their API keys.
--
-- Who sees what: the server connects as luna_app, which owns nothing. Each transaction of the server
-- carries the settings luna.account and luna.role of its caller; the policies read them. An account
-- sees its own rows, the role admin sees and changes all of them, and without settings nobody
-- sees anything. What must work before the caller is known is a SECURITY DEFINER function that takes
-- the secret itself and returns the one row.
--
-- Locks: new tables only.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'luna_app') THEN
        CREATE ROLE luna_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOBYPASSRLS;
    END IF;
EXCEPTION
    -- Roles belong to the whole cluster: another database's migration may have come first.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE TABLE account (
    account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_name text NOT NULL UNIQUE CHECK (char_length(account_name) BETWEEN 1 AND 100),
    quota_limit bigint NOT NULL DEFAULT 500 CHECK (quota_limit >= 0),
    quota_used bigint NOT NULL DEFAULT 0 CHECK (quota_used >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    key_id bigint GENERATED ALWAYS AS IDENTITY,
    key_hash bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    key_prefix text NOT NULL CHECK (char_length(key_prefix) BETWEEN 1 AND 32),
    role text NOT NULL CHECK (role IN ('admin', 'member', 'device')),
    scopes text[] NOT NULL DEFAULT '{}',
    name text NOT NULL DEFAULT '' CHECK (char_length(name) <= 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (account_id, key_id)
);
COMMENT ON COLUMN api_key.key_hash IS 'HMAC-SHA256 of the key; the key itself is stored nowhere';
COMMENT ON COLUMN api_key.key_prefix IS 'the first characters of the key, for people to tell keys apart';
COMMENT ON COLUMN api_key.last_used_at IS 'to the minute';

ALTER TABLE account ENABLE ROW LEVEL SECURITY;
ALTER TABLE account FORCE ROW LEVEL SECURITY;
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;

-- FORCE holds for the owner too, who runs the functions below and `luna-server admin`.
CREATE POLICY account_owner ON account TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY account_own ON account FOR SELECT TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
CREATE POLICY account_admin ON account TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin')
    WITH CHECK ((SELECT current_setting('luna.role', true)) = 'admin');

CREATE POLICY api_key_owner ON api_key TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY api_key_own ON api_key FOR SELECT TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
CREATE POLICY api_key_admin ON api_key TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin')
    WITH CHECK ((SELECT current_setting('luna.role', true)) = 'admin');

-- The key of this hash, whoever's it is. Expired and revoked ones too: the caller tells them apart.
CREATE FUNCTION luna_find_key(
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

-- The id of the account of this name, for the account that callers without credentials act as.
CREATE FUNCTION luna_find_account(name text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.account_id FROM public.account a WHERE a.account_name = luna_find_account.name
$$;

-- Notes that these keys (account_ids[i], key_ids[i]) have just been used. Touches a row at most once
-- a minute, in the order of the primary key, so that two servers cannot deadlock.
CREATE FUNCTION luna_touch_keys(account_ids bigint[], key_ids bigint[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH used AS MATERIALIZED (
        SELECT k.account_id, k.key_id
        FROM public.api_key k
        WHERE (k.account_id, k.key_id) IN (SELECT * FROM unnest(account_ids, key_ids))
            AND (k.last_used_at IS NULL OR k.last_used_at < date_trunc('minute', now()))
        ORDER BY k.account_id, k.key_id
        FOR UPDATE
    ), touched AS (
        UPDATE public.api_key k SET last_used_at = date_trunc('minute', now())
        FROM used u
        WHERE k.account_id = u.account_id AND k.key_id = u.key_id
        RETURNING 1
    )
    SELECT count(*) FROM touched
$$;

REVOKE ALL ON FUNCTION luna_find_key, luna_find_account, luna_touch_keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_find_key, luna_find_account, luna_touch_keys TO luna_app;
GRANT USAGE ON SCHEMA public TO luna_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON account, api_key TO luna_app;
