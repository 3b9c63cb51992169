#include "rpc/rules.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "rpc/rpc.h"

#define MAX_VIOLATIONS 32 /* as many as struct error keeps */

/* Where the check stands: a chain on the stack, made text only for a violation. */
struct place {
    const struct place *parent;
    const char *name;
    size_t index; /* SIZE_MAX: not in a list */
};

struct checker {
    struct ctx *ctx;
    size_t violations;
};

static void check_message(struct checker *k, const struct rpc_rules *rules,
                          const ProtobufCMessage *m, const struct place *parent);

static const char *
path_of(struct arena *a, const struct place *p)
{
    const char *front = p->parent ? path_of(a, p->parent) : "";
    const char *dot = p->parent ? "." : "";
    if (p->index == SIZE_MAX)
        return arena_printf(a, "%s%s%s", front, dot, p->name);
    return arena_printf(a, "%s%s%s[%zu]", front, dot, p->name, p->index);
}

static void PRINTF(3, 4) violate(struct checker *k, const struct place *p, const char *fmt, ...)
{
    va_list ap;
    if (k->violations++ >= MAX_VIOLATIONS)
        return;
    va_start(ap, fmt);
    const char *text = arena_vprintf(k->ctx->arena, fmt, ap);
    va_end(ap);
    (void)fail_field(k->ctx, path_of(k->ctx->arena, p), "%s", text);
}

static uint32_t
least_of(const struct rpc_rule *r)
{
    return r->min_len == 0 && (r->flags & RPC_RULE_REQUIRED) ? 1 : r->min_len;
}

/* ---- one value --------------------------------------------------------------------------------
 */

/* `what` in the plural: "1 to 100 characters", "at least 1 item" */
static void
violate_length(struct checker *k, const struct place *p, uint32_t least, uint32_t most,
               const char *what)
{
    if (most == 0)
        violate(k, p, "must have at least %u %.*s", least, (int)strlen(what) - (least == 1), what);
    else if (least == 0)
        violate(k, p, "must have at most %u %.*s", most, (int)strlen(what) - (most == 1), what);
    else
        violate(k, p, "must have %u to %u %s", least, most, what);
}

static void
check_text(struct checker *k, const struct rpc_rule *r, const struct place *p, struct str s,
           bool is_text, uint32_t least, uint32_t most)
{
    if (least > 0 || most > 0) {
        size_t n = is_text ? str_utf8_count(s) : s.n;
        if (n < least || (most > 0 && n > most)) {
            violate_length(k, p, least, most, is_text ? "characters" : "bytes");
            return;
        }
    }
    for (size_t i = 0; (r->flags & RPC_RULE_CHARSET) && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 128 || !(r->allowed[c / 32] & (1U << (c % 32)))) {
            violate(k, p, "must consist of %s", r->charset);
            return;
        }
    }
}

static void
violate_range(struct checker *k, const struct place *p, const struct rpc_rule *r)
{
    const char *zero = (r->flags & RPC_RULE_OR_ZERO) && r->min > 0 ? ", or 0" : "";
    if (!(r->flags & RPC_RULE_MAX) && r->min == 0)
        violate(k, p, "must not be negative");
    else if (!(r->flags & RPC_RULE_MAX))
        violate(k, p, "must be at least %.15g%s", r->min, zero);
    else if (!(r->flags & RPC_RULE_MIN))
        violate(k, p, "must be at most %.15g", r->max);
    else
        violate(k, p, "must be %.15g to %.15g%s", r->min, r->max, zero);
}

static void
check_number(struct checker *k, const struct rpc_rule *r, const struct place *p, double v)
{
    if ((r->flags & RPC_RULE_FINITE) && !isfinite(v)) {
        violate(k, p, "is not finite");
        return;
    }
    if (v == 0 && (r->flags & RPC_RULE_OR_ZERO))
        return;
    if (((r->flags & RPC_RULE_MIN) && !(v >= r->min)) ||
        ((r->flags & RPC_RULE_MAX) && !(v <= r->max)))
        violate_range(k, p, r);
}

/* google/protobuf/{timestamp,duration}.proto: both are int64 seconds = 1, int32 nanos = 2. */
static void
check_time(struct checker *k, const struct rpc_rule *r, const struct place *p,
           const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = m->descriptor->fields;
    const char *base = (const char *)m;
    int64_t seconds = *(const int64_t *)(const void *)(base + f[0].offset);
    int32_t nanos = *(const int32_t *)(const void *)(base + f[1].offset);
    if (r->flags & RPC_RULE_TIMESTAMP) {
        if (seconds < INT64_C(-62135596800) || seconds > INT64_C(253402300799) || nanos < 0 ||
            nanos > 999999999)
            violate(k, p, "is not a time between the years 1 and 9999");
        return;
    }
    if (seconds < -INT64_C(315576000000) || seconds > INT64_C(315576000000) || nanos < -999999999 ||
        nanos > 999999999 || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        violate(k, p, "is not a duration of at most 10 000 years");
}

static double
number_at(const ProtobufCFieldDescriptor *f, const void *v)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return *(const int32_t *)v;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return *(const uint32_t *)v;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return (double)*(const int64_t *)v;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (double)*(const uint64_t *)v;
    case PROTOBUF_C_TYPE_FLOAT:
        return (double)*(const float *)v;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)v;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)v;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return 0;
}

static struct str
text_at(const ProtobufCFieldDescriptor *f, const void *v)
{
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return str_of(*(const char *const *)v);
    const ProtobufCBinaryData *b = v;
    return (struct str){(const char *)b->data, b->len};
}

static void
check_value(struct checker *k, const struct rpc_rule *r, const ProtobufCFieldDescriptor *f,
            const void *v, const struct place *p, bool is_item)
{
    const ProtobufCMessage *m;
    struct str s;
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        s = text_at(f, v);
        if (s.n > 0 || is_item || !(r->flags & RPC_RULE_OR_ZERO))
            check_text(k, r, p, s, f->type == PROTOBUF_C_TYPE_STRING,
                       is_item ? r->item_min_len : least_of(r),
                       is_item ? r->item_max_len : r->max_len);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        m = *(const ProtobufCMessage *const *)v;
        if (m && (r->flags & (RPC_RULE_TIMESTAMP | RPC_RULE_DURATION)))
            check_time(k, r, p, m);
        else if (m && r->nested)
            check_message(k, r->nested, m, p);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        if ((r->flags & RPC_RULE_KNOWN) &&
            !protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int32_t *)v))
            violate(k, p, "is not known");
        break;
    default:
        check_number(k, r, p, number_at(f, v));
        break;
    }
}

/* ---- one field --------------------------------------------------------------------------------
 */

static bool
items_have_rules(const struct rpc_rule *r)
{
    return r->nested || r->item_min_len > 0 || r->item_max_len > 0 ||
           (r->flags & (RPC_RULE_MIN | RPC_RULE_MAX | RPC_RULE_FINITE | RPC_RULE_KNOWN |
                        RPC_RULE_CHARSET | RPC_RULE_TIMESTAMP | RPC_RULE_DURATION));
}

static void
check_list(struct checker *k, const struct rpc_rule *r, const ProtobufCFieldDescriptor *f,
           const char *base, struct place *p)
{
    const size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
    const char *items = *(const char *const *)(const void *)(base + f->offset);
    const uint32_t least = least_of(r);
    if ((n < least && !(n == 0 && (r->flags & RPC_RULE_OR_ZERO))) ||
        (r->max_len > 0 && n > r->max_len)) {
        violate_length(k, p, least, r->max_len, "items");
        return;
    }
    if (!items_have_rules(r))
        return;
    for (size_t i = 0; i < n && k->violations < MAX_VIOLATIONS; i++) {
        p->index = i;
        check_value(k, r, f, items + i * rpc_item_size(f->type), p, true);
    }
}

static bool
is_empty(const ProtobufCFieldDescriptor *f, const void *v)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)v == NULL;
    if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES)
        return text_at(f, v).n == 0;
    return number_at(f, v) == 0;
}

static void
check_field(struct checker *k, const struct rpc_rule *r, const ProtobufCMessage *m,
            const struct place *parent)
{
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[r->field];
    const char *base = (const char *)m;
    if (r->flags & RPC_RULE_OUTPUT_ONLY)
        return;
    struct place p = {parent, r->name, SIZE_MAX};
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        check_list(k, r, f, base, &p);
        return;
    }
    const bool in_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    const bool present =
        !in_oneof || *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
    if ((r->flags & RPC_RULE_REQUIRED) &&
        (!present || (!in_oneof && is_empty(f, base + f->offset)))) {
        if (present && f->type == PROTOBUF_C_TYPE_STRING && r->max_len > 0)
            violate_length(k, &p, least_of(r), r->max_len, "characters");
        else
            violate(k, &p, "is required");
        return;
    }
    if (present)
        check_value(k, r, f, base + f->offset, &p, false);
}

static void
check_message(struct checker *k, const struct rpc_rules *rules, const ProtobufCMessage *m,
              const struct place *parent)
{
    for (size_t i = 0; i < rules->count && k->violations < MAX_VIOLATIONS; i++)
        check_field(k, &rules->rows[i], m, parent);
}

enum status
rules_check(struct ctx *ctx, const struct rpc_rules *rules, const ProtobufCMessage *m)
{
    struct checker k = {.ctx = ctx};
    check_message(&k, rules, m, NULL);
    return k.violations > 0 ? ctx->error.status : OK;
}
