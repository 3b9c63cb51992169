#include "kalman/kalman_store.h"

#include <stdlib.h>
#include <string.h>

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

struct stored {
    struct db_array appends;
};

const struct db_col kalman_stored_row[] = {
    DB_COL(struct stored, appends, DB_INT8_ARRAY),
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
kalman_store_lock_filter(struct ctx *ctx, int64_t account_id, const char *filter_id,
                         struct kalman_filter *ret)
{
    bool found = false;
    enum status st = db_maybe(ctx, &sql_kalman_lock_filter,
                              DB_ARGS(db_int8(account_id), db_text(filter_id)), ret, &found);
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

/* ---- appending ---------------------------------------------------------------------------------
 */

/* Appends as columns; `owners` of observations and checkpoints count from 1. */
struct columns {
    size_t appends, observations, late, checkpoints;
    struct {
        int64_t *accounts, *keys, *generations, *positions, *counts, *max_sequences;
    } append;
    struct {
        int64_t *owners, *positions, *sequences;
        double *times;
        struct str *numbers;
    } observation;
    struct {
        int64_t *owners, *sequences;
        double *times;
        struct str *states; /* of checkpoints */
    } gone, checkpoint;
};

static int64_t *
ints(struct arena *a, size_t n)
{
    return arena_array(a, n, sizeof(int64_t));
}

static void
columns_init(struct columns *c, struct arena *a, struct kalman_append *const *list, size_t n)
{
    size_t observations = 0, checkpoints = 0;
    for (size_t i = 0; i < n; i++) {
        observations += list[i]->count;
        checkpoints += list[i]->checkpoint_count;
    }
    *c = (struct columns){
        .append = {ints(a, n), ints(a, n), ints(a, n), ints(a, n), ints(a, n), ints(a, n)},
        .observation = {ints(a, observations), ints(a, observations), ints(a, observations),
                        arena_array(a, observations, sizeof(double)),
                        arena_new_n(a, struct str, observations)},
        .gone = {ints(a, n), ints(a, n), arena_array(a, n, sizeof(double)), NULL},
        .checkpoint = {ints(a, checkpoints), ints(a, checkpoints),
                       arena_array(a, checkpoints, sizeof(double)),
                       arena_new_n(a, struct str, checkpoints)},
    };
}

static void
columns_add_observations(struct columns *c, const struct kalman_append *a)
{
    size_t n = c->observations, bytes = a->count * sizeof(double);
    memcpy(c->observation.sequences + n, a->sequences, bytes);
    memcpy(c->observation.times + n, a->times, bytes);
    memcpy(c->observation.numbers + n, a->numbers, a->count * sizeof(struct str));
    for (size_t i = 0; i < a->count; i++) {
        c->observation.owners[n + i] = (int64_t)c->appends;
        c->observation.positions[n + i] = a->position + 1 + (int64_t)i;
    }
    c->observations += a->count;
}

static void
columns_add(struct columns *c, const struct kalman_append *a)
{
    size_t n = c->appends++;
    c->append.accounts[n] = a->key.account_id;
    c->append.keys[n] = a->key.filter_key;
    c->append.generations[n] = a->key.generation;
    c->append.positions[n] = a->position;
    c->append.counts[n] = (int64_t)a->count;
    c->append.max_sequences[n] = a->max_sequence;
    columns_add_observations(c, a);
    if (a->late) {
        c->gone.owners[c->late] = (int64_t)c->appends;
        c->gone.times[c->late] = a->late_time;
        c->gone.sequences[c->late++] = a->late_sequence;
    }
    for (size_t i = 0; i < a->checkpoint_count; i++) {
        size_t k = c->checkpoints++;
        c->checkpoint.owners[k] = (int64_t)c->appends;
        c->checkpoint.times[k] = a->checkpoint_times[i];
        c->checkpoint.sequences[k] = a->checkpoint_sequences[i];
        c->checkpoint.states[k] = a->checkpoint_states[i];
    }
}

static int
by_key(const void *x, const void *y)
{
    const struct kalman_log_key *a = &(*(const struct kalman_append *const *)x)->key;
    const struct kalman_log_key *b = &(*(const struct kalman_append *const *)y)->key;
    if (a->account_id != b->account_id)
        return a->account_id < b->account_id ? -1 : 1;
    return a->filter_key < b->filter_key ? -1 : a->filter_key > b->filter_key;
}

enum status
kalman_store_append(struct ctx *ctx, struct kalman_append **list, size_t n)
{
    struct columns c;
    struct stored stored;
    qsort(list, n, sizeof(struct kalman_append *), by_key);
    columns_init(&c, ctx->arena, list, n);
    for (size_t i = 0; i < n; i++)
        columns_add(&c, list[i]);
    struct db_args args = DB_ARGS(
        db_int8_array(c.append.accounts, n), db_int8_array(c.append.keys, n),
        db_int8_array(c.append.generations, n), db_int8_array(c.append.positions, n),
        db_int8_array(c.append.counts, n), db_int8_array(c.append.max_sequences, n),
        db_int8_array(c.observation.owners, c.observations),
        db_int8_array(c.observation.positions, c.observations),
        db_int8_array(c.observation.sequences, c.observations),
        db_float8_array(c.observation.times, c.observations),
        db_bytea_array(c.observation.numbers, c.observations), db_int8_array(c.gone.owners, c.late),
        db_float8_array(c.gone.times, c.late), db_int8_array(c.gone.sequences, c.late),
        db_int8_array(c.checkpoint.owners, c.checkpoints),
        db_float8_array(c.checkpoint.times, c.checkpoints),
        db_int8_array(c.checkpoint.sequences, c.checkpoints),
        db_bytea_array(c.checkpoint.states, c.checkpoints), db_int4(list[0]->format));
    enum status st = db_one(ctx, &sql_kalman_append, args, REASON_INTERNAL_ERROR, &stored);
    if (st != OK)
        return st;
    for (size_t i = 0; i < n; i++)
        list[i]->stored = false;
    for (size_t i = 0; i < stored.appends.n; i++) {
        int64_t ord = stored.appends.int8s[i];
        if (ord >= 1 && ord <= (int64_t)n)
            list[ord - 1]->stored = true;
    }
    return OK;
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
