/* kill -9 of the server and of PostgreSQL while clients send readings and try again until each is
 * acknowledged: none is lost, none counts twice. */
#include <atomic>
#include <mutex>
#include <thread>

#include "support/counts_client.h"
#include "support/luna_server.h"

namespace
{

constexpr int64_t kNoon = INT64_C(1772366400) * 1000000;
constexpr int kClients = 4;
constexpr int kReadings = 300; /* of each client */

using std::chrono::milliseconds;

/* Sends each reading until it is acknowledged, always under the same event id. */
void
send_all(const std::string &target, const std::string &key, int client, std::atomic<int> *done)
{
    counts_client c(target, key, 1);
    for (int i = 0; i < kReadings; i++) {
        const std::string event = std::to_string(client) + "-" + std::to_string(i);
        const int64_t at = kNoon + (i * 7919 % kReadings) * 1000 + client; /* shuffled */
        while (c.put(283, at, 1, event) != LUNA_OK)
            std::this_thread::sleep_for(milliseconds(10));
        (*done)++;
    }
}

TEST(counts_fault, nothing_acknowledged_is_lost_and_nothing_counts_twice)
{
    pg_server pg(true);
    redis_server redis;
    luna_server server(pg, redis, "faults");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    std::atomic<int> done{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; i++)
        clients.emplace_back(send_all, server.target(), key, i, &done);
    const int total = kClients * kReadings;
    bool killed_server = false;
    bool killed_pg = false;
    while (done < total) {
        if (!killed_server && done > total / 4) {
            killed_server = true;
            server.stop(SIGKILL);
            server.start();
        }
        if (!killed_pg && done > total / 2) {
            killed_pg = true;
            pg.stop(SIGQUIT);
            pg.start();
        }
        std::this_thread::sleep_for(milliseconds(2));
    }
    for (std::thread &t : clients)
        t.join();
    EXPECT_TRUE(killed_server && killed_pg);
    int64_t n = INT64_MIN;
    for (int i = 0; i < 2000 && (n = c.current(c.a)) == INT64_MIN; i++)
        std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(n, total);
    EXPECT_EQ(pg.value("faults", "SELECT count(*) FROM counts_reading"), std::to_string(total));
    EXPECT_EQ(pg.value("faults", "SELECT count(DISTINCT event_id) FROM counts_reading"),
              std::to_string(total));
    /* Checkpoints that were made in between hold what the readings say. */
    EXPECT_EQ(pg.value("faults", "SELECT count(*) FROM counts_checkpoint c WHERE filled AND n <> "
                                 "(SELECT count(*) FROM counts_reading r WHERE r.dpu_id = c.dpu_id "
                                 "AND r.at <= c.upto)"),
              "0");
}

void
put_batch(const counts_client &c, int64_t from, int n)
{
    reading_batch batch;
    Luna__V1__BatchCreateReadingsRequest req = LUNA__V1__BATCH_CREATE_READINGS_REQUEST__INIT;
    const Luna__V1__BatchCreateReadingsResponse *resp = nullptr;
    luna_reply *reply = nullptr;
    for (int i = 0; i < n; i++)
        batch.add(i % 2 ? 283 : 423, from + i * INT64_C(1000000), i % 3 ? 1 : -1, "");
    batch.fill(&req);
    ASSERT_EQ(luna_counts_batch_create_readings(c.channel(), nullptr, &req, &reply, &resp), LUNA_OK)
        << luna_reply_text(reply);
    EXPECT_EQ(resp->summary->stored, n);
    luna_reply_free(reply);
}

/* The roll-off of some ten thousand readings, in servers that die in the middle of it: two at once,
 * then the next ones. No count changes, and in the end the readings are gone. */
TEST(counts_fault, a_roll_off_that_dies_is_gone_on_with)
{
    constexpr int kBatches = 7;
    constexpr int kBatch = 10000;
    pg_server pg(true);
    redis_server redis;
    luna_server server(pg, redis, "rolling", {{"LUNA_COUNTS_ROLL_OFF_INTERVAL", "20ms"}});
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    for (int i = 0; i < kBatches; i++)
        put_batch(c, kNoon + i * INT64_C(1000000) * kBatch, kBatch);
    const int64_t a = c.current(c.a);
    const int64_t b = c.current(c.b);
    EXPECT_NE(a, 0);
    EXPECT_EQ(server.run({"admin", "roll-off-counts"}), "");
    pg.exec("rolling", "INSERT INTO counts_retention (account_id, retention_days) SELECT "
                       "account_id, 1 FROM account");
    const std::string plan = server.run({"admin", "roll-off-counts", "--dry-run"});
    EXPECT_EQ(plan.find("account 1: "), 0u) << plan;
    const char *left = "SELECT count(*) FROM counts_reading";
    int64_t before = kBatches * kBatch;
    int stopped_between = 0;
    for (int round = 0; round < 100 && pg.value("rolling", left) != "0"; round++) {
        server.stop(SIGKILL);
        if (round == 2) {
            pg.stop(SIGQUIT);
            pg.start();
        }
        const int64_t now = std::stoll(pg.value("rolling", left));
        EXPECT_LE(now, before);
        stopped_between += now > 0 && now < kBatches * kBatch;
        before = now;
        luna_server second(server, {{"LUNA_COUNTS_ROLL_OFF_INTERVAL", "20ms"}});
        server.start();
        second.start();
        counts_client again(server.target(), key);
        EXPECT_EQ(again.current(c.a), a);
        EXPECT_EQ(again.current(c.b), b);
        std::this_thread::sleep_for(milliseconds(30 * round));
    }
    EXPECT_EQ(pg.value("rolling", left), "0");
    RecordProperty("stopped_in_between", stopped_between);
    counts_client last(server.target(), key);
    EXPECT_EQ(last.current(c.a), a);
    EXPECT_EQ(last.current(c.b), b);
    EXPECT_EQ(last.put(283, kNoon, 1), LUNA_FAILED_PRECONDITION);
    EXPECT_EQ(last.why, "READINGS_ROLLED_OFF");
    EXPECT_EQ(server.run({"admin", "rebuild-counts"}), "made 0 checkpoints of 2 DPUs\n");
    EXPECT_EQ(last.current(c.a), a);
}

} // namespace
