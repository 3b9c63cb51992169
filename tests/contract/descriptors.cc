#include "contract/descriptors.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/unknown_field_set.h>

#include "luna/descriptors.h"

const pb::DescriptorPool &
pool()
{
    static const pb::DescriptorPool *made = [] {
        pb::FileDescriptorSet set;
        if (!set.ParseFromArray(luna_descriptor_set_with_source,
                                static_cast<int>(luna_descriptor_set_with_source_size)))
            abort();
        auto *p = new pb::DescriptorPool();
        for (const auto &file : set.file())
            if (!p->BuildFile(file))
                abort();
        return p;
    }();
    return *made;
}

std::vector<const pb::FileDescriptor *>
luna_files()
{
    pb::FileDescriptorSet set;
    set.ParseFromArray(luna_descriptor_set, static_cast<int>(luna_descriptor_set_size));
    std::vector<const pb::FileDescriptor *> out;
    for (const auto &file : set.file())
        if (file.package() == "luna.v1")
            out.push_back(pool().FindFileByName(file.name()));
    return out;
}

std::vector<const pb::MethodDescriptor *>
luna_methods()
{
    std::vector<const pb::MethodDescriptor *> out;
    for (auto *file : luna_files())
        for (int s = 0; s < file->service_count(); s++)
            for (int m = 0; m < file->service(s)->method_count(); m++)
                out.push_back(file->service(s)->method(m));
    return out;
}

static void
add_message(const pb::Descriptor *m, std::vector<const pb::Descriptor *> *out)
{
    out->push_back(m);
    for (int i = 0; i < m->nested_type_count(); i++)
        add_message(m->nested_type(i), out);
}

std::vector<const pb::Descriptor *>
luna_messages()
{
    std::vector<const pb::Descriptor *> out;
    for (auto *file : luna_files())
        for (int i = 0; i < file->message_type_count(); i++)
            add_message(file->message_type(i), &out);
    return out;
}

std::vector<const pb::EnumDescriptor *>
luna_enums()
{
    std::vector<const pb::EnumDescriptor *> out;
    for (auto *file : luna_files())
        for (int i = 0; i < file->enum_type_count(); i++)
            out.push_back(file->enum_type(i));
    for (auto *m : luna_messages())
        for (int i = 0; i < m->enum_type_count(); i++)
            out.push_back(m->enum_type(i));
    return out;
}

std::unique_ptr<pb::Message>
method_option(const pb::MethodDescriptor *m, const std::string &extension)
{
    static pb::DynamicMessageFactory factory(&pool());
    const pb::FieldDescriptor *field = pool().FindExtensionByName(extension);
    if (!field)
        return nullptr;
    std::string bytes;
    bool found = false;
    const pb::MethodOptions &options = m->options();
    const pb::UnknownFieldSet &unknown = options.GetReflection()->GetUnknownFields(options);
    for (int i = 0; i < unknown.field_count(); i++) {
        if (unknown.field(i).number() != field->number())
            continue;
        bytes += unknown.field(i).length_delimited();
        found = true;
    }
    if (!found)
        return nullptr;
    std::unique_ptr<pb::Message> out(factory.GetPrototype(field->message_type())->New());
    return out->ParseFromString(bytes) ? std::move(out) : nullptr;
}

static const pb::FieldDescriptor *
field_of(const pb::Message &m, const std::string &name)
{
    const pb::FieldDescriptor *f = m.GetDescriptor()->FindFieldByName(name);
    if (!f)
        abort();
    return f;
}

std::string
get_string(const pb::Message &m, const std::string &field)
{
    return m.GetReflection()->GetString(m, field_of(m, field));
}

int64_t
get_int(const pb::Message &m, const std::string &field)
{
    const pb::FieldDescriptor *f = field_of(m, field);
    return f->cpp_type() == pb::FieldDescriptor::CPPTYPE_INT64 ? m.GetReflection()->GetInt64(m, f)
                                                               : m.GetReflection()->GetInt32(m, f);
}

bool
get_bool(const pb::Message &m, const std::string &field)
{
    return m.GetReflection()->GetBool(m, field_of(m, field));
}

int
get_enum(const pb::Message &m, const std::string &field)
{
    return m.GetReflection()->GetEnumValue(m, field_of(m, field));
}

static void
add_binding(const pb::Message &rule, std::vector<Binding> *out)
{
    const pb::Reflection *r = rule.GetReflection();
    for (const char *verb : {"get", "put", "post", "delete", "patch"}) {
        if (!r->HasField(rule, field_of(rule, verb)))
            continue;
        std::string upper(verb);
        for (char &c : upper)
            c = static_cast<char>(c - 'a' + 'A');
        out->push_back({upper, get_string(rule, verb), get_string(rule, "body")});
    }
    const pb::FieldDescriptor *more = field_of(rule, "additional_bindings");
    for (int i = 0; i < r->FieldSize(rule, more); i++)
        add_binding(r->GetRepeatedMessage(rule, more, i), out);
}

std::vector<Binding>
bindings(const pb::MethodDescriptor *m)
{
    std::vector<Binding> out;
    auto rule = method_option(m, "google.api.http");
    if (rule)
        add_binding(*rule, &out);
    return out;
}
