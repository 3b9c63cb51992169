/* Watchers that take nothing, and sensors that are told of: CountsService from outside. */
#include <algorithm>
#include <chrono>
#include <iostream>
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

/* The assignment begins at `starts_at`. */
void
begin_at(counts_client &c, int64_t assignment, int64_t starts_at)
{
    Luna__V1__UpdateAssignmentRequest req = LUNA__V1__UPDATE_ASSIGNMENT_REQUEST__INIT;
    Google__Protobuf__Timestamp ts = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    const Luna__V1__UpdateAssignmentResponse *resp = nullptr;
    luna_reply *reply = nullptr;
    ts.seconds = starts_at / 1000000;
    ts.nanos = static_cast<int32_t>(starts_at % 1000000 * 1000);
    req.dpu_id = 283;
    req.assignment_id = assignment;
    req.starts_at_presence_case = LUNA__V1__UPDATE_ASSIGNMENT_REQUEST__STARTS_AT_PRESENCE_STARTS_AT;
    req.starts_at = &ts;
    EXPECT_EQ(luna_counts_update_assignment(c.channel(), nullptr, &req, &reply, &resp), LUNA_OK)
        << luna_reply_text(reply);
    luna_reply_free(reply);
}

/* Microseconds; -1: it is not set. */
int64_t
us_of(const Google__Protobuf__Timestamp *ts)
{
    return ts ? ts->seconds * 1000000 + ts->nanos / 1000 : -1;
}

/* A watcher of one space, and how long each change took: from before the call that made it. */
class delays
{
  public:
    delays(counts_client &c, int64_t space)
    {
        Luna__V1__WatchCountsRequest req = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
        luna_call_options options = {};
        options.timeout_ms = 120000;
        req.space_ids = &space;
        req.n_space_ids = 1;
        stream_ = luna_counts_watch_counts(c.channel(), &options, &req);
        const Luna__V1__WatchCountsResponse *m = nullptr;
        EXPECT_EQ(luna_counts_watch_counts_recv(stream_, &m), LUNA_OK); /* as it is */
        /* What was done before may be told of still; a change that is seen on its behalf would be
         * told as part of it. */
        std::this_thread::sleep_for(milliseconds(1000));
    }
    ~delays()
    {
        luna_stream_free(stream_);
    }
    delays(const delays &) = delete;

    /* What `make` makes comes as one change: from `old_count` to `count`, because of readings from
     * `from` on (-1: from ever) to before `to` (-1: for ever). */
    template <typename Make>
    void expect(Make make, bool correction, int64_t old_count, int64_t count, int64_t from,
                int64_t to)
    {
        const Luna__V1__WatchCountsResponse *m = nullptr;
        const auto begin = steady_clock::now();
        make();
        ASSERT_EQ(luna_counts_watch_counts_recv(stream_, &m), LUNA_OK);
        took_.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - begin));
        EXPECT_EQ(m->kind, correction ? LUNA__V1__COUNT_CHANGE_KIND__COUNT_CHANGE_KIND_CORRECTION
                                      : LUNA__V1__COUNT_CHANGE_KIND__COUNT_CHANGE_KIND_READINGS);
        EXPECT_EQ(m->old_count, old_count);
        EXPECT_EQ(m->count, count);
        EXPECT_EQ(us_of(m->changed_from), from);
        EXPECT_EQ(us_of(m->changed_to), to);
    }

    /* The median in milliseconds of those since the last call. */
    double median(const char *what)
    {
        std::sort(took_.begin(), took_.end());
        const double median = took_[took_.size() / 2].count();
        std::cout << what << ": " << took_.size() << " changes, median " << median
                  << " ms, at most " << took_.back().count() << " ms\n";
        took_.clear();
        return median;
    }

  private:
    luna_stream *stream_;
    std::vector<std::chrono::duration<double, std::milli>> took_;
};

/* Each change comes soon, with its old and its new value and the readings it is of: readings in
 * order, late ones, corrected assignments. The clock by which watchers look in any case, every two
 * seconds, ticks meanwhile and may not tell one before it is known what it is of. */
TEST(counts_watch, changes_come_within_a_tenth_of_a_second)
{
    constexpr int64_t kNoon = INT64_C(1772366400) * 1000000;
    luna_server server(pg(), redis(), "delays");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    counts_client reader(server.target(), key);
    c.a = c.create_space("A");
    const int64_t hung = c.hang(283, c.create_doorway("door", c.a, 0));
    delays watcher(reader, c.a);
    int64_t count = 0;
    int64_t between = 0; /* the sum of the 50th to the 99th */
    for (int i = 0; i < 150; i++) {
        const int64_t at = kNoon + i * 1000;
        const int step = i % 3 == 2 ? -1 : 1;
        between += i >= 50 && i < 100 ? step : 0;
        watcher.expect([&] { ASSERT_EQ(c.put(283, at, step), LUNA_OK); }, false, count,
                       count + step, at, -1);
        count += step;
    }
    EXPECT_LT(watcher.median("readings"), 100);
    for (int i = 0; i < 50; i++) {
        const int64_t at = kNoon - 1000 - i * 1000;
        watcher.expect([&] { ASSERT_EQ(c.put(283, at, 1), LUNA_OK); }, true, count, count + 1, at,
                       -1);
        count++;
    }
    EXPECT_LT(watcher.median("late readings"), 100);

    /* The sensor was hung up later than was said, at either of two instants. */
    const int64_t early = kNoon + 50 * 1000;
    const int64_t late = kNoon + 100 * 1000;
    int64_t before = 50;
    for (int i = 0; i < 50; i++)
        before += i % 3 == 2 ? -1 : 1;
    watcher.expect([&] { begin_at(c, hung, early); }, true, count, count - before, -1, early);
    count -= before;
    ASSERT_NE(between, 0);
    for (int i = 0; i < 50; i++) {
        const int64_t now = i % 2 ? count + between : count - between;
        watcher.expect([&] { begin_at(c, hung, i % 2 ? early : late); }, true, count, now, early,
                       late);
        count = now;
    }
    EXPECT_LT(watcher.median("corrections"), 100);
    EXPECT_EQ(c.current(c.a), count);
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
