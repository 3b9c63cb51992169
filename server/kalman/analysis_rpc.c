/* Questions to one model: what each asks and tells beside what all do (question_rpc.h). */
#include <math.h>

#include "kalman/kalman.h"
#include "kalman/question_rpc.h"
#include "luna/v1/kalman.pb-c.h"

/* Where the messages of a method keep the common fields. */
#define COMMON_REQUEST(Name)                                               \
    .request.account_id = offsetof(Luna__V1__##Name##Request, account_id), \
    .request.output = offsetof(Luna__V1__##Name##Request, output),         \
    .request.n_output = offsetof(Luna__V1__##Name##Request, n_output),     \
    .request.results = offsetof(Luna__V1__##Name##Request, results),       \
    .request.n_results = offsetof(Luna__V1__##Name##Request, n_results),   \
    .request.model = offsetof(Luna__V1__##Name##Request, model)
#define COMMON_RESPONSE(Name)                                                    \
    .response.parameters = offsetof(Luna__V1__##Name##Response, parameters),     \
    .response.n_parameters = offsetof(Luna__V1__##Name##Response, n_parameters), \
    .response.cost_units = offsetof(Luna__V1__##Name##Response, cost_units)
#define CONVENTION(Name) \
    .request.likelihood_convention = offsetof(Luna__V1__##Name##Request, likelihood_convention)

static enum status
does_not_fit(const struct asked *a)
{
    return fail(&a->call->ctx, NO_RESULT, "a result does not fit a double");
}

static struct kalman_table
table(const double *values, const double *variances, size_t times, size_t width, bool square)
{
    return (struct kalman_table){
        .values = values, .variances = variances, .times = times, .width = width, .square = square};
}

/* ---- Filter ---- */

/* The lists of `resp` are those of `req` and `res`: nothing is copied. */
static void
write_filtered(const Luna__V1__FilterRequest *req, const struct kalman_filter_result *res,
               Luna__V1__FilterResponse *resp)
{
    resp->processed_results = res->levels;
    resp->n_processed_results = req->n_results;
    resp->input_data = req->results;
    resp->n_input_data = req->n_results;
    resp->filtered_variances = res->variances;
    resp->n_filtered_variances = res->variances ? req->n_results : 0;
    resp->innovations = res->innovations;
    resp->n_innovations = res->innovations ? req->n_results : 0;
    resp->innovation_variances = res->innovation_variances;
    resp->n_innovation_variances = res->innovation_variances ? req->n_results : 0;
    resp->observation_variance = res->observation_variance;
    resp->level_variance = res->level_variance;
    resp->estimated = res->estimated;
}

static void
write_log_likelihood(double log_likelihood, Luna__V1__FilterResponse *resp)
{
    resp->log_likelihood_presence_case =
        LUNA__V1__FILTER_RESPONSE__LOG_LIKELIHOOD_PRESENCE_LOG_LIKELIHOOD;
    resp->log_likelihood = log_likelihood;
}

static enum status
filter_level(struct call *call, const Luna__V1__FilterRequest *req, Luna__V1__FilterResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct kalman_filter_request in = {
        .values = req->results,
        .n = req->n_results,
        .observation_variance = {req->observation_variance_presence_case != 0,
                                 req->observation_variance},
        .level_variance = {req->level_variance_presence_case != 0, req->level_variance},
        .initial_given = req->initial_state != NULL,
        .initial_mean = req->initial_state ? req->initial_state->mean : 0,
        .initial_variance = req->initial_state ? req->initial_state->variance : 0,
        .want_variances = req->include_variances,
        .want_innovations = req->include_innovations,
        .want_log_likelihood = req->include_log_likelihood,
    };
    struct kalman_filter_result out;
    struct kalman_convention c;
    kalman_read_convention(req->likelihood_convention, &c);
    if (req->robust)
        return fail_field(ctx, "robust", "needs a model");
    if (c.concentrated)
        return fail_field(ctx, "likelihood_convention", "needs a model");
    in.omit_diffuse_constant = c.convention == SSM_OMIT_DIFFUSE_CONSTANT;
    enum status st = kalman_filter(ctx, &in, &out);
    if (st != OK)
        return st;
    write_filtered(req, &out, resp);
    resp->cost_units = 1;
    if (req->include_log_likelihood)
        write_log_likelihood(out.log_likelihood, resp);
    return OK;
}

/* Innovations of numbers that are missing or diffuse are 0, variances of diffuse ones infinite. */
static void
write_innovations(const struct asked *asked, Luna__V1__FilterResponse *resp)
{
    const struct kalman_answer *a = &asked->answer;
    size_t n = a->n * a->model->s.p;
    resp->innovations = question_numbers(asked, n);
    resp->innovation_variances = question_numbers(asked, n);
    resp->n_innovations = resp->n_innovation_variances = n;
    for (size_t i = 0; i < n; i++) {
        bool diffuse = a->filtered.kind[i] == SSM_DIFFUSE;
        resp->innovations[i] = diffuse ? 0 : a->filtered.v[i];
        double v = a->filtered.f[i];
        resp->innovation_variances[i] = diffuse ? INFINITY : v < 0 ? 0 : v; /* rounding of a zero */
    }
}

static enum status
read_filter(struct asked *a)
{
    struct ctx *ctx = &a->call->ctx;
    const Luna__V1__FilterRequest *req = a->req;
    struct ssm_robust *ret = &a->ask.robust;
    static const double usual[] = {0, 9, 1.345, 4};
    const Luna__V1__RobustFilter *r = req->robust;
    if (!r)
        return OK;
    if (r->kind < LUNA__V1__ROBUST_KIND__ROBUST_KIND_GATE ||
        r->kind > LUNA__V1__ROBUST_KIND__ROBUST_KIND_STUDENT)
        return fail_field(ctx, "robust.kind", "is not known");
    if (!(r->threshold >= 0 && isfinite(r->threshold)))
        return fail_field(ctx, "robust.threshold", "is not above zero");
    if (req->include_log_likelihood)
        return fail_field(ctx, "include_log_likelihood", "has no meaning for a robust filter");
    ret->kind = (enum ssm_robust_kind)r->kind;
    ret->threshold = r->threshold > 0 ? r->threshold : usual[r->kind];
    return OK;
}

static enum status
write_filter(struct asked *a)
{
    const Luna__V1__FilterRequest *req = a->req;
    Luna__V1__FilterResponse *resp = a->resp;
    const struct kalman_answer *an = &a->answer;
    const struct model *m = an->model;
    size_t n = req->n_results;
    struct kalman_table t = table(an->filtered.att, an->filtered.ptt, an->n, m->s.m, true);
    struct kalman_filter_result out = {
        .levels = question_numbers(a, n),
        .variances = req->include_variances ? question_numbers(a, n) : NULL,
    };
    if (!kalman_signal(m, &t, false, out.levels, out.variances))
        return does_not_fit(a);
    write_filtered(req, &out, resp);
    t.variances = req->include_variances ? t.variances : NULL;
    resp->states = kalman_write_states(a->call->ctx.arena, m, &t, &resp->n_states);
    resp->estimated = m->unknown > 0 && an->fit.end == FIT_CONVERGED;
    resp->weights = an->filtered.weight;
    resp->n_weights = an->filtered.weight ? n : 0;
    if (req->include_innovations)
        write_innovations(a, resp);
    if (req->include_log_likelihood)
        write_log_likelihood(an->log_likelihood, resp);
    return OK;
}

/* Without a model it is the local level, with arithmetic of its own. */
static enum status
answer_filter(struct asked *a)
{
    const Luna__V1__FilterRequest *req = a->req;
    if (!req->model)
        return filter_level(a->call, req, a->resp);
    if (req->observation_variance_presence_case || req->level_variance_presence_case ||
        req->initial_state)
        return fail_field(&a->call->ctx, "model",
                          "says what the variances and the start are: alone");
    return question_answer(a);
}

const struct question question_filter = {
    .kind = KALMAN_FILTER,
    COMMON_REQUEST(Filter),
    CONVENTION(Filter),
    COMMON_RESPONSE(Filter),
    .read = read_filter,
    .write = write_filter,
    .answer = answer_filter,
};

/* ---- Smooth ---- */

static enum status
read_smooth(struct asked *a)
{
    const Luna__V1__SmoothRequest *req = a->req;
    if (req->lag < 0 || (req->lag > 0 && (req->include_disturbances || req->include_auxiliary)))
        return fail_field(&a->call->ctx, "lag",
                          req->lag < 0 ? "is negative" : "is for states alone");
    a->ask.lag = (size_t)req->lag;
    a->ask.smooth = (req->include_variances ? SSM_SMOOTH_VARIANCE : 0U) |
                    (req->include_disturbances ? SSM_SMOOTH_DISTURBANCES : 0U) |
                    (req->include_auxiliary ? SSM_SMOOTH_AUXILIARY : 0U);
    return OK;
}

/* Auxiliary residuals: x / sqrt(variance), 0 without one. */
static struct kalman_table
standardized(const struct asked *a, const double *x, const double *variance, size_t width,
             bool *fit)
{
    size_t n = a->answer.n * width;
    double *to = question_numbers(a, n);
    for (size_t i = 0; i < n; i++) {
        to[i] = variance[i] > 0 ? x[i] / sqrt(variance[i]) : 0;
        *fit = *fit && isfinite(to[i]);
    }
    return table(to, NULL, a->answer.n, width, false);
}

static enum status
write_disturbances(struct asked *a, Luna__V1__SmoothResponse *resp)
{
    bool fit = true;
    struct arena *arena = a->call->ctx.arena;
    const Luna__V1__SmoothRequest *req = a->req;
    const struct ssm_smoothed *o = &a->answer.smoothed;
    size_t n = a->answer.n, p = a->answer.model->s.p, r = a->answer.model->s.r;
    struct kalman_table t;
    if (req->include_disturbances) {
        t = table(o->eps, o->eps_variance, n, p, false);
        resp->observation_disturbances =
            kalman_write_columns(arena, "observation", &t, &resp->n_observation_disturbances);
        t = table(o->eta, o->eta_variance, n, r, false);
        resp->state_disturbances =
            kalman_write_columns(arena, "state", &t, &resp->n_state_disturbances);
    }
    if (req->include_auxiliary) {
        t = standardized(a, o->u, o->d, p, &fit);
        resp->observation_auxiliary =
            kalman_write_columns(arena, "observation", &t, &resp->n_observation_auxiliary);
        t = standardized(a, o->rv, o->nv, r, &fit);
        resp->state_auxiliary = kalman_write_columns(arena, "state", &t, &resp->n_state_auxiliary);
    }
    return fit ? OK : does_not_fit(a);
}

static enum status
write_smooth(struct asked *a)
{
    const Luna__V1__SmoothRequest *req = a->req;
    Luna__V1__SmoothResponse *resp = a->resp;
    const struct kalman_answer *an = &a->answer;
    const struct model *m = an->model;
    struct kalman_table t = table(an->smoothed.alpha, an->smoothed.variance, an->n, m->s.m, true);
    resp->n_signal = req->n_results;
    resp->signal = question_numbers(a, req->n_results);
    if (req->include_variances) {
        resp->n_signal_variances = req->n_results;
        resp->signal_variances = question_numbers(a, req->n_results);
    }
    if (!kalman_signal(m, &t, false, resp->signal, resp->signal_variances))
        return does_not_fit(a);
    resp->states = kalman_write_states(a->call->ctx.arena, m, &t, &resp->n_states);
    resp->log_likelihood = an->log_likelihood;
    return write_disturbances(a, resp);
}

const struct question question_smooth = {
    .kind = KALMAN_SMOOTH,
    COMMON_REQUEST(Smooth),
    CONVENTION(Smooth),
    COMMON_RESPONSE(Smooth),
    .read = read_smooth,
    .write = write_smooth,
};

/* ---- Forecast ---- */

static enum status
read_forecast(struct asked *a)
{
    struct ctx *ctx = &a->call->ctx;
    const Luna__V1__ForecastRequest *req = a->req;
    enum status st = OK;
    a->ask.parameter_uncertainty = req->parameter_uncertainty;
    a->ask.fit.standard_errors = req->parameter_uncertainty;
    for (size_t i = 0; i < req->n_levels; i++) {
        if (!(req->levels[i] > 0 && req->levels[i] < 1))
            st = fail_field(ctx, arena_printf(ctx->arena, "levels[%zu]", i),
                            "is not between 0 and 1");
    }
    return st;
}

static Luna__V1__ForecastInterval *
write_interval(const struct asked *a, double level, const Luna__V1__ForecastResponse *resp)
{
    Luna__V1__ForecastInterval *v = arena_new(a->call->ctx.arena, Luna__V1__ForecastInterval);
    luna__v1__forecast_interval__init(v);
    double z = stats_normal_quantile(0.5 + level / 2);
    v->level = level;
    v->n_lower = v->n_upper = resp->n_values;
    v->lower = question_numbers(a, resp->n_values);
    v->upper = question_numbers(a, resp->n_values);
    for (size_t i = 0; i < resp->n_values; i++) {
        double half = z * sqrt(resp->variances[i]);
        v->lower[i] = resp->values[i] - half;
        v->upper[i] = resp->values[i] + half;
    }
    return v;
}

static void
write_intervals(const struct asked *a, Luna__V1__ForecastResponse *resp)
{
    static const double usual[] = {0.95};
    const Luna__V1__ForecastRequest *req = a->req;
    const double *levels = req->n_levels ? req->levels : usual;
    resp->n_intervals = req->n_levels ? req->n_levels : 1;
    resp->intervals =
        arena_new_n(a->call->ctx.arena, Luna__V1__ForecastInterval *, resp->n_intervals);
    for (size_t k = 0; k < resp->n_intervals; k++)
        resp->intervals[k] = write_interval(a, levels[k], resp);
}

static enum status
write_forecast(struct asked *a)
{
    struct ctx *ctx = &a->call->ctx;
    Luna__V1__ForecastResponse *resp = a->resp;
    const struct kalman_answer *an = &a->answer;
    const struct model *m = an->model;
    struct kalman_table t = table(an->filtered.att, an->filtered.ptt, a->ask.horizon, m->s.m, true);
    t.from = an->n;
    resp->n_values = resp->n_variances = t.times * m->s.p;
    resp->values = question_numbers(a, resp->n_values);
    resp->variances = question_numbers(a, resp->n_values);
    bool fits = kalman_signal(m, &t, true, resp->values, resp->variances);
    resp->parameter_variances = an->parameter_variances;
    resp->n_parameter_variances = an->parameter_variances ? resp->n_values : 0;
    for (size_t i = 0; i < resp->n_parameter_variances; i++)
        resp->variances[i] += an->parameter_variances[i];
    for (size_t i = 0; i < resp->n_values; i++) {
        if (!fits || !isfinite(resp->variances[i]))
            return fail(ctx, NO_RESULT, "the values do not determine the forecast");
    }
    resp->states = kalman_write_states(ctx->arena, m, &t, &resp->n_states);
    write_intervals(a, resp);
    return OK;
}

const struct question question_forecast = {
    .kind = KALMAN_FORECAST,
    COMMON_REQUEST(Forecast),
    .request.horizon = offsetof(Luna__V1__ForecastRequest, horizon),
    COMMON_RESPONSE(Forecast),
    .read = read_forecast,
    .write = write_forecast,
};

/* ---- Simulate ---- */

static enum status
read_simulate(struct asked *a)
{
    const Luna__V1__SimulateRequest *req = a->req;
    a->ask.draws = (size_t)req->draws;
    a->ask.seed = req->seed;
    a->ask.prior = req->kind == LUNA__V1__SIMULATION_KIND__SIMULATION_KIND_PRIOR;
    return OK;
}

/* NULL: it does not fit a double. */
static Luna__V1__SimulationDraw *
write_draw(const struct asked *a, size_t k)
{
    struct arena *arena = a->call->ctx.arena;
    const struct model *m = a->answer.model;
    const struct ssm *s = &m->s;
    Luna__V1__SimulationDraw *d = arena_new(arena, Luna__V1__SimulationDraw);
    luna__v1__simulation_draw__init(d);
    struct kalman_table t = table(a->answer.draw_states + k * s->n * s->m, NULL, s->n, s->m, false);
    d->states = kalman_write_states(arena, m, &t, &d->n_states);
    d->n_values = s->n * s->p;
    d->values = a->answer.draw_values + k * d->n_values;
    bool fits = a->ask.prior || kalman_signal(m, &t, false, d->values, NULL);
    return fits ? d : NULL;
}

static enum status
write_simulate(struct asked *a)
{
    Luna__V1__SimulateResponse *resp = a->resp;
    resp->n_draws = a->ask.draws;
    resp->draws = arena_new_n(a->call->ctx.arena, Luna__V1__SimulationDraw *, a->ask.draws);
    for (size_t k = 0; k < a->ask.draws; k++) {
        if (!(resp->draws[k] = write_draw(a, k)))
            return does_not_fit(a);
    }
    return OK;
}

const struct question question_simulate = {
    .kind = KALMAN_SIMULATE,
    COMMON_REQUEST(Simulate),
    COMMON_RESPONSE(Simulate),
    .read = read_simulate,
    .write = write_simulate,
};

/* ---- Fit ---- */

static enum status
read_fit(struct asked *a)
{
    const Luna__V1__FitRequest *req = a->req;
    bool em = req->method == LUNA__V1__FIT_METHOD__FIT_METHOD_EM;
    a->ask.fit = (struct fit_options){em ? FIT_EM : FIT_LBFGS, (size_t)req->max_iterations, true};
    return OK;
}

static enum status
write_fit(struct asked *a)
{
    kalman_write_fit(a->call->ctx.arena, &a->answer, a->answer.log_likelihood, a->resp);
    return OK;
}

const struct question question_fit = {
    .kind = KALMAN_FIT,
    COMMON_REQUEST(Fit),
    CONVENTION(Fit),
    .read = read_fit,
    .write = write_fit, /* the parameters and the cost as well */
};

/* ---- Diagnose ---- */

static enum status
read_diagnose(struct asked *a)
{
    const Luna__V1__DiagnoseRequest *req = a->req;
    size_t n = req->n_results, usual = n / 5 < 10 ? n / 5 : 10;
    if ((size_t)req->lags > n)
        return fail_field(&a->call->ctx, "lags", "are more than the values");
    if (model_series(&a->spec) != 1)
        return fail_field(&a->call->ctx, "model", "has more than one series");
    a->ask.lags = req->lags ? (size_t)req->lags : (usual ? usual : 1);
    return OK;
}

static enum status
write_diagnose(struct asked *a)
{
    const Luna__V1__DiagnoseRequest *req = a->req;
    kalman_write_diagnosis(a->call->ctx.arena, &a->answer, req->threshold > 0 ? req->threshold : 3,
                           a->resp);
    return OK;
}

const struct question question_diagnose = {
    .kind = KALMAN_DIAGNOSE,
    COMMON_REQUEST(Diagnose),
    COMMON_RESPONSE(Diagnose),
    .read = read_diagnose,
    .write = write_diagnose,
};
