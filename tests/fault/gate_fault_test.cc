/*
 * The limiter's ends of the road: reservations that are ended by several at once, Redis away, a
 * server that dies at each step of a flush, keys that are wrong.
 *
 * LUNA_TEST_WRONG_KEYS: how many of them are tried (default 2000), a million on request.
 */
#include <atomic>
#include <thread>

#include "gate_support.h"
#include "support/stores.h"

namespace
{
Luna__V1__ReservationState constexpr kHeld = LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_HELD;
Luna__V1__ReservationState constexpr kCommitted =
    LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_COMMITTED;

/* An account of 1000 units on a server of its own. */
class fault : public testing::Test
{
  protected:
    void open(const std::string &name, luna_server::settings extra = {})
    {
        database = name;
        extra.insert({"LUNA_QUOTA_FLUSH_INTERVAL", "50ms"});
        server = std::make_unique<luna_server>(pg(), redis, name, extra);
        key = server->create_account("demo", false, limit);
    }

    void start()
    {
        server->start();
        line = std::make_unique<Channel>(server->target());
    }

    int64_t number(const std::string &text)
    {
        return std::stoll("0" + pg().value(database, text));
    }

    int64_t used()
    {
        return number("SELECT quota_used FROM account");
    }

    int64_t in_redis()
    {
        return std::stoll(
            "0" + pg_server::output("redis-cli -s " + redis.socket() + " GET 'user:{1}:quota'"));
    }

    /* All that was granted has come back or arrived. */
    bool quiet()
    {
        return number("SELECT count(*) FROM quota_epoch WHERE granted <> settled OR lost") == 0;
    }

    /* Both sides say that so much is used. */
    bool settles_at(int64_t units)
    {
        return eventually([&] { return quiet() && used() == units; }) &&
               eventually([&] { return in_redis() == limit - units; });
    }

    Outcome check(int64_t cost = 1)
    {
        return unary(*line, kCheck, check_request(cost), bearer(key));
    }

    Outcome reserve(const std::string &id, int64_t cost, int64_t ttl_ms = 0)
    {
        std::string text = id;
        Luna__V1__ReserveRequest r = LUNA__V1__RESERVE_REQUEST__INIT;
        r.request_id = text.data();
        r.cost = cost;
        r.ttl_ms = ttl_ms;
        return unary(*line, std::string(kLimiter) + "Reserve", bytes_of(&r.base), bearer(key));
    }

    Outcome commit(const Channel &ch, const std::string &id, int64_t actual)
    {
        std::string text = id;
        Luna__V1__CommitRequest r = LUNA__V1__COMMIT_REQUEST__INIT;
        r.request_id = text.data();
        r.actual = actual;
        return unary(ch, std::string(kLimiter) + "Commit", bytes_of(&r.base), bearer(key));
    }

    Outcome release(const Channel &ch, const std::string &id)
    {
        std::string text = id;
        Luna__V1__ReleaseRequest r = LUNA__V1__RELEASE_REQUEST__INIT;
        r.request_id = text.data();
        return unary(ch, std::string(kLimiter) + "Release", bytes_of(&r.base), bearer(key));
    }

    Luna__V1__ReservationState state_of(const Outcome &o)
    {
        Answer<Luna__V1__ReserveResponse> a(o, &luna__v1__reserve_response__descriptor);
        return a->reservation->state;
    }

    const int64_t limit = 1000;
    redis_server redis;
    std::string database;
    std::string key;
    std::unique_ptr<luna_server> server;
    std::unique_ptr<Channel> line;
};

class reservations : public fault
{
};
} // namespace

/* ---- reservations ---------------------------------------------------------------------------- */

TEST_F(reservations, are_committed_once)
{
    open("committed");
    start();
    EXPECT_EQ(state_of(reserve("a", 30)), kHeld);
    EXPECT_EQ(state_of(reserve("a", 30)), kHeld); /* the same one */
    EXPECT_EQ(why(reserve("a", 31)), "BAD_FIELD");
    EXPECT_TRUE(eventually([&] { return used() == 30; }));
    EXPECT_EQ(why(commit(*line, "a", 31)), "BAD_FIELD"); /* and it is held on */
    EXPECT_EQ(commit(*line, "a", 10).code, 0);
    EXPECT_EQ(commit(*line, "a", 10).code, 0);
    EXPECT_EQ(why(commit(*line, "a", 11)), "RESERVATION_ENDED");
    EXPECT_EQ(why(release(*line, "a")), "RESERVATION_ENDED");
    EXPECT_EQ(state_of(reserve("a", 30)), kCommitted);
    EXPECT_TRUE(settles_at(10)) << used() << " " << in_redis();
    EXPECT_EQ(why(commit(*line, "b", 1)), "RESERVATION_NOT_FOUND");
}

TEST_F(reservations, are_released_once)
{
    open("released");
    start();
    EXPECT_EQ(state_of(reserve("a", 400)), kHeld);
    EXPECT_EQ(why(reserve("b", 601)), "QUOTA_SPENT"); /* what is reserved is not there */
    EXPECT_EQ(release(*line, "a").code, 0);
    EXPECT_EQ(release(*line, "a").code, 0);
    EXPECT_EQ(why(commit(*line, "a", 1)), "RESERVATION_ENDED");
    EXPECT_TRUE(settles_at(0)) << used() << " " << in_redis();
    EXPECT_TRUE(eventually([&] { return state_of(reserve("b", 601)) == kHeld; }));
}

TEST_F(reservations, end_by_themselves)
{
    open("expired");
    start();
    EXPECT_EQ(state_of(reserve("a", 25, 200)), kHeld);
    EXPECT_TRUE(eventually([&] {
        return number("SELECT count(*) FROM quota_reservation WHERE state = 'expired'") == 1;
    })) << server->log();
    EXPECT_EQ(why(commit(*line, "a", 5)), "RESERVATION_ENDED");
    EXPECT_EQ(release(*line, "a").code, 0); /* there is nothing to do */
    EXPECT_TRUE(settles_at(0)) << used() << " " << in_redis();
    EXPECT_EQ(number("SELECT count(*) FROM quota_event WHERE kind = 'reservation_expired'"), 1);
}

/* Commits, releases and the end of its time meet: one of them counts. */
TEST_F(reservations, are_ended_by_one)
{
    open("contended");
    start();
    const int rounds = 25;
    std::vector<std::unique_ptr<Channel>> lines;
    for (int i = 0; i < 6; i++)
        lines.push_back(std::make_unique<Channel>(server->target()));
    std::atomic<int> committed{0};
    for (int round = 0; round < rounds; round++) {
        std::string id = "r" + std::to_string(round);
        ASSERT_EQ(reserve(id, 9, 30).code, 0);
        std::atomic<int> ok{0};
        std::vector<std::thread> threads;
        for (size_t i = 0; i < lines.size(); i++) {
            threads.emplace_back([&, i] {
                std::this_thread::sleep_for(std::chrono::milliseconds(round + 4 * (i / 2)));
                if (i % 2)
                    (void)release(*lines[i], id);
                else if (commit(*lines[i], id, 4).code == 0)
                    ok++;
            });
        }
        for (std::thread &t : threads)
            t.join();
        committed += ok > 0;
    }
    EXPECT_TRUE(eventually([&] {
        return number("SELECT count(*) FROM quota_reservation WHERE state = 'held'") == 0;
    }));
    EXPECT_EQ(number("SELECT count(*) FROM quota_reservation WHERE state = 'committed'"),
              committed);
    EXPECT_EQ(number("SELECT count(*) FROM quota_reservation WHERE state = 'expired'"),
              number("SELECT count(*) FROM quota_event WHERE kind = 'reservation_expired'"));
    EXPECT_TRUE(settles_at(4 * committed)) << used() << " " << in_redis() << " " << committed;
}

/* ---- Redis away ------------------------------------------------------------------------------ */

Outcome
fit(const Channel &ch, const std::string &key)
{
    double values[] = {1, 3, 2, 4, 3, 5, 4};
    Luna__V1__ArimaModel arima = LUNA__V1__ARIMA_MODEL__INIT;
    Luna__V1__Model model = LUNA__V1__MODEL__INIT;
    Luna__V1__FitRequest r = LUNA__V1__FIT_REQUEST__INIT;
    model.kind_case = LUNA__V1__MODEL__KIND_ARIMA;
    model.arima = &arima;
    r.model = &model;
    r.n_results = std::size(values);
    r.results = values;
    return unary(ch, "/luna.v1.KalmanService/Fit", bytes_of(&r.base), bearer(key));
}

/* Each method as its when_limiter_away says: Filter is let through, Fit is not, Check and Reserve
 * are the limiter. */
TEST_F(fault, redis_is_away)
{
    open("away");
    start();
    int64_t counted = 0;
    auto told = [&](const Outcome &o) { return o.headers.count("ratelimit") == 1; };
    for (int i = 0; i < 5; i++) {
        Outcome o = filter(*line, key);
        ASSERT_EQ(o.code, 0) << o.message;
        ASSERT_TRUE(told(o));
        counted++;
    }
    Outcome fitted = fit(*line, key);
    EXPECT_EQ(fitted.code, 0) << fitted.message;
    counted += std::stoll("0" + fitted.headers["luna-cost"]);
    EXPECT_EQ(server->metric("luna_quota_away_total{calls=\"admitted\"}"), 0);
    redis.stop(SIGKILL);
    for (int i = 0; i < 20; i++) {
        Outcome o = filter(*line, key);
        EXPECT_EQ(o.code, 0) << o.message;
        EXPECT_FALSE(told(o));
        Outcome closed = fit(*line, key);
        EXPECT_EQ(closed.code, 14);
        EXPECT_EQ(why(closed), "CACHE_UNAVAILABLE");
        EXPECT_FALSE(told(closed));
        Outcome refused = check();
        EXPECT_EQ(refused.code, 14);
        EXPECT_EQ(why(refused), "CACHE_UNAVAILABLE");
        EXPECT_EQ(reserve("a", 1).code, 14);
    }
    EXPECT_EQ(server->metric("luna_quota_away_total{calls=\"admitted\"}"), 20);
    EXPECT_EQ(server->metric("luna_quota_away_total{calls=\"refused\"}"), 20);
    EXPECT_TRUE(has(server->log(), "the limiter is away"));
    redis.start();
    EXPECT_TRUE(eventually([&] {
        int a = admitted(check());
        counted += a == 1;
        return a == 1;
    })) << server->log();
    Outcome o = filter(*line, key);
    EXPECT_EQ(o.code, 0);
    EXPECT_TRUE(told(o));
    counted++;
    fitted = fit(*line, key);
    EXPECT_EQ(fitted.code, 0) << fitted.message;
    counted += std::stoll("0" + fitted.headers["luna-cost"]);
    /* What was counted before is not forgotten, what was let through is not counted. */
    EXPECT_TRUE(settles_at(counted)) << used() << " " << in_redis() << " " << counted;
}

/* ---- a server dies in a flush -----------------------------------------------------------------
 */

#ifdef LUNA_FAILPOINTS
/* The step at which it dies; whether another server goes on meanwhile. */
class dies : public fault,
             public testing::WithParamInterface<std::tuple<const char *, const char *, bool>>
{
};

TEST_P(dies, and_each_unit_is_counted_once)
{
    auto [step, pass, accompanied] = GetParam();
    open(std::string(step) + pass + (accompanied ? "_two" : "_one"), {{"LUNA_QUOTA_GRANT", "40"}});
    luna_server doomed(*server, {{"LUNA_FAILPOINTS", std::string(step) + "=" + pass}});
    if (accompanied)
        server->start();
    doomed.start();
    Channel one(doomed.target());
    line = std::make_unique<Channel>(server->target());
    int64_t sure = 0;
    int64_t maybe = 0;
    bool alive = true;
    for (int i = 0; i < 20000 && alive; i++) {
        Outcome o = unary(one, kCheck, check_request(1), bearer(key));
        sure += admitted(o) == 1;
        maybe += o.code != 0;
        alive = waitpid(doomed.pid(), nullptr, WNOHANG | WNOWAIT) == 0;
        if (accompanied)
            sure += admitted(check()) == 1;
        if (o.code == 0 && admitted(o) == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_FALSE(alive) << "it did not come to that step\n" << doomed.log();
    if (!accompanied)
        server->start();
    ASSERT_TRUE(eventually([&] { return admitted(check()) >= 0; })) << server->log();
    ASSERT_TRUE(eventually([&] { return quiet(); }, 60))
        << pg().value(database, "SELECT json_agg(e)::text FROM quota_epoch e");
    const int64_t written_off = number("SELECT coalesce(sum((data ->> 'units')::bigint), 0) "
                                       "FROM quota_event WHERE kind = 'grant_written_off'");
    EXPECT_GE(used(), sure);
    EXPECT_LE(used(), sure + maybe + 1 + written_off);
    EXPECT_LE(used(), limit);
    EXPECT_TRUE(eventually([&] { return used() + in_redis() == limit; }))
        << used() << " " << in_redis();
    /* Redis never lost anything: only an epoch that never came there can be written off. */
    if (std::string(step) != "gate_opened") {
        EXPECT_EQ(written_off, 0);
        EXPECT_EQ(number("SELECT sum(units) FROM quota_usage"), used());
    }
}

INSTANTIATE_TEST_SUITE_P(steps, dies,
                         testing::Combine(testing::Values("gate_opened", "gate_flush_begun",
                                                          "gate_settled", "gate_flush_ended",
                                                          "gate_retiring"),
                                          testing::Values("1", "3"), testing::Bool()));
#endif

/* ---- wrong keys ------------------------------------------------------------------------------ */

/* The first digit that a key is mistyped in, or a key that is well-formed and nobody's. */
std::string
wrong_key(const std::string &key, int i, bool mistyped)
{
    if (!mistyped) {
        char uuid[40];
        snprintf(uuid, sizeof(uuid), "%08x-58cc-4372-a567-0e02b2c3d479", static_cast<unsigned>(i));
        return uuid;
    }
    std::string wrong = key; /* luna_<32 digits>_<checksum> */
    char &digit = wrong[5 + static_cast<size_t>(i) % 32];
    digit = digit == '0' ? '1' : '0';
    return wrong;
}

/* A mistyped key is refused by its checksum, without a question to the database. One that is
 * well-formed and nobody's is looked up, a few times a minute from one address. */
TEST_F(fault, wrong_keys_ask_no_database)
{
    open("keys", {{"LUNA_AUTH_FAILURES", "10"}, {"LOG_LEVEL", "WARNING"}});
    start();
    const char *asked = getenv("LUNA_TEST_WRONG_KEYS");
    const int tries = (asked ? std::stoi(asked) : 2000) / 2;
    const int callers = 4;
    const char lookups[] = "luna_db_statement_calls_total{statement=\"quota_find_key\"}";
    auto looked_up = [&] { return std::max(0.0, server->metric(lookups)); };
    /* How many ended with UNAUTHENTICATED and with RESOURCE_EXHAUSTED; in minutes, how long. */
    int unknown;
    int limited;
    double minutes;
    auto storm = [&](bool mistyped) {
        std::atomic<int> next{0};
        std::atomic<int> codes[17] = {};
        const auto start = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (int t = 0; t < callers; t++) {
            threads.emplace_back([&] {
                Channel ch(server->target());
                const std::string request = check_request(1);
                for (int i; (i = next++) < tries;)
                    codes[unary(ch, kCheck, request, bearer(wrong_key(key, i, mistyped))).code]++;
            });
        }
        for (std::thread &t : threads)
            t.join();
        const auto took = std::chrono::steady_clock::now() - start;
        minutes = std::chrono::duration<double>(took).count() / 60;
        unknown = codes[16];
        limited = codes[8];
        EXPECT_EQ(unknown + limited, tries);
    };
    ASSERT_EQ(filter(*line, key).code, 0);

    const auto began = std::chrono::steady_clock::now();
    double before = looked_up();
    storm(false);
    /* Ten at once and ten a minute, each time as many as are under way together. */
    EXPECT_LE(unknown, 10 + callers + callers * (10 * minutes + 1));
    EXPECT_GT(unknown, 0);
    EXPECT_LE(looked_up() - before, unknown + 1);

    before = looked_up();
    storm(true);
    EXPECT_EQ(unknown, tries);
    EXPECT_EQ(looked_up(), before);
    /* A key in use is not concerned; one that was not used meanwhile waits for its turn. */
    if (std::chrono::steady_clock::now() - began < std::chrono::seconds(2)) {
        Outcome used = filter(*line, key);
        EXPECT_EQ(used.code, 0) << used.message;
    }
    EXPECT_TRUE(eventually([&] { return admitted(check()) == 1; }, 70));
}
