/*
 * Protobuf's wire format, field by field: reading without copying, writing into
 * a struct buf.
 *
 * Thread: any; no state but the caller's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_WIRE_H
#define LUNA_GATEWAY_WIRE_H

#include "base/buf.h"
#include "base/str.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

#define WIRE_VARINT_MAX 10 /* bytes of the longest varint */

/* One field as read: `bits` for numbers, `bytes` for strings, messages and
 * packed lists. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t bits;
    struct str bytes;
};

/* Reads a varint at `p`; the byte behind it, or NULL when it is cut or too
 * long. */
static inline const char *
wire_varint(const char *p, const char *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && p < end; shift += 7) {
        uint8_t byte = (uint8_t)*p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return p;
        }
    }
    return NULL;
}

/* Reads the field at `p` with its tag; the byte behind it, or NULL when the
 * bytes are not a field. Groups are skipped whole and come as WIRE_GROUP
 * without contents. */
const char *wire_next(const char *p, const char *end, struct wire_field *ret);

/* The varint's length in bytes. */
static inline size_t
wire_varint_size(uint64_t v)
{
    return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

/* Writes a varint at `p`, which has room for it, and returns the byte behind.
 */
static inline char *
wire_write_varint(char *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (char)(uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (char)(uint8_t)v;
    return p;
}

static inline uint32_t
wire_tag(uint32_t number, enum wire_type type)
{
    return number << 3 | (uint32_t)type;
}

static inline uint64_t
wire_zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t
wire_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

void wire_put_varint(struct buf *b, uint64_t v);
void wire_put_bytes(struct buf *b, uint32_t number, struct str bytes);

/* Opens a length-delimited field and returns its mark; wire_close writes the
 * length in front of what was put since. Nothing may be taken out of the buffer
 * between. */
size_t wire_open(struct buf *b, uint32_t number);
void wire_close(struct buf *b, size_t mark);

#endif
