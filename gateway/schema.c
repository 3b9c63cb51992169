/* Looking things up in a loaded schema. */
#include "gateway/schema.h"

#include <stdlib.h>

#include "gateway/schema_load.h"

void
schema_fini(struct schema *s)
{
    arena_fini(&s->arena);
    *s = (struct schema){0};
}

/* Every searched struct starts with its full name. */
static int
compare_name(const void *key, const void *element)
{
    const struct str *name = key;
    const char *const *full_name = *(const char *const *const *)element;
    int order = strncmp(name->p, *full_name, name->n);
    return order ? order : -(int)(unsigned char)(*full_name)[name->n];
}

static struct str
without_dot(struct str name)
{
    if (name.n > 0 && name.p[0] == '.')
        return (struct str){name.p + 1, name.n - 1};
    return name;
}

const struct schema_message *
schema_message_find(const struct schema *s, struct str full_name)
{
    full_name = without_dot(full_name);
    if (full_name.n == 0 || memchr(full_name.p, 0, full_name.n))
        return NULL;
    const struct schema_message **at =
        bsearch(&full_name, s->messages, s->message_count, sizeof(s->messages[0]), compare_name);
    return at ? *at : NULL;
}

const struct schema_enum *
schema_enum_find(const struct schema *s, struct str full_name)
{
    full_name = without_dot(full_name);
    if (full_name.n == 0 || memchr(full_name.p, 0, full_name.n))
        return NULL;
    const struct schema_enum **at =
        bsearch(&full_name, s->enums, s->enum_count, sizeof(s->enums[0]), compare_name);
    return at ? *at : NULL;
}

uint32_t
schema_hash(struct str name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 16777619u;
    return h ^ h >> 15;
}

const struct schema_field *
schema_field_find(const struct schema_message *m, struct str name)
{
    if (m->field_count == 0)
        return NULL;
    for (uint32_t at = schema_hash(name);; at++) {
        uint16_t slot = m->name_slots[at & m->name_mask];
        if (slot == 0)
            return NULL;
        const struct schema_field *f = &m->fields[slot - 1];
        if (str_eq(f->name, name) || str_eq(f->json_name, name))
            return f;
    }
}

const struct schema_field *
schema_field_by_number(const struct schema_message *m, uint32_t number)
{
    if (LIKELY(number < m->number_count)) {
        uint16_t slot = m->by_number[number];
        return slot ? &m->fields[slot - 1] : NULL;
    }
    for (uint32_t i = 0; i < m->field_count; i++)
        if (m->fields[i].number == number)
            return &m->fields[i];
    return NULL;
}

const struct schema_enum_value *
schema_value_find(const struct schema_enum *e, struct str name)
{
    for (size_t i = 0; i < e->value_count; i++)
        if (str_eq(str_of(e->values[i].name), name))
            return &e->values[i];
    return NULL;
}

const struct schema_enum_value *
schema_value_by_number(const struct schema_enum *e, int32_t number)
{
    if (number >= 0 && (size_t)number < e->value_count && e->values[number].number == number)
        return &e->values[number];
    for (size_t i = 0; i < e->value_count; i++)
        if (e->values[i].number == number)
            return &e->values[i];
    return NULL;
}

bool
schema_is_text(const struct schema_message *m)
{
    return m->wkt != WKT_NONE && m->wkt != WKT_ANY;
}

bool
schema_option(struct str options, uint32_t number, struct wire_field *ret)
{
    const char *p = options.n ? options.p : "";
    const char *end = p + options.n;
    bool found = false;
    struct wire_field f;
    while (p && p < end) {
        p = wire_next(p, end, &f);
        if (p && f.number == number && f.type != WIRE_GROUP) {
            *ret = f;
            found = true;
        }
    }
    return found;
}

uint64_t
schema_option_number(struct str options, uint32_t number)
{
    struct wire_field f;
    return schema_option(options, number, &f) ? f.bits : 0;
}

struct str
schema_option_bytes(struct str options, uint32_t number)
{
    struct wire_field f;
    return schema_option(options, number, &f) && f.type == WIRE_BYTES ? f.bytes : STR("");
}
