/* What the rounds of a reactor's filters have to store goes to Postgres together: while one commit
 * is under way the next one gathers. (db_gather takes rows of scalars; an append is of any length.)
 */
#include <stdlib.h>

#include "kalman/durable_private.h"
#include "run/fiber.h"

#define TOGETHER                                                                     \
    (2 * DURABLE_MAX_APPEND) /* observations of one commit, but for the first append \
                              */
#define COMMIT_TIME SEC(30)

struct durable_commits {
    struct reactor *reactor;
    struct list waiting;
    bool running;
};

/* One round's append on its way. */
struct commit {
    struct list link;
    struct fiber *fiber;
    struct ctx *ctx; /* the round's, for the failure */
    struct kalman_append *append;
    bool done;
};

struct durable_commits *
durable_commits_new(struct reactor *r)
{
    struct durable_commits *c = calloc(1, sizeof(*c));
    ASSERT(c);
    c->reactor = r;
    list_init(&c->waiting);
    return c;
}

void
durable_commits_free(struct durable_commits *c)
{
    ASSERT(list_empty(&c->waiting));
    free(c);
}

/* Whether one of several appends may be to blame. */
static bool
is_about_data(const struct error *e)
{
    return e->reason != REASON_DB_UNAVAILABLE && e->reason != REASON_DB_TIMEOUT &&
           e->reason != REASON_DISK_FULL && e->reason != REASON_OVERLOADED &&
           e->reason != REASON_SHUTTING_DOWN;
}

/* Stores what `list` holds; those of a failed commit that may not be to blame are tried alone. */
static void
store(struct ctx *ctx, struct commit **list, size_t n)
{
    struct kalman_append **appends = arena_new_n(ctx->arena, struct kalman_append *, n);
    for (size_t i = 0; i < n; i++)
        appends[i] = list[i]->append;
    if (kalman_store_append(ctx, appends, n) == OK)
        return;
    const struct error e = ctx->error;
    fail_clear(ctx);
    if (n > 1 && is_about_data(&e)) {
        for (size_t i = 0; i < n; i++)
            store(ctx, list + i, 1);
        return;
    }
    for (size_t i = 0; i < n; i++)
        (void)fail_copy(list[i]->ctx, &e);
}

static struct commit **
take_waiting(struct durable_commits *c, struct arena *arena, size_t *ret_n)
{
    size_t waiting = 0, n = 0, observations = 0;
    list_foreach (it, &c->waiting)
        waiting++;
    struct commit **list = arena_new_n(arena, struct commit *, waiting);
    while (!list_empty(&c->waiting)) {
        struct commit *m = container_of(c->waiting.next, struct commit, link);
        observations += m->append->count;
        if (n > 0 && observations > TOGETHER)
            break;
        list_remove(&m->link);
        list[n++] = m;
    }
    *ret_n = n;
    return list;
}

/* It runs when the fibers of its turn have, and so takes what all of them have brought. */
static void
run_commits(void *arg)
{
    struct durable_commits *c = arg;
    struct arena arena;
    arena_init(&arena, 0);
    while (!list_empty(&c->waiting)) {
        struct ctx ctx;
        size_t n;
        ctx_init(&ctx, &arena, c->reactor);
        ctx.deadline = clock_now() + COMMIT_TIME;
        struct commit **list = take_waiting(c, &arena, &n);
        store(&ctx, list, n);
        for (size_t i = 0; i < n; i++) {
            list[i]->done = true;
            fiber_wake(list[i]->fiber);
        }
        ctx_fini(&ctx);
        arena_reset(&arena);
    }
    c->running = false;
    arena_fini(&arena);
}

enum status
durable_commit(struct ctx *ctx, struct durable_commits *c, struct kalman_append *a)
{
    struct commit *m = arena_new(ctx->arena, struct commit);
    *m = (struct commit){.fiber = fiber_self(), .ctx = ctx, .append = a};
    if (!c->running && !(c->running = fiber_spawn(c->reactor, run_commits, c)))
        return kalman_store_append(ctx, &a, 1);
    list_push(&c->waiting, &m->link);
    while (!m->done) /* its outcome is not known before */
        fiber_park_uninterruptible();
    return ctx->error.status;
}
