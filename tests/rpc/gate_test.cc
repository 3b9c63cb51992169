/* The gate as callers see it: what is charged, refused, given back and told. */
#include <cmath>

#include "gate_support.h"
#include "luna/v1/quota.pb-c.h"
#include "support/stores.h"

extern "C" {
#include "gateway/ratelimit.h"
}

namespace
{
/* "limit remaining reset" of this answer, which the server tells and which the gateway reads from
 * the two lists where it does not. */
std::string
older(Outcome o)
{
    const std::string policy = o.headers["ratelimit-policy"];
    const std::string state = o.headers["ratelimit"];
    struct ratelimit r;
    if (!ratelimit_tightest({policy.data(), policy.size()}, {state.data(), state.size()}, &r))
        return "cannot be read: " + policy + " / " + state;
    const std::string read =
        std::to_string(r.limit) + " " + std::to_string(r.remaining) + " " + std::to_string(r.reset);
    if (o.headers.count("x-ratelimit-limit")) {
        EXPECT_EQ(read, o.headers["x-ratelimit-limit"] + " " + o.headers["x-ratelimit-remaining"] +
                            " " + o.headers["x-ratelimit-reset"]);
    }
    return read;
}

/* One unit in each period, and `burst` at once. */
Luna__V1__RateLimit
rate_of(int64_t period_ms, int64_t burst)
{
    Luna__V1__RateLimit r = LUNA__V1__RATE_LIMIT__INIT;
    r.units = 1;
    r.period_ms = period_ms;
    r.burst = burst;
    return r;
}

class gate : public testing::Test
{
  protected:
    void open(const std::string &name, luna_server::settings extra = {})
    {
        database = name;
        extra.insert({"LUNA_QUOTA_FLUSH_INTERVAL", "50ms"});
        server = std::make_unique<luna_server>(pg(), redis(), name, extra);
        admin = server->create_account("root", true, 0);
        key = server->create_account("demo", false, 0);
        redis_command({"FLUSHALL"});
        server->start();
        ch = std::make_unique<Channel>(server->target());
    }

    void redis_command(const std::vector<std::string> &words)
    {
        std::string command = "redis-cli -s " + redis().socket();
        for (const std::string &w : words)
            command += " '" + w + "'";
        printed = pg_server::output(command + " 2>&1");
    }

    std::string sql(const std::string &text)
    {
        return pg().value(database, text);
    }

    int64_t number(const std::string &text)
    {
        return std::stoll("0" + sql(text));
    }

    int64_t used(int64_t account = 2)
    {
        return number("SELECT quota_used FROM account WHERE account_id = " +
                      std::to_string(account));
    }

    Outcome call(const std::string &method, const std::string &with, const ProtobufCMessage *m)
    {
        return unary(*ch, method, bytes_of(m), bearer(with));
    }

    Outcome check(int64_t cost, bool dry_run = false)
    {
        return unary(*ch, kCheck, check_request(cost, dry_run), bearer(key));
    }

    void set_limit(int64_t limit)
    {
        Luna__V1__UpdateAccountRequest r = LUNA__V1__UPDATE_ACCOUNT_REQUEST__INIT;
        r.account_id = 2;
        r.quota_limit_presence_case =
            LUNA__V1__UPDATE_ACCOUNT_REQUEST__QUOTA_LIMIT_PRESENCE_QUOTA_LIMIT;
        r.quota_limit = limit;
        ASSERT_EQ(call(std::string(kQuota) + "UpdateAccount", admin, &r.base).code, 0);
    }

    /* A plan given to the account of the tests; its id. */
    int64_t give_plan(const std::function<void(Luna__V1__Plan *)> &fill)
    {
        Luna__V1__Plan plan = LUNA__V1__PLAN__INIT;
        std::string name = "plan " + std::to_string(++plans);
        plan.plan_name = name.data();
        plan.quota_limit = 1000000;
        fill(&plan);
        Luna__V1__CreatePlanRequest make = LUNA__V1__CREATE_PLAN_REQUEST__INIT;
        make.plan = &plan;
        Answer<Luna__V1__CreatePlanResponse> made(
            call(std::string(kQuota) + "CreatePlan", admin, &make.base),
            &luna__v1__create_plan_response__descriptor);
        Luna__V1__SetAccountPlanRequest set = LUNA__V1__SET_ACCOUNT_PLAN_REQUEST__INIT;
        set.account_id = 2;
        set.plan_id = made->plan->plan_id;
        EXPECT_EQ(call(std::string(kQuota) + "SetAccountPlan", admin, &set.base).code, 0);
        return made->plan->plan_id;
    }

    std::string database;
    std::string admin;
    std::string key;
    std::string printed;
    int plans = 0;
    std::unique_ptr<luna_server> server;
    std::unique_ptr<Channel> ch;
};
} // namespace

TEST_F(gate, spent_refused_raised)
{
    open("spent");
    set_limit(3);
    for (int left = 2; left >= 0; left--) {
        Outcome o = filter(*ch, key);
        ASSERT_EQ(o.code, 0) << o.message << server->log();
        EXPECT_EQ(o.headers["ratelimit-policy"], "\"quota\";q=3");
        EXPECT_EQ(o.headers["ratelimit"], "\"quota\";r=" + std::to_string(left));
        EXPECT_EQ(older(o), "3 " + std::to_string(left) + " 0");
        EXPECT_EQ(o.headers.count("luna-cost"), 0u); /* as the method's option says */
    }
    Outcome o = filter(*ch, key);
    EXPECT_EQ(o.code, 8);
    EXPECT_EQ(why(o), "QUOTA_SPENT");
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "QuotaFailure"));
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "RetryInfo"));
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "account:2"));
    EXPECT_EQ(o.headers["ratelimit"], "\"quota\";r=0");
    EXPECT_EQ(older(o), "3 0 0");
    EXPECT_EQ(o.headers["luna-cost"], "0");
    redis_command({"GET", "user:{2}:quota"});
    EXPECT_EQ(printed, "0\n");
    redis_command({"TTL", "user:{2}:quota"});
    EXPECT_EQ(printed, "-1\n"); /* it never expires */
    EXPECT_TRUE(eventually([&] { return used() == 3; }));
    set_limit(4);
    EXPECT_TRUE(eventually([&] { return filter(*ch, key).code == 0; }));
    EXPECT_EQ(filter(*ch, key).code, 8);
    EXPECT_TRUE(eventually([&] {
        return number("SELECT count(*) FROM quota_event WHERE kind = 'quota_spent'") >= 1;
    }));
    /* Methods that cost nothing are not in its way. */
    Luna__V1__GetAccountRequest get = LUNA__V1__GET_ACCOUNT_REQUEST__INIT;
    EXPECT_EQ(call(std::string(kQuota) + "GetAccount", key, &get.base).code, 0);
    EXPECT_EQ(server->metric("luna_quota_decisions_total{verdict=\"admitted\"}"), 4);
}

/* Postgres grants 10 000 units at a time: what one call costs may be more, to the last unit. */
TEST_F(gate, costs_beyond_a_grant)
{
    open("large");
    set_limit(1000000);
    EXPECT_EQ(admitted(check(25000, true)), 1);
    EXPECT_EQ(admitted(check(25000)), 1);
    EXPECT_EQ(admitted(check(9999)), 1);
    EXPECT_EQ(admitted(check(965002)), 0);
    EXPECT_EQ(admitted(check(965001, true)), 1);
    EXPECT_EQ(admitted(check(965001)), 1);
    EXPECT_EQ(admitted(check(1)), 0);
    EXPECT_TRUE(eventually([&] { return used() == 1000000; })) << used();
}

TEST_F(gate, switched_off_it_charges_nothing)
{
    open("off", {{"LUNA_QUOTA", "false"}});
    set_limit(1);
    for (int i = 0; i < 3; i++) {
        Outcome o = filter(*ch, key);
        EXPECT_EQ(o.code, 0) << o.message;
        EXPECT_EQ(o.headers.count("ratelimit"), 0u);
    }
    EXPECT_EQ(server->metric("luna_quota_decisions_total{verdict=\"admitted\"}"), 0);
    EXPECT_EQ(used(), 0);
}

TEST_F(gate, what_fails_for_the_callers_reasons_is_paid)
{
    open("paid");
    double infinite = INFINITY;
    Luna__V1__FilterRequest bad = LUNA__V1__FILTER_REQUEST__INIT;
    bad.results = &infinite;
    bad.n_results = 1;
    Outcome o = call(kFilter, key, &bad.base);
    EXPECT_EQ(o.code, 3);
    EXPECT_EQ(o.headers.count("luna-cost"), 0u);
    EXPECT_TRUE(eventually([&] { return used() == 1; }));
}

TEST_F(gate, rates_of_the_key_and_the_account)
{
    open("rates");
    Luna__V1__RateLimit per_key = rate_of(3600000, 2);
    Luna__V1__RateLimit all = rate_of(3600000, 3);
    give_plan([&](Luna__V1__Plan *p) {
        p->key_rate = &per_key;
        p->account_rate = &all;
    });
    Luna__V1__CreateApiKeyRequest make = LUNA__V1__CREATE_API_KEY_REQUEST__INIT;
    make.account_id = 2;
    Answer<Luna__V1__CreateApiKeyResponse> second(
        call(std::string(kQuota) + "CreateApiKey", admin, &make.base),
        &luna__v1__create_api_key_response__descriptor);
    std::string other = second->key;

    Outcome o = filter(*ch, key);
    EXPECT_EQ(o.code, 0);
    EXPECT_EQ(o.headers["ratelimit-policy"],
              "\"quota\";q=1000000, \"account\";q=3;w=10800, \"key\";q=2;w=7200");
    EXPECT_EQ(older(o), "2 1 3600"); /* the tightest */
    EXPECT_EQ(filter(*ch, key).code, 0);
    o = filter(*ch, key);
    EXPECT_EQ(why(o), "RATE_LIMITED");
    EXPECT_TRUE(has(o.message, "of the key")) << o.message;
    EXPECT_EQ(filter(*ch, other).code, 0);
    o = filter(*ch, other);
    EXPECT_EQ(why(o), "RATE_LIMITED");
    EXPECT_TRUE(has(o.message, "of the account")) << o.message;
    EXPECT_TRUE(eventually([&] { return used() == 3; })); /* refusals cost nothing */
}

TEST_F(gate, older_names_over_grpc_are_a_setting)
{
    open("older");
    Outcome o = filter(*ch, key);
    EXPECT_EQ(o.headers["x-ratelimit-limit"], "500");
    EXPECT_EQ(older(o), "500 499 0");
    open("newer", {{"LUNA_QUOTA_OLDER_METADATA", "false"}});
    o = filter(*ch, key);
    EXPECT_EQ(o.headers.count("x-ratelimit-limit"), 0u);
    EXPECT_EQ(o.headers.count("x-ratelimit-reset"), 0u);
    EXPECT_EQ(older(o), "500 499 0");
}

/* A limit that only reports stands in the lists, and is not what the older names mean: then the
 * server sends them itself. */
TEST_F(gate, rates_that_only_report)
{
    open("reports");
    Luna__V1__RateLimit all = rate_of(3600000, 2);
    give_plan([&](Luna__V1__Plan *p) {
        p->account_rate = &all;
        p->report_only = true;
    });
    for (int left = 1; left >= -1; left--) {
        Outcome o = filter(*ch, key);
        EXPECT_EQ(o.code, 0) << o.message;
        EXPECT_EQ(o.headers["ratelimit-policy"], "\"quota\";q=1000000, \"account\";q=2;w=7200");
        EXPECT_TRUE(has(o.headers["ratelimit"], left > 0 ? "\"account\";r=1" : "\"account\";r=0"))
            << o.headers["ratelimit"];
        EXPECT_EQ(o.headers["x-ratelimit-limit"], "1000000");
        EXPECT_EQ(o.headers["x-ratelimit-remaining"], std::to_string(999998 + left));
        EXPECT_EQ(o.headers["x-ratelimit-reset"], "0");
    }
    EXPECT_EQ(server->metric("luna_quota_dry_refusals_total"), 1);
}

/* Leases do not report for calls: ten units are in the bucket, so ten of twenty calls would have
 * been refused. */
TEST_F(gate, rates_that_only_report_beside_leases)
{
    open("reports_leases", {{"LUNA_QUOTA_LEASE", "16"}});
    Luna__V1__RateLimit all = rate_of(3600000, 6400);
    give_plan([&](Luna__V1__Plan *p) {
        p->account_rate = &all;
        p->key_rate = &all;
        p->report_only = true;
    });
    ASSERT_EQ(admitted(check(6390)), 1);
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(admitted(check(1)), 1);
    EXPECT_EQ(server->metric("luna_quota_dry_refusals_total"), 10);
    EXPECT_GT(server->metric("luna_quota_leased_total"), 0);
    EXPECT_TRUE(eventually([&] { return used() == 6410; })) << used();
}

TEST_F(gate, measured_work_is_paid_before_it_is_done)
{
    open("measured");
    set_limit(10);
    std::vector<double> values(300, 1.0);
    Luna__V1__FreeModel free_model = LUNA__V1__FREE_MODEL__INIT;
    std::vector<double> z(100, 0.0);
    std::vector<double> t(100UL * 100, 0.0);
    std::vector<double> q(100UL * 100, 0.0);
    std::vector<double> h = {1.0};
    z[0] = 1;
    for (size_t i = 0; i < 100; i++)
        t[i * 101] = q[i * 101] = 0.5;
    free_model.series = 1;
    free_model.states = 100;
    free_model.z = z.data();
    free_model.n_z = z.size();
    free_model.t = t.data();
    free_model.n_t = t.size();
    free_model.q = q.data();
    free_model.n_q = q.size();
    free_model.h = h.data();
    free_model.n_h = 1;
    Luna__V1__Model model = LUNA__V1__MODEL__INIT;
    model.kind_case = LUNA__V1__MODEL__KIND_FREE;
    model.free = &free_model;
    Luna__V1__SmoothRequest r = LUNA__V1__SMOOTH_REQUEST__INIT;
    r.results = values.data();
    r.n_results = values.size();
    r.model = &model;
    /* 100 states x 100 states x 300 values: one unit, and three for the work. */
    Outcome o = call("/luna.v1.KalmanService/Smooth", key, &r.base);
    EXPECT_EQ(o.code, 0) << o.message;
    EXPECT_EQ(o.headers["luna-cost"], "4");
    EXPECT_EQ(call("/luna.v1.KalmanService/Smooth", key, &r.base).code, 0);
    o = call("/luna.v1.KalmanService/Smooth", key, &r.base); /* two are left */
    EXPECT_EQ(why(o), "QUOTA_SPENT");
    EXPECT_EQ(o.headers["luna-cost"], "0");
    EXPECT_EQ(older(o), "10 2 0");
    EXPECT_TRUE(eventually([&] { return used() == 8; }));
    EXPECT_GE(server->metric("luna_quota_given_back_total"), 1);
}

TEST_F(gate, check_with_limits_of_the_callers_own)
{
    open("own");
    char name[] = "login:ann";
    Luna__V1__RateLimit rate = rate_of(60000, 2);
    Luna__V1__NamedLimit limit = LUNA__V1__NAMED_LIMIT__INIT;
    limit.name = name;
    limit.rate = &rate;
    Luna__V1__NamedLimit *limits[] = {&limit};
    Luna__V1__CheckRequest r = LUNA__V1__CHECK_REQUEST__INIT;
    r.limits = limits;
    r.n_limits = 1;
    r.only_limits = true;
    auto ask = [&] { return call(kCheck, key, &r.base); };
    r.dry_run = true;
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(admitted(ask()), 1);
    r.dry_run = false;
    EXPECT_EQ(admitted(ask()), 1);
    EXPECT_EQ(admitted(ask()), 1);
    Answer<Luna__V1__CheckResponse> refused(ask(), &luna__v1__check_response__descriptor);
    EXPECT_FALSE(refused->allowed);
    EXPECT_STREQ(refused->refused_by, "login:ann");
    EXPECT_GT(refused->limits[0]->retry_after_ms, 50000);
    limit.report_only = true;
    EXPECT_EQ(admitted(ask()), 1);
    limit.report_only = false;
    r.only_limits = false;
    EXPECT_EQ(admitted(ask()), 0); /* and the quota is not touched */
    name[6] = 'b';
    EXPECT_EQ(admitted(ask()), 1);
    EXPECT_TRUE(eventually([&] { return used() == 1; }));
    name[0] = '!';
    EXPECT_EQ(why(ask()), "BAD_FIELD");
    name[0] = 'l';
    Luna__V1__NamedLimit *twice[] = {&limit, &limit};
    r.limits = twice;
    r.n_limits = 2;
    Outcome o = ask(); /* one name is one bucket */
    EXPECT_EQ(why(o), "BAD_FIELD");
    EXPECT_EQ(o.message, "limits[1].name is that of limits[0], too");
}

TEST_F(gate, concurrent_calls)
{
    open("concurrent");
    give_plan([&](Luna__V1__Plan *p) { p->concurrent_calls = 2; });
    /* Metered calls that wait: their caller does not send the request's end. */
    for (int i = 0; i < 20; i++)
        ASSERT_EQ(filter(*ch, key).code, 0); /* one at a time */
    redis_command({"ZADD", "user:{2}:calls", "99999999999999999", "a"});
    EXPECT_EQ(filter(*ch, key).code, 0);
    redis_command({"ZADD", "user:{2}:calls", "99999999999999999", "b"});
    Outcome o = filter(*ch, key);
    EXPECT_EQ(why(o), "RATE_LIMITED");
    EXPECT_TRUE(has(o.message, "too many calls at once"));
    redis_command({"ZADD", "user:{2}:calls", "1", "b"}); /* a server that died: its lease is over */
    EXPECT_EQ(filter(*ch, key).code, 0);
    redis_command({"ZRANGE", "user:{2}:calls", "0", "-1"});
    EXPECT_TRUE(eventually([&] {
        redis_command({"ZCARD", "user:{2}:calls"});
        return printed == "1\n";
    }));
}

TEST_F(gate, a_period_that_ends)
{
    open("period");
    give_plan([&](Luna__V1__Plan *p) {
        p->quota_limit = 2;
        p->quota_period = LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY;
    });
    EXPECT_EQ(admitted(check(2)), 1);
    EXPECT_EQ(admitted(check(1)), 0);
    EXPECT_TRUE(eventually([&] { return used() == 2; }));
    Outcome o = filter(*ch, key);
    EXPECT_EQ(o.code, 8);
    EXPECT_TRUE(has(o.headers["ratelimit"], ";t=")) << o.headers["ratelimit"];
    /* Yesterday's: the day has turned. */
    sql("UPDATE account SET period_start = period_start - interval '1 day' WHERE account_id = 2");
    sql("UPDATE quota_epoch SET period_start = period_start - interval '1 day'");
    redis_command({"HSET", "user:{2}:epoch", "ends", "1"});
    EXPECT_EQ(admitted(check(2)), 1) << server->log();
    EXPECT_EQ(admitted(check(1)), 0);
    EXPECT_TRUE(eventually([&] { return used() == 2; }));
    EXPECT_EQ(number("SELECT sum(units) FROM quota_usage WHERE account_id = 2"), 4);
}

TEST_F(gate, usage_and_events)
{
    open("usage");
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(filter(*ch, key).code, 0);
    EXPECT_EQ(admitted(check(20)), 1);
    Luna__V1__GetUsageRequest get = LUNA__V1__GET_USAGE_REQUEST__INIT;
    auto usage = [&] {
        return std::make_unique<Answer<Luna__V1__GetUsageResponse>>(
            call(std::string(kQuota) + "GetUsage", key, &get.base),
            &luna__v1__get_usage_response__descriptor);
    };
    auto u = usage();
    EXPECT_EQ((*u)->quota_used, 25); /* at once: it waits for the flush */
    EXPECT_EQ((*u)->quota_remaining, 475);
    ASSERT_EQ((*u)->n_by_day, 1u);
    EXPECT_EQ((*u)->by_day[0]->units, 25);
    ASSERT_EQ((*u)->n_by_method, 2u);
    EXPECT_STREQ((*u)->by_method[0]->name, kCheck);
    EXPECT_EQ((*u)->by_method[0]->units, 20);
    EXPECT_EQ((*u)->by_method[1]->units, 5);
    EXPECT_NE((*u)->runs_out_at, nullptr);
    get.account_id = 1;
    EXPECT_EQ(why(call(std::string(kQuota) + "GetUsage", key, &get.base)), "ACCOUNT_NOT_FOUND");

    Luna__V1__WatchQuotaRequest watch = LUNA__V1__WATCH_QUOTA_REQUEST__INIT;
    Call stream(*ch, std::string(kQuota) + "WatchQuota", bearer(key), 20000);
    ASSERT_TRUE(stream.send(bytes_of(&watch.base)) && stream.half_close());
    stream.wait_headers();
    set_limit(700);
    auto got = stream.recv();
    ASSERT_TRUE(got.has_value());
    Luna__V1__WatchQuotaResponse *event = luna__v1__watch_quota_response__unpack(
        nullptr, got->size(), reinterpret_cast<const uint8_t *>(got->data()));
    ASSERT_NE(event, nullptr);
    EXPECT_STREQ(event->event->kind, "limit_changed");
    EXPECT_EQ(event->event->by_account_id, 1);
    EXPECT_TRUE(has(event->event->data, "700")) << event->event->data;
    luna__v1__watch_quota_response__free_unpacked(event, nullptr);
    stream.cancel();

    Luna__V1__ListQuotaEventsRequest list = LUNA__V1__LIST_QUOTA_EVENTS_REQUEST__INIT;
    Answer<Luna__V1__ListQuotaEventsResponse> events(
        call(std::string(kQuota) + "ListQuotaEvents", key, &list.base),
        &luna__v1__list_quota_events_response__descriptor);
    ASSERT_EQ(events->n_events, 3u);
    EXPECT_STREQ(events->events[0]->kind, "account_created");
    EXPECT_STREQ(events->events[1]->kind, "key_created");
    EXPECT_THROW(sql("DELETE FROM quota_event"), std::runtime_error);
    EXPECT_THROW(sql("UPDATE quota_event SET kind = 'x'"), std::runtime_error);
}

TEST_F(gate, plans)
{
    open("plans");
    int64_t id = give_plan([&](Luna__V1__Plan *p) { p->quota_limit = 7; });
    EXPECT_EQ(number("SELECT quota_limit FROM account WHERE account_id = 2"), 7);
    char name[] = "plan 1";
    Luna__V1__Plan plan = LUNA__V1__PLAN__INIT;
    plan.plan_name = name;
    plan.quota_limit = 9;
    Luna__V1__UpdatePlanRequest update = LUNA__V1__UPDATE_PLAN_REQUEST__INIT;
    update.plan_id = id;
    update.plan = &plan;
    EXPECT_EQ(call(std::string(kQuota) + "UpdatePlan", key, &update.base).code, 7);
    EXPECT_EQ(call(std::string(kQuota) + "UpdatePlan", admin, &update.base).code, 0);
    EXPECT_EQ(number("SELECT quota_limit FROM account WHERE account_id = 2"), 9);
    set_limit(50); /* its own now */
    plan.quota_limit = 10;
    EXPECT_EQ(call(std::string(kQuota) + "UpdatePlan", admin, &update.base).code, 0);
    EXPECT_EQ(number("SELECT quota_limit FROM account WHERE account_id = 2"), 50);
    Luna__V1__CreatePlanRequest make = LUNA__V1__CREATE_PLAN_REQUEST__INIT;
    make.plan = &plan;
    EXPECT_EQ(why(call(std::string(kQuota) + "CreatePlan", admin, &make.base)), "PLAN_EXISTS");
    Luna__V1__DeletePlanRequest del = LUNA__V1__DELETE_PLAN_REQUEST__INIT;
    del.plan_id = id;
    EXPECT_EQ(why(call(std::string(kQuota) + "DeletePlan", admin, &del.base)), "IN_USE");
    Luna__V1__SetAccountPlanRequest set = LUNA__V1__SET_ACCOUNT_PLAN_REQUEST__INIT;
    set.account_id = 2;
    EXPECT_EQ(call(std::string(kQuota) + "SetAccountPlan", admin, &set.base).code, 0);
    EXPECT_EQ(call(std::string(kQuota) + "DeletePlan", admin, &del.base).code, 0);
    EXPECT_EQ(why(call(std::string(kQuota) + "DeletePlan", admin, &del.base)), "PLAN_NOT_FOUND");
}
