// X-RateLimit-* from RateLimit-Policy and RateLimit.
extern "C" {
#include "gateway/ratelimit.h"
}

#include <gtest/gtest.h>

#include <string>

namespace
{

/* "limit remaining reset", or "no". */
std::string
tightest(const std::string &policy, const std::string &state)
{
    struct ratelimit r = {-1, -1, -1};
    if (!ratelimit_tightest({policy.data(), policy.size()}, {state.data(), state.size()}, &r)) {
        EXPECT_EQ(r.limit, -1); // what cannot be read is not touched
        return "no";
    }
    return std::to_string(r.limit) + " " + std::to_string(r.remaining) + " " +
           std::to_string(r.reset);
}

} // namespace

TEST(Ratelimit, TheLeastThatIsLeft)
{
    EXPECT_EQ(tightest("\"quota\";q=500", "\"quota\";r=499"), "500 499 0");
    EXPECT_EQ(tightest("\"quota\";q=500", "\"quota\";r=0;t=3600"), "500 0 3600");
    const std::string policy = "\"quota\";q=500, \"account\";q=20;w=2, \"key\";q=5;w=10";
    EXPECT_EQ(tightest(policy, "\"quota\";r=499, \"account\";r=19;t=1, \"key\";r=4;t=2"), "5 4 2");
    EXPECT_EQ(tightest(policy, "\"quota\";r=499, \"account\";r=3;t=2, \"key\";r=4;t=2"), "20 3 2");
    EXPECT_EQ(tightest(policy, "\"quota\";r=2;t=60, \"account\";r=19;t=1, \"key\";r=4;t=2"),
              "500 2 60");
    // The first one holds: it is what every one of them costs.
    EXPECT_EQ(tightest(policy, "\"quota\";r=4, \"account\";r=4;t=7, \"key\";r=4;t=2"), "500 4 0");
    EXPECT_EQ(tightest("\"quota\";q=9223372036854775807", "\"quota\";r=9223372036854775807"),
              "9223372036854775807 9223372036854775807 0");
}

TEST(Ratelimit, WhatCannotBeRead)
{
    EXPECT_EQ(tightest("", ""), "no");
    EXPECT_EQ(tightest("\"quota\";q=500", ""), "no");
    EXPECT_EQ(tightest("\"quota\";q=500", "\"rate\";r=4"), "no");
    EXPECT_EQ(tightest("\"quota\";q=500, \"key\";q=4", "\"quota\";r=4"), "no");
    EXPECT_EQ(tightest("\"quota\";q=500", "\"quota\";r=4, \"key\";r=3"), "no");
    for (const char *state : {"x", "\"", "\"quota", "\"quota\"", "\"quota\";", "\"quota\";r",
                              "\"quota\";r=", "\"quota\";r=x", "\"quota\";r=99999999999999999999",
                              "\"quota\",\"quota\";r=4", "quota;r=4"})
        EXPECT_EQ(tightest("\"quota\";q=500", state), "no") << state;
}
