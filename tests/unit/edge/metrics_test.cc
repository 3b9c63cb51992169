#include <gtest/gtest.h>

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
