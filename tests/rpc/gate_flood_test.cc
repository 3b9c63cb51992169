/*
 * The limit under full load: 64 connections to two servers, 1024 calls under way at any time, and a
 * quota that is raised twenty times. Each time so many calls are admitted and not one more, whether
 * Redis decides each of them or leases do, with rates of the account and the key or without.
 *
 * LUNA_TEST_QUOTA_DECISIONS: how many in all, of each kind (default 40 000).
 */
#include <algorithm>

#include "flood.h"
#include "gate_race.h"
#include "luna/v1/quota.pb-c.h"

namespace
{
struct kind {
    const char *name;
    bool leases;
    bool rates;
};

class flood : public race, public testing::WithParamInterface<kind>
{
};

class flooded : public race
{
};

/* Calls of Check that cost one, as `key`, counted in `t`. */
Flood
checks(const std::string &key, Tally &t)
{
    Flood f;
    f.path = kCheck;
    f.request = check_request(1);
    f.metadata = bearer(key);
    f.ended = [&t](int code, const std::string &body) {
        Outcome o;
        o.code = code;
        o.body = body;
        t.note(o);
    };
    return f;
}
} // namespace

TEST_P(flood, each_raise_admits_exactly_so_many)
{
    const kind k = GetParam();
    const char *asked = getenv("LUNA_TEST_QUOTA_DECISIONS");
    const int64_t all = asked ? std::stoll(asked) : 40000;
    const int raises = 20;
    const int64_t calls = all / raises;
    const int64_t per_raise = calls / 2;
    /* One is at most a 64th of what is left. */
    const int64_t lease = k.leases ? std::clamp<int64_t>(per_raise / 64, 10, 1000) : 0;
    redis_server redis;
    open(std::string("flood_") + k.name, &redis, {{"LUNA_QUOTA_LEASE", std::to_string(lease)}}, 64);
    if (k.rates) /* that are never reached: a million a second */
        pg().exec(database,
                  "INSERT INTO plan (plan_name, quota_limit, quota_period, account_capacity,"
                  " account_unit_us, key_capacity, key_unit_us)"
                  " VALUES ('wide', 0, 'total', 1000000, 1, 1000000, 1);"
                  "UPDATE account SET plan_id = (SELECT plan_id FROM plan)");
    Tally t;
    Flood f = checks(key, t);
    for (int raise = 1; raise <= raises && !HasFailure(); raise++) {
        set_limit(raise * per_raise);
        ASSERT_TRUE(eventually([&] {
            return admitted(unary(*lines[0], kCheck, check_request(per_raise, true), bearer(key),
                                  20000)) == 1;
        })) << log();
        f.run(lines, calls);
        EXPECT_EQ(t.yes, raise * per_raise) << "raise " << raise << "\n" << log();
        EXPECT_EQ(t.failed, 0);
    }
    EXPECT_EQ(t.yes + t.no, raises * calls);
    EXPECT_TRUE(eventually([&] { return quiet(); }, 30)) << log();
    EXPECT_EQ(used(), t.yes);
    EXPECT_EQ(number("SELECT sum(units) FROM quota_usage"), t.yes);
    const char leased[] = "luna_quota_leased_total";
    if (k.leases)
        EXPECT_GT(one->metric(leased) + two->metric(leased), static_cast<double>(t.yes) / 2);
    else
        EXPECT_EQ(one->metric(leased) + two->metric(leased), 0);
}

INSTANTIATE_TEST_SUITE_P(gate, flood,
                         testing::Values(kind{"redis", false, false},
                                         kind{"redis_rates", false, true},
                                         kind{"leases", true, false},
                                         kind{"leases_rates", true, true}),
                         [](const auto &info) { return std::string(info.param.name); });

/* Many calls at once, each of which costs more than a grant. */
TEST_F(flooded, by_costs_beyond_a_grant)
{
    const int64_t cost = 25000;
    redis_server redis;
    open("flooded_costs", &redis, {}, 64);
    set_limit(500 * cost + cost / 2);
    Tally t;
    Flood f = checks(key, t);
    f.request = check_request(cost);
    f.run(lines, 1000);
    EXPECT_EQ(t.yes, 500) << used() << log();
    EXPECT_EQ(t.no, 500);
    EXPECT_TRUE(eventually([&] { return quiet() && used() == 500 * cost; }, 30)) << log();
}

/* Two keys of an account, at the same time: each is admitted what its own rate allows, by leases.
 */
TEST_F(flooded, each_key_has_its_own_rate)
{
    const int64_t burst = 6400;
    redis_server redis;
    open("flooded_keys", &redis, {{"LUNA_QUOTA_LEASE", "100"}}, 64);
    pg().exec(database,
              "INSERT INTO plan (plan_name, quota_limit, quota_period, key_capacity, key_unit_us)"
              " VALUES ('slow', 0, 'total', 6400, 3600000000);"
              "UPDATE account SET plan_id = (SELECT plan_id FROM plan)");
    const std::string admin = one->create_account("root", true);
    Luna__V1__CreateApiKeyRequest make = LUNA__V1__CREATE_API_KEY_REQUEST__INIT;
    make.account_id = 1;
    Answer<Luna__V1__CreateApiKeyResponse> made(
        unary(*lines[0], std::string(kQuota) + "CreateApiKey", bytes_of(&make.base), bearer(admin)),
        &luna__v1__create_api_key_response__descriptor);
    const std::string keys[] = {key, made->key};
    Tally t[2];
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 2; i++)
        threads.emplace_back([&, i] { checks(keys[i], t[i]).run(lines, 2 * burst); });
    for (std::thread &th : threads)
        th.join();
    for (const Tally &one_key : t) {
        EXPECT_EQ(one_key.yes, burst);
        EXPECT_EQ(one_key.no, burst);
    }
    const char leased[] = "luna_quota_leased_total";
    EXPECT_GT(one->metric(leased) + two->metric(leased), static_cast<double>(burst));
    EXPECT_TRUE(eventually([&] { return quiet() && used() == 2 * burst; }, 30)) << log();
}
