/*
 * Models against the same models written out by hand: the matrices of their textbook form, through
 * the joint distribution (ssm_oracle.h), which shares no code with the filter.
 */
#include "runs.h"

namespace
{

/* A square matrix set into another. */
void
put(std::vector<double> &to, size_t width, size_t at, const std::vector<double> &x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            to[(at + i) * width + at + j] = x[i * n + j];
    }
}

/* The likelihood, and the signal given all values with its variance at each time. */
void
expect_same(const model_spec &spec, const Model &hand, const std::vector<double> &y)
{
    Memory mem;
    ssm s = laid_out(spec, hand.n, &mem.a);
    Smoothed r = smooth(s, y, &mem.a);
    Oracle oracle(hand, y, hand.n);
    ASSERT_TRUE(oracle.identified);
    double ll = static_cast<double>(oracle.log_likelihood());
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_FULL), ll, 1e-8 * (1 + std::fabs(ll)));
    for (size_t t = 0; t < hand.n; t++) {
        const double *a = r.o.alpha + t * s.m, *p = r.o.variance + t * s.m * s.m;
        const Signal mine = signal_of(
            ssm_at(s.z, t), s.m, [&](size_t i) { return a[i]; },
            [&](size_t i, size_t j) { return p[i * s.m + j]; });
        double mean, cov;
        auto given_all = [&](size_t i, size_t j) {
            oracle.given(oracle.alpha[t][i], oracle.alpha[t][j], &mean, &cov);
        };
        const Signal theirs = signal_of(
            ssm_at(hand.view().z, t), hand.m, [&](size_t i) { return given_all(i, i), mean; },
            [&](size_t i, size_t j) { return given_all(i, j), cov; });
        EXPECT_NEAR(mine.mean, theirs.mean, 1e-7 * (1 + std::fabs(theirs.mean))) << t;
        EXPECT_NEAR(mine.variance, theirs.variance, 1e-7 * (1 + std::fabs(theirs.variance))) << t;
    }
}

std::vector<double>
wave(size_t n)
{
    Random rnd(11);
    std::vector<double> y(n);
    for (size_t t = 0; t < n; t++)
        y[t] = 10 + 0.3 * static_cast<double>(t) + static_cast<double>(t % 4) -
               static_cast<double>(t % 3) + rnd.normal();
    y[5] = y[6] = NAN;
    return y;
}

/* Harvey (1989), 2.3.4: gamma[t] = -gamma[t-1] - ... - gamma[t-s+2] + omega. */
std::vector<double>
dummies(size_t states)
{
    std::vector<double> t(states * states, 0);
    for (size_t j = 0; j < states; j++)
        t[j] = -1;
    for (size_t i = 1; i < states; i++)
        t[i * states + i - 1] = 1;
    return t;
}

TEST(ByHand, TwoSeasonalsAndATrend)
{
    const size_t n = 16;
    /* Level, slope; dummies of period 4; both harmonics of period 3 have one frequency. */
    Model o = still_states(n, 7);
    const double w = 2 * M_PI / 3, c = std::cos(w), s = std::sin(w);
    o.z = {1, 0, 1, 0, 0, 1, 0};
    put(o.t, 7, 0, {1, 1, 0, 1}, 2);
    put(o.t, 7, 2, dummies(3), 3);
    put(o.t, 7, 5, {c, s, -s, c}, 2);
    o.h = {0.8};
    const double q[] = {0.3, 0.01, 0.2, 0, 0, 0.05, 0.05};
    for (size_t i = 0; i < 7; i++)
        o.q[i * 7 + i] = q[i];
    const model_seasonal seasons[] = {{4, false, 0, given(0.2)}, {3, true, 0, given(0.05)}};
    model_spec spec = structural(MODEL_LINEAR_TREND);
    spec.structural.observation_variance = given(0.8);
    spec.structural.level_variance = given(0.3);
    spec.structural.slope_variance = given(0.01);
    spec.structural.seasonals = seasons;
    spec.structural.seasonal_count = 2;
    expect_same(spec, o, wave(n));
}

TEST(ByHand, TimeVaryingCoefficientAndAnIntercept)
{
    const size_t n = 14;
    std::vector<double> x(n), fixed(n);
    for (size_t t = 0; t < n; t++) {
        x[t] = std::cos(static_cast<double>(t));
        fixed[t] = static_cast<double>(t % 5);
    }
    Model o = still_states(n, 3);
    o.z.clear();
    for (size_t t = 0; t < n; t++) {
        o.z.insert(o.z.end(), {1, x[t], fixed[t]});
    }
    put(o.t, 3, 0, {1, 0, 0, 0, 1, 0, 0, 0, 1}, 3);
    o.h = {0.5};
    o.q[4] = 0.07; /* of the first coefficient; the level is a constant */
    const model_regressor r[] = {{x.data(), given(0.07)}, {fixed.data(), given(0)}};
    model_spec spec = structural(MODEL_FIXED_LEVEL);
    spec.structural.observation_variance = given(0.5);
    spec.structural.regressors = r;
    spec.structural.regressor_count = 2;
    expect_same(spec, o, wave(n));
}

TEST(ByHand, RandomWalkWithoutNoise)
{
    /* Its differences are independent: over a gap of k steps their variance is 2 k. */
    model_spec spec = structural(MODEL_LOCAL_LEVEL);
    spec.structural.observation_variance = given(0);
    spec.structural.level_variance = given(2);
    std::vector<double> y = wave(20);
    double ll = -0.5 * std::log(2 * M_PI); /* the diffuse value */
    for (size_t t = 1, last = 0; t < y.size(); t++) {
        if (std::isnan(y[t]))
            continue;
        double v = 2 * static_cast<double>(t - last), e = y[t] - y[last];
        ll -= 0.5 * (std::log(2 * M_PI * v) + e * e / v);
        last = t;
    }
    Memory mem;
    ssm_filtered f = filter(laid_out(spec, y.size(), &mem.a), y, SSM_KEEP_FILTERED, &mem.a);
    EXPECT_NEAR(ssm_log_likelihood(&f, SSM_FULL), ll, 1e-11);
    EXPECT_EQ(f.att[19], y[19]);
    EXPECT_EQ(f.ptt[19], 0);
}

/* statsmodels 0.15.0: UnobservedComponents(level='lltrend', seasonal=4, freq_seasonal=[{'period':
 * 12, 'harmonics': 3}], use_exact_diffuse=True).smooth([3e-4, 5e-4, 1e-6, 2e-5, 1e-5]) */
TEST(Statsmodels, TwoSeasonals)
{
    std::vector<double> y = log_passengers();
    const model_seasonal seasons[] = {{4, false, 0, given(2e-5)}, {12, true, 3, given(1e-5)}};
    model_spec spec = structural(MODEL_LINEAR_TREND);
    spec.structural.observation_variance = given(3e-4);
    spec.structural.level_variance = given(5e-4);
    spec.structural.slope_variance = given(1e-6);
    spec.structural.seasonals = seasons;
    spec.structural.seasonal_count = 2;
    Memory mem;
    ssm laid = laid_out(spec, y.size(), &mem.a);
    ASSERT_EQ(laid.m, 11u);
    Smoothed r = smooth(laid, y, &mem.a);
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_FULL), 111.62769134622917, 1e-8);
    const double last[] = {6.191529292699772, 0.008131948178303077, 0.023885686529742874,
                           -0.013177189907382446};
    const double first[] = {4.810220238774527, 0.009428499034040527, -0.009404595678612685};
    const double variance[] = {0.0005618674495964941, 2.2920994898116206e-05,
                               6.316825665905214e-05};
    for (size_t i = 0; i < 4; i++)
        EXPECT_NEAR(r.f.att[143 * 11 + i], last[i], 1e-9);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_NEAR(r.o.alpha[i], first[i], 1e-9);
        EXPECT_NEAR(r.o.variance[12 * i], variance[i], 1e-10);
    }
}

/* SARIMAX((1, 1, 1), (1, 0, 1, 12), use_exact_diffuse=True) and SARIMAX((2, 0, 2), (1, 0, 0, 4)).
 */
TEST(Statsmodels, SeasonalArima)
{
    std::vector<double> y = log_passengers();
    const double ar[] = {0.3}, ma[] = {-0.5}, sar[] = {0.9}, sma[] = {-0.4};
    model_spec spec = {};
    spec.kind = MODEL_ARIMA;
    spec.arima.p = spec.arima.d = spec.arima.q = spec.arima.sp = spec.arima.sq = 1;
    spec.arima.s = 12;
    spec.arima.ar = ar;
    spec.arima.ma = ma;
    spec.arima.sar = sar;
    spec.arima.sma = sma;
    spec.arima.variance = given(0.0015);
    auto likelihood = [](const model_spec &s, const std::vector<double> &values) {
        Memory mem;
        ssm_filtered f = filter(laid_out(s, values.size(), &mem.a), values, 0, &mem.a);
        return ssm_log_likelihood(&f, SSM_FULL);
    };
    EXPECT_NEAR(likelihood(spec, y), 232.4672447986354, 1e-10);
    const double ar2[] = {0.5, 0.2}, ma2[] = {-0.3, 0.1}, sar4[] = {0.4};
    model_spec two = {};
    two.kind = MODEL_ARIMA;
    two.arima.p = two.arima.q = 2;
    two.arima.sp = 1;
    two.arima.s = 4;
    two.arima.ar = ar2;
    two.arima.ma = ma2;
    two.arima.sar = sar4;
    two.arima.variance = given(20000);
    EXPECT_NEAR(likelihood(two, nile()), -768.841271526925, 1e-8);
}

/* The matrix exponential of x dt by its series; small matrices, small dt. */
std::vector<long double>
exponential(const std::vector<long double> &x, size_t m, long double dt)
{
    std::vector<long double> sum(m * m, 0), term(m * m, 0), next(m * m);
    for (size_t i = 0; i < m; i++)
        sum[i * m + i] = term[i * m + i] = 1;
    for (int k = 1; k < 40; k++) {
        std::fill(next.begin(), next.end(), 0.0L);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < m; j++) {
                for (size_t e = 0; e < m; e++)
                    next[i * m + j] += term[i * m + e] * x[e * m + j] * dt / k;
            }
        }
        term = next;
        for (size_t i = 0; i < m * m; i++)
            sum[i] += term[i];
    }
    return sum;
}

/*
 * T = exp(F dt) and Q = integral of exp(F s) g g' exp(F s)' by Van Loan (1978): no closed form of
 * ours in it.
 */
void
discretize(const std::vector<long double> &f, size_t m, double intensity, double dt,
           std::vector<double> *t, std::vector<double> *q)
{
    std::vector<long double> x(4 * m * m, 0);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++) {
            x[i * 2 * m + j] = -f[i * m + j];
            x[(m + i) * 2 * m + m + j] = f[j * m + i];
        }
    }
    x[(m - 1) * 2 * m + 2 * m - 1] = intensity; /* noise drives the last element */
    std::vector<long double> e = exponential(x, 2 * m, dt);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++) {
            t->push_back(static_cast<double>(e[(m + j) * 2 * m + m + i]));
            long double sum = 0;
            for (size_t k = 0; k < m; k++)
                sum += e[(m + k) * 2 * m + m + i] * e[k * 2 * m + m + j];
            q->push_back(static_cast<double>(sum));
        }
    }
}

TEST(ByHand, MotionsAtIrregularTimes)
{
    const std::vector<double> times = {0, 0.3, 0.35, 1.1, 1.1, 2, 3.7, 4, 4.5, 5, 5.25, 6.5};
    const size_t n = times.size();
    std::vector<double> y = wave(n);
    for (model_motion_kind kind : {MODEL_VELOCITY, MODEL_ACCELERATION, MODEL_ORNSTEIN_UHLENBECK}) {
        SCOPED_TRACE(kind);
        bool ou = kind == MODEL_ORNSTEIN_UHLENBECK;
        size_t m = kind == MODEL_ACCELERATION ? 3 : kind == MODEL_VELOCITY ? 2 : 1;
        std::vector<long double> f(m * m, 0);
        for (size_t i = 0; i + 1 < m; i++)
            f[i * m + i + 1] = 1;
        if (ou)
            f[0] = -0.4L;
        Model o = still_states(n, m);
        o.t.clear();
        o.q.clear();
        for (size_t t = 0; t < n; t++)
            discretize(f, m, 0.7, t + 1 < n ? times[t + 1] - times[t] : 0, &o.t, &o.q);
        o.z[0] = 1;
        o.h = {0.3};
        if (ou) { /* around a known mean */
            o.d = {9.};
            o.p1_inf = {0};
            o.p1 = {0.7 / 0.8};
        }
        model_spec spec = {};
        spec.kind = MODEL_MOTION;
        spec.motion.kind = kind;
        spec.motion.axes = 1;
        spec.motion.observation_variance = given(0.3);
        spec.motion.intensity = given(0.7);
        spec.motion.rate = given(0.4);
        if (ou)
            spec.motion.mean = given(9);
        spec.times = times.data();
        if (!ou) {
            expect_same(spec, o, y);
            continue;
        }
        /* Ours has the mean as a second state: the likelihood is what both have. */
        Memory mem;
        ssm_filtered r = filter(laid_out(spec, n, &mem.a), y, 0, &mem.a);
        Oracle oracle(o, y, n);
        EXPECT_NEAR(ssm_log_likelihood(&r, SSM_FULL), static_cast<double>(oracle.log_likelihood()),
                    1e-9);
    }
}

TEST(ByHand, ControlInputsOfEachStep)
{
    /* A thermostat: the state moves by what is put in, c of each step; d shifts what is seen. */
    const size_t n = 16;
    Random rnd(3);
    std::vector<double> c(2 * n), d(n);
    for (double &x : c)
        x = rnd.normal();
    for (double &x : d)
        x = rnd.normal();
    Model o = still_states(n, 2);
    o.z = {1, 0.5};
    o.t = {0.9, 0.1, 0, 0.8};
    o.c = c;
    o.d = d;
    o.h = {0.2};
    o.r = 1;
    o.rr = {1, 0.3};
    o.q = {0.4};
    o.p1_inf = {0, 0};
    o.p1 = {2, 0.1, 0.1, 1};
    o.a1 = {1, -1};
    model_spec spec = {};
    spec.kind = MODEL_FREE;
    model_free &f = spec.free;
    f.p = f.r = 1;
    f.m = 2;
    f.z = o.z.data();
    f.t = o.t.data();
    f.h = o.h.data();
    f.q = o.q.data();
    f.rr = o.rr.data();
    f.a1 = o.a1.data();
    f.p1 = o.p1.data();
    f.c = c.data();
    f.c_varies = true;
    f.d = d.data();
    f.d_varies = true;
    std::vector<double> y = wave(n);
    Memory mem;
    Smoothed r = smooth(laid_out(spec, n, &mem.a), y, &mem.a);
    Oracle oracle(o, y, n);
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_FULL), static_cast<double>(oracle.log_likelihood()),
                1e-9);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < 2; i++) {
            double mean, cov;
            oracle.given(oracle.alpha[t][i], oracle.alpha[t][i], &mean, &cov);
            EXPECT_NEAR(r.o.alpha[2 * t + i], mean, 1e-9);
            EXPECT_NEAR(r.o.variance[4 * t + 3 * i], cov, 1e-9);
        }
    }
}

/* Two readings of one level that nearly agree: F of the second is what is left of rounding. */
TEST(Hard, NearlySingularPredictions)
{
    for (double h : {0., 1e-300, 1e-30, 1e-16, 1e-8}) {
        SCOPED_TRACE(h);
        const size_t n = 60;
        Model o = still_states(n, 2);
        o.p = 2;
        o.z = {1, 0, 1, 1e-9};
        o.t = {1, 1, 0, 1};
        o.h = {h, h};
        o.q = {1, 0, 0, 1e-6};
        std::vector<double> y(2 * n);
        Random rnd(5);
        double level = 0;
        for (size_t t = 0; t < n; t++) {
            level += rnd.normal();
            y[2 * t] = y[2 * t + 1] = level;
        }
        Memory mem;
        Smoothed r = smooth(o.view(), y, &mem.a);
        for (size_t t = r.f.diffuse_steps; t < n; t++) {
            for (const double *p : {r.f.ptt + 4 * t, r.o.variance + 4 * t}) {
                ASSERT_GE(p[0], 0);
                ASSERT_GE(p[3], 0);
                ASSERT_EQ(p[1], p[2]);
                ASSERT_GE(p[0] * p[3] - p[1] * p[1], -1e-12 * (1 + p[0] * p[3])) << t;
            }
            ASSERT_TRUE(std::isfinite(r.f.att[2 * t]) && std::isfinite(r.o.alpha[2 * t])) << t;
            ASSERT_NEAR(r.f.att[2 * t], y[2 * t], 1e-3 * (1 + std::fabs(y[2 * t]))) << t;
        }
    }
}

} // namespace
