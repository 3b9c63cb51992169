/* The whole server under load while Postgres, Redis or itself dies: what callers see, and that it
 * heals without a restart. */
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "luna/v1/kalman.client.h"
#include "support/eventually.h"
#include "support/luna_channel.h"
#include "support/luna_server.h"

namespace
{
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

luna_code
get_account(luna_channel *channel)
{
    Luna__V1__GetAccountRequest request = LUNA__V1__GET_ACCOUNT_REQUEST__INIT;
    const Luna__V1__GetAccountResponse *response = nullptr;
    luna_reply *reply = nullptr;
    luna_code code = luna_quota_get_account(channel, nullptr, &request, &reply, &response);
    if (code == LUNA_OK) {
        EXPECT_STREQ(response->account->account_name, "load");
    }
    luna_reply_free(reply);
    return code;
}

/* Threads that call GetAccount without pause, and count how the calls end. */
class load
{
  public:
    load(const std::string &target, const std::string &key, int threads)
    {
        for (int i = 0; i < threads; i++)
            threads_.emplace_back([this, target, key] {
                channel_ptr channel = open_channel(target, key);
                while (!stop_) {
                    luna_code code = get_account(channel.get());
                    counts_[code]++;
                    if (code != LUNA_OK)
                        std::this_thread::sleep_for(milliseconds(5));
                }
            });
    }

    ~load()
    {
        finish();
    }

    void finish()
    {
        stop_ = true;
        for (std::thread &t : threads_)
            t.join();
        threads_.clear();
    }

    long count(luna_code code) const
    {
        return counts_[code];
    }

    long others() const
    {
        long n = 0;
        for (int i = 0; i < 17; i++)
            if (i != LUNA_OK && i != LUNA_UNAVAILABLE && i != LUNA_DEADLINE_EXCEEDED)
                n += counts_[i];
        return n;
    }

    /* Waits until `more` further calls have gone well. */
    bool succeeds(long more, seconds within) const
    {
        const long start = counts_[LUNA_OK];
        const auto end = steady_clock::now() + within;
        while (steady_clock::now() < end) {
            if (counts_[LUNA_OK] >= start + more)
                return true;
            std::this_thread::sleep_for(milliseconds(2));
        }
        return false;
    }

    bool fails(seconds within) const
    {
        const auto failures = [this] {
            return counts_[LUNA_UNAVAILABLE] + counts_[LUNA_DEADLINE_EXCEEDED];
        };
        const long start = failures();
        const auto end = steady_clock::now() + within;
        while (steady_clock::now() < end && failures() == start)
            std::this_thread::sleep_for(milliseconds(2));
        return failures() > start;
    }

  private:
    std::atomic<bool> stop_ = false;
    std::atomic<long> counts_[17] = {};
    std::vector<std::thread> threads_;
};

bool
ready(const luna_server &server)
{
    return server.get("/readyz").find(" 200 ") != std::string::npos;
}
} // namespace

TEST(server_fault, heals_after_kill_9_of_postgres)
{
    pg_server pg(true);
    redis_server redis;
    luna_server server(pg, redis, "fault");
    const std::string key = server.create_account("load");
    server.start();
    const pid_t pid = server.pid();
    load calls(server.target(), key, 8);
    for (int round = 0; round < 3; round++) {
        ASSERT_TRUE(calls.succeeds(200, seconds(20))) << "round " << round << "\n" << server.log();
        pg.stop(SIGKILL);
        ASSERT_TRUE(calls.fails(seconds(20)));
        ASSERT_TRUE(eventually([&] { return !ready(server); }, 10));
        pg.start();
        ASSERT_TRUE(eventually([&] { return ready(server); }, 20)) << server.log();
    }
    EXPECT_TRUE(calls.succeeds(500, seconds(20)));
    calls.finish();
    EXPECT_EQ(calls.others(), 0) << "only UNAVAILABLE and DEADLINE_EXCEEDED are honest here";
    EXPECT_EQ(server.pid(), pid);
    EXPECT_EQ(kill(pid, 0), 0) << "it is still the first process";
    EXPECT_EQ(server.stop(), 0);
}

TEST(server_fault, serves_while_redis_is_away_and_takes_it_back)
{
    pg_server pg;
    redis_server redis;
    luna_server server(pg, redis, "fault");
    const std::string key = server.create_account("load");
    server.start();
    load calls(server.target(), key, 4);
    ASSERT_TRUE(calls.succeeds(100, seconds(20)));
    redis.stop(SIGKILL);
    ASSERT_TRUE(
        eventually([&] { return server.metric("luna_redis_ready{reactor=\"0\"}") == 0; }, 10))
        << server.get("/metrics");
    EXPECT_TRUE(calls.succeeds(200, seconds(20)));
    EXPECT_TRUE(ready(server)) << "GetAccount needs no Redis";
    redis.start();
    EXPECT_TRUE(eventually(
        [&] {
            return server.metric("luna_redis_ready{reactor=\"0\"}") == 1 &&
                   server.metric("luna_redis_ready{reactor=\"1\"}") == 1;
        },
        20));
    calls.finish();
    EXPECT_EQ(calls.others() + calls.count(LUNA_UNAVAILABLE) + calls.count(LUNA_DEADLINE_EXCEEDED),
              0);
}

TEST(server_fault, waits_for_its_dependencies_and_says_which)
{
    pg_server pg;
    redis_server redis;
    luna_server server(pg, redis, "fault", {{"LOG_LEVEL", "INFO"}});
    pg.stop(SIGINT);
    redis.stop(SIGKILL);
    /* Children die with the thread that made them: this one lives as long as the server. */
    std::atomic<bool> started = false, done = false;
    std::thread starter([&] {
        EXPECT_NO_THROW(server.start());
        started = true;
        while (!done)
            std::this_thread::sleep_for(milliseconds(5));
    });
    const auto logged = [&](const char *text) {
        return server.log().find(text) != std::string::npos;
    };
    EXPECT_TRUE(eventually([&] { return logged("for=\"Postgres and Redis\""); }, 10));
    EXPECT_FALSE(ready(server));
    redis.start();
    EXPECT_TRUE(eventually([&] { return logged("for=Postgres\n"); }, 10)) << server.log();
    EXPECT_FALSE(started);
    pg.start();
    EXPECT_TRUE(eventually([&] { return started.load(); }, 20)) << server.log();
    EXPECT_TRUE(ready(server));
    EXPECT_EQ(server.stop(), 0);
    done = true;
    starter.join();
}

TEST(server_fault, sigterm_ends_no_call)
{
    pg_server pg;
    redis_server redis;
    luna_server server(pg, redis, "fault",
                       {{"LUNA_DRAIN_DELAY", "300ms"}, {"LUNA_DRAIN_TIMEOUT", "10s"}});
    const std::string key = server.create_account("load");
    server.start();
    /* Each call on a channel of its own: after the drain's delay such a client finds nobody
     * listening, which is what a load balancer that saw NOT_SERVING spares it. Until then every
     * call must end well. */
    channel_ptr channel = open_channel(server.target(), key);
    ASSERT_EQ(get_account(channel.get()), LUNA_OK);
    std::atomic<bool> stop = false;
    std::atomic<long> good = 0, bad = 0;
    std::thread caller([&] {
        while (!stop) {
            luna_code code = get_account(channel.get());
            if (stop)
                break;
            (code == LUNA_OK ? good : bad)++;
        }
    });
    std::this_thread::sleep_for(milliseconds(200));
    kill(server.pid(), SIGTERM);
    std::this_thread::sleep_for(milliseconds(250));
    EXPECT_FALSE(ready(server));
    stop = true;
    caller.join();
    EXPECT_GT(good, 50);
    EXPECT_EQ(bad, 0);
    channel.reset();
    EXPECT_EQ(server.stop(SIGCONT), 0) << server.log(); /* only waits for its end */
}

TEST(server_fault, starts_again_after_its_own_kill_9)
{
    pg_server pg;
    redis_server redis;
    luna_server server(pg, redis, "fault");
    const std::string key = server.create_account("load");
    for (int i = 0; i < 5; i++) {
        server.start();
        load calls(server.target(), key, 4);
        ASSERT_TRUE(calls.succeeds(100, seconds(20)));
        server.stop(SIGKILL);
        EXPECT_TRUE(calls.fails(seconds(10)));
    }
}

TEST(server_fault, refuses_what_cannot_work_with_one_line)
{
    pg_server pg;
    redis_server redis;
    const struct {
        luna_server::settings settings;
        const char *says;
    } cases[] = {
        {{{"LUNA_KEY_SECRET", "short"}}, "LUNA_KEY_SECRET"},
        {{{"LUNA_ANONYMOUS_ACCOUNT", "demo"}, {"LUNA_LISTEN_ADDRESS", "0.0.0.0:0"}}, "loopback"},
        {{{"LUNA_LISTEN_ADDRESS", "nowhere"}}, "nowhere"},
        {{{"LUNA_REDIS_URL", "http://x"}}, "redis"},
        {{{"LUNA_TLS_CERTIFICATE", "/nonexistent.pem"}, {"LUNA_TLS_KEY", "/nonexistent.key"}},
         "/nonexistent"},
    };
    luna_server sound(pg, redis, "fault");
    for (const auto &c : cases) {
        luna_server server(sound, c.settings);
        try {
            server.start();
            ADD_FAILURE() << "it started with " << c.settings.begin()->first;
        } catch (const std::exception &e) {
            const std::string log = server.log();
            EXPECT_NE(log.find(c.says), std::string::npos) << log;
            EXPECT_EQ(log.find("short\n"), std::string::npos) << "a secret was shown: " << log;
        }
    }
}

TEST(server_fault, a_schema_that_does_not_fit_stops_the_start)
{
    pg_server pg;
    redis_server redis;
    luna_server server(pg, redis, "fault");
    pg.exec("fault", "ALTER TABLE account RENAME COLUMN quota_used TO used");
    try {
        server.start();
        ADD_FAILURE() << "it started";
    } catch (const std::exception &) {
        EXPECT_NE(server.log().find("quota_used"), std::string::npos) << server.log();
    }
}
