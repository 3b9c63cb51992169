/*
 * Limits by address.
 *
 * Thread: any. Suspends: never.
 */
#ifndef LUNA_EDGE_ADDRESS_H
#define LUNA_EDGE_ADDRESS_H

#include "base/clock.h"
#include "base/nets.h"
#include "base/str.h"

/* ---- limit by address ----------------------------------------------------------------------- */

/*
 * Counts failures by address: GCRA with a burst of `per_minute` that refills over a minute.
 * Addresses of IPv6 count by their /64. A table of fixed size without locks: under a flood from
 * more addresses than fit, the ones that failed least are forgotten.
 */
struct address_limit;

struct address_limit *address_limit_new(unsigned per_minute);
void address_limit_free(struct address_limit *l);

/* True while the address is under its limit; otherwise *ret_retry_after says for how long not. */
bool address_limit_allows(struct address_limit *l, struct str address, nsec_t now,
                          nsec_t *ret_retry_after);
void address_limit_count(struct address_limit *l, struct str address, nsec_t now);

#endif
