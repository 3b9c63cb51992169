/* Channels, credentials, metadata, deadlines: what one unary call sends and what comes back. */
#include <atomic>
#include <cstdlib>
#include <thread>

#include "unit/client/fixture.h"

extern "C" {
#include "unit/client/certificate.h"
}

namespace
{

const char *
options_error(luna_channel_options options)
{
    const char *error = nullptr;
    luna_channel *channel = luna_channel_new(&options, &error);
    EXPECT_EQ(channel, nullptr);
    luna_channel_free(channel);
    return error ? error : "";
}

TEST(Channel, SaysWhichOptionIsWrong)
{
    luna_channel_options o = {};
    EXPECT_STREQ(options_error(o), "target is empty");
    o.target = "127.0.0.1:1";
    o.api_key = "k";
    o.bearer_token = "t";
    EXPECT_STREQ(options_error(o), "api_key and bearer_token cannot be used together");
    o.bearer_token = nullptr;
    o.api_key = "luna_1\n";
    EXPECT_STREQ(options_error(o), "api_key has characters that no key has");
    o.api_key = nullptr;
    o.root_certificates = "x";
    EXPECT_STREQ(options_error(o), "certificates need tls");
    o.tls = true;
    o.certificate = "x";
    EXPECT_STREQ(options_error(o), "certificate and private_key go together");
}

TEST(Channel, CallsAndAnswers)
{
    std::string path;
    Server server([&](script_call *c) {
        path = script_path(c);
        echo(c);
    });
    Channel channel(server.target());
    EXPECT_EQ(server.target(), luna_channel_target(channel));
    Call call(channel, "hello");
    EXPECT_EQ(call.code, LUNA_OK);
    EXPECT_EQ(call.text, "hello");
    EXPECT_EQ(path, "/grpc.testing.TestService/UnaryCall");
    EXPECT_EQ(luna_reply_attempts(call.reply), 1u);
    EXPECT_STREQ(luna_reply_text(call.reply), "OK");
    EXPECT_STREQ(luna_reply_message(call.reply), "");
    EXPECT_EQ(luna_reply_retry_after_ms(call.reply), -1);
}

TEST(Channel, LargeAndEmptyMessages)
{
    Server server(echo);
    Channel channel(server.target());
    Call empty(channel, "");
    EXPECT_EQ(empty.code, LUNA_OK);
    std::string large(3 << 20, 'x');
    large[1234567] = 'y';
    Call call(channel, large);
    EXPECT_EQ(call.code, LUNA_OK);
    EXPECT_EQ(call.text, large);
}

TEST(Channel, RefusesResponsesOverItsLimit)
{
    Server server([](script_call *c) {
        size_t n;
        free(script_recv(c, &n));
        std::string out = response(std::string(5000, 'x'));
        script_send(c, out.data(), out.size());
        script_finish(c, 0, "", nullptr, 0);
    });
    luna_channel_options options = {};
    options.max_receive_bytes = 4096;
    Channel channel(server.target(), options);
    Call call(channel, "");
    EXPECT_EQ(call.code, LUNA_RESOURCE_EXHAUSTED) << luna_reply_text(call.reply);
}

TEST(Channel, SendsCredentialsAgentAndMetadata)
{
    std::string key, agent, trace, binary;
    Server server([&](script_call *c) {
        char value[200];
        key = script_metadata(c, "x-api-key", value, sizeof(value)) ? value : "";
        agent = script_metadata(c, "user-agent", value, sizeof(value)) ? value : "";
        trace = script_metadata(c, "traceparent", value, sizeof(value)) ? value : "";
        binary = script_metadata(c, "blob-bin", value, sizeof(value)) ? std::string(value, 3) : "";
        static const char *const headers[] = {"x-served-by", "test", nullptr};
        script_headers(c, headers);
        echo(c);
    });
    luna_channel_options options = {};
    options.api_key = "luna_abc";
    options.user_agent = "probe/1";
    Channel channel(server.target(), options);
    const luna_metadata pairs[] = {{"traceparent", "00-x", 0}, {"blob-bin", "\0\1\377", 3}};
    luna_call_options call_options = {};
    call_options.metadata = pairs;
    call_options.metadata_count = 2;
    Call call(channel, "", &call_options);
    ASSERT_EQ(call.code, LUNA_OK) << luna_reply_text(call.reply);
    EXPECT_EQ(key, "luna_abc");
    EXPECT_EQ(agent.rfind("probe/1 luna-c/" LUNA_CLIENT_VERSION, 0), 0u) << agent;
    EXPECT_EQ(trace, "00-x");
    EXPECT_EQ(binary, std::string("\0\1\377", 3));
    size_t size = 0;
    EXPECT_STREQ(luna_reply_metadata(call.reply, "x-served-by", &size), "test");
    EXPECT_EQ(size, 4u);
    EXPECT_EQ(luna_reply_metadata(call.reply, "absent", nullptr), nullptr);
    luna_metadata pair;
    EXPECT_TRUE(luna_reply_metadata_at(call.reply, 0, &pair));
    EXPECT_FALSE(luna_reply_metadata_at(call.reply, 1000, &pair));
}

TEST(Channel, SendsBearerTokens)
{
    std::string got;
    Server server([&](script_call *c) {
        char value[200];
        got = script_metadata(c, "authorization", value, sizeof(value)) ? value : "";
        echo(c);
    });
    luna_channel_options options = {};
    options.bearer_token = "a.b.c";
    Channel channel(server.target(), options);
    EXPECT_EQ(Call(channel, "").code, LUNA_OK);
    EXPECT_EQ(got, "Bearer a.b.c");
}

TEST(Channel, RefusesMetadataThatHttpCannotCarry)
{
    Server server(echo);
    Channel channel(server.target());
    for (luna_metadata pair : {luna_metadata{"Upper", "x", 0}, luna_metadata{"", "x", 0},
                               luna_metadata{"key", "line\nbreak", 0}}) {
        luna_call_options options = {};
        options.metadata = &pair;
        options.metadata_count = 1;
        Call call(channel, "", &options);
        EXPECT_EQ(call.code, LUNA_INVALID_ARGUMENT) << pair.key;
        EXPECT_EQ(luna_reply_attempts(call.reply), 0u);
        luna_stream *s = luna_grpc_testing_test_full_duplex_call(channel, &options);
        const Grpc__Testing__StreamingOutputCallResponse *m;
        EXPECT_EQ(luna_grpc_testing_test_full_duplex_call_recv(s, &m), LUNA_INVALID_ARGUMENT);
        EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_INVALID_ARGUMENT);
        luna_stream_free(s);
    }
}

TEST(Channel, SendsItsDeadline)
{
    int64_t left = 0;
    Server server([&](script_call *c) {
        left = script_deadline_ms(c);
        echo(c);
    });
    Channel channel(server.target());
    EXPECT_EQ(Call(channel, "").code, LUNA_OK);
    EXPECT_GT(left, 25000);
    EXPECT_LE(left, 30000 * 102 / 100); /* the wire format rounds up */
    luna_call_options options = {};
    options.timeout_ms = 5000;
    EXPECT_EQ(Call(channel, "", &options).code, LUNA_OK);
    EXPECT_GT(left, 3000);
    EXPECT_LE(left, 5000 * 102 / 100);
    options.timeout_ms = LUNA_NO_TIMEOUT;
    EXPECT_EQ(Call(channel, "", &options).code, LUNA_OK);
    EXPECT_EQ(left, -1);
}

TEST(Channel, GivesUpAtTheDeadline)
{
    std::atomic<int> arrived{0}, cancelled{0};
    {
        Server server([&](script_call *c) {
            arrived++;
            cancelled += script_wait_cancelled(c);
        });
        Channel channel(server.target());
        luna_call_options options = {};
        options.timeout_ms = 300;
        auto start = std::chrono::steady_clock::now();
        Call call(channel, "", &options, true);
        EXPECT_EQ(call.code, LUNA_DEADLINE_EXCEEDED);
        EXPECT_EQ(luna_reply_attempts(call.reply), 1u);
        EXPECT_GE(elapsed_ms(start), 290);
    }
    EXPECT_EQ(cancelled, arrived) << "a busy machine may let the deadline pass before it arrives";
}

TEST(Channel, SaysWhenNobodyListens)
{
    std::string target;
    {
        Server gone(echo);
        target = gone.target();
    }
    luna_channel_options options = {};
    options.max_attempts = 1;
    Channel channel(target, options);
    Call call(channel, "");
    EXPECT_EQ(call.code, LUNA_UNAVAILABLE);
    EXPECT_NE(std::string(luna_reply_message(call.reply)), "");
}

TEST(Channel, WaitsForTheServerWhenAsked)
{
    std::string address;
    {
        Server gone(echo);
        address = gone.target();
    }
    Channel channel(address);
    luna_call_options options = {};
    options.wait_for_ready = true;
    options.timeout_ms = 20000;
    std::unique_ptr<Server> server;
    std::thread late([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        server = std::make_unique<Server>(echo, address);
    });
    Call call(channel, "patient", &options);
    late.join();
    EXPECT_EQ(call.code, LUNA_OK) << luna_reply_text(call.reply);
    EXPECT_EQ(call.text, "patient");
}

TEST(Channel, EncryptsAndChecksTheServer)
{
    char *certificate, *key, *other, *other_key;
    certificate_make("luna.test", &certificate, &key);
    certificate_make("luna.test", &other, &other_key);
    {
        Server server(echo, "127.0.0.1:0", certificate, key);
        luna_channel_options options = {};
        options.tls = true;
        options.root_certificates = certificate;
        options.tls_server_name = "luna.test";
        options.max_attempts = 1;
        Call good(Channel(server.target(), options), "secret");
        EXPECT_EQ(good.code, LUNA_OK) << luna_reply_text(good.reply);
        options.tls_server_name = "other.test";
        EXPECT_EQ(Call(Channel(server.target(), options), "").code, LUNA_UNAVAILABLE);
        options.tls_server_name = "luna.test";
        options.root_certificates = other;
        EXPECT_EQ(Call(Channel(server.target(), options), "").code, LUNA_UNAVAILABLE);
        EXPECT_EQ(Call(Channel(server.target()), "").code, LUNA_UNAVAILABLE);
    }
    for (char *p : {certificate, key, other, other_key})
        free(p);
}

TEST(Channel, IsUsedByManyThreads)
{
    Server server(echo);
    Channel channel(server.target());
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; t++)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; i++) {
                std::string text = std::to_string(t) + ":" + std::to_string(i);
                Call call(channel, text);
                EXPECT_EQ(call.code, LUNA_OK) << luna_reply_text(call.reply);
                EXPECT_EQ(call.text, text);
            }
        });
    for (auto &thread : threads)
        thread.join();
}

TEST(Channel, CallsWithEncodedMessages)
{
    Server server(echo);
    Channel channel(server.target());
    luna_method method = {};
    method.path = "/any.Service/Method";
    const void *answer = nullptr;
    size_t size = 0;
    luna_reply *reply;
    EXPECT_EQ(luna_call_bytes(channel, nullptr, &method, "", 0, &reply, &answer, &size), LUNA_OK);
    EXPECT_EQ(std::string(static_cast<const char *>(answer), size), response(""));
    luna_reply_free(reply);
}

} // namespace
