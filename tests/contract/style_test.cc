/* What a caller reads: comments everywhere, names as buf's STANDARD rules want them, REST paths. */
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "contract/descriptors.h"

namespace
{

template <typename T>
void
expect_comment(const T *d)
{
    pb::SourceLocation at;
    ASSERT_TRUE(d->GetSourceLocation(&at)) << d->full_name();
    std::string text = at.leading_comments + at.trailing_comments;
    auto letters = std::count_if(text.begin(), text.end(), [](char c) { return isalpha(c); });
    EXPECT_GE(letters, 5) << d->file()->name() << ": " << d->full_name() << " has no comment";
}

TEST(Comments, EverythingHasOne)
{
    ASSERT_FALSE(luna_files().empty());
    for (auto *file : luna_files())
        for (int i = 0; i < file->service_count(); i++)
            expect_comment(file->service(i));
    for (auto *m : luna_methods())
        expect_comment(m);
    for (auto *m : luna_messages()) {
        expect_comment(m);
        for (int i = 0; i < m->field_count(); i++)
            expect_comment(m->field(i));
    }
    for (auto *e : luna_enums()) {
        expect_comment(e);
        for (int i = 0; i < e->value_count(); i++)
            expect_comment(e->value(i));
    }
    for (auto *file : luna_files())
        for (int i = 0; i < file->extension_count(); i++)
            expect_comment(file->extension(i));
}

bool
matches(const std::string &s, const char *pattern)
{
    return std::regex_match(s, std::regex(pattern));
}

const char *const PASCAL = "[A-Z][A-Za-z0-9]*";
const char *const SNAKE = "[a-z][a-z0-9]*(_[a-z0-9]+)*";

/* "LikelihoodConvention" -> "LIKELIHOOD_CONVENTION" */
std::string
upper_snake(const std::string &s)
{
    std::string out;
    for (size_t i = 0; i < s.size(); i++) {
        bool word = i > 0 && isupper(s[i]) &&
                    (!isupper(s[i - 1]) || (i + 1 < s.size() && islower(s[i + 1])));
        if (word)
            out += '_';
        out += static_cast<char>(toupper(s[i]));
    }
    return out;
}

TEST(Names, FilesAndServices)
{
    for (auto *file : luna_files()) {
        EXPECT_TRUE(matches(file->name(), "luna/v1/[a-z][a-z0-9_]*\\.proto")) << file->name();
        EXPECT_EQ(file->syntax(), pb::FileDescriptor::SYNTAX_PROTO3) << file->name();
        EXPECT_EQ(file->public_dependency_count(), 0) << file->name();
        EXPECT_EQ(file->weak_dependency_count(), 0) << file->name();
        for (int i = 0; i < file->service_count(); i++)
            EXPECT_TRUE(matches(file->service(i)->name(), "[A-Z][A-Za-z0-9]*Service"))
                << file->service(i)->full_name();
    }
}

TEST(Names, EveryMethodHasItsOwnRequestAndResponse)
{
    std::set<std::string> used;
    for (auto *m : luna_methods()) {
        EXPECT_TRUE(matches(m->name(), PASCAL)) << m->full_name();
        std::string service = m->service()->name();
        for (auto *type : {m->input_type(), m->output_type()}) {
            std::string suffix = type == m->input_type() ? "Request" : "Response";
            EXPECT_TRUE(type->name() == m->name() + suffix ||
                        type->name() == service + m->name() + suffix)
                << m->full_name() << " uses " << type->full_name();
            EXPECT_TRUE(used.insert(type->full_name()).second)
                << type->full_name() << " is used twice";
        }
    }
}

TEST(Names, MessagesAndFields)
{
    for (auto *m : luna_messages()) {
        EXPECT_TRUE(matches(m->name(), PASCAL)) << m->full_name();
        for (int i = 0; i < m->field_count(); i++) {
            EXPECT_TRUE(matches(m->field(i)->name(), SNAKE)) << m->field(i)->full_name();
            EXPECT_FALSE(m->field(i)->is_required());
        }
        for (int i = 0; i < m->oneof_decl_count(); i++)
            EXPECT_TRUE(matches(m->oneof_decl(i)->name(), SNAKE)) << m->oneof_decl(i)->full_name();
        EXPECT_EQ(m->real_oneof_decl_count(), m->oneof_decl_count())
            << m->full_name() << ": protobuf-c refuses optional; use a oneof of one field";
    }
}

TEST(Names, Enums)
{
    for (auto *e : luna_enums()) {
        EXPECT_TRUE(matches(e->name(), PASCAL)) << e->full_name();
        EXPECT_FALSE(e->options().allow_alias()) << e->full_name();
        std::string prefix = upper_snake(e->name()) + "_";
        for (int i = 0; i < e->value_count(); i++) {
            const std::string &name = e->value(i)->name();
            EXPECT_EQ(name.rfind(prefix, 0), 0u) << name << " does not begin with " << prefix;
            EXPECT_TRUE(matches(name, "[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")) << name;
        }
        EXPECT_EQ(e->value(0)->number(), 0) << e->full_name();
        EXPECT_EQ(e->value(0)->name(), prefix + "UNSPECIFIED");
    }
}

const pb::FieldDescriptor *
find_path(const pb::Descriptor *m, const std::string &path)
{
    size_t dot = path.find('.');
    const pb::FieldDescriptor *f = m->FindFieldByName(path.substr(0, dot));
    if (!f || dot == std::string::npos)
        return f;
    return f->message_type() ? find_path(f->message_type(), path.substr(dot + 1)) : nullptr;
}

TEST(Rest, EveryMethodHasAPath)
{
    for (auto *m : luna_methods())
        EXPECT_FALSE(bindings(m).empty()) << m->full_name() << " has no google.api.http option";
}

TEST(Rest, PathsAreUnderApiAndTheirVariablesAreFields)
{
    std::regex variable("\\{([a-z0-9_.]+)(=[^}]*)?\\}");
    for (auto *m : luna_methods()) {
        for (const Binding &b : bindings(m)) {
            EXPECT_EQ(b.path.rfind("/api/v1/", 0), 0u) << m->full_name() << ": " << b.path;
            auto end = std::sregex_iterator();
            for (auto it = std::sregex_iterator(b.path.begin(), b.path.end(), variable); it != end;
                 ++it) {
                const pb::FieldDescriptor *f = find_path(m->input_type(), (*it)[1]);
                ASSERT_NE(f, nullptr) << m->full_name() << ": no field " << (*it)[1];
                EXPECT_FALSE(f->is_repeated()) << f->full_name();
                EXPECT_EQ(f->message_type(), nullptr) << f->full_name();
            }
            bool body_is_field = !b.body.empty() && b.body != "*";
            EXPECT_TRUE(!body_is_field || find_path(m->input_type(), b.body)) << m->full_name();
            EXPECT_FALSE((b.verb == "GET" || b.verb == "DELETE") && !b.body.empty())
                << m->full_name() << ": " << b.verb << " has a body";
        }
    }
}

TEST(Rest, NoTwoMethodsShareAPath)
{
    std::map<std::string, std::string> seen;
    std::regex variable("\\{[^}]*\\}");
    for (auto *m : luna_methods()) {
        for (const Binding &b : bindings(m)) {
            std::string key = b.verb + " " + std::regex_replace(b.path, variable, "{}");
            if (!key.empty() && key.back() == '/')
                key.pop_back();
            auto [it, fresh] = seen.emplace(key, m->full_name());
            EXPECT_TRUE(fresh || it->second == m->full_name())
                << key << " is of " << it->second << " and of " << m->full_name();
        }
    }
}

} // namespace
