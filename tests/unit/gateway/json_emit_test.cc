// What is written of fields that are not set.
#include <gtest/gtest.h>

#include "unit/gateway/codec.h"

namespace
{

const char type[] = "luna.testing.AllTypes";

const codec::Codec &
ours()
{
    static const codec::Codec c(codec::read_file(ALL_TYPES));
    return c;
}

std::string
written(enum json_emit emit, const std::string &wire)
{
    struct json_style style = {};
    style.emit = emit;
    auto r = ours().to_json(type, wire, style);
    EXPECT_TRUE(r.ok) << r.error.text;
    return r.out;
}

bool
holds(const std::string &text, const std::string &member)
{
    return text.find(member) != std::string::npos;
}

TEST(JsonEmit, PrimitiveHasNoMessages)
{
    auto text = written(JSON_EMIT_PRIMITIVE, "");
    EXPECT_TRUE(holds(text, R"("an_int64":0)")) << text;
    EXPECT_TRUE(holds(text, R"("int64_int64":{})")) << text;
    EXPECT_FALSE(holds(text, "a_time") || holds(text, "a_nested")) << text;
}

TEST(JsonEmit, AllHasMessagesAsNull)
{
    auto text = written(JSON_EMIT_ALL, "");
    EXPECT_TRUE(holds(text, R"("an_int64":0)")) << text;
    EXPECT_TRUE(holds(text, R"("a_time":null)")) << text;
    EXPECT_FALSE(holds(text, "maybe_int32")) << text; // presence, and no message
    EXPECT_TRUE(ours().to_wire(type, text).ok) << "what was written is read back";
}

TEST(JsonEmit, NoneHasOnlyWhatIsSet)
{
    EXPECT_EQ(written(JSON_EMIT_NONE, ""), "{}");
    auto wire = ours().to_wire(type, R"({"an_int64":5,"maybe_int32":0,"a_time":0})").out;
    auto text = written(JSON_EMIT_NONE, wire);
    EXPECT_TRUE(holds(text, R"("an_int64":5)")) << text;
    EXPECT_TRUE(holds(text, R"("maybe_int32":0)")) << text; // was set, to 0
    EXPECT_TRUE(holds(text, R"("a_time":"1970-01-01T00:00:00Z")")) << text;
    EXPECT_FALSE(holds(text, "[]") || holds(text, "{}") || holds(text, "null")) << text;
}

TEST(JsonEmit, NoneLeavesOutWhatIsSentAsZero)
{
    auto wire = ours().to_wire(type, R"({"an_int64":1})").out;
    ASSERT_EQ(wire.size(), 2u);
    wire[1] = 0;
    EXPECT_EQ(written(JSON_EMIT_NONE, wire), "{}");
    EXPECT_EQ(written(JSON_EMIT_PRIMITIVE, wire), written(JSON_EMIT_PRIMITIVE, ""));
}

} // namespace
