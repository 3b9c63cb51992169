#include "edge/list.h"

#include "base/buf.h"
#include "edge/filter.h"
#include "edge/page_token.h"

#define MAX_BINDING (64U << 10)

/* ---- how much, from where ----------------------------------------------------------------------
 */

/* The one of page_size, per_page and limit that was given. */
static enum status
read_size(struct ctx *ctx, const struct list_request *r, int32_t *ret)
{
    const struct {
        const char *field;
        int32_t value;
    } sizes[] = {{"page_size", r->page_size}, {"per_page", r->per_page}, {"limit", r->limit}};
    int32_t size = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (sizes[i].value < 0)
            return fail_field(ctx, sizes[i].field, "must not be negative");
        if (sizes[i].value > 0 && size > 0)
            return fail_field(ctx, sizes[i].field,
                              "says again how many: one of page_size, "
                              "per_page and limit is enough");
        if (sizes[i].value > 0)
            size = sizes[i].value;
    }
    *ret = size == 0 ? r->normal : size > r->most ? r->most : size;
    return OK;
}

static enum status
read_offset(struct ctx *ctx, const struct list_request *r, int32_t size, int64_t *ret)
{
    const char *field = r->page != 0 ? "page" : "offset";
    if (r->page < 0 || r->offset < 0)
        return fail_field(ctx, field, "must not be negative");
    if (r->page > 0 && r->offset > 0)
        return fail_field(ctx, "offset", "cannot be used with page");
    int64_t offset = r->page > 0 ? ((int64_t)r->page - 1) * size : r->offset;
    if (offset > LIST_MAX_OFFSET)
        return fail_field(ctx, field, "is too far: go on with next_page_token beyond row %d",
                          LIST_MAX_OFFSET);
    if ((r->page > 0 || r->offset > 0) && r->page_token && *r->page_token)
        return fail_field(ctx, field, "cannot be used with page_token");
    *ret = offset;
    return OK;
}

/* ---- what a token is bound to
 * -------------------------------------------------------------------- */

static void
put_bytes(struct buf *b, const void *p, uint64_t n)
{
    buf_put(b, &n, sizeof(n));
    if (n > 0)
        buf_put(b, p, n);
}

/* Integers, floats and times by value, texts and arrays of fixed-size elements by their bytes. */
static void
put_arg(struct buf *b, const struct db_arg *arg)
{
    buf_putc(b, (char)arg->type);
    buf_putc(b, arg->is_null ? '\1' : '\0');
    if (arg->is_null)
        return;
    switch (arg->type) {
    case DB_TEXT:
    case DB_BYTEA:
    case DB_JSONB:
        put_bytes(b, arg->s.p, arg->s.n);
        break;
    case DB_UUID:
        put_bytes(b, arg->uuid, sizeof(*arg->uuid));
        break;
    case DB_BOOL:
        buf_putc(b, arg->b ? '\1' : '\0');
        break;
    case DB_INT8_ARRAY:
        put_bytes(b, arg->array.items, arg->array.n * sizeof(int64_t));
        break;
    case DB_TEXT_ARRAY:
        for (size_t i = 0; i < arg->array.n; i++)
            put_bytes(b, arg->array.texts[i],
                      arg->array.texts[i] ? strlen(arg->array.texts[i]) : 0);
        break;
    default:
        ASSERT(arg->type < DB_BOOL_ARRAY);
        put_bytes(b, &arg->i, sizeof(arg->i));
        break;
    }
}

static struct str
binding_of(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
           const struct list_request *r)
{
    struct buf b;
    buf_init(&b, MAX_BINDING);
    put_bytes(&b, stmt->name, strlen(stmt->name));
    put_bytes(&b, r->filter, str_of(r->filter).n);
    put_bytes(&b, r->order_by, str_of(r->order_by).n);
    for (size_t i = 0; i < args.n; i++)
        put_arg(&b, &args.v[i]);
    ASSERT(!b.overflow);
    struct str s = {arena_memdup(ctx->arena, b.data, b.len), b.len};
    buf_fini(&b);
    return s;
}

/* ---- the cursor: the sort values of the last row
 * -------------------------------------------------- */

static const char *
token_make(struct ctx *ctx, const struct db_stmt *stmt, const struct db_order *order, size_t n,
           struct str binding, const void *row)
{
    struct buf b;
    buf_init(&b, PAGE_TOKEN_MAX_CURSOR);
    for (size_t i = 0; i < n; i++) {
        struct db_arg arg = db_list_value(stmt, order[i].column, row);
        put_arg(&b, &arg);
    }
    const char *token = NULL;
    if (!b.overflow)
        token = page_token_make(ctx->arena, binding, (struct str){b.data, b.len});
    buf_fini(&b);
    return token;
}

static bool
take_bytes(struct str *s, void *p, size_t n)
{
    if (s->n < n)
        return false;
    memcpy(p, s->p, n);
    s->p += n;
    s->n -= n;
    return true;
}

/* The inverse of put_arg for what can be sorted. False: it was made by another version. */
static bool
take_arg(struct arena *a, struct str *s, enum db_type type, struct db_arg *ret)
{
    char head[2];
    uint64_t n;
    if (!take_bytes(s, head, sizeof(head)) || (enum db_type)head[0] != type)
        return false;
    *ret = db_null(type);
    if (head[1])
        return true;
    ret->is_null = false;
    if (type == DB_BOOL) {
        char yes;
        bool good = take_bytes(s, &yes, 1);
        ret->b = good && yes;
        return good;
    }
    if (!take_bytes(s, &n, sizeof(n)) || n > s->n)
        return false;
    if (type == DB_TEXT) {
        ret->s = (struct str){arena_strndup(a, s->p, n), n};
        s->p += n;
        s->n -= n;
        return true;
    }
    if (type == DB_UUID) {
        struct uuid *id = arena_new(a, struct uuid);
        ret->uuid = id;
        return n == sizeof(*id) && take_bytes(s, id, sizeof(*id));
    }
    return n == sizeof(ret->i) && take_bytes(s, &ret->i, sizeof(ret->i));
}

static enum status
token_read(struct ctx *ctx, const char *token, struct str binding, const struct db_order *order,
           size_t n, const struct db_arg **ret)
{
    struct db_arg *after = arena_new_n(ctx->arena, struct db_arg, n);
    struct str cursor;
    bool good = page_token_read(ctx->arena, str_of(token), binding, &cursor);
    for (size_t i = 0; i < n && good; i++)
        good = take_arg(ctx->arena, &cursor, order[i].column->type, &after[i]);
    if (!good || cursor.n > 0)
        return fail_field(ctx, "page_token",
                          "is not one of this list's, or the filter, the order "
                          "or the parent is another one");
    *ret = after;
    return OK;
}

/* ---- the page
 * ------------------------------------------------------------------------------------ */

enum status
list_rows_at(struct ctx *ctx, const struct db_stmt *stmt, struct db_args args,
             const struct list_request *r, void **ret_rows, size_t row_size, size_t *ret_n,
             const char **ret_next)
{
    const struct db_list *list = stmt->list;
    struct db_list_query q = {.args = args};
    struct db_order order[DB_LIST_MAX_ORDER];
    int32_t size = 0;
    enum status st = read_size(ctx, r, &size);
    enum status second = read_offset(ctx, r, size, &q.offset); /* all violations in one answer */
    st = st == OK ? second : st;
    second = filter_parse(ctx, list, r->filter, &q.where);
    st = st == OK ? second : st;
    second = order_by_parse(ctx, list, r->order_by, &q.order, &q.n_order);
    st = st == OK ? second : st;
    if (st != OK)
        return st;
    const size_t n_order = db_list_order(list, q.order, q.n_order, order);
    const struct str binding = binding_of(ctx, stmt, args, r);
    if (r->page_token && *r->page_token)
        st = token_read(ctx, r->page_token, binding, order, n_order, &q.after);
    q.limit = (int64_t)size + 1; /* one more than asked for: is there a next page? */
    void *rows = NULL;
    size_t n = 0;
    if (st == OK)
        st = db_list_at(ctx, stmt, &q, &rows, row_size, &n);
    if (st != OK)
        return st;
    const char *next = "";
    if (n > (size_t)size) {
        n = (size_t)size;
        next = token_make(ctx, stmt, order, n_order, binding, (char *)rows + (n - 1) * row_size);
        if (!next)
            return fail_field(ctx, "order_by", "sorts by a text that is too long to go on behind");
    }
    *ret_rows = rows;
    *ret_n = n;
    *ret_next = next;
    return OK;
}
