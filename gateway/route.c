/* The trie of routes and the search in it. */
#include "gateway/route.h"

#include <stdio.h>

#include "gateway/route_template.h"

/* Numbers of google.api.HttpRule's fields. */
enum {
    RULE_GET = 2,
    RULE_PUT = 3,
    RULE_POST = 4,
    RULE_DELETE = 5,
    RULE_PATCH = 6,
    RULE_BODY = 7,
    RULE_CUSTOM = 8,
    RULE_ADDITIONAL = 11,
    RULE_RESPONSE_BODY = 12,
};

#define JSON_NAMES_OPTION 50803u /* luna.v1.json_names */

struct route_end {
    struct route_end *next;
    struct str custom_verb; /* p == NULL: none */
    const struct route_binding *binding;
};

struct route_node {
    struct route_node *next; /* sibling literal */
    struct str literal;
    struct route_node *literals;
    struct route_node *one;
    struct route_node *many;
    struct route_end *ends;
};

struct builder {
    struct route_table *t;
    const struct schema_method *method;
    const char *pattern;
    char *err;
    size_t err_size;
};

static bool
refuse(struct builder *b, const char *what, struct str name)
{
    snprintf(b->err, b->err_size, "%s%s%s: %s%s" STR_FMT, b->method->path, b->pattern ? " " : "",
             b->pattern ? b->pattern : "", what, name.n ? " " : "", STR_ARG(name));
    return false;
}

/* ---- building ---- */

static struct route_node *
child(struct builder *b, struct route_node *node, const struct template_segment *s)
{
    struct route_node **at = s->kind == SEGMENT_ONE    ? &node->one
                             : s->kind == SEGMENT_MANY ? &node->many
                                                       : &node->literals;
    if (s->kind == SEGMENT_LITERAL)
        while (*at && !str_eq((*at)->literal, s->literal))
            at = &(*at)->next;
    if (!*at) {
        *at = arena_new(&b->t->arena, struct route_node);
        (*at)->literal = s->literal;
    }
    return *at;
}

static bool
same_custom_verb(struct str a, struct str b)
{
    return !a.p == !b.p && str_eq(a, b);
}

static bool
insert(struct builder *b, const struct path_template *t, const struct route_binding *binding)
{
    struct route_node *node = b->t->root;
    for (unsigned i = 0; i < t->segment_count; i++)
        node = child(b, node, &t->segments[i]);
    struct route_end **at = &node->ends;
    for (; *at; at = &(*at)->next)
        if (same_custom_verb((*at)->custom_verb, t->verb) &&
            strcmp((*at)->binding->verb_name, binding->verb_name) == 0)
            return refuse(b, "is also a route of", str_of((*at)->binding->method->path));
    *at = arena_new(&b->t->arena, struct route_end);
    (*at)->custom_verb = t->verb;
    (*at)->binding = binding;
    return true;
}

static bool
resolve_variable(struct builder *b, struct str path, struct route_variable *v)
{
    const struct schema_message *m = b->method->input;
    struct str rest = path;
    while (rest.p) {
        struct str name = str_cut(&rest, '.');
        const struct schema_field *f = m ? schema_field_find(m, name) : NULL;
        if (!f || v->field_count == ROUTE_FIELDS_MAX)
            return refuse(b, "has no field", path);
        v->fields[v->field_count++] = f;
        m = f->message;
        bool leaf = !rest.p;
        if (f->repeated || (leaf ? m && !schema_is_text(m) : !m || m->wkt != WKT_NONE))
            return refuse(b, "cannot take from the path", path);
    }
    return true;
}

static bool
resolve_variables(struct builder *b, const struct path_template *t, struct route_binding *binding)
{
    struct route_variable *all =
        arena_new_n(&b->t->arena, struct route_variable, t->variable_count + 1);
    for (unsigned i = 0; i < t->variable_count; i++) {
        struct route_variable *v = &all[i];
        v->first = t->variables[i].first;
        v->count = t->variables[i].count;
        v->open = t->variables[i].open;
        if (!resolve_variable(b, t->variables[i].path, v))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (str_eq(t->variables[j].path, t->variables[i].path))
                return refuse(b, "takes twice from the path", t->variables[i].path);
    }
    binding->variables = all;
    binding->variable_count = t->variable_count;
    return true;
}

static bool
resolve_body(struct builder *b, struct str body, struct str response_body,
             struct route_binding *binding)
{
    const struct schema_message *in = b->method->input;
    binding->body_all = str_eq(body, STR("*"));
    if (body.n > 0 && !binding->body_all) {
        binding->body = schema_field_find(in, body);
        if (!binding->body)
            return refuse(b, "has no body field", body);
    }
    if (response_body.n > 0) {
        binding->response_body = schema_field_find(b->method->output, response_body);
        if (!binding->response_body)
            return refuse(b, "has no response_body field", response_body);
    }
    const bool part = binding->verb == ROUTE_PATCH && binding->body && binding->body->message;
    const bool whole = binding->verb == ROUTE_PUT && binding->body_all;
    if (!part && !whole)
        return true;
    for (uint32_t i = 0; i < in->field_count; i++) {
        const struct schema_field *f = &in->fields[i];
        if (!f->message || f->message->wkt != WKT_FIELD_MASK || f->repeated)
            continue;
        if (binding->mask) { /* two masks: which one is meant is not ours to say */
            binding->mask = NULL;
            break;
        }
        binding->mask = f;
    }
    return true;
}

static enum json_names
names_of(const struct schema_service *service)
{
    bool camel = schema_option_number(service->options, JSON_NAMES_OPTION) == 2;
    return camel ? JSON_NAMES_CAMEL : JSON_NAMES_PROTO;
}

static bool
add_binding(struct builder *b, struct route_binding *binding, struct str path, struct str body,
            struct str response_body)
{
    struct route_table *t = b->t;
    struct path_template parsed;
    char *pattern = arena_strndup(&t->arena, path.p, path.n);
    b->pattern = pattern;
    binding->pattern = pattern;
    binding->method = b->method;
    binding->names = names_of(b->method->service);
    const char *wrong = template_parse((struct str){pattern, path.n}, &parsed);
    if (wrong)
        return refuse(b, wrong, STR(""));
    if (!resolve_variables(b, &parsed, binding) || !resolve_body(b, body, response_body, binding))
        return false;
    if (t->binding_count == t->binding_cap) {
        size_t cap = t->binding_cap ? t->binding_cap * 2 : 64;
        const struct route_binding **larger =
            arena_new_n(&t->arena, const struct route_binding *, cap);
        if (t->binding_count > 0)
            memcpy(larger, t->bindings, t->binding_count * sizeof(*larger));
        t->bindings = larger;
        t->binding_cap = cap;
    }
    t->bindings[t->binding_count++] = binding;
    return insert(b, &parsed, binding);
}

static void
read_custom(struct builder *b, struct str custom, struct route_binding *binding, struct str *path)
{
    struct wire_field f;
    if (schema_option(custom, 1, &f) && f.type == WIRE_BYTES)
        binding->verb_name = arena_strndup(&b->t->arena, f.bytes.p, f.bytes.n);
    if (schema_option(custom, 2, &f) && f.type == WIRE_BYTES)
        *path = f.bytes;
    binding->verb = ROUTE_OTHER;
}

static bool
add_rule(struct builder *b, struct str rule, bool additional)
{
    static const struct {
        uint32_t number;
        enum route_verb verb;
        const char *name;
    } verbs[] = {{RULE_GET, ROUTE_GET, "GET"},
                 {RULE_PUT, ROUTE_PUT, "PUT"},
                 {RULE_POST, ROUTE_POST, "POST"},
                 {RULE_DELETE, ROUTE_DELETE, "DELETE"},
                 {RULE_PATCH, ROUTE_PATCH, "PATCH"}};
    struct route_binding *binding = arena_new(&b->t->arena, struct route_binding);
    struct str path = {0}, body = STR(""), response_body = STR("");
    struct wire_field f;
    for (const char *p = rule.p, *end = p + rule.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (!p || f.type != WIRE_BYTES)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
            if (f.number == verbs[i].number) {
                path = f.bytes;
                binding->verb = verbs[i].verb;
                binding->verb_name = verbs[i].name;
            }
        }
        if (f.number == RULE_CUSTOM)
            read_custom(b, f.bytes, binding, &path);
        else if (f.number == RULE_BODY)
            body = f.bytes;
        else if (f.number == RULE_RESPONSE_BODY)
            response_body = f.bytes;
    }
    b->pattern = NULL;
    if (!path.p || !binding->verb_name)
        return refuse(b, "a rule has no path or no method", STR(""));
    if (!add_binding(b, binding, path, body, response_body))
        return false;
    for (const char *p = rule.p, *end = p + rule.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (!p || f.number != RULE_ADDITIONAL || f.type != WIRE_BYTES)
            continue;
        if (additional)
            return refuse(b, "an additional binding has additional bindings", STR(""));
        if (!add_rule(b, f.bytes, true))
            return false;
    }
    return true;
}

static bool
add_method(struct builder *b)
{
    struct route_binding *automatic = arena_new(&b->t->arena, struct route_binding);
    automatic->verb = ROUTE_POST;
    automatic->verb_name = "POST";
    automatic->automatic = true;
    b->pattern = NULL;
    return add_binding(b, automatic, str_of(b->method->path), STR("*"), STR("")) &&
           (b->method->http.n == 0 || add_rule(b, b->method->http, false));
}

bool
route_table_init(struct route_table *t, const struct schema *s, char *err, size_t err_size)
{
    *t = (struct route_table){.schema = s};
    arena_init(&t->arena, 0);
    t->root = arena_new(&t->arena, struct route_node);
    for (size_t i = 0; i < s->service_count; i++) {
        const struct schema_service *service = s->services[i];
        if (strncmp(service->full_name, "grpc.health.", 12) == 0 ||
            strncmp(service->full_name, "grpc.reflection.", 16) == 0)
            continue;
        for (size_t j = 0; j < service->method_count; j++) {
            struct builder b = {
                .t = t, .method = &service->methods[j], .err = err, .err_size = err_size};
            if (!add_method(&b)) {
                route_table_fini(t);
                return false;
            }
        }
    }
    return true;
}

void
route_table_fini(struct route_table *t)
{
    arena_fini(&t->arena);
    *t = (struct route_table){0};
}

/* ---- searching ---- */

struct search {
    struct str verb;        /* HTTP method */
    struct str custom_verb; /* p == NULL: none */
    struct route_match *m;
};

static bool
literal_fits(const struct route_node *node, struct str segment)
{
    if (LIKELY(!memchr(segment.p, '%', segment.n)))
        return str_eq(node->literal, segment);
    struct arena a;
    struct str decoded;
    arena_init(&a, 0);
    bool fits =
        percent_decode(segment, false, false, &a, &decoded) && str_eq(node->literal, decoded);
    arena_fini(&a);
    return fits;
}

static const struct route_binding *
choose(const struct route_node *node, struct search *s)
{
    bool head = str_eq(s->verb, STR("HEAD"));
    const struct route_binding *any = NULL, *found = NULL, *get = NULL;
    for (const struct route_end *e = node->ends; e; e = e->next) {
        if (!same_custom_verb(e->custom_verb, s->custom_verb))
            continue;
        s->m->allow |= (unsigned)e->binding->verb;
        if (str_eq(s->verb, str_of(e->binding->verb_name)))
            found = e->binding;
        else if (strcmp(e->binding->verb_name, "*") == 0)
            any = e->binding;
        else if (e->binding->verb == ROUTE_GET)
            get = e->binding;
    }
    if (found)
        return found;
    return head && get ? get : any;
}

static const struct route_binding *
descend(const struct route_node *node, unsigned i, struct search *s)
{
    const struct route_binding *found = NULL;
    if (i == s->m->segment_count) {
        found = choose(node, s);
        return found || !node->many ? found : choose(node->many, s);
    }
    struct str segment = s->m->segments[i];
    for (const struct route_node *n = node->literals; n && !found; n = n->next)
        if (literal_fits(n, segment))
            found = descend(n, i + 1, s);
    if (!found && node->one && segment.n > 0)
        found = descend(node->one, i + 1, s);
    if (!found && node->many)
        found = choose(node->many, s);
    return found;
}

static bool
split(struct str path, struct route_match *m)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    path.p++;
    path.n--;
    if (path.n > 0 && path.p[path.n - 1] == '/' && --path.n == 0)
        return false; /* "//" */
    while (path.p && path.n > 0) {
        if (m->segment_count == ROUTE_SEGMENTS_MAX)
            return false;
        m->segments[m->segment_count++] = str_cut(&path, '/');
        if (path.p && path.n == 0) /* an empty segment at the end */
            return false;
    }
    return true;
}

static void
format_allow(struct route_match *m)
{
    static const struct {
        unsigned verb;
        const char *name;
    } names[] = {{ROUTE_GET, "GET, HEAD"}, {ROUTE_PUT, "PUT"},     {ROUTE_POST, "POST"},
                 {ROUTE_DELETE, "DELETE"}, {ROUTE_PATCH, "PATCH"}, {~0u, "OPTIONS"}};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (m->allow & names[i].verb)
            n += (size_t)snprintf(m->allow_text + n, sizeof(m->allow_text) - n, "%s%s",
                                  n ? ", " : "", names[i].name);
}

enum route_result
route_find(const struct route_table *t, struct str verb, struct str path, struct route_match *ret)
{
    struct search s = {.verb = verb, .m = ret};
    ret->binding = NULL;
    ret->segment_count = 0;
    ret->allow = 0;
    ret->allow_text[0] = 0;
    for (const char *p = path.p, *end = p + path.n; (p = memchr(p, '%', (size_t)(end - p))); p++)
        if (end - p < 3 || !memchr("0123456789abcdefABCDEF", p[1], 22) ||
            !memchr("0123456789abcdefABCDEF", p[2], 22))
            return ROUTE_BAD_PATH;
    if (!split(path, ret))
        return ROUTE_NOT_FOUND;
    struct str *last = ret->segment_count ? &ret->segments[ret->segment_count - 1] : NULL;
    const char *colon = last && last->n ? memrchr(last->p, ':', last->n) : NULL;
    if (colon) {
        struct str whole = *last;
        s.custom_verb = (struct str){colon + 1, (size_t)(last->p + last->n - colon - 1)};
        last->n = (size_t)(colon - last->p);
        ret->binding = descend(t->root, 0, &s);
        if (ret->binding)
            return ROUTE_FOUND;
        *last = whole;
        s.custom_verb = (struct str){0};
    }
    ret->binding = descend(t->root, 0, &s);
    if (ret->binding)
        return ROUTE_FOUND;
    format_allow(ret);
    return ret->allow ? ROUTE_WRONG_VERB : ROUTE_NOT_FOUND;
}
