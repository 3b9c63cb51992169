/*
 * Models against statsmodels 0.15.0 (numpy 2.4), for instance:
 *   U = sm.tsa.UnobservedComponents; m = U(nile, level='lltrend', use_exact_diffuse=True)
 *   r = m.smooth([15000, 1000, 50]); r.llf, r.filtered_state[:, -1], r.smoothed_state[:, 0],
 *   np.diag(r.smoothed_state_cov[:, :, 0])
 * and fits against m.fit() repeated to convergence.
 */
#include <functional>
#include <map>

#include "runs.h"

extern "C" {
#include "kalman/fit.h"
}

namespace
{

struct Answer {
    arena a;
    model *m = nullptr;
    ssm_filtered f;
    ssm_smoothed o;

    Answer(const model_spec &spec, const std::vector<double> &y)
    {
        arena_init(&a, 0);
        size_t n = y.size() / model_series(&spec);
        m = model_new(&spec, n, &a);
        EXPECT_EQ(m->s.m, model_states(&spec, n));
        model_apply(m);
        EXPECT_TRUE(ssm_filter(&m->s, y.data(), SSM_KEEP_FOR_SMOOTHER | SSM_KEEP_FILTERED, &a,
                               nullptr, &f));
        EXPECT_TRUE(ssm_smooth(&m->s, &f, 7, &a, nullptr, &o));
    }
    ~Answer()
    {
        arena_fini(&a);
    }
    Answer(const Answer &) = delete;
    double full() const
    {
        return ssm_log_likelihood(&f, SSM_FULL);
    }
    double last(size_t i) const
    {
        return f.att[(m->s.n - 1) * m->s.m + i];
    }
    double first(size_t i) const
    {
        return o.alpha[i];
    }
    double first_variance(size_t i) const
    {
        return o.variance[i * m->s.m + i];
    }
};

TEST(Structural, LocalLinearTrend)
{
    model_spec s = structural(MODEL_LINEAR_TREND);
    s.structural.observation_variance = given(15000);
    s.structural.level_variance = given(1000);
    s.structural.slope_variance = given(50);
    Answer r(s, nile());
    EXPECT_NEAR(r.full(), -635.2842215142881, 1e-9);
    EXPECT_NEAR(r.last(0), 763.1946282737108, 1e-8);
    EXPECT_NEAR(r.last(1), -17.82298454735409, 1e-8);
    EXPECT_NEAR(r.first(0), 1121.964216114059, 1e-8);
    EXPECT_NEAR(r.first(1), -3.288387527312821, 1e-8);
    EXPECT_NEAR(r.first_variance(0), 5209.234443404008, 1e-6);
    EXPECT_NEAR(r.first_variance(1), 322.26360602879504, 1e-6);
}

TEST(Structural, SmoothTrendAndDrift)
{
    model_spec s = structural(MODEL_SMOOTH_TREND);
    s.structural.observation_variance = given(15000);
    s.structural.slope_variance = given(50);
    Answer r(s, nile());
    EXPECT_NEAR(r.full(), -636.662714713181, 1e-9);
    EXPECT_NEAR(r.last(1), -21.112197170996783, 1e-8);
    EXPECT_NEAR(r.first_variance(0), 4330.07267895955, 1e-6);
    model_spec d = structural(MODEL_DRIFT);
    d.structural.observation_variance = given(0);
    d.structural.level_variance = given(1000);
    Answer w(d, nile());
    EXPECT_NEAR(w.full(), -1817.8201289863664, 1e-9);
    EXPECT_NEAR(w.last(1), -3.838383838383847, 1e-10);
    EXPECT_NEAR(w.first_variance(1), 10.101010101010047, 1e-9);
}

TEST(Structural, DummySeasonal)
{
    model_spec s = structural(MODEL_LINEAR_TREND);
    model_seasonal season = {12, false, 0, given(1e-5)};
    s.structural.observation_variance = given(3e-4);
    s.structural.level_variance = given(5e-4);
    s.structural.slope_variance = given(1e-6);
    s.structural.seasonals = &season;
    s.structural.seasonal_count = 1;
    Answer r(s, log_passengers());
    EXPECT_NEAR(r.full(), 212.2282644833713, 1e-9);
    EXPECT_NEAR(r.last(0), 6.183321156721874, 1e-10);
    EXPECT_NEAR(r.last(1), 0.007668390318679626, 1e-10);
    EXPECT_NEAR(r.last(2), -0.1087952042171091, 1e-10);
    EXPECT_NEAR(r.first(0), 4.832174068349242, 1e-10);
    EXPECT_NEAR(r.first(3), -0.09574265474850656, 1e-10);
    EXPECT_NEAR(r.first_variance(0), 0.00028135006663731425, 1e-12);
    EXPECT_NEAR(r.first_variance(12), 0.00013001356383458905, 1e-12);
}

TEST(Structural, TrigonometricSeasonal)
{
    model_spec s = structural(MODEL_LOCAL_LEVEL);
    model_seasonal season = {12, true, 6, given(1e-5)};
    s.structural.observation_variance = given(3e-4);
    s.structural.level_variance = given(5e-4);
    s.structural.seasonals = &season;
    s.structural.seasonal_count = 1;
    {
        /* statsmodels keeps a twelfth state that is not observed: its diffuse start adds a
         * constant. */
        Answer r(s, log_passengers());
        EXPECT_NEAR(r.last(0), 6.180854774482961, 1e-9);
        EXPECT_NEAR(r.last(1), -0.15750401946371823, 1e-9);
        EXPECT_NEAR(r.first(0), 4.824010643785554, 1e-9);
        EXPECT_NEAR(r.first_variance(0), 0.0005901273505248386, 1e-11);
        EXPECT_EQ(r.m->s.m, 12u);
    }
    season.harmonics = 2;
    Answer r(s, log_passengers());
    EXPECT_NEAR(r.full(), 69.06904547322998, 1e-9);
    EXPECT_NEAR(r.last(1), -0.15640673347139306, 1e-9);
    EXPECT_NEAR(r.first_variance(4), 0.00013333799972254916, 1e-11);
}

TEST(Structural, CycleAndAutoregression)
{
    model_spec s = structural(MODEL_LOCAL_LEVEL);
    s.structural.observation_variance = given(12000);
    s.structural.level_variance = given(1000);
    s.structural.cycle = true;
    s.structural.cycle_period = given(9);
    s.structural.cycle_damping = given(0.8);
    s.structural.cycle_variance = given(3000);
    s.structural.cycle_min_period = 2;
    s.structural.cycle_max_period = 100;
    Answer r(s, nile());
    /* With Initialization: 'diffuse' for the level, 'stationary' for the cycle (statsmodels' own
     * default makes the cycle diffuse as well). */
    EXPECT_NEAR(r.last(1), -52.97313667100858, 1e-8);
    EXPECT_NEAR(r.last(2), 46.601866415999766, 1e-8);
    EXPECT_NEAR(r.first(0), 1109.1890829007834, 1e-8);
    EXPECT_NEAR(r.first(1), 5.855912832168946, 1e-8);
    EXPECT_NEAR(r.first_variance(1), 4951.25244101, 1e-6); /* a variance of this order */

    model_spec a = structural(MODEL_LOCAL_LEVEL);
    const double ar[] = {0.5, -0.3};
    a.structural.observation_variance = given(12000);
    a.structural.level_variance = given(1000);
    a.structural.ar_order = 2;
    a.structural.ar = ar;
    a.structural.ar_variance = given(3000);
    Answer w(a, nile());
    EXPECT_NEAR(w.full(), -632.547948596618, 1e-9);
    EXPECT_NEAR(w.last(1), -23.722877904837908, 1e-8);
    EXPECT_NEAR(w.first_variance(1), 3080.124290763755, 1e-6);
}

TEST(Structural, Regression)
{
    std::vector<double> dam(100, 0);
    for (size_t t = 28; t < 100; t++)
        dam[t] = 1;
    model_spec s = structural(MODEL_LOCAL_LEVEL);
    model_regressor x = {dam.data(), given(0)};
    s.structural.observation_variance = given(15000);
    s.structural.level_variance = given(100);
    s.structural.regressors = &x;
    s.structural.regressor_count = 1;
    Answer r(s, nile());
    EXPECT_NEAR(r.full(), -620.743619756735, 1e-9);
    EXPECT_NEAR(r.last(1), -274.58169464655276, 1e-8);
    EXPECT_NEAR(r.first(1), r.last(1), 1e-8);
    EXPECT_NEAR(r.first_variance(1), 2477.179207234971, 1e-6);
    /* Units of a regressor change nothing but its coefficient. */
    for (double &v : dam)
        v *= 1e-7;
    Answer w(s, nile());
    EXPECT_NEAR(w.last(1) * 1e-7, -274.58169464655276, 1e-6);
    EXPECT_NEAR(w.last(0), r.last(0), 1e-7);
}

model_spec
airline()
{
    model_spec s = {};
    s.kind = MODEL_ARIMA;
    s.arima.d = s.arima.q = s.arima.sd = s.arima.sq = 1;
    s.arima.s = 12;
    return s;
}

TEST(Arima, Airline)
{
    model_spec s = airline();
    const double ma[] = {-0.4}, sma[] = {-0.55};
    s.arima.ma = ma;
    s.arima.sma = sma;
    s.arima.variance = given(0.00135);
    Answer r(s, log_passengers());
    EXPECT_EQ(r.m->s.m, 27u);
    EXPECT_NEAR(r.full(), 232.74534711471122, 1e-8);
    EXPECT_EQ(r.f.diffuse, 13u);
    EXPECT_EQ(r.f.diffuse_steps, 13u);
}

TEST(Arima, MixedAndIntegrated)
{
    model_spec s = {};
    s.kind = MODEL_ARIMA;
    const double ar[] = {0.5, 0.3}, ma[] = {-0.2};
    s.arima.p = 2;
    s.arima.q = 1;
    s.arima.ar = ar;
    s.arima.ma = ma;
    s.arima.variance = given(20000);
    Answer r(s, nile());
    EXPECT_NEAR(r.full(), -785.4762336136977, 1e-9);
    EXPECT_NEAR(r.last(0), 740, 1e-9);
    EXPECT_NEAR(r.last(1), 176.80424442325565, 1e-8);

    model_spec i = {};
    i.kind = MODEL_ARIMA;
    const double ar1[] = {0.25}, ma1[] = {-0.87};
    i.arima.p = i.arima.d = i.arima.q = 1;
    i.arima.ar = ar1;
    i.arima.ma = ma1;
    i.arima.variance = given(20000);
    Answer w(i, nile());
    EXPECT_NEAR(w.full(), -631.551763271894, 1e-9);
}

TEST(Arima, InterceptIsTheMean)
{
    /* White noise with a diffuse constant: the mean of the data. */
    model_spec s = {};
    s.kind = MODEL_ARIMA;
    s.arima.intercept = true;
    s.arima.variance = given(1);
    std::vector<double> y = nile();
    double mean = 0;
    for (double x : y)
        mean += x / 100;
    Answer r(s, y);
    EXPECT_NEAR(r.last(1), mean, 1e-9);
    EXPECT_NEAR(r.first_variance(1), 0.01, 1e-12);
}

TEST(Motion, ConstantVelocityOverIrregularTimesIsALinearTrendOverRegularOnes)
{
    /* Two half steps make a whole one: Q(dt) adds up, T(dt) multiplies. */
    const double times[] = {0, 0.5, 1, 1.25, 2, 3}, whole[] = {0, 1, 2, 3};
    const std::vector<double> y = {1, NAN, 2.5, NAN, 3, 5}, z = {1, 2.5, 3, 5};
    for (model_motion_kind kind : {MODEL_VELOCITY, MODEL_ACCELERATION, MODEL_ORNSTEIN_UHLENBECK}) {
        model_spec s = {};
        s.kind = MODEL_MOTION;
        s.motion.kind = kind;
        s.motion.axes = 1;
        s.motion.observation_variance = given(0.3);
        s.motion.intensity = given(0.7);
        s.motion.rate = given(0.4);
        s.times = times;
        Answer fine(s, y);
        s.times = whole;
        Answer coarse(s, z);
        s.times = nullptr;
        Answer regular(s, z);
        EXPECT_NEAR(fine.full(), coarse.full(), 1e-11) << kind;
        EXPECT_NEAR(regular.full(), coarse.full(), 1e-11) << kind;
        for (size_t i = 0; i < fine.m->s.m; i++) {
            EXPECT_NEAR(fine.last(i), coarse.last(i), 1e-10);
            EXPECT_NEAR(fine.first(i), coarse.first(i), 1e-10);
            EXPECT_NEAR(fine.first_variance(i), coarse.first_variance(i), 1e-10);
        }
    }
}

TEST(Motion, AxesAreIndependent)
{
    std::vector<double> x = nile(), both;
    for (double v : x) {
        both.push_back(v);
        both.push_back(-2 * v);
    }
    model_spec s = {};
    s.kind = MODEL_MOTION;
    s.motion.kind = MODEL_VELOCITY;
    s.motion.axes = 1;
    s.motion.observation_variance = given(15000);
    s.motion.intensity = given(50);
    Answer one(s, x);
    s.motion.axes = 2;
    Answer two(s, both);
    EXPECT_NEAR(two.last(0), one.last(0), 1e-8);
    EXPECT_NEAR(two.last(2), -2 * one.last(0), 1e-8);
}

TEST(Free, CorrelatedNoise)
{
    /* Two readings of one level with correlated noise: the best mix has the variance of the pair.
     */
    const double z[] = {1, 1}, h[] = {2, 1, 1, 3}, t[] = {1}, q[] = {0};
    model_spec s = {};
    s.kind = MODEL_FREE;
    s.free.p = 2;
    s.free.m = s.free.r = 1;
    s.free.z = z;
    s.free.h = h;
    s.free.t = t;
    s.free.q = q;
    Answer r(s, {10, 13, NAN, 12, 9, NAN});
    EXPECT_EQ(r.m->noise_states, 2u);
    /* Generalised least squares by hand: pair weights (2/3, 1/3), variance 5/3; then 12 +- 3; 9
     * +- 2. */
    double w1 = 3. / 5, w2 = 1. / 3, w3 = 1. / 2;
    double mean = (w1 * (10 * 2. / 3 + 13 / 3.) + w2 * 12 + w3 * 9) / (w1 + w2 + w3);
    EXPECT_NEAR(r.last(0), mean, 1e-12);
    EXPECT_NEAR(r.first_variance(0), 1 / (w1 + w2 + w3), 1e-12);
}

TEST(Free, MatricesOfEachStep)
{
    /* The level is seen through a gain that changes: what counts is step t's, not the first. */
    const double z[] = {1, 2, 4, 8}, h[] = {1}, t[] = {1}, q[] = {0};
    model_spec s = {};
    s.kind = MODEL_FREE;
    s.free.p = s.free.m = s.free.r = 1;
    s.free.z = z;
    s.free.z_varies = true;
    s.free.h = h;
    s.free.t = t;
    s.free.q = q;
    Answer r(s, {3, 6, 12, 24});
    EXPECT_NEAR(r.last(0), 3, 1e-13);
    EXPECT_NEAR(r.first_variance(0), 1. / 85, 1e-15);
}

TEST(Model, PartialAutocorrelations)
{
    const double partial[] = {0.5, -0.3, 0.9, 0.1};
    double a[4], back[4];
    model_from_partial(partial, 4, a);
    ASSERT_TRUE(model_to_partial(a, 4, back));
    for (int i = 0; i < 4; i++)
        EXPECT_NEAR(back[i], partial[i], 1e-14);
    model_from_partial(partial, 2, a);
    EXPECT_NEAR(a[0], 0.5 * 1.3, 1e-15);
    EXPECT_NEAR(a[1], -0.3, 1e-15);
    const double unit[] = {1.}, explosive[] = {0.5, 0.6};
    EXPECT_FALSE(model_to_partial(unit, 1, back));
    EXPECT_FALSE(model_to_partial(explosive, 2, back));
}

/* ---- fits ---------------------------------------------------------------------------------------
 */

struct Fitted {
    arena a;
    model *m;
    fit_result r;
    fit_status st;

    Fitted(const model_spec &spec, const std::vector<double> &y, fit_method method = FIT_LBFGS,
           bool errors = true)
    {
        arena_init(&a, 0);
        fit_options opt = {method, 0, errors};
        m = model_new(&spec, y.size() / model_series(&spec), &a);
        st = fit_model(m, y.data(), &opt, &a, nullptr, &r);
        EXPECT_EQ(st, FIT_OK);
    }
    ~Fitted()
    {
        arena_fini(&a);
    }
    Fitted(const Fitted &) = delete;
    double operator[](const std::string &name) const
    {
        return m->parameters[index(name)].value;
    }
    double error(const std::string &name) const
    {
        return r.standard_error[index(name)];
    }
    size_t index(const std::string &name) const
    {
        for (size_t i = 0; i < m->parameter_count; i++) {
            if (name == m->parameters[i].name)
                return i;
        }
        ADD_FAILURE() << name;
        return 0;
    }
};

TEST(Fit, LocalLevel)
{
    Fitted f(structural(MODEL_LOCAL_LEVEL), nile());
    EXPECT_EQ(f.r.end, FIT_CONVERGED);
    EXPECT_NEAR(f["observation_variance"], 15098.51832409628, 1e-7);
    EXPECT_NEAR(f["level_variance"], 1469.176360309515, 1e-7);
    EXPECT_NEAR(f.r.log_likelihood, -633.4645636362457, 1e-10);
    /* Minus the inverse second derivatives, in 40 digits (mpmath, central differences).
     */
    EXPECT_NEAR(f.error("observation_variance"), 3145.547863192947, 0.01);
    EXPECT_NEAR(f.error("level_variance"), 1280.375412804688, 0.01);
}

TEST(Fit, LinearTrendFindsTheZero)
{
    Fitted f(structural(MODEL_LINEAR_TREND), nile());
    EXPECT_EQ(f.r.end, FIT_CONVERGED);
    EXPECT_NEAR(f.r.log_likelihood, -631.7106891224774, 1e-6);
    EXPECT_GE(f.r.log_likelihood, -631.7106891224774 - 1e-7);
    EXPECT_EQ(f["slope_variance"], 0);
    EXPECT_TRUE(std::isnan(f.error("slope_variance")));
    EXPECT_NEAR(f["observation_variance"], 14678.015, 15);
    EXPECT_NEAR(f["level_variance"], 1752.771, 5);
}

TEST(Fit, BasicStructuralModel)
{
    model_spec s = structural(MODEL_LINEAR_TREND);
    model_seasonal season = {12, false, 0, {}};
    s.structural.seasonals = &season;
    s.structural.seasonal_count = 1;
    Fitted f(s, log_passengers());
    EXPECT_EQ(f.r.end, FIT_CONVERGED);
    EXPECT_NEAR(f.r.log_likelihood, 217.4204019061503, 1e-6);
    EXPECT_NEAR(f["level_variance"], 0.0006994493288792625, 1e-7);
    EXPECT_NEAR(f["seasonals[0].variance"], 6.412915665037778e-05, 1e-8);
    EXPECT_EQ(f["slope_variance"], 0);
}

TEST(Fit, Airline)
{
    Fitted f(airline(), log_passengers());
    EXPECT_EQ(f.r.end, FIT_CONVERGED);
    EXPECT_NEAR(f["arima.ma[0]"], -0.4018, 5e-5);
    EXPECT_NEAR(f["arima.seasonal_ma[0]"], -0.5569, 5e-5);
    /* Box and Jenkins' likelihood of the differenced series: without the 13 diffuse constants. */
    EXPECT_NEAR(f.r.log_likelihood + 6.5 * std::log(2 * M_PI), 244.6965, 5e-5);
    EXPECT_NEAR(f.error("arima.ma[0]"), 0.0896, 2e-3);
    EXPECT_NEAR(f.error("arima.seasonal_ma[0]"), 0.0731, 2e-3);
}

TEST(Fit, IntegratedMovingAverage)
{
    model_spec s = {};
    s.kind = MODEL_ARIMA;
    s.arima.p = s.arima.d = s.arima.q = 1;
    Fitted f(s, nile());
    EXPECT_EQ(f.r.end, FIT_CONVERGED);
    EXPECT_NEAR(f.r.log_likelihood, -631.5463214858773, 1e-6);
    EXPECT_NEAR(f["arima.ar[0]"], 0.2543762489634703, 1e-3);
    EXPECT_NEAR(f["arima.ma[0]"], -0.8741368037475075, 1e-3);
}

TEST(Fit, GivenNumbersStay)
{
    model_spec s = structural(MODEL_LINEAR_TREND);
    s.structural.level_variance = given(1000);
    Fitted f(s, nile());
    EXPECT_EQ(f["level_variance"], 1000);
    EXPECT_TRUE(std::isnan(f.error("level_variance")));
    EXPECT_GT(f["observation_variance"], 10000);
}

TEST(Fit, EmReachesTheSameMaximum)
{
    model_spec s = structural(MODEL_SMOOTH_TREND);
    Fitted fast(s, nile()), em(s, nile(), FIT_EM);
    EXPECT_NEAR(em.r.log_likelihood, fast.r.log_likelihood, 1e-4);
    EXPECT_LE(em.r.log_likelihood, fast.r.log_likelihood + 1e-7);
    EXPECT_NEAR(em["observation_variance"] / fast["observation_variance"], 1, 0.01);
}

TEST(Fit, ScoreIsTheSlopeOfTheLikelihood)
{
    /* EM's fixed point and the score agree with central differences of the likelihood. */
    model_spec s = structural(MODEL_LINEAR_TREND);
    s.structural.observation_variance = given(9000);
    s.structural.level_variance = given(700);
    s.structural.slope_variance = given(20);
    std::vector<double> y = nile();
    Answer r(s, y);
    double score[3] = {0, 0, 0};
    for (size_t t = 0; t < 100; t++) {
        score[0] += 0.5 * (r.o.u[t] * r.o.u[t] - r.o.d[t]);
        for (size_t i = 0; i < 2; i++)
            score[i + 1] += 0.5 * (r.o.rv[2 * t + i] * r.o.rv[2 * t + i] - r.o.nv[2 * t + i]);
    }
    model_value *v[] = {&s.structural.observation_variance, &s.structural.level_variance,
                        &s.structural.slope_variance};
    for (int i = 0; i < 3; i++) {
        double was = v[i]->value, step = 1e-4 * was;
        v[i]->value = was + step;
        double up = Answer(s, y).full();
        v[i]->value = was - step;
        double down = Answer(s, y).full();
        v[i]->value = was;
        EXPECT_NEAR(score[i], (up - down) / (2 * step), 1e-6 * std::fabs(score[i]));
    }
}

TEST(Fit, ScaleDoesNotMatter)
{
    model_spec s = structural(MODEL_LINEAR_TREND);
    Fitted base(s, nile());
    for (double scale : {1e-40, 1e-6, 1e6, 1e40}) {
        std::vector<double> y = nile();
        for (double &x : y)
            x *= scale;
        Fitted f(s, y);
        EXPECT_EQ(f.r.end, FIT_CONVERGED);
        EXPECT_NEAR(f["observation_variance"] / (scale * scale), base["observation_variance"], 5);
    }
}

TEST(Fit, WithoutVariationThereIsNothingToFind)
{
    arena a;
    arena_init(&a, 0);
    model_spec s = structural(MODEL_LINEAR_TREND);
    std::vector<double> y(20, 3);
    fit_options opt = {};
    fit_result r;
    model *m = model_new(&s, y.size(), &a);
    EXPECT_EQ(fit_model(m, y.data(), &opt, &a, nullptr, &r), FIT_NO_LIKELIHOOD);
    arena_fini(&a);
}

} // namespace
