#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

extern "C" {
#include "base/clock.h"
#include "base/log.h"
#include "unit/base/log_probe.h"
}

namespace
{

using google::protobuf::Struct;

/* stderr is a pipe from here until it leaves its scope. */
class StderrPipe
{
  public:
    StderrPipe()
    {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        saved_ = dup(STDERR_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        read_ = ends[0];
    }
    ~StderrPipe()
    {
        stop();
        close(read_);
    }
    void stop()
    {
        if (saved_ >= 0) {
            dup2(saved_, STDERR_FILENO);
            close(saved_);
            saved_ = -1;
        }
    }
    /* Everything written, to the end. */
    std::string text()
    {
        std::string all;
        char part[4096];
        ssize_t n;
        stop();
        while ((n = read(read_, part, sizeof(part))) > 0)
            all.append(part, static_cast<size_t>(n));
        return all;
    }
    int read_end() const
    {
        return read_;
    }

  private:
    int saved_;
    int read_;
};

template <typename F>
std::string
captured(log_format format, F write)
{
    log_init(LOG_INFO, format);
    StderrPipe pipe;
    write();
    return pipe.text();
}

std::vector<std::string>
lines(const std::string &text)
{
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        all.push_back(line);
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    return all;
}

/* Without the time, which is checked for its form. */
std::string
body(const std::string &line)
{
    static const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)\n)");
    std::smatch m;
    EXPECT_TRUE(std::regex_match(line, m, form)) << line;
    return m[1];
}

Struct
json(const std::string &line)
{
    Struct s;
    for (char c : line.substr(0, line.size() - 1))
        EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20) << line;
    EXPECT_EQ(line.back(), '\n');
    auto status = google::protobuf::util::JsonStringToMessage(line, &s);
    EXPECT_TRUE(status.ok()) << status.ToString() << ": " << line;
    return s;
}

const google::protobuf::Value &
at(const Struct &s, const char *key)
{
    static const google::protobuf::Value none;
    auto it = s.fields().find(key);
    EXPECT_TRUE(it != s.fields().end()) << key;
    return it != s.fields().end() ? it->second : none;
}

TEST(Log, WritesTextLines)
{
    EXPECT_EQ(body(captured(LOG_TEXT, probe_every_kind)),
              "NOTICE rpc call method=/luna.v1.X/Y part=abc low=-9223372036854775808 "
              "high=18446744073709551615 tenth=0.1 third=0.33333333333333331 took=1.25ms key=***");
}

TEST(Log, WritesJsonLines)
{
    std::string line = captured(LOG_JSON, probe_every_kind);
    Struct s = json(line);
    EXPECT_EQ(at(s, "level").string_value(), "NOTICE");
    EXPECT_EQ(at(s, "event").string_value(), "rpc call");
    EXPECT_EQ(at(s, "method").string_value(), "/luna.v1.X/Y");
    EXPECT_EQ(at(s, "part").string_value(), "abc");
    EXPECT_NE(line.find("\"low\":-9223372036854775808,\"high\":18446744073709551615,"),
              std::string::npos);
    EXPECT_EQ(at(s, "tenth").number_value(), 0.1);
    EXPECT_EQ(at(s, "third").number_value(), 1.0 / 3);
    EXPECT_EQ(at(s, "took").number_value(), 0.00125);
    EXPECT_EQ(at(s, "key").string_value(), "***");
    std::string time = at(s, "time").string_value();
    usec_t t = 0;
    ASSERT_TRUE(clock_parse(time.data(), time.size(), &t));
    EXPECT_EQ(time.size(), 27u);
    EXPECT_LT(std::abs(clock_wall_us() - t), 60 * 1000000);
}

TEST(Log, QuotesTextThatNeedsIt)
{
    const std::map<std::string, std::string> wanted = {
        {"plain", "plain"},
        {"a:b/c,d{e}", "a:b/c,d{e}"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"x\"", "\"say \\\"x\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nINFO forged", "\"line\\nINFO forged\""},
        {"\x1b[31m", "\"\\u001b[31m\""},
        {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
        {"bad\xff", "\"bad\xef\xbf\xbd\""},
        {std::string("nul\0", 4), "\"nul\\u0000\""},
    };
    for (const auto &[value, shown] : wanted) {
        const std::string &v = value;
        EXPECT_EQ(body(captured(LOG_TEXT, [&] { probe_str("k", v.data(), v.size()); })),
                  "INFO text k=" + shown + " after=1");
    }
    EXPECT_EQ(body(captured(LOG_TEXT, probe_null)), "INFO text nothing=\"\"");
}

TEST(Log, JsonSurvivesAnyBytes)
{
    std::string all;
    for (int c = 0; c < 256; c++)
        all += static_cast<char>(c);
    Struct s = json(captured(LOG_JSON, [&] { probe_str("k\"ey\n", all.data(), all.size()); }));
    std::string got = at(s, "k\"ey\n").string_value();
    EXPECT_EQ(got.substr(0, 128), all.substr(0, 128));
    EXPECT_EQ(got.size(), 128u + 128 * 3); /* each byte above 127 stands alone: U+FFFD */
}

TEST(Log, NumbersThatJsonDoesNotHave)
{
    const double inf = std::numeric_limits<double>::infinity();
    EXPECT_EQ(body(captured(LOG_TEXT, [&] { probe_f64(-inf); })), "INFO number v=-Infinity");
    EXPECT_EQ(at(json(captured(LOG_JSON, [&] { probe_f64(inf); })), "v").string_value(),
              "Infinity");
    EXPECT_EQ(at(json(captured(LOG_JSON, [&] { probe_f64(std::nan("")); })), "v").string_value(),
              "NaN");
    for (double v : {0.0, 1e308, 5e-324, 123456789.125, 2.0 / 3})
        EXPECT_EQ(at(json(captured(LOG_JSON, [&] { probe_f64(v); })), "v").number_value(), v);
}

TEST(Log, DurationsInReadableUnits)
{
    const std::map<int64_t, std::string> wanted = {
        {0, "0us"},
        {-1, "-0.001us"},
        {999999, "999.999us"},
        {123456789, "123.457ms"},
        {60000000001, "60s"},
        {INT64_MIN, "-9223372036.855s"},
        {1500, "1.5us"},
        {-1500, "-1.5us"},
        {1000000, "1ms"},
        {999999999, "1000ms"},
        {1500000000, "1.5s"},
        {86400000000000, "86400s"},
    };
    for (const auto &[ns, shown] : wanted) {
        int64_t d = ns;
        EXPECT_EQ(body(captured(LOG_TEXT, [&] { probe_duration(d); })), "INFO pause d=" + shown);
        EXPECT_DOUBLE_EQ(
            at(json(captured(LOG_JSON, [&] { probe_duration(d); })), "d").number_value(),
            static_cast<double>(d) / 1e9);
    }
}

TEST(Log, AnEventCannotSplitTheLine)
{
    EXPECT_EQ(body(captured(LOG_TEXT, [] { probe_event("one\ntwo"); })), "INFO one\\ntwo");
    std::string longest(100000, '\n');
    for (log_format format : {LOG_TEXT, LOG_JSON})
        EXPECT_EQ(lines(captured(format, [&] { probe_event(longest.c_str()); })).size(), 1u);
}

TEST(Log, CutsLongValuesBetweenCharacters)
{
    for (size_t shift = 0; shift < 4; shift++) {
        std::string value(shift, 'a');
        for (int i = 0; i < 1000; i++)
            value += "\xf0\x9f\x8c\x99";
        Struct s = json(captured(LOG_JSON, [&] { probe_str("v", value.data(), value.size()); }));
        std::string got = at(s, "v").string_value();
        ASSERT_GT(got.size(), 1020u);
        EXPECT_LE(got.size(), 1027u);
        EXPECT_EQ(got.substr(got.size() - 3), "...");
        EXPECT_EQ(got.substr(0, got.size() - 3), value.substr(0, got.size() - 3));
        EXPECT_EQ(at(s, "after").number_value(), 1);
    }
}

TEST(Log, LeavesOutPairsThatDoNotFit)
{
    std::string value(900, 'v');
    for (log_format format : {LOG_TEXT, LOG_JSON}) {
        std::string line = captured(format, [&] { probe_many(value.c_str()); });
        EXPECT_LE(line.size(), static_cast<size_t>(PIPE_BUF));
        EXPECT_EQ(lines(line).size(), 1u);
        EXPECT_EQ(line.find(" e="), std::string::npos);
        if (format == LOG_TEXT) {
            EXPECT_NE(line.find(" last=7 truncated=true\n"), std::string::npos) << line;
        } else {
            EXPECT_TRUE(at(json(line), "truncated").bool_value());
        }
    }
    std::string controls(1024, '\x01'); /* six times as long when escaped */
    Struct s = json(captured(LOG_JSON, [&] { probe_str("v", controls.data(), controls.size()); }));
    EXPECT_TRUE(at(s, "truncated").bool_value());
    EXPECT_EQ(at(s, "after").number_value(), 1);
}

TEST(Log, WritesItsLevelAndAbove)
{
    const char *const names[] = {"debug", "info", "notice", "warning", "error", "critical"};
    for (int level = LOG_DEBUG; level <= LOG_CRITICAL; level++) {
        log_init(static_cast<log_level>(level), LOG_TEXT);
        StderrPipe pipe;
        probe_every_level();
        std::vector<std::string> got = lines(pipe.text());
        ASSERT_EQ(got.size(), static_cast<size_t>(LOG_CRITICAL - level + 1));
        for (size_t i = 0; i < got.size(); i++)
            EXPECT_NE(got[i].find(names[static_cast<size_t>(level) + i]), std::string::npos);
        EXPECT_EQ(log_enabled(LOG_DEBUG), level == LOG_DEBUG);
    }
    log_init(LOG_INFO, LOG_TEXT);
    EXPECT_EQ(probe_evaluations(), 0);
}

TEST(Log, ReadsLevels)
{
    log_level level = LOG_INFO;
    EXPECT_TRUE(log_level_parse("DEBUG", &level));
    EXPECT_EQ(level, LOG_DEBUG);
    EXPECT_TRUE(log_level_parse("critical", &level));
    EXPECT_EQ(level, LOG_CRITICAL);
    for (const char *bad : {"", "TRACE", "INFO ", "DEBU"})
        EXPECT_FALSE(log_level_parse(bad, &level)) << bad;
    EXPECT_EQ(level, LOG_CRITICAL);
}

TEST(Log, LinesOfThreadsDoNotMix)
{
    constexpr int kThreads = 4;
    constexpr int kLines = 300;
    log_init(LOG_INFO, LOG_TEXT);
    uint64_t dropped = log_dropped();
    StderrPipe pipe;
    std::string all;
    std::thread reader([&all, &pipe] {
        char part[4096];
        ssize_t n;
        while ((n = read(pipe.read_end(), part, sizeof(part))) > 0)
            all.append(part, static_cast<size_t>(n));
    });
    std::vector<std::thread> writers;
    for (int t = 0; t < kThreads; t++) {
        writers.emplace_back([t] {
            std::string text(static_cast<size_t>(900 + t), static_cast<char>('a' + t));
            for (int i = 0; i < kLines; i++)
                probe_thread_line(t, i, text.c_str());
        });
    }
    for (std::thread &w : writers)
        w.join();
    pipe.stop();
    reader.join();
    dropped = log_dropped() - dropped;
    const std::regex form(
        R"(\S+ INFO from a thread thread=(\d) line=(\d+) text=(a{900}|b{901}|c{902}|d{903}))");
    std::vector<std::string> got = lines(all);
    EXPECT_EQ(got.size() + dropped, static_cast<size_t>(kThreads * kLines));
    EXPECT_GT(got.size(), 0u);
    int last[kThreads] = {-1, -1, -1, -1};
    for (const std::string &line : got) {
        std::smatch m;
        ASSERT_TRUE(std::regex_match(line, m, form)) << line;
        int t = std::stoi(m[1]);
        EXPECT_EQ(m[3].str()[0], 'a' + t);
        EXPECT_GT(std::stoi(m[2]), last[t]);
        last[t] = std::stoi(m[2]);
    }
}

/* Would hang if a line waited for the reader. */
TEST(Log, DropsAndCountsWhatNobodyReads)
{
    log_init(LOG_INFO, LOG_TEXT);
    uint64_t before = log_dropped();
    size_t got;
    {
        StderrPipe pipe;
        for (int i = 0; i < 10000; i++)
            probe_event("nobody reads this");
        got = lines(pipe.text()).size();
    }
    EXPECT_GT(got, 100u);
    EXPECT_EQ(got + (log_dropped() - before), 10000u);
}

TEST(Log, CountsWhatCannotBeWrittenAndKeepsErrno)
{
    log_init(LOG_INFO, LOG_TEXT);
    uint64_t before = log_dropped();
    int saved = dup(STDERR_FILENO);
    int full = open("/dev/full", O_WRONLY);
    ASSERT_GE(full, 0);
    dup2(full, STDERR_FILENO);
    errno = EDOM;
    probe_event("disk full");
    int after = errno;
    close(STDERR_FILENO);
    probe_event("closed");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(full);
    EXPECT_EQ(after, EDOM);
    EXPECT_EQ(log_dropped() - before, 2u);
}

/* A file may grow no further than `bytes`, as on a disk that is full. */
class FileLimit
{
  public:
    explicit FileLimit(rlim_t bytes)
    {
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before_);
        rlimit now = {bytes, before_.rlim_max};
        EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &now), 0);
    }
    ~FileLimit()
    {
        setrlimit(RLIMIT_FSIZE, &before_);
    }

  private:
    rlimit before_;
};

TEST(Log, AfterALineThatWasCutTheNextStandsOnItsOwn)
{
    log_init(LOG_INFO, LOG_TEXT);
    uint64_t before = log_dropped();
    int saved = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    ASSERT_NE(file, nullptr);
    dup2(fileno(file), STDERR_FILENO);
    {
        FileLimit limit(20);
        probe_event("this line is cut");
        probe_event("this one is lost");
    }
    probe_event("there is room again");
    dup2(saved, STDERR_FILENO);
    close(saved);
    std::string text(1000, '\0');
    rewind(file);
    text.resize(fread(&text[0], 1, text.size(), file));
    fclose(file);
    EXPECT_EQ(log_dropped() - before, 2u);
    std::vector<std::string> got = lines(text);
    ASSERT_EQ(got.size(), 2u) << text;
    EXPECT_EQ(got[0].size(), 20u);
    EXPECT_NE(got[1].find("there is room again"), std::string::npos);
    EXPECT_EQ(got[1].compare(0, 2, "20"), 0) << got[1];
}

} // namespace
