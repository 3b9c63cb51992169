-- Durable filters: the model, the log of observations, and checkpoints of the filter's state.
--
-- An observation's position is its place in the order of arrival within its filter's generation (a
-- reset begins a new one). Positions have no gaps, so the largest one says how many observations
-- there are, and inserting position n + 1 is the proof that nobody else has appended since n: the
-- primary key decides between two servers.
--
-- A checkpoint holds the state after all observations up to (time, sequence) among those of
-- positions up to `version`. Whoever appends an earlier observation deletes it in the same
-- transaction, so every checkpoint that can be seen is true of the log.
--
-- Locks: new tables only.

CREATE TABLE kalman_filter (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    filter_key bigint GENERATED ALWAYS AS IDENTITY,
    filter_id text NOT NULL CHECK (filter_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    generation bigint NOT NULL DEFAULT 1,
    model bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    reset_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, filter_key),
    UNIQUE (account_id, filter_id)
);
COMMENT ON COLUMN kalman_filter.model IS 'a serialized luna.v1.Model';

CREATE TABLE kalman_observation (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    position bigint NOT NULL CHECK (position > 0),
    sequence bigint NOT NULL CHECK (sequence > 0),
    time float8 NOT NULL,
    numbers bytea NOT NULL CHECK (octet_length(numbers) % 8 = 0),
    appended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, filter_key, generation, position),
    UNIQUE (account_id, filter_key, generation, sequence),
    FOREIGN KEY (account_id, filter_key) REFERENCES kalman_filter ON DELETE CASCADE
);
COMMENT ON COLUMN kalman_observation.numbers IS 'IEEE doubles, little-endian, one for each series';

CREATE INDEX kalman_observation_in_time
    ON kalman_observation (account_id, filter_key, generation, time, sequence);

CREATE TABLE kalman_checkpoint (
    account_id bigint NOT NULL,
    filter_key bigint NOT NULL,
    generation bigint NOT NULL,
    time float8 NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    format integer NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (account_id, filter_key, generation, time, sequence),
    FOREIGN KEY (account_id, filter_key) REFERENCES kalman_filter ON DELETE CASCADE
);
COMMENT ON COLUMN kalman_checkpoint.format IS 'what wrote the state; another one is not read';

ALTER TABLE kalman_filter ENABLE ROW LEVEL SECURITY;
ALTER TABLE kalman_filter FORCE ROW LEVEL SECURITY;
ALTER TABLE kalman_observation ENABLE ROW LEVEL SECURITY;
ALTER TABLE kalman_observation FORCE ROW LEVEL SECURITY;
ALTER TABLE kalman_checkpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE kalman_checkpoint FORCE ROW LEVEL SECURITY;

-- FORCE holds for the owner too, whose foreign keys cascade.
CREATE POLICY kalman_filter_owner ON kalman_filter TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY kalman_filter_own ON kalman_filter TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
CREATE POLICY kalman_filter_admin ON kalman_filter TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin');

CREATE POLICY kalman_observation_owner ON kalman_observation TO CURRENT_USER
    USING (true) WITH CHECK (true);
CREATE POLICY kalman_observation_own ON kalman_observation TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
CREATE POLICY kalman_observation_admin ON kalman_observation TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin');

CREATE POLICY kalman_checkpoint_owner ON kalman_checkpoint TO CURRENT_USER
    USING (true) WITH CHECK (true);
CREATE POLICY kalman_checkpoint_own ON kalman_checkpoint TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));
CREATE POLICY kalman_checkpoint_admin ON kalman_checkpoint TO luna_app
    USING ((SELECT current_setting('luna.role', true)) = 'admin');

GRANT SELECT, INSERT, UPDATE, DELETE ON kalman_filter, kalman_observation, kalman_checkpoint
    TO luna_app;
