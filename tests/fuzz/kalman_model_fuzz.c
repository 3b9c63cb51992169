/*
 * Models and observations as hostile callers write them, through the handlers of Filter, Smooth and
 * Forecast on a reactor: check, compile, compute, convert. What is refused says why; an answer has
 * no NaN, nothing infinite but the variances of what is not known yet, and no negative variance.
 *
 * An input is a tape of decisions (see `tape`): few bytes make a model that is nearly right. When
 * its first byte is above 200 the rest is a packed ForecastRequest.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/kalman/probe.h"
#include "luna/v1/kalman.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_TIMES 48
#define MAX_LIST  512

typedef Google__Protobuf__DoubleValue Number;

struct tape {
    const uint8_t *at, *end;
    struct arena *a;
};

static unsigned
next(struct tape *t)
{
    return t->at < t->end ? *t->at++ : 0;
}

/* 0 .. n - 1 */
static int
below(struct tape *t, unsigned n)
{
    return (int)(next(t) % n);
}

/* Numbers that break things, and ordinary ones. */
static double
number(struct tape *t)
{
    static const double odd[] = {0,      1,     -1,    1e-109, 1e-300, 1e300, NAN,     INFINITY,
                                 -1e300, 0.999, 1e-12, 1e12,   4e-324, 15099, -0.0001, 1.0000001};
    unsigned b = next(t);
    if (b < 2 * ARRAY_LEN(odd))
        return odd[b / 2];
    return ((double)b - 128) / 16 + (double)next(t) / 4096;
}

/* One that a variance may be, most of the time. */
static double
variance(struct tape *t)
{
    double x = number(t);
    return below(t, 16) ? fabs(x) : x;
}

static double *
numbers(struct tape *t, size_t n, double (*one)(struct tape *))
{
    double *x = arena_array(t->a, n, sizeof(double));
    for (size_t i = 0; i < n; i++)
        x[i] = one(t);
    return x;
}

/* A number that is given, mostly. */
static Number *
maybe(struct tape *t, double (*one)(struct tape *))
{
    if (below(t, 12) == 0)
        return NULL;
    Number *n = arena_new(t->a, Number);
    google__protobuf__double_value__init(n);
    n->value = one(t);
    return n;
}

/* `n` numbers, or now and then another count. */
static size_t
about(struct tape *t, size_t n)
{
    unsigned b = next(t);
    return b > 250 ? (size_t)below(t, 8) : n < MAX_LIST ? n : MAX_LIST;
}

static Luna__V1__Seasonal *
make_seasonal(struct tape *t)
{
    Luna__V1__Seasonal *s = arena_new(t->a, Luna__V1__Seasonal);
    luna__v1__seasonal__init(s);
    s->period = below(t, 14);
    s->trigonometric = below(t, 2);
    s->harmonics = below(t, 4) ? 0 : below(t, 8);
    s->variance = maybe(t, variance);
    return s;
}

static Luna__V1__Regressor *
make_regressor(struct tape *t, size_t times)
{
    Luna__V1__Regressor *r = arena_new(t->a, Luna__V1__Regressor);
    luna__v1__regressor__init(r);
    r->n_values = about(t, times);
    r->values = numbers(t, r->n_values, number);
    r->time_varying = below(t, 2);
    r->variance = r->time_varying ? maybe(t, variance) : NULL;
    return r;
}

static Luna__V1__StructuralModel *
make_structural(struct tape *t, size_t times)
{
    Luna__V1__StructuralModel *s = arena_new(t->a, Luna__V1__StructuralModel);
    luna__v1__structural_model__init(s);
    s->trend = (Luna__V1__Trend)below(t, 8);
    bool slope = s->trend == LUNA__V1__TREND__TREND_LOCAL_LINEAR ||
                 s->trend == LUNA__V1__TREND__TREND_SMOOTH;
    bool level = s->trend != LUNA__V1__TREND__TREND_NONE &&
                 s->trend != LUNA__V1__TREND__TREND_SMOOTH &&
                 s->trend != LUNA__V1__TREND__TREND_CONSTANT;
    s->observation_variance = maybe(t, variance);
    s->level_variance = level ? maybe(t, variance) : NULL;
    s->slope_variance = slope ? maybe(t, variance) : NULL;
    s->n_seasonals = (size_t)below(t, 3);
    s->seasonals = arena_new_n(t->a, Luna__V1__Seasonal *, s->n_seasonals);
    for (size_t i = 0; i < s->n_seasonals; i++)
        s->seasonals[i] = make_seasonal(t);
    if (below(t, 3) == 0) {
        s->cycle = arena_new(t->a, Luna__V1__Cycle);
        luna__v1__cycle__init(s->cycle);
        s->cycle->period = maybe(t, variance);
        s->cycle->damping = maybe(t, variance);
        s->cycle->variance = maybe(t, variance);
        s->cycle->max_period = below(t, 3) ? 0 : number(t);
    }
    if (below(t, 3) == 0) {
        s->autoregression = arena_new(t->a, Luna__V1__Autoregression);
        luna__v1__autoregression__init(s->autoregression);
        s->autoregression->order = below(t, 5);
        s->autoregression->n_coefficients = about(t, (size_t)s->autoregression->order);
        s->autoregression->coefficients = numbers(t, s->autoregression->n_coefficients, number);
        s->autoregression->variance = maybe(t, variance);
    }
    s->n_regressors = (size_t)below(t, 3);
    s->regressors = arena_new_n(t->a, Luna__V1__Regressor *, s->n_regressors);
    for (size_t i = 0; i < s->n_regressors; i++)
        s->regressors[i] = make_regressor(t, times);
    return s;
}

static Luna__V1__ArimaModel *
make_arima(struct tape *t)
{
    Luna__V1__ArimaModel *a = arena_new(t->a, Luna__V1__ArimaModel);
    luna__v1__arima_model__init(a);
    a->p = below(t, 4);
    a->d = below(t, 4);
    a->q = below(t, 4);
    a->season = below(t, 6);
    a->seasonal_p = a->season ? below(t, 3) : 0;
    a->seasonal_d = a->season ? below(t, 3) : 0;
    a->seasonal_q = a->season ? below(t, 3) : 0;
    struct {
        int32_t order;
        size_t *n;
        double **x;
    } lists[] = {{a->p, &a->n_ar, &a->ar},
                 {a->q, &a->n_ma, &a->ma},
                 {a->seasonal_p, &a->n_seasonal_ar, &a->seasonal_ar},
                 {a->seasonal_q, &a->n_seasonal_ma, &a->seasonal_ma}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        *lists[i].n = about(t, (size_t)lists[i].order);
        *lists[i].x = numbers(t, *lists[i].n, number);
    }
    a->variance = maybe(t, variance);
    a->intercept = below(t, 2);
    return a;
}

static Luna__V1__MotionModel *
make_motion(struct tape *t, size_t times)
{
    Luna__V1__MotionModel *m = arena_new(t->a, Luna__V1__MotionModel);
    luna__v1__motion_model__init(m);
    m->kind = (Luna__V1__MotionKind)below(t, 4);
    m->axes = below(t, 3);
    m->n_times = below(t, 2) ? 0 : about(t, times);
    m->times = arena_array(t->a, m->n_times, sizeof(double));
    for (size_t i = 0; i < m->n_times; i++)
        m->times[i] = (i ? m->times[i - 1] : 0) + (below(t, 30) ? next(t) / 64. : number(t));
    m->observation_variance = maybe(t, variance);
    m->intensity = maybe(t, variance);
    bool pulled = m->kind == LUNA__V1__MOTION_KIND__MOTION_KIND_ORNSTEIN_UHLENBECK;
    m->rate = pulled ? maybe(t, variance) : NULL;
    m->mean = pulled && below(t, 2) ? maybe(t, number) : NULL;
    return m;
}

/* A matrix or one for each time; a variance is made symmetric and, mostly, definite. */
static void
make_matrix(struct tape *t, size_t rows, size_t cols, size_t times, bool square, size_t *ret_n,
            double **ret)
{
    size_t count = below(t, 5) == 0 ? times : 1, size = rows * cols;
    *ret_n = about(t, size * count);
    *ret = numbers(t, *ret_n, number);
    for (size_t k = 0; square && (k + 1) * size <= *ret_n; k++) {
        double *v = *ret + k * size;
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < i; j++)
                v[i * cols + j] = v[j * cols + i] = v[j * cols + i] / 100;
            v[i * cols + i] = fabs(v[i * cols + i]);
        }
    }
}

static Luna__V1__FreeModel *
make_free(struct tape *t, size_t times)
{
    Luna__V1__FreeModel *f = arena_new(t->a, Luna__V1__FreeModel);
    luna__v1__free_model__init(f);
    f->series = 1 + below(t, 3);
    f->states = 1 + below(t, 4);
    f->disturbances = below(t, 3) ? 0 : 1 + below(t, (unsigned)f->states);
    size_t p = (size_t)f->series, m = (size_t)f->states;
    size_t r = f->disturbances ? (size_t)f->disturbances : m;
    make_matrix(t, p, m, times, false, &f->n_z, &f->z);
    if (below(t, 4))
        make_matrix(t, p, p, times, true, &f->n_h, &f->h);
    if (below(t, 3) == 0)
        make_matrix(t, p, 1, times, false, &f->n_d, &f->d);
    make_matrix(t, m, m, times, false, &f->n_t, &f->t);
    if (below(t, 3) == 0)
        make_matrix(t, m, 1, times, false, &f->n_c, &f->c);
    if (f->disturbances)
        make_matrix(t, m, r, times, false, &f->n_r, &f->r);
    make_matrix(t, r, r, times, true, &f->n_q, &f->q);
    if (below(t, 2))
        make_matrix(t, m, 1, 1, false, &f->n_a1, &f->a1);
    if (below(t, 2))
        make_matrix(t, m, m, 1, true, &f->n_p1, &f->p1);
    if (below(t, 2)) {
        f->n_p1_inf = m;
        f->p1_inf = numbers(t, m, variance);
    }
    return f;
}

static Luna__V1__Model *
make_model(struct tape *t, size_t times)
{
    Luna__V1__Model *m = arena_new(t->a, Luna__V1__Model);
    luna__v1__model__init(m);
    switch (below(t, 4)) {
    case 0:
        m->kind_case = LUNA__V1__MODEL__KIND_STRUCTURAL;
        m->structural = make_structural(t, times);
        break;
    case 1:
        m->kind_case = LUNA__V1__MODEL__KIND_ARIMA;
        m->arima = make_arima(t);
        break;
    case 2:
        m->kind_case = LUNA__V1__MODEL__KIND_MOTION;
        m->motion = make_motion(t, times);
        break;
    default:
        m->kind_case = LUNA__V1__MODEL__KIND_FREE;
        m->free = make_free(t, times);
    }
    return m;
}

static Luna__V1__ForecastRequest *
make_request(struct tape *t)
{
    Luna__V1__ForecastRequest *r = arena_new(t->a, Luna__V1__ForecastRequest);
    luna__v1__forecast_request__init(r);
    size_t times = 1 + (size_t)below(t, MAX_TIMES);
    r->horizon = 1 + below(t, 6);
    /* Filter and Smooth want lists of `times`, Forecast longer ones: each gets its turn. */
    r->model = make_model(t, times + (below(t, 2) ? (size_t)r->horizon : 0));
    bool free = r->model->kind_case == LUNA__V1__MODEL__KIND_FREE;
    bool motion = r->model->kind_case == LUNA__V1__MODEL__KIND_MOTION;
    size_t p = free ? (size_t)r->model->free->series : 1;
    if (motion && r->model->motion->axes > 1)
        p = (size_t)r->model->motion->axes;
    r->n_results = times * p;
    r->results = arena_array(t->a, r->n_results, sizeof(double));
    for (size_t i = 0; i < r->n_results; i++)
        r->results[i] = below(t, 8) == 0 ? NAN : number(t);
    return r;
}

/* A packed request that is small enough to be tried. */
static Luna__V1__ForecastRequest *
read_request(struct tape *t)
{
    Luna__V1__ForecastRequest *r =
        luna__v1__forecast_request__unpack(NULL, (size_t)(t->end - t->at), t->at);
    if (r && r->n_results <= 4 * (size_t)MAX_TIMES && r->horizon <= 8)
        return r;
    if (r)
        luna__v1__forecast_request__free_unpacked(r, NULL);
    return NULL;
}

/* ---- what an answer may be ---- */

static void
check_number(const char *name, double x)
{
    static const char *const unknown[] = {"variances", "filtered_variances", "signal_variances",
                                          "innovation_variances"};
    if (strcmp(name, "input_data") == 0)
        return;
    ASSERT(!isnan(x));
    if (strstr(name, "variance"))
        ASSERT(x >= 0);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        if (strcmp(name, unknown[i]) == 0)
            return;
    }
    ASSERT(isfinite(x));
}

static void
check_answer(const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        size_t n = 1;
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            n = *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) == f->id;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            at = *(const char *const *)(const void *)at;
        }
        for (size_t k = 0; k < n && f->type == PROTOBUF_C_TYPE_DOUBLE; k++)
            check_number(f->name, ((const double *)(const void *)at)[k]);
        for (size_t k = 0; k < n && f->type == PROTOBUF_C_TYPE_MESSAGE; k++) {
            const ProtobufCMessage *sub = ((ProtobufCMessage *const *)(const void *)at)[k];
            if (sub)
                check_answer(sub);
        }
    }
}

static void
ask(struct ctx *ctx, const char *method, const ProtobufCMessage *req, ProtobufCMessage *resp)
{
    struct error e = {0};
    enum status st = probe_unary(ctx, method, req, resp, &e);
    if (st == OK)
        check_answer(resp);
    else
        ASSERT(st == INVALID_ARGUMENT && e.message &&
               (e.reason == REASON_NO_RESULT || (e.reason == REASON_BAD_FIELD && e.fields)));
}

static void
ask_all(struct ctx *ctx, void *arg)
{
    Luna__V1__ForecastRequest *r = arg;
    Luna__V1__ForecastResponse forecast = LUNA__V1__FORECAST_RESPONSE__INIT;
    ask(ctx, "Forecast", &r->base, &forecast.base);

    Luna__V1__FilterRequest f = LUNA__V1__FILTER_REQUEST__INIT;
    Luna__V1__FilterResponse filtered = LUNA__V1__FILTER_RESPONSE__INIT;
    f.results = r->results;
    f.n_results = r->n_results;
    f.model = r->model;
    f.include_variances = f.include_innovations = f.include_log_likelihood = 1;
    ask(ctx, "Filter", &f.base, &filtered.base);

    Luna__V1__SmoothRequest s = LUNA__V1__SMOOTH_REQUEST__INIT;
    Luna__V1__SmoothResponse smoothed = LUNA__V1__SMOOTH_RESPONSE__INIT;
    s.results = r->results;
    s.n_results = r->n_results;
    s.model = r->model;
    s.include_variances = s.include_disturbances = s.include_auxiliary = 1;
    ask(ctx, "Smooth", &s.base, &smoothed.base);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    arena_init(&a, 0);
    struct tape t = {data, data + size, &a};
    bool packed = next(&t) > 200;
    Luna__V1__ForecastRequest *r = packed ? read_request(&t) : make_request(&t);
    if (r)
        probe_run(ask_all, r, 1);
    if (r && packed)
        luna__v1__forecast_request__free_unpacked(r, NULL);
    arena_fini(&a);
    return 0;
}
