/*
 * What the runtime costs: a table for people, then `name value unit` lines for programs.
 *
 *     run_bench [seconds for each measurement, default 0.5]
 *
 * Each number is the best of five runs of a fifth of that time: what the code costs when nothing
 * else is on the machine's mind.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/compute.h"
#include "run/ctx.h"
#include "run/fiber.h"
#include "run/fiber_switch.h"
#include "run/inbox.h"
#include "run/reactor.h"
#include "run/timer.h"

#define RUNS  5
#define STACK ((size_t)64 * 1024)

static nsec_t run_time = MSEC(100);

struct result {
    const char *name;
    const char *work;
    double ns;
};

static struct result results[32];
static size_t result_count;

static void
report(const char *name, const char *work, double ns)
{
    ASSERT(result_count < ARRAY_LEN(results));
    results[result_count++] = (struct result){name, work, ns};
}

/* Calls `fn(arg, n)` with growing n until it takes a run's time; the best of the runs, ns for each
 * n. */
static double
measure(void (*fn)(void *arg, uint64_t n), void *arg)
{
    double best = 0;
    uint64_t n = 16;
    for (int run = 0; run < RUNS; run++)
        for (;;) {
            nsec_t begin = clock_now();
            fn(arg, n);
            nsec_t took = clock_now() - begin;
            if (took < run_time / 2) {
                n *= took < run_time / 20 ? 8 : 2;
                continue;
            }
            double each = (double)took / (double)n;
            if (best == 0 || each < best)
                best = each;
            break;
        }
    return best;
}

/* ---- the bare switch ----------------------------------------------------------------------------
 */

struct pair {
    struct fiber_point here;
    struct fiber_point there;
    ucontext_t uc_here;
    ucontext_t uc_there;
};

static struct pair pair;

static void
switch_back(void *arg)
{
    struct pair *p = arg;
    for (;;)
        fiber_switch(&p->there, &p->here);
}

static void
bare_switches(void *arg, uint64_t n)
{
    struct pair *p = arg;
    for (uint64_t i = 0; i < n; i++)
        fiber_switch(&p->here, &p->there);
}

static void
swap_back(void)
{
    for (;;)
        swapcontext(&pair.uc_there, &pair.uc_here);
}

static void
ucontext_swaps(void *arg, uint64_t n)
{
    (void)arg;
    for (uint64_t i = 0; i < n; i++)
        swapcontext(&pair.uc_here, &pair.uc_there);
}

static void
bench_bare_switch(void)
{
    void *stack = aligned_alloc(64, STACK);
    ASSERT(stack != NULL);
    fiber_point_init(&pair.there, stack, STACK, switch_back, &pair);
    report("switch_pair_bare", "switch to another stack and back", measure(bare_switches, &pair));
    ASSERT(getcontext(&pair.uc_there) == 0);
    pair.uc_there.uc_stack.ss_sp = stack;
    pair.uc_there.uc_stack.ss_size = STACK;
    makecontext(&pair.uc_there, swap_back, 0);
    report("switch_pair_ucontext", "the same with glibc's swapcontext",
           measure(ucontext_swaps, NULL));
    free(stack);
}

/* ---- on one reactor
 * ------------------------------------------------------------------------------- */

struct echo {
    struct fiber *waiter;
    struct fiber *waker;
    uint64_t left;
    struct ctx *ctx;
};

static void
wait_and_wake(void *arg)
{
    struct echo *e = arg;
    e->waiter = fiber_self();
    while (e->left > 0) {
        fiber_park_uninterruptible();
        fiber_wake(e->waker);
    }
}

/* Two fibers that wake and wait for each other: two wakes, two parks, four switches. */
static void
park_wake_pairs(void *arg, uint64_t n)
{
    struct echo e = {.left = n, .waker = fiber_self(), .ctx = arg};
    ASSERT(fiber_spawn(e.ctx->reactor, wait_and_wake, &e));
    ASSERT(fiber_yield(e.ctx) == OK);
    for (uint64_t i = 0; i < n; i++) {
        e.left--;
        fiber_wake(e.waiter);
        ASSERT(fiber_park(e.ctx) == OK);
    }
}

static void
yields(void *arg, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        ASSERT(fiber_yield(arg) == OK);
}

static void
end_at_once(void *arg)
{
    ++*(uint64_t *)arg;
}

static void
spawns(void *arg, uint64_t n)
{
    struct ctx *ctx = arg;
    uint64_t ended = 0;
    for (uint64_t i = 0; i < n; i++) {
        ASSERT(fiber_spawn(ctx->reactor, end_at_once, &ended));
        if (i % 64 == 63)
            ASSERT(fiber_yield(ctx) == OK);
    }
    while (ended < n)
        ASSERT(fiber_yield(ctx) == OK);
}

static void
ignore(struct timer *t)
{
    (void)t;
}

static void
set_and_stop(void *arg, uint64_t n)
{
    struct ctx *ctx = arg;
    struct timer t;
    timer_init(&t, ignore);
    nsec_t at = clock_now() + SEC(30);
    for (uint64_t i = 0; i < n; i++) {
        timer_set(ctx->reactor, &t, at + (nsec_t)(i * 7919 % 1000000) * 1000);
        timer_stop(ctx->reactor, &t);
    }
}

static void
bench_timers_among(struct ctx *ctx, size_t n, const char *name, const char *work)
{
    struct timer *others = calloc(n, sizeof(*others));
    ASSERT(others != NULL);
    nsec_t at = clock_now() + SEC(30);
    for (size_t i = 0; i < n; i++) {
        timer_init(&others[i], ignore);
        timer_set(ctx->reactor, &others[i], at + (nsec_t)(i * 104729 % 1000003) * 1000);
    }
    report(name, work, measure(set_and_stop, ctx));
    for (size_t i = 0; i < n; i++)
        timer_stop(ctx->reactor, &others[i]);
    free(others);
}

struct burst_msg {
    struct inbox_msg msg;
    uint64_t *ran;
};

static void
count_msg(struct inbox_msg *m)
{
    ++*container_of(m, struct burst_msg, msg)->ran;
}

static void
local_messages(void *arg, uint64_t n)
{
    static struct burst_msg msgs[64];
    struct ctx *ctx = arg;
    uint64_t ran = 0;
    for (uint64_t i = 0; i < n; i++) {
        msgs[i % 64] = (struct burst_msg){.msg.fn = count_msg, .ran = &ran};
        inbox_send(ctx->reactor, &msgs[i % 64].msg);
        if (i % 64 == 63)
            ASSERT(fiber_yield(ctx) == OK);
    }
    while (ran < n)
        ASSERT(fiber_yield(ctx) == OK);
}

static void
do_nothing(struct compute_task *t, void *arg)
{
    (void)t;
    (void)arg;
}

static void
computes(void *arg, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        ASSERT(compute_run(arg, do_nothing, NULL) == OK);
}

static void
bench_on_reactor(struct ctx *ctx, void *arg)
{
    (void)arg;
    report("fiber_pair", "wake and park, there and back (two fibers)",
           measure(park_wake_pairs, ctx));
    ctx->deadline = clock_now() + SEC(3600);
    report("fiber_pair_deadline", "the same with a deadline", measure(park_wake_pairs, ctx));
    ctx->deadline = NSEC_NEVER;
    report("yield", "yield: a whole loop turn with its poll", measure(yields, ctx));
    report("spawn_end", "spawn a fiber and let it end", measure(spawns, ctx));
    report("timer_set_stop", "set and stop a timer", measure(set_and_stop, ctx));
    bench_timers_among(ctx, 100000, "timer_set_stop_100k", "the same among 100 000 others");
    report("inbox_local", "a message to the own reactor, in bursts of 64",
           measure(local_messages, ctx));
    struct compute *pool = compute_new(1, 16);
    compute_set_default(pool);
    report("compute_run", "an empty function on the compute pool and back", measure(computes, ctx));
    compute_free(pool);
}

/* ---- between threads
 * ------------------------------------------------------------------------------ */

struct ball {
    struct inbox_msg msg;
    struct reactor *sides[2];
    unsigned side;
    uint64_t left;
    struct reactor *home;
    struct inbox_msg over_msg;
    struct fiber *waiter;
};

static void
on_over(struct inbox_msg *m)
{
    fiber_wake(container_of(m, struct ball, over_msg)->waiter);
}

static void
on_ball(struct inbox_msg *m)
{
    struct ball *b = container_of(m, struct ball, msg);
    if (b->left-- == 0) {
        inbox_send(b->home, &b->over_msg);
        return;
    }
    b->side ^= 1;
    inbox_send(b->sides[b->side], m);
}

/* There and back between two reactors, both asleep when it arrives. */
static void
round_trips(void *arg, uint64_t n)
{
    struct ball *b = arg;
    b->left = 2 * n;
    b->waiter = fiber_self();
    inbox_send(b->sides[b->side], &b->msg);
    fiber_park_uninterruptible();
}

static void
bench_round_trips(struct ctx *ctx, void *arg)
{
    struct reactor **sides = arg;
    struct ball b = {
        .msg.fn = on_ball,
        .sides = {sides[0], sides[1]},
        .home = ctx->reactor,
        .over_msg.fn = on_over,
    };
    report("inbox_round_trip", "a message to a sleeping reactor and back",
           measure(round_trips, &b));
}

#define FLOOD 4096

struct flood {
    struct reactor *to;
    struct burst_msg *msgs;
    _Alignas(CACHE_LINE) _Atomic(uint64_t) ran;
    uint64_t count;
    struct inbox_msg end;
};

struct flood_msg {
    struct inbox_msg msg;
    struct flood *flood;
};

static void
on_flood(struct inbox_msg *m)
{
    struct flood *f = container_of(m, struct flood_msg, msg)->flood;
    f->count++;
    atomic_store_explicit(&f->ran, f->count, memory_order_release);
}

/* One producer sends as fast as it can, with at most FLOOD messages on their way. */
static void
one_way(void *arg, uint64_t n)
{
    static struct flood_msg msgs[FLOOD];
    struct flood *f = arg;
    uint64_t base = atomic_load(&f->ran);
    uint64_t seen = base;
    for (uint64_t i = 0; i < n; i++) {
        while (base + i - seen >= FLOOD)
            seen = atomic_load_explicit(&f->ran, memory_order_acquire);
        struct flood_msg *m = &msgs[i % FLOOD];
        *m = (struct flood_msg){.msg.fn = on_flood, .flood = f};
        inbox_send(f->to, &m->msg);
    }
    while (atomic_load_explicit(&f->ran, memory_order_acquire) - base < n)
        ;
}

static void
bench_between_threads(void)
{
    struct reactor *sides[2];
    for (int i = 0; i < 2; i++) {
        sides[i] = reactor_new(NULL);
        reactor_start(sides[i]);
    }
    reactor_run_main(bench_round_trips, sides);
    struct flood f = {.to = sides[0]};
    report("inbox_one_way", "a message from another thread, flooding", measure(one_way, &f));
    for (int i = 0; i < 2; i++) {
        reactor_stop(sides[i]);
        reactor_join(sides[i]);
        reactor_free(sides[i]);
    }
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        run_time = (nsec_t)(strtod(argv[1], NULL) * 1e9 / RUNS);
    if (run_time <= 0) {
        fprintf(stderr, "usage: run_bench [seconds for each measurement]\n");
        return 2;
    }
    bench_bare_switch();
    reactor_run_main(bench_on_reactor, NULL);
    bench_between_threads();
    printf("%-55s | %10s\n", "work", "ns");
    printf("--------------------------------------------------------|-----------\n");
    for (size_t i = 0; i < result_count; i++)
        printf("%-55s | %10.1f\n", results[i].work, results[i].ns);
    printf("\n");
    for (size_t i = 0; i < result_count; i++)
        printf("run_%s %.1f ns\n", results[i].name, results[i].ns);
    return 0;
}
