/* Messages, enums and fields as JSON Schema, after the JSON mapping that gateway/json.h has. */
#include "gateway/openapi_private.h"

#define OWN_PACKAGE       "luna.v1."
#define OPTION_DEPRECATED 3u /* FieldOptions.deprecated */
#define NESTING_MAX       64

/* ---- what is used ---- */

static size_t
enum_index(const struct doc *d, const struct schema_enum *e)
{
    size_t i = 0;
    while (i + 1 < d->schema->enum_count && d->schema->enums[i] != e)
        i++;
    return i;
}

static void
mark(struct doc *d, const struct schema_message *m, unsigned use, int depth)
{
    size_t index = doc_message_index(d, m);
    bool bytes = depth == 0 && method_has_http_body(m); /* a whole body: it has no schema */
    if (m->wkt != WKT_NONE || bytes || depth == NESTING_MAX)
        return;
    if ((d->message_use[index] & use) == use)
        return;
    d->message_use[index] = (uint8_t)(d->message_use[index] | use);
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        if (f->map)
            f = &f->message->fields[1];
        if (f->message)
            mark(d, f->message, use, depth + 1);
        if (f->enumeration)
            d->enum_use[enum_index(d, f->enumeration)] = 1;
    }
}

void
schemas_mark(struct doc *d, const struct schema_message *m, unsigned use)
{
    mark(d, m, use, 0);
}

static const char *
short_name(const char *full_name)
{
    size_t n = sizeof(OWN_PACKAGE) - 1;
    return strncmp(full_name, OWN_PACKAGE, n) == 0 ? full_name + n : full_name;
}

/* The component of a message; those that are spelled both ways are there twice. */
static const char *
message_name(struct doc *d, const struct schema_message *m, enum json_names names)
{
    uint8_t use = d->message_use[doc_message_index(d, m)];
    bool both = (use & USED_PROTO_NAMES) && (use & USED_CAMEL_NAMES);
    const char *name = short_name(m->full_name);
    return both && names == JSON_NAMES_CAMEL ? arena_printf(&d->arena, "%s.camelCase", name) : name;
}

/* ---- values ---- */

static void
write_type(struct doc *d, const char *first, const char *second, bool nullable)
{
    if (!second && !nullable) {
        doc_text(d, "type", first);
        return;
    }
    doc_open(d, "type", '[');
    doc_text(d, NULL, first);
    if (second)
        doc_text(d, NULL, second);
    if (nullable)
        doc_text(d, NULL, "null");
    doc_close(d, ']');
}

struct value {
    const struct schema_field *field;
    const struct field_limits *limits;
    enum json_names names;
    bool parameter; /* bare text: what stands for NaN or a large integer needs no second type */
    bool nullable;
};

static void write_value(struct doc *d, const struct value *v);

static void
write_float(struct doc *d, const struct value *v)
{
    bool finite = v->parameter || v->limits->finite;
    write_type(d, "number", finite ? NULL : "string", v->nullable);
    doc_text(d, "format", v->field->type == TYPE_FLOAT ? "float" : "double");
    if (!finite)
        doc_text(d, "pattern", "^(NaN|-?Infinity)$");
}

static void
write_integer(struct doc *d, const struct value *v, unsigned bits, bool is_signed)
{
    bool text = bits == 64 && !v->parameter;
    write_type(d, "integer", text ? "string" : NULL, v->nullable);
    doc_text(d, "format", arena_printf(&d->arena, "%sint%u", is_signed ? "" : "u", bits));
    if (text)
        doc_text(d, "pattern", is_signed ? "^-?[0-9]+$" : "^[0-9]+$");
    if (!is_signed && !v->limits->has_min)
        doc_int(d, "minimum", 0);
    if (!is_signed && bits == 32 && !v->limits->has_max)
        doc_int(d, "maximum", UINT32_MAX);
}

static void
write_wrapper(struct doc *d, const struct value *v)
{
    struct value inner = *v;
    if (v->field->message->field_count == 0)
        return;
    inner.field = &v->field->message->fields[0];
    inner.nullable = !v->parameter;
    write_value(d, &inner);
}

static void
write_any(struct doc *d)
{
    doc_text(d, "type", "object");
    doc_open(d, "properties", '{');
    doc_open(d, "@type", '{');
    doc_text(d, "type", "string");
    doc_text(d, "description", "Type URL: type.googleapis.com/ and the message's full name.");
    doc_close(d, '}');
    doc_close(d, '}');
    doc_raw(d, "required", STR("[\"@type\"]"));
    doc_true(d, "additionalProperties");
}

static void
write_well_known(struct doc *d, const struct value *v)
{
    switch (v->field->message->wkt) {
    case WKT_TIMESTAMP:
        write_type(d, "string", NULL, v->nullable);
        doc_text(d, "format", "date-time");
        break;
    case WKT_DURATION:
        write_type(d, "string", NULL, v->nullable);
        doc_text(d, "format", "duration-seconds");
        doc_text(d, "pattern", "^-?[0-9]+(\\.[0-9]{1,9})?s$");
        break;
    case WKT_FIELD_MASK:
        write_type(d, "string", NULL, v->nullable);
        doc_text(d, "x-luna-format", "field names, separated by commas");
        break;
    case WKT_STRUCT:
    case WKT_VALUE:
    case WKT_LIST_VALUE:
        if (v->parameter) {
            doc_text(d, "type", "string");
            doc_text(d, "contentMediaType", "application/json");
        } else if (v->field->message->wkt == WKT_STRUCT) {
            doc_text(d, "type", "object");
            doc_true(d, "additionalProperties");
        } else if (v->field->message->wkt == WKT_LIST_VALUE) {
            doc_text(d, "type", "array");
            doc_raw(d, "items", STR("{}"));
        }
        break;
    case WKT_WRAPPER:
        write_wrapper(d, v);
        break;
    case WKT_ANY:
        write_any(d);
        break;
    case WKT_NONE:
    default:
        doc_ref(d, "schemas", message_name(d, v->field->message, v->names));
    }
}

static void
write_enum(struct doc *d, const struct value *v)
{
    const struct schema_enum *e = v->field->enumeration;
    if (e->is_null_value)
        doc_text(d, "type", "null");
    else
        doc_ref(d, "schemas", short_name(e->full_name));
}

/* The members of one value's schema. */
static void
write_value(struct doc *d, const struct value *v)
{
    switch (v->field->type) {
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
        write_float(d, v);
        break;
    case TYPE_INT64:
    case TYPE_SINT64:
    case TYPE_SFIXED64:
        write_integer(d, v, 64, true);
        break;
    case TYPE_UINT64:
    case TYPE_FIXED64:
        write_integer(d, v, 64, false);
        break;
    case TYPE_INT32:
    case TYPE_SINT32:
    case TYPE_SFIXED32:
        write_integer(d, v, 32, true);
        break;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        write_integer(d, v, 32, false);
        break;
    case TYPE_BOOL:
        write_type(d, "boolean", NULL, v->nullable);
        break;
    case TYPE_BYTES:
        write_type(d, "string", NULL, v->nullable);
        doc_text(d, "contentEncoding", "base64");
        break;
    case TYPE_ENUM:
        write_enum(d, v);
        break;
    case TYPE_MESSAGE:
    case TYPE_GROUP:
        write_well_known(d, v);
        break;
    case TYPE_STRING:
    default:
        write_type(d, "string", NULL, v->nullable);
    }
    limits_write_value(d, v->field, v->limits);
}

static void
write_map(struct doc *d, const struct value *v)
{
    const struct schema_field *key = &v->field->message->fields[0];
    static const struct field_limits none = {.charset = {"", 0}};
    struct value inner = {&v->field->message->fields[1], &none, v->names, false, false};
    doc_text(d, "type", "object");
    if (key->type == TYPE_BOOL)
        doc_raw(d, "propertyNames", STR("{\"enum\":[\"false\",\"true\"]}"));
    else if (key->type != TYPE_STRING)
        doc_raw(d, "propertyNames", STR("{\"pattern\":\"^-?[0-9]+$\"}"));
    doc_open(d, "additionalProperties", '{');
    write_value(d, &inner);
    doc_close(d, '}');
}

static void
write_any_count(struct doc *d, const struct value *v)
{
    if (v->field->map) {
        write_map(d, v);
    } else if (v->field->repeated) {
        doc_text(d, "type", "array");
        doc_open(d, "items", '{');
        write_value(d, v);
        doc_close(d, '}');
        limits_write_list(d, v->limits);
    } else {
        write_value(d, v);
    }
}

void
schema_write_parameter(struct doc *d, const struct schema_field *f, enum json_names names)
{
    struct field_limits limits = limits_of(f);
    struct value v = {f, &limits, names, true, false};
    doc_open(d, "schema", '{');
    write_any_count(d, &v);
    doc_close(d, '}');
}

const char *
schema_field_comment(const struct doc *d, const struct schema_message *m,
                     const struct schema_field *f)
{
    bool refers = f->comment[0] == 0 || strncmp(f->comment, "See ", 4) == 0;
    if (refers && f->oneof >= 0 && oneof_is_presence(m, f->oneof)) {
        const char *comment = oneof_find(d, m, f->oneof)->comment;
        return *comment ? comment : f->comment;
    }
    return f->comment;
}

void
schema_write_field(struct doc *d, const char *key, const struct schema_message *m,
                   const struct schema_field *f, enum json_names names)
{
    struct field_limits limits = limits_of(f);
    struct value v = {f, &limits, names, false, false};
    doc_open(d, key, '{');
    doc_comment(d, "description", schema_field_comment(d, m, f));
    write_any_count(d, &v);
    if (schema_option_number(f->options, OPTION_DEPRECATED))
        doc_true(d, "deprecated");
    doc_close(d, '}');
}

/* ---- messages ---- */

static bool
is_in_path(const struct route_binding *b, const struct schema_field *f)
{
    for (size_t i = 0; b && i < b->variable_count; i++)
        if (b->variables[i].field_count == 1 && b->variables[i].fields[0] == f)
            return true;
    return false;
}

static struct str
json_name(const struct schema_field *f, enum json_names names)
{
    return names == JSON_NAMES_CAMEL ? f->json_name : f->name;
}

/* What must be there: in requests by rule, in answers all that is always written. */
static void
write_required(struct doc *d, const struct schema_message *m, enum json_names names, unsigned use,
               const struct route_binding *b)
{
    bool in_only = (use & USED_IN) && !(use & USED_OUT);
    bool out_only = (use & USED_OUT) && !(use & USED_IN);
    bool written = d->options->emit != JSON_EMIT_NONE, open = false;
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        bool wanted = (in_only && limits_of(f).required) || (out_only && written && !f->presence);
        if (!wanted || is_in_path(b, f))
            continue;
        if (!open)
            doc_open(d, "required", '[');
        open = true;
        doc_string(d, NULL, json_name(f, names));
    }
    if (open)
        doc_close(d, ']');
}

/* Calls for each field of a oneof of several: its number in `ret`, the count returned. */
static unsigned
oneof_fields(const struct schema_message *m, uint32_t oneof, const struct schema_field **ret,
             unsigned max)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < m->field_count && n < max; i++)
        if (m->fields[i].oneof == (int32_t)oneof)
            ret[n++] = &m->fields[i];
    return n;
}

#define ONEOF_FIELDS_MAX 64

/* At most one of each oneof: not any two of them. */
static void
write_oneofs(struct doc *d, const struct schema_message *m, enum json_names names)
{
    const struct schema_field *f[ONEOF_FIELDS_MAX];
    bool open = false;
    for (uint32_t o = 0; o < m->oneof_count; o++) {
        unsigned n = oneof_fields(m, o, f, ONEOF_FIELDS_MAX);
        for (unsigned i = 0; i < n; i++) {
            for (unsigned j = i + 1; j < n; j++) {
                if (!open) {
                    doc_open(d, "not", '{');
                    doc_open(d, "anyOf", '[');
                }
                open = true;
                doc_open(d, NULL, '{');
                doc_open(d, "required", '[');
                doc_string(d, NULL, json_name(f[i], names));
                doc_string(d, NULL, json_name(f[j], names));
                doc_close(d, ']');
                doc_close(d, '}');
            }
        }
    }
    if (!open)
        return;
    doc_close(d, ']');
    doc_close(d, '}');
    doc_open(d, "x-luna-oneof", '{');
    for (uint32_t o = 0; o < m->oneof_count; o++) {
        unsigned n = oneof_fields(m, o, f, ONEOF_FIELDS_MAX);
        if (n < 2)
            continue;
        doc_open(d, oneof_find(d, m, (int32_t)o)->name, '[');
        for (unsigned i = 0; i < n; i++)
            doc_string(d, NULL, json_name(f[i], names));
        doc_close(d, ']');
    }
    doc_close(d, '}');
}

/* The comment and, for each oneof of several, what it says. */
static const char *
message_comment(struct doc *d, const struct schema_message *m, enum json_names names)
{
    const char *text = m->comment;
    const struct schema_field *f[ONEOF_FIELDS_MAX];
    for (uint32_t o = 0; o < m->oneof_count; o++) {
        unsigned n = oneof_fields(m, o, f, ONEOF_FIELDS_MAX);
        if (n < 2)
            continue;
        const char *comment = oneof_find(d, m, (int32_t)o)->comment;
        text = arena_printf(&d->arena, "%s\n\nAt most one of", text);
        for (unsigned i = 0; i < n; i++)
            text = arena_printf(&d->arena, "%s%s `" STR_FMT "`", text, i ? "," : "",
                                STR_ARG(json_name(f[i], names)));
        text = arena_printf(&d->arena, "%s%s%s", text, *comment ? ": " : ".", comment);
    }
    return text;
}

static void
write_message(struct doc *d, const char *key, const struct schema_message *m, enum json_names names,
              unsigned use, const struct route_binding *b)
{
    doc_open(d, key, '{');
    if (b)
        doc_text(d, "title", short_name(m->full_name));
    doc_comment(d, "description", message_comment(d, m, names));
    doc_text(d, "type", "object");
    doc_open(d, "properties", '{');
    for (uint32_t i = 0; i < m->field_count; i++)
        if (!is_in_path(b, &m->fields[i]))
            schema_write_field(d, json_name(&m->fields[i], names).p, m, &m->fields[i], names);
    doc_close(d, '}');
    write_required(d, m, names, use, b);
    write_oneofs(d, m, names);
    if (!(use & USED_OUT)) /* what is not known is refused */
        doc_raw(d, "additionalProperties", STR("false"));
    doc_close(d, '}');
}

void
schema_write_rest(struct doc *d, const struct route_binding *b)
{
    const struct schema_message *m = b->method->input;
    bool whole = true;
    for (uint32_t i = 0; i < m->field_count; i++)
        whole = whole && !is_in_path(b, &m->fields[i]);
    if (whole)
        schema_write_message_ref(d, "schema", m, b->names);
    else
        write_message(d, "schema", m, b->names, d->message_use[doc_message_index(d, m)], b);
}

void
schema_write_message_ref(struct doc *d, const char *key, const struct schema_message *m,
                         enum json_names names)
{
    struct schema_field f = {.type = TYPE_MESSAGE, .message = m, .options = STR("")};
    static const struct field_limits none = {.charset = {"", 0}};
    struct value v = {&f, &none, names, false, false};
    doc_open(d, key, '{');
    write_value(d, &v);
    doc_close(d, '}');
}

/* ---- enums ---- */

static void
write_enum_schema(struct doc *d, const struct schema_enum *e)
{
    const char *text = e->comment;
    doc_open(d, short_name(e->full_name), '{');
    for (size_t i = 0; i < e->value_count; i++)
        text = arena_printf(&d->arena, "%s%s- `%s`: %s", text,
                            i       ? "\n"
                            : *text ? "\n\n"
                                    : "",
                            e->values[i].name, e->values[i].comment);
    doc_comment(d, "description", text);
    doc_text(d, "type", "string");
    doc_open(d, "enum", '[');
    for (size_t i = 0; i < e->value_count; i++)
        doc_text(d, NULL, e->values[i].name);
    doc_close(d, ']');
    doc_close(d, '}');
}

void
schemas_write(struct doc *d)
{
    const struct schema *s = d->schema;
    for (size_t i = 0; i < s->message_count; i++) {
        unsigned use = d->message_use[i];
        const struct schema_message *m = s->messages[i];
        for (int names = JSON_NAMES_PROTO; names <= JSON_NAMES_CAMEL; names++)
            if (use & (names == JSON_NAMES_CAMEL ? USED_CAMEL_NAMES : USED_PROTO_NAMES))
                write_message(d, message_name(d, m, (enum json_names)names), m,
                              (enum json_names)names, use, NULL);
    }
    for (size_t i = 0; i < s->enum_count; i++)
        if (d->enum_use[i] && !s->enums[i]->is_null_value)
            write_enum_schema(d, s->enums[i]);
}
