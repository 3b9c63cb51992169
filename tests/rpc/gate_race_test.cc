/*
 * The limit holds: two servers, many connections, one account, and whoever dies. What was admitted
 * never exceeds the limit, is exactly the limit when nobody died, and is what Postgres says after
 * quiet.
 *
 * LUNA_TEST_QUOTA_ROUNDS: rounds of the race (default 1000); for many decisions see
 * gate_flood_test.cc.
 */
#include <condition_variable>
#include <mutex>

#include "gate_race.h"

/* All 64 connections ask once a round, at once; 40 of them may. The round's limit is in Postgres
 * alone until a server finds out. */
TEST_F(race, admits_exactly_the_limit)
{
    redis_server redis;
    const char *asked = getenv("LUNA_TEST_QUOTA_ROUNDS");
    const int rounds = asked ? std::stoi(asked) : 1000;
    const int64_t per_round = 40;
    open("exactly", &redis, {}, 64);
    PGconn *db = PQconnectdb(pg().url(database).c_str());
    const std::string request = check_request(1);
    const std::string look = check_request(per_round, true);
    std::mutex lock;
    std::condition_variable turn;
    int round = 0;
    size_t done = 0;
    Tally t;
    std::vector<std::thread> threads;
    for (auto &line : lines) {
        threads.emplace_back([&, line = line.get()] {
            for (int mine = 1;; mine++) {
                {
                    std::unique_lock<std::mutex> hold(lock);
                    turn.wait(hold, [&] { return round >= mine || round < 0; });
                    if (round < 0)
                        return;
                }
                t.note(unary(*line, kCheck, request, bearer(key), 20000));
                std::lock_guard<std::mutex> hold(lock);
                done++;
                turn.notify_all();
            }
        });
    }
    for (int r = 1; r <= rounds && !HasFailure(); r++) {
        const int64_t limit = r * per_round;
        PQclear(PQexec(db, ("UPDATE account SET quota_limit = " + std::to_string(limit)).c_str()));
        EXPECT_TRUE(eventually([&] {
            return admitted(unary(*lines[0], kCheck, look, bearer(key), 20000)) == 1;
        })) << log();
        std::unique_lock<std::mutex> hold(lock);
        round = r;
        done = 0;
        turn.notify_all();
        turn.wait(hold, [&] { return done == threads.size(); });
        EXPECT_EQ(t.yes, limit) << "round " << r << "\n" << log();
        EXPECT_EQ(t.failed, 0);
    }
    {
        std::lock_guard<std::mutex> hold(lock);
        round = -1;
        turn.notify_all();
    }
    for (std::thread &th : threads)
        th.join();
    PQfinish(db);
    EXPECT_TRUE(eventually([&] { return quiet(); })) << log();
    EXPECT_EQ(used(), t.yes);
    EXPECT_EQ(t.no, rounds * (64 - per_round));
}

TEST_F(race, costs_that_do_not_fit_exactly)
{
    redis_server redis;
    open("fit", &redis);
    for (int64_t limit : {100, 203, 310}) {
        set_limit(limit);
        Tally t;
        EXPECT_TRUE(eventually([&] {
            Tally more;
            storm(8, 7, more);
            t.yes += more.yes;
            return used() + 7 > limit;
        }));
    }
    EXPECT_TRUE(eventually([&] { return quiet(); })) << log();
    EXPECT_LE(used(), 310);
    EXPECT_GT(used(), 303);
    EXPECT_EQ(used() % 7, 0);
}

/* By leases, while there is enough for them, and to the last unit. */
TEST_F(race, leases_admit_exactly_the_limit)
{
    redis_server redis;
    open("leased", &redis, {{"LUNA_QUOTA_LEASE", "20"}});
    const int64_t limit = 12000;
    set_limit(limit);
    Tally t;
    storm(1000, 1, t);
    EXPECT_EQ(t.yes, limit);
    EXPECT_EQ(t.failed, 0);
    EXPECT_TRUE(eventually([&] { return quiet(); })) << log();
    EXPECT_EQ(used(), limit);
    EXPECT_EQ(number("SELECT sum(units) FROM quota_usage"), limit);
    const char leased[] = "luna_quota_leased_total";
    EXPECT_GT(one->metric(leased) + two->metric(leased), limit / 2.0) << log();
}

namespace
{
/* What became of the calls while one of the servers was killed again and again. */
struct Killed {
    int64_t sure = 0;  /* units whose callers were told so */
    int64_t maybe = 0; /* units whose answers died with the server */
    int64_t limit = 0;
    double leases = 0; /* that it had taken by then */
};

class killed : public race
{
  protected:
    Killed kill_again(int rounds, int64_t raise, int times, int64_t cost)
    {
        Killed k;
        for (int round = 0; round < rounds; round++) {
            set_limit(k.limit += raise);
            Tally t;
            storm(times, cost, t, [&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(60 + 30 * round));
                k.leases += std::max(0.0, two->metric("luna_quota_leases_total"));
                two->stop(SIGKILL);
                two->start();
            });
            k.sure += cost * t.yes;
            k.maybe += cost * t.failed;
        }
        EXPECT_TRUE(eventually([&] { return quiet(); }, 30)) << log();
        EXPECT_GT(k.sure, 0);
        EXPECT_LE(k.sure, k.limit);
        EXPECT_LE(used(), k.limit);
        EXPECT_GE(used(), k.sure);
        EXPECT_EQ(number("SELECT sum(units) FROM quota_usage"), used());
        return k;
    }
};
} // namespace

TEST_F(killed, nothing_is_lost)
{
    redis_server redis;
    open("killed", &redis);
    Killed k = kill_again(5, 3000, 200, 2);
    EXPECT_LE(used(), k.sure + k.maybe);
}

/* What it had leased and not spent counts as used: never less than what was admitted. */
TEST_F(killed, with_leases)
{
    redis_server redis;
    open("leased_killed", &redis, {{"LUNA_QUOTA_LEASE", "20"}});
    Killed k = kill_again(3, 9000, 400, 1);
    EXPECT_GT(k.leases, 0);
    /* Each reactor of a killed server held up to two leases. */
    EXPECT_LE(used(), k.sure + k.maybe + 3 * 2 * 2 * 20);
}

/* Redis dies, with its file or without; it may be gone for a while. */
class redis_dies : public race, public testing::WithParamInterface<const char *>
{
};

TEST_P(redis_dies, nothing_is_admitted_twice)
{
    std::string kind = GetParam();
    std::vector<std::string> args;
    if (kind != "none")
        args = {"--appendonly", "yes", "--appendfsync", kind};
    redis_server redis(args);
    open("redis_" + kind, &redis);
    int64_t sure = 0;
    int64_t maybe = 0;
    int64_t limit = 0;
    for (int round = 0; round < 3; round++) {
        set_limit(limit += 20000);
        Tally t;
        storm(250, 3, t, [&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(100 + 50 * round));
            redis.stop(SIGKILL);
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            redis.start();
        });
        sure += 3 * t.yes;
        maybe += 3 * t.failed;
        /* It heals by itself. */
        ASSERT_TRUE(eventually([&] {
            bool all = true;
            for (auto &line : lines) {
                int a = admitted(unary(*line, kCheck, check_request(1), bearer(key)));
                sure += a == 1;
                all = all && a >= 0;
            }
            return all;
        })) << log();
    }
    ASSERT_TRUE(eventually([&] { return quiet(); }, 40)) << log();
    EXPECT_LE(sure, limit);
    EXPECT_LE(used(), limit);
    EXPECT_GE(used(), sure) << log(); /* nothing that was admitted is forgotten */
    EXPECT_LE(used(), sure + maybe);
    EXPECT_GE(one->metric("luna_quota_reports_total") + two->metric("luna_quota_reports_total"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM quota_event WHERE kind = 'grant_written_off'"), 0);
}

INSTANTIATE_TEST_SUITE_P(files, redis_dies, testing::Values("none", "everysec", "always"));

TEST_F(race, redis_and_a_server_die_together)
{
    redis_server redis;
    open("together", &redis, {{"LUNA_QUOTA_GRANT", "500"}});
    set_limit(100000);
    Tally t;
    storm(300, 3, t, [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        redis.stop(SIGKILL);
        two->stop(SIGKILL);
        redis.start();
        two->start();
    });
    ASSERT_TRUE(eventually([&] { return quiet(); }, 60)) << log();
    EXPECT_GE(used(), 3 * t.yes);
    EXPECT_LE(used(), 3 * (t.yes + t.failed) + 500); /* at most a grant is written off */
    EXPECT_LE(used(), 100000);
}

TEST_F(race, redis_is_emptied)
{
    redis_server redis;
    open("emptied", &redis);
    set_limit(1000);
    Tally t;
    storm(30, 1, t);
    EXPECT_EQ(t.yes, 480);
    pg_server::output("redis-cli -s " + redis.socket() + " FLUSHALL");
    Tally rest;
    ASSERT_TRUE(eventually([&] {
        storm(20, 1, rest);
        return t.yes + rest.yes >= 1000;
    })) << log();
    EXPECT_EQ(t.yes + rest.yes, 1000);
    ASSERT_TRUE(eventually([&] { return quiet(); }, 30)) << log();
    EXPECT_EQ(used(), 1000);
}
