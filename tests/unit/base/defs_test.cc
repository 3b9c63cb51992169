#include <gtest/gtest.h>

#include <string>

extern "C" {
#include "base/defs.h"
}

namespace
{

TEST(Defs, AssertStopsTheProcessAndSaysWhere)
{
    int two = 2;
    ASSERT(two == 2);
    EXPECT_EXIT(ASSERT(two == 3), testing::KilledBySignal(SIGABRT),
                "defs_test.cc:[0-9]+: assertion failed: two == 3");
    std::string path(2000, 'x');
    EXPECT_EXIT(assert_failed("c", path.c_str(), 1), testing::KilledBySignal(SIGABRT), "xxxx");
}

int cleaned;

void
clean(int *value)
{
    cleaned = *value;
}

TEST(Defs, CleanupRunsAtTheEndOfTheScope)
{
    {
        int value CLEANUP(clean) = 0;
        value = 7;
        EXPECT_EQ(cleaned, 0);
        EXPECT_EQ(value, 7);
    }
    EXPECT_EQ(cleaned, 7);
}

} // namespace
