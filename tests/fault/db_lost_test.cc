/* Single connections that break, one way at a time. Those with failpoints need LUNA_FAILPOINTS. */
#include "unit/db/db_tables.h"

#ifdef LUNA_FAILPOINTS
#define NEEDS_FAILPOINTS()
#else
#define NEEDS_FAILPOINTS() GTEST_SKIP() << "built without failpoints"
#endif

static int64_t
backend_of(struct ctx *ctx)
{
    struct db_int8_value v = {};
    EXPECT_EQ(db_one(ctx, &sql_t_backend, DB_NO_ARGS, REASON_NONE, &v), OK) << failure(ctx);
    return v.value;
}

static void
terminate(int64_t pid)
{
    pg().exec("postgres", "SELECT pg_terminate_backend(" + std::to_string(pid) + ")");
}

TEST(lost, a_write_is_not_acknowledged_before_its_sync)
{
    NEEDS_FAILPOINTS();
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        failpoint_set(FAILPOINT_db_before_sync, 1);
        EXPECT_EQ(insert_item(ctx, 1, "x"), UNAVAILABLE);
        EXPECT_EQ(ctx->error.reason, REASON_DB_UNAVAILABLE);
        EXPECT_NE(failure(ctx).find("outcome unknown"), std::string::npos) << failure(ctx);
        EXPECT_EQ(std::string(ctx->error.message).find("outcome"), std::string::npos);
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).lost, 1u);
        EXPECT_EQ(insert_item(ctx, 2, "y"), OK) << "a new connection: " << failure(ctx);
        EXPECT_EQ(pg().value(name_of(setup), "SELECT count(*) FROM item WHERE id = 2"), "1");
    });
}

TEST(lost, an_idempotent_write_is_sent_again)
{
    NEEDS_FAILPOINTS();
    with_db(test_database(), [](struct ctx *ctx) {
        int64_t n = -1;
        failpoint_set(FAILPOINT_db_before_sync, 1);
        EXPECT_EQ(db_exec(ctx, &sql_t_item_insert_again, DB_ARGS(db_int8(1), db_text("x")), &n), OK)
            << failure(ctx);
        EXPECT_EQ(stats_of(ctx).lost, 1u);
        EXPECT_EQ(count_items(ctx), 1);
    });
}

TEST(lost, a_commit_without_its_sync_is_unknown)
{
    NEEDS_FAILPOINTS();
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(db_tx(
                      ctx,
                      [](struct ctx *c, void *) {
                          enum status st = insert_item(c, 1, "x");
                          failpoint_set(FAILPOINT_db_before_sync, 1);
                          return st;
                      },
                      NULL),
                  UNAVAILABLE);
        EXPECT_NE(failure(ctx).find("outcome unknown"), std::string::npos) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).retried_transactions, 0u);
    });
}

TEST(lost, a_transaction_lost_before_its_commit_is_done_again)
{
    with_db(test_database(), [](struct ctx *ctx) {
        int tries = 0;
        EXPECT_EQ(db_tx(
                      ctx,
                      [](struct ctx *c, void *arg) {
                          enum status st = insert_item(c, 1, "x");
                          if (st == OK && ++*static_cast<int *>(arg) == 1)
                              terminate(backend_of(c));
                          return st == OK ? insert_item(c, 2, "y") : st;
                      },
                      &tries),
                  OK)
            << failure(ctx);
        EXPECT_EQ(tries, 2);
        EXPECT_EQ(count_items(ctx), 2);
    });
}

TEST(lost, what_could_not_be_sent_is_sent_later)
{
    NEEDS_FAILPOINTS();
    with_db(test_database(), [](struct ctx *ctx) {
        failpoint_set(FAILPOINT_db_send, 1);
        EXPECT_EQ(insert_item(ctx, 1, "x"), OK) << failure(ctx);
        struct db_int8_value v = {};
        failpoint_set(FAILPOINT_db_send, 1);
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(5)), REASON_NONE, &v), OK);
        EXPECT_EQ(stats_of(ctx).lost, 2u);
        EXPECT_EQ(count_items(ctx), 1);
    });
}

TEST(lost, breaking_at_any_send_loses_and_doubles_nothing)
{
    NEEDS_FAILPOINTS();
    /* 12 fibers of 3 accounts: reads, writes and a batch. The n-th send fails, for every n. */
    for (int nth = 1; nth <= 30; nth++) {
        with_db(test_database(), [nth](struct ctx *ctx) {
            fibers all(ctx);
            int unknown = 0;
            int good = 0;
            failpoint_set(FAILPOINT_db_send, nth);
            for (int i = 0; i < 12; i++) {
                all.spawn([&, i](struct ctx *c) {
                    act_as(c, 1 + i % 3);
                    if (i % 2) {
                        enum status st = insert_item(c, i, std::to_string(i).c_str());
                        EXPECT_TRUE(st == OK || st == UNAVAILABLE) << failure(c);
                        good += st == OK;
                        unknown += st != OK;
                    } else {
                        struct db_int8_value v = {};
                        EXPECT_EQ(
                            db_one(c, &sql_t_select_one, DB_ARGS(db_int8(i)), REASON_NONE, &v), OK)
                            << failure(c);
                        EXPECT_EQ(v.value, i);
                    }
                });
            }
            all.join();
            failpoint_set(FAILPOINT_db_send, 0);
            const int64_t there = count_items(ctx);
            EXPECT_GE(there, good);
            EXPECT_LE(there, good + unknown);
        });
    }
}

TEST(lost, statements_wait_while_the_server_is_away)
{
    NEEDS_FAILPOINTS();
    db_setup setup = test_database();
    setup.wait = false;
    setup.timeout = MSEC(700);
    failpoint_set(FAILPOINT_db_connect, -1);
    with_db(setup, [](struct ctx *ctx) {
        struct db_int8_value v = {};
        EXPECT_FALSE(db_healthy(ctx->reactor));
        const nsec_t start = clock_now();
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(5)), REASON_NONE, &v),
                  UNAVAILABLE);
        EXPECT_GE(clock_now() - start, MSEC(600));
        EXPECT_LE(clock_now() - start, MSEC(1500));
        EXPECT_NE(failure(ctx).find("not sent"), std::string::npos) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(insert_item(ctx, 1, "x"), UNAVAILABLE);
        fail_clear(ctx);
        EXPECT_EQ(db_tx(
                      ctx, [](struct ctx *c, void *) { return insert_item(c, 1, "x"); }, NULL),
                  UNAVAILABLE);
        fail_clear(ctx);

        fibers all(ctx);
        all.spawn([](struct ctx *c) { EXPECT_EQ(insert_item(c, 2, "waited"), OK) << failure(c); });
        ASSERT_EQ(fiber_sleep(ctx, MSEC(50)), OK);
        failpoint_set(FAILPOINT_db_connect, 0);
        all.join();
        EXPECT_EQ(count_items(ctx), 1);
        EXPECT_TRUE(db_healthy(ctx->reactor));
    });
    failpoint_set(FAILPOINT_db_connect, 0);
}

TEST(lost, an_idle_connection_that_the_server_closed_is_replaced)
{
    with_db(test_database(), [](struct ctx *ctx) {
        for (int i = 1; i <= 3; i++) {
            terminate(backend_of(ctx));
            for (int k = 0; k < 400 && stats_of(ctx).lost < static_cast<uint64_t>(i); k++)
                ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
            EXPECT_EQ(stats_of(ctx).lost, static_cast<uint64_t>(i));
            EXPECT_EQ(insert_item(ctx, i, std::to_string(i).c_str()), OK) << failure(ctx);
        }
    });
}

TEST(lost, reads_under_way_are_sent_again)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        const int64_t pid = backend_of(ctx);
        for (int i = 0; i < 5; i++) {
            all.spawn([](struct ctx *c) {
                struct db_text_value v = {};
                EXPECT_EQ(db_one(c, &sql_t_sleep, DB_ARGS(db_float8(0.1)), REASON_NONE, &v), OK)
                    << failure(c);
            });
        }
        ASSERT_EQ(fiber_sleep(ctx, MSEC(30)), OK);
        terminate(pid);
        all.join();
        EXPECT_GE(stats_of(ctx).retried_reads, 1u);
    });
}

TEST(lost, a_read_that_keeps_breaking_connections_is_given_up)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        bool over = false;
        all.spawn([&over](struct ctx *c) {
            struct db_text_value v = {};
            EXPECT_EQ(db_one(c, &sql_t_sleep, DB_ARGS(db_float8(30)), REASON_NONE, &v), UNAVAILABLE)
                << failure(c);
            over = true;
        });
        while (!over) {
            pg().exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                  "WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid() "
                                  "AND state = 'active'");
            ASSERT_EQ(fiber_sleep(ctx, MSEC(20)), OK);
        }
        all.join();
        EXPECT_LE(stats_of(ctx).lost, 8u);
    });
}

TEST(lost, a_connection_that_does_not_answer_is_replaced)
{
    db_setup setup = test_database();
    setup.timeout = MSEC(300);
    with_db(setup, [](struct ctx *ctx) {
        const pid_t pid = static_cast<pid_t>(backend_of(ctx));
        struct db_int8_value v = {};
        ASSERT_EQ(kill(pid, SIGSTOP), 0);
        const nsec_t start = clock_now();
        EXPECT_EQ(insert_item(ctx, 1, "x"), DEADLINE_EXCEEDED);
        EXPECT_EQ(ctx->error.reason, REASON_DB_TIMEOUT) << failure(ctx);
        EXPECT_NE(failure(ctx).find("outcome unknown"), std::string::npos) << failure(ctx);
        EXPECT_LT(clock_now() - start, MSEC(1500));
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).timeouts, 1u);
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(5)), REASON_NONE, &v), OK)
            << failure(ctx);
        EXPECT_NE(backend_of(ctx), pid);
        kill(pid, SIGCONT);
    });
}

TEST(lost, a_migration_that_changes_columns_costs_reads_nothing)
{
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        struct t_item *rows = nullptr;
        size_t n = 0;
        ASSERT_EQ(insert_item(ctx, 1, "x"), OK);
        ASSERT_EQ(db_many(ctx, &sql_t_item_list, DB_ARGS(db_int4(5)), &rows, &n), OK);
        pg().exec(name_of(setup), "ALTER TABLE item ALTER label TYPE varchar(100)");
        ASSERT_EQ(db_many(ctx, &sql_t_item_list, DB_ARGS(db_int4(5)), &rows, &n), OK)
            << failure(ctx);
        EXPECT_EQ(n, 1u);
        EXPECT_STREQ(rows[0].label, "x");
    });
}

TEST(lost, callers_learn_that_the_reactor_is_detached)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        int told = 0;
        for (int i = 0; i < 3; i++) {
            all.spawn([&](struct ctx *c) {
                struct db_text_value v = {};
                told += db_one(c, &sql_t_sleep, DB_ARGS(db_float8(5)), REASON_NONE, &v) ==
                            UNAVAILABLE &&
                        c->error.reason == REASON_SHUTTING_DOWN;
            });
            all.spawn([&](struct ctx *c) {
                told +=
                    db_tx(
                        c,
                        [](struct ctx *d, void *) {
                            struct db_text_value v = {};
                            return db_one(d, &sql_t_sleep, DB_ARGS(db_float8(5)), REASON_NONE, &v);
                        },
                        NULL) == UNAVAILABLE &&
                    c->error.reason == REASON_SHUTTING_DOWN;
            });
        }
        ASSERT_EQ(fiber_sleep(ctx, MSEC(100)), OK);
        db_detach(ctx->reactor);
        all.join();
        EXPECT_EQ(told, 6);
    });
}
