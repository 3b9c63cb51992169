/* The few compiler helpers that every file may use. */
#ifndef LUNA_BASE_DEFS_H
#define LUNA_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WARN_UNUSED       __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN          __attribute__((noreturn))
#define LIKELY(x)         __builtin_expect(!!(x), 1)
#define UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE        64

/* A field that several threads read and write. C++ (the tests) sees the plain type, which has the
 * same layout for the sizes we use, and reads it with __atomic_load_n. */
#ifdef __cplusplus
#define ATOMIC(type) type
#else
#define ATOMIC(type) _Atomic(type)
#endif

/* The struct that embeds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Kept in release builds: a broken invariant stops the process rather than the truth. */
#define ASSERT(cond)                                  \
    do {                                              \
        if (UNLIKELY(!(cond)))                        \
            assert_failed(#cond, __FILE__, __LINE__); \
    } while (0)

/* Prints the condition and its place to stderr, then aborts. */
NORETURN void assert_failed(const char *cond, const char *file, int line);

#endif
