// The JSON codec on any text: what it reads, it writes and reads again as the same message; what
// the C++ library reads as well is the same message there; and bytes that are read as a message are
// written without a fault. The first byte chooses the direction and the message's type.
#include "unit/gateway/codec.h"

namespace
{

const char *const types[] = {"luna.testing.AllTypes", "google.protobuf.Value",
                             "google.protobuf.Any", "luna.testing.AllTypes.Nested"};

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

void
fail(const char *what, const std::string &input)
{
    std::fprintf(stderr, "%s: %s\n", what, input.c_str());
    std::abort();
}

void
read_text(const std::string &type, const std::string &json)
{
    auto r = ours().to_wire(type, json, 1 << 20);
    if (!r.ok)
        return;
    std::string held;
    if (!theirs().canonical(type, r.out, &held))
        fail("not a message", json);
    auto again = ours().to_json(type, r.out);
    if (!again.ok)
        return; // a FieldMask or a string field may hold what has no JSON
    auto back = ours().to_wire(type, again.out);
    std::string held_back;
    if (!back.ok || !theirs().canonical(type, back.out, &held_back) || held_back != held)
        fail("does not read back", json + " as " + again.out);
    // The C++ library reads -0 as the integer 0 and loses its sign, and makes other names of mask
    // paths that start with a capital: ours are the fields of those JSON names.
    if (json.find("-0") != std::string::npos || json.find("ask") != std::string::npos ||
        json.find("FieldMask") != std::string::npos)
        return;
    std::string other, held_other;
    if (theirs().to_wire(type, json, &other) && theirs().canonical(type, other, &held_other) &&
        held_other != held)
        fail("reads differently", json);
}

void
read_bytes(const std::string &type, const std::string &wire)
{
    auto text = ours().to_json(type, wire, {}, 1 << 20);
    if (!text.ok)
        return;
    auto back = ours().to_wire(type, text.out);
    if (!back.ok && back.error.failure == JSON_SYNTAX)
        fail("does not write JSON", text.out);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern "C" int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096)
        return 0;
    std::string input(reinterpret_cast<const char *>(data) + 1, size - 1);
    const char *type = types[data[0] >> 1 & 3];
    if (data[0] & 1)
        read_bytes(type, input);
    else
        read_text(type, input);
    return 0;
}
