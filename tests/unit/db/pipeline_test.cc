/* How statements share connections and Syncs. */
#include "unit/db/db_tables.h"

TEST(pipeline, fifty_reads_of_one_turn_share_a_sync)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        const struct db_stats before = stats_of(ctx);
        int good = 0;
        for (int i = 0; i < 50; i++) {
            all.spawn([i, &good](struct ctx *c) {
                struct db_int8_value v = {};
                EXPECT_EQ(db_one(c, &sql_t_select_one, DB_ARGS(db_int8(i)), REASON_NONE, &v), OK);
                good += v.value == i;
            });
        }
        all.join();
        const struct db_stats after = stats_of(ctx);
        EXPECT_EQ(good, 50);
        EXPECT_EQ(after.statements - before.statements, 50u);
        EXPECT_EQ(after.syncs - before.syncs, 1u);
    });
}

TEST(pipeline, each_write_has_its_own_sync)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        const struct db_stats before = stats_of(ctx);
        for (int i = 0; i < 10; i++) {
            all.spawn([i](struct ctx *c) {
                EXPECT_EQ(insert_item(c, i, std::to_string(i).c_str()), OK) << failure(c);
            });
        }
        all.join();
        EXPECT_EQ(stats_of(ctx).syncs - before.syncs, 10u);
        EXPECT_EQ(count_items(ctx), 10);
    });
}

TEST(pipeline, a_failing_write_leaves_its_neighbours_alone)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        int refused = 0;
        for (int i = 0; i < 20; i++) {
            all.spawn([i, &refused](struct ctx *c) {
                enum status st = insert_item(c, i / 2, std::to_string(i / 2).c_str());
                refused += st == ALREADY_EXISTS;
                EXPECT_TRUE(st == OK || st == ALREADY_EXISTS) << failure(c);
            });
        }
        all.join();
        EXPECT_EQ(refused, 10);
        EXPECT_EQ(count_items(ctx), 10);
    });
}

TEST(pipeline, reads_that_a_neighbour_aborts_are_sent_again_alone)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        const struct db_stats before = stats_of(ctx);
        int good = 0;
        int bad = 0;
        for (int i = 0; i < 20; i++) {
            all.spawn([i, &good, &bad](struct ctx *c) {
                struct db_int8_value v = {};
                enum status st =
                    db_one(c, &sql_t_divide, DB_ARGS(db_int8(100), db_int8(i == 7 ? 0 : 4)),
                           REASON_NONE, &v);
                good += st == OK && v.value == 25;
                bad += st == INTERNAL;
            });
        }
        all.join();
        const struct db_stats after = stats_of(ctx);
        EXPECT_EQ(good, 19);
        EXPECT_EQ(bad, 1);
        EXPECT_EQ(after.retried_reads - before.retried_reads, 12u) << "those behind the eighth";
        EXPECT_EQ(after.syncs - before.syncs, 13u);
        EXPECT_EQ(after.lost, 0u);
    });
}

TEST(pipeline, many_turns_of_reads_overlap_on_one_connection)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        int good = 0;
        for (int i = 0; i < 64; i++) {
            all.spawn([i, &good](struct ctx *c) {
                for (int k = 0; k < 50; k++) {
                    struct db_int8_value v = {};
                    if (db_one(c, &sql_t_select_one, DB_ARGS(db_int8(i * 1000 + k)), REASON_NONE,
                               &v) == OK)
                        good += v.value == i * 1000 + k;
                    arena_reset(c->arena);
                }
            });
        }
        all.join();
        EXPECT_EQ(good, 64 * 50);
    });
}

TEST(pipeline, large_arguments_and_results_do_not_block_each_other)
{
    with_db(test_database(), [](struct ctx *ctx) {
        /* Both directions hold more than any socket buffer: a blocking client would deadlock. */
        const std::string big(2 << 20, 'z');
        fibers all(ctx);
        int good = 0;
        for (int i = 0; i < 8; i++) {
            all.spawn([&](struct ctx *c) {
                struct t_types row = {};
                enum status st =
                    db_one(c, &sql_t_types,
                           DB_ARGS(db_null(DB_BOOL), db_null(DB_INT2), db_null(DB_INT4),
                                   db_null(DB_INT8), db_null(DB_FLOAT4), db_null(DB_FLOAT8),
                                   db_text(big.c_str()), db_null(DB_BYTEA), db_null(DB_UUID),
                                   db_null(DB_TIMESTAMPTZ), db_null(DB_DATE), db_null(DB_JSONB)),
                           REASON_NONE, &row);
                good += st == OK && row.t == big;
            });
        }
        all.join();
        EXPECT_EQ(good, 8);
    });
}

TEST(pipeline, a_write_does_not_wait_in_front_of_reads_when_another_connection_is_free)
{
    db_setup setup = test_database();
    setup.connections = 2;
    with_db(setup, [](struct ctx *ctx) {
        fibers all(ctx);
        while (stats_of(ctx).connections_ready < 2)
            ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
        all.spawn([](struct ctx *c) {
            EXPECT_EQ(db_exec(c, &sql_t_sleep_write, DB_ARGS(db_float8(0.5), db_int8(1)), NULL),
                      OK);
        });
        ASSERT_EQ(fiber_sleep(ctx, MSEC(20)), OK);
        const nsec_t start = clock_now();
        for (int i = 0; i < 5; i++) {
            struct db_int8_value v = {};
            EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(i)), REASON_NONE, &v), OK);
        }
        EXPECT_LT(clock_now() - start, MSEC(300));
        all.join();
    });
}

TEST(pipeline, a_full_queue_refuses_at_once)
{
    db_setup setup = test_database();
    setup.queue = 16;
    with_db(setup, [](struct ctx *ctx) {
        fibers all(ctx);
        int good = 0;
        int refused = 0;
        /* 16 fill the connection, 16 the queue; the others are too many. */
        for (int i = 0; i < 16; i++)
            all.spawn([&](struct ctx *c) {
                struct db_text_value v = {};
                good += db_one(c, &sql_t_sleep, DB_ARGS(db_float8(0.02)), REASON_NONE, &v) == OK;
            });
        ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
        for (int i = 0; i < 40; i++)
            all.spawn([&](struct ctx *c) {
                struct db_int8_value v = {};
                enum status st = db_one(c, &sql_t_select_one, DB_ARGS(db_int8(1)), REASON_NONE, &v);
                good += st == OK;
                refused += st == UNAVAILABLE && c->error.reason == REASON_DB_UNAVAILABLE;
            });
        all.join();
        EXPECT_EQ(good + refused, 56);
        EXPECT_EQ(refused, 24);
        EXPECT_EQ(stats_of(ctx).refused, 24u);
    });
}

TEST(pipeline, a_cancelled_caller_leaves_and_the_answer_finds_nobody)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        struct ctx *victims[8] = {};
        enum status ends[8];
        for (int i = 0; i < 8; i++) {
            all.spawn([i, &victims, &ends](struct ctx *c) {
                struct db_text_value v = {};
                struct db_int8_value n = {};
                victims[i] = c;
                /* Half of them are on their way, half still queue behind a full turn. */
                ends[i] = i % 2 ? db_one(c, &sql_t_sleep, DB_ARGS(db_float8(0.05)), REASON_NONE, &v)
                                : db_one(c, &sql_t_divide, DB_ARGS(db_int8(1), db_int8(0)),
                                         REASON_NONE, &n);
            });
        }
        ASSERT_EQ(fiber_sleep(ctx, MSEC(10)), OK);
        for (int i = 1; i < 8; i += 2)
            ctx_cancel(victims[i]);
        all.join();
        for (int i = 1; i < 8; i += 2)
            EXPECT_EQ(ends[i], CANCELLED);
        EXPECT_GE(stats_of(ctx).detached, 4u);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(300)), OK); /* the answers arrive */
        EXPECT_EQ(stats_of(ctx).in_flight, 0u);
        struct db_int8_value v = {};
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(3)), REASON_NONE, &v), OK);
        EXPECT_EQ(v.value, 3);
    });
}

TEST(pipeline, a_caller_cancelled_before_its_turn_ends_sends_nothing)
{
    with_db(test_database(), [](struct ctx *ctx) {
        const uint64_t sent = stats_of(ctx).statements;
        ctx->cancelled = true;
        EXPECT_EQ(insert_item(ctx, 1, "x"), CANCELLED);
        ctx->cancelled = false;
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).statements, sent);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(pipeline, a_deadline_ends_the_wait)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_text_value v = {};
        const nsec_t start = clock_now();
        ctx->deadline = start + MSEC(50);
        EXPECT_EQ(db_one(ctx, &sql_t_sleep, DB_ARGS(db_float8(0.5)), REASON_NONE, &v),
                  DEADLINE_EXCEEDED);
        EXPECT_EQ(ctx->error.reason, REASON_DEADLINE_PASSED);
        EXPECT_LT(clock_now() - start, MSEC(300));
        ctx->deadline = NSEC_NEVER;
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(pipeline, the_server_cancels_what_takes_longer_than_the_timeout)
{
    db_setup setup = test_database();
    setup.timeout = MSEC(150);
    with_db(setup, [](struct ctx *ctx) {
        struct db_text_value v = {};
        EXPECT_EQ(db_one(ctx, &sql_t_sleep, DB_ARGS(db_float8(5)), REASON_NONE, &v),
                  DEADLINE_EXCEEDED);
        EXPECT_EQ(ctx->error.reason, REASON_DB_TIMEOUT);
        EXPECT_NE(failure(ctx).find("57014"), std::string::npos) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).timeouts, 0u) << "the connection is kept";
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(pipeline, reads_marked_so_go_to_the_replica)
{
    db_setup setup = test_database();
    const std::string other = name_of(test_database());
    setup.replica_url = pg().url(other, "luna_app");
    with_db(setup, [&](struct ctx *ctx) {
        struct db_text_value v = {};
        while (stats_of(ctx).connections_ready < 2)
            ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
        ASSERT_EQ(db_one(ctx, &sql_t_replica_read, DB_NO_ARGS, REASON_NONE, &v), OK)
            << failure(ctx);
        EXPECT_EQ(v.value, other);
    });
    setup.replica_url = pg().url("no_such_database", "luna_app");
    with_db(setup, [&](struct ctx *ctx) {
        struct db_text_value v = {};
        ASSERT_EQ(db_one(ctx, &sql_t_replica_read, DB_NO_ARGS, REASON_NONE, &v), OK)
            << failure(ctx);
        EXPECT_EQ(v.value, name_of(setup));
    });
}
