// Texts are the same however their bytes arrive.
extern "C" {
#include "gateway/splitter.h"
}

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace
{

struct Outcome {
    std::vector<std::string> texts;
    std::string what; // "", the complaint, or "too large"
    unsigned long long lines = 0;
    bool operator==(const Outcome &o) const
    {
        return texts == o.texts && what == o.what && lines == o.lines;
    }
};

Outcome
split(enum splitter_form form, const std::string &body, size_t step, size_t max = 1000)
{
    struct splitter s;
    Outcome out;
    splitter_init(&s, form, max);
    struct str text = STR("");
    enum splitter_result r = SPLITTER_MORE;
    for (size_t at = 0; at < body.size() && (r == SPLITTER_MORE || r == SPLITTER_TEXT);
         at += step) {
        std::string piece = body.substr(at, step); // of its own: over-reads are seen
        struct str rest = {piece.data(), piece.size()};
        while ((r = splitter_next(&s, &rest, &text)) == SPLITTER_TEXT)
            out.texts.emplace_back(text.p, text.n);
    }
    if (r == SPLITTER_MORE && (r = splitter_end(&s, &text)) == SPLITTER_TEXT)
        out.texts.emplace_back(text.p, text.n);
    out.what = r == SPLITTER_BAD ? s.what : r == SPLITTER_TOO_LARGE ? "too large" : "";
    out.lines = s.lines;
    splitter_fini(&s);
    return out;
}

struct Row {
    enum splitter_form form;
    std::string body;
    std::vector<std::string> texts;
    std::string what;
};

const std::vector<Row> &
table()
{
    using V = std::vector<std::string>;
    static const std::vector<Row> rows = {
        {SPLITTER_LINES, "", V{}, ""},
        {SPLITTER_LINES, "\n \r\n\t\n", V{}, ""},
        {SPLITTER_LINES, "{}\n{\"a\":1}", V{"{}", "{\"a\":1}"}, ""},
        {SPLITTER_LINES, "[1,2]\n\n 3 \r\n", V{"[1,2]", "3"}, ""},
        {SPLITTER_VALUES, "", V{}, ""},
        {SPLITTER_VALUES, " \n[ ]\n", V{}, ""},
        {SPLITTER_VALUES, "[1]", V{"1"}, ""},
        {SPLITTER_VALUES, "[ 1 , \"a,]\\\"\" , {\"b\":[1,{}]} ]",
         V{"1", "\"a,]\\\"\"", "{\"b\":[1,{}]}"}, ""},
        {SPLITTER_VALUES, "{\"a\":\n1}{\"}\":2} \"x\\\\\" 7 true",
         V{"{\"a\":\n1}", "{\"}\":2}", "\"x\\\\\"", "7", "true"}, ""},
        {SPLITTER_VALUES, "{\"a\":1", V{"{\"a\":1"}, ""},
        {SPLITTER_VALUES, "[1,]", V{"1"}, "an element is missing"},
        {SPLITTER_VALUES, "[,1]", V{}, "an element is missing"},
        {SPLITTER_VALUES, "[1,,2]", V{"1"}, "an element is missing"},
        {SPLITTER_VALUES, "[1", V{}, "the array is not closed"},
        {SPLITTER_VALUES, "[", V{}, "the array is not closed"},
        {SPLITTER_VALUES, "[1]2", V{"1"}, "something follows the array"},
        {SPLITTER_VALUES, "[1}]", V{}, "a bracket closes what is not open"},
        {SPLITTER_VALUES, "}", V{}, "a bracket closes what is not open"},
        {SPLITTER_LINES, std::string(1001, 'x') + "\n", V{}, "too large"},
        {SPLITTER_LINES, "1\n" + std::string(2000, 'x'), V{"1"}, "too large"},
        {SPLITTER_VALUES, "[1,\"" + std::string(1001, 'x') + "\"]", V{"1"}, "too large"},
    };
    return rows;
}

TEST(Splitter, FindsTextsInBodies)
{
    for (auto &row : table())
        for (size_t step : {1, 2, 3, 7, 64, 1 << 20}) {
            Outcome o = split(row.form, row.body, step);
            EXPECT_EQ(o.texts, row.texts) << row.body << " by " << step;
            EXPECT_EQ(o.what, row.what) << row.body << " by " << step;
        }
}

TEST(Splitter, CountsLines)
{
    EXPECT_EQ(split(SPLITTER_LINES, "1\n2\n3", 2).lines, 4u) << "the next one";
    EXPECT_EQ(split(SPLITTER_VALUES, "[\n1,\n\n2\n]", 2).lines, 5u);
}

TEST(Splitter, SeesTheSameHoweverBytesArrive)
{
    unsigned seed = 1;
    const std::string alphabet = "[]{},:\"\\ \n1a";
    for (int i = 0; i < 20000; i++) {
        std::string body;
        for (unsigned n = 0; n < 3 + static_cast<unsigned>(i) % 20; n++)
            body += alphabet[(seed = seed * 1103515245 + 12345) / 65536 % alphabet.size()];
        auto form = i % 2 ? SPLITTER_LINES : SPLITTER_VALUES;
        Outcome whole = split(form, body, body.size());
        for (size_t step : {1, 2, 5})
            ASSERT_TRUE(split(form, body, step) == whole) << body << " by " << step;
    }
}

} // namespace
