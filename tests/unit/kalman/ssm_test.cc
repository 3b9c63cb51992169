/* The general filter and smoother against the joint distribution, and against published figures. */
#include <cstring>

#include "runs.h"

namespace
{

const double kNan = NAN;

std::vector<double>
random_data(Random &rnd, const Model &m, double missing)
{
    std::vector<double> y(m.n * m.p);
    for (double &x : y)
        x = rnd.uniform() < missing ? kNan : 3 * rnd.normal();
    return y;
}

class AgainstTheJointDistribution : public testing::TestWithParam<int>
{
};

/* One random model; returns false when it was not fit for comparison. */
bool
compare(Random &rnd, bool varying)
{
    Model mo = random_model(rnd, 3 + static_cast<size_t>(rnd.below(5)), varying);
    std::vector<double> y = random_data(rnd, mo, 0.25);
    Oracle oracle(mo, y, mo.n);
    if (!oracle.identified)
        return false;
    Memory mem;
    ssm s = mo.view();
    ssm_filtered f;
    EXPECT_TRUE(ssm_filter(&s, y.data(), SSM_KEEP_FOR_SMOOTHER, &mem.a, nullptr, &f));
    EXPECT_EQ(f.rank_left, 0u);
    EXPECT_EQ(f.regular + f.diffuse, oracle.y.size());
    double ll = ssm_log_likelihood(&f, SSM_FULL);
    ssm_smoothed o;
    EXPECT_TRUE(ssm_smooth(&s, &f, 7, &mem.a, nullptr, &o));
    /* What a badly determined diffuse part leaves of the digits. */
    double mean, cov, largest = 1;
    for (size_t i = 0; i < mo.n * mo.m * mo.m; i++)
        largest = std::max(largest, std::fabs(f.p[i]));
    if (largest > 1e2)
        return false;
    double scale = 1e-10 * largest * largest;
    EXPECT_NEAR(ll, oracle.log_likelihood(), scale * (1 + std::fabs(ll)));
    for (size_t t = 0; t < mo.n; t++) {
        for (size_t i = 0; i < mo.m; i++) {
            for (size_t j = 0; j < mo.m; j++) {
                oracle.given(oracle.alpha[t][i], oracle.alpha[t][j], &mean, &cov);
                EXPECT_NEAR(o.alpha[t * mo.m + i], mean, scale * (1 + std::fabs(mean)));
                EXPECT_NEAR(o.variance[(t * mo.m + i) * mo.m + j], cov,
                            scale * (1 + std::fabs(cov)))
                    << t << " " << i << " " << j;
            }
        }
        for (size_t i = 0; i < mo.p; i++) {
            oracle.given(oracle.eps[t][i], oracle.eps[t][i], &mean, &cov);
            EXPECT_NEAR(o.eps[t * mo.p + i], mean, scale * (1 + std::fabs(mean)));
            EXPECT_NEAR(o.eps_variance[t * mo.p + i], cov, scale * (1 + std::fabs(cov)));
        }
        for (size_t i = 0; i < mo.r; i++) {
            oracle.given(oracle.eta[t][i], oracle.eta[t][i], &mean, &cov);
            EXPECT_NEAR(o.eta[t * mo.r + i], mean, scale * (1 + std::fabs(mean)));
            EXPECT_NEAR(o.eta_variance[t * mo.r + i], cov, scale * (1 + std::fabs(cov)));
        }
    }
    return true;
}

TEST_P(AgainstTheJointDistribution, SmootherAndLikelihood)
{
    Random rnd(static_cast<uint64_t>(GetParam()));
    int compared = 0;
    for (int round = 0; round < 200 && !testing::Test::HasFailure(); round++)
        compared += compare(rnd, GetParam() % 2);
    EXPECT_GT(compared, 40);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AgainstTheJointDistribution, testing::Range(1, 7));

TEST(Ssm, FilteredAndPredictedAgainstTheJointDistribution)
{
    Random rnd(99);
    int compared = 0;
    for (int round = 0; round < 60; round++) {
        Model mo = random_model(rnd, 5, round % 2);
        std::vector<double> y = random_data(rnd, mo, 0.2);
        Memory mem;
        ssm s = mo.view();
        ssm_filtered f;
        ASSERT_TRUE(
            ssm_filter(&s, y.data(), SSM_KEEP_PREDICTED | SSM_KEEP_FILTERED, &mem.a, nullptr, &f));
        for (size_t t = f.diffuse_steps; t < mo.n; t++) {
            Oracle before(mo, y, t), after(mo, y, t + 1);
            if (!before.identified || !after.identified)
                continue;
            compared++;
            for (size_t i = 0; i < mo.m; i++) {
                double mean, cov;
                before.given(before.alpha[t][i], before.alpha[t][i], &mean, &cov);
                EXPECT_NEAR(f.a[t * mo.m + i], mean, 1e-6 * (1 + std::fabs(mean)));
                EXPECT_NEAR(f.p[(t * mo.m + i) * mo.m + i], cov, 1e-6 * (1 + std::fabs(cov)));
                after.given(after.alpha[t][i], after.alpha[t][i], &mean, &cov);
                EXPECT_NEAR(f.att[t * mo.m + i], mean, 1e-6 * (1 + std::fabs(mean)));
                EXPECT_NEAR(f.ptt[(t * mo.m + i) * mo.m + i], cov, 1e-6 * (1 + std::fabs(cov)));
            }
        }
    }
    EXPECT_GT(compared, 60);
}

TEST(SsmNile, DurbinAndKoopmansFigures)
{
    Memory mem;
    std::vector<double> y = nile();
    Model local = local_level(100, 15099, 1469.1);
    Smoothed r = smooth(local.view(), y, &mem.a);
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_FULL), -633.4645636489, 5e-11);
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_OMIT_DIFFUSE_CONSTANT), -632.5456251157, 5e-11);
    EXPECT_EQ(r.f.a[1], 1120);
    EXPECT_NEAR(r.f.p[1], 16568.1, 1e-10);
    EXPECT_NEAR(r.f.a[2], 1140.927839934822, 1e-11);
    EXPECT_NEAR(r.f.p[2], 9368.836379396913, 1e-10);
    EXPECT_NEAR(r.f.att[2], 1072.7985295274439, 1e-11);
    EXPECT_NEAR(r.f.ptt[2], 5781.46993870002, 1e-10);
    EXPECT_EQ(r.f.ptt[0], 15099);
    EXPECT_NEAR(r.f.att[99], 798.3702926083641, 1e-11);
    EXPECT_NEAR(r.f.p_end[0], 5501.257941808476, 1e-9);
    EXPECT_NEAR(r.o.alpha[0], 1111.6683191267957, 1e-10);
    EXPECT_NEAR(r.o.variance[0], 4032.1579418084766, 1e-9);
    EXPECT_NEAR(r.o.alpha[27], 999.585218705269, 1e-10);
    EXPECT_NEAR(r.o.variance[27], 2326.7569581027, 1e-9);
    /* The level's jump from 1898 to 1899, the outlier of 1913 (1871 is time 0). */
    EXPECT_NEAR(r.o.rv[27] / std::sqrt(r.o.nv[27]), -3.2337, 5e-5);
    EXPECT_NEAR(r.o.u[42] / std::sqrt(r.o.d[42]), -3.0390, 5e-5);
}

TEST(SsmNile, ConcentratedAndMissing)
{
    Memory mem;
    std::vector<double> y = nile();
    Model mo = local_level(100, 1, 1);
    ssm s = mo.view();
    ssm_filtered f;
    ASSERT_TRUE(ssm_filter(&s, y.data(), 0, &mem.a, nullptr, &f));
    double s2;
    EXPECT_NEAR(ssm_concentrated(&f, SSM_FULL, &s2), -637.0789578663, 5e-11);
    for (size_t t = 20; t < 40; t++)
        y[t] = y[t + 40] = kNan;
    mo = local_level(110, 15099, 1469.1);
    y.resize(110, kNan);
    s = mo.view();
    ASSERT_TRUE(ssm_filter(&s, y.data(), 0, &mem.a, nullptr, &f));
    EXPECT_NEAR(ssm_log_likelihood(&f, SSM_FULL), -381.5060013085, 5e-11);
}

TEST(SsmNile, ToySeries)
{
    Memory mem;
    std::vector<double> y(10, 1);
    y[0] = 10.2394;
    Model local = local_level(10, 1.993, 8.253);
    Smoothed r = smooth(local.view(), y, &mem.a);
    EXPECT_NEAR(ssm_log_likelihood(&r.f, SSM_FULL), -23.93526038, 5e-9);
}

TEST(Ssm, ShortcutChangesNothing)
{
    Random rnd(5);
    int taken = 0;
    for (int round = 0; round < 60; round++) {
        Model mo = trend(4000, 1, std::exp(2 * rnd.normal()), std::exp(2 * rnd.normal() - 3));
        std::vector<double> y(mo.n);
        double level = 0;
        for (double &x : y) {
            level += rnd.normal();
            x = round % 2 && rnd.uniform() < 0.001 ? kNan : level + rnd.normal();
        }
        Memory mem;
        Smoothed fast = smooth(mo.view(), y, &mem.a),
                 slow = smooth(mo.view(), y, &mem.a, SSM_NO_SHORTCUT);
        taken += fast.f.steady;
        EXPECT_FALSE(slow.f.steady);
        double ll = ssm_log_likelihood(&slow.f, SSM_FULL);
        EXPECT_NEAR(ssm_log_likelihood(&fast.f, SSM_FULL), ll, 1e-12 * std::fabs(ll));
        double scale = 0;
        for (double x : y)
            scale = std::max(scale, std::isnan(x) ? 0 : std::fabs(x));
        for (size_t i = 0; i < 2 * mo.n; i++) {
            EXPECT_NEAR(fast.f.att[i], slow.f.att[i], 1e-12 * scale);
            EXPECT_NEAR(fast.o.alpha[i], slow.o.alpha[i], 1e-11 * scale);
        }
        for (size_t i = 4 * slow.f.diffuse_steps; i < 4 * mo.n; i++)
            EXPECT_NEAR(fast.f.ptt[i], slow.f.ptt[i], 1e-12 * slow.f.p_end[0]);
    }
    EXPECT_GT(taken, 50);
}

/* Every 2 x 2 minor and, for the whole, x'Px for random x. */
void
expect_semidefinite(Random &rnd, const double *p, size_t m)
{
    double scale = 0;
    for (size_t i = 0; i < m; i++) {
        ASSERT_GE(p[i * m + i], 0);
        scale = std::max(scale, p[i * m + i]);
        for (size_t j = 0; j < m; j++)
            ASSERT_EQ(p[i * m + j], p[j * m + i]);
    }
    for (int round = 0; round < 5; round++) {
        std::vector<double> x(m);
        double square = 0, norm = 0;
        for (double &e : x)
            e = rnd.normal();
        for (size_t i = 0; i < m; i++) {
            norm += x[i] * x[i];
            for (size_t j = 0; j < m; j++)
                square += x[i] * p[i * m + j] * x[j];
        }
        ASSERT_GE(square, -1e-12 * scale * norm);
    }
}

TEST(Ssm, HardCasesStaySemidefinite)
{
    Random rnd(6);
    for (double h : {0., 1e-30, 1.}) {
        for (double scale : {1e-109, 1e-50, 1e-3, 1., 1e50}) {
            for (double slope : {0., 1e-20, 1.}) {
                Model mo = trend(300, h * scale * scale, slope * scale * scale * 1e-8,
                                 slope * scale * scale);
                std::vector<double> y(300);
                for (size_t t = 0; t < 300; t++)
                    y[t] = scale * (static_cast<double>(t % 7) + (h > 0 ? rnd.normal() : 0));
                Memory mem;
                Smoothed r = smooth(mo.view(), y, &mem.a);
                for (size_t t = 0; t < 300; t++) {
                    expect_semidefinite(rnd, r.f.p + 4 * t, 2);
                    expect_semidefinite(rnd, r.o.variance + 4 * t, 2);
                    for (size_t i = 0; i < 2; i++) {
                        ASSERT_TRUE(std::isfinite(r.f.att[2 * t + i]));
                        ASSERT_TRUE(std::isfinite(r.o.alpha[2 * t + i]));
                    }
                }
            }
        }
    }
}

TEST(Ssm, DiffusePartThatIsNeverSeen)
{
    /* The second state is not observed: its variance stays infinite, and says so. */
    Model mo = trend(5, 1, 1, 1);
    mo.t = {1, 0, 0, 1};
    Memory mem;
    Smoothed r = smooth(mo.view(), {1, 2, 3, 4, 5}, &mem.a);
    EXPECT_EQ(r.f.rank_left, 1u);
    EXPECT_EQ(r.f.diffuse_steps, 5u);
    for (size_t t = 0; t < 5; t++) {
        EXPECT_EQ(r.f.ptt[4 * t + 3], INFINITY);
        EXPECT_TRUE(std::isfinite(r.f.ptt[4 * t]));
    }
}

TEST(Ssm, SameBytesTwice)
{
    Random rnd(7);
    Model mo = random_model(rnd, 50, true);
    std::vector<double> y = random_data(rnd, mo, 0.1);
    Memory mem;
    Smoothed a = smooth(mo.view(), y, &mem.a), b = smooth(mo.view(), y, &mem.a);
    EXPECT_EQ(memcmp(a.o.alpha, b.o.alpha, mo.n * mo.m * sizeof(double)), 0);
    EXPECT_EQ(a.f.squares, b.f.squares);
}

TEST(Ssm, Stops)
{
    Model mo = trend(5000, 1, 1, 1);
    std::vector<double> y(5000, 1);
    Memory mem;
    int left = 3;
    ssm_stop stop = {[](void *arg) { return --*static_cast<int *>(arg) == 0; }, &left, nullptr};
    ssm s = mo.view();
    ssm_filtered f;
    EXPECT_FALSE(ssm_filter(&s, y.data(), 0, &mem.a, &stop, &f));
    EXPECT_EQ(left, 0);
}

} // namespace
