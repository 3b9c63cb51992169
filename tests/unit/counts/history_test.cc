/* What is said of a history beside its sums: whether it is final, and what was known of it when. */
#include "support/counts_domain.h"

namespace
{

constexpr usec_t kHour = 3600 * kSecond;

std::string
finals(struct ctx *ctx, int64_t space, usec_t from, usec_t to, int64_t lateness_s)
{
    const struct counts_range range = {space, from, to, DB_INFINITY};
    struct counts_bucket *b;
    size_t n = 0;
    std::string out;
    EXPECT_EQ(counts_buckets(ctx, &range, "1h", "UTC", lateness_s, &b, &n), OK)
        << ctx->error.message;
    for (size_t i = 0; i < n; i++)
        out += b[i].final ? "f" : ".";
    return out;
}

/* A bucket is final when late data is not to come any more, and each sensor that hangs there was
 * seen behind it. */
TEST_F(counts, buckets_become_final)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        const usec_t now = clock_wall_us();
        const usec_t hour = now - now % kHour; /* the beginning of this one */
        EXPECT_EQ(finals(ctx, a, hour - 4 * kHour, hour, 1), "....") << "no sensor was seen";
        put(ctx, 283, hour - 2 * kHour + 1, 1);
        EXPECT_EQ(finals(ctx, a, hour - 4 * kHour, hour, 1), "....") << "one is missing";
        put(ctx, 423, hour - 1, 1);
        EXPECT_EQ(finals(ctx, a, hour - 4 * kHour, hour, 1), "ff..") << "283 was seen so far";
        put(ctx, 283, now, 1);
        EXPECT_EQ(finals(ctx, a, hour - 4 * kHour, hour, 1), "fff.") << "423 was seen so far";
        EXPECT_EQ(finals(ctx, a, hour - 4 * kHour, hour, (now - hour + 2 * kHour) / kSecond + 60),
                  "f...")
            << "data may be late by more than two hours";
    });
}

/* known_at: readings that came later were not known, whatever their timestamps. */
TEST_F(counts, what_came_later_was_not_known)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        std::vector<usec_t> moments = {clock_wall_us()};
        for (int i = 0; i < 4; i++) {
            EXPECT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
            put(ctx, 283, kNoon - i * kSecond, 1); /* each before the last */
            put(ctx, 283, kNoon, i % 2 ? 1 : -1);  /* and one more of the same instant */
            EXPECT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
            moments.push_back(clock_wall_us());
        }
        const int64_t counted[] = {0, 0, 2, 2, 4};
        const int64_t before[] = {0, 0, 1, 2, 3};
        for (size_t i = 0; i < moments.size(); i++) {
            EXPECT_EQ(at(ctx, a, kNoon, moments[i]), counted[i]) << i;
            EXPECT_EQ(at(ctx, a, kNoon - 1, moments[i]), before[i]) << i;
        }
        EXPECT_EQ(at(ctx, a, kNoon), 4);
    });
}

/* Each kind of bad item in one batch; what is good between them is stored. */
TEST_F(counts, each_bad_item_of_a_batch_is_named)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        const usec_t now = clock_wall_us();
        const std::string long_id(300, 'e');
        struct {
            int64_t dpu;
            usec_t at;
            int direction;
            const char *event;
            enum counts_outcome outcome;
        } const items[] = {
            {283, kNoon, 1, "good", OUTCOME_STORED},
            {999, kNoon, 1, "a", OUTCOME_UNKNOWN_DPU},
            {0, kNoon, 1, "b", OUTCOME_UNKNOWN_DPU},
            {-283, kNoon, 1, "c", OUTCOME_UNKNOWN_DPU},
            {INT64_C(283) + (INT64_C(1) << 32), kNoon, 1, "d", OUTCOME_UNKNOWN_DPU},
            {283, kNoon, 0, "e", OUTCOME_BAD_DIRECTION},
            {283, kNoon, 2, "f", OUTCOME_BAD_DIRECTION},
            {283, -1, 1, "g", OUTCOME_BAD_TIMESTAMP},
            {283, now + 86400 * kSecond, 1, "h", OUTCOME_BAD_TIMESTAMP},
            {283, INT64_C(253370764800) * kSecond, 1, "i", OUTCOME_BAD_TIMESTAMP}, /* 9999 */
            {283, kNoon, 1, "", OUTCOME_BAD_EVENT_ID},
            {283, kNoon, 1, long_id.c_str(), OUTCOME_BAD_EVENT_ID},
            {283, kNoon, 1, "\xff", OUTCOME_BAD_EVENT_ID},
            {283, kNoon, 1, "good", OUTCOME_DUPLICATE},
            {283, kNoon, -1, "good", OUTCOME_STORED}, /* the other way is another reading */
            {423, kNoon, 1, "good", OUTCOME_STORED},
        };
        std::vector<struct counts_reading> all;
        for (const auto &i : items) {
            struct counts_reading r = {};
            r.dpu_id = i.dpu;
            r.at = i.at;
            r.direction = i.direction;
            r.event_id = i.event;
            all.push_back(r);
        }
        struct counts_summary sum = {};
        struct counts_result *results;
        size_t n = 0;
        ASSERT_EQ(counts_ingest(ctx, all.data(), all.size(), DEDUPE_EVENT_ID, &sum, &results, &n),
                  OK)
            << ctx->error.message;
        size_t told = 0;
        for (size_t i = 0; i < all.size(); i++) {
            if (items[i].outcome == OUTCOME_STORED)
                continue;
            ASSERT_LT(told, n);
            EXPECT_EQ(results[told].index, static_cast<int64_t>(i));
            EXPECT_EQ(results[told++].outcome, items[i].outcome) << i;
        }
        EXPECT_EQ(told, n);
        EXPECT_EQ(sum.received, 16);
        EXPECT_EQ(sum.stored, 3);
        EXPECT_EQ(sum.duplicates, 1);
        EXPECT_EQ(sum.rejected, 12);
        EXPECT_EQ(pg().value(database, "SELECT count(*) FROM counts_reading"), "3");
    });
}

} // namespace
