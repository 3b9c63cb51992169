/*
 * Appends to one filter go together: a fiber takes what waits, does a round, and takes what has
 * come meanwhile. All appends to a filter that this server receives go to one reactor, which its
 * name gives: two would compute from the same state, and one of them in vain. Only another server
 * can be faster, and then the lock of the filter's row decides.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kalman/durable_private.h"
#include "kalman/kalman.h"
#include "run/fiber.h"
#include "run/reactor.h"

#define BUCKETS    1024
#define ROUND_MAX  DURABLE_MAX_APPEND /* observations of one round, but for the first append */
#define ROUND_TIME SEC(30)
#define KEPT_BYTES ((size_t)32 << 20) /* of idle lanes on a reactor */
#define LANE_BYTES 8192 /* of each, beside its model and state: what arenas round up */

/* Appends of one filter. It stays, with what it remembers, until there is no room. */
struct lane {
    struct list link; /* in its bucket */
    struct list idle; /* used last stands last; its own while it runs */
    struct list waiting;
    bool running;
    int64_t account_id;
    char filter_id[64];
    struct durable_reactor *reactor;
    struct durable_hot hot;
    size_t bytes; /* as counted in `kept` */
};

struct durable_reactor {
    struct reactor *reactor;
    struct reactor *const *all; /* the server's reactors */
    size_t count;
    struct durable_commits *commits;
    struct list buckets[BUCKETS];
    struct list idle;
    size_t kept;
};

static struct durable_reactor *
durable_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_KALMAN);
}

void
kalman_attach(struct reactor *r, struct reactor *const *all, size_t count)
{
    struct durable_reactor *d = calloc(1, sizeof(*d));
    ASSERT(d && count > 0);
    d->reactor = r;
    d->all = all;
    d->count = count;
    d->commits = durable_commits_new(r);
    list_init(&d->idle);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&d->buckets[i]);
    reactor_set_slot(r, SLOT_KALMAN, d);
}

/* ---- lanes ------------------------------------------------------------------------------------
 */

static uint64_t
hash_of(int64_t account_id, const char *filter_id)
{
    uint64_t h = (uint64_t)account_id * 0x9e3779b97f4a7c15ULL;
    for (const char *c = filter_id; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3ULL;
    return h ^ h >> 32;
}

static struct lane *
find_lane(struct list *bucket, int64_t account_id, const char *filter_id)
{
    list_foreach (it, bucket) {
        struct lane *l = container_of(it, struct lane, link);
        if (l->account_id == account_id && strcmp(l->filter_id, filter_id) == 0)
            return l;
    }
    return NULL;
}

static void
lane_free(struct lane *l)
{
    l->reactor->kept -= l->bytes;
    list_remove(&l->link);
    list_remove(&l->idle);
    durable_hot_fini(&l->hot);
    free(l);
}

static struct lane *
lane_of(struct durable_reactor *d, int64_t account_id, const char *filter_id)
{
    struct list *bucket = &d->buckets[hash_of(account_id, filter_id) / d->count % BUCKETS];
    struct lane *l = find_lane(bucket, account_id, filter_id);
    if (l)
        return l;
    l = calloc(1, sizeof(*l));
    ASSERT(l);
    list_init(&l->waiting);
    list_init(&l->idle);
    l->account_id = account_id;
    l->reactor = d;
    memcpy(l->filter_id, filter_id, strlen(filter_id) + 1);
    durable_hot_init(&l->hot);
    list_push(bucket, &l->link);
    return l;
}

/* The lane rests; those that have rested longest go when there is no room. */
static void
rest(struct lane *l)
{
    struct durable_reactor *d = l->reactor;
    l->running = false;
    list_push(&d->idle, &l->idle);
    d->kept -= l->bytes;
    l->bytes = LANE_BYTES + l->hot.arena.used_bytes;
    d->kept += l->bytes;
    while (d->kept > KEPT_BYTES && !list_empty(&d->idle))
        lane_free(container_of(d->idle.next, struct lane, idle));
}

void
kalman_detach(struct reactor *r)
{
    struct durable_reactor *d = durable_of(r);
    if (!d)
        return;
    while (!list_empty(&d->idle))
        lane_free(container_of(d->idle.next, struct lane, idle));
    durable_commits_free(d->commits);
    free(d);
    reactor_set_slot(r, SLOT_KALMAN, NULL);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void
on_answered(struct inbox_msg *m)
{
    struct append *a = container_of(m, struct append, msg);
    a->done = true;
    fiber_wake(a->fiber);
}

/* From here on `a` is its caller's. */
static void
answer(struct append *a)
{
    a->msg.fn = on_answered;
    if (a->origin == reactor_current())
        on_answered(&a->msg);
    else
        inbox_send(a->origin, &a->msg);
}

/* ---- rounds -----------------------------------------------------------------------------------
 */

/* Takes what waits, as far as it goes together. */
static void
take_waiting(struct lane *l, struct arena *arena, struct round *r)
{
    size_t waiting = 0, observations = 0;
    list_foreach (it, &l->waiting)
        waiting++;
    r->appends = arena_new_n(arena, struct append *, waiting);
    while (!list_empty(&l->waiting)) {
        struct append *a = container_of(l->waiting.next, struct append, link);
        bool given_up = atomic_load(&a->given_up);
        if (!given_up && r->count > 0 && observations + a->n > ROUND_MAX)
            break;
        list_remove(&a->link);
        if (given_up) {
            a->st = fail_plain(&a->reply, CANCELLED_BY_CALLER);
            answer(a);
            continue;
        }
        observations += a->n;
        r->appends[r->count++] = a;
    }
}

/* The fiber of a lane: rounds until nobody waits. It acts as the account itself: what was appended
 * together belongs to one. */
static void
run_lane(void *arg)
{
    struct lane *l = arg;
    struct arena arena;
    arena_init(&arena, 0);
    while (!list_empty(&l->waiting)) {
        struct ctx ctx;
        ctx_init(&ctx, &arena, l->reactor->reactor);
        ctx.who = (struct identity){.account_id = l->account_id, .role = ROLE_MEMBER};
        ctx.deadline = clock_now() + ROUND_TIME;
        struct round r = {.account_id = l->account_id,
                          .filter_id = l->filter_id,
                          .commits = l->reactor->commits,
                          .hot = &l->hot};
        take_waiting(l, &arena, &r);
        if (r.count > 0)
            durable_round(&ctx, &r);
        for (size_t i = 0; i < r.count; i++)
            answer(r.appends[i]);
        ctx_fini(&ctx);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    rest(l);
}

/* On the filter's reactor. The lane's fiber runs when this turn's others have. */
static void
on_asked(struct inbox_msg *m)
{
    struct append *a = container_of(m, struct append, msg);
    struct durable_reactor *d = durable_of(reactor_current());
    struct lane *l = lane_of(d, a->account_id, a->filter_id);
    if (!l->running) {
        list_remove(&l->idle);
        list_init(&l->idle);
        l->running = true;
        if (!fiber_spawn(d->reactor, run_lane, l)) {
            rest(l);
            a->st = fail_plain(&a->reply, OVERLOADED);
            answer(a);
            return;
        }
    }
    list_push(&l->waiting, &a->link);
}

static enum status
check_append(struct ctx *ctx, size_t n)
{
    if (n == 0)
        return fail_field(ctx, "observations", "holds none");
    if (n > DURABLE_MAX_APPEND)
        return fail_field(ctx, "observations", "holds %zu; at most %d", n, DURABLE_MAX_APPEND);
    return OK;
}

/* Asks the filter's reactor and waits for its answer: when the caller leaves, until the round that
 * has taken it ends. */
static void
ask(struct ctx *ctx, struct append *a)
{
    const struct durable_reactor *d = durable_of(ctx->reactor);
    struct reactor *home = d->all[hash_of(a->account_id, a->filter_id) % d->count];
    a->msg.fn = on_asked;
    if (home == ctx->reactor)
        on_asked(&a->msg);
    else
        inbox_send(home, &a->msg);
    while (!a->done && fiber_park(ctx) == OK)
        ;
    if (!a->done)
        atomic_store(&a->given_up, true);
    while (!a->done)
        fiber_park_uninterruptible();
}

enum status
durable_append(struct ctx *ctx, int64_t account_id, const char *filter_id,
               const struct durable_observation *observations, size_t n,
               struct durable_appended *ret)
{
    struct append a = {.origin = ctx->reactor,
                       .fiber = fiber_self(),
                       .account_id = account_id,
                       .filter_id = filter_id,
                       .observations = observations,
                       .n = n};
    enum status st = durable_check_id(ctx, filter_id);
    if (st != OK || (st = check_append(ctx, n)) != OK)
        return st;
    arena_init(&a.arena, 1024);
    ctx_init(&a.reply, &a.arena, ctx->reactor);
    ask(ctx, &a);
    st = ctx->error.status; /* gone meanwhile? */
    if (st == OK && a.st != OK)
        st = fail_copy(ctx, &a.reply.error);
    if (st == OK) {
        *ret = a.out;
        durable_estimate_copy(ctx->arena, &a.out.estimate, &ret->estimate);
    }
    arena_fini(&a.arena);
    return st;
}
