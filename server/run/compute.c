#include "run/compute.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "run/ctx.h"
#include "run/reactor_private.h"
#include "run/timer.h"

/* Lives on the stack of the fiber that waits for it. */
struct compute_task {
    struct list link; /* in the queue until a thread takes it */
    compute_fn fn;
    void *arg;
    struct fiber *fiber;
    struct reactor *reactor;
    struct inbox_msg done_msg;
    atomic_bool cancelled;
    bool done; /* the fiber's view */
};

struct compute {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list queue;
    size_t queued;
    size_t max_queued;
    size_t thread_count;
    pthread_t *threads;
    bool stopping;
    struct compute_stats stats; /* written under the lock */
};

static struct compute *default_pool;

bool
compute_cancelled(const struct compute_task *t)
{
    return atomic_load_explicit(&t->cancelled, memory_order_relaxed);
}

static void
on_done(struct inbox_msg *m)
{
    struct compute_task *t = container_of(m, struct compute_task, done_msg);
    t->done = true;
    fiber_wake(t->fiber);
}

/* Waits for a task and takes it out; NULL: the pool ends. Called and returns with the lock. */
static struct compute_task *
take_task(struct compute *c)
{
    struct list *n;
    while (!(n = list_pop(&c->queue))) {
        if (c->stopping)
            return NULL;
        pthread_cond_wait(&c->work, &c->lock);
    }
    c->queued--;
    stat_set(&c->stats.queued, c->queued);
    counter_add(&c->stats.running, (size_t)1);
    return container_of(n, struct compute_task, link);
}

static void *
compute_thread(void *arg)
{
    struct compute *c = arg;
    struct compute_task *t;
    pthread_mutex_lock(&c->lock);
    while ((t = take_task(c))) {
        pthread_mutex_unlock(&c->lock);
        t->fn(t, t->arg);
        pthread_mutex_lock(&c->lock);
        counter_add(&c->stats.running, -(size_t)1);
        counter_add(&c->stats.done, (uint64_t)1);
        inbox_send(t->reactor, &t->done_msg); /* `t` may be gone from here on */
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct compute *
compute_new(size_t threads, size_t max_queued)
{
    struct compute *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->thread_count = threads ? threads : (cores > 0 ? (size_t)cores : 1);
    c->max_queued = max_queued ? max_queued : 1024;
    list_init(&c->queue);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    c->threads = calloc(c->thread_count, sizeof(*c->threads));
    ASSERT(c->threads != NULL);
    for (size_t i = 0; i < c->thread_count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "compute/%u", (unsigned)i);
        ASSERT(thread_start(&c->threads[i], name, compute_thread, c) == 0);
    }
    return c;
}

void
compute_free(struct compute *c)
{
    if (!c)
        return;
    if (default_pool == c)
        default_pool = NULL;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->thread_count; i++)
        pthread_join(c->threads[i], NULL);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    free(c->threads);
    free(c);
}

void
compute_set_default(struct compute *c)
{
    default_pool = c;
}

const struct compute_stats *
compute_stats(const struct compute *c)
{
    return &c->stats;
}

static bool
queue_task(struct compute *c, struct compute_task *t)
{
    pthread_mutex_lock(&c->lock);
    bool room = c->queued < c->max_queued && !c->stopping;
    if (room) {
        list_push(&c->queue, &t->link);
        stat_set(&c->stats.queued, ++c->queued);
        pthread_cond_signal(&c->work);
    }
    pthread_mutex_unlock(&c->lock);
    return room;
}

/* Takes a task that no thread has begun out of the queue. */
static bool
unqueue_task(struct compute *c, struct compute_task *t)
{
    pthread_mutex_lock(&c->lock);
    bool queued = !list_empty(&t->link);
    if (queued) {
        list_remove(&t->link);
        stat_set(&c->stats.queued, --c->queued);
    }
    pthread_mutex_unlock(&c->lock);
    return queued;
}

/* Wakes the fiber that waits, for its watch. */
struct ticker {
    struct timer timer;
    struct compute_task *task;
    bool due;
};

static void
on_tick(struct timer *timer)
{
    struct ticker *k = container_of(timer, struct ticker, timer);
    k->due = true;
    fiber_wake(k->task->fiber);
}

static void
set_ticker(struct ticker *k, const struct compute_watch *watch)
{
    k->due = false;
    timer_set(k->task->reactor, &k->timer, clock_now() + watch->every);
}

static enum status
wait_done(struct ctx *ctx, struct compute_task *t, const struct compute_watch *watch)
{
    struct ticker k = {.task = t};
    enum status st = OK;
    timer_init(&k.timer, on_tick);
    if (watch)
        set_ticker(&k, watch);
    while (!t->done && st == OK) {
        st = fiber_park(ctx);
        if (st != OK || t->done || !k.due)
            continue;
        st = watch->tick(watch->arg);
        set_ticker(&k, watch);
    }
    timer_stop(t->reactor, &k.timer);
    return st;
}

enum status
compute_run_watched(struct ctx *ctx, compute_fn fn, void *arg, const struct compute_watch *watch)
{
    struct compute *c = default_pool;
    ASSERT(c != NULL && fiber_self() != NULL);
    enum status st = ctx_check(ctx);
    if (st != OK)
        return st;
    struct compute_task t = {
        .fn = fn,
        .arg = arg,
        .fiber = fiber_self(),
        .reactor = reactor_current(),
        .done_msg = {.fn = on_done},
    };
    list_init(&t.link);
    if (FAILPOINT(compute_full) || !queue_task(c, &t))
        return fail_plain(ctx, OVERLOADED);
    st = wait_done(ctx, &t, watch);
    if (st == OK || t.done)
        return st;
    if (unqueue_task(c, &t))
        return st;
    atomic_store_explicit(&t.cancelled, true, memory_order_relaxed);
    while (!t.done)
        fiber_park_uninterruptible();
    return st;
}

enum status
compute_run(struct ctx *ctx, compute_fn fn, void *arg)
{
    return compute_run_watched(ctx, fn, arg, NULL);
}
