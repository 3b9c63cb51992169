/* What the tests need of struct reactor, which cannot be seen from C++. */
#include "unit/run/probe.h"

#include "run/reactor_private.h"

void
probe_timers_run(struct reactor *r, nsec_t now)
{
    r->now = now;
    timers_run(r);
}

void
probe_sweep_round(struct reactor *r, nsec_t round)
{
    r->stacks.round = round;
    r->stacks.sweep_at = clock_now() + round;
}

bool
probe_trims_parked_fibers(void)
{
#ifdef FIBER_SWITCH_ASM
    return true;
#else
    return false;
#endif
}
