/*
 * Variances and gains of a Kalman filter do not depend on the values, only on which are missing.
 * They are computed once for each pattern, and the means of its series run side by side, LANES at a
 * time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kalman/analysis.h"
#include "kalman/ssm_sums.h"

#define LANES 8

struct batch {
    const struct ssm *s;
    const double *const *y;
    struct analysis_batch *out;
    bool concentrated;
    enum ssm_convention convention;
    struct ssm_filtered f; /* of the pattern */
};

/* A series and the hash of its pattern. */
struct pattern {
    uint64_t hash;
    size_t series;
};

static uint64_t
hash_pattern(const double *y, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)(y[i] == y[i])) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static bool
same_pattern(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((a[i] == a[i]) != (b[i] == b[i]))
            return false;
    }
    return true;
}

static int
by_hash(const void *a, const void *b)
{
    const struct pattern *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->series < y->series ? -1 : x->series > y->series;
}

/* What runs through time for LANES series: element j of lane l at [j * LANES + l]. */
struct lanes {
    const double *y[LANES];
    size_t series[LANES];
    size_t used;
    double *a, *next;
    struct ssm_sum squares[LANES];
    bool impossible[LANES];
};

static void
take_number(const struct batch *b, struct lanes *l, size_t t, size_t i)
{
    const struct ssm *s = b->s;
    const struct ssm_filtered *f = &b->f;
    size_t at = t * s->p + i, m = s->m;
    const double *z = ssm_at(s->z, t) + i * m, *d = ssm_at(s->d, t);
    enum ssm_kind kind = f->kind[at];
    if (kind == SSM_MISSING)
        return;
    double v[LANES], w[LANES];
    for (size_t k = 0; k < LANES; k++)
        v[k] = l->y[k][at] - (d ? d[i] : 0);
    for (size_t j = 0; j < m; j++) {
        if (z[j] == 0)
            continue;
        for (size_t k = 0; k < LANES; k++)
            v[k] -= z[j] * l->a[j * LANES + k];
    }
    if (kind == SSM_CERTAIN) {
        for (size_t k = 0; k < LANES; k++)
            l->impossible[k] |= v[k] != 0;
        return;
    }
    const double *mv = kind == SSM_DIFFUSE ? f->mv_inf + at * m : f->mv + at * m;
    double inverse = 1 / (kind == SSM_DIFFUSE ? f->f_inf[at] : f->f[at]);
    for (size_t k = 0; k < LANES; k++)
        w[k] = v[k] * inverse;
    for (size_t j = 0; j < m; j++) {
        for (size_t k = 0; k < LANES; k++)
            l->a[j * LANES + k] += mv[j] * w[k];
    }
    for (size_t k = 0; kind == SSM_REGULAR && k < LANES; k++)
        ssm_sum_add(&l->squares[k], v[k] * w[k]);
}

static void
predict(const struct batch *b, struct lanes *l, size_t t)
{
    const struct ssm *s = b->s;
    const double *tt = ssm_at(s->t, t), *c = ssm_at(s->c, t);
    size_t m = s->m;
    for (size_t i = 0; i < m; i++) {
        double x[LANES];
        for (size_t k = 0; k < LANES; k++)
            x[k] = c ? c[i] : 0;
        for (size_t j = 0; j < m; j++) {
            double e = tt[i * m + j];
            if (e == 0)
                continue;
            for (size_t k = 0; k < LANES; k++)
                x[k] += e * l->a[j * LANES + k];
        }
        memcpy(l->next + i * LANES, x, sizeof(x));
    }
    double *swap = l->a;
    l->a = l->next;
    l->next = swap;
}

static void
keep(const struct batch *b, const struct lanes *l, size_t t)
{
    size_t m = b->s->m, n = b->s->n;
    for (size_t k = 0; k < l->used; k++) {
        for (size_t j = 0; j < m; j++) {
            if (b->out->states)
                b->out->states[(l->series[k] * n + t) * m + j] = l->a[j * LANES + k];
            if (t + 1 == n)
                b->out->last[l->series[k] * m + j] = l->a[j * LANES + k];
        }
    }
}

/* False: stopped. */
static bool
run_lanes(const struct batch *b, struct lanes *l, const struct ssm_stop *stop)
{
    const struct ssm *s = b->s;
    const size_t period = ssm_stop_period(s->m);
    for (size_t k = l->used; k < LANES; k++)
        l->y[k] = l->y[0];
    memset(l->squares, 0, sizeof(l->squares));
    memset(l->impossible, 0, sizeof(l->impossible));
    for (size_t j = 0; j < s->m; j++) {
        for (size_t k = 0; k < LANES; k++)
            l->a[j * LANES + k] = s->a1[j];
    }
    for (size_t t = 0; t < s->n; t++) {
        if ((t & (period - 1)) == 0 && ssm_stopped(stop, l->used * ssm_stop_steps(t, s->n, period)))
            return false;
        for (size_t i = 0; i < s->p; i++)
            take_number(b, l, t, i);
        if (b->out->states || t + 1 == s->n)
            keep(b, l, t);
        if (t + 1 < s->n)
            predict(b, l, t);
    }
    for (size_t k = 0; k < l->used; k++) {
        struct ssm_filtered f = b->f;
        double s2;
        f.squares = ssm_sum_value(&l->squares[k]);
        f.impossible = l->impossible[k];
        b->out->log_likelihood[l->series[k]] = b->concentrated
                                                   ? ssm_concentrated(&f, b->convention, &s2)
                                                   : ssm_log_likelihood(&f, b->convention);
    }
    return true;
}

/* The series order[0..count), which have one pattern. */
static bool
run_pattern(struct batch *b, const struct pattern *order, size_t count, struct lanes *l,
            struct arena *scratch, const struct ssm_stop *stop)
{
    arena_reset(scratch);
    unsigned what = SSM_KEEP_INNOVATIONS | SSM_KEEP_GAINS;
    /* Its steps are not those of a series: they are not counted. */
    struct ssm_stop gains = stop ? *stop : (struct ssm_stop){0};
    gains.progress = NULL;
    if (!ssm_filter(b->s, b->y[order[0].series], what, scratch, &gains, &b->f))
        return false;
    for (size_t i = 0; i < count; i += l->used) {
        l->used = count - i < LANES ? count - i : LANES;
        for (size_t k = 0; k < l->used; k++) {
            l->series[k] = order[i + k].series;
            l->y[k] = b->y[order[i + k].series];
        }
        if (!run_lanes(b, l, stop))
            return false;
    }
    return true;
}

bool
analysis_filter_batch(const struct ssm *s, const double *const *y, size_t count, bool want_states,
                      bool concentrated, enum ssm_convention c, struct arena *arena,
                      const struct ssm_stop *stop, struct analysis_batch *ret)
{
    struct analysis_batch out = {
        .last = arena_array(arena, count, s->m * sizeof(double)),
        .states = want_states ? arena_array(arena, count, s->n * s->m * sizeof(double)) : NULL,
        .log_likelihood = arena_array(arena, count, sizeof(double)),
    };
    struct batch b = {.s = s, .y = y, .out = &out, .concentrated = concentrated, .convention = c};
    struct lanes l = {.a = arena_array(arena, s->m, LANES * sizeof(double)),
                      .next = arena_array(arena, s->m, LANES * sizeof(double))};
    struct pattern *order = arena_array(arena, count, sizeof(*order));
    struct arena scratch;
    size_t numbers = s->n * s->p;
    bool going = true;
    for (size_t i = 0; i < count; i++)
        order[i] = (struct pattern){hash_pattern(y[i], numbers), i};
    qsort(order, count, sizeof(*order), by_hash);
    arena_init(&scratch, 0);
    for (size_t i = 0, end; going && i < count; i = end) {
        for (end = i + 1; end < count && order[end].hash == order[i].hash; end++) {
            if (!same_pattern(y[order[i].series], y[order[end].series], numbers))
                break;
        }
        going = run_pattern(&b, order + i, end - i, &l, &scratch, stop);
    }
    arena_fini(&scratch);
    *ret = out;
    return going;
}
