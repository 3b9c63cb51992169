/* Updates: what a mask names and nothing else, and only what is still as it was read. */
#include <google/protobuf/text_format.h>

#include <algorithm>

#include "contract/descriptors.h"
#include "gate_support.h"
#include "support/stores.h"

namespace
{
/* A service in protobuf's text. */
class Service
{
  public:
    explicit Service(luna_server &server, const std::string &service = "QuotaService")
        : channel_(server.target()), factory_(&pool()), service_("luna.v1." + service)
    {
    }
    Outcome call(const std::string &method, const std::string &text, const Metadata &md)
    {
        const pb::MethodDescriptor *m = pool().FindMethodByName(service_ + "." + method);
        std::unique_ptr<pb::Message> req(factory_.GetPrototype(m->input_type())->New());
        if (!pb::TextFormat::ParseFromString(text, req.get()))
            throw std::runtime_error("not a request: " + text);
        Outcome o = unary(channel_, "/" + service_ + "/" + method, req->SerializeAsString(), md);
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
    const std::string service_;
};
} // namespace

TEST(Update, Account)
{
    luna_server server(pg(), redis(), "account_mask");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Service q(server);
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
    Service q(server);
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

/* All that is wrong with a plan is in one answer, whichever part of the server finds it. */
TEST(Update, PlanSaysAllThatIsWrong)
{
    luna_server server(pg(), redis(), "plan_wrong");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Service q(server);
    const std::string wrong = "quota_limit: -1 quota_period: 9 concurrent_calls: -2 "
                              "account_rate {units: 0 period_ms: -1 burst: -1} "
                              "key_rate {units: 1 period_ms: 1099511627776}";
    const std::vector<std::string> fields = {
        "plan.plan_name",          "plan.quota_limit",        "plan.quota_period",
        "plan.concurrent_calls",   "plan.account_rate.units", "plan.account_rate.period_ms",
        "plan.account_rate.burst", "plan.key_rate.period_ms"};
    auto violations = [](Outcome o) {
        const std::string bytes = o.trailers["grpc-status-details-bin"];
        std::vector<std::string> found;
        /* A field's name stands in the details behind its length; a message begins with it. */
        for (size_t at = 0; (at = bytes.find("plan.", at)) != std::string::npos; at++) {
            std::string text = bytes.substr(at, static_cast<unsigned char>(bytes[at - 1]));
            if (text.find(' ') == std::string::npos)
                found.push_back(text);
        }
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
        return found;
    };
    std::vector<std::string> expected = fields;
    std::sort(expected.begin(), expected.end());
    Outcome o = q.call("CreatePlan", "plan {" + wrong + "}", admin);
    EXPECT_EQ(o.code, 3);
    EXPECT_EQ(violations(o), expected);
    o = q.call("CreatePlan", "plan {plan_name: '" + std::string(101, 'x') + "' " + wrong + "}",
               admin);
    EXPECT_EQ(violations(o), expected);

    ASSERT_EQ(q.call("CreatePlan", "plan {plan_name: '" + std::string(100, 'x') + "'}", admin).code,
              0);
    expected.push_back("plan.etag");
    std::sort(expected.begin(), expected.end());
    o = q.call("UpdatePlan", "plan_id: 1 plan {etag: 'x' " + wrong + "}", admin);
    EXPECT_EQ(o.code, 3);
    EXPECT_EQ(violations(o), expected);
    o = q.call("UpdatePlan",
               "plan_id: 1 plan {etag: 'x' quota_limit: -1 concurrent_calls: -1} "
               "update_mask {paths: ['quota_limit', 'nothing']}",
               admin);
    EXPECT_EQ(violations(o), (std::vector<std::string>{"plan.etag", "plan.quota_limit"}));
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "names nothing, which"));
    EXPECT_EQ(q.call("CreatePlan", "", admin).code, 3);
    EXPECT_EQ(q.call("UpdatePlan", "plan_id: 1", admin).code, 3);
    EXPECT_EQ(q.call("UpdatePlan", "plan {plan_name: 'x'}", admin).code, 3);

    /* One a month and one a year are rates, one in two years is none. */
    auto slow = [&](const std::string &name, int64_t days) {
        return q.call("CreatePlan",
                      "plan {plan_name: '" + name + "' key_rate {units: 1 period_ms: " +
                          std::to_string(days * 86400000) + "}}",
                      admin);
    };
    EXPECT_EQ(slow("month", 31).code, 0);
    EXPECT_TRUE(has(q.said, "key_rate { units: 1 period_ms: 2678400000 burst: 1 }")) << q.said;
    EXPECT_EQ(slow("year", 366).code, 0);
    EXPECT_EQ(slow("years", 730).code, 3);

    /* Nothing of it was done. */
    q.call("GetPlan", "plan_id: 1", admin);
    EXPECT_FALSE(has(q.said, "quota_limit")) << q.said;
}

/* AIP-154: what has changed since it was read is not deleted. */
TEST(Update, DeletesTakeEtags)
{
    luna_server server(pg(), redis(), "delete_etag");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Service q(server);
    auto reason = [](Outcome o) {
        return has(o.trailers["grpc-status-details-bin"], "CHANGED_MEANWHILE")
                   ? std::string("CHANGED_MEANWHILE")
                   : why(o);
    };
    auto with = [&](const std::string &etag) { return " etag: '" + etag + "'"; };

    ASSERT_EQ(q.call("CreatePlan", "plan {plan_name: 'p' quota_limit: 3}", admin).code, 0);
    const std::string plan = q.text("etag");
    ASSERT_EQ(q.call("UpdatePlan", "plan_id: 1 plan {plan_name: 'q'}", admin).code, 0);
    const std::string plan_now = q.text("etag");
    EXPECT_EQ(reason(q.call("DeletePlan", "plan_id: 1" + with(plan), admin)), "CHANGED_MEANWHILE");
    EXPECT_EQ(reason(q.call("DeletePlan", "plan_id: 1" + with("x"), admin)), "BAD_FIELD");
    EXPECT_EQ(q.call("DeletePlan", "plan_id: 1" + with(plan_now), admin).code, 0);
    EXPECT_EQ(reason(q.call("DeletePlan", "plan_id: 1" + with(plan_now), admin)), "PLAN_NOT_FOUND");

    ASSERT_EQ(q.call("CreateAccount", "account_name: 'ann'", admin).code, 0);
    const std::string account = q.text("etag");
    ASSERT_EQ(q.call("UpdateAccount", "account_id: 2 quota_limit: 7", admin).code, 0);
    const std::string account_now = q.text("etag");

    ASSERT_EQ(q.call("CreateApiKey", "account_id: 2", admin).code, 0);
    const std::string key = q.text("etag");
    const std::string which = "account_id: 2 key_id: 2";
    ASSERT_EQ(q.call("UpdateApiKey", which + " api_key {name: 'new'}", admin).code, 0);
    const std::string key_now = q.text("etag");
    EXPECT_EQ(reason(q.call("RevokeApiKey", which + with(key), admin)), "CHANGED_MEANWHILE");
    EXPECT_EQ(q.call("RevokeApiKey", which + with(key_now), admin).code, 0);
    EXPECT_TRUE(has(q.said, "revoked_at")) << q.said;
    EXPECT_EQ(reason(q.call("RevokeApiKey", which + with(key_now), admin)), "CHANGED_MEANWHILE");
    EXPECT_EQ(q.call("RevokeApiKey", which, admin).code, 0); /* twice is once */
    EXPECT_EQ(q.call("RevokeApiKey", "account_id: 2 key_id: 99" + with(key_now), admin).code, 5);

    EXPECT_EQ(reason(q.call("DeleteAccount", "account_id: 2" + with(account), admin)),
              "CHANGED_MEANWHILE");
    Metadata match = admin;
    match.emplace_back("if-match", "\"" + account + "\"");
    EXPECT_EQ(reason(q.call("DeleteAccount", "account_id: 2", match)), "CHANGED_MEANWHILE");
    EXPECT_EQ(q.call("GetAccount", "account_id: 2", admin).code, 0);
    EXPECT_EQ(q.call("DeleteAccount", "account_id: 2" + with(account_now), admin).code, 0);
    EXPECT_EQ(reason(q.call("DeleteAccount", "account_id: 2" + with(account_now), admin)),
              "ACCOUNT_NOT_FOUND");
}

TEST(Update, ApiKey)
{
    luna_server server(pg(), redis(), "key_mask");
    const Metadata admin = bearer(server.create_account("root", true));
    server.start();
    Service q(server);
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

TEST(Update, SpacesDoorwaysAndDpus)
{
    luna_server server(pg(), redis(), "counts_mask");
    const Metadata key = bearer(server.create_account("owner"));
    server.start();
    Service q(server, "CountsService");
    ASSERT_EQ(q.call("CreateSpace", "name: 'house'", key).code, 0);
    ASSERT_EQ(
        q.call("CreateSpace", "name: 'A' capacity: 30 parent_id: 1 time_zone: 'Europe/Berlin'", key)
            .code,
        0);
    const std::string etag = q.text("etag");

    /* Named and given; given and not named; named and not given. */
    Outcome o = q.call("UpdateSpace",
                       "space_id: 2 name: 'B' capacity: 20 update_mask {paths: ['capacity', "
                       "'time_zone']}",
                       key);
    ASSERT_EQ(o.code, 0) << o.message;
    EXPECT_TRUE(has(q.said, "name: \"A\" capacity: 20 parent_id: 1 time_zone: \"UTC\"")) << q.said;
    /* Without a mask what is given. */
    o = q.call("UpdateSpace", "space_id: 2 name: 'B'", key);
    EXPECT_TRUE(has(q.said, "name: \"B\" capacity: 20 parent_id: 1")) << q.said;
    /* All of them: as if made anew. */
    o = q.call("UpdateSpace", "space_id: 2 name: 'C' update_mask {paths: '*'}", key);
    EXPECT_TRUE(has(q.said, "space_id: 2 name: \"C\" time_zone: \"UTC\"")) << q.said;
    EXPECT_EQ(q.call("UpdateSpace", "space_id: 2 capacity: 1 update_mask {paths: '*'}", key).code,
              3)
        << "a space has a name";
    o = q.call("UpdateSpace", "space_id: 2 name: 'D' update_mask {paths: ['name', 'etag', 'x']}",
               key);
    EXPECT_EQ(o.code, 3);
    const std::string details = o.trailers["grpc-status-details-bin"];
    EXPECT_TRUE(has(details, "names etag, which") && has(details, "names x, which")) << details;
    EXPECT_EQ(q.call("UpdateSpace",
                     "space_id: 2 name: 'D' etag: '" + etag + "' update_mask {paths: 'name'}", key)
                  .code,
              9);
    q.call("GetSpace", "space_id: 2", key);
    EXPECT_EQ(q.text("name"), "C");

    ASSERT_EQ(q.call("CreateDoorway", "name: 'd' ingress_space_id: 1 egress_space_id: 2", key).code,
              0);
    o = q.call("UpdateDoorway",
               "doorway_id: 1 name: 'e' update_mask {paths: ['name', 'egress_space_id']}", key);
    EXPECT_TRUE(has(q.said, "doorway_id: 1 name: \"e\" ingress_space_id: 1 created_at")) << q.said;
    for (const char *none : {"update_mask {paths: 'ingress_space_id'}", "ingress_space_id: 0"})
        EXPECT_EQ(q.call("UpdateDoorway", std::string("doorway_id: 1 ") + none, key).code, 3)
            << none;

    ASSERT_EQ(q.call("CreateDpu", "dpu_id: 283 name: 'n' serial: 's'", key).code, 0);
    o = q.call("UpdateDpu", "dpu_id: 283 serial: 't' update_mask {paths: ['serial', 'name']}", key);
    EXPECT_TRUE(has(q.said, "dpu_id: 283 serial: \"t\"")) << q.said;
}
