#include "kalman/model.h"

#include <math.h>
#include <string.h>

size_t
model_series(const struct model_spec *spec)
{
    return spec->kind == MODEL_MOTION ? spec->motion.axes
           : spec->kind == MODEL_FREE ? spec->free.p
                                      : 1;
}

size_t
model_states(const struct model_spec *spec, size_t n)
{
    switch (spec->kind) {
    case MODEL_STRUCTURAL:
        return model_structural_states(&spec->structural);
    case MODEL_ARIMA:
        return model_arima_states(&spec->arima);
    case MODEL_MOTION:
        return spec->motion.axes * (spec->motion.kind == MODEL_ACCELERATION ? 3 : 2);
    case MODEL_FREE:
        break;
    }
    return model_free_states(&spec->free, n);
}

struct model_parameter *
model_add(struct model *m, const char *name, enum model_range range, struct model_value v)
{
    ASSERT(m->parameter_count < MODEL_MAX_PARAMETERS);
    struct model_parameter *p = &m->parameters[m->parameter_count++];
    *p = (struct model_parameter){
        .name = name,
        .range = range,
        .block = 1,
        .value = v.value,
        .given = v.given,
        .score_h = -1,
        .score_q = -1,
    };
    m->unknown += !v.given;
    return p;
}

struct model_parameter *
model_add_block(struct model *m, const char *name, enum model_range range, const double *given,
                size_t count)
{
    struct model_parameter *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct model_value v = {given != NULL, given ? given[i] : 0};
        struct model_parameter *p =
            model_add(m, arena_printf(m->arena, "%s[%zu]", name, i), range, v);
        p->block = count;
        p->in_block = i;
        first = i == 0 ? p : first;
    }
    return first;
}

static double *
matrix(struct model *m, struct ssm_matrix *to, size_t size, bool varies)
{
    double *x = arena_array(m->arena, varies ? m->s.n : 1, size * sizeof(double));
    *to = (struct ssm_matrix){x, varies ? size : 0};
    return x;
}

void
model_allocate(struct model *m, size_t states, size_t disturbances, bool z_varies, bool t_varies,
               bool q_varies)
{
    struct ssm *s = &m->s;
    size_t p = s->p;
    s->m = states;
    s->r = disturbances;
    m->z = matrix(m, &s->z, p * states, z_varies);
    m->h = matrix(m, &s->h, p, false);
    m->t = matrix(m, &s->t, states * states, t_varies);
    m->rr = matrix(m, &s->rr, states * disturbances, false);
    m->q = matrix(m, &s->q, disturbances * disturbances, q_varies);
    m->a1 = arena_array(m->arena, states, sizeof(double));
    m->p1 = arena_array(m->arena, states, states * sizeof(double));
    m->p1_inf = arena_array(m->arena, states, sizeof(double));
    s->a1 = m->a1;
    s->p1 = m->p1;
    s->p1_inf = m->p1_inf;
    m->state_names = arena_array(m->arena, states, sizeof(char *));
}

struct model *
model_new(const struct model_spec *spec, size_t n, struct arena *arena)
{
    struct model *m = arena_new(arena, struct model);
    m->spec = spec;
    m->arena = arena;
    m->s.n = n;
    m->s.p = model_series(spec);
    m->parameters = arena_new_n(arena, struct model_parameter, MODEL_MAX_PARAMETERS);
    switch (spec->kind) {
    case MODEL_STRUCTURAL:
        model_structural_layout(m);
        break;
    case MODEL_ARIMA:
        model_arima_layout(m);
        break;
    case MODEL_MOTION:
        model_motion_layout(m);
        break;
    case MODEL_FREE:
        model_free_layout(m);
        break;
    }
    return m;
}

void
model_apply(struct model *m)
{
    switch (m->spec->kind) {
    case MODEL_STRUCTURAL:
        model_structural_apply(m);
        break;
    case MODEL_ARIMA:
        model_arima_apply(m);
        break;
    case MODEL_MOTION:
        model_motion_apply(m);
        break;
    case MODEL_FREE:
        break; /* written once */
    }
}

/* ---- bounds --------------------------------------------------------------------------------- */

/* The Durbin-Levinson recursion. */
void
model_from_partial(const double *partial, size_t n, double *a)
{
    double before[MODEL_MAX_ORDER];
    for (size_t k = 0; k < n; k++) {
        memcpy(before, a, k * sizeof(double));
        for (size_t i = 0; i < k; i++)
            a[i] = before[i] - partial[k] * before[k - 1 - i];
        a[k] = partial[k];
    }
}

bool
model_to_partial(const double *coefficients, size_t n, double *partial)
{
    double a[MODEL_MAX_ORDER];
    memcpy(a, coefficients, n * sizeof(double));
    for (size_t k = n; k-- > 0;) {
        double r = a[k], w = 1 - r * r, b[MODEL_MAX_ORDER];
        if (!(w > 0))
            return false;
        partial[k] = r;
        for (size_t i = 0; i < k; i++)
            b[i] = (a[i] + r * a[k - 1 - i]) / w;
        memcpy(a, b, k * sizeof(double));
    }
    return true;
}

/* (-1, 1) from any number, and back. */
static double
squeeze(double x)
{
    return x / sqrt(1 + x * x);
}

static double
stretch(double r)
{
    r = fmax(-0.99999, fmin(0.99999, r));
    return r / sqrt(1 - r * r);
}

static void
set_block(struct model_parameter *p, const double *x)
{
    double partial[MODEL_MAX_ORDER] = {0}, a[MODEL_MAX_ORDER];
    for (size_t i = 0; i < p->block; i++)
        partial[i] = squeeze(x[i]);
    model_from_partial(partial, p->block, a);
    for (size_t i = 0; i < p->block; i++)
        p[i].value = p->range == MODEL_STATIONARY ? a[i] : -a[i];
}

static void
get_block(const struct model_parameter *p, double *x)
{
    double partial[MODEL_MAX_ORDER] = {0}, a[MODEL_MAX_ORDER] = {0};
    for (size_t i = 0; i < p->block; i++)
        a[i] = p->range == MODEL_STATIONARY ? p[i].value : -p[i].value;
    if (!model_to_partial(a, p->block, partial))
        memset(partial, 0, sizeof(partial));
    for (size_t i = 0; i < p->block; i++)
        x[i] = stretch(partial[i]);
}

void
model_set_free(struct model *m, const double *x, double scale)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        if (p->given)
            continue;
        double e;
        switch (p->range) {
        case MODEL_VARIANCE:
            p->value = scale * *x * *x;
            break;
        case MODEL_BETWEEN:
            e = 1 / (1 + exp(-*x));
            p->value = p->low + (p->high - p->low) * e;
            break;
        case MODEL_POSITIVE:
            p->value = exp(fmax(-300, fmin(300, *x)));
            break;
        case MODEL_STATIONARY:
        case MODEL_INVERTIBLE:
            if (p->in_block == 0)
                set_block(p, x);
            break;
        }
        x++;
    }
}

void
model_get_free(const struct model *m, double scale, double *x)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        if (p->given)
            continue;
        double e;
        switch (p->range) {
        case MODEL_VARIANCE:
            *x = sqrt(p->value / scale);
            break;
        case MODEL_BETWEEN:
            e = (p->value - p->low) / (p->high - p->low);
            e = fmax(1e-9, fmin(1 - 1e-9, e));
            *x = log(e / (1 - e));
            break;
        case MODEL_POSITIVE:
            *x = log(p->value);
            break;
        case MODEL_STATIONARY:
        case MODEL_INVERTIBLE:
            if (p->in_block == 0)
                get_block(p, x);
            break;
        }
        x++;
    }
}

/* ---- stationary start ------------------------------------------------------------------------ */

static void
product(const double *a, const double *b, size_t m, bool b_transposed, double *to)
{
    memset(to, 0, m * m * sizeof(double));
    for (size_t i = 0; i < m; i++) {
        for (size_t k = 0; k < m; k++) {
            double x = a[i * m + k];
            if (x == 0)
                continue;
            for (size_t j = 0; j < m; j++)
                to[i * m + j] += x * (b_transposed ? b[j * m + k] : b[k * m + j]);
        }
    }
}

bool
model_stationary_variance(const double *t, const double *v, size_t m, double *work, double *p)
{
    double *a = work, *ap = work + m * m, *step = work + 2 * m * m;
    memcpy(a, t, m * m * sizeof(double));
    memcpy(p, v, m * m * sizeof(double));
    for (int round = 0; round < 60; round++) {
        /* P += A P A', A = A A: after k rounds the first 2^k terms of the series. */
        product(a, p, m, false, ap);
        product(ap, a, m, true, step);
        double change = 0, size = 0;
        for (size_t i = 0; i < m * m; i++) {
            p[i] += step[i];
            change = fmax(change, fabs(step[i]));
            size = fmax(size, fabs(p[i]));
        }
        if (!isfinite(size))
            return false;
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < i; j++)
                p[i * m + j] = p[j * m + i] = 0.5 * (p[i * m + j] + p[j * m + i]);
        }
        if (change <= 1e-17 * size)
            return true;
        product(a, a, m, false, ap);
        memcpy(a, ap, m * m * sizeof(double));
    }
    return false;
}
