// A server of the wrapper on a free port, and messages for it.
#ifndef LUNA_TESTS_RPC_FIXTURE_H
#define LUNA_TESTS_RPC_FIXTURE_H

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core_client.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "luna/testing/echo.pb-c.h"
#include "support/eventually.h"
#include "test_server.h"

extern "C" {
extern const struct rpc_service luna_testing_echo_service;
}

inline const std::string kEcho = "/luna.testing.EchoService/Echo";
inline const std::string kObey = "/luna.testing.EchoService/Obey";
inline const std::string kDownload = "/luna.testing.EchoService/Download";
inline const std::string kUpload = "/luna.testing.EchoService/Upload";
inline const std::string kChat = "/luna.testing.EchoService/Chat";

// Ends in the destructor.
class Server
{
  public:
    explicit Server(std::vector<std::string> args = {},
                    std::vector<const struct interceptor *> interceptors = {},
                    bool reuse_port = false)
    {
        std::vector<const char *> argv;
        bool has_address = false;
        for (const std::string &a : args)
            has_address |= a.rfind("--listen-address", 0) == 0;
        if (!has_address)
            args.push_back("--listen-address=127.0.0.1:0");
        args.insert(args.begin(), "--reactors=2"); // what the test says comes after it
        for (const std::string &a : args)
            argv.push_back(a.c_str());
        const struct rpc_service *services[] = {&luna_testing_echo_service};
        struct test_server_options opt = {};
        opt.services = services;
        opt.service_count = 1;
        opt.interceptors = interceptors.data();
        opt.interceptor_count = interceptors.size();
        opt.reuse_port = reuse_port;
        char text[256] = "";
        server_ =
            test_server_start(&opt, static_cast<int>(argv.size()), argv.data(), text, sizeof(text));
        error = text;
    }
    ~Server()
    {
        stop();
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;
    void stop()
    {
        if (server_)
            test_server_stop(server_);
        server_ = nullptr;
    }
    struct test_server *get() const
    {
        return server_;
    }
    std::string address() const
    {
        return "127.0.0.1:" + std::to_string(test_server_port(server_));
    }
    struct test_counts counts(const std::string &path) const
    {
        struct test_counts n = {};
        EXPECT_TRUE(test_server_counts(server_, path.c_str(), &n));
        return n;
    }
    struct test_stats stats() const
    {
        struct test_stats n = {};
        test_server_stats(server_, &n);
        return n;
    }
    std::string error;

  private:
    struct test_server *server_;
};

inline std::string
packed(const ProtobufCMessage *m)
{
    std::string out(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(&out[0]));
    return out;
}

inline std::string
echo_bytes(const std::string &body)
{
    Luna__Testing__EchoMessage m = LUNA__TESTING__ECHO_MESSAGE__INIT;
    m.body.data = reinterpret_cast<uint8_t *>(const_cast<char *>(body.data()));
    m.body.len = body.size();
    return packed(&m.base);
}

struct Command {
    std::string text;
    unsigned sleep_ms = 0;
    unsigned count = 0;
    unsigned bytes = 0;
    unsigned fail_code = 0;
    unsigned violations = 0;
    bool forever = false;
    bool describe = false;
    std::string bytes_on_wire() const
    {
        Luna__Testing__EchoCommand m = LUNA__TESTING__ECHO_COMMAND__INIT;
        m.text = const_cast<char *>(text.c_str());
        m.sleep_ms = sleep_ms;
        m.count = count;
        m.bytes = bytes;
        m.fail_code = fail_code;
        m.violations = violations;
        m.forever = forever;
        m.describe = describe;
        return packed(&m.base);
    }
};

struct Answer {
    std::string text;
    unsigned count;
    unsigned bytes;
};

inline Answer
command_of(const std::string &bytes)
{
    Answer a = {};
    Luna__Testing__EchoCommand *m = luna__testing__echo_command__unpack(
        nullptr, bytes.size(), reinterpret_cast<const uint8_t *>(bytes.data()));
    EXPECT_NE(m, nullptr);
    if (!m)
        return a;
    a = {m->text, m->count, m->bytes};
    luna__testing__echo_command__free_unpacked(m, nullptr);
    return a;
}

// What grpc-status-details-bin says.
struct Details {
    bool present = false;
    int code = 0;
    std::string message;
    std::string reason;
    std::string domain;
    std::vector<std::string> fields;
    double retry_seconds = -1;
    size_t quotas = 0;
};

inline Details
details_of(const Outcome &o)
{
    Details d;
    auto it = o.trailers.find("grpc-status-details-bin");
    if (it == o.trailers.end())
        return d;
    auto *s = google__rpc__status__unpack(nullptr, it->second.size(),
                                          reinterpret_cast<const uint8_t *>(it->second.data()));
    EXPECT_NE(s, nullptr);
    if (!s)
        return d;
    d.present = true;
    d.code = s->code;
    d.message = s->message;
    for (size_t i = 0; i < s->n_details; i++) {
        std::string type = s->details[i]->type_url;
        const ProtobufCBinaryData &v = s->details[i]->value;
        if (type == "type.googleapis.com/google.rpc.ErrorInfo") {
            auto *e = google__rpc__error_info__unpack(nullptr, v.len, v.data);
            d.reason = e->reason;
            d.domain = e->domain;
            google__rpc__error_info__free_unpacked(e, nullptr);
        } else if (type == "type.googleapis.com/google.rpc.BadRequest") {
            auto *b = google__rpc__bad_request__unpack(nullptr, v.len, v.data);
            for (size_t k = 0; k < b->n_field_violations; k++)
                d.fields.push_back(std::string(b->field_violations[k]->field) + " " +
                                   b->field_violations[k]->description);
            google__rpc__bad_request__free_unpacked(b, nullptr);
        } else if (type == "type.googleapis.com/google.rpc.RetryInfo") {
            auto *r = google__rpc__retry_info__unpack(nullptr, v.len, v.data);
            d.retry_seconds =
                static_cast<double>(r->retry_delay->seconds) + r->retry_delay->nanos * 1e-9;
            google__rpc__retry_info__free_unpacked(r, nullptr);
        } else if (type == "type.googleapis.com/google.rpc.QuotaFailure") {
            auto *q = google__rpc__quota_failure__unpack(nullptr, v.len, v.data);
            d.quotas = q->n_violations;
            google__rpc__quota_failure__free_unpacked(q, nullptr);
        } else {
            ADD_FAILURE() << "unknown detail " << type;
        }
    }
    google__rpc__status__free_unpacked(s, nullptr);
    return d;
}

#endif
