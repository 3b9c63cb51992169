#include <math.h>

#include "kalman/analysis.h"

/* Autocorrelations of e around its mean: n (n + 2) sum r_k^2 / (n - k), Ljung and Box (1978). */
static void
ljung_box(const double *e, size_t n, size_t lags, struct analysis_test *ret)
{
    double mean = 0, square = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        mean += e[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (e[i] - mean) * (e[i] - mean);
    for (size_t k = 1; k <= lags; k++) {
        double cross = 0;
        for (size_t i = k; i < n; i++)
            cross += (e[i] - mean) * (e[i - k] - mean);
        sum += (cross / square) * (cross / square) / (double)(n - k);
    }
    double nn = (double)n;
    *ret = (struct analysis_test){.statistic = nn * (nn + 2) * sum, .degrees = lags};
    ret->p_value = stats_chi2_above(ret->statistic, (double)lags);
}

static void
jarque_bera(const double *e, size_t n, struct analysis_diagnosis *o)
{
    double mean = 0, m2 = 0, m3 = 0, m4 = 0, nn = (double)n;
    for (size_t i = 0; i < n; i++)
        mean += e[i] / nn;
    for (size_t i = 0; i < n; i++) {
        double x = e[i] - mean;
        m2 += x * x / nn;
        m3 += x * x * x / nn;
        m4 += x * x * x * x / nn;
    }
    o->skewness = m3 / (m2 * sqrt(m2));
    o->kurtosis = m4 / (m2 * m2);
    double excess = o->kurtosis - 3;
    o->jarque_bera.statistic = nn * (o->skewness * o->skewness / 6 + excess * excess / 24);
    o->jarque_bera.degrees = 2;
    o->jarque_bera.p_value = stats_chi2_above(o->jarque_bera.statistic, 2);
}

/* Squares of the last third over those of the first. */
static void
heteroscedasticity(const double *e, size_t n, struct analysis_test *ret)
{
    size_t h = (n + 1) / 3;
    double first = 0, last = 0, hh = (double)h;
    for (size_t i = 0; i < h; i++) {
        first += e[i] * e[i];
        last += e[n - 1 - i] * e[n - 1 - i];
    }
    ret->degrees = h;
    ret->statistic = first > 0 ? last / first : 0;
    double above = stats_f_above(ret->statistic, hh, hh);
    ret->p_value = first > 0 ? fmin(1, 2 * fmin(above, 1 - above)) : 1;
}

void
analysis_diagnose(const struct ssm_filtered *f, size_t n, size_t lags, struct arena *arena,
                  struct analysis_diagnosis *ret)
{
    struct analysis_diagnosis o = {
        .standardized = arena_array(arena, n, sizeof(double)),
        .ljung_box.p_value = 1,
        .jarque_bera.p_value = 1,
        .heteroscedasticity.p_value = 1,
    };
    double *e = arena_array(arena, n, sizeof(double)), spread = 0;
    for (size_t t = 0; t < n; t++) {
        if (f->kind[t] != SSM_REGULAR)
            continue;
        e[o.count] = o.standardized[t] = f->v[t] / sqrt(f->f[t]);
        spread = fmax(spread, fabs(e[o.count] - e[0]));
        o.count++;
    }
    if (o.count > 3 && spread > 0) {
        ljung_box(e, o.count, lags < o.count ? lags : o.count - 1, &o.ljung_box);
        jarque_bera(e, o.count, &o);
        heteroscedasticity(e, o.count, &o.heteroscedasticity);
    }
    *ret = o;
}
