/* Many rows out (db_stream) and in (db_copy_in). */
#include "unit/db/db_tables.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static size_t
resident_kib()
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %zu kB", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

static struct db_stream *
open_items(struct ctx *ctx, int64_t rows, int32_t width)
{
    struct db_stream *s = nullptr;
    EXPECT_EQ(db_stream_open(ctx, &sql_t_stream, DB_ARGS(db_int8(rows), db_int4(width)), &s), OK)
        << failure(ctx);
    return s;
}

TEST(stream, gives_every_row_and_then_the_end)
{
    with_db(test_database(), [](struct ctx *ctx) {
        for (int64_t want : {0, 1, 20000}) {
            struct db_stream *s = open_items(ctx, want, 10);
            struct arena scratch;
            struct t_item row = {};
            int64_t n = 0;
            enum status st;
            arena_init(&scratch, 0);
            while ((st = db_stream_next(s, &scratch, &row)) == OK) {
                n++;
                ASSERT_EQ(row.id, n);
                ASSERT_STREQ(row.label, "yyyyyyyyyy");
                ASSERT_EQ(row.weight, static_cast<double>(n) / 2);
                arena_reset(&scratch);
            }
            EXPECT_EQ(st, END) << failure(ctx);
            EXPECT_EQ(n, want);
            EXPECT_EQ(db_stream_next(s, &scratch, &row), END) << "again and again";
            db_stream_close(s);
            arena_fini(&scratch);
        }
        EXPECT_EQ(stats_of(ctx).lost, 0u);
        EXPECT_EQ(stats_of(ctx).connections_leased, 0u) << "the connection was given back";
        EXPECT_EQ(stats_of(ctx).connects, 2u);
    });
}

TEST(stream, a_slow_reader_costs_little_memory_and_blocks_nobody)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_stream *s = open_items(ctx, 100000, 1000); /* 100 MB in all */
        struct arena scratch;
        struct t_item row = {};
        arena_init(&scratch, 0);
        ASSERT_EQ(db_stream_next(s, &scratch, &row), OK);
        const size_t before = resident_kib();
        for (int i = 0; i < 50; i++) {
            EXPECT_EQ(count_items(ctx), 0) << "others are served meanwhile";
            ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
        }
        for (int i = 0; i < 30000; i++) {
            arena_reset(&scratch);
            ASSERT_EQ(db_stream_next(s, &scratch, &row), OK);
        }
        if (!SANITIZED) { /* those keep what was freed */
            EXPECT_LT(resident_kib(), before + 8192) << "30 MB have passed through";
        }
        arena_fini(&scratch);
        db_stream_close(s);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(stream, fails_where_the_server_fails)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_stream *s = nullptr;
        struct db_int8_value v = {};
        enum status st;
        int n = 0;
        ASSERT_EQ(db_stream_open(ctx, &sql_t_stream_breaks, DB_ARGS(db_int8(100)), &s), OK);
        while ((st = db_stream_next(s, ctx->arena, &v)) == OK)
            n++;
        EXPECT_EQ(st, INTERNAL);
        EXPECT_EQ(n, 99);
        EXPECT_NE(failure(ctx).find("22012"), std::string::npos) << failure(ctx);
        EXPECT_EQ(db_stream_next(s, ctx->arena, &v), INTERNAL) << "and stays so";
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(stream, is_closed_with_its_ctx)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        for (int i = 0; i < 5; i++) { /* more than there are leases */
            all.spawn([](struct ctx *c) {
                struct t_item row = {};
                struct db_stream *s = open_items(c, 1000000, 100);
                ASSERT_NE(s, nullptr);
                EXPECT_EQ(db_stream_next(s, c->arena, &row), OK) << failure(c);
            });
        }
        all.join();
        EXPECT_EQ(stats_of(ctx).connections_leased, 0u);
    });
}

TEST(stream, stops_for_cancellation)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        struct ctx *victim = nullptr;
        all.spawn([&victim](struct ctx *c) {
            struct t_item row = {};
            struct db_stream *s = open_items(c, 1000000000, 100);
            enum status st;
            victim = c;
            while ((st = db_stream_next(s, c->arena, &row)) == OK)
                arena_reset(c->arena);
            EXPECT_EQ(st, CANCELLED);
        });
        ASSERT_EQ(fiber_sleep(ctx, MSEC(300)), OK);
        ASSERT_NE(victim, nullptr);
        ctx_cancel(victim);
        all.join();
        EXPECT_EQ(count_items(ctx), 0);
    });
}

TEST(stream, runs_as_the_caller)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_stream *s = nullptr;
        struct db_text_value v = {};
        act_as(ctx, 7);
        ASSERT_EQ(db_stream_open(ctx, &sql_t_stream_who, DB_NO_ARGS, &s), OK);
        ASSERT_EQ(db_stream_next(s, ctx->arena, &v), OK) << failure(ctx);
        EXPECT_STREQ(v.value, "7");
        EXPECT_EQ(db_stream_next(s, ctx->arena, &v), END);
    });
}

/* ---- COPY ---------------------------------------------------------------------------------------
 */

struct source {
    int64_t next = 1;
    int64_t last = 0;
    int64_t bad = 0;   /* this row repeats the first's key */
    int64_t fails = 0; /* at this row the caller gives up */
    std::string label;
};

static enum status
next_row(struct ctx *ctx, void *arg, struct db_arg *args)
{
    auto *s = static_cast<source *>(arg);
    if (s->next > s->last)
        return END;
    if (s->next == s->fails)
        return fail_plain(ctx, QUOTA_SPENT);
    s->label = "row " + std::to_string(s->next);
    args[0] = db_int8(s->next == s->bad ? 1 : s->next);
    args[1] = db_text(s->label.c_str());
    args[2] = s->next % 2 ? db_null(DB_FLOAT8) : db_float8(0.25);
    s->next++;
    return OK;
}

TEST(copy, brings_rows_in)
{
    const db_setup setup = test_database();
    with_db(setup, [&](struct ctx *ctx) {
        for (int64_t n : {0, 1, 50000}) {
            source s;
            int64_t rows = -1;
            s.last = n;
            ASSERT_EQ(db_copy_in(ctx, &sql_t_copy, next_row, &s, &rows), OK) << failure(ctx);
            EXPECT_EQ(rows, n);
            EXPECT_EQ(count_items(ctx), n);
            ASSERT_EQ(db_exec(ctx, &sql_t_item_delete, DB_ARGS(db_int8(n > 1 ? 11 : 0)), NULL), OK);
        }
        struct t_item *items = nullptr;
        size_t n = 0;
        ASSERT_EQ(db_many(ctx, &sql_t_item_list, DB_ARGS(db_int4(100)), &items, &n), OK);
        ASSERT_EQ(n, 10u);
        EXPECT_STREQ(items[9].label, "row 10");
        EXPECT_TRUE(items[9].has_weight);
        EXPECT_FALSE(items[8].has_weight);
        EXPECT_EQ(stats_of(ctx).lost, 0u);
    });
}

TEST(copy, is_all_or_nothing)
{
    with_db(test_database(), [](struct ctx *ctx) {
        source s;
        s.last = 5000;
        s.bad = 4000;
        EXPECT_EQ(db_copy_in(ctx, &sql_t_copy, next_row, &s, NULL), ALREADY_EXISTS) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);

        s = source();
        s.last = 5000;
        s.fails = 4000;
        EXPECT_EQ(db_copy_in(ctx, &sql_t_copy, next_row, &s, NULL), RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx->error.reason, REASON_QUOTA_SPENT) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 0);
        /* Its connection is given back once the server has answered the end of the COPY. */
        for (int i = 0; i < 1000 && stats_of(ctx).connections_leased > 0; i++)
            ASSERT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
        EXPECT_EQ(stats_of(ctx).connections_leased, 0u);
    });
}

TEST(copy, joins_a_transaction)
{
    with_db(test_database(), [](struct ctx *ctx) {
        for (bool commits : {false, true}) {
            EXPECT_EQ(db_tx(
                          ctx,
                          [](struct ctx *c, void *arg) {
                              source s;
                              s.last = 100;
                              EXPECT_EQ(db_copy_in(c, &sql_t_copy, next_row, &s, NULL), OK)
                                  << failure(c);
                              EXPECT_EQ(count_items(c), 100) << "pipeline mode is back";
                              return *static_cast<bool *>(arg) ? OK : fail_plain(c, QUOTA_SPENT);
                          },
                          &commits),
                      commits ? OK : RESOURCE_EXHAUSTED);
            fail_clear(ctx);
            EXPECT_EQ(count_items(ctx), commits ? 100 : 0);
        }
    });
}

TEST(copy, may_be_cancelled)
{
    with_db(test_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        struct ctx *victim = nullptr;
        all.spawn([&victim](struct ctx *c) {
            source s;
            victim = c;
            s.last = INT64_MAX;
            EXPECT_EQ(db_copy_in(c, &sql_t_copy, next_row, &s, NULL), CANCELLED) << failure(c);
        });
        while (!victim)
            ASSERT_EQ(fiber_sleep(ctx, MSEC(10)), OK);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(100)), OK);
        ctx_cancel(victim);
        all.join();
        EXPECT_EQ(count_items(ctx), 0);
        source s;
        s.last = 10;
        EXPECT_EQ(db_copy_in(ctx, &sql_t_copy, next_row, &s, NULL), OK) << failure(ctx);
    });
}
