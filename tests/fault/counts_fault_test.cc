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

} // namespace
