#include "run/reactor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/ctx.h"
#include "run/overflow.h"
#include "run/reactor_private.h"

static _Thread_local struct reactor *current;

struct reactor *
reactor_current(void)
{
    return current;
}

int
reactor_index(const struct reactor *r)
{
    return r->options.index;
}

uv_loop_t *
reactor_loop(struct reactor *r)
{
    return &r->loop;
}

const struct reactor_stats *
reactor_stats(const struct reactor *r)
{
    return &r->stats;
}

bool
reactor_stopping(const struct reactor *r)
{
    return r->stopping;
}

nsec_t
reactor_now(const struct reactor *r)
{
    if (r->now == 0)
        ((struct reactor *)r)->now = clock_now(); /* a cache: not part of what const promises */
    return r->now;
}

void *
reactor_slot(const struct reactor *r, enum reactor_slot s)
{
    return r->slots[s];
}

void
reactor_set_slot(struct reactor *r, enum reactor_slot s, void *p)
{
    r->slots[s] = p;
}

void
turn_hook_init(struct turn_hook *h, void (*fn)(struct turn_hook *))
{
    list_init(&h->link);
    h->fn = fn;
}

void
reactor_at_turn_end(struct reactor *r, struct turn_hook *h)
{
    if (list_empty(&h->link))
        list_push(&r->hooks, &h->link);
}

void
turn_hook_cancel(struct turn_hook *h)
{
    list_remove(&h->link);
}

void
reactor_at_stop(struct reactor *r, struct stop_hook *h)
{
    list_push_front(&r->stop_hooks, &h->link);
}

static void
run_hooks(struct reactor *r)
{
    struct list now;
    struct list *n;
    list_init(&now);
    list_splice(&now, &r->hooks); /* a hook that asks again runs in the next pass */
    while ((n = list_pop(&now))) {
        struct turn_hook *h = container_of(n, struct turn_hook, link);
        h->fn(h);
    }
}

static void
run_turn(struct reactor *r)
{
    r->now = 0;
    counter_add(&r->stats.turns, 1);
    list_splice(&r->ready, &r->yielded);
    inbox_run(r);
    timers_run(r);
    if (UNLIKELY(reactor_now(r) >= r->stacks.sweep_at))
        stacks_sweep(&r->stacks, reactor_now(r));
    size_t budget = TURN_FIBERS;
    for (int pass = 0; pass < TURN_PASSES; pass++) {
        fibers_run(r, &budget);
        if (list_empty(&r->hooks))
            break;
        run_hooks(r);
        if (list_empty(&r->ready))
            break;
    }
}

static bool
has_work(const struct reactor *r)
{
    return !list_empty(&r->ready) || !list_empty(&r->yielded) || !list_empty(&r->hooks);
}

/* What hangs on the loop besides the reactor's own handles, of which one is referenced. */
static bool
has_handles(struct reactor *r)
{
    uv_unref((uv_handle_t *)&r->inbox_poll);
    bool alive = uv_loop_alive(&r->loop) != 0;
    uv_ref((uv_handle_t *)&r->inbox_poll);
    return alive;
}

/* Goes on with the stopping, as far as it can. True: the reactor has ended. */
static bool
try_end(struct reactor *r)
{
    if (stat_get(&r->stats.fibers_live) > 0 || has_work(r))
        return false;
    if (r->state == REACTOR_RUNS) {
        r->state = REACTOR_CLOSES;
        struct list *n;
        while ((n = list_pop(&r->stop_hooks))) {
            struct stop_hook *h = container_of(n, struct stop_hook, link);
            h->fn(h);
        }
        if (stat_get(&r->stats.fibers_live) > 0 || has_work(r))
            return false;
    }
    if (has_handles(r) || !inbox_close(r))
        return false;
    r->state = REACTOR_ENDED;
    return true;
}

static void
on_idle(uv_idle_t *h)
{
    (void)h;
}

static void
set_idle(struct reactor *r, bool on)
{
    if (on == r->idle_on)
        return;
    r->idle_on = on;
    if (on)
        uv_idle_start(&r->idle, on_idle);
    else
        uv_idle_stop(&r->idle);
}

/*
 * The turn is libuv's prepare callback: all others that may wake a fiber (libuv's own timers,
 * closed handles) run before it, and only the poll behind it.
 */
static void
on_prepare(uv_prepare_t *h)
{
    struct reactor *r = h->data;
    run_turn(r);
    bool work = has_work(r);
    if (UNLIKELY(r->stopping) && !work) {
        if (try_end(r)) {
            uv_stop(&r->loop);
            return;
        }
        work = has_work(r);
    }
    set_idle(r, work || !timers_arm(r) || !inbox_sleep(r));
    r->now = 0; /* the poll takes time: callbacks behind it read the clock again */
}

static void
on_inbox_poll(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    inbox_read_wakes(h->data);
}

static void
on_timer_poll(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct reactor *r = h->data;
    timers_read_fd(&r->timers);
}

static void
open_handles(struct reactor *r)
{
    ASSERT(uv_loop_init(&r->loop) == 0);
    uv_prepare_init(&r->loop, &r->prepare);
    uv_idle_init(&r->loop, &r->idle);
    ASSERT(uv_poll_init(&r->loop, &r->inbox_poll, r->inbox.fd) == 0);
    ASSERT(uv_poll_init(&r->loop, &r->timer_poll, r->timers.fd) == 0);
    r->prepare.data = r->idle.data = r->inbox_poll.data = r->timer_poll.data = r;
    uv_prepare_start(&r->prepare, on_prepare);
    uv_poll_start(&r->inbox_poll, UV_READABLE, on_inbox_poll);
    uv_poll_start(&r->timer_poll, UV_READABLE, on_timer_poll);
    uv_unref((uv_handle_t *)&r->prepare);
    uv_unref((uv_handle_t *)&r->idle);
    uv_unref((uv_handle_t *)&r->timer_poll);
}

static void
close_handles(struct reactor *r)
{
    uv_close((uv_handle_t *)&r->prepare, NULL);
    uv_close((uv_handle_t *)&r->idle, NULL);
    uv_close((uv_handle_t *)&r->inbox_poll, NULL);
    uv_close((uv_handle_t *)&r->timer_poll, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&r->loop) == 0);
}

static void
on_stop(struct inbox_msg *m)
{
    container_of(m, struct reactor, stop_msg)->stopping = true;
}

struct reactor *
reactor_new(const struct reactor_options *opt)
{
    struct reactor *r = aligned_alloc(CACHE_LINE, sizeof(*r));
    ASSERT(r != NULL);
    memset(r, 0, sizeof(*r));
    if (opt)
        r->options = *opt;
    r->max_fibers = r->options.max_fibers ? r->options.max_fibers : 12000;
    size_t stack_bytes = r->options.stack_bytes ? r->options.stack_bytes : (size_t)128 * 1024;
    ASSERT(stack_bytes >= (size_t)32 * 1024);
    list_init(&r->ready);
    list_init(&r->yielded);
    list_init(&r->hooks);
    list_init(&r->stop_hooks);
    stacks_init(&r->stacks, r, stack_bytes, r->max_fibers,
                r->options.pooled_stacks ? r->options.pooled_stacks : 256);
    timers_init(&r->timers);
    inbox_init(&r->inbox);
    open_handles(r);
    r->stop_msg.fn = on_stop;
    return r;
}

void
reactor_free(struct reactor *r)
{
    ASSERT(r->state == REACTOR_NEW || r->state == REACTOR_ENDED);
    ASSERT(stat_get(&r->stats.fibers_live) == 0);
    if (r->state == REACTOR_NEW)
        close_handles(r);
    stacks_fini(&r->stacks);
    timers_fini(&r->timers);
    inbox_fini(&r->inbox);
    free(r);
}

void
reactor_run(struct reactor *r)
{
    ASSERT(r->state == REACTOR_NEW && !current);
    r->state = REACTOR_RUNS;
    current = r;
    sanitizer_loop_begin(r);
    void *overflow = overflow_watch_begin();
    while (r->state != REACTOR_ENDED)
        uv_run(&r->loop, UV_RUN_DEFAULT);
    inbox_await_wakers(r);
    close_handles(r);
    overflow_watch_end(overflow);
    current = NULL;
}

struct thread_begin {
    char name[16];
    void *(*fn)(void *);
    void *arg;
};

static void *
begin_thread(void *arg)
{
    struct thread_begin b = *(struct thread_begin *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), b.name);
    return b.fn(b.arg);
}

int
thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    struct thread_begin *b = calloc(1, sizeof(*b));
    ASSERT(b != NULL);
    snprintf(b->name, sizeof(b->name), "%s", name);
    b->fn = fn;
    b->arg = arg;
    sigset_t block;
    sigset_t before;
    sigfillset(&block);
    for (size_t i = 0; i < ARRAY_LEN(synchronous); i++)
        sigdelset(&block, synchronous[i]);
    pthread_sigmask(SIG_SETMASK, &block, &before);
    int err = pthread_create(ret, NULL, begin_thread, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        free(b);
    return err;
}

static void *
reactor_thread(void *arg)
{
    reactor_run(arg);
    return NULL;
}

void
reactor_start(struct reactor *r)
{
    char name[16];
    ASSERT(!r->started);
    snprintf(name, sizeof(name), "reactor/%d", r->options.index);
    r->started = true;
    ASSERT(thread_start(&r->thread, name, reactor_thread, r) == 0);
}

void
reactor_stop(struct reactor *r)
{
    if (!atomic_exchange(&r->stop_asked, true))
        inbox_send(r, &r->stop_msg);
}

void
reactor_join(struct reactor *r)
{
    ASSERT(r->started);
    ASSERT(pthread_join(r->thread, NULL) == 0);
    r->started = false;
}

struct main_work {
    struct reactor *reactor;
    void (*fn)(struct ctx *ctx, void *arg);
    void *arg;
};

static void
run_main_fiber(void *arg)
{
    struct main_work *w = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, w->reactor);
    w->fn(&ctx, w->arg);
    ctx_fini(&ctx);
    arena_fini(&arena);
    reactor_stop(w->reactor);
}

void
reactor_run_main(void (*fn)(struct ctx *ctx, void *arg), void *arg)
{
    struct reactor_options opt = {.stack_bytes = (size_t)256 * 1024};
    struct main_work w = {.reactor = reactor_new(&opt), .fn = fn, .arg = arg};
    bool spawned = fiber_spawn(w.reactor, run_main_fiber, &w);
    ASSERT(spawned);
    reactor_run(w.reactor);
    reactor_free(w.reactor);
}
