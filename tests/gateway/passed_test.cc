// Headers that pass through, by name and with grpc-gateway's prefixes; and those that never do.
#include "gateway/fixture.h"

namespace gateway_test
{

class Passed : public GatewayTest
{
  protected:
    Call call_with(const std::string &headers)
    {
        reply_book("{}");
        EXPECT_EQ(get("/v1/book/x", headers).status, 200) << headers;
        return upstream.calls().at(0);
    }
    Response answer_with(std::map<std::string, std::string> headers,
                         std::map<std::string, std::string> trailers,
                         const std::string &request = "")
    {
        Reply r;
        r.headers = std::move(headers);
        r.trailers = std::move(trailers);
        reply(r);
        return get("/v1/book/x", request);
    }
};

TEST_F(Passed, NothingIsUnlessASettingSaysSo)
{
    start();
    auto call = call_with("X-Tenant: a\r\nGrpc-Metadata-Tenant: b\r\n");
    EXPECT_EQ(call.metadata.count("x-tenant"), 0u);
    EXPECT_EQ(call.metadata.count("tenant"), 0u);
    auto r = answer_with({{"x-shard", "7"}}, {{"x-late", "8"}}, "TE: trailers\r\n");
    EXPECT_EQ(r.header("X-Shard") + r.header("Grpc-Metadata-X-Shard"), "");
    EXPECT_EQ(r.header("Grpc-Trailer-X-Late"), "");
}

TEST_F(Passed, ListedHeadersBecomeMetadata)
{
    start({"--request-headers=X-Tenant, cookie,x-raw-bin"});
    auto call = call_with("X-TENANT: a\r\nx-tenant: b\r\nCookie: c=1\r\nX-Raw-Bin: AAH/\r\n"
                          "X-Other: d\r\nGrpc-Metadata-Y: e\r\n");
    auto tenants = call.metadata.equal_range("x-tenant");
    EXPECT_EQ(std::distance(tenants.first, tenants.second), 2);
    EXPECT_EQ(call.header("x-tenant"), "a");
    EXPECT_EQ(call.header("cookie"), "c=1");
    EXPECT_EQ(call.header("x-raw-bin"), std::string("\x00\x01\xff", 3));
    EXPECT_EQ(call.metadata.count("x-other") + call.metadata.count("y"), 0u);
    EXPECT_EQ(get("/v1/book/x", "X-Raw-Bin: !\r\n").status, 400);
    EXPECT_EQ(get("/v1/book/x", "X-Tenant: \xff\r\n").status, 400);
}

TEST_F(Passed, ListedMetadataBecomeHeaders)
{
    start({"--answer-headers=x-shard,x-late,x-raw-bin"});
    auto r = answer_with({{"x-shard", "7"}, {"x-other", "1"}, {"x-raw-bin", {"\x00\xff", 2}}},
                         {{"x-late", "8"}});
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("X-Shard"), "7");
    EXPECT_EQ(r.header("X-Late"), "8");
    EXPECT_EQ(r.header("X-Raw-Bin"), "AP8=");
    EXPECT_EQ(r.header("X-Other"), "");
    Reply failed;
    failed.code = grpc::StatusCode::NOT_FOUND;
    failed.trailers = {{"x-late", "9"}};
    reply(failed);
    EXPECT_EQ(get("/v1/book/x").header("X-Late"), "9");
    EXPECT_EQ(get("/v1/watch/x").header("X-Late"), "9");
}

TEST_F(Passed, PrefixesAreThoseOfGrpcGateway)
{
    start({"--grpc-headers=true"});
    auto call =
        call_with("Grpc-Metadata-Tenant: a\r\ngrpc-metadata-raw-bin: AAH/\r\nX-Plain: b\r\n");
    EXPECT_EQ(call.header("tenant"), "a");
    EXPECT_EQ(call.header("raw-bin"), std::string("\x00\x01\xff", 3));
    EXPECT_EQ(call.metadata.count("x-plain"), 0u);
    auto r = answer_with({{"shard", "7"}}, {{"late", "8"}});
    EXPECT_EQ(r.header("Grpc-Metadata-Shard"), "7");
    EXPECT_EQ(r.header("Grpc-Trailer-Late"), "");
    r = answer_with({{"shard", "7"}}, {{"late", "8"}}, "TE: gzip, trailers\r\n");
    EXPECT_EQ(r.header("Grpc-Trailer-Late"), "8");
}

// Nobody names himself an address, an account or a trace in the gateway's name.
TEST_F(Passed, WhatTheGatewayVouchesForNeverIs)
{
    start({"--grpc-headers=true"});
    std::string forged;
    const char *names[] = {
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded",  "authorization",
        "x-api-key",       "x-request-id",      "traceparent",      "tracestate", "idempotency-key",
        "if-match",        "user-agent",        "grpc-timeout",     "te",         "grpc-encoding",
        "grpc-internal",   "luna-account",      "x-http-code",      "host",       "content-type",
        "content-length",  "transfer-encoding", "connection"};
    for (const char *name : names)
        forged += std::string("Grpc-Metadata-") + name + ": forged\r\n";
    auto call =
        call_with(forged + "X-Api-Key: mine\r\nGrpc-Metadata-: x\r\nGrpc-Metadata-a!b: x\r\n");
    for (auto &[key, value] : call.metadata)
        EXPECT_EQ(value.find("forged"), std::string::npos) << key;
    EXPECT_EQ(call.metadata.count("x-api-key"), 1u);
    EXPECT_EQ(call.header("x-api-key"), "mine");
    EXPECT_EQ(call.metadata.count("a!b"), 0u);
}

TEST_F(Passed, AnswersKeepTheirOwnHeaders)
{
    start({"--grpc-headers=true", "--cors-origins=*"});
    std::map<std::string, std::string> many = {{"luna-internal", "1"},
                                               {"cache-control", "max-age=9"}};
    for (int i = 0; i < 40; i++)
        many["m" + std::to_string(i)] = std::string(100, 'v');
    auto r = answer_with(many, {}, "Origin: https://a.example\r\n");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Access-Control-Allow-Origin"), "*");
    EXPECT_EQ(r.header("Cache-Control"), "no-store");
    EXPECT_NE(r.header("X-Request-Id"), "");
    EXPECT_EQ(r.header("Grpc-Metadata-Luna-Internal"), "");
    EXPECT_EQ(r.header("Grpc-Metadata-Cache-Control"), "");
    EXPECT_NE(r.head.find("grpc-metadata-m0: vvv"), std::string::npos);
    many = {{"huge", std::string(5000, 'v')}, {"small", "1"}};
    r = answer_with(many, {});
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Grpc-Metadata-Huge"), "");
    EXPECT_EQ(r.header("Grpc-Metadata-Small"), "1");
}

TEST_F(Passed, TooManyAre431AndCrowdOutNothing)
{
    start({"--grpc-headers=true"});
    std::string most, own = "X-Api-Key: k\r\nIf-Match: e\r\nTracestate: t\r\n";
    for (int i = 0; i < 16; i++)
        most += "Grpc-Metadata-M" + std::to_string(i) + ": " + std::to_string(i) + "\r\n";
    auto call = call_with(most + own);
    for (int i = 0; i < 16; i++)
        EXPECT_EQ(call.header("m" + std::to_string(i)), std::to_string(i));
    for (const char *name : {"x-api-key", "if-match", "tracestate", "x-request-id", "traceparent",
                             "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})
        EXPECT_EQ(call.metadata.count(name), 1u) << name;
    auto r = get("/v1/book/x", most + "Grpc-Metadata-One-More: x\r\n");
    EXPECT_EQ(r.status, 431) << r.body;
    r = get("/v1/book/x", "Grpc-Metadata-Long: " + std::string(20000, 'x') + "\r\n");
    EXPECT_EQ(r.status, 431);
    EXPECT_EQ(get("/v1/book/x").status, 200);
}

TEST_F(Passed, PagesOfOtherOriginsMaySendAndSeeWhatIsListed)
{
    start({"--cors-origins=https://a.example", "--request-headers=x-tenant",
           "--answer-headers=x-shard"});
    reply_book("{}");
    auto may = request("OPTIONS", "/v1/book/x",
                       "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n");
    EXPECT_NE(may.header("Access-Control-Allow-Headers").find(", x-tenant"), std::string::npos);
    auto sees = get("/v1/book/x", "Origin: https://a.example\r\n");
    EXPECT_NE(sees.header("Access-Control-Expose-Headers").find(", x-shard"), std::string::npos);
}

TEST_F(Passed, ListsOfWhatMayNotPassAreRefusedAtStart)
{
    for (const char *setting :
         {"--request-headers=x-api-key", "--request-headers=Authorization",
          "--request-headers=a,x-forwarded-for", "--request-headers=grpc-timeout",
          "--request-headers=luna-account", "--request-headers=a b",
          "--answer-headers=content-type", "--answer-headers=x,Content-Length",
          "--answer-headers=access-control-allow-origin", "--answer-headers=etag",
          "--answer-headers=luna-job"})
        EXPECT_EQ(exit_status_with(setting), 1) << setting;
}

} // namespace gateway_test
