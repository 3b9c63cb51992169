/* The second pass over a FileDescriptorSet: fields, services and methods. */
#include "gateway/schema_load.h"

#define HTTP_RULE      72295728u /* google.api.http */
#define METHOD_POLICY  50801u    /* luna.v1.method */
#define DIRECT_NUMBERS 512       /* field numbers below are found by index */

static enum wire_type
wire_of(enum schema_type type)
{
    switch (type) {
    case TYPE_DOUBLE:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return WIRE_FIXED64;
    case TYPE_FLOAT:
    case TYPE_FIXED32:
    case TYPE_SFIXED32:
        return WIRE_FIXED32;
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_MESSAGE:
        return WIRE_BYTES;
    case TYPE_GROUP:
        return WIRE_GROUP;
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_INT32:
    case TYPE_BOOL:
    case TYPE_UINT32:
    case TYPE_ENUM:
    case TYPE_SINT32:
    case TYPE_SINT64:
    default:
        return WIRE_VARINT;
    }
}

static bool
resolve_type(struct loader *l, struct schema_field *field, struct str type_name)
{
    if (field->type == TYPE_MESSAGE || field->type == TYPE_GROUP) {
        field->message = schema_message_find(l->s, type_name);
        if (!field->message)
            return schema_failed(l, "a field's message is not in the set", type_name);
        field->map = field->repeated && field->message->is_map_entry;
    } else if (field->type == TYPE_ENUM) {
        field->enumeration = schema_enum_find(l->s, type_name);
        if (!field->enumeration)
            return schema_failed(l, "a field's enum is not in the set", type_name);
    }
    return true;
}

static bool
load_field(struct loader *l, const struct file *file, struct schema_field *field,
           struct str descriptor)
{
    struct wire_field f;
    struct str name = STR(""), json_name = STR(""), type_name = STR("");
    bool packed = file->proto3;
    field->oneof = -1;
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.type == WIRE_BYTES && f.number == 1)
            name = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 10)
            json_name = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 6)
            type_name = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 8)
            field->options = f.bytes;
        else if (f.type == WIRE_VARINT && f.number == 3)
            field->number = (uint32_t)f.bits;
        else if (f.type == WIRE_VARINT && f.number == 4)
            field->repeated = f.bits == 3;
        else if (f.type == WIRE_VARINT && f.number == 5)
            field->type = (enum schema_type)f.bits;
        else if (f.type == WIRE_VARINT && f.number == 9)
            field->oneof = (int32_t)f.bits;
    }
    if (name.n == 0 || json_name.n == 0 || field->number == 0 || field->number > 536870911)
        return schema_failed(l, "a field has no name, json_name or number", name);
    if (field->type < TYPE_DOUBLE || field->type > TYPE_SINT64)
        return schema_failed(l, "a field is of no known type", name);
    if (schema_option(field->options, 2, &f))
        packed = f.bits != 0;
    field->options.p =
        arena_memdup(&l->s->arena, field->options.n ? field->options.p : "", field->options.n);
    field->name = (struct str){arena_strndup(&l->s->arena, name.p, name.n), name.n};
    field->json_name =
        (struct str){arena_strndup(&l->s->arena, json_name.p, json_name.n), json_name.n};
    field->key[JSON_NAMES_PROTO] = schema_quote(l, name, ":");
    field->key[JSON_NAMES_CAMEL] = schema_quote(l, json_name, ":");
    field->wire = wire_of(field->type);
    field->packed = field->repeated && packed && field->wire != WIRE_BYTES;
    field->presence = !field->repeated && (field->type == TYPE_MESSAGE || field->oneof >= 0 ||
                                           field->type == TYPE_GROUP || !file->proto3);
    return resolve_type(l, field, type_name);
}

static void
index_slot(struct schema_message *m, struct str name, uint32_t index)
{
    uint32_t at = schema_hash(name);
    while (m->name_slots[at & m->name_mask])
        at++;
    m->name_slots[at & m->name_mask] = (uint16_t)(index + 1);
}

static bool
index_fields(struct loader *l, struct schema_message *m)
{
    uint32_t slots = 4;
    while (slots < m->field_count * 4)
        slots *= 2;
    m->name_slots = arena_new_n(&l->s->arena, uint16_t, slots);
    m->name_mask = slots - 1;
    for (uint32_t i = 0; i < m->field_count; i++)
        if (m->fields[i].number < DIRECT_NUMBERS && m->fields[i].number >= m->number_count)
            m->number_count = m->fields[i].number + 1;
    m->by_number = arena_new_n(&l->s->arena, uint16_t, m->number_count + 1);
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        const struct schema_field *other = schema_field_find(m, f->name);
        if (!other)
            other = schema_field_find(m, f->json_name);
        if (other)
            return schema_failed(l, "two fields share a name", f->name);
        index_slot(m, f->name, i);
        if (!str_eq(f->name, f->json_name))
            index_slot(m, f->json_name, i);
        if (f->number < m->number_count)
            m->by_number[f->number] = (uint16_t)(i + 1);
    }
    return true;
}

bool
schema_load_message(struct loader *l, struct raw_message *raw)
{
    struct schema_message *m = raw->message;
    struct wire_field f;
    uint32_t n = 0;
    FOREACH_FIELD(l, f, raw->descriptor)
    {
        n += f.number == 2;
        m->oneof_count += f.number == 8;
    }
    if (n >= UINT16_MAX)
        return schema_failed(l, "a message has too many fields", str_of(m->full_name));
    struct schema_field *fields = arena_new_n(&l->s->arena, struct schema_field, n + 1);
    uint32_t i = 0;
    FOREACH_FIELD(l, f, raw->descriptor)
    {
        if (f.number != 2 || f.type != WIRE_BYTES)
            continue;
        struct place at = schema_place(&raw->place, 2, i);
        fields[i].index = i;
        fields[i].comment = schema_comment(l, raw->file, &at);
        if (!load_field(l, raw->file, &fields[i++], f.bytes))
            return false;
    }
    m->fields = fields;
    m->field_count = i;
    for (i = 0; i < m->field_count; i++)
        if (fields[i].oneof >= (int32_t)m->oneof_count)
            return schema_failed(l, "a field's oneof is not declared", str_of(m->full_name));
    if (m->is_map_entry && (n != 2 || fields[0].number != 1 || fields[1].number != 2))
        return schema_failed(l, "a map entry is not one", str_of(m->full_name));
    return index_fields(l, m);
}

static struct str
option_bytes(struct loader *l, struct str options, uint32_t number)
{
    struct str s = schema_option_bytes(options, number);
    return (struct str){arena_memdup(&l->s->arena, s.p, s.n), s.n};
}

/* The numbers of luna.v1.MethodPolicy's fields. */
enum {
    POLICY_ACCESS = 1,
    POLICY_COST = 2,
    POLICY_COST_MEASURED = 3,
    POLICY_DEADLINE = 4,
    POLICY_IDEMPOTENT = 5,
    POLICY_SCOPE = 7,
    POLICY_CACHE = 8,
    POLICY_CACHE_SCOPE = 10,
};
#define CACHE_SCOPE_PUBLIC 2

/* `options` outlive it. */
static void
read_policy(struct method_policy *p, struct str options)
{
    p->access = (unsigned)schema_option_number(options, POLICY_ACCESS);
    p->cost = (int64_t)schema_option_number(options, POLICY_COST);
    p->deadline_ms = (int64_t)schema_option_number(options, POLICY_DEADLINE);
    p->cache_seconds = (int64_t)schema_option_number(options, POLICY_CACHE);
    p->cost_measured = schema_option_number(options, POLICY_COST_MEASURED);
    p->idempotent = schema_option_number(options, POLICY_IDEMPOTENT);
    /* The code generator holds to it that only such methods are so, and a set of descriptors from
     * elsewhere is held to it here. */
    p->cache_public = p->access == ACCESS_PUBLIC &&
                      schema_option_number(options, POLICY_CACHE_SCOPE) == CACHE_SCOPE_PUBLIC;
    p->scope = schema_option_bytes(options, POLICY_SCOPE);
}

static bool
load_method(struct loader *l, struct schema_method *m, struct str descriptor)
{
    struct wire_field f;
    struct str name = STR(""), input = STR(""), output = STR(""), options = STR("");
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.type == WIRE_BYTES && f.number == 1)
            name = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 2)
            input = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 3)
            output = f.bytes;
        else if (f.type == WIRE_BYTES && f.number == 4)
            options = f.bytes;
        else if (f.type == WIRE_VARINT && f.number == 5)
            m->client_streaming = f.bits != 0;
        else if (f.type == WIRE_VARINT && f.number == 6)
            m->server_streaming = f.bits != 0;
    }
    m->name = arena_strndup(&l->s->arena, name.p, name.n);
    m->path = arena_printf(&l->s->arena, "/%s/%s", m->service->full_name, m->name);
    m->input = schema_message_find(l->s, input);
    m->output = schema_message_find(l->s, output);
    m->options = (struct str){arena_memdup(&l->s->arena, options.p, options.n), options.n};
    m->http = option_bytes(l, options, HTTP_RULE);
    read_policy(&m->policy, option_bytes(l, options, METHOD_POLICY));
    if (!m->input || !m->output)
        return schema_failed(l, "a method's message is not in the set", str_of(m->path));
    return true;
}

bool
schema_load_service(struct loader *l, const struct file *file, struct str descriptor,
                    const struct place *place, const struct schema_service **ret)
{
    struct schema_service *service = arena_new(&l->s->arena, struct schema_service);
    struct wire_field f;
    struct str name = STR("");
    service->options = STR("");
    size_t n = 0;
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number == 1 && f.type == WIRE_BYTES)
            name = f.bytes;
        else if (f.number == 3 && f.type == WIRE_BYTES)
            service->options =
                (struct str){arena_memdup(&l->s->arena, f.bytes.p, f.bytes.n), f.bytes.n};
        n += f.number == 2;
    }
    service->full_name = schema_join(l, file->package, name);
    service->comment = schema_comment(l, file, place);
    struct schema_method *methods = arena_new_n(&l->s->arena, struct schema_method, n + 1);
    FOREACH_FIELD(l, f, descriptor)
    {
        if (f.number != 2 || f.type != WIRE_BYTES)
            continue;
        struct schema_method *m = &methods[service->method_count];
        struct place at = schema_place(place, 2, (uint32_t)service->method_count++);
        m->service = service;
        m->comment = schema_comment(l, file, &at);
        if (!load_method(l, m, f.bytes))
            return false;
    }
    service->methods = methods;
    *ret = service;
    return true;
}
