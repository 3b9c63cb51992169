/* Path templates and parameters. */
#include "gateway/openapi_private.h"
#include "gateway/route_template.h"

#define NESTING_MAX 4 /* messages inside messages, as query parameters */

/* ---- path ---- */

static unsigned
wildcards(const struct path_template *t, const struct template_variable *v)
{
    unsigned n = 0;
    for (unsigned i = v->first; i < v->first + v->count; i++)
        n += t->segments[i].kind != SEGMENT_LITERAL;
    return n;
}

static const struct template_variable *
variable_at(const struct path_template *t, unsigned segment, unsigned *ret_index)
{
    for (unsigned i = 0; i < t->variable_count; i++) {
        const struct template_variable *v = &t->variables[i];
        if (segment >= v->first && segment < v->first + v->count) {
            *ret_index = i;
            return v;
        }
    }
    return NULL;
}

/* The template that a variable of several segments has: "shelves/{}/books/{}". */
static const char *
whole_of(struct doc *d, const struct path_template *t, const struct template_variable *v)
{
    const char *text = "";
    for (unsigned i = v->first; i < v->first + v->count; i++) {
        const struct template_segment *s = &t->segments[i];
        const char *between = i > v->first ? "/" : "";
        if (s->kind == SEGMENT_LITERAL)
            text = arena_printf(&d->arena, "%s%s" STR_FMT, text, between, STR_ARG(s->literal));
        else
            text = arena_printf(&d->arena, "%s%s%s", text, between,
                                s->kind == SEGMENT_MANY ? "**" : "*");
    }
    return text;
}

static struct path_parameter
parameter_at(struct doc *d, const struct route_binding *b, const struct path_template *t,
             unsigned segment)
{
    unsigned index;
    const struct template_variable *v = variable_at(t, segment, &index);
    if (!v)
        return (struct path_parameter){arena_printf(&d->arena, "segment_%u", segment + 1), NULL,
                                       NULL};
    const struct route_variable *bound = &b->variables[index];
    const struct schema_field *field = bound->fields[bound->field_count - 1];
    const char *name = arena_strndup(&d->arena, v->path.p, v->path.n);
    if (v->count == 1 && !v->open)
        return (struct path_parameter){name, field, NULL};
    if (wildcards(t, v) > 1) {
        unsigned number = 1;
        for (unsigned i = v->first; i < segment; i++)
            number += t->segments[i].kind != SEGMENT_LITERAL;
        name = arena_printf(&d->arena, "%s_%u", name, number);
    }
    return (struct path_parameter){name, field, whole_of(d, t, v)};
}

const char *
path_of_binding(struct doc *d, const struct route_binding *b, struct path_parameter *ret_all,
                size_t *ret_count)
{
    struct path_template t;
    struct buf out;
    size_t n = 0, length = strlen(b->pattern);
    if (template_parse((struct str){b->pattern, length}, &t))
        return NULL;
    buf_init(&out, 64 << 10);
    for (unsigned i = 0; i < t.segment_count; i++) {
        const struct template_segment *s = &t.segments[i];
        buf_putc(&out, '/');
        if (s->kind == SEGMENT_LITERAL) {
            buf_put(&out, s->literal.p, s->literal.n);
        } else if (n < PATH_PARAMETERS_MAX) {
            ret_all[n] = parameter_at(d, b, &t, i);
            buf_printf(&out, "{%s}", ret_all[n++].name);
        }
    }
    if (t.segment_count == 0 || (!t.verb.p && b->pattern[length - 1] == '/'))
        buf_putc(&out, '/');
    if (t.verb.p)
        buf_printf(&out, ":" STR_FMT, STR_ARG(t.verb));
    *ret_count = n;
    char *path = arena_strndup(&d->arena, out.data, out.len);
    buf_fini(&out);
    return path;
}

/* ---- examples ---- */

static struct str
example_value(struct doc *d, const struct route_binding *b, struct str name)
{
    for (const struct example *e = d->examples; e; e = e->next) {
        if (!example_is_of(e, b->method))
            continue;
        struct str object = e->request, rest = name, value = {0};
        while (rest.p && object.p) {
            value = example_member(d, object, str_cut(&rest, '.'));
            object = value;
        }
        if (!value.p)
            value = example_member(d, e->parameters, name);
        if (value.p)
            return value;
    }
    return (struct str){0};
}

/* ---- parameters ---- */

static void
path_parameter(struct doc *d, const struct route_binding *b, const struct path_parameter *p)
{
    doc_open(d, NULL, '{');
    doc_text(d, "name", p->name);
    doc_text(d, "in", "path");
    doc_true(d, "required");
    if (p->whole)
        doc_text(d, "description",
                 arena_printf(&d->arena, "A part of `%s`.%s%s", p->whole,
                              p->field->comment[0] ? " " : "", p->field->comment));
    else if (p->field)
        doc_comment(d, "description", p->field->comment);
    if (p->field && !p->whole)
        schema_write_parameter(d, p->field, b->names);
    else
        doc_raw(d, "schema", STR("{\"type\":\"string\"}"));
    struct str example = p->whole ? (struct str){0} : example_value(d, b, str_of(p->name));
    if (example.p)
        doc_raw(d, "example", example);
    doc_close(d, '}');
}

struct chain {
    const struct schema_field *fields[NESTING_MAX];
    unsigned count;
    const char *name; /* with dots */
};

static bool
is_bound(const struct route_binding *b, const struct chain *c)
{
    if (c->fields[0] == b->body)
        return true;
    for (size_t i = 0; i < b->variable_count; i++) {
        const struct route_variable *v = &b->variables[i];
        if (v->field_count == c->count &&
            memcmp(v->fields, c->fields, c->count * sizeof(c->fields[0])) == 0)
            return true;
    }
    return false;
}

static void
query_parameter(struct doc *d, const struct route_binding *b, const struct schema_message *m,
                const struct chain *c)
{
    const struct schema_field *f = c->fields[c->count - 1];
    doc_open(d, NULL, '{');
    doc_text(d, "name", c->name);
    doc_text(d, "in", "query");
    if (f->map) {
        doc_text(d, "description",
                 arena_printf(&d->arena, "%s One parameter an entry: `%s[key]=value`.", f->comment,
                              c->name));
        doc_text(d, "style", "deepObject");
    } else {
        doc_comment(d, "description", schema_field_comment(d, m, f));
    }
    if (c->count == 1 && limits_of(f).required)
        doc_true(d, "required");
    schema_write_parameter(d, f, b->names);
    struct str example = example_value(d, b, str_of(c->name));
    if (example.p)
        doc_raw(d, "example", example);
    doc_close(d, '}');
}

static void
query_parameters(struct doc *d, const struct route_binding *b, const struct schema_message *m,
                 const struct chain *parent)
{
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        struct chain c = *parent;
        struct str own = b->names == JSON_NAMES_CAMEL ? f->json_name : f->name;
        c.fields[c.count++] = f;
        c.name = arena_printf(&d->arena, "%s%s" STR_FMT, parent->name, parent->count ? "." : "",
                              STR_ARG(own));
        if (is_bound(b, &c))
            continue;
        bool text = !f->message || f->map || schema_is_text(f->message);
        if (text)
            query_parameter(d, b, m, &c);
        else if (!f->repeated && f->message->wkt == WKT_NONE && c.count < NESTING_MAX)
            query_parameters(d, b, f->message, &c);
    }
}

/* ---- headers ---- */

static void
header_parameter(struct doc *d, const char *name, const char *text, const char *schema)
{
    doc_open(d, NULL, '{');
    doc_text(d, "name", name);
    doc_text(d, "in", "header");
    doc_text(d, "description", text);
    doc_raw(d, "schema", str_of(schema));
    doc_close(d, '}');
}

static void
header_parameters(struct doc *d, const struct route_binding *b, const struct method_policy *p)
{
    if (!p->idempotent && !b->method->client_streaming)
        header_parameter(d, "Idempotency-Key",
                         "The same key and the same request: the first answer again.",
                         "{\"type\":\"string\"}");
    if (b->method->server_streaming)
        header_parameter(d, "Last-Event-ID", "The id of the last event that came: go on from it.",
                         "{\"type\":\"string\"}");
}

void
parameters_write(struct doc *d, const struct route_binding *b, const struct path_parameter *all,
                 size_t count, const struct method_policy *p)
{
    static const struct chain root = {.name = ""};
    doc_open(d, "parameters", '[');
    for (size_t i = 0; i < count; i++)
        path_parameter(d, b, &all[i]);
    if (!b->body_all)
        query_parameters(d, b, b->method->input, &root);
    header_parameters(d, b, p);
    doc_close(d, ']');
}
