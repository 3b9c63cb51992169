/*
 * What the Kalman arithmetic costs on one core: `name value unit` lines. Each number is the best of
 * several runs: what the code costs when nothing else is on the machine's mind.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kalman/analysis.h"
#include "kalman/fit.h"
#include "kalman/local_level.h"

#define RUNS   25
#define VALUES 1000000
#define STEPS  20000
#define SERIES 10000
#define LENGTH 100

static double *values;

static void
show(const char *name, double value, const char *unit)
{
    printf("kalman_%s %.3f %s\n", name, value, unit);
}

static double
best_ns(void (*fn)(void *), void *arg, double times)
{
    nsec_t best = NSEC_NEVER;
    for (int i = 0; i < RUNS; i++) {
        nsec_t begin = clock_now();
        fn(arg);
        nsec_t took = clock_now() - begin;
        best = took < best ? took : best;
    }
    return (double)best / times;
}

/* ---- local level
 * --------------------------------------------------------------------------------- */

struct level_run {
    double *out;
    bool no_shortcut;
    double log_likelihood;
};

static void
run_level(void *arg)
{
    struct level_run *r = arg;
    const struct local_level_variances v = {1, 0.1, 0};
    struct local_level_filter f;
    struct local_level_out out = {.level = r->out};
    local_level_init(&f, &v, true, 0, 0, 1);
    f.no_shortcut = r->no_shortcut;
    local_level_run(&f, values, VALUES, &out);
    r->log_likelihood = local_level_log_likelihood(&f, true);
}

static void
run_copy(void *arg)
{
    memcpy(arg, values, VALUES * sizeof(double));
}

static void
bench_level(void)
{
    struct level_run r = {.out = calloc(VALUES, sizeof(double))};
    show("memory_copy", best_ns(run_copy, r.out, VALUES), "ns");
    show("local_level", best_ns(run_level, &r, VALUES), "ns");
    double shortcut = r.log_likelihood;
    r.no_shortcut = true;
    show("local_level_no_shortcut", best_ns(run_level, &r, VALUES), "ns");
    show("local_level_shortcut_changes", fabs(shortcut / r.log_likelihood - 1), "relative");
    free(r.out);
}

/* ---- general models
 * ------------------------------------------------------------------------------- */

static void
run_filter(void *arg)
{
    struct arena a;
    struct ssm_filtered f;
    arena_init(&a, 0);
    if (!ssm_filter(arg, values, 0, &a, NULL, &f) || f.regular == 0)
        abort();
    arena_fini(&a);
}

static void
bench_spec(const char *name, const struct model_spec *spec, size_t n)
{
    struct arena a;
    arena_init(&a, 0);
    struct model *m = model_new(spec, n, &a);
    model_apply(m);
    show(name, best_ns(run_filter, &m->s, (double)n), "ns");
    arena_fini(&a);
}

static const struct model_value one = {true, 1}, tenth = {true, 0.1}, hundredth = {true, 0.01};

static struct model_spec
linear_trend(void)
{
    struct model_spec s = {.kind = MODEL_STRUCTURAL};
    s.structural.trend = MODEL_LINEAR_TREND;
    s.structural.observation_variance = one;
    s.structural.level_variance = tenth;
    s.structural.slope_variance = hundredth;
    return s;
}

static void
bench_models(void)
{
    struct model_spec trend = linear_trend(), seasonal = linear_trend();
    struct model_seasonal months = {.period = 12, .variance = hundredth};
    seasonal.structural.seasonals = &months;
    seasonal.structural.seasonal_count = 1;
    double z[4] = {1, 1, 1, 1}, h[1] = {1}, t[16], q[16];
    for (size_t i = 0; i < 16; i++) {
        t[i] = i % 5 == 0 ? 0.9 : 0.01 * ((double)(i / 4) - (double)(i % 4));
        q[i] = i % 5 == 0 ? 0.1 : 0;
    }
    struct model_spec dense = {.kind = MODEL_FREE};
    dense.free = (struct model_free){.p = 1, .m = 4, .r = 4, .z = z, .h = h, .t = t, .q = q};
    bench_spec("linear_trend", &trend, VALUES);
    bench_spec("dense_4", &dense, STEPS);
    bench_spec("seasonal_13", &seasonal, STEPS);
}

/* ---- many series
 * ------------------------------------------------------------------------------------ */

struct batch_run {
    struct model *m;
    const double *series[SERIES];
};

static void
run_batch(void *arg)
{
    struct batch_run *r = arg;
    struct arena a;
    struct analysis_batch b;
    arena_init(&a, 0);
    if (!analysis_filter_batch(&r->m->s, r->series, SERIES, false, false, SSM_FULL, &a, NULL, &b))
        abort();
    arena_fini(&a);
}

static void
run_one_by_one(void *arg)
{
    struct batch_run *r = arg;
    struct arena a;
    struct ssm_filtered f;
    arena_init(&a, 0);
    for (size_t i = 0; i < SERIES; i++) {
        arena_reset(&a);
        if (!ssm_filter(&r->m->s, r->series[i], 0, &a, NULL, &f))
            abort();
    }
    arena_fini(&a);
}

static void
bench_batch(void)
{
    static struct batch_run r;
    struct model_spec spec = linear_trend();
    struct arena a;
    arena_init(&a, 0);
    r.m = model_new(&spec, LENGTH, &a);
    model_apply(r.m);
    for (size_t i = 0; i < SERIES; i++)
        r.series[i] = values + i * LENGTH;
    show("batch", best_ns(run_batch, &r, (double)SERIES * LENGTH), "ns");
    show("one_by_one", best_ns(run_one_by_one, &r, (double)SERIES * LENGTH), "ns");
    arena_fini(&a);
}

/* ---- fit
 * ------------------------------------------------------------------------------------------------
 */

static double nile[100];

static void
run_fit(void *arg)
{
    (void)arg;
    struct model_spec spec = {.kind = MODEL_STRUCTURAL};
    spec.structural.trend = MODEL_LOCAL_LEVEL;
    struct arena a;
    struct fit_options opt = {0};
    struct fit_result fit;
    arena_init(&a, 0);
    struct model *m = model_new(&spec, 100, &a);
    if (fit_model(m, nile, &opt, &a, NULL, &fit) != FIT_OK || fit.end != FIT_CONVERGED)
        abort();
    arena_fini(&a);
}

static void
bench_fit(void)
{
    FILE *f = fopen(LUNA_TEST_DATA "/nile.csv", "r");
    char line[100];
    size_t n = 0;
    if (!f || !fgets(line, sizeof(line), f))
        abort();
    while (n < 100 && fgets(line, sizeof(line), f))
        nile[n++] = strtod(strchr(line, ',') + 1, NULL);
    fclose(f);
    show("fit_nile", best_ns(run_fit, NULL, 1000), "us");
}

int
main(void)
{
    struct stats_random rnd;
    double level = 0;
    stats_seed(&rnd, 1);
    values = calloc(VALUES, sizeof(double));
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = level + stats_normal(&rnd);
        level += 0.3 * stats_normal(&rnd);
    }
    bench_level();
    bench_models();
    bench_batch();
    bench_fit();
    free(values);
    return 0;
}
