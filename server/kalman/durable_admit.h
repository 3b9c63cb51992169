/* Which observations of a round are new: shapes, sequence numbers, duplicates. Private to kalman/.
 */
#ifndef LUNA_KALMAN_DURABLE_ADMIT_H
#define LUNA_KALMAN_DURABLE_ADMIT_H

#include "kalman/durable_private.h"

/* A new observation. */
struct admitted {
    double time;
    int64_t sequence;
    const double *values; /* NaN is NAN */
};

struct admission {
    struct admitted *items; /* in order of (time, sequence) once finished */
    size_t n;
    int64_t max_sequence;
    bool clean; /* no append failed, and each brought something new */
};

/* Sets `st`, `duplicates` and `last_sequence` of each append. Suspends: may. Fails: as the
 * database. */
enum status durable_admit(struct ctx *ctx, const struct round *r, const struct durable_head *head,
                          size_t series, struct admission *ret) WARN_UNUSED;

#endif
