/* kalman_filter_steps against the joint normal distribution, conditioned by elimination. */
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

extern "C" {
#include "kalman/kalman.h"
#include "run/reactor.h"
}

namespace
{

using number = long double;

/* Mean and variance of mu[i] given y[0..i], where y[k] = mu[k] + eps[k] is seen unless it is NaN.
 */
void
condition(const struct kalman_steps &s, size_t i, number *mean, number *variance)
{
    std::vector<number> prior(s.n); /* var mu[k] = cov(mu[k], mu[l]) for l > k */
    number sum = s.initial_variance;
    for (size_t k = 0; k < s.n; k++)
        prior[k] = sum += s.level_variances[k];
    std::vector<size_t> told;
    for (size_t k = 0; k <= i; k++)
        if (!std::isnan(s.values[k]))
            told.push_back(k);
    const size_t n = told.size();
    /* [S | c | v]: S x = c, S w = v; E = m + c'S^-1 (y - m), var = p - c'S^-1 c. */
    std::vector<std::vector<number>> m(n, std::vector<number>(n + 2));
    for (size_t r = 0; r < n; r++) {
        for (size_t c = 0; c < n; c++)
            m[r][c] = prior[std::min(told[r], told[c])];
        m[r][r] += s.observation_variances[told[r]];
        m[r][n] = prior[told[r]];
        m[r][n + 1] = s.values[told[r]] - s.initial_mean;
    }
    for (size_t r = 0; r < n; r++) {
        for (size_t below = r + 1; below < n; below++) {
            const number factor = m[below][r] / m[r][r];
            for (size_t c = r; c < n + 2; c++)
                m[below][c] -= factor * m[r][c];
        }
    }
    /* S = L D L': c'S^-1 v is the sum over the rows that elimination left. */
    *mean = s.initial_mean;
    *variance = prior[i];
    for (size_t r = 0; r < n; r++) {
        *mean += m[r][n] * m[r][n + 1] / m[r][r];
        *variance -= m[r][n] * m[r][n] / m[r][r];
    }
}

void
run(void (*body)(struct ctx *))
{
    reactor_run_main(
        [](struct ctx *ctx, void *arg) { reinterpret_cast<void (*)(struct ctx *)>(arg)(ctx); },
        reinterpret_cast<void *>(body));
}

TEST(kalman_steps, are_the_conditional_distribution)
{
    run([](struct ctx *ctx) {
        std::mt19937 random(20261129);
        std::uniform_real_distribution<double> uniform(0, 1);
        std::normal_distribution<double> normal;
        for (int round = 0; round < 500; round++) {
            const size_t n = 1 + random() % 12;
            std::vector<double> y(n), h(n), q(n), level(n), variance(n);
            for (size_t i = 0; i < n; i++) {
                y[i] = random() % 4 == 0 ? NAN : 10 * normal(random);
                h[i] = random() % 3 == 0 ? 0 : 4 * uniform(random); /* some are exact */
                q[i] = 0.01 + 3 * uniform(random);
            }
            const struct kalman_steps s = {y.data(), h.data(),       q.data(),
                                           n,        normal(random), uniform(random)};
            ASSERT_EQ(kalman_filter_steps(ctx, &s, level.data(), variance.data()), OK);
            for (size_t i = 0; i < n; i++) {
                number want;
                number spread;
                condition(s, i, &want, &spread);
                EXPECT_NEAR(level[i], static_cast<double>(want), 1e-9 * (1 + std::fabs(level[i])));
                EXPECT_NEAR(variance[i], static_cast<double>(spread), 1e-9);
            }
        }
    });
}

TEST(kalman_steps, what_is_certain_learns_nothing)
{
    run([](struct ctx *ctx) {
        const double y[] = {3, 5, NAN};
        const double h[] = {0, 0, 0};
        const double q[] = {1, 0, 2};
        double level[3];
        double variance[3];
        const struct kalman_steps s = {y, h, q, 3, 0, 0};
        ASSERT_EQ(kalman_filter_steps(ctx, &s, level, variance), OK);
        EXPECT_EQ(level[0], 3);
        EXPECT_EQ(variance[0], 0);
        EXPECT_EQ(level[1], 3);
        EXPECT_EQ(level[2], 3);
        EXPECT_EQ(variance[2], 2);
    });
}

TEST(kalman_steps, refuses_what_is_no_number)
{
    run([](struct ctx *ctx) {
        double y = 1;
        double h = 1;
        double q = 1;
        double level;
        double variance;
        struct kalman_steps s = {&y, &h, &q, 1, 0, 0};
        EXPECT_EQ(kalman_filter_steps(ctx, &s, &level, &variance), OK);
        h = -1;
        EXPECT_EQ(kalman_filter_steps(ctx, &s, &level, &variance), INVALID_ARGUMENT);
        fail_clear(ctx);
        h = 1;
        q = NAN;
        EXPECT_EQ(kalman_filter_steps(ctx, &s, &level, &variance), INVALID_ARGUMENT);
        fail_clear(ctx);
        q = 1;
        y = INFINITY;
        EXPECT_EQ(kalman_filter_steps(ctx, &s, &level, &variance), INVALID_ARGUMENT);
        fail_clear(ctx);
        s.n = 0;
        EXPECT_EQ(kalman_filter_steps(ctx, &s, &level, &variance), INVALID_ARGUMENT);
    });
}

} // namespace
