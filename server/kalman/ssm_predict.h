/*
 * The inner loops of ssm_filter.c between two times: the predicted variance and whether it still
 * changes. Included by that file alone, which compiles them for each small number of states.
 */
#ifndef LUNA_KALMAN_SSM_PREDICT_H
#define LUNA_KALMAN_SSM_PREDICT_H

#include <math.h>
#include <string.h>

#include "kalman/ssm_run.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define STEADY_TOLERANCE 2e-13 /* of a variance: how far its limit may be */
#define ROUNDING_HIDES   1e-11
#define ROUNDING         1e-14

/* Sorts the rows of T: those with one entry (a shift, a decay, a constant) move numbers of P about,
 * only the others have sums to make. */
static void
ssm_load_transition(struct ssm_run *f, size_t count)
{
    f->t_count = count;
    f->single_count = f->general_count = 0;
    for (size_t i = 0; i < f->s->m; i++) {
        if (f->t_from[i + 1] - f->t_from[i] == 1)
            f->singles[f->single_count++] = f->t[f->t_from[i]];
        else
            f->generals[f->general_count++] = (uint32_t)i;
    }
}

/* T P T' (+ RQR'): few states, whose loops are unrolled. */
static ALWAYS_INLINE void
predict_few(struct ssm_run *f, double *p, const double *add, size_t m)
{
    double *tp = f->work, *pt = f->turned;
    memset(tp, 0, m * m * sizeof(double));
    for (size_t e = 0; e < f->t_count; e++) {
        const double *from = p + f->t[e].col * m;
        double *to = tp + f->t[e].row * m, x = f->t[e].x;
        for (size_t j = 0; j < m; j++)
            to[j] += x * from[j];
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++)
            pt[j * m + i] = tp[i * m + j];
    }
    if (add)
        memcpy(p, add, m * m * sizeof(double));
    else
        memset(p, 0, m * m * sizeof(double));
    for (size_t e = 0; e < f->t_count; e++) {
        const double *from = pt + f->t[e].col * m;
        double *to = p + f->t[e].row * m, x = f->t[e].x;
        for (size_t j = 0; j < m; j++)
            to[j] += x * from[j];
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < i; j++)
            p[i * m + j] = p[j * m + i];
    }
}

/* One row of T P T' against the rows of T with one entry: `tp` is that row of T P, or `scale` times
 * it is. */
static ALWAYS_INLINE void
predict_against_singles(struct ssm_run *f, size_t i, const double *tp, double scale, size_t last,
                        const double *add, double *to, size_t m)
{
    for (size_t e = 0; e < f->single_count && f->singles[e].row <= last; e++) {
        const struct ssm_entry *t = &f->singles[e];
        double x = t->x * (scale * tp[t->col]) + (add ? add[i * m + t->row] : 0);
        to[i * m + t->row] = x;
        to[t->row * m + i] = x;
    }
}

/* T P T' (+ RQR') into `to`: many states, most of which are only moved. */
static ALWAYS_INLINE void
predict_many(struct ssm_run *f, const double *p, const double *add, double *to, size_t m)
{
    for (size_t g = 0; g < f->general_count; g++) {
        size_t i = f->generals[g];
        double *tp = f->work + g * m;
        memset(tp, 0, m * sizeof(double));
        for (size_t e = f->t_from[i]; e < f->t_from[i + 1]; e++) {
            const double *from = p + f->t[e].col * m, x = f->t[e].x;
            for (size_t j = 0; j < m; j++)
                tp[j] += x * from[j];
        }
        predict_against_singles(f, i, tp, 1, m, add, to, m);
        for (size_t h = 0; h <= g; h++) {
            size_t j = f->generals[h];
            double x = add ? add[i * m + j] : 0;
            for (size_t e = f->t_from[j]; e < f->t_from[j + 1]; e++)
                x += f->t[e].x * tp[f->t[e].col];
            to[i * m + j] = to[j * m + i] = x;
        }
    }
    for (size_t e = 0; e < f->single_count; e++) {
        const struct ssm_entry *t = &f->singles[e];
        predict_against_singles(f, t->row, p + t->col * m, t->x, t->row, add, to, m);
    }
}

static ALWAYS_INLINE void
predict_variance(struct ssm_run *f, double **p, const double *add, size_t m)
{
    if (m <= 4) {
        predict_few(f, *p, add, m);
        return;
    }
    predict_many(f, *p, add, f->turned, m);
    double *swap = *p;
    *p = f->turned;
    f->turned = swap;
}

static ALWAYS_INLINE double
change_few(const struct ssm_run *f, size_t m)
{
    double change = 0;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j <= i; j++) {
            double d = fabs(f->p[i * m + j] - f->before[i * m + j]);
            double scale = sqrt(f->p[i * m + i] * f->p[j * m + j]);
            if (d > 0)
                change = fmax(change, scale > 0 ? d / scale : INFINITY);
        }
    }
    return change;
}

/* The same by columns, with a square root for each state instead of each pair. */
static ALWAYS_INLINE double
change_many(struct ssm_run *f, size_t m)
{
    double *most = f->work, change = 0;
    memset(most, 0, m * sizeof(double));
    for (size_t i = 0; i < m; i++) {
        const double *now = f->p + i * m, *before = f->before + i * m;
        if (!(now[i] > 0)) { /* known for certain: from now on, or still */
            for (size_t j = 0; j < m; j++)
                change = now[j] != before[j] ? INFINITY : change;
            continue;
        }
        double unit = 1 / sqrt(now[i]);
        for (size_t j = 0; j < m; j++) {
            double d = fabs(now[j] - before[j]) * unit;
            most[j] = d > most[j] ? d : most[j];
        }
    }
    for (size_t j = 0; j < m; j++) {
        double v = f->p[j * m + j];
        change = v > 0 ? fmax(change, most[j] / sqrt(v)) : change;
    }
    return change;
}

/* Compares the predicted variance with that of the step before: see STEADY_TOLERANCE. */
static ALWAYS_INLINE void
notice_steady(struct ssm_run *f, size_t m)
{
    double change = m <= 4 ? change_few(f, m) : change_many(f, m);
    memcpy(f->before, f->p, m * m * sizeof(double));
    /* The largest change of each window of m + 2 steps: changes that travel through the states (as
     * in seasonal models) show at least once in it. */
    f->largest = fmax(f->largest, change);
    if (++f->changes < m + 2)
        return;
    double before = f->window, now = f->largest, rate = before > 0 ? now / before : now > 0;
    f->window = now;
    f->largest = 0;
    f->changes = 0;
    /* Changes near rounding no longer tell their rate: that of the last larger ones holds. */
    if (isfinite(before) && before >= ROUNDING_HIDES)
        f->decay = rate;
    else
        rate = fmax(f->decay, now <= ROUNDING ? 0 : rate);
    /* Twice, so that a fast mode that ends does not hide a slow one. */
    bool near = isfinite(before) && (double)(m + 2) * now <= STEADY_TOLERANCE * (1 - rate);
    f->near = near ? f->near + 1 : 0;
    f->steady = f->near >= 2 && !(f->keep & SSM_NO_SHORTCUT);
    for (size_t i = 0; f->steady && i < f->s->p; i++)
        f->inverse[i] = f->f[i] > 0 ? 1 / f->f[i] : 0;
}

#endif
