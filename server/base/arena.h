/*
 * A bump allocator. Everything a call makes lives in its arena and dies with the call.
 *
 * Memory is zeroed and aligned to 16 bytes. An arena never returns NULL: inputs are bounded before
 * anything is allocated for them, and when the machine has no memory left the process aborts.
 *
 * Thread: one at a time. Suspends: never.
 */
#ifndef LUNA_BASE_ARENA_H
#define LUNA_BASE_ARENA_H

#include <stdarg.h>

#include "base/defs.h"

struct arena_chunk;

struct arena {
    char *cur;                 /* next free byte of the current chunk */
    char *end;                 /* one past its last byte */
    struct arena_chunk *chunk; /* the current chunk; older ones hang behind it */
    size_t first_bytes;        /* size of the chunk that reset keeps */
    size_t used_bytes;         /* asked for since the last reset */
};

/* `first_bytes`: size of the first chunk, allocated at the first use. 0: 4 KiB less the malloc
 * header. */
void arena_init(struct arena *a, size_t first_bytes);

/* Frees everything; the arena may be used again. */
void arena_fini(struct arena *a);

/* Forgets everything and keeps one chunk, so that the next use allocates nothing. */
void arena_reset(struct arena *a);

/* `size` zeroed bytes; size 0 gives a valid, distinct pointer. */
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), returns_nonnull));

/* The same without zeroing, for what is written whole at once. */
void *arena_alloc_raw(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), returns_nonnull));

/* An array; aborts when n * size overflows. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((malloc, returns_nonnull));

void *arena_memdup(struct arena *a, const void *p, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3)
    __attribute__((returns_nonnull));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF(2, 0)
    __attribute__((returns_nonnull));

#define arena_new(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define arena_new_n(a, type, n) ((type *)arena_array((a), (n), sizeof(type)))

#endif
