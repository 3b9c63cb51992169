#include <algorithm>
#include <random>

#include "unit/run/run_test.h"

extern "C" {
#include "unit/run/probe.h"
}

struct tracked : timer {
    std::vector<tracked *> *fired;
};

static void
on_tracked(struct timer *t)
{
    tracked *me = static_cast<tracked *>(t);
    EXPECT_FALSE(timer_pending(t));
    me->fired->push_back(me);
}

/* Against an array that is searched from end to end. */
TEST(timer, agrees_with_a_brute_force_oracle)
{
    std::mt19937 random(20240229);
    for (int round = 0; round < 20; round++) {
        struct reactor *r = reactor_new(nullptr);
        std::vector<tracked *> fired;
        std::vector<tracked> timers(200);
        std::vector<nsec_t> oracle(timers.size(), -1); /* -1: not set */
        for (tracked &t : timers) {
            timer_init(&t, on_tracked);
            t.fired = &fired;
        }
        nsec_t now = 1000;
        for (int step = 0; step < 3000; step++) {
            size_t i = random() % timers.size();
            unsigned what = random() % 8;
            if (what < 5) {
                nsec_t at = now - 20 + (nsec_t)(random() % 300);
                timer_set(r, &timers[i], at);
                oracle[i] = at;
            } else if (what < 7) {
                timer_stop(r, &timers[i]);
                oracle[i] = -1;
            } else {
                now += (nsec_t)(random() % 40);
                fired.clear();
                probe_timers_run(r, now);
                size_t due = 0;
                for (nsec_t &at : oracle)
                    due += at >= 0 && at <= now;
                ASSERT_EQ(fired.size(), due);
                for (size_t k = 0; k < fired.size(); k++) {
                    size_t place = (size_t)(fired[k] - timers.data());
                    ASSERT_GE(oracle[place], 0);
                    ASSERT_LE(oracle[place], now);
                    if (k > 0) {
                        ASSERT_LE(fired[k - 1]->at, fired[k]->at);
                    }
                    oracle[place] = -1;
                }
            }
            ASSERT_EQ(timer_pending(&timers[i]), oracle[i] >= 0);
            ASSERT_EQ(load(&reactor_stats(r)->timers),
                      (size_t)std::count_if(oracle.begin(), oracle.end(),
                                            [](nsec_t at) { return at >= 0; }));
        }
        reactor_free(r);
    }
}

TEST(timer, fires_in_order_and_never_early)
{
    struct timed : timer {
        nsec_t fired_at = 0;
    };
    run([](struct reactor *r) {
        std::mt19937 random(7);
        std::vector<timed> timers(500);
        nsec_t begin = clock_now();
        for (timed &t : timers) {
            timer_init(&t,
                       [](struct timer *me) { static_cast<timed *>(me)->fired_at = clock_now(); });
            timer_set(r, &t, begin + (nsec_t)(random() % 20000000));
        }
        for (size_t i = 0; i < timers.size(); i += 3)
            timer_set(r, &timers[i], begin + (nsec_t)(random() % 20000000));
        for (size_t i = 0; i < timers.size(); i += 5)
            timer_stop(r, &timers[i]);
        test_ctx ctx;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(22)), OK);
        for (size_t i = 0; i < timers.size(); i++) {
            EXPECT_FALSE(timer_pending(&timers[i]));
            if (i % 5 == 0)
                EXPECT_EQ(timers[i].fired_at, 0);
            else
                EXPECT_GE(timers[i].fired_at, timers[i].at);
        }
    });
}

TEST(timer, a_nearer_one_moves_the_alarm)
{
    run([](struct reactor *r) {
        static int fired;
        fired = 0;
        struct timer far;
        struct timer near;
        struct timer never;
        timer_init(&far, [](struct timer *) { fired += 100; });
        timer_init(&near, [](struct timer *) { fired++; });
        timer_init(&never, [](struct timer *) { fired += 1000; });
        test_ctx ctx;
        timer_set(r, &never, NSEC_NEVER);
        timer_set(r, &far, clock_now() + SEC(1000));
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(1)), OK); /* the far one is armed */
        timer_set(r, &near, clock_now() + MSEC(1));
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(3)), OK);
        EXPECT_EQ(fired, 1);
        EXPECT_TRUE(timer_pending(&far));
        EXPECT_TRUE(timer_pending(&never));
        timer_stop(r, &far);
        timer_stop(r, &far);
        timer_stop(r, &never);
        timer_stop(r, &near);
        EXPECT_EQ(load(&reactor_stats(r)->timers), 0u);
    });
}

/* While nothing else wakes the loop: the alarm that was set for later must be moved. */
TEST(timer, a_nearer_one_moves_an_alarm_that_is_set)
{
    struct waker : timer {
        struct fiber *f;
    };
    run([](struct reactor *r) {
        test_ctx ctx;
        waker far;
        waker near;
        timer_init(&far, [](struct timer *) {});
        timer_init(&near, [](struct timer *t) { fiber_wake(static_cast<waker *>(t)->f); });
        near.f = fiber_self();
        timer_set(r, &far, clock_now() + SEC(4));
        uv_timer_t other; /* lets one poll begin with the far one alone */
        uv_timer_init(reactor_loop(r), &other);
        other.data = fiber_self();
        uv_timer_start(
            &other, [](uv_timer_t *h) { fiber_wake(static_cast<struct fiber *>(h->data)); }, 5, 0);
        EXPECT_EQ(fiber_park(&ctx), OK);
        nsec_t begin = clock_now();
        timer_set(r, &near, begin + MSEC(2));
        EXPECT_EQ(fiber_park(&ctx), OK);
        EXPECT_LT(clock_now() - begin, MSEC(800));
        timer_stop(r, &far);
        other.data = fiber_self();
        uv_close(reinterpret_cast<uv_handle_t *>(&other),
                 [](uv_handle_t *h) { fiber_wake(static_cast<struct fiber *>(h->data)); });
        EXPECT_EQ(fiber_park(&ctx), OK); /* the handle lives on this stack */
    });
}

TEST(timer, one_that_sets_itself_to_the_past_does_not_hold_the_loop)
{
    struct eager : timer {
        struct reactor *r;
        int fired = 0;
    };
    run([](struct reactor *r) {
        eager e;
        e.r = r;
        timer_init(&e, [](struct timer *t) {
            eager *me = static_cast<eager *>(t);
            me->fired++;
            timer_set(me->r, t, 1);
        });
        timer_set(r, &e, 1);
        test_ctx ctx;
        for (int i = 0; i < 10; i++)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(1)), OK);
        EXPECT_GE(e.fired, 10);
        timer_stop(r, &e);
    });
}

TEST(timer, a_hundred_thousand_are_no_burden)
{
    run([](struct reactor *r) {
        const size_t n = UNDER_SANITIZER ? 10000 : 100000;
        std::mt19937_64 random(3);
        std::vector<struct timer> timers(n);
        nsec_t begin = clock_now();
        for (struct timer &t : timers) {
            timer_init(&t, [](struct timer *) {});
            timer_set(r, &t, begin + SEC(3600) + (nsec_t)(random() % 1000000000));
        }
        EXPECT_EQ(load(&reactor_stats(r)->timers), n);
        for (struct timer &t : timers)
            timer_stop(r, &t);
        nsec_t each = (clock_now() - begin) / (nsec_t)n;
        printf("set and stop among %zu: %lld ns\n", n, (long long)each);
        EXPECT_EQ(load(&reactor_stats(r)->timers), 0u);
    });
}
