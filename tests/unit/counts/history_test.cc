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

void
lead(struct ctx *ctx, int64_t doorway, int64_t into, int64_t out_of)
{
    struct counts_doorway_change change = {};
    struct counts_doorway row;
    change.doorway_id = doorway;
    change.has_ingress = change.has_egress = true;
    change.ingress_space_id = into;
    change.egress_space_id = out_of;
    ASSERT_EQ(counts_update_doorway(ctx, &change, &row), OK) << ctx->error.message;
}

void
lay(struct ctx *ctx, int64_t space, int64_t parent)
{
    struct counts_space_change change = {};
    struct counts_space row;
    change.space_id = space;
    change.has_parent = true;
    change.parent_id = parent;
    ASSERT_EQ(counts_update_space(ctx, &change, &row), OK) << ctx->error.message;
}

/* known_at: nor was what the floor plan was corrected to later; what had been answered before is
 * answered still, whatever doorways lead to and spaces lie in now. */
TEST_F(counts, the_floor_plan_of_then_is_known)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        struct counts_space hall = {};
        hall.name = "hall";
        ASSERT_EQ(counts_create_space(ctx, &hall, &hall), OK) << ctx->error.message;
        for (int i = 0; i < 5; i++)
            put(ctx, 283, kNoon + i, 1);
        for (int i = 0; i < 2; i++)
            put(ctx, 423, kNoon + i, -1); /* from A into B */
        const int64_t spaces[] = {a, b, hall.space_id};
        struct then {
            usec_t at;
            std::vector<int64_t> counts;
        };
        std::vector<then> answers;
        auto answer = [&] {
            then t = {};
            for (int64_t space : spaces)
                t.counts.push_back(at(ctx, space, kNoon + kSecond));
            EXPECT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
            t.at = clock_wall_us();
            EXPECT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
            answers.push_back(t);
        };
        answer();
        lead(ctx, front, hall.space_id, 0); /* it leads into the hall */
        answer();
        lead(ctx, front, hall.space_id, b); /* ... from B */
        answer();
        lay(ctx, a, hall.space_id);
        answer();
        lay(ctx, a, b);
        answer();
        lay(ctx, a, 0);
        lead(ctx, front, a, 0); /* as it was at first */
        answer();
        const std::vector<std::vector<int64_t>> expected = {{3, 2, 0},   {-2, 2, 5},  {-2, -3, 5},
                                                            {-2, -3, 3}, {-2, -5, 5}, {3, 2, 0}};
        ASSERT_EQ(answers.size(), expected.size());
        for (size_t i = 0; i < answers.size(); i++) {
            EXPECT_EQ(answers[i].counts, expected[i]) << i;
            for (size_t k = 0; k < 3; k++)
                EXPECT_EQ(at(ctx, spaces[k], kNoon + kSecond, answers[i].at), expected[i][k])
                    << i << k;
        }
        /* Events are those of the doors of then: five through the front door, two through the
         * other one. */
        for (size_t i = 0; i < answers.size(); i++) {
            const struct counts_range range = {hall.space_id, kNoon, kNoon + kSecond,
                                               answers[i].at};
            const struct counts_cursor start = {-DB_INFINITY, 0, 0, 0};
            const size_t n_then[] = {0, 5, 5, 7, 5, 0};
            struct counts_event *events;
            size_t n = 0;
            ASSERT_EQ(counts_events(ctx, &range, &start, 100, &events, &n), OK)
                << ctx->error.message;
            EXPECT_EQ(n, n_then[i]) << i;
            EXPECT_EQ(n > 0 ? events[n - 1].count : 0, expected[i][2]) << i;
        }
        /* What is deleted is not known any more, and what lay in it is what it was. */
        ASSERT_EQ(counts_delete_space(ctx, hall.space_id, true), OK) << ctx->error.message;
        EXPECT_EQ(at(ctx, a, kNoon + kSecond, answers[0].at), 3);
        EXPECT_EQ(pg().value(database, "SELECT count(*) FROM counts_within_was WHERE outer_id = " +
                                           std::to_string(hall.space_id)),
                  "0");
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
