#include "unit/run/run_test.h"

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
