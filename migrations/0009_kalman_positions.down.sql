DROP FUNCTION luna_kalman_append;
ALTER TABLE kalman_observation
    DROP CONSTRAINT kalman_observation_pkey,
    ADD PRIMARY KEY (account_id, filter_key, generation, position),
    ADD UNIQUE (account_id, filter_key, generation, sequence);
ALTER TABLE kalman_filter RESET (fillfactor), DROP COLUMN position, DROP COLUMN max_sequence;
