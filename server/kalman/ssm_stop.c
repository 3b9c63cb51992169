#include <stdatomic.h>

#include "kalman/ssm.h"

bool
ssm_stopped(const struct ssm_stop *s, size_t steps)
{
    if (s && s->progress)
        atomic_fetch_add_explicit(&s->progress->steps, steps, memory_order_relaxed);
    return s && s->stop && s->stop(s->arg);
}
