/* Decoding without a server: bytes that no server would send. */
#include <gtest/gtest.h>

#include <random>

extern "C" {
#include "db/value.h"
}

static bool
decode(enum db_type t, const std::string &bytes)
{
    struct arena a;
    union {
        struct db_array array;
        struct uuid uuid;
        struct str s;
        int64_t i;
    } out;
    arena_init(&a, 0);
    const bool good = value_decode(&a, t, bytes.data(), bytes.size(), &out);
    arena_fini(&a);
    return good;
}

static std::string
be32(uint32_t v)
{
    return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
            static_cast<char>(v)};
}

TEST(value, refuses_wrong_widths)
{
    for (int t = DB_BOOL; t < DB_BOOL_ARRAY; t++) {
        const size_t want = value_types[t].wire_bytes;
        for (size_t n = 0; n < 20; n++) {
            if (want) {
                EXPECT_EQ(decode(static_cast<enum db_type>(t), std::string(n, '\1')), n == want)
                    << t;
            }
        }
    }
    EXPECT_FALSE(decode(DB_JSONB, "")) << "no version";
    EXPECT_FALSE(decode(DB_JSONB, "\2{}")) << "a version of the future";
    EXPECT_TRUE(decode(DB_JSONB, "\1{}"));
}

TEST(value, refuses_arrays_that_lie)
{
    const std::string head = be32(1) + be32(0) + be32(20);
    const std::string eight(8, '\0');
    EXPECT_TRUE(decode(DB_INT8_ARRAY, head + be32(1) + be32(1) + be32(8) + eight));
    EXPECT_TRUE(decode(DB_INT8_ARRAY, be32(0) + be32(0) + be32(20)));
    EXPECT_FALSE(decode(DB_INT8_ARRAY, "")) << "nothing";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head)) << "no dimension";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(2) + be32(1) + be32(8) + eight))
        << "too few elements";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(1) + be32(1) + be32(8) + eight + "x"))
        << "too much";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(1) + be32(1) + be32(7) + eight))
        << "wrong width";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(1) + be32(1) + be32(0x7fffffff) + eight))
        << "huge";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(1) + be32(1) + be32(0xfffffffe) + eight))
        << "negative";
    EXPECT_FALSE(decode(DB_INT8_ARRAY, head + be32(0xffffffff) + be32(1) + be32(8) + eight))
        << "count";
    EXPECT_FALSE(
        decode(DB_INT8_ARRAY, be32(2) + be32(0) + be32(20) + be32(1) + be32(1) + be32(8) + eight))
        << "two dimensions";
    EXPECT_FALSE(decode(DB_FLOAT8_ARRAY, head + be32(1) + be32(1) + be32(8) + eight))
        << "other elements";
}

TEST(value, survives_any_bytes)
{
    std::mt19937 random(20240607);
    for (int round = 0; round < 100000; round++) {
        const auto t = static_cast<enum db_type>(random() % DB_TYPE_COUNT);
        std::string bytes;
        if (value_is_array(t) && round % 2)
            bytes = be32(random() % 3) + be32(0) + be32(value_types[value_element(t)].oid) +
                    be32(random() % 5) + be32(1);
        for (size_t n = random() % 64; n > 0; n--)
            bytes += static_cast<char>(random() % 4 ? 0 : random());
        (void)decode(t, bytes);
    }
}

TEST(value, checks_arguments)
{
    const enum db_type types[] = {DB_INT8, DB_TEXT};
    const struct db_arg good[] = {db_int8(1), db_text("x")};
    const struct db_arg bad[] = {db_int8(1), db_int8(2)};
    EXPECT_EQ(value_check(types, 2, {good, 2}), nullptr);
    EXPECT_NE(value_check(types, 2, {good, 1}), nullptr);
    EXPECT_NE(value_check(types, 2, {bad, 2}), nullptr);
    struct db_arg huge = db_bytea("", 0);
    huge.s.n = size_t(1) << 30;
    const enum db_type bytea = DB_BYTEA;
    EXPECT_STREQ(value_check(&bytea, 1, {&huge, 1}), VALUE_TOO_LARGE);
}
