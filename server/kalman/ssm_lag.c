/* Fixed-lag smoothing: what the filter kept of t .. t + lag is the filter's record of a series that
 * begins there, so the fixed-interval smoother of that window gives the state at its first time. */
#include <string.h>

#include "kalman/ssm.h"

static struct ssm_matrix
from(struct ssm_matrix a, size_t t)
{
    return (struct ssm_matrix){a.x ? a.x + t * a.step : NULL, a.step};
}

bool
ssm_smooth_lag(const struct ssm *s, const struct ssm_filtered *f, size_t lag, unsigned what,
               struct arena *arena, const struct ssm_stop *stop, struct ssm_smoothed *ret)
{
    size_t m = s->m, p = s->p;
    struct ssm_smoothed out = {.alpha = arena_array(arena, s->n, m * sizeof(double))}, one;
    struct arena scratch;
    bool variance = what & SSM_SMOOTH_VARIANCE, going = true;
    if (variance)
        out.variance = arena_array(arena, s->n, m * m * sizeof(double));
    arena_init(&scratch, 0);
    for (size_t t = 0; t < s->n && going; t++) {
        struct ssm window = *s;
        struct ssm_filtered w = *f;
        size_t diffuse = f->diffuse_steps > t ? f->diffuse_steps - t : 0;
        window.n = s->n - t > lag ? lag + 1 : s->n - t;
        window.z = from(s->z, t);
        window.h = from(s->h, t);
        window.d = from(s->d, t);
        window.t = from(s->t, t);
        window.c = from(s->c, t);
        window.rr = from(s->rr, t);
        window.q = from(s->q, t);
        w.a += t * m;
        w.p += t * m * m;
        w.v += t * p;
        w.f += t * p;
        w.mv += t * p * m;
        w.kind += t * p;
        w.diffuse_steps = diffuse;
        if (diffuse > 0) {
            w.p_inf += t * m * m;
            w.f_inf += t * p;
            w.mv_inf += t * p * m;
        }
        arena_reset(&scratch);
        going = ssm_smooth(&window, &w, what & SSM_SMOOTH_VARIANCE, &scratch, stop, &one);
        if (!going)
            break;
        memcpy(out.alpha + t * m, one.alpha, m * sizeof(double));
        if (variance)
            memcpy(out.variance + t * m * m, one.variance, m * m * sizeof(double));
    }
    arena_fini(&scratch);
    if (going)
        *ret = out;
    return going;
}
