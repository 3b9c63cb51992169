/* Timers as C++ tests need them: reactor.h and timer.h meet here in C. */
#ifndef LUNA_TESTS_TIMER_PROBE_H
#define LUNA_TESTS_TIMER_PROBE_H

#include "run/timer.h"

/* Runs the timers of a reactor that does not run, as if it were `now`. */
void probe_timers_run(struct reactor *r, nsec_t now);

#endif
