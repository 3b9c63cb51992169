/*
 * The inner loops of ssm_filter.c at one time: what a number tells about m states, rows ld apart.
 * Included by that file alone.
 */
#ifndef LUNA_KALMAN_SSM_UPDATE_H
#define LUNA_KALMAN_SSM_UPDATE_H

#include "kalman/ssm_predict.h"

/* What is left of a variance after an update is rounding when it is less than this part of it. */
#define NOTHING_LEFT (8 * __DBL_EPSILON__)

/* mv = P z', returns z P z'. P is symmetric to the last bit: its columns are its rows. */
static ALWAYS_INLINE double
project(const struct ssm_entry *z, size_t count, const double *p, size_t ld, double *mv)
{
    double f = 0;
    if (count == 0)
        memset(mv, 0, ld * sizeof(double));
    else
        ssm_row_scale(mv, z->x, p + z->col * ld, ld);
    for (size_t k = 1; k < count; k++)
        ssm_row_add(mv, z[k].x, p + z[k].col * ld, ld);
    for (size_t k = 0; k < count; k++)
        f += z[k].x * mv[z[k].col];
    return f;
}

/* Whether an update by scaled scaled' leaves nothing but rounding of the variance `was`. */
static ALWAYS_INLINE bool
leaves_nothing(double was, double scaled)
{
    return was != 0 && was - scaled * scaled <= NOTHING_LEFT * was;
}

/* Notes of which states of variance p this is so; false: of none. */
static ALWAYS_INLINE bool
note_cleared(const double *p, const double *scaled, bool *cleared, size_t m, size_t ld)
{
    bool any = false;
    for (size_t i = 0; i < m; i++)
        any |= leaves_nothing(p[i * ld + i], scaled[i]);
    for (size_t i = 0; UNLIKELY(any) && i < m; i++)
        cleared[i] = leaves_nothing(p[i * ld + i], scaled[i]);
    return any;
}

/* to = p - mv mv' / F, bit for bit symmetric, without squares of variances. `clean`: P is a
 * variance, and states of which nothing but rounding is left are known exactly. (Beside a diffuse
 * part P need not be semi-definite.) `to` may be p. */
static ALWAYS_INLINE void
downdate(struct ssm_run *f, const double *p, double *to, const double *mv, double variance,
         bool clean, size_t m, size_t ld)
{
    double *scaled = f->work;
    ssm_row_scale(scaled, 1 / sqrt(variance), mv, ld);
    bool any = clean && note_cleared(p, scaled, f->cleared, m, ld);
    for (size_t i = 0; i < m; i++)
        ssm_row_subtract(to + i * ld, p + i * ld, scaled[i], scaled, ld);
    for (size_t i = 0; UNLIKELY(any) && i < m; i++) {
        for (size_t k = 0; f->cleared[i] && k < m; k++)
            to[i * ld + k] = to[k * ld + i] = 0;
    }
}

/* One number that tells about the diffuse part. */
static void
update_diffuse(struct ssm_run *f, size_t i, double v)
{
    size_t m = f->s->m, ld = ssm_row(m);
    const double *mv = f->mv + i * ld, *mv_inf = f->mv_inf + i * ld;
    double fs = f->f[i], fi = f->f_inf[i], *k = f->work;
    for (size_t j = 0; j < ld; j++)
        k[j] = mv_inf[j] / fi;
    ssm_row_add(f->a, v, k, ld);
    for (size_t a = 0; a < m; a++) {
        for (size_t b = 0; b < ld; b++)
            f->p[a * ld + b] += k[a] * k[b] * fs - (k[a] * mv[b] + mv[a] * k[b]);
    }
    downdate(f, f->p_inf, f->p_inf, mv_inf, fi, true, m, ld);
    ssm_log_add(&f->log_f_inf, fi);
    f->out->diffuse++;
    if (--f->rank == 0)
        f->diffuse = false;
}

/* How large Finf would be if nothing were known yet. */
static double
inf_reference(const struct ssm_run *f, const struct ssm_entry *z, size_t count)
{
    double x = 0;
    for (size_t k = 0; k < count; k++)
        x += z[k].x * z[k].x * f->inf_scale[z[k].col];
    return x;
}

/* What a number counts whose innovation squared is `z2` times its variance. */
static double
robust_weight(const struct ssm_robust *r, double z2)
{
    double c = r->threshold;
    if (r->kind == SSM_GATE)
        return z2 > c ? 0 : 1;
    if (r->kind == SSM_HUBER)
        return z2 > c * c ? c / sqrt(z2) : 1;
    return fmin(1, (c + 1) / (c + z2));
}

/* Nothing was told about the state whose variance is p. */
static ALWAYS_INLINE void
copy_variance(struct ssm_run *f, const double *p, size_t m, size_t ld)
{
    if (p != f->p)
        memcpy(f->p, p, m * ld * sizeof(double));
}

/* One number of time t; the variance before it is p, and f->p behind it. */
static ALWAYS_INLINE enum ssm_kind
update(struct ssm_run *f, const double *p, size_t i, double y, size_t m, size_t ld, double *ret_v)
{
    const struct ssm_entry *z = f->z + f->z_from[i];
    size_t count = f->z_from[i + 1] - f->z_from[i];
    double v = y, *mv = f->mv + i * ld;
    for (size_t k = 0; k < count; k++)
        v -= z[k].x * f->a[z[k].col];
    *ret_v = v;
    double h = f->f[i]; /* the caller puts h there */
    f->f[i] = project(z, count, p, ld, mv) + h;
    f->f_inf[i] = 0;
    if (f->diffuse) {
        f->f_inf[i] = project(z, count, f->p_inf, ld, f->mv_inf + i * ld);
        if (f->f_inf[i] > SSM_DIFFUSE_TOLERANCE * inf_reference(f, z, count)) {
            update_diffuse(f, i, v);
            return SSM_DIFFUSE;
        }
        f->f_inf[i] = 0;
    }
    if (!(f->f[i] > 0)) {
        f->f[i] = 0;
        f->out->impossible |= v != 0;
        copy_variance(f, p, m, ld);
        return SSM_CERTAIN;
    }
    double variance = f->f[i];
    if (UNLIKELY(f->s->robust.kind)) {
        f->weight = robust_weight(&f->s->robust, v / variance * v);
        if (!(f->weight > 0)) {
            copy_variance(f, p, m, ld);
            return SSM_MISSING;
        }
        variance /= f->weight;
    }
    double vf = v / variance;
    ssm_row_add(f->a, vf, mv, ld);
    downdate(f, p, f->p, mv, variance, !f->diffuse, m, ld);
    ssm_log_add(&f->log_f, f->f[i]);
    ssm_sum_add(&f->squares, v * vf);
    f->out->regular++;
    return SSM_REGULAR;
}

#endif
