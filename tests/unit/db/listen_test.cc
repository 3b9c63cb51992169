#include "unit/db/db_tables.h"

struct heard {
    std::vector<std::string> payloads;
    int missed = 0;
};

static void
on_notify(void *arg, const char *payload)
{
    auto *h = static_cast<heard *>(arg);
    if (payload)
        h->payloads.push_back(payload);
    else
        h->missed++;
}

static void
wait_until(struct ctx *ctx, const std::function<bool()> &what)
{
    for (int i = 0; i < 2000 && !what(); i++)
        ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
    EXPECT_TRUE(what());
}

static void
notify(struct ctx *ctx, const char *channel, const char *payload)
{
    EXPECT_EQ(db_exec(ctx, &sql_t_notify, DB_ARGS(db_text(channel), db_text(payload)), NULL), OK)
        << failure(ctx);
}

TEST(listen, hears_its_channels)
{
    with_db(test_database(), [](struct ctx *ctx) {
        heard a, a2, b;
        struct db_listener *la = db_listen(ctx->reactor, "jobs", on_notify, &a);
        struct db_listener *la2 = db_listen(ctx->reactor, "jobs", on_notify, &a2);
        struct db_listener *lb = db_listen(ctx->reactor, "Weird \"name\"", on_notify, &b);
        wait_until(ctx, [&] { return a.missed && a2.missed && b.missed; });
        notify(ctx, "jobs", "1");
        notify(ctx, "jobs", "2");
        notify(ctx, "Weird \"name\"", "quoted");
        wait_until(ctx, [&] { return a.payloads.size() == 2 && b.payloads.size() == 1; });
        EXPECT_EQ(a.payloads, (std::vector<std::string>{"1", "2"}));
        EXPECT_EQ(a2.payloads, a.payloads);
        EXPECT_EQ(b.payloads[0], "quoted");
        EXPECT_EQ(a.missed, 1);

        db_unlisten(la);
        notify(ctx, "jobs", "3");
        wait_until(ctx, [&] { return a2.payloads.size() == 3; });
        EXPECT_EQ(a.payloads.size(), 2u);
        db_unlisten(la2);
        db_unlisten(lb);
        EXPECT_EQ(stats_of(ctx).notifications, 4u);
    });
}

TEST(listen, subscribes_again_after_its_connection_was_lost)
{
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        heard h;
        struct db_listener *l = db_listen(ctx->reactor, "jobs", on_notify, &h);
        wait_until(ctx, [&] { return h.missed == 1; });
        for (int round = 1; round <= 3; round++) {
            pg().exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                  "WHERE application_name = 'luna' AND query LIKE 'LISTEN%'");
            wait_until(ctx, [&] { return h.missed == 1 + round; });
            notify(ctx, "jobs", "again");
            wait_until(ctx, [&] { return h.payloads.size() == static_cast<size_t>(round); });
        }
        db_unlisten(l);
    });
}

TEST(listen, may_be_ended_from_its_own_callback)
{
    with_db(test_database(), [](struct ctx *ctx) {
        static struct db_listener *self;
        static int calls;
        calls = 0;
        self = db_listen(
            ctx->reactor, "once",
            [](void *, const char *payload) {
                calls++;
                if (payload)
                    db_unlisten(self);
            },
            nullptr);
        wait_until(ctx, [] { return calls == 1; });
        notify(ctx, "once", "1");
        wait_until(ctx, [] { return calls == 2; });
        notify(ctx, "once", "2");
        ASSERT_EQ(fiber_sleep(ctx, MSEC(50)), OK);
        EXPECT_EQ(calls, 2);
    });
}
