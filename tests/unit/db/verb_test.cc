#include "unit/db/db_tables.h"

TEST(verbs, one_returns_a_row)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_int8_value v = {};
        ASSERT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(-42)), REASON_NONE, &v), OK)
            << failure(ctx);
        EXPECT_EQ(v.value, -42);
    });
}

TEST(verbs, one_without_a_row_fails_with_the_given_reason)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct t_item item = {};
        item.id = 77;
        EXPECT_EQ(
            db_one(ctx, &sql_t_item_need, DB_ARGS(db_int8(1)), REASON_ACCOUNT_NOT_FOUND, &item),
            NOT_FOUND);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_NOT_FOUND);
        EXPECT_EQ(item.id, 77) << "written on success only";
    });
}

TEST(verbs, maybe_tells_whether_a_row_was_there)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct t_item item = {};
        bool found = true;
        ASSERT_EQ(db_maybe(ctx, &sql_t_item_get, DB_ARGS(db_int8(1)), &item, &found), OK);
        EXPECT_FALSE(found);
        ASSERT_EQ(db_exec(ctx, &sql_t_item_insert,
                          DB_ARGS(db_int8(1), db_text("Größe"), db_float8(2.5)), NULL),
                  OK)
            << failure(ctx);
        ASSERT_EQ(db_maybe(ctx, &sql_t_item_get, DB_ARGS(db_int8(1)), &item, &found), OK);
        ASSERT_TRUE(found);
        EXPECT_EQ(item.id, 1);
        EXPECT_STREQ(item.label, "Größe");
        EXPECT_TRUE(item.has_weight);
        EXPECT_EQ(item.weight, 2.5);
    });
}

TEST(verbs, many_returns_all_rows_in_order)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct t_item *items = NULL;
        size_t n = 99;
        ASSERT_EQ(db_many(ctx, &sql_t_item_list, DB_ARGS(db_int4(10)), &items, &n), OK);
        EXPECT_EQ(n, 0u);
        EXPECT_NE(items, nullptr);
        for (int i = 20; i > 0; i--)
            ASSERT_EQ(insert_item(ctx, i, ("label " + std::to_string(i)).c_str()), OK)
                << failure(ctx);
        ASSERT_EQ(db_many(ctx, &sql_t_item_list, DB_ARGS(db_int4(10)), &items, &n), OK);
        ASSERT_EQ(n, 10u);
        for (size_t i = 0; i < n; i++) {
            EXPECT_EQ(items[i].id, static_cast<int64_t>(i) + 1);
            EXPECT_EQ(items[i].label, "label " + std::to_string(i + 1));
            EXPECT_FALSE(items[i].has_weight);
            EXPECT_EQ(items[i].weight, 0);
        }
    });
}

TEST(verbs, exec_counts_rows)
{
    with_db(test_database(), [](struct ctx *ctx) {
        int64_t n = -1;
        for (int i = 1; i <= 5; i++)
            ASSERT_EQ(insert_item(ctx, i, std::to_string(i).c_str()), OK);
        ASSERT_EQ(db_exec(ctx, &sql_t_item_delete, DB_ARGS(db_int8(3)), &n), OK);
        EXPECT_EQ(n, 3);
        ASSERT_EQ(db_exec(ctx, &sql_t_item_delete, DB_ARGS(db_int8(3)), &n), OK);
        EXPECT_EQ(n, 0);
    });
}

TEST(verbs, a_result_of_many_megabytes_arrives_whole)
{
    with_db(test_database(), [](struct ctx *ctx) {
        const int32_t size = 5 << 20;
        struct db_text_value v = {};
        ASSERT_EQ(db_one(ctx, &sql_t_big, DB_ARGS(db_int4(size)), REASON_NONE, &v), OK)
            << failure(ctx);
        EXPECT_EQ(strlen(v.value), static_cast<size_t>(size));
        EXPECT_EQ(strspn(v.value, "x"), static_cast<size_t>(size));

        struct db_int8_value *rows = NULL;
        size_t n = 0;
        ASSERT_EQ(db_many(ctx, &sql_t_series, DB_ARGS(db_int8(300000)), &rows, &n), OK)
            << failure(ctx);
        ASSERT_EQ(n, 300000u);
        EXPECT_EQ(rows[299999].value, 300000);
    });
}

TEST(verbs, an_argument_of_many_megabytes_arrives_whole)
{
    with_db(test_database(), [](struct ctx *ctx) {
        const std::string label(1000, 'l');
        std::string big(9 << 20, 'b');
        struct t_types row = {};
        ASSERT_EQ(
            db_one(ctx, &sql_t_types,
                   DB_ARGS(db_null(DB_BOOL), db_null(DB_INT2), db_null(DB_INT4), db_null(DB_INT8),
                           db_null(DB_FLOAT4), db_null(DB_FLOAT8), db_text(big.c_str()),
                           db_bytea(big.data(), big.size()), db_null(DB_UUID),
                           db_null(DB_TIMESTAMPTZ), db_null(DB_DATE), db_null(DB_JSONB)),
                   REASON_NONE, &row),
            OK)
            << failure(ctx);
        EXPECT_EQ(row.t, big);
        EXPECT_EQ(std::string(row.bytes.p, row.bytes.n), big);
    });
}

TEST(verbs, a_unique_violation_has_the_statements_reason)
{
    with_db(test_database(), [](struct ctx *ctx) {
        ASSERT_EQ(insert_item(ctx, 1, "same"), OK);
        EXPECT_EQ(db_exec(ctx, &sql_t_item_insert,
                          DB_ARGS(db_int8(2), db_text("same"), db_float8(1)), NULL),
                  ALREADY_EXISTS);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_EXISTS);
        EXPECT_STREQ(ctx->error.message, reason_info(REASON_ACCOUNT_EXISTS)->text);
        EXPECT_NE(failure(ctx).find("23505"), std::string::npos) << failure(ctx);
        EXPECT_NE(failure(ctx).find("item_label_key"), std::string::npos);
        fail_clear(ctx);
        /* The primary key is another constraint: the common reason. */
        EXPECT_EQ(
            db_exec(ctx, &sql_t_item_insert, DB_ARGS(db_int8(1), db_text("x"), db_float8(1)), NULL),
            ALREADY_EXISTS);
        EXPECT_EQ(ctx->error.reason, REASON_ALREADY_EXISTS_ERROR);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 1);
    });
}

TEST(verbs, other_refusals_have_their_reasons)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(db_exec(ctx, &sql_t_part_insert, DB_ARGS(db_int8(1), db_int8(99)), NULL),
                  FAILED_PRECONDITION);
        EXPECT_EQ(ctx->error.reason, REASON_IN_USE) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(db_exec(ctx, &sql_t_item_insert,
                          DB_ARGS(db_int8(1), db_text("x"), db_float8(1e9)), NULL),
                  INVALID_ARGUMENT);
        EXPECT_EQ(ctx->error.reason, REASON_BAD_FIELD) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(insert_item(ctx, 1, NULL), INVALID_ARGUMENT) << "NOT NULL";
        fail_clear(ctx);
        EXPECT_EQ(insert_item(ctx, 1, "\xff\xfe"), INVALID_ARGUMENT) << "not UTF-8";
        EXPECT_EQ(ctx->error.reason, REASON_BAD_FIELD) << failure(ctx);
        fail_clear(ctx);
        struct db_int8_value v = {};
        EXPECT_EQ(db_one(ctx, &sql_t_divide, DB_ARGS(db_int8(1), db_int8(0)), REASON_NONE, &v),
                  INTERNAL);
        EXPECT_STREQ(ctx->error.message, reason_info(REASON_INTERNAL_ERROR)->text)
            << "nothing internal in the message";
        fail_clear(ctx);
    });
}

TEST(verbs, every_sqlstate_has_a_reason)
{
    static const struct {
        const char *state;
        enum reason reason;
    } cases[] = {
        {"23505", REASON_ALREADY_EXISTS_ERROR},
        {"23P01", REASON_ALREADY_EXISTS_ERROR},
        {"23503", REASON_IN_USE},
        {"23502", REASON_BAD_FIELD},
        {"23514", REASON_BAD_FIELD},
        {"22021", REASON_BAD_FIELD},
        {"22003", REASON_BAD_FIELD},
        {"40001", REASON_DB_CONFLICT},
        {"40P01", REASON_DB_CONFLICT},
        {"55P03", REASON_DB_CONFLICT},
        {"57014", REASON_DB_TIMEOUT},
        {"53100", REASON_DISK_FULL},
        {"53200", REASON_DB_UNAVAILABLE},
        {"58030", REASON_DB_UNAVAILABLE},
        {"57P01", REASON_DB_UNAVAILABLE},
        {"08006", REASON_DB_UNAVAILABLE},
        {"25006", REASON_DB_UNAVAILABLE},
        {"42501", REASON_INTERNAL_ERROR},
        {"P0001", REASON_INTERNAL_ERROR},
        {"XX000", REASON_INTERNAL_ERROR},
    };
    with_db(test_database(), [](struct ctx *ctx) {
        for (const auto &c : cases) {
            EXPECT_EQ(db_exec(ctx, &sql_t_raise, DB_ARGS(db_text(c.state)), NULL),
                      reason_info(c.reason)->status)
                << c.state;
            EXPECT_EQ(ctx->error.reason, c.reason) << c.state << ": " << failure(ctx);
            EXPECT_EQ(std::string(ctx->error.message).find("raised"), std::string::npos);
            fail_clear(ctx);
        }
        EXPECT_EQ(db_exec(ctx, &sql_t_raise_own, DB_ARGS(db_text("LU001")), NULL),
                  RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx->error.reason, REASON_QUOTA_SPENT) << "the statement's own";
        fail_clear(ctx);
        EXPECT_EQ(db_exec(ctx, &sql_t_raise_own, DB_ARGS(db_text("53100")), NULL),
                  RESOURCE_EXHAUSTED);
        EXPECT_EQ(ctx->error.reason, REASON_RATE_LIMITED);
        fail_clear(ctx);
    });
}

TEST(verbs, an_error_of_the_commit_itself_reaches_the_caller)
{
    with_db(test_database(), [](struct ctx *ctx) {
        EXPECT_EQ(db_exec(ctx, &sql_t_late_insert, DB_ARGS(db_int8(12345)), NULL),
                  FAILED_PRECONDITION);
        EXPECT_EQ(ctx->error.reason, REASON_IN_USE) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).lost, 0u);
        EXPECT_EQ(count_items(ctx), 0) << "the connection goes on";
    });
}

TEST(verbs, programming_errors_are_internal_errors)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_int8_value v = {};
        struct t_item item = {};
        bool found = false;
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int4(1)), REASON_NONE, &v), INTERNAL);
        EXPECT_NE(failure(ctx).find("wrong type"), std::string::npos) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_NO_ARGS, REASON_NONE, &v), INTERNAL);
        fail_clear(ctx);
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(1)), REASON_NONE, &item), INTERNAL)
            << "another struct than the row map's";
        fail_clear(ctx);
        EXPECT_EQ(db_maybe(ctx, &sql_t_select_one, DB_ARGS(db_int8(1)), &v, &found), INTERNAL)
            << "another verb than the statement's";
        fail_clear(ctx);
        EXPECT_EQ(db_one(ctx, &sql_t_null_number, DB_NO_ARGS, REASON_NONE, &v), INTERNAL);
        EXPECT_NE(failure(ctx).find("column value is NULL"), std::string::npos) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(stats_of(ctx).statements, 1u) << "only the last was sent";
    });
}

TEST(verbs, a_batch_is_one_transaction_and_one_sync)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct t_item one = {};
        struct t_item *all = NULL;
        size_t n = 0;
        size_t changed = 0;
        size_t found = 9;
        struct db_arg a1[] = {db_int8(1), db_text("a")};
        struct db_arg a2[] = {db_int8(2), db_text("b")};
        struct db_arg a3[] = {db_int8(1)};
        struct db_arg a4[] = {db_int4(10)};
        struct db_arg a5[] = {db_int8(55)};
        const struct db_item items[] = {
            {&sql_t_item_insert_plain, {a1, 2}, REASON_NONE, NULL, 0, &changed},
            {&sql_t_item_insert_plain, {a2, 2}, REASON_NONE, NULL, 0, NULL},
            {&sql_t_item_need, {a3, 1}, REASON_ACCOUNT_NOT_FOUND, &one, sizeof(one), NULL},
            {&sql_t_item_list, {a4, 1}, REASON_NONE, &all, sizeof(*all), &n},
            {&sql_t_item_get, {a5, 1}, REASON_NONE, &one, sizeof(one), &found},
        };
        const uint64_t syncs = stats_of(ctx).syncs;
        ASSERT_EQ(db_batch(ctx, items, 5), OK) << failure(ctx);
        EXPECT_EQ(stats_of(ctx).syncs, syncs + 1);
        EXPECT_EQ(changed, 1u);
        EXPECT_STREQ(one.label, "a");
        EXPECT_EQ(n, 2u);
        EXPECT_STREQ(all[1].label, "b");
        EXPECT_EQ(found, 0u);

        /* The second fails: nothing happened. */
        struct db_arg b1[] = {db_int8(3), db_text("c")};
        struct db_arg b2[] = {db_int8(1), db_text("again")};
        const struct db_item bad[] = {
            {&sql_t_item_insert_plain, {b1, 2}, REASON_NONE, NULL, 0, NULL},
            {&sql_t_item_insert_plain, {b2, 2}, REASON_NONE, NULL, 0, NULL},
            {&sql_t_item_list, {a4, 1}, REASON_NONE, &all, sizeof(*all), &n},
        };
        EXPECT_EQ(db_batch(ctx, bad, 3), ALREADY_EXISTS) << failure(ctx);
        fail_clear(ctx);
        EXPECT_EQ(count_items(ctx), 2);
        EXPECT_EQ(db_batch(ctx, items, 0), OK);
    });
}

TEST(verbs, an_error_in_a_batch_is_of_the_statement_that_made_it)
{
    with_db(test_database(), [](struct ctx *ctx) {
        struct db_int8_value v = {};
        struct db_arg a1[] = {db_int8(4), db_int8(2)};
        struct db_arg a2[] = {db_int8(4), db_int8(0)};
        const struct db_item items[] = {
            {&sql_t_divide, {a1, 2}, REASON_NONE, &v, sizeof(v), NULL},
            {&sql_t_divide, {a2, 2}, REASON_NONE, &v, sizeof(v), NULL},
            {&sql_t_divide, {a1, 2}, REASON_NONE, &v, sizeof(v), NULL},
        };
        EXPECT_EQ(db_batch(ctx, items, 3), INTERNAL);
        EXPECT_NE(failure(ctx).find("22012"), std::string::npos) << failure(ctx);
        EXPECT_EQ(v.value, 0);
        fail_clear(ctx);
    });
}

TEST(verbs, statements_are_counted_by_name)
{
    const db_setup setup = test_database();
    with_db(setup, [](struct ctx *ctx) {
        struct db_int8_value v = {};
        struct db_stmt_stats s;
        for (int i = 0; i < 3; i++)
            ASSERT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(i)), REASON_NONE, &v), OK);
        EXPECT_EQ(db_one(ctx, &sql_t_divide, DB_ARGS(db_int8(1), db_int8(0)), REASON_NONE, &v),
                  INTERNAL);
        fail_clear(ctx);
        db_stmt_stats_read(ctx->reactor, &sql_t_select_one, &s);
        EXPECT_EQ(s.calls, 3u);
        EXPECT_EQ(s.rows, 3u);
        EXPECT_EQ(s.failures, 0u);
        EXPECT_GT(s.total_ns, 0u);
        db_stmt_stats_read(ctx->reactor, &sql_t_divide, &s);
        EXPECT_EQ(s.calls, 1u);
        EXPECT_EQ(s.failures, 1u);
        EXPECT_EQ(stats_of(ctx).statements, 4u);
        EXPECT_EQ(stats_of(ctx).failures, 1u);
    });
}

TEST(verbs, without_a_database_they_say_so)
{
    reactor_run_main(
        [](struct ctx *ctx, void *) {
            struct db_int8_value v = {};
            EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(1)), REASON_NONE, &v),
                      UNAVAILABLE);
            EXPECT_EQ(ctx->error.reason, REASON_SHUTTING_DOWN);
            EXPECT_FALSE(db_healthy(ctx->reactor));
        },
        nullptr);
}
