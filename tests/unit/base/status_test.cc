#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

extern "C" {
#include "base/status.h"
}

namespace
{

class Error : public testing::Test
{
  protected:
    void SetUp() override
    {
        arena_init(&a, 0);
    }
    void TearDown() override
    {
        arena_fini(&a);
    }

    status set(reason r, const char *fmt, ...) PRINTF(3, 4)
    {
        va_list ap;
        va_start(ap, fmt);
        status st = error_vset(&e, &a, r, "here.c", 12, fmt, ap);
        va_end(ap);
        return st;
    }

    size_t field_count() const
    {
        size_t n = 0;
        for (const field_violation *v = e.fields; v; v = v->next)
            n++;
        return n;
    }

    arena a;
    error e = {};
};

/* https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
TEST(Status, HasTheNamesOfGrpc)
{
    const char *const names[] = {"OK",
                                 "CANCELLED",
                                 "UNKNOWN",
                                 "INVALID_ARGUMENT",
                                 "DEADLINE_EXCEEDED",
                                 "NOT_FOUND",
                                 "ALREADY_EXISTS",
                                 "PERMISSION_DENIED",
                                 "RESOURCE_EXHAUSTED",
                                 "FAILED_PRECONDITION",
                                 "ABORTED",
                                 "OUT_OF_RANGE",
                                 "UNIMPLEMENTED",
                                 "INTERNAL",
                                 "UNAVAILABLE",
                                 "DATA_LOSS",
                                 "UNAUTHENTICATED"};
    for (int i = 0; i < 17; i++)
        EXPECT_STREQ(status_name(static_cast<status>(i)), names[i]);
    EXPECT_STREQ(status_name(END), "END");
    EXPECT_STREQ(status_name(static_cast<status>(17)), "UNKNOWN");
    EXPECT_STREQ(status_name(static_cast<status>(-2)), "UNKNOWN");
}

/* The table of statuses and HTTP codes that callers were promised. */
TEST(Reason, AnswersTheHttpCodeOfItsStatus)
{
    const std::map<status, std::set<int>> codes = {
        {INVALID_ARGUMENT, {422, 400, 406, 415}},
        {UNAUTHENTICATED, {401, 403}},
        {PERMISSION_DENIED, {403}},
        {NOT_FOUND, {404}},
        {ALREADY_EXISTS, {409}},
        {ABORTED, {409}},
        {FAILED_PRECONDITION, {412}},
        {RESOURCE_EXHAUSTED, {429, 413, 431, 507}},
        {UNIMPLEMENTED, {501, 405}},
        {UNAVAILABLE, {503}},
        {DEADLINE_EXCEEDED, {504}},
        {INTERNAL, {500}},
        {CANCELLED, {499}},
    };
    std::set<std::string> tokens;
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        const struct reason_info *info = reason_info(static_cast<reason>(i));
        ASSERT_EQ(codes.count(info->status), 1u) << info->token;
        EXPECT_EQ(codes.at(info->status).count(info->http), 1u) << info->token;
        EXPECT_TRUE(tokens.insert(info->token).second) << info->token;
        EXPECT_NE(std::string(info->text), "") << info->token;
        if (info->retryable) {
            EXPECT_TRUE(info->status == RESOURCE_EXHAUSTED || info->status == UNAVAILABLE ||
                        info->status == ABORTED || info->status == DEADLINE_EXCEEDED)
                << info->token;
        }
    }
    EXPECT_STREQ(reason_info(REASON_BAD_FIELD)->token, "BAD_FIELD");
    EXPECT_DEATH(reason_info(REASON_COUNT), "assertion failed");
}

TEST_F(Error, RecordsTheFirstFailure)
{
    EXPECT_EQ(set(REASON_QUOTA_SPENT, "used %d of %d", 5, 5), RESOURCE_EXHAUSTED);
    EXPECT_EQ(set(REASON_INTERNAL_ERROR, "later"), RESOURCE_EXHAUSTED);
    EXPECT_EQ(e.status, RESOURCE_EXHAUSTED);
    EXPECT_EQ(e.reason, REASON_QUOTA_SPENT);
    EXPECT_STREQ(e.message, "used 5 of 5");
    EXPECT_STREQ(e.file, "here.c");
    EXPECT_EQ(e.line, 12);
    EXPECT_EQ(e.retry_after, SEC(1));
    EXPECT_EQ(e.detail, nullptr);
}

TEST_F(Error, SaysTheReasonsOwnText)
{
    EXPECT_EQ(set(REASON_NOT_ALLOWED, nullptr), PERMISSION_DENIED);
    EXPECT_STREQ(e.message, reason_info(REASON_NOT_ALLOWED)->text);
    EXPECT_EQ(e.retry_after, 0);
}

TEST_F(Error, CollectsFields)
{
    char field[] = "results[3]";
    char text[] = "is not finite";
    EXPECT_EQ(error_field(&e, &a, "f.c", 1, field, text), INVALID_ARGUMENT);
    field[0] = text[0] = '#'; /* it has copies */
    EXPECT_EQ(error_field(&e, &a, "f.c", 2, "level", "is negative"), INVALID_ARGUMENT);
    EXPECT_EQ(e.reason, REASON_BAD_FIELD);
    EXPECT_STREQ(e.message, "results[3] is not finite");
    EXPECT_EQ(e.line, 1);
    ASSERT_EQ(field_count(), 2u);
    EXPECT_STREQ(e.fields->field, "results[3]");
    EXPECT_STREQ(e.fields->text, "is not finite");
    EXPECT_STREQ(e.fields->next->field, "level");
    EXPECT_STREQ(e.fields->next->text, "is negative");
}

TEST_F(Error, KeepsThirtyTwoFields)
{
    for (int i = 0; i < 100; i++)
        error_field(&e, &a, "f.c", 1, arena_printf(&a, "x[%d]", i), "is wrong");
    EXPECT_EQ(field_count(), 32u);
    EXPECT_STREQ(e.message, "x[0] is wrong");
}

TEST_F(Error, FieldsDoNotJoinAnotherReason)
{
    set(REASON_DB_UNAVAILABLE, nullptr);
    EXPECT_EQ(error_field(&e, &a, "f.c", 1, "x", "is wrong"), UNAVAILABLE);
    EXPECT_EQ(e.fields, nullptr);
}

} // namespace
