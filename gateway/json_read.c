/* The lexer: RFC 8259 and nothing more. */
#include "gateway/json_read.h"

#include <stdio.h>

#include "gateway/number.h"

#define EXPONENT_MAX 100000 /* beyond, a number is zero or too large anyway */
#define DIGITS_SAFE  19     /* always fit 64 bits; a 20th may */

void
json_reader_init(struct json_reader *r, const struct schema *s, struct str text,
                 struct arena *scratch, struct buf *out, struct json_error *err)
{
    if (text.n == 0)
        text = STR("");
    r->begin = text.p;
    r->p = text.p;
    r->end = text.p + text.n;
    r->out = out;
    r->schema = s;
    r->scratch = scratch;
    r->err = err;
    r->failed = false;
    r->depth = 0;
    r->any_depth = 0;
}

/* ---- failures ---- */

static void
put_path(struct buf *b, const struct json_reader *r, struct str name)
{
    for (int i = 0; i < r->depth; i++) {
        const struct json_frame *f = &r->frames[i];
        if (f->name.p)
            buf_printf(b, "%s" STR_FMT, b->len ? "." : "", STR_ARG(f->name));
        if (f->index >= 0)
            buf_printf(b, "[%lld]", (long long)f->index);
        if (f->key.p)
            buf_printf(b, "[\"" STR_FMT "\"]", STR_ARG(f->key));
    }
    if (name.p)
        buf_printf(b, "%s" STR_FMT, b->len ? "." : "", STR_ARG(name));
}

/* A copy that fits, cut at a character. */
static void
copy_cut(char *to, size_t size, const struct buf *from)
{
    size_t n = from->len < size - 1 ? from->len : size - 1;
    while (n > 0 && n < from->len && ((uint8_t)from->data[n] & 0xc0) == 0x80)
        n--;
    if (n > 0)
        memcpy(to, from->data, n);
    to[n] = 0;
}

static bool fail(struct json_reader *r, enum json_failure failure, struct str name, const char *fmt,
                 va_list ap) PRINTF(4, 0);

static bool
fail(struct json_reader *r, enum json_failure failure, struct str name, const char *fmt, va_list ap)
{
    struct buf b;
    if (r->failed)
        return false;
    r->failed = true;
    r->err->failure = failure;
    r->err->offset = (size_t)(r->p - r->begin);
    r->err->path[0] = 0;
    buf_init(&b, 64 * 1024);
    if (failure != JSON_SYNTAX)
        put_path(&b, r, name);
    copy_cut(r->err->path, sizeof(r->err->path), &b);
    buf_fini(&b);
    vsnprintf(r->err->text, sizeof(r->err->text), fmt, ap);
    return false;
}

bool
json_fail(struct json_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(r, JSON_FIELD, (struct str){0}, fmt, ap);
    va_end(ap);
    return false;
}

bool
json_fail_at(struct json_reader *r, struct str name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(r, JSON_FIELD, name, fmt, ap);
    va_end(ap);
    return false;
}

bool
json_syntax(struct json_reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail(r, JSON_SYNTAX, (struct str){0}, fmt, ap);
    va_end(ap);
    return false;
}

bool
json_enter(struct json_reader *r)
{
    if (r->depth >= JSON_DEPTH_MAX)
        return json_fail(r, "is nested deeper than %d", JSON_DEPTH_MAX);
    r->frames[r->depth++] = (struct json_frame){.index = -1};
    return true;
}

/* ---- punctuation ---- */

bool
json_expect(struct json_reader *r, char c)
{
    if (LIKELY(json_peek(r) == c && r->p < r->end)) {
        r->p++;
        return true;
    }
    return json_syntax(r, "'%c' expected", c);
}

bool
json_take(struct json_reader *r, struct str literal)
{
    json_space(r);
    if ((size_t)(r->end - r->p) < literal.n || memcmp(r->p, literal.p, literal.n) != 0)
        return false;
    r->p += literal.n;
    return true;
}

bool
json_comma(struct json_reader *r, char close, bool *ret_more)
{
    char c = json_peek(r);
    if (LIKELY(c == ',' || c == close) && r->p < r->end) {
        r->p++;
        *ret_more = c == ',';
        return true;
    }
    return json_syntax(r, "',' or '%c' expected", close);
}

bool
json_finish(struct json_reader *r)
{
    if (json_peek(r) != 0 || r->p < r->end)
        return json_syntax(r, "nothing may follow the value");
    return true;
}

/* ---- strings ---- */

static int
hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static char *
put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* The escape \uXXXX at p, behind the u, with the second half of a surrogate
 * pair. */
static const char *
unescape_unicode(const char *p, const char *end, char **to)
{
    int c = end - p >= 4 ? hex4(p) : -1;
    if (c < 0 || (c >= 0xdc00 && c < 0xe000))
        return NULL;
    p += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        int low = end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *to = put_utf8(*to, (uint32_t)c);
    return p;
}

/* The string between the quotes, which holds a backslash; `raw` ends where its
 * quote stands. */
static bool
unescape(struct json_reader *r, struct str raw, struct str *ret)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char *text = arena_alloc_raw(r->scratch, raw.n + 1);
    char *to = text;
    const char *end = raw.p + raw.n;
    for (const char *p = raw.p; p < end;) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        p++;
        if (*p == 'u') {
            p = unescape_unicode(p + 1, end, &to);
            if (!p)
                return json_syntax(r, "a \\u escape is not a character");
            continue;
        }
        const char *at = memchr(names, *p, sizeof(names) - 1);
        if (!at)
            return json_syntax(r, "an escape is not known");
        *to++ = values[at - names];
        p++;
    }
    *ret = (struct str){text, (size_t)(to - text)};
    return true;
}

/* True when one of the eight bytes is a quote, a backslash, a control or not
 * ASCII. */
static inline bool
special8(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
    return ((v | (v - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) &
            high) != 0;
}

bool
json_string(struct json_reader *r, struct str *ret)
{
    if (json_peek(r) != '"')
        return json_syntax(r, "'\"' expected");
    const char *start = ++r->p;
    const char *p = start;
    bool escaped = false, ascii = true;
    for (;; p++) {
        uint64_t eight;
        while (r->end - p >= 8) {
            memcpy(&eight, p, 8);
            if (special8(eight))
                break;
            p += 8;
        }
        if (p == r->end)
            return json_syntax(r, "a string does not end");
        if (*p == '"')
            break;
        if (*p == '\\') {
            escaped = true;
            if (++p == r->end)
                return json_syntax(r, "a string does not end");
        }
        if ((uint8_t)*p < 0x20) {
            r->p = p;
            return json_syntax(r, "a control character stands in a string");
        }
        if ((uint8_t)*p >= 0x80)
            ascii = false;
    }
    struct str raw = {start, (size_t)(p - start)};
    if (!ascii && !str_utf8_valid(raw))
        return json_syntax(r, "a string is not UTF-8");
    r->p = p + 1;
    *ret = raw;
    return !escaped || unescape(r, raw, ret);
}

bool
json_key(struct json_reader *r, struct str *ret)
{
    return json_string(r, ret) && json_expect(r, ':');
}

/* ---- numbers ---- */

static inline bool
is_digit(const char *p, const char *end)
{
    return p < end && (unsigned)(*p - '0') <= 9;
}

/* One more digit, when 64 bits hold the number with it. */
static bool
keep_digit(struct json_number *n, uint64_t digit)
{
    uint64_t v = n->digits;
    if (UNLIKELY(n->count >= DIGITS_SAFE) &&
        (n->dropped || n->count > DIGITS_SAFE || __builtin_mul_overflow(v, 10, &v) ||
         __builtin_add_overflow(v, digit, &v)))
        return false;
    n->digits = n->digits * 10 + digit;
    n->count += n->digits != 0;
    return true;
}

/* Takes digits into `n`: those behind the point make the exponent smaller,
 * those that are dropped in front of it make it larger. */
static const char *
scan_digits(const char *p, const char *end, struct json_number *n, bool fraction)
{
    for (; is_digit(p, end); p++) {
        if (LIKELY(keep_digit(n, (uint64_t)(*p - '0')))) {
            n->exponent -= fraction;
        } else {
            n->dropped = true;
            n->inexact |= *p != '0';
            n->exponent += !fraction;
        }
        if (UNLIKELY(n->exponent > EXPONENT_MAX || n->exponent < -EXPONENT_MAX))
            n->exponent = n->exponent < 0 ? -EXPONENT_MAX : EXPONENT_MAX;
    }
    return p;
}

/* The byte behind the number at p, or NULL. */
static const char *
scan_number(const char *p, const char *end, struct json_number *n)
{
    *n = (struct json_number){.p = p};
    n->negative = p < end && *p == '-';
    p += n->negative;
    if (!is_digit(p, end) || (*p == '0' && is_digit(p + 1, end)))
        return NULL;
    p = scan_digits(p, end, n, false);
    if (p < end && *p == '.') {
        if (!is_digit(++p, end))
            return NULL;
        p = scan_digits(p, end, n, true);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool down = ++p < end && *p == '-';
        int32_t exponent = 0;
        p += p < end && (*p == '-' || *p == '+');
        if (!is_digit(p, end))
            return NULL;
        for (; is_digit(p, end); p++)
            if (exponent < EXPONENT_MAX)
                exponent = exponent * 10 + (*p - '0');
        n->exponent += down ? -exponent : exponent;
    }
    n->end = p;
    return p;
}

bool
json_number(struct json_reader *r, struct json_number *ret)
{
    json_space(r);
    const char *p = scan_number(r->p, r->end, ret);
    if (!p)
        return json_syntax(r, "a number expected");
    r->p = p;
    return true;
}

bool
json_number_text(struct str text, struct json_number *ret)
{
    const char *end = text.p + text.n;
    return scan_number(text.p, end, ret) == end;
}

bool
json_number_u64(const struct json_number *n, uint64_t *ret)
{
    uint64_t v = n->digits;
    if (n->inexact)
        return false;
    if (v != 0) {
        for (int32_t e = n->exponent; e > 0; e--)
            if (__builtin_mul_overflow(v, 10, &v))
                return false;
        for (int32_t e = n->exponent; e < 0; e++) {
            if (v % 10 != 0)
                return false;
            v /= 10;
        }
    }
    if (n->negative && v != 0)
        return false;
    *ret = v;
    return true;
}

bool
json_number_i64(const struct json_number *n, int64_t *ret)
{
    struct json_number magnitude = *n;
    uint64_t v;
    magnitude.negative = false;
    if (!json_number_u64(&magnitude, &v) || v > (uint64_t)INT64_MAX + n->negative)
        return false;
    *ret = n->negative ? (int64_t)(~v + 1) : (int64_t)v;
    return true;
}

/* 10^0 to 10^22 are doubles, and so is each integer up to 2^53: their product
 * or quotient is rounded once, which is exact reading (Clinger 1990). */
static bool
exact_double(const struct json_number *n, double *ret)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n->inexact || n->digits > (uint64_t)1 << 53 || n->exponent > 22 || n->exponent < -22)
        return false;
    double v = (double)n->digits;
    v = n->exponent < 0 ? v / tens[-n->exponent] : v * tens[n->exponent];
    *ret = n->negative ? -v : v;
    return true;
}

bool
json_number_double(const struct json_number *n, double *ret)
{
    if (LIKELY(exact_double(n, ret)))
        return true;
    if (number_get_double(n->p, n->end, ret))
        return true;
    *ret = n->negative ? -0.0 : 0.0;
    return n->digits == 0 || n->count + n->exponent < 0;
}

bool
json_number_float(const struct json_number *n, float *ret)
{
    if (number_get_float(n->p, n->end, ret))
        return true;
    *ret = n->negative ? -0.0f : 0.0f;
    return n->digits == 0 || n->count + n->exponent < 0;
}

/* ---- anything ---- */

static bool
skip_list(struct json_reader *r, char close)
{
    bool more = true;
    r->p++;
    if (json_peek(r) == close && r->p < r->end) {
        r->p++;
        return true;
    }
    if (!json_enter(r))
        return false;
    while (more) {
        struct str key;
        if ((close == '}' && !json_key(r, &key)) || !json_skip(r) || !json_comma(r, close, &more))
            return false;
    }
    json_leave(r);
    return true;
}

bool
json_skip(struct json_reader *r)
{
    struct str text;
    struct json_number number;
    switch (json_peek(r)) {
    case '{':
        return skip_list(r, '}');
    case '[':
        return skip_list(r, ']');
    case '"':
        return json_string(r, &text);
    case 't':
        return json_take(r, STR("true")) || json_syntax(r, "a value expected");
    case 'f':
        return json_take(r, STR("false")) || json_syntax(r, "a value expected");
    case 'n':
        return json_take(r, STR("null")) || json_syntax(r, "a value expected");
    default:
        if (r->p < r->end && (*r->p == '-' || is_digit(r->p, r->end)))
            return json_number(r, &number);
        return json_syntax(r, "a value expected");
    }
}
