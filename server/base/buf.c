#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define BUF_FIRST_BYTES 256u

void
buf_init(struct buf *b, size_t max)
{
    ASSERT(max <= PTRDIFF_MAX / 2);
    *b = (struct buf){.max = max};
}

void
buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void
buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = '\0';
}

/* What was written in pieces since `start` goes as a whole when the last of it did not fit. */
static void
buf_undo_if_cut(struct buf *b, size_t start)
{
    if (b->overflow && b->len > start) {
        b->len = start;
        b->data[start] = '\0';
    }
}

static void
buf_grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    b->data = realloc(b->data, cap);
    ASSERT(b->data != NULL);
    b->cap = cap;
}

char *
buf_reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max - b->len) {
        b->overflow = true;
        return NULL;
    }
    if (b->len + n >= b->cap)
        buf_grow(b, b->len + n + 1);
    b->data[b->len + n] = '\0';
    return b->data + b->len;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
    char *to = buf_reserve(b, n);
    if (!to || n == 0)
        return;
    memcpy(to, p, n);
    b->len += n;
}

void
buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void
buf_put_uint(struct buf *b, uint64_t v)
{
    char text[20];
    char *p = text + sizeof(text);
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(b, p, (size_t)(text + sizeof(text) - p));
}

void
buf_put_int(struct buf *b, int64_t v)
{
    size_t start = b->len;
    if (v < 0)
        buf_putc(b, '-');
    buf_put_uint(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    buf_undo_if_cut(b, start);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    if (b->overflow)
        return;
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap > b->len ? b->cap - b->len : 0;
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    ASSERT(n >= 0);
    /* Reserving may also find that it does not fit; what was tried behind `len` is taken back then.
     */
    char *to = buf_reserve(b, (size_t)n);
    if (to) {
        if ((size_t)n >= room)
            vsnprintf(to, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    } else if (room) {
        b->data[b->len] = '\0';
    }
    va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

/* The escape of one code point, or NULL for those that stand for themselves. C1 controls are
 * escaped with the others: some terminals obey them. */
static const char *
json_escape(uint32_t cp, char tmp[8])
{
    switch (cp) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (cp >= 0x20 && (cp < 0x7f || cp > 0x9f))
        return NULL;
    static const char hex[] = "0123456789abcdef";
    tmp[0] = '\\';
    tmp[1] = 'u';
    tmp[2] = '0';
    tmp[3] = '0';
    tmp[4] = hex[cp >> 4];
    tmp[5] = hex[cp & 15];
    tmp[6] = '\0';
    return tmp;
}

void
buf_put_json(struct buf *b, const char *s, size_t n)
{
    size_t start = b->len;
    size_t done = 0; /* bytes of s that have been written */
    size_t at = 0;
    buf_putc(b, '"');
    while (at < n) {
        uint32_t cp;
        char tmp[8];
        int step = str_utf8_next((struct str){s + at, n - at}, &cp);
        const char *instead = step > 0 ? json_escape(cp, tmp) : "\xef\xbf\xbd";
        size_t len = (size_t)(step > 0 ? step : -step);
        if (instead) {
            buf_put(b, s + done, at - done);
            buf_puts(b, instead);
            done = at + len;
        }
        at += len;
    }
    if (n > done)
        buf_put(b, s + done, n - done);
    buf_putc(b, '"');
    buf_undo_if_cut(b, start);
}
