/* server/base/reason.def and enum ErrorReason are one list. */
#include <gtest/gtest.h>

#include <cctype>
#include <regex>

#include "contract/descriptors.h"

namespace
{

struct Reason {
    const char *token;
    const char *status;
    int http;
};

const Reason reasons[] = {
#define REASON(token, status, http, retryable, text) {#token, #status, http},
#include "base/reason.def"
#undef REASON
};

TEST(Reasons, AreTheEnumOfTheProto)
{
    const pb::EnumDescriptor *e = pool().FindEnumTypeByName("luna.v1.ErrorReason");
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->value_count(), static_cast<int>(std::size(reasons)) + 1);
    int number = 1;
    for (const Reason &r : reasons) {
        const pb::EnumValueDescriptor *v = e->FindValueByNumber(number++);
        ASSERT_NE(v, nullptr) << r.token << " is not in error.proto";
        EXPECT_EQ(v->name(), std::string("ERROR_REASON_") + r.token);
    }
}

TEST(Reasons, AreDescribedAsTheyAreAnswered)
{
    const pb::EnumDescriptor *e = pool().FindEnumTypeByName("luna.v1.ErrorReason");
    for (const Reason &r : reasons) {
        const pb::EnumValueDescriptor *v =
            e->FindValueByName(std::string("ERROR_REASON_") + r.token);
        ASSERT_NE(v, nullptr) << r.token;
        pb::SourceLocation at;
        ASSERT_TRUE(v->GetSourceLocation(&at));
        EXPECT_NE(at.leading_comments.find(r.status), std::string::npos)
            << v->name() << ": the comment does not name " << r.status;
        std::smatch http;
        if (std::regex_search(at.leading_comments, http, std::regex("HTTP ([0-9]{3})"))) {
            EXPECT_EQ(std::stoi(http[1]), r.http) << v->name();
        }
    }
}

} // namespace
