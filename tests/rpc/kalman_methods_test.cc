/* The methods that answer at once, through the socket: what they refuse, and what only they have.
 */
#include <atomic>
#include <thread>

#include "kalman_support.h"

namespace
{

struct Shared {
    pg_server pg;
    redis_server redis;
    luna_server server{pg, redis, "methods"};
    std::string key = server.create_account("owner");
    Shared()
    {
        server.start();
    }
};

Shared &
shared()
{
    static Shared s;
    return s;
}

std::vector<double>
nile()
{
    std::ifstream in(LUNA_TEST_DATA "/nile.csv");
    std::vector<double> y;
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line))
        y.push_back(std::stod(line.substr(line.find(',') + 1)));
    return y;
}

/* A question with the Nile and its local level. */
template <typename Request, typename Response> struct Ask {
    Request req;
    TestModel m{TestModel::LEVEL};
    std::vector<double> y = nile();
    const char *method;
    const ProtobufCMessageDescriptor &answer;
    Ask(const char *name, void (*init)(Request *), const ProtobufCMessageDescriptor &d)
        : method(name), answer(d)
    {
        init(&req);
        req.model = &m.model;
        values();
    }
    void values()
    {
        req.results = y.data();
        req.n_results = y.size();
    }
    Outcome raw()
    {
        return Kalman(shared().server.target(), shared().key).call(method, &req.base);
    }
    std::string wrong()
    {
        return why(raw());
    }
    owned<Response> get()
    {
        Outcome o = raw();
        EXPECT_EQ(o.code, 0) << o.message << " " << why(o);
        return unpack<Response>(o.body, answer);
    }
};

#define ASK(Name, name)                                                        \
    struct Name : Ask<Luna__V1__##Name##Request, Luna__V1__##Name##Response> { \
        Name()                                                                 \
            : Ask(#Name, luna__v1__##name##_request__init,                     \
                  luna__v1__##name##_response__descriptor)                     \
        {                                                                      \
        }                                                                      \
    }
ASK(Filter, filter);
ASK(Smooth, smooth);
ASK(Forecast, forecast);
ASK(Fit, fit);
ASK(Diagnose, diagnose);
ASK(Simulate, simulate);

} // namespace

TEST(Methods, BadInputIsNamed)
{
    Filter f;
    f.y[7] = INFINITY;
    EXPECT_EQ(f.wrong(), "BAD_FIELD results[7]");
    f.y.clear();
    f.values();
    EXPECT_EQ(f.wrong(), "BAD_FIELD results");
    Smooth s;
    s.m.h.value = -1;
    s.m.q.value = NAN;
    EXPECT_EQ(s.wrong(), "BAD_FIELD model.structural.observation_variance "
                         "model.structural.level_variance");
    s.req.model = nullptr;
    EXPECT_EQ(s.wrong(), "BAD_FIELD model");
    Smooth lag;
    lag.req.lag = -1;
    EXPECT_EQ(lag.wrong(), "BAD_FIELD lag");
    /* Times that go backwards, and too few of them. */
    Smooth back;
    TestModel motion(TestModel::MOTION);
    std::vector<double> times(100);
    for (size_t i = 0; i < 100; i++)
        times[i] = static_cast<double>(i);
    times[50] = 48;
    motion.motion.times = times.data();
    motion.motion.n_times = 100;
    back.req.model = &motion.model;
    EXPECT_EQ(back.wrong(), "BAD_FIELD model.motion.times[50]");
    motion.motion.n_times = 99;
    EXPECT_EQ(back.wrong(), "BAD_FIELD model.motion.times");
    /* Orders and periods beyond the limits. */
    Fit fit;
    Luna__V1__ArimaModel arima = LUNA__V1__ARIMA_MODEL__INIT;
    fit.m.model.kind_case = LUNA__V1__MODEL__KIND_ARIMA;
    fit.m.model.arima = &arima;
    arima.p = 33;
    arima.season = 1000;
    EXPECT_EQ(fit.wrong(), "BAD_FIELD model.arima.p model.arima.season");
    arima.p = 1;
    arima.seasonal_d = 1;
    arima.season = 129;
    EXPECT_EQ(fit.wrong(), "BAD_FIELD model.arima.season");
    /* Shapes, symmetry, definiteness. */
    Filter pair;
    TestModel two(TestModel::PAIR);
    pair.req.model = &two.model;
    two.free.n_z = 3;
    EXPECT_EQ(pair.wrong(), "BAD_FIELD model.free.z");
    two.free.n_z = 4;
    two.free.q[1] = 2;
    EXPECT_EQ(pair.wrong(), "BAD_FIELD model.free.q");
    two.free.q[1] = two.free.q[2] = 50;
    EXPECT_EQ(pair.wrong(), "BAD_FIELD model.free.q");
    two.free.q[1] = two.free.q[2] = 0.5;
    pair.y.resize(99);
    pair.values();
    EXPECT_EQ(pair.wrong(), "BAD_FIELD results");
    /* A series over the limit of the model. */
    Smooth large;
    Luna__V1__Seasonal year = LUNA__V1__SEASONAL__INIT, *years = &year;
    year.period = 100;
    year.variance = &large.m.s;
    large.m.s.value = 1;
    large.m.structural.seasonals = &years;
    large.m.structural.n_seasonals = 1;
    large.y.assign(1000, 1.0);
    large.values();
    EXPECT_EQ(large.wrong(), "BAD_FIELD results");
    Forecast far;
    far.req.horizon = 0;
    EXPECT_EQ(far.wrong(), "BAD_FIELD horizon");
    Diagnose d;
    d.req.lags = 101;
    EXPECT_EQ(d.wrong(), "BAD_FIELD lags");
    Simulate draw;
    draw.req.draws = 1001;
    EXPECT_EQ(draw.wrong(), "BAD_FIELD draws");
}

TEST(Methods, AnswerWhatIsAskedFor)
{
    Smooth s;
    char signal[] = "signal", likelihood[] = "log_likelihood", nonsense[] = "nonsense";
    char *names[] = {signal, likelihood}, *bad[] = {signal, nonsense};
    s.req.output = names;
    s.req.n_output = 2;
    auto r = s.get();
    EXPECT_EQ(r->n_signal, 100u);
    EXPECT_NEAR(r->log_likelihood, -633.4645636489, 5e-11);
    EXPECT_EQ(r->n_states, 0u);
    EXPECT_EQ(r->n_parameters, 0u);
    EXPECT_EQ(r->cost_units, 0);
    s.req.output = bad;
    EXPECT_EQ(s.wrong(), "BAD_FIELD output[1]");
    s.req.n_output = 0;
    EXPECT_EQ(s.get()->cost_units, 1);
    Fit f;
    f.y.assign(20000, 0.0);
    for (size_t i = 0; i < f.y.size(); i++)
        f.y[i] = static_cast<double>(i * i % 97);
    f.values();
    EXPECT_EQ(f.get()->cost_units, 3); /* 1 + 20 000 x 100 / 10^6 */
    Smooth e;                          /* given, and estimated first */
    e.y = f.y;
    e.values();
    EXPECT_EQ(e.get()->cost_units, 1);
    e.m.structural.level_variance = nullptr;
    EXPECT_EQ(e.get()->cost_units, 3);
}

TEST(Methods, FixedLagIsTheSmootherOfWhatWasKnown)
{
    Smooth lag;
    lag.req.lag = 5;
    lag.req.include_variances = true;
    auto all = lag.get();
    for (size_t t : {0u, 1u, 40u, 94u, 97u, 99u}) {
        Smooth prefix;
        prefix.y.resize(std::min<size_t>(100, t + 6));
        prefix.values();
        prefix.req.include_variances = true;
        auto p = prefix.get();
        EXPECT_NEAR(all->signal[t], p->signal[t], 1e-9) << t;
        EXPECT_NEAR(all->signal_variances[t], p->signal_variances[t], 1e-7) << t;
    }
}

TEST(Methods, RobustFiltersWeigh)
{
    Filter plain, gate, huber, student;
    for (Filter *f : {&plain, &gate, &huber, &student}) {
        f->y[60] = 5000; /* an outlier */
        f->req.include_innovations = true;
    }
    Luna__V1__RobustFilter r = LUNA__V1__ROBUST_FILTER__INIT;
    gate.req.robust = huber.req.robust = student.req.robust = &r;
    r.kind = LUNA__V1__ROBUST_KIND__ROBUST_KIND_GATE;
    auto g = gate.get();
    EXPECT_EQ(g->weights[60], 0);
    EXPECT_EQ(g->weights[59], 1);
    plain.y[60] = NAN; /* left out is missing */
    auto p = plain.get();
    for (size_t t = 0; t < 100; t++)
        EXPECT_NEAR(g->processed_results[t], p->processed_results[t], 1e-9) << t;
    EXPECT_EQ(p->n_weights, 0u);
    r.kind = LUNA__V1__ROBUST_KIND__ROBUST_KIND_HUBER;
    r.threshold = 1.5;
    auto h = huber.get();
    r.kind = LUNA__V1__ROBUST_KIND__ROBUST_KIND_STUDENT;
    r.threshold = 5;
    auto s = student.get();
    for (size_t t = 1; t < 100; t++) {
        double z = fabs(h->innovations[t]) / sqrt(h->innovation_variances[t]);
        EXPECT_NEAR(h->weights[t], z > 1.5 ? 1.5 / z : 1, 1e-12) << t;
        z = fabs(s->innovations[t]) / sqrt(s->innovation_variances[t]);
        EXPECT_NEAR(s->weights[t], fmin(1, 6 / (5 + z * z)), 1e-12) << t;
    }
    EXPECT_LT(h->weights[60], 0.1);
    r.threshold = -1;
    EXPECT_EQ(student.wrong(), "BAD_FIELD robust.threshold");
    r.kind = LUNA__V1__ROBUST_KIND__ROBUST_KIND_UNSPECIFIED;
    EXPECT_EQ(student.wrong(), "BAD_FIELD robust.kind");
    student.req.model = nullptr;
    EXPECT_EQ(student.wrong(), "BAD_FIELD robust");
}

TEST(Methods, ForecastsTellTheUncertaintyOfEstimates)
{
    Fit fit;
    fit.m.structural.level_variance = nullptr; /* one number is estimated */
    auto found = fit.get();
    double q = found->parameters[1]->value, se = found->parameters[1]->standard_error->value;
    Forecast f;
    f.m.structural.level_variance = nullptr;
    f.req.horizon = 3;
    auto without = f.get();
    f.req.parameter_uncertainty = true;
    auto with = f.get();
    Forecast up, down;
    up.req.horizon = down.req.horizon = 3;
    up.m.q.value = q * 1.001;
    down.m.q.value = q * 0.999;
    auto u = up.get(), d = down.get();
    ASSERT_EQ(with->n_parameter_variances, 3u);
    EXPECT_EQ(without->n_parameter_variances, 0u);
    for (size_t h = 0; h < 3; h++) {
        double slope = (u->values[h] - d->values[h]) / (0.002 * q), v = slope * slope * se * se;
        EXPECT_GT(v, 0);
        EXPECT_NEAR(with->parameter_variances[h], v, 1e-3 * v);
        EXPECT_NEAR(with->variances[h], without->variances[h] + with->parameter_variances[h], 1e-6);
        EXPECT_EQ(with->values[h], without->values[h]);
    }
    EXPECT_LT(with->intervals[0]->lower[0], without->intervals[0]->lower[0]);
}

/* The whole table, and the best by each criterion from its own column. */
TEST(Methods, SelectGoesByItsCriterion)
{
    TestModel level(TestModel::LEVEL), trend(TestModel::LEVEL);
    level.structural.level_variance = level.structural.observation_variance = nullptr;
    trend.structural.level_variance = trend.structural.observation_variance = nullptr;
    trend.structural.trend = LUNA__V1__TREND__TREND_LOCAL_LINEAR;
    /* Fewer values, a drift that is hardly there: what a parameter costs decides. */
    std::vector<double> y = nile();
    y.resize(14);
    for (size_t t = 0; t < y.size(); t++)
        y[t] += 14.2 * static_cast<double>(t);
    Luna__V1__Model *models[] = {&trend.model, &level.model};
    Luna__V1__SelectRequest req = LUNA__V1__SELECT_REQUEST__INIT;
    req.results = y.data();
    req.n_results = y.size();
    req.models = models;
    req.n_models = 2;
    Kalman k(shared().server.target(), shared().key);
    const struct {
        Luna__V1__Criterion criterion;
        double (*of)(const Luna__V1__FitResponse *);
    } table[] = {
        {LUNA__V1__CRITERION__CRITERION_UNSPECIFIED, [](auto *f) { return f->aic; }},
        {LUNA__V1__CRITERION__CRITERION_AIC, [](auto *f) { return f->aic; }},
        {LUNA__V1__CRITERION__CRITERION_AICC, [](auto *f) { return f->aicc; }},
        {LUNA__V1__CRITERION__CRITERION_BIC, [](auto *f) { return f->bic; }},
    };
    int chosen[2] = {0, 0};
    for (auto &row : table) {
        SCOPED_TRACE(row.criterion);
        req.criterion = row.criterion;
        Outcome o = k.call("Select", &req.base);
        ASSERT_EQ(o.code, 0) << o.message;
        auto r = unpack<Luna__V1__SelectResponse>(o.body, luna__v1__select_response__descriptor);
        ASSERT_EQ(r->n_rows, 2u);
        double first = row.of(r->rows[0]->fit), second = row.of(r->rows[1]->fit);
        ASSERT_NE(first, second);
        EXPECT_EQ(r->best, first < second ? 0 : 1);
        chosen[r->best]++;
    }
    EXPECT_GT(chosen[0], 0); /* they do not all choose the same */
    EXPECT_GT(chosen[1], 0);
    auto wrong = [&] { return why(k.call("Select", &req.base)); };
    req.criterion = static_cast<Luna__V1__Criterion>(9);
    EXPECT_EQ(wrong(), "BAD_FIELD criterion");
    req.criterion = LUNA__V1__CRITERION__CRITERION_BIC;
    req.n_models = 0;
    EXPECT_EQ(wrong(), "BAD_FIELD models");
}

/* One fit, three countings: Durbin and Koopman (2012), 2.10.2 and 7.2. */
TEST(Methods, FitsCountTheLikelihoodAsAsked)
{
    auto fitted = [](Luna__V1__LikelihoodConvention c) {
        Fit f;
        f.m.structural.level_variance = f.m.structural.observation_variance = nullptr;
        f.req.likelihood_convention = c;
        return f.get();
    };
    auto full = fitted(LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_FULL);
    auto book =
        fitted(LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_OMIT_DIFFUSE_CONSTANT);
    auto concentrated = fitted(LUNA__V1__LIKELIHOOD_CONVENTION__LIKELIHOOD_CONVENTION_CONCENTRATED);
    /* At the maximum the factor common to all variances is 1, so concentrating changes nothing. */
    EXPECT_NEAR(full->log_likelihood, -633.4645636362457, 1e-8);
    EXPECT_NEAR(book->log_likelihood, full->log_likelihood + 0.5 * log(2 * M_PI), 1e-8);
    EXPECT_NEAR(concentrated->log_likelihood, full->log_likelihood, 1e-8);
    for (auto *r : {&book, &concentrated})
        for (size_t i = 0; i < 2; i++)
            EXPECT_NEAR((*r)->parameters[i]->value, full->parameters[i]->value,
                        1e-6 * full->parameters[i]->value);
}

/* A slope that breaks at a known time, a level that jumps at another, one value that is off. */
TEST(Methods, DiagnoseDatesEachKindOfEvent)
{
    Diagnose d;
    d.m.structural.trend = LUNA__V1__TREND__TREND_LOCAL_LINEAR;
    d.m.structural.slope_variance = &d.m.s;
    d.m.h.value = 1;
    d.m.q.value = 0.01;
    d.m.s.value = 0.001;
    std::mt19937_64 rnd(3);
    std::normal_distribution<double> normal;
    for (size_t t = 0; t < 100; t++) {
        double steps = static_cast<double>(t);
        d.y[t] = 0.7 * normal(rnd) + 0.2 * steps + (t > 50 ? 1.5 * (steps - 50) : 0);
        d.y[t] += t >= 25 ? 12 : 0;
    }
    d.y[80] += 9;
    d.req.threshold = 3.5;
    auto r = d.get();
    const struct {
        Luna__V1__EventKind kind;
        int index; /* after this time, or at it */
    } events[] = {{LUNA__V1__EVENT_KIND__EVENT_KIND_LEVEL_SHIFT, 24},
                  {LUNA__V1__EVENT_KIND__EVENT_KIND_SLOPE_BREAK, 50},
                  {LUNA__V1__EVENT_KIND__EVENT_KIND_OUTLIER, 80}};
    for (auto &e : events) {
        int best = -1;
        double largest = 0;
        for (size_t i = 0; i < r->n_events; i++) {
            if (r->events[i]->kind == e.kind && r->events[i]->t_statistic > largest) {
                largest = r->events[i]->t_statistic;
                best = static_cast<int>(r->events[i]->index);
            }
        }
        EXPECT_LE(std::abs(best - e.index), 1) << e.kind << " " << best;
        EXPECT_GT(largest, 3.5) << e.kind;
    }
}

TEST(Methods, CancellationStopsTheComputation)
{
    Fit slow;
    Luna__V1__ArimaModel arima = LUNA__V1__ARIMA_MODEL__INIT;
    slow.m.model.kind_case = LUNA__V1__MODEL__KIND_ARIMA;
    slow.m.model.arima = &arima;
    arima.p = arima.q = 6;
    std::mt19937_64 rnd(1);
    std::normal_distribution<double> normal;
    slow.y.resize(80000);
    for (double &x : slow.y)
        x = normal(rnd);
    slow.values();
    Kalman k(shared().server.target(), shared().key);
    Outcome o = k.call("Fit", &slow.req.base, 300);
    EXPECT_EQ(o.code, 4);
    /* Soon nothing is computed any more. */
    double running = -1;
    for (int i = 0; i < 2000 && running != 0; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        running = shared().server.metric("luna_compute_running");
    }
    EXPECT_EQ(running, 0);
}
