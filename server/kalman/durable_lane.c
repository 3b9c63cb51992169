/* Appends to one filter on one reactor go together: a fiber takes what waits, does a round, and
 * takes what has come meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "kalman/durable_private.h"
#include "kalman/kalman.h"
#include "run/fiber.h"
#include "run/reactor.h"

#define BUCKETS    256
#define ROUND_MAX  DURABLE_MAX_APPEND /* observations of one round, but for the first append */
#define ROUND_TIME SEC(30)

/* Appends of one filter on this reactor. Lives while there are any. */
struct lane {
    struct list link; /* in its bucket */
    struct list waiting;
    int64_t account_id;
    char filter_id[64];
    struct durable_reactor *reactor;
};

struct durable_reactor {
    struct reactor *reactor;
    struct db_gather *gather;
    struct list buckets[BUCKETS];
};

static struct durable_reactor *
durable_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_KALMAN);
}

void
kalman_attach(struct reactor *r)
{
    struct durable_reactor *d = calloc(1, sizeof(*d));
    ASSERT(d);
    d->reactor = r;
    d->gather = kalman_store_gather_new(r);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&d->buckets[i]);
    reactor_set_slot(r, SLOT_KALMAN, d);
}

void
kalman_detach(struct reactor *r)
{
    struct durable_reactor *d = durable_of(r);
    if (!d)
        return;
    db_gather_free(d->gather);
    free(d);
    reactor_set_slot(r, SLOT_KALMAN, NULL);
}

/* ---- lanes ------------------------------------------------------------------------------------
 */

static struct list *
bucket_of(struct durable_reactor *d, int64_t account_id, const char *filter_id)
{
    uint64_t h = (uint64_t)account_id * 0x9e3779b97f4a7c15ULL;
    for (const char *c = filter_id; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3ULL;
    return &d->buckets[(h >> 32) % BUCKETS];
}

static struct lane *
find_lane(struct durable_reactor *d, int64_t account_id, const char *filter_id)
{
    list_foreach (it, bucket_of(d, account_id, filter_id)) {
        struct lane *l = container_of(it, struct lane, link);
        if (l->account_id == account_id && strcmp(l->filter_id, filter_id) == 0)
            return l;
    }
    return NULL;
}

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
        if (r->count > 0 && observations + a->n > ROUND_MAX)
            break;
        list_remove(&a->link);
        a->taken = true;
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
        struct round r = {
            .account_id = l->account_id, .filter_id = l->filter_id, .gather = l->reactor->gather};
        take_waiting(l, &arena, &r);
        durable_round(&ctx, &r);
        for (size_t i = 0; i < r.count; i++) {
            r.appends[i]->done = true;
            fiber_wake(r.appends[i]->fiber);
        }
        ctx_fini(&ctx);
        arena_reset(&arena);
    }
    list_remove(&l->link);
    free(l);
    arena_fini(&arena);
}

/* The lane of a filter; its fiber runs when this turn's others have. NULL: there is no room. */
static struct lane *
lane_of(struct durable_reactor *d, int64_t account_id, const char *filter_id)
{
    struct lane *l = find_lane(d, account_id, filter_id);
    if (l)
        return l;
    l = calloc(1, sizeof(*l));
    ASSERT(l);
    list_init(&l->waiting);
    l->account_id = account_id;
    l->reactor = d;
    memcpy(l->filter_id, filter_id, strlen(filter_id) + 1);
    if (!fiber_spawn(d->reactor, run_lane, l)) {
        free(l);
        return NULL;
    }
    list_push(bucket_of(d, account_id, filter_id), &l->link);
    return l;
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

enum status
durable_append(struct ctx *ctx, int64_t account_id, const char *filter_id,
               const struct durable_observation *observations, size_t n,
               struct durable_appended *ret)
{
    struct durable_appended out = {0};
    struct append a = {
        .ctx = ctx, .fiber = fiber_self(), .observations = observations, .n = n, .ret = &out};
    enum status st = durable_check_id(ctx, filter_id);
    if (st != OK || (st = check_append(ctx, n)) != OK)
        return st;
    struct lane *l = lane_of(durable_of(ctx->reactor), account_id, filter_id);
    if (!l)
        return fail_plain(ctx, OVERLOADED);
    list_push(&l->waiting, &a.link);
    while (!a.done) {
        if (a.taken) /* its outcome is not known before the round ends */
            fiber_park_uninterruptible();
        else if ((st = fiber_park(ctx)) != OK && !a.taken) {
            list_remove(&a.link);
            return st;
        }
    }
    if (a.st == OK && (st = ctx_check(ctx)) == OK)
        *ret = out;
    return a.st == OK ? st : a.st;
}
