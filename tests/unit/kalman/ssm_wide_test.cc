/* Models of many states: against the textbook's recursion, and each shortcut against the long way.
 */
#include <cstring>

#include "runs.h"

extern "C" {
#include "kalman/ssm_run.h"
}

namespace
{

/* Durbin and Koopman (2012), 4.3, dense, for numbers that are uncorrelated; no diffuse part. */
struct Textbook {
    const Model &o;
    std::vector<long double> a, p;

    explicit Textbook(const Model &model) : o(model), a(model.m), p(model.m * model.m)
    {
        std::copy(o.a1.begin(), o.a1.end(), a.begin());
        std::copy(o.p1.begin(), o.p1.end(), p.begin());
    }

    void update(const double *z, long double h, long double y)
    {
        std::vector<long double> pz(o.m, 0);
        long double v = y, f = h;
        for (size_t i = 0; i < o.m; i++) {
            for (size_t j = 0; j < o.m; j++)
                pz[i] += p[i * o.m + j] * z[j];
            v -= z[i] * a[i];
            f += z[i] * pz[i];
        }
        for (size_t i = 0; i < o.m; i++) {
            a[i] += pz[i] * v / f;
            for (size_t j = 0; j < o.m; j++)
                p[i * o.m + j] -= pz[i] * pz[j] / f;
        }
    }

    void predict(const double *t, const double *rr, const double *q)
    {
        const size_t m = o.m, r = o.r;
        std::vector<long double> next(m, 0), tp(m * m, 0), rq(m * r, 0);
        for (size_t i = 0; i < m; i++) {
            for (size_t k = 0; k < m; k++) {
                next[i] += t[i * m + k] * a[k];
                for (size_t j = 0; j < m; j++)
                    tp[i * m + j] += t[i * m + k] * p[k * m + j];
            }
            for (size_t k = 0; k < r; k++) {
                for (size_t j = 0; j < r; j++)
                    rq[i * r + j] += rr[i * r + k] * static_cast<long double>(q[k * r + j]);
            }
        }
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < m; j++) {
                p[i * m + j] = 0;
                for (size_t k = 0; k < m; k++)
                    p[i * m + j] += tp[i * m + k] * t[j * m + k];
                for (size_t k = 0; k < r; k++)
                    p[i * m + j] += rq[i * r + k] * rr[j * r + k];
            }
        }
        a = next;
    }
};

/* m states of which some only move: a shift, constants, a permutation; others are sums. */
Model
random_wide(Random &rnd, size_t n)
{
    Model o;
    o.n = n;
    o.m = 5 + static_cast<size_t>(rnd.below(18));
    o.p = 1 + static_cast<size_t>(rnd.below(2));
    o.r = 1 + static_cast<size_t>(rnd.below(3));
    o.varying = rnd.below(4) == 0;
    for (size_t t = 0; t < (o.varying ? n : 1); t++) {
        std::vector<double> tt(o.m * o.m, 0);
        size_t shift = static_cast<size_t>(rnd.below(static_cast<int>(o.m)));
        for (size_t i = 0; i < o.m; i++) {
            if (rnd.below(4)) {
                tt[i * o.m + (i + shift) % o.m] = rnd.below(8) ? 1 : 0.5;
                continue;
            }
            for (size_t j = 0; j < o.m; j++)
                tt[i * o.m + j] = rnd.below(2) ? 0 : 0.4 * rnd.normal();
        }
        o.t.insert(o.t.end(), tt.begin(), tt.end());
    }
    auto fill = [&](std::vector<double> &x, size_t size, double zero) {
        for (size_t i = 0; i < size; i++)
            x.push_back(rnd.uniform() < zero ? 0 : rnd.normal());
    };
    fill(o.z, o.p * o.m, 0.7);
    fill(o.rr, o.m * o.r, 0.5);
    fill(o.a1, o.m, 0);
    o.h.assign(o.p, 0.5);
    o.q = random_variance(rnd, o.r);
    o.p1 = random_variance(rnd, o.m);
    o.p1_inf.assign(o.m, 0);
    return o;
}

std::vector<double>
random_values(Random &rnd, size_t count, double missing)
{
    std::vector<double> y(count);
    for (double &x : y)
        x = rnd.uniform() < missing ? NAN : 3 * rnd.normal();
    return y;
}

TEST(Wide, IsTheTextbooksRecursion)
{
    Random rnd(21);
    for (int round = 0; round < 300 && !testing::Test::HasFailure(); round++) {
        SCOPED_TRACE(round);
        Model o = random_wide(rnd, 25);
        std::vector<double> y = random_values(rnd, o.n * o.p, 0.2);
        Memory mem;
        ssm_filtered f =
            filter(o.view(), y, SSM_KEEP_PREDICTED | SSM_KEEP_FILTERED | SSM_NO_SHORTCUT, &mem.a);
        Textbook book(o);
        long double scale = 1;
        for (size_t t = 0; t < o.n; t++) {
            for (long double x : book.p)
                scale = std::max(scale, std::fabs(x));
            for (size_t i = 0; i < o.p; i++) {
                if (!std::isnan(y[t * o.p + i]))
                    book.update(o.z.data() + i * o.m, o.h[i], y[t * o.p + i]);
            }
            for (size_t i = 0; i < o.m; i++) {
                ASSERT_NEAR(f.att[t * o.m + i], book.a[i], 1e-11 * scale) << t;
                for (size_t j = 0; j < o.m; j++) {
                    const double *p = f.ptt + t * o.m * o.m;
                    ASSERT_NEAR(p[i * o.m + j], book.p[i * o.m + j], 1e-11 * scale) << t;
                    ASSERT_EQ(p[i * o.m + j], p[j * o.m + i]);
                }
            }
            book.predict(o.t.data() + (o.varying ? t * o.m * o.m : 0), o.rr.data(), o.q.data());
        }
    }
}

bool
same_bytes(const double *a, const double *b, size_t n)
{
    return memcmp(a, b, n * sizeof(double)) == 0;
}

void
expect_same_end(const Model &o, const ssm_filtered &a, const ssm_filtered &b)
{
    EXPECT_TRUE(same_bytes(a.a_end, b.a_end, o.m));
    EXPECT_TRUE(same_bytes(a.p_end, b.p_end, o.m * o.m));
    EXPECT_EQ(a.squares, b.squares);
    EXPECT_EQ(a.log_f, b.log_f);
    EXPECT_EQ(a.regular, b.regular);
    EXPECT_EQ(a.steady, b.steady);
}

/* A server without wide vectors goes on with what one with them has stored. */
TEST(Wide, BytesAreThoseOfNarrowMachines)
{
    Random rnd(22);
    for (int round = 0; round < 60; round++) {
        Model o = round % 3 ? random_wide(rnd, 60) : seasonal_trend(3000, 7, 1, 0.5, 0.1, 0.1);
        std::vector<double> y = random_values(rnd, o.n * o.p, round % 2 ? 0.1 : 0);
        Memory mem;
        Smoothed wide = smooth(o.view(), y, &mem.a);
        Smoothed narrow = smooth(o.view(), y, &mem.a, SSM_NO_WIDE_VECTORS);
        expect_same_end(o, wide.f, narrow.f);
        EXPECT_TRUE(same_bytes(wide.f.att, narrow.f.att, o.n * o.m));
        EXPECT_TRUE(same_bytes(wide.f.v, narrow.f.v, o.n * o.p));
    }
}

/* What is remembered on the way does not change the way: the loops for nothing kept are others. */
TEST(Wide, KeepingChangesNoByte)
{
    Random rnd(23);
    int steady = 0;
    for (size_t season : {0, 2, 4, 7, 12, 24}) {
        for (int round = 0; round < 4; round++) {
            Model o = season == 0   ? local_level(4000, 1, 0.3)
                      : season == 2 ? trend(4000, 1, 0.5, 0.1)
                                    : seasonal_trend(4000, season, 1, 0.5, 0.1, 1);
            if (round % 2)
                o.c = random_values(rnd, o.m, 0); /* an intercept in each state */
            if (round / 2)
                o.d = random_values(rnd, o.n, 0); /* and one of each time */
            std::vector<double> y = random_values(rnd, o.n, 0.0005);
            Memory mem;
            ssm_filtered bare = filter(o.view(), y, 0, &mem.a);
            ssm_filtered kept = filter(o.view(), y, SSM_KEEP_FILTERED, &mem.a);
            expect_same_end(o, bare, kept);
            EXPECT_TRUE(std::isfinite(bare.squares));
            steady += bare.steady;
        }
    }
    EXPECT_GT(steady, 12);
}

/* In pieces of any length, saved and loaded between any two of them. */
void
run_in_pieces(Random &rnd, const ssm &s, const std::vector<double> &y, Memory *mem,
              ssm_filtered *sums, std::vector<double> *state)
{
    ssm_run *run = ssm_run_new(&s, 0, &mem->a);
    state->resize(ssm_run_state_size(s.p, s.m) / sizeof(double) + 1);
    for (size_t t = 0; t < s.n;) {
        size_t piece = 1 + static_cast<size_t>(rnd.below(rnd.below(8) ? 3 : 700));
        size_t end = std::min(s.n, t + piece);
        ASSERT_TRUE(ssm_run_steps(run, y.data() + t * s.p, t, end, nullptr));
        t = end;
        if (rnd.below(2)) {
            size_t size = ssm_run_save(run, state->data());
            run = ssm_run_new(&s, 0, &mem->a);
            ASSERT_TRUE(ssm_run_load(run, state->data(), size));
        }
    }
    state->resize(ssm_run_save(run, state->data()) / sizeof(double));
    ssm_run_sums(run, sums);
}

TEST(Wide, PiecesChangeNoByte)
{
    Random rnd(25);
    int steady = 0;
    for (int round = 0; round < 60; round++) {
        const size_t seasons[] = {4, 7, 12, 24};
        Model o = round % 5 == 4 ? trend(2500, 1, 0.5, 0.1)
                                 : seasonal_trend(2500, seasons[round % 4], 1, 0.5, 0.1, 1);
        std::vector<double> y = random_values(rnd, o.n, round % 3 ? 0 : 0.001);
        ssm s = o.view();
        Memory mem;
        ssm_filtered pieces, whole;
        std::vector<double> in_pieces, at_once;
        run_in_pieces(rnd, s, y, &mem, &pieces, &in_pieces);
        ssm_run *run = ssm_run_new(&s, 0, &mem.a);
        ASSERT_TRUE(ssm_run_steps(run, y.data(), 0, s.n, nullptr));
        at_once.resize(ssm_run_state_size(s.p, s.m) / sizeof(double) + 1);
        at_once.resize(ssm_run_save(run, at_once.data()) / sizeof(double));
        ssm_run_sums(run, &whole);
        ASSERT_EQ(in_pieces.size(), at_once.size());
        EXPECT_TRUE(same_bytes(in_pieces.data(), at_once.data(), at_once.size())) << round;
        EXPECT_EQ(ssm_log_likelihood(&pieces, SSM_FULL), ssm_log_likelihood(&whole, SSM_FULL));
        steady += whole.steady;
    }
    EXPECT_GT(steady, 30);
}

TEST(Wide, ShortcutChangesNothing)
{
    Random rnd(24);
    int taken = 0;
    for (int round = 0; round < 40; round++) {
        auto variance = [&] { return std::exp(2 * rnd.normal() - 2); };
        const size_t seasons[] = {4, 7, 12, 24};
        Model o = seasonal_trend(6000, seasons[round % 4], 1, variance(), variance(), variance());
        std::vector<double> y = random_values(rnd, o.n, round % 2 ? 0.0005 : 0);
        Memory mem;
        unsigned keep = SSM_KEEP_FILTERED | SSM_KEEP_INNOVATIONS;
        ssm_filtered fast = filter(o.view(), y, keep, &mem.a);
        ssm_filtered slow = filter(o.view(), y, keep | SSM_NO_SHORTCUT, &mem.a);
        taken += fast.steady;
        double ll = ssm_log_likelihood(&slow, SSM_FULL);
        EXPECT_NEAR(ssm_log_likelihood(&fast, SSM_FULL), ll, 1e-12 * std::fabs(ll));
        double scale = 0;
        for (size_t i = 0; i < o.n * o.m; i++)
            scale = std::max(scale, std::fabs(slow.att[i]));
        for (size_t i = 0; i < o.n * o.m; i++)
            ASSERT_NEAR(fast.att[i], slow.att[i], 1e-12 * scale) << i;
        for (size_t t = fast.diffuse_steps; t < o.n; t++)
            ASSERT_NEAR(fast.f[t], slow.f[t], 1e-12 * slow.f[t]) << t;
    }
    EXPECT_GT(taken, 20);
}

} // namespace
