/* The timers with a clock of the test's own: struct reactor cannot be seen from C++. */
#include "unit/run/timer_probe.h"

#include "run/reactor_private.h"

void
probe_timers_run(struct reactor *r, nsec_t now)
{
    r->now = now;
    timers_run(r);
}
