-- Idempotency keys of changes, and what their calls were answered; when an API key was last changed.
--
-- A row without an answer is a claim: its call runs, or its server died. Neither the key nor the answer can be read
-- here: the key is a keyed hash, and the answer is encrypted with what only the caller's key gives.
--
-- Locks: a new table; api_key gets a column with a default that is evaluated once, nothing is rewritten.

CREATE TABLE idempotent_call (
    account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
);
COMMENT ON COLUMN idempotent_call.answer IS 'sealed (server/edge/seal.h); NULL: not answered yet';

CREATE INDEX idempotent_call_expires ON idempotent_call (account_id, expires_at);

ALTER TABLE idempotent_call ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotent_call FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotent_call_owner ON idempotent_call TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY idempotent_call_own ON idempotent_call TO luna_app
    USING (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint))
    WITH CHECK (account_id = (SELECT nullif(current_setting('luna.account', true), '')::bigint));

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_call TO luna_app;

ALTER TABLE api_key ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
