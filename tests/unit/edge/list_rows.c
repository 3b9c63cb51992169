#include "unit/edge/list_rows.h"

extern const struct db_col t_thing_row[];

const struct db_col t_thing_row[] = {
    DB_COL(struct t_thing, id, DB_INT8),
    DB_COL_OPT(struct t_thing, n, DB_INT4, has_n),
    DB_COL(struct t_thing, x, DB_FLOAT8),
    DB_COL(struct t_thing, label, DB_TEXT),
    DB_COL_NULLABLE(struct t_thing, nick, DB_TEXT),
    DB_COL(struct t_thing, flag, DB_BOOL),
    DB_COL_OPT(struct t_thing, seen_at, DB_TIMESTAMPTZ, has_seen_at),
    DB_COL(struct t_thing, day, DB_DATE),
    DB_COL(struct t_thing, u, DB_UUID),
    DB_COL(struct t_thing, tags, DB_TEXT_ARRAY),
    DB_COL(struct t_thing, state, DB_TEXT),
    DB_COL_OPT(struct t_thing, took_ms, DB_INT8, has_took_ms),
    DB_END,
};
