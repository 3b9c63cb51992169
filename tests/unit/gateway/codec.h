// The codec under test and protobuf's C++ library beside it, over one
// descriptor set.
#ifndef LUNA_TESTS_GATEWAY_CODEC_H
#define LUNA_TESTS_GATEWAY_CODEC_H

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "gateway/json.h"
}

namespace codec
{

inline std::string
read_file(const char *path)
{
    std::ifstream in(path, std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
}

inline struct str
to_str(const std::string &s)
{
    return {s.data(), s.size()};
}

struct Result {
    bool ok = false;
    std::string out;
    struct json_error error = {};
};

// Ours.
class Codec
{
  public:
    explicit Codec(const std::string &set)
    {
        char err[256];
        if (!schema_load(&schema_, to_str(set), err, sizeof(err))) {
            std::fprintf(stderr, "schema: %s\n", err);
            std::abort();
        }
    }
    ~Codec()
    {
        schema_fini(&schema_);
    }
    Codec(const Codec &) = delete;
    Codec &operator=(const Codec &) = delete;

    const struct schema *schema() const
    {
        return &schema_;
    }
    const struct schema_message *message(const std::string &type) const
    {
        return schema_message_find(&schema_, to_str(type));
    }
    const struct schema_field *field(const std::string &type, const std::string &name) const
    {
        return schema_field_find(message(type), to_str(name));
    }

    Result to_wire(const std::string &type, const std::string &json, size_t max = 1 << 26) const
    {
        return with_buffer(max, [&](struct arena *a, struct buf *out, struct json_error *err) {
            return json_decode(&schema_, message(type), to_str(json), a, out, err);
        });
    }
    Result text_to_wire(const std::string &type, const std::string &field_name,
                        const std::string &text) const
    {
        return with_buffer(1 << 20, [&](struct arena *a, struct buf *out, struct json_error *err) {
            return json_decode_text(&schema_, field(type, field_name), to_str(text), a, out, err);
        });
    }
    Result to_json(const std::string &type, const std::string &wire, struct json_style style = {},
                   size_t max = 1 << 26) const
    {
        return with_buffer(max, [&](struct arena *, struct buf *out, struct json_error *err) {
            return json_encode(&schema_, message(type), to_str(wire), &style, out, err);
        });
    }

    template <typename F> Result with_buffer(size_t max, F f) const
    {
        Result r;
        struct arena scratch;
        struct buf out;
        arena_init(&scratch, 0);
        buf_init(&out, max);
        r.ok = f(&scratch, &out, &r.error);
        if (r.ok && out.len > 0)
            r.out.assign(out.data, out.len);
        buf_fini(&out);
        arena_fini(&scratch);
        return r;
    }

  private:
    struct schema schema_ = {};
};

// Theirs.
class Oracle
{
  public:
    explicit Oracle(const std::string &bytes)
    {
        google::protobuf::FileDescriptorSet set;
        if (!set.ParseFromString(bytes))
            std::abort();
        for (const auto &file : set.file())
            database_.Add(file);
        pool_ = std::make_unique<google::protobuf::DescriptorPool>(&database_);
        factory_ = std::make_unique<google::protobuf::DynamicMessageFactory>(pool_.get());
        resolver_.reset(google::protobuf::util::NewTypeResolverForDescriptorPool(
            "type.googleapis.com", pool_.get()));
    }

    std::unique_ptr<google::protobuf::Message> make(const std::string &type) const
    {
        const auto *d = pool_->FindMessageTypeByName(type);
        return std::unique_ptr<google::protobuf::Message>(factory_->GetPrototype(d)->New());
    }
    bool to_wire(const std::string &type, const std::string &json, std::string *wire) const
    {
        auto st = google::protobuf::util::JsonToBinaryString(
            resolver_.get(), "type.googleapis.com/" + type, json, wire);
        last_error = st.ToString();
        return st.ok();
    }
    bool to_json(const std::string &type, const std::string &wire, std::string *json) const
    {
        google::protobuf::util::JsonPrintOptions options;
        options.always_print_primitive_fields = true;
        return google::protobuf::util::BinaryToJsonString(
                   resolver_.get(), "type.googleapis.com/" + type, wire, json, options)
            .ok();
    }
    mutable std::string last_error;

    // One spelling of the bytes of a message: fields by number, maps by key,
    // defaults left out.
    bool canonical(const std::string &type, const std::string &wire, std::string *out) const
    {
        auto m = make(type);
        if (!m->ParseFromString(wire))
            return false;
        settle_any(m.get());
        *out = serialize(*m);
        return true;
    }
    // One spelling of a JSON text: what its tree holds.
    bool tree(const std::string &json, std::string *out) const
    {
        std::string wire;
        return to_wire("google.protobuf.Value", json, &wire) &&
               canonical("google.protobuf.Value", wire, out);
    }

  private:
    static std::string serialize(const google::protobuf::Message &m)
    {
        std::string out;
        google::protobuf::io::StringOutputStream stream(&out);
        google::protobuf::io::CodedOutputStream coded(&stream);
        coded.SetSerializationDeterministic(true);
        m.SerializeToCodedStream(&coded);
        coded.Trim();
        return out;
    }
    // The messages inside every Any, in their one spelling, too.
    void settle_any(google::protobuf::Message *m) const
    {
        const auto *r = m->GetReflection();
        const auto *d = m->GetDescriptor();
        std::vector<const google::protobuf::FieldDescriptor *> fields;
        r->ListFields(*m, &fields);
        for (const auto *f : fields) {
            if (f->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE)
                continue;
            if (!f->is_repeated())
                settle_any(r->MutableMessage(m, f));
            for (int i = 0; f->is_repeated() && i < r->FieldSize(*m, f); i++)
                settle_any(r->MutableRepeatedMessage(m, f, i));
        }
        if (d->full_name() != "google.protobuf.Any")
            return;
        std::string url = r->GetString(*m, d->field(0));
        const auto *inner = pool_->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
        std::string bytes;
        if (inner && canonical(inner->full_name(), r->GetString(*m, d->field(1)), &bytes))
            r->SetString(m, d->field(1), bytes);
    }

    google::protobuf::SimpleDescriptorDatabase database_;
    std::unique_ptr<google::protobuf::DescriptorPool> pool_;
    std::unique_ptr<google::protobuf::DynamicMessageFactory> factory_;
    std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
};

} // namespace codec

#endif
