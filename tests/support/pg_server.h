/*
 * A real PostgreSQL in a folder of its own, on a unix socket, for tests. Made once in a program;
 * stopped and removed with the object, and by the kernel when the program dies.
 *
 * Runs as the user postgres when the test runs as root, which PostgreSQL refuses to serve.
 */
#ifndef LUNA_TESTS_PG_SERVER_H
#define LUNA_TESTS_PG_SERVER_H

#include <dirent.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

class pg_server
{
  public:
    /* `durable`: fsync on, as in production; otherwise a crash of the machine (not of the server)
     * may lose data, and it is much faster. `settings`: "work_mem=4MB", ... */
    explicit pg_server(bool durable = false, std::vector<std::string> settings = {})
        : durable_(durable), settings_(std::move(settings))
    {
        char name[] = "/tmp/luna-pg-XXXXXX";
        if (!mkdtemp(name))
            throw std::runtime_error("mkdtemp");
        folder_ = name;
        find_programs();
        if (geteuid() == 0) {
            user_ = getpwnam("postgres");
            if (!user_ || chown(name, user_->pw_uid, user_->pw_gid) != 0)
                throw std::runtime_error("there is no user postgres to run it as");
        }
        run({programs_ + "/initdb", "-D", folder_ + "/data", "-U", "postgres", "-A", "trust", "-E",
             "UTF8", "--locale=C", "--no-sync"});
        start();
    }

    ~pg_server()
    {
        stop(SIGQUIT);
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    pg_server(const pg_server &) = delete;
    pg_server &operator=(const pg_server &) = delete;

    /* Starts it again after stop, and waits until it serves. */
    void start()
    {
        std::vector<std::string> args = {programs_ + "/postgres", "-D", folder_ + "/data", "-k",
                                         folder_};
        std::vector<std::string> set = {
            "listen_addresses=",     "port=5432",
            "max_connections=60",    "shared_buffers=32MB",
            "max_wal_size=256MB",    "log_min_messages=fatal",
            "logging_collector=off", durable_ ? "fsync=on" : "fsync=off"};
        set.insert(set.end(), settings_.begin(), settings_.end());
        for (const std::string &s : set) {
            args.push_back("-c");
            args.push_back(s);
        }
        pid_ = launch(args, true);
        for (int i = 0; i < 600; i++) {
            if (PQping(url("postgres").c_str()) == PQPING_OK)
                return;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        throw std::runtime_error("postgres does not start; see " + folder_ + "/log");
    }

    /* SIGQUIT: at once, as `pg_ctl stop -m immediate` and as a crash; SIGINT: in order. */
    void stop(int sig)
    {
        if (pid_ <= 0)
            return;
        ::kill(pid_, sig);
        waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

    void signal(int sig) const
    {
        ::kill(pid_, sig);
    }

    /* Keywords for libpq. */
    std::string url(const std::string &database, const std::string &user = "postgres") const
    {
        return "host=" + folder_ + " port=5432 dbname=" + database + " user=" + user;
    }

    /* Runs statements as the superuser; throws with the server's words. */
    void exec(const std::string &database, const std::string &sql) const
    {
        query(database, sql, false);
    }

    /* The first column of the first row; "" when there is none or it is NULL. */
    std::string value(const std::string &database, const std::string &sql) const
    {
        return query(database, sql, true);
    }

    /* A new database, empty or a copy. */
    void create_database(const std::string &name, const std::string &from = "template1") const
    {
        exec("postgres", "CREATE DATABASE " + name + " TEMPLATE " + from);
    }

    const std::string &folder() const
    {
        return folder_;
    }

    /* Where initdb, pg_dump and the others are. */
    const std::string &programs() const
    {
        return programs_;
    }

    /* The standard output of a program, run as the test's user. */
    static std::string output(const std::string &command)
    {
        std::string out;
        char part[4096];
        FILE *f = popen(command.c_str(), "r");
        if (!f)
            throw std::runtime_error("popen");
        while (size_t n = fread(part, 1, sizeof(part), f))
            out.append(part, n);
        if (pclose(f) != 0)
            throw std::runtime_error(command + " failed:\n" + out);
        return out;
    }

  private:
    /* Debian keeps them outside of the path: the newest of /usr/lib/postgresql. */
    void find_programs()
    {
        int best = 0;
        if (const char *given = getenv("LUNA_TEST_PG_PROGRAMS")) {
            programs_ = given;
            return;
        }
        std::error_code ignored;
        for (const auto &e : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
            const int version = static_cast<int>(strtol(e.path().filename().c_str(), nullptr, 10));
            if (version > best && std::filesystem::exists(e.path() / "bin/initdb")) {
                best = version;
                programs_ = (e.path() / "bin").string();
            }
        }
        if (best == 0)
            throw std::runtime_error("there is no PostgreSQL server under /usr/lib/postgresql");
    }

    pid_t launch(const std::vector<std::string> &args, bool dies_with_us) const
    {
        std::vector<char *> argv;
        for (const std::string &a : args)
            argv.push_back(const_cast<char *>(a.c_str()));
        argv.push_back(nullptr);
        const std::string log = folder_ + "/log";
        const pid_t parent = getpid();
        const pid_t pid = fork();
        if (pid != 0)
            return pid;
        if (!freopen(log.c_str(), "a", stdout) || dup2(1, 2) < 0 || chdir("/") != 0)
            _exit(127);
        if (user_ && (setgid(user_->pw_gid) != 0 || setuid(user_->pw_uid) != 0))
            _exit(127);
        if (dies_with_us && (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || getppid() != parent))
            _exit(127);
        unsetenv("PGDATA");
        execv(argv[0], argv.data());
        _exit(127);
    }

    void run(const std::vector<std::string> &args) const
    {
        int status = 0;
        waitpid(launch(args, false), &status, 0);
        if (status != 0)
            throw std::runtime_error(args[0] + " failed; see " + folder_ + "/log");
    }

    std::string query(const std::string &database, const std::string &sql, bool wants) const
    {
        PGconn *c = PQconnectdb(url(database).c_str());
        PGresult *res = PQexec(c, sql.c_str());
        const ExecStatusType status = PQresultStatus(res);
        std::string out = PQerrorMessage(c);
        const bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (good && wants && PQntuples(res) > 0)
            out = PQgetvalue(res, 0, 0);
        PQclear(res);
        PQfinish(c);
        if (!good)
            throw std::runtime_error(out);
        return out;
    }

    bool durable_;
    std::vector<std::string> settings_;
    std::string folder_;
    std::string programs_;
    struct passwd *user_ = nullptr;
    pid_t pid_ = 0;
};

#endif
