/*
 * Gathered writes. A load is the rows that left the queue together, turned into columns; a batch is
 * a slice of a load under way. A batch that fails for its data is halved: the columns stay where
 * they are, the halves are slices again.
 */
#include <stdlib.h>

#include "db/sqlstate.h"
#include "db/verb.h"

#define DEFAULT_ROWS    1024
#define DEFAULT_WAITING 65536
#define MAX_CONFLICTS   10

struct db_gather {
    size_t refs; /* its owner's and its batches' */
    struct pool *pool;
    struct db_gather_options opt;
    struct turn_hook hook;
    struct list waiting; /* struct gather_row, first come first */
    size_t n_waiting;
    size_t running; /* batches under way */
};

/* One caller's row. The caller's until it is done, the batch's when the caller has left. */
struct gather_row {
    struct list link;    /* in waiting */
    struct fiber *fiber; /* NULL: the caller has left */
    struct identity who;
    struct db_args args;        /* borrowed, until the row is in a load */
    struct gather_batch *batch; /* set when done; a reference */
    size_t ord;                 /* in that batch, from 1 */
    bool done;
    bool loaded;
};

struct gather_load {
    size_t refs; /* batches */
    struct arena arena;
    struct identity who;
    struct gather_row **rows;
    struct db_arg *columns; /* array arguments over all rows */
};

struct gather_batch {
    size_t refs; /* its own while under way, and those of its rows' callers */
    struct db_gather *gather;
    struct gather_load *load;
    size_t first;
    size_t n;
    int conflicts;
    struct request *request;
    struct db_item item;
    struct db_arg args[VALUE_MAX_PARAMS];
};

static void on_turn_end(struct turn_hook *h);

struct db_gather *
db_gather_new(struct reactor *r, const struct db_gather_options *opt)
{
    struct db_gather *g = calloc(1, sizeof(*g));
    struct pool *p = pool_of(r);

    ASSERT(g && p && opt->stmt->id != 0);
    ASSERT(opt->stmt->kind == DB_KIND_EXEC || opt->stmt->kind == DB_KIND_MANY);
    g->refs = 1;
    g->pool = p;
    g->opt = *opt;
    g->opt.max_rows = opt->max_rows ? opt->max_rows : DEFAULT_ROWS;
    g->opt.max_waiting = opt->max_waiting ? opt->max_waiting : DEFAULT_WAITING;
    g->opt.max_batches = opt->max_batches ? opt->max_batches : 1;
    list_init(&g->waiting);
    turn_hook_init(&g->hook, on_turn_end);
    pool_ref(p);
    return g;
}

static void
gather_unref(struct db_gather *g)
{
    struct pool *p = g->pool;

    if (--g->refs > 0)
        return;
    turn_hook_cancel(&g->hook);
    free(g);
    pool_unref(p);
}

void
db_gather_free(struct db_gather *g)
{
    if (!g)
        return;
    ASSERT(list_empty(&g->waiting));
    gather_unref(g);
}

/* ---- rows into columns --------------------------------------------------------------------------
 */

/* One scalar into place `i` of a column; text is copied into the load. */
static void
put_cell(struct arena *a, struct db_array *column, enum db_type t, size_t i,
         const struct db_arg *arg)
{
    const size_t width = value_types[t].c_size;
    char *cell = (char *)column->items + i * width;

    if (arg->is_null) {
        ((bool *)column->nulls)[i] = true;
        return;
    }
    switch (t) {
    case DB_BOOL:
        *(bool *)cell = arg->b;
        break;
    case DB_INT2:
        *(int16_t *)cell = (int16_t)arg->i;
        break;
    case DB_INT4:
    case DB_DATE:
        *(int32_t *)cell = (int32_t)arg->i;
        break;
    case DB_FLOAT4:
        *(float *)cell = (float)arg->f;
        break;
    case DB_FLOAT8:
        *(double *)cell = arg->f;
        break;
    case DB_UUID:
        *(struct uuid *)cell = *arg->uuid;
        break;
    case DB_BYTEA:
        *(struct str *)cell = (struct str){arena_memdup(a, arg->s.p, arg->s.n), arg->s.n};
        break;
    case DB_TEXT:
    case DB_JSONB:
        *(char **)cell = arena_strndup(a, arg->s.p, arg->s.n);
        break;
    default:
        *(int64_t *)cell = arg->i;
        break;
    }
}

static struct gather_load *
load_new(const struct db_stmt *stmt, const struct identity *who, size_t room)
{
    struct gather_load *load = calloc(1, sizeof(*load));

    ASSERT(load);
    arena_init(&load->arena, 0);
    load->who = *who;
    load->rows = arena_new_n(&load->arena, struct gather_row *, room);
    load->columns = arena_new_n(&load->arena, struct db_arg, stmt->n_params);
    for (size_t c = 0; c < stmt->n_params; c++) {
        const enum db_type t = value_element(stmt->params[c]);
        load->columns[c] =
            db_array_of(stmt->params[c], arena_array(&load->arena, room, value_types[t].c_size),
                        arena_new_n(&load->arena, bool, room), room);
    }
    return load;
}

static void
load_unref(struct gather_load *load)
{
    if (--load->refs > 0)
        return;
    arena_fini(&load->arena);
    free(load);
}

static void
load_row(const struct db_stmt *stmt, struct gather_load *load, size_t i, struct gather_row *row)
{
    load->rows[i] = row;
    row->loaded = true;
    for (size_t c = 0; c < stmt->n_params; c++)
        put_cell(&load->arena, &load->columns[c].array, value_element(stmt->params[c]), i,
                 &row->args.v[c]);
}

/* ---- batches ------------------------------------------------------------------------------------
 */

static void on_batch_done(struct request *q);

static void
batch_unref(struct gather_batch *b)
{
    struct db_gather *g = b->gather;

    if (--b->refs > 0)
        return;
    if (b->request)
        request_free(b->request);
    load_unref(b->load);
    free(b);
    gather_unref(g);
}

/* A slice of a column. */
static struct db_arg
slice(const struct db_arg *column, size_t first, size_t n)
{
    const enum db_type t = value_element(column->type);
    const char *items = column->array.items;

    return db_array_of(column->type, items + first * value_types[t].c_size,
                       column->array.nulls + first, n);
}

static void
batch_send(struct gather_batch *b)
{
    struct pool *p = b->gather->pool;

    b->request = request_new(p, &b->load->who, &b->item, 1);
    b->request->owner = b;
    b->request->done = on_batch_done;
    pool_count(p, COUNT_GATHERED_BATCHES);
    if (p->closing)
        request_finish(b->request, FATE_SHUTDOWN);
    else if (!request_submit(b->request))
        request_finish(b->request, FATE_AWAY);
}

static void
batch_start(struct db_gather *g, struct gather_load *load, size_t first, size_t n)
{
    const struct db_stmt *stmt = g->opt.stmt;
    struct gather_batch *b = calloc(1, sizeof(*b));

    ASSERT(b);
    b->refs = 1;
    b->gather = g;
    b->load = load;
    b->first = first;
    b->n = n;
    for (size_t c = 0; c < stmt->n_params; c++)
        b->args[c] = slice(&load->columns[c], first, n);
    b->item = (struct db_item){.stmt = stmt, .args = {b->args, stmt->n_params}};
    load->refs++;
    g->refs++;
    g->running++;
    batch_send(b);
}

/* All callers of the batch learn how it went. */
static void
batch_tell(struct gather_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct gather_row *row = b->load->rows[b->first + i];
        if (!row->fiber) {
            free(row);
            continue;
        }
        row->done = true;
        row->batch = b;
        row->ord = i + 1;
        b->refs++;
        fiber_wake(row->fiber);
    }
}

/* Whether what one of the rows holds may be the cause. */
static bool
is_about_data(const struct db_stmt *stmt, const PGresult *res)
{
    switch (sqlstate_reason(stmt, sqlstate_of(res), NULL)) {
    case REASON_DB_TIMEOUT:
    case REASON_DB_UNAVAILABLE:
    case REASON_DB_CONFLICT:
    case REASON_DISK_FULL:
        return false;
    default:
        return true;
    }
}

static void
on_batch_done(struct request *q)
{
    struct gather_batch *b = q->owner;
    struct db_gather *g = b->gather;
    const PGresult *error = q->fate == FATE_FAILED ? q->results[0] : NULL;

    if (error && sqlstate_is_conflict(sqlstate_of(error)) && ++b->conflicts <= MAX_CONFLICTS) {
        request_free(q);
        batch_send(b);
        return;
    }
    if (error && b->n > 1 && is_about_data(g->opt.stmt, error)) {
        batch_start(g, b->load, b->first, b->n / 2);
        batch_start(g, b->load, b->first + b->n / 2, b->n - b->n / 2);
    } else {
        batch_tell(b);
    }
    g->running--;
    if (!list_empty(&g->waiting) && !g->pool->closing)
        reactor_at_turn_end(g->pool->reactor, &g->hook);
    batch_unref(b);
}

static bool
same_caller(const struct identity *a, const struct identity *b)
{
    return a->account_id == b->account_id && a->role == b->role;
}

/* The first row's caller's rows, as many as fit, become a batch. */
static void
start_next(struct db_gather *g)
{
    const struct gather_row *head = container_of(g->waiting.next, struct gather_row, link);
    const struct identity who = head->who;
    const size_t most = g->n_waiting < g->opt.max_rows ? g->n_waiting : g->opt.max_rows;
    struct gather_load *load = load_new(g->opt.stmt, &who, most);
    size_t n = 0;

    list_foreach_safe (it, next, &g->waiting) {
        struct gather_row *row = container_of(it, struct gather_row, link);
        if (n == most)
            break;
        if (!same_caller(&row->who, &who))
            continue;
        list_remove(&row->link);
        g->n_waiting--;
        load_row(g->opt.stmt, load, n++, row);
    }
    counter_add(&g->pool->counters[COUNT_GATHERED_ROWS], n);
    batch_start(g, load, 0, n);
}

static void
on_turn_end(struct turn_hook *h)
{
    struct db_gather *g = container_of(h, struct db_gather, hook);

    while (!list_empty(&g->waiting) && g->running < g->opt.max_batches)
        start_next(g);
}

/* ---- callers ------------------------------------------------------------------------------------
 */

static enum status
check_row(struct ctx *ctx, const struct db_stmt *stmt, struct db_args row)
{
    enum db_type types[VALUE_MAX_PARAMS];
    const char *wrong;
    enum status st;

    for (size_t i = 0; i < stmt->n_params; i++)
        types[i] = value_element(stmt->params[i]);
    wrong = ctx->tx ? "gathered inside of a transaction" : value_check(types, stmt->n_params, row);
    if (!wrong)
        return OK;
    st = fail_plain(ctx, INTERNAL_ERROR);
    fail_detail(ctx, "statement %s: %s", stmt->name, wrong);
    return st;
}

/* Leaves the row to its batch, or takes it out. */
static void
abandon(struct db_gather *g, struct gather_row *row)
{
    pool_count(g->pool, COUNT_DETACHED);
    if (row->loaded) {
        row->fiber = NULL;
        return;
    }
    list_remove(&row->link);
    g->n_waiting--;
    free(row);
}

static enum status
wait_for(struct ctx *ctx, struct db_gather *g, struct db_args args, struct gather_row **ret)
{
    struct gather_row *row = calloc(1, sizeof(*row));
    enum status st = OK;

    ASSERT(row);
    row->fiber = fiber_self();
    row->args = args;
    if (!(g->opt.stmt->flags & DB_SYSTEM))
        row->who = ctx->who;
    list_push(&g->waiting, &row->link);
    g->n_waiting++;
    reactor_at_turn_end(g->pool->reactor, &g->hook);
    while (!row->done && st == OK)
        st = fiber_park(ctx);
    if (st != OK && !row->done) {
        abandon(g, row);
        return st;
    }
    *ret = row;
    return OK;
}

/* The caller's own row among those that came back. */
static enum status
take_row(struct ctx *ctx, struct gather_row *row, void *ret_row, bool *ret_found)
{
    const struct db_stmt *stmt = row->batch->gather->opt.stmt;
    const struct row_plan *plan = &row->batch->gather->pool->plans[stmt->id];
    const PGresult *res = row->batch->request->results[0];
    const int n = PQntuples(res);

    for (int i = 0; i < n; i++) {
        const char *wrong;
        enum status st;
        if (row_ord(plan, res, i) != (int64_t)row->ord)
            continue;
        wrong = row_decode(ctx->arena, plan, res, i, ret_row);
        if (!wrong) {
            *ret_found = true;
            return OK;
        }
        st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "statement %s: %s", stmt->name, wrong);
        return st;
    }
    *ret_found = false;
    return OK;
}

enum status
db_gather_row_at(struct ctx *ctx, struct db_gather *g, struct db_args args, void *ret_row,
                 size_t row_size, bool *ret_found)
{
    const struct db_stmt *stmt = g->opt.stmt;
    struct gather_row *row;
    enum status st = check_row(ctx, stmt, args);

    if (st != OK)
        return st;
    if (g->pool->closing)
        return fail_plain(ctx, SHUTTING_DOWN);
    if (g->n_waiting >= g->opt.max_waiting) {
        pool_count(g->pool, COUNT_REFUSED);
        return fail_plain(ctx, OVERLOADED);
    }
    ASSERT(!ret_row || (stmt->row && row_size == stmt->row[0].row_size));
    st = wait_for(ctx, g, args, &row);
    if (st != OK)
        return st;
    if (row->batch->request->fate != FATE_OK)
        st = verb_fail(ctx, row->batch->request);
    else if (ret_row)
        st = take_row(ctx, row, ret_row, ret_found);
    batch_unref(row->batch);
    free(row);
    return st;
}

enum status
db_gather(struct ctx *ctx, struct db_gather *g, struct db_args row)
{
    return db_gather_row_at(ctx, g, row, NULL, 0, NULL);
}
