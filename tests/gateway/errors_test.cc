// Failures: one shape, the right code, and nothing that the server did not mean to say.
#include "gateway/fixture.h"

namespace gateway_test
{

class Errors : public GatewayTest
{
};

std::string
status_details(const std::string &json)
{
    return wire("google.rpc.Status", json);
}

TEST_F(Errors, HaveTheCodeOfTheirStatus)
{
    start();
    const struct {
        int code, http;
    } table[] = {{1, 499},  {2, 500},  {3, 422},  {4, 504},  {5, 404},  {6, 409},
                 {7, 403},  {8, 429},  {9, 412},  {10, 409}, {11, 422}, {12, 501},
                 {13, 500}, {14, 503}, {15, 500}, {16, 401}};
    for (auto &row : table) {
        Reply r;
        r.code = static_cast<grpc::StatusCode>(row.code);
        r.text = "because \"of\" é";
        r.headers = {{"ratelimit", "x"}};
        reply(r);
        auto answer = get("/v1/book/x");
        EXPECT_EQ(answer.status, row.http) << row.code;
        EXPECT_EQ(answer.header("Content-Type"), "application/json");
        EXPECT_EQ(answer.body.substr(0, answer.body.find(",\"status\"")),
                  "{\"code\":" + std::to_string(row.code));
        if (row.code != 4) {
            EXPECT_NE(answer.body.find(R"("detail":"because \"of\" é","details":[])"),
                      std::string::npos)
                << answer.body;
        }
        bool again = row.http == 429 || row.http == 503 || row.code == 4;
        EXPECT_EQ(answer.header("Retry-After"), again ? "1" : "");
        EXPECT_EQ(answer.header("WWW-Authenticate").empty(), row.http != 401);
    }
}

TEST_F(Errors, ShowDetailsAndFollowLunasReasons)
{
    start();
    Reply r;
    r.code = grpc::StatusCode::UNAUTHENTICATED;
    r.text = "expired";
    r.details = status_details(
        R"({"code":16,"message":"expired","details":[
        {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"EXPIRED_CREDENTIALS","domain":"luna"},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retry_delay":"2.5s"}]})");
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.header("Retry-After"), "3");
    EXPECT_EQ(
        answer.body,
        R"({"code":16,"status":"UNAUTHENTICATED","message":"expired","detail":"expired","details":[)"
        R"({"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"EXPIRED_CREDENTIALS","domain":"luna","metadata":{}},)"
        R"({"@type":"type.googleapis.com/google.rpc.RetryInfo","retry_delay":"2.500s"}]})");
}

TEST_F(Errors, SurviveDetailsThatNobodyKnows)
{
    start();
    google::protobuf::Any any;
    any.set_type_url("type.googleapis.com/who.Knows");
    any.set_value("\x01");
    std::string packed = any.SerializeAsString();
    Reply r;
    r.code = grpc::StatusCode::INTERNAL;
    r.text = "x";
    r.details =
        std::string("\x1a") + static_cast<char>(packed.size()) + packed + "\x1a\x03\x0a\x01";
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.status, 500);
    EXPECT_NE(answer.body.find(R"({"@type":"type.googleapis.com/who.Knows","value":"AQ=="})"),
              std::string::npos)
        << answer.body;
}

TEST_F(Errors, OfTheRequestNameTheField)
{
    start();
    reply(Reply());
    const struct {
        const char *method, *target, *body;
        int http;
        const char *text;
    } table[] = {
        {"GET", "/v1/search?nope=1", "", 422,
         R"("detail":"nope is not a parameter of this method")"},
        {"GET", "/v1/search?id=x", "", 422,
         R"("field_violations":[{"field":"id","description":"must be an integer")"},
        {"POST", "/v1/search:run", R"({"all":{"doubles":[1,"x"]}})", 422,
         R"("field":"all.doubles[1]")"},
        {"POST", "/v1/search:run", R"({"all":)", 400, R"("reason":"BAD_REQUEST")"},
        {"POST", "/v1/search:run", R"({"a":1})", 422, R"("field":"a")"},
        {"POST", "/v1/search:run", "\"x\"", 422, R"("field":"body")"},
        {"GET", "/v1/book/%zz", "", 400, "not percent-encoded"},
        {"GET", "/nowhere", "", 404, R"("reason":"PATH_NOT_FOUND")"},
        {"POST", "/v1/search", "{}", 405, R"("reason":"WRONG_HTTP_METHOD")"},
        {"BREW", "/v1/search", "", 405, R"("reason":"WRONG_HTTP_METHOD")"},
    };
    for (auto &row : table) {
        auto r = request(row.method, row.target, "Content-Type: application/json\r\n", row.body);
        EXPECT_EQ(r.status, row.http) << row.target << r.body;
        EXPECT_NE(r.body.find(row.text), std::string::npos) << row.target << r.body;
        EXPECT_NE(r.body.find(R"("@type":"type.googleapis.com/google.rpc.ErrorInfo")"),
                  std::string::npos);
    }
    EXPECT_EQ(request("POST", "/v1/search", "", "").header("Allow"), "GET, HEAD, OPTIONS");
    EXPECT_TRUE(upstream.calls().empty());
}

TEST_F(Errors, OfContentType)
{
    start();
    reply(Reply());
    auto r = request("POST", "/v1/search:run", "Content-Type: text/plain\r\n", "{}");
    EXPECT_EQ(r.status, 415);
    EXPECT_EQ(request("POST", "/v1/search:run",
                      "Content-Type: application/x-www-form-urlencoded\r\n", "{}")
                  .status,
              415);
    EXPECT_EQ(request("POST", "/v1/search:run", "", "{}").status, 200);
    EXPECT_EQ(
        request("POST", "/v1/search:run", "Content-Type: APPLICATION/JSON;charset=utf-8\r\n", "{}")
            .status,
        200);
    EXPECT_EQ(request("POST", "/v1/search:run", "Content-Type: text/plain\r\n", "").status, 200);
}

TEST_F(Errors, OfDeadlines)
{
    start();
    Reply slow;
    slow.delay = std::chrono::milliseconds(3000);
    reply(slow);
    auto begin = std::chrono::steady_clock::now();
    for (const char *header :
         {"Grpc-Timeout: 100m\r\n", "Connect-Timeout-Ms: 100\r\n", "X-Server-Timeout: 0.1\r\n"}) {
        auto r = get("/v1/book/x", header);
        EXPECT_EQ(r.status, 504) << header;
        EXPECT_NE(r.body.find("DEADLINE_PASSED"), std::string::npos) << r.body;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
    for (const char *header :
         {"Grpc-Timeout: 100\r\n", "Grpc-Timeout: m\r\n", "Connect-Timeout-Ms: x\r\n",
          "X-Server-Timeout: -1\r\n", "Grpc-Timeout: 1234567890S\r\n"})
        EXPECT_EQ(get("/v1/book/x", header).status, 400) << header;
}

// However fast the server would answer.
TEST_F(Errors, OfDeadlinesThatHavePassedBeforeTheCallIsSent)
{
    start();
    reply(Reply());
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(get("/v1/book/x", "Grpc-Timeout: 1n\r\n").status, 504);
    EXPECT_TRUE(upstream.calls().empty());
    EXPECT_EQ(get("/v1/book/x", "Grpc-Timeout: 10S\r\n").status, 200);
    EXPECT_EQ(upstream.calls().size(), 1U);
}

TEST_F(Errors, OfAnswersThatAreNoMessages)
{
    start();
    Reply r;
    r.messages = {"\x0a\x05x"};
    reply(r);
    auto answer = get("/v1/book/x");
    EXPECT_EQ(answer.status, 500);
    EXPECT_NE(answer.body.find("INTERNAL_ERROR"), std::string::npos);
}

} // namespace gateway_test
