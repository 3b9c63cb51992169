/*
 * Named places where a test can make something go wrong (failpoint.def lists them). Compiled in
 * only with LUNA_FAILPOINTS; otherwise FAILPOINT() is the constant false.
 *
 * Switched on from tests with failpoint_set, or in a process under test by the environment:
 * LUNA_FAILPOINTS="db_connect=3,redis_reply=*" fails the third pass, or each one.
 */
#ifndef LUNA_BASE_FAILPOINT_H
#define LUNA_BASE_FAILPOINT_H

#include "base/defs.h"

enum failpoint {
#define FAILPOINT_DEF(name, help) FAILPOINT_##name,
#include "base/failpoint.def"
#undef FAILPOINT_DEF
    FAILPOINT_COUNT,
};

#ifdef LUNA_FAILPOINTS
#define FAILPOINT(name) UNLIKELY(failpoint_hit(FAILPOINT_##name))
#else
#define FAILPOINT(name) false
#endif

/* Fails pass number `nth` (1: the next); 0: never; -1: every one. Thread: any. */
void failpoint_set(enum failpoint fp, int64_t nth);
bool failpoint_hit(enum failpoint fp);
void failpoint_init_from_env(void);

#endif
