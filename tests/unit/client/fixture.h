/* A script server with a lambda as its script, and a channel to it. */
#ifndef LUNA_TESTS_UNIT_CLIENT_FIXTURE_H
#define LUNA_TESTS_UNIT_CLIENT_FIXTURE_H

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

extern "C" {
#include "grpc/testing/test.client.h"
#include "unit/client/script_server.h"
}

using Script = std::function<void(script_call *)>;

class Server
{
  public:
    explicit Server(Script script, const std::string &address = "127.0.0.1:0",
                    const char *certificate = nullptr, const char *key = nullptr)
        : script_(std::move(script))
    {
        server_ = script_server_start(address.c_str(), certificate, key, run, &script_);
    }
    ~Server()
    {
        script_server_stop(server_);
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;
    std::string target() const
    {
        return "127.0.0.1:" + std::to_string(script_server_port(server_));
    }

  private:
    static void run(script_call *call, void *arg)
    {
        (*static_cast<Script *>(arg))(call);
    }
    Script script_;
    script_server *server_;
};

class Channel
{
  public:
    explicit Channel(const std::string &target, luna_channel_options options = {})
    {
        const char *error = nullptr;
        options.target = target.c_str();
        channel_ = luna_channel_new(&options, &error);
        EXPECT_NE(channel_, nullptr) << error;
    }
    ~Channel()
    {
        luna_channel_free(channel_);
    }
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;
    operator luna_channel *() const
    {
        return channel_;
    }

  private:
    luna_channel *channel_;
};

/* A request whose payload is `body`. */
struct Request {
    explicit Request(const std::string &body = "") : text(body)
    {
        grpc__testing__simple_request__init(&message);
        grpc__testing__payload__init(&payload);
        payload.body.data = reinterpret_cast<uint8_t *>(text.data());
        payload.body.len = text.size();
        message.payload = &payload;
    }
    std::string text;
    Grpc__Testing__SimpleRequest message;
    Grpc__Testing__Payload payload;
};

/* A unary call and what came of it. */
struct Call {
    Call(luna_channel *channel, const std::string &body, const luna_call_options *options = nullptr,
         bool idempotent = false)
    {
        Request request(body);
        luna_method method = luna_grpc_testing_test_unary_call_method;
        method.idempotent = idempotent;
        const ProtobufCMessage *m = nullptr;
        code = luna_call_unary(channel, options, &method, &request.message.base, &reply, &m);
        EXPECT_EQ(m != nullptr, code == LUNA_OK);
        auto *response = reinterpret_cast<const Grpc__Testing__SimpleResponse *>(m);
        if (response && response->payload)
            text.assign(reinterpret_cast<const char *>(response->payload->body.data),
                        response->payload->body.len);
    }
    ~Call()
    {
        luna_reply_free(reply);
    }
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;
    luna_code code;
    luna_reply *reply = nullptr;
    std::string text;
};

/* Receives one SimpleRequest and answers it with its payload. */
void echo(script_call *call);
/* An encoded response whose payload is `body`. */
std::string response(const std::string &body);

inline int64_t
elapsed_ms(std::chrono::steady_clock::time_point since)
{
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now() - since).count();
}

#endif
