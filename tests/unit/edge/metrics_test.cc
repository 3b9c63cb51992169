#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <sstream>

extern "C" {
#include "edge/metrics.h"
}
#include "metrics_probe.h"

/* Each sample by its name and labels; checks the format of every line on the way. */
static std::map<std::string, double>
parse(const std::string &page)
{
    static const std::regex sample("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{[a-z]+=\"([^\"\\\\]|\\\\.)*\"(,["
                                   "a-z]+=\"([^\"\\\\]|\\\\.)*\")*\\})? "
                                   "([-+]?[0-9.]+(e[-+]?[0-9]+)?|NaN|[-+]Inf)");
    std::map<std::string, double> out;
    std::string family;
    std::istringstream in(page);
    std::string line;
    while (std::getline(in, line)) {
        if (line.rfind("# HELP ", 0) == 0) {
            EXPECT_NE(line.find(' ', 7), std::string::npos) << line;
            continue;
        }
        if (line.rfind("# TYPE ", 0) == 0) {
            family = line.substr(7, line.find(' ', 7) - 7);
            std::string type = line.substr(line.rfind(' ') + 1);
            EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
            continue;
        }
        std::smatch m;
        EXPECT_TRUE(std::regex_match(line, m, sample)) << line;
        EXPECT_EQ(m[1].str().rfind(family, 0), 0u) << line << " under " << family;
        EXPECT_EQ(out.count(m[1].str() + m[2].str()), 0u) << "twice: " << line;
        out[m[1].str() + m[2].str()] = std::stod(m[6]);
    }
    EXPECT_EQ(page.back(), '\n');
    return out;
}

TEST(metrics, the_page_is_prometheus_text)
{
    struct buf b;
    buf_init(&b, METRICS_MAX_BYTES);
    probe_metrics(&b);
    ASSERT_FALSE(b.overflow);
    std::map<std::string, double> m = parse(std::string(b.data, b.len));
    buf_fini(&b);
    EXPECT_EQ(m["luna_build_info{version=\"1.2\\\"3\"}"], 1);
    EXPECT_EQ(m.count("luna_fibers{reactor=\"1\"}"), 1u);
    EXPECT_EQ(m.count("luna_auth_refused_total{why=\"bad\"}"), 1u);
    EXPECT_EQ(m["test_more_total"], 18446744073709551615.0);
    EXPECT_GT(m["process_resident_memory_bytes"], 1e6);
    EXPECT_LT(m["process_resident_memory_bytes"], 1e12);
    EXPECT_GE(m["process_open_fds"], 3);
    EXPECT_GE(m["process_threads"], 1);
    EXPECT_GE(m["process_cpu_seconds_total"], 0);
    EXPECT_NEAR(m["process_start_time_seconds"], static_cast<double>(time(nullptr)), 120);
}

TEST(metrics, values_that_are_not_numbers)
{
    struct buf b;
    buf_init(&b, 1000);
    metrics_f64(&b, "a", "", NAN);
    metrics_f64(&b, "b", "", INFINITY);
    metrics_f64(&b, "c", "", -INFINITY);
    metrics_f64(&b, "d", "x=\"y\"", 0.1);
    EXPECT_STREQ(b.data, "a NaN\nb +Inf\nc -Inf\nd{x=\"y\"} 0.1\n");
    buf_clear(&b);
    metrics_label(&b, "one", "a\\b\"c\nd");
    metrics_label(&b, "two", "");
    EXPECT_STREQ(b.data, "one=\"a\\\\b\\\"c\\nd\",two=\"\"");
    buf_fini(&b);
}

/* A duration is in the first bucket whose bound it does not exceed, and in all behind it. */
TEST(metrics, durations_are_counted_up_to_their_bound)
{
    const int64_t took[] = {-5,
                            0,
                            1,
                            50000,
                            50001,
                            100000,
                            100001,
                            3200000,
                            INT64_C(13107200000),
                            INT64_C(13107200001),
                            INT64_MAX / 2};
    for (const std::string labels : {"", "a=\"b\""}) {
        struct buf b;
        buf_init(&b, METRICS_MAX_BYTES);
        probe_latency(&b, labels.c_str(), took, std::size(took));
        const std::map<std::string, double> page = parse(std::string(b.data, b.len));
        buf_fini(&b);
        const std::string with = labels.empty() ? "" : labels + ",";
        double bound = 50e-6;
        for (int i = 0; i < 20; i++, bound *= 2) {
            char le[40];
            snprintf(le, sizeof(le), "%.10g", bound);
            const std::string name =
                "test_seconds_bucket{" + with + "le=\"" + (i < 19 ? le : "+Inf") + "\"}";
            const double within =
                static_cast<double>(std::count_if(std::begin(took), std::end(took), [&](int64_t t) {
                    return i == 19 || static_cast<double>(t) <= std::round(bound * 1e9);
                }));
            ASSERT_EQ(page.count(name), 1u) << name;
            EXPECT_EQ(page.at(name), within) << name;
        }
        const std::string of = labels.empty() ? "" : "{" + labels + "}";
        EXPECT_EQ(page.at("test_seconds_count" + of), 11);
        EXPECT_GT(page.at("test_seconds_sum" + of), 26.2144);
    }
}
