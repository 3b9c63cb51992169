-- The role luna_app stays: other databases of the cluster may use it.
DROP FUNCTION luna_touch_keys, luna_find_account, luna_find_key;
DROP TABLE api_key, account;
REVOKE USAGE ON SCHEMA public FROM luna_app;
