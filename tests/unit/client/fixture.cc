#include "unit/client/fixture.h"

#include <cstdlib>

std::string
response(const std::string &body)
{
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__SimpleResponse m = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
    std::string text = body;
    payload.body.data = reinterpret_cast<uint8_t *>(text.data());
    payload.body.len = text.size();
    m.payload = &payload;
    std::string out(grpc__testing__simple_response__get_packed_size(&m), '\0');
    grpc__testing__simple_response__pack(&m, reinterpret_cast<uint8_t *>(out.data()));
    return out;
}

void
echo(script_call *call)
{
    size_t size = 0;
    uint8_t *bytes = script_recv(call, &size);
    if (!bytes)
        return;
    Grpc__Testing__SimpleRequest *m = grpc__testing__simple_request__unpack(nullptr, size, bytes);
    free(bytes);
    std::string body;
    if (m->payload)
        body.assign(reinterpret_cast<char *>(m->payload->body.data), m->payload->body.len);
    grpc__testing__simple_request__free_unpacked(m, nullptr);
    std::string out = response(body);
    script_send(call, out.data(), out.size());
    script_finish(call, 0, "", nullptr, 0);
}
