#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "unit/run/run_test.h"

/* What the reactor's thread has seen of one producer's numbered messages. */
struct seen {
    uint64_t next = 0;
    uint64_t out_of_order = 0;
};

struct numbered : inbox_msg {
    seen *from;
    uint64_t number;
    std::atomic<uint64_t> *total;
};

static void
on_numbered(struct inbox_msg *m)
{
    numbered *n = static_cast<numbered *>(m);
    if (n->number != n->from->next)
        n->from->out_of_order++;
    n->from->next = n->number + 1;
    n->total->fetch_add(1, std::memory_order_release);
}

/* False when `done` has not reached `n` in time: a message or a wake-up was lost. */
static bool
await(const std::atomic<uint64_t> &done, uint64_t n)
{
    auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (done.load(std::memory_order_acquire) < n) {
        if (std::chrono::steady_clock::now() > limit)
            return false;
        std::this_thread::yield();
    }
    return true;
}

static void
produce(struct reactor *r, std::vector<numbered> &msgs, unsigned seed)
{
    for (numbered &m : msgs) {
        inbox_send(r, &m);
        seed = seed * 1664525 + 1013904223;
        if ((seed >> 24) == 0) /* let the reactor fall asleep now and then */
            std::this_thread::sleep_for(std::chrono::microseconds(seed % 300));
    }
}

TEST(inbox, loses_nothing_and_keeps_each_producers_order)
{
    const size_t producers = 4;
    const size_t each = UNDER_SANITIZER ? 5000 : 50000;
    struct reactor *r = reactor_new(nullptr);
    reactor_start(r);
    std::atomic<uint64_t> total{0};
    std::vector<seen> from(producers);
    std::vector<std::vector<numbered>> msgs(producers);
    std::vector<std::thread> threads;
    for (size_t p = 0; p < producers; p++) {
        msgs[p].resize(each);
        for (size_t i = 0; i < each; i++) {
            msgs[p][i].fn = on_numbered;
            msgs[p][i].from = &from[p];
            msgs[p][i].number = i;
            msgs[p][i].total = &total;
        }
    }
    for (size_t p = 0; p < producers; p++)
        threads.emplace_back(produce, r, std::ref(msgs[p]), (unsigned)p);
    EXPECT_TRUE(await(total, producers * each));
    for (std::thread &t : threads)
        t.join();
    reactor_stop(r);
    reactor_join(r);
    for (const seen &s : from) {
        EXPECT_EQ(s.next, each);
        EXPECT_EQ(s.out_of_order, 0u);
    }
    const struct reactor_stats *s = reactor_stats(r);
    EXPECT_EQ(load(&s->inbox_messages), producers * each + 1); /* the stop is one */
    EXPECT_LE(load(&s->wakeups), load(&s->turns));
    printf("%zu messages, %llu turns, %llu wake-ups\n", producers * each,
           (unsigned long long)load(&s->turns), (unsigned long long)load(&s->wakeups));
    reactor_free(r);
}

/* Each message is sent only when the one before has been run, so that the sender meets the reactor
 * at each point of its way into the poll; a wake-up lost once stops it for good. */
TEST(inbox, loses_no_wake_up)
{
    struct reactor *r = reactor_new(nullptr);
    reactor_start(r);
    std::atomic<uint64_t> total{0};
    seen from;
    numbered m;
    m.fn = on_numbered;
    m.from = &from;
    m.total = &total;
    const uint64_t rounds = UNDER_SANITIZER ? 3000 : 10000;
    for (uint64_t i = 0; i < rounds; i++) {
        m.number = i;
        inbox_send(r, &m);
        ASSERT_TRUE(await(total, i + 1)) << "message " << i;
        for (volatile unsigned spin = 0; spin < i % 512; spin = spin + 1)
            ;
    }
    EXPECT_EQ(from.out_of_order, 0u);
    EXPECT_LE(load(&reactor_stats(r)->wakeups), rounds + 1);
    reactor_stop(r);
    reactor_join(r);
    reactor_free(r);
}

struct volley : inbox_msg {
    struct reactor *home; /* where it runs now */
    struct reactor *away;
    uint64_t left;
    std::atomic<uint64_t> *over;
};

TEST(inbox, is_passed_between_reactors_without_loss)
{
    struct reactor *a = reactor_new(nullptr);
    struct reactor *b = reactor_new(nullptr);
    reactor_start(a);
    reactor_start(b);
    std::atomic<uint64_t> over{0};
    std::vector<volley> balls(3);
    for (volley &v : balls) {
        v.home = a;
        v.away = b;
        v.left = UNDER_SANITIZER ? 3000 : 20000;
        v.over = &over;
        v.fn = [](struct inbox_msg *m) {
            volley *ball = static_cast<volley *>(m);
            EXPECT_EQ(reactor_current(), ball->home);
            if (ball->left-- == 0) {
                ball->over->fetch_add(1, std::memory_order_release);
                return;
            }
            std::swap(ball->home, ball->away);
            inbox_send(ball->home, ball);
        };
        inbox_send(a, &v);
    }
    EXPECT_TRUE(await(over, balls.size()));
    for (struct reactor *r : {a, b}) {
        reactor_stop(r);
        reactor_join(r);
        reactor_free(r);
    }
}

TEST(inbox, needs_no_wake_up_while_the_reactor_is_awake)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(1)), OK);
        std::atomic<uint64_t> total{0};
        seen from;
        std::vector<numbered> msgs(1000);
        for (size_t i = 0; i < msgs.size(); i++) {
            msgs[i].fn = on_numbered;
            msgs[i].from = &from;
            msgs[i].number = i;
            msgs[i].total = &total;
        }
        uint64_t before = load(&reactor_stats(r)->wakeups);
        std::thread producer([&] {
            for (numbered &m : msgs)
                inbox_send(r, &m);
        });
        producer.join(); /* the reactor is awake: this fiber holds it */
        EXPECT_EQ(total, 0u);
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(total, msgs.size());
        EXPECT_EQ(from.out_of_order, 0u);
        EXPECT_EQ(load(&reactor_stats(r)->wakeups), before);
    });
}

TEST(inbox, wakes_a_sleeping_reactor_once_for_many)
{
    struct reactor *r = reactor_new(nullptr);
    reactor_start(r);
    usleep(20000); /* asleep by now, most likely; the bounds hold in any case */
    std::atomic<uint64_t> total{0};
    seen from;
    numbered m;
    m.fn = on_numbered;
    m.from = &from;
    m.total = &total;
    for (uint64_t i = 0; i < 20; i++) {
        m.number = i;
        inbox_send(r, &m);
        ASSERT_TRUE(await(total, i + 1));
        usleep(1000);
    }
    uint64_t wakeups = load(&reactor_stats(r)->wakeups);
    EXPECT_GE(wakeups, 1u);
    EXPECT_LE(wakeups, 20u);
    reactor_stop(r);
    reactor_join(r);
    reactor_free(r);
}

/* A message that its own thread sends from a callback behind the poll is run by the turn that
 * follows. */
TEST(inbox, may_be_used_by_its_own_loop)
{
    struct self : inbox_msg {
        uv_timer_t timer;
        struct reactor *r;
        int ran = 0;
    } s;
    run([&](struct reactor *r) {
        test_ctx ctx;
        s.r = r;
        s.fn = [](struct inbox_msg *m) { static_cast<self *>(m)->ran++; };
        uv_timer_init(reactor_loop(r), &s.timer);
        s.timer.data = &s;
        uv_timer_start(
            &s.timer,
            [](uv_timer_t *t) {
                self *me = static_cast<self *>(t->data);
                inbox_send(me->r, me);
                uv_close(reinterpret_cast<uv_handle_t *>(t), nullptr);
            },
            1, 0);
        uint64_t before = load(&reactor_stats(r)->wakeups);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(10)), OK);
        EXPECT_EQ(s.ran, 1);
        EXPECT_EQ(load(&reactor_stats(r)->wakeups), before);
    });
}

TEST(inbox, runs_what_is_sent_after_the_stop)
{
    for (int round = 0; round < 50; round++) {
        struct reactor *r = reactor_new(nullptr);
        std::atomic<uint64_t> total{0};
        seen from;
        std::vector<numbered> msgs(100);
        for (size_t i = 0; i < msgs.size(); i++) {
            msgs[i].fn = on_numbered;
            msgs[i].from = &from;
            msgs[i].number = i;
            msgs[i].total = &total;
        }
        reactor_stop(r); /* before its thread runs: all of this is late */
        for (numbered &m : msgs)
            inbox_send(r, &m);
        reactor_start(r);
        reactor_join(r);
        EXPECT_EQ(total, msgs.size());
        reactor_free(r);
    }
}

/* The last sender may still be on its way to the eventfd when its message has been run and the
 * reactor ends: it must have come back before the reactor is freed. */
TEST(inbox, ends_only_when_no_sender_is_inside)
{
    for (int round = 0; round < (UNDER_SANITIZER ? 200 : 2000); round++) {
        struct reactor *r = reactor_new(nullptr);
        reactor_start(r);
        std::thread stopper([r] { reactor_stop(r); });
        reactor_join(r);
        reactor_free(r);
        stopper.join();
    }
}

#ifdef LUNA_FAILPOINTS
/* The reactor is woken by a timer, finds the stop and ends while the stop's sender is still on its
 * way to wake it. */
TEST(inbox, ends_only_when_a_slow_sender_has_come_back)
{
    struct ticker : timer {
        struct reactor *r;
    } tick;
    for (int round = 0; round < 5; round++) {
        struct reactor *r = reactor_new(nullptr);
        tick.r = r;
        timer_init(&tick, [](struct timer *t) {
            timer_set(static_cast<ticker *>(t)->r, t, clock_now() + MSEC(1));
        });
        timer_set(r, &tick, 1);
        reactor_start(r);
        usleep(5000);
        failpoint_set(FAILPOINT_inbox_wake, 1);
        std::thread stopper([r] { reactor_stop(r); });
        reactor_join(r);
        reactor_free(r);
        stopper.join();
        failpoint_set(FAILPOINT_inbox_wake, 0);
    }
}
#endif
