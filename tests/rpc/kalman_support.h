/* Models, observations and calls for tests of the whole KalmanService. */
#ifndef LUNA_TESTS_RPC_KALMAN_SUPPORT_H
#define LUNA_TESTS_RPC_KALMAN_SUPPORT_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "core_client.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "luna/v1/kalman.pb-c.h"
#include "support/luna_server.h"

inline std::string
pack(const ProtobufCMessage *m)
{
    std::string bytes(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(bytes.data()));
    return bytes;
}

template <typename T> using owned = std::unique_ptr<T, void (*)(T *)>;

template <typename T>
owned<T>
unpack(const std::string &bytes, const ProtobufCMessageDescriptor &d)
{
    auto *m = protobuf_c_message_unpack(&d, nullptr, bytes.size(),
                                        reinterpret_cast<const uint8_t *>(bytes.data()));
    return owned<T>(reinterpret_cast<T *>(m), [](T *p) {
        protobuf_c_message_free_unpacked(reinterpret_cast<ProtobufCMessage *>(p), nullptr);
    });
}

/* "REASON field, field" of a failure. */
inline std::string
why(const Outcome &o)
{
    auto it = o.trailers.find("grpc-status-details-bin");
    if (it == o.trailers.end())
        return "-";
    auto s = unpack<Google__Rpc__Status>(it->second, google__rpc__status__descriptor);
    std::string reason, fields;
    for (size_t i = 0; s && i < s->n_details; i++) {
        const ProtobufCBinaryData &v = s->details[i]->value;
        std::string bytes(reinterpret_cast<const char *>(v.data), v.len),
            type = s->details[i]->type_url;
        if (type.find("ErrorInfo") != std::string::npos)
            reason =
                unpack<Google__Rpc__ErrorInfo>(bytes, google__rpc__error_info__descriptor)->reason;
        if (type.find("BadRequest") == std::string::npos)
            continue;
        auto b = unpack<Google__Rpc__BadRequest>(bytes, google__rpc__bad_request__descriptor);
        for (size_t k = 0; k < b->n_field_violations; k++)
            fields += std::string(" ") + b->field_violations[k]->field;
    }
    return reason + fields;
}

/* Models that tests filter with, their numbers given. */
class TestModel
{
  public:
    enum Kind { LEVEL, SEASONAL, MOTION, PAIR };
    explicit TestModel(Kind kind) : kind_(kind)
    {
        luna__v1__model__init(&model);
        luna__v1__structural_model__init(&structural);
        luna__v1__motion_model__init(&motion);
        luna__v1__free_model__init(&free);
        luna__v1__seasonal__init(&season);
        for (auto *n : {&h, &q, &s})
            google__protobuf__double_value__init(n);
        h.value = 15099;
        q.value = 1469.1;
        s.value = 3;
        structural.observation_variance = motion.observation_variance = &h;
        structural.level_variance = motion.intensity = &q;
        model.kind_case = LUNA__V1__MODEL__KIND_STRUCTURAL;
        model.structural = &structural;
        if (kind == SEASONAL) {
            structural.trend = LUNA__V1__TREND__TREND_LOCAL_LINEAR;
            structural.slope_variance = &s;
            season.period = 4;
            season.variance = &s;
            structural.seasonals = &seasons;
            structural.n_seasonals = 1;
        }
        if (kind == MOTION) {
            model.kind_case = LUNA__V1__MODEL__KIND_MOTION;
            model.motion = &motion;
            motion.kind = LUNA__V1__MOTION_KIND__MOTION_KIND_CONSTANT_VELOCITY;
        }
        if (kind == PAIR) {
            model.kind_case = LUNA__V1__MODEL__KIND_FREE;
            model.free = &free;
            free.series = free.states = 2;
            free.z = free.t = identity;
            free.q = noise;
            free.h = correlated;
            free.n_z = free.n_t = free.n_q = free.n_h = 4;
        }
    }
    TestModel(const TestModel &) = delete;
    size_t series() const
    {
        return kind_ == PAIR ? 2 : 1;
    }
    Luna__V1__Model model;
    Luna__V1__StructuralModel structural;
    Luna__V1__MotionModel motion;
    Luna__V1__FreeModel free;
    Luna__V1__Seasonal season, *seasons = &season;
    Google__Protobuf__DoubleValue h, q, s;

  private:
    Kind kind_;
    double identity[4] = {1, 0, 0, 1}, noise[4] = {2, 0.5, 0.5, 1}, correlated[4] = {3, 1, 1, 4};
};

struct Observation {
    int64_t sequence;
    double time;
    std::vector<double> values;
    bool operator<(const Observation &o) const
    {
        return time != o.time ? time < o.time : sequence < o.sequence;
    }
};

inline std::vector<Observation>
random_history(std::mt19937_64 &rnd, size_t n, size_t series)
{
    std::vector<Observation> all;
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < n; i++) {
        Observation o = {static_cast<int64_t>(i + 1), static_cast<double>(rnd() % (2 * n)) / 4, {}};
        for (size_t k = 0; k < series; k++)
            o.values.push_back(rnd() % 10 ? 1000 + 100 * normal(rnd) : NAN);
        all.push_back(o);
    }
    std::shuffle(all.begin(), all.end(), rnd);
    return all;
}

/* Messages of observations. */
class Observations
{
  public:
    explicit Observations(const std::vector<Observation> &from)
        : list_(from), messages_(from.size())
    {
        for (size_t i = 0; i < list_.size(); i++) {
            luna__v1__filter_observation__init(&messages_[i]);
            messages_[i].sequence = list_[i].sequence;
            messages_[i].time = list_[i].time;
            messages_[i].values = list_[i].values.data();
            messages_[i].n_values = list_[i].values.size();
            pointers_.push_back(&messages_[i]);
        }
    }
    Observations(const Observations &) = delete;
    Luna__V1__FilterObservation **data()
    {
        return pointers_.data();
    }
    size_t size() const
    {
        return pointers_.size();
    }

  private:
    std::vector<Observation> list_;
    std::vector<Luna__V1__FilterObservation> messages_;
    std::vector<Luna__V1__FilterObservation *> pointers_;
};

/* All numbers of an estimate as bytes. */
inline std::string
bytes_of(const Luna__V1__FilterEstimate *e)
{
    std::string out;
    auto add = [&](const double *x, size_t n) {
        out.append(reinterpret_cast<const char *>(x), n * sizeof(double));
    };
    if (!e)
        return out;
    add(e->signal, e->n_signal);
    add(e->signal_variances, e->n_signal_variances);
    add(e->states, e->n_states);
    add(e->variances, e->n_variances);
    add(&e->log_likelihood, 1);
    return out;
}

class Kalman
{
  public:
    Kalman(const std::string &target, const std::string &key)
        : ch(target), md({{"authorization", "Bearer " + key}})
    {
    }
    Outcome call(const char *method, const ProtobufCMessage *req, int deadline_ms = 30000)
    {
        return unary(ch, path(method), pack(req), md, deadline_ms);
    }
    static std::string path(const char *method)
    {
        return std::string("/luna.v1.KalmanService/") + method;
    }
    Outcome create(const std::string &id, const TestModel &m)
    {
        Luna__V1__CreateFilterRequest r = LUNA__V1__CREATE_FILTER_REQUEST__INIT;
        r.filter_id = const_cast<char *>(id.c_str());
        r.model = const_cast<Luna__V1__Model *>(&m.model);
        return call("CreateFilter", &r.base);
    }
    Outcome append(const std::string &id, const std::vector<Observation> &list,
                   int deadline_ms = 30000)
    {
        Luna__V1__AppendRequest r = LUNA__V1__APPEND_REQUEST__INIT;
        Observations o(list);
        r.filter_id = const_cast<char *>(id.c_str());
        r.observations = o.data();
        r.n_observations = o.size();
        return call("Append", &r.base, deadline_ms);
    }
    Outcome get_raw(const std::string &id)
    {
        Luna__V1__GetFilterRequest r = LUNA__V1__GET_FILTER_REQUEST__INIT;
        r.filter_id = const_cast<char *>(id.c_str());
        return call("GetFilter", &r.base);
    }
    owned<Luna__V1__GetFilterResponse> get(const std::string &id)
    {
        Outcome o = get_raw(id);
        EXPECT_EQ(o.code, 0) << o.message;
        return unpack<Luna__V1__GetFilterResponse>(o.body,
                                                   luna__v1__get_filter_response__descriptor);
    }
    /* The last row of Filter over the observations in order of time, as bytes_of. */
    std::string batch(TestModel &m, std::vector<Observation> list)
    {
        std::sort(list.begin(), list.end());
        std::vector<double> y, times;
        for (const Observation &o : list) {
            times.push_back(o.time);
            y.insert(y.end(), o.values.begin(), o.values.end());
        }
        Luna__V1__FilterRequest r = LUNA__V1__FILTER_REQUEST__INIT;
        r.results = y.data();
        r.n_results = y.size();
        r.model = &m.model;
        r.include_variances = r.include_log_likelihood = true;
        m.motion.times = times.data();
        m.motion.n_times = times.size();
        Outcome o = call("Filter", &r.base);
        m.motion.n_times = 0;
        EXPECT_EQ(o.code, 0) << o.message;
        auto f = unpack<Luna__V1__FilterResponse>(o.body, luna__v1__filter_response__descriptor);
        return f ? last_row(*f, m.series(), list.size() - 1) : "";
    }
    Channel ch;
    Metadata md;

  private:
    static std::string last_row(const Luna__V1__FilterResponse &f, size_t p, size_t t)
    {
        std::vector<double> states, variances;
        for (size_t i = 0; i < f.n_states; i++) {
            states.push_back(f.states[i]->values[t]);
            variances.push_back(f.states[i]->variances[t]);
        }
        Luna__V1__FilterEstimate e = LUNA__V1__FILTER_ESTIMATE__INIT;
        e.signal = f.processed_results + t * p;
        e.signal_variances = f.filtered_variances + t * p;
        e.n_signal = e.n_signal_variances = p;
        e.states = states.data();
        e.variances = variances.data();
        e.n_states = e.n_variances = states.size();
        e.log_likelihood = f.log_likelihood;
        return bytes_of(&e);
    }
};

inline void
flush_redis(const redis_server &redis)
{
    int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", redis.socket().c_str());
    char reply[16] = {};
    ASSERT_EQ(connect(fd, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)), 0);
    ASSERT_EQ(write(fd, "FLUSHALL\r\n", 10), 10);
    ASSERT_GT(read(fd, reply, sizeof(reply) - 1), 0);
    close(fd);
    ASSERT_EQ(reply[0], '+');
}

#endif
