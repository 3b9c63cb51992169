-- What all migrations make, as pg_dump --schema-only tells it. Made by LUNA_UPDATE_SCHEMA=1 db_migrate_test.
CREATE FUNCTION public.luna_find_account(name text) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT a.account_id FROM public.account a WHERE a.account_name = luna_find_account.name
$$;
ALTER FUNCTION public.luna_find_account(name text) OWNER TO postgres;
CREATE FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) OWNER TO postgres;
CREATE FUNCTION public.luna_key_changed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_notify('luna_keys', OLD.account_id::text);
    RETURN NULL;
END
$$;
ALTER FUNCTION public.luna_key_changed() OWNER TO postgres;
CREATE FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
ALTER FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) OWNER TO postgres;
CREATE TABLE public.account (
    account_id bigint NOT NULL,
    account_name text NOT NULL,
    quota_limit bigint DEFAULT 500 NOT NULL,
    quota_used bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT account_account_name_check CHECK (((char_length(account_name) >= 1) AND (char_length(account_name) <= 100))),
    CONSTRAINT account_quota_limit_check CHECK ((quota_limit >= 0)),
    CONSTRAINT account_quota_used_check CHECK ((quota_used >= 0))
);
ALTER TABLE ONLY public.account FORCE ROW LEVEL SECURITY;
ALTER TABLE public.account OWNER TO postgres;
ALTER TABLE public.account ALTER COLUMN account_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.account_account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.api_key (
    account_id bigint NOT NULL,
    key_id bigint NOT NULL,
    key_hash bytea NOT NULL,
    key_prefix text NOT NULL,
    role text NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    previous_hash bytea,
    previous_expires_at timestamp with time zone,
    CONSTRAINT api_key_check CHECK (((previous_hash IS NULL) = (previous_expires_at IS NULL))),
    CONSTRAINT api_key_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT api_key_key_prefix_check CHECK (((char_length(key_prefix) >= 1) AND (char_length(key_prefix) <= 32))),
    CONSTRAINT api_key_name_check CHECK ((char_length(name) <= 100)),
    CONSTRAINT api_key_previous_hash_check CHECK ((octet_length(previous_hash) = 32)),
    CONSTRAINT api_key_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'device'::text])))
);
ALTER TABLE ONLY public.api_key FORCE ROW LEVEL SECURITY;
ALTER TABLE public.api_key OWNER TO postgres;
ALTER TABLE public.api_key ALTER COLUMN key_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_key_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.kalman_checkpoint (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    "time" double precision NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    format integer NOT NULL,
    state bytea NOT NULL
);
ALTER TABLE ONLY public.kalman_checkpoint FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_checkpoint OWNER TO postgres;
CREATE TABLE public.kalman_filter (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    filter_id text NOT NULL,
    generation bigint DEFAULT 1 NOT NULL,
    model bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    reset_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT kalman_filter_filter_id_check CHECK ((filter_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'::text))
);
ALTER TABLE ONLY public.kalman_filter FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_filter OWNER TO postgres;
ALTER TABLE public.kalman_filter ALTER COLUMN filter_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.kalman_filter_filter_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.kalman_observation (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    "position" bigint NOT NULL,
    sequence bigint NOT NULL,
    "time" double precision NOT NULL,
    numbers bytea NOT NULL,
    appended_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT kalman_observation_numbers_check CHECK (((octet_length(numbers) % 8) = 0)),
    CONSTRAINT kalman_observation_position_check CHECK (("position" > 0)),
    CONSTRAINT kalman_observation_sequence_check CHECK ((sequence > 0))
);
ALTER TABLE ONLY public.kalman_observation FORCE ROW LEVEL SECURITY;
ALTER TABLE public.kalman_observation OWNER TO postgres;
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_account_name_key UNIQUE (account_name);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_key_hash_key UNIQUE (key_hash);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (account_id, key_id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_previous_hash_key UNIQUE (previous_hash);
ALTER TABLE ONLY public.kalman_checkpoint
    ADD CONSTRAINT kalman_checkpoint_pkey PRIMARY KEY (account_id, filter_key, generation, "time", sequence);
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_account_id_filter_id_key UNIQUE (account_id, filter_id);
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_pkey PRIMARY KEY (account_id, filter_key);
ALTER TABLE ONLY public.kalman_observation
    ADD CONSTRAINT kalman_observation_account_id_filter_key_generation_sequenc_key UNIQUE (account_id, filter_key, generation, sequence);
ALTER TABLE ONLY public.kalman_observation
    ADD CONSTRAINT kalman_observation_pkey PRIMARY KEY (account_id, filter_key, generation, "position");
CREATE INDEX kalman_observation_in_time ON public.kalman_observation USING btree (account_id, filter_key, generation, "time", sequence);
CREATE TRIGGER api_key_changed AFTER UPDATE OF key_hash, previous_hash, previous_expires_at, role, scopes, expires_at, revoked_at ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.luna_key_changed();
CREATE TRIGGER api_key_deleted AFTER DELETE ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.luna_key_changed();
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.kalman_checkpoint
    ADD CONSTRAINT kalman_checkpoint_account_id_filter_key_fkey FOREIGN KEY (account_id, filter_key) REFERENCES public.kalman_filter(account_id, filter_key) ON DELETE CASCADE;
ALTER TABLE ONLY public.kalman_filter
    ADD CONSTRAINT kalman_filter_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(account_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.kalman_observation
    ADD CONSTRAINT kalman_observation_account_id_filter_key_fkey FOREIGN KEY (account_id, filter_key) REFERENCES public.kalman_filter(account_id, filter_key) ON DELETE CASCADE;
ALTER TABLE public.account ENABLE ROW LEVEL SECURITY;
CREATE POLICY account_admin ON public.account TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)) WITH CHECK ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY account_own ON public.account FOR SELECT TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY account_owner ON public.account TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.api_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY api_key_admin ON public.api_key TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text)) WITH CHECK ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY api_key_own ON public.api_key FOR SELECT TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY api_key_owner ON public.api_key TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_checkpoint ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_checkpoint_admin ON public.kalman_checkpoint TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_checkpoint_own ON public.kalman_checkpoint TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_checkpoint_owner ON public.kalman_checkpoint TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_filter ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_filter_admin ON public.kalman_filter TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_filter_own ON public.kalman_filter TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_filter_owner ON public.kalman_filter TO postgres USING (true) WITH CHECK (true);
ALTER TABLE public.kalman_observation ENABLE ROW LEVEL SECURITY;
CREATE POLICY kalman_observation_admin ON public.kalman_observation TO luna_app USING ((( SELECT current_setting('luna.role'::text, true) AS current_setting) = 'admin'::text));
CREATE POLICY kalman_observation_own ON public.kalman_observation TO luna_app USING ((account_id = ( SELECT (NULLIF(current_setting('luna.account'::text, true), ''::text))::bigint AS "nullif")));
CREATE POLICY kalman_observation_owner ON public.kalman_observation TO postgres USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA public TO luna_app;
REVOKE ALL ON FUNCTION public.luna_find_account(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_find_account(name text) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_find_key(hash bytea, OUT account_id bigint, OUT key_id bigint, OUT role text, OUT scopes text[], OUT expires_at timestamp with time zone, OUT revoked_at timestamp with time zone) TO luna_app;
REVOKE ALL ON FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.luna_touch_keys(account_ids bigint[], key_ids bigint[]) TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.account TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_key TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_checkpoint TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_filter TO luna_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.kalman_observation TO luna_app;
