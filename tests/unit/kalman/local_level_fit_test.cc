#include <algorithm>
#include <gtest/gtest.h>

#include "local_level_support.h"

namespace
{

TEST(LocalLevelNile, MaximumLikelihood)
{
    /* The root of the score in 40 digits (mpmath), profile likelihood in log(Q/H):
     * H 15098.51832409628, Q 1469.176360309515, log-likelihood -633.4645636362457. */
    local_level_variances v = fit(nile());
    EXPECT_EQ(v.exponent % 2, 0);
    EXPECT_NEAR(value_h(v), 15098.51832409628, 1e-7);
    EXPECT_NEAR(value_q(v), 1469.176360309515, 1e-7);
    EXPECT_NEAR(run(nile(), v).full(), -633.4645636362457, 5e-11);
    /* As commonly printed. */
    EXPECT_NEAR(value_h(v), 15098.517, 2e-3);
    EXPECT_NEAR(value_q(v), 1469.177, 2e-3);
}

TEST(LocalLevelNile, MaximumLikelihoodOfOneVariance)
{
    /* mpmath, as above: the root of the derivative with the other variance fixed. */
    EXPECT_NEAR(value_q(fit(nile(), 15099)), 1469.05675452963, 1e-8);
    EXPECT_EQ(value_h(fit(nile(), 15099)), 15099);
    EXPECT_NEAR(value_h(fit(nile(), kNan, 1469.1)), 15098.6327743582, 1e-8);
    EXPECT_EQ(value_q(fit(nile(), kNan, 1469.1)), 1469.1);
}

/* ---- estimation --------------------------------------------------------------------------------
 */

/* The best of a dense grid in (H, Q), zero included, by the filter itself. */
double
best_of_grid(const std::vector<double> &y, double h, double q, double scale)
{
    double best = -INFINITY;
    for (int i = -1; i <= 60; i++) {
        for (int j = -1; j <= 60; j++) {
            double gh = i < 0 ? 0 : scale * std::pow(10, -6 + i * 0.14);
            double gq = j < 0 ? 0 : scale * std::pow(10, -6 + j * 0.14);
            local_level_variances v = {std::isnan(h) ? gh : h, std::isnan(q) ? gq : q, 0};
            best = std::max(best, run(y, v).full());
        }
    }
    return best;
}

TEST(LocalLevelFit, NothingOnAGridIsBetter)
{
    Random rnd(14);
    for (int round = 0; round < 60; round++) {
        double h = round % 4 ? 1 : 0, q = round % 5 ? std::exp(2 * rnd.normal()) : 0;
        if (h == 0 && q == 0)
            q = 1;
        std::vector<double> y = simulate(rnd, 4 + static_cast<size_t>(rnd.below(30)), h, q, 0.1);
        if (std::count_if(y.begin(), y.end(), [](double x) { return !std::isnan(x); }) < 3)
            continue;
        double kh = round % 3 == 1 ? 0.7 : kNan, kq = round % 3 == 2 ? 0.4 : kNan;
        local_level_variances v = fit(y, kh, kq);
        EXPECT_GE(run(y, v).full(), best_of_grid(y, kh, kq, 1) - 1e-9) << round;
    }
}

TEST(LocalLevelFit, ScaleAndShiftDoNotMatter)
{
    Random rnd(15);
    std::vector<double> y = simulate(rnd, 200, 1, 0.2, 0.05);
    local_level_variances base = fit(y);
    for (double scale : {1e-300, 1e-160, 1e-20, 3., 1e20, 1e150, 1e300}) {
        std::vector<double> z = y;
        for (double &x : z)
            x *= scale;
        local_level_variances v = fit(z);
        EXPECT_NEAR(v.q / v.h, base.q / base.h, 1e-9) << scale;
        /* log H = log h + exponent log 2, whatever the scale */
        EXPECT_NEAR(std::log(v.h) + v.exponent * M_LN2,
                    std::log(base.h) + base.exponent * M_LN2 + 2 * std::log(scale), 1e-9);
        Filtered r = run(z, v);
        EXPECT_TRUE(std::isfinite(r.full()));
        Filtered b = run(y, base);
        for (size_t t = 0; t < y.size(); t++)
            EXPECT_NEAR(r.level[t] / scale, b.level[t], 1e-9 * (1 + std::fabs(b.level[t])));
    }
    std::vector<double> shifted = y;
    for (double &x : shifted)
        x += 1e6;
    local_level_variances v = fit(shifted);
    EXPECT_NEAR(value_h(v), value_h(base), 1e-7);
    EXPECT_NEAR(value_q(v), value_q(base), 1e-7);
}

TEST(LocalLevelFit, Boundaries)
{
    /* Alternating values: no level moves. */
    std::vector<double> alternating(50);
    for (size_t t = 0; t < 50; t++)
        alternating[t] = t % 2 ? 1 : -1;
    local_level_variances v = fit(alternating);
    EXPECT_EQ(value_q(v), 0);
    EXPECT_NEAR(value_h(v), 50. / 49, 1e-12);
    /* A straight line: no noise. */
    std::vector<double> line(50);
    for (size_t t = 0; t < 50; t++)
        line[t] = 3 * static_cast<double>(t);
    v = fit(line);
    EXPECT_EQ(value_h(v), 0);
    EXPECT_NEAR(value_q(v), 9, 1e-12);
    EXPECT_EQ(value_q(fit(alternating, 1)), 0);
    EXPECT_EQ(value_h(fit(line, kNan, 9)), 0);
    /* The known one is zero: the other in closed form. */
    EXPECT_NEAR(value_q(fit(line, 0)), 9, 1e-12);
    EXPECT_NEAR(value_h(fit(alternating, kNan, 0)), 50. / 49, 1e-12);
}

TEST(LocalLevelFit, FewValues)
{
    for (const std::vector<double> &y : std::vector<std::vector<double>>{{1, 2, 3},
                                                                         {1, 2, 1},
                                                                         {1, 1, 2},
                                                                         {0, 0, 1e-300},
                                                                         {0, 0, 5e-324},
                                                                         {1e308, -1e308, 1e308}}) {
        local_level_variances v = fit(y);
        EXPECT_GT(v.h + v.q, 0);
        EXPECT_TRUE(std::isfinite(v.h) && std::isfinite(v.q));
    }
    local_level_variances same = fit({5, 5, 5, kNan, 5});
    EXPECT_EQ(same.h, 0);
    EXPECT_EQ(same.q, 0);
    EXPECT_NEAR(value_q(fit({1, 3}, 0)), 4, 1e-12);
}

TEST(LocalLevelFit, KnownVarianceOfAnotherOrder)
{
    std::vector<double> y = {1, 2, 4, 3, 5, 4};
    EXPECT_EQ(value_q(fit(y, 1e300)), 0);
    EXPECT_EQ(value_h(fit(y, kNan, 1e300)), 0);
    EXPECT_NEAR(value_q(fit(y, 1e-300)), value_q(fit(y, 0)), 1e-9);
    EXPECT_NEAR(value_h(fit(y, kNan, 1e-300)), value_h(fit(y, kNan, 0)), 1e-9);
}

TEST(LocalLevelFit, Stops)
{
    std::vector<double> y(100000, 1);
    y[5] = 2;
    local_level_facts facts = {};
    local_level_look(&facts, y.data(), y.size());
    int left = 5;
    local_level_stop stop = {[](void *arg) { return --*static_cast<int *>(arg) == 0; }, &left};
    local_level_known known = {kNan, kNan};
    local_level_variances v;
    EXPECT_FALSE(local_level_fit(y.data(), y.size(), &facts, &known, &stop, &v));
    EXPECT_EQ(left, 0);
}

TEST(LocalLevelFit, SameBytesTwice)
{
    local_level_variances a = fit(nile()), b = fit(nile());
    EXPECT_EQ(a.h, b.h);
    EXPECT_EQ(a.q, b.q);
}

} // namespace
