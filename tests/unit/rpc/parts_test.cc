#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "luna/descriptors.h"
#include "luna/testing/echo.pb-c.h"
#include "rpc_probe.h"

namespace
{
struct Free {
    void operator()(char *p) const
    {
        free(p);
    }
};
using Owned = std::unique_ptr<char, Free>;

struct StatusFree {
    void operator()(Google__Rpc__Status *s) const
    {
        google__rpc__status__free_unpacked(s, nullptr);
    }
};
using Status = std::unique_ptr<Google__Rpc__Status, StatusFree>;

Status
details(const probe_failure &f, size_t *size = nullptr)
{
    size_t n = 0;
    Owned bytes(probe_details(&f, &n));
    if (size)
        *size = n;
    return Status(
        google__rpc__status__unpack(nullptr, n, reinterpret_cast<uint8_t *>(bytes.get())));
}

std::vector<std::string>
types(const Status &s)
{
    std::vector<std::string> out;
    for (size_t i = 0; i < s->n_details; i++) {
        std::string url = s->details[i]->type_url;
        out.push_back(url.substr(url.rfind('.') + 1));
    }
    return out;
}

probe_failure
failure(const char *reason, int status, const char *message, size_t fields = 0, size_t quotas = 0,
        size_t text_bytes = 0, int64_t retry_ms = 0)
{
    return {reason, status, message, fields, quotas, text_bytes, retry_ms};
}

size_t
field_count(const Status &s)
{
    for (size_t i = 0; i < s->n_details; i++) {
        const auto &v = s->details[i]->value;
        if (strstr(s->details[i]->type_url, "BadRequest") == nullptr)
            continue;
        auto *b = google__rpc__bad_request__unpack(nullptr, v.len, v.data);
        size_t n = b->n_field_violations;
        google__rpc__bad_request__free_unpacked(b, nullptr);
        return n;
    }
    return 0;
}

std::string
unpack(const std::string &bytes, size_t slices = 1, size_t max = 1 << 20, size_t budget = 1 << 20,
       bool deep = true, std::string *text = nullptr)
{
    char out[256] = "";
    const char *how = probe_unpack(bytes.data(), bytes.size(), slices, max, budget, deep, out);
    if (text)
        *text = out;
    return how;
}

std::string
deflated(const std::string &data, bool gzip)
{
    z_stream z = {};
    std::string out(data.size() + 1000, '\0');
    EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(data.data()));
    z.avail_in = static_cast<uInt>(data.size());
    z.next_out = reinterpret_cast<Bytef *>(&out[0]);
    z.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}
} // namespace

TEST(Details, ErrorInfoAlways)
{
    Status s = details(failure("BAD_FIELD", 3, "x is wrong"));
    ASSERT_NE(s, nullptr);
    EXPECT_EQ(s->code, 3);
    EXPECT_STREQ(s->message, "x is wrong");
    EXPECT_EQ(types(s), std::vector<std::string>{"ErrorInfo"});
    auto *e = google__rpc__error_info__unpack(nullptr, s->details[0]->value.len,
                                              s->details[0]->value.data);
    EXPECT_STREQ(e->reason, "BAD_FIELD");
    EXPECT_STREQ(e->domain, "luna");
    google__rpc__error_info__free_unpacked(e, nullptr);
}

TEST(Details, WithoutAReasonTheStatusIsNamed)
{
    Status s = details(failure(nullptr, 11, nullptr));
    auto *e = google__rpc__error_info__unpack(nullptr, s->details[0]->value.len,
                                              s->details[0]->value.data);
    EXPECT_STREQ(e->reason, "OUT_OF_RANGE");
    google__rpc__error_info__free_unpacked(e, nullptr);
    EXPECT_STREQ(s->message, "");
}

TEST(Details, EachKindWhereItHelps)
{
    Status s = details(failure("QUOTA_SPENT", 8, "m", 2, 1, 10, 1500));
    EXPECT_EQ(types(s),
              (std::vector<std::string>{"ErrorInfo", "BadRequest", "QuotaFailure", "RetryInfo"}));
    EXPECT_EQ(field_count(s), 2u);
    auto *r = google__rpc__retry_info__unpack(nullptr, s->details[3]->value.len,
                                              s->details[3]->value.data);
    EXPECT_EQ(r->retry_delay->seconds, 1);
    EXPECT_EQ(r->retry_delay->nanos, 500000000);
    google__rpc__retry_info__free_unpacked(r, nullptr);
}

TEST(Details, CappedByDroppingViolations)
{
    size_t size = 0;
    for (size_t count : {1u, 16u, 64u, 500u}) {
        for (size_t bytes : {1u, 100u, 1000u, 5000u}) {
            probe_failure f = failure("BAD_FIELD", 3, "m", count, count, bytes, 1000);
            Status s = details(f, &size);
            ASSERT_NE(s, nullptr);
            EXPECT_LE(size, 4096u);
            EXPECT_EQ(types(s).front(), "ErrorInfo");
            EXPECT_EQ(types(s).back(), "RetryInfo");
            if (bytes == 100) {
                EXPECT_GE(field_count(s), count < 8 ? count : 8u);
            }
            if (bytes == 5000) {
                EXPECT_EQ(types(s).size(), 2u);
            }
        }
    }
}

TEST(Details, TextIsUtf8WhateverItWas)
{
    const struct {
        const char *in;
        const char *out;
    } cases[] = {{"plain", "plain"},
                 {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
                 {"\xff", "?"},
                 {"a\xff\xfe z", "a?? z"},
                 {"\xc3", "?"},
                 {"\xc3(", "?("},
                 {"\xed\xa0\x80", "???"},
                 {"ok\xf0\x9f\x98\x88\x80", "ok\xf0\x9f\x98\x88?"},
                 {"\xe2\x98\xba!", "\xe2\x98\xba!"}};
    for (const auto &c : cases) {
        Owned got(probe_clean(c.in));
        EXPECT_STREQ(got.get(), c.out);
    }
}

TEST(Details, MessageIsCutBetweenCharacters)
{
    Owned same(probe_clip("short"));
    EXPECT_STREQ(same.get(), "short");
    Owned ascii(probe_clip(std::string(5000, 'a').c_str()));
    EXPECT_EQ(strlen(ascii.get()), 1536u);
    std::string umlauts;
    for (int i = 0; i < 2000; i++)
        umlauts += "\xc3\xbc";
    Owned cut(probe_clip(umlauts.c_str()));
    EXPECT_EQ(strlen(cut.get()), 512u); // 256 of two bytes, three characters each on the wire
    std::string smileys;
    for (int i = 0; i < 2000; i++)
        smileys += "\xf0\x9f\x98\x88";
    Owned four(probe_clip(smileys.c_str()));
    EXPECT_EQ(strlen(four.get()) % 4, 0u);
    EXPECT_LE(strlen(four.get()) * 3, 1536u);
}

TEST(Trace, Valid)
{
    char id[33];
    char span[17];
    int flags;
    std::string t = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ASSERT_TRUE(probe_trace(t.data(), t.size(), id, span, &flags));
    EXPECT_STREQ(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_STREQ(span, "00f067aa0ba902b7");
    EXPECT_EQ(flags, 1);
    std::string later = "cc" + t.substr(2) + "-what-the-future-brings";
    EXPECT_TRUE(probe_trace(later.data(), later.size(), id, span, &flags));
    later = "cc" + t.substr(2);
    EXPECT_TRUE(probe_trace(later.data(), later.size(), id, span, &flags));
}

TEST(Trace, Invalid)
{
    char id[33];
    char span[17];
    int flags;
    const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    std::vector<std::string> bad = {"",
                                    "00",
                                    good.substr(0, 54),
                                    good + "x",
                                    good + "-x",
                                    "ff" + good.substr(2),
                                    "cc" + good.substr(2) + "x",
                                    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"};
    for (size_t at = 0; at < good.size(); at++) {
        std::string one = good;
        one[at] = '~';
        bad.push_back(one);
    }
    for (const std::string &t : bad)
        EXPECT_FALSE(probe_trace(t.data(), t.size(), id, span, &flags)) << t;
}

TEST(Message, UnpacksFromAnyNumberOfSlices)
{
    std::string text(200, 't');
    std::string bytes = "\x0a\xc8\x01" + text;
    for (size_t slices : {1u, 2u, 3u, 50u}) {
        std::string got;
        EXPECT_EQ(unpack(bytes, slices, 1 << 20, 1 << 20, true, &got), "OK");
        EXPECT_EQ(got, text);
    }
    EXPECT_EQ(unpack("", 1), "OK");
    EXPECT_EQ(unpack("\x0a\x05zz"), "MALFORMED");
    EXPECT_EQ(unpack(bytes, 1, 202), "TOO_LARGE");
    EXPECT_EQ(unpack(bytes, 1, 203), "OK");
}

TEST(Message, MemoryHasABudget)
{
    std::string bytes = "\x0a\xc8\x01" + std::string(200, 't');
    EXPECT_EQ(unpack(bytes, 1, 1 << 20, 100), "TOO_LARGE");
    EXPECT_EQ(unpack(bytes, 1, 1 << 20, 4096), "OK");
}

TEST(Message, NestingIsCountedBeforeItIsUnpacked)
{
    std::string m;
    for (int depth = 1; depth <= 40; depth++) {
        EXPECT_EQ(unpack(m), depth <= 32 ? "OK" : "TOO_DEEP") << depth;
        m = "\x4a" + std::string(1, static_cast<char>(m.size())) + m;
    }
}

TEST(Message, TextMustBeUtf8AtAnyDepth)
{
    EXPECT_EQ(unpack("\x0a\x01\xff"), "NOT_UTF8");
    EXPECT_EQ(unpack("\x4a\x03\x0a\x01\xff"), "NOT_UTF8");
    EXPECT_EQ(unpack("\x4a\x04\x0a\x02\xc3\xbc"), "OK");
}

TEST(Message, RecursionIsFound)
{
    EXPECT_TRUE(probe_recursive("EchoCommand"));
    EXPECT_TRUE(probe_recursive("Struct"));
    EXPECT_FALSE(probe_recursive("EchoMessage"));
}

TEST(Message, Packs)
{
    for (size_t n : {0u, 1u, 15u, 20u, 21u, 22u, 100u, 100000u})
        EXPECT_TRUE(probe_pack_roundtrip(n)) << n;
}

TEST(Inflate, BothFormatsInAnyPieces)
{
    std::string data(100000, 'd');
    for (bool gzip : {false, true}) {
        std::string z = deflated(data, gzip);
        for (size_t slices : {1u, 2u, 7u}) {
            char first = 0;
            EXPECT_EQ(probe_inflate(z.data(), z.size(), slices, 100000, &first), 100000);
            EXPECT_EQ(first, 'd');
            EXPECT_EQ(probe_inflate(z.data(), z.size(), slices, 99999, &first), -2);
        }
        EXPECT_EQ(probe_inflate(z.data(), z.size() - 1, 1, 1 << 20, nullptr), -1);
        std::string more = z + "x";
        EXPECT_EQ(probe_inflate(more.data(), more.size(), 1, 1 << 20, nullptr), -1);
        z[z.size() / 2] = static_cast<char>(~z[z.size() / 2]);
        char ignored;
        EXPECT_LT(probe_inflate(z.data(), z.size(), 1, 1 << 20, &ignored), 0);
    }
    EXPECT_EQ(probe_inflate("", 0, 1, 100, nullptr), -1);
    std::string empty = deflated("", true);
    EXPECT_EQ(probe_inflate(empty.data(), empty.size(), 1, 100, nullptr), 0);
}

TEST(Tables, DifferencesFromTheProtosAreNamed)
{
    EXPECT_STREQ(probe_check("nothing"), "");
    EXPECT_STREQ(probe_check("kind"),
                 "method luna.testing.EchoService.Download is server-streaming in "
                 "the protos, but not in the table");
    EXPECT_STREQ(probe_check("missing"),
                 "method luna.testing.EchoService.Chat has no row in the table");
    EXPECT_STREQ(
        probe_check("request"),
        "method luna.testing.EchoService.Echo takes luna.testing.EchoMessage in the protos, but "
        "luna.testing.EchoCommand in the table");
    EXPECT_STREQ(
        probe_check("response"),
        "method luna.testing.EchoService.Echo returns luna.testing.EchoMessage in the protos, "
        "but luna.testing.EchoCommand in the table");
    EXPECT_STREQ(probe_check("path"), "method luna.testing.EchoService.Obey has the path "
                                      "/luna.testing.EchoService/Echo");
    EXPECT_STREQ(probe_check("extra"),
                 "method luna.testing.EchoService.Chat has no row in the table");
    EXPECT_STREQ(probe_check("handler"), "method luna.testing.EchoService.Upload has no handler");
    EXPECT_STREQ(probe_check("service"), "service luna.testing.Nope is not in the embedded protos");
    EXPECT_STREQ(probe_check("twice"), "service luna.testing.EchoService is given twice");
}

TEST(Descriptors, Index)
{
    EXPECT_STREQ(probe_file_of("luna.testing.EchoService.Chat"), "luna/testing/echo.proto");
    EXPECT_STREQ(probe_file_of("grpc.health.v1.HealthCheckResponse.ServingStatus"),
                 "grpc/health/v1/health.proto");
    EXPECT_STREQ(probe_file_of("grpc.health.v1.HealthCheckResponse.SERVING"),
                 "grpc/health/v1/health.proto");
    EXPECT_FALSE(probe_has_symbol("luna"));
    EXPECT_FALSE(probe_has_symbol(""));
    EXPECT_FALSE(probe_has_symbol("luna.testing.EchoService.ChatX"));
}

TEST(Descriptors, CutBytesAreRefused)
{
    for (size_t n : {0u, 1u, 2u, 100u, 1000u}) {
        std::vector<unsigned char> copy(luna_testing_descriptor_set,
                                        luna_testing_descriptor_set + n);
        EXPECT_TRUE(probe_index_breaks(copy.data(), copy.size())) << n;
    }
    EXPECT_TRUE(probe_index_breaks("\x0a\x02\xff\xff", 4));
}
