// Requests that reach the server, and what becomes of their answers.
#include <zlib.h>

#include "gateway/fixture.h"

namespace gateway_test
{

class Http : public GatewayTest
{
};

TEST_F(Http, CallsTheMethodOfTheRoute)
{
    start();
    reply_book(R"({"name":"shelves/1/books/2","title":"T"})");
    auto r = get("/v1/shelves/1/books/2");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Content-Type"), "application/json");
    EXPECT_EQ(r.header("Cache-Control"), "no-store");
    EXPECT_EQ(r.body, R"({"name":"shelves/1/books/2","title":"T"})");
    auto calls = upstream.calls();
    ASSERT_EQ(calls.size(), 1u);
    EXPECT_EQ(calls[0].method, "/luna.testing.Library/Get");
    EXPECT_EQ(json("luna.testing.GetBook", calls[0].request), R"({"name":"shelves/1/books/2"})");
}

TEST_F(Http, SendsBodyPathAndMask)
{
    start();
    reply_book("{}");
    auto r = request("PATCH", "/v1/shelves/1/books/2?allow_missing=true",
                     "Content-Type: application/json; charset=utf-8\r\n", R"({"title":"new"})");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(
        json("luna.testing.UpdateBook", upstream.calls().at(0).request),
        R"({"book":{"name":"shelves/1/books/2","title":"new"},"update_mask":"title","allow_missing":true})");
}

TEST_F(Http, TakesChunkedBodiesAndExpect)
{
    start();
    reply(Reply());
    Connection c(gateway->port);
    c.send("POST /v1/search:run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: "
           "100-continue\r\n"
           "Transfer-Encoding: chunked\r\n\r\n");
    c.send("8\r\n{\"name\":\r\n");
    c.send("4\r\n\"a\"}\r\n0\r\n\r\n");
    EXPECT_EQ(c.receive().status, 200);
    EXPECT_EQ(json("luna.testing.Everything", upstream.calls().at(0).request).substr(0, 11),
              R"({"name":"a")");
}

TEST_F(Http, AnswersTheResponseBodyFieldAndCamelCase)
{
    start();
    Reply r;
    r.messages = {
        wire("luna.testing.Everything", R"({"books":[{"name":"a"}],"all":{"field_name2":7}})")};
    reply(r);
    EXPECT_EQ(get("/v1/search").body, R"([{"name":"a","title":""}])");
    auto camel = get("/v1/camel").body;
    EXPECT_NE(camel.find(R"("fieldName2":7)"), std::string::npos) << camel;
    EXPECT_EQ(camel.find("field_name2"), std::string::npos) << camel;
}

TEST_F(Http, ForwardsWhatTheServerNeedsAndNothingElse)
{
    start();
    reply_book("{}");
    auto r = get("/v1/book/x",
                 "Authorization: Bearer t\r\nX-Api-Key:  k \r\nCookie: secret=1\r\nX-Evil: 1\r\n"
                 "Idempotency-Key: i\r\nTraceparent: "
                 "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                 "X-Request-Id: my-id\r\nX-Forwarded-For: 9.9.9.9\r\nGrpc-Status-Details-Bin: "
                 "x\r\nX-Http-Code: 204\r\n");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("X-Request-Id"), "my-id");
    auto call = upstream.calls().at(0);
    EXPECT_EQ(call.header("authorization"), "Bearer t");
    EXPECT_EQ(call.header("x-api-key"), "k");
    EXPECT_EQ(call.header("idempotency-key"), "i");
    EXPECT_EQ(call.header("x-request-id"), "my-id");
    EXPECT_EQ(call.header("x-forwarded-for"), "9.9.9.9, 127.0.0.1");
    EXPECT_EQ(call.header("traceparent"),
              "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for (const char *absent :
         {"cookie", "x-evil", "grpc-status-details-bin", "x-http-code", "host"})
        EXPECT_EQ(call.metadata.count(absent), 0u) << absent;
}

TEST_F(Http, CrowdsOutNothingOfItsOwn)
{
    start();
    reply_book("{}");
    std::string many;
    for (int i = 0; i < 40; i++)
        many += "Accept-Language: de\r\n";
    EXPECT_EQ(get("/v1/book/x", many).status, 200);
    auto call = upstream.calls().at(0);
    for (const char *own : {"x-request-id", "traceparent", "x-forwarded-for", "x-forwarded-proto",
                            "x-forwarded-host"})
        EXPECT_EQ(call.metadata.count(own), 1u) << own;
}

TEST_F(Http, MakesARequestIdWhenThereIsNoneOrABadOne)
{
    start();
    reply_book("{}");
    for (const char *header : {"", "X-Request-Id: a\"b\r\n", "X-Request-Id: \r\n"}) {
        auto r = get("/v1/book/x", header);
        EXPECT_EQ(r.header("X-Request-Id").size(), 36u) << header;
        EXPECT_EQ(upstream.calls().back().header("x-request-id"), r.header("X-Request-Id"));
    }
}

TEST_F(Http, ShowsLimitsAndTheCodeThatTheServerAsksFor)
{
    start();
    Reply r;
    r.headers = {
        {"ratelimit", "\"default\";r=499"}, {"x-ratelimit-remaining", "499"}, {"internal", "x"}};
    r.trailers = {{"x-http-code", "202"}, {"x-ratelimit-limit", "500"}};
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.status, 202);
    EXPECT_EQ(answer.header("RateLimit"), "\"default\";r=499");
    EXPECT_EQ(answer.header("X-RateLimit-Remaining"), "499");
    EXPECT_EQ(answer.header("X-RateLimit-Limit"), "500");
    EXPECT_EQ(answer.header("Internal"), "");
    r.trailers = {{"x-http-code", "500"}};
    reply(r);
    EXPECT_EQ(get("/v1/book/x").status, 200);
}

/* Servers send the older names only where the newer fields do not hold them. */
TEST_F(Http, ShowsTheTightestLimitUnderTheOlderNames)
{
    start();
    Reply r;
    r.headers = {{"ratelimit-policy", "\"quota\";q=500, \"key\";q=5;w=10"},
                 {"ratelimit", "\"quota\";r=499;t=60, \"key\";r=3;t=4"}};
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.header("RateLimit-Policy"), "\"quota\";q=500, \"key\";q=5;w=10");
    EXPECT_EQ(answer.header("X-RateLimit-Limit"), "5");
    EXPECT_EQ(answer.header("X-RateLimit-Remaining"), "3");
    EXPECT_EQ(answer.header("X-RateLimit-Reset"), "4");
    r.headers["x-ratelimit-limit"] = "500";
    r.headers["x-ratelimit-remaining"] = "499";
    r.headers["x-ratelimit-reset"] = "60";
    reply(r);
    answer = get("/v1/book/x");
    EXPECT_EQ(answer.header("X-RateLimit-Limit"), "500");
    EXPECT_EQ(answer.header("X-RateLimit-Remaining"), "499");
    EXPECT_EQ(answer.header("X-RateLimit-Reset"), "60");
    r.headers = {{"ratelimit-policy", "other"}, {"ratelimit", "other"}};
    reply(r);
    answer = get("/v1/book/x");
    EXPECT_EQ(answer.header("RateLimit"), "other");
    EXPECT_EQ(answer.header("X-RateLimit-Limit"), "");
}

TEST_F(Http, KeepsConnectionsAndTheirOrder)
{
    start();
    upstream.handle([](const Call &c) {
        Reply r;
        r.messages = {c.request};
        return r;
    });
    Connection c(gateway->port);
    std::string all;
    for (int i = 0; i < 20; i++)
        all += "GET /v1/book/b" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    c.send(all);
    for (int i = 0; i < 20; i++) {
        auto r = c.receive();
        ASSERT_EQ(r.status, 200) << i;
        EXPECT_EQ(r.body, "{\"name\":\"b" + std::to_string(i) + "\",\"title\":\"\"}");
    }
    // Bodies of routes that take none, and of requests that are refused, are read to their end.
    c.send("GET /v1/book/y HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(c.receive().status, 200);
    c.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(c.receive().status, 404);
    c.send("GET /v1/book/z HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(c.receive().status, 200);
}

TEST_F(Http, AnswersHeadAndOptions)
{
    start();
    reply_book(R"({"name":"x"})");
    auto head = request("HEAD", "/v1/book/x");
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("Content-Length"), std::to_string(get("/v1/book/x").body.size()));
    auto options = request("OPTIONS", "/v1/shelves/1/books/2");
    EXPECT_EQ(options.status, 204);
    EXPECT_EQ(options.header("Allow"), "GET, HEAD, PUT, DELETE, PATCH, OPTIONS");
    EXPECT_EQ(request("OPTIONS", "/nowhere").status, 404);
}

TEST_F(Http, LetsListedOriginsCall)
{
    start({"--cors-origins=https://a.example, https://b.example"});
    reply_book("{}");
    auto good = get("/v1/book/x", "Origin: https://b.example\r\n");
    EXPECT_EQ(good.header("Access-Control-Allow-Origin"), "https://b.example");
    EXPECT_NE(good.header("Vary").find("Origin"), std::string::npos);
    EXPECT_NE(good.header("Access-Control-Expose-Headers").find("RateLimit"), std::string::npos);
    auto bad = get("/v1/book/x", "Origin: https://evil.example\r\n");
    EXPECT_EQ(bad.header("Access-Control-Allow-Origin"), "");
    EXPECT_NE(bad.header("Vary").find("Origin"), std::string::npos);
    auto failed = get("/nowhere", "Origin: https://a.example\r\n");
    EXPECT_EQ(failed.status, 404);
    EXPECT_EQ(failed.header("Access-Control-Allow-Origin"), "https://a.example");
    auto preflight =
        request("OPTIONS", "/v1/search:run",
                "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n");
    EXPECT_EQ(preflight.status, 204);
    EXPECT_EQ(preflight.header("Access-Control-Allow-Methods"), "POST, OPTIONS");
    EXPECT_NE(preflight.header("Access-Control-Allow-Headers").find("Authorization"),
              std::string::npos);
    auto refused =
        request("OPTIONS", "/v1/search:run",
                "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    EXPECT_EQ(refused.header("Access-Control-Allow-Methods"), "");
}

TEST_F(Http, CompressesLongAnswersForThoseWhoRead)
{
    start();
    std::string title(5000, 'a');
    reply_book("{\"title\":\"" + title + "\"}");
    auto plain = get("/v1/book/x");
    EXPECT_EQ(plain.header("Content-Encoding"), "");
    EXPECT_EQ(plain.header("Vary"), "Accept-Encoding");
    auto packed = get("/v1/book/x", "Accept-Encoding: br;q=0.4, gzip;q=0.5\r\n");
    ASSERT_EQ(packed.header("Content-Encoding"), "gzip");
    std::string out(plain.body.size() + 10, 0);
    z_stream z = {};
    ASSERT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = reinterpret_cast<Bytef *>(packed.body.data());
    z.avail_in = static_cast<uInt>(packed.body.size());
    z.next_out = reinterpret_cast<Bytef *>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(out.substr(0, z.total_out), plain.body);
    inflateEnd(&z);
    EXPECT_EQ(get("/v1/book/x", "Accept-Encoding: gzip;q=0\r\n").header("Content-Encoding"), "");
    reply_book("{}");
    EXPECT_EQ(get("/v1/book/x", "Accept-Encoding: gzip\r\n").header("Content-Encoding"), "");
}

TEST_F(Http, SpeaksConnectOnTheMethodsOwnPath)
{
    start();
    reply_book(R"({"name":"x"})");
    const char *path = "/luna.testing.Library/Get";
    auto json_answer = post(path, R"({"name":"x"})", "Connect-Protocol-Version: 1\r\n");
    EXPECT_EQ(json_answer.status, 200);
    EXPECT_EQ(json_answer.body, R"({"name":"x","title":""})");
    auto proto = request("POST", path, "Content-Type: application/proto\r\n",
                         wire("luna.testing.GetBook", R"({"name":"y"})"));
    EXPECT_EQ(proto.status, 200);
    EXPECT_EQ(proto.header("Content-Type"), "application/proto");
    EXPECT_EQ(json("luna.testing.Book", proto.body), R"({"name":"x","title":""})");
    EXPECT_EQ(json("luna.testing.GetBook", upstream.calls().back().request), R"({"name":"y"})");
    Reply r;
    r.code = grpc::StatusCode::NOT_FOUND;
    r.text = "no such book";
    reply(r);
    auto failed = post(path, "{}", "Connect-Protocol-Version: 1\r\n");
    EXPECT_EQ(failed.status, 404);
    EXPECT_EQ(failed.body, R"({"code":"not_found","message":"no such book","details":[]})");
}

TEST_F(Http, AnswersItsOwnPaths)
{
    start();
    reply_book("{}");
    EXPECT_EQ(get("/healthz").body, "{\"status\":\"ok\"}\n");
    EXPECT_EQ(get("/readyz").status, 200);
    EXPECT_EQ(post("/healthz", "{}").status, 405);
    EXPECT_EQ(get("/v1/book/x").status, 200);
    EXPECT_EQ(get("/nowhere").status, 404);
    for (const char *line :
         {"luna_gateway_requests_total{method=\"/luna.testing.Library/Get\",code=\"200\"} 1\n",
          "luna_gateway_requests_total{method=\"\",code=\"404\"} 1\n",
          "luna_gateway_request_seconds_count{method=\"/luna.testing.Library/Get\"} 1\n",
          "luna_gateway_upstream_ready 1\n"}) {
        std::string metrics; // counted when the answer was sent, which may be after we read it
        for (int i = 0; i < 200 && metrics.find(line) == std::string::npos; i++) {
            metrics = get("/metrics").body;
            usleep(5000);
        }
        EXPECT_NE(metrics.find(line), std::string::npos) << line << metrics;
    }
}

TEST_F(Http, ServesItsPages)
{
    start();
    for (const char *path : {"/", "/docs", "/redoc", "/reference"}) {
        auto r = get(path);
        EXPECT_EQ(r.status, 200) << path;
        EXPECT_EQ(r.header("Content-Type").substr(0, 9), "text/html") << path;
        EXPECT_FALSE(r.header("Content-Security-Policy").empty()) << path;
        EXPECT_EQ(r.header("Referrer-Policy"), "no-referrer");
        std::string etag = r.header("ETag");
        ASSERT_FALSE(etag.empty());
        auto again = get(path, "If-None-Match: " + etag + "\r\n");
        EXPECT_EQ(again.status, 304) << path;
        auto head = request("HEAD", path);
        EXPECT_EQ(head.status, 200);
        EXPECT_EQ(head.header("Content-Length"), std::to_string(r.body.size()));
    }
    auto api = get("/openapi.json");
    EXPECT_EQ(api.header("Content-Type").substr(0, 16), "application/json");
    EXPECT_NE(api.body.find("\"3.1"), std::string::npos);
    auto packed = get("/openapi.json", "Accept-Encoding: gzip\r\n");
    EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
    EXPECT_LT(packed.body.size(), api.body.size());
    EXPECT_EQ(post("/docs", "{}").status, 405);
}

} // namespace gateway_test
