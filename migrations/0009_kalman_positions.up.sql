-- How many observations a filter holds, and the largest of their sequence numbers, in the filter's own row:
-- whoever appends moves them on from the values that he has computed from. The row's lock decides between two
-- servers, and an observation needs no index of its position.
--
-- Locks: kalman_filter and kalman_observation, for as long as reading all observations twice takes.

ALTER TABLE kalman_filter
    ADD COLUMN position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    ADD COLUMN max_sequence bigint NOT NULL DEFAULT 0 CHECK (max_sequence >= 0);
UPDATE kalman_filter f
SET position = o.position, max_sequence = o.max_sequence
FROM (
    SELECT account_id, filter_key, generation, max(position) AS position, max(sequence) AS max_sequence
    FROM kalman_observation
    GROUP BY account_id, filter_key, generation
) o
WHERE o.account_id = f.account_id AND o.filter_key = f.filter_key AND o.generation = f.generation;
-- Room for the next version of a row beside it: no index changes with these columns.
ALTER TABLE kalman_filter SET (fillfactor = 50);

ALTER TABLE kalman_observation
    DROP CONSTRAINT kalman_observation_account_id_filter_key_generation_sequenc_key,
    DROP CONSTRAINT kalman_observation_pkey,
    ADD PRIMARY KEY (account_id, filter_key, generation, sequence);

-- Appends to several filters, of any accounts, each all or nothing; the numbers (from 1) of those that took
-- place come back. Not those whose filter is gone, or of another generation, or does not hold as many
-- observations as the append was computed from. The filters must stand in order of (account, key), so that two
-- servers lock them in one order. `p_owners` says which append an observation is of, and so for the others. A
-- late append has a time and a sequence number: the checkpoints behind those go.
CREATE FUNCTION luna_kalman_append(
    p_accounts bigint[], p_keys bigint[], p_generations bigint[], p_positions bigint[], p_counts bigint[],
    p_max_sequences bigint[],
    p_owners bigint[], p_at bigint[], p_sequences bigint[], p_times float8[], p_numbers bytea[],
    p_late_owners bigint[], p_late_times float8[], p_late_sequences bigint[],
    p_checkpoint_owners bigint[], p_checkpoint_times float8[], p_checkpoint_sequences bigint[],
    p_checkpoint_states bytea[], p_format integer
) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored bigint[];
    complete boolean;
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT *
        FROM unnest(p_accounts, p_keys, p_generations, p_positions, p_counts, p_max_sequences)
            WITH ORDINALITY a (account_id, filter_key, generation, position, n, max_sequence, ord)
    ), locked AS MATERIALIZED (
        SELECT a.*
        FROM asked a, LATERAL (
            SELECT
            FROM public.kalman_filter f
            WHERE f.account_id = a.account_id AND f.filter_key = a.filter_key
                AND f.generation = a.generation AND f.position = a.position
            FOR NO KEY UPDATE
        ) f
    ), moved AS (
        UPDATE public.kalman_filter f
        SET position = l.position + l.n, max_sequence = l.max_sequence
        FROM locked l
        WHERE f.account_id = l.account_id AND f.filter_key = l.filter_key
        RETURNING l.ord
    )
    SELECT coalesce(array_agg(m.ord), '{}') INTO stored FROM moved m;
    complete := cardinality(stored) = cardinality(p_keys);

    INSERT INTO public.kalman_observation (account_id, filter_key, generation, position, sequence, time, numbers)
    SELECT p_accounts[o.owner], p_keys[o.owner], p_generations[o.owner], o.at, o.sequence, o.time, o.numbers
    FROM unnest(p_owners, p_at, p_sequences, p_times, p_numbers) o (owner, at, sequence, time, numbers)
    WHERE complete OR o.owner = ANY (stored);

    IF p_late_owners <> '{}' THEN
        DELETE FROM public.kalman_checkpoint c
        USING unnest(p_late_owners, p_late_times, p_late_sequences) l (owner, time, sequence)
        WHERE l.owner = ANY (stored) AND c.account_id = p_accounts[l.owner] AND c.filter_key = p_keys[l.owner]
            AND c.generation = p_generations[l.owner] AND (c.time, c.sequence) > (l.time, l.sequence);
    END IF;
    IF p_checkpoint_owners <> '{}' THEN
        INSERT INTO public.kalman_checkpoint
            (account_id, filter_key, generation, version, format, time, sequence, state)
        SELECT p_accounts[c.owner], p_keys[c.owner], p_generations[c.owner],
            p_positions[c.owner] + p_counts[c.owner], p_format, c.time, c.sequence, c.state
        FROM unnest(p_checkpoint_owners, p_checkpoint_times, p_checkpoint_sequences, p_checkpoint_states)
            c (owner, time, sequence, state)
        WHERE c.owner = ANY (stored)
        ON CONFLICT (account_id, filter_key, generation, time, sequence)
        DO UPDATE SET version = EXCLUDED.version, format = EXCLUDED.format, state = EXCLUDED.state;
    END IF;
    RETURN stored;
END
$$;
REVOKE ALL ON FUNCTION luna_kalman_append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_kalman_append TO luna_app;
