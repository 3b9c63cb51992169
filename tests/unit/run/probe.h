/* What the tests of run/ share with their probes in C. */
#ifndef LUNA_TESTS_RUN_PROBE_H
#define LUNA_TESTS_RUN_PROBE_H

#include "run/timer.h"

/* Runs the timers of a reactor that does not run, as if it were `now`. */
void probe_timers_run(struct reactor *r, nsec_t now);

/* How long a sweep of the stacks takes. */
void probe_sweep_round(struct reactor *r, nsec_t round);

/* False where the stack pointer of a parked fiber is not known (ucontext). */
bool probe_trims_parked_fibers(void);

#endif
