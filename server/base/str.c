#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool
str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool
str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str
str_cut(struct str *s, char c)
{
    struct str head = *s;
    const char *at = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
    if (!at) {
        *s = (struct str){NULL, 0};
        return head;
    }
    head.n = (size_t)(at - s->p);
    s->p = at + 1;
    s->n -= head.n + 1;
    return head;
}

/* Takes a sign off `s`; true when it was a minus. */
static bool
take_minus(struct str *s)
{
    if (s->n == 0 || (s->p[0] != '-' && s->p[0] != '+'))
        return false;
    bool minus = s->p[0] == '-';
    s->p++;
    s->n--;
    return minus;
}

static bool
digits_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool
str_to_i64(struct str s, int64_t *ret)
{
    uint64_t v;
    bool minus = take_minus(&s);
    if (!digits_to_u64(s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    if (!minus)
        *ret = (int64_t)v;
    else
        *ret = v > INT64_MAX ? INT64_MIN : -(int64_t)v;
    return true;
}

bool
str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v;
    bool minus = take_minus(&s);
    if (minus || !digits_to_u64(s, &v))
        return false;
    *ret = v;
    return true;
}

static size_t
skip_digits(struct str s, size_t at)
{
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at;
}

/* [sign] digits [. digits] [e [sign] digits], with a digit before or behind the dot. */
static bool
is_decimal(struct str s)
{
    take_minus(&s);
    size_t at = skip_digits(s, 0);
    size_t digits = at;
    if (at < s.n && s.p[at] == '.') {
        size_t end = skip_digits(s, at + 1);
        digits += end - at - 1;
        at = end;
    }
    if (digits == 0)
        return false;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        at++;
        if (at < s.n && (s.p[at] == '-' || s.p[at] == '+'))
            at++;
        size_t end = skip_digits(s, at);
        if (end == at)
            return false;
        at = end;
    }
    return at == s.n;
}

bool
str_to_f64(struct str s, double *ret)
{
    if (!is_decimal(s))
        return false;
    char tmp[64];
    char *text = s.n < sizeof(tmp) ? tmp : malloc(s.n + 1);
    ASSERT(text != NULL);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    /* A program that links the client library may have set a locale with a decimal comma; asking
     * for "C" allocates nothing. */
    double v = strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    if (text != tmp)
        free(text);
    if (!isfinite(v))
        return false;
    *ret = v;
    return true;
}

static bool
is_continuation(unsigned char c)
{
    return (c & 0xc0u) == 0x80u;
}

/* How many digits `u` has: from its bits (log10 2 is about 1233 / 4096), and a look. */
static size_t
count_digits(uint64_t u)
{
    static const uint64_t powers[] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        1000000000000000000,
        10000000000000000000U,
    };
    size_t n = (size_t)(64 - __builtin_clzll(u | 1)) * 1233 >> 12;
    return n + ((u | 1) >= powers[n]);
}

char *
str_write_i64(char *to, int64_t n)
{
    static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                                   "25262728293031323334353637383940414243444546474849"
                                   "50515253545556575859606162636465666768697071727374"
                                   "75767778798081828384858687888990919293949596979899";
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    if (n < 0)
        *to++ = '-';
    char *end = to + count_digits(u);
    char *p = end;
    for (; u >= 100; u /= 100) /* two at a time: the divisions are what it costs */
        memcpy(p -= 2, &pairs[u % 100 * 2], 2);
    if (u >= 10)
        memcpy(p - 2, &pairs[u * 2], 2);
    else
        p[-1] = (char)('0' + u);
    return end;
}

int
str_utf8_next(struct str s, uint32_t *ret)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char c = p[0];
    if (c < 0x80) {
        *ret = c;
        return 1;
    }
    if (c < 0xc2 || c > 0xf4)
        return -1;
    int len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    /* The second byte's range shuts out overlong forms, surrogates and what is above U+10FFFF. */
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s.n < 2 || p[1] < low || p[1] > high)
        return -1;
    uint32_t cp = ((uint32_t)c & (0x7fu >> len)) << 6 | (p[1] & 0x3fu);
    for (int i = 2; i < len; i++) {
        if ((size_t)i >= s.n || !is_continuation(p[i]))
            return -i;
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    *ret = cp;
    return len;
}

size_t
str_utf8_count(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

bool
str_utf8_valid(struct str s)
{
    while (s.n > 0) {
        if (s.n >= 8) {
            uint64_t w;
            memcpy(&w, s.p, sizeof(w));
            if ((w & 0x8080808080808080u) == 0) {
                s.p += 8;
                s.n -= 8;
                continue;
            }
        }
        uint32_t cp;
        int len = str_utf8_next(s, &cp);
        if (len < 0)
            return false;
        s.p += len;
        s.n -= (size_t)len;
    }
    return true;
}

int
str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
str_equal_constant_time(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a;
    const volatile unsigned char *y = b;
    unsigned char differ = 0;
    for (size_t i = 0; i < n; i++)
        differ = (unsigned char)(differ | (x[i] ^ y[i]));
    return differ == 0;
}
