DROP TABLE limit_rule;
DROP FUNCTION luna_limit_rule_changed;
DROP TRIGGER api_key_events ON api_key;
CREATE OR REPLACE FUNCTION luna_api_key_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    what text := 'key_created';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        what := CASE WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN 'key_revoked'
                     WHEN OLD.key_hash <> NEW.key_hash THEN 'key_rotated' END;
    END IF;
    IF what IS NOT NULL THEN
        PERFORM public.luna_quota_event(NEW.account_id, what, jsonb_build_object(
            'key_id', NEW.key_id, 'prefix', NEW.key_prefix, 'role', NEW.role));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER api_key_events AFTER INSERT OR UPDATE OF key_hash, revoked_at ON api_key
    FOR EACH ROW EXECUTE FUNCTION luna_api_key_events();


ALTER TABLE api_key DROP COLUMN updated_at;
DROP TABLE idempotent_call;
