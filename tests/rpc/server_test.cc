// Starting, listening, TLS, draining.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "fixture.h"

namespace
{
std::string
temp_dir()
{
    char path[] = "/tmp/luna-rpc-test-XXXXXX";
    const char *dir = mkdtemp(path);
    EXPECT_NE(dir, nullptr);
    return dir ? dir : "";
}

std::string
slurp(const std::string &path)
{
    std::ifstream f(path);
    std::stringstream s;
    s << f.rdbuf();
    return s.str();
}

// A CA, a server and a client it signed, and a client that signed itself.
class Certificates
{
  public:
    Certificates() : dir(temp_dir())
    {
        std::string d = dir;
        std::string cmd =
            "cd " + d +
            " && exec >/dev/null 2>&1 && "
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out "
            "ca.pem && "
            "for n in server client; do "
            "openssl req -newkey rsa:2048 -nodes -subj /CN=$n -keyout $n.key -out $n.csr && "
            "printf 'subjectAltName=DNS:luna.test' > ext && "
            "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile ext -out $n.pem || exit 1; done && "
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key "
            "-out other.pem";
        ok = system(cmd.c_str()) == 0;
    }
    ~Certificates()
    {
        std::string cmd = "rm -rf " + dir;
        EXPECT_EQ(system(cmd.c_str()), 0);
    }
    std::vector<std::string> settings(bool mutual) const
    {
        std::vector<std::string> s = {"--tls-certificate=" + dir + "/server.pem",
                                      "--tls-key=" + dir + "/server.key"};
        if (mutual)
            s.push_back("--tls-client-ca=" + dir + "/ca.pem");
        return s;
    }
    Channel::Options client(const std::string &who) const
    {
        Channel::Options opt;
        opt.root_ca = slurp(dir + "/ca.pem");
        opt.host = "luna.test";
        if (!who.empty()) {
            opt.cert = slurp(dir + "/" + who + ".pem");
            opt.key = slurp(dir + "/" + who + ".key");
        }
        return opt;
    }
    std::string dir;
    bool ok;
};

int
echo_code(const std::string &address, const Channel::Options &opt = Channel::Options(),
          int ms = 3000)
{
    Channel ch(address, opt);
    return unary(ch, kEcho, echo_bytes("x"), {}, ms).code;
}
} // namespace

TEST(Start, TakenPortIsSaid)
{
    Server first;
    ASSERT_NE(first.get(), nullptr);
    Server second({"--listen-address=" + first.address()});
    EXPECT_EQ(second.get(), nullptr);
    EXPECT_NE(second.error.find(first.address() + ": it is in use"), std::string::npos)
        << second.error;
}

TEST(Start, BadAddressesAreSaid)
{
    for (const char *bad : {"", "localhost", "127.0.0.1:", ":1", "::1:5", "127.0.0.1:99999x",
                            "unix:", "no.such.host.invalid:1"}) {
        Server server({std::string("--listen-address=") + bad});
        EXPECT_EQ(server.get(), nullptr) << bad;
        EXPECT_NE(server.error.find("cannot listen on"), std::string::npos) << server.error;
    }
}

TEST(Start, SeveralAddresses)
{
    std::string dir = temp_dir();
    std::string path = dir + "/rpc.sock";
    {
        Server server({"--listen-address=127.0.0.1:0, unix:" + path});
        ASSERT_NE(server.get(), nullptr) << server.error;
        EXPECT_EQ(echo_code(server.address()), 0);
        EXPECT_EQ(echo_code("unix:" + path), 0);
        Channel ch("unix:" + path);
        Command c;
        c.describe = true;
        Answer a = command_of(unary(ch, kObey, c.bytes_on_wire()).body);
        EXPECT_NE(a.text.find("address=unix "), std::string::npos) << a.text;
        Server again({"--listen-address=unix:" + path});
        EXPECT_EQ(again.get(), nullptr);
    }
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    EXPECT_EQ(rmdir(dir.c_str()), 0);
}

// The reactors that so many calls of one connection ran on.
static std::set<int>
reactors_of(const Channel &ch, int calls)
{
    std::set<int> seen;
    Command c;
    c.describe = true;
    for (int i = 0; i < calls; i++) {
        std::string text = command_of(unary(ch, kObey, c.bytes_on_wire()).body).text;
        size_t at = text.find(" reactor=");
        EXPECT_NE(at, std::string::npos) << text;
        seen.insert(std::stoi(text.substr(at + 9)));
    }
    return seen;
}

// Each of six connections, and those of the first ones again.
static void
expect_turns(const std::string &address, const Channel::Options &opt = Channel::Options())
{
    std::vector<std::unique_ptr<Channel>> channels;
    std::vector<int> got;
    for (int i = 0; i < 6; i++) {
        channels.push_back(std::make_unique<Channel>(address, opt));
        std::set<int> seen = reactors_of(*channels.back(), 10);
        ASSERT_EQ(seen.size(), 1U);
        got.push_back(*seen.begin());
        EXPECT_TRUE(i == 0 || got[static_cast<size_t>(i)] != got[static_cast<size_t>(i - 1)]);
    }
    for (size_t i = 0; i < channels.size(); i++)
        EXPECT_EQ(reactors_of(*channels[i], 3), std::set<int>{got[i]});
}

TEST(Reactors, ConnectionsGetThemInTurnAndKeepThem)
{
    std::string dir = temp_dir();
    std::string local = "unix:" + dir + "/rpc.sock"; // they all have the same peer
    {
        Server server({"--listen-address=127.0.0.1:0, " + local});
        ASSERT_NE(server.get(), nullptr) << server.error;
        expect_turns(server.address());
        expect_turns(local);
    }
    EXPECT_EQ(rmdir(dir.c_str()), 0);
    Certificates certs;
    ASSERT_TRUE(certs.ok);
    Server server(certs.settings(false));
    ASSERT_NE(server.get(), nullptr) << server.error;
    expect_turns(server.address(), certs.client(""));
}

// The next one is likely to be where the last one was in memory.
TEST(Reactors, ConnectionsOfOneCallGetThemInTurn)
{
    Server server;
    ASSERT_NE(server.get(), nullptr) << server.error;
    int on_first = 0;
    for (int i = 0; i < 20; i++) {
        Channel ch(server.address());
        on_first += *reactors_of(ch, 1).begin() == 0;
    }
    EXPECT_EQ(on_first, 10);
}

// Five reactors have three pollers; which of those reads a connection is core's choice.
TEST(Reactors, AllOfThemServe)
{
    Server server({"--reactors=5"});
    ASSERT_NE(server.get(), nullptr) << server.error;
    std::set<int> all;
    for (int i = 0; i < 60; i++) {
        Channel ch(server.address());
        std::set<int> seen = reactors_of(ch, 2);
        EXPECT_EQ(seen.size(), 1U);
        all.insert(seen.begin(), seen.end());
    }
    EXPECT_EQ(all, (std::set<int>{0, 1, 2, 3, 4}));
}

TEST(Start, Ipv6)
{
    Server server({"--listen-address=[::1]:0"});
    if (!server.get())
        GTEST_SKIP() << server.error;
    Channel ch("[::1]:" + std::to_string(test_server_port(server.get())));
    Command c;
    c.describe = true;
    Answer a = command_of(unary(ch, kObey, c.bytes_on_wire()).body);
    EXPECT_NE(a.text.find("address=::1 "), std::string::npos) << a.text;
}

TEST(Start, StaleSocketFileIsReplaced)
{
    std::string dir = temp_dir();
    std::string path = dir + "/rpc.sock";
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un_ {
        sa_family_t family;
        char path[108];
    } sa = {AF_UNIX, {}};
    memcpy(sa.path, path.c_str(), path.size() + 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<struct sockaddr *>(&sa), sizeof(sa)), 0);
    close(fd);
    Server server({"--listen-address=unix:" + path});
    EXPECT_NE(server.get(), nullptr) << server.error;
    server.stop();
    EXPECT_EQ(rmdir(dir.c_str()), 0);
}

TEST(Tls, ServerCertificate)
{
    Certificates certs;
    ASSERT_TRUE(certs.ok);
    Server server(certs.settings(false));
    ASSERT_NE(server.get(), nullptr) << server.error;
    EXPECT_EQ(echo_code(server.address(), certs.client("")), 0);
    EXPECT_EQ(echo_code(server.address(), certs.client("client")), 0);
    EXPECT_EQ(echo_code(server.address()), 14) << "plain text on a TLS port";
    Channel::Options wrong = certs.client("");
    wrong.host = "other.test";
    EXPECT_EQ(echo_code(server.address(), wrong), 14);
    std::string old =
        "openssl s_client -tls1_1 -connect " + server.address() + " </dev/null >/dev/null 2>&1";
    EXPECT_NE(system(old.c_str()), 0) << "TLS 1.1 was accepted";
    std::string now = "openssl s_client -alpn h2 -tls1_2 -connect " + server.address() +
                      " </dev/null >/dev/null 2>&1";
    EXPECT_EQ(system(now.c_str()), 0);
}

TEST(Tls, MutualAsksForAClientOfTheCa)
{
    Certificates certs;
    ASSERT_TRUE(certs.ok);
    Server server(certs.settings(true));
    ASSERT_NE(server.get(), nullptr) << server.error;
    EXPECT_EQ(echo_code(server.address(), certs.client("client")), 0);
    EXPECT_EQ(echo_code(server.address(), certs.client("")), 14);
    EXPECT_EQ(echo_code(server.address(), certs.client("other")), 14);
}

TEST(Tls, BadFilesAreSaid)
{
    Certificates certs;
    ASSERT_TRUE(certs.ok);
    std::string key = "--tls-key=" + certs.dir + "/server.key";
    std::string cert = "--tls-certificate=" + certs.dir + "/server.pem";
    struct {
        std::vector<std::string> args;
        const char *says;
    } cases[] = {
        {{key}, "LUNA_TLS_CERTIFICATE"},
        {{cert}, "LUNA_TLS_KEY"},
        {{cert, "--tls-key=/nonexistent"}, "LUNA_TLS_KEY /nonexistent"},
        {{cert, "--tls-key=" + certs.dir + "/ext"}, "refuses the TLS certificate"},
        {{cert, "--tls-key=" + certs.dir + "/client.key"}, "refuses the TLS certificate"},
    };
    for (auto &c : cases) {
        Server server(c.args);
        EXPECT_EQ(server.get(), nullptr);
        EXPECT_NE(server.error.find(c.says), std::string::npos) << server.error;
    }
}

TEST(Drain, RunningCallsEndByThemselves)
{
    Server server({"--drain-timeout=10s"});
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 300;
    c.text = "done";
    Call call(ch, kObey);
    call.send(c.bytes_on_wire());
    call.half_close();
    ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
    auto begun = std::chrono::steady_clock::now();
    std::thread drain([&] { test_server_drain(server.get()); });
    EXPECT_EQ(command_of(call.recv().value_or("")).text, "done");
    EXPECT_EQ(call.finish().code, 0);
    drain.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
    EXPECT_EQ(echo_code(server.address(), Channel::Options(), 1000), 14);
}

TEST(Drain, WhatStaysIsCutOff)
{
    Server server({"--drain-timeout=200ms"});
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 60000;
    Call call(ch, kObey, {}, 0);
    call.send(c.bytes_on_wire());
    call.half_close();
    Call chat(ch, kChat, {}, 0);
    chat.send(echo_bytes("hello"));
    ASSERT_TRUE(chat.recv().has_value());
    ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
    std::thread drain([&] { test_server_drain(server.get()); });
    EXPECT_EQ(call.finish().code, 14);
    EXPECT_EQ(details_of(call.finish()).reason, "SHUTTING_DOWN");
    EXPECT_EQ(chat.finish().code, 14);
    EXPECT_EQ(details_of(chat.finish()).reason, "SHUTTING_DOWN");
    drain.join();
    EXPECT_EQ(server.stats().calls_alive, 0);
}

TEST(Drain, StopAloneEndsEverything)
{
    Server server;
    Channel ch(server.address());
    Command c;
    c.sleep_ms = 60000;
    Call call(ch, kObey, {}, 0);
    call.send(c.bytes_on_wire());
    call.half_close();
    ASSERT_TRUE(eventually([&] { return server.counts(kObey).in_flight == 1; }));
    server.stop();
    EXPECT_EQ(call.finish().code, 14);
}

// Clients without a retry policy call without a pause while one server takes over from the other.
// (What never left the client when GOAWAY came, core itself sends again elsewhere.)
TEST(Drain, NoCallFailsAcrossARestart)
{
    auto first = std::make_unique<Server>(std::vector<std::string>{"--drain-timeout=10s"},
                                          std::vector<const struct interceptor *>{}, true);
    std::string address = first->address();
    std::atomic<bool> stop{false};
    std::atomic<int> failed{0};
    std::atomic<int> served{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&] {
            Channel ch(address);
            while (!stop) {
                Outcome out = unary(ch, kEcho, echo_bytes("x"));
                served++;
                if (out.code != 0) {
                    failed++;
                    ADD_FAILURE() << out.code << " " << out.message;
                }
            }
        });
    }
    for (int round = 0; round < 5; round++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        auto next = std::make_unique<Server>(
            std::vector<std::string>{"--drain-timeout=10s", "--listen-address=" + address},
            std::vector<const struct interceptor *>{}, true);
        ASSERT_NE(next->get(), nullptr) << next->error;
        test_server_drain(first->get());
        first->stop();
        first = std::move(next);
    }
    stop = true;
    for (auto &t : threads)
        t.join();
    EXPECT_GT(served, 20);
    EXPECT_EQ(failed, 0);
}
