/* Redis that dies, stops, restarts, lies. */
#include "unit/cache/redis_test.h"

TEST(redis_fault, kill_and_restart_heals)
{
    redis_server server;
    with_redis(server.url(), [&](struct reactor *r, struct redis *redis) {
        for (int round = 1; round <= 3; round++) {
            int lost = 0;
            int ended = 0;
            server.signal(SIGSTOP);
            for (int i = 0; i < 50; i++)
                ASSERT_TRUE(spawn(r, [&] {
                    lost += ask({"PING"}) == "!CACHE_UNAVAILABLE";
                    ended++;
                }));
            test_ctx ctx;
            ASSERT_EQ(fiber_sleep(&ctx, MSEC(10)), OK);
            server.stop(SIGKILL);
            ASSERT_TRUE(eventually([&] { return ended == 50; }));
            EXPECT_EQ(lost, 50);
            EXPECT_EQ(ask({"PING"}), "!CACHE_UNAVAILABLE"); /* at once */
            server.start();
            ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
            EXPECT_EQ(ask({"PING"}), "PONG");
            EXPECT_EQ(numbers(redis).disconnects, static_cast<uint64_t>(round));
        }
        EXPECT_EQ(numbers(redis).in_flight, 0u);
    });
}

TEST(redis_fault, a_stopped_redis_costs_one_timeout)
{
    redis_server server;
    with_redis(
        server.url(),
        [&](struct reactor *, struct redis *redis) {
            server.signal(SIGSTOP);
            nsec_t start = clock_now();
            EXPECT_EQ(ask({"PING"}), "!CACHE_UNAVAILABLE");
            nsec_t waited = clock_now() - start;
            EXPECT_GE(waited, MSEC(50));
            EXPECT_LE(waited, MSEC(400));
            EXPECT_EQ(numbers(redis).timeouts, 1u);
            start = clock_now();
            for (int i = 0; i < 100; i++)
                EXPECT_EQ(ask({"PING"}), "!CACHE_UNAVAILABLE");
            EXPECT_LE(clock_now() - start, MSEC(100)); /* refused, not waited for */
            EXPECT_GE(numbers(redis).refused, 100u);
            server.signal(SIGCONT);
            ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
            EXPECT_EQ(ask({"PING"}), "PONG");
        },
        MSEC(50));
}

TEST(redis_fault, the_watchdog_notices_without_commands)
{
    redis_server server;
    run([&](struct reactor *r) {
        struct redis_options opt = {};
        std::string url = server.url();
        opt.url = url.c_str();
        opt.timeout = MSEC(50);
        opt.ping_interval = MSEC(50);
        char err[200] = "";
        struct redis *redis = redis_new(r, &opt, err, sizeof(err));
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        uint64_t sent = numbers(redis).commands;
        ASSERT_TRUE(eventually([&] { return numbers(redis).commands >= sent + 3; }));
        EXPECT_EQ(numbers(redis).disconnects, 0u);
        server.signal(SIGSTOP);
        ASSERT_TRUE(eventually([&] { return !redis_is_ready(redis); }));
        server.signal(SIGCONT);
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        redis_free(redis);
    });
}

TEST(redis_fault, not_there_at_start_comes_later)
{
    redis_server server;
    server.stop();
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, server.url());
        ASSERT_TRUE(eventually([&] { return numbers(redis).connect_failures >= 2; }));
        EXPECT_EQ(ask({"PING"}), "!CACHE_UNAVAILABLE");
        server.start();
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        EXPECT_EQ(ask({"PING"}), "PONG");
        redis_free(redis);
    });
}

TEST(redis_fault, attempts_are_spaced)
{
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, "unix:/nonexistent/redis.sock");
        test_ctx ctx;
        ASSERT_EQ(fiber_sleep(&ctx, MSEC(500)), OK);
        /* 10-20, 20-40, 40-80, ... ms apart: four to six in half a second. */
        EXPECT_GE(numbers(redis).connect_failures, 4u);
        EXPECT_LE(numbers(redis).connect_failures, 7u);
        redis_free(redis);
    });
}

TEST(redis_fault, a_name_that_does_not_resolve_blocks_nobody)
{
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, "redis://name.invalid:6379");
        test_ctx ctx;
        for (int i = 0; i < 20; i++) {
            nsec_t start = clock_now();
            ASSERT_EQ(fiber_sleep(&ctx, MSEC(5)), OK);
            EXPECT_LE(clock_now() - start, MSEC(100));
        }
        EXPECT_FALSE(redis_is_ready(redis));
        redis_free(redis); /* perhaps in the middle of a look-up */
    });
}

TEST(redis_fault, somebody_who_does_not_speak_resp)
{
    char folder[] = "/tmp/luna-liar-XXXXXX";
    ASSERT_TRUE(mkdtemp(folder));
    std::string path = std::string(folder) + "/s";
    struct sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path.c_str());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<struct sockaddr *>(&un), sizeof(un)), 0);
    ASSERT_EQ(listen(listener, 8), 0);
    const std::vector<std::string> lies = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$-2\r\n",
        "*2147483647\r\n",
        "*1048577\r\n",
        "*-5\r\n",
        "$99999999999999999999\r\n",
        ":12x\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        /* Right as a handshake, and one answer more than was asked for. */
        "+OK\r\n$40\r\n0123456789012345678901234567890123456789\r\n+PONG\r\n+MORE\r\n",
        "",
    };
    std::thread liar([&] {
        for (const std::string &lie : lies) {
            int fd = accept(listener, nullptr, nullptr);
            char ignored[4096];
            EXPECT_GT(read(fd, ignored, sizeof(ignored)), 0);
            EXPECT_EQ(write(fd, lie.data(), lie.size()), static_cast<ssize_t>(lie.size()));
            close(fd);
        }
    });
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, "unix:" + path);
        ASSERT_TRUE(eventually([&] {
            struct redis_numbers n = numbers(redis);
            return n.connect_failures + n.disconnects >= lies.size();
        }));
        EXPECT_EQ(numbers(redis).disconnects, 1u);
        redis_free(redis);
    });
    liar.join();
    close(listener);
    unlink(path.c_str());
    rmdir(folder);
}

TEST(redis_fault, freed_with_commands_in_flight)
{
    redis_server server;
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, server.url());
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        int lost = 0;
        for (int i = 0; i < 10; i++)
            ASSERT_TRUE(spawn(r, [&] {
                lost += ask({"DEBUG", "SLEEP", "1"}) == "!CACHE_UNAVAILABLE";
            }));
        test_ctx ctx;
        ASSERT_EQ(fiber_sleep(&ctx, MSEC(5)), OK);
        redis_free(redis);
        ASSERT_TRUE(eventually([&] { return lost == 10; }));
    });
}

TEST(redis_fault, a_stopping_reactor_closes_it)
{
    redis_server server;
    struct reactor *r = reactor_new(nullptr);
    struct redis *redis = open_redis(r, server.url());
    run_on(r, [&] {
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        EXPECT_EQ(ask({"PING"}), "PONG");
    });
    EXPECT_FALSE(redis_is_ready(redis));
    redis_free(redis);
    reactor_free(r);
}

#ifdef LUNA_FAILPOINTS
TEST(redis_fault, failpoints)
{
    redis_server server;
    with_redis(server.url(), [&](struct reactor *, struct redis *redis) {
        for (int nth = 1; nth <= 4; nth++) {
            failpoint_set(FAILPOINT_redis_reply, nth);
            int failed = 0;
            for (int i = 0; i < nth; i++)
                failed += ask({"PING"}) == "!CACHE_UNAVAILABLE";
            EXPECT_EQ(failed, 1);
            ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        }
        failpoint_set(FAILPOINT_redis_connect, 3);
        server.stop();
        ASSERT_TRUE(eventually([&] { return !redis_is_ready(redis); }));
        server.start();
        ASSERT_TRUE(eventually([&] { return redis_is_ready(redis); }));
        failpoint_set(FAILPOINT_redis_connect, 0);
        EXPECT_EQ(ask({"PING"}), "PONG");
    });
}

TEST(redis_fault, every_reply_of_the_handshake_may_be_the_last)
{
    redis_server server;
    for (int nth = 1; nth <= 3; nth++) {
        failpoint_set(FAILPOINT_redis_reply, nth);
        with_redis(server.url(), [&](struct reactor *, struct redis *redis) {
            EXPECT_EQ(numbers(redis).connect_failures, 1u);
            EXPECT_EQ(ask({"PING"}), "PONG");
        });
    }
    failpoint_set(FAILPOINT_redis_reply, 0);
}
#endif
