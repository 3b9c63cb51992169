#include "edge/gate_store.h"

#include "edge/gate.sql.h"

const struct db_col gate_limits_row[] = {
    DB_COL_NULLABLE(struct gate_limits, account_capacity, DB_INT8),
    DB_COL_NULLABLE(struct gate_limits, account_unit_us, DB_INT8),
    DB_COL_NULLABLE(struct gate_limits, key_capacity, DB_INT8),
    DB_COL_NULLABLE(struct gate_limits, key_unit_us, DB_INT8),
    DB_COL_NULLABLE(struct gate_limits, concurrent_calls, DB_INT8),
    DB_COL_NULLABLE(struct gate_limits, report_only, DB_BOOL),
    DB_END,
};

struct gate_opened_row {
    const char *state;
    int64_t epoch;
    int64_t version;
    int64_t quota_limit;
    int64_t base;
    int64_t granted;
    int64_t grant_no;
    usec_t period_end;
};

const struct db_col gate_opened_row[] = {
    DB_COL_NULLABLE(struct gate_opened_row, state, DB_TEXT),
    DB_COL_NULLABLE(struct gate_opened_row, epoch, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, version, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, quota_limit, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, base, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, granted, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, grant_no, DB_INT8),
    DB_COL_NULLABLE(struct gate_opened_row, period_end, DB_TIMESTAMPTZ),
    DB_END,
};

struct gate_settled_row {
    const char *state;
    int64_t version;
    int64_t quota_limit;
    int64_t base;
    int64_t granted;
    int64_t grant_no;
    int64_t settled;
    int64_t added;
};

const struct db_col gate_settled_row[] = {
    DB_COL_NULLABLE(struct gate_settled_row, state, DB_TEXT),
    DB_COL_NULLABLE(struct gate_settled_row, version, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, quota_limit, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, base, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, granted, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, grant_no, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, settled, DB_INT8),
    DB_COL_NULLABLE(struct gate_settled_row, added, DB_INT8),
    DB_END,
};

const struct db_col gate_task_row[] = {
    DB_COL_NULLABLE(struct gate_task, kind, DB_TEXT),
    DB_COL_NULLABLE(struct gate_task, account_id, DB_INT8),
    DB_COL_NULLABLE(struct gate_task, epoch, DB_INT8),
    DB_END,
};

enum status
gate_store_limits(struct ctx *ctx, int64_t account_id, struct gate_limits *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_gate_limits, DB_ARGS(db_int8(account_id)), ret, ret_found);
}

enum status
gate_store_open(struct ctx *ctx, int64_t account_id, int64_t seen, int64_t chunk,
                struct gate_epoch *ret, enum gate_opened *ret_what)
{
    struct gate_opened_row row;
    enum status st =
        db_one(ctx, &sql_gate_open, DB_ARGS(db_int8(account_id), db_int8(seen), db_int8(chunk)),
               REASON_INTERNAL_ERROR, &row);
    if (st != OK)
        return st;
    *ret_what = GATE_OPENED;
    if (strcmp(row.state, "opened") != 0)
        *ret_what = strcmp(row.state, "wait") == 0 ? GATE_OPEN_WAIT : GATE_OPEN_NO_ACCOUNT;
    *ret = (struct gate_epoch){
        .account_id = account_id,
        .epoch = row.epoch,
        .version = row.version,
        .quota_limit = row.quota_limit,
        .base = row.base,
        .granted = row.granted,
        .grant_no = row.grant_no,
        .period_end = row.period_end < GATE_NO_END ? row.period_end : GATE_NO_END,
    };
    return OK;
}

enum status
gate_store_settle(struct ctx *ctx, int64_t account_id, const struct gate_flush *f, int64_t chunk,
                  struct gate_epoch *ret, bool *ret_open, int64_t *ret_added)
{
    struct gate_settled_row row;
    enum status st = db_one(ctx, &sql_gate_settle,
                            DB_ARGS(db_int8(account_id), db_int8(f->epoch), db_int8(f->flush),
                                    db_array_of(DB_TEXT_ARRAY, f->fields, NULL, f->count),
                                    db_int8_array(f->units, f->count), db_int8(chunk)),
                            REASON_INTERNAL_ERROR, &row);
    if (st != OK)
        return st;
    *ret_open = strcmp(row.state, "settled") == 0;
    *ret_added = row.added;
    *ret = (struct gate_epoch){
        .account_id = account_id,
        .epoch = f->epoch,
        .version = row.version,
        .quota_limit = row.quota_limit,
        .base = row.base,
        .granted = row.granted,
        .grant_no = row.grant_no,
    };
    return OK;
}

/* A statement whose answer is one number that nobody needs. */
static enum status
run(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args)
{
    struct db_int8_value row;
    return db_one(ctx, stmt, args, REASON_INTERNAL_ERROR, &row);
}

enum status
gate_store_retire(struct ctx *ctx, int64_t account_id, int64_t epoch, int64_t grant_no,
                  int64_t spent)
{
    return run(ctx, &sql_gate_retire,
               DB_ARGS(db_int8(account_id), db_int8(epoch), db_int8(grant_no), db_int8(spent)));
}

enum status
gate_store_report(struct ctx *ctx, int64_t actor_id, const struct gate_report *r, double dead_s)
{
    return run(ctx, &sql_gate_report,
               DB_ARGS(db_int8(actor_id), db_int8(r->account_id), db_int8(r->epoch),
                       db_int8_array(r->flushes, r->count),
                       db_array_of(DB_TEXT_ARRAY, r->fields, NULL, r->count),
                       db_int8_array(r->units, r->count), db_float8(dead_s)));
}

enum status
gate_store_alive(struct ctx *ctx, int64_t account_id, int64_t epoch)
{
    return run(ctx, &sql_gate_alive, DB_ARGS(db_int8(account_id), db_int8(epoch)));
}

enum status
gate_store_beat(struct ctx *ctx, int64_t actor_id, double quiet_s, double dead_s,
                struct gate_task **ret, size_t *ret_n)
{
    return db_many(ctx, &sql_gate_beat,
                   DB_ARGS(db_int8(actor_id), db_float8(quiet_s), db_float8(dead_s)), ret, ret_n);
}

enum status
gate_store_leave(struct ctx *ctx, int64_t actor_id)
{
    return run(ctx, &sql_gate_leave, DB_ARGS(db_int8(actor_id)));
}

enum status
gate_store_event(struct ctx *ctx, int64_t account_id, const char *kind, const char *json)
{
    return run(ctx, &sql_gate_event, DB_ARGS(db_int8(account_id), db_text(kind), db_jsonb(json)));
}
