/* The `luna` program against a real server. */
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

extern "C" {
#include "unit/client/kalman_server.h"
}

namespace
{

struct Result {
    int status;
    std::string out;
    std::string err;
};

std::string
slurp(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

class Cli : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        char err[300] = "";
        server = kalman_server_start(err, sizeof(err));
        ASSERT_NE(server, nullptr) << err;
        char name[] = "/tmp/luna-cli-XXXXXX";
        dir = mkdtemp(name);
        setenv("LUNA_SERVER", ("127.0.0.1:" + std::to_string(kalman_server_port(server))).c_str(),
               1);
        unsetenv("LUNA_API_KEY");
        unsetenv("LUNA_TOKEN");
    }
    static void TearDownTestSuite()
    {
        if (server)
            test_server_stop(server);
        EXPECT_EQ(system(("rm -r " + dir).c_str()), 0);
    }

    /* Runs the tool with shell words. */
    static Result luna(const std::string &args, const std::string &before = "")
    {
        std::string command = before + LUNA " " + args + " >" + dir + "/out 2>" + dir + "/err";
        int status = system(command.c_str());
        return {WEXITSTATUS(status), slurp(dir + "/out"), slurp(dir + "/err")};
    }

    static test_server *server;
    static std::string dir;
};

test_server *Cli::server;
std::string Cli::dir;

bool
has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}

TEST_F(Cli, FiltersTheNile)
{
    Result r = luna("kalman filter --observation-variance 15099 --level-variance 1469.1 "
                    "--log-likelihood " DATA "/nile.csv:volume");
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out.rfind("input,filtered\n1120,1120\n1160,1140.9", 0), 0u) << r.out.substr(0, 80);
    EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 101);
    size_t last = r.out.rfind(',');
    EXPECT_NEAR(std::stod(r.out.substr(last + 1)), 798.3702926083641, 1e-9);
    EXPECT_TRUE(has(r.err, "log-likelihood -633.46456")) << r.err;
    Result book = luna("kalman filter --omit-diffuse-constant --observation-variance=15099 "
                       "--level-variance=1469.1 --log-likelihood " DATA "/nile.csv:2");
    EXPECT_TRUE(has(book.err, "log-likelihood -632.5456")) << book.err;
}

TEST_F(Cli, ReadsStdinAndPrintsJson)
{
    Result r = luna("--json kalman filter --observation-variance 1 --level-variance 0 --variances "
                    "--innovations --initial-mean 0 --initial-variance 1 -",
                    "printf '1\\nNA\\n2\\n' | ");
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_TRUE(has(r.out, "\"input_data\": [1, \"NaN\", 2]")) << r.out;
    EXPECT_TRUE(has(r.out, "\"processed_results\": [0.5, 0.5, 1]")) << r.out;
    EXPECT_TRUE(has(r.out, "\"filtered_variances\": [0.5, 0.5, 0.3333333333333333]")) << r.out;
    EXPECT_TRUE(has(r.out, "\"estimated\": false}")) << r.out;
}

TEST_F(Cli, SaysWhichFieldIsWrong)
{
    Result r = luna("kalman filter --level-variance -1 --observation-variance 1 -", "echo 1 | ");
    EXPECT_EQ(r.status, 13) << r.err;
    EXPECT_TRUE(has(r.err, "INVALID_ARGUMENT (BAD_FIELD)")) << r.err;
    EXPECT_TRUE(has(r.err, "      level_variance ")) << r.err;
    EXPECT_EQ(r.out, "");
}

TEST_F(Cli, Health)
{
    Result r = luna("health");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, "SERVING\n");
    EXPECT_EQ(luna("health --json luna.v1.KalmanService").out, "{\"status\": \"SERVING\"}\n");
    EXPECT_EQ(luna("health no.such.Service").status, 15);
    Result w = luna("watch --timeout 0.3");
    EXPECT_EQ(w.out, "SERVING\n");
    EXPECT_EQ(w.status, 14) << w.err;
}

TEST_F(Cli, CallsAnyMethod)
{
    Result r = luna("call /grpc.health.v1.Health/Check", "printf '' | ");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, "\x08\x01");
    EXPECT_EQ(luna("call luna.v1.QuotaService/NoSuch </dev/null").status, 22);
    EXPECT_EQ(luna("call nonsense </dev/null").status, 2);
    EXPECT_EQ(luna("call").status, 2);
}

TEST_F(Cli, AccountsNeedTheirService)
{
    EXPECT_EQ(luna("account get").status, 22) << "not served here";
    Result r = luna("account get alice");
    EXPECT_EQ(r.status, 2);
    EXPECT_TRUE(has(r.err, "not \"alice\"")) << r.err;
}

TEST_F(Cli, SaysWhereNobodyListens)
{
    Result r = luna("health --server 127.0.0.1:1 --timeout 5");
    EXPECT_EQ(r.status, 24) << r.err;
    EXPECT_TRUE(has(r.err, "luna: 127.0.0.1:1: UNAVAILABLE")) << r.err;
    EXPECT_TRUE(has(r.err, "./dev up")) << r.err;
}

TEST_F(Cli, Usage)
{
    EXPECT_EQ(luna("").status, 2);
    EXPECT_EQ(luna("kalman").status, 2);
    EXPECT_EQ(luna("kalman smooth").status, 2);
    EXPECT_EQ(luna("health --level-variance 1").status, 2);
    EXPECT_EQ(luna("health --no-such").status, 2);
    EXPECT_EQ(luna("health --tls=yes").status, 2);
    EXPECT_EQ(luna("health --timeout").status, 2);
    EXPECT_EQ(luna("health --timeout soon").status, 2);
    EXPECT_EQ(luna("health a b").status, 2);
    EXPECT_EQ(luna("health --key a --token b").status, 2);
    EXPECT_EQ(luna("kalman filter --initial-mean 1 -").status, 2);
    EXPECT_EQ(luna("kalman filter /no/such/file").status, 1);
    EXPECT_EQ(luna("health --ca /no/such/file").status, 1);
    EXPECT_TRUE(has(luna("--help").out, "Usage: luna"));
    EXPECT_EQ(luna("--version").out.rfind("luna 0.", 0), 0u);
    EXPECT_TRUE(has(luna("health --no-such").err, "luna --help"));
}

TEST_F(Cli, SaysWhenTheOutputIsLost)
{
    int status = system(LUNA " health >/dev/full 2>/dev/null");
    EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(Cli, ShowsMetadata)
{
    Result r = luna("health --verbose no.such.Service");
    EXPECT_TRUE(has(r.err, "grpc-status-details-bin: ")) << r.err;
}

} // namespace
