/* Updates: what a mask names and nothing else, and only what is still as it was read. */
#include <google/protobuf/text_format.h>

#include "contract/descriptors.h"
#include "gate_support.h"

namespace
{
pg_server &
pg()
{
    static pg_server server;
    return server;
}

redis_server &
redis()
{
    static redis_server server;
    return server;
}

/* QuotaService in protobuf's text. */
class Quota
{
  public:
    explicit Quota(luna_server &server) : channel_(server.target()), factory_(&pool())
    {
    }
    Outcome call(const std::string &method, const std::string &text, const Metadata &md)
    {
        const pb::MethodDescriptor *m = pool().FindMethodByName("luna.v1.QuotaService." + method);
        std::unique_ptr<pb::Message> req(factory_.GetPrototype(m->input_type())->New());
        if (!pb::TextFormat::ParseFromString(text, req.get()))
            throw std::runtime_error("not a request: " + text);
        Outcome o = unary(channel_, kQuota + method, req->SerializeAsString(), md);
        std::unique_ptr<pb::Message> answer(factory_.GetPrototype(m->output_type())->New());
        answer->ParseFromString(o.body);
        pb::TextFormat::Printer printer;
        printer.SetSingleLineMode(true);
        said.clear();
        printer.PrintToString(*answer, &said);
        return o;
    }
    /* The text behind `name: "` in the last answer. */
    std::string text(const std::string &name) const
    {
        size_t at = said.find(name + ": \"");
        if (at == std::string::npos)
            return "";
        at += name.size() + 3;
        return said.substr(at, said.find('"', at) - at);
    }
    std::string said;

  private:
    Channel channel_;
    pb::DynamicMessageFactory factory_;
};
} // namespace

TEST(Update, Account)
{
    luna_server server(pg(), redis(), "account_mask");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Quota q(server);
    ASSERT_EQ(q.call("CreateAccount", "account_name: 'ann' quota_limit: 5", admin).code, 0);
    const std::string first = q.text("etag");

    /* Named and given; given and not named; named and not given. */
    Outcome o = q.call("UpdateAccount",
                       "account_id: 2 account_name: 'bob' quota_limit: 9 update_mask {paths: "
                       "'quota_limit'}",
                       admin);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "account_name: \"ann\"") && has(q.said, "quota_limit: 9")) << q.said;
    o = q.call("UpdateAccount", "account_id: 2 quota_limit: 7 update_mask {paths: 'account_name'}",
               admin);
    EXPECT_TRUE(has(q.said, "account_name: \"ann\"") && has(q.said, "quota_limit: 9")) << q.said;

    /* All that is wrong is said at once. */
    o = q.call("UpdateAccount",
               "account_id: 2 quota_limit: 7 update_mask {paths: ['quota_limit', 'name', 'x.y']}",
               admin);
    EXPECT_EQ(o.code, 3);
    const std::string details = o.trailers["grpc-status-details-bin"];
    EXPECT_TRUE(has(details, "names name, which") && has(details, "names x.y, which")) << details;
    EXPECT_TRUE(has(details, "update_mask"));

    /* Etags, in the field and in the header. */
    o = q.call("UpdateAccount", "account_id: 2 quota_limit: 7 etag: '" + first + "'", admin);
    EXPECT_EQ(o.code, 9);
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "CHANGED_MEANWHILE"));
    Metadata match = admin;
    match.emplace_back("if-match", "\"" + first + "\"");
    EXPECT_EQ(q.call("UpdateAccount", "account_id: 2 quota_limit: 7", match).code, 9);
    EXPECT_EQ(q.call("UpdateAccount", "account_id: 2 quota_limit: 7 etag: 'x'", admin).code, 3);
    q.call("GetAccount", "account_id: 2", admin);
    o = q.call("UpdateAccount", "account_id: 2 quota_limit: 7 etag: '" + q.text("etag") + "'",
               admin);
    EXPECT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "quota_limit: 7")) << q.said;
    const std::string seen = q.text("etag");
    EXPECT_EQ(q.call("UpdateAccount", "account_id: 2 quota_limit: 8", admin).code, 0);
    ASSERT_EQ(q.call("CreatePlan", "plan {plan_name: 'p' quota_limit: 3}", admin).code, 0);
    const std::string plan = "account_id: 2 plan_id: 1 etag: '";
    EXPECT_EQ(q.call("SetAccountPlan", plan + seen + "'", admin).code, 9);
    EXPECT_EQ(
        q.call("SetAccountPlan", "account_id: 99 plan_id: 1 etag: '" + seen + "'", admin).code, 5);
    q.call("GetAccount", "account_id: 2", admin);
    EXPECT_EQ(q.call("SetAccountPlan", plan + q.text("etag") + "'", admin).code, 0);
}

TEST(Update, Plan)
{
    luna_server server(pg(), redis(), "plan_mask");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Quota q(server);
    ASSERT_EQ(q.call("CreatePlan",
                     "plan {plan_id: 77 plan_name: 'small' quota_limit: 5 quota_period: "
                     "QUOTA_PERIOD_DAY key_rate {units: 10 burst: 20} concurrent_calls: 3}",
                     admin)
                  .code,
              0);
    EXPECT_TRUE(has(q.said, "plan_id: 1 ")) << "the id is told by the server: " << q.said;
    const std::string first = q.text("etag");

    Outcome o = q.call("UpdatePlan",
                       "plan_id: 1 plan {quota_limit: 50 plan_id: 9 created_at {seconds: 1}} "
                       "update_mask {paths: ['quota_limit', 'plan_id', 'created_at']}",
                       admin);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "plan_id: 1 plan_name: \"small\" quota_limit: 50 quota_period: "
                            "QUOTA_PERIOD_DAY key_rate { units: 10 period_ms: 1000 burst: 20 } "
                            "concurrent_calls: 3"))
        << q.said;

    /* Into a message; one that was not there; away with one. */
    o = q.call("UpdatePlan",
               "plan_id: 1 plan {key_rate {units: 30} account_rate {units: 100}} update_mask "
               "{paths: ['key_rate.units', 'account_rate.units', 'concurrent_calls']}",
               admin);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "account_rate { units: 100 period_ms: 1000 burst: 100 }")) << q.said;
    EXPECT_TRUE(has(q.said, "burst: 20")) << q.said;
    EXPECT_FALSE(has(q.said, "concurrent_calls")) << q.said;
    o = q.call("UpdatePlan", "plan_id: 1 plan {} update_mask {paths: 'key_rate'}", admin);
    EXPECT_FALSE(has(q.said, "key_rate")) << q.said;

    /* Everything, with and without the star. */
    o = q.call("UpdatePlan", "plan_id: 1 plan {plan_name: 'all'} update_mask {paths: '*'}", admin);
    EXPECT_TRUE(has(q.said, "plan_name: \"all\"") && !has(q.said, "account_rate")) << q.said;
    EXPECT_EQ(q.call("UpdatePlan", "plan_id: 1 plan {quota_limit: 3}", admin).code, 3)
        << "a plan without a name";

    for (const char *path :
         {"nothing", "key_rate.nothing", "quota_limit.units", "", "plan_name."}) {
        o = q.call("UpdatePlan",
                   std::string("plan_id: 1 plan {} update_mask {paths: '") + path + "'}", admin);
        EXPECT_EQ(o.code, 3) << path;
        EXPECT_TRUE(has(o.message, std::string("update_mask names ") + path)) << o.message;
    }
    o = q.call("UpdatePlan",
               "plan_id: 1 plan {quota_limit: 1 etag: '" + first +
                   "'} update_mask {paths: 'quota_limit'}",
               admin);
    EXPECT_EQ(o.code, 9) << o.message;
    EXPECT_EQ(q.call("UpdatePlan", "plan_id: 99 plan {plan_name: 'x'}", admin).code, 5);
}

TEST(Update, ApiKey)
{
    luna_server server(pg(), redis(), "key_mask");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Quota q(server);
    ASSERT_EQ(q.call("CreateApiKey", "account_id: 1 name: 'old' role: ROLE_MEMBER", admin).code, 0);
    const Metadata key = bearer(q.text("} key"));
    const std::string first = q.text("etag");
    EXPECT_EQ(q.call("GetUsage", "", key).code, 0);
    const std::string which = "account_id: 1 key_id: 2 ";

    Outcome o =
        q.call("UpdateApiKey",
               which + "api_key {name: 'new' scopes: 'kalman' role: ROLE_ADMIN prefix: 'x'} "
                       "update_mask {paths: ['name', 'role', 'prefix']}",
               admin);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "name: \"new\"") && has(q.said, "ROLE_MEMBER")) << q.said;
    EXPECT_FALSE(has(q.said, "scopes")) << q.said;
    const std::string second = q.text("etag");
    EXPECT_NE(first, second);

    /* A key that was used is still the one that was read. */
    o = q.call("UpdateApiKey",
               which + "api_key {scopes: 'kalman' etag: '" + second +
                   "'} update_mask {paths: 'scopes'}",
               admin);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(eventually([&] { return q.call("GetUsage", "", key).code == 7; }, 5))
        << "the scope is gone";
    o = q.call("UpdateApiKey", which + "api_key {etag: '" + second + "'}", admin);
    EXPECT_EQ(o.code, 9);
    EXPECT_EQ(q.call("RotateApiKey", which + "etag: '" + second + "'", admin).code, 9);

    EXPECT_EQ(q.call("UpdateApiKey",
                     which + "api_key {expires_at {seconds: 5}} update_mask {paths: 'expires_at'}",
                     admin)
                  .code,
              3);
    EXPECT_EQ(q.call("UpdateApiKey",
                     which + "api_key {scopes: 'A B'} update_mask {paths: 'scopes'}", admin)
                  .code,
              3);
    o = q.call("UpdateApiKey", which + "api_key {expires_at {seconds: 4102444800}}", admin);
    EXPECT_TRUE(has(q.said, "4102444800") && !has(q.said, "scopes")) << q.said;
    EXPECT_TRUE(eventually([&] { return q.call("GetUsage", "", key).code == 0; }, 5));

    o = q.call("RotateApiKey", which + "grace_seconds: 60 etag: '" + q.text("etag") + "'", admin);
    q.call("ListApiKeys", "account_id: 1 filter: 'key_id = 2'", admin);
    o = q.call("RotateApiKey", which + "grace_seconds: 60 etag: '" + q.text("etag") + "'", admin);
    EXPECT_EQ(o.code, 0) << o.message;
    EXPECT_EQ(q.call("RevokeApiKey", which, admin).code, 0);
    EXPECT_EQ(q.call("UpdateApiKey", which + "api_key {name: 'x'}", admin).code, 5);
    q.call("ListQuotaEvents", "account_id: 1 filter: 'kind = \"key_changed\"'", admin);
    EXPECT_EQ(q.said.find("key_changed") == std::string::npos, false) << q.said;
}
