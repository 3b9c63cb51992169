#include <gtest/gtest.h>

#include <map>
#include <random>

extern "C" {
#include "quota/key_cache.h"
}

static struct key_entry
facts(int n, bool known, int64_t account = 1)
{
    struct key_entry e = {};
    memcpy(e.hash, &n, sizeof(n));
    e.known = known;
    e.account_id = account;
    e.key_id = n;
    return e;
}

static struct key_entry *
find(struct key_cache *c, int n)
{
    struct key_entry e = facts(n, true);
    return key_cache_find(c, e.hash);
}

TEST(key_cache, remembers_and_replaces)
{
    struct key_cache *c = key_cache_new(4, 4);
    EXPECT_EQ(find(c, 1), nullptr);
    struct key_entry e = facts(1, true);
    char scopes[] = "kalman.read";
    e.scopes = scopes;
    key_cache_put(c, &e);
    ASSERT_NE(find(c, 1), nullptr);
    EXPECT_STREQ(find(c, 1)->scopes, "kalman.read");
    EXPECT_NE(find(c, 1)->scopes, scopes);
    find(c, 1)->touched = 77;
    find(c, 1)->refreshing = true;
    e.scopes = nullptr;
    e.revoked = true;
    key_cache_put(c, &e);
    EXPECT_TRUE(find(c, 1)->revoked);
    EXPECT_EQ(find(c, 1)->scopes, nullptr);
    EXPECT_EQ(find(c, 1)->touched, 77);
    EXPECT_FALSE(find(c, 1)->refreshing);
    EXPECT_EQ(key_cache_count(c, true), 1u);
    struct key_entry gone = facts(1, false);
    key_cache_put(c, &gone);
    EXPECT_EQ(key_cache_count(c, true), 0u);
    EXPECT_EQ(key_cache_count(c, false), 1u);
    key_cache_free(c);
}

TEST(key_cache, the_least_used_goes_first)
{
    struct key_cache *c = key_cache_new(3, 2);
    for (int i = 1; i <= 3; i++) {
        struct key_entry e = facts(i, true);
        key_cache_put(c, &e);
    }
    ASSERT_NE(find(c, 1), nullptr);
    struct key_entry e = facts(4, true);
    key_cache_put(c, &e);
    EXPECT_NE(find(c, 1), nullptr);
    EXPECT_EQ(find(c, 2), nullptr);
    /* Wrong keys push out wrong keys. */
    for (int i = 100; i < 200; i++) {
        struct key_entry wrong = facts(i, false);
        key_cache_put(c, &wrong);
    }
    EXPECT_EQ(key_cache_count(c, false), 2u);
    EXPECT_EQ(key_cache_count(c, true), 3u);
    EXPECT_NE(find(c, 1), nullptr);
    key_cache_free(c);
}

TEST(key_cache, forgets_an_account)
{
    struct key_cache *c = key_cache_new(10, 10);
    for (int i = 0; i < 6; i++) {
        struct key_entry e = facts(i, true, i % 2);
        key_cache_put(c, &e);
    }
    key_cache_drop_account(c, 1);
    EXPECT_EQ(key_cache_count(c, true), 3u);
    EXPECT_NE(find(c, 0), nullptr);
    EXPECT_EQ(find(c, 1), nullptr);
    key_cache_drop_account(c, 0);
    EXPECT_EQ(key_cache_count(c, true), 0u);
    key_cache_free(c);
}

TEST(key_cache, ages)
{
    struct key_cache *c = key_cache_new(10, 10);
    for (int i = 0; i < 4; i++) {
        struct key_entry e = facts(i, i % 2);
        e.read_at = i * 100;
        key_cache_put(c, &e);
    }
    key_cache_age(c, 150);
    EXPECT_EQ(find(c, 0)->read_at, 0);
    EXPECT_EQ(find(c, 1)->read_at, 100);
    EXPECT_EQ(find(c, 2)->read_at, 150);
    EXPECT_EQ(find(c, 3)->read_at, 150);
    key_cache_free(c);
}

TEST(key_cache, agrees_with_a_map)
{
    struct key_cache *c = key_cache_new(100000, 100000);
    std::map<int, bool> model;
    std::mt19937 random(7);
    for (int i = 0; i < 100000; i++) {
        int n = static_cast<int>(random() % 5000);
        bool known = random() % 2;
        struct key_entry e = facts(n, known);
        key_cache_put(c, &e);
        model[n] = known;
    }
    size_t known = 0;
    for (auto [n, k] : model) {
        ASSERT_NE(find(c, n), nullptr);
        EXPECT_EQ(find(c, n)->known, k);
        known += k;
    }
    EXPECT_EQ(key_cache_count(c, true), known);
    EXPECT_EQ(key_cache_count(c, false), model.size() - known);
    key_cache_free(c);
}
