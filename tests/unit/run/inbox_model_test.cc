#include "unit/run/run_test.h"

extern "C" {
#include "unit/run/inbox_model.h"
}

static void
check(int first, int second, int preemptions)
{
    if (UNDER_SANITIZER)
        GTEST_SKIP() << "the model switches stacks behind the sanitizer's back";
    uint64_t schedules = 0;
    const char *wrong = inbox_model_check(first, second, preemptions, &schedules);
    printf("%llu schedules\n", (unsigned long long)schedules);
    EXPECT_STREQ(wrong, nullptr);
    EXPECT_GT(schedules, 100u);
}

TEST(inbox_model, one_producer)
{
    check(3, 0, 100);
}

TEST(inbox_model, two_producers)
{
    check(1, 1, 100);
}

TEST(inbox_model, two_producers_of_several)
{
    check(3, 2, 4);
}
