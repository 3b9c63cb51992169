ALTER FUNCTION luna_counts_ingest RESET enable_seqscan;
ALTER FUNCTION luna_counts_announce RESET enable_seqscan;
ALTER FUNCTION luna_counts_fill RESET enable_seqscan;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['counts_space', 'counts_within', 'counts_doorway', 'counts_assignment'] LOOP
        EXECUTE format('DROP TRIGGER %s_inserted ON %s', t, t);
        EXECUTE format('DROP TRIGGER %s_updated ON %s', t, t);
        EXECUTE format('DROP TRIGGER %s_deleted ON %s', t, t);
    END LOOP;
END
$$;
DROP FUNCTION luna_counts_all_different;
-- Readings that were inserted in this transaction are added to the checkpoints behind them.
CREATE OR REPLACE FUNCTION luna_counts_fold_late(account bigint, dpus integer[], ats timestamptz[], tags integer[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    late_dpus integer[];
    since timestamptz[];
BEGIN
    -- The last checkpoint of each DPU tells whether anything is late: seldom.
    SELECT array_agg(f.dpu ORDER BY f.dpu), array_agg(f.at ORDER BY f.dpu) INTO late_dpus, since
    FROM (SELECT u.dpu, min(u.at) AS at FROM unnest(dpus, ats) u(dpu, at) GROUP BY u.dpu) f
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
        WHERE u.dpu = ANY (late_dpus)
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
DROP TABLE counts_pulse_floor;
DROP TABLE counts_pulse;
