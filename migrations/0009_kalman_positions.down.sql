DROP FUNCTION luna_kalman_append;
DROP TRIGGER kalman_filter_gone ON kalman_filter;
DROP FUNCTION luna_kalman_filter_gone;
ALTER TABLE kalman_observation
    DROP CONSTRAINT kalman_observation_pkey,
    ADD PRIMARY KEY (account_id, filter_key, generation, position),
    ADD UNIQUE (account_id, filter_key, generation, sequence),
    ADD FOREIGN KEY (account_id, filter_key) REFERENCES kalman_filter ON DELETE CASCADE;
ALTER TABLE kalman_filter RESET (fillfactor), DROP COLUMN position, DROP COLUMN max_sequence;
