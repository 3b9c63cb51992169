-- What ./dev bench calls as: loads must not end at a limit, and those of `bench` meet all kinds of them.
UPDATE account SET quota_limit = 1000000000000 WHERE account_name IN ('demo', 'bench');

-- A million units a second and a million at once, for the account and for each key.
INSERT INTO plan (plan_name, quota_limit, quota_period, account_capacity, account_unit_us, key_capacity, key_unit_us)
VALUES ('bench', 1000000000000, 'total', 1000000, 1, 1000000, 1)
ON CONFLICT (plan_name) DO NOTHING;

UPDATE account SET plan_id = (SELECT plan_id FROM plan WHERE plan_name = 'bench')
WHERE account_name = 'bench';
