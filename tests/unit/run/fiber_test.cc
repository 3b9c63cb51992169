#include "unit/run/run_test.h"

#include <algorithm>
#include <cfenv>
#include <cstring>

TEST(fiber, runs_and_ends)
{
    std::string order;
    run([&](struct reactor *r) {
        EXPECT_EQ(reactor_current(), r);
        EXPECT_NE(fiber_self(), nullptr);
        test_ctx ctx;
        EXPECT_TRUE(spawn(r, [&] { order += 'b'; }));
        EXPECT_TRUE(spawn(r, [&] { order += 'c'; }));
        order += 'a';
        EXPECT_EQ(fiber_yield(&ctx), OK);
        order += 'd';
        EXPECT_EQ(load(&reactor_stats(r)->fibers_live), 1u);
    });
    EXPECT_EQ(order, "abcd");
    EXPECT_EQ(reactor_current(), nullptr);
    EXPECT_EQ(fiber_self(), nullptr);
}

TEST(fiber, keeps_callee_saved_registers_and_floating_point)
{
    run([](struct reactor *r) {
        for (int f = 0; f < 8; f++)
            spawn(r, [f] {
                test_ctx ctx;
                double x[12];
                long k[12];
                for (int i = 0; i < 12; i++) {
                    x[i] = f * 100 + i;
                    k[i] = f * 1000 + i;
                }
                for (int round = 0; round < 20; round++) {
                    ASSERT_EQ(fiber_yield(&ctx), OK);
                    for (int i = 0; i < 12; i++) {
                        x[i] += 1;
                        k[i] += 1;
                    }
                }
                for (int i = 0; i < 12; i++) {
                    EXPECT_EQ(x[i], f * 100 + i + 20);
                    EXPECT_EQ(k[i], f * 1000 + i + 20);
                }
            });
    });
}

TEST(fiber, keeps_its_rounding_mode_to_itself)
{
    run([](struct reactor *r) {
        const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
        for (int mode : modes)
            spawn(r, [mode] {
                test_ctx ctx;
                EXPECT_EQ(fegetround(), FE_TONEAREST);
                fesetround(mode);
                volatile double one = 1;
                volatile double three = 3;
                double third = one / three; /* mxcsr on x86, which fegetround does not read */
                for (int i = 0; i < 5; i++) {
                    ASSERT_EQ(fiber_yield(&ctx), OK);
                    EXPECT_EQ(fegetround(), mode);
                    double again = one / three;
                    EXPECT_EQ(memcmp(&again, &third, sizeof(third)), 0);
                }
                fesetround(FE_TONEAREST); /* the stack's next fiber begins as this one ends */
            });
        test_ctx ctx;
        for (int i = 0; i < 8; i++) {
            ASSERT_EQ(fiber_yield(&ctx), OK);
            EXPECT_EQ(fegetround(), FE_TONEAREST);
        }
    });
}

TEST(fiber, wakes_a_parked_one_once)
{
    run([](struct reactor *r) {
        struct fiber *sleeper = nullptr;
        int woken = 0;
        spawn(r, [&] {
            test_ctx ctx;
            sleeper = fiber_self();
            EXPECT_EQ(fiber_park(&ctx), OK);
            woken++;
            EXPECT_EQ(fiber_park(&ctx), OK);
            woken++;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        ASSERT_NE(sleeper, nullptr);
        fiber_wake(sleeper);
        fiber_wake(sleeper); /* the same wake: it has not run yet */
        EXPECT_EQ(woken, 0); /* a wake never switches */
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(woken, 1);
        fiber_wake(sleeper);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(woken, 2);
    });
}

TEST(fiber, keeps_a_wake_that_comes_before_the_park)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        nsec_t begin = clock_now();
        fiber_wake(fiber_self());
        fiber_wake(fiber_self());
        EXPECT_EQ(fiber_park(&ctx), OK);
        /* Several count once: the second park must last until its deadline. */
        ctx.deadline = begin + MSEC(20);
        EXPECT_EQ(fiber_park(&ctx), DEADLINE_EXCEEDED);
        EXPECT_GE(clock_now(), begin + MSEC(20));
        (void)r;
    });
}

TEST(fiber, may_be_run_at_once_from_the_loop)
{
    struct start : inbox_msg {
        std::string *order;
    } m;
    std::string order;
    m.order = &order;
    m.fn = [](struct inbox_msg *msg) {
        std::string *o = static_cast<start *>(msg)->order;
        *o += '(';
        bool ran = fiber_run(
            reactor_current(),
            [](void *arg) {
                test_ctx ctx;
                *static_cast<std::string *>(arg) += 'x';
                EXPECT_EQ(fiber_yield(&ctx), OK);
                *static_cast<std::string *>(arg) += 'y';
            },
            o);
        EXPECT_TRUE(ran);
        EXPECT_EQ(fiber_self(), nullptr);
        *o += ')';
    };
    run([&](struct reactor *r) { inbox_send(r, &m); });
    EXPECT_EQ(order, "(x)y");
}

TEST(fiber, is_cancelled_while_parked)
{
    run([](struct reactor *r) {
        struct ctx *theirs = nullptr;
        enum status st = OK;
        enum reason reason = REASON_NONE;
        spawn(r, [&] {
            test_ctx ctx;
            theirs = &ctx;
            st = fiber_park(&ctx);
            reason = ctx.error.reason;
            EXPECT_EQ(fiber_park(&ctx), CANCELLED); /* and so does every one after it */
            EXPECT_EQ(fiber_yield(&ctx), CANCELLED);
            EXPECT_EQ(fiber_sleep(&ctx, SEC(100)), CANCELLED);
            EXPECT_EQ(ctx_check(&ctx), CANCELLED);
            theirs = nullptr;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        ctx_cancel(theirs);
        EXPECT_NE(theirs, nullptr);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(theirs, nullptr);
        EXPECT_EQ(st, CANCELLED);
        EXPECT_EQ(reason, REASON_CANCELLED_BY_CALLER);
    });
}

TEST(fiber, is_cancelled_before_it_parks_and_keeps_the_wake)
{
    run([](struct reactor *) {
        test_ctx ctx;
        test_ctx other;
        ctx_cancel(&ctx);
        fiber_wake(fiber_self());
        EXPECT_EQ(fiber_park(&ctx), CANCELLED);
        EXPECT_EQ(fiber_park(&other), OK);
    });
}

TEST(fiber, prefers_the_wake_when_both_come)
{
    run([](struct reactor *r) {
        struct ctx *theirs = nullptr;
        struct fiber *f = nullptr;
        enum status first = UNKNOWN;
        enum status second = UNKNOWN;
        spawn(r, [&] {
            test_ctx ctx;
            theirs = &ctx;
            f = fiber_self();
            first = fiber_park(&ctx);
            second = fiber_park(&ctx);
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        ctx_cancel(theirs);
        fiber_wake(f);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(first, OK);
        EXPECT_EQ(second, CANCELLED);
    });
}

TEST(fiber, cancel_of_a_context_that_its_fiber_has_left_wakes_nobody)
{
    run([](struct reactor *r) {
        test_ctx stale;
        struct fiber *f = nullptr;
        bool woken = false;
        spawn(r, [&] {
            test_ctx ctx;
            f = fiber_self();
            stale.deadline = clock_now() + MSEC(1);
            EXPECT_EQ(fiber_park(&stale), DEADLINE_EXCEEDED);
            EXPECT_EQ(fiber_park(&ctx), OK);
            woken = true;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(3)), OK);
        ctx_cancel(&stale);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_FALSE(woken);
        fiber_wake(f);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(woken);
    });
}

TEST(fiber, parks_until_its_deadline_and_not_before)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        for (int i = 0; i < 5; i++) {
            ctx.deadline = clock_now() + MSEC(3);
            EXPECT_EQ(fiber_park(&ctx), DEADLINE_EXCEEDED);
            EXPECT_GE(clock_now(), ctx.deadline);
            EXPECT_EQ(ctx.error.reason, REASON_DEADLINE_PASSED);
            fail_clear(&ctx);
        }
        ctx.deadline = clock_now() - 1;
        EXPECT_EQ(fiber_park(&ctx), DEADLINE_EXCEEDED);
        EXPECT_EQ(ctx_left(&ctx), 0);
        ctx.deadline = NSEC_NEVER;
        EXPECT_EQ(ctx_left(&ctx), NSEC_NEVER);
        EXPECT_EQ(ctx_check(&ctx), OK);
        (void)r;
    });
}

TEST(fiber, a_deadline_moved_while_parked_counts_from_the_next_suspension)
{
    run([](struct reactor *r) {
        struct ctx *theirs = nullptr;
        nsec_t woke = 0;
        spawn(r, [&] {
            test_ctx ctx;
            theirs = &ctx;
            ctx.deadline = clock_now() + MSEC(2);
            EXPECT_EQ(fiber_park(&ctx), DEADLINE_EXCEEDED);
            woke = clock_now();
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        nsec_t later = clock_now() + MSEC(10);
        theirs->deadline = later;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(20)), OK);
        EXPECT_GE(woke, later);
    });
}

TEST(fiber, leaves_no_timer_behind)
{
    run([](struct reactor *r) {
        for (int i = 0; i < 100; i++)
            spawn(r, [] {
                test_ctx ctx;
                ctx.deadline = clock_now() + SEC(100);
                fiber_wake(fiber_self());
                EXPECT_EQ(fiber_park(&ctx), OK);
                EXPECT_EQ(fiber_sleep(&ctx, USEC(100)), OK);
            });
        test_ctx ctx;
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_sleep(&ctx, MSEC(1)), OK);
        EXPECT_EQ(load(&reactor_stats(r)->timers), 0u);
    });
}

TEST(fiber, parks_blind_to_cancellation_where_it_must_finish)
{
    run([](struct reactor *r) {
        struct fiber *f = nullptr;
        struct ctx *theirs = nullptr;
        bool over = false;
        spawn(r, [&] {
            test_ctx ctx;
            theirs = &ctx;
            ctx.deadline = clock_now() + USEC(100);
            f = fiber_self();
            fiber_park_uninterruptible();
            over = true;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        ctx_cancel(theirs);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(2)), OK);
        EXPECT_FALSE(over);
        fiber_wake(f);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(over);
    });
}

TEST(fiber, sleeps_at_least_as_long_as_asked)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        std::vector<nsec_t> late;
        for (int i = 0; i < 50; i++) {
            nsec_t d = USEC(100 + 37 * i);
            nsec_t begin = clock_now();
            EXPECT_EQ(fiber_sleep(&ctx, d), OK);
            late.push_back(clock_now() - begin - d);
            EXPECT_GE(late.back(), 0);
        }
        std::sort(late.begin(), late.end());
        printf("sleep is late by %.0f us (median)\n", (double)late[late.size() / 2] / 1e3);
        EXPECT_LT(late[late.size() / 2], MSEC(200)); /* tens of microseconds on a quiet machine */
        EXPECT_EQ(fiber_sleep(&ctx, 0), OK);
        EXPECT_EQ(fiber_sleep(&ctx, -1), OK);
        /* A wake does not end a sleep, and is not lost by it. */
        struct fiber *self = fiber_self();
        spawn(r, [self] { fiber_wake(self); });
        nsec_t begin = clock_now();
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(2)), OK);
        EXPECT_GE(clock_now() - begin, MSEC(2));
        EXPECT_EQ(fiber_park(&ctx), OK);
        ctx.deadline = clock_now() + MSEC(2);
        EXPECT_EQ(fiber_sleep(&ctx, NSEC_NEVER), DEADLINE_EXCEEDED);
    });
}

TEST(cond, wakes_in_order_of_arrival)
{
    run([](struct reactor *r) {
        struct cond c;
        cond_init(&c);
        std::string order;
        for (char name = 'a'; name <= 'e'; name++)
            spawn(r, [&, name] {
                test_ctx ctx;
                EXPECT_EQ(cond_wait(&c, &ctx), OK);
                order += name;
            });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        cond_signal(&c);
        cond_signal(&c);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(order, "ab");
        cond_broadcast(&c);
        cond_broadcast(&c);
        cond_signal(&c); /* nobody waits: nothing is kept */
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(order, "abcde");
        ctx.deadline = clock_now() + MSEC(1);
        EXPECT_EQ(cond_wait(&c, &ctx), DEADLINE_EXCEEDED);
        EXPECT_TRUE(list_empty(&c.waiters));
    });
}

TEST(cond, loses_no_signal_to_one_that_gives_up)
{
    run([](struct reactor *r) {
        struct cond c;
        cond_init(&c);
        struct ctx *first = nullptr;
        enum status first_status = UNKNOWN;
        bool second_woken = false;
        spawn(r, [&] {
            test_ctx ctx;
            first = &ctx;
            first_status = cond_wait(&c, &ctx);
        });
        spawn(r, [&] {
            test_ctx ctx;
            EXPECT_EQ(cond_wait(&c, &ctx), OK);
            second_woken = true;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        ctx_cancel(first);
        cond_signal(&c); /* the cancelled one has not left yet: it takes the signal and says so */
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(first_status, OK);
        EXPECT_FALSE(second_woken);
        cond_signal(&c);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(second_woken);
    });
}

TEST(cond, ignores_wakes_that_are_not_its_own)
{
    run([](struct reactor *r) {
        struct cond c;
        cond_init(&c);
        struct fiber *f = nullptr;
        bool over = false;
        spawn(r, [&] {
            test_ctx ctx;
            f = fiber_self();
            EXPECT_EQ(cond_wait(&c, &ctx), OK);
            over = true;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        fiber_wake(f);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_FALSE(over);
        cond_signal(&c);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(over);
    });
}

TEST(fiber, is_refused_beyond_the_cap)
{
    struct reactor_options opt = {};
    opt.max_fibers = 10;
    run_with(opt, [](struct reactor *r) {
        int ran = 0;
        for (int i = 0; i < 9; i++)
            EXPECT_TRUE(spawn(r, [&] { ran++; }));
        EXPECT_FALSE(spawn(r, [&] { ran++; }));
        EXPECT_EQ(load(&reactor_stats(r)->fibers_refused), 1u);
        EXPECT_EQ(load(&reactor_stats(r)->fibers_live), 10u);
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(ran, 9);
        EXPECT_TRUE(spawn(r, [&] { ran++; }));
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(ran, 10);
    });
}

TEST(fiber, many_come_and_go)
{
    struct reactor_options opt = {};
    opt.pooled_stacks = 16;
    run_with(opt, [](struct reactor *r) {
        test_ctx ctx;
        uint64_t ended = 0;
        for (int round = 0; round < 50; round++) {
            for (int i = 0; i < 40; i++)
                EXPECT_TRUE(spawn(r, [&ended, i] {
                    test_ctx own;
                    for (int k = 0; k < i % 4; k++)
                        EXPECT_EQ(fiber_yield(&own), OK);
                    ended++;
                }));
            EXPECT_EQ(fiber_yield(&ctx), OK);
        }
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(ended, 2000u);
    });
}
