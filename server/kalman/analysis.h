/*
 * What can be asked of a laid-out model beyond filtering and smoothing: draws, tests, many series
 * at once. Memory: the caller's arena. Thread: any, one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_ANALYSIS_H
#define LUNA_KALMAN_ANALYSIS_H

#include "kalman/ssm.h"
#include "kalman/stats.h"

/* A draw of states (n x m) and values (n x p) from the model; diffuse states begin at a1. */
void analysis_draw(const struct ssm *s, struct stats_random *rnd, struct arena *scratch,
                   double *states, double *values);

/* A draw of the states given y: Durbin and Koopman (2002). The mean of the draws is `smoothed` (n x
 * m, of y). False: stopped. */
bool analysis_draw_given(const struct ssm *s, const double *y, const double *smoothed,
                         struct stats_random *rnd, struct arena *scratch,
                         const struct ssm_stop *stop, double *states) WARN_UNUSED;

struct analysis_test {
    double statistic, p_value;
    size_t degrees;
};

struct analysis_diagnosis {
    double *standardized; /* n; 0 where there is none */
    size_t count;         /* how many there are */
    struct analysis_test ljung_box, jarque_bera, heteroscedasticity;
    double skewness, kurtosis;
};

/* Tests of the innovations of one series (SSM_KEEP_INNOVATIONS). Durbin and Koopman (2012), 2.12:
 * missing values are left out. `lags` >= 1. Statistics are 0 and probabilities 1 with too few
 * innovations. */
void analysis_diagnose(const struct ssm_filtered *f, size_t n, size_t lags, struct arena *arena,
                       struct analysis_diagnosis *ret);

/* Series of one model, filtered together. */
struct analysis_batch {
    double *last;           /* series x m: filtered at the last time */
    double *states;         /* series x n x m, or NULL */
    double *log_likelihood; /* series */
};

/*
 * Filters `count` series y[i] (n x p each) of one model. Gains are computed once for each pattern
 * of missing values, and the series of a pattern run side by side. False: stopped.
 */
bool analysis_filter_batch(const struct ssm *s, const double *const *y, size_t count,
                           bool want_states, bool concentrated, enum ssm_convention c,
                           struct arena *arena, const struct ssm_stop *stop,
                           struct analysis_batch *ret) WARN_UNUSED;

#endif
