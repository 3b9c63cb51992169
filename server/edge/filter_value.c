#include "edge/filter_value.h"

#include "base/clock.h"

const struct db_cond *
filter_not(struct arena *a, const struct db_cond *cond)
{
    struct db_cond *c = arena_new(a, struct db_cond);
    const struct db_cond **kids = arena_new_n(a, const struct db_cond *, 1);
    kids[0] = cond;
    c->op = DB_COND_NOT;
    c->kids = kids;
    c->n_kids = 1;
    return c;
}

enum status
filter_fail(struct ctx *ctx, size_t position, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    return fail_field(ctx, "filter", "is wrong at %zu: %s", position, text);
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* "1.5s" in the column's unit; what does not fit into it is lost for whole numbers. */
static bool
read_duration(struct str s, int64_t unit_us, double *ret)
{
    double seconds;
    if (s.n < 2 || s.p[s.n - 1] != 's' || !str_to_f64((struct str){s.p, s.n - 1}, &seconds))
        return false;
    *ret = seconds * 1e6 / (double)unit_us;
    return true;
}

static enum status
number_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
             struct db_arg *ret)
{
    struct str s = str_of(v->text);
    const bool whole = c->type != DB_FLOAT4 && c->type != DB_FLOAT8;
    int64_t n;
    double f;
    if (c->unit_us > 0 && read_duration(s, c->unit_us, &f)) {
        if (whole && (f < -9e18 || f > 9e18 || f != (double)(int64_t)f))
            return filter_fail(ctx, v->position, "%s does not take so fine or long a duration",
                               c->name);
        *ret = whole ? db_int8((int64_t)f) : db_float8(f);
        return OK;
    }
    if (whole) {
        if (!str_to_i64(s, &n))
            return filter_fail(ctx, v->position, "%s is compared with a whole number%s", c->name,
                               c->unit_us > 0 ? " or a duration like 20s" : "");
        *ret = db_int8(n);
        return OK;
    }
    if (!str_to_f64(s, &f))
        return filter_fail(ctx, v->position, "%s is compared with a number", c->name);
    *ret = db_float8(f);
    return OK;
}

static enum status
time_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
           struct db_arg *ret)
{
    const int64_t last = INT64_C(253402300799); /* 9999-12-31T23:59:59Z */
    struct str s = str_of(v->text);
    int64_t seconds;
    usec_t t;
    if (str_to_i64(s, &seconds) && seconds >= -INT64_C(62135596800) && seconds <= last)
        t = seconds * 1000000;
    else if (!clock_parse(s.p, s.n, &t))
        return filter_fail(ctx, v->position,
                           "%s is compared with a time like 2018-02-25T10:00:00Z or 2018-02-25",
                           c->name);
    if (c->type == DB_TIMESTAMPTZ) {
        *ret = db_timestamptz(t);
        return OK;
    }
    if (t % INT64_C(86400000000) != 0)
        return filter_fail(ctx, v->position, "%s is compared with a date like 2018-02-25", c->name);
    *ret = db_date((int32_t)(t / INT64_C(86400000000)));
    return OK;
}

static enum status
uuid_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
           struct db_arg *ret)
{
    struct uuid *id = arena_new(ctx->arena, struct uuid);
    if (!uuid_parse(v->text, id))
        return filter_fail(ctx, v->position, "%s is compared with a UUID", c->name);
    *ret = db_uuid(id);
    return OK;
}

static enum status
bool_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
           struct db_arg *ret)
{
    const bool yes = str_ieq(str_of(v->text), STR("true"));
    if (!yes && !str_ieq(str_of(v->text), STR("false")))
        return filter_fail(ctx, v->position, "%s is compared with true or false", c->name);
    *ret = db_bool(yes);
    return OK;
}

/* The stored text of an enum's value. */
static enum status
named_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
            struct db_arg *ret)
{
    for (size_t i = 0; i < c->n_values; i++) {
        if (str_eq(str_of(c->values[i].shown), str_of(v->text))) {
            *ret = db_text(c->values[i].stored);
            return OK;
        }
    }
    const char *all = "";
    for (size_t i = 0; i < c->n_values; i++)
        all = arena_printf(ctx->arena, "%s%s%s", all, i > 0 ? ", " : "", c->values[i].shown);
    return filter_fail(ctx, v->position, "%s is one of %s", c->name, all);
}

static enum status
read_value(struct ctx *ctx, const struct db_column *c, const struct filter_value *v,
           struct db_arg *ret)
{
    switch (c->type) {
    case DB_BOOL:
        return bool_value(ctx, c, v, ret);
    case DB_INT2:
    case DB_INT4:
    case DB_INT8:
    case DB_FLOAT4:
    case DB_FLOAT8:
    case DB_INT8_ARRAY:
        return number_value(ctx, c, v, ret);
    case DB_TIMESTAMPTZ:
    case DB_DATE:
        return time_value(ctx, c, v, ret);
    case DB_UUID:
        return uuid_value(ctx, c, v, ret);
    default:
        if (c->values)
            return named_value(ctx, c, v, ret);
        *ret = db_text(v->text);
        return OK;
    }
}

/* ---- comparisons ------------------------------------------------------------------------------
 */

static struct db_cond *
leaf(struct arena *a, const struct db_column *c, enum db_cond_op op)
{
    struct db_cond *cond = arena_new(a, struct db_cond);
    cond->op = op;
    cond->column = c;
    return cond;
}

static bool
is_array(const struct db_column *c)
{
    return c->type == DB_TEXT_ARRAY || c->type == DB_INT8_ARRAY;
}

/* Texts with a `*` and texts that hold another. */
static const struct db_cond *
like(struct arena *a, const struct db_column *c, enum filter_op op, const struct filter_value *v)
{
    struct db_cond *cond = leaf(a, c, DB_COND_LIKE);
    const char *around = op == FILTER_HAS && !v->has_star ? "%" : "";
    cond->arg = db_text(arena_printf(a, "%s%s%s", around, v->pattern, around));
    return op == FILTER_NE ? filter_not(a, cond) : cond;
}

static enum status
check_op(struct ctx *ctx, const struct db_column *c, enum filter_op op,
         const struct filter_value *v)
{
    const bool ordered = op >= FILTER_LT && op <= FILTER_GE;
    if (is_array(c) && op != FILTER_HAS)
        return filter_fail(ctx, v->position, "%s is a list: say %s:value", c->name, c->name);
    if (ordered && (c->type == DB_BOOL || c->type == DB_UUID || c->values))
        return filter_fail(ctx, v->position, "%s has no order: only = and != compare it", c->name);
    return OK;
}

enum status
filter_compare(struct ctx *ctx, const struct db_column *c, enum filter_op op,
               const struct filter_value *v, const struct db_cond **ret)
{
    static const enum db_cond_op ops[] = {
        [FILTER_EQ] = DB_COND_EQ, [FILTER_NE] = DB_COND_EQ, [FILTER_LT] = DB_COND_LT,
        [FILTER_LE] = DB_COND_LE, [FILTER_GT] = DB_COND_GT, [FILTER_GE] = DB_COND_GE,
    };
    const bool same = op == FILTER_EQ || op == FILTER_NE || op == FILTER_HAS;
    struct db_cond *cond;
    if (op == FILTER_HAS && !v->quoted && strcmp(v->pattern, "%") == 0) {
        *ret = leaf(ctx->arena, c, DB_COND_SET);
        return OK;
    }
    enum status st = check_op(ctx, c, op, v);
    if (st != OK)
        return st;
    if (c->type == DB_TEXT && !c->values && same && (v->has_star || op == FILTER_HAS)) {
        *ret = like(ctx->arena, c, op, v);
        return OK;
    }
    cond = leaf(ctx->arena, c, is_array(c) ? DB_COND_HAS : op == FILTER_HAS ? DB_COND_EQ : ops[op]);
    st = read_value(ctx, c, v, &cond->arg);
    if (st == OK)
        *ret = op == FILTER_NE ? filter_not(ctx->arena, cond) : cond;
    return st;
}
