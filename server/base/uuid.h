/* UUIDs (RFC 9562): 16 bytes, network order. */
#ifndef LUNA_BASE_UUID_H
#define LUNA_BASE_UUID_H

#include "base/defs.h"

struct uuid {
    uint8_t bytes[16];
};

#define UUID_TEXT 37 /* "8-4-4-4-12" and NUL */

void uuid_v4(struct uuid *ret);                   /* 122 random bits from the kernel */
void uuid_v7(struct uuid *ret, int64_t unix_ms);  /* time ordered, 74 random bits */
bool uuid_parse(const char *s, struct uuid *ret); /* 32 hex digits with or without hyphens */
void uuid_format(const struct uuid *u, char out[UUID_TEXT]); /* lower case with hyphens */

/* Fills `p` from getrandom(2). */
void random_bytes(void *p, size_t n);

#endif
