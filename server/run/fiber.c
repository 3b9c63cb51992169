#include "run/fiber.h"

#include "run/ctx.h"
#include "run/reactor_private.h"

static void
make_ready(struct fiber *f)
{
    f->state = FIBER_READY;
    list_push(&f->reactor->ready, &f->link);
}

void
fiber_interrupt(struct fiber *f)
{
    if (f->state == FIBER_PARKED)
        make_ready(f);
}

static void
on_deadline(struct timer *t)
{
    struct fiber *f = container_of(t, struct fiber, deadline);
    if (f->waits_for)
        fiber_interrupt(f);
}

static void
fiber_end(struct fiber *f)
{
    struct reactor *r = f->reactor;
    timer_stop(r, &f->deadline);
    f->state = FIBER_FREE;
    counter_add(&r->stats.fibers_live, -(size_t)1);
    stacks_put(&r->stacks, f);
}

/* From the loop into `f`, until it suspends or ends. */
static void
enter(struct reactor *r, struct fiber *f)
{
    r->running = f;
    f->state = FIBER_RUNNING;
    f->ran = true;
    r->stacks.dirty = true;
    if (UNLIKELY(r->stacks.sweep_at == NSEC_NEVER))
        r->stacks.sweep_at = reactor_now(r) + r->stacks.round;
    counter_add(&r->stats.fiber_switches, 1);
    sanitizer_before_enter(r, f);
    fiber_switch(&r->loop_point, &f->point);
    sanitizer_after_enter(r);
    r->running = NULL;
    if (f->state == FIBER_ENDED)
        fiber_end(f);
}

/* From the running fiber to the loop, until it is entered again. */
static void
leave(struct fiber *f)
{
    struct reactor *r = f->reactor;
    sanitizer_before_leave(r, f, false);
    fiber_switch(&f->point, &r->loop_point);
    sanitizer_after_leave(r, f, false);
}

/* The bottom frame of each stack; it is kept when a fiber ends, and runs the next. */
void
fiber_main(void *arg)
{
    struct fiber *f = arg;
    sanitizer_fiber_begin(f->reactor, f);
    for (;;) {
        f->fn(f->arg);
        f->state = FIBER_ENDED;
        sanitizer_before_leave(f->reactor, f, true);
        fiber_switch(&f->point, &f->reactor->loop_point);
        sanitizer_after_leave(f->reactor, f, true);
    }
}

static struct fiber *
fiber_new(struct reactor *r, fiber_fn fn, void *arg)
{
    ASSERT(r == reactor_current() || r->state == REACTOR_NEW);
    struct fiber *f = NULL;
    if (LIKELY(stat_get(&r->stats.fibers_live) < r->max_fibers))
        f = stacks_get(&r->stacks);
    if (UNLIKELY(!f)) {
        counter_add(&r->stats.fibers_refused, 1);
        return NULL;
    }
    list_init(&f->link);
    list_init(&f->cond_link);
    f->fn = fn;
    f->arg = arg;
    f->waits_for = NULL;
    f->woken = false;
    timer_init(&f->deadline, on_deadline);
    counter_add(&r->stats.fibers_live, (size_t)1);
    return f;
}

bool
fiber_spawn(struct reactor *r, fiber_fn fn, void *arg)
{
    struct fiber *f = fiber_new(r, fn, arg);
    if (!f)
        return false;
    make_ready(f);
    return true;
}

bool
fiber_run(struct reactor *r, fiber_fn fn, void *arg)
{
    ASSERT(r == reactor_current() && !r->running);
    struct fiber *f = fiber_new(r, fn, arg);
    if (!f)
        return false;
    enter(r, f);
    return true;
}

void
fibers_run(struct reactor *r, size_t *budget)
{
    struct list *n;
    while (*budget > 0 && (n = list_pop(&r->ready))) {
        (*budget)--;
        enter(r, container_of(n, struct fiber, link));
    }
}

struct fiber *
fiber_self(void)
{
    struct reactor *r = reactor_current();
    return r ? r->running : NULL;
}

static struct fiber *
running_fiber(void)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL);
    return f;
}

/* Suspends `f` until a wake or an interruption; what happens to ctx is one. */
static void
suspend_for(struct fiber *f, struct ctx *ctx)
{
    if (ctx->deadline != NSEC_NEVER && (ctx->deadline != f->deadline.at || !f->deadline.slot))
        timer_set(f->reactor, &f->deadline, ctx->deadline);
    ASSERT(ctx->suspended == NULL); /* one fiber a context: ctx_cancel would miss the other */
    ctx->fiber = f;
    ctx->suspended = f;
    f->waits_for = ctx;
    f->state = FIBER_PARKED;
    leave(f);
    f->waits_for = NULL;
    ctx->suspended = NULL;
}

static bool
take_wake(struct fiber *f)
{
    bool woken = f->woken;
    f->woken = false;
    return woken;
}

enum status
fiber_park(struct ctx *ctx)
{
    struct fiber *f = running_fiber();
    enum status st = ctx_check_at(ctx, reactor_now(f->reactor));
    while (st == OK && !take_wake(f)) {
        suspend_for(f, ctx);
        if (take_wake(f))
            return OK;
        st = ctx_check(ctx);
    }
    return st;
}

void
fiber_park_uninterruptible(void)
{
    struct fiber *f = running_fiber();
    while (!take_wake(f)) {
        f->state = FIBER_PARKED;
        leave(f);
    }
}

void
fiber_wake(struct fiber *f)
{
    ASSERT(f->reactor == reactor_current() && f->state != FIBER_FREE);
    f->woken = true;
    if (f->state == FIBER_PARKED)
        make_ready(f);
}

enum status
fiber_yield(struct ctx *ctx)
{
    struct fiber *f = running_fiber();
    enum status st = ctx_check(ctx);
    if (st != OK)
        return st;
    f->state = FIBER_READY;
    list_push(&f->reactor->yielded, &f->link);
    leave(f);
    return ctx_check(ctx);
}

struct sleep {
    struct timer timer;
    struct fiber *fiber;
    bool over;
};

static void
on_sleep_over(struct timer *t)
{
    struct sleep *s = container_of(t, struct sleep, timer);
    s->over = true;
    fiber_interrupt(s->fiber);
}

enum status
fiber_sleep(struct ctx *ctx, nsec_t d)
{
    if (d <= 0)
        return fiber_yield(ctx);
    enum status st = ctx_check(ctx);
    if (st != OK)
        return st;
    nsec_t now = clock_now();
    struct sleep s = {.fiber = running_fiber()};
    timer_init(&s.timer, on_sleep_over);
    timer_set(s.fiber->reactor, &s.timer, d < NSEC_NEVER - now ? now + d : NSEC_NEVER);
    while (!s.over && st == OK) {
        suspend_for(s.fiber, ctx); /* a wake meanwhile is left to the next park */
        if (!s.over)
            st = ctx_check(ctx);
    }
    timer_stop(s.fiber->reactor, &s.timer);
    return st;
}

void
cond_init(struct cond *c)
{
    list_init(&c->waiters);
}

enum status
cond_wait(struct cond *c, struct ctx *ctx)
{
    struct fiber *f = running_fiber();
    enum status st = OK;
    f->signalled = false;
    list_push(&c->waiters, &f->cond_link);
    while (!f->signalled && st == OK)
        st = fiber_park(ctx);
    list_remove(&f->cond_link);
    return st;
}

void
cond_signal(struct cond *c)
{
    struct list *n = list_pop(&c->waiters);
    if (!n)
        return;
    struct fiber *f = container_of(n, struct fiber, cond_link);
    f->signalled = true;
    fiber_wake(f);
}

void
cond_broadcast(struct cond *c)
{
    while (!list_empty(&c->waiters))
        cond_signal(c);
}
