/* Base64 (RFC 4648): the standard alphabet out, both alphabets in. */
#include "gateway/json_read.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool
json_base64_decode(struct str text, struct buf *out)
{
    size_t n = text.n;
    while (n > 0 && text.n - n < 2 && text.p[n - 1] == '=')
        n--;
    if (n % 4 == 1 || (n < text.n && text.n % 4 != 0))
        return false;
    char *to = buf_reserve(out, n / 4 * 3 + 3);
    if (!to)
        return true; /* the buffer says so itself */
    char *start = to;
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value_of(text.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 3) {
            *to++ = (char)(bits >> 16);
            *to++ = (char)(bits >> 8);
            *to++ = (char)bits;
            bits = 0;
        }
    }
    if (n % 4 == 2) {
        *to++ = (char)(bits >> 4);
    } else if (n % 4 == 3) {
        *to++ = (char)(bits >> 10);
        *to++ = (char)(bits >> 2);
    }
    out->len += (size_t)(to - start);
    return true;
}

void
json_base64_encode(struct str bytes, struct buf *out)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    char *to = buf_reserve(out, (bytes.n + 2) / 3 * 4);
    if (!to)
        return;
    out->len += (bytes.n + 2) / 3 * 4;
    for (size_t left = bytes.n; left > 0; p += 3, to += 4) {
        uint32_t bits = (uint32_t)p[0] << 16;
        bits |= left > 1 ? (uint32_t)p[1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)p[2] : 0;
        to[0] = alphabet[bits >> 18];
        to[1] = alphabet[bits >> 12 & 63];
        to[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        to[3] = left > 2 ? alphabet[bits & 63] : '=';
        left -= left < 3 ? left : 3;
        if (left == 0)
            break;
    }
}
