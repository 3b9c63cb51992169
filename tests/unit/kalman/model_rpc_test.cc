/* The handlers that take a model, on a reactor with a compute pool. */
#include <cstring>
#include <gtest/gtest.h>

#include "on_fiber.h"
#include "series.h"

extern "C" {
#include "luna/v1/kalman.pb-c.h"
}

namespace
{

typedef Google__Protobuf__DoubleValue Number;

/* The local level model of the Nile, its numbers given unless taken away. */
struct Level {
    Luna__V1__Model model;
    Luna__V1__StructuralModel structural;
    Number h, q;

    Level()
    {
        luna__v1__model__init(&model);
        luna__v1__structural_model__init(&structural);
        google__protobuf__double_value__init(&h);
        google__protobuf__double_value__init(&q);
        model.kind_case = LUNA__V1__MODEL__KIND_STRUCTURAL;
        model.structural = &structural;
        h.value = 15099;
        q.value = 1469.1;
        structural.observation_variance = &h;
        structural.level_variance = &q;
    }
    Level(const Level &) = delete;
    void forget()
    {
        structural.observation_variance = structural.level_variance = nullptr;
    }
};

template <typename Request, typename Response> struct Ask {
    Request req;
    Response resp;
    error err = {};
    std::vector<double> y = nile();
    Level level;
    const char *method;

    Ask(const char *m, void (*init_req)(Request *), void (*init_resp)(Response *)) : method(m)
    {
        init_req(&req);
        init_resp(&resp);
        req.results = y.data();
        req.n_results = y.size();
        req.model = &level.model;
    }
    enum status run(struct ctx *ctx)
    {
        enum status st = probe_unary(ctx, method, &req.base, &resp.base, &err);
        if (st == OK) {
            std::vector<uint8_t> bytes(protobuf_c_message_get_packed_size(&resp.base));
            EXPECT_EQ(protobuf_c_message_pack(&resp.base, bytes.data()), bytes.size());
        }
        return st;
    }
    void expect_field(struct ctx *ctx, const char *field)
    {
        EXPECT_EQ(run(ctx), INVALID_ARGUMENT);
        ASSERT_NE(err.fields, nullptr) << (err.message ? err.message : "");
        EXPECT_STREQ(err.fields->field, field);
    }
};

#define ASK(Name, name)                                                                          \
    struct Name : Ask<Luna__V1__##Name##Request, Luna__V1__##Name##Response> {                   \
        Name() : Ask(#Name, luna__v1__##name##_request__init, luna__v1__##name##_response__init) \
        {                                                                                        \
        }                                                                                        \
    }
ASK(Filter, filter);
ASK(Smooth, smooth);
ASK(Forecast, forecast);
ASK(Simulate, simulate);
ASK(Fit, fit);
ASK(Diagnose, diagnose);

TEST(KalmanModel, Filter)
{
    on_fiber([](struct ctx *ctx) {
        Filter f;
        f.req.include_variances = f.req.include_innovations = f.req.include_log_likelihood = true;
        ASSERT_EQ(f.run(ctx), OK) << f.err.message;
        ASSERT_EQ(f.resp.n_states, 1u);
        EXPECT_STREQ(f.resp.states[0]->name, "level");
        EXPECT_NEAR(f.resp.states[0]->values[99], 798.3702926083641, 1e-11);
        EXPECT_NEAR(f.resp.states[0]->variances[2], 5781.46993870002, 1e-9);
        EXPECT_NEAR(f.resp.processed_results[99], 798.3702926083641, 1e-11);
        EXPECT_EQ(f.resp.innovation_variances[0], INFINITY);
        EXPECT_EQ(f.resp.innovations[0], 0);
        EXPECT_NEAR(f.resp.log_likelihood, -633.4645636489, 5e-11);
        EXPECT_FALSE(f.resp.estimated);
        ASSERT_EQ(f.resp.n_parameters, 2u);
        EXPECT_STREQ(f.resp.parameters[1]->name, "level_variance");
        EXPECT_TRUE(f.resp.parameters[1]->given);

        Filter e;
        e.level.forget();
        ASSERT_EQ(e.run(ctx), OK);
        EXPECT_TRUE(e.resp.estimated);
        EXPECT_NEAR(e.resp.parameters[0]->value, 15098.518324, 1e-6);

        Filter c;
        c.level.h.value = c.level.q.value = 1;
        c.req.include_log_likelihood = true;
        c.req.likelihood_convention =
            LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_CONCENTRATED;
        ASSERT_EQ(c.run(ctx), OK);
        EXPECT_NEAR(c.resp.log_likelihood, -637.0789578663, 5e-11);
        c.req.model = nullptr;
        c.expect_field(ctx, "likelihood_convention");
    });
}

TEST(KalmanModel, Smooth)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        s.req.include_variances = s.req.include_disturbances = s.req.include_auxiliary = true;
        ASSERT_EQ(s.run(ctx), OK);
        EXPECT_NEAR(s.resp.signal[0], 1111.6683191267957, 1e-9);
        EXPECT_NEAR(s.resp.signal_variances[0], 4032.1579418084766, 1e-8);
        EXPECT_NEAR(s.resp.states[0]->values[27], 999.585218705269, 1e-9);
        EXPECT_NEAR(s.resp.states[0]->variances[27], 2326.7569581027, 1e-8);
        EXPECT_NEAR(s.resp.observation_auxiliary[0]->values[42], -3.0390, 5e-5);
        EXPECT_NEAR(s.resp.state_auxiliary[0]->values[27], -3.2337, 5e-5);
        EXPECT_NEAR(s.resp.observation_disturbances[0]->values[0] + s.resp.signal[0], 1120, 1e-9);
        EXPECT_NEAR(s.resp.log_likelihood, -633.4645636489, 5e-11);
        Smooth plain;
        ASSERT_EQ(plain.run(ctx), OK);
        EXPECT_EQ(plain.resp.n_signal_variances, 0u);
        EXPECT_EQ(plain.resp.n_observation_disturbances, 0u);
        EXPECT_EQ(plain.resp.n_state_auxiliary, 0u);
    });
}

TEST(KalmanModel, Forecast)
{
    on_fiber([](struct ctx *ctx) {
        Forecast f;
        double levels[] = {0.5, 0.95};
        f.req.horizon = 10;
        f.req.levels = levels;
        f.req.n_levels = 2;
        ASSERT_EQ(f.run(ctx), OK);
        ASSERT_EQ(f.resp.n_values, 10u);
        EXPECT_NEAR(f.resp.values[9], 798.3702926083641, 1e-10);
        EXPECT_NEAR(f.resp.states[0]->variances[0], 5501.2579418, 1e-6);
        EXPECT_NEAR(f.resp.states[0]->variances[9], 18723.1579418, 1e-6);
        EXPECT_NEAR(f.resp.variances[9], 18723.1579418 + 15099, 1e-6);
        double half = 1.9599639845400542 * std::sqrt(18723.1579418 + 15099);
        EXPECT_NEAR(f.resp.intervals[1]->upper[9], 798.3702926083641 + half, 1e-6);
        EXPECT_NEAR(f.resp.intervals[1]->lower[9], 798.3702926083641 - half, 1e-6);
        EXPECT_LT(f.resp.intervals[0]->upper[0], f.resp.intervals[1]->upper[0]);
        f.req.horizon = 0;
        f.expect_field(ctx, "horizon");
        f.req.horizon = 1;
        levels[1] = 1;
        f.expect_field(ctx, "levels[1]");
    });
}

TEST(KalmanModel, SimulateIsSeeded)
{
    on_fiber([](struct ctx *ctx) {
        Simulate a, b, c, p;
        for (auto *s : {&a, &b, &c, &p}) {
            s->req.draws = 3;
            s->req.seed = s == &c ? 2 : 1;
        }
        p.req.kind = LUNA__V1__SIMULATION_KIND__SIMULATION_KIND_PRIOR;
        ASSERT_EQ(a.run(ctx), OK);
        ASSERT_EQ(b.run(ctx), OK);
        ASSERT_EQ(c.run(ctx), OK);
        ASSERT_EQ(p.run(ctx), OK);
        ASSERT_EQ(a.resp.n_draws, 3u);
        auto *first = a.resp.draws[2]->states[0]->values;
        EXPECT_EQ(memcmp(first, b.resp.draws[2]->states[0]->values, 800), 0);
        EXPECT_NE(memcmp(first, c.resp.draws[2]->states[0]->values, 800), 0);
        EXPECT_EQ(memcmp(first, a.resp.draws[2]->values, 800), 0); /* Z = 1 */
        EXPECT_EQ(p.resp.draws[0]->states[0]->values[0], 0);
        EXPECT_NE(p.resp.draws[0]->values[0], 0);
        a.req.draws = 0;
        a.expect_field(ctx, "draws");
    });
}

TEST(KalmanModel, Fit)
{
    on_fiber([](struct ctx *ctx) {
        Fit f;
        f.level.forget();
        ASSERT_EQ(f.run(ctx), OK);
        EXPECT_EQ(f.resp.end, LUNA__V1__FIT_END__FIT_END_CONVERGED);
        EXPECT_NEAR(f.resp.log_likelihood, -633.4645636362457, 1e-9);
        EXPECT_NEAR(f.resp.parameters[0]->standard_error->value, 3145.5478, 0.01);
        EXPECT_NEAR(f.resp.aic, 2 * 633.4645636362457 + 2 * 3, 1e-8);
        EXPECT_NEAR(f.resp.bic, 2 * 633.4645636362457 + 3 * std::log(100), 1e-8);
        EXPECT_NEAR(f.resp.aicc, f.resp.aic + 24. / 96, 1e-9);
        Fit em;
        em.level.forget();
        em.req.method = LUNA__V1__FIT_METHOD__FIT_METHOD_EM;
        em.req.max_iterations = 5;
        ASSERT_EQ(em.run(ctx), OK);
        EXPECT_EQ(em.resp.end, LUNA__V1__FIT_END__FIT_END_ITERATIONS);
        EXPECT_EQ(em.resp.iterations, 5);
        EXPECT_LT(em.resp.log_likelihood, f.resp.log_likelihood);
        em.y.assign(100, 3);
        em.req.results = em.y.data();
        EXPECT_EQ(em.run(ctx), INVALID_ARGUMENT);
        EXPECT_EQ(em.err.reason, REASON_NO_RESULT);
    });
}

TEST(KalmanModel, Select)
{
    on_fiber([](struct ctx *ctx) {
        std::vector<double> y = nile();
        Level level, trend;
        level.forget();
        trend.forget();
        trend.structural.trend = LUNA__V1__TREND__TREND_LOCAL_LINEAR;
        Luna__V1__Model *models[] = {&trend.model, &level.model};
        Luna__V1__SelectRequest req;
        Luna__V1__SelectResponse resp;
        error err = {};
        luna__v1__select_request__init(&req);
        luna__v1__select_response__init(&resp);
        req.results = y.data();
        req.n_results = y.size();
        req.models = models;
        req.n_models = 2;
        ASSERT_EQ(probe_unary(ctx, "Select", &req.base, &resp.base, &err), OK) << err.message;
        EXPECT_EQ(resp.best, 1);
        ASSERT_EQ(resp.n_rows, 2u);
        EXPECT_GT(resp.rows[0]->fit->aic, resp.rows[1]->fit->aic);
        EXPECT_NEAR(resp.rows[0]->fit->log_likelihood, -631.7106891224774, 1e-5);
        level.h.value = -1;
        level.structural.observation_variance = &level.h;
        luna__v1__select_response__init(&resp);
        EXPECT_EQ(probe_unary(ctx, "Select", &req.base, &resp.base, &err), INVALID_ARGUMENT);
        EXPECT_STREQ(err.fields->field, "models[1].structural.observation_variance");
    });
}

TEST(KalmanModel, Diagnose)
{
    on_fiber([](struct ctx *ctx) {
        Diagnose d;
        d.level.forget();
        d.req.lags = 9;
        ASSERT_EQ(d.run(ctx), OK);
        EXPECT_NEAR(d.resp.ljung_box->statistic, 8.84332, 1e-4);
        EXPECT_NEAR(d.resp.heteroscedasticity->statistic, 0.612959, 5e-6);
        EXPECT_EQ(d.resp.heteroscedasticity->degrees, 33);
        ASSERT_EQ(d.resp.n_events, 2u);
        EXPECT_EQ(d.resp.events[0]->kind, LUNA__V1__EVENT_KIND__EVENT_KIND_LEVEL_SHIFT);
        EXPECT_EQ(d.resp.events[0]->index, 27); /* 1898, seen from 1899 on */
        EXPECT_NEAR(d.resp.events[0]->t_statistic, -3.2337, 5e-4);
        EXPECT_EQ(d.resp.events[1]->kind, LUNA__V1__EVENT_KIND__EVENT_KIND_OUTLIER);
        EXPECT_EQ(d.resp.events[1]->index, 42); /* 1913 */
        EXPECT_NEAR(d.resp.events[1]->t_statistic, -3.0390, 5e-4);
    });
}

TEST(KalmanModel, FilterBatch)
{
    on_fiber([](struct ctx *ctx) {
        std::vector<double> y = nile(), z = nile();
        z[10] = NAN;
        Level level;
        Luna__V1__BatchSeries series[3], *list[3];
        for (int i = 0; i < 3; i++) {
            luna__v1__batch_series__init(&series[i]);
            series[i].results = i == 1 ? z.data() : y.data();
            series[i].n_results = 100;
            list[i] = &series[i];
        }
        Luna__V1__FilterBatchRequest req;
        Luna__V1__FilterBatchResponse resp;
        error err = {};
        luna__v1__filter_batch_request__init(&req);
        luna__v1__filter_batch_response__init(&resp);
        req.series = list;
        req.n_series = 3;
        req.model = &level.model;
        req.include_states = true;
        ASSERT_EQ(probe_unary(ctx, "FilterBatch", &req.base, &resp.base, &err), OK) << err.message;
        ASSERT_EQ(resp.n_results, 3u);
        EXPECT_NEAR(resp.results[0]->last_states[0], 798.3702926083641, 1e-10);
        EXPECT_NEAR(resp.results[2]->log_likelihood, -633.4645636489, 5e-11);
        EXPECT_NE(resp.results[1]->log_likelihood, resp.results[0]->log_likelihood);
        EXPECT_EQ(resp.results[0]->n_states, 100u);
        EXPECT_STREQ(resp.state_names[0], "level");
        z[10] = INFINITY;
        EXPECT_EQ(probe_unary(ctx, "FilterBatch", &req.base, &resp.base, &err), INVALID_ARGUMENT);
        EXPECT_STREQ(err.fields->field, "series[1].results[10]");
        level.structural.level_variance = nullptr;
        EXPECT_EQ(probe_unary(ctx, "FilterBatch", &req.base, &resp.base, &err), INVALID_ARGUMENT);
        EXPECT_STREQ(err.fields->field, "model.level_variance");
    });
}

TEST(KalmanModel, WrongShapesAreNamed)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        s.req.model = nullptr;
        s.expect_field(ctx, "model");
        s.req.model = &s.level.model;
        s.level.structural.slope_variance = &s.level.q;
        s.expect_field(ctx, "model.structural.slope_variance");
        s.level.structural.slope_variance = nullptr;
        Luna__V1__Regressor x, *regressors[] = {&x};
        luna__v1__regressor__init(&x);
        double values[5] = {1, 2, 3, 4, 5};
        x.values = values;
        x.n_values = 5;
        s.level.structural.regressors = regressors;
        s.level.structural.n_regressors = 1;
        s.expect_field(ctx, "model.structural.regressors[0].values");
        s.level.structural.n_regressors = 0;
        s.y[3] = INFINITY;
        s.expect_field(ctx, "results[3]");
        s.req.n_results = 0;
        s.expect_field(ctx, "results");
        s.req.account_id = 8;
        EXPECT_EQ(s.run(ctx), NOT_FOUND);
    });
}

TEST(KalmanModel, FreeFormIsChecked)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        Luna__V1__FreeModel f;
        luna__v1__free_model__init(&f);
        s.level.model.kind_case = LUNA__V1__MODEL__KIND_FREE;
        s.level.model.free = &f;
        double z[] = {1, 0}, t[] = {1, 1, 0, 1}, h[] = {15000}, q[] = {1000, 0, 0, 50};
        f.series = 1;
        f.states = 2;
        f.z = z;
        f.n_z = 2;
        f.t = t;
        f.n_t = 3;
        f.h = h;
        f.n_h = 1;
        f.q = q;
        f.n_q = 4;
        s.expect_field(ctx, "model.free.t");
        f.n_t = 4;
        q[1] = 1;
        s.expect_field(ctx, "model.free.q");
        q[1] = q[2] = 1e6;
        s.expect_field(ctx, "model.free.q");
        EXPECT_NE(strstr(s.err.message, "semi-definite"), nullptr);
        q[1] = q[2] = 0;
        h[0] = NAN;
        s.expect_field(ctx, "model.free.h[0]");
        h[0] = 15000;
        ASSERT_EQ(s.run(ctx), OK) << s.err.message;
        EXPECT_NEAR(s.resp.log_likelihood, -635.2842215142881, 1e-9);
        f.states = 200;
        s.expect_field(ctx, "model.free.states");
    });
}

TEST(KalmanModel, EveryListOfTheFreeFormIsNamed)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        Luna__V1__FreeModel f;
        luna__v1__free_model__init(&f);
        s.level.model.kind_case = LUNA__V1__MODEL__KIND_FREE;
        s.level.model.free = &f;
        f.series = 2;
        f.states = 3;
        f.disturbances = 2;
        std::vector<double> x(64, 0);
        double p[] = {2, 1, 0, 1, 2, 0, 0, 0, 1}, v[] = {2, 1, 1, 2};
        struct {
            const char *name;
            size_t *n;
            double **list;
            size_t size;
            double *variance;
        } lists[] = {
            {"z", &f.n_z, &f.z, 6, nullptr}, {"h", &f.n_h, &f.h, 4, v},
            {"d", &f.n_d, &f.d, 2, nullptr}, {"t", &f.n_t, &f.t, 9, nullptr},
            {"c", &f.n_c, &f.c, 3, nullptr}, {"r", &f.n_r, &f.r, 6, nullptr},
            {"q", &f.n_q, &f.q, 4, v},       {"a1", &f.n_a1, &f.a1, 3, nullptr},
            {"p1", &f.n_p1, &f.p1, 9, p},    {"p1_inf", &f.n_p1_inf, &f.p1_inf, 3, nullptr},
        };
        for (auto &l : lists) {
            *l.list = l.variance ? l.variance : x.data();
            *l.n = l.size;
        }
        ASSERT_EQ(s.run(ctx), OK) << s.err.message;
        for (auto &l : lists) {
            std::string path = std::string("model.free.") + l.name;
            SCOPED_TRACE(path);
            *l.n = l.size + 1; /* neither once nor for each time */
            s.expect_field(ctx, path.c_str());
            *l.n = l.size;
            std::vector<double> bad(*l.list, *l.list + l.size);
            double *was = *l.list;
            *l.list = bad.data();
            bad[l.size - 1] = INFINITY;
            s.expect_field(ctx, (path + "[" + std::to_string(l.size - 1) + "]").c_str());
            if (l.variance) {
                bad.assign(was, was + l.size);
                bad[1] = 0.5; /* not symmetric */
                s.expect_field(ctx, path.c_str());
                EXPECT_NE(strstr(s.err.message, "symmetric"), nullptr);
                bad.assign(was, was + l.size);
                bad[0] = -2; /* not definite */
                s.expect_field(ctx, path.c_str());
                EXPECT_NE(strstr(s.err.message, "semi-definite"), nullptr);
            }
            *l.list = was;
        }
        double minus = -1;
        f.p1_inf = &minus;
        f.n_p1_inf = 1;
        f.states = 1;
        f.series = 0;
        s.expect_field(ctx, "model.free.series");
    });
}

/* What a model may not be, each by its name. */
TEST(KalmanModel, EveryNumberOfAStructureIsNamed)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        Luna__V1__StructuralModel &m = s.level.structural;
        Number bad;
        google__protobuf__double_value__init(&bad);
        bad.value = -1;
        Luna__V1__Seasonal season, *seasons = &season;
        luna__v1__seasonal__init(&season);
        season.period = 4;
        season.variance = &bad;
        m.seasonals = &seasons;
        m.n_seasonals = 1;
        s.expect_field(ctx, "model.structural.seasonals[0].variance");
        bad.value = 1;
        season.period = 1;
        s.expect_field(ctx, "model.structural.seasonals[0].period");
        season.period = 129;
        s.expect_field(ctx, "model.structural.seasonals[0].period");
        season.period = 4;
        season.trigonometric = true;
        season.harmonics = 3;
        s.expect_field(ctx, "model.structural.seasonals[0].harmonics");
        std::vector<Luna__V1__Seasonal *> nine(9, seasons);
        season.harmonics = 0;
        m.seasonals = nine.data();
        m.n_seasonals = 9;
        s.expect_field(ctx, "model.structural.seasonals");
        m.n_seasonals = 0;
        Luna__V1__Cycle cycle;
        luna__v1__cycle__init(&cycle);
        m.cycle = &cycle;
        cycle.damping = &bad;
        s.expect_field(ctx, "model.structural.cycle.damping");
        cycle.damping = nullptr;
        cycle.period = &bad;
        s.expect_field(ctx, "model.structural.cycle.period");
        cycle.period = nullptr;
        cycle.min_period = 60;
        s.expect_field(ctx, "model.structural.cycle.max_period");
        m.cycle = nullptr;
        Luna__V1__Autoregression ar;
        luna__v1__autoregression__init(&ar);
        m.autoregression = &ar;
        s.expect_field(ctx, "model.structural.autoregression.order");
        ar.order = 33;
        s.expect_field(ctx, "model.structural.autoregression.order");
        ar.order = 1;
        double unit = 1;
        ar.coefficients = &unit;
        ar.n_coefficients = 1;
        s.expect_field(ctx, "model.structural.autoregression.coefficients");
        m.autoregression = nullptr;
        m.trend = static_cast<Luna__V1__Trend>(99);
        EXPECT_EQ(s.run(ctx), INVALID_ARGUMENT);
        m.trend = LUNA__V1__TREND__TREND_NONE;
        m.level_variance = nullptr;
        s.expect_field(ctx, "model"); /* no states */
    });
}

TEST(KalmanModel, TheSameQuestionHasTheSameBytes)
{
    on_fiber([](struct ctx *ctx) {
        auto bytes = [&](auto &&a) {
            a.level.forget();
            EXPECT_EQ(a.run(ctx), OK) << a.err.message;
            std::vector<uint8_t> b(protobuf_c_message_get_packed_size(&a.resp.base));
            protobuf_c_message_pack(&a.resp.base, b.data());
            return b;
        };
        EXPECT_EQ(bytes(Filter()), bytes(Filter()));
        EXPECT_EQ(bytes(Smooth()), bytes(Smooth()));
        EXPECT_EQ(bytes(Fit()), bytes(Fit()));
        EXPECT_EQ(bytes(Diagnose()), bytes(Diagnose()));
        Forecast a, b;
        a.req.horizon = b.req.horizon = 5;
        a.req.parameter_uncertainty = b.req.parameter_uncertainty = true;
        EXPECT_EQ(bytes(a), bytes(b));
    });
}

TEST(KalmanModel, ArimaAndMotionAreChecked)
{
    on_fiber([](struct ctx *ctx) {
        Smooth s;
        Luna__V1__ArimaModel a;
        luna__v1__arima_model__init(&a);
        s.level.model.kind_case = LUNA__V1__MODEL__KIND_ARIMA;
        s.level.model.arima = &a;
        double ar[] = {1.1};
        a.p = 1;
        a.ar = ar;
        a.n_ar = 1;
        s.expect_field(ctx, "model.arima.ar");
        a.n_ar = 0;
        a.seasonal_d = 1;
        s.expect_field(ctx, "model.arima.season");
        a.season = 128;
        s.expect_field(ctx, "model");
        Luna__V1__MotionModel m;
        luna__v1__motion_model__init(&m);
        s.level.model.kind_case = LUNA__V1__MODEL__KIND_MOTION;
        s.level.model.motion = &m;
        s.expect_field(ctx, "model.motion.kind");
        m.kind = LUNA__V1__MOTION_KIND__MOTION_KIND_CONSTANT_VELOCITY;
        std::vector<double> times(100);
        for (size_t t = 0; t < 100; t++)
            times[t] = static_cast<double>(t);
        times[50] = 3;
        m.times = times.data();
        m.n_times = 100;
        s.expect_field(ctx, "model.motion.times[50]");
        times[50] = 50;
        ASSERT_EQ(s.run(ctx), OK) << s.err.message;
        EXPECT_EQ(s.resp.n_states, 2u);
    });
}

TEST(KalmanModel, LongFitsAreCancelled)
{
    std::vector<double> y(100000);
    Random rnd(3);
    for (double &x : y)
        x = rnd.normal();
    on_fiber([&](struct ctx *ctx) {
        Fit f;
        f.level.forget();
        f.level.structural.trend = LUNA__V1__TREND__TREND_LOCAL_LINEAR;
        f.req.results = y.data();
        f.req.n_results = y.size();
        ctx->deadline = clock_now() + MSEC(50);
        EXPECT_EQ(f.run(ctx), DEADLINE_EXCEEDED);
        EXPECT_LT(clock_now(), ctx->deadline + MSEC(1000));
    });
}

} // namespace
