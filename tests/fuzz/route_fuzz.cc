// Any request line and body through the routes: `VERB target\nbody`. A message that was bound must
// be one that the C++ library reads.
#include <cstdlib>

extern "C" {
#include "gateway/route.h"
}

#include "unit/gateway/codec.h"

namespace
{

struct Table {
    Table() : bytes(codec::read_file(ROUTES)), codec(bytes), oracle(bytes)
    {
        char err[512];
        if (!route_table_init(&table, codec.schema(), err, sizeof(err)))
            std::abort();
    }
    std::string bytes;
    codec::Codec codec;
    codec::Oracle oracle;
    struct route_table table;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern "C" int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Table &t = *new Table;
    std::string input(reinterpret_cast<const char *>(data), size);
    size_t newline = input.find('\n'), space = input.find(' ');
    if (size > 4096 || newline == std::string::npos || space > newline)
        return 0;
    std::string verb = input.substr(0, space), body = input.substr(newline + 1);
    std::string target = input.substr(space + 1, newline - space - 1);
    size_t question = target.find('?');
    std::string path = target.substr(0, question);
    std::string query = question == std::string::npos ? "" : target.substr(question + 1);
    struct route_match m;
    if (route_find(&t.table, codec::to_str(verb), codec::to_str(path), &m) != ROUTE_FOUND)
        return 0;
    struct route_input in = {codec::to_str(query), codec::to_str(body)};
    auto r =
        t.codec.with_buffer(1 << 20, [&](struct arena *a, struct buf *out, struct json_error *err) {
            return route_bind(&t.table, &m, &in, a, out, err);
        });
    std::string held;
    if (r.ok && !t.oracle.canonical(m.binding->method->input->full_name, r.out, &held)) {
        std::fprintf(stderr, "not a message: %s\n", input.c_str());
        std::abort();
    }
    return 0;
}
