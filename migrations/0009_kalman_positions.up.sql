-- How many observations a filter holds, and the largest of their sequence numbers, in the filter's own row:
-- whoever appends moves them on from the values that he has computed from. The row's lock decides between two
-- servers, and an observation needs no index of its position.
--
-- Locks: kalman_filter and kalman_observation, for as long as reading all observations twice takes.

ALTER TABLE kalman_filter
    ADD COLUMN position bigint NOT NULL DEFAULT 0,
    ADD COLUMN max_sequence bigint NOT NULL DEFAULT 0;
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

-- No foreign key to kalman_filter: it would cost as much as the insertion. luna_kalman_append holds the filter's
-- row, and what a deleted filter leaves goes with it.
ALTER TABLE kalman_observation DROP CONSTRAINT kalman_observation_account_id_filter_key_fkey;
CREATE FUNCTION luna_kalman_filter_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM public.kalman_observation WHERE account_id = OLD.account_id AND filter_key = OLD.filter_key;
    RETURN NULL;
END
$$;
CREATE TRIGGER kalman_filter_gone AFTER DELETE ON kalman_filter
    FOR EACH ROW EXECUTE FUNCTION luna_kalman_filter_gone();

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
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    stored bigint[] := '{}';
    complete boolean;
BEGIN
    FOR i IN 1 .. cardinality(p_keys) LOOP
        UPDATE public.kalman_filter f
        SET position = f.position + p_counts[i], max_sequence = p_max_sequences[i]
        WHERE f.account_id = p_accounts[i] AND f.filter_key = p_keys[i]
            AND f.generation = p_generations[i] AND f.position = p_positions[i];
        IF FOUND THEN
            stored := stored || i;
        END IF;
    END LOOP;
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
REVOKE ALL ON FUNCTION luna_kalman_append, luna_kalman_filter_gone FROM PUBLIC;
GRANT EXECUTE ON FUNCTION luna_kalman_append TO luna_app;
