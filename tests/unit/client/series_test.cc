/* Series and numbers as the command-line tool reads and prints them. */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "cli/cli.h"
#include "cli/number.h"
}

namespace
{

struct Series {
    explicit Series(const std::string &text, const char *column = nullptr)
    {
        arena arena;
        arena_init(&arena, 0);
        double *p = nullptr;
        size_t n = 0;
        testing::internal::CaptureStderr();
        rc = series_parse(&arena, "x.csv", str{text.data(), text.size()}, column, &p, &n);
        error = testing::internal::GetCapturedStderr();
        if (rc == 0)
            values.assign(p, p + n);
        arena_fini(&arena);
    }
    int rc;
    std::string error;
    std::vector<double> values;
};

using List = std::vector<double>;

TEST(Series, OneNumberALine)
{
    EXPECT_EQ(Series("1\n2.5\n-3e2\n").values, (List{1, 2.5, -300}));
    EXPECT_EQ(Series("1\r\n2\r\n").values, (List{1, 2}));
    EXPECT_EQ(Series(" 1 \n+2").values, (List{1, 2}));
    EXPECT_EQ(Series("").values, List{});
    EXPECT_EQ(Series("\xef\xbb\xbfvolume\n1120\n").values, List{1120});
}

TEST(Series, MissingValues)
{
    Series s("1\n\nNA\nnan\nNULL\n2\n");
    ASSERT_EQ(s.values.size(), 6u);
    EXPECT_EQ(s.values[0], 1);
    for (int i = 1; i < 5; i++)
        EXPECT_TRUE(std::isnan(s.values[i])) << i;
    EXPECT_EQ(s.values[5], 2);
}

TEST(Series, ColumnsByNameAndNumber)
{
    std::string csv = "year,volume\n1871,1120\n1872,1160\n";
    EXPECT_EQ(Series(csv, "volume").values, (List{1120, 1160}));
    EXPECT_EQ(Series(csv, "1").values, (List{1871, 1872}));
    EXPECT_EQ(Series("1;2\n3;4\n", "2").values, (List{2, 4}));
    EXPECT_EQ(Series("a\tb\n1\t2\n", "b").values, (List{2}));
    EXPECT_EQ(Series("a,b\n1,\n,3\n\n4,5\n", "2").values.size(), 3u);
}

TEST(Series, Quotes)
{
    EXPECT_EQ(Series("\"a, \"\"b\"\"\",\"c\nd\"\n\"1\",\"2\" \n", "a, \"b\"").values, List{1});
    EXPECT_EQ(Series("\"a\",\"c\nd\"\n\"1\",\"2\"\r\n", "c\nd").values, List{2});
}

TEST(Series, SaysWhatIsWrong)
{
    Series many("year,volume\n1871,1120\n");
    EXPECT_EQ(many.rc, EXIT_LOCAL);
    EXPECT_NE(many.error.find("x.csv has 2 columns (year, volume): choose one, as in x.csv:volume"),
              std::string::npos)
        << many.error;
    EXPECT_NE(Series("a,b\n1,2\n", "c").error.find("no column \"c\": it has a, b"),
              std::string::npos);
    EXPECT_NE(Series("a,b\n1,2\n", "3").error.find("no column \"3\""), std::string::npos);
    EXPECT_NE(Series("1\n2\nthree\n").error.find("x.csv:3: \"three\" is not a number"),
              std::string::npos);
    EXPECT_NE(Series("a,b\n1\n", "b").error.find("x.csv:2: has too few columns"),
              std::string::npos);
    EXPECT_NE(Series("a,b\n1,\"2\n", "b").error.find("x.csv:2: a quote is not closed"),
              std::string::npos);
    EXPECT_NE(Series("1\n1e999\n").error.find("is not a number"), std::string::npos);
}

std::string
printed(double x)
{
    char text[NUMBER_TEXT];
    number_print(x, text);
    return text;
}

TEST(Number, ShortestThatReadsBack)
{
    EXPECT_EQ(printed(798.3702926083641), "798.3702926083641");
    EXPECT_EQ(printed(0.1), "0.1");
    EXPECT_EQ(printed(1120), "1120");
    EXPECT_EQ(printed(-0.0), "-0");
    EXPECT_EQ(printed(1e22), "1e+22");
    EXPECT_EQ(printed(NAN), "NaN");
    EXPECT_EQ(printed(-INFINITY), "-Infinity");
    std::mt19937_64 random(1);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random();
        double x, y;
        memcpy(&x, &bits, sizeof(x));
        if (!std::isfinite(x))
            continue;
        std::string text = printed(x);
        ASSERT_LT(text.size(), NUMBER_TEXT);
        ASSERT_TRUE(number_read(text.data(), text.size(), &y)) << text;
        ASSERT_EQ(memcmp(&x, &y, sizeof(x)), 0) << text;
    }
}

TEST(Number, ReadsWholeNumbersOnly)
{
    double x;
    for (std::string bad : {"", "+", "-", "1x", " 1", "1 ", "0x10", "--1", "+-1", "nan", "1e400"})
        EXPECT_FALSE(number_read(bad.data(), bad.size(), &x)) << bad;
    EXPECT_TRUE(number_read("-Infinity", 9, &x));
    EXPECT_EQ(x, -INFINITY);
    EXPECT_TRUE(number_read("4.9e-324", 8, &x));
    EXPECT_EQ(x, std::numeric_limits<double>::denorm_min());
}

} // namespace
