ALTER TABLE api_key DROP COLUMN updated_at;
DROP TABLE idempotent_call;
