#include "unit/db/db_rows.h"

extern const struct db_col t_identity_row[], t_item_row[], t_types_row[], t_arrays_row[];

const struct db_col t_identity_row[] = {
    DB_COL(struct t_identity, account, DB_TEXT),
    DB_COL(struct t_identity, role, DB_TEXT),
    DB_END,
};

const struct db_col t_item_row[] = {
    DB_COL(struct t_item, id, DB_INT8),
    DB_COL(struct t_item, label, DB_TEXT),
    DB_COL_OPT(struct t_item, weight, DB_FLOAT8, has_weight),
    DB_END,
};

const struct db_col t_types_row[] = {
    DB_COL_OPT(struct t_types, b, DB_BOOL, has_b),
    DB_COL_OPT(struct t_types, i2, DB_INT2, has_i2),
    DB_COL_OPT(struct t_types, i4, DB_INT4, has_i4),
    DB_COL_OPT(struct t_types, i8, DB_INT8, has_i8),
    DB_COL_OPT(struct t_types, f4, DB_FLOAT4, has_f4),
    DB_COL_OPT(struct t_types, f8, DB_FLOAT8, has_f8),
    DB_COL_NULLABLE(struct t_types, t, DB_TEXT),
    DB_COL_NULLABLE(struct t_types, bytes, DB_BYTEA),
    DB_COL_OPT(struct t_types, u, DB_UUID, has_u),
    DB_COL_OPT(struct t_types, ts, DB_TIMESTAMPTZ, has_ts),
    DB_COL_OPT(struct t_types, d, DB_DATE, has_d),
    DB_COL_NULLABLE(struct t_types, j, DB_JSONB),
    DB_END,
};

const struct db_col t_arrays_row[] = {
    DB_COL(struct t_arrays, b, DB_BOOL_ARRAY),
    DB_COL(struct t_arrays, i2, DB_INT2_ARRAY),
    DB_COL(struct t_arrays, i4, DB_INT4_ARRAY),
    DB_COL(struct t_arrays, i8, DB_INT8_ARRAY),
    DB_COL(struct t_arrays, f4, DB_FLOAT4_ARRAY),
    DB_COL(struct t_arrays, f8, DB_FLOAT8_ARRAY),
    DB_COL(struct t_arrays, t, DB_TEXT_ARRAY),
    DB_COL(struct t_arrays, bytes, DB_BYTEA_ARRAY),
    DB_COL(struct t_arrays, u, DB_UUID_ARRAY),
    DB_COL(struct t_arrays, ts, DB_TIMESTAMPTZ_ARRAY),
    DB_COL(struct t_arrays, d, DB_DATE_ARRAY),
    DB_COL(struct t_arrays, j, DB_JSONB_ARRAY),
    DB_END,
};
