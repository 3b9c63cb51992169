/* What a server remembers of a durable filter, while another one changes it. */
#include <atomic>
#include <thread>

#include "kalman_support.h"
#include "support/stores.h"

namespace
{

Outcome
by_name(Kalman &k, const char *method, const std::string &id)
{
    Luna__V1__GetFilterRequest r = LUNA__V1__GET_FILTER_REQUEST__INIT;
    r.filter_id = const_cast<char *>(id.c_str()); /* Reset and Delete have the same fields */
    return k.call(method, &r.base);
}

owned<Luna__V1__AppendResponse>
appended(const Outcome &o)
{
    EXPECT_EQ(o.code, 0) << o.message;
    return unpack<Luna__V1__AppendResponse>(o.body, luna__v1__append_response__descriptor);
}

/* Statements that stored appends. */
double
commits(const luna_server &server)
{
    const std::string text = server.get("/metrics");
    size_t at = text.find("calls_total{statement=\"kalman_append\"} ");
    return at == std::string::npos ? -1 : std::stod(text.substr(text.find(' ', at)));
}

class Servers : public ::testing::Test
{
  protected:
    Servers() : one(pg(), redis, database), two(one, {}), key(one.create_account("owner"))
    {
        one.start();
        two.start();
    }
    static std::string name()
    {
        static int n;
        return "servers_" + std::to_string(++n);
    }
    const std::string database = name();
    redis_server redis;
    luna_server one, two;
    std::string key;
};

} // namespace

TEST_F(Servers, TakeTurnsAtAFilterInAnyOrder)
{
    Kalman a(one.target(), key), b(two.target(), key);
    std::mt19937_64 rnd(11);
    for (auto kind : {TestModel::LEVEL, TestModel::SEASONAL, TestModel::MOTION, TestModel::PAIR}) {
        SCOPED_TRACE(kind);
        TestModel m(kind);
        std::string id = "turns-" + std::to_string(kind);
        ASSERT_EQ(a.create(id, m).code, 0);
        auto history = random_history(rnd, 60, m.series());
        if (kind != TestModel::SEASONAL) /* one of them comes as it may */
            std::sort(history.begin(), history.end());
        std::vector<Observation> so_far;
        for (const Observation &o : history) {
            auto answer = appended((rnd() % 2 ? a : b).append(id, {o}));
            so_far.push_back(o);
            ASSERT_TRUE(answer);
            ASSERT_EQ(answer->position, static_cast<int64_t>(so_far.size()));
            ASSERT_EQ(bytes_of(answer->estimate), a.batch(m, so_far));
        }
    }
}

TEST_F(Servers, HearOfAResetAndADeletionByTheNextAppend)
{
    Kalman a(one.target(), key), b(two.target(), key);
    TestModel level(TestModel::LEVEL), pair(TestModel::PAIR);
    const Observation first = {1, 1, {1120}}, next = {2, 2, {1160}}, both = {1, 1, {3, 4}};
    ASSERT_EQ(a.create("f", level).code, 0);
    ASSERT_EQ(a.append("f", {first, next}).code, 0);

    ASSERT_EQ(by_name(b, "ResetFilter", "f").code, 0);
    auto answer = appended(a.append("f", {next}));
    EXPECT_EQ(answer->position, 1);
    EXPECT_EQ(bytes_of(answer->estimate), a.batch(level, {next}));

    ASSERT_EQ(by_name(b, "DeleteFilter", "f").code, 0);
    EXPECT_EQ(a.append("f", {first}).code, 5);
    EXPECT_EQ(pg().value(database, "SELECT count(*) FROM kalman_observation"), "0");

    ASSERT_EQ(b.create("f", pair).code, 0);
    EXPECT_EQ(why(a.append("f", {first})), "BAD_FIELD observations[0].values");
    answer = appended(a.append("f", {both}));
    EXPECT_EQ(bytes_of(answer->estimate), a.batch(pair, {both}));
}

TEST_F(Servers, ManyFiltersOfTwoAccountsShareCommits)
{
    const std::string other = one.create_account("other");
    TestModel m(TestModel::LEVEL);
    const size_t filters = 24, each = 40;
    std::vector<std::vector<Observation>> histories;
    std::mt19937_64 rnd(12);
    for (size_t i = 0; i < filters; i++) {
        Kalman k(one.target(), i % 2 ? key : other);
        ASSERT_EQ(k.create("f" + std::to_string(i), m).code, 0);
        histories.push_back(random_history(rnd, each, 1));
    }
    std::vector<std::thread> clients;
    for (size_t i = 0; i < filters; i++)
        clients.emplace_back([&, i] {
            Kalman k(i % 3 ? one.target() : two.target(), i % 2 ? key : other);
            for (const Observation &o : histories[i])
                ASSERT_EQ(k.append("f" + std::to_string(i), {o}).code, 0);
        });
    for (std::thread &t : clients)
        t.join();
    for (size_t i = 0; i < filters; i++) {
        Kalman k(one.target(), i % 2 ? key : other);
        auto f = k.get("f" + std::to_string(i));
        EXPECT_EQ(bytes_of(f->filter->estimate), k.batch(m, histories[i]));
    }
    EXPECT_GT(commits(one), 0);
    EXPECT_LT(commits(one) + commits(two), static_cast<double>(filters * each));
    pg().exec(database, "DELETE FROM account WHERE account_name = 'other'");
    EXPECT_EQ(pg().value(database, "SELECT count(*) FROM kalman_observation"),
              std::to_string(filters / 2 * each));
}

/* Callers that leave at once: each observation is stored once or not at all, and never half. */
TEST_F(Servers, CallersThatLeaveBreakNothing)
{
    TestModel m(TestModel::LEVEL);
    Kalman k(one.target(), key);
    ASSERT_EQ(k.create("f", m).code, 0);
    std::mt19937_64 rnd(13);
    auto history = random_history(rnd, 150, 1);
    std::vector<std::thread> clients;
    for (size_t c = 0; c < 6; c++)
        clients.emplace_back([&, c] {
            Kalman mine(c % 2 ? one.target() : two.target(), key);
            for (size_t i = c; i < history.size(); i += 6) {
                int code = mine.append("f", {history[i]}, 1 + static_cast<int>(i % 12)).code;
                ASSERT_TRUE(code == 0 || code == 4 || code == 1) << code;
            }
        });
    for (std::thread &t : clients)
        t.join();
    auto half = k.get("f");
    EXPECT_LE(half->filter->observation_count, 150);
    for (const Observation &o : history)
        ASSERT_EQ(k.append("f", {o}).code, 0);
    auto f = k.get("f");
    EXPECT_EQ(f->filter->observation_count, 150);
    EXPECT_EQ(bytes_of(f->filter->estimate), k.batch(m, history));
}

/* Down to where positions were counted in the log, and up again. */
TEST_F(Servers, FiltersOfAnOlderSchemaGoOn)
{
    TestModel m(TestModel::LEVEL);
    std::mt19937_64 rnd(14);
    auto history = random_history(rnd, 40, 1);
    {
        Kalman k(one.target(), key);
        ASSERT_EQ(k.create("f", m).code, 0);
        ASSERT_EQ(k.create("empty", m).code, 0);
        ASSERT_EQ(k.append("f", {history.begin(), history.begin() + 20}).code, 0);
    }
    one.stop();
    two.stop();
    const char *counted = "SELECT count(*) FROM information_schema.columns "
                          "WHERE table_name = 'kalman_filter' AND column_name = 'max_sequence'";
    while (pg().value(database, counted) == "1")
        one.run({"migrate", "down"});
    one.run({"migrate", "up"});
    one.start();
    Kalman k(one.target(), key);
    EXPECT_EQ(appended(k.append("empty", {history[0]}))->position, 1);
    for (size_t i = 20; i < history.size(); i++)
        ASSERT_EQ(k.append("f", {history[i]}).code, 0);
    ASSERT_EQ(appended(k.append("f", {history[0]}))->duplicates, 1);
    EXPECT_EQ(bytes_of(k.get("f")->filter->estimate), k.batch(m, history));
}
