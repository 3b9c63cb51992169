/*
 * Checkpoints: sums of a DPU's readings up to an instant, made in the background so that a count
 * reads one of them and a short tail.
 *
 * Each reactor tallies what it stored since it last had a look, by DPU. When a DPU has COUNTS_EVERY
 * more, it is due. Due DPUs are worked on together: announced, waited for until every transaction
 * that may not have seen the announcement has ended, and filled; the migration says why that is
 * exact. A tally is a hint: it is lost with the process and costs a longer tail until the DPU has
 * reported that often again.
 */
#include <stdlib.h>

#include "base/log.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

#define SLOTS         (1u << 18)
#define MAX_DUE       256 /* DPUs in one piece of work */
#define MAX_FILLED    128 /* checkpoints in one transaction: late readings wait for it */
#define PAUSE         MSEC(20)
#define WORK_DEADLINE SEC(60)

struct tally_slot {
    int64_t account_id; /* 0: free */
    int32_t dpu_id;
    uint32_t n;
    usec_t since; /* the earliest of them */
};

struct counts_tally {
    struct tally_slot slots[SLOTS];
    uint32_t queue[SLOTS]; /* a ring of the slots with COUNTS_EVERY or more */
    size_t first;          /* of them */
    size_t due;            /* how many */
    size_t used;
    bool working;
    struct timer timer;
};

static struct tally_slot *
find_slot(struct counts_tally *t, int64_t account_id, int32_t dpu_id)
{
    uint64_t h = ((uint64_t)account_id * 0x9e3779b97f4a7c15u) ^
                 ((uint64_t)(uint32_t)dpu_id * 0xc2b2ae3d27d4eb4fu);
    h ^= h >> 29;
    for (size_t i = 0; i < 32; i++) {
        struct tally_slot *s = &t->slots[(h + i) & (SLOTS - 1)];
        if (s->account_id == 0 || (s->account_id == account_id && s->dpu_id == dpu_id))
            return s;
    }
    return NULL; /* crowded: it is tallied when there is room again */
}

void
counts_tally_add(struct counts_reactor *c, int64_t account_id, int32_t dpu_id, usec_t at)
{
    struct counts_tally *t = c->tally;
    struct tally_slot *s = find_slot(t, account_id, dpu_id);
    if (!s)
        return;
    if (s->account_id == 0) {
        *s = (struct tally_slot){account_id, dpu_id, 0, at};
        t->used++;
    }
    s->since = s->n == 0 || at < s->since ? at : s->since;
    if (++s->n == COUNTS_EVERY)
        t->queue[(t->first + t->due++) & (SLOTS - 1)] = (uint32_t)(s - t->slots);
    if (s->n >= COUNTS_EVERY && !t->working && !timer_pending(&t->timer))
        timer_set(c->reactor, &t->timer, clock_now() + PAUSE);
}

/* ---- the work -------------------------------------------------------------------------------- */

struct due {
    int64_t account_id;
    size_t n;
    int32_t dpus[MAX_DUE];
    usec_t since[MAX_DUE];
};

/* Takes due DPUs of one account. False: there are none. */
static bool
take_due(struct counts_tally *t, struct due *d)
{
    d->n = 0;
    for (; t->due > 0 && d->n < MAX_DUE; t->due--, t->first++) {
        struct tally_slot *s = &t->slots[t->queue[t->first & (SLOTS - 1)]];
        if (d->n > 0 && s->account_id != d->account_id)
            break;
        d->account_id = s->account_id;
        d->dpus[d->n] = s->dpu_id;
        d->since[d->n++] = s->since;
        s->n = 0;
    }
    return d->n > 0;
}

/* Nobody needs the slots of a table that is nearly full; what they had counted is lost. */
static void
make_room(struct counts_tally *t)
{
    if (t->used < SLOTS / 4 * 3)
        return;
    memset(t->slots, 0, sizeof(t->slots));
    t->used = t->due = 0;
}

enum status
counts_wait_for_others(struct ctx *ctx)
{
    struct db_int8_value horizon;
    struct db_int8_value oldest = {0};
    enum status st = db_one(ctx, &sql_counts_horizon, DB_NO_ARGS, REASON_INTERNAL_ERROR, &horizon);
    for (nsec_t pause = MSEC(1); st == OK; pause = pause < MSEC(200) ? pause * 2 : pause) {
        st = db_one(ctx, &sql_counts_oldest, DB_NO_ARGS, REASON_INTERNAL_ERROR, &oldest);
        if (st != OK || oldest.value > horizon.value)
            return st;
        st = fiber_sleep(ctx, pause);
    }
    return st;
}

/* Announced checkpoints to fill: some of them in one transaction. */
struct some {
    const int32_t *dpus;
    const usec_t *uptos;
    size_t n;
};

static enum status
fill_some(struct ctx *ctx, void *arg)
{
    const struct some *s = arg;
    struct db_int8_value filled;
    return db_one(ctx, &sql_counts_fill,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int4_array(s->dpus, s->n),
                          db_timestamptz_array(s->uptos, s->n)),
                  REASON_INTERNAL_ERROR, &filled);
}

static enum status
fill(struct ctx *ctx, const struct counts_announced *rows, size_t n)
{
    int32_t *dpus = arena_new_n(ctx->arena, int32_t, n);
    usec_t *uptos = arena_new_n(ctx->arena, usec_t, n);
    enum status st = OK;
    for (size_t i = 0; i < n; i++) {
        dpus[i] = rows[i].dpu_id;
        uptos[i] = rows[i].upto;
    }
    for (size_t i = 0; i < n && st == OK; i += MAX_FILLED) {
        struct some some = {dpus + i, uptos + i, n - i < MAX_FILLED ? n - i : MAX_FILLED};
        st = db_tx(ctx, fill_some, &some);
    }
    return st;
}

struct announcement {
    const struct due *due;
    struct counts_announced *rows;
    size_t n;
};

static enum status
announce(struct ctx *ctx, void *arg)
{
    struct announcement *a = arg;
    const struct due *d = a->due;
    return db_many(ctx, &sql_counts_announce,
                   DB_ARGS(db_int8(d->account_id), db_int4_array(d->dpus, d->n),
                           db_timestamptz_array(d->since, d->n), db_int4(COUNTS_EVERY)),
                   &a->rows, &a->n);
}

/* On a connection of its own, by db_tx: calls do not wait behind this work. */
static enum status
make_checkpoints(struct ctx *ctx, const struct due *d)
{
    struct announcement a = {.due = d};
    ctx->who = (struct identity){.account_id = d->account_id, .role = ROLE_MEMBER};
    enum status st = db_tx(ctx, announce, &a);
    if (st == OK && a.n > 0)
        st = counts_wait_for_others(ctx);
    return st == OK && a.n > 0 ? fill(ctx, a.rows, a.n) : st;
}

static void
work(void *arg)
{
    struct counts_reactor *c = arg;
    struct due *d = malloc(sizeof(*d));
    ASSERT(d);
    while (!reactor_stopping(c->reactor) && take_due(c->tally, d)) {
        struct arena arena;
        struct ctx ctx;
        arena_init(&arena, 0);
        ctx_init(&ctx, &arena, c->reactor);
        ctx.deadline = clock_now() + WORK_DEADLINE;
        if (make_checkpoints(&ctx, d) != OK)
            log_info("checkpoints not made", log_str("why", ctx.error.message),
                     log_str("detail", ctx.error.detail ? ctx.error.detail : ""));
        ctx_fini(&ctx);
        arena_fini(&arena);
    }
    free(d);
    make_room(c->tally);
    c->tally->working = false;
}

static void
on_timer(struct timer *timer)
{
    struct counts_tally *t = container_of(timer, struct counts_tally, timer);
    struct counts_reactor *c = counts_of(reactor_current());
    if (!t->working && t->due > 0)
        t->working = fiber_spawn(c->reactor, work, c);
}

void
counts_tally_init(struct counts_reactor *c)
{
    c->tally = calloc(1, sizeof(*c->tally));
    ASSERT(c->tally);
    timer_init(&c->tally->timer, on_timer);
}

void
counts_tally_fini(struct counts_reactor *c)
{
    timer_stop(c->reactor, &c->tally->timer);
    free(c->tally);
}
