#include "kalman/fit.h"

#include <lbfgs.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kalman/local_level.h"

#define MAX_STARTS 8
/* Below this the mean score (per observation, in units where parameters are about 1) counts as
 * zero. */
#define SCORE_TOLERANCE 1e-6

struct search {
    struct model *m;
    const double *y;
    const struct ssm_stop *stop;
    struct arena scratch; /* emptied at every evaluation */
    double scale;         /* of variances */
    double weight;        /* 1 / numbers observed */
    size_t evaluations, iterations;
    bool stopped;
};

/* The log-likelihood of a point that the search has gone to. */
static void
tell_accepted(const struct search *s, double ll)
{
    if (s->stop && s->stop->progress)
        atomic_store_explicit(&s->stop->progress->log_likelihood, ll, memory_order_relaxed);
}

/* The log-likelihood at the parameters applied now. */
static double
likelihood(struct search *s, unsigned keep, struct ssm_filtered *f)
{
    s->evaluations++;
    if (s->stop && s->stop->progress)
        atomic_fetch_add_explicit(&s->stop->progress->evaluations, 1, memory_order_relaxed);
    arena_reset(&s->scratch);
    model_apply(s->m);
    if (!ssm_filter(&s->m->s, s->y, keep, &s->scratch, s->stop, f)) {
        s->stopped = true;
        return -INFINITY;
    }
    return ssm_log_likelihood(f, SSM_FULL);
}

static double
likelihood_at(struct search *s, const double *x)
{
    struct ssm_filtered f;
    model_set_free(s->m, x, s->scale);
    return likelihood(s, 0, &f);
}

static bool
has_score(const struct model_parameter *p)
{
    return p->range == MODEL_VARIANCE && (p->score_h >= 0 || p->score_q >= 0);
}

/* d l / d variance from the smoother's auxiliary residuals. */
static double
variance_score(const struct model *m, const struct ssm_smoothed *o, const struct model_parameter *p)
{
    double sum = 0;
    size_t width = p->score_h >= 0 ? m->s.p : m->s.r;
    size_t i = (size_t)(p->score_h >= 0 ? p->score_h : p->score_q);
    for (size_t t = 0; t < m->s.n; t++) {
        size_t at = t * width + i;
        sum += p->score_h >= 0 ? o->u[at] * o->u[at] - o->d[at] : o->rv[at] * o->rv[at] - o->nv[at];
    }
    return 0.5 * sum;
}

static double
central_difference(struct search *s, const double *x, size_t i)
{
    double shifted[MODEL_MAX_PARAMETERS], step = 1e-5 * (1 + fabs(x[i]));
    memcpy(shifted, x, s->m->unknown * sizeof(double));
    shifted[i] = x[i] + step;
    double up = likelihood_at(s, shifted);
    shifted[i] = x[i] - step;
    double down = likelihood_at(s, shifted);
    return isfinite(up) && isfinite(down) ? (up - down) / (2 * step) : 0;
}

/* Likelihood and its gradient with respect to x. */
static double
score(struct search *s, const double *x, double *g)
{
    struct model *m = s->m;
    bool smooth = false;
    for (size_t i = 0; i < m->parameter_count; i++)
        smooth |= !m->parameters[i].given && has_score(&m->parameters[i]);
    struct ssm_filtered f;
    struct ssm_smoothed o;
    model_set_free(m, x, s->scale);
    double ll = likelihood(s, smooth ? SSM_KEEP_FOR_SMOOTHER : 0, &f);
    if (!isfinite(ll))
        return ll;
    if (smooth && !ssm_smooth(&m->s, &f, SSM_SMOOTH_AUXILIARY, &s->scratch, s->stop, &o)) {
        s->stopped = true;
        return -INFINITY;
    }
    for (size_t i = 0, k = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        if (!p->given && has_score(p))
            g[k] = variance_score(m, &o, p) * 2 * s->scale * x[k];
        k += !p->given;
    }
    for (size_t i = 0, k = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        if (!p->given && !has_score(p))
            g[k] = central_difference(s, x, k);
        k += !p->given;
    }
    model_set_free(m, x, s->scale);
    return ll;
}

static lbfgsfloatval_t
on_evaluate(void *arg, const lbfgsfloatval_t *x, lbfgsfloatval_t *g, const int n,
            const lbfgsfloatval_t step)
{
    (void)step;
    struct search *s = arg;
    double ll = s->stopped ? -INFINITY : score(s, x, g);
    if (!isfinite(ll)) {
        memset(g, 0, (size_t)n * sizeof(*g));
        return 1e10; /* the line search steps back */
    }
    for (int i = 0; i < n; i++)
        g[i] *= -s->weight;
    return -ll * s->weight;
}

static int
on_progress(void *arg, const lbfgsfloatval_t *x, const lbfgsfloatval_t *g, const lbfgsfloatval_t fx,
            const lbfgsfloatval_t xnorm, const lbfgsfloatval_t gnorm, const lbfgsfloatval_t step,
            int n, int k, int ls)
{
    (void)x, (void)g, (void)xnorm, (void)gnorm, (void)step, (void)n, (void)k, (void)ls;
    struct search *s = arg;
    s->iterations++;
    tell_accepted(s, -fx / s->weight);
    return s->stopped;
}

/* The variance of the values or of their differences, whichever is smaller and not zero. */
static double
data_scale(const struct ssm *s, const double *y)
{
    double scale = 0;
    for (int differences = 0; differences < 2; differences++) {
        double sum = 0, squares = 0, count = 0, last = NAN;
        double centre = NAN;
        for (size_t i = 0; i < s->n * s->p; i += s->p) {
            for (size_t j = 0; j < s->p; j++) {
                if (isnan(y[i + j]) || (differences && j > 0))
                    continue;
                double x = differences ? y[i + j] - last : y[i + j];
                last = y[i + j];
                if (isnan(x))
                    continue;
                centre = isnan(centre) ? x : centre;
                sum += x - centre;
                squares += (x - centre) * (x - centre);
                count++;
            }
        }
        double v = count > 1 ? (squares - sum * sum / count) / count : 0;
        if (v > 0 && isfinite(v))
            scale = scale > 0 ? fmin(scale, v) : v;
    }
    return scale;
}

static double
start_value(const struct model_parameter *p, size_t variances, size_t which, size_t start)
{
    double share[] = {1, 1, 0.1, 0.01};
    switch (p->range) {
    case MODEL_VARIANCE:
        if (start % 4 == 0)
            return 1 / sqrt((double)variances);
        /* One of them leads, the others are small. */
        return sqrt(which + 1 == start % 4 ? share[0] : share[start % 4 == 1 ? 3 : 2] / 2);
    case MODEL_BETWEEN:
        return p->high == 1 ? 1.5 : -2. + (double)start; /* damping; periods from short to long */
    case MODEL_POSITIVE:
        return -1. + 0.5 * (double)(start % 4);
    case MODEL_STATIONARY:
    case MODEL_INVERTIBLE:
        break;
    }
    double r = 0.3 * (double)(start % 4 ? 1 : 0) * (start % 2 ? 1 : -1);
    return p->in_block == 0 ? r : 0;
}

static void
make_start(const struct model *m, size_t start, double *x)
{
    size_t variances = 0, which = 0;
    for (size_t i = 0; i < m->parameter_count; i++)
        variances += !m->parameters[i].given && m->parameters[i].range == MODEL_VARIANCE;
    for (size_t i = 0, k = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        if (p->given)
            continue;
        x[k++] = start_value(p, variances, which, start);
        which += p->range == MODEL_VARIANCE;
    }
}

/* One run of L-BFGS from x, which is left at the best point. */
static int
climb(struct search *s, double *x, size_t iterations)
{
    lbfgs_parameter_t param;
    lbfgs_parameter_init(&param);
    param.linesearch = LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE;
    param.max_iterations = (int)iterations;
    param.epsilon = 1e-9;
    param.max_linesearch = 40;
    param.max_step = 1e3;
    int n = (int)s->m->unknown;
    double *mine = lbfgs_malloc(n);
    ASSERT(mine != NULL);
    memcpy(mine, x, s->m->unknown * sizeof(double));
    int rc = lbfgs(n, mine, NULL, on_evaluate, on_progress, s, &param);
    if (isfinite(likelihood_at(s, mine)))
        memcpy(x, mine, s->m->unknown * sizeof(double));
    lbfgs_free(mine);
    return rc;
}

/* The largest mean score, each in units of its parameter. */
static double
score_left(struct search *s, const double *x)
{
    double g[MODEL_MAX_PARAMETERS], most = 0;
    if (!isfinite(score(s, x, g)))
        return INFINITY;
    for (size_t i = 0; i < s->m->unknown; i++)
        most = fmax(most, fabs(g[i]) * s->weight);
    return most;
}

/* Variances that the likelihood does not want: exactly zero. Those at zero that it does want:
 * pushed off. True: something was pushed. */
static bool
settle_zeros(struct search *s, double *x)
{
    bool pushed = false;
    double ll = likelihood_at(s, x);
    for (size_t i = 0, k = 0; i < s->m->parameter_count; i++) {
        const struct model_parameter *p = &s->m->parameters[i];
        if (p->given)
            continue;
        double was = x[k];
        if (p->range == MODEL_VARIANCE && fabs(was) < 0.05) {
            x[k] = 0;
            double zero = likelihood_at(s, x);
            x[k] = 0.02;
            double more = likelihood_at(s, x);
            x[k] = was;
            if (more > fmax(ll, zero) + 1e-6) {
                x[k] = 0.02;
                ll = more;
                pushed = true;
            } else if (zero >= ll - 1e-9 * (1 + fabs(ll))) {
                x[k] = 0;
                ll = zero;
            }
        }
        k++;
    }
    return pushed;
}

static enum fit_status
search_lbfgs(struct search *s, size_t iterations, double *x, enum fit_end *end)
{
    double trial[MODEL_MAX_PARAMETERS], best = -INFINITY;
    for (size_t start = 0; start < MAX_STARTS && !s->stopped; start++) {
        make_start(s->m, start, trial);
        double ll = likelihood_at(s, trial);
        if (ll > best) {
            best = ll;
            memcpy(x, trial, s->m->unknown * sizeof(double));
        }
    }
    if (s->stopped || !isfinite(best))
        return s->stopped ? FIT_STOPPED : FIT_NO_LIKELIHOOD;
    int rc = 0;
    for (int round = 0; round < 6 && !s->stopped; round++) {
        size_t left = s->iterations < iterations ? iterations - s->iterations : 1;
        rc = climb(s, x, left);
        bool pushed = settle_zeros(s, x);
        if (!pushed && (score_left(s, x) < SCORE_TOLERANCE || s->iterations >= iterations))
            break;
    }
    if (s->stopped)
        return FIT_STOPPED;
    *end = score_left(s, x) < SCORE_TOLERANCE ? FIT_CONVERGED
           : rc == LBFGSERR_MAXIMUMITERATION  ? FIT_ITERATIONS
                                              : FIT_NO_IMPROVEMENT;
    return FIT_OK;
}

/* EM for variances: v + v^2 / count * sum(u^2 - d), which is E(disturbance^2 | y) averaged. */
static enum fit_status
search_em(struct search *s, size_t iterations, double *x, enum fit_end *end)
{
    struct model *m = s->m;
    for (size_t i = 0; i < m->parameter_count; i++) {
        if (!m->parameters[i].given && !has_score(&m->parameters[i]))
            return FIT_NOT_FOR_EM;
    }
    make_start(m, 0, x);
    model_set_free(m, x, s->scale);
    double last = -INFINITY;
    *end = FIT_ITERATIONS;
    while (s->iterations < iterations) {
        struct ssm_filtered f;
        struct ssm_smoothed o;
        double ll = likelihood(s, SSM_KEEP_FOR_SMOOTHER, &f);
        if (s->stopped || !isfinite(ll))
            return s->stopped ? FIT_STOPPED : FIT_NO_LIKELIHOOD;
        s->iterations++;
        tell_accepted(s, ll);
        if (ll - last < 1e-11 * (1 + fabs(ll))) {
            *end = FIT_CONVERGED;
            break;
        }
        last = ll;
        if (!ssm_smooth(&m->s, &f, SSM_SMOOTH_AUXILIARY, &s->scratch, s->stop, &o))
            return FIT_STOPPED;
        for (size_t i = 0; i < m->parameter_count; i++) {
            struct model_parameter *p = &m->parameters[i];
            if (p->given)
                continue;
            double count = p->score_h >= 0 ? 1 / s->weight : (double)(m->s.n - 1);
            double v = p->value;
            p->value = fmax(0, v + v * v / count * 2 * variance_score(m, &o, p));
        }
    }
    model_get_free(m, s->scale, x);
    return FIT_OK;
}

bool
fit_invert(double *a, size_t n, double *work)
{
    for (size_t i = 0; i < n; i++) { /* a = L L' */
        for (size_t j = 0; j <= i; j++) {
            double x = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                x -= work[i * n + k] * work[j * n + k];
            if (i == j && !(x > 0))
                return false;
            work[i * n + j] = i == j ? sqrt(x) : x / work[j * n + j];
        }
    }
    for (size_t c = 0; c < n; c++) { /* columns of the inverse */
        double x[MODEL_MAX_PARAMETERS] = {0};
        for (size_t i = 0; i < n; i++) {
            double v = i == c;
            for (size_t k = 0; k < i; k++)
                v -= work[i * n + k] * x[k];
            x[i] = v / work[i * n + i];
        }
        for (size_t i = n; i-- > 0;) {
            for (size_t k = i + 1; k < n; k++)
                x[i] -= work[k * n + i] * x[k];
            x[i] /= work[i * n + i];
            a[i * n + c] = x[i];
        }
    }
    return true;
}

/* The log-likelihood with parameters i and j moved by di and dj. */
static double
moved(struct search *s, struct model_parameter *i, double di, struct model_parameter *j, double dj)
{
    struct ssm_filtered f;
    double vi = i->value, vj = j->value;
    i->value += di;
    j->value += dj;
    double ll = likelihood(s, 0, &f);
    j->value = vj;
    i->value = vi;
    return ll;
}

static void
standard_errors(struct search *s, double ll, struct arena *arena, struct fit_result *ret)
{
    struct model *m = s->m;
    struct model_parameter *inner[MODEL_MAX_PARAMETERS];
    double step[MODEL_MAX_PARAMETERS];
    size_t k = 0;
    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        ret->standard_error[i] = NAN;
        bool bound = p->range == MODEL_VARIANCE && p->value == 0;
        if (p->given || bound)
            continue;
        bool coefficient = p->range == MODEL_STATIONARY || p->range == MODEL_INVERTIBLE;
        step[k] = 2e-4 * fmax(fabs(p->value), coefficient ? 0.5 : 1e-12);
        inner[k++] = p;
    }
    double *info = arena_array(arena, k * k + 1, sizeof(double));
    double *work = arena_array(arena, k * k + 1, sizeof(double));
    for (size_t i = 0; i < k && !s->stopped; i++) {
        double up = moved(s, inner[i], step[i], inner[i], 0);
        double down = moved(s, inner[i], -step[i], inner[i], 0);
        info[i * k + i] = -(up - 2 * ll + down) / (step[i] * step[i]);
        for (size_t j = 0; j < i; j++) {
            double a = moved(s, inner[i], step[i], inner[j], step[j]);
            double b = moved(s, inner[i], step[i], inner[j], -step[j]);
            double c = moved(s, inner[i], -step[i], inner[j], step[j]);
            double d = moved(s, inner[i], -step[i], inner[j], -step[j]);
            info[i * k + j] = info[j * k + i] = -(a - b - c + d) / (4 * step[i] * step[j]);
        }
    }
    model_apply(m);
    if (k == 0 || s->stopped || !fit_invert(info, k, work))
        return;
    for (size_t i = 0; i < k; i++)
        ret->standard_error[inner[i] - m->parameters] = sqrt(info[i * k + i]);
    ret->covariance = info;
    ret->covariance_count = k;
    ret->covariance_of = arena_array(arena, k, sizeof(size_t));
    for (size_t i = 0; i < k; i++)
        ret->covariance_of[i] = (size_t)(inner[i] - m->parameters);
}

/* The plain local level with a diffuse start has a search of its own, a hundred times as fast. */
static bool
is_local_level(const struct model *m)
{
    const struct model_structural *s = &m->spec->structural;
    return m->spec->kind == MODEL_STRUCTURAL && s->trend == MODEL_LOCAL_LEVEL && m->s.m == 1;
}

static enum fit_status
search_local_level(struct search *s)
{
    struct model_parameter *p = s->m->parameters;
    struct local_level_known known = {p[0].given ? p[0].value : NAN, p[1].given ? p[1].value : NAN};
    struct local_level_stop stop = {s->stop ? s->stop->stop : NULL, s->stop ? s->stop->arg : NULL};
    struct local_level_facts facts = {0};
    struct local_level_variances v;
    local_level_look(&facts, s->y, s->m->s.n);
    if (facts.values < s->m->unknown + 1)
        return FIT_NO_LIKELIHOOD;
    if (!local_level_fit(s->y, s->m->s.n, &facts, &known, &stop, &v))
        return FIT_STOPPED;
    p[0].value = local_level_observation_variance(&v);
    p[1].value = local_level_level_variance(&v);
    s->evaluations = s->iterations = 1;
    return FIT_OK;
}

static double
observed(const struct ssm *s, const double *y)
{
    size_t count = 0;
    for (size_t i = 0; i < s->n * s->p; i++)
        count += y[i] == y[i];
    return (double)(count ? count : 1);
}

static enum fit_status
search(struct search *s, const struct fit_options *opt, enum fit_end *end)
{
    double x[MODEL_MAX_PARAMETERS] = {0};
    size_t iterations =
        opt->max_iterations ? opt->max_iterations : (opt->method == FIT_EM ? 2000 : 200);
    *end = FIT_CONVERGED;
    if (s->m->unknown == 0)
        return FIT_OK;
    if (opt->method == FIT_LBFGS && is_local_level(s->m))
        return search_local_level(s);
    enum fit_status st = opt->method == FIT_EM ? search_em(s, iterations, x, end)
                                               : search_lbfgs(s, iterations, x, end);
    if (st == FIT_OK)
        model_set_free(s->m, x, s->scale);
    return st;
}

enum fit_status
fit_model(struct model *m, const double *y, const struct fit_options *opt, struct arena *arena,
          const struct ssm_stop *stop, struct fit_result *ret)
{
    struct search s = {.m = m, .y = y, .stop = stop, .scale = data_scale(&m->s, y)};
    struct fit_result out = {0};
    struct ssm_filtered f;
    if (m->unknown > 0 && s.scale == 0)
        return FIT_NO_LIKELIHOOD;
    s.weight = 1 / observed(&m->s, y);
    arena_init(&s.scratch, 0);
    enum fit_status st = search(&s, opt, &out.end);
    if (st == FIT_OK) {
        out.log_likelihood = likelihood(&s, 0, &f);
        out.standard_error = arena_array(arena, m->parameter_count, sizeof(double));
        st = s.stopped ? FIT_STOPPED : isfinite(out.log_likelihood) ? FIT_OK : FIT_NO_LIKELIHOOD;
    }
    if (st == FIT_OK && opt->standard_errors)
        standard_errors(&s, out.log_likelihood, arena, &out);
    st = s.stopped ? FIT_STOPPED : st;
    arena_fini(&s.scratch);
    out.iterations = s.iterations;
    out.evaluations = s.evaluations;
    if (st == FIT_OK)
        *ret = out;
    return st;
}
