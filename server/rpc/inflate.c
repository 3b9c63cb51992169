/* Compressed requests are inflated here rather than by gRPC core, which inflates without an end. */
#include <grpc/slice.h>
#include <zlib.h>

#include "rpc/internal.h"

#define INFLATE_FIRST 4096u
#define WINDOW_ANY    47 /* 15 bits, gzip or zlib by their header */

struct inflation {
    z_stream z;
    char *out;
    size_t size;
    size_t used;
};

static void *
zalloc_arena(void *a, unsigned n, unsigned size)
{
    return arena_array(a, n, size);
}

static void
zfree_arena(void *a, void *p)
{
    (void)a;
    (void)p;
}

static void
grow(struct inflation *in, struct arena *a, size_t max)
{
    size_t size = in->size * 2 < max ? in->size * 2 : max;
    char *more = arena_alloc_raw(a, size);
    memcpy(more, in->out, in->used);
    in->out = more;
    in->size = size;
}

/* Feeds one slice. The buffer is one byte larger than the limit: reaching it is too much. */
static enum decode
inflate_slice(struct inflation *in, const grpc_slice *s, size_t max, struct arena *a, int *ret_code)
{
    in->z.next_in = (Bytef *)GRPC_SLICE_START_PTR(*s);
    in->z.avail_in = (uInt)GRPC_SLICE_LENGTH(*s);
    while (in->z.avail_in > 0 && *ret_code == Z_OK) {
        if (in->used == in->size)
            grow(in, a, max + 1);
        in->z.next_out = (Bytef *)in->out + in->used;
        in->z.avail_out = (uInt)(in->size - in->used);
        *ret_code = inflate(&in->z, Z_NO_FLUSH);
        in->used = in->size - in->z.avail_out;
        if (in->used > max)
            return DECODE_TOO_LARGE;
        if (*ret_code != Z_OK && *ret_code != Z_STREAM_END)
            return DECODE_MALFORMED;
    }
    return in->z.avail_in == 0 ? DECODE_OK : DECODE_MALFORMED;
}

enum decode
message_inflate(const grpc_byte_buffer *bb, size_t max, struct arena *a, struct str *ret)
{
    const grpc_slice_buffer *sb = &bb->data.raw.slice_buffer;
    struct inflation in = {.z = {.zalloc = zalloc_arena, .zfree = zfree_arena, .opaque = a}};
    enum decode how = DECODE_OK;
    int code = inflateInit2(&in.z, WINDOW_ANY);
    if (code != Z_OK)
        return DECODE_MALFORMED;
    in.size = INFLATE_FIRST <= max ? INFLATE_FIRST : max + 1;
    in.out = arena_alloc_raw(a, in.size);
    for (size_t i = 0; i < sb->count && how == DECODE_OK; i++)
        how = inflate_slice(&in, &sb->slices[i], max, a, &code);
    if (how == DECODE_OK && code != Z_STREAM_END)
        how = DECODE_MALFORMED;
    (void)inflateEnd(&in.z);
    if (how != DECODE_OK)
        return how;
    *ret = (struct str){in.out, in.used};
    return DECODE_OK;
}
