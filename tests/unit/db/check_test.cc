/* Statements, row maps and schema that do not fit each other. */
#include "unit/db/db_tables.h"

/* A statement made by hand, wrong in one way. */
struct odd {
    explicit odd(const char *sql, const struct db_col *row)
    {
        stmt.name = "odd_one";
        stmt.sql = sql;
        stmt.kind = DB_KIND_MANY;
        stmt.flags = DB_READ;
        stmt.row = row;
        list[0] = &stmt;
        set.name = "odd";
        set.stmts = list;
        set.n = 1;
    }

    struct db_stmt stmt = {};
    struct db_stmt *list[1];
    struct db_sql set = {};
};

static enum db_check_result
check(const db_setup &setup, std::string *said)
{
    struct db_options opt = {};
    char err[512] = "";
    opt.url = setup.url.c_str();
    opt.sql = setup.sql.data();
    opt.n_sql = setup.sql.size();
    struct db *db = db_open(&opt);
    const enum db_check_result result = db_check(db, SEC(5), err, sizeof(err));
    db_close(db);
    *said = err;
    return result;
}

extern "C" const struct db_col t_item_row[];

TEST(check, accepts_what_fits)
{
    std::string said;
    EXPECT_EQ(check(test_database(), &said), DB_CHECK_OK) << said;
}

TEST(check, names_the_statement_and_the_column)
{
    static const struct {
        const char *sql;
        const char *says;
    } cases[] = {
        {"SELECT id, label FROM item LIMIT 1", "odd_one: column weight is missing"},
        {"SELECT id, label, weight, 1 AS extra FROM item LIMIT 1",
         "odd_one: column extra is not in"},
        {"SELECT id::text, label, weight FROM item LIMIT 1", "odd_one: column id has type 25"},
        {"SELECT id, id, label, weight FROM item LIMIT 1", "odd_one: column id comes twice"},
        {"SELECT id, label, weight FROM itme LIMIT 1", "relation \"itme\" does not exist"},
        {"SELECT id, label, weight FROM item WHERE id = $1 LIMIT 1",
         "has 1 parameters, declares 0"},
    };
    const db_setup good = test_database();
    for (const auto &c : cases) {
        db_setup setup = good;
        odd o(c.sql, t_item_row);
        std::string said;
        setup.sql.push_back(&o.set);
        EXPECT_EQ(check(setup, &said), DB_CHECK_MISMATCH) << c.sql;
        EXPECT_NE(said.find(c.says), std::string::npos) << said;
        EXPECT_EQ(said.find('\n'), std::string::npos) << "one line";
    }
}

TEST(check, compares_parameter_types)
{
    db_setup setup = test_database();
    static const enum db_type types[] = {DB_TEXT};
    odd o("SELECT id, label, weight FROM item WHERE id = $1 LIMIT 1", t_item_row);
    std::string said;
    o.stmt.params = types;
    o.stmt.n_params = 1;
    setup.sql.push_back(&o.set);
    EXPECT_EQ(check(setup, &said), DB_CHECK_MISMATCH);
    EXPECT_NE(said.find("operator does not exist"), std::string::npos) << said;
}

TEST(check, a_row_map_must_fit_its_struct)
{
    db_setup setup = test_database();
    static struct db_col wrong[2] = {};
    wrong[0].name = "value";
    wrong[0].type = DB_INT8;
    wrong[0].size = 4;
    wrong[0].row_size = 4;
    odd o("SELECT 1::bigint AS value LIMIT 1", wrong);
    std::string said;
    setup.sql.push_back(&o.set);
    EXPECT_EQ(check(setup, &said), DB_CHECK_MISMATCH);
    EXPECT_NE(said.find("odd_one: its row map"), std::string::npos) << said;
}

TEST(check, a_connection_with_a_mismatch_never_serves)
{
    db_setup setup = test_database();
    odd o("SELECT id, label FROM item LIMIT 1", t_item_row);
    setup.sql.push_back(&o.set);
    setup.wait = false;
    setup.timeout = MSEC(300);
    with_db(setup, [](struct ctx *ctx) {
        struct db_int8_value v = {};
        EXPECT_EQ(db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(1)), REASON_NONE, &v),
                  UNAVAILABLE);
        EXPECT_EQ(ctx->error.reason, REASON_DB_UNAVAILABLE);
        EXPECT_FALSE(db_healthy(ctx->reactor));
        EXPECT_GE(stats_of(ctx).connect_failures, 2u)
            << "it tries again: the schema may be migrated";
        EXPECT_LE(stats_of(ctx).connect_failures, 12u) << "with growing pauses";
        fail_clear(ctx);
    });
}

TEST(check, tells_away_from_refused)
{
    db_setup setup = test_database();
    std::string said;
    setup.url = "host=/nonexistent dbname=x";
    EXPECT_EQ(check(setup, &said), DB_CHECK_AWAY) << said;
    EXPECT_NE(said.find("/nonexistent"), std::string::npos) << said;
    setup.url = pg().url("no_such_database");
    EXPECT_EQ(check(setup, &said), DB_CHECK_REFUSED) << said;
    setup.url = pg().url("postgres", "no_such_role");
    EXPECT_EQ(check(setup, &said), DB_CHECK_REFUSED) << said;
}

TEST(check, a_statement_that_was_not_registered_is_refused)
{
    db_setup setup = test_database();
    with_db(setup, [](struct ctx *ctx) {
        odd o("SELECT id, label, weight FROM item LIMIT 1", t_item_row);
        struct t_item *rows = nullptr;
        size_t n = 0;
        EXPECT_EQ(db_many(ctx, &o.stmt, DB_NO_ARGS, &rows, &n), INTERNAL);
        fail_clear(ctx);
    });
}
