#include "unit/db/db_tables.h"

/* A C function pointer for a lambda that captures. */
static enum status
in_tx(struct ctx *ctx, enum db_isolation level,
      const std::function<enum status(struct ctx *)> &body)
{
    return db_tx_at(
        ctx, level,
        [](struct ctx *c, void *arg) {
            return (*static_cast<const std::function<enum status(struct ctx *)> *>(arg))(c);
        },
        const_cast<std::function<enum status(struct ctx *)> *>(&body));
}

TEST(tx, commits_all_of_it)
{
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        const uint64_t syncs = stats_of(ctx).syncs;
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [&](struct ctx *c) {
                            EXPECT_EQ(insert_item(c, 1, "a"), OK) << failure(c);
                            EXPECT_EQ(count_items(c), 1) << "it sees its own";
                            EXPECT_EQ(pg().value(name_of(setup), "SELECT count(*) FROM item"), "0");
                            EXPECT_EQ(stats_of(c).connections_leased, 1u);
                            return insert_item(c, 2, "b");
                        }),
                  OK)
            << failure(ctx);
        EXPECT_EQ(pg().value(name_of(setup), "SELECT count(*) FROM item"), "2");
        EXPECT_EQ(stats_of(ctx).syncs - syncs, 5u)
            << "3 statements, COMMIT, and the connection's own";
        EXPECT_EQ(stats_of(ctx).connections_leased, 0u);
    });
}

TEST(tx, rolls_back_when_the_function_fails)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [](struct ctx *c) {
                            EXPECT_EQ(insert_item(c, 1, "a"), OK);
                            return fail_plain(c, QUOTA_SPENT);
                        }),
                  RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx->error.reason, REASON_QUOTA_SPENT);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(tx, without_statements_asks_the_server_nothing)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED, [](struct ctx *) { return OK; }), OK);
        EXPECT_EQ(stats_of(ctx).statements, 0u);
    });
}

TEST(tx, a_failed_statement_dooms_it_even_when_ignored)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [](struct ctx *c) {
                            EXPECT_EQ(insert_item(c, 1, "a"), OK);
                            EXPECT_EQ(insert_item(c, 1, "b"), ALREADY_EXISTS);
                            fail_clear(c);
                            return OK;
                        }),
                  INTERNAL);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(tx, a_deferred_constraint_fails_the_commit)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [](struct ctx *c) {
                            EXPECT_EQ(insert_item(c, 1, "a"), OK);
                            return db_exec(c, &sql_t_late_insert, DB_ARGS(db_int8(2)), NULL);
                        }),
                  FAILED_PRECONDITION)
            << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(tx, joins_the_one_that_is_open)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [](struct ctx *c) {
                            EXPECT_EQ(in_tx(c, DB_READ_COMMITTED,
                                            [](struct ctx *d) { return insert_item(d, 1, "a"); }),
                                      OK);
                            return fail_plain(c, QUOTA_SPENT);
                        }),
                  RESOURCE_EXHAUSTED);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

/* Two fibers read a counter, let the other read it as well, and write what they read plus one. */
TEST(tx, is_done_again_after_a_serialization_failure)
{
    for (enum db_isolation level : {DB_REPEATABLE_READ, DB_SERIALIZABLE}) {
        with_db(test_database(), [level](struct ctx *ctx) {
            fibers all(ctx);
            int tries = 0;
            int at_meeting = 0;
            for (int i = 0; i < 2; i++) {
                all.spawn([&, level](struct ctx *c) {
                    EXPECT_EQ(
                        in_tx(c, level,
                              [&](struct ctx *d) {
                                  struct db_int8_value v = {};
                                  tries++;
                                  enum status st = db_one(d, &sql_t_counter_read,
                                                          DB_ARGS(db_int8(1)), REASON_NONE, &v);
                                  for (at_meeting++; st == OK && at_meeting < 2;)
                                      st = fiber_sleep(d, MSEC(1));
                                  if (st != OK)
                                      return st;
                                  return db_exec(d, &sql_t_counter_write,
                                                 DB_ARGS(db_int8(1), db_int8(v.value + 1)), NULL);
                              }),
                        OK)
                        << failure(c);
                });
            }
            all.join();
            struct db_int8_value v = {};
            EXPECT_EQ(db_one(ctx, &sql_t_counter_read, DB_ARGS(db_int8(1)), REASON_NONE, &v), OK);
            EXPECT_EQ(v.value, 2);
            EXPECT_EQ(tries, 3);
            EXPECT_EQ(stats_of(ctx).retried_transactions, 1u);
        });
    }
}

TEST(tx, is_done_again_after_a_deadlock)
{
    const pg_server server(false, {"deadlock_timeout=30ms"});
    with_db(test_database(server), [](struct ctx *ctx) {
        fibers all(ctx);
        int met = 0;
        for (int i = 0; i < 2; i++) {
            all.spawn([&, i](struct ctx *c) {
                EXPECT_EQ(in_tx(c, DB_READ_COMMITTED,
                                [&, i](struct ctx *d) {
                                    enum status st =
                                        db_exec(d, &sql_t_counter_write,
                                                DB_ARGS(db_int8(1 + i), db_int8(5)), NULL);
                                    for (met++; st == OK && met < 2;)
                                        st = fiber_sleep(d, MSEC(1));
                                    if (st != OK)
                                        return st;
                                    return db_exec(d, &sql_t_counter_write,
                                                   DB_ARGS(db_int8(2 - i), db_int8(6)), NULL);
                                }),
                          OK)
                    << failure(c);
            });
        }
        all.join();
        EXPECT_GE(stats_of(ctx).retried_transactions, 1u);
    });
}

TEST(tx, more_than_there_are_connections_wait_for_their_turn)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        for (int i = 0; i < 20; i++) {
            all.spawn([i](struct ctx *c) {
                EXPECT_EQ(in_tx(c, DB_READ_COMMITTED,
                                [i](struct ctx *d) {
                                    enum status st = insert_item(d, i, std::to_string(i).c_str());
                                    EXPECT_LE(stats_of(d).connections_leased, 2u);
                                    return st;
                                }),
                          OK)
                    << failure(c);
            });
        }
        all.join();
        EXPECT_EQ(count_items(ctx), 20);
        /* The second lease is opened at need: 20 may be through before it is there. */
        EXPECT_GE(stats_of(ctx).connects, 2u);
        EXPECT_LE(stats_of(ctx).connects, 3u);
    });
}

TEST(tx, a_cancelled_one_rolls_back_and_its_connection_serves_on)
{
    db_setup setup = test_database();
    setup.leases = 1;
    with_db(setup, [](struct ctx *ctx) {
        fibers all(ctx);
        struct ctx *victim = nullptr;
        all.spawn([&victim](struct ctx *c) {
            victim = c;
            EXPECT_EQ(in_tx(c, DB_READ_COMMITTED,
                            [](struct ctx *d) {
                                struct db_text_value v = {};
                                EXPECT_EQ(insert_item(d, 1, "a"), OK);
                                return db_one(d, &sql_t_sleep, DB_ARGS(db_float8(0.2)), REASON_NONE,
                                              &v);
                            }),
                      CANCELLED);
        });
        ASSERT_EQ(fiber_sleep(ctx, MSEC(60)), OK);
        ctx_cancel(victim);
        all.join();
        EXPECT_EQ(
            in_tx(ctx, DB_READ_COMMITTED, [](struct ctx *c) { return insert_item(c, 2, "b"); }), OK)
            << failure(ctx);
        EXPECT_EQ(count_items(ctx), 1);
        EXPECT_EQ(stats_of(ctx).lost, 0u);
        EXPECT_EQ(stats_of(ctx).connections_leased, 0u);
    });
}

TEST(tx, runs_as_the_caller)
{
    with_db(test_database(), [](struct ctx *ctx) {
        act_as(ctx, 42, ROLE_DEVICE);
        EXPECT_EQ(in_tx(ctx, DB_READ_COMMITTED,
                        [](struct ctx *c) {
                            for (int i = 0; i < 2; i++) {
                                struct t_identity who = {};
                                EXPECT_EQ(db_one(c, &sql_t_whoami, DB_NO_ARGS, REASON_NONE, &who),
                                          OK);
                                EXPECT_STREQ(who.account, "42");
                                EXPECT_STREQ(who.role, "device");
                            }
                            return OK;
                        }),
                  OK)
            << failure(ctx);
    });
}
