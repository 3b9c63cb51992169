/*
 * tests/contract/api.lock lists what programs out there rely on. A line that vanishes or changes
 * breaks them, and this test. New lines are added with
 *
 *     LUNA_UPDATE_API_LOCK=1 ctest -R contract_test
 *
 * which never takes one away.
 */
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "contract/descriptors.h"

namespace
{

std::string
type_text(const pb::FieldDescriptor *f)
{
    std::string text = f->is_repeated() ? "repeated " : "";
    if (f->message_type())
        text += f->message_type()->full_name();
    else if (f->enum_type())
        text += f->enum_type()->full_name();
    else
        text += f->type_name();
    if (f->real_containing_oneof())
        text += " in " + f->real_containing_oneof()->name();
    return text;
}

std::string
method_text(const pb::MethodDescriptor *m)
{
    return m->full_name() + "(" + (m->client_streaming() ? "stream " : "") +
           m->input_type()->full_name() + ") returns (" + (m->server_streaming() ? "stream " : "") +
           m->output_type()->full_name() + ")";
}

std::set<std::string>
current()
{
    std::set<std::string> lines;
    for (auto *m : luna_messages())
        for (int i = 0; i < m->field_count(); i++)
            lines.insert("field " + m->field(i)->full_name() + " = " +
                         std::to_string(m->field(i)->number()) + " " + type_text(m->field(i)) +
                         " json " + m->field(i)->json_name());
    for (auto *e : luna_enums())
        for (int i = 0; i < e->value_count(); i++)
            lines.insert("value " + e->full_name() + " " + e->value(i)->name() + " = " +
                         std::to_string(e->value(i)->number()));
    for (auto *m : luna_methods()) {
        lines.insert("method " + method_text(m));
        for (const Binding &b : bindings(m))
            lines.insert("path " + b.verb + " " + b.path + " " + m->full_name() + " body '" +
                         b.body + "'");
    }
    return lines;
}

std::set<std::string>
locked()
{
    std::set<std::string> lines;
    std::ifstream in(API_LOCK);
    for (std::string line; std::getline(in, line);)
        if (!line.empty() && line[0] != '#')
            lines.insert(line);
    return lines;
}

void
write(const std::set<std::string> &lines)
{
    std::ofstream out(API_LOCK);
    out << "# Every field, enum value, method and path of luna.v1. Lines are only added:\n"
           "# LUNA_UPDATE_API_LOCK=1 ctest -R contract_test\n";
    for (const std::string &line : lines)
        out << line << "\n";
    ASSERT_TRUE(out.good()) << API_LOCK;
}

TEST(ApiLock, NothingVanishesOrChanges)
{
    std::set<std::string> now = current();
    for (const std::string &line : locked())
        EXPECT_EQ(now.count(line), 1u) << "gone or changed: " << line;
}

TEST(ApiLock, NewLinesAreAdded)
{
    std::set<std::string> old = locked(), all = current();
    all.insert(old.begin(), old.end());
    if (getenv("LUNA_UPDATE_API_LOCK"))
        write(all);
    else
        for (const std::string &line : all)
            EXPECT_EQ(old.count(line), 1u)
                << "not in api.lock (LUNA_UPDATE_API_LOCK=1 ctest -R contract_test adds it): "
                << line;
}

} // namespace
