#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "base/clock.h"
#include "base/config.h"
#include "base/str.h"
}

namespace
{

const char kSecret[] = "postgres://app:s3cr3t@db/luna";

class Config : public testing::Test
{
  protected:
    void SetUp() override
    {
        for (size_t i = 0; i < config_row_count; i++)
            unsetenv(config_rows[i].env);
    }
    void TearDown() override
    {
        config_fini(&cfg);
        SetUp();
    }

    bool load(std::vector<std::string> args = {})
    {
        config_fini(&cfg);
        args.insert(args.begin(), "luna-server");
        std::vector<char *> argv;
        for (std::string &a : args)
            argv.push_back(a.data());
        argv.push_back(nullptr);
        int argc = static_cast<int>(args.size());
        err[0] = '\0';
        bool ok = config_load(&cfg, &argc, argv.data(), err, sizeof(err));
        rest.clear();
        if (ok) {
            EXPECT_EQ(argv[static_cast<size_t>(argc)], nullptr);
            for (int i = 1; i < argc; i++)
                rest.push_back(argv[static_cast<size_t>(i)]);
        }
        return ok;
    }

    template <typename F> static std::string printed(F print)
    {
        char *text = nullptr;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        print(f);
        fclose(f);
        std::string out(text, n);
        free(text);
        return out;
    }

    std::string values()
    {
        return printed([this](FILE *f) { config_print_values(f, &cfg); });
    }

    config cfg = {};
    char err[1024];
    std::vector<std::string> rest;
};

const config_row *
row_of(const std::string &name)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (name == config_rows[i].name)
            return &config_rows[i];
    }
    return nullptr;
}

TEST_F(Config, RowsAreWellFormed)
{
    std::set<std::string> seen;
    for (size_t i = 0; i < config_row_count; i++) {
        const config_row &row = config_rows[i];
        std::string name = row.name;
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"),
                  std::string::npos)
            << name;
        EXPECT_TRUE(seen.insert(name).second) << name;
        EXPECT_TRUE(seen.insert(row.env).second) << row.env;
        EXPECT_NE(std::string(row.help), "") << name;
        EXPECT_EQ(std::string(row.help).find('\n'), std::string::npos) << name;
        EXPECT_EQ(row.min == nullptr, row.max == nullptr) << name;
        bool ranged =
            row.type == CONFIG_INT || row.type == CONFIG_DURATION || row.type == CONFIG_BYTES;
        EXPECT_EQ(row.min != nullptr, ranged) << name;
        if (row.flags & CONFIG_IS_SECRET) {
            EXPECT_STREQ(row.def, "") << name;
        }
    }
}

TEST_F(Config, HasDefaults)
{
    ASSERT_TRUE(load()) << err;
    EXPECT_STREQ(cfg.listen_address, "127.0.0.1:50051");
    EXPECT_EQ(cfg.database_connections, 2);
    EXPECT_EQ(cfg.database_timeout, SEC(5));
    EXPECT_EQ(cfg.redis_timeout, MSEC(500));
    EXPECT_EQ(cfg.fiber_stack, 128 * 1024);
    EXPECT_EQ(cfg.max_memory, int64_t{2} << 30);
    EXPECT_EQ(cfg.connection_age, 0);
    EXPECT_FALSE(cfg.compression);
    EXPECT_TRUE(cfg.reflection);
}

TEST_F(Config, ArgumentsWinOverTheEnvironment)
{
    setenv("LUNA_REACTORS", "3", 1);
    setenv("LUNA_LISTEN_ADDRESS", "env:1", 1);
    ASSERT_TRUE(load()) << err;
    EXPECT_EQ(cfg.reactors, 3);
    EXPECT_STREQ(cfg.listen_address, "env:1");
    ASSERT_TRUE(load({"--reactors=4"})) << err;
    EXPECT_EQ(cfg.reactors, 4);
    EXPECT_STREQ(cfg.listen_address, "env:1");
    ASSERT_TRUE(load({"--reactors", "5", "--listen-address=", "--reactors=6"})) << err;
    EXPECT_EQ(cfg.reactors, 6);
    EXPECT_STREQ(cfg.listen_address, "");
}

TEST_F(Config, KeepsItsOwnCopies)
{
    setenv("LUNA_LISTEN_ADDRESS", "env:1", 1);
    ASSERT_TRUE(load()) << err;
    setenv("LUNA_LISTEN_ADDRESS", "env:2", 1);
    EXPECT_STREQ(cfg.listen_address, "env:1");
}

TEST_F(Config, LeavesOtherArgumentsInPlace)
{
    ASSERT_TRUE(load({"migrate", "--reactors=1", "up", "--admin", "--help", "-x", "--log-format",
                      "json", "--", "--reactors=9"}))
        << err;
    EXPECT_EQ(rest, (std::vector<std::string>{"migrate", "up", "--admin", "--help", "-x", "--",
                                              "--reactors=9"}));
    EXPECT_EQ(cfg.reactors, 1);
    EXPECT_STREQ(cfg.log_format, "json");
    /* neither a prefix of a name nor its C spelling is the name */
    ASSERT_TRUE(load({"--reactor=1", "--listen_address=x", "--=1", "reactors=2"})) << err;
    EXPECT_EQ(rest.size(), 4u);
    EXPECT_EQ(cfg.reactors, 0);
}

TEST_F(Config, ReadsWithoutAProgramName)
{
    char *none[] = {nullptr};
    int argc = 0;
    EXPECT_TRUE(config_load(&cfg, &argc, none, err, sizeof(err)));
    EXPECT_EQ(argc, 0);
}

TEST_F(Config, ReadsEveryUnit)
{
    const std::vector<std::pair<const char *, int64_t>> durations = {
        {"500us", USEC(500)}, {"20ms", MSEC(20)},   {"5s", SEC(5)}, {"2m", SEC(120)},
        {"1h", SEC(3600)},    {"1500", MSEC(1500)}, {"0", 0},
    };
    for (const auto &[text, want] : durations) {
        ASSERT_TRUE(load({std::string("--connection-age-grace=") + text})) << err;
        EXPECT_EQ(cfg.connection_age_grace, want) << text;
    }
    const std::vector<std::pair<const char *, int64_t>> sizes = {
        {"65536", 65536}, {"64KiB", 65536}, {"4MiB", 4 << 20}, {"1GiB", 1 << 30}};
    for (const auto &[text, want] : sizes) {
        ASSERT_TRUE(load({std::string("--max-memory=") + (want < 16 << 20 ? "16MiB" : text),
                          std::string("--max-message=") + (want > 256 << 20 ? "1KiB" : text)}))
            << err;
        EXPECT_EQ(want > 256 << 20 ? cfg.max_memory : cfg.max_message, want) << text;
    }
    for (const char *text : {"true", "yes", "on", "1", "TRUE", "Yes"}) {
        ASSERT_TRUE(load({"--compression", text})) << err;
        EXPECT_TRUE(cfg.compression) << text;
    }
    for (const char *text : {"false", "no", "off", "0", "OFF"}) {
        ASSERT_TRUE(load({"--reflection", text})) << err;
        EXPECT_FALSE(cfg.reflection) << text;
    }
}

TEST_F(Config, AcceptsBothEndsOfEachRange)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const config_row &row = config_rows[i];
        if (!row.min)
            continue;
        EXPECT_TRUE(load({std::string("--") + row.name, row.min})) << err;
        EXPECT_TRUE(load({std::string("--") + row.name, row.max})) << err;
    }
}

/* For every setting that can be wrong: the line names the setting, its variable, the value, the
 * range. */
TEST_F(Config, SaysWhatIsWrong)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const config_row &row = config_rows[i];
        std::vector<std::string> bad = {"\x1b[2J"};
        if (row.type != CONFIG_STRING)
            bad.insert(bad.end(), {"", "x", "-1", " 1", "1 ", "1.5", "12x", "99999999999999999999",
                                   "9223372036854775807GiB", "9223372036854775807h"});
        for (const std::string &value : bad) {
            bool by_env = value.size() % 2;
            if (by_env)
                setenv(row.env, value.c_str(), 1);
            EXPECT_FALSE(by_env ? load() : load({std::string("--") + row.name + "=" + value}))
                << row.name << " " << value;
            unsetenv(row.env);
            std::string line = err;
            EXPECT_EQ(line.find("--" + std::string(row.name) + " (" + row.env + "): "), 0u) << line;
            for (char c : line)
                EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20) << line;
            if (row.flags & CONFIG_IS_SECRET) {
                EXPECT_EQ(line.find("2J"), std::string::npos) << line;
            } else {
                EXPECT_NE(line.find(value[0] == '\x1b' ? "\"\\u001b[2J\"" : "\"" + value + "\""),
                          std::string::npos)
                    << line;
            }
            if (row.min) {
                EXPECT_NE(line.find(" from " + std::string(row.min) + " to " + row.max),
                          std::string::npos)
                    << line;
            }
        }
    }
    EXPECT_FALSE(load({"--reactors=257"}));
    EXPECT_STREQ(err, "--reactors (LUNA_REACTORS): \"257\" is not an integer from 0 to 256");
    EXPECT_FALSE(load({"--reflection=maybe"}));
    EXPECT_STREQ(err, "--reflection (LUNA_REFLECTION): \"maybe\" is not true or false");
    EXPECT_FALSE(load({"--redis-timeout=0"}));
    EXPECT_STREQ(err, "--redis-timeout (LUNA_REDIS_TIMEOUT): \"0\" is not a duration (500us, 20ms, "
                      "5s, 2m, 1h) from 1ms to 1m");
    EXPECT_FALSE(load({"--max-message=1KB"}));
    EXPECT_STREQ(err, "--max-message (LUNA_MAX_MESSAGE): \"1KB\" is not a size (4096, 64KiB, 4MiB, "
                      "1GiB) from 1KiB to 256MiB");
    EXPECT_FALSE(load({"--reactors"}));
    EXPECT_STREQ(err, "--reactors (LUNA_REACTORS): its value is missing");
    EXPECT_FALSE(load({"--database-url=secret\n"}));
    EXPECT_STREQ(err, "--database-url (LUNA_DATABASE_URL): its value is not text without control "
                      "characters");
}

TEST_F(Config, ErrorLinesAreCutToTheirBuffer)
{
    char small[16];
    char *argv[] = {const_cast<char *>("x"), const_cast<char *>("--reactors=x"), nullptr};
    int argc = 2;
    EXPECT_FALSE(config_load(&cfg, &argc, argv, small, sizeof(small)));
    EXPECT_STREQ(small, "--reactors (LUN");
    EXPECT_FALSE(load({"--reactors=" + std::string(100000, '9')}));
    EXPECT_LT(strlen(err), 400u);
}

TEST_F(Config, NeverPrintsASecret)
{
    std::vector<std::string> args;
    size_t secrets = 0;
    for (size_t i = 0; i < config_row_count; i++) {
        if (config_rows[i].flags & CONFIG_IS_SECRET) {
            args.push_back(std::string("--") + config_rows[i].name + "=" + kSecret);
            secrets++;
        }
    }
    EXPECT_GE(secrets, 5u);
    ASSERT_TRUE(load(args)) << err;
    EXPECT_STREQ(cfg.database_url, kSecret);
    std::string out = values();
    EXPECT_EQ(out.find("s3cr3t"), std::string::npos) << out;
    EXPECT_NE(out.find("database-url=***\n"), std::string::npos) << out;
    for (const std::string &arg : args) {
        EXPECT_FALSE(load({arg + "\n"}));
        EXPECT_EQ(std::string(err).find("s3cr3t"), std::string::npos) << err;
    }
    ASSERT_TRUE(load());
    EXPECT_NE(values().find("database-url=\n"), std::string::npos); /* empty is no secret */
}

/* What --print-config says may be given back and means the same. */
TEST_F(Config, PrintedValuesReadBack)
{
    setenv("LUNA_DATABASE_TIMEOUT", "90s", 1);
    setenv("LUNA_REDIS_TIMEOUT", "1500", 1);
    setenv("LUNA_MAX_MESSAGE", "1025", 1);
    setenv("LUNA_COMPRESSION", "yes", 1);
    ASSERT_TRUE(load()) << err;
    std::string first = values();
    EXPECT_NE(first.find("\ndatabase-timeout=90s\n"), std::string::npos) << first;
    EXPECT_NE(first.find("\nredis-timeout=1500ms\n"), std::string::npos) << first;
    EXPECT_NE(first.find("\nmax-message=1025\n"), std::string::npos) << first;
    EXPECT_NE(first.find("\nmax-memory=2GiB\n"), std::string::npos) << first;
    EXPECT_NE(first.find("\ndrain-delay=0\n"), std::string::npos) << first;
    EXPECT_NE(first.find("\ncompression=true\n"), std::string::npos) << first;
    std::vector<std::string> args;
    std::istringstream in(first);
    for (std::string line; std::getline(in, line);)
        args.push_back("--" + line);
    EXPECT_EQ(args.size(), config_row_count);
    SetUp();
    ASSERT_TRUE(load(args)) << err;
    EXPECT_EQ(values(), first);
}

TEST_F(Config, HelpAndMarkdownHaveEveryRow)
{
    std::string help = printed([](FILE *f) { config_print_help(f); });
    std::string table = printed([](FILE *f) { config_print_markdown(f); });
    for (size_t i = 0; i < config_row_count; i++) {
        const config_row &row = config_rows[i];
        EXPECT_NE(help.find("  --" + std::string(row.name) + "="), std::string::npos) << row.name;
        EXPECT_NE(help.find(row.help), std::string::npos) << row.name;
        EXPECT_NE(table.find("\n| `--" + std::string(row.name) + "` | `" + row.env + "` | "),
                  std::string::npos)
            << row.name;
    }
    EXPECT_NE(help.find("[LUNA_REACTORS, default 0, from 0 to 256]"), std::string::npos) << help;
    EXPECT_NE(
        table.find("| `--reactors` | `LUNA_REACTORS` | `0` | 0 to 256 | event loops, each with "
                   "its thread; 0: one for each core |\n"),
        std::string::npos)
        << table;
    std::istringstream in(table);
    size_t lines = 0;
    for (std::string line; std::getline(in, line); lines++) {
        size_t bars = 0;
        for (size_t i = 0; i < line.size(); i++)
            bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
        EXPECT_EQ(bars, 6u) << line;
    }
    EXPECT_EQ(lines, config_row_count + 2);
    ASSERT_NE(row_of("log-level"), nullptr);
}

} // namespace
