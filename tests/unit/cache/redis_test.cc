#include "unit/cache/redis_test.h"

TEST(redis, all_kinds_of_replies)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *) {
        test_ctx ctx;
        struct redis_reply *r = command(&ctx, {"SET", "k", std::string("a\0b\r\n", 5)});
        ASSERT_TRUE(r);
        EXPECT_EQ(r->type, REDIS_STATUS);
        EXPECT_EQ(text(r), "OK");
        r = command(&ctx, {"GET", "k"});
        EXPECT_EQ(r->type, REDIS_STRING);
        EXPECT_EQ(text(r), std::string("a\0b\r\n", 5));
        EXPECT_EQ(r->str.p[5], '\0');
        r = command(&ctx, {"GET", "missing"});
        EXPECT_EQ(r->type, REDIS_NIL);
        r = command(&ctx, {"DECRBY", "n", "9223372036854775807"});
        EXPECT_EQ(r->type, REDIS_INTEGER);
        EXPECT_EQ(r->integer, -INT64_MAX);
        r = command(&ctx, {"SET", "empty", ""});
        EXPECT_EQ(ask({"GET", "empty"}), "");
        r = command(&ctx, {"EVAL", "return {1,{2,{3,'x'}},{err='E no'},false,''}", "0"});
        ASSERT_EQ(r->type, REDIS_ARRAY);
        ASSERT_EQ(r->count, 5u);
        EXPECT_EQ(r->items[1].items[1].items[0].integer, 3);
        EXPECT_EQ(text(&r->items[1].items[1].items[1]), "x");
        EXPECT_EQ(r->items[2].type, REDIS_ERROR);
        EXPECT_EQ(text(&r->items[2]), "E no");
        EXPECT_EQ(r->items[3].type, REDIS_NIL);
        EXPECT_EQ(r->items[4].type, REDIS_STRING);
        r = command(&ctx, {"LRANGE", "nothing", "0", "-1"});
        EXPECT_EQ(r->type, REDIS_ARRAY);
        EXPECT_EQ(r->count, 0u);
    });
}

TEST(redis, an_error_reply_is_a_failure)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *redis) {
        test_ctx ctx;
        EXPECT_EQ(command(&ctx, {"NOSUCHCOMMAND"}), nullptr);
        EXPECT_EQ(ctx.error.reason, REASON_INTERNAL_ERROR);
        EXPECT_NE(std::string(ctx.error.detail).find("unknown command"), std::string::npos);
        EXPECT_EQ(std::string(ctx.error.message).find("unknown command"), std::string::npos);
        EXPECT_EQ(ask({"SET", "k", "v"}), "OK");
        EXPECT_EQ(ask({"INCR", "k"}), "!INTERNAL_ERROR");
        EXPECT_EQ(numbers(redis).error_replies, 2u);
        EXPECT_EQ(ask({"CONFIG", "SET", "maxmemory", "1"}), "OK");
        EXPECT_EQ(ask({"SET", "k", "v"}), "!CACHE_UNAVAILABLE"); /* OOM */
        EXPECT_EQ(numbers(redis).disconnects, 0u);
    });
}

TEST(redis, commands_of_one_turn_leave_in_one_write)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *redis) {
        struct redis_numbers before = numbers(redis);
        int right = 0;
        int ended = 0;
        for (int i = 0; i < 250; i++) /* a turn runs up to 256 fibers */
            ASSERT_TRUE(spawn(r, [&, i] {
                right += ask({"ECHO", std::to_string(i)}) == std::to_string(i);
                ended++;
            }));
        ASSERT_TRUE(eventually([&] { return ended == 250; }));
        struct redis_numbers after = numbers(redis);
        EXPECT_EQ(right, 250);
        EXPECT_EQ(after.commands - before.commands, 250u);
        EXPECT_EQ(after.replies - before.replies, 250u);
        EXPECT_EQ(after.writes - before.writes, 1u);
        EXPECT_EQ(after.in_flight, 0u);
    });
}

TEST(redis, ten_thousand_in_one_turn)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *redis) {
        struct redis_numbers before = numbers(redis);
        const struct str incr[] = {{"INCR", 4}, {"n", 1}};
        for (int i = 0; i < 10000; i++)
            ASSERT_TRUE(redis_post(r, incr, 2));
        EXPECT_EQ(numbers(redis).writes, before.writes); /* nothing before the turn's end */
        EXPECT_EQ(ask({"GET", "n"}), "10000");
        struct redis_numbers after = numbers(redis);
        EXPECT_EQ(after.commands - before.commands, 10001u);
        /* 270 000 bytes: more than a socket's buffer takes at once, so a few, not 10 000. */
        EXPECT_LE(after.writes - before.writes, 8u);
    });
}

TEST(redis, replies_larger_than_any_buffer)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *) {
        test_ctx ctx;
        std::string big(32 << 20, 'x');
        big[1] = '\0';
        big[big.size() - 2] = '\n';
        ASSERT_TRUE(command(&ctx, {"SET", "big", big}));
        struct redis_reply *r = command(&ctx, {"GET", "big"});
        ASSERT_TRUE(r);
        EXPECT_TRUE(text(r) == big);
        r = command(&ctx, {"EVAL", "local t = {} for i = 1, 200000 do t[i] = i end return t", "0"});
        ASSERT_TRUE(r);
        ASSERT_EQ(r->count, 200000u);
        EXPECT_EQ(r->items[199999].integer, 200000);
    });
}

TEST(redis, a_command_that_cannot_be_buffered_is_refused_alone)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *redis) {
        EXPECT_EQ(ask({"SET", "huge", std::string(65 << 20, 'x')}), "!CACHE_UNAVAILABLE");
        EXPECT_EQ(numbers(redis).refused, 1u);
        EXPECT_EQ(ask({"PING"}), "PONG");
    });
}

TEST(redis, password_database_and_name)
{
    redis_server server({"--requirepass", "s3cret/@"});
    with_redis(server.url() + "?db=3&password=s3cret/@", [](struct reactor *, struct redis *) {
        EXPECT_EQ(ask({"CLIENT", "GETNAME"}), "luna-test");
        EXPECT_NE(ask({"CLIENT", "INFO"}).find(" db=3 "), std::string::npos);
        EXPECT_EQ(ask({"ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all"}), "OK");
    });
    with_redis(server.url() + "?user=app&password=pw", [](struct reactor *, struct redis *) {
        EXPECT_EQ(ask({"ACL", "WHOAMI"}), "app");
    });
}

TEST(redis, a_wrong_password_is_not_ready_and_not_told)
{
    redis_server server({"--requirepass", "right"});
    run([&](struct reactor *r) {
        struct redis *redis = open_redis(r, server.url() + "?password=wrong-one");
        ASSERT_TRUE(eventually([&] { return numbers(redis).connect_failures >= 3; }));
        EXPECT_FALSE(redis_is_ready(redis));
        test_ctx ctx;
        EXPECT_EQ(command(&ctx, {"PING"}), nullptr);
        EXPECT_EQ(ctx.error.reason, REASON_CACHE_UNAVAILABLE);
        EXPECT_GT(ctx.error.retry_after, 0);
        EXPECT_NE(std::string(ctx.error.detail).find("WRONGPASS"), std::string::npos);
        EXPECT_EQ(std::string(ctx.error.detail).find("wrong-one"), std::string::npos);
        redis_free(redis);
    });
}

TEST(redis, tcp_by_name)
{
    int port = 20000 + getpid() % 20000;
    redis_server server({"--port", std::to_string(port), "--bind", "127.0.0.1"});
    /* localhost may be ::1 first, where nobody listens: the next address is tried. */
    with_redis("redis://localhost:" + std::to_string(port) + "/1",
               [](struct reactor *, struct redis *) { EXPECT_EQ(ask({"PING"}), "PONG"); });
}

TEST(redis, no_redis_at_all)
{
    run([](struct reactor *r) {
        EXPECT_EQ(ask({"PING"}), "!CACHE_UNAVAILABLE");
        const struct str ping[] = {{"PING", 4}};
        EXPECT_FALSE(redis_post(r, ping, 1));
        struct redis_options opt = {};
        opt.url = "http://x";
        char err[200] = "";
        EXPECT_EQ(redis_new(r, &opt, err, sizeof(err)), nullptr);
        EXPECT_NE(std::string(err).find("redis://"), std::string::npos);
    });
}

TEST(redis, scripts_run_by_sha)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *redis) {
        test_ctx ctx;
        const struct redis_script *count = test_scripts[0];
        const struct str key = {"counter", 7};
        const struct str by = {"5", 1};
        struct redis_reply *r = nullptr;
        ASSERT_EQ(redis_eval(&ctx, count, &key, 1, &by, 1, &r), OK);
        ASSERT_EQ(r->count, 3u);
        EXPECT_EQ(r->items[0].integer, 5);
        EXPECT_EQ(text(&r->items[1]), "a \"b\" \\ ;[x]");
        EXPECT_EQ(numbers(redis).script_reloads, 0u); /* it was loaded with the connection */
        EXPECT_EQ(std::string(count->text).find("Comments"), std::string::npos);

        EXPECT_EQ(ask({"SCRIPT", "FLUSH"}), "OK");
        ASSERT_EQ(redis_eval(&ctx, count, &key, 1, &by, 1, &r), OK);
        EXPECT_EQ(r->items[0].integer, 10); /* done once */
        EXPECT_EQ(numbers(redis).script_reloads, 1u);
        ASSERT_EQ(redis_eval(&ctx, count, &key, 1, &by, 1, &r), OK);
        EXPECT_EQ(r->items[0].integer, 15);
        EXPECT_EQ(numbers(redis).script_reloads, 1u);

        const struct str word = {"x", 1};
        EXPECT_EQ(redis_eval(&ctx, count, &key, 1, &word, 1, &r), INTERNAL);
        EXPECT_EQ(ctx.error.reason, REASON_INTERNAL_ERROR);
    });
}

TEST(redis, a_caller_that_leaves_detaches)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *redis) {
        bool left = false;
        ASSERT_TRUE(spawn(r, [&] {
            test_ctx ctx;
            ctx.deadline = clock_now() + MSEC(20);
            EXPECT_EQ(command(&ctx, {"DEBUG", "SLEEP", "0.2"}), nullptr);
            EXPECT_EQ(ctx.error.reason, REASON_DEADLINE_PASSED);
            left = true;
        }));
        ASSERT_TRUE(spawn(r, [&] {
            test_ctx ctx;
            struct ctx *waiting = &ctx;
            ASSERT_TRUE(spawn(r, [waiting] { ctx_cancel(waiting); }));
            EXPECT_EQ(command(&ctx, {"ECHO", "lost"}), nullptr);
            EXPECT_EQ(ctx.error.reason, REASON_CANCELLED_BY_CALLER);
        }));
        ASSERT_TRUE(eventually([&] { return left; }));
        EXPECT_EQ(numbers(redis).detached, 2u);
        EXPECT_EQ(ask({"ECHO", "mine"}), "mine"); /* not the answer of those who left */
        EXPECT_EQ(numbers(redis).disconnects, 0u);
        EXPECT_EQ(numbers(redis).in_flight, 0u);
    });
}

TEST(redis, an_answer_outlives_the_next_one)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *, struct redis *) {
        test_ctx ctx;
        struct redis_reply *first = command(&ctx, {"ECHO", "first"});
        struct redis_reply *second = command(&ctx, {"ECHO", "second"});
        EXPECT_EQ(text(first), "first");
        EXPECT_EQ(text(second), "second");
    });
}
