/* CountsService from outside: calls, streams, watchers across two servers, accounts. */
#include <chrono>
#include <thread>

#include "support/counts_client.h"
#include "support/luna_server.h"
#include "support/stores.h"

namespace
{

constexpr int64_t kNoon = INT64_C(1772366400) * 1000000;

TEST(counts, readings_make_counts)
{
    luna_server server(pg(), redis(), "calls");
    const std::string key = server.create_account("one");
    const std::string other = server.create_account("two");
    server.start();
    counts_client c(server.target(), key);
    counts_client stranger(server.target(), other);
    c.make_floor();
    EXPECT_EQ(c.put(283, kNoon, 1, "e1"), LUNA_OK);
    EXPECT_EQ(c.put(283, kNoon, 1, "e1"), LUNA_OK); /* delivered again */
    EXPECT_EQ(c.put(423, kNoon + 1, -1), LUNA_OK);
    EXPECT_EQ(c.put(283, kNoon + 2, 1), LUNA_OK);
    EXPECT_EQ(c.current(c.a), 1);
    EXPECT_EQ(c.current(c.b), 1);
    EXPECT_EQ(c.put(999, kNoon, 1), LUNA_NOT_FOUND);
    EXPECT_EQ(c.why, "DPU_NOT_FOUND");
    EXPECT_EQ(c.put(283, kNoon, 2), LUNA_INVALID_ARGUMENT);
    c.create_doorway("to itself", c.a, c.a);
    EXPECT_EQ(c.last, LUNA_INVALID_ARGUMENT);
    EXPECT_EQ(stranger.current(c.a), INT64_MIN);
    EXPECT_EQ(stranger.why, "SPACE_NOT_FOUND");
    EXPECT_EQ(stranger.put(283, kNoon, 1), LUNA_NOT_FOUND);
    EXPECT_EQ(c.current(c.a), 1);
}

TEST(counts, a_stream_is_acknowledged_and_resumed)
{
    luna_server server(pg(), redis(), "streams");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    /* Twice the same: as a client that lost its connection before the acknowledgement. */
    for (int again = 0; again < 2; again++) {
        luna_stream *s = luna_counts_ingest_readings(c.channel(), nullptr);
        for (int m = 0; m < 5; m++) {
            reading_batch batch;
            Luna__V1__IngestReadingsRequest req = LUNA__V1__INGEST_READINGS_REQUEST__INIT;
            const Luna__V1__IngestReadingsResponse *resp = nullptr;
            for (int i = 0; i < 100; i++)
                batch.add(283, kNoon + m * 1000 + i, 1,
                          "e" + std::to_string(m) + "-" + std::to_string(i));
            batch.add(283, kNoon, 0, "wrong");
            batch.fill(&req);
            req.position = (m + 1) * 101;
            ASSERT_EQ(luna_counts_ingest_readings_send(s, &req), LUNA_OK);
            ASSERT_EQ(luna_counts_ingest_readings_recv(s, &resp), LUNA_OK);
            EXPECT_EQ(resp->position, (m + 1) * 101);
            EXPECT_EQ(resp->summary->received, (m + 1) * 101);
            EXPECT_EQ(again ? resp->summary->duplicates : resp->summary->stored, (m + 1) * 100);
            ASSERT_EQ(resp->n_results, 1u);
            EXPECT_EQ(resp->results[0]->index, m * 101 + 100);
        }
        luna_stream_close_send(s);
        luna_reply *reply = nullptr;
        EXPECT_EQ(luna_stream_finish(s, &reply), LUNA_OK) << luna_reply_text(reply);
        luna_reply_free(reply);
        luna_stream_free(s);
        EXPECT_EQ(c.current(c.a), 500);
    }
}

/* A watcher at one server, readings at another. */
TEST(counts, watchers_hear_of_other_servers)
{
    luna_server first(pg(), redis(), "watch");
    const std::string key = first.create_account("one");
    first.start();
    luna_server second(first, {});
    second.start();
    counts_client writer(first.target(), key);
    counts_client reader(second.target(), key);
    writer.make_floor();
    Luna__V1__WatchCountsRequest req = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
    Luna__V1__CountThreshold two = LUNA__V1__COUNT_THRESHOLD__INIT;
    Luna__V1__CountThreshold *thresholds[] = {&two};
    int64_t spaces[] = {writer.a};
    two.level = 2;
    req.space_ids = spaces;
    req.n_space_ids = 1;
    req.thresholds = thresholds;
    req.n_thresholds = 1;
    const Luna__V1__WatchCountsResponse *m = nullptr;
    luna_call_options options = {};
    options.timeout_ms = 60000;
    luna_stream *s = luna_counts_watch_counts(reader.channel(), &options, &req);
    ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
    EXPECT_EQ(m->kind, LUNA__V1__COUNT_CHANGE_KIND__COUNT_CHANGE_KIND_SNAPSHOT);
    EXPECT_EQ(m->count, 0);
    ASSERT_EQ(writer.put(283, kNoon, 1), LUNA_OK);
    ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
    EXPECT_EQ(m->old_count, 0);
    EXPECT_EQ(m->count, 1);
    EXPECT_EQ(m->n_crossed_up, 0u);
    ASSERT_EQ(writer.put(283, kNoon - 10, 1), LUNA_OK); /* late */
    ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
    EXPECT_EQ(m->count, 2);
    ASSERT_EQ(m->n_crossed_up, 1u);
    EXPECT_EQ(m->crossed_up[0], 2);
    const std::string token = m->resume_token;
    luna_stream_free(s);

    /* Resumed: what changed meanwhile comes as one change. */
    ASSERT_EQ(writer.put(283, kNoon + 1, -1), LUNA_OK);
    ASSERT_EQ(writer.put(283, kNoon + 2, -1), LUNA_OK);
    req.resume_token = const_cast<char *>(token.c_str());
    s = luna_counts_watch_counts(reader.channel(), &options, &req);
    ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
    EXPECT_EQ(m->old_count, 2);
    EXPECT_EQ(m->count, 0);
    EXPECT_EQ(m->n_crossed_down, 1u);
    luna_stream_free(s);

    req.resume_token = const_cast<char *>("made up");
    s = luna_counts_watch_counts(reader.channel(), &options, &req);
    EXPECT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_INVALID_ARGUMENT);
    luna_stream_free(s);
}

/* A count that wavers between the two levels of a threshold crosses nothing. */
TEST(counts, thresholds_have_hysteresis)
{
    luna_server server(pg(), redis(), "thresholds");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    Luna__V1__WatchCountsRequest req = LUNA__V1__WATCH_COUNTS_REQUEST__INIT;
    Luna__V1__CountThreshold two = LUNA__V1__COUNT_THRESHOLD__INIT;
    Luna__V1__CountThreshold *thresholds[] = {&two};
    int64_t spaces[] = {c.b, c.a};
    two.level = 2;
    two.hysteresis = 2;
    req.space_ids = spaces;
    req.n_space_ids = 2;
    req.thresholds = thresholds;
    req.n_thresholds = 1;
    luna_call_options options = {};
    options.timeout_ms = 60000;
    const Luna__V1__WatchCountsResponse *m = nullptr;
    luna_stream *s = luna_counts_watch_counts(c.channel(), &options, &req);
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
    std::string crossed;
    int64_t at = kNoon;
    for (int step : {1, 1, -1, 1, -1, -1, 1, 1}) {
        ASSERT_EQ(c.put(283, at++, step), LUNA_OK);
        ASSERT_EQ(luna_counts_watch_counts_recv(s, &m), LUNA_OK);
        EXPECT_EQ(m->space_id, c.a);
        crossed += m->n_crossed_up ? "u" : m->n_crossed_down ? "d" : ".";
    }
    EXPECT_EQ(crossed, ".u...d.u"); /* 1 2 1 2 1 0 1 2 */
    luna_stream_free(s);
}

/* The time-weighted mean of each hour over the capacity, worked by hand. The capacity is the one
 * the space has now: it is no part of the history. */
TEST(counts, buckets_tell_utilisation)
{
    constexpr int64_t kMinute = INT64_C(60) * 1000000;
    luna_server server(pg(), redis(), "utilisation");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    auto set_capacity = [&](int32_t capacity) {
        Luna__V1__UpdateSpaceRequest req = LUNA__V1__UPDATE_SPACE_REQUEST__INIT;
        const Luna__V1__UpdateSpaceResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        req.space_id = c.a;
        req.capacity_presence_case = LUNA__V1__UPDATE_SPACE_REQUEST__CAPACITY_PRESENCE_CAPACITY;
        req.capacity = capacity;
        EXPECT_EQ(luna_counts_update_space(c.channel(), nullptr, &req, &reply, &resp), LUNA_OK)
            << luna_reply_text(reply);
        luna_reply_free(reply);
    };
    const struct {
        int minute, direction, times;
    } passages[] = {
        {0, 1, 1},                 /* 12:00: 1 for 30 minutes, */
        {30, 1, 1},                /* 2 for 15 and 3 for 15: (30 + 30 + 45) / 60 = 1.75 */
        {45, 1, 1},   {90, -1, 3}, /* 13:30: 3 for half of the hour: 1.5 */
        {180, 1, 5},               /* 14:00: nobody; 15:00: 5 are more than there is room for */
        {240, -1, 6},              /* 16:00: one who was missed on the way in */
    };
    for (const auto &p : passages)
        for (int i = 0; i < p.times; i++)
            ASSERT_EQ(c.put(283, kNoon + p.minute * kMinute, p.direction), LUNA_OK);
    const double means[] = {1.75, 1.5, 0, 5, -1};
    for (int capacity : {0, 4, 8, 10}) {
        set_capacity(capacity);
        Luna__V1__GetCountsRequest req = LUNA__V1__GET_COUNTS_REQUEST__INIT;
        Google__Protobuf__Timestamp from = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        Google__Protobuf__Timestamp to = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        const Luna__V1__GetCountsResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        from.seconds = kNoon / 1000000;
        to.seconds = from.seconds + 5 * INT64_C(3600);
        req.space_id = c.a;
        req.from = &from;
        req.to = &to;
        req.bucket = const_cast<char *>("1h");
        ASSERT_EQ(luna_counts_get_counts(c.channel(), nullptr, &req, &reply, &resp), LUNA_OK)
            << luna_reply_text(reply);
        ASSERT_EQ(resp->n_buckets, 5u);
        for (int i = 0; i < 5; i++) {
            EXPECT_DOUBLE_EQ(resp->buckets[i]->mean, means[i]) << i;
            EXPECT_DOUBLE_EQ(resp->buckets[i]->utilisation, capacity ? means[i] / capacity : 0)
                << i;
        }
        EXPECT_DOUBLE_EQ(resp->count->utilisation, capacity ? -1.0 / capacity : 0);
        if (capacity == 4) { /* the same in figures */
            EXPECT_DOUBLE_EQ(resp->buckets[0]->utilisation, 0.4375);
            EXPECT_DOUBLE_EQ(resp->buckets[1]->utilisation, 0.375);
            EXPECT_DOUBLE_EQ(resp->buckets[3]->utilisation, 1.25);
        }
        luna_reply_free(reply);
    }
}

TEST(counts, an_export_is_complete_or_says_so)
{
    luna_server server(pg(), redis(), "export");
    const std::string key = server.create_account("one");
    server.start();
    counts_client c(server.target(), key);
    c.make_floor();
    for (int i = 0; i < 1200; i += 400) {
        reading_batch batch;
        Luna__V1__BatchCreateReadingsRequest req = LUNA__V1__BATCH_CREATE_READINGS_REQUEST__INIT;
        const Luna__V1__BatchCreateReadingsResponse *resp = nullptr;
        luna_reply *reply = nullptr;
        for (int k = 0; k < 400; k++)
            batch.add(k % 2 ? 283 : 423, kNoon + i + k, k % 3 ? 1 : -1, "");
        batch.fill(&req);
        ASSERT_EQ(luna_counts_batch_create_readings(c.channel(), nullptr, &req, &reply, &resp),
                  LUNA_OK)
            << luna_reply_text(reply);
        EXPECT_EQ(resp->summary->stored, 400);
        luna_reply_free(reply);
    }
    Luna__V1__ExportCountsRequest req = LUNA__V1__EXPORT_COUNTS_REQUEST__INIT;
    req.space_id = c.a;
    luna_stream *s = luna_counts_export_counts(c.channel(), nullptr, &req);
    const Luna__V1__ExportCountsResponse *m = nullptr;
    int64_t n = 0;
    int64_t last = 0;
    bool complete = false;
    while (luna_counts_export_counts_recv(s, &m) == LUNA_OK) {
        for (size_t i = 0; i < m->n_events; i++)
            EXPECT_EQ(m->events[i]->count, last += m->events[i]->delta);
        n += static_cast<int64_t>(m->n_events);
        if (m->complete) {
            complete = true;
            EXPECT_EQ(m->total, n);
            EXPECT_NE(m->crc32c, 0u);
        }
    }
    luna_stream_free(s);
    EXPECT_TRUE(complete);
    EXPECT_EQ(n, 1200);
    EXPECT_EQ(last, c.current(c.a));
}

} // namespace
