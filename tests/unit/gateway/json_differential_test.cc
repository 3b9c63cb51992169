// The codec against protobuf's C++ JSON: random messages both ways, and a table
// of where the two differ on purpose.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "unit/gateway/codec.h"

namespace
{

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

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

class Random
{
  public:
    explicit Random(unsigned seed) : gen_(seed), with_any_(seed % 2 == 1)
    {
    }
    uint64_t bits()
    {
        uint64_t v = gen_();
        switch (gen_() % 4) {
        case 0:
            return v % 100;
        case 1:
            return v >> (gen_() % 64);
        case 2:
            return ~static_cast<uint64_t>(0) - v % 3;
        default:
            return v;
        }
    }
    bool chance(unsigned one_in)
    {
        return gen_() % one_in == 0;
    }
    double real()
    {
        uint64_t v = gen_();
        double d;
        switch (gen_() % 5) {
        case 0:
            return static_cast<double>(static_cast<int64_t>(v % 2000)) - 1000;
        case 1:
            return static_cast<double>(v % 1000000) / 1000;
        case 2:
            return chance(2) ? INFINITY : NAN;
        default:
            memcpy(&d, &v, sizeof(d));
            return d;
        }
    }
    std::string text()
    {
        static const char *const parts[] = {"a",    "é",   "\xf0\x9f\x98\x80", "\"",   "\\", "\n",
                                            "<b>",  "x y", "0123456789",       "\x7f", "/",  "\t",
                                            "ab_cd"};
        std::string s;
        for (uint64_t n = gen_() % 6; n > 0; n--)
            s += parts[gen_() % (sizeof(parts) / sizeof(parts[0]))];
        return s;
    }
    std::string bytes()
    {
        std::string s;
        for (uint64_t n = gen_() % 7; n > 0; n--)
            s += static_cast<char>(gen_());
        return s;
    }

    void fill(Message *m, int depth)
    {
        const auto *d = m->GetDescriptor();
        const std::string &name = d->full_name();
        if (name == "google.protobuf.Timestamp")
            return set_seconds(m, -62135596800, 253402300799, false);
        if (name == "google.protobuf.Duration")
            return set_seconds(m, -315575999999, 315575999999, true);
        if (name == "google.protobuf.Value")
            return fill_value(m, depth);
        if (name == "google.protobuf.FieldMask") {
            for (uint64_t n = gen_() % 3; n > 0; n--)
                m->GetReflection()->AddString(m, d->field(0), chance(2) ? "foo_bar.x" : "a");
            return;
        }
        if (name == "google.protobuf.Any")
            return fill_any(m, depth);
        for (int i = 0; i < d->field_count(); i++)
            if (depth < 4 && chance(name == type ? 6 : 2))
                fill_field(m, d->field(i), depth);
    }

  private:
    void set_seconds(Message *m, int64_t low, int64_t high, bool is_signed)
    {
        const auto *r = m->GetReflection();
        const auto *d = m->GetDescriptor();
        int64_t span = high - low;
        int64_t seconds = low + static_cast<int64_t>(gen_() % static_cast<uint64_t>(span));
        static const int32_t steps[] = {0, 1, 1000, 1000000, 250000000};
        int32_t nanos = steps[gen_() % 5] * static_cast<int32_t>(gen_() % 4);
        if (is_signed && seconds < 0)
            nanos = -nanos;
        r->SetInt64(m, d->field(0), seconds);
        r->SetInt32(m, d->field(1), nanos);
    }
    void fill_value(Message *m, int depth)
    {
        const auto *r = m->GetReflection();
        const auto *d = m->GetDescriptor();
        double v = real();
        switch (gen_() % (depth < 4 ? 6 : 4)) {
        case 0:
            return r->SetEnumValue(m, d->field(0), 0);
        case 1:
            return r->SetDouble(m, d->field(1), std::isfinite(v) ? v : 1);
        case 2:
            return r->SetString(m, d->field(2), text());
        case 3:
            return r->SetBool(m, d->field(3), chance(2));
        case 4:
            return fill(r->MutableMessage(m, d->field(4)), depth + 1);
        default:
            return fill(r->MutableMessage(m, d->field(5)), depth + 1);
        }
    }
    void fill_any(Message *m, int depth)
    {
        // Not a ListValue, which theirs does not read in an Any, nor a FieldMask: see
        // `differences`.
        static const char *const names[] = {
            "luna.testing.AllTypes.Nested", "google.protobuf.Duration",
            "google.protobuf.Int64Value",   "google.protobuf.Value",
            "google.protobuf.Timestamp",    "google.protobuf.Struct",
            "google.protobuf.Empty",        "google.protobuf.FloatValue",
            "google.protobuf.Any",          "google.protobuf.UInt64Value",
            "google.protobuf.BytesValue",   "google.protobuf.BoolValue",
            "google.protobuf.DoubleValue",  "google.protobuf.StringValue",
            "luna.testing.AllTypes",
        };
        if (!with_any_)
            return;
        const char *name = names[gen_() % (depth < 4 ? std::size(names) : 3)];
        auto inner = theirs().make(name);
        fill(inner.get(), depth + 1);
        const auto *d = m->GetDescriptor();
        m->GetReflection()->SetString(m, d->field(0), std::string("type.googleapis.com/") + name);
        m->GetReflection()->SetString(m, d->field(1), inner->SerializeAsString());
    }
    void fill_field(Message *m, const FieldDescriptor *f, int depth)
    {
        if (!f->is_repeated())
            return fill_one(m, f, depth);
        uint64_t n = gen_() % 4;
        if (f->is_map())
            return fill_map(m, f, depth, static_cast<int>(n));
        for (; n > 0; n--)
            fill_one(m, f, depth);
    }
    // Entries with different keys.
    void fill_map(Message *m, const FieldDescriptor *f, int depth, int n)
    {
        const auto *key = f->message_type()->map_key();
        const auto *value = f->message_type()->map_value();
        for (int i = 0; i < n; i++) {
            auto *entry = m->GetReflection()->AddMessage(m, f);
            const auto *r = entry->GetReflection();
            int64_t number = i * (i % 2 ? 104729 : 7);
            switch (key->cpp_type()) {
            case FieldDescriptor::CPPTYPE_INT32:
                r->SetInt32(entry, key, static_cast<int32_t>(-number));
                break;
            case FieldDescriptor::CPPTYPE_INT64:
                r->SetInt64(entry, key, -number * 1000000007);
                break;
            case FieldDescriptor::CPPTYPE_UINT32:
                r->SetUInt32(entry, key, static_cast<uint32_t>(number));
                break;
            case FieldDescriptor::CPPTYPE_UINT64:
                r->SetUInt64(entry, key, static_cast<uint64_t>(number) << 40);
                break;
            case FieldDescriptor::CPPTYPE_BOOL:
                r->SetBool(entry, key, i == 0);
                n = 2;
                break;
            default:
                r->SetString(entry, key, text() + std::to_string(i));
            }
            fill_one(entry, value, depth);
        }
    }
    void fill_one(Message *m, const FieldDescriptor *f, int depth)
    {
        const auto *r = m->GetReflection();
        bool many = f->is_repeated();
        switch (f->cpp_type()) {
#define PUT(Type, value) many ? r->Add##Type(m, f, value) : r->Set##Type(m, f, value)
        case FieldDescriptor::CPPTYPE_INT32:
            return PUT(Int32, static_cast<int32_t>(bits()));
        case FieldDescriptor::CPPTYPE_INT64:
            return PUT(Int64, static_cast<int64_t>(bits()));
        case FieldDescriptor::CPPTYPE_UINT32:
            return PUT(UInt32, static_cast<uint32_t>(bits()));
        case FieldDescriptor::CPPTYPE_UINT64:
            return PUT(UInt64, bits());
        case FieldDescriptor::CPPTYPE_DOUBLE:
            return PUT(Double, real());
        case FieldDescriptor::CPPTYPE_FLOAT:
            return PUT(Float, chance(2)
                                  ? static_cast<float>(static_cast<int32_t>(bits()) % 1000) / 8
                                  : 1.5e-30f);
        case FieldDescriptor::CPPTYPE_BOOL:
            return PUT(Bool, chance(2));
        case FieldDescriptor::CPPTYPE_ENUM: {
            const auto *e = f->enum_type();
            int v = e->value(static_cast<int>(gen_() % static_cast<uint64_t>(e->value_count())))
                        ->number();
            return PUT(EnumValue, chance(5) && e->name() == "Color" ? 77 : v);
        }
        case FieldDescriptor::CPPTYPE_STRING:
            return PUT(String, f->type() == FieldDescriptor::TYPE_STRING ? text() : bytes());
        case FieldDescriptor::CPPTYPE_MESSAGE:
            return fill(many ? r->AddMessage(m, f) : r->MutableMessage(m, f), depth + 1);
#undef PUT
        }
    }

    std::mt19937_64 gen_;
    bool with_any_;
};

// One spelling of the bytes.
std::string
held(const std::string &wire)
{
    std::string out;
    EXPECT_TRUE(theirs().canonical(type, wire, &out));
    return out;
}

// The mapping says that NullValue is null in JSON; theirs prints an absent one
// by its name.
void
null_default_as_null(std::string *json)
{
    const std::string by_name = R"("aNull":"NULL_VALUE")", as_null = R"("aNull":null)";
    for (size_t at = 0; (at = json->find(by_name, at)) != std::string::npos;)
        json->replace(at, by_name.size(), as_null);
}

TEST(JsonDifferential, RandomMessagesReadAndWriteTheSame)
{
    struct json_style style = {};
    style.names = JSON_NAMES_CAMEL;
    style.int64_strings = true;
    for (unsigned seed = 0; seed < 1000; seed++) {
        Random random(seed);
        auto m = theirs().make(type);
        random.fill(m.get(), 0);
        std::string wire = m->SerializeAsString();

        auto text = ours().to_json(type, wire, style);
        ASSERT_TRUE(text.ok) << "seed " << seed << ": " << text.error.text;
        std::string expected;
        ASSERT_TRUE(theirs().to_json(type, wire, &expected)) << "seed " << seed;
        null_default_as_null(&expected);

        // What we write reads the same in their hands.
        std::string theirs_read;
        ASSERT_TRUE(theirs().to_wire(type, text.out, &theirs_read))
            << "seed " << seed << theirs().last_error << text.out;
        EXPECT_TRUE(held(theirs_read) == held(wire)) << "seed " << seed << " " << text.out;
        // The two texts are the same tree.
        std::string our_tree, their_tree;
        ASSERT_TRUE(theirs().tree(text.out, &our_tree)) << text.out;
        ASSERT_TRUE(theirs().tree(expected, &their_tree)) << expected;
        if (seed % 2 == 0) { // inside an Any they leave out what has no presence
            EXPECT_TRUE(our_tree == their_tree) << "seed " << seed << "\n"
                                                << text.out << "\n"
                                                << expected;
        }
        // What they write reads the same in ours, and so does what we write by
        // default.
        for (const std::string &json : {expected, ours().to_json(type, wire).out}) {
            auto back = ours().to_wire(type, json);
            ASSERT_TRUE(back.ok) << "seed " << seed << " " << back.error.path << " "
                                 << back.error.text << " in " << json;
            EXPECT_TRUE(held(back.out) == held(wire)) << "seed " << seed << " " << json;
        }
    }
}

/*
 * Where the two part on purpose. In what is written:
 *   - 64-bit integers are numbers while 53 bits hold them exactly, texts beyond (CONTRACT);
 *   - names are the .proto file's unless the service says otherwise;
 *   - fields without presence are written inside an Any, too; an absent NullValue is null;
 *   - an Any of a type that nobody knows has its bytes as base64 instead of failing the whole.
 * In what both read: 9007199254740993.0 is exactly that for an int64 (theirs goes through a
 * double), -0 keeps its sign in a double, and a path of a mask that begins with a capital is the
 * field of that name. In what is read at all:
 */
struct Difference {
    const char *json;
    bool ours;   // is read
    bool theirs; // is read
    const char *why;
};

const Difference differences[] = {
    {R"({"doubles":[1,]})", false, true, "RFC 8259 knows no trailing comma"},
    {R"({"a_string":'x'})", false, true, "RFC 8259 knows no single quotes"},
    {R"({a_string:"x"})", false, true, "RFC 8259 wants names in quotes"},
    {R"({"a_string":"x","a_string":"y"})", false, true, "a name given twice hides an error"},
    {R"({"aString":"x","a_string":"y"})", false, true, "the same in two spellings"},
    {R"({"a_bool":"true"})", false, true, "a string is not a truth value"},
    {R"({"doubles":[1,null]})", false, true, "null is no element"},
    {R"({"string_string":{"a":null}})", false, true, "null is no value of a map"},
    {R"({"some_bytes":"-_-_"})", true, true, "both alphabets are read"},
    {R"({"a_time":"2018-02-25"})", true, false, "a bare date is its midnight UTC"},
    {R"({"a_time":1519571045})", true, false, "Unix seconds are read"},
    {R"({"a_time":"2018-02-25 15:04:05Z"})", true, false, "RFC 3339 allows a space for the T"},
    {R"({"an_int32":"1e3"})", true, false, "what is an integer as a number is one in quotes"},
    {R"({"an_int32":"1.0"})", true, false, "the same"},
    {R"({"an_int32":"01"})", false, true, "a number in quotes is a number of JSON"},
    {R"({"an_int32":"+1"})", false, true, "the same"},
    {R"({"a_double":"0x1p3"})", false, true, "the same"},
    {R"({"a_double":1.})", false, true, "RFC 8259 wants a digit behind the point"},
    {R"({"a_string":"\x"})", false, true, "RFC 8259 knows no such escape"},
    {"{\"a_string\":\"\n\"}", false, true, "RFC 8259 wants control characters escaped"},
    {R"({"some_bytes":"+-/_"})", true, false, "both alphabets, mixed"},
    {R"({"some_bytes":"AR=="})", true, false, "bits behind the last byte are not looked at"},
    {R"({"a_color":"1"})", false, true, "an enum is a name or a number, not a number in quotes"},
    {R"({"nesteds":[null]})", false, true, "null is no element"},
    {R"({"doubles":[[1]]})", false, true, "a list is not flattened"},
    {R"({"bool_bytes":{"1":"AQ=="}})", false, true, "a key of truth is true or false"},
    {R"({"bool_bytes":{"True":"AQ=="}})", false, true, "the same"},
    {R"({"a_time":"2018-02-25t15:04:05z"})", true, false, "RFC 3339 allows small letters"},
    {R"({"a_time":"0001-01-01T00:00:00+01:00"})", false, true, "that is before the year 1"},
    {R"({"a_time":"2018-2-25T15:04:05Z"})", false, true, "RFC 3339 wants two digits"},
    {R"({"a_time":{"seconds":1}})", false, true, "a time is a text, not its message"},
    {R"({"a_duration":"1.s"})", false, true, "a digit is wanted behind the point"},
    {R"({"a_duration":"+1s"})", false, true, "the mapping knows no plus"},
    {R"({"a_duration":" 1s"})", false, true, "nor spaces"},
    {R"({"a_mask":"a,,b"})", false, true, "an empty path is none"},
    {R"({"a_mask":"a, b"})", false, true, "nor is one with a space"},
    {R"({"a_list":{}})", false, true, "an object is no list"},
    {R"({"a_null":1})", false, true, "there is no such value of NullValue"},
    {R"({"wrapped_int64":{"value":1}})", false, true, "a wrapper is its value, not its message"},
    {R"({"a_bool":true,})", false, true, "RFC 8259 knows no trailing comma"},
    {R"({"an_any":{"@type":"/google.protobuf.Duration","value":"1s"}})", true, false,
     "the name behind the last / counts"},
    {R"({"an_any":{"@type":"example.com/x/google.protobuf.Duration","value":"1s"}})", true, false,
     "the same"},
    {R"({"an_any":{"@type":"type.googleapis.com/google.protobuf.ListValue","value":[1]}})", true,
     false, "a list in an Any is read"},
    {R"({"an_any":{"@type":"type.googleapis.com/google.protobuf.FieldMask","paths":[],"value":"a"}})",
     false, false, "theirs writes the mask of an Any so, and nobody reads it"},
    {R"({"a_mask":"a_b"})", true, true, "masks are read in both spellings"},
    {R"({"doubles":1})", true, true, "a single value is a list of one"},
};

TEST(JsonDifferential, DiffersOnPurposeOnlyHere)
{
    for (const auto &row : differences) {
        std::string wire;
        EXPECT_EQ(ours().to_wire(type, row.json).ok, row.ours) << row.json << ": " << row.why;
        EXPECT_EQ(theirs().to_wire(type, row.json, &wire), row.theirs)
            << row.json << ": " << row.why;
    }
}

// The edges of each type.
const char *const edges[] = {
    R"({"an_int32":1e3})",
    R"({"an_int32":1.0})",
    R"({"an_int32":"1"})",
    R"({"an_int32":2147483647})",
    R"({"an_int32":2147483648})",
    R"({"an_int32":1.5})",
    R"({"an_int32":""})",
    R"({"an_int32":true})",
    R"({"an_int32":01})",
    R"({"an_int32":+1})",
    R"({"a_uint32":-1})",
    R"({"a_uint64":18446744073709551615})",
    R"({"a_uint64":18446744073709551616})",
    R"({"an_int64":"9223372036854775807"})",
    R"({"an_int64":9223372036854775808})",
    R"({"an_int64":-9223372036854775808})",
    R"({"an_int64":1e18})",
    R"({"a_float":1e39})",
    R"({"a_float":3.4e38})",
    R"({"a_double":1e400})",
    R"({"a_double":"1.5"})",
    R"({"a_double":"Infinity"})",
    R"({"a_double":"-Infinity"})",
    R"({"a_double":"NaN"})",
    R"({"a_double":NaN})",
    R"({"a_double":"nan"})",
    R"({"a_double":"inf"})",
    R"({"a_double":""})",
    R"({"a_double":.5})",
    R"({"a_double":1e})",
    R"({"a_double":-})",
    R"({"a_bool":1})",
    R"({"a_bool":null})",
    R"({"a_bool":TRUE})",
    R"({"a_string":1})",
    R"({"a_string":null})",
    R"({"a_string":"\ud83d\ude00"})",
    R"({"a_string":"\ud800"})",
    R"({"a_string":"\u0000"})",
    "{\"a_string\":\"\xff\"}",
    R"({"some_bytes":"AQ"})",
    R"({"some_bytes":"AQ=="})",
    R"({"some_bytes":"A"})",
    R"({"some_bytes":"=AQI"})",
    R"({"a_color":"COLOR_RED"})",
    R"({"a_color":"color_red"})",
    R"({"a_color":99})",
    R"({"a_color":"NOPE"})",
    R"({"a_color":1.5})",
    R"({"a_color":2147483648})",
    R"({"a_nested":null})",
    R"({"a_nested":[]})",
    R"({"a_nested":{"b":1}})",
    R"({"nesteds":null})",
    R"({"strings":"x"})",
    R"({"string_string":[]})",
    R"({"int32_int32":{"x":1}})",
    R"({"int32_int32":{"":1}})",
    R"({"uint64_bool":{"-1":true}})",
    R"({"a_time":"2018-02-25T15:04:60Z"})",
    R"({"a_time":"2018-02-29T00:00:00Z"})",
    R"({"a_time":"2018-02-25T15:04:05+01:30"})",
    R"({"a_time":"2018-02-25T15:04:05"})",
    R"({"a_time":"10000-01-01T00:00:00Z"})",
    R"({"a_time":"9999-12-31T23:59:59.999999999Z"})",
    R"({"a_time":"2018-02-25T15:04:05.1234567891Z"})",
    R"({"a_time":null})",
    R"({"a_duration":"-1.5s"})",
    R"({"a_duration":"315576000000s"})",
    R"({"a_duration":"315576000001s"})",
    R"({"a_duration":"1"})",
    R"({"a_duration":"1e3s"})",
    R"({"a_mask":"a,bC"})",
    R"({"a_mask":""})",
    R"({"a_mask":["a"]})",
    R"({"a_struct":{"a":[1,null]}})",
    R"({"a_value":null})",
    R"({"a_value":{"a":null}})",
    R"({"a_list":[null]})",
    R"({"a_null":null})",
    R"({"a_null":"NULL_VALUE"})",
    R"({"choice_null":null})",
    R"({"choice_value":null})",
    R"({"choice_int32":null})",
    R"({"choice_int32":1,"choice_string":"x"})",
    R"({"choice_int32":1,"choice_string":null})",
    R"({"an_any":{}})",
    R"({"an_any":{"@type":"nope"}})",
    R"({"an_any":{"a":1}})",
    R"({"an_any":{"@type":"type.googleapis.com/nope.Nope"}})",
    R"({"an_any":{"value":"1s","@type":"type.googleapis.com/google.protobuf.Duration"}})",
    R"({"an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested","a":1}})",
    R"({"an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested","x":1}})",
    R"({"an_any":{"@type":"type.googleapis.com/luna.testing.AllTypes.Nested",
        "@type":"type.googleapis.com/luna.testing.AllTypes.Nested"}})",
    R"({"an_empty":{}})",
    R"({"an_empty":{"a":1}})",
    R"({"wrapped_int64":null})",
    R"({"wrapped_int64":"1"})",
    R"({"wrapped_double":"NaN"})",
    R"({"maybe_int32":0})",
    R"({"nope":1})",
    R"({"":1})",
    "",
    "{",
    "null",
    "[]",
    "1",
    "{}x",
    "{} {}",
    "{}//",
    "{,}",
    R"({"a_bool" true})",
    "\xef\xbb\xbf{}",
    R"({"FieldName8":1})",
    R"({"custom":1})",
    R"({"its own \"name\"":1})",
    R"({"\u0061_bool":true})",
};

// What both read, they read the same; and one reads what the other does.
TEST(JsonDifferential, EdgesAreReadTheSame)
{
    for (const char *json : edges) {
        std::string wire;
        auto mine = ours().to_wire(type, json);
        bool read = theirs().to_wire(type, json, &wire);
        EXPECT_EQ(mine.ok, read) << json << " " << mine.error.text;
        if (mine.ok && read) {
            EXPECT_TRUE(held(mine.out) == held(wire)) << json;
        }
    }
}

// One byte of a good text changed: what both read must be the same message.
TEST(JsonDifferential, DamagedTextsAreNeverReadDifferently)
{
    const std::string good =
        R"({"aDouble":-1.25e2,"anInt32":7,"aString":"x\u00e9y","someBytes":"AQI=","doubles":[1,2.5],)"
        R"("aNested":{"a":3},"int32Int32":{"1":2},"aTime":"2018-02-25T15:04:05.25Z","aDuration":"1.5s",)"
        R"("aColor":"COLOR_RED","aValue":{"k":[true,null]},"wrappedInt64":"12","choiceString":"z"})";
    const char bytes[] = "\"\\{}[]:,019.eE+-tfnu/ \x01\x7f\xc3";
    size_t both = 0;
    for (size_t i = 0; i < good.size(); i++) {
        for (char c : bytes) {
            std::string json = good;
            json[i] = c;
            auto mine = ours().to_wire(type, json);
            std::string other;
            if (!theirs().to_wire(type, json, &other) || !mine.ok)
                continue;
            both++;
            EXPECT_TRUE(held(mine.out) == held(other)) << json;
        }
    }
    EXPECT_GT(both, 100u);
}

} // namespace
