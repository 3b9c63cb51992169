#include "kalman/kalman.h"

#include <math.h>

#include "kalman/local_level.h"
#include "run/compute.h"

/* Nanoseconds a value, as tests/bench/kalman_bench prints them, rounded up. */
#define FILTER_NS   10
#define ESTIMATE_NS 250
/* Work that is expected to take longer goes to the compute pool: a way there and back costs about a
 * tenth of this, and other calls of the reactor wait no longer than this. */
#define INLINE_NS 200000

enum outcome {
    DONE,
    STOPPED,
    INFINITE_VALUE,
    TOO_FEW_VALUES,
    NOTHING_KNOWN,
    ESTIMATE_OUT_OF_RANGE,
    RESULT_OUT_OF_RANGE,
};

/* All that the computation touches: it may run on another thread. */
struct work {
    const struct kalman_filter_request *req;
    struct kalman_filter_result *res;
    struct compute_task *task; /* NULL: inline */
    struct local_level_facts facts;
    struct local_level_variances variances;
    size_t values_needed;
    enum outcome outcome;
};

enum status
kalman_check_account(struct ctx *ctx, int64_t account_id)
{
    if (account_id == 0 || account_id == ctx->who.account_id || ctx->who.role == ROLE_ADMIN)
        return OK;
    return fail(ctx, ACCOUNT_NOT_FOUND, "there is no account %lld of yours", (long long)account_id);
}

static enum status
check_variance(struct ctx *ctx, const char *field, double x)
{
    if (!isfinite(x))
        return fail_field(ctx, field, "is not finite");
    if (x < 0)
        return fail_field(ctx, field, "is negative");
    return OK;
}

/* Names every field that is wrong; the values themselves are looked at by the computation. */
static enum status
check_request(struct ctx *ctx, const struct kalman_filter_request *req)
{
    enum status st = OK, bad;
    if (req->n == 0)
        st = fail_field(ctx, "results", "holds no value");
    if (req->n > KALMAN_MAX_VALUES)
        st = fail_field(ctx, "results", "holds %zu values; at most %d", req->n, KALMAN_MAX_VALUES);
    if (req->observation_variance.given &&
        (bad = check_variance(ctx, "observation_variance", req->observation_variance.value)) != OK)
        st = bad;
    if (req->level_variance.given &&
        (bad = check_variance(ctx, "level_variance", req->level_variance.value)) != OK)
        st = bad;
    if (!req->initial_given)
        return st;
    if (!isfinite(req->initial_mean))
        st = fail_field(ctx, "initial_state.mean", "is not finite");
    if ((bad = check_variance(ctx, "initial_state.variance", req->initial_variance)) != OK)
        st = bad;
    return st;
}

static bool
work_stopped(void *arg)
{
    const struct work *w = arg;
    return w->task && compute_cancelled(w->task);
}

static size_t
block(const struct kalman_filter_request *req, size_t from)
{
    return req->n - from < LOCAL_LEVEL_BLOCK ? req->n - from : LOCAL_LEVEL_BLOCK;
}

/* What the values are, and whether they suffice. */
static enum outcome
look(struct work *w)
{
    const struct kalman_filter_request *req = w->req;
    for (size_t i = 0; i < req->n; i += block(req, i)) {
        if (work_stopped(w))
            return STOPPED;
        local_level_look(&w->facts, req->values + i, block(req, i));
    }
    if (w->facts.infinite)
        return INFINITE_VALUE;
    size_t unknown = (size_t)!req->observation_variance.given + (size_t)!req->level_variance.given;
    w->values_needed = unknown ? unknown + 1 : 0;
    if (w->facts.values < w->values_needed)
        return TOO_FEW_VALUES;
    return w->facts.values == 0 && !req->initial_given ? NOTHING_KNOWN : DONE;
}

static double
or_unknown(struct kalman_maybe m)
{
    return m.given ? m.value : NAN;
}

static enum outcome
estimate(struct work *w)
{
    const struct kalman_filter_request *req = w->req;
    struct local_level_known known = {or_unknown(req->observation_variance),
                                      or_unknown(req->level_variance)};
    struct local_level_stop stop = {work_stopped, w};
    if (!local_level_fit(req->values, req->n, &w->facts, &known, &stop, &w->variances))
        return STOPPED;
    w->res->estimated = !req->observation_variance.given || !req->level_variance.given;
    w->res->observation_variance = local_level_observation_variance(&w->variances);
    w->res->level_variance = local_level_level_variance(&w->variances);
    return isfinite(w->res->observation_variance) && isfinite(w->res->level_variance)
               ? DONE
               : ESTIMATE_OUT_OF_RANGE;
}

static struct local_level_out
out_from(const struct kalman_filter_result *res, size_t i)
{
    return (struct local_level_out){
        .level = res->levels + i,
        .variance = res->variances ? res->variances + i : NULL,
        .innovation = res->innovations ? res->innovations + i : NULL,
        .innovation_variance = res->innovation_variances ? res->innovation_variances + i : NULL,
    };
}

static bool
all_finite(const double *x, size_t from, size_t n)
{
    for (size_t i = from; x && i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

/* Results in units near the ends of a double's range; elsewhere they fit by construction. */
static bool
results_fit(const struct work *w, const struct local_level_filter *f)
{
    if (f->y_exponent == 0 && f->var_exponent == 0)
        return true;
    const struct kalman_filter_result *res = w->res;
    size_t start = w->req->initial_given ? 0 : w->facts.first;
    return all_finite(res->levels, 0, w->req->n) && all_finite(res->variances, start, w->req->n) &&
           all_finite(res->innovations, 0, w->req->n) &&
           all_finite(res->innovation_variances, start + !w->req->initial_given, w->req->n);
}

static enum outcome
filter(struct work *w)
{
    const struct kalman_filter_request *req = w->req;
    struct kalman_filter_result *res = w->res;
    struct local_level_filter f;
    double largest = fmax(fabs(w->facts.min), fabs(w->facts.max));
    if (req->initial_given)
        largest = fmax(largest, fabs(req->initial_mean));
    local_level_init(&f, &w->variances, !req->initial_given, req->initial_mean,
                     req->initial_variance, largest);
    for (size_t i = 0; i < req->n; i += block(req, i)) {
        if (work_stopped(w))
            return STOPPED;
        struct local_level_out out = out_from(res, i);
        local_level_run(&f, req->values + i, block(req, i), &out);
    }
    for (size_t i = 0; i < f.leading; i++)
        res->levels[i] = req->values[w->facts.first];
    if (req->want_log_likelihood) {
        res->log_likelihood = local_level_log_likelihood(&f, !req->omit_diffuse_constant);
        if (!isfinite(res->log_likelihood))
            return RESULT_OUT_OF_RANGE;
    }
    return results_fit(w, &f) ? DONE : RESULT_OUT_OF_RANGE;
}

static void
work_run(struct compute_task *task, void *arg)
{
    struct work *w = arg;
    w->task = task;
    w->outcome = look(w);
    if (w->outcome == DONE)
        w->outcome = estimate(w);
    if (w->outcome == DONE)
        w->outcome = filter(w);
}

static enum status
tell(struct ctx *ctx, const struct work *w)
{
    switch (w->outcome) {
    case DONE:
        return OK;
    case INFINITE_VALUE:
        return fail_field(ctx, arena_printf(ctx->arena, "results[%zu]", w->facts.infinite_at),
                          "is not finite");
    case TOO_FEW_VALUES:
        return fail_field(ctx, "results",
                          "holds %zu values that are not missing; estimating needs %zu",
                          w->facts.values, w->values_needed);
    case NOTHING_KNOWN:
        return fail(ctx, NO_RESULT,
                    "every value is missing and no initial state is given: nothing is known");
    case ESTIMATE_OUT_OF_RANGE:
        return fail(ctx, NO_RESULT, "an estimated variance does not fit a double");
    case RESULT_OUT_OF_RANGE:
        return fail(ctx, NO_RESULT, "a result does not fit a double");
    case STOPPED:
        break;
    }
    enum status st = ctx_check(ctx);
    return st != OK ? st : fail_plain(ctx, CANCELLED_BY_CALLER);
}

enum status
kalman_filter(struct ctx *ctx, const struct kalman_filter_request *req,
              struct kalman_filter_result *ret)
{
    enum status st = check_request(ctx, req);
    if (st != OK)
        return st;
    struct kalman_filter_result res = {0};
    size_t bytes = req->n * sizeof(double);
    res.levels = arena_alloc_raw(ctx->arena, bytes);
    if (req->want_variances)
        res.variances = arena_alloc_raw(ctx->arena, bytes);
    if (req->want_innovations) {
        res.innovations = arena_alloc_raw(ctx->arena, bytes);
        res.innovation_variances = arena_alloc_raw(ctx->arena, bytes);
    }
    struct work w = {.req = req, .res = &res};
    bool estimates = !req->observation_variance.given || !req->level_variance.given;
    if (req->n * (size_t)(estimates ? ESTIMATE_NS + FILTER_NS : FILTER_NS) <= INLINE_NS)
        work_run(NULL, &w);
    else if ((st = compute_run(ctx, work_run, &w)) != OK)
        return st;
    st = tell(ctx, &w);
    if (st == OK)
        *ret = res;
    return st;
}
