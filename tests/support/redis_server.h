/* A real redis-server in a folder of its own, on a unix socket (or a port), for tests. */
#ifndef LUNA_TESTS_REDIS_SERVER_H
#define LUNA_TESTS_REDIS_SERVER_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

class redis_server
{
  public:
    /* `extra`: further arguments, "--appendonly", "yes". */
    explicit redis_server(std::vector<std::string> extra = {}) : extra_(std::move(extra))
    {
        char name[] = "/tmp/luna-redis-XXXXXX";
        if (!mkdtemp(name))
            throw std::runtime_error("mkdtemp");
        folder_ = name;
        start();
    }

    ~redis_server()
    {
        stop(SIGKILL);
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    redis_server(const redis_server &) = delete;

    std::string socket() const
    {
        return folder_ + "/redis.sock";
    }

    std::string url() const
    {
        return "unix:" + socket();
    }

    pid_t pid() const
    {
        return pid_;
    }

    /* Starts it and waits until it answers. */
    void start()
    {
        std::vector<std::string> args = {"redis-server",
                                         "--port",
                                         "0",
                                         "--unixsocket",
                                         socket(),
                                         "--dir",
                                         folder_,
                                         "--save",
                                         "",
                                         "--daemonize",
                                         "no",
                                         "--logfile",
                                         folder_ + "/log",
                                         "--enable-debug-command",
                                         "yes"};
        args.insert(args.end(), extra_.begin(), extra_.end());
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
            std::vector<char *> argv;
            for (std::string &a : args)
                argv.push_back(a.data());
            argv.push_back(nullptr);
            execvp(argv[0], argv.data());
            _exit(127);
        }
        for (int i = 0; i < 1000; i++) {
            if (answers())
                return;
            if (waitpid(pid_, nullptr, WNOHANG) == pid_)
                throw std::runtime_error("redis-server did not start: see " + folder_ + "/log");
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error("redis-server does not answer");
    }

    void signal(int sig)
    {
        if (pid_ > 0)
            kill(pid_, sig);
    }

    void stop(int sig = SIGTERM)
    {
        if (pid_ <= 0)
            return;
        if (sig != SIGKILL)
            kill(pid_, SIGCONT); /* a stopped process hears nothing else */
        kill(pid_, sig);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

  private:
    bool answers() const
    {
        int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un un = {};
        un.sun_family = AF_UNIX;
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", socket().c_str());
        char reply[16] = {};
        bool ok = connect(fd, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)) == 0 &&
                  write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0 &&
                  (reply[0] == '+' || std::string(reply).find("NOAUTH") == 1);
        close(fd);
        return ok;
    }

    std::vector<std::string> extra_;
    std::string folder_;
    pid_t pid_ = -1;
};

#endif
