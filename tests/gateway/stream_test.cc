// Answers of many messages: NDJSON, server-sent events and bytes; how they fail, and who waits for
// whom.
#include "gateway/fixture.h"

namespace gateway_test
{

class Streams : public GatewayTest
{
  protected:
    Reply books(int n)
    {
        Reply r;
        r.messages.clear();
        for (int i = 0; i < n; i++)
            r.messages.push_back(
                wire("luna.testing.Book", "{\"name\":\"b" + std::to_string(i) + "\"}"));
        return r;
    }
};

TEST_F(Streams, AreLinesOfJson)
{
    start();
    reply(books(3));
    auto r = get("/v1/watch/x");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Content-Type"), "application/x-ndjson");
    EXPECT_EQ(r.header("Transfer-Encoding"), "chunked");
    EXPECT_EQ(r.body, "{\"name\":\"b0\",\"title\":\"\"}\n{\"name\":\"b1\",\"title\":\"\"}\n{"
                      "\"name\":\"b2\",\"title\":\"\"}\n");
    EXPECT_EQ(json("luna.testing.GetBook", upstream.calls().at(0).request), R"({"name":"x"})");
    reply(books(0));
    auto empty = get("/v1/watch/x");
    EXPECT_EQ(empty.status, 200);
    EXPECT_EQ(empty.body, "");
}

TEST_F(Streams, AreEventsForThoseWhoAccept)
{
    start();
    Reply r = books(2);
    r.headers = {{"last", "1"}};
    reply(r);
    auto answer = get("/v1/watch/x", "Accept: text/event-stream\r\nLast-Event-ID: 41\r\n");
    EXPECT_EQ(answer.header("Content-Type"), "text/event-stream");
    EXPECT_EQ(answer.header("Cache-Control"), "no-store");
    EXPECT_EQ(
        answer.body,
        "data: {\"name\":\"b0\",\"title\":\"\"}\n\ndata: {\"name\":\"b1\",\"title\":\"\"}\n\n");
    EXPECT_EQ(upstream.calls().at(0).header("last-event-id"), "41");
}

TEST_F(Streams, ThatFailAtOnceHaveTheirOwnStatus)
{
    start();
    Reply r;
    r.code = grpc::StatusCode::NOT_FOUND;
    r.text = "no such shelf";
    reply(r);
    for (const char *accept : {"", "Accept: text/event-stream\r\n"}) {
        auto answer = get("/v1/watch/x", accept);
        EXPECT_EQ(answer.status, 404);
        EXPECT_EQ(answer.header("Content-Type"), "application/json");
        EXPECT_NE(answer.body.find("no such shelf"), std::string::npos);
    }
    EXPECT_EQ(get("/v1/watch/x?nope=1").status, 422);
}

TEST_F(Streams, ThatBreakSaySoInTheirLastElement)
{
    start();
    Reply r = books(2);
    r.code_at_end = grpc::StatusCode::DATA_LOSS;
    r.text = "the disk is gone";
    reply(r);
    auto lines = get("/v1/watch/x");
    EXPECT_EQ(lines.status, 200);
    EXPECT_NE(lines.body.find("{\"name\":\"b1\",\"title\":\"\"}\n{\"error\":{\"code\":15,"
                              "\"status\":\"DATA_LOSS\",\"message\":\"the disk is gone\""),
              std::string::npos)
        << lines.body;
    EXPECT_EQ(lines.body.back(), '\n');
    auto events = get("/v1/watch/x", "Accept: text/event-stream\r\n");
    EXPECT_NE(events.body.find("\n\nevent: error\ndata: {\"code\":15"), std::string::npos)
        << events.body;
    r.messages = {"\x0a\x05x"}; // no message: the stream ends with INTERNAL
    reply(r);
    auto bad = get("/v1/watch/x");
    EXPECT_EQ(bad.body.substr(0, 21), "{\"error\":{\"code\":13,\"") << bad.body;
}

TEST_F(Streams, OfHttpBodyAreBytes)
{
    start();
    Reply r;
    r.messages.clear();
    std::string all;
    for (int i = 0; i < 40; i++) {
        std::string bytes(10000, static_cast<char>(i));
        bytes += std::string("\0\n\xff", 3);
        all += bytes;
        std::string field = "\x12";
        for (size_t n = bytes.size();; n >>= 7) {
            field += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
            if (n <= 0x7f)
                break;
        }
        r.messages.push_back((i == 0 ? std::string("\x0a\x08text/csv") : "") + field + bytes);
    }
    reply(r);
    auto answer = get("/v1/download/a/b");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.header("Content-Type"), "text/csv");
    EXPECT_TRUE(answer.body == all) << answer.body.size() << " of " << all.size();
    r.code_at_end = grpc::StatusCode::INTERNAL;
    reply(r);
    auto broken = get("/v1/download/a/b");
    EXPECT_TRUE(broken.closed) << "a broken download must not look whole";
}

TEST_F(Streams, WaitForSlowClients)
{
    start();
    Reply r;
    r.messages.assign(3000,
                      wire("luna.testing.Book", "{\"title\":\"" + std::string(10000, 'a') + "\"}"));
    reply(r);
    Connection slow(gateway->port);
    slow.send("GET /v1/watch/x HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(700000);
    std::ifstream statm("/proc/" + std::to_string(gateway->pid) + "/statm");
    size_t pages = 0, resident = 0;
    statm >> pages >> resident;
#if defined(__has_feature)
    const size_t instrumentation = __has_feature(address_sanitizer) ? 40u << 20 : 0;
#else
    const size_t instrumentation = 0;
#endif
    EXPECT_LT(resident * 4096, (40u << 20) + instrumentation)
        << "30 MB must not be kept for one client";
    auto answer = slow.receive();
    EXPECT_EQ(std::count(answer.body.begin(), answer.body.end(), '\n'), 3000);
}

TEST_F(Streams, BeatWhileNothingComes)
{
    start({"--heartbeat=1s"});
    Reply r = books(1);
    r.hold = std::chrono::milliseconds(3500);
    reply(r);
    auto answer = get("/v1/watch/x", "Accept: text/event-stream\r\n");
    EXPECT_NE(answer.body.find("\n\n:\n\n"), std::string::npos) << answer.body;
}

TEST_F(Streams, AndCallsAreCancelledWhenTheClientLeaves)
{
    start();
    Reply r = books(1);
    r.hold = std::chrono::milliseconds(20000);
    reply(r);
    {
        Connection c(gateway->port);
        c.send("GET /v1/watch/x HTTP/1.1\r\nHost: x\r\n\r\n");
        ASSERT_TRUE(c.more(5));
    }
    for (int i = 0; i < 500 && upstream.cancelled() < 1; i++)
        usleep(10000);
    EXPECT_EQ(upstream.cancelled(), 1);
    r = Reply();
    r.delay = std::chrono::milliseconds(20000);
    reply(r);
    {
        Connection c(gateway->port);
        c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 200 && upstream.calls().empty(); i++)
            usleep(5000);
    }
    for (int i = 0; i < 500 && upstream.cancelled() < 2; i++)
        usleep(10000);
    EXPECT_EQ(upstream.cancelled(), 2);
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Streams, EndWhenTheGatewayStops)
{
    start({"--drain-timeout=200ms"});
    Reply r = books(1);
    r.hold = std::chrono::milliseconds(20000);
    reply(r);
    Connection c(gateway->port);
    c.send("GET /v1/watch/x HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(c.more(5));
    auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(gateway->stop(), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    auto answer = c.receive();
    EXPECT_NE(answer.body.find("{\"error\":{\"code\":1,"), std::string::npos) << answer.body;
}

} // namespace gateway_test
