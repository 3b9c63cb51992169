/*
 * A growable byte buffer that cannot be made without a maximum.
 *
 * `data` is always NUL terminated behind `len` once anything was written. The first write that does
 * not fit sets `overflow`, writes nothing, and every later write is ignored until buf_clear.
 *
 * Owns: its bytes. Thread: one at a time. Suspends: never.
 */
#ifndef LUNA_BASE_BUF_H
#define LUNA_BASE_BUF_H

#include <stdarg.h>

#include "base/defs.h"

struct buf {
    char *data;    /* NULL until the first write */
    size_t len;    /* bytes written */
    size_t cap;    /* bytes allocated, the NUL included */
    size_t max;    /* the most bytes `len` may reach */
    bool overflow; /* a write did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);

/* Room for `n` more bytes at the end, to be written by the caller and counted by adding to `len`;
 * NULL (and overflow) when it does not fit. The NUL stands behind all `n` bytes: who uses fewer
 * writes it himself. */
char *buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_put_int(struct buf *b, int64_t v);
void buf_put_uint(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);

/* `s` as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buf_put_json(struct buf *b, const char *s, size_t n);

#endif
