/*
 * Whose address a call comes from, and limits by address.
 *
 * Thread: any. Suspends: never.
 */
#ifndef LUNA_EDGE_ADDRESS_H
#define LUNA_EDGE_ADDRESS_H

#include "base/clock.h"
#include "base/str.h"

/* ---- networks ------------------------------------------------------------------------------- */

struct address_net {
    bool is_unix;
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;     /* of the 128 that count */
};

#define ADDRESS_MAX_NETS 32

struct address_nets {
    struct address_net nets[ADDRESS_MAX_NETS];
    size_t count;
};

/* "127.0.0.0/8,::1,unix": commas or spaces between. False: *ret_bad is the part that is wrong. */
bool address_nets_parse(struct str text, struct address_nets *ret, struct str *ret_bad);

/* `address` is "127.0.0.1", "::1", "unix". */
bool address_nets_contain(const struct address_nets *nets, struct str address);

/*
 * The address of who is really calling: `peer`, or, when that is a trusted proxy, the last address
 * in `forwarded_for` (an x-forwarded-for header, may be empty) that is not one itself.
 */
struct str address_of_client(const struct address_nets *trusted, struct str peer,
                             struct str forwarded_for);

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
