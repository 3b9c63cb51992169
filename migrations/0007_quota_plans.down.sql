DROP TRIGGER account_events ON account;
DROP TRIGGER api_key_events ON api_key;
DROP FUNCTION luna_account_events, luna_api_key_events, luna_quota_event;
DROP TABLE quota_event;
DROP FUNCTION luna_period_end, luna_period_start, luna_quota_event_kept;
ALTER TABLE account DROP COLUMN plan_id, DROP COLUMN quota_period, DROP COLUMN period_start;
DROP TABLE plan;
DROP FUNCTION luna_plan_changed;
