/*
 * API keys as text and as what is stored of them.
 *
 *   luna_0123456789abcdef0123456789abcdef_2wYq9K
 *   ----|--- 16 random bytes (a UUID, version 4), lower-case hex ---|-- checksum
 *
 * The checksum is the CRC-32 (ISO 3309, as zlib and PNG) of everything before the last underscore,
 * in six digits of base 62 (0-9A-Za-z, most significant first), as GitHub's tokens have it: a
 * mistyped key is refused by anybody, offline. It is not a secret and proves nothing. The bare UUID
 * form, with or without hyphens, is accepted too.
 *
 * Stored is HMAC-SHA256 of the 16 bytes under LUNA_KEY_SECRET, so that a copy of the table is worth
 * nothing without the secret.
 *
 * Thread: any, one at a time for a hasher. Suspends: never.
 */
#ifndef LUNA_QUOTA_API_KEY_H
#define LUNA_QUOTA_API_KEY_H

#include "base/defs.h"
#include "base/str.h"
#include "base/uuid.h"

#define API_KEY_TEXT         45 /* "luna_" + 32 + "_" + 6 and NUL */
#define API_KEY_HASH         32
#define API_KEY_PREFIX_SHOWN 13 /* "luna_" and 8 digits: for people to tell keys apart */
#define API_KEY_SHOWN        13 /* characters that tell keys apart: "luna_01234567" */
#define API_KEY_SECRET_LEAST 16

/* A new random key. */
void api_key_generate(struct uuid *ret);

void api_key_format(const struct uuid *key, char out[API_KEY_TEXT]);

/* False: no key, or a mistyped one. */
bool api_key_parse(struct str text, struct uuid *ret) WARN_UNUSED;

/* The keyed hash with its secret in place. */
struct api_key_hasher;

/* NULL: the secret is shorter than API_KEY_SECRET_LEAST bytes. */
struct api_key_hasher *api_key_hasher_new(struct str secret);
void api_key_hasher_free(struct api_key_hasher *h);
void api_key_hash(struct api_key_hasher *h, const struct uuid *key, uint8_t ret[API_KEY_HASH]);

#endif
