#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

extern "C" {
#include "base/uuid.h"
}

namespace
{

std::string
format(const uuid &u)
{
    char out[UUID_TEXT];
    uuid_format(&u, out);
    return out;
}

/* Every bit outside `fixed` comes as 0 and as 1: with 256 draws, chance misses one in 2^248. */
void
expect_free_bits(uuid (*make)(), const uint8_t (&fixed)[16])
{
    uint8_t ones[16] = {};
    uint8_t zeros[16] = {};
    std::set<std::string> seen;
    for (int i = 0; i < 256; i++) {
        uuid u = make();
        for (int k = 0; k < 16; k++) {
            ones[k] = static_cast<uint8_t>(ones[k] | u.bytes[k]);
            zeros[k] = static_cast<uint8_t>(zeros[k] | ~u.bytes[k]);
        }
        seen.insert(format(u));
        EXPECT_EQ(u.bytes[8] >> 6, 2); /* RFC 9562's variant */
    }
    EXPECT_EQ(seen.size(), 256u);
    for (int k = 0; k < 16; k++)
        EXPECT_EQ(ones[k] & zeros[k], 0xff & ~fixed[k]) << "byte " << k;
}

TEST(Uuid, Version4Has122RandomBits)
{
    uint8_t fixed[16] = {};
    fixed[6] = 0xf0;
    fixed[8] = 0xc0;
    expect_free_bits(
        [] {
            uuid u;
            uuid_v4(&u);
            EXPECT_EQ(u.bytes[6] >> 4, 4);
            return u;
        },
        fixed);
}

TEST(Uuid, Version7HasItsTimeAnd74RandomBits)
{
    uint8_t fixed[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 0, 0xc0};
    expect_free_bits(
        [] {
            uuid u;
            uuid_v7(&u, 0x017f22e279b0);
            EXPECT_EQ(format(u).substr(0, 15), "017f22e2-79b0-7");
            return u;
        },
        fixed);
}

TEST(Uuid, Version7SortsByTime)
{
    uuid older;
    uuid newer;
    for (int64_t ms : {int64_t{0}, int64_t{255}, int64_t{1700000000000}, int64_t{0xfffffffffffe}}) {
        uuid_v7(&older, ms);
        uuid_v7(&newer, ms + 1);
        EXPECT_LT(memcmp(&older, &newer, sizeof(older)), 0) << ms;
    }
}

TEST(Uuid, FormatsAndReadsBack)
{
    uuid u;
    const uint8_t bytes[16] = {0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0,
                               0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6};
    for (const char *text :
         {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
          "f81d4fae7dec11d0a76500a0c91e6bf6"}) {
        memset(&u, 0, sizeof(u));
        EXPECT_TRUE(uuid_parse(text, &u)) << text;
        EXPECT_EQ(memcmp(u.bytes, bytes, sizeof(bytes)), 0);
        EXPECT_EQ(format(u), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    }
    for (int i = 0; i < 1000; i++) {
        uuid back;
        uuid_v4(&u);
        ASSERT_TRUE(uuid_parse(format(u).c_str(), &back));
        ASSERT_EQ(memcmp(&u, &back, sizeof(u)), 0);
    }
}

TEST(Uuid, RefusesOtherTexts)
{
    const std::string good = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    uuid u = {};
    uuid untouched = {};
    for (size_t n = 0; n < good.size(); n++) {
        EXPECT_FALSE(uuid_parse(good.substr(0, n).c_str(), &u)) << n;
        for (char c : {'g', '-', ' ', '/', ':', '@', '`', '\xff'}) {
            if (good[n] == c)
                continue;
            std::string bad = good;
            bad[n] = c;
            EXPECT_FALSE(uuid_parse(bad.c_str(), &u)) << bad;
        }
    }
    EXPECT_FALSE(uuid_parse((good + "0").c_str(), &u));
    EXPECT_FALSE(uuid_parse(("{" + good + "}").c_str(), &u));
    EXPECT_FALSE(uuid_parse("f81d4fae7dec11d0a76500a0c91e6bf", &u));
    EXPECT_FALSE(uuid_parse("f81d4fae7dec11d0a76500a0c91e6bf60", &u));
    EXPECT_FALSE(uuid_parse("f81d4fae7dec-11d0-a765-00a0c91e6bf6", &u));
    EXPECT_EQ(memcmp(&u, &untouched, sizeof(u)), 0);
}

TEST(Uuid, RandomBytesFillLargeBuffersToTheEnd)
{
    static unsigned char bytes[1 << 16];
    random_bytes(bytes, 0);
    EXPECT_EQ(bytes[0], 0);
    random_bytes(bytes, sizeof(bytes));
    int count[256] = {};
    for (unsigned char b : bytes)
        count[b]++;
    for (int n : count) /* 256 expected, standard deviation 16 */
        EXPECT_NEAR(n, 256, 160);
    unsigned char tail = 0;
    for (size_t i = sizeof(bytes) - 64; i < sizeof(bytes); i++)
        tail = static_cast<unsigned char>(tail | bytes[i]);
    EXPECT_NE(tail, 0);
}

} // namespace
