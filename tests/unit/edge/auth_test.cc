/* The parsers of the auth interceptor; its decisions are in tests/rpc/quota_test.cc. */
#include <gtest/gtest.h>

#include "edge_probe.h"

TEST(auth, bearer)
{
    EXPECT_EQ(probe_bearer("Bearer abc"), "abc");
    EXPECT_EQ(probe_bearer("bearer abc"), "abc");
    EXPECT_EQ(probe_bearer(" BEARER   luna_x.y-z~+/=  "), "luna_x.y-z~+/=");
    EXPECT_EQ(probe_bearer("Bearer " + std::string(4096, 'x')), std::string(4096, 'x'));
    for (std::string wrong :
         {std::string(""), std::string("Bearer"), std::string("Bearer "), std::string("Basic dTpw"),
          std::string("abc"), std::string("Bearerabc"), std::string("Bearer a b"),
          std::string("Bearer a\tb"), std::string("Bearer \xc3\xa4"),
          std::string("Bearer a\0b", 10), "Bearer " + std::string(4097, 'x')})
        EXPECT_EQ(probe_bearer(wrong), "!") << wrong;
}

TEST(auth, scopes)
{
    EXPECT_TRUE(probe_scope(nullptr, "kalman.read"));
    EXPECT_TRUE(probe_scope("kalman.read", "kalman.read"));
    EXPECT_TRUE(probe_scope("kalman", "kalman.read"));
    EXPECT_TRUE(probe_scope("kalman.*", "kalman.write"));
    EXPECT_TRUE(probe_scope("*", "kalman.write"));
    EXPECT_TRUE(probe_scope("counts.read kalman.write", "kalman.write"));
    EXPECT_FALSE(probe_scope("", "kalman.read"));
    EXPECT_FALSE(probe_scope("kalman.read", "kalman.write"));
    EXPECT_FALSE(probe_scope("kal", "kalman.read"));
    EXPECT_FALSE(probe_scope("kalman.read.more", "kalman.read"));
    EXPECT_FALSE(probe_scope("kalmans.*", "kalman.read"));
    EXPECT_FALSE(probe_scope(".*", "kalman.read"));
}
