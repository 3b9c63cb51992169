/* protoc-gen-luna: what it makes of probe.proto compiles, runs and agrees with itself at both ends;
 * what it must refuse it refuses. */
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

extern "C" {
#include "contract/probe_service.h"
#include "luna/testing/probe.client.h"
}

namespace
{

class Codegen : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        char err[300] = "";
        server = probe_server_start(err, sizeof(err));
        ASSERT_NE(server, nullptr) << err;
        std::string target = "127.0.0.1:" + std::to_string(probe_server_port(server));
        luna_channel_options options = {};
        options.target = target.c_str();
        const char *error = nullptr;
        channel = luna_channel_new(&options, &error);
        ASSERT_NE(channel, nullptr) << error;
    }
    static void TearDownTestSuite()
    {
        luna_channel_free(channel);
        if (server)
            test_server_stop(server);
    }

    template <typename Fn> static int64_t call(Fn fn, int64_t number)
    {
        Luna__Testing__Probe request = LUNA__TESTING__PROBE__INIT;
        request.number = number;
        luna_reply *reply = nullptr;
        const Luna__Testing__Probe *response = nullptr;
        EXPECT_EQ(fn(channel, nullptr, &request, &reply, &response), LUNA_OK)
            << luna_reply_text(reply);
        int64_t answer = response ? response->number : -1;
        luna_reply_free(reply);
        return answer;
    }

    static test_server *server;
    static luna_channel *channel;
};

test_server *Codegen::server;
luna_channel *Codegen::channel;

TEST_F(Codegen, UnaryMethodsReachTheirHandlers)
{
    EXPECT_EQ(call(luna_testing_probe_remove, 41), 42);
    EXPECT_EQ(call(luna_testing_probe_get_http_status, 4), 204);
    EXPECT_EQ(call(luna_testing_probe_ping, 1), 11);
    EXPECT_EQ(call(luna_testing_other_ping, 1), 21);
}

TEST_F(Codegen, NestedTypes)
{
    Luna__Testing__Probe__Inner request = LUNA__TESTING__PROBE__INNER__INIT;
    request.text = const_cast<char *>("x");
    luna_reply *reply;
    const Luna__Testing__Probe__Inner *response;
    ASSERT_EQ(luna_testing_probe_rename(channel, nullptr, &request, &reply, &response), LUNA_OK);
    EXPECT_STREQ(response->text, "<x>");
    luna_reply_free(reply);
}

TEST_F(Codegen, ServerStream)
{
    Luna__Testing__Probe request = LUNA__TESTING__PROBE__INIT;
    request.number = 5;
    luna_stream *s = luna_testing_probe_count_down(channel, nullptr, &request);
    const Luna__Testing__Probe *m;
    for (int64_t i = 5; i > 0; i--) {
        ASSERT_EQ(luna_testing_probe_count_down_recv(s, &m), LUNA_OK);
        EXPECT_EQ(m->number, i);
    }
    EXPECT_EQ(luna_testing_probe_count_down_recv(s, &m), LUNA_END);
    luna_stream_free(s);
}

TEST_F(Codegen, ClientStream)
{
    luna_stream *s = luna_testing_probe_sum(channel, nullptr);
    Luna__Testing__Probe m = LUNA__TESTING__PROBE__INIT;
    for (m.number = 1; m.number <= 100; m.number++)
        ASSERT_EQ(luna_testing_probe_sum_send(s, &m), LUNA_OK);
    luna_reply *reply;
    const Luna__Testing__Probe *response;
    ASSERT_EQ(luna_testing_probe_sum_finish(s, &reply, &response), LUNA_OK);
    EXPECT_EQ(response->number, 5050);
    luna_reply_free(reply);
    luna_stream_free(s);
}

TEST_F(Codegen, BothStreams)
{
    luna_stream *s = luna_testing_probe_log(channel, nullptr);
    Luna__Testing__Probe m = LUNA__TESTING__PROBE__INIT;
    const Luna__Testing__Probe *answer;
    for (m.number = 1; m.number <= 50; m.number++) {
        ASSERT_EQ(luna_testing_probe_log_send(s, &m), LUNA_OK);
        ASSERT_EQ(luna_testing_probe_log_recv(s, &answer), LUNA_OK);
        EXPECT_EQ(answer->number, 2 * m.number);
    }
    EXPECT_EQ(luna_stream_finish(s, nullptr), LUNA_OK);
    luna_stream_free(s);
}

TEST_F(Codegen, PoliciesOfSeveralStatementsAreMerged)
{
    probe_policy p;
    ASSERT_TRUE(probe_policy_read(&p));
    EXPECT_EQ(p.access, 4);
    EXPECT_EQ(p.cost, 7000000000);
    EXPECT_TRUE(p.cost_measured);
    EXPECT_EQ(p.deadline_ns, 1234000000);
    EXPECT_TRUE(p.idempotent);
    EXPECT_TRUE(p.fail_open);
    EXPECT_STREQ(p.scope, "probe.special_2");
    EXPECT_EQ(p.cache_seconds, 0); // never beside a cost
    EXPECT_TRUE(luna_testing_probe_count_down_method.idempotent);
    EXPECT_FALSE(luna_testing_probe_sum_method.idempotent);
}

/* What protoc says about a file with these methods; "" when it is content. */
std::string
protoc(const std::string &package, const std::string &methods)
{
    char dir[] = "/tmp/luna-codegen-XXXXXX";
    if (!mkdtemp(dir))
        return "mkdtemp";
    std::ofstream(std::string(dir) + "/t.proto")
        << "syntax = \"proto3\";\npackage " << package
        << ";\nimport \"luna/v1/options.proto\";\nmessage M {}\n"
        << methods;
    std::string command = std::string(PROTOC) + " -I " + dir + " -I " + PROTO_DIR + " -I " +
                          PROTOBUF_PROTO_DIR + " --plugin=protoc-gen-luna=" + PLUGIN +
                          " --luna_out=" + dir + " t.proto 2>&1";
    FILE *pipe = popen(command.c_str(), "r");
    std::string out;
    char line[500];
    while (pipe && fgets(line, sizeof(line), pipe))
        out += line;
    int status = pipe ? pclose(pipe) : -1;
    EXPECT_EQ(status == 0, out.empty()) << out;
    EXPECT_EQ(system(("rm -r " + std::string(dir)).c_str()), 0);
    return out;
}

std::string
service(const std::string &methods)
{
    return "service TService {\n" + methods + "}\n";
}

std::string
method(const std::string &name, const std::string &option)
{
    return "rpc " + name + "(M) returns (M) {\n" +
           (option.empty() ? "" : "option (luna.v1.method) = {" + option + "};\n") + "}\n";
}

TEST(CodegenRefuses, MethodsWithoutAccess)
{
    EXPECT_NE(
        protoc("luna.v1", service(method("Get", ""))).find("t.proto: TService.Get: has no access"),
        std::string::npos);
    EXPECT_NE(protoc("luna.v1", service(method("Get", "cost: 1"))).find("has no access"),
              std::string::npos);
    EXPECT_EQ(protoc("luna.v1", service(method("Get", "access: ACCESS_MEMBER"))), "");
    EXPECT_EQ(protoc("elsewhere", service(method("Get", "cost: 1"))), "");
}

TEST(CodegenRefuses, PoliciesOutOfRange)
{
    for (std::string bad : {"cost: -1", "deadline_ms: -1", "cache_seconds: -1", "scope: \"A b\"",
                            "cache_seconds: 1 cost: 1", "cache_seconds: 1 cost_measured: true"})
        EXPECT_NE(protoc("luna.v1", service(method("Get", "access: ACCESS_PUBLIC " + bad)))
                      .find("TService.Get: "),
                  std::string::npos)
            << bad;
}

TEST(CodegenRefuses, PublicCachesOfWhatIsNotPublic)
{
    const std::string scope = " cache_seconds: 9 cache_scope: CACHE_SCOPE_PUBLIC";
    EXPECT_NE(protoc("luna.v1", service(method("Get", "access: ACCESS_DEVICE" + scope)))
                  .find("CACHE_SCOPE_PUBLIC and an access other than"),
              std::string::npos);
    EXPECT_EQ(protoc("luna.v1", service(method("Get", "access: ACCESS_PUBLIC" + scope))), "");
}

TEST(CodegenRefuses, RulesThatDoNotFitTheirField)
{
    const std::pair<const char *, const char *> cases[] = {
        {"int32 x = 1 [(luna.v1.rules) = {max_len: 1}]", "min_len and max_len are for texts"},
        {"string x = 1 [(luna.v1.rules) = {has_min: true}]", "min and max are for numbers"},
        {"int32 x = 1 [(luna.v1.rules) = {min: 1}]", "need has_min"},
        {"int32 x = 1 [(luna.v1.rules) = {finite: true}]", "finite is for double"},
        {"bytes x = 1 [(luna.v1.rules) = {charset: \"a\"}]", "charset is for strings"},
        {"string x = 1 [(luna.v1.rules) = {known: true}]", "known is for enums"},
        {"string x = 1 [(luna.v1.rules) = {item_max_len: 2}]", "item_min_len and item_max_len"},
        {"string x = 1 [(luna.v1.rules) = {min_len: 3, max_len: 2}]", "more than max_len"},
    };
    for (const auto &c : cases)
        EXPECT_NE(protoc("luna.v1", "message N { " + std::string(c.first) + "; }\n").find(c.second),
                  std::string::npos)
            << c.first;
}

TEST(CodegenRefuses, NamesThatBecomeTheSameInC)
{
    std::string ok = "access: ACCESS_PUBLIC";
    EXPECT_NE(protoc("luna.v1", service(method("GetIt", ok) + method("getIt", ok))).find("clashes"),
              std::string::npos);
    EXPECT_NE(protoc("luna.v1", service("rpc Watch(M) returns (stream M) { option (luna.v1.method) "
                                        "= {access: ACCESS_PUBLIC}; }\n" +
                                        method("WatchSend", ok)))
                  .find("clashes"),
              std::string::npos);
    EXPECT_NE(protoc("luna.v1", service(method("Register", ok))).find("keyword"),
              std::string::npos);
    EXPECT_EQ(protoc("luna.v1", service(method("Message", ok) + method("MessageSend", ok))), "");
}

TEST(CodegenRefuses, ToRunWithoutProtoc)
{
    int status = system((std::string(PLUGIN) + " </dev/null >/dev/null 2>&1").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 0) << "an empty request asks for nothing";
    status = system(("echo nonsense | " + std::string(PLUGIN) + " >/dev/null 2>&1").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

} // namespace
