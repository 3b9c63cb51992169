// The program: its settings, its start and its end, and a server that comes and goes.
#include "gateway/fixture.h"

namespace gateway_test
{

class Process : public GatewayTest
{
};

int
run(const std::string &args, std::string *out)
{
    FILE *p = popen((std::string(GATEWAY) + " " + args + " 2>&1").c_str(), "r");
    char line[512];
    while (fgets(line, sizeof(line), p))
        *out += line;
    return WEXITSTATUS(pclose(p));
}

TEST_F(Process, SaysWhatIsWrongWithItsSettings)
{
    const struct {
        const char *args;
        int code;
        const char *text;
    } table[] = {
        {"--help", 0, "--listen-address"},
        {"--version", 0, "luna-gateway"},
        {"--print-config", 0, "LUNA"},
        {"--nonsense", 2, "nonsense"},
        {"--max-body=lots", 2, "max-body"},
        {"--log-level=LOUD", 2, "log-level"},
        {"--listen-address=here", 1, "listen-address"},
        {"--listen-address=127.0.0.1:0 --descriptors=/does/not/exist", 1, "descriptors"},
        {"--listen-address=127.0.0.1:0 --descriptors=/etc/hostname", 1, "descriptor"},
        {"--listen-address=127.0.0.1:0 --tls-certificate=/does/not/exist", 1, "tls-certificate"},
    };
    for (auto &row : table) {
        std::string out;
        EXPECT_EQ(run(row.args, &out), row.code) << row.args << ": " << out;
        if (std::string(row.args) != "--print-config") {
            EXPECT_NE(out.find(row.text), std::string::npos) << row.args << ": " << out;
        }
    }
}

TEST_F(Process, FindsAServerThatComesBack)
{
    int port = GatewayProcess::free_port();
    std::string address = "127.0.0.1:" + std::to_string(port);
    gateway = std::make_unique<GatewayProcess>(address, std::vector<std::string>{});
    auto r = get("/v1/book/x");
    EXPECT_EQ(r.status, 503);
    EXPECT_NE(r.body.find("SERVER_UNREACHABLE"), std::string::npos);
    EXPECT_EQ(r.body.find("127.0.0.1"), std::string::npos) << "nothing internal: " << r.body;
    EXPECT_EQ(get("/readyz").status, 503);
    EXPECT_EQ(get("/healthz").status, 200);
    for (int round = 0; round < 2; round++) {
        UpstreamServer server(address);
        int status = 0;
        for (int i = 0; i < 800 && (status = get("/v1/book/x").status) != 200; i++)
            usleep(10000);
        EXPECT_EQ(status, 200) << round;
        EXPECT_EQ(get("/readyz").status, 200);
    }
    for (int i = 0; i < 500 && get("/readyz").status == 200; i++)
        usleep(10000);
    EXPECT_EQ(get("/readyz").status, 503);
}

TEST_F(Process, LetsRequestsEndBeforeItStops)
{
    start();
    Reply slow;
    slow.delay = std::chrono::milliseconds(500);
    slow.messages = {wire("luna.testing.Book", R"({"name":"late"})")};
    reply(slow);
    Connection c(gateway->port);
    c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 200 && upstream.calls().empty(); i++)
        usleep(5000);
    std::thread stopper([&] { EXPECT_EQ(gateway->stop(), 0); });
    auto r = c.receive();
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.header("Connection"), "close");
    stopper.join();
}

TEST_F(Process, CancelsWhatTakesTooLongToEnd)
{
    start({"--drain-timeout=200ms"});
    Reply slow;
    slow.delay = std::chrono::milliseconds(20000);
    reply(slow);
    Connection c(gateway->port);
    c.send("GET /v1/book/x HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 200 && upstream.calls().empty(); i++)
        usleep(5000);
    auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(gateway->stop(), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(Process, IsNotReadyWhileItDrains)
{
    start({"--drain-delay=700ms"});
    kill(gateway->pid, SIGTERM);
    usleep(100000);
    auto r = get("/readyz");
    EXPECT_EQ(r.status, 503);
    EXPECT_NE(r.body.find("SHUTTING_DOWN"), std::string::npos);
    EXPECT_EQ(get("/healthz").status, 200);
    int status = 0;
    waitpid(gateway->pid, &status, 0);
    gateway->pid = -1;
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace gateway_test
