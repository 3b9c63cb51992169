/* A walk over a log gives the bytes of the batch filter, however the log came to be. */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <random>

extern "C" {
#include "kalman/durable_state.h"
#include "kalman/stats.h"
}

namespace
{

struct Arena {
    struct arena a;
    Arena()
    {
        arena_init(&a, 0);
    }
    ~Arena()
    {
        arena_fini(&a);
    }
    Arena(const Arena &) = delete;
};

const struct model_value kOne = {true, 1}, kTenth = {true, 0.1}, kHundredth = {true, 0.01};
const struct model_seasonal kSeasons[] = {{4, false, 0, kHundredth}, {7, true, 2, {true, 0}}};
const double kAr[] = {0.5, 0.2}, kMa[] = {0.4};
const double kZ[] = {1, 0, 0.5, 1}, kH[] = {1, 0.3, 0.3, 2}, kT[] = {0.9, 0.1, 0, 0.7};
const double kQ[] = {0.5, 0.1, 0.1, 0.4};

std::vector<struct model_spec>
specs()
{
    std::vector<struct model_spec> all;
    struct model_spec s = {};
    s.kind = MODEL_STRUCTURAL;
    s.structural.trend = MODEL_LOCAL_LEVEL;
    s.structural.observation_variance = kOne;
    s.structural.level_variance = kTenth;
    all.push_back(s);
    s.structural.observation_variance = {true, 0}; /* every value is the level */
    all.push_back(s);
    s.structural.observation_variance = kOne;
    s.structural.trend = MODEL_LINEAR_TREND;
    s.structural.slope_variance = kHundredth;
    s.structural.seasonals = kSeasons;
    s.structural.seasonal_count = 2;
    all.push_back(s);
    s.structural.seasonal_count = 0;
    s.structural.cycle = true;
    s.structural.cycle_period = {true, 6};
    s.structural.cycle_damping = {true, 0.9};
    s.structural.cycle_variance = kTenth;
    all.push_back(s);
    s = {};
    s.kind = MODEL_ARIMA;
    s.arima.p = 2;
    s.arima.d = 1;
    s.arima.q = 1;
    s.arima.ar = kAr;
    s.arima.ma = kMa;
    s.arima.variance = kOne;
    all.push_back(s);
    for (auto kind : {MODEL_VELOCITY, MODEL_ACCELERATION, MODEL_ORNSTEIN_UHLENBECK}) {
        s = {};
        s.kind = MODEL_MOTION;
        s.motion.kind = kind;
        s.motion.axes = kind == MODEL_VELOCITY ? 2 : 1;
        s.motion.observation_variance = kOne;
        s.motion.intensity = kTenth;
        s.motion.rate = kOne;
        all.push_back(s);
    }
    s = {};
    s.kind = MODEL_FREE;
    s.free.p = s.free.m = s.free.r = 2;
    s.free.z = kZ;
    s.free.h = kH;
    s.free.t = kT;
    s.free.q = kQ;
    all.push_back(s);
    return all;
}

struct Observation {
    double time;
    int64_t sequence;
    std::vector<double> values;
    bool operator<(const Observation &o) const
    {
        return time != o.time ? time < o.time : sequence < o.sequence;
    }
};

struct State {
    std::string bytes;
    double time = -INFINITY;
    int64_t sequence = 0, since = 0;
};

/* What the server does, with the log and the checkpoints in memory. */
class Filter
{
  public:
    Filter(const struct model_spec &spec, int64_t since) : spec_(spec), since_(since)
    {
        head_.since = since;
    }
    void append(std::vector<Observation> news)
    {
        std::sort(news.begin(), news.end());
        State from = head_;
        if (!log_.empty() && news.front() < log_.back()) {
            checkpoints_.erase(checkpoints_.upper_bound(key(news.front())), checkpoints_.end());
            from = {};
            from.since = since_;
            if (!checkpoints_.empty())
                from = checkpoints_.rbegin()->second;
        }
        log_.insert(log_.end(), news.begin(), news.end());
        std::sort(log_.begin(), log_.end());
        Observation last = {from.time, from.sequence, {}};
        auto begin = std::upper_bound(log_.begin(), log_.end(), last);
        walk(from, {begin, log_.end()});
    }
    /* As after a loss of the cache. */
    void rebuild()
    {
        State from;
        from.since = since_;
        if (!checkpoints_.empty())
            from = checkpoints_.rbegin()->second;
        Observation last = {from.time, from.sequence, {}};
        walk(from, {std::upper_bound(log_.begin(), log_.end(), last), log_.end()});
    }
    const State &head() const
    {
        return head_;
    }
    size_t checkpoint_count() const
    {
        return checkpoints_.size();
    }
    const std::vector<Observation> &log() const
    {
        return log_;
    }

  private:
    static std::pair<double, int64_t> key(const Observation &o)
    {
        return {o.time, o.sequence};
    }
    void walk(const State &from, std::vector<Observation> list)
    {
        Arena mem;
        struct durable_walk w;
        struct str state = {from.bytes.data(), from.bytes.size()};
        ASSERT_TRUE(
            durable_walk_init(&w, &spec_, &mem.a, state, from.time, from.sequence, from.since));
        w.want_checkpoints = true;
        std::vector<double> times, numbers;
        std::vector<int64_t> sequences;
        for (const Observation &o : list) {
            times.push_back(o.time);
            sequences.push_back(o.sequence);
            numbers.insert(numbers.end(), o.values.begin(), o.values.end());
        }
        struct durable_series s = {times.data(), sequences.data(), numbers.data(), list.size()};
        ASSERT_TRUE(durable_walk_on(&w, &s, nullptr));
        for (size_t i = 0; i < w.checkpoint_count; i++) {
            const auto &c = w.checkpoints[i];
            State kept;
            kept.bytes.assign(c.state.p, c.state.n);
            kept.time = c.time;
            kept.sequence = c.sequence;
            checkpoints_[{c.time, c.sequence}] = kept;
        }
        struct str bytes = durable_walk_state(&w);
        head_.bytes.assign(bytes.p, bytes.n);
        head_.time = w.time;
        head_.sequence = w.sequence;
        head_.since = w.since;
        durable_walk_fini(&w);
    }
    struct model_spec spec_;
    int64_t since_;
    std::vector<Observation> log_;
    std::map<std::pair<double, int64_t>, State> checkpoints_;
    State head_;
};

/* Everything an estimate says, as bytes. */
std::string
text_of(const struct durable_estimate &e)
{
    std::string out;
    auto add = [&](const double *x, size_t n) {
        out.append(reinterpret_cast<const char *>(x), n * sizeof(double));
    };
    add(e.signal, e.series);
    add(e.signal_variances, e.series);
    add(e.means, e.states);
    add(e.variances, e.states);
    add(&e.log_likelihood, 1);
    return out;
}

std::string
text_of(const struct model_spec &spec, const State &s)
{
    Arena mem;
    struct durable_walk w;
    struct durable_estimate e = {};
    struct str state = {s.bytes.data(), s.bytes.size()};
    EXPECT_TRUE(durable_walk_init(&w, &spec, &mem.a, state, s.time, s.sequence, s.since));
    durable_walk_estimate(&w, &mem.a, &e);
    durable_walk_fini(&w);
    return text_of(e);
}

/* The last row of the batch filter over the log. */
std::string
batch(struct model_spec spec, const std::vector<Observation> &log)
{
    Arena mem;
    std::vector<double> times, y;
    for (const Observation &o : log) {
        times.push_back(o.time);
        y.insert(y.end(), o.values.begin(), o.values.end());
    }
    if (spec.kind == MODEL_MOTION)
        spec.times = times.data();
    size_t n = log.size();
    struct model *m = model_new(&spec, n, &mem.a);
    model_apply(m);
    struct ssm_filtered f;
    EXPECT_TRUE(ssm_filter(&m->s, y.data(), SSM_KEEP_FILTERED, &mem.a, nullptr, &f));
    size_t k = m->s.m, p = m->s.p, states = k - m->noise_states;
    const double *ptt = f.ptt + (n - 1) * k * k;
    std::vector<double> signal(p), variances(p), diagonal(states);
    struct durable_estimate e = {};
    e.series = p;
    e.states = states;
    e.means = f.att + (n - 1) * k;
    e.signal = signal.data();
    e.signal_variances = variances.data();
    e.variances = diagonal.data();
    for (size_t j = 0; j < states; j++)
        diagonal[j] = ptt[j * k + j];
    for (size_t i = 0; i < p; i++) {
        const double *z = m->s.z.x + i * k;
        double x = m->s.d.x ? m->s.d.x[i] : 0, v = 0;
        for (size_t j = 0; j < states; j++)
            x += z[j] * e.means[j];
        for (size_t j = 0; j < states; j++)
            for (size_t l = 0; z[j] != 0 && l < states; l++)
                v += z[l] != 0 ? z[j] * z[l] * ptt[j * k + l] : 0;
        signal[i] = x;
        variances[i] = fmax(0, v);
    }
    e.log_likelihood = ssm_log_likelihood(&f, SSM_FULL);
    return text_of(e);
}

std::vector<Observation>
random_history(std::mt19937_64 &rnd, size_t n, size_t series)
{
    std::vector<Observation> all;
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < n; i++) {
        Observation o;
        o.time = static_cast<double>(rnd() % (2 * n)) / 4; /* some at the same time */
        o.sequence = static_cast<int64_t>(1 + i);
        for (size_t k = 0; k < series; k++)
            o.values.push_back(rnd() % 12 ? 10 + normal(rnd) : NAN);
        all.push_back(o);
    }
    std::shuffle(all.begin(), all.end(), rnd);
    return all;
}

/* Appends in pieces, in the order given, with losses of the cache. */
void
expect_batch(const struct model_spec &spec, const std::vector<Observation> &history,
             std::mt19937_64 &rnd, int64_t since, size_t *ret_checkpoints)
{
    Filter f(spec, since);
    for (size_t i = 0; i < history.size();) {
        size_t n = std::min<size_t>(1 + (rnd() % 4 == 0 ? rnd() % 9 : 0), history.size() - i);
        f.append(
            {history.begin() + static_cast<long>(i), history.begin() + static_cast<long>(i + n)});
        i += n;
        if (rnd() % 16 == 0)
            f.rebuild();
    }
    *ret_checkpoints += f.checkpoint_count();
    ASSERT_EQ(text_of(spec, f.head()), batch(spec, f.log()));
}

TEST(DurableWalk, TenThousandHistoriesInAnyOrder)
{
    auto all = specs();
    size_t checkpoints = 0;
    for (unsigned seed = 0; seed < 10000 && !::testing::Test::HasFatalFailure(); seed++) {
        std::mt19937_64 rnd(seed);
        const struct model_spec &spec = all[seed % all.size()];
        auto history = random_history(rnd, 2 + rnd() % 24, model_series(&spec));
        /* Short of a checkpoint at the start, so that short histories have one as well. */
        auto since = static_cast<int64_t>(DURABLE_CHECKPOINT - rnd() % 30 - 1);
        SCOPED_TRACE(seed);
        expect_batch(spec, history, rnd, since, &checkpoints);
    }
    EXPECT_GT(checkpoints, 3000u);
}

TEST(DurableWalk, LongHistoriesReachTheSteadyState)
{
    auto all = specs();
    size_t checkpoints = 0;
    for (unsigned seed = 0; seed < all.size(); seed++) {
        std::mt19937_64 rnd(seed + 77);
        const struct model_spec &spec = all[seed];
        auto history = random_history(rnd, 1800, model_series(&spec));
        std::sort(history.begin(), history.end());
        for (Observation &o : history)
            for (double &x : o.values)
                x = std::isnan(x) && rnd() % 20 ? 10 : x; /* few are missing: gains settle */
        for (int late = 0; late < 20; late++)
            std::swap(history[rnd() % 1800], history[rnd() % 1800]);
        SCOPED_TRACE(seed);
        expect_batch(spec, history, rnd, 0, &checkpoints);
    }
    EXPECT_GE(checkpoints, 3 * all.size());
}

TEST(DurableHead, IsReadAsItWasWritten)
{
    Arena mem;
    struct durable_head h = {}, back = {};
    h.key = {7, 8, 9};
    h.position = 3;
    h.max_sequence = 12;
    h.since = 3;
    h.time = -2.5;
    h.sequence = 11;
    h.model = STR("model");
    h.state = STR("state of it");
    struct str bytes = durable_head_pack(&mem.a, &h);
    ASSERT_TRUE(durable_head_unpack(bytes, &back));
    EXPECT_EQ(back.key.filter_key, 8);
    EXPECT_EQ(back.key.generation, 9);
    EXPECT_EQ(back.position, 3);
    EXPECT_EQ(back.time, -2.5);
    EXPECT_EQ(std::string(back.model.p, back.model.n), "model");
    EXPECT_EQ(std::string(back.state.p, back.state.n), "state of it");
    for (size_t n = 0; n < bytes.n; n++)
        EXPECT_FALSE(durable_head_unpack({bytes.p, n}, &back)) << n;
    std::string other(bytes.p, bytes.n);
    other[4] ^= 1; /* another format */
    EXPECT_FALSE(durable_head_unpack({other.data(), other.size()}, &back));
}

TEST(DurableWalk, RefusesAStateOfAnotherModel)
{
    Arena mem;
    auto all = specs();
    struct durable_walk w;
    ASSERT_TRUE(durable_walk_init(&w, &all[0], &mem.a, {nullptr, 0}, -INFINITY, 0, 0));
    struct str state = durable_walk_state(&w);
    durable_walk_fini(&w);
    EXPECT_TRUE(durable_walk_init(&w, &all[0], &mem.a, state, 0, 0, 0));
    durable_walk_fini(&w);
    EXPECT_FALSE(durable_walk_init(&w, &all[2], &mem.a, state, 0, 0, 0));
    durable_walk_fini(&w);
    for (size_t n = 1; n < state.n; n++) {
        EXPECT_FALSE(durable_walk_init(&w, &all[0], &mem.a, {state.p, n}, 0, 0, 0)) << n;
        durable_walk_fini(&w);
    }
}

} // namespace
