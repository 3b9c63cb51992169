/*
 * The interceptor that finds out who is calling and whether he may.
 *
 *   authorization: Bearer <key>     or     x-api-key: <key>
 *
 * Credentials are looked at for every method that is not ACCESS_PUBLIC. A caller without them is
 * the anonymous account when there is one. Then the role must reach the method's access, and a key
 * that is restricted to scopes must hold the method's scope.
 *
 * Wrong keys are counted by address: above the limit only keys that are known in memory are
 * accepted from there, and everything else is refused without asking the database.
 */
#ifndef LUNA_EDGE_AUTH_H
#define LUNA_EDGE_AUTH_H

#include "edge/address.h"
#include "rpc/rpc.h"

/* Who holds `token`. `may_look_up` false: answer from memory, RATE_LIMITED when it is not there.
 * Fails: BAD_CREDENTIALS, EXPIRED_CREDENTIALS, RATE_LIMITED, what the store says. Suspends: may. */
typedef enum status (*auth_token_fn)(struct ctx *ctx, struct str token, bool may_look_up,
                                     struct identity *ret);

/* Who callers without credentials are. Suspends: may. */
typedef enum status (*auth_anonymous_fn)(struct ctx *ctx, struct identity *ret);

struct auth_options {
    auth_token_fn token;
    auth_anonymous_fn anonymous;  /* NULL: credentials are required */
    struct address_nets trusted;  /* proxies whose x-forwarded-for is believed */
    unsigned failures_per_minute; /* by address; 0: 30 */
};

/* Once, before calls arrive; auth_fini after the last. */
void auth_init(const struct auth_options *opt);
void auth_fini(void);

extern const struct interceptor auth_interceptor;

/* The token of an authorization header: the scheme Bearer in any case, spaces, then 1 to 4096
 * visible ASCII characters. */
bool auth_parse_bearer(struct str header, struct str *ret_token);

/* True when `scope` ("quota.read") is covered by `scopes`, a list with spaces between: itself, its
 * service ("quota", "quota.*"), or "*". NULL covers all. */
bool auth_scope_covers(const char *scopes, struct str scope);

/* The address that limits and logs go by. */
struct str auth_client_address(struct call *call);

struct auth_numbers {
    uint64_t refused_missing;
    uint64_t refused_bad;
    uint64_t refused_expired;
    uint64_t refused_role;
    uint64_t refused_scope;
    uint64_t limited; /* answered without a look-up: too many failures from that address */
};
void auth_numbers(struct auth_numbers *ret); /* Thread: any */

#endif
