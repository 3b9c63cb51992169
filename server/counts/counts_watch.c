/*
 * Watchers. What may have changed comes as notifications (counts_tell.c); what has changed, a
 * watcher reads for itself, on its own fiber, and compares with what it told last. So a slow reader
 * slows its own fiber alone, misses no change of a count though some may come as one, and a
 * notification that was lost costs two and a half seconds at most.
 */
#include <stdlib.h>
#include <string.h>

#include "counts/counts.sql.h"
#include "counts/counts_private.h"

#define LOOK_EVERY SEC(2)
#define NOTICE     MSEC(500) /* by when the notification of a change that is seen has come */

/* What notifications said since the last look. */
struct notice {
    bool heard;
    bool corrected;
    bool late;
    usec_t from; /* DB_INFINITY: not known */
    usec_t to;
};

static const struct notice no_notice = {.from = DB_INFINITY, .to = -DB_INFINITY};

struct watcher {
    struct list link;
    int64_t account_id;
    int32_t *dpus; /* of its spaces, ascending */
    size_t n_dpus;
    struct cond changed;
    struct timer patience;
    bool look;
    bool impatient;
    struct notice notice;
    usec_t newest; /* the latest reading it was told of */
};

/* ---- notifications --------------------------------------------------------------------------- */

static void
wake(struct watcher *w)
{
    w->look = true;
    cond_signal(&w->changed);
}

static bool
watches_dpu(const struct watcher *w, int64_t dpu_id)
{
    size_t low = 0;
    size_t high = w->n_dpus;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (w->dpus[mid] == dpu_id)
            return true;
        if (w->dpus[mid] < dpu_id)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static bool
watches_some(const struct watcher *w, struct str dpus)
{
    if (str_eq(dpus, STR("*")))
        return true;
    while (dpus.n > 0) {
        int64_t dpu;
        if (str_to_i64(str_cut(&dpus, ','), &dpu) && watches_dpu(w, dpu))
            return true;
    }
    return false;
}

static void
hear_readings(struct watcher *w, usec_t earliest, usec_t latest)
{
    struct notice *n = &w->notice;
    n->heard = true;
    n->late = n->late || earliest < w->newest;
    w->newest = latest > w->newest ? latest : w->newest;
    n->from = earliest < n->from ? earliest : n->from;
    wake(w);
}

static void
hear_correction(struct watcher *w, usec_t from, usec_t to)
{
    struct notice *n = &w->notice;
    n->heard = n->corrected = true;
    n->from = from < n->from ? from : n->from;
    n->to = to > n->to ? to : n->to;
    wake(w);
}

static void
on_notify(void *arg, const char *payload)
{
    struct counts_reactor *c = arg;
    struct str rest = str_of(payload);
    int64_t account = 0;
    int64_t from = 0;
    int64_t to = 0;
    const bool readings = str_eq(str_cut(&rest, ' '), STR("r"));
    const bool good = payload && str_to_i64(str_cut(&rest, ' '), &account) &&
                      str_to_i64(str_cut(&rest, ' '), &from) &&
                      str_to_i64(str_cut(&rest, ' '), &to);
    list_foreach (it, &c->watchers) {
        struct watcher *w = container_of(it, struct watcher, link);
        if (!good)
            wake(w); /* some may have been missed */
        else if (w->account_id != account)
            continue;
        else if (!readings)
            hear_correction(w, from, to);
        else if (watches_some(w, rest))
            hear_readings(w, from, to);
    }
}

static void
on_poll(struct timer *timer)
{
    struct counts_reactor *c = container_of(timer, struct counts_reactor, poll);
    list_foreach (it, &c->watchers)
        wake(container_of(it, struct watcher, link));
    if (!list_empty(&c->watchers))
        timer_set(c->reactor, &c->poll, clock_now() + LOOK_EVERY);
}

void
counts_watch_init(struct counts_reactor *c)
{
    timer_init(&c->poll, on_poll);
    c->listener = db_listen(c->reactor, "luna_counts", on_notify, c);
}

void
counts_watch_fini(struct counts_reactor *c)
{
    timer_stop(c->reactor, &c->poll);
    db_unlisten(c->listener);
}

/* ---- a watcher ------------------------------------------------------------------------------- */

struct watch {
    struct ctx *ctx;
    const int64_t *spaces;
    int64_t *counts; /* as told last */
    size_t n;
    struct watcher w;
    counts_change_fn fn;
    void *arg;
};

static enum status
read_dpus(struct watch *k)
{
    struct ctx *ctx = k->ctx;
    struct db_int8_value *rows;
    size_t n = 0;
    enum status st =
        db_many(ctx, &sql_counts_dpus_of_spaces,
                DB_ARGS(db_int8(ctx->who.account_id), db_int8_array(k->spaces, k->n)), &rows, &n);
    if (st != OK)
        return st;
    int32_t *dpus = malloc((n + 1) * sizeof(*dpus));
    ASSERT(dpus);
    for (size_t i = 0; i < n; i++)
        dpus[i] = (int32_t)rows[i].value;
    free(k->w.dpus);
    k->w.dpus = dpus;
    k->w.n_dpus = n;
    return OK;
}

/* The counts now, in the order of k->spaces. A look's memory is its own. */
static enum status
read_counts(struct watch *k, int64_t *ret, bool *ret_found)
{
    struct counts_value *values = arena_new_n(k->ctx->arena, struct counts_value, k->n + 1);
    enum status st = counts_current_of(k->ctx, k->spaces, k->n, values, ret_found);
    for (size_t i = 0; st == OK && i < k->n; i++)
        ret[i] = values[i].count;
    return st;
}

static enum status
tell_change(struct watch *k, size_t i, int64_t count, enum counts_change_kind kind, usec_t from,
            usec_t to)
{
    const struct counts_change change = {
        .space_id = k->spaces[i],
        .kind = kind,
        .old_count = k->counts[i],
        .count = count,
        .changed_from = from,
        .changed_to = to,
        .observed_at = clock_wall_us(),
    };
    k->counts[i] = count;
    return k->fn(k->arg, &change);
}

static enum status
tell_changes(struct watch *k, const int64_t *now, const struct notice *n)
{
    const enum counts_change_kind kind =
        n->corrected || n->late ? CHANGE_CORRECTION : CHANGE_READINGS;
    enum status st = OK;
    for (size_t i = 0; i < k->n && st == OK; i++)
        if (now[i] != k->counts[i])
            st = tell_change(k, i, now[i], kind, n->from, n->corrected ? n->to : DB_INFINITY);
    return st;
}

static void
on_patience(struct timer *timer)
{
    struct watcher *w = container_of(timer, struct watcher, patience);
    w->impatient = true;
    cond_signal(&w->changed);
}

/* Who looks by the clock may be ahead of the notification that says what has changed and from when
 * on: he looks again when it has come, or will not come. */
static enum status
await_notice(struct watch *k)
{
    struct watcher *w = &k->w;
    enum status st = OK;
    timer_set(k->ctx->reactor, &w->patience, clock_now() + NOTICE);
    while (!w->notice.heard && !w->impatient && st == OK)
        st = cond_wait(&w->changed, k->ctx);
    timer_stop(k->ctx->reactor, &w->patience);
    w->look = true;
    return st;
}

static enum status
look_at_counts(struct watch *k, int64_t *now, bool *found)
{
    struct watcher *w = &k->w;
    const struct notice notice = w->notice;
    const bool ahead = !notice.heard && !w->impatient;
    w->look = w->impatient = false;
    w->notice = no_notice;
    enum status st = notice.corrected ? read_dpus(k) : OK;
    if (st == OK)
        st = read_counts(k, now, found);
    for (size_t i = 0; i < k->n && st == OK; i++)
        if (!found[i])
            return fail(k->ctx, SPACE_NOT_FOUND, "a watched space is no more");
    if (st == OK && ahead && memcmp(now, k->counts, k->n * sizeof(*now)) != 0)
        return await_notice(k);
    return st == OK ? tell_changes(k, now, &notice) : st;
}

/* With memory of its own for each look: a watch may last for months. */
static enum status
look(struct watch *k)
{
    struct arena *kept = k->ctx->arena;
    struct arena arena;
    arena_init(&arena, 0);
    k->ctx->arena = &arena;
    enum status st =
        look_at_counts(k, arena_new_n(&arena, int64_t, k->n), arena_new_n(&arena, bool, k->n));
    k->ctx->arena = kept;
    /* What was recorded of a failure has to outlive the look. */
    if (st != OK && k->ctx->error.message)
        k->ctx->error.message = arena_strdup(kept, k->ctx->error.message);
    if (st != OK && k->ctx->error.detail)
        k->ctx->error.detail = arena_strdup(kept, k->ctx->error.detail);
    arena_fini(&arena);
    return st;
}

static enum status
begin(struct watch *k, const int64_t *known, const bool *resumed)
{
    int64_t *now = arena_new_n(k->ctx->arena, int64_t, k->n);
    bool *found = arena_new_n(k->ctx->arena, bool, k->n);
    enum status st = read_dpus(k);
    if (st == OK)
        st = read_counts(k, now, found);
    for (size_t i = 0; i < k->n && st == OK; i++) {
        if (!found[i])
            return fail_plain(k->ctx, SPACE_NOT_FOUND);
        k->counts[i] = resumed[i] ? known[i] : now[i];
        if (!resumed[i])
            st = tell_change(k, i, now[i], CHANGE_SNAPSHOT, DB_INFINITY, DB_INFINITY);
        else if (now[i] != known[i])
            st = tell_change(k, i, now[i], CHANGE_READINGS, DB_INFINITY, DB_INFINITY);
    }
    return st;
}

enum status
counts_watch(struct ctx *ctx, const int64_t *spaces, size_t n, const int64_t *known,
             const bool *resumed, counts_change_fn fn, void *arg)
{
    struct counts_reactor *c = counts_of(ctx->reactor);
    struct watch k = {
        .ctx = ctx,
        .spaces = spaces,
        .counts = arena_new_n(ctx->arena, int64_t, n),
        .n = n,
        .w = {.account_id = ctx->who.account_id, .notice = no_notice},
        .fn = fn,
        .arg = arg,
    };
    cond_init(&k.w.changed);
    timer_init(&k.w.patience, on_patience);
    list_push(&c->watchers, &k.w.link);
    if (!timer_pending(&c->poll))
        timer_set(c->reactor, &c->poll, clock_now() + LOOK_EVERY);
    enum status st = begin(&k, known, resumed);
    while (st == OK) {
        while (!k.w.look && st == OK)
            st = cond_wait(&k.w.changed, ctx);
        if (st == OK)
            st = look(&k);
    }
    list_remove(&k.w.link);
    free(k.w.dpus);
    return st;
}
