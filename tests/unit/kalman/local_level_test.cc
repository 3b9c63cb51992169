#include <algorithm>
#include <cfloat>
#include <cstring>
#include <gtest/gtest.h>

#include "local_level_support.h"

namespace
{

void
expect_same(const std::vector<double> &a, const std::vector<double> &b)
{
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(memcmp(a.data(), b.data(), a.size() * sizeof(double)), 0);
}

void
expect_close(const std::vector<double> &a, const std::vector<double> &b, double relative)
{
    ASSERT_EQ(a.size(), b.size());
    double scale = 0;
    for (double x : b)
        scale = std::max(scale, std::isfinite(x) ? std::fabs(x) : 0);
    for (size_t i = 0; i < a.size(); i++) {
        if (std::isinf(b[i]))
            EXPECT_EQ(a[i], b[i]) << i;
        else
            EXPECT_NEAR(a[i], b[i], relative * scale) << i;
    }
}

/* ---- figures of the literature --------------------------------------------------------------- */

TEST(LocalLevelNile, FilterAgreesWithDurbinAndKoopman)
{
    Filtered r = run(nile(), kNile);
    EXPECT_NEAR(r.full(), -633.4645636489, 5e-11);
    EXPECT_NEAR(r.omit(), -632.5456251157, 5e-11);
    EXPECT_NEAR(r.level[99], 798.3702926083641, 1e-12);
    EXPECT_NEAR(r.level[2], 1072.7985295274439, 1e-12);
    EXPECT_NEAR(r.variance[2], 5781.46993870002, 1e-11);
    /* Predicted: the level before, its variance F - H. */
    EXPECT_EQ(r.level[0], 1120);
    EXPECT_NEAR(r.innovation_variance[1] - 15099, 16568.1, 1e-11);
    EXPECT_NEAR(r.level[1], 1140.927839934822, 1e-12);
    EXPECT_NEAR(r.innovation_variance[2] - 15099, 9368.836379396913, 1e-11);
    EXPECT_NEAR(r.f.p, 5501.257941808476, 1e-11);
}

TEST(LocalLevelNile, MissingValues)
{
    std::vector<double> y = nile();
    for (size_t t = 20; t < 40; t++)
        y[t] = y[t + 40] = kNan;
    EXPECT_NEAR(run(y, kNile).full(), -381.5060013085, 5e-11);
}

TEST(LocalLevelNile, ForecastIsMissingValuesAtTheEnd)
{
    std::vector<double> y = nile();
    y.resize(110, kNan);
    Filtered r = run(y, kNile);
    EXPECT_EQ(r.level[100], r.level[99]);
    EXPECT_EQ(r.level[109], r.level[99]);
    EXPECT_NEAR(r.variance[100], 5501.2579418, 1e-7);
    EXPECT_NEAR(r.variance[109], 18723.1579418, 1e-7);
}

TEST(LocalLevelNile, ConcentratedLikelihoodAtEqualVariances)
{
    std::vector<double> y = nile();
    Filtered r = run(y, {1, 1, 0});
    double squares = 0;
    for (size_t t = 1; t < y.size(); t++)
        squares += r.innovation[t] * r.innovation[t] / r.innovation_variance[t];
    double s2 = squares / 99;
    EXPECT_NEAR(run(y, {s2, s2, 0}).full(), -637.0789578663, 5e-11);
}

TEST(LocalLevel, ToySeriesWithExactDiffuseStart)
{
    std::vector<double> y(10, 1);
    y[0] = 10.2394;
    EXPECT_NEAR(run(y, {1.993, 8.253, 0}).full(), -23.93526038, 5e-9);
}

/* ---- an independent oracle: the joint normal distribution -------------------------------------
 */

/* y = mu1 * 1 + u with u ~ N(0, V): the limit of a diffuse mu1 is generalised least squares
 * (Durbin and Koopman 5.7). Dense, in long double. */
struct Oracle {
    std::vector<long double> chol; /* of V */
    std::vector<long double> y, x; /* whitened */
    size_t n = 0;
    std::vector<size_t> at;
    long double h, q, log_det = 0, xx = 0, beta = 0, rss = 0;

    std::vector<long double> whiten(std::vector<long double> b) const
    {
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < i; j++)
                b[i] -= chol[i * n + j] * b[j];
            b[i] /= chol[i * n + i];
        }
        return b;
    }

    Oracle(const std::vector<double> &values, size_t until, double h_, double q_) : h(h_), q(q_)
    {
        for (size_t t = 0; t < until; t++) {
            if (!std::isnan(values[t])) {
                at.push_back(t);
                y.push_back(values[t]);
            }
        }
        n = at.size();
        chol.assign(n * n, 0);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                long double s = q * static_cast<long double>(at[j]) + (i == j ? h : 0);
                for (size_t k = 0; k < j; k++)
                    s -= chol[i * n + k] * chol[j * n + k];
                chol[i * n + j] = i == j ? sqrtl(s) : s / chol[j * n + j];
            }
            log_det += 2 * logl(chol[i * n + i]);
        }
        y = whiten(y);
        x = whiten(std::vector<long double>(n, 1));
        long double xy = 0;
        for (size_t i = 0; i < n; i++) {
            xx += x[i] * x[i];
            xy += x[i] * y[i];
        }
        beta = xy / xx;
        for (size_t i = 0; i < n; i++)
            rss += (y[i] - x[i] * beta) * (y[i] - x[i] * beta);
    }

    double log_likelihood() const
    {
        long double two_pi = static_cast<long double>(n) * logl(2 * acosl(-1));
        return static_cast<double>(-0.5L * (two_pi + log_det + logl(xx) + rss));
    }

    void level(size_t t, double *mean, double *variance) const
    {
        std::vector<long double> c(n);
        for (size_t i = 0; i < n; i++)
            c[i] = q * static_cast<long double>(std::min(t, at[i]));
        c = whiten(c);
        long double m = beta, v = q * static_cast<long double>(t), cx = 0;
        for (size_t i = 0; i < n; i++) {
            m += c[i] * (y[i] - x[i] * beta);
            v -= c[i] * c[i];
            cx += c[i] * x[i];
        }
        *mean = static_cast<double>(m);
        *variance = static_cast<double>(v + (1 - cx) * (1 - cx) / xx);
    }
};

TEST(LocalLevelOracle, RandomSeriesWithMissingValues)
{
    Random rnd(7);
    for (int round = 0; round < 300; round++) {
        double h = std::exp(4 * rnd.normal()), q = round % 5 ? std::exp(4 * rnd.normal()) : 0;
        std::vector<double> y = simulate(rnd, 2 + static_cast<size_t>(rnd.below(14)), h, q, 0.3);
        Filtered r = run(y, {h, q, 0});
        size_t first = 0;
        while (first < y.size() && std::isnan(y[first]))
            first++;
        EXPECT_EQ(r.f.leading, first);
        if (first == y.size())
            continue;
        EXPECT_NEAR(r.full(), Oracle(y, y.size(), h, q).log_likelihood(),
                    1e-11 * (10 + std::fabs(r.full())));
        for (size_t t = 0; t < y.size(); t++) {
            if (t < first) {
                EXPECT_EQ(r.variance[t], INFINITY);
                continue;
            }
            double mean, variance;
            Oracle(y, t + 1, h, q).level(t, &mean, &variance);
            EXPECT_NEAR(r.level[t], mean, 1e-10 * (1 + std::fabs(mean)));
            EXPECT_NEAR(r.variance[t], variance, 1e-9 * (h + q));
        }
    }
}

TEST(LocalLevelOracle, KnownStartIsOneMoreObservation)
{
    /* A known start N(m, P) is a diffuse one that saw the value m with noise P at the same time:
     * here by a filter in long double. */
    Random rnd(8);
    for (int round = 0; round < 100; round++) {
        double h = std::exp(2 * rnd.normal()), q = std::exp(2 * rnd.normal());
        double mean = rnd.normal(), start = round % 4 ? std::exp(3 * rnd.normal()) : 0;
        std::vector<double> y = simulate(rnd, 40, h, q, 0.2);
        Filtered r = run(y, {h, q, 0}, {false, mean, start});
        long double a = mean, p = start, ll = 0;
        for (size_t t = 0; t < y.size(); t++) {
            if (!std::isnan(y[t])) {
                long double f = p + h, v = y[t] - a;
                ll -= 0.5L * (logl(2 * acosl(-1) * f) + v * v / f);
                a += p / f * v;
                p = p * h / f;
            }
            EXPECT_NEAR(r.level[t], static_cast<double>(a), 1e-12 * (1 + std::fabs(r.level[t])));
            EXPECT_NEAR(r.variance[t], static_cast<double>(p), 1e-12 * (h + q + start));
            p += q;
        }
        EXPECT_NEAR(r.full(), static_cast<double>(ll), 1e-11 * (10 + std::fabs(r.full())));
        EXPECT_EQ(r.full(), r.omit());
    }
}

/* ---- properties --------------------------------------------------------------------------------
 */

TEST(LocalLevel, BlocksDoNotMatter)
{
    Random rnd(9);
    for (int round = 0; round < 60; round++) {
        double q = round % 3 ? std::exp(3 * rnd.normal()) : 0;
        std::vector<double> y = simulate(rnd, 3000, 1, q, round % 2 ? 0.001 : 0);
        Filtered whole = run(y, {1, q, 0});
        std::vector<size_t> cuts;
        for (size_t at = 0; at < y.size(); at += 1 + static_cast<size_t>(rnd.below(700)))
            cuts.push_back(at);
        Filtered parts = run(y, {1, q, 0}, Start(), true, cuts);
        expect_same(whole.level, parts.level);
        expect_same(whole.variance, parts.variance);
        expect_same(whole.innovation, parts.innovation);
        expect_same(whole.innovation_variance, parts.innovation_variance);
        EXPECT_EQ(whole.full(), parts.full());
    }
}

TEST(LocalLevel, OneValueAtATime)
{
    Random rnd(10);
    std::vector<double> y = simulate(rnd, 1500, 1, 0.5, 0.002);
    std::vector<size_t> cuts(y.size());
    for (size_t i = 0; i < cuts.size(); i++)
        cuts[i] = i;
    Filtered whole = run(y, {1, 0.5, 0}), single = run(y, {1, 0.5, 0}, Start(), true, cuts);
    expect_same(whole.level, single.level);
    EXPECT_EQ(whole.full(), single.full());
}

TEST(LocalLevel, ShortcutChangesNothing)
{
    Random rnd(11);
    int taken = 0;
    for (int round = 0; round < 80; round++) {
        double q = std::pow(10, -7 + 0.2 * round);
        std::vector<double> y = simulate(rnd, 20000, 1, q, round % 2 ? 0.0005 : 0);
        Filtered fast = run(y, {1, q, 0}), slow = run(y, {1, q, 0}, Start(), false);
        taken += fast.f.steady;
        EXPECT_FALSE(slow.f.steady);
        expect_close(fast.level, slow.level, 1e-12);
        expect_close(fast.variance, slow.variance, 1e-12);
        expect_close(fast.innovation, slow.innovation, 1e-12);
        EXPECT_NEAR(fast.full(), slow.full(), 1e-12 * std::fabs(slow.full())) << q;
    }
    EXPECT_GT(taken, 60);
}

TEST(LocalLevel, PowersOfTwoScaleExactly)
{
    Random rnd(12);
    std::vector<double> y = simulate(rnd, 500, 1, 0.1, 0.05);
    Filtered base = run(y, {1, 0.1, 0});
    for (int k : {-900, -400, -150, 1, 150, 480, 900}) {
        std::vector<double> scaled = y;
        for (double &x : scaled)
            x = std::ldexp(x, k);
        Filtered r = run(scaled, {1, 0.1, 2 * k});
        for (size_t t = 0; t < y.size(); t++)
            EXPECT_EQ(r.level[t], std::ldexp(base.level[t], k)) << k << " " << t;
        EXPECT_NEAR(
            r.full(),
            base.full() - static_cast<double>(base.f.values) * k * M_LN2 -
                (base.f.steady_values ? static_cast<double>(base.f.steady_values) * k * M_LN2 : 0),
            1e-9 * std::fabs(r.full()) + 1e-9);
    }
}

TEST(LocalLevel, ConstantSeriesStaysExactlyConstant)
{
    for (double q : {0., 1e-6, 0.3, 1e6}) {
        Filtered r = run(std::vector<double>(5000, 0.1), {1, q, 0});
        for (double x : r.level)
            ASSERT_EQ(x, 0.1);
    }
}

TEST(LocalLevel, WithoutNoiseTheLevelIsTheValue)
{
    std::vector<double> y = {1e308, kNan, 1e-300, -1e308, 5e-324, 7};
    Filtered r = run(y, {0, 1, 0});
    for (size_t t = 0; t < y.size(); t++)
        EXPECT_EQ(r.level[t], std::isnan(y[t]) ? y[t - 1] : y[t]);
}

TEST(LocalLevel, CertainPredictions)
{
    /* Both variances zero: met predictions add nothing, missed ones leave no likelihood. */
    Filtered met = run({3, 3, kNan, 3}, {0, 0, 0});
    EXPECT_EQ(met.omit(), 0);
    EXPECT_NEAR(met.full(), -0.5 * std::log(2 * M_PI), 1e-15);
    Filtered missed = run({3, 3, 4}, {0, 0, 0});
    EXPECT_EQ(missed.full(), -INFINITY);
    EXPECT_EQ(missed.level[2], 3);
    EXPECT_EQ(missed.variance[2], 0);
    /* A start known exactly, and no noise at the first value only. */
    Filtered start = run({1, 2}, {0, 1, 0}, {false, 1, 0});
    EXPECT_EQ(start.level[0], 1);
    EXPECT_EQ(start.level[1], 2);
    EXPECT_NEAR(start.full(), -0.5 * (std::log(2 * M_PI) + 1), 1e-15);
}

TEST(LocalLevel, StartVarianceFarAboveTheOthers)
{
    std::vector<double> y = {1, 2, 3};
    Filtered r = run(y, {1e-300, 2e-300, 0}, {false, 0.5, 1e300});
    Filtered d = run(y, {1e-300, 2e-300, 0});
    expect_same(r.level, d.level);
    EXPECT_EQ(r.innovation[0], 0.5);
    EXPECT_EQ(r.innovation_variance[0], 1e300);
    EXPECT_EQ(r.variance[0], 1e-300);
    EXPECT_NEAR(r.full(), d.omit() - 0.5 * (std::log(2 * M_PI) + std::log(1e300)),
                1e-12 * std::fabs(d.omit()));
}

TEST(LocalLevel, EndsOfTheRange)
{
    /* Large values, tiny variances; large variances, tiny values. */
    std::vector<double> alternating = {1e308, -1e308, 1.7e308, -1.7e308, 0};
    Filtered r = run(alternating, {1, 1, 0});
    for (double x : r.level)
        EXPECT_TRUE(std::isfinite(x));
    EXPECT_EQ(r.full(), -INFINITY);
    EXPECT_TRUE(std::isinf(r.innovation[3]));
    Filtered same = run(std::vector<double>(100, DBL_MAX), {1, 1, 0});
    for (double x : same.level)
        EXPECT_EQ(x, DBL_MAX);
    Filtered tiny = run({5e-324, 1e-323, 2e-323}, {1e308, 1e308, 0});
    EXPECT_TRUE(std::isfinite(tiny.full()));
    EXPECT_EQ(tiny.innovation_variance[1], INFINITY); /* 3e308 */
    Filtered denormal = run({5e-324, 1e-323, 2e-323}, {5e-324, 5e-324, 0});
    EXPECT_TRUE(std::isfinite(denormal.full()));
    EXPECT_EQ(denormal.level[0], 5e-324);
}

TEST(LocalLevel, NeverNan)
{
    const double special[] = {0,      -0.0,   5e-324,  -5e-324, 1e-310,   2e-308,  1e-200,
                              1e-100, 1,      -1,      1e100,   -1e100,   1e200,   1e300,
                              1e308,  -1e308, DBL_MAX, kNan,    -DBL_MAX, 3.14159, 1e16};
    const double variances[] = {0, 5e-324, 1e-310, 1e-200, 1, 1e150, 1e300, DBL_MAX};
    Random rnd(13);
    auto pick = [&](const double *a, size_t n) { return a[rnd.next() % n]; };
    for (int round = 0; round < 20000; round++) {
        std::vector<double> y(1 + static_cast<size_t>(rnd.below(12)));
        for (double &x : y)
            x = pick(special, std::size(special));
        local_level_variances v = {pick(variances, 8), pick(variances, 8), 0};
        Start start;
        if (rnd.below(2)) {
            do
                start.mean = pick(special, std::size(special));
            while (std::isnan(start.mean));
            start = {false, start.mean, pick(variances, 8)};
        }
        Filtered r = run(y, v, start);
        for (auto *list : {&r.level, &r.variance, &r.innovation, &r.innovation_variance}) {
            for (double x : *list)
                ASSERT_FALSE(std::isnan(x)) << round;
        }
        ASSERT_FALSE(std::isnan(r.full()));
        for (double x : r.level)
            ASSERT_TRUE(std::isfinite(x));
        for (double x : r.variance)
            ASSERT_GE(x, 0);
        local_level_facts facts = {};
        local_level_look(&facts, y.data(), y.size());
        local_level_variances est = fit(y, rnd.below(3) ? kNan : v.h, rnd.below(3) ? kNan : v.q);
        ASSERT_GE(est.h, 0) << round;
        ASSERT_GE(est.q, 0) << round;
    }
}

TEST(LocalLevel, Facts)
{
    std::vector<double> y = {kNan, kNan, 3, -1, kNan, 5};
    local_level_facts whole = {}, parts = {};
    local_level_look(&whole, y.data(), y.size());
    for (double x : y)
        local_level_look(&parts, &x, 1);
    for (const local_level_facts &f : {whole, parts}) {
        EXPECT_EQ(f.values, 3u);
        EXPECT_EQ(f.first, 2u);
        EXPECT_EQ(f.length, 6u);
        EXPECT_EQ(f.min, -1);
        EXPECT_EQ(f.max, 5);
        EXPECT_FALSE(f.infinite);
    }
    for (double bad : {INFINITY, -INFINITY}) {
        local_level_facts f = {};
        std::vector<double> z = {1, kNan, 2, bad, bad};
        local_level_look(&f, z.data(), 2);
        local_level_look(&f, z.data() + 2, 3);
        EXPECT_TRUE(f.infinite);
        EXPECT_EQ(f.infinite_at, 3u);
    }
    local_level_facts none = {};
    local_level_look(&none, y.data(), 2);
    EXPECT_EQ(none.values, 0u);
    EXPECT_EQ(none.min, 0);
    EXPECT_EQ(none.max, 0);
}

} // namespace
