#include <gtest/gtest.h>

#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

extern "C" {
#include "base/str.h"
}

namespace
{

str
view(const std::string &s)
{
    return {s.data(), s.size()};
}

TEST(Str, ComparesFoldsAndTrims)
{
    EXPECT_TRUE(str_ieq(str_of("AbZ19"), str_of("aBz19")));
    EXPECT_FALSE(str_ieq(str_of("ab"), str_of("abc")));
    EXPECT_FALSE(str_ieq(str_of("@"), str_of("`")));       /* 0x20 apart, but no letters */
    EXPECT_FALSE(str_ieq(str_of("\xc4"), str_of("\xe4"))); /* Latin-1 letters */
    EXPECT_TRUE(str_starts(str_of("abc"), str_of("ab")));
    EXPECT_TRUE(str_starts(str_of("abc"), str_of("")));
    EXPECT_FALSE(str_starts(str_of("ab"), str_of("abc")));
    EXPECT_TRUE(str_eq(str_trim(str_of(" \t\r\n a b \n")), str_of("a b")));
    EXPECT_TRUE(str_eq(str_trim(str_of(" \t ")), str_of("")));
    EXPECT_TRUE(str_eq(str_trim(str_of(nullptr)), str_of("")));
}

TEST(Str, WritesNumbersAsTheStandardLibraryDoes)
{
    std::mt19937_64 random(1);
    auto check = [](int64_t n) {
        char ours[STR_I64_SIZE], theirs[32];
        std::string a(ours, str_write_i64(ours, n));
        EXPECT_EQ(a, std::string(theirs, std::to_chars(theirs, theirs + 32, n).ptr));
    };
    for (int64_t n = -1100; n <= 1100; n++)
        check(n);
    int64_t power = 1;
    for (int i = 0; i < 18; i++, power *= 10)
        for (int64_t n : {power - 1, power, power + 1})
            check(n), check(-n);
    check(std::numeric_limits<int64_t>::min());
    check(std::numeric_limits<int64_t>::max());
    for (int i = 0; i < 100000; i++)
        check(static_cast<int64_t>(random()) >> (random() % 63));
}

TEST(Str, CutsAtTheFirstSeparator)
{
    str s = str_of("a,,bc");
    EXPECT_TRUE(str_eq(str_cut(&s, ','), str_of("a")));
    EXPECT_TRUE(str_eq(str_cut(&s, ','), str_of("")));
    EXPECT_TRUE(str_eq(s, str_of("bc")));
    EXPECT_TRUE(str_eq(str_cut(&s, ','), str_of("bc")));
    EXPECT_EQ(s.p, nullptr);
    EXPECT_EQ(s.n, 0u);
    EXPECT_EQ(str_cut(&s, ',').n, 0u);
    s = str_of("a,");
    str_cut(&s, ',');
    EXPECT_NE(s.p, nullptr); /* something, though empty, follows the comma */
    EXPECT_EQ(s.n, 0u);
}

TEST(Str, ReadsIntegers)
{
    int64_t i = 7;
    uint64_t u = 7;
    EXPECT_TRUE(str_to_i64(str_of("9223372036854775807"), &i));
    EXPECT_EQ(i, INT64_MAX);
    EXPECT_TRUE(str_to_i64(str_of("-9223372036854775808"), &i));
    EXPECT_EQ(i, INT64_MIN);
    EXPECT_TRUE(str_to_i64(str_of("+007"), &i));
    EXPECT_EQ(i, 7);
    EXPECT_TRUE(str_to_i64(str_of("-0"), &i));
    EXPECT_EQ(i, 0);
    EXPECT_TRUE(str_to_u64(str_of("18446744073709551615"), &u));
    EXPECT_EQ(u, UINT64_MAX);
    for (const char *bad :
         {"", "-", "+", "+-1", " 1", "1 ", "1.0", "0x1", "1e3", "a", "9223372036854775808",
          "-9223372036854775809", "99999999999999999999"}) {
        i = 7;
        EXPECT_FALSE(str_to_i64(str_of(bad), &i)) << bad;
        EXPECT_EQ(i, 7) << bad;
    }
    for (const char *bad :
         {"", "-1", "-0", "18446744073709551616", "184467440737095516150", "1 "}) {
        EXPECT_FALSE(str_to_u64(str_of(bad), &u)) << bad;
    }
}

TEST(Str, ReadsNoFurtherThanItsLength)
{
    int64_t i;
    double d;
    EXPECT_TRUE(str_to_i64({"1234", 2}, &i));
    EXPECT_EQ(i, 12);
    EXPECT_TRUE(str_to_f64({"1.5e3", 3}, &d));
    EXPECT_EQ(d, 1.5);
}

TEST(Str, ReadsDoublesAsTheyWerePrinted)
{
    std::mt19937_64 rng(4);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = rng();
        double want;
        double got;
        char text[400];
        memcpy(&want, &bits, sizeof(want));
        if (want != want || want - want != 0)
            continue;
        snprintf(text, sizeof(text), i % 3 ? "%.17g" : "%.20e", want);
        ASSERT_TRUE(str_to_f64(str_of(text), &got)) << text;
        ASSERT_EQ(got, want) << text;
    }
}

/* std::from_chars is another reader: the same texts are numbers, of the same value. */
TEST(Str, AgreesWithFromCharsOnAnyText)
{
    static const char alphabet[] = "0123456789900+-..eE naifx";
    std::mt19937 rng(5);
    int numbers = 0;
    for (int i = 0; i < 1000000; i++) {
        std::string s(rng() % 9, '\0');
        for (char &c : s)
            c = alphabet[rng() % (sizeof(alphabet) - 1)];
        double want = 0;
        const char *from = s.data();
        if (s.size() > 1 && s[0] == '+' && s[1] != '-')
            from++;
        std::from_chars_result r = std::from_chars(from, s.data() + s.size(), want);
        bool is_word = s.find_first_of("naifx") != std::string::npos;
        bool whole =
            r.ec != std::errc::invalid_argument && r.ptr == s.data() + s.size() && !is_word;
        if (whole && r.ec == std::errc::result_out_of_range)
            continue;
        double got = 0;
        ASSERT_EQ(str_to_f64(view(s), &got), whole) << "\"" << s << "\"";
        if (whole) {
            ASSERT_EQ(got, want) << s;
        }
        numbers += whole;
    }
    EXPECT_GT(numbers, 10000);
}

TEST(Str, DoublesAtTheLimits)
{
    double d = 7;
    EXPECT_TRUE(str_to_f64(str_of("1.7976931348623157e308"), &d));
    EXPECT_EQ(d, std::numeric_limits<double>::max());
    EXPECT_TRUE(str_to_f64(str_of("5e-324"), &d));
    EXPECT_EQ(d, std::numeric_limits<double>::denorm_min());
    EXPECT_TRUE(str_to_f64(str_of("1e-999"), &d));
    EXPECT_EQ(d, 0);
    EXPECT_TRUE(str_to_f64(view("0." + std::string(3000, '0') + "1"), &d));
    EXPECT_EQ(d, 0);
    EXPECT_TRUE(str_to_f64(view(std::string(3000, '0') + "5."), &d));
    EXPECT_EQ(d, 5);
    for (const char *bad : {"", ".", "-.", "e5", "1e", "1e+", "1e309", "-1e309", "nan", "inf",
                            "-inf", "0x10", "1,5", "1_000", " 1", "1 ", "1\n"}) {
        d = 7;
        EXPECT_FALSE(str_to_f64(str_of(bad), &d)) << bad;
        EXPECT_EQ(d, 7) << bad;
    }
    EXPECT_FALSE(str_to_f64({"1\0", 2}, &d));
}

/* An independent judge: decodes by the number of leading ones, then asks whether the code point
 * needed that many bytes and exists. */
bool
utf8_is_valid(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = 0;
        while (len < 8 && (p[i] >> (7 - len) & 1))
            len++;
        if (len == 0) {
            i++;
            continue;
        }
        if (len == 1 || len > 4 || i + len > n)
            return false;
        unsigned long cp = p[i] & (0xffu >> (len + 1));
        for (size_t k = 1; k < len; k++) {
            if (p[i + k] / 64 != 2)
                return false;
            cp = cp * 64 + p[i + k] % 64;
        }
        size_t needed = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (needed != len || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
            return false;
        i += len;
    }
    return true;
}

TEST(Str, JudgesEveryUtf8SequenceOfUpToThreeBytes)
{
    size_t differ = 0;
    for (unsigned v = 0; v < 1u << 24; v++) {
        const unsigned char p[] = {static_cast<unsigned char>(v >> 16),
                                   static_cast<unsigned char>(v >> 8),
                                   static_cast<unsigned char>(v)};
        const char *c = reinterpret_cast<const char *>(p);
        differ += str_utf8_valid({c, 3}) != utf8_is_valid(p, 3);
        if (v < 1u << 16)
            differ += str_utf8_valid({c + 1, 2}) != utf8_is_valid(p + 1, 2);
        if (v < 1u << 8)
            differ += str_utf8_valid({c + 2, 1}) != utf8_is_valid(p + 2, 1);
    }
    EXPECT_EQ(differ, 0u);
}

TEST(Str, JudgesFourByteSequencesAtTheEdges)
{
    const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x81, 0x8f,
                                   0x90, 0xa0, 0xbf, 0xc0, 0xff};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (unsigned char third : edges) {
                for (unsigned char fourth : edges) {
                    const unsigned char p[] = {static_cast<unsigned char>(first),
                                               static_cast<unsigned char>(second), third, fourth};
                    ASSERT_EQ(str_utf8_valid({reinterpret_cast<const char *>(p), 4}),
                              utf8_is_valid(p, 4))
                        << first << " " << second << " " << +third << " " << +fourth;
                }
            }
        }
    }
}

TEST(Str, DecodesEveryCodePoint)
{
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        char c[4];
        int n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        static const unsigned lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
        for (int k = n - 1; k > 0; k--)
            c[k] = static_cast<char>(0x80 | (cp >> 6 * (n - 1 - k) & 0x3f));
        c[0] = static_cast<char>(lead[n] | cp >> 6 * (n - 1));
        uint32_t got = 0;
        ASSERT_EQ(str_utf8_next({c, static_cast<size_t>(n)}, &got), n) << cp;
        ASSERT_EQ(got, cp);
        ASSERT_LT(str_utf8_next({c, static_cast<size_t>(n) - (n > 1)}, &got), n == 1 ? 2 : 0);
    }
}

TEST(Str, FindsABadByteAnywhere)
{
    for (size_t n = 1; n < 40; n++) {
        std::string s(n, 'a');
        EXPECT_TRUE(str_utf8_valid(view(s)));
        for (size_t at = 0; at < n; at++) {
            s[at] = '\x80';
            EXPECT_FALSE(str_utf8_valid(view(s))) << n << " " << at;
            s[at] = 'a';
        }
    }
    EXPECT_TRUE(str_utf8_valid({nullptr, 0}));
}

TEST(Str, ReadsHexadecimalDigits)
{
    for (int c = 0; c < 256; c++) {
        char digits[] = {static_cast<char>(c), '\0'};
        char *end;
        long want = isxdigit(c) ? strtol(digits, &end, 16) : -1;
        EXPECT_EQ(str_hex_digit(static_cast<char>(c)), want) << c;
    }
}

TEST(Str, ComparesSecrets)
{
    unsigned char a[32] = {1, 2, 3};
    unsigned char b[32] = {1, 2, 3};
    EXPECT_TRUE(str_equal_constant_time(a, b, sizeof(a)));
    EXPECT_TRUE(str_equal_constant_time(a, b, 0));
    for (unsigned char &byte : b) {
        for (int bit = 0; bit < 8; bit++) {
            byte = static_cast<unsigned char>(byte ^ 1 << bit);
            EXPECT_FALSE(str_equal_constant_time(a, b, sizeof(a)));
            byte = static_cast<unsigned char>(byte ^ 1 << bit);
        }
    }
}

} // namespace
