#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

extern "C" {
#include "http/admin.h"
}

namespace
{
std::atomic<bool> is_ready{false};

void
metrics(struct buf *out, void *arg)
{
    buf_puts(out, static_cast<const char *>(arg));
}

bool
healthy(struct buf *, void *)
{
    return true;
}

bool
ready(struct buf *why, void *)
{
    if (!is_ready)
        buf_puts(why, "waiting for Postgres");
    return is_ready;
}

struct http_admin *
start(const char *address, std::string *ret_err = nullptr)
{
    struct http_admin_options opt = {};
    opt.address = address;
    opt.metrics = metrics;
    opt.healthy = healthy;
    opt.ready = ready;
    static char page[] = "luna_up 1\n";
    opt.arg = page;
    char err[300] = "";
    struct http_admin *a = http_admin_start(&opt, err, sizeof(err));
    if (ret_err)
        *ret_err = err;
    else
        EXPECT_NE(a, nullptr) << err;
    return a;
}

/* Sends raw bytes and reads until the peer closes. */
std::string
talk(int fd, const std::string &request)
{
    EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    std::string answer;
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0)
        answer.append(part, static_cast<size_t>(n));
    close(fd);
    return answer;
}

std::string
ask(int port, const std::string &line, const std::string &more = "", const std::string &body = "")
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(static_cast<uint16_t>(port));
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<struct sockaddr *>(&in), sizeof(in)), 0);
    return talk(fd, line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + "\r\n" + body);
}

bool
has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}
} // namespace

TEST(admin, answers)
{
    struct http_admin *a = start("127.0.0.1:0");
    int port = http_admin_port(a);
    ASSERT_GT(port, 0);
    std::string r = ask(port, "GET /metrics");
    EXPECT_TRUE(has(r, "HTTP/1.1 200")) << r;
    EXPECT_TRUE(has(r, "text/plain; version=0.0.4")) << r;
    EXPECT_TRUE(has(r, "\r\n\r\nluna_up 1\n")) << r;
    EXPECT_TRUE(has(ask(port, "GET /healthz"), "\r\n\r\nok\n"));
    is_ready = false;
    r = ask(port, "GET /readyz");
    EXPECT_TRUE(has(r, "HTTP/1.1 503")) << r;
    EXPECT_TRUE(has(r, "waiting for Postgres\n")) << r;
    is_ready = true;
    EXPECT_TRUE(has(ask(port, "GET /readyz?verbose=1"), "HTTP/1.1 200"));
    http_admin_stop(a);
}

TEST(admin, refuses)
{
    struct http_admin *a = start("127.0.0.1:0");
    int port = http_admin_port(a);
    EXPECT_TRUE(has(ask(port, "GET /"), "HTTP/1.1 404"));
    EXPECT_TRUE(has(ask(port, "GET /metrics/x"), "HTTP/1.1 404"));
    EXPECT_TRUE(has(ask(port, "POST /nothing"), "HTTP/1.1 404"));
    std::string r = ask(port, "POST /metrics", "Content-Length: 5\r\n", "hello");
    EXPECT_TRUE(has(r, "HTTP/1.1 405")) << r;
    EXPECT_TRUE(has(r, "Allow: GET, HEAD")) << r;
    EXPECT_TRUE(has(ask(port, "DELETE /healthz"), "HTTP/1.1 405"));
    r = ask(port, "HEAD /metrics");
    EXPECT_TRUE(has(r, "HTTP/1.1 200")) << r;
    EXPECT_FALSE(has(r, "luna_up")) << r;
    EXPECT_TRUE(
        has(ask(port, "GET /metrics", "X: " + std::string(100000, 'x') + "\r\n"), "HTTP/1.1 4"));
    http_admin_stop(a);
}

TEST(admin, many_at_once)
{
    struct http_admin *a = start("127.0.0.1:0");
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; t++)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; i++)
                good += has(ask(http_admin_port(a), "GET /metrics"), "luna_up");
        });
    for (std::thread &t : threads)
        t.join();
    EXPECT_EQ(good, 160);
    http_admin_stop(a);
}

TEST(admin, addresses)
{
    std::string err;
    struct http_admin *a = start("127.0.0.1:0");
    std::string same = "127.0.0.1:" + std::to_string(http_admin_port(a));
    EXPECT_EQ(start(same.c_str(), &err), nullptr);
    EXPECT_TRUE(has(err, same) && has(err, "LUNA_ADMIN_ADDRESS")) << err;
    http_admin_stop(a);
    for (const char *wrong : {"", "localhost", "1.2.3.4", "1.2.3.4:x", "1.2.3.4:65536", "::1:80",
                              "[::1", "[::1]", "unix:", "name.invalid:1"}) {
        EXPECT_EQ(start(wrong, &err), nullptr) << wrong;
        EXPECT_TRUE(has(err, "admin address")) << err;
        EXPECT_EQ(err.find('\n'), std::string::npos);
    }
    EXPECT_EQ(start(("unix:/" + std::string(120, 'x')).c_str(), &err), nullptr);
    a = start("localhost:0");
    EXPECT_GT(http_admin_port(a), 0);
    http_admin_stop(a);
    http_admin_stop(nullptr);
}

TEST(admin, unix_socket)
{
    char folder[] = "/tmp/luna-admin-XXXXXX";
    ASSERT_TRUE(mkdtemp(folder));
    std::string path = std::string(folder) + "/s";
    struct sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path.c_str());
    /* What a killed process leaves behind does not keep the next one from starting. */
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(left, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)), 0);
    close(left);
    struct http_admin *a = start(("unix:" + path).c_str());
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(http_admin_port(a), 0);
    std::string err;
    EXPECT_EQ(start(("unix:" + path).c_str(), &err), nullptr); /* somebody answers there */
    EXPECT_TRUE(has(err, "taken")) << err;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(connect(fd, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)), 0);
    EXPECT_TRUE(has(talk(fd, "GET /metrics HTTP/1.0\r\n\r\n"), "luna_up"));
    http_admin_stop(a);
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    rmdir(folder);
}
