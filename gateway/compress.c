#include "gateway/compress.h"

#include <brotli/encode.h>
#include <limits.h>
#include <zlib.h>

#include "gateway/accept.h"

#define GZIP_WRAPPER 16 /* zlib's window bits + 16: gzip */
#define GZIP_LEVEL   1
/* Made while the caller waits: 3 is as fast as gzip's level 1 and packs JSON a tenth smaller. */
#define BROTLI_QUALITY 3
#define BROTLI_WINDOW  18
#define UNPACK_STEP    (16 << 10)

/* What the header gives gzip and brotli. */
static void
read_weights(struct str value, float *gzip, float *brotli)
{
    float any = 0;
    *gzip = *brotli = -1;
    while (value.p && value.n > 0) {
        struct str one = str_cut(&value, ',');
        struct str name = str_trim(str_cut(&one, ';'));
        float weight = accept_weight(one);
        if (str_ieq(name, STR("gzip")) || str_ieq(name, STR("x-gzip")))
            *gzip = weight;
        else if (str_ieq(name, STR("br")))
            *brotli = weight;
        else if (str_eq(name, STR("*")))
            any = weight;
    }
    *gzip = *gzip < 0 ? any : *gzip;
    *brotli = *brotli < 0 ? any : *brotli;
}

enum coding
coding_accepted(struct str value)
{
    float gzip, brotli;
    read_weights(value, &gzip, &brotli);
    if (brotli > 0 && brotli >= gzip)
        return CODING_BROTLI;
    return gzip > 0 ? CODING_GZIP : CODING_NONE;
}

bool
coding_takes_gzip(struct str value)
{
    float gzip, brotli;
    read_weights(value, &gzip, &brotli);
    return gzip > 0;
}

const char *
coding_name(enum coding c)
{
    return c == CODING_GZIP ? "gzip" : c == CODING_BROTLI ? "br" : NULL;
}

static bool
pack_gzip(struct str from, struct buf *to)
{
    z_stream z = {0};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + GZIP_WRAPPER, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, (uLong)from.n);
    buf_init(to, bound);
    z.next_in = (Bytef *)(uintptr_t)from.p;
    z.avail_in = (uInt)from.n;
    z.next_out = (Bytef *)buf_reserve(to, bound);
    z.avail_out = (uInt)bound;
    bool packed = deflate(&z, Z_FINISH) == Z_STREAM_END;
    to->len = z.total_out;
    deflateEnd(&z);
    return packed;
}

static bool
pack_brotli(struct str from, struct buf *to)
{
    size_t n = BrotliEncoderMaxCompressedSize(from.n);
    if (n == 0)
        return false;
    buf_init(to, n);
    uint8_t *out = (uint8_t *)buf_reserve(to, n);
    bool packed = BrotliEncoderCompress(BROTLI_QUALITY, BROTLI_WINDOW, BROTLI_MODE_TEXT, from.n,
                                        (const uint8_t *)from.p, &n, out) == BROTLI_TRUE;
    to->len = packed ? n : 0;
    return packed;
}

bool
coding_pack(enum coding c, struct str from, struct buf *to)
{
    struct buf packed;
    buf_init(&packed, 0);
    bool done = c == CODING_GZIP     ? pack_gzip(from, &packed)
                : c == CODING_BROTLI ? pack_brotli(from, &packed)
                                     : false;
    if (!done || packed.len >= from.n) {
        buf_fini(&packed);
        return false;
    }
    *to = packed;
    return true;
}

enum coding_result
coding_unpack_gzip(struct str from, size_t max, struct buf *to)
{
    z_stream z = {0};
    int state = Z_OK;
    buf_init(to, max + UNPACK_STEP);
    if (from.n > UINT_MAX || inflateInit2(&z, 15 + GZIP_WRAPPER) != Z_OK)
        return CODING_TOO_LARGE;
    z.next_in = (Bytef *)(uintptr_t)from.p;
    z.avail_in = (uInt)from.n;
    /* In steps, so that what a bomb takes is bounded by the limit and not by what it says. */
    while (state == Z_OK && to->len <= max) {
        z.next_out = (Bytef *)buf_reserve(to, UNPACK_STEP);
        z.avail_out = UNPACK_STEP;
        state = inflate(&z, Z_NO_FLUSH);
        to->len += UNPACK_STEP - z.avail_out;
        if (state == Z_OK && z.avail_in == 0 && z.avail_out > 0)
            state = Z_BUF_ERROR; /* cut */
    }
    bool whole = state == Z_STREAM_END && z.avail_in == 0;
    inflateEnd(&z);
    return to->len > max ? CODING_TOO_LARGE : whole ? CODING_OK : CODING_BROKEN;
}
