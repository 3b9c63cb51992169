#include "kalman/kalman_model.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kalman/kalman_convert_rpc.h"

/* Nanoseconds for states^2 x times; see INLINE_NS in kalman.c. */
#define STEP_NS   60
#define INLINE_NS 200000

enum outcome {
    DONE,
    STOPPED,
    INFINITE_VALUE,
    NO_LIKELIHOOD,
    NOT_FOR_EM,
    NOT_FINITE,
};

/* All that the computation touches. */
struct work {
    const struct kalman_ask *ask;
    const struct kalman_batch *batch;
    struct kalman_answer *answer;
    struct analysis_batch *batch_answer;
    struct arena *arena;
    const struct kalman_watch *watch;
    struct compute_task *task; /* NULL: inline */
    double *y;                 /* the values with the horizon behind them */
    size_t times;
    size_t infinite_at;
    enum outcome outcome;
};

static bool
work_stopped(void *arg)
{
    const struct work *w = arg;
    return w->task && compute_cancelled(w->task);
}

static struct ssm_stop
stop_of(struct work *w)
{
    return (struct ssm_stop){work_stopped, w, w->watch ? w->watch->progress : NULL};
}

static enum outcome
copy_values(struct work *w)
{
    const struct kalman_ask *ask = w->ask;
    size_t all = w->times * model_series(ask->spec);
    w->y = arena_array(w->arena, all, sizeof(double));
    for (size_t i = 0; i < all; i++) {
        w->y[i] = i < ask->count ? ask->values[i] : NAN;
        if (isinf(w->y[i])) {
            w->infinite_at = i;
            return INFINITE_VALUE;
        }
    }
    return DONE;
}

/* Finds what is unknown: over the values alone, without the horizon. */
static enum outcome
estimate(struct work *w, const struct ssm_stop *stop)
{
    const struct kalman_ask *ask = w->ask;
    struct model *m = w->answer->model;
    size_t times = m->s.n;
    m->s.n = w->answer->n;
    enum fit_status st = FIT_OK;
    if (m->unknown > 0 || ask->question == KALMAN_FIT)
        st = fit_model(m, w->y, &ask->fit, w->arena, stop, &w->answer->fit);
    m->s.n = times;
    model_apply(m);
    return st == FIT_OK           ? DONE
           : st == FIT_STOPPED    ? STOPPED
           : st == FIT_NOT_FOR_EM ? NOT_FOR_EM
                                  : NO_LIKELIHOOD;
}

static unsigned
keep_for(enum kalman_question q)
{
    switch (q) {
    case KALMAN_FILTER:
        return SSM_KEEP_FILTERED | SSM_KEEP_INNOVATIONS;
    case KALMAN_FORECAST:
        return SSM_KEEP_FILTERED;
    case KALMAN_DIAGNOSE:
    case KALMAN_SMOOTH:
    case KALMAN_SIMULATE:
        return SSM_KEEP_FOR_SMOOTHER;
    case KALMAN_FIT:
        break;
    }
    return 0;
}

static enum outcome
draw(struct work *w, const struct ssm_stop *stop)
{
    const struct kalman_ask *ask = w->ask;
    const struct ssm *s = &w->answer->model->s;
    size_t states = s->n * s->m, values = s->n * s->p;
    struct stats_random rnd;
    struct arena scratch;
    bool going = true;
    w->answer->draw_states = arena_array(w->arena, ask->draws, states * sizeof(double));
    w->answer->draw_values = arena_array(w->arena, ask->draws, values * sizeof(double));
    stats_seed(&rnd, ask->seed);
    arena_init(&scratch, 0);
    for (size_t k = 0; going && k < ask->draws; k++) {
        double *to = w->answer->draw_states + k * states;
        arena_reset(&scratch);
        if (ask->prior)
            analysis_draw(s, &rnd, &scratch, to, w->answer->draw_values + k * values);
        else
            going =
                analysis_draw_given(s, w->y, w->answer->smoothed.alpha, &rnd, &scratch, stop, to);
        going = going && !ssm_stopped(stop, ask->prior ? s->n : 0);
    }
    arena_fini(&scratch);
    return going ? DONE : STOPPED;
}

static bool
all_finite(const double *x, size_t n)
{
    for (size_t i = 0; x && i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

static enum outcome
check_answer(struct work *w)
{
    struct kalman_answer *a = w->answer;
    const struct ssm *s = &a->model->s;
    bool fine = isfinite(a->log_likelihood) || w->ask->prior;
    fine = fine && all_finite(a->filtered.att, s->n * s->m);
    fine = fine && all_finite(a->smoothed.alpha, s->n * s->m);
    fine = fine && all_finite(a->smoothed.variance, s->n * s->m * s->m);
    fine = fine && all_finite(a->smoothed.eps, s->n * s->p);
    fine = fine && all_finite(a->smoothed.eps_variance, s->n * s->p);
    fine = fine && all_finite(a->smoothed.eta, s->n * s->r);
    fine = fine && all_finite(a->smoothed.eta_variance, s->n * s->r);
    fine = fine && all_finite(a->draw_states, w->ask->draws * s->n * s->m);
    fine = fine && all_finite(a->draw_values, w->ask->draws * s->n * s->p);
    for (size_t i = 0; fine && a->filtered.ptt && i < s->n * s->m * s->m; i++)
        fine = !isnan(a->filtered.ptt[i]); /* infinite where nothing is known yet */
    return fine ? DONE : NOT_FINITE;
}

/* The means forecast with parameter i moved by `step`. */
static bool
forecast_moved(struct work *w, size_t i, double step, const struct ssm_stop *stop, double *to)
{
    struct model *m = w->answer->model;
    struct ssm_filtered f;
    struct arena scratch;
    double value = m->parameters[i].value;
    arena_init(&scratch, 0);
    m->parameters[i].value = value + step;
    model_apply(m);
    bool done = ssm_filter(&m->s, w->y, SSM_KEEP_FILTERED, &scratch, stop, &f);
    const struct kalman_table t = {
        .values = f.att, .from = w->answer->n, .times = w->ask->horizon, .width = m->s.m};
    if (done)
        kalman_signal(m, &t, false, to, NULL);
    arena_fini(&scratch);
    m->parameters[i].value = value;
    model_apply(m);
    return done;
}

/* The delta method: J C J' for each forecast. */
static bool
spread(struct work *w, const struct ssm_stop *stop)
{
    const struct fit_result *fit = &w->answer->fit;
    size_t n = w->ask->horizon * w->answer->model->s.p, k = fit->covariance_count;
    double *v = arena_array(w->arena, n, sizeof(double));
    double *j = arena_array(w->arena, k, n * sizeof(double));
    double *down = arena_array(w->arena, n, sizeof(double));
    for (size_t i = 0; i < k; i++) {
        const struct model_parameter *p = &w->answer->model->parameters[fit->covariance_of[i]];
        double step = fmin(1e-2 * sqrt(fit->covariance[i * k + i]), 1e-2 * fabs(p->value));
        if (!(step > 0))
            continue; /* it says nothing at zero */
        if (!forecast_moved(w, fit->covariance_of[i], step, stop, j + i * n) ||
            !forecast_moved(w, fit->covariance_of[i], -step, stop, down))
            return false;
        for (size_t h = 0; h < n; h++)
            j[i * n + h] = (j[i * n + h] - down[h]) / (2 * step);
    }
    for (size_t a = 0; a < k * k; a++) {
        for (size_t h = 0; h < n; h++)
            v[h] += j[a / k * n + h] * fit->covariance[a] * j[a % k * n + h];
    }
    w->answer->parameter_variances = v;
    return true;
}

static enum outcome
answer(struct work *w, const struct ssm_stop *stop)
{
    const struct kalman_ask *ask = w->ask;
    struct kalman_answer *a = w->answer;
    const struct ssm *s = &a->model->s;
    double s2;
    w->answer->model->s.robust = ask->robust;
    if (ask->parameter_uncertainty && !spread(w, stop))
        return STOPPED;
    if (!ssm_filter(s, w->y, keep_for(ask->question), w->arena, stop, &a->filtered))
        return STOPPED;
    a->log_likelihood = ask->concentrated ? ssm_concentrated(&a->filtered, ask->convention, &s2)
                                          : ssm_log_likelihood(&a->filtered, ask->convention);
    unsigned smooth = ask->question == KALMAN_DIAGNOSE ? SSM_SMOOTH_AUXILIARY : ask->smooth;
    bool smoothed = ask->question == KALMAN_SMOOTH || ask->question == KALMAN_DIAGNOSE ||
                    (ask->question == KALMAN_SIMULATE && !ask->prior);
    bool done =
        !smoothed  ? true
        : ask->lag ? ssm_smooth_lag(s, &a->filtered, ask->lag, smooth, w->arena, stop, &a->smoothed)
                   : ssm_smooth(s, &a->filtered, smooth, w->arena, stop, &a->smoothed);
    if (!done)
        return STOPPED;
    if (ask->question == KALMAN_DIAGNOSE)
        analysis_diagnose(&a->filtered, s->n, ask->lags, w->arena, &a->diagnosis);
    if (ask->question == KALMAN_SIMULATE) {
        enum outcome o = draw(w, stop);
        if (o != DONE)
            return o;
    }
    return check_answer(w);
}

/* Steps in all; 0: nobody knows, when a search comes first. */
static size_t
count_steps(const struct work *w)
{
    const struct kalman_ask *ask = w->ask;
    size_t n = w->times, last = ask->lag < n ? ask->lag : n - 1;
    if (w->answer->model->unknown > 0 || ask->question == KALMAN_FIT)
        return 0;
    switch (ask->question) {
    case KALMAN_SMOOTH: /* the windows of a lag get shorter at the end */
        return ask->lag ? n + (n - last) * (last + 1) + last * (last + 1) / 2 : 2 * n;
    case KALMAN_DIAGNOSE:
        return 2 * n;
    case KALMAN_SIMULATE:
        return ask->prior ? n + ask->draws * n : 2 * n + ask->draws * 2 * n;
    case KALMAN_FILTER:
    case KALMAN_FORECAST:
    case KALMAN_FIT:
        break;
    }
    return n;
}

static void
work_run(struct compute_task *task, void *arg)
{
    struct work *w = arg;
    struct ssm_stop stop = stop_of(w);
    w->task = task;
    w->outcome = copy_values(w);
    if (w->outcome != DONE)
        return;
    w->answer->model = model_new(w->ask->spec, w->times, w->arena);
    if (stop.progress)
        atomic_store_explicit(&stop.progress->total, count_steps(w), memory_order_relaxed);
    w->outcome = estimate(w, &stop);
    if (w->outcome == DONE)
        w->outcome = answer(w, &stop);
}

static enum status
tell(struct ctx *ctx, const struct work *w)
{
    switch (w->outcome) {
    case DONE:
        return OK;
    case INFINITE_VALUE:
        return fail_field(ctx, arena_printf(ctx->arena, "results[%zu]", w->infinite_at),
                          "is not finite");
    case NO_LIKELIHOOD:
        return fail(ctx, NO_RESULT,
                    "the unknown numbers of the model cannot be estimated from these values");
    case NOT_FOR_EM:
        return fail_field(ctx, "method", "EM finds variances of single disturbances only");
    case NOT_FINITE:
        return fail(ctx, NO_RESULT,
                    "a result is not finite: the values do not determine the states");
    case STOPPED:
        break;
    }
    enum status st = ctx_check(ctx);
    return st != OK ? st : fail_plain(ctx, CANCELLED_BY_CALLER);
}

int64_t
kalman_units(size_t states, size_t times, size_t count)
{
    double work = (double)states * (double)states * (double)times * (double)count;
    return 1 + (int64_t)fmin(work / 1e6, 0x1p61);
}

/* Does the question begin with an estimation? (The layout of one time tells what is unknown.) */
static bool
estimates(struct ctx *ctx, const struct kalman_ask *ask)
{
    return ask->question == KALMAN_FIT ||
           (ask->spec->kind != MODEL_FREE && model_new(ask->spec, 1, ctx->arena)->unknown > 0);
}

/* Passes over the values; a search counts as a hundred. */
static size_t
count_passes(const struct kalman_ask *ask, bool estimated)
{
    return (estimated ? 100 : 0) + (ask->question == KALMAN_FIT ? 0 : 1 + ask->draws + ask->lag);
}

/* Runs `fn` here or in the pool. */
static enum status
run_work(struct ctx *ctx, compute_fn fn, struct work *w, double steps)
{
    enum status st = OK;
    if (w->watch && (st = w->watch->tell.tick(w->watch->tell.arg)) != OK)
        return st;
    if (steps * STEP_NS <= INLINE_NS)
        fn(NULL, w);
    else
        st = compute_run_watched(ctx, fn, w, w->watch ? &w->watch->tell : NULL);
    return st == OK ? tell(ctx, w) : st;
}

static enum status
count_times(struct ctx *ctx, const struct model_spec *spec, size_t count, size_t *ret)
{
    size_t p = model_series(spec);
    if (count == 0)
        return fail_field(ctx, "results", "holds no value");
    if (count % p)
        return fail_field(ctx, "results", "holds %zu numbers, not a multiple of %zu", count, p);
    *ret = count / p;
    return OK;
}

enum status
kalman_analyse(struct ctx *ctx, const struct kalman_ask *ask, struct kalman_answer *ret)
{
    struct kalman_answer a = {0};
    struct work w = {.ask = ask, .answer = &a, .arena = ctx->arena, .watch = ask->watch};
    enum status st = count_times(ctx, ask->spec, ask->count, &a.n);
    if (st != OK)
        return st;
    w.times = a.n + ask->horizon;
    st = kalman_check_model(ctx, ask->path, ask->spec, w.times);
    if (st != OK)
        return st;
    double m = (double)model_states(ask->spec, w.times);
    double steps = m * m * (double)w.times * (double)(1 + ask->draws + ask->lag);
    bool estimated = estimates(ctx, ask);
    size_t passes = count_passes(ask, estimated);
    a.units = kalman_units((size_t)m, w.times, passes);
    if (ask->lag && steps > 100. * KALMAN_MAX_WORK)
        return fail_field(ctx, "lag", "is too long for this model and this many values");
    if (ask->draws && steps > 10. * KALMAN_MAX_WORK)
        return fail_field(ctx, "draws", "are too many for this model and this many values");
    if (ask->charge && (st = ask->charge(ctx, m * m * (double)w.times * (double)passes)) != OK)
        return st;
    st = run_work(ctx, work_run, &w, estimated ? INLINE_NS : steps); /* a search is never quick */
    if (st == OK)
        *ret = a;
    return st;
}

static void
batch_run(struct compute_task *task, void *arg)
{
    struct work *w = arg;
    const struct kalman_batch *b = w->batch;
    struct ssm_stop stop = stop_of(w);
    w->task = task;
    if (stop.progress)
        atomic_store_explicit(&stop.progress->total, b->series_count * w->times,
                              memory_order_relaxed);
    for (size_t i = 0; i < b->series_count; i++) {
        for (size_t k = 0; k < b->count; k++) {
            if (isinf(b->series[i][k])) {
                w->outcome = INFINITE_VALUE;
                w->infinite_at = i * b->count + k;
                return;
            }
        }
    }
    model_apply(w->answer->model);
    w->outcome =
        analysis_filter_batch(&w->answer->model->s, b->series, b->series_count, b->want_states,
                              b->concentrated, b->convention, w->arena, &stop, w->batch_answer)
            ? DONE
            : STOPPED;
}

enum status
kalman_filter_batch(struct ctx *ctx, const struct kalman_batch *ask, struct model **ret_model,
                    struct analysis_batch *ret)
{
    struct kalman_answer a = {0};
    struct work w = {
        .batch = ask, .answer = &a, .batch_answer = ret, .arena = ctx->arena, .watch = ask->watch};
    enum status st = count_times(ctx, ask->spec, ask->count, &w.times);
    if (st != OK || (st = kalman_check_model(ctx, "model", ask->spec, w.times)) != OK)
        return st;
    a.model = model_new(ask->spec, w.times, ctx->arena);
    for (size_t i = 0; i < a.model->parameter_count; i++) {
        if (!a.model->parameters[i].given)
            return fail_field(ctx,
                              arena_printf(ctx->arena, "model.%s", a.model->parameters[i].name),
                              "is not given");
    }
    double m = (double)a.model->s.m, all = (double)(ask->series_count * w.times);
    if (m * m * all > 25. * KALMAN_MAX_WORK)
        return fail_field(ctx, "series", "are too many for this model");
    if (ask->charge && (st = ask->charge(ctx, m * m * all)) != OK)
        return st;
    st = run_work(ctx, batch_run, &w, m * m * all);
    if (w.outcome == INFINITE_VALUE) {
        fail_clear(ctx);
        return fail_field(ctx,
                          arena_printf(ctx->arena, "series[%zu].results[%zu]",
                                       w.infinite_at / ask->count, w.infinite_at % ask->count),
                          "is not finite");
    }
    *ret_model = a.model;
    return st;
}

struct kalman_criteria
kalman_criteria(const struct kalman_answer *a)
{
    double n = (double)(a->filtered.regular + a->filtered.diffuse);
    double k = (double)(a->model->unknown + a->filtered.diffuse), l = a->fit.log_likelihood;
    struct kalman_criteria c = {.aic = -2 * l + 2 * k, .bic = -2 * l + k * log(n)};
    c.aicc = n > k + 1 ? c.aic + 2 * k * (k + 1) / (n - k - 1) : INFINITY;
    return c;
}
