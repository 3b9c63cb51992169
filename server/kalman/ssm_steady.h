/*
 * The inner loop of ssm_filter.c while the variances stay as they are: only means are left to
 * compute. Included by that file alone.
 */
#ifndef LUNA_KALMAN_SSM_STEADY_H
#define LUNA_KALMAN_SSM_STEADY_H

#include "kalman/ssm_keep.h"

static ALWAYS_INLINE bool
is_complete(const double *y, size_t p)
{
    bool complete = true;
    for (size_t i = 0; i < p; i++)
        complete &= y[i] == y[i];
    return complete;
}

/* y - d - Z a for number i, at a predicted a. */
static ALWAYS_INLINE double
steady_innovation(const struct ssm_run *f, const double *a, double y, size_t i, size_t m)
{
    if (m <= SSM_FEW_STATES)
        return y - product(f->s->z.x + i * m, a, m);
    for (size_t k = f->z_from[i]; k < f->z_from[i + 1]; k++)
        y -= f->z[k].x * a[f->z[k].col];
    return y;
}

/* What a run of steady steps has in hand. */
struct steady {
    double *a; /* m numbers */
    struct ssm_sum squares;
    bool impossible;
};

/* The numbers of a time. */
static ALWAYS_INLINE void
observe_steady(struct ssm_run *f, size_t t, const double *y, struct steady *s, bool keeps, size_t m,
               size_t ld, size_t p)
{
    const double *d = ssm_at(f->s->d, t);
    for (size_t i = 0; i < p; i++) {
        double v = steady_innovation(f, s->a, d ? y[i] - d[i] : y[i], i, m);
        ssm_row_add(s->a, v, f->gain + i * ld, ld);
        ssm_sum_add(&s->squares, v * (v * f->inverse[i]));
        s->impossible |= v != 0 && f->inverse[i] == 0;
        if (keeps)
            keep_number(f, t * p + i, f->inverse[i] > 0 ? SSM_REGULAR : SSM_CERTAIN, v);
    }
}

/* `steps` times of p numbers have been seen. */
static ALWAYS_INLINE void
steady_end(struct ssm_run *f, const struct steady *s, size_t steps, size_t p)
{
    f->squares = s->squares;
    f->out->impossible |= s->impossible;
    f->steady_steps += steps;
    for (size_t i = 0; i < p; i++)
        f->out->regular += f->inverse[i] > 0 ? steps : 0;
}

/* Times t..end-1 up to one that is not complete; returns that time. `keeps`: what is seen is kept.
 */
static ALWAYS_INLINE size_t
steady_steps(struct ssm_run *f, const double *y, size_t t, size_t end, bool keeps, size_t m,
             size_t ld, size_t p)
{
    struct steady s = {.a = f->a, .squares = f->squares};
    size_t from = t;
    for (; t < end && is_complete(y, p); t++, y += p) {
        advance_mean(f, t - 1, m);
        if (keeps)
            keep_predicted(f, t);
        s.a = f->a;
        observe_steady(f, t, y, &s, keeps, m, ld, p);
        if (keeps)
            keep_updated(f, t, false);
    }
    steady_end(f, &s, t - from, p);
    return t;
}

/* The same for few states, which stay in registers; one series of which nothing is kept. */
static ALWAYS_INLINE size_t
steady_few(struct ssm_run *f, const double *y, size_t t, size_t end, size_t m)
{
    double a[SSM_FEW_STATES], next[SSM_FEW_STATES];
    const double inverse = f->inverse[0], *c = f->s->c.x, *d = f->s->d.x;
    struct steady s = {.squares = f->squares};
    size_t from = t;
    memcpy(a, f->a, m * sizeof(double));
    for (; t < end && is_complete(y, 1); t++, y++) {
        for (size_t i = 0; i < m; i++)
            next[i] = product(f->s->t.x + i * m, a, m);
        for (size_t i = 0; c && i < m; i++)
            next[i] += ssm_at(f->s->c, t - 1)[i];
        double v = (d ? *y - *ssm_at(f->s->d, t) : *y) - product(f->s->z.x, next, m);
        for (size_t i = 0; i < m; i++)
            a[i] = next[i] + f->gain[i] * v;
        ssm_sum_add(&s.squares, v * (v * inverse));
        s.impossible |= v != 0 && inverse == 0;
    }
    memcpy(f->a, a, m * sizeof(double));
    steady_end(f, &s, t - from, 1);
    return t;
}

/* y - Z T a: what the general rows make of a is in `next` already. */
static ALWAYS_INLINE double
innovation_of_next(const struct ssm_run *f, double y, const double *a, const double *next)
{
    for (size_t k = f->z_from[0]; k < f->z_from[1]; k++) {
        uint32_t col = f->z[k].col, source = f->source[col];
        y -= f->z[k].x * (source == SSM_GENERAL ? next[col] : a[source]);
    }
    return y;
}

/* next = T a + gain v, where the general rows' T a is there already. One number after the other:
 * fours that a shift has cut elsewhere would wait for their stores. */
static ALWAYS_INLINE void
move_towards(const struct ssm_run *f, const double *a, double v, double *next)
{
    const struct ssm_entry *moved = f->moved, *end = moved + f->moved_count;
    const uint32_t *general = f->generals, *last = general + f->general_count;
    const double *gain = f->gain;
    for (; moved < end; moved++)
        next[moved->row] = a[moved->col] + gain[moved->row] * v;
    for (; general < last; general++)
        next[*general] += gain[*general] * v;
}

/* The same for many states without intercepts; one series of which nothing is kept. */
static ALWAYS_INLINE size_t
steady_many(struct ssm_run *f, const double *y, size_t t, size_t end)
{
    const double inverse = f->inverse[0];
    const struct ssm_matrix d = f->s->d;
    struct steady s = {.squares = f->squares};
    double *a = f->a, *next = f->a_next;
    size_t from = t;
    for (; t < end && is_complete(y, 1); t++, y++) {
        for (size_t g = 0; g < f->general_count; g++)
            next[f->generals[g]] = times_row(f, f->generals[g], a);
        double v = innovation_of_next(f, d.x ? *y - *ssm_at(d, t) : *y, a, next);
        move_towards(f, a, v, next);
        ssm_sum_add(&s.squares, v * (v * inverse));
        s.impossible |= v != 0 && inverse == 0;
        double *swap = a;
        a = next;
        next = swap;
    }
    f->a = a;
    f->a_next = next;
    steady_end(f, &s, t - from, 1);
    return t;
}

/* The same, compiled for a single series of which nothing is kept. */
static ALWAYS_INLINE size_t
run_steady(struct ssm_run *f, const double *y, size_t t, size_t end, size_t m, size_t ld)
{
    bool bare = !(f->keep & SSM_KEEPS_ANYTHING) && f->s->p == 1;
    if (bare && m <= SSM_FEW_STATES)
        return steady_few(f, y, t, end, m);
    if (bare && !f->s->c.x)
        return steady_many(f, y, t, end);
    return steady_steps(f, y, t, end, f->keep & SSM_KEEPS_ANYTHING, m, ld, f->s->p);
}

/* The variances as they are from now on: predicted in f->p, filtered in f->turned. */
static void
enter_steady(struct ssm_run *f)
{
    double *swap = f->ptt;
    f->ptt = f->turned;
    f->turned = swap;
    f->steady = true;
    ssm_run_make_gains(f);
}

static double
steady_log_f(const struct ssm_run *f)
{
    double x = 0;
    for (size_t i = 0; f->steady_steps > 0 && i < f->s->p; i++)
        x += f->f[i] > 0 ? (double)f->steady_steps * log(f->f[i]) : 0;
    return x;
}

static void
leave_steady(struct ssm_run *f)
{
    ssm_sum_add(&f->log_f.sum, steady_log_f(f));
    f->steady_steps = 0;
    f->steady = false;
}

#endif
