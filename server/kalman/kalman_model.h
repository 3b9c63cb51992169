/*
 * Questions to any model: what a request may hold, where the work runs, what can go wrong.
 * Thread: the reactor of `ctx`. Memory: the context's arena.
 */
#ifndef LUNA_KALMAN_KALMAN_MODEL_H
#define LUNA_KALMAN_KALMAN_MODEL_H

#include "kalman/analysis.h"
#include "kalman/fit.h"
#include "run/compute.h"
#include "run/ctx.h"

/* states^2 x times of one request: what the smoother keeps is about 16 bytes for each. */
#define KALMAN_MAX_WORK 4000000

enum kalman_question {
    KALMAN_FILTER,
    KALMAN_SMOOTH,
    KALMAN_FORECAST,
    KALMAN_SIMULATE,
    KALMAN_FIT,
    KALMAN_DIAGNOSE,
};

/* Told of the work that a question takes (states^2 x values, estimates counted a hundredfold) when
 * the question is known to be admissible and nothing is computed yet. Not OK: it is not. May
 * suspend. */
typedef enum status (*kalman_charge_fn)(struct ctx *ctx, double work);

/* Somebody who wants to hear how far a long computation is. `tell` ticks once before it begins,
 * when it is charged, and then every now and then. */
struct kalman_watch {
    struct compute_watch tell;
    struct ssm_progress *progress;
};

struct kalman_ask {
    kalman_charge_fn charge;          /* NULL: nobody is told */
    const struct kalman_watch *watch; /* NULL: nobody watches */
    enum kalman_question question;
    const char *path;              /* of the model in the request: "model", "models[2]" */
    const struct model_spec *spec; /* shapes are right: kalman_read_model */
    const double *values;          /* numbers of one time after another; NaN: missing */
    size_t count;
    size_t horizon; /* times to forecast */
    bool concentrated;
    enum ssm_convention convention;
    unsigned smooth; /* enum ssm_smooth, with KALMAN_SMOOTH */
    struct fit_options fit;
    size_t draws;
    uint64_t seed;
    bool prior;
    size_t lags;
    size_t lag;                 /* KALMAN_SMOOTH: fixed lag; 0: fixed interval */
    bool parameter_uncertainty; /* KALMAN_FORECAST */
    struct ssm_robust robust;   /* KALMAN_FILTER */
};

/* What was asked for; the rest is zero. */
struct kalman_answer {
    struct model *model; /* with its parameters found */
    size_t n;            /* times of the values */
    struct fit_result fit;
    double log_likelihood;
    struct ssm_filtered filtered;
    struct ssm_smoothed smoothed;
    struct analysis_diagnosis diagnosis;
    double *draw_states;         /* draws x n x m */
    double *draw_values;         /* draws x n x p: prior */
    double *parameter_variances; /* horizon x p: of parameter_uncertainty */
    int64_t units;               /* quota units of the work */
};

/* Is the description admissible? Names every field that is not. Suspends: never. */
enum status kalman_check_model(struct ctx *ctx, const char *path, const struct model_spec *spec,
                               size_t times) WARN_UNUSED;

/*
 * Estimates what the model leaves open, and answers. Suspends: may.
 * Fails: BAD_FIELD, NO_RESULT, OVERLOADED, CANCELLED_BY_CALLER, DEADLINE_PASSED.
 */
enum status kalman_analyse(struct ctx *ctx, const struct kalman_ask *ask,
                           struct kalman_answer *ret) WARN_UNUSED;

struct kalman_batch {
    const struct model_spec *spec;
    const double *const *series; /* each `count` numbers */
    size_t series_count, count;
    bool want_states, concentrated;
    enum ssm_convention convention;
    kalman_charge_fn charge;          /* NULL: nobody is told */
    const struct kalman_watch *watch; /* NULL: nobody watches */
};

/* Filters them. Fails: BAD_FIELD ("series", "series[2].results[7]", "model..."), otherwise as
 * kalman_analyse. Suspends: may. */
enum status kalman_filter_batch(struct ctx *ctx, const struct kalman_batch *ask,
                                struct model **ret_model, struct analysis_batch *ret) WARN_UNUSED;

/* Quota units of `count` passes over `times` times of a model of `states`: one, and one more for
 * every million of states^2 x times. At most INT64_MAX / 2. */
int64_t kalman_units(size_t states, size_t times, size_t count);

/* Information criteria of a fit. */
struct kalman_criteria {
    double aic, aicc, bic;
};
struct kalman_criteria kalman_criteria(const struct kalman_answer *a);

#endif
