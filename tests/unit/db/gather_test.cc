#include "unit/db/db_tables.h"

static struct db_gather *
gather_for(struct ctx *ctx, const struct db_stmt *stmt, size_t max_rows = 0, size_t max_waiting = 0)
{
    struct db_gather_options opt = {};
    opt.stmt = stmt;
    opt.max_rows = max_rows;
    opt.max_waiting = max_waiting;
    return db_gather_new(ctx->reactor, &opt);
}

static enum status
put(struct ctx *ctx, struct db_gather *g, int64_t id)
{
    const std::string label = "g" + std::to_string(id);
    return db_gather(ctx, g, DB_ARGS(db_int8(id), db_text(label.c_str())));
}

TEST(gather, a_lone_row_is_written_at_once)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather);
        EXPECT_EQ(put(ctx, g, 1), OK) << failure(ctx);
        EXPECT_EQ(count_items(ctx), 1);
        EXPECT_EQ(stats_of(ctx).gathered_batches, 1u);
        db_gather_free(g);
    });
}

TEST(gather, many_callers_share_few_statements)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather);
        fibers all(ctx);
        int good = 0;
        for (int i = 0; i < 200; i++) {
            all.spawn([&, i](struct ctx *c) {
                for (int k = 0; k < 20; k++)
                    good += put(c, g, i * 100 + k) == OK;
            });
        }
        all.join();
        EXPECT_EQ(good, 4000);
        EXPECT_EQ(count_items(ctx), 4000);
        EXPECT_EQ(stats_of(ctx).gathered_rows, 4000u);
        EXPECT_LT(stats_of(ctx).gathered_batches, 200u);
        db_gather_free(g);
    });
}

TEST(gather, only_the_culprit_of_a_batch_fails)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather);
        fibers all(ctx);
        ASSERT_EQ(put(ctx, g, 13), OK);
        ASSERT_EQ(put(ctx, g, 57), OK);
        int good = 0;
        int bad = 0;
        for (int i = 0; i < 100; i++) {
            all.spawn([&, i](struct ctx *c) {
                enum status st = put(c, g, i);
                good += st == OK;
                if (st != OK) {
                    bad++;
                    EXPECT_EQ(st, ALREADY_EXISTS) << failure(c);
                    EXPECT_TRUE(i == 13 || i == 57) << i;
                }
            });
        }
        all.join();
        EXPECT_EQ(good, 98);
        EXPECT_EQ(bad, 2);
        EXPECT_EQ(count_items(ctx), 100);
        EXPECT_LT(stats_of(ctx).gathered_batches, 40u);
        db_gather_free(g);
    });
}

TEST(gather, rows_come_back_to_their_callers)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather_rows);
        fibers all(ctx);
        int found_rows = 0;
        ASSERT_EQ(insert_item(ctx, 5, "was there"), OK);
        for (int i = 0; i < 50; i++) {
            all.spawn([&, i](struct ctx *c) {
                struct t_item item = {};
                bool found = false;
                const std::string label = "row " + std::to_string(i);
                EXPECT_EQ(
                    db_gather_row(c, g, DB_ARGS(db_int8(i), db_text(label.c_str())), &item, &found),
                    OK)
                    << failure(c);
                EXPECT_EQ(found, i != 5) << i;
                if (found) {
                    EXPECT_EQ(item.id, i);
                    EXPECT_EQ(item.label, label);
                }
                found_rows += found;
            });
        }
        all.join();
        EXPECT_EQ(found_rows, 49);
        db_gather_free(g);
    });
}

TEST(gather, batches_hold_at_most_max_rows)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather, 10);
        fibers all(ctx);
        for (int i = 0; i < 95; i++)
            all.spawn([&, i](struct ctx *c) { EXPECT_EQ(put(c, g, i), OK); });
        all.join();
        EXPECT_EQ(stats_of(ctx).gathered_batches, 10u);
        db_gather_free(g);
    });
}

TEST(gather, a_full_one_refuses)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather, 0, 10);
        fibers all(ctx);
        int refused = 0;
        for (int i = 0; i < 30; i++) {
            all.spawn([&, i](struct ctx *c) {
                enum status st = put(c, g, i);
                refused += st == RESOURCE_EXHAUSTED && c->error.reason == REASON_OVERLOADED;
            });
        }
        all.join();
        EXPECT_EQ(refused, 20);
        EXPECT_EQ(count_items(ctx), 10);
        db_gather_free(g);
    });
}

TEST(gather, accounts_do_not_share_a_batch_unless_the_statement_is_systems)
{
    with_db(test_database(), [](struct ctx *ctx) {
        for (const struct db_stmt *stmt : {&sql_t_gather, &sql_t_gather_system}) {
            struct db_gather *g = gather_for(ctx, stmt);
            const uint64_t before = stats_of(ctx).gathered_batches;
            const int base = stmt == &sql_t_gather ? 0 : 1000;
            fibers all(ctx);
            for (int i = 0; i < 30; i++) {
                all.spawn([&, i](struct ctx *c) {
                    act_as(c, 1 + i % 3);
                    EXPECT_EQ(put(c, g, base + i), OK) << failure(c);
                });
            }
            all.join();
            EXPECT_EQ(stats_of(ctx).gathered_batches - before, base ? 1u : 3u);
            db_gather_free(g);
        }
        EXPECT_EQ(count_items(ctx), 60);
    });
}

TEST(gather, cancelled_callers_leave_their_rows_behind)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather);
        fibers all(ctx);
        struct ctx *victims[20] = {};
        enum status ends[20];
        for (int i = 0; i < 20; i++) {
            all.spawn([&, i](struct ctx *c) {
                victims[i] = c;
                ends[i] = put(c, g, i);
            });
        }
        ASSERT_EQ(fiber_yield(ctx), OK); /* all have put; the batch is on its way or will be */
        for (int i = 0; i < 20; i += 2)
            ctx_cancel(victims[i]);
        all.join();
        int good = 0;
        for (int i = 0; i < 20; i++) {
            EXPECT_EQ(ends[i], i % 2 ? OK : CANCELLED) << i;
            good += ends[i] == OK;
        }
        EXPECT_EQ(good, 10);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(50)), OK);
        EXPECT_GE(count_items(ctx), 10);
        db_gather_free(g);
    });
}

TEST(gather, takes_nulls_and_refuses_wrong_types)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_gather *g = gather_for(ctx, &sql_t_gather);
        EXPECT_EQ(db_gather(ctx, g, DB_ARGS(db_int8(1), db_null(DB_TEXT))), INVALID_ARGUMENT)
            << "label is NOT NULL: " << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(db_gather(ctx, g, DB_ARGS(db_int4(1), db_text("x"))), INTERNAL);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
        db_gather_free(g);
    });
}
