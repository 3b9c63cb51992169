/*
 * Fixed-interval smoothing, number by number backwards. With L = I - K Z everything is a correction
 * by rows and columns that Z touches. Durbin and Koopman (2012): 4.4 and 4.5, diffuse part 5.3
 * and 5.4.
 */
#include <math.h>
#include <string.h>

#include "kalman/ssm.h"

struct smoother {
    const struct ssm *s;
    const struct ssm_filtered *f;
    unsigned what;
    bool moments; /* the N are needed */
    struct ssm_smoothed *out;
    double *r0, *r1, *n0, *n1, *n2;    /* r and N of the paper, with their diffuse companions */
    double *k, *k1, *g, *g1, *g2, *g3; /* m each */
    double *work, *work2;              /* wide x wide */
};

static double
dot(const double *a, const double *b, size_t n)
{
    double x = 0;
    for (size_t i = 0; i < n; i++)
        x += a[i] * b[i];
    return x;
}

/* g = N k, and with `left` g = N' k */
static void
times(const double *n, const double *k, size_t m, bool left, double *g)
{
    memset(g, 0, m * sizeof(double));
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++) {
            if (left)
                g[j] += n[i * m + j] * k[i];
            else
                g[i] += n[i * m + j] * k[j];
        }
    }
}

/* N - z a' - b z' + z z' c */
static void
correct(double *n, const double *z, const double *a, const double *b, double c, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        if (z[i] != 0) {
            for (size_t j = 0; j < m; j++)
                n[i * m + j] += z[i] * (z[j] * c - a[j]);
        }
        for (size_t j = 0; j < m; j++)
            n[i * m + j] -= b[i] * z[j];
    }
}

static void
add_scaled(double *r, const double *z, double x, size_t m)
{
    for (size_t j = 0; j < m; j++)
        r[j] += z[j] * x;
}

/* L' N L for L = I - k z, with N not symmetric. */
static void
sandwich(struct smoother *w, double *n, const double *z, const double *k)
{
    size_t m = w->s->m;
    times(n, k, m, true, w->g);   /* N'k */
    times(n, k, m, false, w->g1); /* N k */
    correct(n, z, w->g, w->g1, dot(k, w->g1, m), m);
}

static void
take_regular(struct smoother *w, size_t at, const double *z, bool diffuse, double *u, double *d)
{
    const struct ssm_filtered *f = w->f;
    size_t m = w->s->m;
    double fs = f->f[at];
    for (size_t j = 0; j < m; j++)
        w->k[j] = f->mv[at * m + j] / fs;
    *u = f->v[at] / fs - dot(w->k, w->r0, m);
    if (w->moments) {
        times(w->n0, w->k, m, false, w->g);
        *d = 1 / fs + dot(w->k, w->g, m);
        correct(w->n0, z, w->g, w->g, *d, m);
    }
    add_scaled(w->r0, z, *u, m);
    if (!diffuse)
        return;
    add_scaled(w->r1, z, -dot(w->k, w->r1, m), m);
    if (w->moments) {
        sandwich(w, w->n1, z, w->k);
        sandwich(w, w->n2, z, w->k);
    }
}

/* N0, N1 and N2 behind a number that told about the diffuse part; N2 and N1 first: they use the old
 * ones. */
static void
take_diffuse_moments(struct smoother *w, const double *z, double fs, double fi)
{
    size_t m = w->s->m;
    const double *k = w->k, *k1 = w->k1;
    /* N2: -z z' F/Finf^2 + L'N2 L + L'N1 L1 + (L'N1 L1)' + L1'N0 L1 with L1 = -k1 z */
    times(w->n1, k1, m, false, w->g2);
    double both = dot(k, w->g2, m);
    times(w->n0, k1, m, false, w->g3);
    double c = 2 * both + dot(k1, w->g3, m) - fs / (fi * fi);
    sandwich(w, w->n2, z, k);
    correct(w->n2, z, w->g2, w->g2, c, m);
    /* N1: z z'/Finf + L'N1 L + L1'N0 L */
    sandwich(w, w->n1, z, k);
    times(w->n0, k, m, false, w->g);
    memset(w->g1, 0, m * sizeof(double));
    correct(w->n1, z, w->g3, w->g1, dot(k1, w->g, m) + 1 / fi, m);
    correct(w->n0, z, w->g, w->g, dot(k, w->g, m), m);
}

static void
take_diffuse(struct smoother *w, size_t at, const double *z, double *u, double *d)
{
    const struct ssm_filtered *f = w->f;
    size_t m = w->s->m;
    double fs = f->f[at], fi = f->f_inf[at];
    for (size_t j = 0; j < m; j++) {
        w->k[j] = f->mv_inf[at * m + j] / fi;
        w->k1[j] = (f->mv[at * m + j] - w->k[j] * fs) / fi;
    }
    *u = -dot(w->k, w->r0, m);
    add_scaled(w->r1, z, f->v[at] / fi - dot(w->k, w->r1, m) - dot(w->k1, w->r0, m), m);
    if (w->moments) {
        times(w->n0, w->k, m, false, w->g);
        *d = dot(w->k, w->g, m);
        take_diffuse_moments(w, z, fs, fi);
    }
    add_scaled(w->r0, z, *u, m);
}

/* out = A' N A for A = T */
static void
transform(const double *t, double *n, size_t m, double *work)
{
    memset(work, 0, m * m * sizeof(double)); /* work = N T */
    for (size_t i = 0; i < m; i++) {
        for (size_t k = 0; k < m; k++) {
            double x = n[i * m + k];
            for (size_t j = 0; x != 0 && j < m; j++)
                work[i * m + j] += x * t[k * m + j];
        }
    }
    memset(n, 0, m * m * sizeof(double));
    for (size_t k = 0; k < m; k++) {
        for (size_t i = 0; i < m; i++) {
            double x = t[k * m + i];
            for (size_t j = 0; x != 0 && j < m; j++)
                n[i * m + j] += x * work[k * m + j];
        }
    }
}

static void
transform_vector(const double *t, double *r, size_t m, double *work)
{
    memset(work, 0, m * sizeof(double));
    for (size_t i = 0; i < m; i++)
        add_scaled(work, t + i * m, r[i], m);
    memcpy(r, work, m * sizeof(double));
}

/* Disturbances of the state at time t, from r and N as they are between t and t + 1. */
static void
disturb_state(struct smoother *w, size_t t)
{
    const struct ssm *s = w->s;
    const double *rr = ssm_at(s->rr, t), *q = ssm_at(s->q, t);
    size_t m = s->m, k = s->r;
    double *rn = w->work, *rnr = w->work2, *rv = w->g2;
    for (size_t b = 0; b < k; b++) {
        double x = 0;
        for (size_t i = 0; i < m; i++)
            x += rr[i * k + b] * w->r0[i];
        rv[b] = x;
    }
    if (w->what & SSM_SMOOTH_AUXILIARY)
        memcpy(w->out->rv + t * k, rv, k * sizeof(double));
    for (size_t a = 0; a < k; a++) { /* R'NR */
        memset(rn, 0, m * sizeof(double));
        for (size_t i = 0; i < m; i++)
            add_scaled(rn, w->n0 + i * m, rr[i * k + a], m);
        for (size_t b = 0; b < k; b++) {
            double x = 0;
            for (size_t j = 0; j < m; j++)
                x += rn[j] * rr[j * k + b];
            rnr[a * k + b] = x;
        }
        if (w->what & SSM_SMOOTH_AUXILIARY)
            w->out->nv[t * k + a] = rnr[a * k + a];
    }
    if (!(w->what & SSM_SMOOTH_DISTURBANCES))
        return;
    for (size_t a = 0; a < k; a++) {
        double lost = 0;
        for (size_t b = 0; b < k; b++)
            lost += q[a * k + b] * dot(rnr + b * k, q + a * k, k);
        w->out->eta[t * k + a] = dot(q + a * k, rv, k);
        w->out->eta_variance[t * k + a] = fmax(0, q[a * k + a] - lost);
    }
}

static void
disturb_observation(struct smoother *w, size_t at, double h, double u, double d)
{
    if (w->what & SSM_SMOOTH_AUXILIARY) {
        w->out->u[at] = u;
        w->out->d[at] = d;
    }
    if (w->what & SSM_SMOOTH_DISTURBANCES) {
        w->out->eps[at] = h * u;
        w->out->eps_variance[at] = fmax(0, h - h * h * d);
    }
}

/* V -= A N B, symmetric when `both` adds its transpose. */
static void
subtract(double *v, const double *a, const double *n, const double *b, size_t m, bool both,
         double *work)
{
    memset(work, 0, m * m * sizeof(double));
    for (size_t i = 0; i < m; i++) {
        for (size_t k = 0; k < m; k++) {
            double x = a[i * m + k];
            for (size_t j = 0; x != 0 && j < m; j++)
                work[i * m + j] += x * n[k * m + j];
        }
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++) {
            double x = dot(work + i * m, b + j * m, m); /* b is symmetric */
            v[i * m + j] -= x;
            if (both)
                v[j * m + i] -= x;
        }
    }
}

static void
write_state(struct smoother *w, size_t t, bool diffuse)
{
    const struct ssm_filtered *f = w->f;
    size_t m = w->s->m;
    const double *p = f->p + t * m * m, *pi = diffuse ? f->p_inf + t * m * m : NULL;
    double *alpha = w->out->alpha + t * m;
    for (size_t j = 0; j < m; j++) {
        alpha[j] = f->a[t * m + j] + dot(p + j * m, w->r0, m);
        if (diffuse)
            alpha[j] += dot(pi + j * m, w->r1, m);
    }
    if (!(w->what & SSM_SMOOTH_VARIANCE))
        return;
    double *v = w->out->variance + t * m * m;
    memcpy(v, p, m * m * sizeof(double));
    subtract(v, p, w->n0, p, m, false, w->work);
    if (diffuse) {
        subtract(v, pi, w->n1, p, m, true, w->work);
        subtract(v, pi, w->n2, pi, m, false, w->work);
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < i; j++)
            v[i * m + j] = v[j * m + i] = 0.5 * (v[i * m + j] + v[j * m + i]);
        v[i * m + i] = fmax(0, v[i * m + i]);
    }
}

static void
smooth_time(struct smoother *w, size_t t)
{
    const struct ssm *s = w->s;
    size_t m = s->m, p = s->p;
    const double *h = ssm_at(s->h, t), *z = ssm_at(s->z, t), *tt = ssm_at(s->t, t);
    bool diffuse = t < w->f->diffuse_steps;
    if (w->what & (SSM_SMOOTH_DISTURBANCES | SSM_SMOOTH_AUXILIARY))
        disturb_state(w, t);
    transform_vector(tt, w->r0, m, w->work);
    if (w->moments)
        transform(tt, w->n0, m, w->work);
    if (diffuse) {
        transform_vector(tt, w->r1, m, w->work);
        if (w->moments) {
            transform(tt, w->n1, m, w->work);
            transform(tt, w->n2, m, w->work);
        }
    }
    for (size_t i = p; i-- > 0;) {
        double u = 0, d = 0;
        size_t at = t * p + i;
        if (w->f->kind[at] == SSM_REGULAR)
            take_regular(w, at, z + i * m, diffuse, &u, &d);
        else if (w->f->kind[at] == SSM_DIFFUSE)
            take_diffuse(w, at, z + i * m, &u, &d);
        disturb_observation(w, at, h[i], u, d);
    }
    write_state(w, t, diffuse);
}

static void
prepare_out(const struct ssm *s, unsigned what, struct arena *a, struct ssm_smoothed *o)
{
    o->alpha = arena_array(a, s->n, s->m * sizeof(double));
    if (what & SSM_SMOOTH_VARIANCE)
        o->variance = arena_array(a, s->n, s->m * s->m * sizeof(double));
    if (what & SSM_SMOOTH_DISTURBANCES) {
        o->eps = arena_array(a, s->n, s->p * sizeof(double));
        o->eps_variance = arena_array(a, s->n, s->p * sizeof(double));
        o->eta = arena_array(a, s->n, s->r * sizeof(double));
        o->eta_variance = arena_array(a, s->n, s->r * sizeof(double));
    }
    if (what & SSM_SMOOTH_AUXILIARY) {
        o->u = arena_array(a, s->n, s->p * sizeof(double));
        o->d = arena_array(a, s->n, s->p * sizeof(double));
        o->rv = arena_array(a, s->n, s->r * sizeof(double));
        o->nv = arena_array(a, s->n, s->r * sizeof(double));
    }
}

bool
ssm_smooth(const struct ssm *s, const struct ssm_filtered *f, unsigned what, struct arena *arena,
           const struct ssm_stop *stop, struct ssm_smoothed *ret)
{
    struct ssm_smoothed out = {0};
    struct smoother w = {.s = s, .f = f, .what = what, .moments = what != 0, .out = &out};
    size_t m = s->m, wide = m > s->r ? m : s->r, period = ssm_stop_period(m);
    double **vectors[] = {&w.r0, &w.r1, &w.k, &w.k1, &w.g, &w.g1, &w.g2, &w.g3};
    double **matrices[] = {&w.n0, &w.n1, &w.n2, &w.work, &w.work2};
    prepare_out(s, what, arena, &out);
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        *vectors[i] = arena_array(arena, wide, sizeof(double));
    for (size_t i = 0; i < ARRAY_LEN(matrices); i++)
        *matrices[i] = arena_array(arena, wide, wide * sizeof(double));
    for (size_t t = s->n; t-- > 0;) {
        if ((t & (period - 1)) == 0 && ssm_stopped(stop, ssm_stop_steps(t, s->n, period)))
            return false;
        smooth_time(&w, t);
    }
    *ret = out;
    return true;
}
