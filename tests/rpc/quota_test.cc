/* Who may call, seen from outside: the whole server, its log and its metrics. */
#include <gtest/gtest.h>

#include <algorithm>

#include "core_client.h"
#include "luna/v1/quota.pb-c.h"
#include "support/luna_server.h"
#include "support/stores.h"

namespace
{
const char kGetAccount[] = "/luna.v1.QuotaService/GetAccount";

std::string
get_account_request(int64_t id)
{
    Luna__V1__GetAccountRequest r = LUNA__V1__GET_ACCOUNT_REQUEST__INIT;
    r.account_id = id;
    std::string bytes(luna__v1__get_account_request__get_packed_size(&r), '\0');
    luna__v1__get_account_request__pack(&r, reinterpret_cast<uint8_t *>(bytes.data()));
    return bytes;
}

/* "name" of the account, or the status's number. */
std::string
name_of(const Outcome &o)
{
    if (o.code != 0)
        return std::to_string(o.code);
    Luna__V1__GetAccountResponse *r = luna__v1__get_account_response__unpack(
        nullptr, o.body.size(), reinterpret_cast<const uint8_t *>(o.body.data()));
    std::string name = r && r->account ? r->account->account_name : "?";
    luna__v1__get_account_response__free_unpacked(r, nullptr);
    return name;
}

Outcome
get_account(const Channel &ch, const Metadata &md, int64_t id = 0)
{
    return unary(ch, kGetAccount, get_account_request(id), md);
}

Metadata
bearer(const std::string &key)
{
    return {{"authorization", "Bearer " + key}};
}

bool
has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}
} // namespace

TEST(identity, who_may_call)
{
    luna_server server(pg(), redis(), "identity");
    std::string member = server.create_account("member");
    std::string admin = server.create_account("admin", true);
    server.start();
    Channel ch(server.target());

    Outcome o = get_account(ch, {});
    EXPECT_EQ(o.code, 16);
    EXPECT_EQ(o.trailers["www-authenticate"], "Bearer realm=\"luna\"");
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "NO_CREDENTIALS"));

    EXPECT_EQ(name_of(get_account(ch, bearer(member))), "member");
    EXPECT_EQ(name_of(get_account(ch, {{"x-api-key", member}})), "member");
    EXPECT_EQ(name_of(get_account(ch, bearer(member), 1)), "member");
    EXPECT_EQ(name_of(get_account(ch, bearer(member), 2)), "5"); /* exists, and is another's */
    EXPECT_EQ(name_of(get_account(ch, bearer(member), 99)), "5");
    EXPECT_EQ(name_of(get_account(ch, bearer(member), -1)), "3");
    EXPECT_EQ(name_of(get_account(ch, bearer(admin), 1)), "member");
    EXPECT_EQ(name_of(get_account(ch, bearer(admin), 99)), "5");

    for (const std::string &wrong :
         {member + "x", std::string("x"), std::string("f47ac10b-58cc-4372-a567-0e02b2c3d479")}) {
        o = get_account(ch, bearer(wrong));
        EXPECT_EQ(o.code, 16) << wrong;
        EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "BAD_CREDENTIALS"));
        EXPECT_TRUE(has(o.trailers["www-authenticate"], "invalid_token"));
    }
    EXPECT_EQ(get_account(ch, {{"authorization", "Basic dTpw"}}).code, 16);
    /* Health is for everybody. */
    EXPECT_EQ(unary(ch, "/grpc.health.v1.Health/Check", "").code, 0);
    EXPECT_EQ(WEXITSTATUS(server.stop()), 0);
}

TEST(identity, anonymous)
{
    luna_server server(pg(), redis(), "anonymous", {{"LUNA_ANONYMOUS_ACCOUNT", "demo"}});
    server.start();
    Channel ch(server.target());
    Outcome o = get_account(ch, {});
    EXPECT_EQ(o.code, 16);
    server.create_account("demo");
    for (int i = 0; i < 100 && o.code != 0; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        o = get_account(ch, {});
    }
    EXPECT_EQ(name_of(o), "demo");
    /* Wrong credentials are not none. */
    EXPECT_EQ(get_account(ch, bearer("x")).code, 16);
}

TEST(identity, wrong_keys_from_one_address)
{
    luna_server server(pg(), redis(), "flood", {{"LUNA_AUTH_FAILURES", "10"}});
    std::string good = server.create_account("good");
    std::string late = server.create_account("late");
    server.start();
    Channel ch(server.target());
    auto from = [](const std::string &key, const std::string &address) {
        return Metadata{{"x-api-key", key}, {"x-forwarded-for", address}};
    };
    EXPECT_EQ(name_of(get_account(ch, from(good, "1.1.1.1"))), "good");
    EXPECT_EQ(name_of(get_account(ch, from(good, "1.1.1.1"))), "good"); /* known on each reactor */
    std::map<int, int> codes;
    Outcome limited;
    for (int i = 0; i < 200; i++) {
        char key[40];
        snprintf(key, sizeof(key), "%08x-58cc-4372-a567-0e02b2c3d479", i);
        Outcome o = get_account(ch, from(key, "1.1.1.1"));
        codes[o.code]++;
        if (o.code == 8)
            limited = o;
    }
    EXPECT_GE(codes[16], 10);
    EXPECT_LE(codes[16], 15);
    EXPECT_EQ(codes[16] + codes[8], 200);
    EXPECT_TRUE(has(limited.trailers["grpc-status-details-bin"], "RATE_LIMITED"));
    EXPECT_TRUE(has(limited.trailers["grpc-status-details-bin"], "RetryInfo"));
    EXPECT_LE(server.metric("luna_db_statement_calls_total{statement=\"quota_find_key\"}"), 20);
    EXPECT_EQ(server.metric("luna_auth_refused_total{why=\"limited\"}"), codes[8]);
    /* Others are not concerned, nor keys in use from there; a key that was never seen has to wait.
     */
    EXPECT_EQ(name_of(get_account(ch, from(late, "2.2.2.2"))), "late");
    EXPECT_EQ(name_of(get_account(ch, from("x", "1.1.1.1"))), "16");
}

/* Calls a method of QuotaService with a key. */
static Outcome
quota_call(const Channel &ch, const char *method, const std::string &key,
           const ProtobufCMessage *req)
{
    std::string bytes(protobuf_c_message_get_packed_size(req), '\0');
    protobuf_c_message_pack(req, reinterpret_cast<uint8_t *>(bytes.data()));
    return unary(ch, std::string("/luna.v1.QuotaService/") + method, bytes, bearer(key));
}

TEST(accounts, made_listed_changed_and_deleted)
{
    luna_server server(pg(), redis(), "accounts");
    std::string admin = server.create_account("root", true);
    std::string member = server.create_account("demo");
    server.start();
    Channel ch(server.target());
    auto call = [&](const char *method, const std::string &key, const ProtobufCMessage *req) {
        return quota_call(ch, method, key, req);
    };

    Luna__V1__CreateAccountRequest make = LUNA__V1__CREATE_ACCOUNT_REQUEST__INIT;
    char name[] = "made 00";
    make.account_name = name;
    EXPECT_EQ(call("CreateAccount", member, &make.base).code, 7);
    for (int i = 0; i < 12; i++) {
        name[5] = static_cast<char>('0' + i / 10);
        name[6] = static_cast<char>('0' + i % 10);
        EXPECT_EQ(call("CreateAccount", admin, &make.base).code, 0);
    }
    Outcome taken = call("CreateAccount", admin, &make.base);
    EXPECT_EQ(taken.code, 6);
    EXPECT_TRUE(has(taken.trailers["grpc-status-details-bin"], "ACCOUNT_EXISTS"));

    /* Pages of five; an account made and one deleted meanwhile disturb nothing. */
    std::vector<int64_t> seen;
    std::string token;
    Luna__V1__ListAccountsRequest list = LUNA__V1__LIST_ACCOUNTS_REQUEST__INIT;
    list.page_size = 5;
    EXPECT_EQ(call("ListAccounts", member, &list.base).code, 7);
    do {
        list.page_token = token.data();
        Outcome o = call("ListAccounts", admin, &list.base);
        ASSERT_EQ(o.code, 0) << o.message;
        Luna__V1__ListAccountsResponse *r = luna__v1__list_accounts_response__unpack(
            nullptr, o.body.size(), reinterpret_cast<const uint8_t *>(o.body.data()));
        for (size_t i = 0; i < r->n_accounts; i++)
            seen.push_back(r->accounts[i]->account_id);
        token = r->next_page_token;
        luna__v1__list_accounts_response__free_unpacked(r, nullptr);
        if (seen.size() == 5) {
            Luna__V1__DeleteAccountRequest del = LUNA__V1__DELETE_ACCOUNT_REQUEST__INIT;
            del.account_id = seen[4];
            EXPECT_EQ(call("DeleteAccount", admin, &del.base).code, 0);
        }
    } while (!token.empty());
    EXPECT_EQ(seen.size(), 14u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
    std::string bad = "AQ";
    list.page_token = bad.data();
    EXPECT_EQ(call("ListAccounts", admin, &list.base).code, 3);
}

TEST(accounts, keys)
{
    luna_server server(pg(), redis(), "keys");
    std::string admin = server.create_account("root", true);
    std::string member = server.create_account("demo");
    server.start();
    Channel ch(server.target());
    auto call = [&](const char *method, const std::string &key, const ProtobufCMessage *req) {
        return quota_call(ch, method, key, req);
    };
    Luna__V1__CreateApiKeyRequest key = LUNA__V1__CREATE_API_KEY_REQUEST__INIT;
    key.account_id = 2;
    key.role = LUNA__V1__ROLE__ROLE_DEVICE;
    Outcome o = call("CreateApiKey", admin, &key.base);
    ASSERT_EQ(o.code, 0) << o.message;
    Luna__V1__CreateApiKeyResponse *made = luna__v1__create_api_key_response__unpack(
        nullptr, o.body.size(), reinterpret_cast<const uint8_t *>(o.body.data()));
    std::string secret = made->key;
    int64_t key_id = made->api_key->key_id;
    EXPECT_TRUE(made->api_key->created_at);
    EXPECT_FALSE(made->api_key->revoked_at);
    luna__v1__create_api_key_response__free_unpacked(made, nullptr);
    EXPECT_EQ(name_of(get_account(ch, bearer(secret))), "demo");
    /* A device may not look at the keys; a member sees those of its own account. */
    Luna__V1__ListApiKeysRequest keys = LUNA__V1__LIST_API_KEYS_REQUEST__INIT;
    EXPECT_EQ(call("ListApiKeys", secret, &keys.base).code, 7);
    EXPECT_EQ(call("ListApiKeys", member, &keys.base).code, 0);
    keys.account_id = 1;
    EXPECT_EQ(call("ListApiKeys", member, &keys.base).code, 5);

    Luna__V1__RevokeApiKeyRequest revoke = LUNA__V1__REVOKE_API_KEY_REQUEST__INIT;
    revoke.account_id = 2;
    revoke.key_id = key_id;
    EXPECT_EQ(call("RevokeApiKey", member, &revoke.base).code, 7);
    EXPECT_EQ(call("RevokeApiKey", admin, &revoke.base).code, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    for (int i = 0; i < 8; i++) /* on every reactor */
        EXPECT_EQ(get_account(ch, bearer(secret)).code, 16);
    EXPECT_FALSE(has(server.log(), secret.substr(5, 32)));
}

TEST(identity, scopes_and_revocation)
{
    luna_server server(pg(), redis(), "scopes");
    std::string key = server.create_account("demo");
    server.start();
    Channel ch(server.target());
    EXPECT_EQ(name_of(get_account(ch, bearer(key))), "demo");
    pg().exec("scopes", "UPDATE api_key SET scopes = '{kalman}'");
    Outcome o;
    for (int i = 0; i < 100 && o.code != 7; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        o = get_account(ch, bearer(key));
    }
    EXPECT_EQ(o.code, 7);
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "NOT_ALLOWED"));
    EXPECT_TRUE(has(o.message, "quota.read")) << o.message;
    pg().exec("scopes", "UPDATE api_key SET revoked_at = now()");
    for (int i = 0; i < 100 && o.code != 16; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        o = get_account(ch, bearer(key));
    }
    EXPECT_EQ(o.code, 16);
}

TEST(outside, log_and_metrics)
{
    luna_server server(pg(), redis(), "outside");
    std::string key = server.create_account("demo");
    server.start();
    Channel ch(server.target());
    Metadata md = bearer(key);
    md.emplace_back("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    EXPECT_EQ(get_account(ch, md).code, 0);
    EXPECT_EQ(get_account(ch, bearer(key), 42).code, 5);
    const std::string method = "service=\"luna.v1.QuotaService\",method=\"GetAccount\"";
    EXPECT_EQ(server.metric("luna_calls_total{" + method + ",status=\"OK\"}"), 1);
    EXPECT_EQ(server.metric("luna_calls_total{" + method + ",status=\"NOT_FOUND\"}"), 1);
    EXPECT_EQ(server.metric("luna_call_duration_seconds_count{" + method + "}"), 2);
    EXPECT_GT(server.metric("luna_call_duration_seconds_sum{" + method + "}"), 0);
    EXPECT_EQ(server.metric("luna_calls_in_flight{" + method + "}"), 0);
    EXPECT_EQ(server.metric("luna_redis_ready{reactor=\"0\"}"), 1);
    EXPECT_GE(server.metric("luna_db_connections{reactor=\"1\",state=\"ready\"}"), 1);
    EXPECT_EQ(WEXITSTATUS(server.stop()), 0);
    std::string log = server.log();
    EXPECT_TRUE(has(log, "method=/luna.v1.QuotaService/GetAccount status=OK")) << log;
    EXPECT_TRUE(has(log, "trace=0af7651916cd43dd8448eb211c80319c")) << log;
    EXPECT_TRUE(has(log, "status=NOT_FOUND reason=ACCOUNT_NOT_FOUND")) << log;
    EXPECT_TRUE(has(log, "account=1")) << log;
    EXPECT_TRUE(has(log, "request=account_id:42")) << log;
    EXPECT_FALSE(has(log, key.substr(5, 32))) << "the key is in the log";
    EXPECT_FALSE(has(log, "the secret of the tests"));
}
