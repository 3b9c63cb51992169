-- The floor plan of client/samples/dpu_data.csv for the account :account, once:
-- outside --(283)--> A, and an inner door between A and B whose sensor 423 counts +1 into A.
SELECT a.account_id, NOT EXISTS (
    SELECT FROM counts_dpu d WHERE d.account_id = a.account_id AND d.dpu_id IN (283, 423)) AS fresh
FROM account a
WHERE a.account_name = :'account' \gset
\if :fresh
BEGIN;
INSERT INTO counts_space (account_id, name, capacity) VALUES (:account_id, 'A', 30)
RETURNING space_id AS a \gset
INSERT INTO counts_space (account_id, name, capacity) VALUES (:account_id, 'B', 20)
RETURNING space_id AS b \gset
INSERT INTO counts_within (account_id, outer_id, space_id)
VALUES (:account_id, :a, :a), (:account_id, :b, :b);
INSERT INTO counts_doorway (account_id, name, ingress_space_id)
VALUES (:account_id, 'front door', :a)
RETURNING doorway_id AS front \gset
INSERT INTO counts_doorway (account_id, name, ingress_space_id, egress_space_id)
VALUES (:account_id, 'inner door', :a, :b)
RETURNING doorway_id AS inner \gset
INSERT INTO counts_dpu (account_id, dpu_id, name)
VALUES (:account_id, 283, 'over the front door'), (:account_id, 423, 'over the inner door');
INSERT INTO counts_assignment (account_id, dpu_id, doorway_id)
VALUES (:account_id, 283, :front), (:account_id, 423, :inner);
COMMIT;
\endif
SELECT NOT EXISTS (
    SELECT FROM counts_reading WHERE account_id = :account_id AND dpu_id IN (283, 423)) AS empty;
