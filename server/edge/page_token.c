#include "edge/page_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define VERSION   1
#define MAC_BYTES 16U

static struct str secret;

void
page_token_init(struct str s)
{
    secret = s;
}

/* The lengths are part of what is signed: no two (binding, cursor) look alike. */
static void
sign(struct arena *a, struct str binding, struct str cursor, uint8_t mac[32])
{
    uint64_t n = binding.n;
    size_t size = 1 + sizeof(n) + binding.n + cursor.n;
    char *text = arena_alloc_raw(a, size);
    text[0] = VERSION;
    memcpy(text + 1, &n, sizeof(n));
    if (binding.n > 0)
        memcpy(text + 1 + sizeof(n), binding.p, binding.n);
    if (cursor.n > 0)
        memcpy(text + 1 + sizeof(n) + binding.n, cursor.p, cursor.n);
    unsigned len = 32;
    ASSERT(secret.n > 0);
    ASSERT(
        HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)text, size, mac, &len));
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static const char *
encode(struct arena *a, const uint8_t *p, size_t n)
{
    char *out = arena_alloc_raw(a, n / 3 * 4 + 5);
    char *to = out;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        have += 8;
        while (have >= 6) {
            have -= 6;
            *to++ = digits[bits >> have & 63];
        }
    }
    if (have > 0)
        *to++ = digits[bits << (6 - have) & 63];
    *to = '\0';
    return out;
}

/* False: not base64url as encode() writes it, or longer than `size`. */
static bool
decode(struct str s, uint8_t *out, size_t size, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *d = s.p[i] ? strchr(digits, s.p[i]) : NULL;
        if (!d)
            return false;
        bits = bits << 6 | (uint32_t)(d - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n == size)
                return false;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    *ret_n = n;
    return have < 6 && (bits & ((1U << have) - 1)) == 0;
}

const char *
page_token_make(struct arena *a, struct str binding, struct str cursor)
{
    uint8_t bytes[1 + PAGE_TOKEN_MAX_CURSOR + MAC_BYTES];
    uint8_t mac[32];
    ASSERT(cursor.n <= PAGE_TOKEN_MAX_CURSOR);
    sign(a, binding, cursor, mac);
    bytes[0] = VERSION;
    if (cursor.n > 0)
        memcpy(bytes + 1, cursor.p, cursor.n);
    memcpy(bytes + 1 + cursor.n, mac, MAC_BYTES);
    return encode(a, bytes, 1 + cursor.n + MAC_BYTES);
}

bool
page_token_read(struct arena *a, struct str token, struct str binding, struct str *ret_cursor)
{
    uint8_t bytes[1 + PAGE_TOKEN_MAX_CURSOR + MAC_BYTES];
    uint8_t mac[32];
    size_t n;
    if (!decode(token, bytes, sizeof(bytes), &n) || n < 1 + MAC_BYTES || bytes[0] != VERSION)
        return false;
    struct str cursor = {(const char *)bytes + 1, n - 1 - MAC_BYTES};
    sign(a, binding, cursor, mac);
    if (!str_equal_constant_time(mac, bytes + n - MAC_BYTES, MAC_BYTES))
        return false;
    *ret_cursor = (struct str){arena_memdup(a, cursor.p, cursor.n), cursor.n};
    return true;
}

enum status
page_token_read_id(struct ctx *ctx, const char *token, struct str binding, int64_t *ret_after)
{
    struct str cursor;
    int64_t after = 0;
    if (*token && !(page_token_read(ctx->arena, str_of(token), binding, &cursor) &&
                    str_to_i64(cursor, &after)))
        return fail_field(ctx, "page_token", "is not one of this list's");
    *ret_after = after;
    return OK;
}

const char *
page_token_make_id(struct arena *a, struct str binding, int64_t last)
{
    return page_token_make(a, binding, str_of(arena_printf(a, "%lld", (long long)last)));
}

enum status
page_size_read(struct ctx *ctx, int32_t page_size, int32_t normal, int32_t most, int32_t *ret)
{
    if (page_size < 0)
        return fail_field(ctx, "page_size", "must not be negative");
    *ret = page_size == 0 ? normal : page_size > most ? most : page_size;
    return OK;
}
