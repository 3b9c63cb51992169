/* Whatever takes long stops within a bounded number of steps: a caller who has gone holds no
 * thread. */
#include <gtest/gtest.h>

#include "ssm_oracle.h"

extern "C" {
#include "kalman/analysis.h"
#include "kalman/fit.h"
#include "kalman/model.h"
}

namespace
{

struct Memory {
    arena a;
    Memory()
    {
        arena_init(&a, 0);
    }
    ~Memory()
    {
        arena_fini(&a);
    }
};

std::vector<double>
noise(size_t n)
{
    Random rnd(11);
    std::vector<double> y(n);
    for (double &x : y)
        x = rnd.normal();
    return y;
}

/* Says stop at question `at`, and remembers how many steps were begun by then. */
struct Stopper {
    ssm_progress progress = {};
    uint64_t asked = 0, at, steps = 0, largest = 0;
    explicit Stopper(uint64_t n) : at(n)
    {
    }
    ssm_stop stop()
    {
        return {ask, this, &progress};
    }
    static bool ask(void *arg)
    {
        auto *s = static_cast<Stopper *>(arg);
        uint64_t now = __atomic_load_n(&s->progress.steps, __ATOMIC_RELAXED);
        s->largest = std::max(s->largest, now - s->steps);
        if (s->asked < s->at)
            s->steps = now;
        return ++s->asked >= s->at;
    }
};

/* `work` asks at least every `bound` steps, and stops at the question that says so, or after a few
 * `more` of them. */
template <typename Work>
void
expect_stops(uint64_t bound, Work work, uint64_t more = 0)
{
    Stopper never(UINT64_MAX);
    ssm_stop stop = never.stop();
    ASSERT_TRUE(work(&stop));
    EXPECT_LE(never.largest, bound);
    ASSERT_GT(never.asked, 3u);
    for (uint64_t at : {uint64_t(1), uint64_t(2), never.asked / 2, never.asked}) {
        Stopper s(at);
        stop = s.stop();
        EXPECT_FALSE(work(&stop));
        EXPECT_LE(s.asked, at + more); /* and each of these stops what asked, too */
    }
}

TEST(Stops, WithinABoundedNumberOfSteps)
{
    const size_t n = 3000;
    Model o = {};
    o.n = n;
    o.p = 1;
    o.m = o.r = 2;
    o.z = {1, 0};
    o.t = {1, 1, 0, 1};
    o.rr = {1, 0, 0, 1};
    o.h = {1};
    o.q = {1, 0, 0, 0.1};
    o.a1 = {0, 0};
    o.p1 = {0, 0, 0, 0};
    o.p1_inf = {1, 1};
    std::vector<double> y = noise(n);
    ssm s = o.view();
    Memory whole;
    ssm_filtered f;
    ssm_smoothed r;
    ASSERT_TRUE(ssm_filter(&s, y.data(), SSM_KEEP_FOR_SMOOTHER, &whole.a, nullptr, &f));
    ASSERT_TRUE(ssm_smooth(&s, &f, 1, &whole.a, nullptr, &r));
    expect_stops(256, [&](ssm_stop *stop) {
        Memory mem;
        ssm_filtered out;
        return ssm_filter(&s, y.data(), 0, &mem.a, stop, &out);
    });
    expect_stops(256, [&](ssm_stop *stop) {
        Memory mem;
        ssm_smoothed out;
        return ssm_smooth(&s, &f, 7, &mem.a, stop, &out);
    });
    expect_stops(256, [&](ssm_stop *stop) {
        Memory mem;
        ssm_smoothed out;
        return ssm_smooth_lag(&s, &f, 10, 1, &mem.a, stop, &out);
    });
    expect_stops(256, [&](ssm_stop *stop) {
        Memory mem;
        stats_random rnd;
        std::vector<double> states(2 * n);
        stats_seed(&rnd, 1);
        return analysis_draw_given(&s, y.data(), r.alpha, &rnd, &mem.a, stop, states.data());
    });
    std::vector<const double *> many(20, y.data());
    expect_stops(8 * 256, [&](ssm_stop *stop) { /* eight series take each step together */
                                                Memory mem;
                                                analysis_batch out;
                                                return analysis_filter_batch(
                                                    &s, many.data(), many.size(), false, false,
                                                    SSM_FULL, &mem.a, stop, &out);
    });
}

TEST(Stops, SearchesToo)
{
    std::vector<double> y = noise(600);
    for (fit_method method : {FIT_LBFGS, FIT_EM}) {
        model_spec spec = {};
        spec.kind = MODEL_STRUCTURAL;
        spec.structural.trend = MODEL_LINEAR_TREND;
        expect_stops(
            256,
            [&](ssm_stop *stop) {
                Memory mem;
                fit_options opt = {method, method == FIT_EM ? 20u : 0u, true};
                fit_result out;
                model *m = model_new(&spec, y.size(), &mem.a);
                return fit_model(m, y.data(), &opt, &mem.a, stop, &out) == FIT_OK;
            },
            8);
    }
}

TEST(Stops, LargeModelsAskMoreOften)
{
    /* A step of 128 dense states is of the order of 128^3. */
    EXPECT_EQ(ssm_stop_period(1), 256u);
    EXPECT_EQ(ssm_stop_period(13), 256u);
    EXPECT_LE(ssm_stop_period(128), 4u);
    EXPECT_GE(ssm_stop_period(1000), 1u);
}

} // namespace
