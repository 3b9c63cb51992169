#include "kalman/kalman_store.h"

#include "kalman/kalman.sql.h"

const struct db_col kalman_filter_row[] = {
    DB_COL(struct kalman_filter, account_id, DB_INT8),
    DB_COL(struct kalman_filter, filter_key, DB_INT8),
    DB_COL(struct kalman_filter, filter_id, DB_TEXT),
    DB_COL(struct kalman_filter, generation, DB_INT8),
    DB_COL(struct kalman_filter, model, DB_BYTEA),
    DB_COL(struct kalman_filter, created_at, DB_TIMESTAMPTZ),
    DB_COL(struct kalman_filter, reset_at, DB_TIMESTAMPTZ),
    DB_COL(struct kalman_filter, position, DB_INT8),
    DB_COL(struct kalman_filter, max_sequence, DB_INT8),
    DB_END,
};

struct appended {
    int64_t position;
};

const struct db_col kalman_appended_row[] = {
    DB_COL(struct appended, position, DB_INT8),
    DB_END,
};

const struct db_col kalman_checkpoint_row[] = {
    DB_COL(struct kalman_checkpoint, time, DB_FLOAT8),
    DB_COL(struct kalman_checkpoint, sequence, DB_INT8),
    DB_COL(struct kalman_checkpoint, state, DB_BYTEA),
    DB_END,
};

const struct db_col kalman_log_row[] = {
    DB_COL(struct kalman_log, times, DB_FLOAT8_ARRAY),
    DB_COL(struct kalman_log, sequences, DB_INT8_ARRAY),
    DB_COL(struct kalman_log, numbers, DB_BYTEA),
    DB_END,
};

const struct db_col kalman_observation_row[] = {
    DB_COL(struct kalman_observation, sequence, DB_INT8),
    DB_COL(struct kalman_observation, time, DB_FLOAT8),
    DB_COL(struct kalman_observation, numbers, DB_BYTEA),
    DB_END,
};

static struct db_arg
bytes(struct str s)
{
    return db_bytea(s.p ? s.p : "", s.n);
}

enum status
kalman_store_insert_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                           struct str model, struct kalman_filter *ret)
{
    return db_one(ctx, &sql_kalman_insert_filter,
                  DB_ARGS(db_int8(account_id), db_text(filter_id), bytes(model)),
                  REASON_INTERNAL_ERROR, ret);
}

static enum status
not_found(struct ctx *ctx, const char *filter_id)
{
    return fail(ctx, FILTER_NOT_FOUND, "there is no filter %s", filter_id);
}

enum status
kalman_store_get_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                        struct kalman_filter *ret)
{
    bool found = false;
    enum status st = db_maybe(ctx, &sql_kalman_get_filter,
                              DB_ARGS(db_int8(account_id), db_text(filter_id)), ret, &found);
    return st == OK && !found ? not_found(ctx, filter_id) : st;
}

enum status
kalman_store_lock_filter(struct ctx *ctx, int64_t account_id, const char *filter_id)
{
    bool found = false;
    struct db_int8_value key;
    enum status st = db_maybe(ctx, &sql_kalman_lock_filter,
                              DB_ARGS(db_int8(account_id), db_text(filter_id)), &key, &found);
    return st == OK && !found ? not_found(ctx, filter_id) : st;
}

enum status
kalman_store_reset_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                          struct kalman_filter *ret)
{
    bool found = false;
    enum status st = db_maybe(ctx, &sql_kalman_reset_filter,
                              DB_ARGS(db_int8(account_id), db_text(filter_id)), ret, &found);
    return st == OK && !found ? not_found(ctx, filter_id) : st;
}

enum status
kalman_store_delete_filter(struct ctx *ctx, int64_t account_id, const char *filter_id)
{
    int64_t n = 0;
    enum status st = db_exec(ctx, &sql_kalman_delete_filter,
                             DB_ARGS(db_int8(account_id), db_text(filter_id)), &n);
    return st == OK && n == 0 ? not_found(ctx, filter_id) : st;
}

enum status
kalman_store_list_filters(struct ctx *ctx, int64_t account_id, int64_t after, int32_t limit,
                          struct kalman_filter **ret, size_t *ret_n)
{
    return db_many(ctx, &sql_kalman_list_filters,
                   DB_ARGS(db_int8(account_id), db_int8(after), db_int4(limit)), ret, ret_n);
}

struct db_gather *
kalman_store_gather_new(struct reactor *r)
{
    const struct db_gather_options opt = {.stmt = &sql_kalman_append};
    return db_gather_new(r, &opt);
}

enum status
kalman_store_append(struct ctx *ctx, struct db_gather *g, const struct kalman_log_key *key,
                    int64_t position, const struct kalman_observation *o, bool *ret_stored)
{
    struct appended row;
    return db_gather_row(ctx, g,
                         DB_ARGS(db_int8(key->account_id), db_int8(key->filter_key),
                                 db_int8(key->generation), db_int8(position), db_int8(o->sequence),
                                 db_float8(o->time), bytes(o->numbers)),
                         &row, ret_stored);
}

enum status
kalman_store_append_many(struct ctx *ctx, const struct kalman_append *a, bool *ret_stored)
{
    const struct kalman_log_key *k = &a->key;
    struct db_arg account = db_int8(k->account_id), key = db_int8(k->filter_key);
    struct db_arg generation = db_int8(k->generation);
    size_t stored = 0, n = 0;
    struct db_item items[3];
    struct db_args insert = DB_ARGS(
        account, key, generation, db_int8(a->position), db_int8_array(a->sequences, a->count),
        db_float8_array(a->times, a->count), db_bytea_array(a->numbers, a->count));
    struct db_args drop =
        DB_ARGS(account, key, generation, db_float8(a->late_time), db_int8(a->late_sequence));
    struct db_args add = DB_ARGS(account, key, generation, db_int8(a->position + (int64_t)a->count),
                                 db_int8(a->sequences[a->count - 1]), db_int4(a->format),
                                 db_float8_array(a->checkpoint_times, a->checkpoint_count),
                                 db_int8_array(a->checkpoint_sequences, a->checkpoint_count),
                                 db_bytea_array(a->checkpoint_states, a->checkpoint_count));
    items[n++] = DB_ITEM_EXEC(&sql_kalman_append_many, insert, &stored);
    if (a->late)
        items[n++] = DB_ITEM_EXEC(&sql_kalman_drop_checkpoints, drop, NULL);
    if (a->checkpoint_count > 0)
        items[n++] = DB_ITEM_EXEC(&sql_kalman_add_checkpoints, add, NULL);
    enum status st = db_batch(ctx, items, n);
    if (st == OK)
        *ret_stored = stored == a->count;
    return st;
}

enum status
kalman_store_find_checkpoint(struct ctx *ctx, const struct kalman_log_key *key, int64_t position,
                             int32_t format, double time, int64_t sequence,
                             struct kalman_checkpoint *ret, bool *ret_found)
{
    return db_maybe(ctx, &sql_kalman_find_checkpoint,
                    DB_ARGS(db_int8(key->account_id), db_int8(key->filter_key),
                            db_int8(key->generation), db_int8(position), db_int4(format),
                            db_float8(time), db_int8(sequence)),
                    ret, ret_found);
}

enum status
kalman_store_read_log(struct ctx *ctx, const struct kalman_log_key *key, int64_t position,
                      double time, int64_t sequence, int32_t limit, struct kalman_log *ret)
{
    return db_one(ctx, &sql_kalman_read_log,
                  DB_ARGS(db_int8(key->account_id), db_int8(key->filter_key),
                          db_int8(key->generation), db_int8(position), db_float8(time),
                          db_int8(sequence), db_int4(limit)),
                  REASON_INTERNAL_ERROR, ret);
}

enum status
kalman_store_find_sequences(struct ctx *ctx, const struct kalman_log_key *key,
                            const int64_t *sequences, size_t n, struct kalman_observation **ret,
                            size_t *ret_n)
{
    return db_many(ctx, &sql_kalman_find_sequences,
                   DB_ARGS(db_int8(key->account_id), db_int8(key->filter_key),
                           db_int8(key->generation), db_int8_array(sequences, n)),
                   ret, ret_n);
}
