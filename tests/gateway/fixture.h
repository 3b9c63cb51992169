// luna-gateway, started on a free port in front of an UpstreamServer.
#ifndef LUNA_TESTS_GATEWAY_FIXTURE_H
#define LUNA_TESTS_GATEWAY_FIXTURE_H

#include <gtest/gtest.h>
#include <luna/descriptors.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "gateway/http_client.h"
#include "gateway/upstream_server.h"
#include "unit/gateway/codec.h"

extern char **environ;

namespace gateway_test
{

class GatewayProcess
{
  public:
    // On `at`, which may be another one's port, or on a free one.
    GatewayProcess(const std::string &upstream, std::vector<std::string> settings, int at = 0)
    {
        port = at ? at : free_port();
        std::vector<std::string> args = {
            GATEWAY, "--listen-address=127.0.0.1:" + std::to_string(port), "--upstream=" + upstream,
            "--descriptors=" ROUTES, "--log-level=WARNING"};
        args.insert(args.end(), settings.begin(), settings.end());
        std::vector<char *> argv;
        for (auto &a : args)
            argv.push_back(a.data());
        argv.push_back(nullptr);
        if (posix_spawn(&pid, GATEWAY, nullptr, nullptr, argv.data(), environ) != 0)
            throw std::runtime_error("posix_spawn");
        for (int i = 0; i < 1000 && !Connection(port).open(); i++)
            usleep(10000);
    }
    ~GatewayProcess()
    {
        if (pid > 0)
            stop();
    }
    // The exit status; -1 when it did not exit by itself.
    int stop(int signal = SIGTERM)
    {
        int status = 0;
        kill(pid, signal);
        waitpid(pid, &status, 0);
        pid = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    static int free_port()
    {
        struct sockaddr_in at = {};
        socklen_t n = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(fd, reinterpret_cast<struct sockaddr *>(&at), sizeof(at)) != 0)
            throw std::runtime_error("bind");
        getsockname(fd, reinterpret_cast<struct sockaddr *>(&at), &n);
        close(fd);
        return ntohs(at.sin_port);
    }

    pid_t pid = -1;
    int port = 0;
};

// The exit status of a gateway that its settings keep from starting.
inline int
exit_status_with(const std::string &setting)
{
    std::string command = "timeout 20 " GATEWAY " --listen-address=127.0.0.1:0 '" + setting + "'";
    int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline const codec::Codec &
types()
{
    static const codec::Codec c(codec::read_file(ROUTES));
    return c;
}

// The messages of error details, which the gateway knows without being told.
inline const codec::Codec &
builtin_types()
{
    static const codec::Codec c(
        std::string(reinterpret_cast<const char *>(luna_descriptor_set), luna_descriptor_set_size));
    return c;
}

// The wire bytes of a message given as JSON, and back.
inline std::string
wire(const std::string &type, const std::string &json)
{
    bool builtin = type.rfind("google.rpc.", 0) == 0;
    auto r = (builtin ? builtin_types() : types()).to_wire(type, json);
    EXPECT_TRUE(r.ok) << r.error.path << " " << r.error.text;
    return r.out;
}
inline std::string
json(const std::string &type, const std::string &bytes)
{
    auto r = types().to_json(type, bytes);
    EXPECT_TRUE(r.ok) << r.error.text;
    return r.out;
}

class GatewayTest : public testing::Test
{
  protected:
    void start(std::vector<std::string> settings = {})
    {
        gateway = std::make_unique<GatewayProcess>(upstream.address(), std::move(settings));
        for (int i = 0; i < 500 && get("/readyz").status != 200; i++)
            usleep(10000);
    }
    // One request on a connection of its own.
    Response request(const std::string &method, const std::string &target,
                     const std::string &headers = "", const std::string &body = "",
                     double seconds = 10)
    {
        Connection c(gateway->port);
        std::string length =
            body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n";
        c.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + length + headers + "\r\n" +
               body);
        return c.receive(method == "HEAD", seconds);
    }
    Response get(const std::string &target, const std::string &headers = "")
    {
        return request("GET", target, headers);
    }
    Response post(const std::string &target, const std::string &body,
                  const std::string &headers = "")
    {
        return request("POST", target, "Content-Type: application/json\r\n" + headers, body);
    }
    void reply(Reply r)
    {
        upstream.handle([r](const Call &) { return r; });
    }
    void reply_book(const std::string &book)
    {
        Reply r;
        r.messages = {wire("luna.testing.Book", book)};
        reply(r);
    }

    UpstreamServer upstream;
    std::unique_ptr<GatewayProcess> gateway;
};

} // namespace gateway_test

#endif
