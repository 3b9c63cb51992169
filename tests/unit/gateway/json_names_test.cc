// Spellings of names, one field alone, and the masks that PATCH bodies stand
// for.
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

TEST(JsonNames, ReadsBothSpellings)
{
    for (const char *json : {R"({"field_name2":1})", R"({"fieldName2":1})", R"({"_field_name3":1})",
                             R"({"FieldName3":1})", R"({"field__name4_":1})", R"({"fieldName4":1})",
                             R"({"field_0_name6":1})", R"({"field0Name6":1})",
                             R"({"its own \"name\"":1})", R"({"custom":1})", R"({"far_out":1})"})
        EXPECT_TRUE(ours().to_wire(type, json).ok) << json;
    EXPECT_FALSE(ours().to_wire(type, R"({"fieldname2":1})").ok);
    EXPECT_FALSE(ours().to_wire(type, R"({"its own name":1})").ok);
}

TEST(JsonNames, WritesTheSpellingThatWasAskedFor)
{
    auto wire = ours().to_wire(type, R"({"field_name2":1,"custom":2,"a_mask":"a_b.c"})").out;
    auto plain = ours().to_json(type, wire).out;
    EXPECT_NE(plain.find(R"("field_name2":1)"), std::string::npos) << plain;
    EXPECT_NE(plain.find(R"("custom":2)"), std::string::npos) << plain;
    EXPECT_NE(plain.find(R"("a_mask":"a_b.c")"), std::string::npos) << plain;
    struct json_style camel = {};
    camel.names = JSON_NAMES_CAMEL;
    auto text = ours().to_json(type, wire, camel).out;
    EXPECT_NE(text.find(R"("fieldName2":1)"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("its own \"name\"":2)"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("aMask":"aB.c")"), std::string::npos) << text;
}

TEST(JsonNames, RefusesMasksWithoutACamelForm)
{
    struct json_style camel = {};
    camel.names = JSON_NAMES_CAMEL;
    for (const char *path : {"a__b", "a_1", "aB", "a_"}) {
        auto wire = std::string("\x0a") + static_cast<char>(strlen(path)) + path;
        EXPECT_FALSE(ours().to_json("google.protobuf.FieldMask", wire, camel).ok) << path;
    }
}

std::string
mask_of(const std::string &json)
{
    EXPECT_TRUE(ours().to_wire(type, json).ok) << json;
    auto mask =
        ours().with_buffer(1 << 16, [&](struct arena *a, struct buf *out, struct json_error *) {
            json_mask_paths(ours().schema(), ours().message(type), codec::to_str(json), a, out);
            return true;
        });
    return ours().to_json("google.protobuf.FieldMask", mask.out).out;
}

TEST(JsonMask, NamesEachLeaf)
{
    EXPECT_EQ(mask_of("{}"), "\"\"");
    EXPECT_EQ(mask_of(R"({"aDouble":1,"a_nested":{"a":2,"nested":{"nested":{"a":null}}}})"),
              "\"a_double,a_nested.a,a_nested.nested.nested.a\"");
    EXPECT_EQ(mask_of(R"({"doubles":[1],"string_nested":{"x":{"a":1}},"a_time":"2018-02-25"})"),
              "\"doubles,string_nested,a_time\"");
    EXPECT_EQ(
        mask_of(R"({"a_nested":null,"a_struct":{"x":1},"wrapped_int32":3,"nesteds":{"a":1}})"),
        "\"a_nested,a_struct,wrapped_int32,nesteds\"");
}

TEST(JsonField, OfABodyOrAnAnswer)
{
    auto decode = [&](const char *field, const char *json) {
        return ours().with_buffer(
            1 << 16, [&](struct arena *a, struct buf *out, struct json_error *err) {
                return json_decode_field(ours().schema(), ours().field(type, field),
                                         codec::to_str(std::string(json)), a, out, err);
            });
    };
    auto encode = [&](const char *field, const std::string &wire) {
        struct json_style style = {};
        return ours()
            .with_buffer(1 << 16,
                         [&](struct arena *, struct buf *out, struct json_error *err) {
                             return json_encode_field(ours().schema(), ours().message(type),
                                                      ours().field(type, field),
                                                      codec::to_str(wire), &style, out, err);
                         })
            .out;
    };
    struct {
        const char *field, *json;
    } table[] = {{"a_nested", R"({"a":1})"},
                 {"doubles", "[1,2.5]"},
                 {"a_string", R"("x")"},
                 {"string_string", R"({"a":"b"})"},
                 {"a_time", R"("2018-02-25T00:00:00Z")"},
                 {"strings", R"(["a","b"])"}};
    for (auto &row : table) {
        auto r = decode(row.field, row.json);
        ASSERT_TRUE(r.ok) << row.json << r.error.text;
        EXPECT_EQ(encode(row.field, r.out), row.json);
    }
    EXPECT_EQ(encode("a_nested", ""), "null");
    EXPECT_EQ(encode("doubles", ""), "[]");
    auto bad = decode("a_nested", R"({"a":"x"})");
    EXPECT_FALSE(bad.ok);
    EXPECT_STREQ(bad.error.path, "a_nested.a");
    EXPECT_FALSE(decode("a_nested", R"({"a":1} 2)").ok);
}

} // namespace
