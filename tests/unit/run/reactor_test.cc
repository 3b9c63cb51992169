#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "unit/run/run_test.h"

TEST(reactor, may_be_freed_without_having_run)
{
    struct reactor *r = reactor_new(nullptr);
    EXPECT_EQ(reactor_current(), nullptr);
    reactor_free(r);
}

TEST(reactor, keeps_its_options_and_slots)
{
    struct reactor_options opt = {};
    opt.index = 3;
    run_with(opt, [](struct reactor *r) {
        int x = 0;
        EXPECT_EQ(reactor_index(r), 3);
        EXPECT_EQ(reactor_slot(r, SLOT_DB), nullptr);
        reactor_set_slot(r, SLOT_DB, &x);
        EXPECT_EQ(reactor_slot(r, SLOT_DB), &x);
        EXPECT_EQ(reactor_slot(r, SLOT_CACHE), nullptr);
    });
}

TEST(reactor, runs_a_main_fiber)
{
    int answer = 0;
    reactor_run_main(
        [](struct ctx *ctx, void *arg) {
            EXPECT_EQ(fiber_sleep(ctx, USEC(100)), OK);
            EXPECT_EQ(ctx->reactor, reactor_current());
            *static_cast<int *>(arg) = 42;
        },
        &answer);
    EXPECT_EQ(answer, 42);
}

struct counting_hook : turn_hook {
    struct reactor *r;
    struct fiber *wakes = nullptr;
    int again = 0;
    int ran = 0;
};

static void
on_hook(struct turn_hook *h)
{
    counting_hook *c = static_cast<counting_hook *>(h);
    EXPECT_EQ(fiber_self(), nullptr);
    c->ran++;
    if (c->wakes)
        fiber_wake(c->wakes);
    if (c->again-- > 0)
        reactor_at_turn_end(c->r, h);
}

TEST(reactor, runs_a_hook_once_at_the_end_of_the_turn)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        counting_hook h;
        turn_hook_init(&h, on_hook);
        h.r = r;
        int ran_before_others = -1;
        reactor_at_turn_end(r, &h);
        reactor_at_turn_end(r, &h);
        spawn(r, [&] { ran_before_others = h.ran; });
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(ran_before_others, 0);
        EXPECT_EQ(h.ran, 1);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(h.ran, 1);
        reactor_at_turn_end(r, &h);
        turn_hook_cancel(&h);
        turn_hook_cancel(&h);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(h.ran, 1);
        h.again = 20; /* more than the passes of a turn: none may be forgotten in a poll */
        reactor_at_turn_end(r, &h);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(5)), OK);
        EXPECT_EQ(h.ran, 22);
    });
}

TEST(reactor, runs_fibers_that_a_hook_wakes_in_the_same_turn)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        counting_hook h;
        turn_hook_init(&h, on_hook);
        h.r = r;
        h.wakes = fiber_self();
        uint64_t turns = load(&reactor_stats(r)->turns);
        reactor_at_turn_end(r, &h);
        EXPECT_EQ(fiber_park(&ctx), OK);
        EXPECT_EQ(load(&reactor_stats(r)->turns), turns);
    });
}

/* A pipe that becomes readable is noticed although two fibers wake each other without end. */
TEST(reactor, does_not_starve_its_events)
{
    struct watch {
        uv_poll_t poll;
        bool over = false;
    } w; /* outlives the fiber: a handle is closed when the fiber may have ended */
    run([&](struct reactor *r) {
        int fds[2];
        ASSERT_EQ(pipe2(fds, O_NONBLOCK), 0);
        uv_poll_init(reactor_loop(r), &w.poll, fds[0]);
        w.poll.data = &w;
        uv_poll_start(&w.poll, UV_READABLE, [](uv_poll_t *p, int, int) {
            static_cast<watch *>(p->data)->over = true;
            uv_close(reinterpret_cast<uv_handle_t *>(p), nullptr);
        });
        struct fiber *pair[2] = {};
        uint64_t switches = 0;
        for (int i = 0; i < 2; i++)
            spawn(r, [&, i] {
                test_ctx ctx;
                pair[i] = fiber_self();
                while (!w.over && ++switches < 100000) {
                    if (pair[1 - i])
                        fiber_wake(pair[1 - i]);
                    EXPECT_EQ(fiber_park(&ctx), OK);
                }
                pair[i] = nullptr;
                if (pair[1 - i])
                    fiber_wake(pair[1 - i]);
            });
        test_ctx ctx;
        ASSERT_EQ(write(fds[1], "x", 1), 1);
        while (load(&reactor_stats(r)->fibers_live) > 1)
            ASSERT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(w.over);
        EXPECT_GT(switches, 10u);
        EXPECT_LT(switches, 10000u);
        close(fds[0]);
        close(fds[1]);
    });
}

/* Yielding is enough to let events in. */
TEST(reactor, lets_events_in_when_a_fiber_yields)
{
    struct tick {
        uv_timer_t timer;
        int ticks = 0;
    } t;
    run([&](struct reactor *r) {
        uv_timer_init(reactor_loop(r), &t.timer);
        t.timer.data = &t;
        uv_timer_start(
            &t.timer, [](uv_timer_t *h) { static_cast<tick *>(h->data)->ticks++; }, 1, 1);
        test_ctx ctx;
        nsec_t limit = clock_now() + SEC(10);
        while (t.ticks < 3 && clock_now() < limit)
            ASSERT_EQ(fiber_yield(&ctx), OK);
        EXPECT_GE(t.ticks, 3);
        uv_close(reinterpret_cast<uv_handle_t *>(&t.timer), nullptr);
    });
}

/* A fiber woken by one of libuv's own timers, which run just before the poll, does not wait for it.
 */
TEST(reactor, runs_what_libuvs_timers_wake_before_it_polls)
{
    struct alarm {
        uv_timer_t timer;
        struct fiber *f;
    } a;
    run([&](struct reactor *r) {
        a.f = fiber_self();
        uv_timer_init(reactor_loop(r), &a.timer);
        a.timer.data = &a;
        uv_timer_start(
            &a.timer,
            [](uv_timer_t *h) {
                fiber_wake(static_cast<alarm *>(h->data)->f);
                uv_close(reinterpret_cast<uv_handle_t *>(h), nullptr);
            },
            1, 0);
        test_ctx ctx;
        ctx.deadline = clock_now() + SEC(5);
        EXPECT_EQ(fiber_park(&ctx), OK);
    });
}

TEST(reactor, reads_the_clock_again_behind_the_poll)
{
    struct alarm {
        uv_timer_t timer;
        struct reactor *r;
        nsec_t seen = 0;
    } a;
    run([&](struct reactor *r) {
        a.r = r;
        uv_timer_init(reactor_loop(r), &a.timer);
        a.timer.data = &a;
        nsec_t begin = reactor_now(r);
        EXPECT_EQ(reactor_now(r), begin);
        uv_timer_start(
            &a.timer,
            [](uv_timer_t *h) {
                alarm *me = static_cast<alarm *>(h->data);
                me->seen = reactor_now(me->r);
                uv_close(reinterpret_cast<uv_handle_t *>(h), nullptr);
            },
            20, 0);
        test_ctx ctx;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(40)), OK);
        EXPECT_GE(a.seen - begin, MSEC(15));
    });
}

TEST(reactor, stops_only_when_its_fibers_have_ended)
{
    std::atomic<bool> ended{false};
    struct reactor *r = reactor_new(nullptr);
    ASSERT_TRUE(spawn(r, [&] {
        test_ctx ctx;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(30)), OK);
        EXPECT_TRUE(reactor_stopping(reactor_current()));
        ended = true;
    }));
    reactor_stop(r);
    reactor_stop(r);
    reactor_start(r);
    reactor_join(r);
    EXPECT_TRUE(ended);
    reactor_free(r);
}

struct closing_hook : stop_hook {
    std::string *order;
    char name;
    uv_timer_t timer;
    struct reactor *r;
    struct inbox_msg late; /* what is sent while the layers close is run as well */
    static int late_ran;
};
int closing_hook::late_ran;

TEST(reactor, closes_its_layers_when_it_stops)
{
    std::string order;
    closing_hook hooks[2];
    closing_hook::late_ran = 0;
    bool late_fiber = false;
    struct reactor *r = reactor_new(nullptr);
    for (int i = 0; i < 2; i++) {
        closing_hook *h = &hooks[i];
        h->order = &order;
        h->r = r;
        h->late.fn = [](struct inbox_msg *) { closing_hook::late_ran++; };
        h->name = (char)('a' + i);
        uv_timer_init(reactor_loop(r), &h->timer);
        h->timer.data = h;
        uv_timer_start(
            &h->timer, [](uv_timer_t *) {}, 1000000, 0);
        h->fn = [](struct stop_hook *me) {
            closing_hook *c = static_cast<closing_hook *>(me);
            *c->order += c->name;
            uv_close(reinterpret_cast<uv_handle_t *>(&c->timer), [](uv_handle_t *t) {
                closing_hook *closed = static_cast<closing_hook *>(t->data);
                *closed->order += (char)(closed->name - 'a' + 'A');
                inbox_send(closed->r, &closed->late);
            });
        };
        reactor_at_stop(r, h);
    }
    run_on(r, [&] {
        test_ctx ctx;
        EXPECT_TRUE(spawn(r, [&] {
            test_ctx own;
            EXPECT_EQ(fiber_sleep(&own, MSEC(5)), OK);
            EXPECT_EQ(order, ""); /* not before the last fiber has ended */
            late_fiber = true;
        }));
    });
    EXPECT_TRUE(late_fiber);
    EXPECT_EQ(closing_hook::late_ran, 2);
    ASSERT_EQ(order.size(), 4u);
    EXPECT_EQ(order.substr(0, 2), "ba");
    EXPECT_NE(order.find('A'), std::string::npos);
    EXPECT_NE(order.find('B'), std::string::npos);
    reactor_free(r);
}

TEST(reactor, leaves_signals_to_the_main_thread)
{
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    struct reactor *r = reactor_new(nullptr);
    ASSERT_TRUE(spawn(r, [] {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (int sig : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1})
            EXPECT_EQ(sigismember(&mask, sig), 1) << sig;
        EXPECT_EQ(sigismember(&mask, SIGSEGV), 0);
        char name[16];
        EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
        EXPECT_STREQ(name, "reactor/0");
    }));
    reactor_stop(r);
    reactor_start(r);
    reactor_join(r);
    reactor_free(r);
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int sig = 1; sig < 32; sig++)
        EXPECT_EQ(sigismember(&before, sig), sigismember(&after, sig)) << sig;
}

TEST(reactor, counts_what_it_does)
{
    run([](struct reactor *r) {
        const struct reactor_stats *s = reactor_stats(r);
        test_ctx ctx;
        uint64_t turns = load(&s->turns);
        uint64_t switches = load(&s->fiber_switches);
        for (int i = 0; i < 10; i++)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(load(&s->turns), turns + 10);
        EXPECT_EQ(load(&s->fiber_switches), switches + 10);
    });
}

/* Asleep costs nothing: no turn is made while nothing happens. */
TEST(reactor, does_not_spin_when_idle)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        uint64_t turns = load(&reactor_stats(r)->turns);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(50)), OK);
        EXPECT_LE(load(&reactor_stats(r)->turns), turns + 5);
    });
}
