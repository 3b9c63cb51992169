/*
 * Models given by their matrices. Noise that is correlated between the series becomes part of the
 * state: one more state for each series, without memory, so that any part of an observation may be
 * missing.
 */
#include <string.h>

#include "kalman/model.h"

static bool
noise_is_correlated(const struct model_free *f, size_t n)
{
    size_t times = f->h_varies ? n : 1;
    for (size_t t = 0; f->h && t < times; t++) {
        for (size_t i = 0; i < f->p * f->p; i++) {
            if (i / f->p != i % f->p && f->h[t * f->p * f->p + i] != 0)
                return true;
        }
    }
    return false;
}

size_t
model_free_states(const struct model_free *f, size_t n)
{
    return f->m + (noise_is_correlated(f, n) ? f->p : 0);
}

/* A list of matrices rows x cols set into larger ones; `x` NULL: identity times `unit`. */
struct part {
    const double *x;
    bool varies;
    size_t rows, cols;
};

static void
put(double *to, size_t to_cols, size_t row, size_t col, struct part from, size_t t)
{
    const double *x = from.x ? from.x + (from.varies ? t * from.rows * from.cols : 0) : NULL;
    for (size_t i = 0; i < from.rows; i++) {
        for (size_t j = 0; j < from.cols; j++)
            to[(row + i) * to_cols + col + j] = x ? x[i * from.cols + j] : i == j;
    }
}

static double *
make(struct model *m, struct ssm_matrix *to, size_t size, bool varies)
{
    double *x = arena_array(m->arena, varies ? m->s.n : 1, size * sizeof(double));
    *to = (struct ssm_matrix){x, varies ? size : 0};
    return x;
}

static void
layout_noise(struct model *m, const struct model_free *f, size_t noise)
{
    struct ssm *s = &m->s;
    size_t p = f->p;
    m->h = make(m, &s->h, p, f->h && f->h_varies && !noise);
    for (size_t t = 0; f->h && !noise && t < (f->h_varies ? s->n : 1); t++) {
        for (size_t i = 0; i < p; i++)
            m->h[t * p + i] = f->h[t * p * p + i * p + i];
    }
}

static void
layout_start(struct model *m, const struct model_free *f, size_t noise)
{
    size_t n = m->s.m;
    m->a1 = arena_array(m->arena, n, sizeof(double));
    m->p1 = arena_array(m->arena, n, n * sizeof(double));
    m->p1_inf = arena_array(m->arena, n, sizeof(double));
    bool diffuse = !f->a1 && !f->p1 && !f->p1_inf;
    for (size_t i = 0; i < f->m; i++) {
        m->a1[i] = f->a1 ? f->a1[i] : 0;
        m->p1_inf[i] = f->p1_inf ? f->p1_inf[i] : diffuse;
    }
    if (f->p1)
        put(m->p1, n, 0, 0, (struct part){f->p1, false, f->m, f->m}, 0);
    if (noise)
        put(m->p1, n, f->m, f->m, (struct part){f->h, false, f->p, f->p}, 0);
    m->s.a1 = m->a1;
    m->s.p1 = m->p1;
    m->s.p1_inf = m->p1_inf;
}

void
model_free_layout(struct model *m)
{
    const struct model_free *f = &m->spec->free;
    struct ssm *s = &m->s;
    size_t noise = noise_is_correlated(f, s->n) ? f->p : 0, n = f->m + noise, r = f->r + noise;
    s->m = n;
    s->r = r;
    m->noise_states = noise;
    bool q_varies = f->q_varies || (noise && f->h_varies);
    m->z = make(m, &s->z, f->p * n, f->z_varies);
    m->t = make(m, &s->t, n * n, f->t_varies);
    m->rr = make(m, &s->rr, n * r, f->rr_varies);
    m->q = make(m, &s->q, r * r, q_varies);
    for (size_t t = 0; t < s->n; t++) {
        struct part unit = {NULL, false, noise, noise};
        size_t next = t + 1 < s->n ? t + 1 : t;
        if (t == 0 || f->z_varies) {
            put(m->z + t * s->z.step, n, 0, 0, (struct part){f->z, f->z_varies, f->p, f->m}, t);
            put(m->z + t * s->z.step, n, 0, f->m, unit, t);
        }
        if (t == 0 || f->t_varies)
            put(m->t + t * s->t.step, n, 0, 0, (struct part){f->t, f->t_varies, f->m, f->m}, t);
        if (t == 0 || f->rr_varies) {
            put(m->rr + t * s->rr.step, r, 0, 0, (struct part){f->rr, f->rr_varies, f->m, f->r}, t);
            put(m->rr + t * s->rr.step, r, f->m, f->r, unit, t);
        }
        if (t == 0 || q_varies) {
            put(m->q + t * s->q.step, r, 0, 0, (struct part){f->q, f->q_varies, f->r, f->r}, t);
            struct part h = {f->h, f->h_varies, noise, noise};
            if (noise)
                put(m->q + t * s->q.step, r, f->r, f->r, h, next); /* drawn for the next time */
        }
    }
    layout_noise(m, f, noise);
    layout_start(m, f, noise);
    if (f->d)
        s->d = (struct ssm_matrix){f->d, f->d_varies ? f->p : 0};
    if (f->c) {
        double *c = make(m, &s->c, n, f->c_varies);
        for (size_t t = 0; t < (f->c_varies ? s->n : 1); t++)
            memcpy(c + t * n, f->c + t * f->m, f->m * sizeof(double));
    }
    m->state_names = arena_array(m->arena, n, sizeof(char *));
    for (size_t i = 0; i < n; i++)
        m->state_names[i] = arena_printf(m->arena, i < f->m ? "states[%zu]" : "noise[%zu]",
                                         i < f->m ? i : i - f->m);
}
