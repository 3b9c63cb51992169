// Clients that leave: by closing, by half, or without a word.
#include "gateway/fixture.h"

namespace gateway_test
{

class Leaving : public GatewayTest
{
  protected:
    // A stream of one message, behind which nothing comes for long.
    Reply idle_stream()
    {
        Reply r;
        r.messages = {wire("luna.testing.Book", R"({"name":"b"})")};
        r.hold = std::chrono::milliseconds(20000);
        return r;
    }
    // More than sockets hold for one who takes nothing.
    Reply flood()
    {
        Reply r;
        r.messages.assign(
            3000, wire("luna.testing.Book", "{\"title\":\"" + std::string(10000, 'a') + "\"}"));
        return r;
    }
    Reply slow(int ms)
    {
        Reply r;
        r.messages = {wire("luna.testing.Book", R"({"name":"b"})")};
        r.delay = std::chrono::milliseconds(ms);
        return r;
    }
    bool cancelled(int n, double seconds)
    {
        for (int i = 0; i < seconds * 200 && upstream.cancelled() < n; i++)
            usleep(5000);
        return upstream.cancelled() == n;
    }
    bool called()
    {
        for (int i = 0; i < 1000 && upstream.calls().empty(); i++)
            usleep(5000);
        return !upstream.calls().empty();
    }
    const std::string watch = "GET /v1/watch/x HTTP/1.1\r\nHost: x\r\n";
    const std::string events = "Accept: text/event-stream\r\n";
};

TEST_F(Leaving, CancelsTheCallAtOnce)
{
    start();
    int n = 0;
    for (const std::string &accept : {std::string(), events}) {
        for (bool half : {false, true}) {
            reply(idle_stream());
            Connection c(gateway->port);
            c.send(watch + accept + "\r\n");
            ASSERT_TRUE(c.more(5));
            if (half)
                c.shut();
            else
                c.hang_up();
            EXPECT_TRUE(cancelled(++n, 0.9)) << accept << half;
            EXPECT_TRUE(!half || c.closes(0.9));
        }
    }
    for (bool half : {false, true}) {
        reply(slow(20000));
        Connection c(gateway->port);
        c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
        ASSERT_TRUE(called());
        if (half)
            c.shut();
        else
            c.hang_up();
        EXPECT_TRUE(cancelled(++n, 0.9)) << half;
        EXPECT_TRUE(!half || c.closes(0.9));
    }
}

// What closes its sending side behind the request, like `nc -N`, and what its answer takes no time.
TEST_F(Leaving, ByHalfIsAnsweredAndClosed)
{
    start();
    reply(slow(20));
    for (const char *path : {"/healthz", "/v1/book/x", "/nothing"}) {
        Connection c(gateway->port);
        c.send(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
        c.shut();
        EXPECT_NE(c.receive().status, 0) << path;
        EXPECT_TRUE(c.closes(1.5)) << path;
    }
    Connection many(gateway->port);
    std::string one = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    many.send(one + one + one);
    many.shut();
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(many.receive().status, 200);
    EXPECT_TRUE(many.closes(1.5));
    for (const char *part : {"GET /hea", "POST /v1/book HTTP/1.1\r\nHost: x\r\nContent-Len",
                             "POST /v1/book HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{}"}) {
        Connection c(gateway->port);
        c.send(part);
        usleep(50000);
        c.shut();
        EXPECT_TRUE(c.closes(1.5)) << part;
    }
}

// Neither an end nor an error comes of a machine that is gone.
TEST_F(Leaving, WithoutAWordIsNoticed)
{
    start({"--heartbeat=1s"});
    int n = 0;
    for (const std::string &accept : {std::string(), events}) {
        reply(idle_stream());
        Connection c(gateway->port);
        c.send(watch + accept + "\r\n");
        ASSERT_TRUE(c.more(5));
        if (!c.vanish())
            GTEST_SKIP() << "no filters on sockets here";
        EXPECT_TRUE(cancelled(++n, 8)) << accept;
    }
    reply(idle_stream());
    Connection there(gateway->port);
    there.send(watch + "\r\n");
    ASSERT_TRUE(there.more(5));
    usleep(5000000);
    EXPECT_EQ(upstream.cancelled(), n) << "who is silent and there stays";
}

// Whoever takes nothing for long is closed, whatever waits for him.
TEST_F(Leaving, ByTakingNothing)
{
    start({"--idle-timeout=1s", "--heartbeat=500ms"});
    reply(flood());
    Connection stuck(gateway->port);
    stuck.send(watch + "\r\n");
    EXPECT_TRUE(cancelled(1, 6));
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(Leaving, ByTakingNothingDoesNotHoldUpTheEnd)
{
    start({"--drain-timeout=200ms"});
    reply(flood());
    Connection stuck(gateway->port);
    stuck.send(watch + "\r\n");
    ASSERT_TRUE(called());
    usleep(300000);
    auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(gateway->stop(), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

} // namespace gateway_test
