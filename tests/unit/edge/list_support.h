/* Things in a table of their own, the same things in C++, and the list that shows them. */
#ifndef LUNA_TESTS_LIST_SUPPORT_H
#define LUNA_TESTS_LIST_SUPPORT_H

#include <random>
#include <sstream>

#include "support/pg_db_test.h"

extern "C" {
#include "edge/list.h"
#include "edge/page_token.h"
#include "tests/unit/edge/list_test.sql.h"
#include "unit/edge/list_rows.h"
}

using rng = std::mt19937_64;

static inline size_t
below(rng &r, size_t n)
{
    return std::uniform_int_distribution<size_t>(0, n - 1)(r);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* NULL is the empty optional, spelled with a flag to stay close to the table. */
struct thing {
    int64_t id;
    bool has_n;
    int n;
    double x;
    std::string label;
    bool has_nick;
    std::string nick;
    bool flag;
    bool has_seen;
    int64_t seen_s; /* seconds since 1970 */
    int day;        /* days since 1970 */
    int uuid;       /* its last byte */
    std::vector<std::string> tags;
    bool on;
    bool has_took;
    int64_t took_ms;
};

static const std::vector<std::string> words = {"a",  "ab",   "abc",   "b_c", "b%", "x*y",
                                               "\\", "it's", "\"q\"", "é",   ""};

static inline std::string
word(rng &r)
{
    return words[below(r, words.size())];
}

static inline thing
random_thing(rng &r, int64_t id)
{
    thing t = {};
    t.id = id;
    t.has_n = below(r, 4) > 0;
    t.n = static_cast<int>(below(r, 7)) - 3;
    t.x = static_cast<double>(below(r, 9)) / 4 - 1;
    t.label = word(r);
    t.has_nick = below(r, 3) > 0;
    t.nick = word(r);
    t.flag = below(r, 2) > 0;
    t.has_seen = below(r, 3) > 0;
    t.seen_s = 1519516800 + static_cast<int64_t>(below(r, 5)) * 3600;
    t.day = 17580 + static_cast<int>(below(r, 4));
    t.uuid = static_cast<int>(below(r, 3));
    for (size_t n = below(r, 3); n > 0; n--)
        t.tags.push_back(word(r));
    t.on = below(r, 2) > 0;
    t.has_took = below(r, 2) > 0;
    t.took_ms = static_cast<int64_t>(below(r, 4)) * 500;
    return t;
}

static inline std::string
sql_text(const std::string &s)
{
    std::string out = "E'";
    for (char c : s)
        out += c == '\'' ? "''" : c == '\\' ? "\\\\" : std::string(1, c);
    return out + "'";
}

static inline std::string
uuid_text(int last)
{
    return "00000000-0000-4000-8000-00000000000" + std::to_string(last);
}

static inline std::string
row_text(const thing &t)
{
    std::ostringstream o;
    o << "(" << t.id << ", 7, " << (t.has_n ? std::to_string(t.n) : "NULL") << ", " << t.x << ", "
      << sql_text(t.label) << ", " << (t.has_nick ? sql_text(t.nick) : "NULL") << ", "
      << (t.flag ? "true" : "false") << ", ";
    if (t.has_seen)
        o << "to_timestamp(" << t.seen_s << ")";
    else
        o << "NULL";
    o << ", date '1970-01-01' + " << t.day << ", '" << uuid_text(t.uuid) << "', ARRAY[";
    for (size_t i = 0; i < t.tags.size(); i++)
        o << (i ? "," : "") << sql_text(t.tags[i]);
    o << "]::text[], '" << (t.on ? "on" : "off") << "', "
      << (t.has_took ? std::to_string(t.took_ms) : "NULL") << ")";
    return o.str();
}

static inline db_setup
database_with(const std::vector<thing> &things)
{
    static int n;
    const std::string name = migrated_database(pg(), "list" + std::to_string(++n));
    pg().exec(name, R"(
        CREATE TABLE thing (id bigint PRIMARY KEY, owner bigint NOT NULL, n integer, x double precision NOT NULL,
            label text NOT NULL, nick text, flag boolean NOT NULL, seen_at timestamptz, day date NOT NULL,
            u uuid NOT NULL, tags text[] NOT NULL, state text NOT NULL, took_ms bigint);
        GRANT ALL ON thing TO luna_app;
        INSERT INTO thing SELECT 1000000, 8, NULL, 0, '', NULL, true, NULL, '2018-02-25', gen_random_uuid(), '{}', 'on', 1;
    )");
    std::string rows;
    for (const thing &t : things)
        rows += (rows.empty() ? "" : ", ") + row_text(t);
    if (!rows.empty())
        pg().exec(name, "INSERT INTO thing VALUES " + rows);
    page_token_init(STR("the secret of the tests"));
    db_setup setup;
    setup.url = pg().url(name, "luna_app");
    setup.sql = {&list_test_sql};
    return setup;
}

struct page {
    std::vector<int64_t> ids;
    std::string next;
    std::string error; /* "field text" of the first violation */
};

static inline page
list(struct ctx *ctx, struct list_request request)
{
    if (request.normal == 0)
        request.normal = 1000;
    if (request.most == 0)
        request.most = 1000;
    struct t_thing *rows = nullptr;
    size_t n = 0;
    const char *next = nullptr;
    page p;
    const enum status st =
        list_rows(ctx, &sql_t_thing_list, DB_ARGS(db_int8(7)), &request, &rows, &n, &next);
    if (st != OK) {
        p.error = ctx->error.fields
                      ? std::string(ctx->error.fields->field) + " " + ctx->error.fields->text
                      : failure(ctx);
        fail_clear(ctx);
        return p;
    }
    for (size_t i = 0; i < n; i++)
        p.ids.push_back(rows[i].id);
    p.next = next;
    return p;
}

static inline page
filtered(struct ctx *ctx, const std::string &filter)
{
    struct list_request r = {};
    r.filter = filter.c_str();
    return list(ctx, r);
}

static inline std::vector<thing>
random_things(rng &r, size_t n)
{
    std::vector<thing> things;
    for (size_t i = 0; i < n; i++)
        things.push_back(random_thing(r, static_cast<int64_t>(i) + 1));
    return things;
}

#endif
