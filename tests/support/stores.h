/* One PostgreSQL and one Redis for all tests of a program, started at their first use. Tests that
 * kill them have their own. */
#ifndef LUNA_TESTS_STORES_H
#define LUNA_TESTS_STORES_H

#include "support/pg_server.h"
#include "support/redis_server.h"

inline pg_server &
pg()
{
    static pg_server server;
    return server;
}

inline redis_server &
redis()
{
    static redis_server server;
    return server;
}

#endif
