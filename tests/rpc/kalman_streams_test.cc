/* Long questions as streams: progress, the same answers, cancellation, cost refused first. */
#include <thread>

#include "kalman_support.h"

namespace
{

struct Shared {
    pg_server pg;
    redis_server redis;
    luna_server server{pg, redis, "streams"};
    std::string key = server.create_account("owner"),
                poor = server.create_account("poor", false, 5);
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

Kalman &
caller()
{
    static Kalman k(shared().server.target(), shared().key);
    return k;
}

std::vector<double>
noise(size_t n)
{
    std::mt19937_64 rnd(1);
    std::normal_distribution<double> normal;
    std::vector<double> y(n);
    for (double &x : y)
        x = normal(rnd);
    return y;
}

/* What a stream said. */
template <typename Result> struct Told {
    std::vector<owned<Luna__V1__ComputeProgress>> progress;
    std::string result; /* bytes; empty: none */
    Outcome outcome;
};

/* Message 1 or 2 of `event`, taken apart by hand: all streams have this shape. */
template <typename Result>
Told<Result>
listen(Call &c)
{
    Told<Result> t;
    while (auto bytes = c.recv()) {
        /* One field of bytes: its tag, its length, itself. */
        size_t at = 1, length = 0;
        for (int shift = 0;; shift += 7) {
            auto b = static_cast<unsigned char>(bytes->at(at++));
            length |= static_cast<size_t>(b & 127) << shift;
            if (!(b & 128))
                break;
        }
        EXPECT_EQ(at + length, bytes->size());
        EXPECT_TRUE(t.result.empty()); /* the result is last */
        if (bytes->at(0) == 0x0a)
            t.progress.push_back(unpack<Luna__V1__ComputeProgress>(
                bytes->substr(at), luna__v1__compute_progress__descriptor));
        else
            t.result = bytes->substr(at);
    }
    t.outcome = c.finish();
    return t;
}

template <typename Result>
Told<Result>
ask(const char *method, const ProtobufCMessage *req, Kalman &k = caller())
{
    Call c(k.ch, Kalman::path(method), k.md, 60000);
    EXPECT_TRUE(c.send(pack(req)));
    c.half_close();
    return listen<Result>(c);
}

template <typename Result>
void
expect_progress(const Told<Result> &t)
{
    EXPECT_EQ(t.outcome.code, 0) << t.outcome.message << why(t.outcome);
    ASSERT_FALSE(t.progress.empty());
    EXPECT_EQ(t.progress[0]->steps, 0); /* before it begins */
    EXPECT_GT(t.progress[0]->cost_units, 0);
    for (size_t i = 1; i < t.progress.size(); i++) {
        EXPECT_GE(t.progress[i]->steps, t.progress[i - 1]->steps);
        EXPECT_GE(t.progress[i]->evaluations, t.progress[i - 1]->evaluations);
        if (t.progress[i]->total_steps > 0) {
            EXPECT_LE(t.progress[i]->steps, t.progress[i]->total_steps);
        }
    }
}

/* An estimation that takes a while. */
struct LongFit {
    Luna__V1__FitRequest fit = LUNA__V1__FIT_REQUEST__INIT;
    Luna__V1__Model model = LUNA__V1__MODEL__INIT;
    Luna__V1__ArimaModel arima = LUNA__V1__ARIMA_MODEL__INIT;
    std::vector<double> y;
    LongFit(size_t n, int order) : y(noise(n))
    {
        model.kind_case = LUNA__V1__MODEL__KIND_ARIMA;
        model.arima = &arima;
        arima.p = arima.q = order;
        fit.model = &model;
        fit.results = y.data();
        fit.n_results = y.size();
    }
    LongFit(const LongFit &) = delete;
};

} // namespace

TEST(Streams, SmoothTellsHowFarItIs)
{
    TestModel m(TestModel::LEVEL);
    std::vector<double> y = noise(20000);
    Luna__V1__SmoothRequest r = LUNA__V1__SMOOTH_REQUEST__INIT;
    Luna__V1__SmoothStreamRequest s = LUNA__V1__SMOOTH_STREAM_REQUEST__INIT;
    r.results = y.data();
    r.n_results = y.size();
    r.model = &m.model;
    r.lag = 1000;
    s.request = &r;
    s.progress_ms = 10;
    auto t = ask<Luna__V1__SmoothResponse>("SmoothStream", &s.base);
    expect_progress(t);
    EXPECT_GT(t.progress.size(), 2u);
    /* n for the filter, and the windows of the lag. */
    EXPECT_EQ(t.progress.back()->total_steps, 20000 + 19000 * 1001 + 1000 * 1001 / 2);
    EXPECT_GT(t.progress.back()->steps, 20000);
    EXPECT_EQ(t.progress[0]->cost_units, 1 + 20); /* 10^-6 x 20 000 x 1001, the rest is cut */
    EXPECT_EQ(t.result, caller().call("Smooth", &r.base).body);
}

TEST(Streams, FitTellsItsLikelihood)
{
    LongFit f(10000, 2);
    Luna__V1__FitStreamRequest s = LUNA__V1__FIT_STREAM_REQUEST__INIT;
    s.request = &f.fit;
    s.progress_ms = 10;
    auto t = ask<Luna__V1__FitResponse>("FitStream", &s.base);
    expect_progress(t);
    EXPECT_GT(t.progress.size(), 2u);
    EXPECT_EQ(t.progress.back()->total_steps, 0);
    EXPECT_GT(t.progress.back()->evaluations, 0);
    auto r = unpack<Luna__V1__FitResponse>(t.result, luna__v1__fit_response__descriptor);
    for (auto &p : t.progress) {
        if (p->log_likelihood) {
            EXPECT_LE(p->log_likelihood->value, r->log_likelihood + 1e-3);
        }
    }
    EXPECT_EQ(t.result, caller().call("Fit", &f.fit.base).body);
}

TEST(Streams, SimulateAndSelectAnswerAsTheirMethods)
{
    TestModel m(TestModel::SEASONAL);
    std::vector<double> y = noise(400);
    Luna__V1__SimulateRequest r = LUNA__V1__SIMULATE_REQUEST__INIT;
    Luna__V1__SimulateStreamRequest s = LUNA__V1__SIMULATE_STREAM_REQUEST__INIT;
    r.results = y.data();
    r.n_results = y.size();
    r.model = &m.model;
    r.draws = 20;
    s.request = &r;
    auto t = ask<Luna__V1__SimulateResponse>("SimulateStream", &s.base);
    expect_progress(t);
    EXPECT_EQ(t.result, caller().call("Simulate", &r.base).body);

    LongFit one(3000, 1), two(3000, 2);
    Luna__V1__Model *models[] = {&one.model, &two.model};
    Luna__V1__SelectRequest q = LUNA__V1__SELECT_REQUEST__INIT;
    Luna__V1__SelectStreamRequest qs = LUNA__V1__SELECT_STREAM_REQUEST__INIT;
    q.results = one.y.data();
    q.n_results = one.y.size();
    q.models = models;
    q.n_models = 2;
    qs.request = &q;
    auto u = ask<Luna__V1__SelectResponse>("SelectStream", &qs.base);
    expect_progress(u);
    EXPECT_EQ(u.progress.back()->models, 1); /* told before the second begins, at the latest */
    EXPECT_EQ(u.result, caller().call("Select", &q.base).body);
}

TEST(Streams, ForecastAndDiagnoseEstimateAndAnswerAsTheirMethods)
{
    LongFit f(10000, 2);
    Luna__V1__ForecastRequest r = LUNA__V1__FORECAST_REQUEST__INIT;
    Luna__V1__ForecastStreamRequest s = LUNA__V1__FORECAST_STREAM_REQUEST__INIT;
    r.results = f.y.data();
    r.n_results = f.y.size();
    r.model = &f.model;
    r.horizon = 5;
    s.request = &r;
    s.progress_ms = 10;
    auto t = ask<Luna__V1__ForecastResponse>("ForecastStream", &s.base);
    expect_progress(t);
    EXPECT_GT(t.progress.size(), 2u);
    EXPECT_GT(t.progress.back()->evaluations, 0);
    EXPECT_EQ(t.result, caller().call("Forecast", &r.base).body);

    Luna__V1__DiagnoseRequest q = LUNA__V1__DIAGNOSE_REQUEST__INIT;
    Luna__V1__DiagnoseStreamRequest qs = LUNA__V1__DIAGNOSE_STREAM_REQUEST__INIT;
    q.results = f.y.data();
    q.n_results = f.y.size();
    q.model = &f.model;
    qs.request = &q;
    qs.progress_ms = 10;
    auto u = ask<Luna__V1__DiagnoseResponse>("DiagnoseStream", &qs.base);
    expect_progress(u);
    EXPECT_GT(u.progress.size(), 2u);
    EXPECT_EQ(u.result, caller().call("Diagnose", &q.base).body);
}

namespace
{

/* Series for FilterBatch, of the given lengths. */
struct Series {
    std::vector<std::vector<double>> values;
    std::vector<Luna__V1__BatchSeries> messages;
    std::vector<Luna__V1__BatchSeries *> list;
    Series(size_t count, size_t n) : values(count), messages(count)
    {
        std::vector<double> all = noise(count * n);
        for (size_t i = 0; i < count; i++) {
            auto from = all.begin() + static_cast<long>(i * n);
            values[i].assign(from, from + static_cast<long>(n));
            values[i][i % n] = NAN;
            luna__v1__batch_series__init(&messages[i]);
            messages[i].results = values[i].data();
            messages[i].n_results = n;
            list.push_back(&messages[i]);
        }
    }
    Series(const Series &) = delete;
};

std::string
bytes_of(const Luna__V1__BatchResult *r)
{
    return pack(&r->base);
}

} // namespace

TEST(Streams, FilterBatchTakesMoreSeriesThanAMessageHolds)
{
    TestModel m(TestModel::SEASONAL);
    Series series(60, 50);
    Luna__V1__FilterBatchRequest whole = LUNA__V1__FILTER_BATCH_REQUEST__INIT;
    whole.model = &m.model;
    whole.series = series.list.data();
    whole.n_series = 60;
    whole.include_states = true;
    Outcome o = caller().call("FilterBatch", &whole.base);
    ASSERT_EQ(o.code, 0) << o.message;
    auto all =
        unpack<Luna__V1__FilterBatchResponse>(o.body, luna__v1__filter_batch_response__descriptor);
    Call c(caller().ch, Kalman::path("FilterBatchStream"), caller().md, 60000);
    for (size_t i = 0; i < 60; i += 20) {
        Luna__V1__FilterBatchStreamRequest r = LUNA__V1__FILTER_BATCH_STREAM_REQUEST__INIT;
        r.model = i ? nullptr : &m.model;
        r.series = series.list.data() + i;
        r.n_series = 20;
        r.include_states = true;
        ASSERT_TRUE(c.send(pack(&r.base)));
        auto first = c.recv(), second = c.recv();
        ASSERT_TRUE(first && second);
        auto p = unpack<Luna__V1__FilterBatchStreamResponse>(
            *first, luna__v1__filter_batch_stream_response__descriptor);
        ASSERT_EQ(p->event_case, LUNA__V1__FILTER_BATCH_STREAM_RESPONSE__EVENT_PROGRESS);
        auto b = unpack<Luna__V1__FilterBatchStreamResponse>(
            *second, luna__v1__filter_batch_stream_response__descriptor);
        ASSERT_EQ(b->event_case, LUNA__V1__FILTER_BATCH_STREAM_RESPONSE__EVENT_RESULTS);
        EXPECT_EQ(b->results->first, static_cast<int64_t>(i));
        EXPECT_STREQ(b->results->state_names[1], "slope");
        ASSERT_EQ(b->results->n_results, 20u);
        for (size_t k = 0; k < 20; k++)
            EXPECT_EQ(bytes_of(b->results->results[k]), bytes_of(all->results[i + k]));
    }
    /* A second model is refused, and what was answered stands. */
    Luna__V1__FilterBatchStreamRequest again = LUNA__V1__FILTER_BATCH_STREAM_REQUEST__INIT;
    again.model = &m.model;
    ASSERT_TRUE(c.send(pack(&again.base)));
    EXPECT_FALSE(c.recv().has_value());
    EXPECT_EQ(why(c.finish()), "BAD_FIELD model");
}

TEST(Streams, BatchNamesWhatIsWrong)
{
    TestModel m(TestModel::LEVEL);
    Series series(3, 10);
    auto wrong = [&](std::vector<Luna__V1__FilterBatchStreamRequest> list) {
        Call c(caller().ch, Kalman::path("FilterBatchStream"), caller().md);
        for (auto &r : list)
            c.send(pack(&r.base));
        c.half_close();
        while (c.recv().has_value()) {
        }
        return why(c.finish());
    };
    Luna__V1__FilterBatchStreamRequest r = LUNA__V1__FILTER_BATCH_STREAM_REQUEST__INIT, next = r;
    r.series = next.series = series.list.data();
    r.n_series = next.n_series = 3;
    EXPECT_EQ(wrong({r}), "BAD_FIELD model");
    r.model = &m.model;
    r.progress_ms = 9;
    EXPECT_EQ(wrong({r}), "BAD_FIELD progress_ms");
    r.progress_ms = 0;
    EXPECT_EQ(wrong({r, next}), "-");
    series.messages[2].n_results = 9;
    EXPECT_EQ(wrong({r}), "BAD_FIELD series[2].results");
    series.messages[2].n_results = 10;
    series.values[1][4] = INFINITY;
    EXPECT_EQ(wrong({r}), "BAD_FIELD series[1].results[4]");
    next.n_series = 0;
    r.n_series = 0;
    EXPECT_EQ(wrong({r, next}), "BAD_FIELD series");
    m.structural.level_variance = nullptr;
    r.n_series = 1;
    EXPECT_EQ(wrong({r}), "BAD_FIELD model.level_variance");
}

TEST(Streams, NameFieldsWithinTheRequest)
{
    LongFit f(100, 1);
    Luna__V1__FitStreamRequest s = LUNA__V1__FIT_STREAM_REQUEST__INIT;
    auto wrong = [&] { return why(ask<Luna__V1__FitResponse>("FitStream", &s.base).outcome); };
    EXPECT_EQ(wrong(), "BAD_FIELD request");
    s.request = &f.fit;
    s.progress_ms = 60001;
    EXPECT_EQ(wrong(), "BAD_FIELD progress_ms");
    s.progress_ms = 0;
    f.y[3] = INFINITY;
    EXPECT_EQ(wrong(), "BAD_FIELD request.results[3]");
    f.fit.max_iterations = -1;
    EXPECT_EQ(wrong(), "BAD_FIELD request.max_iterations");
    f.fit.max_iterations = 0;
    f.arima.p = 33;
    EXPECT_EQ(wrong(), "BAD_FIELD request.model.arima.p");
}

TEST(Streams, ACallerWhoGoesAwayFreesTheThread)
{
    LongFit f(80000, 6);
    Luna__V1__FitStreamRequest s = LUNA__V1__FIT_STREAM_REQUEST__INIT;
    s.request = &f.fit;
    s.progress_ms = 10;
    Call c(caller().ch, Kalman::path("FitStream"), caller().md, 0);
    ASSERT_TRUE(c.send(pack(&s.base)));
    c.half_close();
    for (int i = 0; i < 3; i++)
        ASSERT_TRUE(c.recv().has_value()); /* it computes */
    c.cancel();
    EXPECT_EQ(c.finish().code, 1);
    double running = -1;
    for (int i = 0; i < 2000 && running != 0; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        running = shared().server.metric("luna_compute_running");
    }
    EXPECT_EQ(running, 0);
}

TEST(Streams, WhatDoesNotFitTheQuotaIsNotBegun)
{
    Kalman poor(shared().server.target(), shared().poor);
    LongFit f(80000, 1); /* more than 8 units; the account has 5 */
    Luna__V1__FitStreamRequest s = LUNA__V1__FIT_STREAM_REQUEST__INIT;
    s.request = &f.fit;
    double done = shared().server.metric("luna_compute_done_total");
    auto t = ask<Luna__V1__FitResponse>("FitStream", &s.base, poor);
    EXPECT_EQ(t.outcome.code, 8);
    EXPECT_EQ(why(t.outcome), "QUOTA_SPENT");
    EXPECT_TRUE(t.progress.empty());
    Outcome o = poor.call("Fit", &f.fit.base);
    EXPECT_EQ(o.code, 8);
    EXPECT_EQ(why(o), "QUOTA_SPENT");
    EXPECT_EQ(shared().server.metric("luna_compute_done_total"), done);
    /* Nothing was kept of the refused ones: what fits is answered. */
    f.fit.n_results = 200;
    o = poor.call("Fit", &f.fit.base);
    EXPECT_EQ(o.code, 0) << o.message;
}
