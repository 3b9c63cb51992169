/* Components that add up: trend, seasonals, cycle, autoregression, regressors, noise. */
#include <math.h>
#include <string.h>

#include "kalman/model.h"

/* Where each component begins among the states and the disturbances, recorded as parameters are
 * added. */
static size_t
trend_states(enum model_trend t)
{
    return t == MODEL_NO_TREND ? 0 : t == MODEL_LOCAL_LEVEL || t == MODEL_FIXED_LEVEL ? 1 : 2;
}

static size_t
seasonal_states(const struct model_seasonal *s)
{
    if (!s->trigonometric || s->harmonics == 0)
        return s->period - 1;
    size_t last = 2 * s->harmonics;
    return last == s->period ? last - 1 : last;
}

static size_t
seasonal_disturbances(const struct model_seasonal *s)
{
    return s->trigonometric ? seasonal_states(s) : 1;
}

size_t
model_structural_states(const struct model_structural *s)
{
    size_t m = trend_states(s->trend) + (s->cycle ? 2 : 0) + s->ar_order + s->regressor_count;
    for (size_t i = 0; i < s->seasonal_count; i++)
        m += seasonal_states(&s->seasonals[i]);
    return m;
}

/* The states and disturbances handed out so far. */
struct layout {
    struct model *m;
    size_t state, disturbance;
};

static void
set_t(struct layout *l, size_t i, size_t j, double x)
{
    l->m->t[i * l->m->s.m + j] = x;
}

/* A disturbance that drives state i; returns its index. */
static size_t
drive(struct layout *l, size_t i)
{
    l->m->rr[i * l->m->s.r + l->disturbance] = 1;
    return l->disturbance++;
}

static size_t
add_state(struct layout *l, const char *name, bool observed, bool diffuse)
{
    struct model *m = l->m;
    size_t i = l->state++;
    m->state_names[i] = name;
    m->p1_inf[i] = diffuse;
    for (size_t t = 0; observed && t < (m->s.z.step ? m->s.n : 1); t++)
        m->z[t * m->s.m + i] = 1;
    return i;
}

static void
add_variance(struct layout *l, const char *name, struct model_value v, size_t disturbance,
             bool one_only)
{
    struct model_parameter *p = model_add(l->m, name, MODEL_VARIANCE, v);
    p->low = (double)disturbance;
    p->score_q = one_only ? (int)disturbance : -1;
}

static void
layout_trend(struct layout *l, const struct model_structural *s)
{
    if (s->trend == MODEL_NO_TREND)
        return;
    size_t level = add_state(l, "level", true, true);
    set_t(l, level, level, 1);
    if (s->trend == MODEL_LOCAL_LEVEL || s->trend == MODEL_LINEAR_TREND || s->trend == MODEL_DRIFT)
        add_variance(l, "level_variance", s->level_variance, drive(l, level), true);
    if (trend_states(s->trend) < 2)
        return;
    size_t slope = add_state(l, "slope", false, true);
    set_t(l, level, slope, 1);
    set_t(l, slope, slope, 1);
    if (s->trend != MODEL_DRIFT)
        add_variance(l, "slope_variance", s->slope_variance, drive(l, slope), true);
}

static void
layout_dummies(struct layout *l, const struct model_seasonal *s, const char *name)
{
    size_t first = l->state, count = s->period - 1;
    for (size_t i = 0; i < count; i++) {
        add_state(l, name, i == 0, true);
        set_t(l, first, first + i, -1);
        if (i > 0)
            set_t(l, first + i, first + i - 1, 1);
    }
}

/* A rotation of two states by `angle`, shrunk by `damping`. */
static void
rotate(struct layout *l, size_t i, double angle, double damping)
{
    set_t(l, i, i, damping * cos(angle));
    set_t(l, i, i + 1, damping * sin(angle));
    set_t(l, i + 1, i, -damping * sin(angle));
    set_t(l, i + 1, i + 1, damping * cos(angle));
}

static void
layout_harmonics(struct layout *l, const struct model_seasonal *s, const char *name)
{
    size_t count = s->harmonics ? s->harmonics : s->period / 2;
    for (size_t h = 1; h <= count; h++) {
        double angle = 2 * M_PI * (double)h / (double)s->period;
        size_t i = add_state(l, name, true, true);
        if (2 * h == s->period) {
            set_t(l, i, i, -1);
            continue;
        }
        add_state(l, name, false, true);
        rotate(l, i, angle, 1);
    }
}

static void
layout_seasonal(struct layout *l, const struct model_seasonal *s, size_t index)
{
    const char *name = arena_printf(l->m->arena, "seasonals[%zu]", index);
    size_t first = l->state, from = l->disturbance;
    if (s->trigonometric)
        layout_harmonics(l, s, name);
    else
        layout_dummies(l, s, name);
    for (size_t i = 0; i < seasonal_disturbances(s); i++)
        drive(l, first + i);
    add_variance(l, arena_printf(l->m->arena, "seasonals[%zu].variance", index), s->variance, from,
                 seasonal_disturbances(s) == 1);
}

static void
layout_cycle(struct layout *l, const struct model_structural *s)
{
    size_t first = add_state(l, "cycle", true, false);
    add_state(l, "cycle", false, false);
    size_t from = drive(l, first);
    drive(l, first + 1);
    struct model_parameter *p = model_add(l->m, "cycle.period", MODEL_BETWEEN, s->cycle_period);
    p->low = s->cycle_min_period;
    p->high = s->cycle_max_period;
    p = model_add(l->m, "cycle.damping", MODEL_BETWEEN, s->cycle_damping);
    p->high = 1;
    add_variance(l, "cycle.variance", s->cycle_variance, from, false);
}

static void
layout_autoregression(struct layout *l, const struct model_structural *s)
{
    size_t first = l->state;
    for (size_t i = 0; i < s->ar_order; i++) {
        add_state(l, "ar", i == 0, false);
        if (i > 0)
            set_t(l, first + i, first + i - 1, 1);
    }
    size_t d = drive(l, first);
    model_add_block(l->m, "ar.coefficients", MODEL_STATIONARY, s->ar, s->ar_order);
    add_variance(l, "ar.variance", s->ar_variance, d, false);
}

static void
layout_regressor(struct layout *l, const struct model_regressor *r, size_t index)
{
    struct model *m = l->m;
    size_t i = add_state(l, arena_printf(m->arena, "regressors[%zu]", index), false, true);
    set_t(l, i, i, 1);
    double squares = 0;
    for (size_t t = 0; t < m->s.n; t++) {
        m->z[t * m->s.m + i] = r->values[t];
        squares += r->values[t] * r->values[t];
    }
    if (squares > 0 && isfinite(squares))
        m->p1_inf[i] = (double)m->s.n / squares;
    if (!r->variance.given || r->variance.value > 0)
        add_variance(l, arena_printf(m->arena, "regressors[%zu].variance", index), r->variance,
                     drive(l, i), true);
}

static size_t
count_disturbances(const struct model_structural *s)
{
    size_t r = s->trend == MODEL_NO_TREND || s->trend == MODEL_FIXED_LEVEL ? 0
               : s->trend == MODEL_LINEAR_TREND                            ? 2
                                                                           : 1;
    r += (s->cycle ? 2U : 0U) + (s->ar_order ? 1U : 0U);
    for (size_t i = 0; i < s->seasonal_count; i++)
        r += seasonal_disturbances(&s->seasonals[i]);
    for (size_t i = 0; i < s->regressor_count; i++)
        r += !s->regressors[i].variance.given || s->regressors[i].variance.value > 0;
    return r;
}

void
model_structural_layout(struct model *m)
{
    const struct model_structural *s = &m->spec->structural;
    struct layout l = {.m = m};
    size_t r = count_disturbances(s);
    model_allocate(m, model_structural_states(s), r ? r : 1, s->regressor_count > 0, false, false);
    m->scratch = arena_array(m->arena, 6 * s->ar_order, s->ar_order * sizeof(double));
    model_add(m, "observation_variance", MODEL_VARIANCE, s->observation_variance)->score_h = 0;
    layout_trend(&l, s);
    for (size_t i = 0; i < s->seasonal_count; i++)
        layout_seasonal(&l, &s->seasonals[i], i);
    if (s->cycle)
        layout_cycle(&l, s);
    if (s->ar_order)
        layout_autoregression(&l, s);
    for (size_t i = 0; i < s->regressor_count; i++)
        layout_regressor(&l, &s->regressors[i], i);
}

static struct model_parameter *
next(struct model_parameter **p)
{
    return (*p)++;
}

/* Puts the variance into `count` places of q from where add_variance said. */
static void
put_variance(struct model *m, const struct model_parameter *p, size_t count)
{
    size_t from = (size_t)p->low, r = m->s.r;
    for (size_t i = from; i < from + count; i++)
        m->q[i * r + i] = p->value;
}

static void
apply_cycle(struct model *m, struct model_parameter **p, size_t first)
{
    double period = next(p)->value, damping = next(p)->value;
    struct model_parameter *v = next(p);
    struct layout l = {.m = m};
    rotate(&l, first, 2 * M_PI / period, damping);
    put_variance(m, v, 2);
    double start = v->value / (1 - damping * damping);
    for (size_t i = first; i < first + 2; i++)
        m->p1[i * m->s.m + i] = start;
}

static void
apply_autoregression(struct model *m, struct model_parameter **p, size_t first, size_t order)
{
    size_t n = m->s.m, square = order * order;
    double *t = m->scratch, *v = t + square, *start = v + square, *work = start + square;
    memset(t, 0, 2 * square * sizeof(double));
    for (size_t i = 0; i < order; i++) {
        t[i] = m->t[first * n + first + i] = next(p)->value;
        if (i > 0)
            t[i * order + i - 1] = 1;
    }
    struct model_parameter *var = next(p);
    put_variance(m, var, 1);
    v[0] = var->value;
    if (!model_stationary_variance(t, v, order, work, start))
        memset(start, 0, square * sizeof(double));
    for (size_t i = 0; i < order; i++) {
        for (size_t j = 0; j < order; j++)
            m->p1[(first + i) * n + first + j] = start[i * order + j];
    }
}

void
model_structural_apply(struct model *m)
{
    const struct model_structural *s = &m->spec->structural;
    struct model_parameter *p = m->parameters;
    size_t state = trend_states(s->trend);
    m->h[0] = next(&p)->value;
    bool level =
        s->trend == MODEL_LOCAL_LEVEL || s->trend == MODEL_LINEAR_TREND || s->trend == MODEL_DRIFT;
    if (level)
        put_variance(m, next(&p), 1);
    if (s->trend == MODEL_LINEAR_TREND || s->trend == MODEL_SMOOTH_TREND)
        put_variance(m, next(&p), 1);
    for (size_t i = 0; i < s->seasonal_count; i++) {
        put_variance(m, next(&p), seasonal_disturbances(&s->seasonals[i]));
        state += seasonal_states(&s->seasonals[i]);
    }
    if (s->cycle) {
        apply_cycle(m, &p, state);
        state += 2;
    }
    if (s->ar_order)
        apply_autoregression(m, &p, state, s->ar_order);
    while (p < m->parameters + m->parameter_count)
        put_variance(m, next(&p), 1);
}
