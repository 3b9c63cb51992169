/*
 * Reading a FileDescriptorSet. A first pass names every message and enum; the
 * second one, in schema_fields.c, fills in fields and methods, whose types may
 * stand anywhere. Field numbers are those of google/protobuf/descriptor.proto.
 */
#include "gateway/schema_load.h"

#include <stdlib.h>

bool
schema_failed(struct loader *l, const char *what, struct str name)
{
    struct buf b;
    buf_init(&b, l->err_size ? l->err_size - 1 : 0);
    buf_printf(&b, "%s: " STR_FMT, what, STR_ARG(name));
    if (l->err_size > 0)
        l->err[0] = 0;
    if (!b.overflow && b.len < l->err_size)
        memcpy(l->err, b.data, b.len + 1);
    buf_fini(&b);
    return false;
}

/* Room for one more element of a growing array. */
static void *
grow(struct loader *l, void *old, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return old;
    *cap = *cap ? *cap * 2 : 64;
    void *new = arena_array(&l->tmp, *cap, size);
    if (n > 0)
        memcpy(new, old, n * size);
    return new;
}

static void
place_push(struct place *p, uint32_t n)
{
    if (p->n + WIRE_VARINT_MAX <= sizeof(p->bytes))
        p->n = (size_t)(wire_write_varint(p->bytes + p->n, n) - p->bytes);
}

struct place
schema_place(const struct place *parent, uint32_t kind, uint32_t index)
{
    struct place p = *parent;
    place_push(&p, kind);
    place_push(&p, index);
    return p;
}

static int
compare_comment(const void *a, const void *b)
{
    const struct comment *x = a, *y = b;
    size_t n = x->place.n < y->place.n ? x->place.n : y->place.n;
    int order = n ? memcmp(x->place.p, y->place.p, n) : 0;
    return order ? order : (x->place.n > y->place.n) - (x->place.n < y->place.n);
}

/* The comment in front of an element, one leading space of each line taken off.
 */
const char *
schema_comment(struct loader *l, const struct file *file, const struct place *place)
{
    struct comment key = {.place = {place->bytes, place->n}};
    if (file->comment_count == 0)
        return "";
    const struct comment *c =
        bsearch(&key, file->comments, file->comment_count, sizeof(key), compare_comment);
    if (!c)
        return "";
    struct str text = str_trim(c->text);
    char *out = arena_alloc(&l->s->arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (!(text.p[i] == ' ' && i > 0 && text.p[i - 1] == '\n'))
            out[n++] = text.p[i];
    return out;
}

static bool
read_comment(struct loader *l, struct str location, struct comment *ret)
{
    struct wire_field f;
    FOREACH_FIELD(l, f, location)
    {
        if (f.number == 1 && f.type == WIRE_BYTES)
            ret->place = f.bytes;
        else if (f.type == WIRE_BYTES && (f.number == 3 || (f.number == 4 && !ret->text.n)))
            ret->text = f.bytes;
    }
    return true;
}

static bool
load_comments(struct loader *l, struct file *file, struct str info)
{
    struct wire_field f;
    size_t n = 0;
    FOREACH_FIELD(l, f, info)
    n++;
    file->comments = arena_new_n(&l->tmp, struct comment, n + 1);
    FOREACH_FIELD(l, f, info)
    {
        struct comment c = {0};
        if (f.number != 1 || f.type != WIRE_BYTES)
            continue;
        if (!read_comment(l, f.bytes, &c))
            return false;
        if (c.text.n > 0)
            file->comments[file->comment_count++] = c;
    }
    qsort(file->comments, file->comment_count, sizeof(struct comment), compare_comment);
    return true;
}

const char *
schema_join(struct loader *l, struct str scope, struct str name)
{
    if (scope.n == 0)
        return arena_strndup(&l->s->arena, name.p, name.n);
    return arena_printf(&l->s->arena, STR_FMT "." STR_FMT, STR_ARG(scope), STR_ARG(name));
}

struct str
schema_quote(struct loader *l, struct str name, const char *tail)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_put_json(&b, name.p, name.n);
    buf_puts(&b, tail);
    struct str quoted = {arena_strndup(&l->s->arena, b.data, b.len), b.len};
    buf_fini(&b);
    return quoted;
}

static bool
load_enum_value(struct loader *l, struct schema_enum_value *v, struct str descriptor)
{
    struct wire_field f;
    struct str name = STR("");
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number == 1 && f.type == WIRE_BYTES)
            name = f.bytes;
        else if (f.number == 2 && f.type == WIRE_VARINT)
            v->number = (int32_t)(uint32_t)f.bits;
    }
    v->name = arena_strndup(&l->s->arena, name.p, name.n);
    v->quoted = schema_quote(l, name, "");
    return name.n > 0 || schema_failed(l, "an enum value has no name", STR(""));
}

static bool
load_enum(struct loader *l, const struct file *file, struct str scope, struct str descriptor,
          const struct place *place)
{
    struct schema_enum *e = arena_new(&l->s->arena, struct schema_enum);
    struct wire_field f;
    struct str name = STR("");
    size_t n = 0;
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number == 1 && f.type == WIRE_BYTES)
            name = f.bytes;
        n += f.number == 2;
    }
    struct schema_enum_value *values = arena_new_n(&l->s->arena, struct schema_enum_value, n + 1);
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number != 2 || f.type != WIRE_BYTES)
            continue;
        struct schema_enum_value *v = &values[e->value_count];
        struct place at = schema_place(place, 2, (uint32_t)e->value_count++);
        if (!load_enum_value(l, v, f.bytes))
            return false;
        v->comment = schema_comment(l, file, &at);
    }
    if (e->value_count == 0)
        return schema_failed(l, "an enum has no value", name);
    e->full_name = schema_join(l, scope, name);
    e->values = values;
    e->is_null_value = strcmp(e->full_name, "google.protobuf.NullValue") == 0;
    e->comment = schema_comment(l, file, place);
    l->enums = grow(l, l->enums, l->s->enum_count, &l->enums_cap, sizeof(l->enums[0]));
    l->enums[l->s->enum_count++] = e;
    return true;
}

static enum schema_wkt
wkt_of(const char *full_name)
{
    static const struct {
        const char *name;
        enum schema_wkt wkt;
    } table[] = {
        {"Any", WKT_ANY},
        {"Timestamp", WKT_TIMESTAMP},
        {"Duration", WKT_DURATION},
        {"FieldMask", WKT_FIELD_MASK},
        {"Struct", WKT_STRUCT},
        {"Value", WKT_VALUE},
        {"ListValue", WKT_LIST_VALUE},
        {"DoubleValue", WKT_WRAPPER},
        {"FloatValue", WKT_WRAPPER},
        {"Int64Value", WKT_WRAPPER},
        {"UInt64Value", WKT_WRAPPER},
        {"Int32Value", WKT_WRAPPER},
        {"UInt32Value", WKT_WRAPPER},
        {"BoolValue", WKT_WRAPPER},
        {"StringValue", WKT_WRAPPER},
        {"BytesValue", WKT_WRAPPER},
    };
    static const char package[] = "google.protobuf.";
    if (strncmp(full_name, package, sizeof(package) - 1) != 0)
        return WKT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(full_name + sizeof(package) - 1, table[i].name) == 0)
            return table[i].wkt;
    return WKT_NONE;
}

/* Names a message and what is declared inside it. */
static bool
name_message(struct loader *l, const struct file *file, struct str scope, struct str descriptor,
             const struct place *place, int depth)
{
    struct wire_field f;
    struct str name = STR("");
    if (depth > NEST_MAX)
        return schema_failed(l, "messages are nested too deep", scope);
    l->messages =
        grow(l, l->messages, l->s->message_count, &l->messages_cap, sizeof(l->messages[0]));
    FOREACH_FIELD(l, f, descriptor)
    if (f.number == 1 && f.type == WIRE_BYTES)
        name = f.bytes;
    struct schema_message *m = arena_new(&l->s->arena, struct schema_message);
    m->full_name = schema_join(l, scope, name);
    m->wkt = wkt_of(m->full_name);
    m->comment = schema_comment(l, file, place);
    l->messages[l->s->message_count++] = (struct raw_message){m, descriptor, *place, file};
    uint32_t nested = 0, enums = 0;
    struct str inner = str_of(m->full_name);
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == 3) {
            struct place at = schema_place(place, 3, nested++);
            if (!name_message(l, file, inner, f.bytes, &at, depth + 1))
                return false;
        } else if (f.number == 4) {
            struct place at = schema_place(place, 4, enums++);
            if (!load_enum(l, file, inner, f.bytes, &at))
                return false;
        } else if (f.number == 7) {
            m->is_map_entry = schema_option_number(f.bytes, 7);
        }
    }
    return true;
}

static bool
name_file(struct loader *l, struct file *file, struct str descriptor)
{
    struct wire_field f;
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == 2)
            file->package = f.bytes;
        else if (f.number == 12)
            file->proto3 = str_eq(f.bytes, STR("proto3"));
        else if (f.number == 9 && !load_comments(l, file, f.bytes))
            return false;
    }
    uint32_t messages = 0, enums = 0;
    struct place top = {.n = 0};
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number == 4 && f.type == WIRE_BYTES) {
            struct place at = schema_place(&top, 4, messages++);
            if (!name_message(l, file, file->package, f.bytes, &at, 0))
                return false;
        } else if (f.number == 5 && f.type == WIRE_BYTES) {
            struct place at = schema_place(&top, 5, enums++);
            if (!load_enum(l, file, file->package, f.bytes, &at))
                return false;
        }
    }
    return true;
}

static int
compare_named(const void *a, const void *b)
{
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

/* Sorted and without twins, so that names can be searched. */
static bool
sort_names(struct loader *l)
{
    struct schema *s = l->s;
    s->messages = arena_new_n(&s->arena, const struct schema_message *, s->message_count + 1);
    for (size_t i = 0; i < s->message_count; i++)
        s->messages[i] = l->messages[i].message;
    qsort(s->messages, s->message_count, sizeof(s->messages[0]), compare_named);
    s->enums = (const struct schema_enum **)arena_memdup(&s->arena, l->enums,
                                                         s->enum_count * sizeof(l->enums[0]));
    qsort(s->enums, s->enum_count, sizeof(s->enums[0]), compare_named);
    for (size_t i = 1; i < s->message_count; i++)
        if (strcmp(s->messages[i - 1]->full_name, s->messages[i]->full_name) == 0)
            return schema_failed(l, "a message is there twice", str_of(s->messages[i]->full_name));
    return true;
}

static bool
load_services(struct loader *l, const struct file *file, struct str descriptor)
{
    struct wire_field f;
    struct place top = {.n = 0};
    uint32_t n = 0;
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number != 6 || f.type != WIRE_BYTES)
            continue;
        struct place at = schema_place(&top, 6, n++);
        l->services =
            grow(l, l->services, l->s->service_count, &l->services_cap, sizeof(l->services[0]));
        if (!schema_load_service(l, file, f.bytes, &at, &l->services[l->s->service_count++]))
            return false;
    }
    return true;
}

static bool
load_set(struct loader *l, struct str set)
{
    struct wire_field f;
    struct schema *s = l->s;
    size_t n = 0;
    FOREACH_FIELD(l, f, set)
    n++;
    struct file *files = arena_new_n(&l->tmp, struct file, n + 1);
    n = 0;
    FOREACH_FIELD(l, f, set)
    if (f.number == 1 && f.type == WIRE_BYTES && !name_file(l, &files[n++], f.bytes))
        return false;
    if (!sort_names(l))
        return false;
    for (size_t i = 0; i < s->message_count; i++)
        if (!schema_load_message(l, &l->messages[i]))
            return false;
    n = 0;
    FOREACH_FIELD(l, f, set)
    if (f.number == 1 && f.type == WIRE_BYTES && !load_services(l, &files[n++], f.bytes))
        return false;
    s->services = arena_new_n(&s->arena, const struct schema_service *, s->service_count + 1);
    for (size_t i = 0; i < s->service_count; i++)
        s->services[i] = l->services[i];
    return true;
}

bool
schema_load(struct schema *s, struct str set, char *err, size_t err_size)
{
    *s = (struct schema){0};
    arena_init(&s->arena, 0);
    struct loader l = {.s = s, .err = err, .err_size = err_size};
    arena_init(&l.tmp, 0);
    bool loaded = load_set(&l, set);
    arena_fini(&l.tmp);
    if (!loaded)
        schema_fini(s);
    return loaded;
}
