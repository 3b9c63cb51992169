/*
 * The local level model: a random walk seen through noise.
 *
 *   y[t]    = mu[t] + eps[t],   eps ~ N(0, H)
 *   mu[t+1] = mu[t] + eta[t],   eta ~ N(0, Q)
 *
 * Durbin and Koopman, Time Series Analysis by State Space Methods, 2nd ed. (2012): filter 2.2,
 * missing values 2.7, diffuse start 2.9 and 5.2, estimation 2.10.
 *
 * Pure arithmetic: nothing is allocated, no NaN is ever made, and every function works on blocks,
 * so that a caller can stop between two. Data and variances are scaled by powers of two inside
 * (which is exact), so that neither 1e308 nor denormals lose anything.
 *
 * Thread: any; one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_LOCAL_LEVEL_H
#define LUNA_KALMAN_LOCAL_LEVEL_H

#include "base/defs.h"

/* Values a loop may take before its caller looks whether it shall stop: under half a millisecond.
 */
#define LOCAL_LEVEL_BLOCK 16384

/* Variances h * 2^exponent and q * 2^exponent: estimates from values of 1e-300 do not fit a double,
 * and still filter their own series. For given ones the exponent is 0. */
struct local_level_variances {
    double h; /* of the observation noise, >= 0 */
    double q; /* of the level's step, >= 0 */
    int exponent;
};

/* What a look at the values tells. */
struct local_level_facts {
    size_t values;      /* how many are not NaN */
    size_t first;       /* index of the first of them */
    size_t length;      /* values looked at, NaN included */
    double min, max;    /* least and greatest; both 0 without values */
    bool infinite;      /* there was an infinite one... */
    size_t infinite_at; /* ...first at this index */
};

/* Looks at `n` more values. `f` starts as {0}. */
void local_level_look(struct local_level_facts *f, const double *y, size_t n);

/* Where to write; NULL: not wanted. Each holds as many as there are values. */
struct local_level_out {
    double *level;      /* E(mu[t] | y[1..t]) */
    double *variance;   /* its variance; infinity before the first value of a diffuse start */
    double *innovation; /* v[t] = y[t] - E(y[t] | y[1..t-1]); 0 when missing or diffuse */
    double *innovation_variance; /* F[t] = var v[t]; infinity when diffuse */
};

/* A sum with Neumaier's correction. */
struct local_level_sum {
    double sum;
    double rest;
};

/* A running filter. To be read by others: a, p, values, leading. */
struct local_level_filter {
    double a;              /* predicted level, scaled */
    double p;              /* its variance, scaled */
    double h, q;           /* scaled */
    double start_variance; /* while `starting`: infinite, or too large beside h and q to matter */
    bool starting;         /* no value was seen and the start is diffuse, or as good as */
    bool steady;           /* the variances no longer change */
    bool no_shortcut;      /* for tests: never takes the steady path */
    bool impossible;       /* a value came that the model gives no probability */
    size_t place;          /* steady: how many of four values have been taken... */
    double base, d[4];     /* ...since a was `base`, and how far above it they lay */
    double gain, f;        /* while steady: K and F = p + h */
    int y_exponent;        /* scaled value = value * 2^-y_exponent */
    int var_exponent;      /* scaled variance = variance * 2^-var_exponent */
    double y_scale, y_unscale;
    size_t leading;   /* missing values before the first one of an exact diffuse start */
    size_t diffuse;   /* values spent on an exact diffuse start: 0 or 1 */
    size_t values;    /* terms of the likelihood that are in the sums below */
    int pending;      /* values gathered in mantissas and run_squares */
    double mantissas; /* product of the mantissas of F not yet in log_f */
    double run_squares;
    int64_t exponents;              /* sum of the exponents of F */
    size_t steady_values;           /* gathered in steady_squares, without F */
    double steady_squares[4];       /* by their places in fours */
    struct local_level_sum log_f;   /* sum of log F, scaled */
    struct local_level_sum squares; /* sum of v^2 / F, scaled */
    double start_log_f,
        start_square;    /* the term of a start that is not quite diffuse, not scaled */
    size_t start_values; /* how many such terms: 0 or 1 */
};

/*
 * Prepares a filter. `largest`: the greatest magnitude among the values and `mean`.
 * `diffuse`: exact diffuse start, and mean and variance (>= 0) are not looked at.
 */
void local_level_init(struct local_level_filter *f, const struct local_level_variances *v,
                      bool diffuse, double mean, double variance, double largest);

/*
 * Filters the next `n` values, finite or NaN (missing). Results go to the places of `out`, in the
 * values' own units; what does not fit a double becomes infinite. While a diffuse start has seen no
 * value, `level` is set to 0: the first filter->leading entries are to be overwritten with the
 * first value.
 *
 * Once the variance has converged (its distance to the limit is below 1e-15 of it, by the
 * contraction rate (1-K)^2), the steady gain is used: about 2 ns a value instead of 8. Results do
 * not depend on how a series is cut into blocks, to the last bit.
 */
void local_level_run(struct local_level_filter *f, const double *y, size_t n,
                     const struct local_level_out *out);

/*
 * The log-likelihood of what was filtered so far. With `diffuse_constant`: -1/2 log(2 pi) for every
 * value, the diffuse one included; without: not for that one. A value that is predicted with
 * certainty (F = 0) adds nothing when it comes true; otherwise, and on overflow, the answer is
 * -infinity.
 */
double local_level_log_likelihood(const struct local_level_filter *f, bool diffuse_constant);

/* Polled once a block: true stops the search. */
struct local_level_stop {
    bool (*stop)(void *arg);
    void *arg;
};

/* What is known before the search; NaN: to be estimated. */
struct local_level_known {
    double observation_variance;
    double level_variance;
};

/*
 * Maximum likelihood of the unknown variances over the diffuse likelihood, concentrated where both
 * are unknown: a global search over log(Q/H) in 8 lanes, both limits included, then the root of the
 * analytic score. Estimates on the boundary (zero) are found as such. Values without variation give
 * zero.
 *
 * Needs one value more than there are unknowns. `facts` are those of y[0..n). `n` at most 2^27.
 * True: converged. False: stopped. ret->exponent is 0 unless both are unknown.
 */
bool local_level_fit(const double *y, size_t n, const struct local_level_facts *facts,
                     const struct local_level_known *known, const struct local_level_stop *stop,
                     struct local_level_variances *ret) WARN_UNUSED;

/* The variances as doubles: zero or infinite when they do not fit. */
double local_level_observation_variance(const struct local_level_variances *v);
double local_level_level_variance(const struct local_level_variances *v);

#endif
