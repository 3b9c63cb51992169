#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(p, n)   __asan_poison_memory_region((p), (n))
#define ARENA_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#define ARENA_REDZONE        16u /* poisoned bytes behind each allocation */
#else
#define ARENA_POISON(p, n)   ((void)(p), (void)(n))
#define ARENA_UNPOISON(p, n) ((void)(p), (void)(n))
#define ARENA_REDZONE        0u
#endif

#define ARENA_ALIGN         16u
#define ARENA_DEFAULT_BYTES 4080u           /* with malloc's header: one page */
#define ARENA_MAX_CHUNK     (1024u * 1024u) /* chunks double up to here */
#define ARENA_PRINTF_STACK  256

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t size;              /* of the whole chunk, this header included */
    bool first;               /* kept by arena_reset */
    alignas(ARENA_ALIGN) char data[];
};

static size_t
arena_round(size_t size)
{
    size_t n = size ? size : 1;
    return ((n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1)) + ARENA_REDZONE;
}

static struct arena_chunk *
arena_chunk_new(size_t size)
{
    struct arena_chunk *c = malloc(size);
    ASSERT(c != NULL);
    c->next = NULL;
    c->size = size;
    c->first = false;
    ARENA_POISON(c->data, size - sizeof(*c));
    return c;
}

static void
arena_use_chunk(struct arena *a, struct arena_chunk *c)
{
    a->chunk = c;
    a->cur = c->data;
    a->end = (char *)c + c->size;
}

void
arena_init(struct arena *a, size_t first_bytes)
{
    size_t least = sizeof(struct arena_chunk) + 4 * ARENA_ALIGN;
    *a = (struct arena){.first_bytes = first_bytes ? first_bytes : ARENA_DEFAULT_BYTES};
    if (a->first_bytes < least)
        a->first_bytes = least;
}

void
arena_fini(struct arena *a)
{
    struct arena_chunk *next;
    for (struct arena_chunk *c = a->chunk; c; c = next) {
        next = c->next;
        free(c);
    }
    arena_init(a, a->first_bytes);
}

void
arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    struct arena_chunk *next;
    for (struct arena_chunk *c = a->chunk; c; c = next) {
        next = c->next;
        if (c->first)
            kept = c;
        else
            free(c);
    }
    a->used_bytes = 0;
    if (!kept)
        return;
    kept->next = NULL;
    arena_use_chunk(a, kept);
    ARENA_POISON(a->cur, (size_t)(a->end - a->cur));
}

/* Bytes of the current chunk get lost when it is left; so what would take more than a quarter of
 * the next one gets a chunk of its own, behind the current one. */
static void *
arena_alloc_slow(struct arena *a, size_t need)
{
    if (!a->chunk) {
        struct arena_chunk *first = arena_chunk_new(a->first_bytes);
        first->first = true;
        arena_use_chunk(a, first);
        if (need <= (size_t)(a->end - a->cur)) {
            void *p = a->cur;
            a->cur += need;
            return p;
        }
    }
    size_t size = a->chunk->size < ARENA_MAX_CHUNK / 2 ? a->chunk->size * 2 : ARENA_MAX_CHUNK;
    if (need > size / 4) {
        struct arena_chunk *own = arena_chunk_new(sizeof(*own) + need);
        own->next = a->chunk->next;
        a->chunk->next = own;
        return own->data;
    }
    struct arena_chunk *c = arena_chunk_new(size);
    c->next = a->chunk;
    arena_use_chunk(a, c);
    a->cur += need;
    return c->data;
}

void *
arena_alloc_raw(struct arena *a, size_t size)
{
    ASSERT(size <= PTRDIFF_MAX / 2);
    size_t need = arena_round(size);
    void *p;
    if (LIKELY(need <= (size_t)(a->end - a->cur))) {
        p = a->cur;
        a->cur += need;
    } else {
        p = arena_alloc_slow(a, need);
    }
    a->used_bytes += size;
    ARENA_UNPOISON(p, size);
    return p;
}

void *
arena_alloc(struct arena *a, size_t size)
{
    return memset(arena_alloc_raw(a, size), 0, size);
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    ASSERT(!__builtin_mul_overflow(n, size, &bytes));
    return arena_alloc(a, bytes);
}

void *
arena_memdup(struct arena *a, const void *p, size_t size)
{
    void *copy = arena_alloc_raw(a, size);
    if (size > 0)
        memcpy(copy, p, size);
    return copy;
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
    size_t len = n > 0 ? strnlen(s, n) : 0;
    char *copy = arena_alloc_raw(a, len + 1);
    if (len > 0)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return arena_memdup(a, s, strlen(s) + 1);
}

char *
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char tmp[ARENA_PRINTF_STACK];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
    ASSERT(n >= 0);
    size_t size = (size_t)n + 1;
    char *out = arena_alloc_raw(a, size);
    if (size <= sizeof(tmp))
        memcpy(out, tmp, size);
    else
        vsnprintf(out, size, fmt, again);
    va_end(again);
    return out;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
