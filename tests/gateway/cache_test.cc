// The response cache, with a Redis of the test's own: who sees what, for how long, and what happens
// without it.
#include <cstdio>
#include <random>

#include "gateway/fixture.h"
#include "support/redis_server.h"

namespace gateway_test
{

class Cache : public GatewayTest
{
  protected:
    void start(std::vector<std::string> settings = {})
    {
        settings.insert(settings.begin(), {"--redis-url=" + redis.url(), "--redis-timeout=5s"});
        GatewayTest::start(settings);
        for (int i = 0; i < 1000 && metric("ready") != 1; i++)
            usleep(10000);
        echo();
    }
    // Each answer says who asked, and which time it is.
    void echo()
    {
        asked = 0;
        upstream.handle([this](const Call &call) {
            Reply r;
            std::string who = call.header("x-api-key") + "|" + call.header("authorization");
            r.messages = {wire("luna.testing.Book", R"({"name":")" + who + R"(","title":")" +
                                                        std::to_string(++asked) + R"("})")};
            return r;
        });
    }
    std::string body(const std::string &who, int n)
    {
        return R"({"name":")" + who + R"(","title":")" + std::to_string(n) + R"("})";
    }
    // luna_gateway_cache_<name> or an event of luna_gateway_cache_total; -1: not there.
    long metric(const std::string &name)
    {
        std::string text = get("/metrics").body;
        for (std::string line : {"luna_gateway_cache_" + name + " ",
                                 "luna_gateway_cache_total{event=\"" + name + "\"} "}) {
            size_t at = text.find("\n" + line);
            if (at != std::string::npos)
                return std::strtol(text.c_str() + at + 1 + line.size(), nullptr, 10);
        }
        return -1;
    }
    // An entry is on its way when its answer is there: waits until Redis has `n`.
    void stored(size_t n)
    {
        for (int i = 0; i < 1000 && keys().size() != n; i++)
            usleep(5000);
        ASSERT_EQ(keys().size(), n);
    }
    std::vector<std::string> keys()
    {
        std::vector<std::string> found;
        std::string out = cli("--scan");
        for (size_t at = 0, end; (end = out.find('\n', at)) != std::string::npos; at = end + 1)
            found.push_back(out.substr(at, end - at));
        return found;
    }
    std::string cli(const std::string &command)
    {
        std::string out;
        char bytes[4096];
        FILE *p = popen(("redis-cli -s " + redis.socket() + " " + command).c_str(), "r");
        for (size_t n; (n = fread(bytes, 1, sizeof(bytes), p)) > 0;)
            out.append(bytes, n);
        pclose(p);
        return out;
    }

    redis_server redis;
    std::atomic<int> asked{0};
};

TEST_F(Cache, AnswersWithoutTheServer)
{
    start();
    auto first = get("/v1/lookup/a", "X-Api-Key: k\r\n");
    EXPECT_EQ(first.body, body("k|", 1));
    EXPECT_EQ(first.header("Age"), "");
    EXPECT_EQ(first.header("Cache-Status"), "luna-gateway; fwd=uri-miss");
    stored(1);
    auto again = get("/v1/lookup/a", "X-Api-Key: k\r\n");
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.body, first.body);
    EXPECT_EQ(again.header("ETag"), first.header("ETag"));
    EXPECT_EQ(again.header("Content-Type"), "application/json");
    EXPECT_EQ(again.header("Cache-Control"), "private, max-age=60");
    EXPECT_EQ(again.header("Vary"), "Authorization, X-Api-Key, Accept-Language");
    EXPECT_EQ(again.header("Cache-Status"), "luna-gateway; hit");
    EXPECT_LE(std::stoi(again.header("Age")), 5);
    auto same =
        get("/v1/lookup/a", "X-Api-Key: k\r\nIf-None-Match: " + first.header("ETag") + "\r\n");
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.body, "");
    auto head = request("HEAD", "/v1/lookup/a", "X-Api-Key: k\r\n");
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("Content-Length"), std::to_string(first.body.size()));
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(get("/v1/lookup/b", "X-Api-Key: k\r\n").body, body("k|", 2));
    EXPECT_EQ(metric("hit"), 3);
    EXPECT_EQ(metric("miss"), 2);
    EXPECT_EQ(metric("error"), 0);
}

TEST_F(Cache, PacksForThoseWhoRead)
{
    start();
    std::string title(5000, 'x');
    reply_book(R"({"name":"a","title":")" + title + R"("})");
    auto plain = get("/v1/lookup/a");
    stored(1);
    reply_book(R"({"name":"b"})");
    auto packed = get("/v1/lookup/a", "Accept-Encoding: gzip\r\n");
    EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
    EXPECT_EQ(packed.header("ETag"), plain.header("ETag"));
    EXPECT_EQ(get("/v1/lookup/a").body, plain.body);
    EXPECT_TRUE(upstream.calls().empty());
}

TEST_F(Cache, ShowsNobodyWhatIsAnothers)
{
    start();
    const std::vector<std::pair<std::string, std::string>> callers = {
        {"", "|"},
        {"X-Api-Key: k\r\n", "k|"},
        {"X-Api-Key: K\r\n", "K|"},
        {"X-Api-Key: kk\r\n", "kk|"},
        {"Authorization: k\r\n", "|k"},
        {"Authorization: Bearer k\r\n", "|Bearer k"},
        {"X-Api-Key: k\r\nAuthorization: Bearer k\r\n", "k|Bearer k"},
        {"X-Api-Key: k\r\nAuthorization: Bearer l\r\n", "k|Bearer l"},
    };
    std::mt19937 random(1);
    for (int i = 0; i < 400; i++) {
        auto &who = callers[random() % callers.size()];
        auto r = get("/v1/lookup/" + std::to_string(random() % 4), who.first);
        ASSERT_EQ(r.status, 200);
        ASSERT_EQ(r.body.find(R"({"name":")" + who.second + "\""), 0u) << who.first << r.body;
    }
    EXPECT_GT(metric("hit"), 50);
}

TEST_F(Cache, BelievesNoCredentialsThatTheServerHasNotAccepted)
{
    start();
    std::atomic<int> refused{0};
    upstream.handle([&](const Call &call) {
        Reply r;
        if (call.header("x-api-key") != "good") {
            r.code = grpc::StatusCode::UNAUTHENTICATED;
            refused++;
        }
        r.messages = {wire("luna.testing.Book", R"({"name":"secret"})")};
        return r;
    });
    EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: good\r\n").status, 200);
    stored(1);
    EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: good\r\n").status, 200);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: bad\r\n").status, 401);
        EXPECT_EQ(get("/v1/lookup/a").status, 401);
        // What comes beside a good key is part of the credentials.
        EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: bad\r\nX-Api-Key: good\r\n").status, 401);
    }
    EXPECT_EQ(refused, 9);
    EXPECT_EQ(keys().size(), 1u);
}

TEST_F(Cache, ForgetsARevokedKeyInTime)
{
    start({"--cache-private=300ms"});
    EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: k\r\n").status, 200);
    Reply r;
    r.code = grpc::StatusCode::UNAUTHENTICATED;
    reply(r);
    usleep(350000);
    EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: k\r\n").status, 401);
}

TEST_F(Cache, KeepsForACallerNoLongerThanTheServerRemembersHim)
{
    start();
    get("/v1/lookup/a", "X-Api-Key: k\r\n");
    stored(1);
    long left = std::strtol(cli("pttl " + keys()[0]).c_str(), nullptr, 10);
    EXPECT_GT(left, 0);
    EXPECT_LE(left, 5000); // QUOTA_KEY_TTL of server/quota
}

TEST_F(Cache, SharesWhatIsForEverybodyAndOnlyThat)
{
    start();
    auto first = get("/v1/open/a", "X-Api-Key: one\r\n");
    EXPECT_EQ(first.header("Cache-Control"), "public, max-age=60");
    EXPECT_EQ(first.header("Vary"), "Accept-Language");
    stored(1);
    EXPECT_GT(std::strtol(cli("pttl " + keys()[0]).c_str(), nullptr, 10), 30000);
    EXPECT_EQ(get("/v1/open/a", "X-Api-Key: two\r\n").body, first.body);
    EXPECT_EQ(get("/v1/open/a").body, first.body);
    EXPECT_NE(get("/v1/open/a", "Accept-Language: de\r\n").body, first.body);
    // A method that asks for credentials is never public, whatever its option says.
    EXPECT_EQ(get("/v1/half-open/a", "X-Api-Key: one\r\n").header("Cache-Control"),
              "private, max-age=60");
    stored(3);
    EXPECT_EQ(get("/v1/half-open/a", "X-Api-Key: two\r\n").body.find(R"({"name":"two|")"), 0u);
}

TEST_F(Cache, DoesAsTheCallerWishes)
{
    start({"--cache-private=1m"});
    EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: no-store\r\n").body, body("|", 1));
    auto none = get("/v1/lookup/a", "Cache-Control: max-age=9, only-if-cached\r\n");
    EXPECT_EQ(none.status, 504);
    EXPECT_NE(none.body.find("only a kept one was asked for"), std::string::npos) << none.body;
    EXPECT_EQ(get("/v1/lookup/a").body, body("|", 2));
    stored(1);
    EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: only-if-cached\r\n").body, body("|", 2));
    EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: no-store\r\n").body, body("|", 3));
    EXPECT_EQ(get("/v1/lookup/a").body, body("|", 2));
    // A new answer for who asks for one, and for those behind him.
    int n = 4;
    for (std::string wish :
         {"Cache-Control: no-cache", "Cache-Control: foo, NO-CACHE", "Cache-Control: max-age=0",
          "Cache-Control: max-age=x", "Pragma: no-cache"}) {
        EXPECT_EQ(get("/v1/lookup/a", wish + "\r\n").body, body("|", n)) << wish;
        for (int i = 0; i < 1000 && get("/v1/lookup/a").body != body("|", n); i++)
            usleep(5000);
        EXPECT_EQ(get("/v1/lookup/a").body, body("|", n)) << wish;
        n++;
    }
    EXPECT_EQ(get("/v1/lookup/a", "Pragma: no-cache\r\nCache-Control: max-age=50\r\n").body,
              body("|", n - 1));
    usleep(2100000);
    EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: max-age=1\r\n").body, body("|", n));
    EXPECT_EQ(metric("stale"), 1);
}

TEST_F(Cache, KeepsOnlyWhatMayBeKept)
{
    start({"--cache-entry=2KiB"});
    EXPECT_EQ(get("/v1/paid/a").header("Cache-Control"), "no-store"); // it would not be charged
    EXPECT_EQ(get("/v1/book/a").header("Cache-Control"), "no-store");
    EXPECT_EQ(post("/luna.testing.Library/Lookup", R"({"name":"a"})").status, 200);
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"a"})")};
    r.code = grpc::StatusCode::NOT_FOUND;
    reply(r);
    EXPECT_EQ(get("/v1/lookup/a").status, 404);
    r.code = grpc::StatusCode::OK;
    r.headers = {{"cache-control", "no-store"}};
    reply(r);
    EXPECT_EQ(get("/v1/lookup/b").header("Cache-Control"), "no-store");
    r.headers = {{"x-http-code", "206"}};
    reply(r);
    EXPECT_EQ(get("/v1/lookup/c").status, 206);
    r.headers.clear();
    r.trailers = {{"cache-control", "private,  max-age=7"}};
    r.messages = {wire("luna.testing.Book", R"({"title":")" + std::string(3000, 'x') + R"("})")};
    reply(r);
    EXPECT_EQ(get("/v1/lookup/d").header("Cache-Control"), "private, max-age=7");
    EXPECT_EQ(metric("too_long"), 1);
    EXPECT_EQ(metric("stored"), 0);
    EXPECT_TRUE(keys().empty());
}

TEST_F(Cache, RemembersTheServersOwnTagAndLinks)
{
    start();
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"a"})")};
    r.headers = {{"etag", "\"v,1\""}, {"link", "<x>; rel=next"}, {"ratelimit", "\"q\";r=9"}};
    reply(r);
    EXPECT_EQ(get("/v1/lookup/a").header("ETag"), "\"v,1\"");
    stored(1);
    auto again = get("/v1/lookup/a");
    EXPECT_EQ(again.header("Cache-Status"), "luna-gateway; hit");
    EXPECT_EQ(again.header("ETag"), "\"v,1\"");
    EXPECT_EQ(again.header("Link"), "<x>; rel=next");
    EXPECT_EQ(again.header("RateLimit"), ""); // of that call, and not of this one
    EXPECT_EQ(get("/v1/lookup/a", "If-None-Match: \"o\" , W/\"v,1\"\r\n").status, 304);
    EXPECT_EQ(get("/v1/lookup/a", "If-None-Match: *\r\n").status, 304);
    EXPECT_EQ(get("/v1/lookup/a", "If-None-Match: \"v\", 1\"\r\n").status, 200);
    EXPECT_EQ(get("/v1/lookup/a", "If-None-Match: \"v,1\r\n").status, 200);
}

TEST_F(Cache, AnswersConnectsGetInItsOwnForm)
{
    start();
    std::string path = "/luna.testing.Library/Lookup?connect=v1&message=%7B%22name%22%3A%22a%22%7D";
    auto json = get(path + "&encoding=json");
    EXPECT_EQ(json.body, body("|", 1));
    EXPECT_EQ(json.header("Cache-Control"), "private, max-age=60");
    stored(1);
    EXPECT_EQ(get(path + "&encoding=json").body, json.body);
    auto proto =
        get("/luna.testing.Library/Lookup?connect=v1&encoding=proto&base64=1&message=CgFh");
    EXPECT_EQ(proto.header("Content-Type"), "application/proto");
    EXPECT_EQ(proto.body, wire("luna.testing.Book", body("|", 2)));
    EXPECT_EQ(get("/v1/lookup/a").body, body("|", 3));
}

TEST_F(Cache, IsNeverAnErrorWhenRedisIsAway)
{
    start();
    get("/v1/lookup/a");
    stored(1);
    redis.stop(SIGKILL);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(get("/v1/lookup/a").status, 200);
    EXPECT_GT(metric("error"), 0);
    redis.start();
    std::string last;
    for (int i = 0; i < 1000 && last != "luna-gateway; hit"; i++) {
        auto r = get("/v1/lookup/a");
        EXPECT_EQ(r.status, 200);
        last = r.header("Cache-Status");
        usleep(10000);
    }
    EXPECT_EQ(last, "luna-gateway; hit");
}

TEST_F(Cache, WaitsForASilentRedisOnceAndNotLong)
{
    start({"--redis-timeout=100ms"});
    get("/v1/lookup/a");
    stored(1);
    redis.signal(SIGSTOP);
    for (int i = 0; i < 10; i++) {
        auto r = request("GET", "/v1/lookup/a", "", "", 5);
        EXPECT_EQ(r.status, 200);
        EXPECT_NE(r.header("Cache-Status"), "luna-gateway; hit");
    }
    redis.signal(SIGCONT);
    EXPECT_GT(metric("error"), 0);
}

TEST_F(Cache, ServesWithARedisThatNeverCame)
{
    redis.stop();
    GatewayTest::start({"--redis-url=" + redis.url()});
    echo();
    EXPECT_EQ(get("/v1/lookup/a").body, body("|", 1));
    EXPECT_EQ(get("/v1/lookup/a").body, body("|", 2));
    EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: only-if-cached\r\n").status, 504);
}

TEST_F(Cache, TakesRubbishForNothing)
{
    start();
    const char *rubbish[] = {"x",
                             "1",
                             "1\\n9\\n9\\n1\\n",
                             "2\\n1\\n60\\n1\\na\\n\\n\\n\\n\\n\\nx",
                             "1\\n1\\n60\\n2\\na\\n\\n\\n\\n\\n\\nx",
                             "1\\n1\\n60\\n-1\\na\\n\\n\\n\\n\\n\\n",
                             ""};
    get("/v1/lookup/a");
    stored(1);
    std::string key = keys()[0];
    int n = 1;
    for (const char *bytes : rubbish) {
        cli("set " + key + " \"$(printf '" + bytes + "')\"");
        EXPECT_EQ(get("/v1/lookup/a", "Cache-Control: max-age=1000\r\n").body, body("|", ++n))
            << bytes;
        for (int i = 0; i < 1000 && metric("stored") < n; i++)
            usleep(1000);
        usleep(20000);
    }
    cli("del " + key);
    cli("lpush " + key + " a"); // of another type
    EXPECT_EQ(get("/v1/lookup/a").status, 200);
    EXPECT_EQ(metric("error"), static_cast<long>(std::size(rubbish)) + 1);
}

TEST_F(Cache, IsSharedByGatewaysWithOneSecret)
{
    start({"--cache-secret=s", "--cache-private=1m"});
    get("/v1/lookup/a", "X-Api-Key: topsecret\r\n");
    stored(1);
    auto first = std::move(gateway);
    start({"--cache-secret=s"});
    auto shared = get("/v1/lookup/a", "X-Api-Key: topsecret\r\n");
    EXPECT_EQ(shared.header("Cache-Status"), "luna-gateway; hit");
    EXPECT_EQ(asked, 0);
    auto second = std::move(gateway);
    for (std::string secret : {"--cache-secret=t", "--cache-secret="}) {
        start({secret});
        EXPECT_EQ(get("/v1/lookup/a", "X-Api-Key: topsecret\r\n").header("Cache-Status"),
                  "luna-gateway; fwd=uri-miss");
    }
    // Neither names nor, in an answer that does not say it, entries hold credentials.
    for (auto &key : keys())
        EXPECT_EQ(key.find("topsecret"), std::string::npos);
}

TEST_F(Cache, LosesNothingWhenTheGatewayStops)
{
    start();
    std::vector<std::unique_ptr<Connection>> waiting;
    redis.signal(SIGSTOP);
    for (int i = 0; i < 50; i++) {
        waiting.push_back(std::make_unique<Connection>(gateway->port));
        waiting.back()->send("GET /v1/lookup/" + std::to_string(i) +
                             " HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    usleep(100000);
    kill(gateway->pid, SIGTERM);
    redis.signal(SIGCONT);
    int answered = 0;
    for (auto &c : waiting)
        answered += c->receive().status == 200;
    EXPECT_EQ(answered, 50);
    EXPECT_EQ(gateway->stop(), 0);
}

} // namespace gateway_test
