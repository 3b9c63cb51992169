/* Distributions, draws, tests of innovations, many series at once. */
#include "runs.h"

extern "C" {
#include "kalman/analysis.h"
}

namespace
{

TEST(Stats, NormalQuantile)
{
    /* mpmath: sqrt(2) * erfinv(2 p - 1) in 30 digits. */
    EXPECT_NEAR(stats_normal_quantile(0.975), 1.9599639845400542, 2e-15);
    EXPECT_NEAR(stats_normal_quantile(0.5), 0, 1e-16);
    EXPECT_NEAR(stats_normal_quantile(0.1), -1.2815515655446004, 2e-15);
    EXPECT_NEAR(stats_normal_quantile(1e-10), -6.361340902404056, 1e-14);
    EXPECT_NEAR(stats_normal_quantile(1e-300), -37.04709629936120, 1e-12);
    for (double p : {1e-5, 0.02, 0.3, 0.7, 0.99})
        EXPECT_NEAR(0.5 * std::erfc(-stats_normal_quantile(p) / std::sqrt(2)), p, 1e-15);
}

TEST(Stats, ProbabilitiesAbove)
{
    /* scipy.stats 1.16: chi2.sf, f.sf */
    EXPECT_NEAR(stats_chi2_above(3.841458820694124, 1), 0.05, 1e-14);
    EXPECT_NEAR(stats_chi2_above(8.843233242985468, 9), 0.451869332021652, 1e-13);
    EXPECT_NEAR(stats_chi2_above(0.046863443768475, 2), 0.976840669232224, 1e-13);
    EXPECT_EQ(stats_chi2_above(0, 5), 1);
    EXPECT_NEAR(stats_chi2_above(1000, 10), 0, 1e-100);
    EXPECT_NEAR(stats_f_above(1, 33, 33), 0.5, 1e-14);
    EXPECT_NEAR(2 * (1 - stats_f_above(0.612960992279134, 33, 33)), 0.165008431281362, 1e-12);
    EXPECT_EQ(stats_f_above(INFINITY, 3, 3), 0);
    EXPECT_EQ(stats_f_above(0, 3, 3), 1);
}

TEST(Stats, RandomNumbersAreThoseOfTheirAuthors)
{
    /* splitmix64 from 0: 16294208416658607535 7960286522194355700 487617019471545679
     * 17909611376780542444 (prng.di.unimi.it); xoshiro256++ from 1, 2, 3, 4: 41943041 58720359
     * 3588806011781223 3591011842654386 */
    stats_random r;
    stats_seed(&r, 0);
    EXPECT_EQ(r.s[0], 16294208416658607535u);
    EXPECT_EQ(r.s[1], 7960286522194355700u);
    EXPECT_EQ(r.s[2], 487617019471545679u);
    EXPECT_EQ(r.s[3], 17909611376780542444u);
    stats_random x = {{1, 2, 3, 4}, 0, 0};
    EXPECT_EQ(stats_next(&x), 41943041u);
    EXPECT_EQ(stats_next(&x), 58720359u);
    EXPECT_EQ(stats_next(&x), 3588806011781223u);
    EXPECT_EQ(stats_next(&x), 3591011842654386u);
    double sum = 0, squares = 0;
    for (int i = 0; i < 200000; i++) {
        double z = stats_normal(&r);
        sum += z;
        squares += z * z;
    }
    EXPECT_NEAR(sum / 200000, 0, 0.01);
    EXPECT_NEAR(squares / 200000, 1, 0.02);
}

analysis_diagnosis
diagnosis(const Model &mo, const std::vector<double> &y, size_t lags, arena *a)
{
    ssm_filtered f = filter(mo.view(), y, SSM_KEEP_INNOVATIONS, a);
    analysis_diagnosis d;
    analysis_diagnose(&f, y.size(), lags, a, &d);
    return d;
}

TEST(Diagnose, Nile)
{
    Memory mem;
    std::vector<double> y = nile();
    /* At the maximum: statsmodels' test_serial_correlation('ljungbox', lags=9),
     * test_heteroskedasticity, test_normality say 8.843233, 0.612961 (p 0.165008), 0.046863 (p
     * 0.976841, skewness -0.030544, kurtosis 3.087344).
     */
    Model mo = local_level(100, 15098.51832409628, 1469.176360309515);
    analysis_diagnosis d = diagnosis(mo, y, 9, &mem.a);
    EXPECT_EQ(d.count, 99u);
    EXPECT_EQ(d.standardized[0], 0);
    EXPECT_NEAR(d.ljung_box.statistic, 8.843233, 1e-4);
    EXPECT_NEAR(d.ljung_box.statistic, 8.84332, 1e-4);
    EXPECT_NEAR(d.ljung_box.p_value, 0.451869, 1e-5);
    EXPECT_EQ(d.heteroscedasticity.degrees, 33u);
    EXPECT_NEAR(d.heteroscedasticity.statistic, 0.612960, 2e-6);
    EXPECT_NEAR(d.heteroscedasticity.p_value, 0.165008, 1e-5);
    EXPECT_NEAR(d.jarque_bera.statistic, 0.046863, 1e-5);
    EXPECT_NEAR(d.jarque_bera.p_value, 0.976841, 1e-5);
    EXPECT_NEAR(d.skewness, -0.030544, 1e-5);
    EXPECT_NEAR(d.kurtosis, 3.087344, 1e-5);
}

/* Durbin and Koopman's figures are of the rounded variances. */
TEST(Diagnose, NileAsPublished)
{
    Memory mem;
    std::vector<double> y = nile();
    Model mo = local_level(100, 15099, 1469.1);
    analysis_diagnosis d = diagnosis(mo, y, 9, &mem.a);
    EXPECT_NEAR(d.ljung_box.statistic, 8.84332, 5e-6);
    EXPECT_NEAR(d.heteroscedasticity.statistic, 0.612959, 5e-7);
    EXPECT_EQ(d.heteroscedasticity.degrees, 33u);
}

TEST(Diagnose, TooFewInnovations)
{
    Memory mem;
    analysis_diagnosis d = diagnosis(local_level(2, 1, 1), {1, 2}, 1, &mem.a);
    EXPECT_EQ(d.count, 1u);
    EXPECT_EQ(d.ljung_box.p_value, 1);
    EXPECT_EQ(d.kurtosis, 0);
}

TEST(Simulate, DrawsHaveTheSmoothersMeanAndVariance)
{
    Random rnd(3);
    int compared = 0;
    for (int round = 0; round < 12; round++) {
        Model mo = random_model(rnd, 6, round % 2);
        std::vector<double> y(mo.n * mo.p);
        for (double &x : y)
            x = rnd.uniform() < 0.2 ? NAN : rnd.normal();
        Oracle oracle(mo, y, mo.n);
        Memory mem;
        ssm s = mo.view();
        Smoothed r = smooth(s, y, &mem.a);
        double largest = 0;
        for (size_t i = 0; i < mo.n * mo.m * mo.m; i++)
            largest = std::max(largest, std::fabs(r.f.p[i]));
        if (!oracle.identified || largest > 30)
            continue;
        compared++;
        stats_random draw;
        stats_seed(&draw, 42);
        std::vector<double> one(mo.n * mo.m);
        Moments moments(one.size());
        for (int k = 0; k < 4000; k++) {
            Memory scratch;
            ASSERT_TRUE(analysis_draw_given(&s, y.data(), r.o.alpha, &draw, &scratch.a, nullptr,
                                            one.data()));
            moments.add([&](size_t i) { return one[i] - r.o.alpha[i]; });
        }
        for (size_t i = 0; i < one.size(); i++) {
            double v = r.o.variance[i / mo.m * mo.m * mo.m + i % mo.m * (mo.m + 1)];
            EXPECT_NEAR(moments.mean(i), 0, 5 * std::sqrt(v / moments.draws) + 1e-9);
            EXPECT_NEAR(moments.square(i), v, 0.12 * v + 1e-9);
        }
    }
    EXPECT_GT(compared, 3);
}

TEST(Simulate, PriorDrawsHaveTheModelsMoments)
{
    Random rnd(4);
    Model mo = random_model(rnd, 4, false);
    std::fill(mo.p1_inf.begin(), mo.p1_inf.end(), 0.);
    mo.p1 = random_variance(rnd, mo.m);
    Oracle oracle(mo, std::vector<double>(mo.n * mo.p, NAN), 0);
    ssm s = mo.view();
    stats_random r;
    stats_seed(&r, 1);
    std::vector<double> states(mo.n * mo.m), values(mo.n * mo.p);
    Moments moments(states.size());
    for (int k = 0; k < 20000; k++) {
        Memory scratch;
        analysis_draw(&s, &r, &scratch.a, states.data(), values.data());
        moments.add([&](size_t i) { return states[i]; });
    }
    for (size_t i = 0; i < states.size(); i++) {
        double mean, v;
        const Linear &a = oracle.alpha[i / mo.m][i % mo.m];
        oracle.given(a, a, &mean, &v);
        EXPECT_NEAR(moments.mean(i), mean, 5 * std::sqrt(v / moments.draws));
        EXPECT_NEAR(moments.square(i) - mean * mean, v, 0.08 * v + 0.05);
    }
}

TEST(Batch, AgreesWithOneByOne)
{
    Random rnd(5);
    for (int round = 0; round < 20; round++) {
        Model mo = random_model(rnd, 30, round % 2);
        size_t count = 1 + static_cast<size_t>(rnd.below(40)), numbers = mo.n * mo.p;
        std::vector<std::vector<double>> y(count, std::vector<double>(numbers));
        for (size_t k = 0; k < count; k++) {
            /* A few patterns, each shared by some. */
            Random pattern(static_cast<uint64_t>(rnd.below(4) + 1));
            for (double &x : y[k])
                x = pattern.uniform() < 0.15 ? NAN : rnd.normal();
        }
        std::vector<const double *> p;
        for (auto &v : y)
            p.push_back(v.data());
        Memory mem;
        ssm s = mo.view();
        analysis_batch b;
        ASSERT_TRUE(
            analysis_filter_batch(&s, p.data(), count, true, false, SSM_FULL, &mem.a, nullptr, &b));
        for (size_t k = 0; k < count; k++) {
            ssm_filtered f = filter(s, y[k], SSM_KEEP_FILTERED, &mem.a);
            double ll = ssm_log_likelihood(&f, SSM_FULL);
            if (std::isinf(ll)) {
                EXPECT_EQ(b.log_likelihood[k], ll);
            } else {
                EXPECT_NEAR(b.log_likelihood[k], ll, 1e-9 * (1 + std::fabs(ll)));
            }
            for (size_t i = 0; i < mo.n * mo.m; i++)
                EXPECT_NEAR(b.states[k * mo.n * mo.m + i], f.att[i],
                            1e-9 * (1 + std::fabs(f.att[i])));
            for (size_t j = 0; j < mo.m; j++)
                EXPECT_EQ(b.last[k * mo.m + j], b.states[(k * mo.n + mo.n - 1) * mo.m + j]);
        }
    }
}

} // namespace
