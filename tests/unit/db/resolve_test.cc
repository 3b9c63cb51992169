/* Hosts by name: looked up beside the loop, every address of every host tried in turn. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unit/db/db_tables.h"

extern "C" {
#include "db/resolve.h"
}

namespace
{

struct answer {
    int calls = 0;
    bool found = false;
    std::string host;
    std::string hostaddr;
    std::string port;
    std::string why;
};

void
on_done(void *arg, const struct endpoints *found, const char *why)
{
    auto *a = static_cast<answer *>(arg);
    a->calls++;
    a->found = found != nullptr;
    if (found) {
        a->host = found->host;
        a->hostaddr = found->hostaddr;
        a->port = found->port;
    } else {
        a->why = why;
    }
}

/* Longer than DNS allows: known to have no address without asking a name server, who may be slow.
 */
std::string
nowhere()
{
    std::string s = "a";
    while (s.size() < 255)
        s += ".a";
    return s;
}

/* False: nothing was to be looked up. */
bool
looked_up(const char *url, answer *ret, bool cancel = false)
{
    uv_loop_t loop;
    struct resolve *r = nullptr;
    EXPECT_EQ(uv_loop_init(&loop), 0);
    bool begun = resolve_start(&loop, url, on_done, ret, &r);
    if (begun && cancel)
        resolve_cancel(r);
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
    return begun;
}

/* Carries bytes between one TCP connection at a time and a unix socket. */
class forwarder
{
  public:
    explicit forwarder(const std::string &to) : to_(to)
    {
        sockaddr_in sa = {};
        socklen_t len = sizeof(sa);
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr *>(&sa), sizeof(sa)), 0);
        EXPECT_EQ(listen(listener_, 16), 0);
        EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr *>(&sa), &len), 0);
        port_ = ntohs(sa.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }
    ~forwarder()
    {
        shutdown(listener_, SHUT_RDWR);
        accepting_.join();
        close(listener_);
        for (std::thread &t : carrying_)
            t.join();
    }
    std::string port() const
    {
        return std::to_string(port_);
    }
    int accepted() const
    {
        return accepted_;
    }

  private:
    void accept_all()
    {
        int fd;
        while ((fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0) {
            accepted_++;
            carrying_.emplace_back([this, fd] { carry(fd); });
        }
    }
    void carry(int client)
    {
        sockaddr_un un = {};
        un.sun_family = AF_UNIX;
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", to_.c_str());
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(connect(server, reinterpret_cast<sockaddr *>(&un), sizeof(un)), 0);
        pollfd fds[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        char part[65536];
        for (bool open = true; open && ::poll(fds, 2, -1) > 0;) {
            for (int i = 0; i < 2 && open; i++) {
                if (!fds[i].revents)
                    continue;
                ssize_t n = read(fds[i].fd, part, sizeof(part));
                open = n > 0 && write(fds[1 - i].fd, part, static_cast<size_t>(n)) == n;
            }
        }
        close(client);
        close(server);
    }

    std::string to_;
    int listener_;
    int port_ = 0;
    std::atomic<int> accepted_{0};
    std::thread accepting_;
    std::vector<std::thread> carrying_;
};

} // namespace

TEST(resolve, nothing_to_look_up)
{
    for (const char *url :
         {"", "dbname=luna", "host=/run/postgresql", "host=127.0.0.1,::1 port=1,2",
          "postgres://[::1]:5/x", "host=db hostaddr=10.0.0.1", "not a url ="}) {
        answer a;
        EXPECT_FALSE(looked_up(url, &a)) << url;
        EXPECT_EQ(a.calls, 0);
    }
}

TEST(resolve, names_become_their_addresses_and_the_rest_stays)
{
    answer a;
    ASSERT_TRUE(looked_up("host=/run/pg,localhost,10.1.2.3 port=1,2,3", &a));
    EXPECT_EQ(a.calls, 1);
    ASSERT_TRUE(a.found);
    const auto n = std::count(a.host.begin(), a.host.end(), ',');
    EXPECT_EQ(a.host.find("/run/pg,localhost"), 0u);
    EXPECT_EQ(a.hostaddr[0], ',') << "a path has no address";
    EXPECT_NE(a.hostaddr.find("127.0.0.1"), std::string::npos) << a.hostaddr;
    EXPECT_EQ(a.hostaddr.back(), ',') << "an address needs none";
    EXPECT_EQ(std::count(a.hostaddr.begin(), a.hostaddr.end(), ','), n);
    EXPECT_EQ(a.port.substr(0, 4), "1,2,");
    EXPECT_EQ(a.port.back(), '3');
}

TEST(resolve, one_port_is_for_all)
{
    answer a;
    ASSERT_TRUE(looked_up("postgres://localhost,10.1.2.3:77/luna", &a));
    ASSERT_TRUE(a.found);
    answer b;
    ASSERT_TRUE(looked_up("host=localhost,10.1.2.3 port=77", &b));
    EXPECT_EQ(b.port.substr(0, 3), "77,");
    EXPECT_EQ(b.port.substr(b.port.size() - 3), ",77");
}

TEST(resolve, a_name_without_address_says_why)
{
    answer a;
    ASSERT_TRUE(looked_up(("host=" + nowhere()).c_str(), &a));
    EXPECT_EQ(a.calls, 1);
    EXPECT_FALSE(a.found);
    EXPECT_FALSE(a.why.empty());
}

TEST(resolve, a_cancelled_one_answers_nobody)
{
    answer a;
    ASSERT_TRUE(looked_up("host=localhost", &a, true));
    EXPECT_EQ(a.calls, 0);
}

TEST(resolve, a_server_by_name_is_used)
{
    db_setup setup = test_database();
    forwarder tcp(pg().folder() + "/.s.PGSQL.5432");
    setup.url = "postgres://luna_app@localhost:" + tcp.port() + "/" + name_of(setup);
    with_db(setup, [](struct ctx *ctx) {
        EXPECT_EQ(insert_item(ctx, 1, "one"), OK) << failure(ctx);
        EXPECT_EQ(count_items(ctx), 1);
    });
    EXPECT_GE(tcp.accepted(), 1);
}

TEST(resolve, a_server_whose_name_is_unknown_is_tried_again)
{
    db_setup setup = test_database();
    setup.url = "postgres://luna_app@" + nowhere() + "/" + name_of(setup);
    setup.wait = false;
    setup.timeout = MSEC(500);
    with_db(setup, [](struct ctx *ctx) {
        EXPECT_EQ(insert_item(ctx, 1, "one"), UNAVAILABLE) << failure(ctx);
        EXPECT_GE(stats_of(ctx).connect_failures, 1u);
    });
}
