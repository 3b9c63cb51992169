#include "unit/cache/redis_test.h"

namespace
{
struct follower {
    std::vector<std::string> events;
    struct redis_subscription *sub = nullptr;
    bool leave_on_message = false;

    static void on_event(void *arg, enum redis_event event, struct str payload)
    {
        auto *f = static_cast<follower *>(arg);
        if (event == REDIS_EVENT_READY)
            f->events.push_back("ready");
        else if (event == REDIS_EVENT_LOST)
            f->events.push_back("lost");
        else
            f->events.push_back(std::string(payload.p, payload.n));
        if (event == REDIS_EVENT_MESSAGE && f->leave_on_message) {
            redis_unsubscribe(f->sub);
            f->sub = nullptr;
        }
    }

    void follow(struct reactor *r, const char *channel)
    {
        sub = redis_subscribe(r, str_of(channel), on_event, this);
        ASSERT_NE(sub, nullptr);
    }

    bool has(const std::string &event) const
    {
        for (const std::string &e : events)
            if (e == event)
                return true;
        return false;
    }
};
} // namespace

TEST(redis_subscribe, messages_arrive)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *redis) {
        follower a;
        follower b;
        follower other;
        a.follow(r, "news");
        b.follow(r, "news");
        other.follow(r, "weather");
        ASSERT_TRUE(
            eventually([&] { return a.has("ready") && b.has("ready") && other.has("ready"); }));
        EXPECT_EQ(ask({"PUBLISH", "news", "one"}), "1");
        ASSERT_TRUE(eventually([&] { return a.has("one") && b.has("one"); }));
        EXPECT_FALSE(other.has("one"));
        redis_unsubscribe(a.sub);
        EXPECT_EQ(ask({"PUBLISH", "news", "two"}), "1");
        ASSERT_TRUE(eventually([&] { return b.has("two"); }));
        EXPECT_FALSE(a.has("two"));
        redis_unsubscribe(b.sub);
        ASSERT_TRUE(eventually([&] { return ask({"PUBLISH", "news", "three"}) == "0"; }));
        EXPECT_EQ(ask({"PUBLISH", "weather", std::string("r\0in", 4)}), "1");
        ASSERT_TRUE(eventually([&] { return other.has(std::string("r\0in", 4)); }));
        redis_unsubscribe(other.sub);
        EXPECT_EQ(numbers(redis).messages, 3u);
        EXPECT_EQ(ask({"PING"}), "PONG");
    });
}

TEST(redis_subscribe, leaving_from_within_a_message)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *) {
        follower once;
        follower all;
        once.leave_on_message = true;
        once.follow(r, "c");
        all.follow(r, "c");
        ASSERT_TRUE(eventually([&] { return once.has("ready") && all.has("ready"); }));
        for (const char *m : {"1", "2", "3"})
            ask({"PUBLISH", "c", m});
        ASSERT_TRUE(eventually([&] { return all.has("3"); }));
        EXPECT_TRUE(once.has("1"));
        EXPECT_FALSE(once.has("2"));
        redis_unsubscribe(all.sub);
    });
}

TEST(redis_subscribe, a_broken_connection_is_told_and_healed)
{
    redis_server server;
    with_redis(
        server.url(),
        [&](struct reactor *r, struct redis *) {
            follower f;
            f.follow(r, "c");
            ASSERT_TRUE(eventually([&] { return f.has("ready"); }));
            server.stop(SIGKILL);
            ASSERT_TRUE(eventually([&] { return f.has("lost"); }));
            f.events.clear();
            server.start();
            ASSERT_TRUE(eventually([&] { return f.has("ready"); }));
            ASSERT_TRUE(eventually([&] { return ask({"PUBLISH", "c", "again"}) == "1"; }));
            ASSERT_TRUE(eventually([&] { return f.has("again"); }));
        },
        MSEC(200));
}

TEST(redis_subscribe, a_newcomer_of_a_known_channel_is_told_too)
{
    redis_server server;
    with_redis(server.url(), [](struct reactor *r, struct redis *) {
        follower first;
        first.follow(r, "c");
        ASSERT_TRUE(eventually([&] { return first.has("ready"); }));
        follower late;
        late.follow(r, "c");
        ASSERT_TRUE(eventually([&] { return late.has("ready"); }));
    });
}
