// Limits and hostile requests: each is refused alone, and others go on.
#include "gateway/fixture.h"

namespace gateway_test
{

class Limits : public GatewayTest
{
};

TEST_F(Limits, RefuseLongBodies)
{
    start({"--max-body=2KiB"});
    reply(Reply());
    std::string fits = "{\"name\":\"" + std::string(2048 - 11, 'a') + "\"}";
    ASSERT_EQ(fits.size(), 2048u);
    EXPECT_EQ(post("/v1/search:run", fits).status, 200);
    auto r = post("/v1/search:run", fits + " ");
    EXPECT_EQ(r.status, 413);
    EXPECT_NE(r.body.find("TOO_LARGE"), std::string::npos);
    Connection c(gateway->port);
    c.send("POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Type: "
           "application/json\r\nContent-Length: 99999999999\r\n\r\n");
    EXPECT_EQ(c.receive().status, 413); // without waiting for it
    Connection chunked(gateway->port);
    chunked.send("POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Type: "
                 "application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 100; i++)
        chunked.send("400\r\n" + std::string(1024, ' ') + "\r\n");
    chunked.send("0\r\n\r\n");
    EXPECT_EQ(chunked.receive().status, 413);
}

TEST_F(Limits, RefuseLongAnswers)
{
    start({"--max-answer=2KiB"});
    Reply r; // a control character is six bytes of JSON
    r.messages = {std::string("\x12\xf4\x03") + std::string(500, '\x01')};
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.status, 413);
    EXPECT_NE(answer.body.find("the answer is larger"), std::string::npos) << answer.body;
    r.messages = {std::string("\x12\xf4\x03") + std::string(500, 'a')};
    reply(r);
    EXPECT_EQ(get("/v1/book/x").status, 200);
}

TEST_F(Limits, RefuseLongHeadersAndSpareOthers)
{
    start();
    Reply slow;
    slow.delay = std::chrono::milliseconds(400);
    reply(slow);
    Connection other(gateway->port);
    other.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(get("/v1/book/x", "Cookie: " + std::string(9000, 'c') + "\r\n").status, 200);
    auto r = get("/v1/book/x", "Authorization: " + std::string(17000, 'a') + "\r\n");
    EXPECT_EQ(r.status, 431);
    EXPECT_NE(r.body.find("HEADERS_TOO_LARGE"), std::string::npos) << r.body;
    EXPECT_EQ(get("/v1/book/x", "X: " + std::string(200000, 'a') + "\r\n").status / 100, 4);
    EXPECT_EQ(other.receive().status, 200);
}

TEST_F(Limits, RefuseHeadersThatAreNoText)
{
    start();
    reply(Reply());
    EXPECT_EQ(get("/v1/book/x", "Authorization: \xc3\xa9\r\n").status, 400);
    EXPECT_EQ(get("/v1/book/x", "Authorization: a\x01\r\n").status, 400);
    EXPECT_TRUE(upstream.calls().empty());
}

TEST_F(Limits, RefuseSmuggledRequests)
{
    start();
    reply(Reply());
    const char *const attacks[] = {
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "4\r\n\r\n0\r\n\r\n",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: "
        "3\r\n\r\n{}",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: 2 2\r\n\r\n{}",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        "POST /v1/search:run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        "GET /v1/book/x HTTP/1.1\r\n\r\n",
    };
    for (const char *attack : attacks) {
        Connection c(gateway->port);
        c.send(attack);
        auto r = c.receive(false, 3);
        EXPECT_TRUE(r.status / 100 == 4 || (r.status == 0 && r.closed)) << attack << r.status;
    }
    EXPECT_TRUE(upstream.calls().empty());
}

TEST_F(Limits, RefuseMoreRequestsThanTheServerShouldHave)
{
    start({"--max-requests=2"});
    Reply slow;
    slow.delay = std::chrono::milliseconds(500);
    reply(slow);
    Connection a(gateway->port), b(gateway->port), c(gateway->port);
    for (Connection *one : {&a, &b})
        one->send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 200 && upstream.calls().size() < 2; i++)
        usleep(5000);
    c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    auto r = c.receive();
    EXPECT_EQ(r.status, 429);
    EXPECT_EQ(r.header("Retry-After"), "1");
    EXPECT_EQ(a.receive().status, 200);
    EXPECT_EQ(b.receive().status, 200);
    c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(c.receive().status, 200);
}

TEST_F(Limits, CloseConnectionsThatDawdle)
{
    start({"--idle-timeout=1s"});
    Connection slow(gateway->port);
    slow.send("GET /v1/book/x HT");
    EXPECT_TRUE(slow.closes(5));
    Connection body(gateway->port);
    body.send("POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Type: "
              "application/json\r\nContent-Length: 10\r\n\r\n{");
    EXPECT_TRUE(body.closes(5));
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Limits, HoldUnderManyConnectionsAtOnce)
{
    start();
    upstream.handle([](const Call &c) {
        Reply r;
        r.messages = {c.request};
        return r;
    });
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int t = 0; t < 8; t++) {
        threads.emplace_back([&, t] {
            Connection c(gateway->port);
            for (int i = 0; i < 100; i++) {
                std::string name = "n" + std::to_string(t) + "-" + std::to_string(i);
                c.send("GET /v1/book/" + name + " HTTP/1.1\r\nHost: x\r\n\r\n");
                auto r = c.receive();
                good += r.status == 200 && r.body == "{\"name\":\"" + name + "\",\"title\":\"\"}";
            }
        });
    }
    for (auto &t : threads)
        t.join();
    EXPECT_EQ(good.load(), 800);
}

} // namespace gateway_test
