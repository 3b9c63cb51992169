/* The embedded descriptor sets as libprotobuf sees them: a reading that shares nothing with ours.
 */
#ifndef LUNA_TESTS_CONTRACT_DESCRIPTORS_H
#define LUNA_TESTS_CONTRACT_DESCRIPTORS_H

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pb = google::protobuf;

/* All files of the server, with comments. */
const pb::DescriptorPool &pool();

/* The files of package luna.v1. */
std::vector<const pb::FileDescriptor *> luna_files();

/* All methods, messages (nested ones too) and enums of luna.v1. */
std::vector<const pb::MethodDescriptor *> luna_methods();
std::vector<const pb::Descriptor *> luna_messages();
std::vector<const pb::EnumDescriptor *> luna_enums();

/* An option of the method by its extension's name ("luna.v1.method"); nullptr: not set. */
std::unique_ptr<pb::Message> method_option(const pb::MethodDescriptor *m,
                                           const std::string &extension);

/* A field of a dynamic message, by name. */
std::string get_string(const pb::Message &m, const std::string &field);
int64_t get_int(const pb::Message &m, const std::string &field);
bool get_bool(const pb::Message &m, const std::string &field);
int get_enum(const pb::Message &m, const std::string &field);

/* The google.api.http rule and its additional bindings. */
struct Binding {
    std::string verb;
    std::string path;
    std::string body;
};
std::vector<Binding> bindings(const pb::MethodDescriptor *m);

#endif
