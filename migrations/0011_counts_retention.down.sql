CREATE OR REPLACE FUNCTION luna_counts_rebuild(after_account bigint, after_dpu integer, every integer)
RETURNS TABLE (account_id bigint, dpu_id integer, made bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    d record;
BEGIN
    LOCK TABLE counts_reading IN SHARE MODE;
    FOR d IN
        SELECT p.account_id, p.dpu_id FROM counts_dpu p
        WHERE (p.account_id, p.dpu_id) > (after_account, after_dpu)
        ORDER BY p.account_id, p.dpu_id
        LIMIT 100
    LOOP
        DELETE FROM counts_checkpoint k WHERE k.account_id = d.account_id AND k.dpu_id = d.dpu_id;
        INSERT INTO counts_checkpoint (account_id, dpu_id, filled, upto, n, net)
        SELECT DISTINCT d.account_id, d.dpu_id, true, s.at, s.n, s.net
        FROM (
            SELECT r.at, row_number() OVER (ORDER BY r.at, r.tag) AS nth, count(*) OVER upto AS n,
                sum(CASE WHEN r.tag > 0 THEN 1 ELSE -1 END) OVER upto AS net
            FROM counts_reading r
            WHERE r.account_id = d.account_id AND r.dpu_id = d.dpu_id
            WINDOW upto AS (ORDER BY r.at) -- with all readings of the same instant
        ) s
        WHERE s.nth % every = 0;
        GET DIAGNOSTICS made = ROW_COUNT;
        account_id := d.account_id;
        dpu_id := d.dpu_id;
        RETURN NEXT;
    END LOOP;
END
$$;
DROP FUNCTION luna_counts_take(bigint, smallint[], integer[], timestamptz[], smallint[], text[]);
DROP FUNCTION luna_counts_roll_off_plan(bigint, integer, timestamptz);
DROP FUNCTION luna_counts_roll_off(bigint, integer, integer);
DROP FUNCTION luna_counts_lasting(bigint, integer, integer, timestamptz, timestamptz);
DROP FUNCTION luna_counts_move_horizon(bigint);
DROP FUNCTION luna_counts_due(bigint);
DROP FUNCTION luna_counts_retained(bigint);
DROP FUNCTION luna_counts_horizon_key(bigint);
ALTER TABLE counts_dpu DROP COLUMN rolled_until, DROP COLUMN rolled_seen_at, DROP COLUMN rolled_received_at;
DROP TABLE counts_retention;
