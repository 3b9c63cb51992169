/*
 * Filters on a real Postgres. Random ones over random rows are compared with what C++ makes of the
 * same tree, which was printed, not parsed.
 */
#include "unit/edge/list_support.h"

namespace
{

/* ---- a filter as a tree, printed and evaluated
 * --------------------------------------------------- */

struct node {
    enum { leaf, all, any, no } kind = leaf;
    std::string text; /* of a leaf */
    std::function<bool(const thing &)> holds;
    std::vector<node> kids;
};

template <typename T>
bool
compare(int op, const T &a, const T &b)
{
    switch (op) {
    case 0:
        return a == b;
    case 1:
        return a != b;
    case 2:
        return a < b;
    case 3:
        return a <= b;
    case 4:
        return a > b;
    default:
        return a >= b;
    }
}

const char *const op_texts[] = {"=", "!=", "<", "<=", ">", ">="};

/* Absent: every comparison is false but !=. */
template <typename T>
bool
compare_optional(int op, bool has, const T &a, const T &b)
{
    return has ? compare(op, a, b) : op == 1;
}

std::string
quoted(rng &r, const std::string &s)
{
    const char q = below(r, 2) ? '"' : '\'';
    std::string out(1, q);
    for (char c : s) {
        if (c == q || c == '\\' || c == '*')
            out += '\\';
        out += c;
    }
    return out + q;
}

std::string
space(rng &r)
{
    const char *const spaces[] = {"", " ", "  ", "\t", "\n"};
    return spaces[below(r, 5)];
}

node
text_leaf(rng &r, bool nick)
{
    const std::string column = nick ? "nick" : "label";
    auto has = [nick](const thing &t) { return !nick || t.has_nick; };
    auto value = [nick](const thing &t) { return nick ? t.nick : t.label; };
    node n;
    const std::string w = word(r);
    switch (below(r, 4)) {
    case 0: {
        const std::string end = word(r);
        const bool not_equal = below(r, 2) > 0;
        auto escape = [&](const std::string &s) {
            std::string out;
            for (char c : s) {
                if (c == '"' || c == '\\' || c == '*')
                    out += '\\';
                out += c;
            }
            return out;
        };
        n.text = column + space(r) + (not_equal ? "!=" : "=") + "\"" + escape(w) + "*" +
                 escape(end) + "\"";
        n.holds = [=](const thing &t) {
            const std::string v = value(t);
            const bool match = has(t) && v.size() >= w.size() + end.size() &&
                               v.compare(0, w.size(), w) == 0 &&
                               v.compare(v.size() - end.size(), end.size(), end) == 0;
            return match != not_equal;
        };
        return n;
    }
    case 1:
        n.text = column + ":" + space(r) + quoted(r, w);
        n.holds = [=](const thing &t) { return has(t) && value(t).find(w) != std::string::npos; };
        return n;
    case 2:
        n.text = column + space(r) + ":*";
        n.holds = [=](const thing &t) { return has(t) && !value(t).empty(); };
        return n;
    default: {
        const int op = static_cast<int>(below(r, 6));
        n.text = column + space(r) + op_texts[op] + space(r) + quoted(r, w);
        n.holds = [=](const thing &t) { return compare_optional(op, has(t), value(t), w); };
        return n;
    }
    }
}

node
other_leaf(rng &r, const std::string &o, int op, const std::string &eq, int equal)
{
    node n;
    switch (below(r, 4)) {
    case 0: {
        const std::string w = word(r);
        n.text = "tags:" + quoted(r, w);
        n.holds = [=](const thing &t) { return std::count(t.tags.begin(), t.tags.end(), w) > 0; };
        if (w.find('*') != std::string::npos)
            n.text = "tags:\"x\\*y\"";
        break;
    }
    case 1: {
        const bool v = below(r, 2) > 0;
        n.text = "state" + eq + (v ? "STATE_ON" : "\"STATE_OFF\"");
        n.holds = [=](const thing &t) { return compare(equal, t.on, v); };
        break;
    }
    case 2: {
        const char *const texts[] = {"0s", "0.5s", "1s", "1500"};
        const size_t i = below(r, 4);
        n.text = "took" + o + texts[i];
        n.holds = [=](const thing &t) {
            return compare_optional(op, t.has_took, t.took_ms, static_cast<int64_t>(i) * 500);
        };
        break;
    }
    default:
        n.text = below(r, 2) ? "tags:*" : "seen.at:*";
        if (n.text[0] == 't')
            n.holds = [](const thing &t) { return !t.tags.empty(); };
        else
            n.holds = [](const thing &t) { return t.has_seen; };
        break;
    }
    return n;
}

node
random_leaf(rng &r)
{
    node n;
    const int op = static_cast<int>(below(r, 6));
    const int equal = static_cast<int>(below(r, 2));
    const std::string o = space(r) + op_texts[op] + space(r),
                      eq = space(r) + op_texts[equal] + space(r);
    switch (below(r, 12)) {
    case 0: {
        const int v = static_cast<int>(below(r, 7)) - 3;
        n.text = "n" + o + std::to_string(v);
        n.holds = [=](const thing &t) { return compare_optional(op, t.has_n, t.n, v); };
        break;
    }
    case 1: {
        const double v = static_cast<double>(below(r, 9)) / 4 - 1;
        std::ostringstream s;
        s << v;
        n.text = "x" + o + s.str();
        n.holds = [=](const thing &t) { return compare(op, t.x, v); };
        break;
    }
    case 2:
        return text_leaf(r, false);
    case 3:
        return text_leaf(r, true);
    case 4: {
        const bool v = below(r, 2) > 0;
        n.text = "flag" + eq + (v ? "true" : "FALSE");
        n.holds = [=](const thing &t) { return compare(equal, t.flag, v); };
        break;
    }
    case 5: {
        const int64_t hour = static_cast<int64_t>(below(r, 5)), v = 1519516800 + hour * 3600;
        const std::string h = "0" + std::to_string(hour), later = "0" + std::to_string(hour + 1);
        const std::string texts[] = {"2018-02-25T" + h + ":00:00Z",
                                     "'2018-02-25 " + later + ":00:00+01:00'", std::to_string(v)};
        n.text = "seen.at" + o + texts[below(r, 3)];
        n.holds = [=](const thing &t) { return compare_optional(op, t.has_seen, t.seen_s, v); };
        break;
    }
    case 6: {
        const int v = static_cast<int>(below(r, 4));
        n.text = "day" + o + "2018-02-" + std::to_string(18 + v);
        n.holds = [=](const thing &t) { return compare(op, t.day, 17580 + v); };
        break;
    }
    case 7: {
        const int v = static_cast<int>(below(r, 3));
        n.text = "u" + eq + uuid_text(v);
        n.holds = [=](const thing &t) { return compare(equal, t.uuid, v); };
        break;
    }
    default:
        return other_leaf(r, o, op, eq, equal);
    }
    return n;
}

node
random_node(rng &r, int depth, int &left)
{
    if (depth == 0 || left <= 1 || below(r, 3) == 0) {
        left--;
        return random_leaf(r);
    }
    node n;
    const size_t kind = below(r, 3);
    n.kind = kind == 0 ? node::all : kind == 1 ? node::any : node::no;
    const size_t kids = n.kind == node::no ? 1 : 2 + below(r, 2);
    for (size_t i = 0; i < kids && left > 0; i++)
        n.kids.push_back(random_node(r, depth - 1, left));
    return n;
}

bool
evaluate(const node &n, const thing &t)
{
    switch (n.kind) {
    case node::leaf:
        return n.holds(t);
    case node::no:
        return !evaluate(n.kids[0], t);
    case node::all:
        return std::all_of(n.kids.begin(), n.kids.end(),
                           [&](const node &k) { return evaluate(k, t); });
    default:
        return std::any_of(n.kids.begin(), n.kids.end(),
                           [&](const node &k) { return evaluate(k, t); });
    }
}

std::string
keyword(rng &r, std::string k)
{
    if (below(r, 2))
        std::transform(k.begin(), k.end(), k.begin(), [](unsigned char c) { return tolower(c); });
    return k;
}

/* How tight it must be to stand without parentheses: 0 AND, 1 OR, 2 a term. OR is the tighter one.
 */
std::string
print(rng &r, const node &n, int tight)
{
    const int own = n.kind == node::all ? 0 : n.kind == node::any ? 1 : 2;
    std::string out;
    if (n.kind == node::leaf) {
        out = n.text;
    } else if (n.kind == node::no) {
        out = (below(r, 2) ? "-" : keyword(r, "NOT") + " ") + print(r, n.kids[0], 2);
    } else {
        for (size_t i = 0; i < n.kids.size(); i++) {
            if (i > 0)
                out += n.kind == node::any ? " " + keyword(r, "OR") + " "
                       : below(r, 3)       ? " " + keyword(r, "AND") + " "
                                           : " ";
            out += print(r, n.kids[i], own + (n.kids.size() > 1 ? 1 : 0));
        }
    }
    if (own < tight || below(r, 8) == 0)
        out = "(" + space(r) + out + space(r) + ")";
    return out;
}

TEST(filters, random_ones_find_what_an_independent_evaluation_finds)
{
    rng r(20181025);
    const auto things = random_things(r, 120);
    with_db(database_with(things), [&](struct ctx *ctx) {
        size_t found = 0;
        for (int round = 0; round < 1500 && !HasFailure(); round++) {
            int left = 12;
            const node tree = random_node(r, 4, left);
            const std::string text = print(r, tree, 0);
            std::vector<int64_t> want;
            for (const thing &t : things)
                if (evaluate(tree, t))
                    want.push_back(t.id);
            const page got = filtered(ctx, text);
            EXPECT_EQ(got.error, "") << text;
            EXPECT_EQ(got.ids, want) << text;
            found += want.size();
            arena_reset(ctx->arena);
        }
        EXPECT_GT(found, 10000u) << "filters that find nothing show nothing";
    });
}

TEST(filters, or_binds_closer_than_and_and_neighbours_are_joined)
{
    rng r(1);
    std::vector<thing> things = random_things(r, 4);
    for (int i = 0; i < 4; i++) {
        things[static_cast<size_t>(i)].x = i;
        things[static_cast<size_t>(i)].flag = i % 2 == 0;
    }
    with_db(database_with(things), [&](struct ctx *ctx) {
        const std::vector<int64_t> first = {1}, both = {1, 3}, most = {1, 2, 3};
        EXPECT_EQ(filtered(ctx, "flag = true AND x = 1 OR x = 0").ids, first);
        EXPECT_EQ(filtered(ctx, "flag=true x=1 OR x=0").ids, first);
        EXPECT_EQ(filtered(ctx, "(flag = true AND x = 1) OR x = 0").ids, first);
        EXPECT_EQ(filtered(ctx, "x = 0 OR x = 1 AND NOT x = 3").ids, (std::vector<int64_t>{1, 2}));
        EXPECT_EQ(filtered(ctx, "-x=3").ids, most);
        EXPECT_EQ(filtered(ctx, "flag = true").ids, both);
        EXPECT_EQ(filtered(ctx, "  ").ids.size(), 4u);
    });
}

TEST(filters, the_old_form_of_a_day_works)
{
    rng r(2);
    std::vector<thing> things = random_things(r, 3);
    const int64_t day = 1519516800; /* 2018-02-25 */
    for (size_t i = 0; i < 3; i++) {
        things[i].has_seen = true;
        things[i].seen_s = day + static_cast<int64_t>(i) * 43200 + 1;
    }
    with_db(database_with(things), [&](struct ctx *ctx) {
        EXPECT_EQ(filtered(ctx, "seen.at>'2018-02-25' and seen.at<'2018-02-26'").ids,
                  (std::vector<int64_t>{1, 2}));
    });
}

TEST(filters, mistakes_are_named_with_their_position)
{
    const std::pair<const char *, const char *> cases[] = {
        {"nope = 1", "wrong at 1: there is no column nope"},
        {"n = 1 AND hidden = 2", "wrong at 11: there is no column hidden"},
        {"n == 1", "wrong at 4: a value is missing"},
        {"n", "wrong at 2: one of ="},
        {"n 1", "wrong at 3: one of ="},
        {"n =", "wrong at 4: a value is missing"},
        {"n = and", "wrong at 5: a value is missing"},
        {"n = 1 AND", "wrong at 10: a column's name is missing"},
        {"AND n = 1", "wrong at 1: AND needs"},
        {"n = 1 OR OR n = 2", "wrong at 10: OR needs"},
        {"(n = 1", "wrong at 1: the parenthesis is not closed"},
        {"n = 1)", "wrong at 6: there is no parenthesis"},
        {"\"word\"", "wrong at 1: a bare value"},
        {"now() = 1", "wrong at 1: functions"},
        {"n = now()", "wrong at 5: functions"},
        {"n = (1 OR 2)", "wrong at 5: values in parentheses"},
        {"label = \"abc", "wrong at 9: the quote is not closed"},
        {"label = \"\\n\"", "wrong at 11: only"},
        {"n = 1.5", "wrong at 5: n is compared with a whole number"},
        {"n = 99999999999999999999", "wrong at 5: n is compared with a whole number"},
        {"x = abc", "wrong at 5: x is compared with a number"},
        {"flag = yes", "wrong at 8: flag is compared with true or false"},
        {"flag > true", "wrong at 8: flag has no order"},
        {"seen.at > tomorrow", "wrong at 11: seen.at is compared with a time"},
        {"day = 2018-02-25T10:00:00Z", "wrong at 7: day is compared with a date"},
        {"u = 12", "wrong at 5: u is compared with a UUID"},
        {"tags = \"a\"", "wrong at 8: tags is a list: say tags:value"},
        {"state = on", "wrong at 9: state is one of STATE_ON, STATE_OFF"},
        {"state < STATE_ON", "wrong at 9: state has no order"},
        {"took > 0.0001s", "wrong at 8: took does not take"},
        {"n = 20s", "wrong at 5: n is compared with a whole number"},
    };
    with_db(database_with({}), [&](struct ctx *ctx) {
        for (const auto &c : cases)
            EXPECT_NE(filtered(ctx, c.first).error.find(std::string("filter is ") + c.second),
                      std::string::npos)
                << c.first << ": " << filtered(ctx, c.first).error;
        EXPECT_EQ(filtered(ctx, "label = \"\xff\"").error, "filter is not UTF-8");
        EXPECT_EQ(filtered(ctx, std::string(5000, ' ')).error, "filter has more than 4096 bytes");
        EXPECT_NE(filtered(ctx, std::string(40, '(') + "n = 1" + std::string(40, ')'))
                      .error.find("nested"),
                  std::string::npos);
        std::string many = "n = 0";
        for (int i = 1; i < 32; i++)
            many += " OR n = " + std::to_string(i);
        EXPECT_EQ(filtered(ctx, many).error, "");
        EXPECT_NE(filtered(ctx, many + " OR n = 1").error.find("more than 32 comparisons"),
                  std::string::npos);
    });
}

TEST(filters, what_looks_like_sql_is_a_value)
{
    rng r(3);
    with_db(database_with(random_things(r, 5)), [&](struct ctx *ctx) {
        EXPECT_EQ(filtered(ctx, "label = \"'; DROP TABLE thing; --\"").ids.size(), 0u);
        EXPECT_EQ(filtered(ctx, "label = \"' OR '1' = '1\"").ids.size(), 0u);
        EXPECT_NE(filtered(ctx, "label = x; DROP TABLE thing").error, "");
        EXPECT_EQ(filtered(ctx, "").ids.size(), 5u);
    });
}

} // namespace
