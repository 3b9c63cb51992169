// What the codec reads, refuses and writes, case by case.
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

const codec::Oracle &
theirs()
{
    static const codec::Oracle o(codec::read_file(ALL_TYPES));
    return o;
}

// The message again, with only what was set: wire bytes through the oracle's
// JSON.
std::string
shown(const std::string &wire)
{
    auto m = theirs().make(type);
    if (!m->ParseFromString(wire))
        return "not a message";
    std::string text;
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    auto st = google::protobuf::util::MessageToJsonString(*m, &text, options);
    return st.ok() ? text : "not printable: " + st.ToString();
}

struct Reads {
    const char *json;
    const char *shown;
};

class JsonReads : public testing::TestWithParam<Reads>
{
};

TEST_P(JsonReads, AsTheMessage)
{
    auto r = ours().to_wire(type, GetParam().json);
    ASSERT_TRUE(r.ok) << GetParam().json << ": " << r.error.path << " " << r.error.text;
    EXPECT_EQ(shown(r.out), GetParam().shown) << GetParam().json;
}

INSTANTIATE_TEST_SUITE_P(
    Json, JsonReads,
    testing::Values(
        Reads{"{}", "{}"}, Reads{" \t\r\n{ } ", "{}"},
        // numbers
        Reads{R"({"a_double":1.5})", R"({"a_double":1.5})"},
        Reads{R"({"aDouble":-1.5e-3})", R"({"a_double":-0.0015})"},
        Reads{R"({"a_double":"1e3"})", R"({"a_double":1000})"},
        Reads{R"({"a_double":"NaN"})", R"({"a_double":"NaN"})"},
        Reads{R"({"a_double":"-Infinity"})", R"({"a_double":"-Infinity"})"},
        Reads{R"({"a_double":4.9e-324})", R"({"a_double":4.94065645841247e-324})"},
        Reads{R"({"maybe_double":1e-400})", R"({"maybe_double":0})"},
        Reads{R"({"maybe_double":0.000e9999999999})", R"({"maybe_double":0})"},
        Reads{R"({"maybe_double":-0})", R"({"maybe_double":-0})"},
        Reads{R"({"a_float":3.4028235e38})", R"({"a_float":3.40282347e+38})"},
        Reads{R"({"an_int32":2147483647})", R"({"an_int32":2147483647})"},
        Reads{R"({"an_int32":-2147483648})", R"({"an_int32":-2147483648})"},
        Reads{R"({"an_int32":1e5})", R"({"an_int32":100000})"},
        Reads{R"({"an_int32":1.000})", R"({"an_int32":1})"},
        Reads{R"({"an_int32":"12"})", R"({"an_int32":12})"},
        Reads{R"({"an_int64":"-9223372036854775808"})", R"({"an_int64":"-9223372036854775808"})"},
        Reads{R"({"an_int64":9223372036854775807})", R"({"an_int64":"9223372036854775807"})"},
        Reads{R"({"a_uint64":18446744073709551615})", R"({"a_uint64":"18446744073709551615"})"},
        Reads{R"({"a_uint32":4294967295})", R"({"a_uint32":4294967295})"},
        Reads{R"({"a_sint32":-1,"a_sint64":-2})", R"({"a_sint32":-1,"a_sint64":"-2"})"},
        Reads{R"({"a_fixed32":1,"a_fixed64":2,"a_sfixed32":-3,"a_sfixed64":-4})",
              R"({"a_fixed32":1,"a_fixed64":"2","a_sfixed32":-3,"a_sfixed64":"-4"})"},
        Reads{R"({"a_bool":true})", R"({"a_bool":true})"},
        // strings and bytes
        Reads{R"({"a_string":"a\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é"})",
              "{\"a_string\":\"a\\\"\\\\/\\b\\f\\n\\r\\tA\xf0\x9f\x98\x80é\"}"},
        Reads{R"({"some_bytes":"AQI="})", R"({"some_bytes":"AQI="})"},
        Reads{R"({"some_bytes":"AQI"})", R"({"some_bytes":"AQI="})"},
        Reads{R"({"some_bytes":"-_-_"})", R"({"some_bytes":"+/+/"})"},
        Reads{R"({"some_bytes":"+/+/"})", R"({"some_bytes":"+/+/"})"},
        // enums
        Reads{R"({"a_color":"COLOR_BLUE"})", R"({"a_color":"COLOR_BLUE"})"},
        Reads{R"({"a_color":-5})", R"({"a_color":"COLOR_INFRARED"})"},
        Reads{R"({"a_color":99})", R"({"a_color":99})"},
        // null
        Reads{R"({"a_double":null,"doubles":null,"string_string":null,"a_nested":null})", "{}"},
        Reads{R"({"maybe_int32":null})", "{}"}, Reads{R"({"a_value":null})", R"({"a_value":null})"},
        Reads{R"({"choice_null":null})", R"({"choice_null":null})"},
        Reads{R"({"choice_int32":null,"choice_string":"x"})", R"({"choice_string":"x"})"},
        Reads{R"({"values":[null,1]})", R"({"values":[null,1]})"},
        Reads{R"({"wrapped_int64":null})", "{}"},
        // lists
        Reads{R"({"doubles":[1,2.5,"NaN"]})", R"({"doubles":[1,2.5,"NaN"]})"},
        Reads{R"({"doubles":[]})", "{}"}, Reads{R"({"doubles":4})", R"({"doubles":[4]})"},
        Reads{R"({"strings":"one"})", R"({"strings":["one"]})"},
        Reads{R"({"nesteds":{"a":1}})", R"({"nesteds":[{"a":1}]})"},
        Reads{R"({"unpacked":[1,2]})", R"({"unpacked":[1,2]})"},
        Reads{R"({"lists":[[1,[2]],[]]})", R"({"lists":[[1,[2]],[]]})"},
        // maps
        Reads{R"({"string_string":{"":"b"}})", R"({"string_string":{"":"b"}})"},
        Reads{R"({"int32_int32":{"-1":2}})", R"({"int32_int32":{"-1":2}})"},
        Reads{R"({"bool_bytes":{"true":"AQI="}})", R"({"bool_bytes":{"true":"AQI="}})"},
        Reads{R"({"string_nested":{"n":{"nested":{"a":2}}}})",
              R"({"string_nested":{"n":{"nested":{"a":2}}}})"},
        Reads{R"({"string_value":{"n":null}})", R"({"string_value":{"n":null}})"},
        // well-known types
        Reads{R"({"a_time":"2018-02-25T15:04:05.25+01:00"})",
              R"({"a_time":"2018-02-25T14:04:05.250Z"})"},
        Reads{R"({"a_time":"2018-02-25"})", R"({"a_time":"2018-02-25T00:00:00Z"})"},
        Reads{R"({"a_time":"2018-02-25 15:04:05.000000001z"})",
              R"({"a_time":"2018-02-25T15:04:05.000000001Z"})"},
        Reads{R"({"a_time":1519571045})", R"({"a_time":"2018-02-25T15:04:05Z"})"},
        Reads{R"({"a_time":-0.5})", R"({"a_time":"1969-12-31T23:59:59.500Z"})"},
        Reads{R"({"a_time":"0001-01-01T00:00:00Z"})", R"({"a_time":"0001-01-01T00:00:00Z"})"},
        Reads{R"({"a_time":"9999-12-31T23:59:59.999999999Z"})",
              R"({"a_time":"9999-12-31T23:59:59.999999999Z"})"},
        Reads{R"({"a_duration":"-1.5s"})", R"({"a_duration":"-1.500s"})"},
        Reads{R"({"a_duration":"315576000000s"})", R"({"a_duration":"315576000000s"})"},
        Reads{R"({"a_mask":"fooBar.baz,x_y"})", R"({"a_mask":"fooBar.baz,xY"})"},
        Reads{R"({"a_mask":""})", R"({"a_mask":""})"},
        Reads{R"({"a_struct":{"a":[1,"b",null,true,{"c":{}}]}})",
              R"({"a_struct":{"a":[1,"b",null,true,{"c":{}}]}})"},
        Reads{R"({"a_value":{"a":1}})", R"({"a_value":{"a":1}})"},
        Reads{R"({"a_list":[1,[],{}]})", R"({"a_list":[1,[],{}]})"},
        Reads{R"({"wrapped_int64":"5","wrapped_bool":false,"wrapped_bytes":"AA=="})",
              R"({"wrapped_int64":"5","wrapped_bool":false,"wrapped_bytes":"AA=="})"},
        Reads{R"({"an_empty":{}})", R"({"an_empty":{}})"},
        // presence
        Reads{R"({"maybe_int32":0,"maybe_string":"","maybe_bool":false})",
              R"({"maybe_int32":0,"maybe_string":"","maybe_bool":false})"},
        Reads{R"({"a_nested":{"a":0}})", R"({"a_nested":{}})"}));

struct Refuses {
    const char *json;
    const char *path;
    const char *text;
};

class JsonRefuses : public testing::TestWithParam<Refuses>
{
};

TEST_P(JsonRefuses, NamingTheField)
{
    auto r = ours().to_wire(type, GetParam().json);
    ASSERT_FALSE(r.ok) << GetParam().json;
    EXPECT_EQ(r.error.failure, JSON_FIELD) << GetParam().json << " " << r.error.text;
    EXPECT_STREQ(r.error.path, GetParam().path) << GetParam().json;
    EXPECT_NE(std::string(r.error.text).find(GetParam().text), std::string::npos) << r.error.text;
}

INSTANTIATE_TEST_SUITE_P(
    Json, JsonRefuses,
    testing::Values(
        Refuses{R"({"nope":1})", "nope", "is not a field of luna.testing.AllTypes"},
        Refuses{R"({"a_nested":{"nested":{"b":1}}})", "a_nested.nested.b", "is not a field"},
        Refuses{R"({"nesteds":[{},{"a":"x"}]})", "nesteds[1].a", "must be an integer"},
        Refuses{R"({"string_nested":{"k":{"a":1.5}}})", "string_nested[\"k\"].a", "integer"},
        Refuses{R"({"doubles":[1,2,3,true]})", "doubles[3]", "must be a number"},
        Refuses{R"({"doubles":[1,null]})", "doubles[1]", "must not be null"},
        Refuses{R"({"a_struct":{"x":{"y":1,"y":2}}})", "a_struct.x.y", "is given twice"},
        Refuses{R"({"a_double":1,"aDouble":2})", "a_double", "is given twice"},
        Refuses{R"({"choice_int32":1,"choice_string":"x"})", "choice_string", "beside another"},
        Refuses{R"({"string_string":{"a":"b","a":"c"}})", "string_string[\"a\"]", "given twice"},
        Refuses{R"({"string_string":{"a":null}})", "string_string[\"a\"]", "must not be null"},
        Refuses{R"({"int32_int32":{"x":1}})", "int32_int32[\"x\"]", "must be an integer"},
        Refuses{R"({"int32_int32":{"1.0":1}})", "int32_int32[\"1.0\"]", "must be an integer"},
        Refuses{R"({"bool_bytes":{"1":""}})", "bool_bytes[\"1\"]", "true or false"},
        Refuses{R"({"a_double":1e309})", "a_double", "too large"},
        Refuses{R"({"a_float":1e39})", "a_float", "too large"},
        Refuses{R"({"an_int32":2147483648})", "an_int32", "32 bits"},
        Refuses{R"({"an_int32":0.5})", "an_int32", "integer"},
        Refuses{R"({"an_int32":" 1"})", "an_int32", "integer"},
        Refuses{R"({"an_int32":""})", "an_int32", "integer"},
        Refuses{R"({"an_int32":"0x1"})", "an_int32", "integer"},
        Refuses{R"({"a_uint32":-1})", "a_uint32", "integer"},
        Refuses{R"({"an_int64":9223372036854775808})", "an_int64", "integer"},
        Refuses{R"({"a_uint64":18446744073709551616})", "a_uint64", "integer"},
        Refuses{R"({"a_bool":"true"})", "a_bool", "true or false"},
        Refuses{R"({"a_bool":1})", "a_bool", "true or false"},
        Refuses{R"({"a_string":1})", "a_string", "must be a string"},
        Refuses{R"({"some_bytes":"A"})", "some_bytes", "base64"},
        Refuses{R"({"some_bytes":"AQ=I"})", "some_bytes", "base64"},
        Refuses{R"({"some_bytes":"A===="})", "some_bytes", "base64"},
        Refuses{R"({"some_bytes":"AQI=="})", "some_bytes", "base64"},
        Refuses{R"({"some_bytes":"A QI"})", "some_bytes", "base64"},
        Refuses{R"({"a_color":"RED"})", "a_color", "not a value of luna.testing.Color"},
        Refuses{R"({"a_color":1.5})", "a_color", "not a value"},
        Refuses{R"({"a_nested":[]})", "a_nested", "must be an object"},
        Refuses{R"({"a_nested":1})", "a_nested", "must be an object"},
        Refuses{R"({"a_time":"2018-02-30T00:00:00Z"})", "a_time", "must be a time"},
        Refuses{R"({"a_time":"2018-02-25T15:04:05"})", "a_time", "must be a time"},
        Refuses{R"({"a_time":"0000-01-01T00:00:00Z"})", "a_time", "must be a time"},
        Refuses{R"({"a_time":"0001-01-01T00:00:00+00:01"})", "a_time", "must be a time"},
        Refuses{R"({"a_time":1e300})", "a_time", "Unix seconds"},
        Refuses{R"({"times":["x"]})", "times[0]", "must be a time"},
        Refuses{R"({"a_duration":"1"})", "a_duration", "must be a duration"},
        Refuses{R"({"a_duration":"315576000000.1s"})", "a_duration", "must be a duration"},
        Refuses{R"({"a_duration":1})", "a_duration", "must be a string"},
        Refuses{R"({"a_mask":"a,,b"})", "a_mask", "empty path"},
        Refuses{R"({"a_mask":"a b"})", "a_mask", "field paths"},
        Refuses{R"({"a_struct":[]})", "a_struct", "must be an object"},
        Refuses{R"({"a_list":{}})", "a_list", "must be a list"},
        Refuses{R"({"wrapped_int32":"x"})", "wrapped_int32", "integer"},
        Refuses{R"({"an_any":{"a":1}})", "an_any.@type", "is missing"},
        Refuses{R"({"an_any":{"@type":"type.googleapis.com/no.Such"}})", "an_any.@type",
                "no known type"},
        Refuses{R"({"an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested","b":1}})",
                "an_any.b", "is not a field"},
        Refuses{R"("x")", "", "must be an object"}, Refuses{R"(null)", "", "must be an object"}));

class JsonSyntax : public testing::TestWithParam<const char *>
{
};

TEST_P(JsonSyntax, IsRefused)
{
    auto r = ours().to_wire(type, GetParam());
    ASSERT_FALSE(r.ok) << GetParam();
    EXPECT_EQ(r.error.failure, JSON_SYNTAX) << GetParam() << " " << r.error.path << r.error.text;
}

INSTANTIATE_TEST_SUITE_P(
    Json, JsonSyntax,
    testing::Values("", " ", "{", "}", "{}x", "{} {}", "{,}", R"({"a_double":1,})",
                    R"({"a_double" 1})", R"({"a_double":})", R"({a_double:1})", R"({'a_double':1})",
                    R"({"a_string":'x'})", R"({"a_double":01})", R"({"a_double":1.})",
                    R"({"a_double":.5})", R"({"a_double":+1})", R"({"a_double":1e})",
                    R"({"a_double":-})", R"({"a_double":NaN})", R"({"a_double":0x10})",
                    R"({"doubles":[1,]})", R"({"doubles":[,1]})", R"({"doubles":[1 2]})",
                    R"({"doubles":[1)", R"({"a_string":"x)", R"({"a_string":"\x"})",
                    R"({"a_string":"\u12"})", R"({"a_string":"\ud800"})",
                    R"({"a_string":"\ud800\u0041"})", R"({"a_string":"\udc00"})",
                    R"({"a_string":"\U0041"})", "{\"a_string\":\"\n\"}", "{\"a_string\":\"\xff\"}",
                    "{\"a_string\":\"\xc0\x80\"}", "{\"a_string\":\"\xed\xa0\x80\"}",
                    "{\"a_bool\":tru}", "{\"a_bool\":TRUE}", "{\"a_double\":nul}", "\xef\xbb\xbf{}",
                    "{\"a_double\":1}//x", "/**/{}"));

TEST(Json, RefusesWhatIsNestedTooDeep)
{
    std::string deep;
    for (int i = 0; i < 99; i++)
        deep += "{\"nested\":";
    EXPECT_TRUE(
        ours().to_wire("luna.testing.AllTypes.Nested", deep + "{}" + std::string(99, '}')).ok);
    std::string deeper;
    for (int i = 0; i < 100000; i++)
        deeper += "{\"nested\":";
    auto r = ours().to_wire("luna.testing.AllTypes.Nested", deeper);
    EXPECT_FALSE(r.ok);
    EXPECT_STREQ(std::string(r.error.text).substr(0, 16).c_str(), "is nested deeper");
    for (const char *open : {"[", "{\"a\":"}) {
        std::string value;
        for (int i = 0; i < 100000; i++)
            value += open;
        EXPECT_FALSE(ours().to_wire("google.protobuf.Value", value).ok);
        EXPECT_FALSE(ours().to_wire(type, "{\"an_any\":" + value).ok);
    }
}

TEST(Json, StopsAtTheBuffersMaximum)
{
    auto r = ours().to_wire(type, R"({"a_string":"0123456789"})", 11);
    EXPECT_FALSE(r.ok);
    EXPECT_EQ(r.error.failure, JSON_TOO_LARGE);
    std::string wire = ours().to_wire(type, R"({"a_string":"0123456789"})").out;
    for (size_t max = 0; max < 100; max++) {
        auto w = ours().to_json(type, wire, {}, max);
        EXPECT_FALSE(w.ok);
        EXPECT_EQ(w.error.failure, JSON_TOO_LARGE);
    }
}

TEST(Json, ReadsAnyInAnyOrder)
{
    for (const char *json :
         {R"({"an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested","a":7}})",
          R"({"an_any":{"a":7,"@type":"type.googleapis.com/luna.testing.AllTypes.Nested"}})"}) {
        auto r = ours().to_wire(type, json);
        ASSERT_TRUE(r.ok) << r.error.path << r.error.text;
        std::string canonical, expected;
        ASSERT_TRUE(theirs().to_wire(type, json, &expected));
        ASSERT_TRUE(theirs().canonical(type, r.out, &canonical));
        EXPECT_EQ(canonical, expected);
        auto back = ours().to_json(type, r.out);
        ASSERT_TRUE(back.ok);
        EXPECT_NE(
            back.out.find(
                R"("an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested","a":7})"),
            std::string::npos)
            << back.out;
    }
    auto r =
        ours().to_wire(type, R"({"an_any":{"value":"1.5s","@type":"x/google.protobuf.Duration"}})");
    ASSERT_TRUE(r.ok) << r.error.path << r.error.text;
    EXPECT_NE(ours()
                  .to_json(type, r.out)
                  .out.find(R"({"@type":"x/google.protobuf.Duration","value":"1.500s"})"),
              std::string::npos);
}

TEST(Json, WritesAnUnknownAnyWhenLenient)
{
    google::protobuf::Any any;
    any.set_type_url("type.googleapis.com/no.Such");
    any.set_value("\x01\x02");
    std::string wire = any.SerializeAsString();
    EXPECT_FALSE(ours().to_json("google.protobuf.Any", wire).ok);
    struct json_style lenient = {};
    lenient.lenient_any = true;
    EXPECT_EQ(ours().to_json("google.protobuf.Any", wire, lenient).out,
              R"({"@type":"type.googleapis.com/no.Such","value":"AQI="})");
}

TEST(Json, WritesInt64AsNumberWhile53BitsHoldIt)
{
    struct {
        const char *in, *out;
    } table[] = {{"9007199254740991", "9007199254740991"},
                 {"9007199254740992", "\"9007199254740992\""},
                 {"-9007199254740991", "-9007199254740991"},
                 {"-9007199254740992", "\"-9007199254740992\""},
                 {"9223372036854775807", "\"9223372036854775807\""},
                 {"-9223372036854775808", "\"-9223372036854775808\""}};
    for (auto &row : table) {
        for (const char *field : {"an_int64", "a_sint64", "a_sfixed64", "wrapped_int64"}) {
            auto w = ours().to_wire(type, std::string("{\"") + field + "\":" + row.in + "}");
            ASSERT_TRUE(w.ok);
            auto text = ours().to_json(type, w.out).out;
            EXPECT_NE(text.find(std::string("\"") + field + "\":" + row.out), std::string::npos)
                << text;
        }
    }
    auto w = ours().to_wire(type, R"({"a_uint64":18446744073709551615,"int64_int64":{"5":6}})");
    auto text = ours().to_json(type, w.out).out;
    EXPECT_NE(text.find(R"("a_uint64":"18446744073709551615")"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("int64_int64":{"5":6})"), std::string::npos) << text;
}

TEST(Json, WritesWhatHasNoPresenceAlwaysAndTheRestWhenSet)
{
    auto text = ours().to_json("luna.testing.AllTypes.Nested", "").out;
    EXPECT_EQ(text, R"({"a":0})");
    text = ours().to_json(type, "").out;
    for (const char *has : {R"("a_double":0,)", R"("a_string":"",)", R"("a_bool":false,)",
                            R"("a_color":"COLOR_UNSPECIFIED",)", R"("doubles":[],)",
                            R"("string_string":{},)", R"("a_null":null,)", R"("an_int64":0,)"})
        EXPECT_NE(text.find(has), std::string::npos) << has << " in " << text;
    for (const char *has_not : {"maybe_", "choice_", "a_nested", "a_time", "wrapped_double"})
        EXPECT_EQ(text.find(has_not), std::string::npos) << has_not << " in " << text;
}

TEST(Json, WritesTheShortestNumbers)
{
    struct {
        double v;
        const char *text;
    } table[] = {{0, "0"},
                 {-0.0, "-0"},
                 {0.1, "0.1"},
                 {100000, "100000"},
                 {1e15, "1000000000000000"},
                 {123456.789, "123456.789"},
                 {1e22, "1e+22"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {5e-324, "5e-324"},
                 {1e-5, "0.00001"},
                 {1e-6, "1e-06"},
                 {9007199254740993e0, "9007199254740992"}};
    for (auto &row : table) {
        auto m = theirs().make("google.protobuf.DoubleValue");
        m->GetReflection()->SetDouble(m.get(), m->GetDescriptor()->field(0), row.v);
        EXPECT_EQ(ours().to_json("google.protobuf.DoubleValue", m->SerializeAsString()).out,
                  row.text);
    }
    auto m = theirs().make("google.protobuf.FloatValue");
    m->GetReflection()->SetFloat(m.get(), m->GetDescriptor()->field(0), 0.1f);
    EXPECT_EQ(ours().to_json("google.protobuf.FloatValue", m->SerializeAsString()).out, "0.1");
}

TEST(Json, JoinsMessagesThatCameInPiecesAndListsThatWereSplit)
{
    auto a = ours().to_wire(type, R"({"a_nested":{"a":1},"doubles":[1],"an_int32":1})").out;
    auto b =
        ours().to_wire(type, R"({"a_nested":{"nested":{"a":2}},"doubles":[2,3],"an_int32":2})").out;
    auto text = ours().to_json(type, a + b).out;
    EXPECT_NE(text.find(R"("a_nested":{"a":1,"nested":{"a":2}})"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("doubles":[1,2,3])"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("an_int32":2)"), std::string::npos) << text;
    auto c = ours().to_wire(type, R"({"choice_int32":1})").out +
             ours().to_wire(type, R"({"choice_string":"x"})").out;
    text = ours().to_json(type, c).out;
    EXPECT_NE(text.find(R"("choice_string":"x")"), std::string::npos) << text;
    EXPECT_EQ(text.find("choice_int32"), std::string::npos) << text;
}

TEST(Json, RefusesToWriteWhatIsNoMessage)
{
    auto wire = ours().to_wire(type, R"({"a_string":"abc","doubles":[1],"a_nested":{"a":1}})").out;
    size_t refused = 0;
    for (size_t n = 1; n < wire.size(); n++)
        refused += !ours().to_json(type, wire.substr(0, n)).ok;
    EXPECT_GT(refused, wire.size() / 2);
    EXPECT_FALSE(ours().to_json(type, "\x72\x01\xff").ok); // a_string that is not UTF-8
}

TEST(Json, LeavesUnknownFieldsAndGroupsOut)
{
    std::string group = "\xa3\x3f\x08\x01\xa4\x3f"; // field 1012, a group with one varint
    std::string unknown = "\xa8\x3f\x01";
    auto text = ours().to_json("luna.testing.AllTypes.Nested", group + "\x08\x05" + unknown);
    ASSERT_TRUE(text.ok) << text.error.text;
    EXPECT_EQ(text.out, R"({"a":5})");
}

TEST(Json, ReadsTextOfPathsAndQueries)
{
    struct {
        const char *field, *text, *json;
    } table[] = {{"an_int64", "-5", R"({"an_int64":-5})"},
                 {"a_double", "NaN", R"({"a_double":"NaN"})"},
                 {"a_bool", "true", R"({"a_bool":true})"},
                 {"a_string", "a\"b\n", R"({"a_string":"a\"b\n"})"},
                 {"some_bytes", "-_8", R"({"some_bytes":"+/8="})"},
                 {"a_color", "COLOR_RED", R"({"a_color":"COLOR_RED"})"},
                 {"a_color", "7", R"({"a_color":7})"},
                 {"a_time", "2018-02-25", R"({"a_time":"2018-02-25T00:00:00Z"})"},
                 {"a_time", "1.5", R"({"a_time":"1970-01-01T00:00:01.5Z"})"},
                 {"a_duration", "3s", R"({"a_duration":"3s"})"},
                 {"a_mask", "a,bC", R"({"a_mask":"a,b_c"})"},
                 {"wrapped_string", "null", R"({"wrapped_string":"null"})"},
                 {"wrapped_int32", "3", R"({"wrapped_int32":3})"},
                 {"a_struct", R"({"a":1})", R"({"a_struct":{"a":1}})"},
                 {"doubles", "1", R"({"doubles":[1]})"},
                 {"unpacked", "1", R"({"unpacked":[1]})"},
                 {"times", "1970-01-01", R"({"times":["1970-01-01T00:00:00Z"]})"}};
    for (auto &row : table) {
        auto r = ours().text_to_wire(type, row.field, row.text);
        ASSERT_TRUE(r.ok) << row.field << " " << row.text << " " << r.error.text;
        EXPECT_EQ(shown(r.out), shown(ours().to_wire(type, row.json).out)) << row.json;
    }
    EXPECT_FALSE(ours().text_to_wire(type, "an_int32", "1 ").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "an_int32", "").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "a_bool", "yes").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "a_color", "RED").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "a_string", "\xff").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "a_nested", "{}").ok);
    EXPECT_FALSE(ours().text_to_wire(type, "a_struct", "{} x").ok);
}

} // namespace
