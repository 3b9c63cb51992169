/* A reactor with its Redis, and the commands that tests send. */
#ifndef LUNA_TESTS_CACHE_REDIS_TEST_H
#define LUNA_TESTS_CACHE_REDIS_TEST_H

#include "support/redis_server.h"
#include "unit/run/run_test.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "cache/redis.h"
#include "cache/script.h"
#include "cache/subscribe.h"

extern const struct redis_script *const test_scripts[];
}
#pragma GCC diagnostic pop

static inline struct str
S(const std::string &s) {
    return {s.data(), s.size()};
}

using words = std::vector<std::string>;

/* Runs a command; the reply, or nullptr with the failure in ctx. */
static inline struct redis_reply *
command(struct ctx *ctx, const words &w)
{
    std::vector<struct str> argv;
    for (const std::string &s : w)
        argv.push_back(S(s));
    struct redis_reply *reply = nullptr;
    enum status st = redis_command(ctx, argv.data(), argv.size(), &reply);
    EXPECT_EQ(st == OK, reply != nullptr);
    return reply;
}

static inline std::string
text(const struct redis_reply *r)
{
    return r && r->str.p ? std::string(r->str.p, r->str.n) : "";
}

/* The text that a command answers in a context of its own, or "!REASON". */
static inline std::string
ask(const words &w)
{
    test_ctx ctx;
    struct redis_reply *r = command(&ctx, w);
    if (!r)
        return std::string("!") + reason_info(ctx.error.reason)->token;
    if (r->type == REDIS_INTEGER)
        return std::to_string(r->integer);
    return r->type == REDIS_NIL ? "(nil)" : text(r);
}

static inline struct redis_numbers
numbers(const struct redis *r)
{
    struct redis_numbers n;
    redis_numbers(r, &n);
    return n;
}

/* Sleeps until `done` or 5 seconds have gone. */
template <typename F>
static inline bool
eventually(F done)
{
    test_ctx ctx;
    for (int i = 0; i < 1000; i++) {
        if (done())
            return true;
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(5)), OK);
    }
    return false;
}

static inline struct redis *
open_redis(struct reactor *r, const std::string &url, nsec_t timeout = SEC(2))
{
    struct redis_options opt = {};
    opt.url = url.c_str();
    opt.client_name = "luna-test";
    opt.timeout = timeout;
    opt.scripts = test_scripts;
    opt.script_count = 1;
    char err[200] = "";
    struct redis *redis = redis_new(r, &opt, err, sizeof(err));
    EXPECT_NE(redis, nullptr) << err;
    return redis;
}

/* Runs `fn(reactor, redis)` on a fiber, with a connected Redis. */
static inline void
with_redis(const std::string &url, std::function<void(struct reactor *, struct redis *)> fn,
           nsec_t timeout = SEC(2))
{
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, url, timeout);
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        fn(r, redis);
        redis_free(redis);
    });
}

#endif
