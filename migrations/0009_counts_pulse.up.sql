-- Servers remember current counts and bring them up to date by what has been committed since: each transaction that
-- stores readings leaves one row that says of which DPUs how many, and each that changes what leads where leaves one
-- that says nothing, for "all may be different". Who remembers counts as of a snapshot adds up the rows that it did not
-- see: exact, in one index lookup, and writers wait for nobody. Rows are taken away again after some seconds; the floor
-- says up to which transaction, so that a memory older than that is given up.
--
-- Locks: counts_space, counts_within, counts_doorway and counts_assignment, for a moment.

CREATE TABLE counts_pulse (
    account_id bigint NOT NULL,
    xid bigint NOT NULL, -- the transaction
    nth bigint GENERATED ALWAYS AS IDENTITY,
    first_at timestamptz, -- the earliest and the latest of the readings
    last_at timestamptz,
    dpus integer[], -- NULL: all may be different
    ns smallint[], -- readings of each
    nets smallint[], -- sums of their directions
    PRIMARY KEY (account_id, xid, nth)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE counts_pulse
    ALTER COLUMN dpus SET STORAGE EXTERNAL, -- they live for seconds: not worth packing
    ALTER COLUMN ns SET STORAGE EXTERNAL,
    ALTER COLUMN nets SET STORAGE EXTERNAL;

CREATE TABLE counts_pulse_floor (
    account_id bigint PRIMARY KEY,
    xid bigint NOT NULL -- rows of transactions before this one are gone
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['pulse', 'pulse_floor'] LOOP
        EXECUTE format('ALTER TABLE counts_%s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE counts_%s FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY counts_%s_owner ON counts_%s TO CURRENT_USER USING (true)
            WITH CHECK (true)', t, t);
        EXECUTE format('CREATE POLICY counts_%s_own ON counts_%s TO luna_app
            USING (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))
            WITH CHECK (account_id = (SELECT nullif(current_setting(''luna.account'', true), '''')::bigint))',
            t, t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON counts_%s TO luna_app', t);
    END LOOP;
END
$$;

CREATE FUNCTION luna_counts_all_different() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO counts_pulse (account_id, xid)
    SELECT DISTINCT c.account_id, pg_current_xact_id()::text::bigint FROM changed c;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['counts_space', 'counts_within', 'counts_doorway', 'counts_assignment'] LOOP
        EXECUTE format('CREATE TRIGGER %s_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
        EXECUTE format('CREATE TRIGGER %s_updated AFTER UPDATE ON %s REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
        EXECUTE format('CREATE TRIGGER %s_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION luna_counts_all_different()', t, t);
    END LOOP;
END
$$;

-- Readings that were inserted in this transaction are told to those who remember counts, and added to the checkpoints
-- behind them.
CREATE OR REPLACE FUNCTION luna_counts_fold_late(account bigint, dpus integer[], ats timestamptz[], tags integer[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    touched integer[];
    firsts timestamptz[];
    ns smallint[];
    nets smallint[];
    first_at timestamptz;
    last_at timestamptz;
    late_dpus integer[];
    since timestamptz[];
BEGIN
    SELECT array_agg(g.dpu), array_agg(g.first_at), array_agg(g.n), array_agg(g.net), min(g.first_at), max(g.last_at)
    INTO touched, firsts, ns, nets, first_at, last_at
    FROM (
        SELECT u.dpu, min(u.at) AS first_at, max(u.at) AS last_at, count(*)::smallint AS n,
            sum(CASE WHEN u.tag > 0 THEN 1 ELSE -1 END)::smallint AS net
        FROM unnest(dpus, ats, tags) u(dpu, at, tag)
        GROUP BY u.dpu
        ORDER BY u.dpu
    ) g;
    INSERT INTO counts_pulse (account_id, xid, first_at, last_at, dpus, ns, nets)
    VALUES (account, pg_current_xact_id()::text::bigint, first_at, last_at, touched, ns, nets);
    -- The last checkpoint of each DPU tells whether anything is late: seldom.
    SELECT array_agg(f.dpu ORDER BY f.dpu), array_agg(f.at ORDER BY f.dpu) INTO late_dpus, since
    FROM unnest(touched, firsts) f(dpu, at)
    CROSS JOIN LATERAL (
        SELECT k.upto FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = f.dpu
        ORDER BY k.upto DESC LIMIT 1
    ) last
    WHERE last.upto >= f.at;
    IF late_dpus IS NULL THEN
        RETURN;
    END IF;
    -- In one order, so that two writers cannot deadlock.
    PERFORM 1
    FROM (
        SELECT k.dpu_id, k.upto
        FROM unnest(late_dpus, since) f(dpu, at)
        JOIN counts_checkpoint k ON k.account_id = account AND k.dpu_id = f.dpu AND k.upto >= f.at
        ORDER BY k.dpu_id, k.upto
    ) o
    JOIN LATERAL (
        SELECT 1 FROM counts_checkpoint k
        WHERE k.account_id = account AND k.dpu_id = o.dpu_id AND k.upto = o.upto
        FOR UPDATE
    ) locked ON true;
    WITH late AS (
        SELECT u.dpu, u.at, count(*) AS n, sum(sign(u.tag))::bigint AS net
        FROM unnest(dpus, ats, tags) u(dpu, at, tag)
        JOIN unnest(late_dpus) l(dpu) ON l.dpu = u.dpu
        GROUP BY u.dpu, u.at
    ), added AS (
        SELECT k.dpu_id, k.upto, sum(late.n)::bigint AS n, sum(late.net)::bigint AS net
        FROM late
        JOIN counts_checkpoint k ON k.account_id = account AND k.dpu_id = late.dpu AND k.upto >= late.at
        GROUP BY k.dpu_id, k.upto
    )
    UPDATE counts_checkpoint k
    SET n = k.n + added.n, net = k.net + added.net
    FROM added
    WHERE k.account_id = account AND k.dpu_id = added.dpu_id AND k.upto = added.upto;
END
$$;

REVOKE ALL ON FUNCTION luna_counts_all_different FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_counts_all_different TO luna_app;

-- Plans are kept for as long as a connection lasts, and may have been made when the tables were empty: by index in any
-- case.
ALTER FUNCTION luna_counts_ingest SET enable_seqscan = off;
ALTER FUNCTION luna_counts_announce SET enable_seqscan = off;
ALTER FUNCTION luna_counts_fill SET enable_seqscan = off;
