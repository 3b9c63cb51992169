#include "edge/request_text.h"

#include <inttypes.h>

#include "base/str.h"
#include "rpc/rpc.h"

#define MAX_STRING 64U
#define MAX_ITEMS  4U
#define MAX_DEPTH  4

bool
request_text_is_secret(const char *field)
{
    static const struct str words[] = {{"key", 3},      {"secret", 6},        {"token", 5},
                                       {"password", 8}, {"credential", 10},   {"credentials", 11},
                                       {"passwd", 6},   {"authorization", 13}};
    struct str name = str_of(field);
    const char *last = name.n ? memrchr(name.p, '_', name.n) : NULL;
    struct str tail = name;
    if (last)
        tail = (struct str){last + 1, (size_t)(name.p + name.n - last - 1)};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(tail, words[i]))
            return true;
    return false;
}

static void put_message(struct buf *b, const ProtobufCMessage *m, int depth);

/* A cut must not split a UTF-8 sequence: buf_put_json would write a replacement character. */
static size_t
cut_at(const char *s, size_t n)
{
    if (n <= MAX_STRING)
        return n;
    n = MAX_STRING;
    while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void
put_string(struct buf *b, const char *s)
{
    size_t n = strnlen(s, MAX_STRING + 4);
    size_t cut = cut_at(s, n);
    buf_put_json(b, s, cut);
    if (cut < n)
        buf_puts(b, "...");
}

static void
put_enum(struct buf *b, const ProtobufCFieldDescriptor *f, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);
    if (v)
        buf_puts(b, v->name);
    else
        buf_printf(b, "%d", value);
}

static void
put_value(struct buf *b, const ProtobufCFieldDescriptor *f, const void *p, int depth)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_printf(b, "%" PRId32, *(const int32_t *)p);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_printf(b, "%" PRId64, *(const int64_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_printf(b, "%" PRIu32, *(const uint32_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_printf(b, "%" PRIu64, *(const uint64_t *)p);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        buf_printf(b, "%.7g", (double)*(const float *)p);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        buf_printf(b, "%.10g", *(const double *)p);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_puts(b, *(const protobuf_c_boolean *)p ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(b, f, *(const int *)p);
        break;
    case PROTOBUF_C_TYPE_STRING:
        put_string(b, *(char *const *)p);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        buf_printf(b, "<%zu bytes>", ((const ProtobufCBinaryData *)p)->len);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        buf_putc(b, '{');
        put_message(b, *(ProtobufCMessage *const *)p, depth + 1);
        buf_putc(b, '}');
        break;
    }
}

/* A singular field as proto3 has it: present when it is not the zero value, or chosen in its oneof.
 */
static bool
is_set(const ProtobufCFieldDescriptor *f, const char *base)
{
    const void *p = base + f->offset;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
    static const char zeros[8];
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)p != NULL;
    case PROTOBUF_C_TYPE_STRING:
        return *(char *const *)p && **(char *const *)p != '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)p)->len > 0;
    default:
        return memcmp(p, zeros, rpc_item_size(f->type)) != 0;
    }
}

static void
put_list(struct buf *b, const ProtobufCFieldDescriptor *f, const char *base, size_t n, int depth)
{
    const char *items = *(char *const *)(const void *)(base + f->offset);
    buf_printf(b, "[%zu:", n);
    for (size_t i = 0; i < n && i < MAX_ITEMS; i++) {
        buf_putc(b, i == 0 ? ' ' : ',');
        put_value(b, f, items + i * rpc_item_size(f->type), depth);
    }
    buf_puts(b, n > MAX_ITEMS ? ",...]" : "]");
}

static void
put_message(struct buf *b, const ProtobufCMessage *m, int depth)
{
    if (depth > MAX_DEPTH) {
        buf_puts(b, "...");
        return;
    }
    const char *base = (const char *)m;
    bool first = true;
    for (unsigned i = 0; i < m->descriptor->n_fields && !b->overflow; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        bool is_list = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = is_list ? *(const size_t *)(const void *)(base + f->quantifier_offset) : 0;
        if (is_list ? n == 0 : !is_set(f, base))
            continue;
        if (!first)
            buf_putc(b, ' ');
        first = false;
        buf_puts(b, f->name);
        buf_putc(b, ':');
        if (request_text_is_secret(f->name))
            buf_puts(b, "***");
        else if (is_list)
            put_list(b, f, base, n, depth);
        else
            put_value(b, f, base + f->offset, depth);
    }
}

void
request_text_put(struct buf *out, const ProtobufCMessage *m)
{
    struct buf b;
    buf_init(&b, REQUEST_TEXT_MAX - 3);
    put_message(&b, m, 0);
    if (b.len > 0)
        buf_put(out, b.data, b.len);
    if (b.overflow)
        buf_puts(out, "...");
    buf_fini(&b);
}
