/* The limiter's script on a real Redis: the vectors, and an oracle that counts every unit. */
#include <algorithm>
#include <map>
#include <random>

#include "support/redis_server.h"
#include "unit/run/run_test.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "edge/gate.h"
}
#pragma GCC diagnostic pop

namespace
{
/* 2026-01-01: the doubles of Lua must hold today's microseconds. */
const usec_t epoch = INT64_C(1767225600) * 1000000;

redis_server &
server()
{
    static redis_server s;
    return s;
}

void
with_gate(std::function<void(struct reactor *, struct ctx *)> fn)
{
    run([&](struct reactor *r) {
        struct redis_options opt = {};
        std::string url = server().url();
        opt.url = url.c_str();
        opt.timeout = SEC(5);
        opt.scripts = gate_scripts;
        opt.script_count = gate_script_count;
        char err[200] = "";
        struct redis *redis = redis_new(r, &opt, err, sizeof(err));
        test_ctx ctx;
        while (!redis_is_ready(redis))
            ASSERT_EQ(fiber_sleep(&ctx, MSEC(5)), OK);
        const struct str flush[] = {{"FLUSHALL", 8}};
        ASSERT_EQ(redis_command(&ctx, flush, 1, nullptr), OK);
        fn(r, &ctx);
        redis_free(redis);
    });
}

/* One question about `calls` such calls: what each of them is told. */
std::vector<struct gate_decision>
ask(const struct gate_request &req, size_t calls)
{
    test_ctx ctx;
    struct gate_question q;
    struct gate_answer answer;
    struct redis_reply *reply = nullptr;
    std::vector<struct gate_decision> told(calls);
    gate_question_write(&q, &req, calls);
    EXPECT_EQ(redis_eval(&ctx, gate_scripts[0], q.keys, q.key_count, q.args, q.arg_count, &reply),
              OK)
        << ctx.error.detail;
    EXPECT_TRUE(reply && gate_answer_read(reply, &req, calls, &answer));
    for (size_t i = 0; i < calls; i++)
        gate_decision_of(&answer, &req, i, &told[i]);
    return told;
}

struct gate_decision
decide(const std::vector<struct gate_limit> &limits, usec_t now, int64_t cost, bool charge = false,
       int64_t account = 1)
{
    struct gate_request req = {};
    req.account_id = account;
    req.cost = cost;
    req.charge_quota = charge;
    req.limits = limits.data();
    req.limit_count = limits.size();
    req.now = now;
    req.run = "run";
    req.method = "m";
    return ask(req, 1)[0];
}

/* An epoch of `remaining` units, all of them granted. */
enum gate_load
load(struct ctx *ctx, int64_t account, int64_t remaining, int64_t number = 1,
     const char *run = "run", int64_t replaces = 0)
{
    struct gate_decision d = decide({}, 0, 0, true, account);
    struct gate_epoch e = {};
    e.account_id = account;
    e.epoch = number;
    e.version = 1;
    e.quota_limit = remaining + 7;
    e.base = 7;
    e.granted = remaining;
    e.grant_no = 1;
    e.period_end = GATE_NO_END;
    enum gate_load loaded = GATE_LOAD_LATE;
    int64_t other = 0;
    usec_t asked = d.verdict == GATE_NOT_LOADED ? d.now : clock_wall_us();
    EXPECT_EQ(gate_load(ctx, run, &e, asked, replaces, &loaded, &other), OK);
    if (loaded == GATE_LOAD_OTHER) {
        EXPECT_NE(other, number);
    }
    return loaded;
}

struct gate_limit
limit(int64_t capacity, int64_t unit_us, const char *name = "l", bool report_only = false)
{
    struct gate_limit l = {};
    l.name = name;
    l.capacity = capacity;
    l.unit_us = unit_us;
    l.report_only = report_only;
    return l;
}

std::string
redis_get(const char *key)
{
    test_ctx ctx;
    struct redis_reply *r = nullptr;
    const struct str get[] = {{"GET", 3}, str_of(key)};
    EXPECT_EQ(redis_command(&ctx, get, 2, &r), OK);
    return r->type == REDIS_NIL ? "(nil)" : std::string(r->str.p, r->str.n);
}

/* A bucket that is filled drop by drop: no formula, only a list of the instants at which units come
 * back. What GCRA must agree with. */
class bucket
{
  public:
    bucket(int64_t capacity, int64_t unit) : unit_(unit), units_(static_cast<size_t>(capacity), 0)
    {
    }

    int64_t free_at(usec_t now) const
    {
        return std::count_if(units_.begin(), units_.end(), [&](usec_t t) { return t <= now; });
    }

    /* Each unit taken comes back one `unit_` after the latest one that is still out. */
    bool take(usec_t now, int64_t n)
    {
        if (n > free_at(now))
            return false;
        for (int64_t i = 0; i < n; i++) {
            usec_t latest = std::max(now, *std::max_element(units_.begin(), units_.end()));
            *std::min_element(units_.begin(), units_.end()) = latest + unit_;
        }
        return true;
    }

    /* From when on `n` can be had, found by looking at every instant something changes. */
    usec_t wait(usec_t now, int64_t n) const
    {
        if (n > static_cast<int64_t>(units_.size()))
            return -1;
        std::vector<usec_t> sorted = units_;
        std::sort(sorted.begin(), sorted.end());
        return std::max<usec_t>(0, sorted[static_cast<size_t>(n - 1)] - now);
    }

  private:
    int64_t unit_;
    std::vector<usec_t> units_; /* when each may be taken again */
};
} // namespace

TEST(gate, vectors)
{
    with_gate([](struct reactor *, struct ctx *) {
        const std::vector<struct gate_limit> l = {limit(5, 1000000)};
        struct gate_decision d = decide(l, epoch, 6);
        EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(d.limits[0].remaining, 5);
        EXPECT_EQ(d.limits[0].retry_after, NSEC_NEVER); /* more than it ever holds */
        for (int64_t left = 4; left >= 0; left--) {
            d = decide(l, epoch, 1);
            EXPECT_EQ(d.verdict, GATE_ADMITTED);
            EXPECT_EQ(d.limits[0].remaining, left);
        }
        d = decide(l, epoch, 1);
        EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(d.refused_by, 0u);
        EXPECT_EQ(d.limits[0].retry_after, MSEC(1000));
        EXPECT_EQ(d.limits[0].reset_after, SEC(5));
        d = decide(l, epoch + 3000000, 1);
        EXPECT_EQ(d.verdict, GATE_ADMITTED);
        EXPECT_EQ(d.limits[0].remaining, 2);
        d = decide(l, epoch + 9500000, 6);
        EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(d.limits[0].remaining, 5);
        EXPECT_EQ(d.limits[0].reset_after, 0);
    });
}

TEST(gate, agrees_with_the_bucket)
{
    with_gate([](struct reactor *, struct ctx *) {
        std::mt19937_64 random(11);
        for (int round = 0; round < 60; round++) {
            int64_t capacity = 1 + static_cast<int64_t>(random() % 12);
            const int64_t units[] = {1, 3, 10, 999, 1000000, 2629746LL * 1000};
            int64_t unit = units[random() % 6];
            bucket oracle(capacity, unit);
            const std::vector<struct gate_limit> l = {limit(capacity, unit)};
            usec_t now = epoch;
            for (int i = 0; i < 60; i++) {
                now += static_cast<usec_t>(random() % static_cast<uint64_t>(2 * unit + 1));
                int64_t cost = static_cast<int64_t>(random() % static_cast<uint64_t>(capacity + 2));
                usec_t wait = cost == 0 ? 0 : oracle.wait(now, cost);
                bool admitted = oracle.take(now, cost);
                struct gate_decision d = decide(l, now, cost, false, 100 + round);
                ASSERT_EQ(d.verdict == GATE_ADMITTED, admitted)
                    << "round " << round << " step " << i << " capacity " << capacity << " unit "
                    << unit;
                ASSERT_EQ(d.limits[0].remaining, oracle.free_at(now));
                if (!admitted) {
                    ASSERT_EQ(d.limits[0].retry_after, wait < 0 ? NSEC_NEVER : USEC(wait));
                }
            }
        }
    });
}

TEST(gate, no_double_burst_at_a_windows_edge)
{
    with_gate([](struct reactor *, struct ctx *) {
        /* 100 a second; what a fixed window would let through around its edge is 200. */
        const std::vector<struct gate_limit> l = {limit(100, 10000)};
        int admitted = 0;
        for (int i = 0; i < 100; i++)
            admitted += decide(l, epoch + 999000, 1).verdict == GATE_ADMITTED;
        for (int i = 0; i < 100; i++)
            admitted += decide(l, epoch + 1001000, 1).verdict == GATE_ADMITTED;
        EXPECT_EQ(admitted, 100);
    });
}

TEST(gate, a_hundred_thousand_a_second_and_one_a_month)
{
    with_gate([](struct reactor *, struct ctx *) {
        const std::vector<struct gate_limit> fast = {limit(1, 10)};
        for (int i = 0; i < 1000; i++) {
            ASSERT_EQ(decide(fast, epoch + i * 10, 1).verdict, GATE_ADMITTED);
            ASSERT_EQ(decide(fast, epoch + i * 10 + 9, 1).verdict, GATE_RATE_LIMITED);
        }
        const int64_t month = INT64_C(2629746) * 1000000;
        for (int64_t period : {month, 12 * month, GATE_MAX_UNIT_US}) {
            const std::string name = "slow:" + std::to_string(period);
            const std::vector<struct gate_limit> slow = {limit(1, period, name.c_str())};
            EXPECT_EQ(decide(slow, epoch, 1).verdict, GATE_ADMITTED);
            struct gate_decision d = decide(slow, epoch, 1);
            EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
            EXPECT_EQ(d.limits[0].retry_after, USEC(period));
            EXPECT_EQ(decide(slow, epoch + period - 1, 1).verdict, GATE_RATE_LIMITED);
            EXPECT_EQ(decide(slow, epoch + period, 1).verdict, GATE_ADMITTED);
        }
        /* As slow, and many of them. */
        const std::vector<struct gate_limit> many = {limit(1000, month, "month")};
        EXPECT_EQ(decide(many, epoch, 1000).verdict, GATE_ADMITTED);
        EXPECT_EQ(decide(many, epoch + month - 1, 1).verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(decide(many, epoch + month, 2).verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(decide(many, epoch + month, 1).verdict, GATE_ADMITTED);
    });
}

TEST(gate, all_or_nothing)
{
    with_gate([](struct reactor *, struct ctx *ctx) {
        const std::vector<struct gate_limit> l = {limit(10, 1000000, "wide"),
                                                  limit(2, 1000000, "narrow")};
        EXPECT_EQ(decide(l, epoch, 1, true).verdict, GATE_NOT_LOADED);
        ASSERT_EQ(load(ctx, 1, 5), GATE_LOADED);
        ASSERT_EQ(load(ctx, 1, 500, 2), GATE_LOAD_OTHER); /* the first one counts */
        struct gate_decision d = decide(l, epoch, 2, true);
        EXPECT_EQ(d.verdict, GATE_ADMITTED);
        EXPECT_EQ(d.quota_remaining, 3);
        EXPECT_EQ(d.limits[0].remaining, 8);
        EXPECT_EQ(d.limits[1].remaining, 0);
        d = decide(l, epoch, 1, true); /* narrow refuses: wide and the quota are not touched */
        EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(d.refused_by, 1u);
        EXPECT_TRUE(d.limits[0].admits);
        EXPECT_EQ(d.limits[0].remaining, 8);
        EXPECT_EQ(d.quota_remaining, 3);
        EXPECT_EQ(redis_get("user:{1}:quota"), "3");
        const std::vector<struct gate_limit> wide = {l[0]};
        d = decide(wide, epoch, 4, true);
        EXPECT_EQ(d.verdict, GATE_QUOTA_SPENT);
        EXPECT_EQ(d.quota_remaining, 3);
        EXPECT_EQ(d.limits[0].remaining, 8);
        d = decide(wide, epoch, 3, true);
        EXPECT_EQ(d.verdict, GATE_ADMITTED);
        EXPECT_EQ(d.quota_remaining, 0);
        struct gate_flush f;
        ASSERT_EQ(gate_flush_begin(ctx, "run", 1, &f), OK);
        ASSERT_EQ(f.count, 1u);
        EXPECT_EQ(f.units[0], 5);
        EXPECT_EQ(decide(wide, epoch, 0, true).verdict, GATE_ADMITTED); /* only looks */
    });
}

TEST(gate, dry_run_reports_and_admits)
{
    with_gate([](struct reactor *, struct ctx *) {
        const std::vector<struct gate_limit> l = {limit(1, 1000000, "new", true),
                                                  limit(3, 1000000, "old")};
        EXPECT_TRUE(decide(l, epoch, 1).limits[0].admits);
        struct gate_decision d = decide(l, epoch, 1);
        EXPECT_EQ(d.verdict, GATE_ADMITTED);
        EXPECT_FALSE(d.limits[0].admits);
        EXPECT_EQ(d.limits[0].retry_after, SEC(1)); /* what it would have said */
        EXPECT_EQ(decide(l, epoch, 1).verdict, GATE_ADMITTED);
        EXPECT_EQ(decide(l, epoch, 1).verdict, GATE_RATE_LIMITED);
    });
}

TEST(gate, quota_is_exact_under_a_race)
{
    with_gate([](struct reactor *r, struct ctx *ctx) {
        for (int round = 0; round < 20; round++) {
            ASSERT_EQ(load(ctx, 1000 + round, 100), GATE_LOADED);
            int admitted = 0;
            int ended = 0;
            for (int f = 0; f < 40; f++)
                ASSERT_TRUE(spawn(r, [&, round] {
                    for (int i = 0; i < 5; i++)
                        admitted += decide({}, 0, 1, true, 1000 + round).verdict == GATE_ADMITTED;
                    ended++;
                }));
            while (ended < 40)
                ASSERT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
            ASSERT_EQ(admitted, 100);
        }
    });
}

bool
same(const struct gate_decision &a, const struct gate_decision &b, size_t limits)
{
    bool all = a.verdict == b.verdict && a.quota_remaining == b.quota_remaining &&
               a.quota_limit == b.quota_limit &&
               (a.verdict != GATE_RATE_LIMITED || a.refused_by == b.refused_by);
    for (size_t i = 0; i < limits; i++)
        all = all && a.limits[i].admits == b.limits[i].admits &&
              a.limits[i].remaining == b.limits[i].remaining &&
              a.limits[i].retry_after == b.limits[i].retry_after &&
              a.limits[i].reset_after == b.limits[i].reset_after;
    return all;
}

/* Calls that are decided together are told, and take, what they would have one after the other. */
TEST(gate, many_at_once_as_one_by_one)
{
    with_gate([](struct reactor *, struct ctx *ctx) {
        std::mt19937_64 random(29);
        auto up_to = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
        int refused[8] = {};
        for (int round = 0; round < 150; round++) {
            const int64_t together = 5000 + 2 * round;
            const int64_t apart = together + 1;
            std::vector<struct gate_limit> l;
            const char *names[] = {"account", "key:7", "own:x"};
            for (int64_t i = 0, n = up_to(4); i < n; i++)
                l.push_back(limit(1 + up_to(30), 1 + up_to(3000), names[i], up_to(3) == 0));
            int64_t quota = up_to(120);
            ASSERT_EQ(load(ctx, together, quota), GATE_LOADED);
            ASSERT_EQ(load(ctx, apart, quota), GATE_LOADED);
            if (up_to(3) == 0) { /* less is granted than remains */
                for (int64_t account : {together, apart}) {
                    test_ctx own;
                    std::string key = "user:{" + std::to_string(account) + "}:epoch";
                    std::string granted = std::to_string(quota / 2);
                    const struct str set[] = {str_of("HSET"), str_of(key.c_str()),
                                              str_of("granted"), str_of(granted.c_str())};
                    ASSERT_EQ(redis_command(&own, set, 4, nullptr), OK);
                }
            }
            usec_t now = epoch;
            for (int step = 0; step < 6; step++) {
                now += up_to(20000);
                struct gate_request req = {};
                req.cost = up_to(5);
                req.charge_quota = up_to(4) != 0;
                req.limits = l.data();
                req.limit_count = l.size();
                req.now = now;
                req.run = "run";
                req.method = "m";
                const size_t calls = 1 + static_cast<size_t>(up_to(40));
                req.account_id = together;
                auto told = ask(req, calls);
                req.account_id = apart;
                for (size_t i = 0; i < calls; i++) {
                    struct gate_decision d = ask(req, 1)[0];
                    refused[d.verdict]++;
                    ASSERT_TRUE(same(told[i], d, l.size()))
                        << "round " << round << " step " << step << " call " << i << " of " << calls
                        << " cost " << req.cost << ": " << told[i].verdict << " and " << d.verdict
                        << ", left " << told[i].quota_remaining << " and " << d.quota_remaining;
                }
            }
            for (const char *what : {"quota", "rate:account", "rate:key:7", "rate:own:x"}) {
                auto value = [&](int64_t account) {
                    return redis_get(("user:{" + std::to_string(account) + "}:" + what).c_str());
                };
                ASSERT_EQ(value(together), value(apart)) << what;
            }
            struct gate_flush a;
            struct gate_flush b;
            ASSERT_EQ(gate_flush_begin(ctx, "run", together, &a), OK);
            ASSERT_EQ(gate_flush_begin(ctx, "run", apart, &b), OK);
            ASSERT_EQ(a.count, b.count);
            if (a.count > 0) {
                ASSERT_EQ(a.units[0], b.units[0]);
            }
        }
        /* The rounds were not all of one sort. */
        for (enum gate_verdict v :
             {GATE_ADMITTED, GATE_QUOTA_SPENT, GATE_RATE_LIMITED, GATE_NEEDS_GRANT})
            EXPECT_GT(refused[v], 50) << v;
    });
}

TEST(gate, redis_time_and_expiry)
{
    with_gate([](struct reactor *, struct ctx *ctx) {
        const std::vector<struct gate_limit> l = {limit(2, 50000)};
        EXPECT_EQ(decide(l, 0, 2).verdict, GATE_ADMITTED);
        EXPECT_EQ(decide(l, 0, 1).verdict, GATE_RATE_LIMITED);
        EXPECT_NE(redis_get("user:{1}:rate:l"), "(nil)");
        ASSERT_EQ(fiber_sleep(ctx, MSEC(55)), OK);
        EXPECT_EQ(decide(l, 0, 1).verdict, GATE_ADMITTED);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(110)), OK);
        EXPECT_EQ(redis_get("user:{1}:rate:l"), "(nil)"); /* a full bucket needs no key */
    });
}

TEST(gate, a_clock_that_went_back_is_forgiven)
{
    with_gate([](struct reactor *, struct ctx *) {
        const std::vector<struct gate_limit> l = {limit(5, 1000000)};
        EXPECT_EQ(decide(l, epoch + INT64_C(3600) * 1000000, 5).verdict, GATE_ADMITTED);
        struct gate_decision d = decide(l, epoch, 1);
        EXPECT_EQ(d.verdict, GATE_RATE_LIMITED);
        EXPECT_EQ(d.limits[0].retry_after, SEC(1)); /* a window, not an hour */
    });
}

TEST(gate, limits_out_of_range_are_refused)
{
    with_gate([](struct reactor *, struct ctx *) {
        for (struct gate_limit l :
             {limit(0, 1), limit(1, 0), limit(GATE_MAX_CAPACITY + 1, 1),
              limit(1, GATE_MAX_UNIT_US + 1), limit(GATE_MAX_CAPACITY, GATE_MAX_UNIT_US)}) {
            struct gate_request req = {};
            req.account_id = 1;
            req.cost = 1;
            req.limits = &l;
            req.limit_count = 1;
            EXPECT_FALSE(gate_request_sane(&req));
        }
    });
}
