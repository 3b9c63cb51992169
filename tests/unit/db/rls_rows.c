#include "unit/db/rls_rows.h"

extern const struct db_col r_account_row[], r_key_row[], r_found_row[];

const struct db_col r_account_row[] = {
    DB_COL(struct r_account, account_id, DB_INT8),
    DB_COL(struct r_account, account_name, DB_TEXT),
    DB_END,
};

const struct db_col r_key_row[] = {
    DB_COL(struct r_key, account_id, DB_INT8),
    DB_COL(struct r_key, key_id, DB_INT8),
    DB_COL(struct r_key, role, DB_TEXT),
    DB_COL(struct r_key, scopes, DB_TEXT_ARRAY),
    DB_COL_OPT(struct r_key, expires_at, DB_TIMESTAMPTZ, expires),
    DB_COL_OPT(struct r_key, revoked_at, DB_TIMESTAMPTZ, revoked),
    DB_END,
};

const struct db_col r_found_row[] = {
    DB_COL_NULLABLE(struct r_found, account_id, DB_INT8),
    DB_END,
};
