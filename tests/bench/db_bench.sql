-- The statement of `pgbench -S`, on the tables of `pgbench -i`.

-- As nobody, as pgbench does: no setting travels with it.
-- name: bench_select :one
-- params: int4
-- row: bench_balance
-- system
SELECT abalance FROM pgbench_accounts WHERE aid = $1;

-- As an account: set_config in front, as every statement of a caller has it.
-- name: bench_select_as_account :one
-- params: int4
-- row: bench_balance
SELECT abalance FROM pgbench_accounts WHERE aid = $1;
