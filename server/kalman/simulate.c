#include <math.h>
#include <string.h>

#include "kalman/analysis.h"

/* x = L z with V = L L', V positive semi-definite (n x n). */
static void
draw_normal(const double *v, size_t n, struct stats_random *rnd, double *l, double *x)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double e = v[i * n + j];
            for (size_t k = 0; k < j; k++)
                e -= l[i * n + k] * l[j * n + k];
            if (i == j)
                l[i * n + j] = e > 1e-14 * v[i * n + i] ? sqrt(e) : 0;
            else
                l[i * n + j] = l[j * n + j] > 0 ? e / l[j * n + j] : 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        x[n + i] = stats_normal(rnd);
    for (size_t i = 0; i < n; i++) {
        x[i] = 0;
        for (size_t k = 0; k <= i; k++)
            x[i] += l[i * n + k] * x[n + k];
    }
}

void
analysis_draw(const struct ssm *s, struct stats_random *rnd, struct arena *scratch, double *states,
              double *values)
{
    size_t m = s->m, p = s->p, r = s->r, wide = m > r ? m : r;
    double *l = arena_array(scratch, wide, wide * sizeof(double));
    double *eta = arena_array(scratch, 2 * wide, sizeof(double));
    draw_normal(s->p1, m, rnd, l, eta);
    for (size_t i = 0; i < m; i++)
        states[i] = s->a1[i] + eta[i];
    for (size_t t = 0; t < s->n; t++) {
        const double *z = ssm_at(s->z, t), *h = ssm_at(s->h, t), *d = ssm_at(s->d, t);
        const double *tt = ssm_at(s->t, t), *c = ssm_at(s->c, t), *rr = ssm_at(s->rr, t);
        const double *a = states + t * m;
        for (size_t i = 0; i < p; i++) {
            double y = (d ? d[i] : 0) + sqrt(h[i]) * stats_normal(rnd);
            for (size_t j = 0; j < m; j++)
                y += z[i * m + j] * a[j];
            values[t * p + i] = y;
        }
        if (t + 1 == s->n)
            break;
        draw_normal(ssm_at(s->q, t), r, rnd, l, eta);
        for (size_t i = 0; i < m; i++) {
            double x = c ? c[i] : 0;
            for (size_t j = 0; j < m; j++)
                x += tt[i * m + j] * a[j];
            for (size_t j = 0; j < r; j++)
                x += rr[i * r + j] * eta[j];
            states[(t + 1) * m + i] = x;
        }
    }
}

/* states+ + E(states | y) - E(states | y+), where + is drawn from the model. */
bool
analysis_draw_given(const struct ssm *s, const double *y, const double *smoothed,
                    struct stats_random *rnd, struct arena *scratch, const struct ssm_stop *stop,
                    double *states)
{
    double *drawn = arena_array(scratch, s->n, s->p * sizeof(double));
    struct ssm_filtered f;
    struct ssm_smoothed o;
    analysis_draw(s, rnd, scratch, states, drawn);
    for (size_t i = 0; i < s->n * s->p; i++)
        drawn[i] = isnan(y[i]) ? NAN : drawn[i];
    if (!ssm_filter(s, drawn, SSM_KEEP_FOR_SMOOTHER, scratch, stop, &f) ||
        !ssm_smooth(s, &f, 0, scratch, stop, &o))
        return false;
    for (size_t i = 0; i < s->n * s->m; i++)
        states[i] += smoothed[i] - o.alpha[i];
    return true;
}
