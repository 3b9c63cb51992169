/*
 * Time. Inside the program durations and instants are nsec_t on the monotonic clock; what is stored
 * or shown is usec_t since 1970 (UTC).
 */
#ifndef LUNA_BASE_CLOCK_H
#define LUNA_BASE_CLOCK_H

#include "base/defs.h"

typedef int64_t nsec_t; /* monotonic nanoseconds, or a duration */
typedef int64_t usec_t; /* microseconds since 1970-01-01T00:00:00Z */

#define USEC(n)    ((nsec_t)(n)*1000)
#define MSEC(n)    ((nsec_t)(n)*1000000)
#define SEC(n)     ((nsec_t)(n)*1000000000)
#define NSEC_NEVER INT64_MAX

nsec_t clock_now(void);     /* CLOCK_MONOTONIC */
usec_t clock_wall_us(void); /* CLOCK_REALTIME */

#define CLOCK_TEXT 40

/* RFC 3339 in UTC with the least digits (none, 3 or 6 behind the dot): "2018-02-25T15:04:05.25Z"
 * is written as ".250Z". Years 0001 to 9999; what lies outside is shown as the nearest of them. */
void clock_format(usec_t t, char out[CLOCK_TEXT]);

/* RFC 3339 with any offset ("Z", "+01:00"), 'T', 't' or a space between; also a bare date, which is
 * its midnight UTC. Fractions beyond microseconds are truncated. False: not a time, or (in UTC) not
 * in the years 0001 to 9999; a second 60 is not one either. */
bool clock_parse(const char *s, size_t n, usec_t *ret);

#endif
