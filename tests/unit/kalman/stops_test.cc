/* Whatever takes long stops within a bounded number of steps: a caller who has gone holds no
 * thread. */
#include "runs.h"

extern "C" {
#include "kalman/analysis.h"
#include "kalman/fit.h"
}

namespace
{

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

/* `on_arena` asks at least every `bound` steps, and stops at the question that says so, or after a
 * few `more` of them. */
template <typename Work>
void
expect_stops(uint64_t bound, Work on_arena, uint64_t more = 0)
{
    auto work = [&](const ssm_stop *stop) {
        Memory mem;
        return on_arena(&mem.a, stop);
    };
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
    Model o = trend(n, 1, 1, 0.1);
    std::vector<double> y = noise(n);
    ssm s = o.view();
    Memory whole;
    Smoothed r = smooth(s, y, &whole.a);
    expect_stops(256, [&](arena *mem, const ssm_stop *stop) {
        ssm_filtered out;
        return ssm_filter(&s, y.data(), 0, mem, stop, &out);
    });
    expect_stops(256, [&](arena *mem, const ssm_stop *stop) {
        ssm_smoothed out;
        return ssm_smooth(&s, &r.f, 7, mem, stop, &out);
    });
    expect_stops(256, [&](arena *mem, const ssm_stop *stop) {
        ssm_smoothed out;
        return ssm_smooth_lag(&s, &r.f, 10, 1, mem, stop, &out);
    });
    expect_stops(256, [&](arena *mem, const ssm_stop *stop) {
        stats_random rnd;
        std::vector<double> states(2 * n);
        stats_seed(&rnd, 1);
        return analysis_draw_given(&s, y.data(), r.o.alpha, &rnd, mem, stop, states.data());
    });
    std::vector<const double *> many(20, y.data());
    expect_stops(8 * 256,
                 [&](arena *mem, const ssm_stop *stop) { /* eight series take each step together */
                                                         analysis_batch out;
                                                         return analysis_filter_batch(
                                                             &s, many.data(), many.size(), false,
                                                             false, SSM_FULL, mem, stop, &out);
                 });
}

TEST(Stops, SearchesToo)
{
    std::vector<double> y = noise(600);
    for (fit_method method : {FIT_LBFGS, FIT_EM}) {
        model_spec spec = structural(MODEL_LINEAR_TREND);
        expect_stops(
            256,
            [&](arena *mem, const ssm_stop *stop) {
                fit_options opt = {method, method == FIT_EM ? 20u : 0u, true};
                fit_result out;
                model *m = model_new(&spec, y.size(), mem);
                return fit_model(m, y.data(), &opt, mem, stop, &out) == FIT_OK;
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
