/* The methods that answer at once: check, domain, convert. */
#include "edge/quota_gate.h"
#include "kalman/handlers_rpc.h"
#include "luna/v1/kalman.pb-c.h"

#include <math.h>

#include "kalman/kalman.h"
#include "kalman/kalman_convert_rpc.h"

/* What every question to a model begins with. */
#define READ_QUESTION(call, req, horizon, spec) \
    read_question((call), (req)->account_id, (req)->n_results, (horizon), (req)->model, (spec))

static enum status
read_question(struct call *call, int64_t account_id, size_t count, size_t horizon,
              const Luna__V1__Model *model, struct model_spec *spec)
{
    enum status st = kalman_check_account(&call->ctx, account_id);
    return st == OK ? kalman_read_model(&call->ctx, "model", model, count, horizon, spec) : st;
}

/* One for every million of work, beside the unit that the call itself costs. */
static enum status
charge_work(struct ctx *ctx, double work)
{
    return quota_gate_measure(container_of(ctx, struct call, ctx), (int64_t)(work / 1e6));
}

static struct kalman_table
table(const double *values, const double *variances, size_t times, size_t width, bool square)
{
    return (struct kalman_table){
        .values = values, .variances = variances, .times = times, .width = width, .square = square};
}

static double *
numbers(struct call *call, size_t n)
{
    return arena_array(call->ctx.arena, n, sizeof(double));
}

/* ---- Filter -------------------------------------------------------------------------------------
 */

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
write_innovations(struct call *call, const struct kalman_answer *a, Luna__V1__FilterResponse *resp)
{
    size_t n = a->n * a->model->s.p;
    resp->innovations = numbers(call, n);
    resp->innovation_variances = numbers(call, n);
    resp->n_innovations = resp->n_innovation_variances = n;
    for (size_t i = 0; i < n; i++) {
        bool diffuse = a->filtered.kind[i] == SSM_DIFFUSE;
        resp->innovations[i] = diffuse ? 0 : a->filtered.v[i];
        resp->innovation_variances[i] = diffuse ? INFINITY : a->filtered.f[i];
    }
}

static enum status
read_robust(struct ctx *ctx, const Luna__V1__FilterRequest *req, struct ssm_robust *ret)
{
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
filter_model(struct call *call, const Luna__V1__FilterRequest *req, Luna__V1__FilterResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct kalman_convention c;
    struct arena *arena = call->ctx.arena;
    if (req->observation_variance_presence_case || req->level_variance_presence_case ||
        req->initial_state)
        return fail_field(&call->ctx, "model", "says what the variances and the start are: alone");
    enum status st = READ_QUESTION(call, req, 0, &spec);
    if (st != OK)
        return st;
    kalman_read_convention(req->likelihood_convention, &c);
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_FILTER,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results,
                             .concentrated = c.concentrated,
                             .convention = c.convention};
    if ((st = read_robust(&call->ctx, req, &ask.robust)) != OK)
        return st;
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) != OK)
        return st;
    size_t m = a.model->s.m, n = req->n_results;
    struct kalman_table t = table(a.filtered.att, a.filtered.ptt, a.n, m, true);
    double *variances = req->include_variances ? numbers(call, n) : NULL;
    struct kalman_filter_result out = {.levels = numbers(call, n), .variances = variances};
    kalman_signal(a.model, &t, false, out.levels, variances);
    write_filtered(req, &out, resp);
    t.variances = req->include_variances ? t.variances : NULL;
    resp->states = kalman_write_states(arena, a.model, &t, &resp->n_states);
    resp->parameters = kalman_write_parameters(arena, &a, &resp->n_parameters);
    resp->estimated = a.model->unknown > 0 && a.fit.end == FIT_CONVERGED;
    resp->weights = a.filtered.weight;
    resp->n_weights = a.filtered.weight ? n : 0;
    resp->cost_units = a.units;
    if (req->include_innovations)
        write_innovations(call, &a, resp);
    if (req->include_log_likelihood)
        write_log_likelihood(a.log_likelihood, resp);
    return OK;
}

enum status
kalman_rpc_filter(struct call *call, const Luna__V1__FilterRequest *req,
                  Luna__V1__FilterResponse *resp)
{
    enum status st = kalman_check_account(&call->ctx, req->account_id);
    if (st != OK)
        return st;
    return req->model ? filter_model(call, req, resp) : filter_level(call, req, resp);
}

/* ---- Smooth -------------------------------------------------------------------------------------
 */

/* Auxiliary residuals: x / sqrt(variance), 0 without one. */
static struct kalman_table
standardized(struct call *call, const double *x, const double *variance, size_t times, size_t width)
{
    double *to = numbers(call, times * width);
    for (size_t i = 0; i < times * width; i++)
        to[i] = variance[i] > 0 ? x[i] / sqrt(variance[i]) : 0;
    return table(to, NULL, times, width, false);
}

static void
write_disturbances(struct call *call, const Luna__V1__SmoothRequest *req,
                   const struct kalman_answer *a, Luna__V1__SmoothResponse *resp)
{
    struct arena *arena = call->ctx.arena;
    const struct ssm_smoothed *o = &a->smoothed;
    size_t p = a->model->s.p, r = a->model->s.r;
    struct kalman_table t;
    if (req->include_disturbances) {
        t = table(o->eps, o->eps_variance, a->n, p, false);
        resp->observation_disturbances =
            kalman_write_columns(arena, "observation", &t, &resp->n_observation_disturbances);
        t = table(o->eta, o->eta_variance, a->n, r, false);
        resp->state_disturbances =
            kalman_write_columns(arena, "state", &t, &resp->n_state_disturbances);
    }
    if (req->include_auxiliary) {
        t = standardized(call, o->u, o->d, a->n, p);
        resp->observation_auxiliary =
            kalman_write_columns(arena, "observation", &t, &resp->n_observation_auxiliary);
        t = standardized(call, o->rv, o->nv, a->n, r);
        resp->state_auxiliary = kalman_write_columns(arena, "state", &t, &resp->n_state_auxiliary);
    }
}

enum status
kalman_rpc_smooth(struct call *call, const Luna__V1__SmoothRequest *req,
                  Luna__V1__SmoothResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct kalman_convention c;
    struct arena *arena = call->ctx.arena;
    enum status st = READ_QUESTION(call, req, 0, &spec);
    if (st != OK)
        return st;
    kalman_read_convention(req->likelihood_convention, &c);
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_SMOOTH,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results,
                             .concentrated = c.concentrated,
                             .convention = c.convention};
    if (req->lag < 0 || (req->lag > 0 && (req->include_disturbances || req->include_auxiliary)))
        return fail_field(&call->ctx, "lag", req->lag < 0 ? "is negative" : "is for states alone");
    ask.lag = (size_t)req->lag;
    ask.smooth = (req->include_variances ? SSM_SMOOTH_VARIANCE : 0U) |
                 (req->include_disturbances ? SSM_SMOOTH_DISTURBANCES : 0U) |
                 (req->include_auxiliary ? SSM_SMOOTH_AUXILIARY : 0U);
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) != OK)
        return st;
    struct kalman_table t = table(a.smoothed.alpha, a.smoothed.variance, a.n, a.model->s.m, true);
    resp->n_signal = req->n_results;
    resp->signal = numbers(call, req->n_results);
    if (req->include_variances) {
        resp->n_signal_variances = req->n_results;
        resp->signal_variances = numbers(call, req->n_results);
    }
    kalman_signal(a.model, &t, false, resp->signal, resp->signal_variances);
    resp->states = kalman_write_states(arena, a.model, &t, &resp->n_states);
    resp->parameters = kalman_write_parameters(arena, &a, &resp->n_parameters);
    resp->log_likelihood = a.log_likelihood;
    resp->cost_units = a.units;
    write_disturbances(call, req, &a, resp);
    return OK;
}

/* ---- Forecast -----------------------------------------------------------------------------------
 */

static enum status
write_intervals(struct call *call, const Luna__V1__ForecastRequest *req,
                Luna__V1__ForecastResponse *resp)
{
    static const double usual[] = {0.95};
    struct arena *arena = call->ctx.arena;
    const double *levels = req->n_levels ? req->levels : usual;
    size_t count = req->n_levels ? req->n_levels : 1, n = resp->n_values;
    resp->intervals = arena_new_n(arena, Luna__V1__ForecastInterval *, count);
    resp->n_intervals = count;
    for (size_t k = 0; k < count; k++) {
        Luna__V1__ForecastInterval *v = resp->intervals[k] =
            arena_new(arena, Luna__V1__ForecastInterval);
        luna__v1__forecast_interval__init(v);
        double z = stats_normal_quantile(0.5 + levels[k] / 2);
        v->level = levels[k];
        v->n_lower = v->n_upper = n;
        v->lower = numbers(call, n);
        v->upper = numbers(call, n);
        for (size_t i = 0; i < n; i++) {
            double half = z * sqrt(resp->variances[i]);
            v->lower[i] = resp->values[i] - half;
            v->upper[i] = resp->values[i] + half;
        }
    }
    return OK;
}

static enum status
check_forecast(struct ctx *ctx, const Luna__V1__ForecastRequest *req)
{
    enum status st = OK;
    for (size_t i = 0; i < req->n_levels; i++) {
        if (!(req->levels[i] > 0 && req->levels[i] < 1))
            st = fail_field(ctx, arena_printf(ctx->arena, "levels[%zu]", i),
                            "is not between 0 and 1");
    }
    return st;
}

enum status
kalman_rpc_forecast(struct call *call, const Luna__V1__ForecastRequest *req,
                    Luna__V1__ForecastResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct arena *arena = call->ctx.arena;
    enum status st = check_forecast(&call->ctx, req);
    if (st != OK || (st = READ_QUESTION(call, req, (size_t)req->horizon, &spec)) != OK)
        return st;
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_FORECAST,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results,
                             .horizon = (size_t)req->horizon,
                             .parameter_uncertainty = req->parameter_uncertainty,
                             .fit = {.standard_errors = req->parameter_uncertainty}};
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) != OK)
        return st;
    struct kalman_table t =
        table(a.filtered.att, a.filtered.ptt, (size_t)req->horizon, a.model->s.m, true);
    t.from = a.n;
    resp->n_values = resp->n_variances = t.times * a.model->s.p;
    resp->values = numbers(call, resp->n_values);
    resp->variances = numbers(call, resp->n_values);
    kalman_signal(a.model, &t, true, resp->values, resp->variances);
    resp->parameter_variances = a.parameter_variances;
    resp->n_parameter_variances = a.parameter_variances ? resp->n_values : 0;
    for (size_t i = 0; i < resp->n_parameter_variances; i++)
        resp->variances[i] += a.parameter_variances[i];
    resp->cost_units = a.units;
    for (size_t i = 0; i < resp->n_values; i++) {
        if (!isfinite(resp->values[i]) || !isfinite(resp->variances[i]))
            return fail(&call->ctx, NO_RESULT, "the values do not determine the forecast");
    }
    resp->states = kalman_write_states(arena, a.model, &t, &resp->n_states);
    resp->parameters = kalman_write_parameters(arena, &a, &resp->n_parameters);
    return write_intervals(call, req, resp);
}

/* ---- Simulate -----------------------------------------------------------------------------------
 */

static Luna__V1__SimulationDraw *
write_draw(struct call *call, const struct kalman_answer *a, size_t k, bool prior)
{
    struct arena *arena = call->ctx.arena;
    const struct ssm *s = &a->model->s;
    Luna__V1__SimulationDraw *d = arena_new(arena, Luna__V1__SimulationDraw);
    luna__v1__simulation_draw__init(d);
    struct kalman_table t = table(a->draw_states + k * s->n * s->m, NULL, s->n, s->m, false);
    d->states = kalman_write_states(arena, a->model, &t, &d->n_states);
    d->n_values = s->n * s->p;
    d->values = a->draw_values + k * d->n_values;
    if (!prior)
        kalman_signal(a->model, &t, false, d->values, NULL);
    return d;
}

enum status
kalman_rpc_simulate(struct call *call, const Luna__V1__SimulateRequest *req,
                    Luna__V1__SimulateResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct arena *arena = call->ctx.arena;
    bool prior = req->kind == LUNA__V1__SIMULATION_KIND__SIMULATION_KIND_PRIOR;
    enum status st = READ_QUESTION(call, req, 0, &spec);
    if (st != OK)
        return st;
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_SIMULATE,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results,
                             .draws = (size_t)req->draws,
                             .seed = req->seed,
                             .prior = prior};
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) != OK)
        return st;
    resp->n_draws = ask.draws;
    resp->cost_units = a.units;
    resp->draws = arena_new_n(arena, Luna__V1__SimulationDraw *, ask.draws);
    for (size_t k = 0; k < ask.draws; k++)
        resp->draws[k] = write_draw(call, &a, k, prior);
    resp->parameters = kalman_write_parameters(arena, &a, &resp->n_parameters);
    return OK;
}

/* ---- Fit and Select
 * ------------------------------------------------------------------------------ */

enum status
kalman_rpc_fit(struct call *call, const Luna__V1__FitRequest *req, Luna__V1__FitResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct kalman_convention c;
    enum status st = READ_QUESTION(call, req, 0, &spec);
    if (st != OK)
        return st;
    kalman_read_convention(req->likelihood_convention, &c);
    bool em = req->method == LUNA__V1__FIT_METHOD__FIT_METHOD_EM;
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_FIT,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results,
                             .concentrated = c.concentrated,
                             .convention = c.convention,
                             .fit = {em ? FIT_EM : FIT_LBFGS, (size_t)req->max_iterations, true}};
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) == OK)
        kalman_write_fit(call->ctx.arena, &a, a.log_likelihood, resp);
    return st;
}

static double
criterion(Luna__V1__Criterion c, const Luna__V1__FitResponse *f)
{
    return c == LUNA__V1__CRITERION__CRITERION_BIC    ? f->bic
           : c == LUNA__V1__CRITERION__CRITERION_AICC ? f->aicc
                                                      : f->aic;
}

/* Fits model i; one without a likelihood is a row that says so, not a failure. */
static enum status
try_model(struct call *call, const Luna__V1__SelectRequest *req, size_t i, Luna__V1__SelectRow *row,
          int64_t *units)
{
    struct ctx *ctx = &call->ctx;
    struct model_spec spec;
    struct kalman_answer a;
    const char *path = arena_printf(ctx->arena, "models[%zu]", i);
    enum status st = kalman_read_model(ctx, path, req->models[i], req->n_results, 0, &spec);
    if (st != OK)
        return st;
    if (i > 0 && (st = quota_gate_measure(call, 1)) != OK) /* each model is a question */
        return st;
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_FIT,
                             .path = path,
                             .spec = &spec,
                             .values = req->results,
                             .count = req->n_results};
    st = kalman_analyse(ctx, &ask, &a);
    if (st != OK && ctx->error.reason == REASON_NO_RESULT) {
        fail_clear(ctx);
        row->failed = true;
        return OK;
    }
    if (st != OK)
        return st;
    *units += a.units;
    row->fit = arena_new(ctx->arena, Luna__V1__FitResponse);
    luna__v1__fit_response__init(row->fit);
    kalman_write_fit(ctx->arena, &a, a.log_likelihood, row->fit);
    return OK;
}

enum status
kalman_rpc_select(struct call *call, const Luna__V1__SelectRequest *req,
                  Luna__V1__SelectResponse *resp)
{
    struct arena *arena = call->ctx.arena;
    enum status st = kalman_check_account(&call->ctx, req->account_id);
    if (st != OK)
        return st;
    resp->rows = arena_new_n(arena, Luna__V1__SelectRow *, req->n_models);
    double best = INFINITY;
    for (size_t i = 0; i < req->n_models; i++) {
        Luna__V1__SelectRow *row = resp->rows[i] = arena_new(arena, Luna__V1__SelectRow);
        luna__v1__select_row__init(row);
        if ((st = try_model(call, req, i, row, &resp->cost_units)) != OK)
            return st;
        if (!row->failed && criterion(req->criterion, row->fit) < best) {
            best = criterion(req->criterion, row->fit);
            resp->best = (int32_t)i;
        }
    }
    resp->n_rows = req->n_models;
    return isfinite(best) ? OK : fail(&call->ctx, NO_RESULT, "no model fits these values");
}

/* ---- Diagnose -----------------------------------------------------------------------------------
 */

enum status
kalman_rpc_diagnose(struct call *call, const Luna__V1__DiagnoseRequest *req,
                    Luna__V1__DiagnoseResponse *resp)
{
    struct model_spec spec;
    struct kalman_answer a;
    struct arena *arena = call->ctx.arena;
    size_t n = req->n_results, usual = n / 5 < 10 ? n / 5 : 10;
    if ((size_t)req->lags > n)
        return fail_field(&call->ctx, "lags", "are more than the values");
    enum status st = READ_QUESTION(call, req, 0, &spec);
    if (st == OK && model_series(&spec) != 1)
        st = fail_field(&call->ctx, "model", "has more than one series");
    if (st != OK)
        return st;
    struct kalman_ask ask = {.charge = charge_work,
                             .question = KALMAN_DIAGNOSE,
                             .path = "model",
                             .spec = &spec,
                             .values = req->results,
                             .count = n,
                             .lags = req->lags ? (size_t)req->lags : (usual ? usual : 1)};
    if ((st = kalman_analyse(&call->ctx, &ask, &a)) != OK)
        return st;
    resp->cost_units = a.units;
    kalman_write_diagnosis(arena, &a, req->threshold > 0 ? req->threshold : 3, resp);
    resp->parameters = kalman_write_parameters(arena, &a, &resp->n_parameters);
    return OK;
}

/* ---- FilterBatch
 * ---------------------------------------------------------------------------------- */

static enum status
read_series(struct ctx *ctx, const Luna__V1__FilterBatchRequest *req, const double ***ret)
{
    const double **series = arena_new_n(ctx->arena, const double *, req->n_series);
    for (size_t i = 0; i < req->n_series; i++) {
        if (req->series[i]->n_results != req->series[0]->n_results)
            return fail_field(ctx, arena_printf(ctx->arena, "series[%zu].results", i),
                              "holds %zu numbers, the first series %zu", req->series[i]->n_results,
                              req->series[0]->n_results);
        series[i] = req->series[i]->results;
    }
    *ret = series;
    return OK;
}

enum status
kalman_rpc_filter_batch(struct call *call, const Luna__V1__FilterBatchRequest *req,
                        Luna__V1__FilterBatchResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct model_spec spec;
    struct kalman_convention c;
    struct analysis_batch out;
    struct model *m;
    const double **series;
    enum status st = read_series(ctx, req, &series);
    if (st != OK)
        return st;
    kalman_read_convention(req->likelihood_convention, &c);
    size_t count = req->series[0]->n_results;
    st = read_question(call, req->account_id, count, 0, req->model, &spec);
    struct kalman_batch ask = {
        &spec,          series,       req->n_series, count, req->include_states,
        c.concentrated, c.convention, charge_work};
    if (st != OK || (st = kalman_filter_batch(ctx, &ask, &m, &out)) != OK)
        return st;
    size_t states = m->s.m, times = m->s.n;
    resp->cost_units = kalman_units(states, times, req->n_series);
    resp->results = arena_new_n(ctx->arena, Luna__V1__BatchResult *, req->n_series);
    resp->n_results = req->n_series;
    for (size_t i = 0; i < req->n_series; i++) {
        Luna__V1__BatchResult *r = resp->results[i] = arena_new(ctx->arena, Luna__V1__BatchResult);
        luna__v1__batch_result__init(r);
        r->n_last_states = states;
        r->last_states = out.last + i * states;
        r->n_states = out.states ? times * states : 0;
        r->states = out.states ? out.states + i * times * states : NULL;
        r->log_likelihood = out.log_likelihood[i];
    }
    resp->state_names = (char **)(void *)m->state_names;
    resp->n_state_names = states;
    return OK;
}
