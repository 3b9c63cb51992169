/* Readings in: one at a time with others in flight, in batches, and single ones out again. */
#include "counts/counts.h"

#include <stdlib.h>

#include "counts/counts.sql.h"
#include "counts/counts_private.h"
#include "edge/list.h"

/* What luna_counts_take says of a reading. */
enum { DB_DUPLICATE = 2, DB_UNKNOWN_DPU = 3, DB_ROLLED_OFF = 7 };
/* What it takes as dedupe. */
enum { DB_NONE = 0, DB_EVENT_ID = 1, DB_EXACT = 2 };

#define BULK 512 /* readings of a batch that is large */

static bool
has_event(const struct counts_reading *r)
{
    return r->event_id && *r->event_id;
}

int16_t
counts_dedupe_code(const struct counts_reading *r, enum counts_dedupe dedupe)
{
    if (dedupe == DEDUPE_EXACT)
        return DB_EXACT;
    return dedupe != DEDUPE_NONE && has_event(r) ? DB_EVENT_ID : DB_NONE;
}

enum counts_outcome
counts_reading_check(const struct counts_reading *r, enum counts_dedupe dedupe)
{
    if (r->dpu_id < 1 || r->dpu_id > INT32_MAX)
        return OUTCOME_UNKNOWN_DPU;
    if (r->direction != 1 && r->direction != -1)
        return OUTCOME_BAD_DIRECTION;
    if (r->at < 0 || r->at > clock_wall_us() + COUNTS_MAX_SKEW_US)
        return OUTCOME_BAD_TIMESTAMP;
    if (dedupe == DEDUPE_EVENT_ID && !has_event(r))
        return OUTCOME_BAD_EVENT_ID;
    struct str event = str_of(has_event(r) ? r->event_id : "");
    return event.n > COUNTS_MAX_EVENT || !str_utf8_valid(event) ? OUTCOME_BAD_EVENT_ID
                                                                : OUTCOME_STORED;
}

static void
note_stored(struct ctx *ctx, const struct counts_reading *r)
{
    struct counts_reactor *c = counts_of(ctx->reactor);
    counts_tally_add(c, ctx->who.account_id, (int32_t)r->dpu_id, r->at);
    counts_tell_reading(c, ctx->who.account_id, (int32_t)r->dpu_id, r->at);
    counts_prune_later(c, ctx->who.account_id);
}

static enum status
fail_reading(struct ctx *ctx, enum counts_outcome outcome)
{
    switch (outcome) {
    case OUTCOME_BAD_DIRECTION:
        return fail_field(ctx, "direction", "must be 1 or -1");
    case OUTCOME_BAD_TIMESTAMP:
        return fail_field(ctx, "timestamp",
                          "must be given, not before 1970 and at most ten minutes ahead");
    case OUTCOME_BAD_EVENT_ID:
        return fail_field(ctx, "event_id", "must be UTF-8 of 1 to %d bytes", COUNTS_MAX_EVENT);
    case OUTCOME_ROLLED_OFF:
        return fail(ctx, READINGS_ROLLED_OFF,
                    "the reading is older than the readings that the account keeps");
    default:
        return fail_plain(ctx, DPU_NOT_FOUND);
    }
}

static enum counts_outcome
outcome_of(int16_t refused)
{
    return refused == DB_UNKNOWN_DPU  ? OUTCOME_UNKNOWN_DPU
           : refused == DB_ROLLED_OFF ? OUTCOME_ROLLED_OFF
                                      : OUTCOME_DUPLICATE;
}

enum status
counts_ingest_one(struct ctx *ctx, const struct counts_reading *r, enum counts_dedupe dedupe,
                  enum counts_outcome *ret)
{
    const enum counts_outcome wrong = counts_reading_check(r, dedupe);
    if (wrong != OUTCOME_STORED)
        return fail_reading(ctx, wrong);
    struct counts_refused refused;
    bool found = false;
    const struct db_args row =
        DB_ARGS(db_int8(ctx->who.account_id), db_int2(counts_dedupe_code(r, dedupe)),
                db_int4((int32_t)r->dpu_id), db_timestamptz(r->at), db_int2((int16_t)r->direction),
                db_opt(has_event(r), db_text(has_event(r) ? r->event_id : "")));
    enum status st = db_gather_row(ctx, counts_of(ctx->reactor)->ingest, row, &refused, &found);
    if (st != OK)
        return st;
    if (found && refused.outcome != DB_DUPLICATE)
        return fail_reading(ctx, outcome_of(refused.outcome));
    *ret = found ? OUTCOME_DUPLICATE : OUTCOME_STORED;
    if (!found)
        note_stored(ctx, r);
    return OK;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* The good readings of a batch as columns. */
struct columns {
    size_t n;
    int16_t *dedupes;
    int32_t *dpus;
    usec_t *ats;
    int16_t *directions;
    const char **events;
    bool *no_event;
    int64_t *indexes; /* in the batch */
};

static void
columns_init(struct columns *c, struct arena *a, size_t room)
{
    *c = (struct columns){
        .dedupes = arena_new_n(a, int16_t, room),
        .dpus = arena_new_n(a, int32_t, room),
        .ats = arena_new_n(a, usec_t, room),
        .directions = arena_new_n(a, int16_t, room),
        .events = arena_new_n(a, const char *, room),
        .no_event = arena_new_n(a, bool, room),
        .indexes = arena_new_n(a, int64_t, room),
    };
}

static void
columns_put(struct columns *c, const struct counts_reading *r, enum counts_dedupe dedupe,
            size_t index)
{
    const size_t i = c->n++;
    c->dedupes[i] = counts_dedupe_code(r, dedupe);
    c->dpus[i] = (int32_t)r->dpu_id;
    c->ats[i] = r->at;
    c->directions[i] = (int16_t)r->direction;
    c->no_event[i] = !has_event(r);
    c->events[i] = has_event(r) ? r->event_id : "";
    c->indexes[i] = (int64_t)index;
}

/* What a statement stores of a batch, and what it says. */
struct store {
    const struct columns *columns;
    struct counts_refused *rows;
    size_t n;
};

static enum status
store_columns(struct ctx *ctx, void *arg)
{
    struct store *s = arg;
    const struct columns *c = s->columns;
    const int64_t account = ctx->who.account_id;
    return db_many(ctx, &sql_counts_ingest,
                   DB_ARGS(db_int8_array(&account, 1), db_int2_array(c->dedupes, c->n),
                           db_int4_array(c->dpus, c->n), db_timestamptz_array(c->ats, c->n),
                           db_int2_array(c->directions, c->n),
                           db_array_of(DB_TEXT_ARRAY, c->events, c->no_event, c->n)),
                   &s->rows, &s->n);
}

/* A large batch has a connection of its own: on a shared one all others would wait behind it. */
static enum status
store(struct ctx *ctx, struct store *s)
{
    if (s->columns->n == 0)
        return OK;
    return s->columns->n < BULK ? store_columns(ctx, s) : db_tx(ctx, store_columns, s);
}

/* Exact repetitions are those whose number at their instant is not the first: what the sort by
 * (DPU, instant, direction) puts side by side. */
static int
compare_places(const void *x, const void *y, void *arg)
{
    const struct columns *c = arg;
    const size_t i = *(const size_t *)x;
    const size_t j = *(const size_t *)y;
    if (c->dpus[i] != c->dpus[j])
        return c->dpus[i] < c->dpus[j] ? -1 : 1;
    if (c->ats[i] != c->ats[j])
        return c->ats[i] < c->ats[j] ? -1 : 1;
    return c->directions[i] - c->directions[j];
}

static int64_t
count_repeated(struct arena *a, struct columns *c, const bool *refused)
{
    size_t *order = arena_new_n(a, size_t, c->n + 1);
    size_t n = 0;
    int64_t repeated = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!refused[i])
            order[n++] = i;
    qsort_r(order, n, sizeof(*order), compare_places, c);
    for (size_t i = 1; i < n; i++)
        repeated += compare_places(&order[i - 1], &order[i], c) == 0;
    return repeated;
}

struct batch {
    const struct counts_reading *readings;
    size_t n;
    struct columns columns;
    bool *refused;                 /* by place in the columns */
    enum counts_outcome *outcomes; /* of all */
};

static void
batch_check(struct ctx *ctx, struct batch *b, enum counts_dedupe dedupe)
{
    columns_init(&b->columns, ctx->arena, b->n);
    b->outcomes = arena_new_n(ctx->arena, enum counts_outcome, b->n);
    for (size_t i = 0; i < b->n; i++) {
        b->outcomes[i] = counts_reading_check(&b->readings[i], dedupe);
        if (b->outcomes[i] == OUTCOME_STORED)
            columns_put(&b->columns, &b->readings[i], dedupe, i);
    }
    b->refused = arena_new_n(ctx->arena, bool, b->columns.n);
}

static void
batch_refuse(struct batch *b, const struct counts_refused *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t place = (size_t)(rows[i].place - 1);
        if (place >= b->columns.n)
            continue;
        b->refused[place] = true;
        b->outcomes[b->columns.indexes[place]] = outcome_of(rows[i].outcome);
    }
}

static void
batch_tell(struct ctx *ctx, struct batch *b, struct counts_summary *sum,
           struct counts_result *results, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const enum counts_outcome o = b->outcomes[i];
        if (o == OUTCOME_STORED)
            note_stored(ctx, &b->readings[i]);
        else
            results[n++] = (struct counts_result){(int64_t)i, o};
        sum->stored += o == OUTCOME_STORED;
        sum->duplicates += o == OUTCOME_DUPLICATE;
        sum->rejected += o > OUTCOME_DUPLICATE;
    }
    sum->received += (int64_t)b->n;
    *ret_n = n;
}

enum status
counts_ingest(struct ctx *ctx, const struct counts_reading *readings, size_t n,
              enum counts_dedupe dedupe, struct counts_summary *sum,
              struct counts_result **ret_results, size_t *ret_n)
{
    struct batch b = {.readings = readings, .n = n};
    struct store stored = {.columns = &b.columns};
    if (n > COUNTS_MAX_BATCH)
        return fail_field(ctx, "readings", "must be at most %d", COUNTS_MAX_BATCH);
    batch_check(ctx, &b, dedupe);
    enum status st = store(ctx, &stored);
    if (st != OK)
        return st;
    batch_refuse(&b, stored.rows, stored.n);
    sum->repeated += count_repeated(ctx->arena, &b.columns, b.refused);
    *ret_results = arena_new_n(ctx->arena, struct counts_result, n);
    batch_tell(ctx, &b, sum, *ret_results, ret_n);
    return OK;
}

/* ---- out ------------------------------------------------------------------------------------- */

enum status
counts_get_reading(struct ctx *ctx, int64_t dpu_id, usec_t at, int32_t tag,
                   struct counts_reading *ret)
{
    struct counts_policy policy;
    enum status st = db_one(ctx, &sql_counts_get_reading,
                            DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)dpu_id),
                                    db_timestamptz(at), db_int4(tag)),
                            REASON_READING_NOT_FOUND, ret);
    if (st != NOT_FOUND)
        return st;
    fail_clear(ctx);
    st = counts_get_policy(ctx, &policy);
    if (st == OK && at < policy.horizon)
        return counts_fail_rolled_off(ctx, "there is no reading", policy.horizon);
    return st == OK ? fail_plain(ctx, READING_NOT_FOUND) : st;
}

enum status
counts_list_readings(struct ctx *ctx, const struct list_request *list, struct counts_reading **ret,
                     size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_counts_list_readings, DB_ARGS(db_int8(ctx->who.account_id)), list,
                     ret, ret_n, ret_next);
}
