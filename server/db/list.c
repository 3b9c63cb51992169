/* The text of a list's shape: the .sql file's expressions, joined by the operators below. */
#include "db/list.h"

#include <stdio.h>

#include "base/buf.h"
#include "db/value.h"

#define MAX_SQL (64U << 10)

/* A statement under construction. */
struct shape {
    struct buf sql;
    size_t n;
    enum db_type types[VALUE_MAX_PARAMS];
    struct db_arg args[VALUE_MAX_PARAMS];
    bool full; /* there were more values than a statement takes */
};

static void
put_param(struct shape *s, size_t number)
{
    buf_putc(&s->sql, '$');
    buf_put_uint(&s->sql, number);
}

/* Binds a value and returns its number. */
static size_t
bind(struct shape *s, struct db_arg arg)
{
    if (s->n == VALUE_MAX_PARAMS) {
        s->full = true;
        return s->n;
    }
    s->types[s->n] = arg.type;
    s->args[s->n] = arg;
    return ++s->n;
}

/* ---- conditions ----------------------------------------------------------------------------- */

/* Of each comparison, itself and its negation. */
static const char *const comparisons[][2] = {
    [DB_COND_EQ] = {" = ", " <> "},          [DB_COND_LT] = {" < ", " >= "},
    [DB_COND_LE] = {" <= ", " > "},          [DB_COND_GT] = {" > ", " <= "},
    [DB_COND_GE] = {" >= ", " < "},          [DB_COND_LIKE] = {" LIKE ", " NOT LIKE "},
    [DB_COND_HAS] = {" = ANY(", " <> ALL("},
};

static void
put_set(struct shape *s, const struct db_column *c, bool negated)
{
    const bool nullable = c->flags & DB_COLUMN_NULL;

    if (value_is_array(c->type)) {
        buf_printf(&s->sql, "coalesce(cardinality(%s), 0) %s 0", c->sql, negated ? "=" : ">");
    } else if (c->type == DB_TEXT) {
        buf_printf(&s->sql, "coalesce(%s, '') %s ''", c->sql, negated ? "=" : "<>");
    } else if (nullable) {
        buf_printf(&s->sql, "%s IS %sNULL", c->sql, negated ? "" : "NOT ");
    } else {
        buf_puts(&s->sql, negated ? "false" : "true");
    }
}

static void
put_leaf(struct shape *s, const struct db_cond *c, bool negated)
{
    const bool or_null = negated && (c->column->flags & DB_COLUMN_NULL);
    const char *op;

    if (c->op == DB_COND_SET) {
        put_set(s, c->column, negated);
        return;
    }
    op = comparisons[c->op][negated];
    if (or_null)
        buf_putc(&s->sql, '(');
    if (c->op == DB_COND_HAS) {
        put_param(s, bind(s, c->arg));
        buf_printf(&s->sql, "%s%s)", op, c->column->sql);
    } else {
        buf_printf(&s->sql, "%s%s", c->column->sql, op);
        put_param(s, bind(s, c->arg));
    }
    if (or_null)
        buf_printf(&s->sql, " OR %s IS NULL)", c->column->sql);
}

/* Negations are carried down to the comparisons, where NULL is dealt with. */
static void
put_cond(struct shape *s, const struct db_cond *c, bool negated)
{
    const bool is_and = (c->op == DB_COND_AND) != negated;

    switch (c->op) {
    case DB_COND_NOT:
        put_cond(s, c->kids[0], !negated);
        break;
    case DB_COND_AND:
    case DB_COND_OR:
        buf_putc(&s->sql, '(');
        for (size_t i = 0; i < c->n_kids; i++) {
            if (i > 0)
                buf_puts(&s->sql, is_and ? " AND " : " OR ");
            put_cond(s, c->kids[i], negated);
        }
        buf_putc(&s->sql, ')');
        break;
    default:
        put_leaf(s, c, negated);
        break;
    }
}

/* ---- order and cursor ----------------------------------------------------------------------- */

static void
put_order(struct shape *s, const struct db_order *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(&s->sql, "%s%s%s", i > 0 ? ", " : "", order[i].column->sql,
                   order[i].descending ? " DESC" : "");
}

/* One direction and no NULLs: a comparison of rows, which an index answers. */
static bool
is_plain(const struct db_order *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (order[i].descending != order[0].descending || (order[i].column->flags & DB_COLUMN_NULL))
            return false;
    return true;
}

static void
put_row_comparison(struct shape *s, const struct db_order *order, size_t n,
                   const struct db_arg *after)
{
    buf_putc(&s->sql, '(');
    for (size_t i = 0; i < n; i++)
        buf_printf(&s->sql, "%s%s", i > 0 ? ", " : "", order[i].column->sql);
    buf_puts(&s->sql, order[0].descending ? ") < (" : ") > (");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_puts(&s->sql, ", ");
        put_param(s, bind(s, after[i]));
    }
    buf_putc(&s->sql, ')');
}

/* Column `o` stands behind the cursor's value (`strictly`), or beside it. `number`: its parameter.
 * NULLs are last, or first when descending. */
static void
put_position(struct shape *s, const struct db_order *o, bool is_null, size_t number, bool strictly)
{
    const char *sql = o->column->sql;
    const bool nullable = o->column->flags & DB_COLUMN_NULL;

    if (is_null) {
        if (strictly && !o->descending)
            buf_puts(&s->sql, "false");
        else
            buf_printf(&s->sql, "%s IS %sNULL", sql, strictly ? "NOT " : "");
        return;
    }
    if (!strictly) {
        buf_printf(&s->sql, "%s = $%zu", sql, number);
    } else if (o->descending || !nullable) {
        buf_printf(&s->sql, "%s %c $%zu", sql, o->descending ? '<' : '>', number);
    } else {
        buf_printf(&s->sql, "(%s > $%zu OR %s IS NULL)", sql, number, sql);
    }
}

static void
put_after(struct shape *s, const struct db_order *order, size_t n, const struct db_arg *after)
{
    size_t numbers[DB_LIST_MAX_ORDER];

    if (is_plain(order, n)) {
        put_row_comparison(s, order, n, after);
        return;
    }
    for (size_t i = 0; i < n; i++)
        numbers[i] = after[i].is_null ? 0 : bind(s, after[i]);
    buf_putc(&s->sql, '(');
    for (size_t i = 0; i < n; i++) {
        buf_puts(&s->sql, i > 0 ? " OR (" : "(");
        for (size_t k = 0; k <= i; k++) {
            if (k > 0)
                buf_puts(&s->sql, " AND ");
            put_position(s, &order[k], after[k].is_null, numbers[k], k == i);
        }
        buf_putc(&s->sql, ')');
    }
    buf_putc(&s->sql, ')');
}

/* ---- columns -------------------------------------------------------------------------------- */

const struct db_column *
db_list_column(const struct db_list *list, struct str name)
{
    for (size_t i = 0; i < list->n_columns; i++)
        if (str_eq(str_of(list->columns[i].name), name))
            return &list->columns[i];
    return NULL;
}

static bool
has_column(const struct db_order *order, size_t n, const struct db_column *column)
{
    for (size_t i = 0; i < n; i++)
        if (order[i].column == column)
            return true;
    return false;
}

size_t
db_list_order(const struct db_list *list, const struct db_order *order, size_t n,
              struct db_order *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < n && count < DB_LIST_MAX_ORDER; i++)
        ret[count++] = order[i];
    for (size_t i = 0; i < list->n_keys && count < DB_LIST_MAX_ORDER; i++)
        if (!has_column(order, n, list->keys[i].column))
            ret[count++] = list->keys[i];
    return count;
}

static const struct db_col *
member_of(const struct db_stmt *stmt, const struct db_column *column)
{
    for (const struct db_col *c = stmt->row; c->name; c++)
        if (strcmp(c->name, column->result) == 0)
            return c;
    return NULL;
}

/* The value is NULL: as its flag says, or, for text, the pointer. */
static bool
is_null(const struct db_col *col, const void *row)
{
    const char *at = (const char *)row + col->offset;

    if (col->has_offset != DB_NO_FLAG)
        return !*(const bool *)((const char *)row + col->has_offset);
    return col->type == DB_TEXT && !*(const char *const *)(const void *)at;
}

struct db_arg
db_list_value(const struct db_stmt *stmt, const struct db_column *column, const void *row)
{
    const struct db_col *col = member_of(stmt, column);
    struct db_arg arg = db_null(column->type);
    const void *at;

    ASSERT(col && col->type == column->type);
    at = (const char *)row + col->offset;
    if (is_null(col, row))
        return arg;
    arg.is_null = false;
    if (col->type == DB_BOOL)
        arg.b = *(const bool *)at;
    else if (col->type == DB_INT2)
        arg.i = *(const int16_t *)at;
    else if (col->type == DB_INT4 || col->type == DB_DATE)
        arg.i = *(const int32_t *)at;
    else if (col->type == DB_INT8 || col->type == DB_TIMESTAMPTZ)
        arg.i = *(const int64_t *)at;
    else if (col->type == DB_FLOAT4)
        arg.f = (double)*(const float *)at;
    else if (col->type == DB_FLOAT8)
        arg.f = *(const double *)at;
    else if (col->type == DB_UUID)
        arg.uuid = at;
    else
        arg.s = str_of(*(const char *const *)at);
    return arg;
}

/* ---- running -------------------------------------------------------------------------------- */

static void
bind_fixed(struct shape *s, const struct db_list_query *q)
{
    for (size_t i = 0; i < q->args.n; i++)
        (void)bind(s, q->args.v[i]);
    (void)bind(s, db_int8(q->limit));
    (void)bind(s, db_int8(q->offset));
}

static void
put_shape(struct shape *s, const struct db_list *list, const struct db_list_query *q)
{
    struct db_order order[DB_LIST_MAX_ORDER];
    const size_t n = db_list_order(list, q->order, q->n_order, order);

    bind_fixed(s, q);
    buf_puts(&s->sql, list->head);
    if (q->where)
        put_cond(s, q->where, false);
    if (q->after) {
        buf_puts(&s->sql, q->where ? " AND " : "");
        put_after(s, order, n, q->after);
    }
    if (!q->where && !q->after)
        buf_puts(&s->sql, "true");
    buf_puts(&s->sql, list->middle);
    put_order(s, order, n);
    buf_puts(&s->sql, list->tail);
}

/* NULL: too many values, or too long. */
static struct db_stmt *
make(struct arena *a, const struct db_stmt *stmt, const struct db_list_query *q, struct shape *s)
{
    struct db_stmt *made = arena_memdup(a, stmt, sizeof(*stmt));

    s->n = 0;
    s->full = false;
    buf_init(&s->sql, MAX_SQL);
    put_shape(s, stmt->list, q);
    made->sql = s->sql.overflow ? "" : arena_strndup(a, s->sql.data, s->sql.len);
    made->flags |= DB_UNNAMED;
    made->params = s->types;
    made->n_params = s->n;
    if (s->sql.overflow || s->full)
        made = NULL;
    buf_fini(&s->sql);
    return made;
}

enum status
db_list_at(struct ctx *ctx, const struct db_stmt *stmt, const struct db_list_query *query,
           void **ret_rows, size_t row_size, size_t *ret_n)
{
    struct shape *s = arena_new(ctx->arena, struct shape);
    const struct db_stmt *run = stmt;

    ASSERT(stmt->list);
    if (query->where || query->after || query->n_order > 0)
        run = make(ctx->arena, stmt, query, s);
    else
        bind_fixed(s, query);
    if (!run)
        return fail_field(ctx, "filter", "has too many values");
    return db_many_at(ctx, run, (struct db_args){s->args, s->n}, ret_rows, row_size, ret_n);
}

/* ---- the check at start ---------------------------------------------------------------------- */

/* A value that a comparison with the column takes. */
static struct db_arg
sample(enum db_type type)
{
    static const struct uuid zero;
    struct db_arg arg;

    memset(&arg, 0, sizeof(arg));
    arg.type = type;
    if (type == DB_INT2 || type == DB_INT4)
        arg.type = DB_INT8;
    else if (type == DB_FLOAT4)
        arg.type = DB_FLOAT8;
    else if (type == DB_UUID)
        arg.uuid = &zero;
    else if (type == DB_TEXT)
        arg.s = STR("");
    return arg;
}

static const struct db_cond *
probe_column(struct arena *a, const struct db_column *c)
{
    struct db_cond *cond = arena_new(a, struct db_cond);

    cond->column = c;
    cond->op = value_is_array(c->type)                    ? DB_COND_HAS
               : c->type == DB_TEXT                       ? DB_COND_LIKE
               : c->type == DB_BOOL || c->type == DB_UUID ? DB_COND_EQ
                                                          : DB_COND_LT;
    cond->arg = sample(value_is_array(c->type) ? value_element(c->type) : c->type);
    return cond;
}

static bool
sorts(const struct db_stmt *stmt, const struct db_column *c, char *err, size_t err_size)
{
    const struct db_col *member = member_of(stmt, c);

    if (member && member->type == c->type &&
        (!(c->flags & DB_COLUMN_NULL) || member->has_offset != DB_NO_FLAG || c->type == DB_TEXT))
        return true;
    snprintf(err, err_size,
             "statement %s: column %s sorts, and is not in the row map, is of another type there, "
             "or has no flag that tells NULL",
             stmt->name, c->name);
    return false;
}

const struct db_stmt *
db_list_probe(struct arena *a, const struct db_stmt *stmt, char *err, size_t err_size)
{
    const struct db_list *list = stmt->list;
    const struct db_cond **kids = arena_new_n(a, const struct db_cond *, list->n_columns);
    struct db_cond where = {.op = DB_COND_AND, .kids = kids};
    struct db_list_query q = {.where = &where, .limit = 1};
    struct db_arg *fixed = arena_new_n(a, struct db_arg, stmt->n_params);
    const struct db_stmt *made;

    for (size_t i = 0; i + 2 < stmt->n_params; i++)
        fixed[i] = db_null(stmt->params[i]);
    q.args = (struct db_args){fixed, stmt->n_params - 2};
    for (size_t i = 0; i < list->n_columns; i++) {
        const struct db_column *c = &list->columns[i];
        if ((c->flags & DB_COLUMN_SORTS) && !sorts(stmt, c, err, err_size))
            return NULL;
        kids[where.n_kids++] = probe_column(a, c);
    }
    made = make(a, stmt, &q, arena_new(a, struct shape));
    if (!made)
        snprintf(err, err_size, "statement %s: too many columns", stmt->name);
    return made;
}
