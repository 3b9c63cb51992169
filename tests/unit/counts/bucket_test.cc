/* Widths of buckets, and buckets from events. */
#include <gtest/gtest.h>

extern "C" {
#include "counts/counts_bucket.h"
}

namespace
{

bool
parse(const char *text, struct bucket_width *w)
{
    return bucket_width_parse(str_of(text), w);
}

TEST(bucket_width, units)
{
    struct bucket_width w;
    ASSERT_TRUE(parse("15m", &w));
    EXPECT_EQ(w.seconds, 900);
    EXPECT_EQ(w.unit, nullptr);
    ASSERT_TRUE(parse("2d", &w));
    EXPECT_STREQ(w.unit, "day");
    EXPECT_EQ(w.days, 2);
    ASSERT_TRUE(parse("1w", &w));
    EXPECT_EQ(w.days, 7);
    ASSERT_TRUE(parse("3mo", &w));
    EXPECT_EQ(w.months, 3);
    ASSERT_TRUE(parse("1y", &w));
    EXPECT_EQ(w.months, 12);
    for (const char *wrong :
         {"", "h", "0h", "-1h", "1", "1.5h", "1 h", "1H", "101y", "1moo", "9999999999s", "1h1m"})
        EXPECT_FALSE(parse(wrong, &w)) << wrong;
}

TEST(bucket_fold, weighs_by_time)
{
    struct counts_bucket b[3] = {};
    for (int i = 0; i < 3; i++) {
        b[i].starts_at = 100 * i;
        b[i].ends_at = 100 * (i + 1);
    }
    struct bucket_fold f;
    bucket_fold_init(&f, b, 3, 2);
    bucket_fold_step(&f, 25, 1, 0); /* 3 */
    bucket_fold_step(&f, 75, 0, 1); /* 2 */
    bucket_fold_step(&f, 75, 0, 1); /* 1 */
    bucket_fold_step(&f, 200, 0, 1);
    bucket_fold_step(&f, 200, 0, 1); /* -1: never clamped */
    bucket_fold_end(&f);
    EXPECT_EQ(b[0].entrances, 1);
    EXPECT_EQ(b[0].exits, 2);
    EXPECT_EQ(b[0].first, 2);
    EXPECT_EQ(b[0].last, 1);
    EXPECT_EQ(b[0].min, 1);
    EXPECT_EQ(b[0].max, 3);
    EXPECT_DOUBLE_EQ(b[0].mean, (25 * 2 + 50 * 3 + 25 * 1) / 100.0);
    EXPECT_EQ(b[1].entrances + b[1].exits, 0);
    EXPECT_EQ(b[1].first, 1);
    EXPECT_EQ(b[1].max, 1);
    EXPECT_DOUBLE_EQ(b[1].mean, 1);
    EXPECT_EQ(b[2].first, 1);
    EXPECT_EQ(b[2].last, -1);
    EXPECT_EQ(b[2].min, -1);
    EXPECT_DOUBLE_EQ(b[2].mean, -1);
}

TEST(bucket_fold, nothing_happens)
{
    struct counts_bucket b[1] = {};
    b[0].ends_at = 10;
    struct bucket_fold f;
    bucket_fold_init(&f, b, 1, 7);
    bucket_fold_end(&f);
    EXPECT_EQ(b[0].first, 7);
    EXPECT_EQ(b[0].last, 7);
    EXPECT_DOUBLE_EQ(b[0].mean, 7);
}

} // namespace
