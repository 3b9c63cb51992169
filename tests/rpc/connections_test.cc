/* Which of several TCP connections is shut down when a poller is stuck. */
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

extern "C" {
#include "rpc/connections.h"
}

namespace
{

constexpr size_t kLots = 1 << 20;

struct Pair {
    int client = -1;
    int server = -1;

    Pair()
    {
        sockaddr_in sa = {};
        socklen_t len = sizeof(sa);
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
        EXPECT_EQ(listen(listener, 1), 0);
        EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr *>(&sa), &len), 0);
        client = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT_EQ(connect(client, reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
        server = accept(listener, nullptr, nullptr);
        close(listener);
    }
    ~Pair()
    {
        close(client);
        close(server);
    }

    void move(int from, int to, size_t n)
    {
        std::string out(16384, 'x');
        std::string in(16384, '\0');
        for (size_t sent = 0; sent < n; sent += out.size()) {
            ASSERT_EQ(send(from, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
            ASSERT_EQ(recv(to, &in[0], in.size(), MSG_WAITALL), static_cast<ssize_t>(in.size()));
        }
    }
    void ask(size_t n)
    {
        move(client, server, n);
    }
    void answer(size_t n)
    {
        move(server, client, n);
    }
    bool is_open()
    {
        char c;
        return recv(client, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
};

struct Connections : ::testing::Test {
    connections table = {};
    ~Connections() override
    {
        connections_fini(&table);
    }
};

TEST_F(Connections, TheOneThatSendsAndIsNotAnsweredGoes)
{
    Pair flood;
    Pair upload;
    Pair quiet;
    for (Pair *p : {&flood, &upload, &quiet})
        connections_add(&table, p->server);
    EXPECT_FALSE(connections_watch(&table, true));
    flood.ask(kLots);
    upload.ask(2 * kLots);
    upload.answer(16384);
    EXPECT_TRUE(connections_watch(&table, true));
    EXPECT_FALSE(flood.is_open());
    EXPECT_TRUE(upload.is_open());
    EXPECT_TRUE(quiet.is_open());
    EXPECT_FALSE(connections_watch(&table, true)) << "shut twice";
}

TEST_F(Connections, NothingGoesWhilePollersComplete)
{
    Pair flood;
    connections_add(&table, flood.server);
    for (bool stuck : {true, false, true}) {
        flood.ask(kLots);
        EXPECT_FALSE(connections_watch(&table, stuck));
    }
    EXPECT_TRUE(flood.is_open());
}

TEST_F(Connections, AHandshakeIsNotSuspected)
{
    Pair handshake;
    connections_add(&table, handshake.server);
    EXPECT_FALSE(connections_watch(&table, true));
    handshake.ask(16384);
    EXPECT_FALSE(connections_watch(&table, true));
    EXPECT_TRUE(handshake.is_open());
}

TEST_F(Connections, ClosedOnesAreForgottenThoughTheirNumberIsUsedAgain)
{
    Pair kept;
    connections_add(&table, kept.server);
    int number;
    {
        Pair gone;
        number = gone.server;
        connections_add(&table, number);
    }
    Pair next;
    ASSERT_TRUE(next.server == number || next.client == number);
    connections_sweep(&table);
    EXPECT_EQ(table.count, 1u);
}

/* What core calls the peer of a server's socket; call_test.cc sees that it does. */
std::string
peer_name(int client, const std::string &host)
{
    sockaddr_in6 sa = {};
    socklen_t len = sizeof(sa);
    EXPECT_EQ(getsockname(client, reinterpret_cast<sockaddr *>(&sa), &len), 0);
    return host + ":" + std::to_string(ntohs(sa.sin6_port));
}

TEST_F(Connections, AreFoundByTheNameOfTheirPeer)
{
    Pair one;
    Pair two;
    connections_add(&table, one.server);
    connections_add(&table, two.server);
    for (Pair *p : {&one, &two}) {
        std::string name = peer_name(p->client, "ipv4:127.0.0.1");
        EXPECT_EQ(connections_find(&table, connection_name(name.c_str())), p->server);
    }
    EXPECT_EQ(connections_find(&table, connection_name("ipv4:127.0.0.1:1")), -1);
}

TEST_F(Connections, HaveNamesInIpv6AndNoneElsewhere)
{
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    sockaddr_in6 sa = {};
    socklen_t len = sizeof(sa);
    sa.sin6_family = AF_INET6;
    sa.sin6_addr = in6addr_any;
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr *>(&sa), sizeof(sa)) != 0)
        GTEST_SKIP() << "no IPv6 here";
    ASSERT_EQ(listen(listener, 2), 0);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr *>(&sa), &len), 0);
    for (bool mapped : {false, true}) {
        const char *address = mapped ? "::ffff:127.0.0.1" : "::1";
        ASSERT_EQ(inet_pton(AF_INET6, address, &sa.sin6_addr), 1);
        int client = socket(AF_INET6, SOCK_STREAM, 0);
        ASSERT_EQ(connect(client, reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
        int server = accept(listener, nullptr, nullptr);
        connections_add(&table, server);
        std::string name = peer_name(client, mapped ? "ipv4:127.0.0.1" : "ipv6:%5B::1%5D");
        EXPECT_EQ(connections_find(&table, connection_name(name.c_str())), server) << name;
        close(client);
        close(server);
    }
    close(listener);
    int unix_pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair), 0);
    connections_add(&table, unix_pair[0]);
    EXPECT_EQ(table.items[table.count - 1].name, 0u);
    close(unix_pair[0]);
    close(unix_pair[1]);
}

} // namespace
