// What callers and operators may choose: the types of answers, what is written of empty fields, and
// which unknown parameters are let pass.
#include "gateway/fixture.h"

namespace gateway_test
{

class Choices : public GatewayTest
{
  protected:
    int with(const std::string &target, const std::string &accept)
    {
        return get(target, "Accept: " + accept + "\r\n").status;
    }
};

TEST_F(Choices, AnswerNoTypeThatAcceptExcludes)
{
    start();
    reply_book("{}");
    const std::pair<const char *, int> table[] = {
        {"application/json", 200},
        {"Application/JSON;charset=utf-8", 200},
        {"application/*", 200},
        {"*/*", 200},
        {"", 200},
        {", ,", 200},
        {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", 200},
        {"text/html, image/gif, *; q=.2, */*; q=.2", 200}, // Java's own client
        {"application/json;q=0.001", 200},
        {"application/*;q=0, application/json", 200},
        {"text/html", 406},
        {"text/*", 406},
        {"application/xml, application/jsonx", 406},
        {"text/event-stream", 406},
        {"application/x-ndjson", 406},
        {"application/json;q=0", 406},
        {"application/json; Q=0.0, */*", 406},
        {"*/*;q=0", 406},
        {"application/*;q=0, */*;q=1", 406},
    };
    for (auto &[accept, status] : table)
        EXPECT_EQ(with("/v1/book/x", accept), status) << accept;
    auto r = get("/v1/book/x", "Accept: text/html\r\n");
    EXPECT_EQ(r.header("Content-Type"), "application/json");
    EXPECT_NE(r.body.find(R"("reason":"NOT_ACCEPTABLE")"), std::string::npos) << r.body;
    EXPECT_EQ(get("/v1/book/x", "Accept: text/html\r\nAccept: application/json\r\n").status, 200);
    upstream.handle([](const Call &) { return Reply(); });
    EXPECT_EQ(with("/v1/book/x", "text/html"), 406);
    EXPECT_TRUE(upstream.calls().empty()); // nothing was done
}

TEST_F(Choices, AnswerStreamsAsWhatAcceptLikesBest)
{
    start();
    Reply r;
    r.messages = {wire("luna.testing.Book", R"({"name":"x"})")};
    reply(r);
    const std::string lines = "application/x-ndjson", events = "text/event-stream";
    const std::pair<const char *, std::string> table[] = {
        {"*/*", lines},
        {"application/json", lines},
        {"application/ndjson", lines},
        {"application/x-ndjson", lines},
        {"text/event-stream", events},
        {"text/*", events},
        {"text/event-stream, */*", events},
        {"text/event-stream, application/x-ndjson", events},
        {"text/event-stream;q=0.5, application/x-ndjson", lines},
        {"text/event-stream;q=0, */*", lines},
        {"application/x-ndjson;q=0.1, text/event-stream;q=0.2", events},
    };
    for (auto &[accept, type] : table) {
        auto answer = get("/v1/watch/x", std::string("Accept: ") + accept + "\r\n");
        EXPECT_EQ(answer.status, 200) << accept;
        EXPECT_EQ(answer.header("Content-Type"), type) << accept;
    }
    for (const char *accept : {"text/html", "*/*;q=0", "text/event-stream;q=0"})
        EXPECT_EQ(with("/v1/watch/x", accept), 406) << accept;
}

TEST_F(Choices, AnswerBytesAndOtherProtocolsWhateverIsAccepted)
{
    start();
    Reply r;
    r.messages = {wire("google.api.HttpBody", R"({"content_type":"image/png","data":"AAEC"})")};
    reply(r);
    EXPECT_EQ(with("/v1/download/x", "image/png"), 200);
    EXPECT_EQ(with("/v1/download/x", "text/html"), 200);
    EXPECT_EQ(with("/healthz", "text/html"), 200);
    reply_book("{}");
    auto proto =
        request("POST", "/luna.testing.Library/Get",
                "Content-Type: application/proto\r\nAccept: application/proto\r\n", "\x0a\x01x");
    EXPECT_EQ(proto.status, 200) << proto.body;
}

TEST_F(Choices, AnswerAllTheSameWhenAcceptIsNotStrict)
{
    start({"--strict-accept=false"});
    reply_book("{}");
    auto r = get("/v1/book/x", "Accept: text/html\r\n");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Content-Type"), "application/json");
}

TEST_F(Choices, WriteEmptyFieldsAsTheSettingSays)
{
    const std::pair<const char *, const char *> table[] = {
        {"primitive", R"({"name":"x","title":""})"},
        {"all", R"({"name":"x","title":"","nested":null})"},
        {"none", R"({"name":"x"})"},
    };
    for (auto &[emit, body] : table) {
        start({std::string("--emit=") + emit});
        reply_book(R"({"name":"x"})");
        EXPECT_EQ(get("/v1/book/x").body, body) << emit;
        Reply r;
        r.code = grpc::StatusCode::NOT_FOUND;
        r.text = "gone";
        reply(r);
        auto failure = get("/v1/book/x").body; // has one shape
        EXPECT_NE(failure.find(R"("details":[])"), std::string::npos) << emit << failure;
    }
    EXPECT_EQ(exit_status_with("--emit=some"), 1);
}

TEST_F(Choices, RefuseUnknownParametersByName)
{
    start();
    reply_book("{}");
    auto r = get("/v1/book/x?utm_source=mail");
    EXPECT_EQ(r.status, 422);
    EXPECT_NE(r.body.find(R"("field":"utm_source")"), std::string::npos) << r.body;
}

TEST_F(Choices, LetListedParametersPass)
{
    start({"--ignored-query=utm_source, utm_medium,name,books"});
    reply_book("{}");
    EXPECT_EQ(get("/v1/book/x?utm_source=mail&utm_medium=%66&utm%5Fsource=again").status, 200);
    EXPECT_EQ(get("/v1/book/x?utm_term=x").status, 422);
    EXPECT_EQ(get("/v1/book/x?utm_source=%zz").status, 422);
    // What the method has is not let pass, whatever the list says.
    EXPECT_EQ(get("/v1/book/x?name=y").status, 422);
    EXPECT_EQ(get("/v1/search?books=1").status, 422);
    reply({});
    EXPECT_EQ(get("/v1/search?name=y").status, 200);
    EXPECT_EQ(upstream.calls().at(0).request, wire("luna.testing.Everything", R"({"name":"y"})"));
}

TEST_F(Choices, LetAllUnknownParametersPass)
{
    start({"--ignored-query=*"});
    reply({});
    EXPECT_EQ(get("/v1/search?nmae=x&a.b=1&m[k]=2&=3&all.nope=1&name=y").status, 200);
    EXPECT_EQ(upstream.calls().at(0).request, wire("luna.testing.Everything", R"({"name":"y"})"));
    EXPECT_EQ(get("/v1/search?id=x").status, 422); // known, and wrong
    EXPECT_EQ(get("/v1/search?id=1&id=2").status, 422);
}

} // namespace gateway_test
