/* Path variables, query parameters and body into one request message. */
#include <stdio.h>

#include "gateway/json_read.h"
#include "gateway/route.h"
#include "gateway/route_template.h"

struct bind {
    const struct route_table *t;
    const struct route_binding *binding;
    struct arena *scratch;
    struct buf *out;
    struct json_error *err;
    struct json_keys seen; /* query parameters that may come once */
    size_t begin;          /* of the request in `out` */
};

static bool
refuse(struct bind *b, struct str name, const char *text)
{
    b->err->failure = JSON_FIELD;
    b->err->offset = 0;
    int n = name.n < sizeof(b->err->path) ? (int)name.n : (int)sizeof(b->err->path) - 1;
    memcpy(b->err->path, name.p, (size_t)n);
    b->err->path[n] = 0;
    for (int i = 0; i < n; i++) /* a name that nobody knows may hold anything */
        if ((uint8_t)name.p[i] < 0x20 || (uint8_t)name.p[i] >= 0x7f)
            b->err->path[i] = '?';
    snprintf(b->err->text, sizeof(b->err->text), "%s", text);
    return false;
}

static bool
too_large(struct bind *b)
{
    if (!b->out->overflow)
        return false;
    b->err->failure = JSON_TOO_LARGE;
    b->err->path[0] = 0;
    b->err->offset = 0;
    snprintf(b->err->text, sizeof(b->err->text), "makes the message too large");
    return true;
}

/* Writes one text value at the end of a chain of fields; `key` for a map. */
static bool
put_chain(struct bind *b, const struct schema_field *const *fields, unsigned n,
          const struct str *key, struct str value)
{
    size_t marks[ROUTE_FIELDS_MAX];
    const struct schema *s = b->t->schema;
    const struct schema_field *leaf = fields[n - 1];
    for (unsigned i = 0; i + 1 < n; i++)
        marks[i] = wire_open(b->out, fields[i]->number);
    bool put = key ? json_decode_entry(s, leaf, *key, value, b->scratch, b->out, b->err)
                   : json_decode_text(s, leaf, value, b->scratch, b->out, b->err);
    for (unsigned i = n - 1; i-- > 0 && put;)
        wire_close(b->out, marks[i]);
    return put;
}

/* ---- path ---- */

static bool
path_value(struct bind *b, const struct route_match *m, const struct route_variable *v,
           struct str *ret)
{
    unsigned end = v->open ? m->segment_count : v->first + v->count;
    if (v->first >= end) {
        *ret = STR("");
        return true;
    }
    struct str first = m->segments[v->first], last = m->segments[end - 1];
    struct str whole = {first.p, (size_t)(last.p + last.n - first.p)};
    bool single = v->count == 1 && !v->open;
    return percent_decode(whole, !single, false, b->scratch, ret);
}

static bool
name_failure(struct bind *b, const struct schema_field *const *fields, unsigned n)
{
    size_t at = 0;
    if (b->err->failure == JSON_SYNTAX) /* of a Struct or Value in a parameter */
        b->err->failure = JSON_FIELD;
    for (unsigned i = 0; i < n && at < sizeof(b->err->path); i++)
        at += (size_t)snprintf(b->err->path + at, sizeof(b->err->path) - at, "%s%s", i ? "." : "",
                               fields[i]->name.p);
    return false;
}

static bool
bind_path(struct bind *b, const struct route_match *m)
{
    for (size_t i = 0; i < b->binding->variable_count; i++) {
        const struct route_variable *v = &b->binding->variables[i];
        struct str value;
        if (!path_value(b, m, v, &value))
            return refuse(b, v->fields[0]->name, "is not percent-encoded");
        if (!put_chain(b, v->fields, v->field_count, NULL, value))
            return name_failure(b, v->fields, v->field_count);
    }
    return true;
}

/* ---- query ---- */

static bool
is_bound(const struct bind *b, const struct schema_field *const *fields, unsigned n)
{
    if (b->binding->body_all || fields[0] == b->binding->body)
        return true;
    for (size_t i = 0; i < b->binding->variable_count; i++) {
        const struct route_variable *v = &b->binding->variables[i];
        if (v->field_count == n && memcmp(v->fields, fields, n * sizeof(fields[0])) == 0)
            return true;
    }
    return false;
}

/* A name that tells the field apart from every other one, for `seen`. */
static struct str
chain_name(struct bind *b, const struct schema_field *const *fields, unsigned n, int32_t oneof)
{
    char *text = arena_strdup(b->scratch, "");
    for (unsigned i = 0; i < n; i++)
        text = arena_printf(b->scratch, "%s%u.", text, fields[i]->number);
    if (oneof >= 0)
        text = arena_printf(b->scratch, "%s#%d", text, oneof);
    return str_of(text);
}

/* Notes the parameter; false: it, or another of its oneof, was there. */
static bool
is_first(struct bind *b, const struct schema_field *const *fields, unsigned n)
{
    const struct schema_field *leaf = fields[n - 1];
    if (leaf->repeated)
        return true;
    if (!json_keys_add(&b->seen, b->scratch, chain_name(b, fields, n, -1)))
        return false;
    return leaf->oneof < 0 ||
           json_keys_add(&b->seen, b->scratch, chain_name(b, fields, n - 1, leaf->oneof));
}

/* A parameter that the method does not have. */
static bool
unknown_parameter(struct bind *b, struct str name)
{
    struct str list = b->t->ignored_query;
    if (str_eq(list, STR("*")))
        return true;
    while (list.p && list.n > 0)
        if (str_eq(str_trim(str_cut(&list, ',')), name))
            return true;
    return refuse(b, name, "is not a parameter of this method");
}

static bool
bind_parameter(struct bind *b, struct str name, struct str value)
{
    const struct schema_field *fields[ROUTE_FIELDS_MAX];
    const struct schema_message *m = b->binding->method->input;
    struct str rest = name, key = {0};
    unsigned n = 0;
    size_t bracket = 0;
    if (name.n > 2 && name.p[name.n - 1] == ']') { /* map[key] */
        const char *open = memchr(name.p, '[', name.n);
        bracket = open ? (size_t)(open - name.p) : 0;
    }
    if (bracket > 0) {
        key = (struct str){name.p + bracket + 1, name.n - bracket - 2};
        rest.n = bracket;
    }
    while (rest.p) {
        struct str part = str_cut(&rest, '.');
        const struct schema_field *f = m ? schema_field_find(m, part) : NULL;
        if (!f || n == ROUTE_FIELDS_MAX)
            return unknown_parameter(b, name);
        fields[n++] = f;
        m = f->message && f->message->wkt == WKT_NONE && !f->repeated ? f->message : NULL;
    }
    const struct schema_field *leaf = fields[n - 1];
    if (leaf->map != (key.p != NULL))
        return leaf->map ? refuse(b, name, "needs a key: name[key]=value")
                         : unknown_parameter(b, name);
    if (is_bound(b, fields, n))
        return refuse(b, name, "is taken from the path or the body, not from the query");
    if (!leaf->map && leaf->message && !schema_is_text(leaf->message))
        return refuse(b, name, "is a message: give its fields one by one");
    if (!is_first(b, fields, n))
        return refuse(b, name, "is given twice");
    return put_chain(b, fields, n, key.p ? &key : NULL, value) || name_failure(b, fields, n);
}

static bool
bind_query(struct bind *b, struct str query)
{
    while (query.p && query.n > 0) {
        struct str value = str_cut(&query, '&');
        if (value.n == 0)
            continue;
        struct str name = str_cut(&value, '=');
        struct str decoded_name, decoded;
        if (!value.p)
            value = STR("");
        if (!percent_decode(name, false, true, b->scratch, &decoded_name) ||
            !percent_decode(value, false, true, b->scratch, &decoded))
            return refuse(b, name, "is not percent-encoded");
        if (!bind_parameter(b, decoded_name, decoded))
            return false;
    }
    return true;
}

/* ---- body ---- */

static bool
bind_body(struct bind *b, struct str body)
{
    const struct route_binding *binding = b->binding;
    const struct schema *s = b->t->schema;
    body = body.n ? str_trim(body) : STR("");
    if (binding->body_all)
        return body.n == 0 ||
               json_decode(s, binding->method->input, body, b->scratch, b->out, b->err);
    if (binding->body)
        return body.n == 0 || json_decode_field(s, binding->body, body, b->scratch, b->out, b->err);
    bool bodiless = binding->verb == ROUTE_GET || binding->verb == ROUTE_DELETE;
    if (body.n == 0 || bodiless || str_eq(body, STR("{}")))
        return true;
    return refuse(b, STR("body"), "is not taken by this method");
}

/* Whether the body or the query holds a field of the request. */
static bool
is_given(const struct bind *b, uint32_t number)
{
    const char *end = b->out->data + b->out->len;
    struct wire_field f;
    for (const char *p = b->out->data + b->begin; p && p < end;) {
        p = wire_next(p, end, &f);
        if (p && f.number == number)
            return true;
    }
    return false;
}

/* The mask that is meant when none is given: by a PATCH the fields its body holds, by a PUT that
 * holds the fields of the request, each of which says whether it is given, all. */
static bool
bind_mask(struct bind *b, struct str body)
{
    const struct route_binding *binding = b->binding;
    const bool whole = binding->verb == ROUTE_PUT;
    if (!binding->mask || is_given(b, binding->mask->number) ||
        (!whole && (body.n == 0 || str_trim(body).n == 0)))
        return true;
    size_t mark = wire_open(b->out, binding->mask->number);
    if (whole)
        wire_put_bytes(b->out, 1, STR("*"));
    else
        json_mask_paths(b->t->schema, binding->body->message, body, b->scratch, b->out);
    wire_close(b->out, mark);
    return true;
}

bool
route_bind_path(const struct route_table *t, const struct route_match *m,
                const struct route_input *in, struct arena *scratch, struct buf *out,
                struct json_error *err)
{
    struct bind b = {.t = t, .binding = m->binding, .scratch = scratch, .out = out, .err = err};
    return bind_path(&b, m) && bind_query(&b, in->query) && !too_large(&b);
}

bool
route_bind(const struct route_table *t, const struct route_match *m, const struct route_input *in,
           struct arena *scratch, struct buf *out, struct json_error *err)
{
    struct bind b = {.t = t,
                     .binding = m->binding,
                     .scratch = scratch,
                     .out = out,
                     .begin = out->len,
                     .err = err};
    return bind_body(&b, in->body) && bind_path(&b, m) && bind_query(&b, in->query) &&
           bind_mask(&b, in->body) && !too_large(&b);
}
