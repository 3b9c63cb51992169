/*
 * The real luna-server as a process of its own, with a PostgreSQL and a Redis that are real too.
 * LUNA_SERVER_PROGRAM (a compile definition) says where the program is.
 */
#ifndef LUNA_TESTS_LUNA_SERVER_H
#define LUNA_TESTS_LUNA_SERVER_H

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>
#include <map>
#include <sstream>

#include "support/pg_server.h"
#include "support/redis_server.h"

class luna_server
{
  public:
    using settings = std::map<std::string, std::string>;

    /* A new database `name` on `pg`, migrated; not started yet. */
    luna_server(const pg_server &pg, const redis_server &redis, const std::string &name,
                settings extra = {})
    {
        char folder[] = "/tmp/luna-server-XXXXXX";
        if (!mkdtemp(folder))
            throw std::runtime_error("mkdtemp");
        folder_ = folder;
        pg_ = &pg;
        name_ = name;
        pg.create_database(name);
        env_ = {{"LUNA_DATABASE_OWNER_URL", pg.url(name)},
                {"LUNA_DATABASE_URL", pg.url(name, "luna_app")},
                {"LUNA_REDIS_URL", redis.url()},
                {"LUNA_KEY_SECRET", "the secret of the tests"},
                {"LUNA_LISTEN_ADDRESS", target()},
                {"LUNA_ADMIN_ADDRESS", "unix:" + folder_ + "/admin"},
                {"LUNA_REACTORS", "2"},
                /* A channel of the tests reads nothing between calls, so it misses the GOAWAY. */
                {"LUNA_DRAIN_TIMEOUT", "500ms"},
                {"LOG_LEVEL", "NOTICE"}};
        for (const auto &[k, v] : extra)
            env_[k] = v;
        run({"migrate", "up"});
    }

    /* A second process on the same database and Redis. */
    luna_server(const luna_server &other, settings extra)
    {
        char folder[] = "/tmp/luna-server-XXXXXX";
        if (!mkdtemp(folder))
            throw std::runtime_error("mkdtemp");
        folder_ = folder;
        pg_ = other.pg_;
        name_ = other.name_;
        env_ = other.env_;
        env_["LUNA_LISTEN_ADDRESS"] = target();
        env_["LUNA_ADMIN_ADDRESS"] = "unix:" + folder_ + "/admin";
        for (const auto &[k, v] : extra)
            env_[k] = v;
    }

    ~luna_server()
    {
        stop(SIGKILL);
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    luna_server(const luna_server &) = delete;

    std::string target() const
    {
        return "unix:" + folder_ + "/grpc";
    }

    /* Starts it and waits until it is ready. */
    void start()
    {
        pid_ = launch({}, folder_ + "/log");
        for (int i = 0; i < 1000; i++) {
            if (get("/readyz").find(" 200 ") != std::string::npos)
                return;
            if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
                pid_ = -1;
                throw std::runtime_error("luna-server did not start:\n" + log());
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error("luna-server is not ready:\n" + log());
    }

    /* The exit status as waitpid tells it. */
    int stop(int sig = SIGTERM)
    {
        int status = 0;
        if (pid_ > 0) {
            kill(pid_, sig);
            waitpid(pid_, &status, 0);
        }
        pid_ = -1;
        return status;
    }

    /* Runs another command of the program; its standard output. Throws when it fails. */
    std::string run(const std::vector<std::string> &words)
    {
        std::string out = folder_ + "/out";
        int status = 0;
        waitpid(launch(words, out), &status, 0);
        std::string text = read(out);
        unlink(out.c_str());
        if (status != 0)
            throw std::runtime_error("luna-server " + words[0] + " failed:\n" + text);
        return text;
    }

    /* A key of a new account. quota_limit 0: the default one. */
    std::string create_account(const std::string &name, bool admin = false,
                               int64_t quota_limit = 1000000000000)
    {
        std::vector<std::string> words = {"admin", "create-account", name};
        if (admin)
            words.push_back("--admin");
        std::string out = run(words);
        if (quota_limit != 0)
            pg_->exec(name_, "UPDATE account SET quota_limit = " + std::to_string(quota_limit) +
                                 " WHERE account_name = '" + name + "'");
        size_t at = out.find("key: ") + 5;
        return out.substr(at, out.find('\n', at) - at);
    }

    /* GET of the admin port: head and body. */
    std::string get(const std::string &path) const
    {
        int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un un = {};
        un.sun_family = AF_UNIX;
        snprintf(un.sun_path, sizeof(un.sun_path), "%s/admin", folder_.c_str());
        std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
        std::string answer;
        if (connect(fd, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)) == 0 &&
            write(fd, request.data(), request.size()) > 0) {
            char part[8192];
            ssize_t n;
            while ((n = ::read(fd, part, sizeof(part))) > 0)
                answer.append(part, static_cast<size_t>(n));
        }
        close(fd);
        return answer;
    }

    /* One number of /metrics by its name and labels; -1: it is not there. */
    double metric(const std::string &name) const
    {
        std::istringstream page(get("/metrics"));
        std::string line;
        while (std::getline(page, line))
            if (line.rfind(name + " ", 0) == 0)
                return std::stod(line.substr(name.size() + 1));
        return -1;
    }

    std::string log() const
    {
        return read(folder_ + "/log");
    }

    pid_t pid() const
    {
        return pid_;
    }

  private:
    static std::string read(const std::string &path)
    {
        std::ifstream in(path);
        std::stringstream all;
        all << in.rdbuf();
        return all.str();
    }

    pid_t launch(const std::vector<std::string> &words, const std::string &out) const
    {
        std::vector<char *> argv = {const_cast<char *>(LUNA_SERVER_PROGRAM)};
        for (const std::string &w : words)
            argv.push_back(const_cast<char *>(w.c_str()));
        argv.push_back(nullptr);
        pid_t pid = fork();
        if (pid != 0)
            return pid;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(127);
        for (const auto &[k, v] : env_)
            setenv(k.c_str(), v.c_str(), 1);
        execv(argv[0], argv.data());
        _exit(127);
    }

    const pg_server *pg_;
    std::string name_;
    std::string folder_;
    settings env_;
    pid_t pid_ = -1;
};

#endif
