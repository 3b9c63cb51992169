/* Watchers that take nothing, and sensors that are told of: CountsService from outside. */
#include <chrono>
#include <thread>

#include "support/counts_client.h"
#include "support/luna_server.h"

namespace
{

using std::chrono::milliseconds;
using std::chrono::steady_clock;

pg_server &
pg()
{
    static pg_server server;
    return server;
}

redis_server &
redis()
{
    static redis_server server;
    return server;
}

int64_t
now_us()
{
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/* Rooms within rooms: each reading changes all of their counts. */
int64_t
nest(counts_client &c, int64_t outer, int depth)
{
    Luna__V1__CreateSpaceRequest req = LUNA__V1__CREATE_SPACE_REQUEST__INIT;
    const Luna__V1__CreateSpaceResponse *resp = nullptr;
    luna_reply *reply = nullptr;
    req.name = const_cast<char *>("nested");
    req.parent_id = outer;
    EXPECT_EQ(luna_counts_create_space(c.channel(), nullptr, &req, &reply, &resp), LUNA_OK)
        << luna_reply_text(reply);
    const int64_t id = resp ? resp->space->space_id : 0;
    luna_reply_free(reply);
    return depth > 1 ? nest(c, id, depth - 1) : id;
}

/* A watcher that stops reading while counts change quickly ends with a status that says so and a
 * token that goes on; neither writers nor another watcher wait for it. */
TEST(counts_watch, a_slow_reader_is_dropped_and_not_felt)
{
    constexpr int kRooms = 80;
    luna_server server(pg(), redis(), "slow");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    counts_client slow(server.target(), key);
    counts_client quick(server.target(), key);
    const int64_t outer = c.create_space("outer");
    c.a = nest(c, outer, kRooms);
    c.hang(283, c.create_doorway("door", c.a, 0));

    Luna__V1__WatchCountsRequest all = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
    Luna__V1__WatchCountsRequest one = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
    int64_t spaces[] = {outer};
    one.space_ids = spaces;
    one.n_space_ids = 1;
    luna_call_options options = {};
    options.timeout_ms = 120000;
    luna_stream *stuck = luna_counts_watch_counts(slow.channel(), &options, &all);
    const Luna__V1__WatchCountsResponse *m = nullptr;
    ASSERT_EQ(luna_counts_watch_counts_recv(stuck, &m), LUNA_OK); /* and no more of it for now */

    int64_t heard = -1;
    milliseconds longest_wait{0};
    constexpr auto kFor = milliseconds(14000);
    const auto begin = steady_clock::now();
    std::thread watcher([&] {
        const Luna__V1__WatchCountsResponse *told = nullptr;
        luna_stream *s = luna_counts_watch_counts(quick.channel(), &options, &one);
        auto last = steady_clock::now();
        while (steady_clock::now() - begin < kFor &&
               luna_counts_watch_counts_recv(s, &told) == LUNA_OK) {
            longest_wait = std::max(
                longest_wait, std::chrono::duration_cast<milliseconds>(steady_clock::now() - last));
            last = steady_clock::now();
            heard = told->count;
        }
        luna_stream_free(s);
    });
    int64_t written = 0;
    milliseconds longest_put{0};
    while (steady_clock::now() - begin < kFor + milliseconds(500)) {
        const auto before = steady_clock::now();
        ASSERT_EQ(c.put(283, now_us(), 1), LUNA_OK);
        longest_put = std::max(
            longest_put, std::chrono::duration_cast<milliseconds>(steady_clock::now() - before));
        written++;
        std::this_thread::sleep_for(milliseconds(20));
    }
    watcher.join();
    /* Who waited for the slow one would have waited for its ten seconds. */
    EXPECT_LT(longest_put.count(), 4000);
    EXPECT_LT(longest_wait.count(), 4000);
    EXPECT_GT(written, 50);
    EXPECT_GT(heard, written / 2);

    std::string token;
    int64_t taken = 1;
    while (luna_counts_watch_counts_recv(stuck, &m) == LUNA_OK) {
        token = m->resume_token;
        taken++;
    }
    luna_reply *reply = nullptr;
    EXPECT_EQ(luna_stream_finish(stuck, &reply), LUNA_RESOURCE_EXHAUSTED);
    EXPECT_STREQ(luna_reply_reason(reply), "SLOW_READER") << luna_reply_text(reply);
    luna_reply_free(reply);
    luna_stream_free(stuck);
    EXPECT_LT(taken, written * (kRooms + 1)) << "all was taken: nothing was slow";

    /* It goes on from what it has read last. */
    all.resume_token = const_cast<char *>(token.c_str());
    stuck = luna_counts_watch_counts(slow.channel(), &options, &all);
    bool outermost = false;
    while (!outermost && luna_counts_watch_counts_recv(stuck, &m) == LUNA_OK) {
        EXPECT_EQ(m->count, written);
        outermost = m->space_id == outer;
    }
    EXPECT_TRUE(outermost);
    luna_stream_free(stuck);
}

/* Silent and reversed, and what no assignment covers. */
TEST(counts_watch, sensors_are_told_of)
{
    luna_server server(pg(), redis(), "sensors");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    const int64_t hour = INT64_C(3600) * 1000000;
    const int64_t now = now_us();
    /* Over the front door: 20 in and 40 out within the week, the last of them an hour ago. */
    for (int i = 0; i < 60; i++)
        ASSERT_EQ(c.put(283, now - hour - i * 1000, i % 3 ? -1 : 1), LUNA_OK);
    /* Over the inner door, which leads both ways: as many, and no suspicion; two days ago. */
    for (int i = 0; i < 60; i++)
        ASSERT_EQ(c.put(423, now - 48 * hour - i * 1000, i % 3 ? -1 : 1), LUNA_OK);
    auto health = [&](int64_t silent_after, luna_reply **reply) {
        Luna__V1__ListSensorHealthRequest req = LUNA__V1__LIST_SENSOR_HEALTH_REQUEST__INIT;
        const Luna__V1__ListSensorHealthResponse *resp = nullptr;
        req.silent_after_seconds = silent_after;
        EXPECT_EQ(luna_counts_list_sensor_health(c.channel(), nullptr, &req, reply, &resp), LUNA_OK)
            << luna_reply_text(*reply);
        return resp;
    };
    luna_reply *reply = nullptr;
    const Luna__V1__ListSensorHealthResponse *h = health(0, &reply); /* a day */
    ASSERT_EQ(h->n_sensors, 2u);
    EXPECT_FALSE(h->sensors[0]->silent);
    EXPECT_TRUE(h->sensors[0]->reversed);
    EXPECT_NEAR(h->sensors[0]->lag_seconds, 3600, 60);
    EXPECT_TRUE(h->sensors[1]->silent);
    EXPECT_FALSE(h->sensors[1]->reversed);
    luna_reply_free(reply);
    h = health(1800, &reply);
    EXPECT_TRUE(h->sensors[0]->silent);
    luna_reply_free(reply);
    h = health(72 * 3600, &reply);
    EXPECT_FALSE(h->sensors[1]->silent);
    luna_reply_free(reply);
    /* More that come in: the suspicion is gone. */
    for (int i = 0; i < 60; i++)
        ASSERT_EQ(c.put(283, now - hour / 2 - i * 1000, 1), LUNA_OK);
    h = health(0, &reply);
    EXPECT_FALSE(h->sensors[0]->reversed);
    luna_reply_free(reply);
}

} // namespace
