// What callers may not do, and what they are told.
#include <zlib.h>

#include <thread>

#include "fixture.h"

namespace
{
std::string
nested(int depth)
{
    std::string m;
    for (int i = 0; i < depth; i++) {
        std::string n = m;
        std::string len;
        size_t size = n.size();
        do {
            len += static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0));
            size >>= 7;
        } while (size > 0);
        m = "\x4a" + len + n; // field 9, length-delimited
    }
    return m;
}
} // namespace

TEST(Limits, MessageTooLarge)
{
    Server server({"--max-message=64KiB"});
    Channel ch(server.address());
    EXPECT_EQ(unary(ch, kEcho, echo_bytes(std::string(60000, 'x'))).code, 0);
    Outcome out = unary(ch, kEcho, echo_bytes(std::string(70000, 'x')));
    EXPECT_EQ(out.code, 8) << out.message;
    EXPECT_EQ(unary(ch, kEcho, echo_bytes("still here")).code, 0);
    Call call(ch, kUpload);
    call.send(echo_bytes(std::string(70000, 'x')));
    EXPECT_EQ(call.finish().code, 8);
    EXPECT_TRUE(eventually([&] { return server.stats().calls_alive == 0; }));
}

TEST(Limits, GzipAndDeflateRequests)
{
    Server server({"--max-message=1MiB"});
    for (int algorithm : {1, 2}) {
        Channel::Options opt;
        opt.compression = algorithm;
        Channel ch(server.address(), opt);
        for (size_t n : {100u, 5000u, 1000000u}) {
            std::string request = echo_bytes(std::string(n, 'z'));
            Outcome out = unary(ch, kEcho, request);
            EXPECT_EQ(out.code, 0) << out.message;
            EXPECT_EQ(out.body, request);
        }
    }
}

TEST(Limits, BombIsRefusedBeforeItIsInflated)
{
    Server server({"--max-message=1MiB"});
    Channel::Options opt;
    opt.compression = 2;
    Channel ch(server.address(), opt);
    // 20 MB of zeros are 20 KB on the wire.
    Outcome out = unary(ch, kEcho, echo_bytes(std::string(20000000, '\0')), {}, 60000);
    EXPECT_EQ(out.code, 8);
    EXPECT_EQ(details_of(out).reason, "TOO_LARGE");
    EXPECT_EQ(unary(ch, kEcho, echo_bytes("alive")).code, 0);
}

TEST(Limits, AnswersAreCompressedWhenConfiguredAndAccepted)
{
    std::string request = echo_bytes(std::string(100000, 'y'));
    Channel::Options raw;
    raw.decompress = false;
    for (bool on : {false, true}) {
        Server server({on ? "--compression=true" : "--compression=false"});
        Channel ch(server.address());
        EXPECT_EQ(unary(ch, kEcho, request).body, request);
        Channel peek(server.address(), raw);
        Outcome out = unary(peek, kEcho, request);
        EXPECT_EQ(out.code, 0);
        if (on)
            EXPECT_LT(out.body.size(), request.size() / 10);
        else
            EXPECT_EQ(out.body, request);
    }
}

TEST(Limits, MalformedRequests)
{
    Server server;
    Channel ch(server.address());
    for (const std::string &bad : {std::string("\xff\xff\xff"), std::string("\x0a\x05zz"),
                                   std::string(1000, '\xff'), std::string("\x0b")}) {
        Outcome out = unary(ch, kObey, bad);
        EXPECT_EQ(out.code, 3);
        EXPECT_EQ(details_of(out).reason, "BAD_REQUEST");
    }
    Outcome out = unary(ch, kObey, "\x0a\x02\xc3\x28");
    EXPECT_EQ(out.code, 3);
    EXPECT_NE(out.message.find("UTF-8"), std::string::npos);
    EXPECT_EQ(unary(ch, kObey, "\x0a\x02\xc3\xa4").code, 0);
}

TEST(Limits, NestingHasAnEnd)
{
    Server server;
    Channel ch(server.address());
    EXPECT_EQ(unary(ch, kObey, nested(31)).code, 0);
    Outcome out = unary(ch, kObey, nested(32));
    EXPECT_EQ(out.code, 3);
    EXPECT_NE(out.message.find("nested"), std::string::npos);
    EXPECT_EQ(unary(ch, kObey, nested(5000)).code, 3);
}

TEST(Limits, OverloadIsRefusedAtOnce)
{
    Server server({"--max-fibers=16"});
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 2000;
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < 60; i++) {
        calls.push_back(std::make_unique<Call>(ch, kObey));
        calls.back()->send(c.bytes_on_wire());
        calls.back()->half_close();
    }
    int refused = 0;
    int served = 0;
    for (auto &call : calls) {
        call->recv();
        const Outcome &out = call->finish();
        served += out.code == 0;
        if (out.code != 8)
            continue;
        refused++;
        Details d = details_of(out);
        EXPECT_EQ(d.reason, "OVERLOADED");
        EXPECT_GT(d.retry_seconds, 0);
    }
    EXPECT_GE(served, 16);
    EXPECT_GE(refused, 60 - 32);
    EXPECT_EQ(served + refused, 60);
    EXPECT_EQ(server.stats().calls_refused, static_cast<uint64_t>(refused));
    EXPECT_EQ(unary(ch, kEcho, echo_bytes("again")).code, 0);
}

TEST(Limits, ManyViolationsFitIntoTheTrailers)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.violations = 1000;
    Outcome out = unary(ch, kObey, c.bytes_on_wire());
    EXPECT_EQ(out.code, 3);
    EXPECT_LE(out.trailers["grpc-status-details-bin"].size(), 4096u);
    EXPECT_GT(details_of(out).fields.size(), 8u);
}

TEST(Limits, ConnectionsOverTheCapAreClosed)
{
    Server server({"--max-connections=3"});
    std::vector<std::unique_ptr<Channel>> channels;
    for (int i = 0; i < 3; i++) {
        channels.push_back(std::make_unique<Channel>(server.address()));
        EXPECT_EQ(unary(*channels.back(), kEcho, echo_bytes("x")).code, 0);
    }
    Channel extra(server.address());
    EXPECT_EQ(unary(extra, kEcho, echo_bytes("x"), {}, 2000).code, 14);
    EXPECT_GE(server.stats().connections_refused, 1u);
    EXPECT_EQ(unary(*channels[0], kEcho, echo_bytes("x")).code, 0);
    channels.pop_back();
    EXPECT_TRUE(eventually([&] {
        Channel again(server.address());
        return unary(again, kEcho, echo_bytes("x"), {}, 2000).code == 0;
    }));
}

TEST(Limits, LargeMetadataWithinTheLimit)
{
    Server server;
    Channel ch(server.address());
    Outcome out = unary(ch, kEcho, echo_bytes("x"), {{"x-echo-big", std::string(40000, 'm')}});
    EXPECT_EQ(out.code, 0) << out.message;
}

TEST(Limits, MetadataOverTheLimitHurtsItsOwnConnectionOnly)
{
    Server server;
    Channel bad(server.address());
    Channel good(server.address());
    EXPECT_EQ(unary(good, kEcho, echo_bytes("x")).code, 0);
    Outcome out = unary(bad, kEcho, echo_bytes("x"), {{"x-echo-big", std::string(100000, 'm')}});
    EXPECT_NE(out.code, 0);
    EXPECT_EQ(unary(good, kEcho, echo_bytes("x")).code, 0);
    EXPECT_TRUE(eventually([&] { return unary(bad, kEcho, echo_bytes("x")).code == 0; }));
}
