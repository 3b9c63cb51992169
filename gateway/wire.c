#include "gateway/wire.h"

#define GROUP_DEPTH_MAX 100

/* Skips what stands between a group's start and its end; the byte behind the
 * end tag. */
static const char *
skip_group(const char *p, const char *end, uint32_t number)
{
    uint32_t open[GROUP_DEPTH_MAX];
    int depth = 0;
    open[depth++] = number;
    while (depth > 0) {
        uint64_t tag, n;
        p = p ? wire_varint(p, end, &tag) : NULL;
        if (!p || tag > UINT32_MAX || tag >> 3 == 0)
            return NULL;
        switch (tag & 7) {
        case WIRE_VARINT:
            p = wire_varint(p, end, &n);
            break;
        case WIRE_FIXED64:
            p = end - p >= 8 ? p + 8 : NULL;
            break;
        case WIRE_BYTES:
            p = wire_varint(p, end, &n);
            p = p && n <= (uint64_t)(end - p) ? p + n : NULL;
            break;
        case WIRE_GROUP:
            if (depth == GROUP_DEPTH_MAX)
                return NULL;
            open[depth++] = (uint32_t)(tag >> 3);
            break;
        case WIRE_GROUP_END:
            if (open[--depth] != tag >> 3)
                return NULL;
            break;
        case WIRE_FIXED32:
            p = end - p >= 4 ? p + 4 : NULL;
            break;
        default:
            return NULL;
        }
    }
    return p;
}

const char *
wire_next(const char *p, const char *end, struct wire_field *ret)
{
    uint64_t tag;
    p = wire_varint(p, end, &tag);
    if (!p || tag > UINT32_MAX || tag >> 3 == 0)
        return NULL;
    ret->number = (uint32_t)(tag >> 3);
    ret->type = (enum wire_type)(tag & 7);
    switch (ret->type) {
    case WIRE_VARINT:
        return wire_varint(p, end, &ret->bits);
    case WIRE_FIXED64:
        if (end - p < 8)
            return NULL;
        memcpy(&ret->bits, p, 8);
        return p + 8;
    case WIRE_FIXED32: {
        uint32_t bits;
        if (end - p < 4)
            return NULL;
        memcpy(&bits, p, 4);
        ret->bits = bits;
        return p + 4;
    }
    case WIRE_BYTES: {
        uint64_t n;
        p = wire_varint(p, end, &n);
        if (!p || n > (uint64_t)(end - p))
            return NULL;
        ret->bytes = (struct str){p, (size_t)n};
        return p + n;
    }
    case WIRE_GROUP:
        return skip_group(p, end, ret->number);
    case WIRE_GROUP_END:
    default:
        return NULL;
    }
}

void
wire_put_varint(struct buf *b, uint64_t v)
{
    char *p = buf_reserve(b, WIRE_VARINT_MAX);
    if (p)
        b->len += (size_t)(wire_write_varint(p, v) - p);
}

void
wire_put_bytes(struct buf *b, uint32_t number, struct str bytes)
{
    wire_put_varint(b, wire_tag(number, WIRE_BYTES));
    wire_put_varint(b, bytes.n);
    buf_put(b, bytes.p, bytes.n);
}

size_t
wire_open(struct buf *b, uint32_t number)
{
    wire_put_varint(b, wire_tag(number, WIRE_BYTES));
    buf_putc(b, 0);
    return b->len;
}

void
wire_close(struct buf *b, size_t mark)
{
    if (b->overflow)
        return;
    size_t n = b->len - mark;
    size_t extra = wire_varint_size(n) - 1;
    if (extra > 0) {
        if (!buf_reserve(b, extra))
            return;
        memmove(b->data + mark + extra, b->data + mark, n);
        b->len += extra;
    }
    wire_write_varint(b->data + mark - 1, n);
}
