/* One system call of the server fails, each kind in turn, with the errors the kernel has for it:
 * the process lives, callers get an honest answer or none, and afterwards all is well again. */
#include <gtest/gtest.h>

#include <sys/mman.h>

#include <functional>
#include <memory>

#include "luna/v1/kalman.client.h"
#include "support/eventually.h"
#include "support/luna_channel.h"
#include "support/luna_server.h"
#include "syscall_shim.h"

namespace
{
using std::chrono::milliseconds;
using std::chrono::seconds;

class control
{
  public:
    control()
    {
        int fd = mkstemp(path_);
        if (fd < 0 || ftruncate(fd, 4096) < 0)
            throw std::runtime_error("no page to share");
        page_ = static_cast<shim_page *>(
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        close(fd);
        if (page_ == MAP_FAILED)
            throw std::runtime_error("mmap");
    }
    ~control()
    {
        munmap(page_, 4096);
        unlink(path_);
    }
    const char *path() const
    {
        return path_;
    }
    void arm(shim_function fn, int error, int skip)
    {
        page_->error = error;
        page_->skip = skip;
        page_->function = fn;
    }
    /* Whether it fired. */
    bool disarm()
    {
        bool fired = page_->function == SHIM_NONE;
        page_->function = SHIM_NONE;
        return fired;
    }

  private:
    char path_[32] = "/tmp/luna-shim-XXXXXX";
    shim_page *page_;
};

struct fault {
    shim_function fn;
    const char *name;
    std::vector<int> errors;
};

const fault faults[] = {
    {SHIM_SOCKET, "socket", {EMFILE, ENOMEM}},
    {SHIM_CONNECT, "connect", {ECONNREFUSED, EAGAIN, ENOMEM}},
    {SHIM_ACCEPT, "accept4", {EMFILE, ECONNABORTED, ENOMEM, EINTR}},
    {SHIM_GETSOCKOPT, "getsockopt", {ENOMEM}},
    {SHIM_SEND, "send", {ECONNRESET, EPIPE, ENOBUFS, EINTR, EAGAIN}},
    {SHIM_SENDMSG, "sendmsg", {ECONNRESET, EPIPE, ENOBUFS, EINTR}},
    {SHIM_RECV, "recv", {ECONNRESET, ENOMEM, EINTR, EAGAIN}},
    {SHIM_RECVMSG, "recvmsg", {ECONNRESET, ENOMEM, EINTR, EAGAIN}},
    {SHIM_READ, "read", {ECONNRESET, EIO, EINTR, EAGAIN}},
    {SHIM_WRITE, "write", {EINTR}},
    {SHIM_WRITEV, "writev", {ENOSPC, EIO, EINTR, EPIPE}},
};

class syscall_fault : public ::testing::TestWithParam<fault>
{
  protected:
    /* One for all: what a fault leaves behind meets the next one. */
    static void SetUpTestSuite()
    {
        shim = new control;
        pg = new pg_server;
        redis = new redis_server;
        server = new luna_server(*pg, *redis, "fault",
                                 {{"LD_PRELOAD", LUNA_SHIM},
                                  {"LUNA_SHIM_PAGE", shim->path()},
                                  {"LUNA_DATABASE_TIMEOUT", "1s"},
                                  {"LOG_LEVEL", "NOTICE"}});
        key = server->create_account("load");
        server->start();
    }
    static void TearDownTestSuite()
    {
        EXPECT_EQ(server->stop(), 0) << end_of_log();
        delete server;
        delete redis;
        delete pg;
        delete shim;
    }

    static luna_code get_account(luna_channel *channel)
    {
        Luna__V1__GetAccountRequest request = LUNA__V1__GET_ACCOUNT_REQUEST__INIT;
        const Luna__V1__GetAccountResponse *response = nullptr;
        luna_reply *reply = nullptr;
        luna_code code = luna_quota_get_account(channel, nullptr, &request, &reply, &response);
        luna_reply_free(reply);
        return code;
    }

    static luna_code filter(luna_channel *channel)
    {
        double flow[] = {1120, 1160, 963};
        Luna__V1__FilterRequest request = LUNA__V1__FILTER_REQUEST__INIT;
        request.results = flow;
        request.n_results = 3;
        const Luna__V1__FilterResponse *response = nullptr;
        luna_reply *reply = nullptr;
        luna_code code = luna_kalman_filter(channel, nullptr, &request, &reply, &response);
        if (code == LUNA_OK) {
            EXPECT_EQ(response->n_processed_results, 3u);
        }
        luna_reply_free(reply);
        return code;
    }

    /* Postgres and Redis close their connections, so that the server makes new ones. */
    static void cut_stores()
    {
        pg->exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                             "WHERE usename = 'luna_app'");
        int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un un = {};
        un.sun_family = AF_UNIX;
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", redis->socket().c_str());
        const char words[] = "CLIENT KILL TYPE normal\r\n";
        if (connect(fd, reinterpret_cast<sockaddr *>(&un), sizeof(un)) == 0) {
            EXPECT_EQ(write(fd, words, sizeof(words) - 1), static_cast<ssize_t>(sizeof(words) - 1));
        }
        close(fd);
    }

    static bool is_honest(luna_code code)
    {
        return code == LUNA_OK || code == LUNA_UNAVAILABLE || code == LUNA_DEADLINE_EXCEEDED;
    }

    static bool well()
    {
        channel_ptr channel = open_channel(server->target(), key);
        return filter(channel.get()) == LUNA_OK && get_account(channel.get()) == LUNA_OK &&
               server->get("/readyz").find(" 200 ") != std::string::npos &&
               server->metric("luna_redis_ready{reactor=\"0\"}") == 1 &&
               server->metric("luna_redis_ready{reactor=\"1\"}") == 1;
    }

    static std::string end_of_log()
    {
        const std::string all = server->log();
        return all.size() > 4000 ? all.substr(all.size() - 4000) : all;
    }

    static bool alive()
    {
        return waitpid(server->pid(), nullptr, WNOHANG) == 0;
    }

    static control *shim;
    static pg_server *pg;
    static redis_server *redis;
    static luna_server *server;
    static std::string key;
};

control *syscall_fault::shim;
pg_server *syscall_fault::pg;
redis_server *syscall_fault::redis;
luna_server *syscall_fault::server;
std::string syscall_fault::key;

TEST_P(syscall_fault, is_survived)
{
    const fault &f = GetParam();
    const bool of_stores = f.fn == SHIM_SOCKET || f.fn == SHIM_CONNECT || f.fn == SHIM_GETSOCKOPT;
    int fired = 0;
    for (int error : f.errors) {
        for (int skip = 0; skip < 4; skip++) {
            SCOPED_TRACE(std::string(f.name) + ": " + strerror(error) + ", call " +
                         std::to_string(skip));
            shim->arm(f.fn, error, skip);
            if (of_stores)
                cut_stores();
            channel_ptr channel = open_channel(server->target(), key);
            for (int i = 0; i < 6; i++) {
                luna_code code = i % 2 ? get_account(channel.get()) : filter(channel.get());
                EXPECT_TRUE(is_honest(code)) << luna_code_name(code);
            }
            ASSERT_TRUE(alive()) << end_of_log();
            fired += shim->disarm();
            ASSERT_TRUE(eventually(well, 20)) << end_of_log() << server->get("/metrics");
        }
    }
    EXPECT_GT(fired, 0) << f.name << " was never called";
}

INSTANTIATE_TEST_SUITE_P(each, syscall_fault, ::testing::ValuesIn(faults),
                         [](const auto &info) { return std::string(info.param.name); });
} // namespace
