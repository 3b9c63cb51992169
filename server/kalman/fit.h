/*
 * Maximum likelihood for the unknown parameters of a model.
 *
 * L-BFGS (liblbfgs) over unbounded parameters, from the best of several starts. The score of
 * variances is exact, by the disturbance smoother (Koopman and Shephard 1992); other derivatives
 * are central differences. EM: Durbin and Koopman (2012), 7.3.4. Standard errors: the inverse of
 * minus the second derivatives of the log-likelihood at the maximum; none for what ended on its
 * bound.
 *
 * Thread: any, one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_FIT_H
#define LUNA_KALMAN_FIT_H

#include "kalman/model.h"

enum fit_method { FIT_LBFGS, FIT_EM };

struct fit_options {
    enum fit_method method;
    size_t max_iterations; /* 0: 200 for L-BFGS, 2000 for EM */
    bool standard_errors;
};

enum fit_end {
    FIT_CONVERGED,
    FIT_ITERATIONS,     /* the most that were allowed: what was found is the best so far */
    FIT_NO_IMPROVEMENT, /* the search stopped where the score is not zero */
};

struct fit_result {
    enum fit_end end;
    size_t iterations, evaluations;
    double log_likelihood;  /* SSM_FULL */
    double *standard_error; /* parameter_count; NaN: none (given, or on a bound) */
    double *covariance;     /* of the estimates that are not on a bound... */
    size_t covariance_count;
    size_t *covariance_of; /* ...which parameters these are */
};

enum fit_status {
    FIT_OK,
    FIT_STOPPED,
    FIT_NO_LIKELIHOOD, /* no start has a finite likelihood, or the values do not vary */
    FIT_NOT_FOR_EM,    /* something other than variances of single disturbances is unknown */
};

/* Finds the unknown parameters of `m` for y (n x p) and leaves them applied. */
enum fit_status fit_model(struct model *m, const double *y, const struct fit_options *opt,
                          struct arena *arena, const struct ssm_stop *stop,
                          struct fit_result *ret) WARN_UNUSED;

/* Solves A X = I for symmetric positive definite A (n x n) in place. False: it is not. */
bool fit_invert(double *a, size_t n, double *work);

#endif
