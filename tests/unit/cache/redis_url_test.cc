#include <gtest/gtest.h>

extern "C" {
#include "cache/redis_url.h"
}

static std::string
refused(const char *text)
{
    struct redis_url u;
    char err[200] = "";
    return redis_url_parse(text, &u, err, sizeof(err)) ? "accepted" : err;
}

static struct redis_url
parsed(const char *text)
{
    struct redis_url u = {};
    char err[200] = "";
    EXPECT_TRUE(redis_url_parse(text, &u, err, sizeof(err))) << text << ": " << err;
    return u;
}

TEST(redis_url, reads_tcp)
{
    struct redis_url u = parsed("redis://cache.example");
    EXPECT_FALSE(u.is_unix);
    EXPECT_STREQ(u.host, "cache.example");
    EXPECT_STREQ(u.port, "6379");
    EXPECT_STREQ(u.password, "");
    EXPECT_EQ(u.db, 0);
    u = parsed("redis://luna:p%40ss%2Fw:rd@[::1]:7000/15");
    EXPECT_STREQ(u.host, "::1");
    EXPECT_STREQ(u.port, "7000");
    EXPECT_STREQ(u.user, "luna");
    EXPECT_STREQ(u.password, "p@ss/w:rd");
    EXPECT_EQ(u.db, 15);
    u = parsed("redis://:secret@127.0.0.1:1/");
    EXPECT_STREQ(u.user, "");
    EXPECT_STREQ(u.password, "secret");
    EXPECT_STREQ(u.port, "1");
    u = parsed("redis://u:a/b@host/3");
    EXPECT_STREQ(u.password, "a/b");
    EXPECT_EQ(u.db, 3);
}

TEST(redis_url, reads_unix)
{
    struct redis_url u = parsed("unix:/run/redis.sock");
    EXPECT_TRUE(u.is_unix);
    EXPECT_STREQ(u.path, "/run/redis.sock");
    u = parsed("unix:///run/redis.sock?db=2&user=u&password=a%26b");
    EXPECT_STREQ(u.path, "/run/redis.sock");
    EXPECT_EQ(u.db, 2);
    EXPECT_STREQ(u.user, "u");
    EXPECT_STREQ(u.password, "a&b");
}

TEST(redis_url, says_what_is_wrong)
{
    EXPECT_NE(refused("").find("neither"), std::string::npos);
    EXPECT_NE(refused("localhost:6379").find("neither"), std::string::npos);
    EXPECT_NE(refused("rediss://h").find("TLS"), std::string::npos);
    EXPECT_NE(refused("redis://").find("host"), std::string::npos);
    EXPECT_NE(refused("redis://h:0").find("port"), std::string::npos);
    EXPECT_NE(refused("redis://h:65536").find("port"), std::string::npos);
    EXPECT_NE(refused("redis://h:x").find("port"), std::string::npos);
    EXPECT_NE(refused("redis://[::1").find("IPv6"), std::string::npos);
    EXPECT_NE(refused("redis://h/-1").find("database"), std::string::npos);
    EXPECT_NE(refused("redis://u:%zz@h").find("password"), std::string::npos);
    EXPECT_NE(refused("redis://u:%00@h").find("password"), std::string::npos);
    EXPECT_NE(refused("unix:relative").find("unix:/path"), std::string::npos);
    EXPECT_NE(refused(("unix:/" + std::string(107, 'x')).c_str()).find("107"), std::string::npos);
    EXPECT_NE(refused("unix:/a?color=red").find("db, user"), std::string::npos);
    EXPECT_EQ(refused(("redis://u:" + std::string(600, 'p') + "@h").c_str()).find("ppp"),
              std::string::npos);
}
