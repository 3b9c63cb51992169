/* Between gRPC core's byte buffers and protobuf-c messages in an arena. */
#include <grpc/byte_buffer.h>

#include "google/protobuf/timestamp.pb-c.h"
#include "rpc/internal.h"

#define DEPTH_MAX 32 /* of nested messages; a level takes about 1.3 KiB of the fiber's stack */

/* protobuf-c's allocator over an arena, with an end: a few bytes on the wire can ask for many. */
struct budget {
    struct arena *arena;
    size_t left;
    bool exceeded;
};

static void *
budget_alloc(void *data, size_t size)
{
    struct budget *b = data;
    if (size > b->left) {
        b->exceeded = true;
        return NULL;
    }
    b->left -= size;
    return arena_alloc(b->arena, size);
}

static void
budget_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

size_t
message_bytes(const grpc_byte_buffer *bb)
{
    return bb->data.raw.slice_buffer.length;
}

/* The bytes in one piece: those of the only slice where they are, several copied together. */
static struct str
flatten(const grpc_byte_buffer *bb, struct arena *a)
{
    const grpc_slice_buffer *sb = &bb->data.raw.slice_buffer;
    if (sb->count == 1)
        return (struct str){(const char *)GRPC_SLICE_START_PTR(sb->slices[0]), sb->length};
    char *p = arena_alloc_raw(a, sb->length);
    size_t n = 0;
    for (size_t i = 0; i < sb->count; i++) {
        memcpy(p + n, GRPC_SLICE_START_PTR(sb->slices[i]), GRPC_SLICE_LENGTH(sb->slices[i]));
        n += GRPC_SLICE_LENGTH(sb->slices[i]);
    }
    return (struct str){p, n};
}

/* ---- nesting ------------------------------------------------------------------------------- */

#define VISITED_MAX 128

static bool
reaches(const ProtobufCMessageDescriptor *from, const ProtobufCMessageDescriptor *target,
        const ProtobufCMessageDescriptor **seen, size_t *count)
{
    for (unsigned i = 0; i < from->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &from->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const ProtobufCMessageDescriptor *d = f->descriptor;
        if (d == target)
            return true;
        bool known = false;
        for (size_t k = 0; k < *count && !known; k++)
            known = seen[k] == d;
        if (known)
            continue;
        if (*count == VISITED_MAX)
            return true; /* too large to tell: treat it as recursive */
        seen[(*count)++] = d;
        if (reaches(d, target, seen, count))
            return true;
    }
    return false;
}

static bool
any_recursive(const ProtobufCMessageDescriptor *d, const ProtobufCMessageDescriptor **seen,
              size_t *count)
{
    const ProtobufCMessageDescriptor *found[VISITED_MAX];
    size_t n = 0;
    if (reaches(d, d, found, &n))
        return true;
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const ProtobufCMessageDescriptor *sub = d->fields[i].descriptor;
        bool known = false;
        for (size_t k = 0; k < *count && !known; k++)
            known = seen[k] == sub;
        if (known)
            continue;
        if (*count == VISITED_MAX)
            return true;
        seen[(*count)++] = sub;
        if (any_recursive(sub, seen, count))
            return true;
    }
    return false;
}

bool
message_is_recursive(const ProtobufCMessageDescriptor *d)
{
    const ProtobufCMessageDescriptor *seen[VISITED_MAX];
    size_t count = 0;
    return any_recursive(d, seen, &count);
}

static bool
read_varint(struct str *s, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && s->n > 0; shift += 7) {
        unsigned char b = (unsigned char)*s->p++;
        s->n--;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool
skip(struct str *s, uint64_t n)
{
    if (n > s->n)
        return false;
    s->p += n;
    s->n -= (size_t)n;
    return true;
}

/* False: nested deeper than `depth`, or not to be read at all (which unpacking will say). */
static bool
depth_fits(const ProtobufCMessageDescriptor *d, struct str s, int depth)
{
    uint64_t tag;
    uint64_t n;
    if (depth == 0)
        return false;
    while (s.n > 0 && read_varint(&s, &tag)) {
        const ProtobufCFieldDescriptor *f;
        struct str sub;
        bool ok = true;
        switch (tag & 7) {
        case 0:
            ok = read_varint(&s, &n);
            break;
        case 1:
            ok = skip(&s, 8);
            break;
        case 2:
            if (!read_varint(&s, &n) || n > s.n)
                return true;
            sub = (struct str){s.p, (size_t)n};
            (void)skip(&s, n);
            f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
            if (f && f->type == PROTOBUF_C_TYPE_MESSAGE &&
                !depth_fits(f->descriptor, sub, depth - 1))
                return false;
            break;
        case 5:
            ok = skip(&s, 4);
            break;
        default:
            return true;
        }
        if (!ok)
            return true;
    }
    return true;
}

/* ---- text ---------------------------------------------------------------------------------- */

static bool text_valid(const ProtobufCMessage *m);

static bool
element_valid(const ProtobufCFieldDescriptor *f, const void *p)
{
    const void *v = *(const void *const *)p;
    if (!v)
        return true;
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return str_utf8_valid(str_of(v));
    return text_valid(v);
}

static size_t
field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *base = (const char *)m;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(base + f->quantifier_offset);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
    return 1;
}

/* protobuf-c takes any bytes for a string; proto3 does not. */
static bool
text_valid(const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        size_t n = field_count(m, f);
        const char *p = (const char *)m + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            p = *(const char *const *)(const void *)p;
        for (size_t k = 0; k < n; k++) {
            if (!element_valid(f, p + k * sizeof(void *)))
                return false;
        }
    }
    return true;
}

/* ---- in and out ---------------------------------------------------------------------------- */

enum decode
message_unpack(const ProtobufCMessageDescriptor *d, const grpc_byte_buffer *bb, bool deep,
               size_t max_bytes, size_t budget, struct arena *a, ProtobufCMessage **ret)
{
    struct str s;
    if (bb->data.raw.compression != GRPC_COMPRESS_NONE) {
        enum decode how = message_inflate(bb, max_bytes, a, &s);
        if (how != DECODE_OK)
            return how;
    } else {
        s = flatten(bb, a);
    }
    if (s.n > max_bytes)
        return DECODE_TOO_LARGE;
    if (deep && !depth_fits(d, s, DEPTH_MAX))
        return DECODE_TOO_DEEP;
    struct budget b = {.arena = a, .left = budget};
    ProtobufCAllocator alloc = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &b};
    ProtobufCMessage *m = protobuf_c_message_unpack(d, &alloc, s.n, (const uint8_t *)s.p);
    if (!m)
        return b.exceeded ? DECODE_TOO_LARGE : DECODE_MALFORMED;
    if (!text_valid(m))
        return DECODE_NOT_UTF8;
    *ret = m;
    return DECODE_OK;
}

enum status
message_fail(struct ctx *ctx, enum decode why)
{
    switch (why) {
    case DECODE_OK:
        return OK;
    case DECODE_TOO_LARGE:
        return fail_plain(ctx, TOO_LARGE);
    case DECODE_TOO_DEEP:
        return fail(ctx, BAD_REQUEST, "the request is nested deeper than %d messages", DEPTH_MAX);
    case DECODE_NOT_UTF8:
        return fail(ctx, BAD_REQUEST, "a text in the request is not UTF-8");
    case DECODE_NONE:
        return fail(ctx, BAD_REQUEST, "the request message is missing");
    case DECODE_MALFORMED:
        break;
    }
    return fail_plain(ctx, BAD_REQUEST);
}

grpc_slice
message_pack(const ProtobufCMessage *m, size_t *ret_bytes)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    grpc_slice s = grpc_slice_malloc(n);
    *ret_bytes = protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(s));
    return s;
}

ProtobufCMessage *
rpc_message_new(struct arena *a, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = arena_alloc(a, d->sizeof_message);
    d->message_init(m);
    return m;
}

Google__Protobuf__Timestamp *
rpc_timestamp(struct arena *a, int64_t t)
{
    Google__Protobuf__Timestamp *ts =
        rpc_new(a, Google__Protobuf__Timestamp, google__protobuf__timestamp__descriptor);
    int64_t seconds = t / 1000000;
    int64_t micros = t % 1000000;
    if (micros < 0) {
        seconds--;
        micros += 1000000;
    }
    ts->seconds = seconds;
    ts->nanos = (int32_t)(micros * 1000);
    return ts;
}

size_t
rpc_item_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    }
    return 0;
}
