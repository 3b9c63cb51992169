#include "kalman/kalman_convert_rpc.h"

#include <math.h>

#include "luna/v1/kalman.pb-c.h"

typedef Google__Protobuf__DoubleValue Number;

struct reader {
    struct ctx *ctx;
    const char *path;
    size_t times;
    enum status st;
};

static void
bad(struct reader *r, const char *field, const char *text)
{
    enum status st =
        fail_field(r->ctx, arena_printf(r->ctx->arena, "%s.%s", r->path, field), "%s", text);
    r->st = r->st == OK ? st : r->st;
}

static struct model_value
value(const Number *n)
{
    return n ? (struct model_value){true, n->value} : (struct model_value){false, 0};
}

/* A whole number from 0 to `most`. */
static size_t
count(struct reader *r, const char *field, int32_t n, int32_t most)
{
    if (n >= 0 && n <= most)
        return (size_t)n;
    bad(r, field, arena_printf(r->ctx->arena, "is not from 0 to %d", most));
    return 0;
}

/* A list that is empty or has `size` numbers. */
static const double *
list(struct reader *r, const char *field, const double *x, size_t n, size_t size)
{
    if (n != 0 && n != size)
        bad(r, field, arena_printf(r->ctx->arena, "holds %zu numbers, not %zu", n, size));
    return n ? x : NULL;
}

/* The same, once or for each time. */
static const double *
matrix(struct reader *r, const char *field, const double *x, size_t n, size_t size, bool needed,
       bool *ret_varies)
{
    *ret_varies = n == size * r->times && r->times > 1;
    if (n != 0 && n != size && !*ret_varies)
        bad(r, field,
            arena_printf(r->ctx->arena, "holds %zu numbers, not %zu or that for each of %zu times",
                         n, size, r->times));
    if (n == 0 && needed)
        bad(r, field, "is required");
    return n ? x : NULL;
}

static enum model_trend
trend(struct reader *r, Luna__V1__Trend t)
{
    static const enum model_trend trends[] = {
        MODEL_LOCAL_LEVEL,  MODEL_NO_TREND, MODEL_LOCAL_LEVEL, MODEL_LINEAR_TREND,
        MODEL_SMOOTH_TREND, MODEL_DRIFT,    MODEL_FIXED_LEVEL};
    if ((size_t)t < ARRAY_LEN(trends))
        return trends[t];
    bad(r, "structural.trend", "is not known");
    return MODEL_NO_TREND;
}

static void
read_seasonals(struct reader *r, const Luna__V1__StructuralModel *p, struct model_structural *s)
{
    if (p->n_seasonals > 8)
        bad(r, "structural.seasonals", "are more than 8");
    struct model_seasonal *to = arena_new_n(r->ctx->arena, struct model_seasonal, p->n_seasonals);
    for (size_t i = 0; i < p->n_seasonals; i++) {
        const Luna__V1__Seasonal *e = p->seasonals[i];
        const char *path = arena_printf(r->ctx->arena, "structural.seasonals[%zu]", i);
        to[i].period =
            count(r, arena_printf(r->ctx->arena, "%s.period", path), e->period, MODEL_MAX_STATES);
        to[i].harmonics = count(r, arena_printf(r->ctx->arena, "%s.harmonics", path), e->harmonics,
                                MODEL_MAX_STATES);
        to[i].trigonometric = e->trigonometric;
        to[i].variance = value(e->variance);
    }
    s->seasonals = to;
    s->seasonal_count = p->n_seasonals;
}

static void
read_regressors(struct reader *r, const Luna__V1__StructuralModel *p, struct model_structural *s)
{
    if (p->n_regressors > 32)
        bad(r, "structural.regressors", "are more than 32");
    struct model_regressor *to =
        arena_new_n(r->ctx->arena, struct model_regressor, p->n_regressors);
    for (size_t i = 0; i < p->n_regressors; i++) {
        const Luna__V1__Regressor *e = p->regressors[i];
        const char *path = arena_printf(r->ctx->arena, "structural.regressors[%zu]", i);
        to[i].values = list(r, arena_printf(r->ctx->arena, "%s.values", path), e->values,
                            e->n_values, r->times);
        if (!to[i].values)
            bad(r, arena_printf(r->ctx->arena, "%s.values", path), "is required");
        if (e->variance && !e->time_varying)
            bad(r, arena_printf(r->ctx->arena, "%s.variance", path), "needs time_varying");
        to[i].variance = e->time_varying ? value(e->variance) : (struct model_value){true, 0};
    }
    s->regressors = to;
    s->regressor_count = p->n_regressors;
}

static void
read_structural(struct reader *r, const Luna__V1__StructuralModel *p, struct model_structural *s)
{
    s->trend = trend(r, p->trend);
    s->observation_variance = value(p->observation_variance);
    s->level_variance = value(p->level_variance);
    s->slope_variance = value(p->slope_variance);
    bool level =
        s->trend == MODEL_LOCAL_LEVEL || s->trend == MODEL_LINEAR_TREND || s->trend == MODEL_DRIFT;
    bool slope = s->trend == MODEL_LINEAR_TREND || s->trend == MODEL_SMOOTH_TREND;
    if (p->level_variance && !level)
        bad(r, "structural.level_variance", "has no place in this trend");
    if (p->slope_variance && !slope)
        bad(r, "structural.slope_variance", "has no place in this trend");
    read_seasonals(r, p, s);
    read_regressors(r, p, s);
    if (p->cycle) {
        s->cycle = true;
        s->cycle_period = value(p->cycle->period);
        s->cycle_damping = value(p->cycle->damping);
        s->cycle_variance = value(p->cycle->variance);
        s->cycle_min_period = p->cycle->min_period > 0 ? p->cycle->min_period : 2;
        s->cycle_max_period =
            p->cycle->max_period > 0 ? p->cycle->max_period : fmax(4, (double)r->times / 2);
    }
    const Luna__V1__Autoregression *ar = p->autoregression;
    if (ar) {
        s->ar_order = count(r, "structural.autoregression.order", ar->order, MODEL_MAX_ORDER);
        s->ar = list(r, "structural.autoregression.coefficients", ar->coefficients,
                     ar->n_coefficients, s->ar_order);
        s->ar_variance = value(ar->variance);
        if (ar->order == 0)
            bad(r, "structural.autoregression.order", "is not from 1 to 32");
    }
}

static void
read_arima(struct reader *r, const Luna__V1__ArimaModel *p, struct model_arima *a)
{
    a->p = count(r, "arima.p", p->p, MODEL_MAX_ORDER);
    a->d = count(r, "arima.d", p->d, 3);
    a->q = count(r, "arima.q", p->q, MODEL_MAX_ORDER);
    a->sp = count(r, "arima.seasonal_p", p->seasonal_p, MODEL_MAX_ORDER);
    a->sd = count(r, "arima.seasonal_d", p->seasonal_d, 2);
    a->sq = count(r, "arima.seasonal_q", p->seasonal_q, MODEL_MAX_ORDER);
    a->s = count(r, "arima.season", p->season, MODEL_MAX_STATES);
    a->ar = list(r, "arima.ar", p->ar, p->n_ar, a->p);
    a->ma = list(r, "arima.ma", p->ma, p->n_ma, a->q);
    a->sar = list(r, "arima.seasonal_ar", p->seasonal_ar, p->n_seasonal_ar, a->sp);
    a->sma = list(r, "arima.seasonal_ma", p->seasonal_ma, p->n_seasonal_ma, a->sq);
    a->variance = value(p->variance);
    a->intercept = p->intercept;
}

static void
read_motion(struct reader *r, const Luna__V1__MotionModel *p, struct model_spec *spec)
{
    struct model_motion *mo = &spec->motion;
    if (p->kind < LUNA__V1__MOTION_KIND__MOTION_KIND_CONSTANT_VELOCITY ||
        p->kind > LUNA__V1__MOTION_KIND__MOTION_KIND_ORNSTEIN_UHLENBECK)
        bad(r, "motion.kind", "is not known");
    mo->kind = (enum model_motion_kind)(p->kind - 1);
    spec->times = list(r, "motion.times", p->times, p->n_times, r->times);
    mo->observation_variance = value(p->observation_variance);
    mo->intensity = value(p->intensity);
    mo->rate = value(p->rate);
    mo->mean = value(p->mean);
    if ((p->rate || p->mean) && mo->kind != MODEL_ORNSTEIN_UHLENBECK)
        bad(r, p->rate ? "motion.rate" : "motion.mean", "has no place in this motion");
}

static void
read_free(struct reader *r, const Luna__V1__FreeModel *p, struct model_free *f)
{
    f->m = count(r, "free.states", p->states, MODEL_MAX_STATES);
    f->r = p->disturbances ? count(r, "free.disturbances", p->disturbances, p->states) : f->m;
    if (f->m == 0 || f->r == 0) {
        bad(r, "free.states", "is not from 1 to 128");
        return;
    }
    /* As many as the whole once is the whole. */
    bool diagonal =
        p->n_h != f->p * f->p && f->p > 1 && (p->n_h == f->p || p->n_h == f->p * r->times);
    f->z = matrix(r, "free.z", p->z, p->n_z, f->p * f->m, true, &f->z_varies);
    f->h = matrix(r, "free.h", p->h, p->n_h, diagonal ? f->p : f->p * f->p, false, &f->h_varies);
    f->d = matrix(r, "free.d", p->d, p->n_d, f->p, false, &f->d_varies);
    f->t = matrix(r, "free.t", p->t, p->n_t, f->m * f->m, true, &f->t_varies);
    f->c = matrix(r, "free.c", p->c, p->n_c, f->m, false, &f->c_varies);
    f->rr = matrix(r, "free.r", p->r, p->n_r, f->m * f->r, f->r != f->m, &f->rr_varies);
    f->q = matrix(r, "free.q", p->q, p->n_q, f->r * f->r, true, &f->q_varies);
    f->a1 = list(r, "free.a1", p->a1, p->n_a1, f->m);
    f->p1 = list(r, "free.p1", p->p1, p->n_p1, f->m * f->m);
    f->p1_inf = list(r, "free.p1_inf", p->p1_inf, p->n_p1_inf, f->m);
    if (!diagonal || r->st != OK)
        return;
    size_t times = f->h_varies ? r->times : 1;
    double *h = arena_array(r->ctx->arena, times * f->p, f->p * sizeof(double));
    for (size_t i = 0; i < times * f->p; i++)
        h[i / f->p * f->p * f->p + i % f->p * (f->p + 1)] = p->h[i];
    f->h = h;
}

enum status
kalman_read_model(struct ctx *ctx, const char *path, const Luna__V1__Model *p, size_t n,
                  size_t horizon, struct model_spec *ret)
{
    struct reader r = {.ctx = ctx, .path = path, .st = OK};
    *ret = (struct model_spec){0};
    if (!p || p->kind_case == LUNA__V1__MODEL__KIND__NOT_SET)
        return fail_field(ctx, path, "is required");
    size_t series = 1;
    if (p->kind_case == LUNA__V1__MODEL__KIND_MOTION && p->motion->axes != 0)
        series = count(&r, "motion.axes", p->motion->axes, 16);
    if (p->kind_case == LUNA__V1__MODEL__KIND_FREE)
        series = count(&r, "free.series", p->free->series, 32);
    if (r.st != OK || series == 0)
        return r.st != OK ? r.st
                          : fail_field(ctx, arena_printf(ctx->arena, "%s.free.series", path),
                                       "is not from 1 to 32");
    r.times = n / series + horizon;
    switch (p->kind_case) {
    case LUNA__V1__MODEL__KIND_STRUCTURAL:
        ret->kind = MODEL_STRUCTURAL;
        read_structural(&r, p->structural, &ret->structural);
        break;
    case LUNA__V1__MODEL__KIND_ARIMA:
        ret->kind = MODEL_ARIMA;
        read_arima(&r, p->arima, &ret->arima);
        break;
    case LUNA__V1__MODEL__KIND_MOTION:
        ret->kind = MODEL_MOTION;
        ret->motion.axes = series;
        read_motion(&r, p->motion, ret);
        break;
    default:
        ret->kind = MODEL_FREE;
        ret->free.p = series;
        read_free(&r, p->free, &ret->free);
        break;
    }
    return r.st;
}

void
kalman_read_convention(int64_t c, struct kalman_convention *ret)
{
    ret->concentrated = c == LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_CONCENTRATED;
    bool omit = c == LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT;
    ret->convention = omit ? SSM_OMIT_DIFFUSE_CONSTANT : SSM_FULL;
}

/* ---- answers
 * ------------------------------------------------------------------------------------- */

Luna__V1__StateSeries *
kalman_write_column(struct arena *a, const struct kalman_table *t, size_t i, const char *name)
{
    Luna__V1__StateSeries *s = arena_new(a, Luna__V1__StateSeries);
    luna__v1__state_series__init(s);
    s->name = arena_strdup(a, name);
    s->values = arena_alloc_raw(a, t->times * sizeof(double));
    s->n_values = t->times;
    for (size_t k = 0; k < t->times; k++)
        s->values[k] = t->values[(t->from + k) * t->width + i];
    if (!t->variances)
        return s;
    size_t row = t->square ? t->width * t->width : t->width;
    s->variances = arena_alloc_raw(a, t->times * sizeof(double));
    s->n_variances = t->times;
    for (size_t k = 0; k < t->times; k++) {
        double v = t->variances[(t->from + k) * row + i * (t->square ? t->width + 1 : 1)];
        s->variances[k] = v < 0 ? 0 : v; /* rounding of what is known for certain */
    }
    return s;
}

Luna__V1__StateSeries **
kalman_write_states(struct arena *a, const struct model *m, const struct kalman_table *t,
                    size_t *ret_n)
{
    size_t n = m->s.m - m->noise_states;
    Luna__V1__StateSeries **list = arena_new_n(a, Luna__V1__StateSeries *, n);
    for (size_t i = 0; i < n; i++)
        list[i] = kalman_write_column(a, t, i, m->state_names[i]);
    *ret_n = n;
    return list;
}

Luna__V1__StateSeries **
kalman_write_columns(struct arena *a, const char *name, const struct kalman_table *t, size_t *ret_n)
{
    Luna__V1__StateSeries **list = arena_new_n(a, Luna__V1__StateSeries *, t->width);
    for (size_t i = 0; i < t->width; i++)
        list[i] = kalman_write_column(a, t, i, arena_printf(a, "%s[%zu]", name, i));
    *ret_n = t->width;
    return list;
}

Luna__V1__FittedParameter **
kalman_write_parameters(struct arena *a, const struct kalman_answer *an, size_t *ret_n)
{
    const struct model *m = an->model;
    Luna__V1__FittedParameter **list =
        arena_new_n(a, Luna__V1__FittedParameter *, m->parameter_count);
    for (size_t i = 0; i < m->parameter_count; i++) {
        Luna__V1__FittedParameter *p = list[i] = arena_new(a, Luna__V1__FittedParameter);
        luna__v1__fitted_parameter__init(p);
        p->name = arena_strdup(a, m->parameters[i].name);
        p->value = m->parameters[i].value;
        p->given = m->parameters[i].given;
        double error = an->fit.standard_error ? an->fit.standard_error[i] : 0;
        if (error > 0 && isfinite(error)) {
            p->standard_error = arena_new(a, Number);
            google__protobuf__double_value__init(p->standard_error);
            p->standard_error->value = error;
        }
    }
    *ret_n = m->parameter_count;
    return list;
}

void
kalman_write_fit(struct arena *a, const struct kalman_answer *an, double log_likelihood,
                 Luna__V1__FitResponse *resp)
{
    struct kalman_criteria c = kalman_criteria(an);
    resp->parameters = kalman_write_parameters(a, an, &resp->n_parameters);
    resp->end = (Luna__V1__FitEnd)(an->fit.end + 1);
    resp->log_likelihood = log_likelihood;
    resp->cost_units = an->units;
    resp->aic = c.aic;
    resp->aicc = c.aicc;
    resp->bic = c.bic;
    resp->iterations = (int32_t)an->fit.iterations;
    resp->evaluations = (int32_t)an->fit.evaluations;
}

bool
kalman_signal(const struct model *m, const struct kalman_table *t, bool noise, double *values,
              double *variances)
{
    const struct ssm *s = &m->s;
    size_t w = s->m, states = w - m->noise_states;
    bool fits = true;
    for (size_t k = 0; k < t->times * s->p; k++) {
        size_t time = t->from + k / s->p, i = k % s->p;
        const double *z = ssm_at(s->z, time) + i * w, *d = ssm_at(s->d, time);
        const double *a = t->values + time * w;
        /* Noise that lives in the state belongs to the values to come, not to the signal. */
        size_t used = noise ? w : states;
        double x = d ? d[i] : 0, v = noise ? ssm_at(s->h, time)[i] : 0;
        for (size_t j = 0; j < used; j++)
            x += z[j] * a[j];
        for (size_t j = 0; variances && j < used; j++) {
            for (size_t e = 0; z[j] != 0 && e < used; e++) {
                if (z[e] != 0)
                    v += z[j] * z[e] * t->variances[(time * w + j) * w + e];
            }
        }
        values[k] = x;
        fits = fits && isfinite(x) && !isnan(v);
        if (variances)
            variances[k] = fmax(0, v);
    }
    return fits;
}

static Luna__V1__TestStatistic *
write_test(struct arena *a, const struct analysis_test *t)
{
    Luna__V1__TestStatistic *s = arena_new(a, Luna__V1__TestStatistic);
    luna__v1__test_statistic__init(s);
    s->statistic = t->statistic;
    s->p_value = t->p_value;
    s->degrees = (int32_t)t->degrees;
    return s;
}

static void
note_event(struct arena *a, Luna__V1__DiagnoseResponse *resp, Luna__V1__EventKind kind, size_t t,
           double x, double variance, double threshold)
{
    double z = variance > 0 ? x / sqrt(variance) : 0;
    if (!(fabs(z) >= threshold))
        return;
    Luna__V1__Event *e = resp->events[resp->n_events++] = arena_new(a, Luna__V1__Event);
    luna__v1__event__init(e);
    e->kind = kind;
    e->index = (int32_t)t;
    e->t_statistic = z;
}

/* The disturbances of the level and of the slope are the first ones of a structural model. */
static void
write_events(struct arena *arena, const struct kalman_answer *a, double threshold,
             Luna__V1__DiagnoseResponse *resp)
{
    const struct ssm_smoothed *o = &a->smoothed;
    const struct model_spec *spec = a->model->spec;
    enum model_trend trend =
        spec->kind == MODEL_STRUCTURAL ? spec->structural.trend : MODEL_NO_TREND;
    bool level = trend == MODEL_LOCAL_LEVEL || trend == MODEL_LINEAR_TREND || trend == MODEL_DRIFT;
    bool slope = trend == MODEL_LINEAR_TREND || trend == MODEL_SMOOTH_TREND;
    size_t r = a->model->s.r;
    resp->events = arena_new_n(arena, Luna__V1__Event *, 3 * a->n);
    for (size_t t = 0; t < a->n; t++) {
        note_event(arena, resp, LUNA__V1__EVENT_KIND__EVENT_KIND_OUTLIER, t, o->u[t], o->d[t],
                   threshold);
        if (level)
            note_event(arena, resp, LUNA__V1__EVENT_KIND__EVENT_KIND_LEVEL_SHIFT, t, o->rv[t * r],
                       o->nv[t * r], threshold);
        if (slope)
            note_event(arena, resp, LUNA__V1__EVENT_KIND__EVENT_KIND_SLOPE_BREAK, t,
                       o->rv[t * r + level], o->nv[t * r + level], threshold);
    }
}

void
kalman_write_diagnosis(struct arena *arena, const struct kalman_answer *a, double threshold,
                       Luna__V1__DiagnoseResponse *resp)
{
    const struct analysis_diagnosis *d = &a->diagnosis;
    resp->standardized_innovations = d->standardized;
    resp->n_standardized_innovations = a->n;
    resp->ljung_box = write_test(arena, &d->ljung_box);
    resp->jarque_bera = write_test(arena, &d->jarque_bera);
    resp->heteroscedasticity = write_test(arena, &d->heteroscedasticity);
    resp->skewness = d->skewness;
    resp->kurtosis = d->kurtosis;
    write_events(arena, a, threshold, resp);
}
