#include "edge/field_mask.h"

#include "base/str.h"
#include "rpc/rpc.h"

#define FIELD "update_mask"

static const struct rpc_rule *
rule_of(const struct rpc_rules *rules, size_t place)
{
    for (size_t i = 0; rules && i < rules->count; i++)
        if (rules->rows[i].field == place)
            return &rules->rows[i];
    return NULL;
}

static const void *
at(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

static void
copy(ProtobufCMessage *into, const ProtobufCMessage *from, unsigned offset, size_t size)
{
    memcpy((char *)into + offset, at(from, offset), size);
}

static void
copy_field(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *from, ProtobufCMessage *into)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        copy(into, from, f->quantifier_offset, sizeof(size_t));
        copy(into, from, f->offset, sizeof(void *));
        return;
    }
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t has, had;
        const uint32_t none = 0;
        memcpy(&has, at(from, f->quantifier_offset), sizeof(has));
        memcpy(&had, at(into, f->quantifier_offset), sizeof(had));
        if (has != f->id && had == f->id)
            memcpy((char *)into + f->quantifier_offset, &none, sizeof(none));
        if (has != f->id)
            return;
        copy(into, from, f->quantifier_offset, sizeof(has));
    }
    copy(into, from, f->offset, rpc_item_size(f->type));
}

static void
merge_all(const struct rpc_rules *rules, const ProtobufCMessage *from, ProtobufCMessage *into)
{
    const ProtobufCMessageDescriptor *d = into->descriptor;
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct rpc_rule *r = rule_of(rules, i);
        if (!r || !(r->flags & RPC_RULE_OUTPUT_ONLY))
            copy_field(&d->fields[i], from, into);
    }
}

static bool
is_message(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED &&
           !(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

/* False: the path names nothing. */
static bool
merge_path(struct arena *a, struct str path, const struct rpc_rules *rules,
           const ProtobufCMessage *from, ProtobufCMessage *into)
{
    for (;;) {
        struct str name = str_cut(&path, '.');
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(
            into->descriptor, arena_strndup(a, name.p, name.n));
        if (!f)
            return false;
        const struct rpc_rule *r = rule_of(rules, (size_t)(f - into->descriptor->fields));
        if (r && r->flags & RPC_RULE_OUTPUT_ONLY)
            return true;
        if (!path.p) {
            copy_field(f, from, into);
            return true;
        }
        if (!is_message(f))
            return false;
        ProtobufCMessage *part, *given;
        memcpy(&part, at(into, f->offset), sizeof(part));
        memcpy(&given, at(from, f->offset), sizeof(given));
        if (!part) {
            part = rpc_message_new(a, f->descriptor);
            memcpy((char *)into + f->offset, &part, sizeof(part));
        }
        from = given ? given : rpc_message_new(a, f->descriptor);
        into = part;
        rules = r ? r->nested : NULL;
    }
}

enum status
field_mask_merge(struct ctx *ctx, struct field_mask mask, const struct rpc_rules *rules,
                 const ProtobufCMessage *from, ProtobufCMessage *into)
{
    bool good = true;
    if (mask.n == 0)
        merge_all(rules, from, into);
    for (size_t i = 0; i < mask.n; i++) {
        if (str_eq(str_of(mask.paths[i]), STR("*"))) {
            merge_all(rules, from, into);
        } else if (!merge_path(ctx->arena, str_of(mask.paths[i]), rules, from, into)) {
            (void)fail_field(ctx, FIELD, "names %s, which is nothing to change", mask.paths[i]);
            good = false;
        }
    }
    return good ? OK : ctx->error.status;
}

enum status
field_mask_check(struct ctx *ctx, struct field_mask mask, const char *const *names)
{
    bool good = true;
    for (size_t i = 0; i < mask.n; i++) {
        struct str path = str_of(mask.paths[i]);
        bool known = str_eq(path, STR("*"));
        for (size_t k = 0; !known && names[k]; k++)
            known = str_eq(path, str_of(names[k]));
        if (!known)
            (void)fail_field(ctx, FIELD, "names %s, which is nothing to change", mask.paths[i]);
        good = good && known;
    }
    return good ? OK : ctx->error.status;
}

bool
field_mask_has(struct field_mask mask, const char *name)
{
    for (size_t i = 0; i < mask.n; i++)
        if (str_eq(str_of(mask.paths[i]), STR("*")) || str_eq(str_of(mask.paths[i]), str_of(name)))
            return true;
    return mask.n == 0;
}

bool
field_mask_changes(struct field_mask mask, const char *name, bool given)
{
    return mask.n == 0 ? given : field_mask_has(mask, name);
}
