/* A recursive descent over the text, at most FILTER_MAX_DEPTH deep. */
#include "edge/filter.h"

#include "edge/filter_value.h"

struct parser {
    struct ctx *ctx;
    const struct db_list *list;
    const char *start;
    struct str rest;
    size_t comparisons;
    size_t depth;
};

static enum status parse_expression(struct parser *p, const struct db_cond **ret);

/* ---- letters ----------------------------------------------------------------------------------
 */

static size_t
position(const struct parser *p)
{
    return (size_t)(p->rest.p - p->start) + 1;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
skip(struct parser *p, size_t n)
{
    p->rest.p += n;
    p->rest.n -= n;
}

static void
skip_spaces(struct parser *p)
{
    while (p->rest.n > 0 && is_space(p->rest.p[0]))
        skip(p, 1);
}

static bool
is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* What an unquoted value consists of. */
static bool
is_bare(char c)
{
    return !is_space(c) && !strchr("()<>=!,\"'", c);
}

static struct str
run_of(const struct parser *p, bool (*is)(char))
{
    struct str s = {p->rest.p, 0};
    while (s.n < p->rest.n && is(s.p[s.n]))
        s.n++;
    return s;
}

static bool
next_is(const struct parser *p, char c)
{
    return p->rest.n > 0 && p->rest.p[0] == c;
}

static bool
is_keyword(struct str word)
{
    return str_ieq(word, STR("AND")) || str_ieq(word, STR("OR")) || str_ieq(word, STR("NOT"));
}

/* Takes this keyword when it comes next, whole. */
static bool
take_keyword(struct parser *p, struct str keyword)
{
    skip_spaces(p);
    struct str word = run_of(p, is_name);
    if (!str_ieq(word, keyword))
        return false;
    skip(p, word.n);
    skip_spaces(p);
    return true;
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* The value as it is, and as a pattern of LIKE. */
struct texts {
    char *text;
    char *pattern;
};

static void
put_both(struct texts *t, char c)
{
    *t->text++ = c;
    if (c == '%' || c == '_' || c == '\\')
        *t->pattern++ = '\\';
    *t->pattern++ = c;
}

static void
put_star(struct texts *t, struct filter_value *v)
{
    *t->text++ = '*';
    *t->pattern++ = '%';
    v->has_star = true;
}

static enum status
parse_quoted(struct parser *p, struct texts *t, struct filter_value *v)
{
    const char quote = p->rest.p[0];
    skip(p, 1);
    v->quoted = true;
    for (; p->rest.n > 0 && p->rest.p[0] != quote; skip(p, 1)) {
        char c = p->rest.p[0];
        if (c == '*') {
            put_star(t, v);
            continue;
        }
        if (c == '\\') {
            skip(p, 1);
            c = p->rest.n > 0 ? p->rest.p[0] : '\0';
            if (c == '\0' || !strchr("\\\"'*", c))
                return filter_fail(p->ctx, position(p), "only \\\\ \\\" \\' and \\* are escapes");
        }
        put_both(t, c);
    }
    if (p->rest.n == 0)
        return filter_fail(p->ctx, v->position, "the quote is not closed");
    skip(p, 1);
    return OK;
}

static enum status
parse_bare(struct parser *p, struct texts *t, struct filter_value *v)
{
    struct str word = run_of(p, is_bare);
    if (word.n == 0 && next_is(p, '('))
        return filter_fail(p->ctx, v->position,
                           "values in parentheses are not supported: write each comparison out");
    if (word.n == 0 || is_keyword(word))
        return filter_fail(p->ctx, v->position, "a value is missing here");
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '*')
            put_star(t, v);
        else
            put_both(t, word.p[i]);
    }
    skip(p, word.n);
    if (next_is(p, '('))
        return filter_fail(p->ctx, v->position, "functions are not supported");
    return OK;
}

static enum status
parse_value(struct parser *p, struct filter_value *ret)
{
    skip_spaces(p);
    struct filter_value v = {.position = position(p)};
    char *text = arena_alloc(p->ctx->arena, p->rest.n + 1);
    char *pattern = arena_alloc(p->ctx->arena, 2 * p->rest.n + 1);
    struct texts t = {text, pattern};
    enum status st =
        next_is(p, '"') || next_is(p, '\'') ? parse_quoted(p, &t, &v) : parse_bare(p, &t, &v);
    v.text = text; /* the arena's zeros end both */
    v.pattern = pattern;
    if (st == OK)
        *ret = v;
    return st;
}

/* ---- comparisons ------------------------------------------------------------------------------
 */

static enum status
parse_column(struct parser *p, const struct db_column **ret)
{
    const size_t at = position(p);
    struct str name = run_of(p, is_name);
    if (name.n == 0 && (next_is(p, '"') || next_is(p, '\'')))
        return filter_fail(p->ctx, at, "a bare value is not supported: say column = value");
    if (name.n == 0)
        return filter_fail(p->ctx, at, "a column's name is missing here");
    if (is_keyword(name))
        return filter_fail(p->ctx, at, "%.*s needs a comparison on each side", STR_ARG(name));
    skip(p, name.n);
    if (next_is(p, '('))
        return filter_fail(p->ctx, at, "functions are not supported");
    const struct db_column *c = db_list_column(p->list, name);
    if (!c || !(c->flags & DB_COLUMN_FILTERS))
        return filter_fail(p->ctx, at, "there is no column %.*s to filter by", STR_ARG(name));
    *ret = c;
    return OK;
}

static enum status
parse_op(struct parser *p, enum filter_op *ret)
{
    /* The longer ones first. */
    static const struct {
        struct str text;
        enum filter_op op;
    } ops[] = {
        {{"<=", 2}, FILTER_LE}, {{">=", 2}, FILTER_GE}, {{"!=", 2}, FILTER_NE},
        {{"=", 1}, FILTER_EQ},  {{"<", 1}, FILTER_LT},  {{">", 1}, FILTER_GT},
        {{":", 1}, FILTER_HAS},
    };
    skip_spaces(p);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (str_starts(p->rest, ops[i].text)) {
            skip(p, ops[i].text.n);
            *ret = ops[i].op;
            return OK;
        }
    }
    return filter_fail(p->ctx, position(p), "one of = != < <= > >= : is missing here");
}

static enum status
parse_comparison(struct parser *p, const struct db_cond **ret)
{
    const struct db_column *column;
    enum filter_op op;
    struct filter_value value;
    if (++p->comparisons > FILTER_MAX_COMPARISONS)
        return filter_fail(p->ctx, position(p), "more than %d comparisons", FILTER_MAX_COMPARISONS);
    enum status st = parse_column(p, &column);
    if (st == OK)
        st = parse_op(p, &op);
    if (st == OK)
        st = parse_value(p, &value);
    return st == OK ? filter_compare(p->ctx, column, op, &value, ret) : st;
}

/* ---- terms ------------------------------------------------------------------------------------
 */

static enum status
parse_parentheses(struct parser *p, const struct db_cond **ret)
{
    const size_t at = position(p);
    skip(p, 1);
    enum status st = parse_expression(p, ret);
    if (st != OK)
        return st;
    skip_spaces(p);
    if (!next_is(p, ')'))
        return filter_fail(p->ctx, p->rest.n > 0 ? position(p) : at,
                           p->rest.n > 0 ? "AND, OR or ) is missing here"
                                         : "the parenthesis is not closed");
    skip(p, 1);
    return OK;
}

static enum status
parse_term(struct parser *p, const struct db_cond **ret)
{
    skip_spaces(p);
    const bool minus = next_is(p, '-');
    enum status st;
    if (++p->depth > FILTER_MAX_DEPTH)
        return filter_fail(p->ctx, position(p), "nested more than %d deep", FILTER_MAX_DEPTH);
    if (minus)
        skip(p, 1);
    if (minus || take_keyword(p, STR("NOT"))) {
        st = parse_term(p, ret);
        if (st == OK)
            *ret = filter_not(p->ctx->arena, *ret);
    } else if (next_is(p, '(')) {
        st = parse_parentheses(p, ret);
    } else {
        st = parse_comparison(p, ret);
    }
    p->depth--;
    return st;
}

/* One or more, joined: one alone stays itself. */
struct terms {
    const struct db_cond *items[FILTER_MAX_COMPARISONS];
    size_t n;
};

static const struct db_cond *
join(struct arena *a, enum db_cond_op op, const struct terms *t)
{
    if (t->n == 1)
        return t->items[0];
    struct db_cond *c = arena_new(a, struct db_cond);
    c->op = op;
    c->kids = arena_memdup(a, t->items, t->n * sizeof(t->items[0]));
    c->n_kids = t->n;
    return c;
}

static enum status
parse_factor(struct parser *p, const struct db_cond **ret)
{
    struct terms t = {.n = 0};
    do {
        enum status st = parse_term(p, &t.items[t.n]);
        if (st != OK)
            return st;
        t.n++; /* as many as comparisons at most */
    } while (take_keyword(p, STR("OR")));
    *ret = join(p->ctx->arena, DB_COND_OR, &t);
    return OK;
}

static enum status
parse_expression(struct parser *p, const struct db_cond **ret)
{
    struct terms t = {.n = 0};
    for (;;) {
        enum status st = parse_factor(p, &t.items[t.n]);
        if (st != OK)
            return st;
        t.n++;
        if (take_keyword(p, STR("AND")))
            continue;
        skip_spaces(p); /* terms side by side are joined by AND too */
        if (p->rest.n == 0 || next_is(p, ')'))
            break;
    }
    *ret = join(p->ctx->arena, DB_COND_AND, &t);
    return OK;
}

enum status
filter_parse(struct ctx *ctx, const struct db_list *list, const char *text,
             const struct db_cond **ret)
{
    struct parser p = {.ctx = ctx, .list = list, .start = text, .rest = str_of(text)};
    if (p.rest.n > FILTER_MAX_BYTES)
        return fail_field(ctx, "filter", "has more than %d bytes", FILTER_MAX_BYTES);
    if (!str_utf8_valid(p.rest))
        return fail_field(ctx, "filter", "is not UTF-8");
    if (str_trim(p.rest).n == 0) {
        *ret = NULL;
        return OK;
    }
    const struct db_cond *cond;
    enum status st = parse_expression(&p, &cond);
    if (st == OK && p.rest.n > 0)
        st = filter_fail(ctx, position(&p), "there is no parenthesis to close");
    if (st == OK)
        *ret = cond;
    return st;
}

/* ---- order_by ---------------------------------------------------------------------------------
 */

static enum status
order_fail(struct parser *p, const char *what, struct str name)
{
    return fail_field(p->ctx, "order_by", "is wrong at %zu: %s" STR_FMT, position(p), what,
                      STR_ARG(name));
}

static enum status
parse_order(struct parser *p, struct db_order *orders, size_t n)
{
    skip_spaces(p);
    struct str name = run_of(p, is_name);
    const struct db_column *c = db_list_column(p->list, name);
    if (name.n == 0)
        return order_fail(p, "a column's name is missing here", STR(""));
    if (!c || !(c->flags & DB_COLUMN_SORTS))
        return order_fail(p, "there is no column to sort by called ", name);
    for (size_t i = 0; i < n; i++)
        if (orders[i].column == c)
            return order_fail(p, "there is already ", name);
    skip(p, name.n);
    orders[n].column = c;
    orders[n].descending = take_keyword(p, STR("desc"));
    if (!orders[n].descending)
        (void)take_keyword(p, STR("asc"));
    skip_spaces(p);
    if (p->rest.n > 0 && !next_is(p, ','))
        return order_fail(p, "a comma, asc or desc is missing here", STR(""));
    return OK;
}

enum status
order_by_parse(struct ctx *ctx, const struct db_list *list, const char *text,
               const struct db_order **ret, size_t *ret_n)
{
    struct parser p = {.ctx = ctx, .list = list, .start = text, .rest = str_of(text)};
    struct db_order *orders = arena_new_n(ctx->arena, struct db_order, ORDER_MAX_COLUMNS);
    size_t n = 0;
    if (p.rest.n > ORDER_MAX_BYTES)
        return fail_field(ctx, "order_by", "has more than %d bytes", ORDER_MAX_BYTES);
    if (!str_utf8_valid(p.rest))
        return fail_field(ctx, "order_by", "is not UTF-8");
    bool more = str_trim(p.rest).n > 0;
    while (more) {
        if (n == ORDER_MAX_COLUMNS)
            return fail_field(ctx, "order_by", "has more than %d columns", ORDER_MAX_COLUMNS);
        enum status st = parse_order(&p, orders, n);
        if (st != OK)
            return st;
        n++;
        more = next_is(&p, ',');
        if (more)
            skip(&p, 1);
    }
    *ret = orders;
    *ret_n = n;
    return OK;
}
