/* Calls of the limiter and of metered methods, for tests on the whole server. */
#ifndef LUNA_TESTS_RPC_GATE_SUPPORT_H
#define LUNA_TESTS_RPC_GATE_SUPPORT_H

#include <gtest/gtest.h>

#include <functional>

#include "core_client.h"
#include "luna/v1/kalman.pb-c.h"
#include "luna/v1/limiter.pb-c.h"
#include "support/eventually.h"
#include "support/luna_server.h"

inline const char kCheck[] = "/luna.v1.LimiterService/Check";
inline const char kFilter[] = "/luna.v1.KalmanService/Filter";
inline const char kQuota[] = "/luna.v1.QuotaService/";
inline const char kLimiter[] = "/luna.v1.LimiterService/";

inline Metadata
bearer(const std::string &key)
{
    return {{"authorization", "Bearer " + key}};
}

inline std::string
bytes_of(const ProtobufCMessage *m)
{
    std::string bytes(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(bytes.data()));
    return bytes;
}

inline bool
has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}

/* The reason of a failed call. */
inline std::string
why(Outcome o)
{
    const std::string details = o.trailers["grpc-status-details-bin"];
    for (const char *reason :
         {"QUOTA_SPENT", "RATE_LIMITED", "CACHE_UNAVAILABLE", "BAD_FIELD", "RESERVATION_NOT_FOUND",
          "RESERVATION_ENDED", "PLAN_NOT_FOUND", "PLAN_EXISTS", "IN_USE", "ACCOUNT_NOT_FOUND"})
        if (has(details, reason))
            return reason;
    return std::to_string(o.code) + " " + o.message;
}

/* A message that was answered, freed with the object. */
template <typename T> class Answer
{
  public:
    Answer(const Outcome &o, const ProtobufCMessageDescriptor *d) : outcome(o)
    {
        if (o.code == 0)
            m_ = reinterpret_cast<T *>(protobuf_c_message_unpack(
                d, nullptr, o.body.size(), reinterpret_cast<const uint8_t *>(o.body.data())));
    }
    ~Answer()
    {
        if (m_)
            protobuf_c_message_free_unpacked(reinterpret_cast<ProtobufCMessage *>(m_), nullptr);
    }
    Answer(const Answer &) = delete;
    bool ok() const
    {
        return m_ != nullptr;
    }
    T *operator->() const
    {
        if (!m_)
            throw std::runtime_error("no answer: " + why(outcome));
        return m_;
    }
    Outcome outcome;

  private:
    T *m_ = nullptr;
};

inline std::string
check_request(int64_t cost, bool dry_run = false)
{
    Luna__V1__CheckRequest r = LUNA__V1__CHECK_REQUEST__INIT;
    r.cost = cost;
    r.dry_run = dry_run;
    return bytes_of(&r.base);
}

/* 1: admitted, 0: refused, -1: failed (it may have been counted). */
inline int
admitted(const Outcome &o)
{
    if (o.code != 0)
        return -1;
    Answer<Luna__V1__CheckResponse> a(o, &luna__v1__check_response__descriptor);
    return a->allowed ? 1 : 0;
}

inline Outcome
filter(const Channel &ch, const std::string &key, size_t n = 3)
{
    std::vector<double> values(n, 5.0);
    Luna__V1__FilterRequest r = LUNA__V1__FILTER_REQUEST__INIT;
    r.n_results = n;
    r.results = values.data();
    r.observation_variance_presence_case =
        LUNA__V1__FILTER_REQUEST__OBSERVATION_VARIANCE_PRESENCE_OBSERVATION_VARIANCE;
    r.observation_variance = 1;
    r.level_variance_presence_case =
        LUNA__V1__FILTER_REQUEST__LEVEL_VARIANCE_PRESENCE_LEVEL_VARIANCE;
    r.level_variance = 1;
    return unary(ch, kFilter, bytes_of(&r.base), bearer(key));
}

#endif
