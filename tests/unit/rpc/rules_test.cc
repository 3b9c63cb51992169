/* Every rule of options.proto, kept and broken, as the generated tables say it. */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

extern "C" {
#include "rpc/rules.h"
#include "unit/rpc/rules_probe.h"
}

namespace
{

class rules : public testing::Test
{
  protected:
    void SetUp() override
    {
        arena_init(&arena_, 0);
        free_ = LUNA__TESTING__FREE__INIT;
        good(&m);
    }

    void TearDown() override
    {
        arena_fini(&arena_);
    }

    /* A message that keeps every rule. */
    void good(Luna__Testing__Ruled *r)
    {
        *r = LUNA__TESTING__RULED__INIT;
        r->name = text("n\xc3\xa4me!"); /* five characters */
        r->id = 1;
        r->words = words_;
        r->n_words = 1;
        r->free = &free_;
    }

    char *text(const char *s)
    {
        return arena_strdup(&arena_, s);
    }

    /* "field text; ..." of all violations. */
    std::string check()
    {
        struct ctx ctx;
        ctx_init(&ctx, &arena_, nullptr);
        const enum status st = rules_check(&ctx, rules_probe(), &m.base);
        std::string all;
        for (const struct field_violation *v = ctx.error.fields; v; v = v->next)
            all += (all.empty() ? "" : "; ") + std::string(v->field) + " " + v->text;
        EXPECT_EQ(st, all.empty() ? OK : INVALID_ARGUMENT);
        ctx_fini(&ctx);
        return all;
    }

    struct arena arena_;
    Luna__Testing__Ruled m;
    Luna__Testing__Free free_;
    char word_[4] = "abc";
    char *words_[4] = {word_, word_, word_, word_};
};

TEST_F(rules, a_message_without_rules_has_no_table)
{
    EXPECT_EQ(rules_probe_free(), nullptr);
    EXPECT_EQ(check(), "");
}

TEST_F(rules, texts)
{
    m.name = text("");
    EXPECT_EQ(check(), "name must have 1 to 5 characters");
    m.name = text("sechs!");
    EXPECT_EQ(check(), "name must have 1 to 5 characters");
    m.name = text("x");
    m.code = text("AB_C");
    EXPECT_EQ(check(), "");
    m.code = text("A");
    EXPECT_EQ(check(), "code must have at least 2 characters");
    m.code = text("AD");
    EXPECT_EQ(check(), "code must consist of A-C_");
    m.code = text("A\xc3\xa4");
    EXPECT_EQ(check(), "code must consist of A-C_");
    m.code = text("");
    m.raw.data = reinterpret_cast<uint8_t *>(word_);
    m.raw.len = 2;
    EXPECT_EQ(check(), "");
    m.raw.len = 3;
    EXPECT_EQ(check(), "raw must have at most 2 bytes");
}

TEST_F(rules, numbers)
{
    m.id = 0;
    EXPECT_EQ(check(), "id must be at least 1");
    m.id = INT64_MAX;
    for (int32_t size : {0, 10, 20}) {
        m.size = size;
        EXPECT_EQ(check(), "") << size;
    }
    for (int32_t size : {-1, 9, 21}) {
        m.size = size;
        EXPECT_EQ(check(), "size must be 10 to 20, or 0") << size;
    }
    m.size = 0;
    m.x = 2.5;
    EXPECT_EQ(check(), "");
    m.x = 2.51;
    EXPECT_EQ(check(), "x must be at most 2.5");
    m.x = NAN;
    EXPECT_EQ(check(), "x is not finite");
    m.x = -INFINITY;
    EXPECT_EQ(check(), "x is not finite");
    m.x = 0;
    m.maybe_presence_case = LUNA__TESTING__RULED__MAYBE_PRESENCE_MAYBE;
    EXPECT_EQ(check(), "maybe must be at least 5") << "present, and zero";
    m.maybe = 5;
    EXPECT_EQ(check(), "");
}

TEST_F(rules, lists)
{
    double xs[] = {1, NAN, 3, INFINITY};
    m.xs = xs;
    m.n_xs = 3;
    EXPECT_EQ(check(), "xs[1] is not finite");
    m.n_xs = 4;
    EXPECT_EQ(check(), "xs must have at most 3 items");
    m.n_xs = 1;
    m.n_words = 0;
    EXPECT_EQ(check(), "words must have at least 1 item");
    words_[1] = text("");
    words_[2] = text("abcd");
    words_[3] = text("aB");
    m.n_words = 4;
    EXPECT_EQ(check(),
              "words[1] must have 1 to 3 characters; words[2] must have 1 to 3 characters; "
              "words[3] must consist of a-z");
    m.n_words = 1;
    Luna__Testing__Colour colours[] = {LUNA__TESTING__COLOUR__COLOUR_RED,
                                       static_cast<Luna__Testing__Colour>(7)};
    m.colours = colours;
    m.n_colours = 2;
    m.colour = static_cast<Luna__Testing__Colour>(-1);
    EXPECT_EQ(check(), "colour is not known; colours[1] is not known");
}

TEST_F(rules, messages_inside_have_paths)
{
    Luna__Testing__Ruled inner, deep;
    good(&inner);
    good(&deep);
    Luna__Testing__Ruled *many[] = {&deep, &inner};
    deep.id = 0;
    inner.name = text("");
    inner.many = many;
    inner.n_many = 1;
    m.inner = &inner;
    EXPECT_EQ(check(),
              "inner.name must have 1 to 5 characters; inner.many[0].id must be at least 1");
    m.free = nullptr;
    m.inner = nullptr;
    EXPECT_EQ(check(), "free is required");
}

TEST_F(rules, times_and_durations)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Duration took = GOOGLE__PROTOBUF__DURATION__INIT;
    m.at = &at;
    m.took = &took;
    EXPECT_EQ(check(), "");
    at.seconds = INT64_C(253402300800);
    took.seconds = 1;
    took.nanos = -1;
    EXPECT_EQ(check(), "at is not a time between the years 1 and 9999; "
                       "took is not a duration of at most 10 000 years");
    at.seconds = 0;
    at.nanos = -1;
    took.seconds = -1;
    EXPECT_EQ(check(), "at is not a time between the years 1 and 9999");
}

TEST_F(rules, a_flood_of_violations_is_cut)
{
    std::vector<Luna__Testing__Ruled> bad(40);
    std::vector<Luna__Testing__Ruled *> many;
    for (auto &b : bad) {
        good(&b);
        b.id = b.size = -1;
        many.push_back(&b);
    }
    m.many = many.data();
    m.n_many = many.size();
    const std::string all = check();
    EXPECT_EQ(std::count(all.begin(), all.end(), ';'), 31);
}

} // namespace
