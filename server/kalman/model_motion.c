/*
 * Motions in continuous time, observed at any times. Closed forms of exp(F dt) and of the integral
 * of exp(F s) G G' exp(F s)' over dt: Bar-Shalom, Li and Kirubarajan (2001), 6.2; Gillespie (1996)
 * for Ornstein-Uhlenbeck.
 */
#include <math.h>
#include <string.h>

#include "kalman/model.h"

static size_t
per_axis(const struct model_motion *mo)
{
    return mo->kind == MODEL_ACCELERATION ? 3 : 2;
}

void
model_motion_layout(struct model *m)
{
    const struct model_motion *mo = &m->spec->motion;
    bool irregular = m->spec->times != NULL;
    size_t k = per_axis(mo), n = mo->axes * k;
    static const char *const names[] = {"position", "velocity", "acceleration"};
    model_allocate(m, n, n, false, irregular, irregular);
    model_add(m, "motion.observation_variance", MODEL_VARIANCE, mo->observation_variance);
    for (size_t i = 0; i < mo->axes && i < 1; i++)
        m->parameters[0].score_h = mo->axes == 1 ? 0 : -1;
    bool ou = mo->kind == MODEL_ORNSTEIN_UHLENBECK;
    model_add(m, "motion.intensity", MODEL_VARIANCE, mo->intensity);
    if (ou)
        model_add(m, "motion.rate", MODEL_POSITIVE, mo->rate);
    for (size_t axis = 0; axis < mo->axes; axis++) {
        for (size_t i = 0; i < k; i++) {
            size_t at = axis * k + i;
            m->rr[at * n + at] = 1;
            m->state_names[at] = ou ? (i == 0 ? "deviation" : "mean") : names[i];
            m->p1_inf[at] = !ou || (i == 1 && !mo->mean.given);
        }
        m->z[axis * n + axis * k] = 1;
        if (ou) {
            m->z[axis * n + axis * k + 1] = 1;
            m->a1[axis * k + 1] = mo->mean.given ? mo->mean.value : 0;
        }
    }
}

static double
step_of(const struct model *m, size_t t)
{
    const double *times = m->spec->times;
    if (!times)
        return 1;
    return t + 1 < m->s.n ? times[t + 1] - times[t] : 0;
}

/* T and Q of one axis over dt, 3 x 3 at most. */
static void
velocity(double dt, double w, double t[9], double q[9])
{
    t[0] = t[3] = 1;
    t[1] = dt;
    t[2] = 0;
    q[0] = w * dt * dt * dt / 3;
    q[1] = q[2] = w * dt * dt / 2;
    q[3] = w * dt;
}

static void
acceleration(double dt, double w, double t[9], double q[9])
{
    double d2 = dt * dt, d3 = d2 * dt;
    const double tt[9] = {1, dt, d2 / 2, 0, 1, dt, 0, 0, 1};
    const double qq[9] = {w * d3 * d2 / 20, w * d2 * d2 / 8, w * d3 / 6,
                          w * d2 * d2 / 8,  w * d3 / 3,      w * d2 / 2,
                          w * d3 / 6,       w * d2 / 2,      w * dt};
    memcpy(t, tt, sizeof(tt));
    memcpy(q, qq, sizeof(qq));
}

static void
ornstein_uhlenbeck(double dt, double w, double rate, double t[9], double q[9])
{
    memset(t, 0, 9 * sizeof(double));
    memset(q, 0, 9 * sizeof(double));
    t[0] = exp(-rate * dt);
    t[3] = 1;
    q[0] = -w * expm1(-2 * rate * dt) / (2 * rate);
}

void
model_motion_apply(struct model *m)
{
    const struct model_motion *mo = &m->spec->motion;
    const struct model_parameter *p = m->parameters;
    size_t k = per_axis(mo), n = m->s.m, times = m->s.t.step ? m->s.n : 1;
    bool ou = mo->kind == MODEL_ORNSTEIN_UHLENBECK;
    double intensity = p[1].value, rate = ou ? p[2].value : 0;
    for (size_t i = 0; i < mo->axes; i++)
        m->h[i] = p[0].value;
    for (size_t t = 0; t < times; t++) {
        double tt[9], qq[9], dt = step_of(m, t);
        if (ou)
            ornstein_uhlenbeck(dt, intensity, rate, tt, qq);
        else if (k == 2)
            velocity(dt, intensity, tt, qq);
        else
            acceleration(dt, intensity, tt, qq);
        double *to_t = m->t + t * n * n, *to_q = m->q + t * n * n;
        for (size_t axis = 0; axis < mo->axes; axis++) {
            for (size_t e = 0; e < k * k; e++) {
                size_t at = (axis * k + e / k) * n + axis * k + e % k;
                to_t[at] = tt[e];
                to_q[at] = qq[e];
            }
        }
    }
    for (size_t axis = 0; ou && axis < mo->axes; axis++)
        m->p1[axis * k * n + axis * k] = intensity / (2 * rate);
}
