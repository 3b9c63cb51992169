/*
 * What is kept of a call with an idempotency key, so that whoever reads the database learns neither
 * the key nor the answer (which may hold the secret of an API key):
 *
 *   hash    HMAC-SHA256(secret, 'k' | account | key)
 *   answer  nonce (12 bytes) | AES-256-GCM of the answer | tag (16 bytes), under
 *           HMAC-SHA256(secret, 'a' | account | key), bound to the request's hash
 *
 * Thread: any. Suspends: never.
 */
#ifndef LUNA_EDGE_SEAL_H
#define LUNA_EDGE_SEAL_H

#include "base/arena.h"
#include "base/str.h"

#define SEAL_HASH 32

struct seal {
    uint8_t hash[SEAL_HASH]; /* of the key: what it is looked up by */
    uint8_t cipher[SEAL_HASH];
};

/* All servers of one database share the secret. */
void seal_init(struct seal *s, struct str secret, int64_t account_id, struct str key);

/* The hash of a request: its method and its packed message. */
void seal_hash_request(struct str method, struct str message, uint8_t ret[SEAL_HASH]);

/* Both make their result in `a`. seal_open: false when it was not sealed so. */
struct str seal_close(const struct seal *s, struct arena *a, const uint8_t request[SEAL_HASH],
                      struct str plain);
bool seal_open(const struct seal *s, struct arena *a, const uint8_t request[SEAL_HASH],
               struct str sealed, struct str *ret);

#endif
