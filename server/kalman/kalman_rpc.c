/* KalmanService: check, domain, convert. */
#include "luna/v1/kalman.rpc.h"

#include "kalman/kalman.h"

static enum status
read_convention(struct ctx *ctx, Luna__V1__LikelihoodConvention c, bool *ret_omit)
{
    if (c < LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_UNSPECIFIED ||
        c > LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT)
        return fail_field(ctx, "likelihood_convention", "is not a known convention");
    *ret_omit = c == LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT;
    return OK;
}

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
    if (req->include_log_likelihood) {
        resp->log_likelihood_presence_case =
            LUNA__V1__FILTER_RESPONSE__LOG_LIKELIHOOD_PRESENCE_LOG_LIKELIHOOD;
        resp->log_likelihood = res->log_likelihood;
    }
}

static enum status
filter(struct call *call, const Luna__V1__FilterRequest *req, Luna__V1__FilterResponse *resp)
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
    enum status st = kalman_check_account(ctx, req->account_id);
    if (st == OK)
        st = read_convention(ctx, req->likelihood_convention, &in.omit_diffuse_constant);
    if (st == OK)
        st = kalman_filter(ctx, &in, &out);
    if (st == OK)
        write_filtered(req, &out, resp);
    return st;
}
