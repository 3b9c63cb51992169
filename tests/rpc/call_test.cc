// The four kinds of call, seen by a client of gRPC core.
#include "fixture.h"

TEST(Unary, AnswersWithTheSameBytes)
{
    Server server;
    ASSERT_NE(server.get(), nullptr) << server.error;
    Channel ch(server.address());
    for (size_t n : {0u, 1u, 22u, 23u, 24u, 4095u, 4096u, 1000000u}) {
        std::string request = echo_bytes(std::string(n, 'x'));
        Outcome out = unary(ch, kEcho, request);
        EXPECT_EQ(out.code, 0) << out.message;
        EXPECT_EQ(out.body, request) << n;
    }
    struct test_counts n = server.counts(kEcho);
    EXPECT_EQ(n.finished[0], 8u);
    EXPECT_EQ(n.received_messages, 8u);
    EXPECT_EQ(n.sent_messages, 8u);
    EXPECT_EQ(n.received_bytes, n.sent_bytes);
    EXPECT_EQ(n.latencies, 8u);
    EXPECT_EQ(n.in_flight, 0);
}

TEST(Unary, ManyAtOnceFromManyThreads)
{
    Server server;
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            Channel ch(server.address());
            for (int i = 0; i < 200; i++) {
                std::string request = echo_bytes(std::to_string(t * 1000 + i));
                Outcome out = unary(ch, kEcho, request);
                wrong += out.code != 0 || out.body != request;
            }
        });
    }
    for (auto &t : threads)
        t.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(server.counts(kEcho).finished[0], 800u);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

// Short ones are held in core's slices themselves, and copied piece by piece.
TEST(Metadata, OfEveryLengthComesBack)
{
    Server server;
    ASSERT_NE(server.get(), nullptr) << server.error;
    Channel ch(server.address());
    Command c;
    c.describe = true;
    Metadata sent;
    for (size_t n = 0; n <= 40; n++) {
        std::string value;
        for (size_t i = 0; i < n; i++)
            value.push_back(static_cast<char>('a' + (i + n) % 26));
        sent.push_back({"x-mirror" + std::string(n, static_cast<char>('a' + n % 26)), value});
    }
    Outcome o = unary(ch, kObey, c.bytes_on_wire(), sent);
    EXPECT_EQ(o.code, 0);
    for (const auto &[key, value] : sent) {
        ASSERT_EQ(o.headers.count(key), 1U) << key;
        EXPECT_EQ(o.headers[key], value);
    }
}

TEST(Unary, MetadataBothWays)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.describe = true;
    std::string binary("\x00\x01\xff\xab", 4);
    Outcome out =
        unary(ch, kObey, c.bytes_on_wire(),
              {{"x-echo-a", "one"},
               {"x-echo-b", "two words"},
               {"x-echo-bin", binary},
               {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
    ASSERT_EQ(out.code, 0) << out.message;
    Answer a = command_of(out.body);
    EXPECT_NE(a.text.find("x-echo-a=one x-echo-b=two words"), std::string::npos) << a.text;
    EXPECT_NE(a.text.find("peer=ipv4:127.0.0.1:"), std::string::npos) << a.text;
    EXPECT_NE(a.text.find("address=127.0.0.1 "), std::string::npos) << a.text;
    EXPECT_NE(a.text.find("trace=4bf92f3577b34da6a3ce929d0e0e4736"), std::string::npos) << a.text;
    EXPECT_EQ(out.headers["x-answer-header"], "early");
    EXPECT_EQ(out.trailers["x-answer-trailer"], "late");
    EXPECT_EQ(out.trailers["x-answer-bin"], binary);
}

TEST(Unary, FailureCarriesDetails)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.violations = 3;
    Outcome out = unary(ch, kObey, c.bytes_on_wire());
    EXPECT_EQ(out.code, 3);
    EXPECT_FALSE(out.answered);
    EXPECT_EQ(out.message, "values[0] is not finite");
    Details d = details_of(out);
    EXPECT_EQ(d.code, 3);
    EXPECT_EQ(d.message, out.message);
    EXPECT_EQ(d.reason, "BAD_FIELD");
    EXPECT_EQ(d.domain, "luna");
    EXPECT_EQ(d.fields,
              (std::vector<std::string>{"values[0] is not finite", "values[1] is not finite",
                                        "values[2] is not finite"}));
    EXPECT_EQ(server.counts(kObey).finished[3], 1u);
}

TEST(Unary, EveryStatusArrives)
{
    Server server;
    Channel ch(server.address());
    for (unsigned code = 1; code <= 16; code++) {
        Command c;
        c.fail_code = code;
        Outcome out = unary(ch, kObey, c.bytes_on_wire());
        EXPECT_EQ(out.code, static_cast<int>(code));
        EXPECT_TRUE(details_of(out).present);
    }
    Command c;
    c.fail_code = 99;
    Outcome out = unary(ch, kObey, c.bytes_on_wire());
    EXPECT_EQ(out.code, 13);
    EXPECT_EQ(details_of(out).reason, "INTERNAL_ERROR");
}

TEST(Unary, UnknownMethodAndService)
{
    Server server;
    Channel ch(server.address());
    for (const char *path : {"/luna.testing.EchoService/Nope", "/no.such.Service/Echo", "/"}) {
        Outcome out = unary(ch, path, "");
        EXPECT_EQ(out.code, 12) << path;
        EXPECT_EQ(details_of(out).reason, "METHOD_NOT_FOUND") << path;
    }
    EXPECT_EQ(server.stats().calls_unknown, 3u);
}

TEST(Unary, CallersDeadline)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 60000;
    Outcome out = unary(ch, kObey, c.bytes_on_wire(), {}, 60);
    EXPECT_EQ(out.code, 4);
    EXPECT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 0; }));
    struct test_counts n = server.counts(kObey);
    EXPECT_EQ(n.finished[4] + n.finished[1], 1u);
}

TEST(Unary, ServersDefaultDeadline)
{
    Server server({"--default-deadline=50ms"});
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 60000;
    Outcome out = unary(ch, kObey, c.bytes_on_wire(), {}, 0);
    EXPECT_EQ(out.code, 4);
    Details d = details_of(out);
    EXPECT_EQ(d.reason, "DEADLINE_PASSED");
    EXPECT_EQ(d.retry_seconds, 1);
}

TEST(Unary, CancelReachesTheHandler)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 60000;
    {
        Call call(ch, kObey, {}, 0);
        call.send(c.bytes_on_wire());
        call.half_close();
        ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
        call.cancel();
        EXPECT_EQ(call.finish().code, 1);
    }
    EXPECT_TRUE(eventually([&] { return server.counts(kObey).finished[1] == 1; }));
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

/* Before, while and after core is asked to tell of it. */
TEST(Unary, CancelledAroundTheTimeFromWhichItIsWatched)
{
    Server server;
    Channel ch(server.address());
    uint64_t calls = 0;
    for (uint32_t ms = 1; ms <= 25; ms++) {
        Command c;
        c.sleep_ms = 25;
        Call call(ch, kObey, {}, 0);
        call.send(c.bytes_on_wire());
        call.half_close();
        ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
        std::this_thread::sleep_for(std::chrono::milliseconds(ms));
        call.cancel();
        call.finish();
        calls++;
        ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 0; })) << ms;
    }
    EXPECT_EQ(server.counts(kObey).finished[0] + server.counts(kObey).finished[1], calls);
    EXPECT_GT(server.counts(kObey).finished[1], 0u);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(Unary, BrokenConnectionEndsTheHandler)
{
    Server server;
    Command c;
    c.sleep_ms = 60000;
    auto ch = std::make_unique<Channel>(server.address());
    auto call = std::make_unique<Call>(*ch, kObey, Metadata{}, 0);
    call->send(c.bytes_on_wire());
    call->half_close();
    ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
    call.reset();
    ch.reset();
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(Unary, MissingMessageIsAnError)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kEcho);
    call.half_close();
    EXPECT_EQ(call.finish().code, 3);
    EXPECT_EQ(details_of(call.finish()).reason, "BAD_REQUEST");
}

TEST(ServerStream, SendsAll)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.count = 500;
    c.bytes = 100;
    Call call(ch, kDownload);
    call.send(c.bytes_on_wire());
    call.half_close();
    unsigned got = 0;
    while (call.recv())
        got++;
    EXPECT_EQ(got, 500u);
    EXPECT_EQ(call.finish().code, 0);
    EXPECT_EQ(server.counts(kDownload).sent_messages, 500u);
}

TEST(ServerStream, FailsAfterMessages)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.count = 3;
    c.fail_code = 9;
    Call call(ch, kDownload);
    call.send(c.bytes_on_wire());
    call.half_close();
    unsigned got = 0;
    while (call.recv())
        got++;
    EXPECT_EQ(got, 3u);
    EXPECT_EQ(call.finish().code, 9);
}

TEST(ServerStream, SlowReaderStopsTheSender)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.count = 1000;
    c.bytes = 65536;
    Call call(ch, kDownload, {}, 0);
    call.send(c.bytes_on_wire());
    call.half_close();
    ASSERT_TRUE(call.recv().has_value());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_LT(server.counts(kDownload).sent_messages, 500u);
    call.cancel();
    EXPECT_EQ(call.finish().code, 1);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(ServerStream, DeadlineWhileTheReaderIsStalled)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.count = 1000;
    c.bytes = 65536;
    Call call(ch, kDownload, {}, 200);
    call.send(c.bytes_on_wire());
    call.half_close();
    EXPECT_EQ(call.finish().code, 4);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(ServerStream, IdleUntilCancelled)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.count = 1;
    c.forever = true;
    Call call(ch, kDownload, {}, 0);
    call.send(c.bytes_on_wire());
    call.half_close();
    ASSERT_TRUE(call.recv().has_value());
    EXPECT_EQ(server.counts(kDownload).in_flight, 1);
    call.cancel();
    EXPECT_TRUE(eventually([&] { return server.counts(kDownload).in_flight == 0; }));
}

TEST(ClientStream, CountsAll)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kUpload);
    for (int i = 0; i < 300; i++)
        ASSERT_TRUE(call.send(echo_bytes(std::string(10, 'a'))));
    call.half_close();
    auto body = call.recv();
    ASSERT_TRUE(body.has_value());
    Answer a = command_of(*body);
    EXPECT_EQ(a.count, 300u);
    EXPECT_EQ(a.bytes, 3000u);
    EXPECT_EQ(call.finish().code, 0);
    EXPECT_EQ(server.counts(kUpload).received_messages, 300u);
}

TEST(ClientStream, WithoutMessages)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kUpload);
    call.half_close();
    auto body = call.recv();
    ASSERT_TRUE(body.has_value());
    EXPECT_EQ(command_of(*body).count, 0u);
    EXPECT_EQ(call.finish().code, 0);
}

TEST(ClientStream, CancelledWhileItIsRead)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kUpload, {}, 0);
    call.send(echo_bytes("x"));
    ASSERT_TRUE(eventually([&] { return server.counts(kUpload).received_messages == 1; }));
    call.cancel();
    call.finish();
    EXPECT_TRUE(eventually([&] { return server.counts(kUpload).finished[1] == 1; }));
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(Bidi, PingPong)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kChat);
    for (int i = 0; i < 200; i++) {
        std::string m = echo_bytes(std::string(static_cast<size_t>(i) * 37, 'p'));
        ASSERT_TRUE(call.send(m));
        auto back = call.recv();
        ASSERT_TRUE(back.has_value());
        EXPECT_EQ(*back, m);
    }
    call.half_close();
    EXPECT_FALSE(call.recv().has_value());
    EXPECT_EQ(call.finish().code, 0);
}

TEST(Bidi, Empty)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kChat);
    call.half_close();
    EXPECT_FALSE(call.recv().has_value());
    EXPECT_EQ(call.finish().code, 0);
}

TEST(Bidi, BadMessageEndsIt)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kChat);
    call.send(echo_bytes("good"));
    ASSERT_TRUE(call.recv().has_value());
    call.send("\xff\xff\xff\xff");
    EXPECT_FALSE(call.recv().has_value());
    EXPECT_EQ(call.finish().code, 3);
    EXPECT_EQ(details_of(call.finish()).reason, "BAD_REQUEST");
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(Bidi, DeadlineWhileIdle)
{
    Server server;
    Channel ch(server.address());
    Call call(ch, kChat, {}, 80);
    EXPECT_EQ(call.finish().code, 4);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}
