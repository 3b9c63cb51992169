// Streams over WebSocket: every kind of method, who may open one, who waits for whom, how they end.
#include "gateway/websocket_client.h"

#include "gateway/fixture.h"
#include "gateway/stream_server.h"

namespace gateway_test
{

class WebSockets : public GatewayTest
{
  protected:
    void begin(std::vector<std::string> settings = {})
    {
        gateway = std::make_unique<GatewayProcess>(streams.address(), std::move(settings));
        for (int i = 0; i < 2000 && get("/readyz").status != 200; i++)
            usleep(10000);
    }
    WebSocket open(const std::string &target, const std::string &headers = "")
    {
        return WebSocket(gateway->port, target, headers);
    }
    void plan_echo()
    {
        Plan p;
        p.echo = true;
        streams.plan(p);
    }
    size_t resident_bytes()
    {
        std::ifstream statm("/proc/" + std::to_string(gateway->pid) + "/statm");
        size_t pages = 0, resident = 0;
        statm >> pages >> resident;
        return resident * 4096;
    }

    StreamServer streams;
};

const size_t instrumentation =
#if defined(__has_feature)
    __has_feature(address_sanitizer) ? 60u << 20 :
#endif
                                     0;

TEST_F(WebSockets, TalkBothWays)
{
    begin();
    plan_echo();
    for (const char *path : {"/v1/chat", "/luna.testing.Uploads/Chat"}) {
        WebSocket ws(gateway->port, path, "Sec-WebSocket-Protocol: luna.json\r\n");
        ASSERT_EQ(ws.answer.status, 101) << ws.answer.body;
        EXPECT_EQ(ws.answer.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        EXPECT_EQ(ws.answer.header("Sec-WebSocket-Protocol"), "luna.json");
        for (int i = 0; i < 3; i++) {
            std::string book = "{\"name\":\"b" + std::to_string(i) + "\",\"title\":\"\"}";
            ws.text(book);
            Frame f = ws.next();
            EXPECT_EQ(f.opcode, TEXT);
            EXPECT_EQ(f.payload, book);
        }
        ws.text(""); // the request is complete
        Frame end = ws.next();
        EXPECT_EQ(end.opcode, CLOSE);
        EXPECT_EQ(end.close_code(), 1000);
        EXPECT_TRUE(streams.wait([](const Seen &s) { return s.ended; }));
        ws.send(CLOSE, "\x03\xe8");
        EXPECT_TRUE(ws.connection.closes(10));
    }
}

TEST_F(WebSockets, PassOnHeadersThatAreListed)
{
    begin({"--request-headers=x-raw-bin"});
    plan_echo();
    WebSocket ws(gateway->port, "/v1/chat", "X-Raw-Bin: AAH/\r\n");
    ws.text("{\"name\":\"x\"}");
    EXPECT_EQ(ws.next().opcode, TEXT);
    ws.text("");
    EXPECT_EQ(ws.next().opcode, CLOSE);
    EXPECT_TRUE(streams.wait([](const Seen &s) {
        auto raw = s.metadata.find("x-raw-bin");
        return raw != s.metadata.end() && raw->second == std::string("\x00\x01\xff", 3);
    }));
}

TEST_F(WebSockets, TakeFragmentsAndLargeMessages)
{
    begin();
    plan_echo();
    WebSocket ws(gateway->port, "/v1/chat");
    ws.send(TEXT, "{\"name\":", false);
    ws.send(PING, "are you there");
    ws.send(0, "\"x\"}", true);
    Frame pong = ws.receive();
    EXPECT_EQ(pong.opcode, PONG);
    EXPECT_EQ(pong.payload, "are you there");
    EXPECT_EQ(ws.next().payload, R"({"name":"x","title":""})");
    std::string large = "{\"name\":\"\",\"title\":\"" + std::string(1 << 20, 'a') + "\"}";
    ws.text(large);
    EXPECT_TRUE(ws.next().payload == large);
}

TEST_F(WebSockets, ServeStreamsOfOneSide)
{
    begin();
    Plan p; // from the server: the request is in the path
    p.first = {wire("luna.testing.Book", R"({"name":"a"})"),
               wire("luna.testing.Book", R"({"name":"b"})")};
    p.answer = wire("luna.testing.Book", R"({"name":"c"})");
    streams.plan(p);
    WebSocket watch(gateway->port, "/v1/watch/x");
    for (const char *name : {"a", "b", "c"})
        EXPECT_EQ(watch.next().payload, std::string("{\"name\":\"") + name + "\",\"title\":\"\"}");
    EXPECT_EQ(watch.next().close_code(), 1000);
    EXPECT_EQ(json("luna.testing.GetBook", streams.seen().messages.at(0)), R"({"name":"x"})");
    streams.plan(p); // the request is the first message
    WebSocket body(gateway->port, "/luna.testing.Library/Watch");
    body.text("{\"name\":\"y\"}");
    EXPECT_EQ(body.next().opcode, TEXT);
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.messages.size() == 1; }));
    EXPECT_EQ(json("luna.testing.GetBook", streams.seen().messages.at(0)), R"({"name":"y"})");
    p = Plan(); // from the client
    p.answer = wire("luna.testing.Everything", R"({"id":3})");
    streams.plan(p);
    WebSocket add(gateway->port, "/v1/shelves/s/books:add");
    add.text("{\"title\":\"A\"}");
    add.text("{\"title\":\"B\"}");
    add.text("");
    EXPECT_NE(add.next().payload.find("\"id\":3"), std::string::npos);
    EXPECT_EQ(add.next().close_code(), 1000);
    ASSERT_EQ(streams.seen().messages.size(), 2u);
    EXPECT_EQ(json("luna.testing.Book", streams.seen().messages.at(0)),
              R"({"name":"s","title":"A"})");
}

TEST_F(WebSockets, CarryBytes)
{
    begin();
    Plan p;
    p.answer = wire("luna.testing.Book", R"({"name":"done"})");
    streams.plan(p);
    WebSocket put(gateway->port, "/v1/put");
    put.send(BINARY, std::string("\0\xff\n", 3));
    put.send(BINARY, "more");
    put.text("");
    EXPECT_EQ(put.next().payload, R"({"name":"done","title":""})");
    ASSERT_EQ(streams.seen().messages.size(), 2u);
    EXPECT_EQ(streams.seen().messages.at(0), std::string("\x12\x03\0\xff\n", 5));
    p = Plan();
    p.first = {std::string("\x0a\x03"
                           "a/b"
                           "\x12\x02\0\xfe",
                           9)};
    streams.plan(p);
    WebSocket down(gateway->port, "/v1/download/x");
    Frame f = down.next();
    EXPECT_EQ(f.opcode, BINARY);
    EXPECT_EQ(f.payload, std::string("\0\xfe", 2));
}

TEST_F(WebSockets, SayHowTheyFailed)
{
    begin();
    Plan p;
    p.fail_after = 1;
    p.code = grpc::StatusCode::NOT_FOUND;
    p.text = "no such room";
    streams.plan(p);
    WebSocket ws(gateway->port, "/v1/chat");
    ws.text("{}");
    Frame last = ws.next();
    EXPECT_EQ(
        last.payload.rfind("{\"error\":{\"code\":5,\"status\":\"NOT_FOUND\",\"message\":\"no such "
                           "room\"",
                           0),
        0u)
        << last.payload;
    Frame close = ws.next();
    EXPECT_EQ(close.close_code(), 4005);
    EXPECT_EQ(close.payload.substr(2), "NOT_FOUND");
    const struct {
        const char *target;
        int opcode;
        const char *message;
        const char *text;
        int code;
    } table[] = {
        {"/v1/chat", TEXT, "{\"nmae\":1}", "nmae", 4003},
        {"/v1/chat", TEXT, "{", "not JSON", 4003},
        {"/v1/chat", BINARY, "{}", "are text", 4003},
        {"/v1/put", TEXT, "{}", "are binary", 4003},
        {"/luna.testing.Library/Watch", TEXT, "7", "must be", 4003},
        {"/v1/watch/x?nope=1", TEXT, "", "nope", 4003},
        {"/v1/watch/x", TEXT, "{}", "complete", 4003},
    };
    p = Plan();
    p.paused = true;
    for (auto &row : table) {
        streams.plan(p);
        WebSocket bad(gateway->port, row.target);
        bad.send(row.opcode, row.message);
        Frame f = bad.next();
        EXPECT_NE(f.payload.find(row.text), std::string::npos) << row.target << f.payload;
        EXPECT_EQ(bad.next().close_code(), row.code) << row.target;
    }
    plan_echo();
    WebSocket utf8(gateway->port, "/v1/chat");
    EXPECT_TRUE(streams.wait([](const Seen &s) { return !s.method.empty(); }));
    utf8.text("\xff\xfe");
    EXPECT_EQ(utf8.next().close_code(), 1007);
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; }));
    gateway.reset();
    begin({"--max-body=10KiB"});
    plan_echo();
    WebSocket big(gateway->port, "/v1/chat");
    big.text(std::string(11 << 10, ' '));
    EXPECT_EQ(big.next().close_code(), 1009);
}

TEST_F(WebSockets, LookAtWhoCalls)
{
    begin({"--cors-origins=https://app.example.com"});
    plan_echo();
    const struct {
        const char *headers;
        int status;
    } table[] = {
        {"", 101},
        {"Origin: https://app.example.com\r\n", 101},
        {"Origin: http://luna.test\r\n", 101}, // its own
        {"Origin: https://evil.example.com\r\n", 403},
        {"Origin: null\r\n", 403},
        {"Sec-WebSocket-Protocol: luna.json\r\n", 101},
        {"Sec-WebSocket-Protocol: other, luna.json\r\n", 101},
        {"Sec-WebSocket-Protocol: other\r\n", 400},
    };
    for (auto &row : table)
        EXPECT_EQ(open("/v1/bad", row.headers).answer.status, 404);
    for (auto &row : table) {
        plan_echo();
        auto ws = open("/v1/chat", row.headers);
        EXPECT_EQ(ws.answer.status, row.status) << row.headers;
        if (row.status == 101) { // the next one comes when this one is over
            EXPECT_TRUE(streams.wait([](const Seen &s) { return !s.method.empty(); }));
            ws.send(CLOSE, "\x03\xe8");
            EXPECT_TRUE(streams.wait([](const Seen &s) { return s.done; })) << row.headers;
        }
    }
    auto metadata = [this](const std::string &key) {
        streams.wait([&](const Seen &s) { return s.metadata.count(key) > 0; });
        auto seen = streams.seen();
        auto it = seen.metadata.find(key);
        return it == seen.metadata.end() ? "" : it->second;
    };
    plan_echo();
    auto byheader = open("/v1/chat", "X-Api-Key: k1\r\n");
    EXPECT_EQ(metadata("x-api-key"), "k1");
    byheader.send(CLOSE, "\x03\xe8");
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.done; }));
    plan_echo();
    auto byprotocol =
        open("/v1/chat", "Sec-WebSocket-Protocol: luna.json, luna.auth.luna_ab_c\r\n");
    EXPECT_EQ(byprotocol.answer.header("Sec-WebSocket-Protocol"), "luna.json");
    EXPECT_EQ(metadata("authorization"), "Bearer luna_ab_c");
    auto version = request("GET", "/v1/chat",
                           "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
                           "8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    EXPECT_EQ(version.status, 426);
    EXPECT_EQ(version.header("Sec-WebSocket-Version"), "13");
    EXPECT_EQ(request("GET", "/v1/chat", "Upgrade: websocket\r\n").status, 400);
    auto plain = post("/v1/chat", "{}");
    EXPECT_EQ(plain.status, 426) << "a stream both ways needs one";
    EXPECT_EQ(plain.header("Upgrade"), "websocket");
}

TEST_F(WebSockets, WaitForSlowServers)
{
    begin();
    Plan p;
    p.paused = true;
    p.answer = wire("luna.testing.Everything", R"({"id":1})");
    streams.plan(p);
    WebSocket ws(gateway->port, "/v1/books:add");
    std::string message = "{\"title\":\"" + std::string(10000, 'a') + "\"}";
    std::thread writer([&] {
        for (int i = 0; i < 4000; i++)
            ws.text(message);
        ws.text("");
    });
    usleep(700000);
    size_t kept = resident_bytes();
    streams.go_on();
    EXPECT_NE(ws.next().payload.find("\"id\":1"), std::string::npos);
    writer.join();
    EXPECT_EQ(streams.seen().messages.size(), 4000u);
    EXPECT_LT(kept, (40u << 20) + instrumentation) << "40 MB must not be kept";
}

TEST_F(WebSockets, WaitForSlowClients)
{
    begin();
    Plan p;
    p.first.assign(4000,
                   wire("luna.testing.Book", "{\"title\":\"" + std::string(10000, 'a') + "\"}"));
    p.answer = p.first[0];
    streams.plan(p);
    WebSocket ws(gateway->port, "/v1/watch/x");
    usleep(700000);
    EXPECT_LT(resident_bytes(), (40u << 20) + instrumentation) << "40 MB must not be kept";
    int n = 0;
    while (ws.next().opcode == TEXT)
        n++;
    EXPECT_EQ(n, 4001);
}

TEST_F(WebSockets, BeatAndNoticeTheDead)
{
    begin({"--heartbeat=1s"});
    plan_echo();
    WebSocket alive(gateway->port, "/v1/chat");
    WebSocket dead(gateway->port, "/v1/chat");
    for (int i = 0; i < 4; i++) {
        Frame f = alive.receive();
        EXPECT_EQ(f.opcode, PING);
        alive.send(PONG, f.payload);
    }
    EXPECT_TRUE(dead.connection.closes(20)) << "it answered no ping";
    alive.text("{}");
    EXPECT_EQ(alive.next().opcode, TEXT);
}

TEST_F(WebSockets, CancelTheCallWhenTheClientLeaves)
{
    begin();
    for (bool politely : {false, true}) {
        plan_echo();
        {
            WebSocket ws(gateway->port, "/v1/chat");
            ws.text("{}");
            EXPECT_EQ(ws.next().opcode, TEXT);
            if (politely) {
                ws.send(CLOSE, "\x03\xe8");
                EXPECT_EQ(ws.next().opcode, CLOSE);
            }
        }
        EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; })) << politely;
    }
    Plan p; // a client that leaves while the server does not read
    p.paused = true;
    streams.plan(p);
    {
        WebSocket ws(gateway->port, "/v1/books:add");
        for (int i = 0; i < 20; i++)
            ws.text("{\"title\":\"" + std::string(10000, 'a') + "\"}");
    }
    EXPECT_TRUE(streams.wait([](const Seen &s) { return s.cancelled; }));
}

TEST_F(WebSockets, EndWhenTheGatewayStops)
{
    begin({"--drain-timeout=200ms"});
    plan_echo();
    WebSocket talking(gateway->port, "/v1/chat");
    talking.text("{}");
    EXPECT_EQ(talking.next().opcode, TEXT);
    WebSocket waiting(gateway->port, "/luna.testing.Library/Watch"); // has no call yet
    EXPECT_EQ(gateway->stop(), 0);
    EXPECT_EQ(talking.next().payload.substr(0, 18), "{\"error\":{\"code\":1");
    EXPECT_EQ(talking.next().close_code(), 4001);
    EXPECT_EQ(waiting.next().close_code(), 1001);
}

} // namespace gateway_test
