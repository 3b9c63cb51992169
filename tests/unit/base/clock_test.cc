#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <string>

extern "C" {
#include "base/clock.h"
}

namespace
{

constexpr int64_t kFirst = -62135596800; /* 0001-01-01T00:00:00Z */
constexpr int64_t kLast = 253402300799;  /* 9999-12-31T23:59:59Z */

std::string
format(usec_t t)
{
    char out[CLOCK_TEXT];
    memset(out, '#', sizeof(out));
    clock_format(t, out);
    return out;
}

/* What libc makes of it. */
std::string
libc_format(int64_t sec, int us)
{
    tm t;
    time_t when = sec;
    gmtime_r(&when, &t);
    char out[64];
    int n = snprintf(out, sizeof(out), "%04d-%02d-%02dT%02d:%02d:%02d", t.tm_year + 1900,
                     t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    if (us % 1000)
        n += snprintf(out + n, sizeof(out) - static_cast<size_t>(n), ".%06d", us);
    else if (us)
        n += snprintf(out + n, sizeof(out) - static_cast<size_t>(n), ".%03d", us / 1000);
    return std::string(out, static_cast<size_t>(n)) + "Z";
}

bool
parse(const std::string &s, usec_t *ret)
{
    return clock_parse(s.data(), s.size(), ret);
}

int64_t
libc_seconds(int year, int month, int day, int hour, int minute, int second)
{
    tm t = {};
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    t.tm_mday = day;
    t.tm_hour = hour;
    t.tm_min = minute;
    t.tm_sec = second;
    return timegm(&t);
}

TEST(Clock, EveryDayOfTenThousandYears)
{
    for (int64_t sec = kFirst; sec <= kLast; sec += 86400) {
        std::string want = libc_format(sec, 0);
        ASSERT_EQ(format(sec * 1000000), want);
        usec_t back = 0;
        ASSERT_TRUE(parse(want, &back)) << want;
        ASSERT_EQ(back, sec * 1000000);
        ASSERT_TRUE(parse(want.substr(0, 10), &back)) << want;
        ASSERT_EQ(back, sec * 1000000);
    }
}

TEST(Clock, RandomInstantsRoundTrip)
{
    std::mt19937_64 rng(6);
    std::uniform_int_distribution<int64_t> seconds(kFirst, kLast);
    for (int i = 0; i < 300000; i++) {
        int64_t sec = seconds(rng);
        int us = static_cast<int>(rng() % 1000000);
        us = i % 3 == 0 ? us : i % 3 == 1 ? us / 1000 * 1000 : 0;
        std::string want = libc_format(sec, us);
        ASSERT_EQ(format(sec * 1000000 + us), want);
        usec_t back = 0;
        ASSERT_TRUE(parse(want, &back)) << want;
        ASSERT_EQ(back, sec * 1000000 + us);
    }
}

/* Fields that may not exist together: accepted exactly when timegm leaves them as they are. */
TEST(Clock, RandomFieldsAgreeWithTimegm)
{
    std::mt19937 rng(7);
    int valid = 0;
    for (int i = 0; i < 300000; i++) {
        int year = static_cast<int>(rng() % 10000);
        int month = static_cast<int>(rng() % 14);
        int day = static_cast<int>(rng() % 33);
        int hour = static_cast<int>(rng() % 25);
        int minute = static_cast<int>(rng() % 61);
        int second = static_cast<int>(rng() % 61);
        int offset = static_cast<int>(rng() % 2800) - 1400;
        int shown = abs(offset);
        char text[64];
        snprintf(text, sizeof(text), "%04d-%02d-%02d%c%02d:%02d:%02d%c%02d:%02d", year, month, day,
                 "Tt "[rng() % 3], hour, minute, second, offset < 0 ? '-' : '+', shown / 60,
                 shown % 60);
        int64_t sec = libc_seconds(year, month, day, hour, minute, second);
        time_t when = sec;
        tm t;
        gmtime_r(&when, &t);
        bool exists = t.tm_year + 1900 == year && t.tm_mon + 1 == month && t.tm_mday == day &&
                      t.tm_hour == hour && t.tm_min == minute && t.tm_sec == second;
        sec -= offset * 60;
        bool want = exists && year >= 1 && sec >= kFirst && sec <= kLast;
        usec_t got = 0;
        ASSERT_EQ(parse(text, &got), want) << text;
        if (want) {
            ASSERT_EQ(got, sec * 1000000) << text;
        }
        valid += want;
    }
    EXPECT_GT(valid, 100000);
}

TEST(Clock, Examples)
{
    usec_t t = 0;
    EXPECT_TRUE(parse("2018-02-25", &t));
    EXPECT_EQ(format(t), "2018-02-25T00:00:00Z");
    EXPECT_TRUE(parse("2018-02-25T15:04:05.25Z", &t));
    EXPECT_EQ(format(t), "2018-02-25T15:04:05.250Z");
    EXPECT_TRUE(parse("2018-02-25 15:04:05.0000019999999999999999999+01:00", &t));
    EXPECT_EQ(format(t), "2018-02-25T14:04:05.000001Z");
    EXPECT_TRUE(parse("1969-12-31T23:59:59.999999z", &t));
    EXPECT_EQ(t, -1);
    EXPECT_TRUE(parse("2000-02-29t00:00:00-00:00", &t));
    EXPECT_EQ(format(0), "1970-01-01T00:00:00Z");
    EXPECT_EQ(format(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Clock, RefusesWhatIsNoTime)
{
    for (const char *bad : {"",
                            "2",
                            "2018",
                            "2018-02",
                            "2018-2-25",
                            "2018-02-30",
                            "2018-02-29",
                            "1900-02-29",
                            "2018-04-31",
                            "2018-00-01",
                            "2018-13-01",
                            "2018-01-00",
                            "0000-01-01",
                            "-001-01-01",
                            "12018-01-01",
                            "2018-01-01T",
                            "2018-01-01T00",
                            "2018-01-01T00:00",
                            "2018-01-01T00:00:00",
                            "2018-01-01T00:00Z",
                            "2018-01-01T24:00:00Z",
                            "2018-01-01T00:60:00Z",
                            "2018-01-01T00:00:60Z",
                            "2016-12-31T23:59:60Z",
                            "2018-01-01T00:00:00.Z",
                            "2018-01-01T00:00:00,5Z",
                            "2018-01-01T00:00:00+1:00",
                            "2018-01-01T00:00:00+0100",
                            "2018-01-01T00:00:00+01",
                            "2018-01-01T00:00:00+24:00",
                            "2018-01-01T00:00:00+01:60",
                            "2018-01-01T00:00:00Z ",
                            " 2018-01-01T00:00:00Z",
                            "2018-01-01  00:00:00Z",
                            "2018/01/01",
                            "2018-01-01Z",
                            "2018-01-01_00:00:00Z",
                            "0001-01-01T00:00:00+00:01",
                            "9999-12-31T23:59:59-00:01",
                            "20\xd9\xa1\xd9\xa8-01-01"}) {
        usec_t t = 7;
        EXPECT_FALSE(parse(bad, &t)) << bad;
        EXPECT_EQ(t, 7) << bad;
    }
    usec_t t;
    EXPECT_FALSE(clock_parse("2018-01-01\0", 11, &t));
}

TEST(Clock, ReadsNoFurtherThanItsLength)
{
    usec_t t = 0;
    EXPECT_TRUE(clock_parse("2018-02-25T15:04:05Z", 10, &t));
    EXPECT_EQ(format(t), "2018-02-25T00:00:00Z");
}

TEST(Clock, ShowsTheNearestYearItHas)
{
    EXPECT_EQ(format(INT64_MIN), "0001-01-01T00:00:00Z");
    EXPECT_EQ(format(kFirst * 1000000 - 1), "0001-01-01T00:00:00Z");
    EXPECT_EQ(format(kLast * 1000000 + 1000000), "9999-12-31T23:59:59.999999Z");
    EXPECT_EQ(format(INT64_MAX), "9999-12-31T23:59:59.999999Z");
}

TEST(Clock, RunsForward)
{
    nsec_t before = clock_now();
    usec_t wall = clock_wall_us();
    time_t libc = time(nullptr);
    timespec pause = {0, 2000000};
    nanosleep(&pause, nullptr);
    EXPECT_GE(clock_now() - before, MSEC(2));
    EXPECT_LT(clock_now() - before, SEC(60));
    EXPECT_GE(clock_wall_us() - wall, 1000);
    EXPECT_NEAR(static_cast<double>(wall) / 1e6, static_cast<double>(libc), 2);
}

} // namespace
