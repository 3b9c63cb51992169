/* Borrowed text: a pointer and a length, not NUL terminated. Owns nothing. */
#ifndef LUNA_BASE_STR_H
#define LUNA_BASE_STR_H

#include <string.h>

#include "base/defs.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).n, (s).p

static inline struct str
str_of(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}

static inline bool
str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case folded. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
struct str str_trim(struct str s); /* without leading and trailing spaces, tabs, CR and LF */

/* Cuts `s` at the first `c`: the part before it is returned, `*s` keeps what follows.
 * Without `c` the whole is returned and `*s` is empty with p == NULL. */
struct str str_cut(struct str *s, char c);

/* Whole-string numbers; false when anything else than a number in range stands there. Decimal, with
 * an optional sign; no spaces, no hexadecimal, no "nan" or "inf"; what is too small for a double is
 * 0. */
bool str_to_i64(struct str s, int64_t *ret);
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_f64(struct str s, double *ret);

/* Writes `n` in decimal, at most STR_I64_SIZE characters and no NUL. Returns where it ends. */
#define STR_I64_SIZE 20
char *str_write_i64(char *to, int64_t n);

/* Reads the code point at the start of `s`, which is not empty: its length in bytes (1 to 4), or
 * the negative number of bytes that one U+FFFD stands for when they are not well-formed. */
int str_utf8_next(struct str s, uint32_t *ret);

/* How many characters (code points) a well-formed text has. */
size_t str_utf8_count(struct str s);

/* True when `s` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_utf8_valid(struct str s);

/* 0 to 15, or -1 for what is no hexadecimal digit. */
int str_hex_digit(char c);

/* Compares in time that depends on `n` alone. */
bool str_equal_constant_time(const void *a, const void *b, size_t n);

#endif
