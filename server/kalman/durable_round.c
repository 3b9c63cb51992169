/*
 * One round: the state behind some appends is computed from the state before them, then the
 * observations are inserted. First without a lock, from what the lane remembers or Redis says; when
 * that was not the newest, or somebody was faster, or a request is in doubt, once more behind the
 * lock of the filter's row.
 */
#include <math.h>
#include <string.h>

#include "kalman/durable_admit.h"

struct attempt {
    struct round *round;
    bool locked;
    struct durable_head head; /* before; then behind */
    struct admission admitted;
    struct durable_series series; /* those admitted */
    struct durable_walk *walk;    /* the lane's, or `detour` */
    struct durable_walk detour;   /* from a checkpoint, when they are late */
    bool late;
    bool again;   /* to be done behind the lock */
    bool changed; /* the head is new */
    struct durable_estimate estimate;
};

/* From Postgres, and from Redis what is not older. */
static enum status
read_head(struct ctx *ctx, struct attempt *t, struct durable_head *ret)
{
    struct round *r = t->round;
    struct kalman_filter row;
    bool rebuilt;
    enum status st = t->locked ? kalman_store_lock_filter(ctx, r->account_id, r->filter_id, &row)
                               : kalman_store_get_filter(ctx, r->account_id, r->filter_id, &row);
    if (st == OK)
        st = durable_hot_begin(ctx, r->hot, row.model);
    return st == OK ? durable_head_of(ctx, &row, &r->hot->spec, ret, &rebuilt) : st;
}

/* What the lane remembers; otherwise what Redis has, behind the lock if it is the newest. */
static enum status
find_head(struct ctx *ctx, struct attempt *t)
{
    struct round *r = t->round;
    struct durable_hot *hot = r->hot;
    struct durable_head h;
    bool cached = false;
    enum status st = OK;
    if (hot->known && !t->locked)
        return OK;
    if (!t->locked)
        durable_head_cached(ctx, r->account_id, r->filter_id, &h, &cached);
    if (ctx->error.reason != REASON_NONE)
        return ctx->error.status;
    st = cached ? durable_hot_begin(ctx, hot, h.model) : read_head(ctx, t, &h);
    if (st != OK || durable_hot_load(hot, &h))
        return st;
    t->again = !t->locked;
    return t->locked ? fail(ctx, INTERNAL_ERROR, "the state of the filter cannot be read") : OK;
}

static void
lay_series(struct ctx *ctx, struct attempt *t, size_t p)
{
    const struct admission *a = &t->admitted;
    double *times = arena_array(ctx->arena, a->n, sizeof(double));
    double *numbers = arena_array(ctx->arena, a->n, p * sizeof(double));
    int64_t *sequences = arena_array(ctx->arena, a->n, sizeof(int64_t));
    for (size_t i = 0; i < a->n; i++) {
        times[i] = a->items[i].time;
        sequences[i] = a->items[i].sequence;
        memcpy(numbers + i * p, a->items[i].values, p * sizeof(double));
    }
    t->series = (struct durable_series){times, sequences, numbers, a->n};
}

/* The state behind everything, with what is new. */
static enum status
compute(struct ctx *ctx, struct attempt *t)
{
    const struct durable_head *h = &t->head;
    const struct durable_series *s = &t->series;
    enum status st = OK;
    t->walk = &t->round->hot->walk;
    t->late = s->n > 0 && h->position > 0 &&
              (s->times[0] < h->time || (s->times[0] == h->time && s->sequences[0] < h->sequence));
    if (!t->late) {
        durable_walk_resume(t->walk, ctx->arena);
        return durable_walk_over(ctx, t->walk, s);
    }
    st = durable_walk_from(ctx, &t->detour, &t->round->hot->spec, &h->key, h->position, s->times[0],
                           s->sequences[0]);
    if (st != OK)
        return st;
    t->walk = &t->detour;
    t->walk->want_checkpoints = true;
    return durable_walk_log(ctx, t->walk, &h->key, h->position, s);
}

static void
lay_checkpoints(struct ctx *ctx, const struct durable_walk *w, struct kalman_append *a)
{
    size_t k = w->checkpoint_count;
    struct str *states = arena_new_n(ctx->arena, struct str, k);
    double *times = arena_array(ctx->arena, k, sizeof(double));
    int64_t *sequences = arena_array(ctx->arena, k, sizeof(int64_t));
    for (size_t i = 0; i < k; i++) {
        times[i] = w->checkpoints[i].time;
        sequences[i] = w->checkpoints[i].sequence;
        states[i] = w->checkpoints[i].state;
    }
    a->checkpoint_count = k;
    a->checkpoint_times = times;
    a->checkpoint_sequences = sequences;
    a->checkpoint_states = states;
}

static enum status
store(struct ctx *ctx, struct attempt *t, size_t p)
{
    const struct durable_series *s = &t->series;
    struct str *numbers = arena_new_n(ctx->arena, struct str, s->n);
    for (size_t i = 0; i < s->n; i++)
        numbers[i] = (struct str){(const char *)(s->numbers + i * p), p * sizeof(double)};
    struct kalman_append a = {
        .key = t->head.key,
        .position = t->head.position,
        .max_sequence = t->admitted.max_sequence,
        .count = s->n,
        .sequences = s->sequences,
        .times = s->times,
        .numbers = numbers,
        .late = t->late,
        .late_time = s->times[0],
        .late_sequence = s->sequences[0],
        .format = DURABLE_FORMAT,
    };
    struct kalman_append *list = &a;
    lay_checkpoints(ctx, t->walk, &a);
    enum status st =
        t->locked ? kalman_store_append(ctx, &list, 1) : durable_commit(ctx, t->round->commits, &a);
    if (st != OK && ctx->error.reason == REASON_DB_CONFLICT && !t->locked) {
        fail_clear(ctx);
        st = OK;
    }
    if (st != OK || a.stored)
        return st;
    t->again = true;
    return t->locked ? fail(ctx, INTERNAL_ERROR, "the log has a gap") : OK;
}

/* The head behind what was stored. */
static void
move_head(struct attempt *t)
{
    struct durable_head *h = &t->head;
    h->position += (int64_t)t->series.n;
    h->max_sequence = t->admitted.max_sequence;
    h->time = t->walk->time;
    h->sequence = t->walk->sequence;
    h->since = t->walk->since;
    h->state = durable_walk_state(t->walk);
    t->changed = true;
}

static enum status
run(struct ctx *ctx, struct attempt *t)
{
    enum status st = find_head(ctx, t);
    if (st != OK || t->again)
        return st;
    size_t p = model_series(&t->round->hot->spec);
    t->head = t->round->hot->head;
    if ((st = durable_admit(ctx, t->round, &t->head, p, &t->admitted)) != OK)
        return st;
    if (!t->admitted.clean && !t->locked) {
        t->again = true;
        return OK;
    }
    lay_series(ctx, t, p);
    st = compute(ctx, t);
    if (st == OK && !durable_walk_is_finite(t->walk))
        st = fail(ctx, NO_RESULT, "with these observations the state does not fit doubles");
    if (st == OK && t->series.n > 0)
        st = store(ctx, t, p);
    if (st != OK || t->again)
        return st;
    if (t->series.n > 0)
        move_head(t);
    t->estimate.position = t->head.position;
    t->estimate.time = t->head.position > 0 ? t->head.time : 0;
    if (t->head.position > 0)
        durable_walk_estimate(t->walk, ctx->arena, &t->estimate);
    return OK;
}

static enum status
run_attempt(struct ctx *ctx, void *arg)
{
    struct attempt *t = arg;
    *t = (struct attempt){.round = t->round, .locked = t->locked};
    enum status st = run(ctx, t);
    if (t->walk == &t->detour)
        durable_walk_fini(&t->detour);
    return st;
}

/* The failure of the round is that of each append. */
static void
fail_all(struct ctx *ctx, const struct round *r)
{
    for (size_t k = 0; k < r->count; k++) {
        struct append *a = r->appends[k];
        fail_clear(&a->reply);
        a->st = fail_copy(&a->reply, &ctx->error);
    }
}

static void
answer_all(const struct attempt *t)
{
    for (size_t k = 0; k < t->round->count; k++) {
        struct append *a = t->round->appends[k];
        if (a->st != OK)
            continue;
        a->out.position = t->head.position;
        a->out.duplicates = a->duplicates;
        a->out.last_sequence = a->last_sequence;
        durable_estimate_copy(&a->arena, &t->estimate, &a->out.estimate);
    }
}

static void
one_by_one(struct ctx *ctx, const struct round *r)
{
    for (size_t k = 0; k < r->count; k++) {
        struct round one = *r;
        one.appends = r->appends + k;
        one.count = 1;
        fail_clear(ctx);
        durable_round(ctx, &one);
    }
}

/* What the lane remembers is what was committed, or nothing. */
static void
remember(const struct attempt *t)
{
    struct durable_hot *hot = t->round->hot;
    if (t->late) {
        durable_hot_forget(hot);
        return;
    }
    hot->head = t->head;
    hot->head.state = (struct str){NULL, 0};
}

void
durable_round(struct ctx *ctx, struct round *r)
{
    struct attempt t = {.round = r};
    enum status st = run_attempt(ctx, &t);
    if (st == OK && t.again) {
        t.locked = true;
        st = db_tx(ctx, run_attempt, &t);
    }
    if (st != OK)
        durable_hot_forget(r->hot);
    if (st != OK && ctx->error.reason == REASON_NO_RESULT && r->count > 1) {
        one_by_one(ctx, r); /* so that those who are not to blame do not fail with the one who is */
        return;
    }
    if (st != OK) {
        fail_all(ctx, r);
        return;
    }
    if (t.changed)
        durable_head_post(ctx, r->filter_id, &t.head);
    answer_all(&t);
    remember(&t);
}
