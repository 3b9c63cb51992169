/*
 * The linear Gaussian state space model, and its filter and smoother.
 *
 *   y[t]       = d[t] + Z[t] alpha[t] + eps[t],            eps[t] ~ N(0, diag(h[t]))
 *   alpha[t+1] = c[t] + T[t] alpha[t] + R[t] eta[t],       eta[t] ~ N(0, Q[t])
 *   alpha[1]   ~ N(a1, P1 + kappa P1inf),  kappa -> infinity
 *
 * Observations are taken one number at a time (Koopman and Durbin 2000), the diffuse part is exact
 * (Koopman and Durbin 2003), missing numbers are skipped: Durbin and Koopman (2012), 5.2 to 5.4
 * and 6.4. Noise that is correlated between series belongs into the state (model_free.c puts it
 * there).
 *
 * Memory comes from the caller's arena. Values of observations are finite, or NaN when missing.
 * Thread: any, one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_SSM_H
#define LUNA_KALMAN_SSM_H

#include "base/arena.h"
#include "base/defs.h"

/* Row-major; of time t at x + t * step; step 0: the same at all times. */
struct ssm_matrix {
    const double *x;
    size_t step;
};

/* Weights of values by z^2, the square of their innovation over its variance. */
enum ssm_robust_kind { SSM_NOT_ROBUST, SSM_GATE, SSM_HUBER, SSM_STUDENT };
struct ssm_robust {
    enum ssm_robust_kind kind;
    double threshold; /* above 0: of z^2, of |z|, degrees of freedom */
};

struct ssm {
    size_t n;                 /* times */
    size_t p;                 /* numbers observed at each time */
    size_t m;                 /* states */
    size_t r;                 /* disturbances */
    struct ssm_matrix z;      /* p x m */
    struct ssm_matrix h;      /* p */
    struct ssm_matrix d;      /* p; x NULL: zero */
    struct ssm_matrix t;      /* m x m */
    struct ssm_matrix c;      /* m; x NULL: zero */
    struct ssm_matrix rr;     /* m x r */
    struct ssm_matrix q;      /* r x r, symmetric, positive semi-definite */
    const double *a1;         /* m */
    const double *p1;         /* m x m */
    const double *p1_inf;     /* m, the diagonal of P1inf: which states are diffuse, and in units of
                                 what size: the likelihood is that of ones */
    struct ssm_robust robust; /* the likelihood is then without meaning */
};

static inline const double *
ssm_at(struct ssm_matrix a, size_t t)
{
    return a.x ? a.x + t * a.step : NULL;
}

/* How far a computation is: written by its thread, read by any. */
struct ssm_progress {
    ATOMIC(uint64_t) steps;        /* times filtered, smoothed or drawn: each counts each time */
    ATOMIC(uint64_t) total;        /* steps in all; 0: not known */
    ATOMIC(uint64_t) evaluations;  /* likelihoods computed by searches */
    ATOMIC(uint64_t) models;       /* estimated, of those to choose from */
    ATOMIC(double) log_likelihood; /* of the point accepted last; NaN: none yet */
};

/* Polled now and then by whatever takes long: true stops it. */
struct ssm_stop {
    bool (*stop)(void *arg);
    void *arg;
    struct ssm_progress *progress; /* NULL: nobody wants to know */
};

/* To be asked before the next `steps` steps, which it counts. */
bool ssm_stopped(const struct ssm_stop *s, size_t steps) WARN_UNUSED;

/* Every how many steps of a model of m states to ask: a power of two, at most 256, and few enough
 * that they take no longer than a few milliseconds. */
static inline size_t
ssm_stop_period(size_t m)
{
    size_t period = 256;
    while (period > 1 && period * m * m * m > 8000000)
        period /= 2;
    return period;
}

/* How many steps follow time t until the next question, of n. */
static inline size_t
ssm_stop_steps(size_t t, size_t n, size_t period)
{
    return n - t < period ? n - t : period;
}

/* What happened with one number. */
enum ssm_kind {
    SSM_MISSING, /* not observed */
    SSM_REGULAR, /* F > 0, nothing diffuse in it */
    SSM_DIFFUSE, /* Finf > 0: spent on the diffuse part */
    SSM_CERTAIN, /* F = 0: told nothing */
};

/* What the filter is to remember. */
enum ssm_keep {
    SSM_KEEP_PREDICTED = 1,   /* a, p */
    SSM_KEEP_FILTERED = 2,    /* att, ptt */
    SSM_KEEP_INNOVATIONS = 4, /* v, f, kind */
    SSM_KEEP_GAINS = 8,       /* mv, mv_inf, f_inf, p_inf: what a smoother needs besides 1 and 4 */
    SSM_KEEP_FOR_SMOOTHER = 1 + 4 + 8,
    SSM_NO_SHORTCUT = 64,      /* for tests: never takes the steady path */
    SSM_NO_WIDE_VECTORS = 128, /* for tests: as on a machine without them */
};

struct ssm_filtered {
    double *a;      /* n x m: E(alpha[t] | y[1..t-1]) */
    double *p;      /* n x m x m: its variance, without the diffuse part */
    double *p_inf;  /* diffuse_steps x m x m: the diffuse part */
    double *att;    /* n x m: E(alpha[t] | y[1..t]) */
    double *ptt;    /* n x m x m: its variance; infinite on the diagonal where still diffuse */
    double *v;      /* n x p: innovations, each given the numbers before it at the same time; 0 when
                       missing */
    double *f;      /* n x p: their variances, without the diffuse part */
    double *f_inf;  /* diffuse_steps x p */
    double *mv;     /* n x p x m: P Z' */
    double *mv_inf; /* diffuse_steps x p x m: Pinf Z' */
    uint8_t *kind;  /* n x p, enum ssm_kind */
    double *weight; /* n x p, of a robust filter; 0 when missing */
    size_t diffuse_steps;  /* times until nothing diffuse was left; n when it never ended */
    size_t rank_left;      /* diffuse elements that the data never told about */
    double *a_end, *p_end; /* predicted for time n + 1 */
    /* Parts of the likelihood. */
    size_t regular, diffuse; /* numbers of each kind */
    double log_f;            /* sum of log F */
    double log_f_inf;
    double squares;  /* sum of v^2 / F */
    bool impossible; /* a certain number did not come true */
    bool steady;     /* the shortcut was taken at the end */
};

/*
 * Filters y (n x p). Once a time-invariant model's variance has converged (rate and distance
 * estimated from its last three steps: within 2e-13), the gain is kept. False: stopped.
 */
bool ssm_filter(const struct ssm *s, const double *y, unsigned keep, struct arena *arena,
                const struct ssm_stop *stop, struct ssm_filtered *ret) WARN_UNUSED;

/* How the likelihood counts what is diffuse. */
enum ssm_convention {
    SSM_FULL,                  /* -1/2 log(2 pi) for every number */
    SSM_OMIT_DIFFUSE_CONSTANT, /* not for diffuse ones */
};

/* -infinity when there is none. */
double ssm_log_likelihood(const struct ssm_filtered *f, enum ssm_convention c);

/* The maximum over a common factor s2 of all variances, and that factor: every variance of the
 * model is meant relative to it. -infinity when there is none. */
double ssm_concentrated(const struct ssm_filtered *f, enum ssm_convention c, double *ret_s2);

/* What the smoother is to compute. */
enum ssm_smooth {
    SSM_SMOOTH_VARIANCE = 1,     /* variance */
    SSM_SMOOTH_DISTURBANCES = 2, /* eps, eta and their variances */
    SSM_SMOOTH_AUXILIARY = 4,    /* u, d, rr, nn: auxiliary residuals and the score */
};

struct ssm_smoothed {
    double *alpha;    /* n x m: E(alpha[t] | all) */
    double *variance; /* n x m x m */
    double *eps;      /* n x p: E(eps[t] | all), and var(eps[t] | all) */
    double *eps_variance;
    double *eta;          /* n x r */
    double *eta_variance; /* n x r, the diagonal */
    double *u;  /* n x p: smoothing error; eps = h u; u / sqrt(d) is the auxiliary residual */
    double *d;  /* n x p: its variance, 0 when missing */
    double *rv; /* n x r: R'r, eta = Q R'r; standardised by sqrt(nv) it is the auxiliary residual */
    double *nv; /* n x r: diag(R'NR) */
};

/* Fixed-interval smoothing of what ssm_filter kept (SSM_KEEP_FOR_SMOOTHER). False: stopped. */
bool ssm_smooth(const struct ssm *s, const struct ssm_filtered *f, unsigned what,
                struct arena *arena, const struct ssm_stop *stop,
                struct ssm_smoothed *ret) WARN_UNUSED;

/* The same given the numbers up to `lag` times later only (1 and more), of `what` but
 * SSM_SMOOTH_VARIANCE nothing. Of the order of n x lag steps. */
bool ssm_smooth_lag(const struct ssm *s, const struct ssm_filtered *f, size_t lag, unsigned what,
                    struct arena *arena, const struct ssm_stop *stop,
                    struct ssm_smoothed *ret) WARN_UNUSED;

#endif
