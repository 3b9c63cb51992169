#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

extern "C" {
#include "base/buf.h"
#include "base/str.h"
}

namespace
{

std::string
text(const buf &b)
{
    return std::string(b.data ? b.data : "", b.len);
}

std::string
json(const std::string &s)
{
    buf b;
    buf_init(&b, 1 << 20);
    buf_put_json(&b, s.data(), s.size());
    std::string out = text(b);
    buf_fini(&b);
    return out;
}

TEST(Buf, HoldsExactlyItsMaximum)
{
    for (size_t max : {0u, 1u, 2u, 255u, 256u, 257u, 1000u}) {
        buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            buf_putc(&b, 'x');
        EXPECT_FALSE(b.overflow);
        EXPECT_EQ(b.len, max);
        EXPECT_LE(b.cap, max + 1);
        buf_putc(&b, 'y');
        EXPECT_TRUE(b.overflow);
        EXPECT_EQ(text(b), std::string(max, 'x'));
        buf_fini(&b);
    }
}

TEST(Buf, IgnoresWritesAfterTheFirstThatDidNotFit)
{
    buf b;
    buf_init(&b, 4);
    buf_puts(&b, "abc");
    buf_puts(&b, "de");
    buf_putc(&b, 'f');
    buf_printf(&b, "%d", 1);
    buf_put_json(&b, "", 0);
    EXPECT_EQ(buf_reserve(&b, 0), nullptr);
    EXPECT_EQ(text(b), "abc");
    EXPECT_TRUE(b.overflow);
    buf_clear(&b);
    EXPECT_FALSE(b.overflow);
    EXPECT_EQ(b.len, 0u);
    EXPECT_STREQ(b.data, "");
    buf_puts(&b, "abcd");
    EXPECT_STREQ(b.data, "abcd");
    buf_fini(&b);
}

TEST(Buf, HugeReservationsDoNotWrapAround)
{
    buf b;
    buf_init(&b, 100);
    buf_puts(&b, "abc");
    EXPECT_EQ(buf_reserve(&b, SIZE_MAX), nullptr);
    EXPECT_EQ(text(b), "abc");
    buf_fini(&b);
}

TEST(Buf, ReservedRoomIsTheCallers)
{
    buf b;
    buf_init(&b, 1000);
    buf_puts(&b, "ab");
    char *p = buf_reserve(&b, 600);
    ASSERT_NE(p, nullptr);
    memset(p, 'z', 600);
    b.len += 600;
    EXPECT_STREQ(b.data, ("ab" + std::string(600, 'z')).c_str());
    buf_fini(&b);
}

/* Random writes against a std::string that obeys the same rule. */
TEST(Buf, BehavesLikeAStringWithALimit)
{
    std::mt19937 rng(2);
    for (int round = 0; round < 2000; round++) {
        size_t max = rng() % 600;
        buf b;
        buf_init(&b, max);
        std::string model;
        bool overflow = false;
        for (int i = 0; i < 20; i++) {
            std::string piece(rng() % (1u << rng() % 9), static_cast<char>('a' + i));
            bool formatted = rng() % 2;
            if (formatted)
                buf_printf(&b, "%s<%d>", piece.c_str(), i);
            else
                buf_put(&b, piece.data(), piece.size());
            if (formatted)
                piece += "<" + std::to_string(i) + ">";
            overflow = overflow || model.size() + piece.size() > max;
            if (!overflow)
                model += piece;
            ASSERT_EQ(text(b), model);
            ASSERT_EQ(b.overflow, overflow);
            if (b.data) {
                ASSERT_EQ(strlen(b.data), model.size());
            }
        }
        buf_fini(&b);
    }
}

TEST(Buf, WritesIntegers)
{
    for (int64_t v :
         {int64_t{0}, int64_t{-1}, int64_t{9}, int64_t{10}, int64_t{-10}, INT64_MAX, INT64_MIN}) {
        buf b;
        buf_init(&b, 100);
        buf_put_int(&b, v);
        buf_putc(&b, ' ');
        buf_put_uint(&b, static_cast<uint64_t>(v));
        EXPECT_EQ(text(b), std::to_string(v) + " " + std::to_string(static_cast<uint64_t>(v)));
        buf_fini(&b);
    }
    buf b;
    buf_init(&b, 3);
    buf_puts(&b, "a");
    buf_put_int(&b, -12); /* its sign would fit */
    EXPECT_EQ(text(b), "a");
    EXPECT_TRUE(b.overflow);
    buf_fini(&b);
}

TEST(Buf, WritesJsonStrings)
{
    EXPECT_EQ(json(""), "\"\"");
    EXPECT_EQ(json("abc"), "\"abc\"");
    EXPECT_EQ(json("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    EXPECT_EQ(json("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    EXPECT_EQ(json(std::string("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\\u007f\"");
    EXPECT_EQ(json("caf\xc3\xa9 \xf0\x9f\x8c\x99"), "\"caf\xc3\xa9 \xf0\x9f\x8c\x99\"");
    EXPECT_EQ(json("\xc2\x9b"), "\"\\u009b\"");
    EXPECT_EQ(json("\xc2\xa0"), "\"\xc2\xa0\"");
}

/* One U+FFFD for each maximal part of a sequence, as the Unicode standard recommends (table 3-8).
 */
TEST(Buf, ReplacesInvalidUtf8InJson)
{
    const std::string r = "\xef\xbf\xbd";
    EXPECT_EQ(json("\xff"), "\"" + r + "\"");
    EXPECT_EQ(json("a\xc3"), "\"a" + r + "\"");
    EXPECT_EQ(json("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
              "\"" + r + r + r + r + r + r + r + r + "A\"");
    EXPECT_EQ(json("\xed\xa0\x80"), "\"" + r + r + r + "\"");
    EXPECT_EQ(json("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
              "\"" + r + r + r + r + r + "A" + r + r + "B\"");
    EXPECT_EQ(json("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), "\"" + r + r + r + r + "A\"");
}

TEST(Buf, JsonOfAnyBytesIsUtf8WithoutControls)
{
    std::mt19937 rng(3);
    for (int round = 0; round < 20000; round++) {
        std::string s(rng() % 12, '\0');
        for (char &c : s)
            c = static_cast<char>(rng());
        std::string out = json(s);
        ASSERT_TRUE(str_utf8_valid({out.data(), out.size()}));
        for (char c : out)
            ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
}

TEST(Buf, JsonThatDoesNotFitLeavesNothing)
{
    for (size_t max = 2; max < 12; max++) {
        buf b;
        buf_init(&b, max);
        buf_puts(&b, "x:");
        buf_put_json(&b, "a\nbc", 4); /* 7 bytes */
        EXPECT_EQ(text(b), max >= 9 ? "x:\"a\\nbc\"" : "x:");
        EXPECT_EQ(b.overflow, max < 9);
        EXPECT_EQ(strlen(b.data), b.len);
        buf_fini(&b);
    }
}

} // namespace
