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
        static const char *const names[] = {"luna.testing.AllTypes.Nested",
                                            "google.protobuf.Duration",
                                            "google.protobuf.Int64Value", "google.protobuf.Value"};
        if (!with_any_)
            return;
        const char *name = names[gen_() % 4];
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
