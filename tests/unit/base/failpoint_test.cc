#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

extern "C" {
#include "base/failpoint.h"
}

namespace
{

class Failpoint : public testing::Test
{
  protected:
    void TearDown() override
    {
        unsetenv("LUNA_FAILPOINTS");
        for (int i = 0; i < FAILPOINT_COUNT; i++)
            failpoint_set(static_cast<failpoint>(i), 0);
    }
};

TEST_F(Failpoint, FailsTheNthPassOnce)
{
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_send));
    failpoint_set(FAILPOINT_db_send, 3);
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_connect));
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_send));
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_send));
    EXPECT_TRUE(failpoint_hit(FAILPOINT_db_send));
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_send));
}

TEST_F(Failpoint, FailsEachPassUntilSwitchedOff)
{
    failpoint_set(FAILPOINT_redis_reply, -1);
    for (int i = 0; i < 10; i++)
        EXPECT_TRUE(failpoint_hit(FAILPOINT_redis_reply));
    failpoint_set(FAILPOINT_redis_reply, 0);
    EXPECT_FALSE(failpoint_hit(FAILPOINT_redis_reply));
}

TEST_F(Failpoint, FailsOneOfManyThreads)
{
    failpoint_set(FAILPOINT_db_connect, 5000);
    std::atomic<int> hits{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&hits] {
            for (int i = 0; i < 2000; i++)
                hits += failpoint_hit(FAILPOINT_db_connect);
        });
    }
    for (std::thread &t : threads)
        t.join();
    EXPECT_EQ(hits, 1);
}

#ifdef LUNA_FAILPOINTS

TEST_F(Failpoint, IsSwitchedOnByTheEnvironment)
{
    setenv("LUNA_FAILPOINTS", "db_connect=2, redis_reply=*", 1);
    failpoint_init_from_env();
    EXPECT_FALSE(FAILPOINT(db_connect));
    EXPECT_TRUE(FAILPOINT(db_connect));
    EXPECT_FALSE(FAILPOINT(db_connect));
    EXPECT_TRUE(FAILPOINT(redis_reply));
    EXPECT_TRUE(FAILPOINT(redis_reply));
    EXPECT_FALSE(FAILPOINT(db_send));
}

TEST_F(Failpoint, StopsForATextThatSwitchesNothing)
{
    for (const char *bad : {"db_conect=1", "db_connect", "db_connect=", "db_connect=0",
                            "db_connect=-1", "db_connect=x", "db_connect=1,,db_send=1", "=1"}) {
        setenv("LUNA_FAILPOINTS", bad, 1);
        EXPECT_EXIT(failpoint_init_from_env(), testing::KilledBySignal(SIGABRT), "is wrong") << bad;
    }
}

#else

TEST_F(Failpoint, AreNotThereInOrdinaryBuilds)
{
    setenv("LUNA_FAILPOINTS", "db_connect=*", 1);
    testing::internal::CaptureStderr();
    failpoint_init_from_env();
    EXPECT_NE(testing::internal::GetCapturedStderr().find("built without failpoints"),
              std::string::npos);
    EXPECT_FALSE(failpoint_hit(FAILPOINT_db_connect));
    failpoint_set(FAILPOINT_db_connect, -1);
    EXPECT_FALSE(FAILPOINT(db_connect));
}

#endif

} // namespace
