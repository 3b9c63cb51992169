#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "unit/run/run_test.h"

extern "C" {
#include "run/compute.h"
}

class compute_pool : public testing::Test
{
  protected:
    struct compute *pool = nullptr;

    void start(size_t threads, size_t max_queued)
    {
        pool = compute_new(threads, max_queued);
        compute_set_default(pool);
    }
    void TearDown() override
    {
        compute_free(pool);
    }
};

struct sum {
    uint64_t n;
    uint64_t result;
    pthread_t thread;
};

static void
add_up(struct compute_task *t, void *arg)
{
    sum *s = static_cast<sum *>(arg);
    EXPECT_FALSE(compute_cancelled(t));
    for (uint64_t i = 1; i <= s->n; i++)
        s->result += i;
    s->thread = pthread_self();
}

/* Holds its thread until the test lets go, or the task is cancelled. */
struct held {
    std::atomic<bool> begun{false};
    std::atomic<bool> let_go{false};
    std::atomic<bool> noticed{false};
    std::atomic<bool> ended{false};
};

static void
hold(struct compute_task *t, void *arg)
{
    held *h = static_cast<held *>(arg);
    h->begun = true;
    while (!h->let_go && !compute_cancelled(t))
        std::this_thread::yield();
    h->noticed = compute_cancelled(t);
    usleep(2000); /* the caller must still be waiting */
    h->ended = true;
}

TEST_F(compute_pool, runs_on_another_thread_and_suspends_only_its_caller)
{
    start(2, 16);
    run([&](struct reactor *r) {
        bool others_ran = false;
        held h;
        spawn(r, [&] {
            others_ran = true;
            h.let_go = true;
        });
        test_ctx ctx;
        EXPECT_EQ(compute_run(&ctx, hold, &h), OK);
        EXPECT_TRUE(others_ran);
        sum s = {1000, 0, {}};
        EXPECT_EQ(compute_run(&ctx, add_up, &s), OK);
        EXPECT_EQ(s.result, 500500u);
        EXPECT_FALSE(pthread_equal(s.thread, pthread_self()));
    });
    EXPECT_EQ(load(&compute_stats(pool)->done), 2u);
    EXPECT_EQ(load(&compute_stats(pool)->queued), 0u);
}

TEST_F(compute_pool, serves_many_from_several_reactors)
{
    start(3, 4096);
    std::vector<struct reactor *> reactors;
    std::atomic<uint64_t> right{0};
    const uint64_t each = 300;
    for (int i = 0; i < 3; i++) {
        struct reactor *r = reactor_new(nullptr);
        for (uint64_t k = 0; k < each; k++)
            ASSERT_TRUE(spawn(r, [&right, k] {
                test_ctx ctx;
                sum s = {k, 0, {}};
                EXPECT_EQ(compute_run(&ctx, add_up, &s), OK);
                right += s.result == k * (k + 1) / 2;
            }));
        reactor_stop(r);
        reactor_start(r);
        reactors.push_back(r);
    }
    for (struct reactor *r : reactors)
        reactor_join(r);
    EXPECT_EQ(right, 3 * each);
    EXPECT_EQ(load(&compute_stats(pool)->done), 3 * each);
    EXPECT_EQ(load(&compute_stats(pool)->running), 0u);
    for (struct reactor *r : reactors)
        reactor_free(r);
}

TEST_F(compute_pool, refuses_when_the_queue_is_full)
{
    start(1, 2);
    run([&](struct reactor *r) {
        held h[3];
        enum status st[3] = {UNKNOWN, UNKNOWN, UNKNOWN};
        test_ctx ctx;
        spawn(r, [&] {
            test_ctx own;
            st[0] = compute_run(&own, hold, &h[0]);
        });
        while (!h[0].begun)
            EXPECT_EQ(fiber_sleep(&ctx, USEC(200)), OK);
        for (int i = 1; i < 3; i++)
            spawn(r, [&, i] {
                test_ctx own;
                st[i] = compute_run(&own, hold, &h[i]);
            });
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(load(&compute_stats(pool)->queued), 2u);
        EXPECT_EQ(load(&compute_stats(pool)->running), 1u);
        held refused;
        EXPECT_EQ(compute_run(&ctx, hold, &refused), RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx.error.reason, REASON_OVERLOADED);
        EXPECT_FALSE(refused.begun);
        for (held &one : h)
            one.let_go = true;
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_sleep(&ctx, USEC(200)), OK);
        for (enum status one : st)
            EXPECT_EQ(one, OK);
    });
}

TEST_F(compute_pool, waits_for_a_cancelled_function_to_notice)
{
    start(1, 16);
    run([&](struct reactor *r) {
        held h;
        struct ctx *theirs = nullptr;
        enum status st = UNKNOWN;
        spawn(r, [&] {
            test_ctx ctx;
            theirs = &ctx;
            st = compute_run(&ctx, hold, &h);
            EXPECT_TRUE(h.ended);
            EXPECT_EQ(ctx.error.reason, REASON_CANCELLED_BY_CALLER);
        });
        test_ctx ctx;
        while (!h.begun)
            EXPECT_EQ(fiber_sleep(&ctx, USEC(200)), OK);
        ctx_cancel(theirs);
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_sleep(&ctx, USEC(200)), OK);
        EXPECT_EQ(st, CANCELLED);
        EXPECT_TRUE(h.noticed);
    });
}

/* Lets a function go at the third tick, or fails there. */
struct ticks {
    held *h;
    struct ctx *ctx;
    int count;
    bool fails;
};

enum status
on_tick(void *arg)
{
    auto *t = static_cast<ticks *>(arg);
    if (++t->count < 3)
        return fiber_sleep(t->ctx, USEC(300)); /* as one that sends */
    if (t->fails)
        return fail_plain(t->ctx, INTERNAL_ERROR);
    t->h->let_go = true;
    return OK;
}

TEST_F(compute_pool, tells_a_watch_while_it_computes)
{
    start(1, 16);
    run([&](struct reactor *) {
        test_ctx ctx;
        held h;
        ticks t = {&h, &ctx, 0, false};
        const struct compute_watch watch = {USEC(500), on_tick, &t};
        EXPECT_EQ(compute_run_watched(&ctx, hold, &h, &watch), OK);
        EXPECT_GE(t.count, 3);
        EXPECT_FALSE(h.noticed);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(2)), OK); /* no timer is left behind */
        /* A watch that fails cancels it, and its failure is the one that is told. */
        held g;
        ticks f = {&g, &ctx, 0, true};
        const struct compute_watch failing = {USEC(500), on_tick, &f};
        EXPECT_EQ(compute_run_watched(&ctx, hold, &g, &failing), INTERNAL);
        EXPECT_EQ(ctx.error.reason, REASON_INTERNAL_ERROR);
        EXPECT_EQ(f.count, 3);
        EXPECT_EQ(g.ended, g.begun);
        EXPECT_EQ(g.noticed, g.begun);
    });
}

TEST_F(compute_pool, gives_up_at_the_deadline)
{
    start(1, 16);
    run([&](struct reactor *) {
        for (nsec_t d = MSEC(5);; d *= 2) {
            held h;
            test_ctx ctx;
            ctx.deadline = clock_now() + d;
            EXPECT_EQ(compute_run(&ctx, hold, &h), DEADLINE_EXCEEDED);
            EXPECT_EQ(ctx.error.reason, REASON_DEADLINE_PASSED);
            EXPECT_EQ(h.ended, h.begun);
            EXPECT_EQ(h.noticed, h.begun);
            if (h.begun) /* on a busy machine it may not have */
                break;
            ASSERT_LT(d, SEC(10));
        }
        test_ctx ctx;
        ctx.deadline = clock_now();
        held late;
        EXPECT_EQ(compute_run(&ctx, hold, &late), DEADLINE_EXCEEDED);
        EXPECT_FALSE(late.begun);
    });
}

TEST_F(compute_pool, never_begins_what_was_cancelled_in_the_queue)
{
    start(1, 16);
    run([&](struct reactor *r) {
        held blocker;
        held queued;
        spawn(r, [&] {
            test_ctx ctx;
            EXPECT_EQ(compute_run(&ctx, hold, &blocker), OK);
        });
        test_ctx wait;
        while (!blocker.begun)
            EXPECT_EQ(fiber_sleep(&wait, USEC(200)), OK);
        test_ctx ctx;
        ctx.deadline = clock_now() + MSEC(2);
        EXPECT_EQ(compute_run(&ctx, hold, &queued), DEADLINE_EXCEEDED);
        EXPECT_EQ(load(&compute_stats(pool)->queued), 0u);
        EXPECT_FALSE(blocker.ended);
        blocker.let_go = true;
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_sleep(&wait, USEC(200)), OK);
        EXPECT_FALSE(queued.begun);
    });
}

TEST_F(compute_pool, cancelled_at_every_moment_leaves_nothing_behind)
{
    start(2, 4096);
    run([&](struct reactor *r) {
        const int n = UNDER_SANITIZER ? 200 : 2000;
        uint64_t ended = 0;
        for (int i = 0; i < n; i++)
            spawn(r, [&ended, i] {
                test_ctx ctx;
                sum s = {(uint64_t)(i * 7 % 500), 0, {}};
                ctx.deadline = clock_now() + USEC(i % 300);
                enum status st = compute_run(
                    &ctx,
                    [](struct compute_task *, void *arg) {
                        sum *mine = static_cast<sum *>(arg);
                        for (uint64_t k = 1; k <= mine->n; k++)
                            mine->result += k;
                    },
                    &s);
                EXPECT_TRUE(st == OK || st == DEADLINE_EXCEEDED);
                if (st == OK) {
                    EXPECT_EQ(s.result, s.n * (s.n + 1) / 2);
                }
                ended++;
            });
        test_ctx ctx;
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_sleep(&ctx, USEC(200)), OK);
        EXPECT_EQ(ended, (uint64_t)n);
    });
    EXPECT_EQ(load(&compute_stats(pool)->queued), 0u);
}

#ifdef LUNA_FAILPOINTS
TEST_F(compute_pool, can_be_made_full)
{
    start(1, 16);
    run([&](struct reactor *) {
        test_ctx ctx;
        sum s = {10, 0, {}};
        failpoint_set(FAILPOINT_compute_full, 1);
        EXPECT_EQ(compute_run(&ctx, add_up, &s), RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx.error.reason, REASON_OVERLOADED);
        fail_clear(&ctx);
        EXPECT_EQ(compute_run(&ctx, add_up, &s), OK);
        EXPECT_EQ(s.result, 55u);
    });
}
#endif
