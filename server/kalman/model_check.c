/* What a model may say. Shapes were looked at where the request was read. */
#include <math.h>

#include "kalman/kalman_model.h"

struct checker {
    struct ctx *ctx;
    const char *path;
    enum status st;
};

static void
bad(struct checker *k, const char *field, const char *text)
{
    enum status st =
        fail_field(k->ctx, arena_printf(k->ctx->arena, "%s.%s", k->path, field), "%s", text);
    k->st = k->st == OK ? st : k->st;
}

static void
check_variance(struct checker *k, const char *field, struct model_value v)
{
    if (v.given && !isfinite(v.value))
        bad(k, field, "is not finite");
    else if (v.given && v.value < 0)
        bad(k, field, "is negative");
}

static void
check_finite(struct checker *k, const char *field, const double *x, size_t n)
{
    for (size_t i = 0; x && i < n; i++) {
        if (!isfinite(x[i])) {
            bad(k, arena_printf(k->ctx->arena, "%s[%zu]", field, i), "is not finite");
            return;
        }
    }
}

static void
check_stationary(struct checker *k, const char *field, const double *x, size_t n)
{
    double partial[MODEL_MAX_ORDER];
    check_finite(k, field, x, n);
    if (x && k->st == OK && !model_to_partial(x, n, partial))
        bad(k, field, "is not stationary");
}

static void
check_cycle(struct checker *k, const struct model_structural *s)
{
    check_variance(k, "structural.cycle.variance", s->cycle_variance);
    struct model_value d = s->cycle_damping, p = s->cycle_period;
    if (d.given && !(d.value > 0 && d.value < 1))
        bad(k, "structural.cycle.damping", "is not between 0 and 1");
    if (p.given && !(p.value >= 2 && isfinite(p.value)))
        bad(k, "structural.cycle.period", "is not 2 or more");
    if (!p.given && !(s->cycle_min_period >= 2 && s->cycle_max_period > s->cycle_min_period &&
                      isfinite(s->cycle_max_period)))
        bad(k, "structural.cycle.max_period", "does not leave periods of 2 and more to look for");
}

static void
check_structural(struct checker *k, const struct model_structural *s, size_t times)
{
    struct arena *a = k->ctx->arena;
    check_variance(k, "structural.observation_variance", s->observation_variance);
    check_variance(k, "structural.level_variance", s->level_variance);
    check_variance(k, "structural.slope_variance", s->slope_variance);
    for (size_t i = 0; i < s->seasonal_count; i++) {
        const struct model_seasonal *e = &s->seasonals[i];
        const char *path = arena_printf(a, "structural.seasonals[%zu]", i);
        check_variance(k, arena_printf(a, "%s.variance", path), e->variance);
        if (e->period < 2 || e->period > MODEL_MAX_STATES)
            bad(k, arena_printf(a, "%s.period", path), "is not from 2 to 128");
        if (e->harmonics > e->period / 2)
            bad(k, arena_printf(a, "%s.harmonics", path), "is more than half the period");
    }
    if (s->cycle)
        check_cycle(k, s);
    check_variance(k, "structural.autoregression.variance", s->ar_variance);
    check_stationary(k, "structural.autoregression.coefficients", s->ar, s->ar_order);
    for (size_t i = 0; i < s->regressor_count; i++) {
        const char *path = arena_printf(a, "structural.regressors[%zu]", i);
        check_variance(k, arena_printf(a, "%s.variance", path), s->regressors[i].variance);
        check_finite(k, arena_printf(a, "%s.values", path), s->regressors[i].values, times);
    }
}

static void
check_arima(struct checker *k, const struct model_arima *a)
{
    if (a->d > 3)
        bad(k, "arima.d", "is not from 0 to 3");
    if (a->sd > 2)
        bad(k, "arima.seasonal_d", "is not from 0 to 2");
    bool seasonal = a->sp || a->sd || a->sq;
    if (seasonal && (a->s < 2 || a->s > MODEL_MAX_STATES))
        bad(k, "arima.season", "is not from 2 to 128");
    if (a->p + a->q + a->sp + a->sq > 96)
        bad(k, "arima.p", "makes more than 96 coefficients with the other orders");
    check_variance(k, "arima.variance", a->variance);
    check_stationary(k, "arima.ar", a->ar, a->p);
    check_stationary(k, "arima.seasonal_ar", a->sar, a->sp);
    check_finite(k, "arima.ma", a->ma, a->q);
    check_finite(k, "arima.seasonal_ma", a->sma, a->sq);
}

static void
check_motion(struct checker *k, const struct model_motion *mo, const double *t, size_t times)
{
    check_variance(k, "motion.observation_variance", mo->observation_variance);
    check_variance(k, "motion.intensity", mo->intensity);
    if (mo->rate.given && !(mo->rate.value > 0 && isfinite(mo->rate.value)))
        bad(k, "motion.rate", "is not above zero");
    if (mo->mean.given && !isfinite(mo->mean.value))
        bad(k, "motion.mean", "is not finite");
    check_finite(k, "motion.times", t, times);
    for (size_t i = 1; t && k->st == OK && i < times; i++) {
        if (t[i] < t[i - 1]) {
            bad(k, arena_printf(k->ctx->arena, "motion.times[%zu]", i), "goes backwards");
            break;
        }
    }
}

/* Symmetric, and positive semi-definite as far as a Cholesky decomposition can tell. */
static void
check_matrix_variance(struct checker *k, const char *field, const double *v, size_t n, size_t count)
{
    double *l = arena_array(k->ctx->arena, n, n * sizeof(double));
    for (size_t t = 0; v && t < count && k->st == OK; t++, v += n * n) {
        double scale = 0;
        for (size_t i = 0; i < n; i++)
            scale = fmax(scale, v[i * n + i]);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                double x = v[i * n + j];
                if (fabs(x - v[j * n + i]) > 1e-12 * scale) {
                    bad(k, field, "is not symmetric");
                    return;
                }
                for (size_t e = 0; e < j; e++)
                    x -= l[i * n + e] * l[j * n + e];
                bool flat = j < i && l[j * n + j] == 0;
                if ((i == j && x < -1e-10 * scale) || (flat && fabs(x) > 1e-6 * scale)) {
                    bad(k, field, "is not positive semi-definite");
                    return;
                }
                l[i * n + j] = i == j ? (x > 1e-13 * scale ? sqrt(x) : 0)
                               : flat ? 0
                                      : x / l[j * n + j];
            }
        }
    }
}

static void
check_free(struct checker *k, const struct model_free *f, size_t times)
{
    size_t p = f->p, m = f->m, r = f->r;
    const struct {
        const char *name;
        const double *x;
        size_t size;
        bool varies;
    } lists[] = {
        {"free.z", f->z, p * m, f->z_varies}, {"free.h", f->h, p * p, f->h_varies},
        {"free.d", f->d, p, f->d_varies},     {"free.t", f->t, m * m, f->t_varies},
        {"free.c", f->c, m, f->c_varies},     {"free.r", f->rr, m * r, f->rr_varies},
        {"free.q", f->q, r * r, f->q_varies}, {"free.a1", f->a1, m, false},
        {"free.p1", f->p1, m * m, false},     {"free.p1_inf", f->p1_inf, m, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        check_finite(k, lists[i].name, lists[i].x, lists[i].size * (lists[i].varies ? times : 1));
    for (size_t j = 0; f->p1_inf && j < m; j++) {
        if (f->p1_inf[j] < 0)
            bad(k, arena_printf(k->ctx->arena, "free.p1_inf[%zu]", j), "is negative");
    }
    check_matrix_variance(k, "free.h", f->h, p, f->h_varies ? times : 1);
    check_matrix_variance(k, "free.q", f->q, r, f->q_varies ? times : 1);
    check_matrix_variance(k, "free.p1", f->p1, m, 1);
}

enum status
kalman_check_model(struct ctx *ctx, const char *path, const struct model_spec *spec, size_t times)
{
    struct checker k = {.ctx = ctx, .path = path, .st = OK};
    switch (spec->kind) {
    case MODEL_STRUCTURAL:
        check_structural(&k, &spec->structural, times);
        break;
    case MODEL_ARIMA:
        check_arima(&k, &spec->arima);
        break;
    case MODEL_MOTION:
        check_motion(&k, &spec->motion, spec->times, times);
        break;
    case MODEL_FREE:
        check_free(&k, &spec->free, times);
        break;
    }
    if (k.st != OK)
        return k.st;
    size_t m = model_states(spec, times);
    if (m == 0)
        return fail_field(ctx, path, "has no states");
    if (m > MODEL_MAX_STATES)
        return fail_field(ctx, path, "has %zu states; at most %d", m, MODEL_MAX_STATES);
    if (times > KALMAN_MAX_WORK / (m * m))
        return fail_field(ctx, "results", "with %zu states holds at most %zu times, not %zu", m,
                          KALMAN_MAX_WORK / (m * m), times);
    return OK;
}
