/* examples.json: {"luna.v1.KalmanService.Filter": [{"name", "summary", "request", "response"}]}. */
#include <stdio.h>

#include "gateway/json_read.h"
#include "gateway/openapi_private.h"

/* Calls `member` for each member of the object that the reader stands at. */
static bool
read_object(struct json_reader *r, bool (*member)(struct json_reader *r, struct str key, void *arg),
            void *arg)
{
    bool more = true;
    if (!json_expect(r, '{'))
        return false;
    if (json_peek(r) == '}')
        return json_expect(r, '}');
    while (more) {
        struct str key;
        if (!json_key(r, &key) || !member(r, key, arg) || !json_comma(r, '}', &more))
            return false;
    }
    return true;
}

/* The text of the value that the reader stands at. */
static bool
read_value(struct json_reader *r, struct str *ret)
{
    json_peek(r);
    const char *start = r->p;
    if (!json_skip(r))
        return false;
    *ret = (struct str){start, (size_t)(r->p - start)};
    return true;
}

static bool
read_example_member(struct json_reader *r, struct str key, void *arg)
{
    struct example *e = arg;
    if (str_eq(key, STR("name")))
        return json_string(r, &e->name);
    if (str_eq(key, STR("summary")))
        return json_string(r, &e->summary);
    if (str_eq(key, STR("request")))
        return read_value(r, &e->request);
    if (str_eq(key, STR("response")))
        return read_value(r, &e->response);
    if (str_eq(key, STR("parameters")))
        return read_value(r, &e->parameters);
    return json_fail_at(r, key, "is not a member of an example");
}

struct loading {
    struct doc *d;
    struct example **last;
};

static bool
read_method(struct json_reader *r, struct str key, void *arg)
{
    struct loading *l = arg;
    bool more = true;
    if (!json_expect(r, '['))
        return false;
    while (more) {
        struct example *e = arena_new(&l->d->arena, struct example);
        *e = (struct example){.method = key,
                              .name = STR("example"),
                              .summary = STR(""),
                              .request = STR(""),
                              .response = STR(""),
                              .parameters = STR("{}")};
        if (!read_object(r, read_example_member, e) || !json_comma(r, ']', &more))
            return false;
        *l->last = e;
        l->last = &e->next;
    }
    return true;
}

bool
examples_load(struct doc *d, char *err, size_t err_size)
{
    struct json_error e = {0};
    struct json_reader r;
    struct loading l = {d, &d->examples};
    if (d->options->examples.n == 0)
        return true;
    json_reader_init(&r, d->schema, d->options->examples, &d->arena, NULL, &e);
    if (read_object(&r, read_method, &l) && json_finish(&r))
        return true;
    snprintf(err, err_size, "examples.json: byte %zu: %s %s", e.offset, e.path, e.text);
    return false;
}

struct search {
    struct str name;
    struct str found;
};

static bool
find_member(struct json_reader *r, struct str key, void *arg)
{
    struct search *s = arg;
    struct str value;
    if (!read_value(r, &value))
        return false;
    if (str_eq(key, s->name))
        s->found = value;
    return true;
}

struct str
example_member(struct doc *d, struct str object, struct str name)
{
    struct json_error e;
    struct json_reader r;
    struct search s = {.name = name};
    if (object.n == 0 || object.p[0] != '{')
        return s.found;
    json_reader_init(&r, d->schema, object, &d->arena, NULL, &e);
    read_object(&r, find_member, &s);
    return s.found;
}

struct filter {
    struct buf out;
    const struct route_binding *binding;
};

static bool
copy_member(struct json_reader *r, struct str key, void *arg)
{
    struct filter *f = arg;
    struct str value;
    if (!read_value(r, &value))
        return false;
    for (size_t i = 0; i < f->binding->variable_count; i++) {
        const struct route_variable *v = &f->binding->variables[i];
        if (v->field_count == 1 &&
            (str_eq(v->fields[0]->name, key) || str_eq(v->fields[0]->json_name, key)))
            return true;
    }
    if (f->out.len > 1)
        buf_puts(&f->out, ", ");
    buf_put_json(&f->out, key.p, key.n);
    buf_puts(&f->out, ": ");
    buf_put(&f->out, value.p, value.n);
    return true;
}

struct str
example_without(struct doc *d, struct str object, const struct route_binding *b)
{
    struct json_error e;
    struct json_reader r;
    struct filter f = {.binding = b};
    if (object.n == 0 || object.p[0] != '{')
        return object;
    buf_init(&f.out, object.n * 2 + 64);
    buf_putc(&f.out, '{');
    json_reader_init(&r, d->schema, object, &d->arena, NULL, &e);
    read_object(&r, copy_member, &f);
    buf_putc(&f.out, '}');
    struct str out = {arena_strndup(&d->arena, f.out.data, f.out.len), f.out.len};
    buf_fini(&f.out);
    return out;
}

bool
example_is_of(const struct example *e, const struct schema_method *m)
{
    struct str service = str_of(m->service->full_name), name = str_of(m->name);
    return e->method.n == service.n + 1 + name.n && str_starts(e->method, service) &&
           e->method.p[service.n] == '.' &&
           memcmp(e->method.p + service.n + 1, name.p, name.n) == 0;
}
