/*
 * Models as callers describe them, and the state space models they become.
 *
 * A number of a model is given or unknown; the unknown ones are its parameters, to be found by
 * fit.h. model_new lays a model out, model_apply writes parameter values into its matrices.
 *
 * Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, chapters 2 and
 * 4; Durbin and Koopman (2012), chapter 3. Memory: the caller's arena. Thread: any, one at a time
 * for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_MODEL_H
#define LUNA_KALMAN_MODEL_H

#include "kalman/ssm.h"

#define MODEL_MAX_STATES     128
#define MODEL_MAX_PARAMETERS 128
#define MODEL_MAX_ORDER      32 /* of a list of coefficients */

/* A number that may be left to estimation. */
struct model_value {
    bool given;
    double value;
};

enum model_trend {
    MODEL_NO_TREND,
    MODEL_LOCAL_LEVEL,  /* level variance */
    MODEL_LINEAR_TREND, /* level and slope variances */
    MODEL_SMOOTH_TREND, /* level variance 0, slope variance */
    MODEL_DRIFT,        /* level variance, slope constant: a random walk with drift */
    MODEL_FIXED_LEVEL,  /* a constant: an intercept */
};

struct model_seasonal {
    size_t period;      /* >= 2 */
    bool trigonometric; /* otherwise dummies */
    size_t harmonics;   /* 1 .. period/2; 0: all */
    struct model_value variance;
};

struct model_regressor {
    const double *values;        /* one for each time, forecasts included; finite */
    struct model_value variance; /* of the coefficient's step; given 0: a fixed coefficient */
};

struct model_structural {
    enum model_trend trend;
    struct model_value observation_variance, level_variance, slope_variance;
    const struct model_seasonal *seasonals;
    size_t seasonal_count;
    bool cycle;
    struct model_value cycle_period, cycle_damping, cycle_variance;
    double cycle_min_period, cycle_max_period; /* where the period is looked for */
    size_t ar_order;
    const double *ar; /* ar_order numbers, stationary; NULL: unknown */
    struct model_value ar_variance;
    const struct model_regressor *regressors;
    size_t regressor_count;
};

struct model_arima {
    size_t p, d, q, sp, sd, sq, s;
    const double *ar, *ma, *sar, *sma; /* NULL: unknown */
    struct model_value variance;
    bool intercept; /* a constant mean (d + sd = 0) or drift of the differenced series */
};

enum model_motion_kind { MODEL_VELOCITY, MODEL_ACCELERATION, MODEL_ORNSTEIN_UHLENBECK };

struct model_motion {
    enum model_motion_kind kind;
    size_t axes; /* numbers observed at each time, moving independently */
    struct model_value observation_variance;
    struct model_value intensity; /* of the white noise that drives it, per unit of time */
    struct model_value rate;      /* of Ornstein-Uhlenbeck: exp(-rate dt) */
    struct model_value mean;      /* not given: a constant with a diffuse start */
};

/* Row-major; as many as the shape says, or that times the number of times; NULL: the default. */
struct model_free {
    size_t p, m, r;
    const double *z;      /* p x m */
    const double *h;      /* p x p, or NULL: zero */
    const double *d;      /* p, or NULL */
    const double *t;      /* m x m */
    const double *c;      /* m, or NULL */
    const double *rr;     /* m x r, or NULL: identity (r = m) */
    const double *q;      /* r x r */
    const double *a1;     /* m, or NULL: zero */
    const double *p1;     /* m x m, or NULL: zero */
    const double *p1_inf; /* m, or NULL: 1 where neither a1 nor p1 is given */
    bool z_varies, h_varies, d_varies, t_varies, c_varies, rr_varies, q_varies;
};

enum model_kind { MODEL_STRUCTURAL, MODEL_ARIMA, MODEL_MOTION, MODEL_FREE };

struct model_spec {
    enum model_kind kind;
    union {
        struct model_structural structural;
        struct model_arima arima;
        struct model_motion motion;
        struct model_free free;
    };
    const double *times; /* of motions: one for each time, not decreasing */
};

/* What a parameter may be, and how it is made free of bounds. */
enum model_range {
    MODEL_VARIANCE,   /* x^2 in units of the data's variance */
    MODEL_BETWEEN,    /* low < x < high, logistic */
    MODEL_POSITIVE,   /* exp */
    MODEL_STATIONARY, /* one of a block of autoregressive coefficients, by partial autocorrelations
                       */
    MODEL_INVERTIBLE, /* one of a block of moving average coefficients */
};

struct model_parameter {
    const char *name; /* "level_variance", "seasonals[0].variance", "arima.ma[0]" */
    enum model_range range;
    double low, high;
    size_t block;    /* STATIONARY, INVERTIBLE: how many follow each other... */
    size_t in_block; /* ...and which of them this is */
    double value;    /* given, or the one last applied */
    bool given;
    /* A variance whose score the disturbance smoother knows: index into h or of the diagonal of q;
     * -1: no. */
    int score_h, score_q;
};

/* A laid-out model. `s` is ready after model_apply. */
struct model {
    struct ssm s;
    const struct model_spec *spec;
    struct model_parameter *parameters; /* given ones included, in the order of the description */
    size_t parameter_count;
    size_t unknown;                                        /* of them */
    double *z, *h, *d, *t, *c, *rr, *q, *a1, *p1, *p1_inf; /* what s points at, to be written */
    const char **state_names;                              /* m */
    size_t noise_states; /* free models: the last states are observation noise */
    double *scratch;     /* for model_apply */
    struct arena *arena;
};

/* Numbers observed at each time. */
size_t model_series(const struct model_spec *spec);

/* How many states it will have; compare with MODEL_MAX_STATES before model_new. */
size_t model_states(const struct model_spec *spec, size_t n);

/* Lays out `spec` (checked: model_check.h) for n times. */
struct model *model_new(const struct model_spec *spec, size_t n, struct arena *arena);

/* Writes the model's parameters (model->parameters[i].value) into its matrices. */
void model_apply(struct model *m);

/* Between the unknown parameters' values and unbounded numbers x[unknown], for optimisers.
 * `scale`: the data's variance. */
void model_set_free(struct model *m, const double *x, double scale);
void model_get_free(const struct model *m, double scale, double *x);

/* Private to the builders. */
struct model_parameter *model_add(struct model *m, const char *name, enum model_range range,
                                  struct model_value v);
struct model_parameter *model_add_block(struct model *m, const char *name, enum model_range range,
                                        const double *given, size_t count);
void model_allocate(struct model *m, size_t states, size_t disturbances, bool z_varies,
                    bool t_varies, bool q_varies);
void model_structural_layout(struct model *m);
void model_structural_apply(struct model *m);
void model_arima_layout(struct model *m);
void model_arima_apply(struct model *m);
void model_motion_layout(struct model *m);
void model_motion_apply(struct model *m);
void model_free_layout(struct model *m);
size_t model_structural_states(const struct model_structural *s);
size_t model_arima_states(const struct model_arima *a);
size_t model_free_states(const struct model_free *f, size_t n);

/* Solves P = T P T' + V for a stationary T (m x m, every eigenvalue inside the unit circle) by
 * doubling. False: it does not converge. `work`: 3 m x m. */
bool model_stationary_variance(const double *t, const double *v, size_t m, double *work, double *p);

/* Autoregressive coefficients from partial autocorrelations in (-1, 1), and back (Monahan 1984).
 * False: not stationary. */
void model_from_partial(const double *partial, size_t n, double *coefficients);
bool model_to_partial(const double *coefficients, size_t n, double *partial);

#endif
