/*
 * Tests of and on the database layer: a server for the program, databases with the migrations
 * applied, and fibers that use them.
 */
#ifndef LUNA_TESTS_PG_DB_TEST_H
#define LUNA_TESTS_PG_DB_TEST_H

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "support/pg_server.h"

extern "C" {
#include "base/failpoint.h"
#include "db/db.h"
#include "run/fiber.h"
#include "run/reactor.h"
}

/* C++ has no compound literals of arrays; an initializer list lives as long as the call. */
#undef DB_ARGS
#define DB_ARGS(...) db_args_of({__VA_ARGS__})
static inline struct db_args
db_args_of(std::initializer_list<struct db_arg> l)
{
    return {l.begin(), l.size()};
}

/* The program's server. */
static inline pg_server &
pg()
{
    static pg_server server;
    return server;
}

/* A new database with the migrations applied (copied from one that was migrated once). */
static inline std::string
migrated_database(const pg_server &server, const std::string &name)
{
    static std::vector<std::string> done; /* folders: each server has its own */
    if (std::find(done.begin(), done.end(), server.folder()) == done.end()) {
        server.create_database("migrated");
        FILE *out = tmpfile();
        const bool good = db_migrate(server.url("migrated").c_str(), db_migrations,
                                     db_migration_count, DB_MIGRATE_UP, out);
        fclose(out);
        if (!good)
            throw std::runtime_error("the migrations do not apply");
        done.push_back(server.folder());
    }
    server.create_database(name, "migrated");
    return name;
}

struct db_setup {
    std::string url;
    std::string replica_url = "";
    size_t connections = 1;
    size_t leases = 2;
    size_t queue = 1024;
    nsec_t timeout = SEC(30);
    std::vector<const struct db_sql *> sql = {};
    bool wait = true; /* until a connection is ready */
};

/* The database of a setup, for looking at it from outside. */
static inline std::string
name_of(const db_setup &setup)
{
    const size_t at = setup.url.find("dbname=") + 7;
    return setup.url.substr(at, setup.url.find(' ', at) - at);
}

/* Runs `body` on a fiber of a reactor with an attached database, then ends both. */
static inline void
with_db(const db_setup &setup, const std::function<void(struct ctx *)> &body)
{
    struct db_options opt = {};
    opt.url = setup.url.c_str();
    opt.replica_url = setup.replica_url.c_str();
    opt.connections = setup.connections;
    opt.leases = setup.leases;
    opt.queue = setup.queue;
    opt.timeout = setup.timeout;
    opt.sql = setup.sql.data();
    opt.n_sql = setup.sql.size();
    struct main_args {
        const db_setup *setup;
        const std::function<void(struct ctx *)> *body;
        struct db *db;
    } args = {&setup, &body, db_open(&opt)};
    reactor_run_main(
        [](struct ctx *ctx, void *arg) {
            auto *a = static_cast<main_args *>(arg);
            db_attach(a->db, ctx->reactor);
            if (a->setup->wait) {
                ctx->deadline = clock_now() + SEC(20);
                ASSERT_EQ(db_wait_healthy(ctx), OK);
                ctx->deadline = NSEC_NEVER;
            }
            (*a->body)(ctx);
        },
        &args);
    db_close(args.db);
}

/* Fibers that are waited for. Each has a ctx of its own, made as the given one. */
class fibers
{
  public:
    explicit fibers(struct ctx *ctx) : ctx_(ctx)
    {
    }

    ~fibers()
    {
        EXPECT_EQ(live_, 0u) << "join() was forgotten";
    }

    /* False when the reactor has no room. */
    void spawn(std::function<void(struct ctx *)> body)
    {
        auto *one = new start{this, std::move(body)};
        live_++;
        ASSERT_TRUE(fiber_spawn(ctx_->reactor, run, one));
    }

    void join()
    {
        while (live_ > 0) {
            waiter_ = fiber_self();
            fiber_park_uninterruptible();
        }
    }

  private:
    struct start {
        fibers *all;
        std::function<void(struct ctx *)> body;
    };

    static void run(void *arg)
    {
        std::unique_ptr<start> one(static_cast<start *>(arg));
        fibers *all = one->all;
        struct arena arena;
        struct ctx ctx;
        arena_init(&arena, 0);
        ctx_init(&ctx, &arena, reactor_current());
        ctx.who = all->ctx_->who;
        one->body(&ctx);
        ctx_fini(&ctx);
        arena_fini(&arena);
        all->live_--;
        if (all->waiter_)
            fiber_wake(all->waiter_);
    }

    struct ctx *ctx_;
    size_t live_ = 0;
    struct fiber *waiter_ = nullptr;
};

static inline struct db_stats
stats_of(const struct ctx *ctx)
{
    struct db_stats s;
    db_stats_read(ctx->reactor, &s);
    return s;
}

static inline void
act_as(struct ctx *ctx, int64_t account, enum role role = ROLE_MEMBER)
{
    ctx->who.account_id = account;
    ctx->who.role = role;
}

/* What the log would know of the ctx's failure. */
static inline std::string
failure(const struct ctx *ctx)
{
    if (ctx->error.status == OK)
        return "";
    return std::string(reason_info(ctx->error.reason)->token) + ": " +
           (ctx->error.detail ? ctx->error.detail : "");
}

#endif
