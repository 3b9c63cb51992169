#include <gtest/gtest.h>
#include <openssl/hmac.h>

extern "C" {
#include "quota/api_key.h"
}

static bool
parse(const std::string &s, struct uuid *ret)
{
    return api_key_parse({s.data(), s.size()}, ret);
}

static std::string
format(const struct uuid &u)
{
    char text[API_KEY_TEXT];
    api_key_format(&u, text);
    return text;
}

static struct uuid
example()
{
    struct uuid u;
    for (size_t i = 0; i < 16; i++)
        u.bytes[i] = static_cast<uint8_t>(i * 17);
    return u;
}

TEST(api_key, format_is_fixed)
{
    /* CRC-32 from Python: zlib.crc32(b"luna_00112233445566778899aabbccddeeff"), in base 62. */
    EXPECT_EQ(format(example()), "luna_00112233445566778899aabbccddeeff_2bMaEN");
    struct uuid u;
    api_key_generate(&u);
    EXPECT_EQ(u.bytes[6] >> 4, 4);
    EXPECT_EQ(format(u).size(), static_cast<size_t>(API_KEY_TEXT - 1));
    struct uuid other;
    api_key_generate(&other);
    EXPECT_NE(format(u), format(other));
}

TEST(api_key, reads_what_it_wrote)
{
    for (int i = 0; i < 1000; i++) {
        struct uuid u;
        struct uuid back;
        api_key_generate(&u);
        ASSERT_TRUE(parse(format(u), &back));
        ASSERT_EQ(memcmp(&u, &back, sizeof(u)), 0);
    }
    struct uuid u = example();
    struct uuid back;
    for (std::string form :
         {"00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899aabbccddeeff",
          "00112233-4455-6677-8899-AABBCCDDEEFF"}) {
        ASSERT_TRUE(parse(form, &back)) << form;
        EXPECT_EQ(memcmp(&u, &back, sizeof(u)), 0);
    }
    std::string upper = format(u);
    for (size_t i = 5; i < 37; i++)
        upper[i] = static_cast<char>(toupper(upper[i]));
    ASSERT_TRUE(parse(upper, &back));
    EXPECT_EQ(memcmp(&u, &back, sizeof(u)), 0);
}

TEST(api_key, refuses_typos)
{
    std::string good = format(example());
    struct uuid u;
    for (size_t i = 0; i < good.size(); i++) {
        for (char c : {'0', '1', 'a', 'f', 'g', 'Z', '_', '-', ' ', '\0'}) {
            std::string typo = good;
            typo[i] = c;
            if (typo == good)
                continue;
            EXPECT_FALSE(parse(typo, &u)) << typo;
        }
        std::string missing = good;
        missing.erase(i, 1);
        EXPECT_FALSE(parse(missing, &u)) << missing;
        std::string twice = good;
        twice.insert(i, 1, good[i]);
        EXPECT_FALSE(parse(twice, &u)) << twice;
        if (i + 1 < good.size() && good[i] != good[i + 1]) {
            std::string swapped = good;
            std::swap(swapped[i], swapped[i + 1]);
            EXPECT_FALSE(parse(swapped, &u)) << swapped;
        }
    }
    for (const char *no :
         {"", "luna_", "luna__", "x", "00112233445566778899aabbccddeef",
          "00112233-4455-6677-8899-aabbccddeefg", "0011223344556677-8899-aabbccddee-ff"})
        EXPECT_FALSE(parse(no, &u)) << no;
    EXPECT_FALSE(parse(std::string(32, '\0'), &u));
    EXPECT_FALSE(parse(std::string(36, 'x'), &u));
    EXPECT_FALSE(parse(std::string(100000, 'a'), &u));
}

TEST(api_key, hash_is_hmac_sha256)
{
    EXPECT_EQ(api_key_hasher_new(str_of("fifteen bytes..")), nullptr);
    struct api_key_hasher *h = api_key_hasher_new(str_of("0123456789abcdef"));
    ASSERT_NE(h, nullptr);
    struct uuid u = example();
    uint8_t hash[API_KEY_HASH];
    for (int twice = 0; twice < 2; twice++) {
        memset(hash, 0, sizeof(hash));
        api_key_hash(h, &u, hash);
        char hex[65];
        for (size_t i = 0; i < sizeof(hash); i++)
            snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        /* hmac.new(b"0123456789abcdef", bytes.fromhex("00112233445566778899aabbccddeeff"),
         * "sha256") */
        EXPECT_STREQ(hex, "c0065072de86820aed973d70cb34c78cb810a9a6afe5f3aa56dfd365a2d8755a");
    }
    api_key_hasher_free(h);
    struct api_key_hasher *other = api_key_hasher_new(str_of("0123456789abcdeg"));
    uint8_t different[API_KEY_HASH];
    api_key_hash(other, &u, different);
    EXPECT_NE(memcmp(hash, different, sizeof(hash)), 0);
    api_key_hasher_free(other);
    api_key_hasher_free(nullptr);
}

TEST(api_key, hash_agrees_with_openssl_for_secrets_of_any_length)
{
    struct uuid u = example();
    for (size_t n = API_KEY_SECRET_LEAST; n < 200; n++) {
        std::string secret;
        for (size_t i = 0; i < n; i++)
            secret.push_back(static_cast<char>(i * 7 + n));
        struct api_key_hasher *h = api_key_hasher_new({secret.data(), secret.size()});
        uint8_t hash[API_KEY_HASH];
        uint8_t expected[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        api_key_hash(h, &u, hash);
        HMAC(EVP_sha256(), secret.data(), static_cast<int>(n), u.bytes, sizeof(u.bytes), expected,
             &len);
        ASSERT_EQ(len, sizeof(hash));
        EXPECT_EQ(memcmp(hash, expected, len), 0) << n;
        api_key_hasher_free(h);
    }
}
