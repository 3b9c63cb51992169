/*
 * Addresses and networks: whose address a call comes from.
 *
 * Thread: any. Suspends: never.
 */
#ifndef LUNA_BASE_NETS_H
#define LUNA_BASE_NETS_H

#include "base/str.h"

/* "127.0.0.1" or "::1"; IPv4 becomes ::ffff:a.b.c.d. False: it is no address. */
bool address_parse(struct str s, uint8_t out[16], bool *ret_v4);

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

#endif
