/* Durable filters while servers and Redis die, and with two servers at once. */
#include <atomic>
#include <thread>

#include "kalman_support.h"
#include "support/stores.h"

namespace
{

/* Sends an observation until it is acknowledged, over whatever server `target` names just now. */
void
append_until_done(const std::function<std::string()> &target, const std::string &key,
                  const std::string &id, const Observation &o)
{
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < until) {
        Kalman k(target(), key);
        Outcome out = k.append(id, {o}, 2000);
        if (out.code == 0)
            return;
        /* Gone, going, or without its stores; never a wrong answer. */
        ASSERT_TRUE(out.code == 14 || out.code == 4 || out.code == 1 || out.code == 13)
            << out.code << out.message;
        ASSERT_NE(why(out).substr(0, 9), "BAD_FIELD");
    }
    FAIL() << "never acknowledged";
}

} // namespace

TEST(DurableFilter, SurvivesKillsOfServerAndRedis)
{
    redis_server redis;
    luna_server server(pg(), redis, "crash");
    std::string key = server.create_account("owner");
    server.start();
    TestModel m(TestModel::SEASONAL);
    {
        Kalman k(server.target(), key);
        ASSERT_EQ(k.create("f", m).code, 0);
    }
    std::mt19937_64 rnd(3);
    auto history = random_history(rnd, 240, 1);
    std::atomic<size_t> next{0}, done{0};
    std::vector<std::thread> clients;
    for (int c = 0; c < 4; c++)
        clients.emplace_back([&] {
            size_t i;
            while ((i = next++) < history.size()) {
                append_until_done([&] { return server.target(); }, key, "f", history[i]);
                done++;
            }
        });
    for (size_t at = 40; at < 240; at += 50) {
        auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (done < at && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (at % 100 == 40) {
            redis.stop(SIGKILL);
            redis.start();
        } else {
            server.stop(SIGKILL);
            server.start();
        }
    }
    for (std::thread &t : clients)
        t.join();
    Kalman k(server.target(), key);
    auto f = k.get("f");
    EXPECT_EQ(f->filter->observation_count, 240);
    EXPECT_EQ(bytes_of(f->filter->estimate), k.batch(m, history));
    flush_redis(redis);
    EXPECT_EQ(bytes_of(k.get("f")->filter->estimate), k.batch(m, history));
}

TEST(DurableFilter, TwoServersAppendAtOnce)
{
    redis_server redis;
    luna_server one(pg(), redis, "two");
    std::string key = one.create_account("owner");
    one.start();
    luna_server two(one, {});
    two.start();
    TestModel m(TestModel::MOTION);
    Kalman k(one.target(), key);
    ASSERT_EQ(k.create("f", m).code, 0);
    std::mt19937_64 rnd(4);
    auto history = random_history(rnd, 800, 1);
    std::vector<std::thread> clients;
    for (size_t c = 0; c < 8; c++)
        clients.emplace_back([&, c] {
            Kalman mine(c % 2 ? one.target() : two.target(), key);
            for (size_t i = c; i < history.size(); i += 8) {
                Outcome o = mine.append("f", {history[i]});
                ASSERT_EQ(o.code, 0) << o.message;
            }
        });
    for (std::thread &t : clients)
        t.join();
    EXPECT_EQ(k.get("f")->filter->observation_count, 800);
    EXPECT_EQ(bytes_of(k.get("f")->filter->estimate), k.batch(m, history));
    Kalman other(two.target(), key);
    EXPECT_EQ(bytes_of(other.get("f")->filter->estimate), k.batch(m, history));
}

TEST(DurableFilter, WorksWithoutRedis)
{
    redis_server redis;
    luna_server server(pg(), redis, "alone");
    std::string key = server.create_account("owner");
    server.start();
    TestModel m(TestModel::LEVEL);
    Kalman k(server.target(), key);
    ASSERT_EQ(k.create("f", m).code, 0);
    redis.stop(SIGKILL);
    std::mt19937_64 rnd(5);
    auto history = random_history(rnd, 20, 1);
    for (const Observation &o : history)
        ASSERT_EQ(k.append("f", {o}).code, 0);
    EXPECT_EQ(bytes_of(k.get("f")->filter->estimate), k.batch(m, history));
}
