#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

/* A write of PIPE_BUF bytes or less is never mixed with another: no lock is needed. */
#define LOG_MAX_LINE   PIPE_BUF
#define LOG_USUAL_LINE 1000
#define LOG_MAX_EVENT  256
#define LOG_MAX_VALUE  1024
#define LOG_TAIL       64 /* kept free for what closes a line */

static atomic_int log_level = LOG_INFO;
static atomic_int log_form = LOG_TEXT;
static atomic_uint_fast64_t log_lost;
static atomic_bool log_cut; /* the last line was not written whole: a disk was full */

static const char *const level_names[] = {
    [LOG_DEBUG] = "DEBUG",     [LOG_INFO] = "INFO",   [LOG_NOTICE] = "NOTICE",
    [LOG_WARNING] = "WARNING", [LOG_ERROR] = "ERROR", [LOG_CRITICAL] = "CRITICAL",
};

void
log_init(enum log_level level, enum log_format format)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_form, (int)format);
}

bool
log_level_parse(const char *s, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_ieq(str_of(s), str_of(level_names[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool
log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

uint64_t
log_dropped(void)
{
    return atomic_load_explicit(&log_lost, memory_order_relaxed);
}

/* The wall time with all six digits, so that lines sort as text. */
static void
put_time(struct buf *b)
{
    usec_t now = clock_wall_us();
    usec_t us = now % 1000000;
    char text[CLOCK_TEXT];
    clock_format(now - us, text);
    buf_put(b, text, strlen(text) - 1);
    char fraction[] = ".000000Z";
    for (int i = 6; i > 0; i--, us /= 10)
        fraction[i] = (char)('0' + us % 10);
    buf_put(b, fraction, sizeof(fraction) - 1);
}

/* A value may stand in text without quotes when a reader cannot take it for anything else. */
static bool
is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return s.n > 0;
}

/* At most `max` bytes of `s`, not cutting a character in two. */
static struct str
shortened(struct str s, size_t max)
{
    if (s.n > max) {
        s.n = max;
        while (s.n > max - 3 && ((unsigned char)s.p[s.n] & 0xc0u) == 0x80u)
            s.n--;
    }
    return s;
}

static void
put_text(struct buf *b, struct str s, enum log_format format)
{
    struct str cut = shortened(s, LOG_MAX_VALUE);
    if (format == LOG_TEXT && cut.n == s.n && is_plain(s)) {
        buf_put(b, s.p, s.n);
        return;
    }
    buf_put_json(b, cut.p, cut.n);
    if (cut.n < s.n && !b->overflow) {
        b->len--; /* the closing quote */
        buf_puts(b, "...\"");
    }
}

static void
put_f64(struct buf *b, double v, enum log_format format)
{
    char text[32];
    if (!isfinite(v)) {
        const char *name = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
        put_text(b, str_of(name), format);
        return;
    }
    double back = 0;
    snprintf(text, sizeof(text), "%.15g", v);
    if (!str_to_f64(str_of(text), &back) || back < v || back > v)
        snprintf(text, sizeof(text), "%.17g", v);
    buf_puts(b, text);
}

/* `v` / 10^decimals, without zeros at the end. */
static void
put_fixed(struct buf *b, uint64_t v, unsigned decimals)
{
    char text[32];
    char *p = text + sizeof(text);
    bool shown = false; /* a digit behind the point, and so the point */
    for (unsigned i = 0; i < decimals; i++, v /= 10) {
        shown = shown || v % 10 != 0;
        if (shown)
            *--p = (char)('0' + v % 10);
    }
    if (shown)
        *--p = '.';
    buf_put_uint(b, v);
    buf_put(b, p, (size_t)(text + sizeof(text) - p));
}

/* Text has the unit that reads best and three decimals, JSON has seconds. */
static void
put_duration(struct buf *b, nsec_t d, enum log_format format)
{
    uint64_t ns = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
    if (d < 0)
        buf_putc(b, '-');
    if (format == LOG_JSON) {
        put_fixed(b, ns, 9);
    } else if (ns < (uint64_t)MSEC(1)) {
        put_fixed(b, ns, 3);
        buf_puts(b, "us");
    } else if (ns < (uint64_t)SEC(1)) {
        put_fixed(b, (ns + 500) / 1000, 3);
        buf_puts(b, "ms");
    } else {
        put_fixed(b, (ns + 500000) / 1000000, 3);
        buf_puts(b, "s");
    }
}

static void
put_value(struct buf *b, const struct log_kv *kv, enum log_format format)
{
    switch (kv->kind) {
    case LOG_KV_STR:
        put_text(b, kv->s, format);
        break;
    case LOG_KV_INT:
        buf_put_int(b, kv->i);
        break;
    case LOG_KV_UINT:
        buf_put_uint(b, kv->u);
        break;
    case LOG_KV_F64:
        put_f64(b, kv->f, format);
        break;
    case LOG_KV_DURATION:
        put_duration(b, kv->i, format);
        break;
    case LOG_KV_SECRET:
        put_text(b, STR("***"), format);
        break;
    }
}

static void
put_head(struct buf *b, enum log_level level, const char *what, enum log_format format)
{
    struct str event = shortened(str_of(what), LOG_MAX_EVENT);
    if (format == LOG_JSON) {
        buf_puts(b, "{\"time\":\"");
        put_time(b);
        buf_puts(b, "\",\"level\":\"");
        buf_puts(b, level_names[level]);
        buf_puts(b, "\",\"event\":");
        buf_put_json(b, event.p, event.n);
        return;
    }
    put_time(b);
    buf_putc(b, ' ');
    buf_puts(b, level_names[level]);
    buf_putc(b, ' ');
    /* Written as a JSON string without its quotes: a phrase reads as it is, a newline cannot split
     * the line. */
    size_t start = b->len;
    buf_put_json(b, event.p, event.n);
    memmove(b->data + start, b->data + start + 1, b->len - start - 1);
    b->len -= 2;
}

/* One pair, or nothing and false when the line has no room for it. */
static bool
put_pair(struct buf *b, const struct log_kv *kv, enum log_format format)
{
    size_t start = b->len;
    if (format == LOG_JSON) {
        buf_putc(b, ',');
        buf_put_json(b, kv->key, strlen(kv->key));
        buf_putc(b, ':');
    } else {
        buf_putc(b, ' ');
        buf_puts(b, kv->key);
        buf_putc(b, '=');
    }
    put_value(b, kv, format);
    if (!b->overflow && b->len + LOG_TAIL <= b->max)
        return true;
    b->len = start;
    b->overflow = false;
    return false;
}

/* A reader that has stopped must not stop the server: a line that would have to wait is dropped. */
static bool
write_line(const char *p, size_t n)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
        return false;
    struct iovec parts[] = {{.iov_base = (char *)"\n", .iov_len = 1},
                            {.iov_base = (char *)(uintptr_t)p, .iov_len = n}};
    bool after_cut = atomic_exchange_explicit(&log_cut, false, memory_order_relaxed);
    ssize_t whole = (ssize_t)n + after_cut;
    ssize_t written;
    do
        written = writev(STDERR_FILENO, &parts[!after_cut], 1 + after_cut);
    while (written < 0 && errno == EINTR);
    if (after_cut ? written != whole : written > 0 && written < whole)
        atomic_store_explicit(&log_cut, true, memory_order_relaxed);
    return written == whole;
}

void
log_write(enum log_level level, const char *what, const struct log_kv *kv, size_t n)
{
    int saved = errno;
    enum log_format format = (enum log_format)atomic_load_explicit(&log_form, memory_order_relaxed);
    struct buf b;
    buf_init(&b, LOG_MAX_LINE);
    buf_reserve(&b, LOG_USUAL_LINE);
    put_head(&b, level, what, format);
    bool whole = true;
    for (size_t i = 0; i < n; i++)
        whole = put_pair(&b, &kv[i], format) && whole;
    if (!whole)
        buf_puts(&b, format == LOG_JSON ? ",\"truncated\":true" : " truncated=true");
    buf_puts(&b, format == LOG_JSON ? "}\n" : "\n");
    if (!write_line(b.data, b.len))
        atomic_fetch_add_explicit(&log_lost, 1, memory_order_relaxed);
    buf_fini(&b);
    errno = saved;
}
