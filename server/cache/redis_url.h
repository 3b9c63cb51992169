/* Where Redis is: LUNA_REDIS_URL taken apart. Owns nothing. Suspends: never. */
#ifndef LUNA_CACHE_REDIS_URL_H
#define LUNA_CACHE_REDIS_URL_H

#include "base/defs.h"

struct redis_url {
    bool is_unix;
    char path[108];     /* of the unix socket */
    char host[256];     /* name or address, without brackets */
    char port[6];       /* "6379" */
    char user[129];     /* empty: AUTH with the password alone */
    char password[513]; /* empty: no AUTH */
    int db;             /* 0 to 65535 */
};

/*
 * Reads
 *   redis://[[user][:password]@]host[:port][/db]      (user and password percent-decoded, [ipv6])
 *   unix:/path[?db=1&user=u&password=p]               (also unix:///path)
 * On failure writes what is wrong, without any secret, into `err` and returns false.
 */
bool redis_url_parse(const char *text, struct redis_url *ret, char *err, size_t err_size);

#endif
