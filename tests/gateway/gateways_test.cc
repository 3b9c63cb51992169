// What other gateways got wrong, and their users complained of: a test for each class.
#include "gateway/fixture.h"

namespace gateway_test
{

class Gateways : public GatewayTest
{
  protected:
    // Sends the request and a second one behind it: both are answered, each once.
    void then_healthy(const std::string &first, int status)
    {
        Connection c(gateway->port);
        c.send(first + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        auto r = c.receive();
        EXPECT_EQ(r.status, status) << first << r.body;
        auto next = c.receive();
        EXPECT_EQ(next.body, "{\"status\":\"ok\"}\n") << first << next.status;
        EXPECT_EQ(c.receive().status, 0) << first;
        EXPECT_TRUE(c.closed());
    }
    std::string with_body(const std::string &line, const std::string &body,
                          const std::string &type = "application/json")
    {
        return line + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + type +
               "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    }
};

// grpc-gateway 5240, 5331, 7192: what is not read of a body becomes the next request.
TEST_F(Gateways, ReadTheBodiesOfRequestsThatTakeNone)
{
    start();
    reply_book(R"({"name":"x"})");
    const std::string body = "GET /v1/book/evil HTTP/1.1\r\nHost: x\r\n\r\n";
    then_healthy(with_body("GET /v1/book/x", body), 200);
    then_healthy(with_body("DELETE /v1/shelves/1/books/2", body), 200);
    then_healthy(with_body("POST /nowhere", body), 404);
    then_healthy(with_body("POST /v1/book/x", body), 405);
    then_healthy(with_body("POST /v1/search:run", body), 400);
    then_healthy(with_body("POST /v1/search:run", body, "text/plain"), 415);
    then_healthy(with_body("OPTIONS /v1/search:run", body), 204);
    then_healthy(with_body("POST /healthz", body), 405);
    then_healthy("POST /v1/book/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405);
    for (auto &call : upstream.calls())
        EXPECT_EQ(call.request.find("evil"), std::string::npos);
}

// grpc-gateway 6561: an answer behind the failure's.
TEST_F(Gateways, AnswerOnceWhenTheyFail)
{
    start();
    Reply r;
    r.code = grpc::StatusCode::ABORTED;
    r.messages = {wire("luna.testing.Book", R"({"name":"x"})"), "second"};
    reply(r);
    then_healthy("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n", 409);
    then_healthy("GET /v1/watch/x HTTP/1.1\r\nHost: x\r\n\r\n", 409);
    then_healthy("GET /v1/search?nope=1 HTTP/1.1\r\nHost: x\r\n\r\n", 422);
    then_healthy("GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    r.code = grpc::StatusCode::OK;
    r.messages = {"\xff\xff"};
    reply(r);
    then_healthy("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n", 500);
}

// grpc-gateway 6246: a PATCH without a body, or with null.
TEST_F(Gateways, PatchWithNothing)
{
    start();
    reply_book("{}");
    const std::pair<const char *, const char *> table[] = {
        {"", R"({"book":{"name":"shelves/1/books/2","title":""},"allow_missing":false})"},
        {"{}", R"({"book":{"name":"shelves/1/books/2","title":""},"update_mask":"",)"
               R"("allow_missing":false})"},
    };
    for (auto &[body, expected] : table) {
        auto r =
            request("PATCH", "/v1/shelves/1/books/2", "Content-Type: application/json\r\n", body);
        EXPECT_EQ(r.status, 200) << body << r.body;
        EXPECT_EQ(json("luna.testing.UpdateBook", upstream.calls().back().request), expected);
    }
    for (std::string body : {"[]", "1", "\"x\""})
        EXPECT_EQ(
            request("PATCH", "/v1/shelves/1/books/2", "Content-Type: application/json\r\n", body)
                .status,
            422)
            << body;
    EXPECT_NE(
        request("PATCH", "/v1/shelves/1/books/2", "Content-Type: application/json\r\n", "null")
                .status /
            100,
        5);
}

// grpc-gateway 5510, 7225: a response_body of any type, of any file.
TEST_F(Gateways, AnswerPartsOfEveryKind)
{
    start();
    Reply r;
    r.messages = {
        wire("luna.testing.Everything", R"({"name":"n","all":{"a_time":"2018-02-25T00:00:00Z"}})")};
    reply(r);
    EXPECT_EQ(get("/v1/name/1").body, "\"n\"");
    EXPECT_NE(get("/v1/all/1").body.find(R"("a_time":"2018-02-25T00:00:00Z")"), std::string::npos);
    EXPECT_EQ(get("/v1/search").body, "[]");
    reply(Reply());
    EXPECT_EQ(get("/v1/name/1").body, "\"\"");
}

// grpc-gateway 630 and five of its users: 501 for a verb that is not there.
TEST_F(Gateways, TellWrongVerbsFromWrongPaths)
{
    start();
    auto r = request("PUT", "/v1/book/x");
    EXPECT_EQ(r.status, 405);
    EXPECT_EQ(r.header("Allow"), "GET, HEAD, OPTIONS");
    EXPECT_EQ(get("/v1/boook/x").status, 404);
    EXPECT_EQ(get("/v1/book/x/y").status, 404);
    EXPECT_EQ(get("/v1/search:nope").status, 404);
    EXPECT_EQ(request("BREW", "/v1/book/x").status, 405);
    EXPECT_TRUE(upstream.calls().empty());
}

// grpc-gateway 6447: a header that turns one method into another walks around firewalls.
TEST_F(Gateways, TakeTheVerbFromTheRequestLineAlone)
{
    start();
    reply_book("{}");
    auto r = request("POST", "/v1/shelves/1/books/2",
                     "X-HTTP-Method-Override: DELETE\r\nContent-Type: "
                     "application/x-www-form-urlencoded\r\n",
                     "_method=DELETE");
    EXPECT_EQ(r.status, 405);
    EXPECT_TRUE(upstream.calls().empty());
}

// inngest 4816, vanguard 138: what is misspelt is ignored.
TEST_F(Gateways, IgnoreNothingThatIsMisspelt)
{
    start();
    auto query = get("/v1/search?nmae=x");
    EXPECT_EQ(query.status, 422);
    EXPECT_NE(query.body.find(R"("field":"nmae")"), std::string::npos) << query.body;
    auto body = post("/v1/search:run", R"({"nmae":"x"})");
    EXPECT_EQ(body.status, 422);
    EXPECT_NE(body.body.find(R"("field":"nmae")"), std::string::npos) << body.body;
    EXPECT_TRUE(upstream.calls().empty());
}

// grpc-gateway 355, 1681: zero values that vanish, integers that become texts, null that becomes 0.
TEST_F(Gateways, WriteZeroesAndWholeNumbers)
{
    start();
    Reply r;
    r.messages = {wire("luna.testing.Everything", R"({"id":"9007199254740991"})")};
    reply(r);
    std::string body = post("/v1/search:run", "{}").body;
    EXPECT_EQ(body, R"({"name":"","id":9007199254740991,"books":[]})");
    r.messages = {wire("luna.testing.Everything", R"({"id":"9007199254740993"})")};
    reply(r);
    EXPECT_NE(post("/v1/search:run", "{}").body.find(R"("id":"9007199254740993")"),
              std::string::npos);
    post("/v1/search:run", R"({"all":{"maybe_int32":null,"maybe_bool":false}})");
    EXPECT_EQ(upstream.calls().back().request,
              wire("luna.testing.Everything", R"({"all":{"maybe_bool":false}})"));
}

// esp 618: long details of a failure break the connection that everybody shares.
TEST_F(Gateways, SurviveLongFailures)
{
    start();
    upstream.handle([](const Call &call) {
        Reply r;
        if (call.request.find("long") != std::string::npos) {
            r.code = grpc::StatusCode::FAILED_PRECONDITION;
            r.text = std::string(20000, 'x');
        } else {
            r.delay = std::chrono::milliseconds(300);
            r.messages = {wire("luna.testing.Book", R"({"name":"x"})")};
        }
        return r;
    });
    Connection other(gateway->port);
    other.send("GET /v1/book/slow HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(100000);
    auto r = get("/v1/book/long");
    EXPECT_EQ(r.status, 412) << r.body.substr(0, 200);
    EXPECT_EQ(other.receive().status, 200);
}

// Codes that callers did not ask for, and bodies where there is none.
TEST_F(Gateways, TakeTheServersCodeOnlyWhereItIsHarmless)
{
    start();
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"x"})")};
    const struct {
        const char *asked;
        int given;
    } table[] = {{"201", 201}, {"206", 206}, {"304", 304}, {"204", 204}, {"207", 200},
                 {"302", 200}, {"100", 200}, {"199", 200}, {"404", 200}, {"x", 200},
                 {"", 200},    {"-1", 200},  {"2e2", 200}};
    for (auto &row : table) {
        r.headers = {{"x-http-code", row.asked}};
        reply(r);
        Connection c(gateway->port);
        c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n"
               "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_EQ(c.receive().status, row.given) << row.asked;
        EXPECT_EQ(c.receive().body, "{\"status\":\"ok\"}\n") << row.asked;
    }
    r.headers = {{"x-http-code", "201"}};
    r.code = grpc::StatusCode::NOT_FOUND;
    reply(r);
    EXPECT_EQ(get("/v1/book/x").status, 404);
}

// Work that was queued, whatever message the method has.
TEST_F(Gateways, SayThatWorkWasQueued)
{
    start();
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"x"})")};
    r.trailers = {{"x-http-code", "202"}, {"luna-job", "jobs/7"}};
    reply(r);
    auto queued = get("/v1/book/x");
    EXPECT_EQ(queued.status, 202);
    EXPECT_EQ(queued.header("Content-Type"), "application/json");
    EXPECT_EQ(queued.header("Cache-Control"), "no-store");
    EXPECT_EQ(queued.body,
              R"({"status_code":202,"detail":"the work was queued as jobs/7","job":"jobs/7"})");
    r.trailers["luna-detail"] = "the import was queued, \"x\"";
    reply(r);
    EXPECT_EQ(get("/v1/book/x").body, R"({"status_code":202,"detail":"the import was queued, )"
                                      R"(\"x\"","job":"jobs/7"})");
    // The method's own message for those who speak gRPC's protocols, and without a job.
    auto connect = post("/luna.testing.Library/Get", "{}", "Connect-Protocol-Version: 1\r\n");
    EXPECT_EQ(connect.body, R"({"name":"x","title":""})");
    r.trailers.erase("luna-job");
    reply(r);
    EXPECT_EQ(get("/v1/book/x").body, R"({"name":"x","title":""})");
}

} // namespace gateway_test
