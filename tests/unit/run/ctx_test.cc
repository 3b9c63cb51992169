#include "unit/run/run_test.h"

class context : public testing::Test
{
  protected:
    struct arena arena;
    struct ctx ctx;

    void SetUp() override
    {
        arena_init(&arena, 0);
        ctx_init(&ctx, &arena, nullptr);
    }
    void TearDown() override
    {
        arena_fini(&arena);
    }
};

TEST_F(context, begins_clean)
{
    EXPECT_EQ(ctx.error.status, OK);
    EXPECT_EQ(ctx.deadline, NSEC_NEVER);
    EXPECT_EQ(ctx.who.role, ROLE_NONE);
    EXPECT_FALSE(ctx.cancelled);
    EXPECT_EQ(ctx_check(&ctx), OK);
    ctx_fini(&ctx);
}

TEST_F(context, runs_its_deferred_functions_last_first)
{
    std::string order;
    struct step {
        std::string *order;
        struct ctx *ctx;
        char name;
    } steps[3] = {{&order, &ctx, 'a'}, {&order, &ctx, 'b'}, {&order, &ctx, 'c'}};
    for (step &s : steps)
        ctx_defer(
            &ctx,
            [](void *arg) {
                step *me = static_cast<step *>(arg);
                *me->order += me->name;
                if (me->name == 'b') /* one that defers once more */
                    ctx_defer(
                        me->ctx, [](void *again) { *static_cast<step *>(again)->order += '!'; },
                        me);
            },
            &s);
    EXPECT_EQ(order, "");
    ctx_fini(&ctx);
    EXPECT_EQ(order, "cb!a");
    ctx_fini(&ctx);
    EXPECT_EQ(order, "cb!a");
}

TEST_F(context, keeps_the_first_failure)
{
    EXPECT_EQ(fail(&ctx, QUOTA_SPENT, "%d of %d units", 5, 4), RESOURCE_EXHAUSTED);
    EXPECT_EQ(fail_plain(&ctx, INTERNAL_ERROR), RESOURCE_EXHAUSTED);
    EXPECT_EQ(ctx.error.reason, REASON_QUOTA_SPENT);
    EXPECT_STREQ(ctx.error.message, "5 of 4 units");
    EXPECT_NE(ctx.error.file, nullptr);
    fail_detail(&ctx, "account %d", 7);
    fail_detail(&ctx, "attempt %d", 2);
    EXPECT_STREQ(ctx.error.detail, "account 7; attempt 2");
    fail_clear(&ctx);
    EXPECT_EQ(ctx.error.status, OK);
    EXPECT_EQ(ctx.error.detail, nullptr);
    EXPECT_EQ(fail_plain(&ctx, INTERNAL_ERROR), INTERNAL);
}

TEST_F(context, collects_wrong_fields)
{
    EXPECT_EQ(fail_field(&ctx, "results[3]", "is not finite"), INVALID_ARGUMENT);
    EXPECT_EQ(fail_field(&ctx, "model", "must be one of %d", 4), INVALID_ARGUMENT);
    EXPECT_STREQ(ctx.error.message, "results[3] is not finite");
    ASSERT_NE(ctx.error.fields, nullptr);
    EXPECT_STREQ(ctx.error.fields->field, "results[3]");
    ASSERT_NE(ctx.error.fields->next, nullptr);
    EXPECT_STREQ(ctx.error.fields->next->text, "must be one of 4");
}

TEST_F(context, says_why_it_must_stop)
{
    ctx.deadline = clock_now() + SEC(10);
    EXPECT_EQ(ctx_check(&ctx), OK);
    EXPECT_GT(ctx_left(&ctx), SEC(9));
    ctx.deadline = clock_now();
    EXPECT_EQ(ctx_check(&ctx), DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx.error.reason, REASON_DEADLINE_PASSED);
    EXPECT_EQ(ctx_left(&ctx), 0);
    /* The first failure stays on record; the status says what is the matter now. */
    ctx_cancel(&ctx);
    EXPECT_EQ(ctx_check(&ctx), CANCELLED);
    EXPECT_EQ(ctx.error.reason, REASON_DEADLINE_PASSED);
}
