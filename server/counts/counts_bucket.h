/* From the events of a space to buckets of time. Pure. Suspends: never. */
#ifndef LUNA_COUNTS_COUNTS_BUCKET_H
#define LUNA_COUNTS_COUNTS_BUCKET_H

#include "counts/counts.h"

/* A width of buckets: calendar ones are so many months or days, others so many seconds. */
struct bucket_width {
    const char *unit; /* "day", "week", "month", "year"; NULL: seconds */
    int32_t months;
    int32_t days;
    int64_t seconds;
};

/* "90s", "15m", "1h", "1d", "2w", "1mo", "1y". False: not one, or longer than 100 years. */
bool bucket_width_parse(struct str s, struct bucket_width *ret);

/* Fills buckets, whose edges are given, from events that come in order. */
struct bucket_fold {
    struct counts_bucket *buckets;
    size_t n;
    size_t i;      /* the one being filled */
    int64_t count; /* now */
    usec_t since;  /* when it became that, not before the bucket's beginning */
    double area;   /* of the bucket: count * microseconds */
};

/* buckets[i] have starts_at and ends_at, without gaps; `count` is the count just before the first.
 */
void bucket_fold_init(struct bucket_fold *f, struct counts_bucket *buckets, size_t n,
                      int64_t count);
/* Some went through at an instant of the buckets' span, not earlier than the one before. */
void bucket_fold_step(struct bucket_fold *f, usec_t at, int64_t entrances, int64_t exits);
/* No more events come. */
void bucket_fold_end(struct bucket_fold *f);

#endif
