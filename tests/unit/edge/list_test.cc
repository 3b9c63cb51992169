/* Orders and pages on a real Postgres, against sorting in C++. */
#include <map>

#include "unit/edge/list_support.h"

namespace
{

/* ---- orders and pages
 * ---------------------------------------------------------------------------- */

/* -1, 0, 1; what is absent comes last, or first when descending. */
template <typename T>
int
order(bool has_a, const T &a, bool has_b, const T &b)
{
    if (!has_a || !has_b)
        return static_cast<int>(!has_a) - static_cast<int>(!has_b);
    return a < b ? -1 : b < a ? 1 : 0;
}

const std::map<std::string, std::function<int(const thing &, const thing &)>> orders = {
    {"id", [](const thing &a, const thing &b) { return order(true, a.id, true, b.id); }},
    {"n", [](const thing &a, const thing &b) { return order(a.has_n, a.n, b.has_n, b.n); }},
    {"x", [](const thing &a, const thing &b) { return order(true, a.x, true, b.x); }},
    {"label", [](const thing &a, const thing &b) { return order(true, a.label, true, b.label); }},
    {"nick",
     [](const thing &a, const thing &b) { return order(a.has_nick, a.nick, b.has_nick, b.nick); }},
    {"flag", [](const thing &a, const thing &b) { return order(true, a.flag, true, b.flag); }},
    {"seen.at", [](const thing &a,
                   const thing &b) { return order(a.has_seen, a.seen_s, b.has_seen, b.seen_s); }},
    {"day", [](const thing &a, const thing &b) { return order(true, a.day, true, b.day); }},
    {"u", [](const thing &a, const thing &b) { return order(true, a.uuid, true, b.uuid); }},
    {"took", [](const thing &a,
                const thing &b) { return order(a.has_took, a.took_ms, b.has_took, b.took_ms); }},
};

struct random_order {
    std::vector<std::pair<std::string, bool>> columns; /* name, descending */
    std::string text;

    explicit random_order(rng &r)
    {
        std::vector<std::string> names;
        for (const auto &o : orders)
            names.push_back(o.first);
        std::shuffle(names.begin(), names.end(), r);
        names.resize(below(r, 4));
        for (const auto &name : names) {
            const bool down = below(r, 2) > 0;
            columns.emplace_back(name, down);
            text += (text.empty() ? "" : ", ") + name +
                    (down          ? " desc"
                     : below(r, 2) ? " asc"
                                   : "");
        }
    }

    bool before(const thing &a, const thing &b) const
    {
        for (const auto &c : columns) {
            const int o = orders.at(c.first)(a, b);
            if (o != 0)
                return c.second ? o > 0 : o < 0;
        }
        return a.id < b.id;
    }
};

TEST(pages, tokens_lead_through_any_order_without_gap_or_repetition)
{
    rng r(4);
    auto things = random_things(r, 60);
    with_db(database_with(things), [&](struct ctx *ctx) {
        for (int round = 0; round < 150 && !HasFailure(); round++) {
            const random_order o(r);
            std::sort(things.begin(), things.end(),
                      [&](const thing &a, const thing &b) { return o.before(a, b); });
            std::vector<int64_t> want, got;
            for (const thing &t : things)
                if (!(t.has_n && t.n == 2))
                    want.push_back(t.id);
            std::string token;
            do {
                struct list_request q = {};
                q.filter = "n != 2";
                q.order_by = o.text.c_str();
                q.page_token = token.c_str();
                q.page_size = 1 + static_cast<int32_t>(below(r, 25));
                const page p = list(ctx, q);
                ASSERT_EQ(p.error, "") << o.text;
                got.insert(got.end(), p.ids.begin(), p.ids.end());
                token = p.next;
            } while (!token.empty() && got.size() <= want.size());
            EXPECT_EQ(got, want) << o.text;
            arena_reset(ctx->arena);
        }
    });
}

TEST(pages, rows_that_come_and_go_meanwhile_do_not_disturb)
{
    rng r(5);
    const db_setup setup = database_with(random_things(r, 10));
    with_db(setup, [&](struct ctx *ctx) {
        struct list_request q = {};
        q.page_size = 4;
        page p = list(ctx, q);
        ASSERT_EQ(p.ids, (std::vector<int64_t>{1, 2, 3, 4}));
        pg().exec(
            name_of(setup),
            "DELETE FROM thing WHERE id IN (2, 4, 6); INSERT INTO thing SELECT 0, 7, n, x, label, "
            "nick, flag, seen_at, day, u, tags, state, took_ms FROM thing WHERE id = 1");
        q.page_token = p.next.c_str();
        EXPECT_EQ(list(ctx, q).ids, (std::vector<int64_t>{5, 7, 8, 9}));
    });
}

TEST(pages, a_token_is_bound_to_the_question)
{
    rng r(6);
    with_db(database_with(random_things(r, 10)), [&](struct ctx *ctx) {
        struct list_request q = {};
        q.page_size = 2;
        q.filter = "id > 1";
        const page first = list(ctx, q);
        q.page_token = first.next.c_str();
        EXPECT_EQ(list(ctx, q).ids, (std::vector<int64_t>{4, 5}));
        q.page_size = 3; /* may change */
        EXPECT_EQ(list(ctx, q).ids, (std::vector<int64_t>{4, 5, 6}));
        const std::string refused =
            "page_token is not one of this list's, or the filter, the order or the parent is "
            "another one";
        q.filter = "id > 2";
        EXPECT_EQ(list(ctx, q).error, refused);
        q.filter = "id > 1";
        q.order_by = "id desc";
        EXPECT_EQ(list(ctx, q).error, refused);
        q.order_by = nullptr;
        std::string wrong = first.next;
        wrong[5] = wrong[5] == 'A' ? 'B' : 'A';
        q.page_token = wrong.c_str();
        EXPECT_EQ(list(ctx, q).error, refused);
        q.page_token = first.next.c_str();
        struct t_thing *rows = nullptr;
        size_t n = 0;
        const char *next = nullptr;
        q.normal = q.most = 10;
        EXPECT_EQ(list_rows(ctx, &sql_t_thing_list, DB_ARGS(db_int8(8)), &q, &rows, &n, &next),
                  INVALID_ARGUMENT)
            << "another parent";
        fail_clear(ctx);
        q.filter = nullptr;
        EXPECT_EQ(list_rows(ctx, &sql_t_thing_newest, DB_NO_ARGS, &q, &rows, &n, &next),
                  INVALID_ARGUMENT)
            << "another list";
        fail_clear(ctx);
    });
}

TEST(pages, by_number_and_by_offset)
{
    rng r(7);
    with_db(database_with(random_things(r, 10)), [&](struct ctx *ctx) {
        auto get = [&](int32_t page_number, int32_t per_page, int32_t limit, int32_t offset) {
            struct list_request q = {};
            q.page = page_number;
            q.per_page = per_page;
            q.limit = limit;
            q.offset = offset;
            return list(ctx, q);
        };
        EXPECT_EQ(get(1, 4, 0, 0).ids, (std::vector<int64_t>{1, 2, 3, 4}));
        EXPECT_EQ(get(3, 4, 0, 0).ids, (std::vector<int64_t>{9, 10}));
        EXPECT_EQ(get(4, 4, 0, 0).ids, (std::vector<int64_t>{}));
        EXPECT_EQ(get(0, 0, 3, 8).ids, (std::vector<int64_t>{9, 10}));
        EXPECT_EQ(get(0, 0, 3, 8).next, "");
        const page cut = get(0, 0, 3, 2);
        EXPECT_EQ(cut.ids, (std::vector<int64_t>{3, 4, 5}));
        struct list_request go_on = {};
        go_on.page_token = cut.next.c_str();
        EXPECT_EQ(list(ctx, go_on).ids, (std::vector<int64_t>{6, 7, 8, 9, 10}))
            << "a list that was cut says so";
        EXPECT_NE(get(1, 0, 0, 3).error, "");
        EXPECT_NE(get(-1, 0, 0, 0).error, "");
        EXPECT_NE(get(0, 0, 0, -1).error, "");
        EXPECT_NE(get(0, 2, 3, 0).error, "");
        EXPECT_EQ(get(1001, 1000, 0, 0).error, "");
        EXPECT_NE(get(1002, 1000, 0, 0).error, "");
        EXPECT_EQ(get(2147483647, 1000, 0, 0).error.substr(0, 15), "page is too far");
        struct list_request both = go_on;
        both.page = 2;
        EXPECT_EQ(list(ctx, both).error, "page cannot be used with page_token");
    });
}

TEST(pages, a_lists_own_order_may_descend)
{
    rng r(8);
    auto things = random_things(r, 30);
    with_db(database_with(things), [&](struct ctx *ctx) {
        pg(); /* the row of the other owner is in this list too */
        std::sort(things.begin(), things.end(), [](const thing &a, const thing &b) {
            return a.day != b.day ? a.day > b.day : a.id > b.id;
        });
        std::vector<int64_t> want = {1000000}, got;
        for (const thing &t : things)
            want.push_back(t.id);
        std::string token;
        do {
            struct list_request q = {};
            q.normal = 7;
            q.most = 100;
            q.page_token = token.c_str();
            struct t_thing *rows = nullptr;
            size_t n = 0;
            const char *next = nullptr;
            ASSERT_EQ(list_rows(ctx, &sql_t_thing_newest, DB_NO_ARGS, &q, &rows, &n, &next), OK)
                << failure(ctx);
            for (size_t i = 0; i < n; i++)
                got.push_back(rows[i].id);
            token = next;
        } while (!token.empty() && got.size() < 100);
        EXPECT_EQ(got, want);
    });
}

TEST(orders, mistakes_are_named)
{
    with_db(database_with({}), [&](struct ctx *ctx) {
        const std::pair<const char *, const char *> cases[] = {
            {"nope", "wrong at 1: there is no column to sort by called nope"},
            {"id,", "wrong at 4: a column's name is missing"},
            {"id, tags", "wrong at 5: there is no column to sort by called tags"},
            {"id down", "wrong at 4: a comma, asc or desc"},
            {"id, id desc", "wrong at 5: there is already id"},
            {"id;", "wrong at 3: a comma"},
            {"id,n,x,label,nick,flag", "has more than 5 columns"},
        };
        for (const auto &c : cases) {
            struct list_request q = {};
            q.order_by = c.first;
            EXPECT_NE(list(ctx, q).error.find(c.second), std::string::npos)
                << c.first << ": " << list(ctx, q).error;
        }
    });
}

TEST(lists, a_column_that_does_not_fit_stops_the_start)
{
    const db_setup setup = database_with({});
    auto check = [&](std::string *why) {
        struct db_options opt = {};
        opt.url = setup.url.c_str();
        opt.sql = setup.sql.data();
        opt.n_sql = setup.sql.size();
        struct db *db = db_open(&opt);
        char err[512] = "";
        const enum db_check_result got = db_check(db, SEC(20), err, sizeof(err));
        db_close(db);
        *why = err;
        return got;
    };
    std::string why;
    EXPECT_EQ(check(&why), DB_CHECK_OK) << why;
    struct db_stmt *stmt = &sql_t_thing_list;
    const struct db_list *good = stmt->list;
    std::vector<struct db_column> columns(good->columns, good->columns + good->n_columns);
    columns[1].type = DB_TEXT; /* n: sorts, and is an integer */
    struct db_list bad = *good;
    bad.columns = columns.data();
    stmt->list = &bad;
    EXPECT_EQ(check(&why), DB_CHECK_MISMATCH);
    EXPECT_NE(why.find("column n sorts"), std::string::npos) << why;
    columns[1].flags = DB_COLUMN_FILTERS;
    EXPECT_EQ(check(&why), DB_CHECK_MISMATCH) << "text cannot be compared with the integer";
    stmt->list = good;
}

} // namespace
