/*
 * kalman_stream_bench TARGET KEY: messages a second of streams that send one value and wait for one
 * estimate, beside Echo's Chat with the same client when TARGET serves that. `name value unit`
 * lines.
 */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "core_client.h"
#include "luna/testing/echo.pb-c.h"
#include "luna/v1/kalman.pb-c.h"

namespace
{

const int kStreams = 8;
const std::chrono::seconds kTime(2);

std::string
pack(const ProtobufCMessage *m)
{
    std::string bytes(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(bytes.data()));
    return bytes;
}

/* A first message, then `next` again and again on each of some streams. */
double
rate(const std::string &target, const std::string &path, const Metadata &md,
     const std::string &first, const std::string &next)
{
    std::atomic<long> messages{0};
    std::vector<std::thread> threads;
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kStreams; i++)
        threads.emplace_back([&] {
            Channel ch(target);
            Call call(ch, path, md, 0);
            bool good = call.send(first) && call.recv();
            while (good && std::chrono::steady_clock::now() - begin < kTime) {
                good = call.send(next) && call.recv();
                messages += good;
            }
            if (!good)
                messages = -1000000000;
        });
    for (std::thread &t : threads)
        t.join();
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return static_cast<double>(messages.load()) / took.count();
}

} // namespace

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    double result;
    if (strcmp(argv[2], "echo") == 0) {
        Luna__Testing__EchoMessage m = LUNA__TESTING__ECHO_MESSAGE__INIT;
        char body[] = "a message as long as those of the filter are";
        m.body.data = reinterpret_cast<uint8_t *>(body);
        m.body.len = sizeof(body);
        result = rate(argv[1], "/luna.testing.EchoService/Chat", {}, pack(&m.base), pack(&m.base));
    } else {
        Luna__V1__Model model = LUNA__V1__MODEL__INIT;
        Luna__V1__StructuralModel level = LUNA__V1__STRUCTURAL_MODEL__INIT;
        Google__Protobuf__DoubleValue h = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT, q = h;
        Luna__V1__FilterStreamRequest first = LUNA__V1__FILTER_STREAM_REQUEST__INIT, next = first;
        double value = 1120;
        h.value = 15099;
        q.value = 1469.1;
        model.kind_case = LUNA__V1__MODEL__KIND_STRUCTURAL;
        model.structural = &level;
        level.observation_variance = &h;
        level.level_variance = &q;
        first.model = &model;
        first.values = next.values = &value;
        first.n_values = next.n_values = 1;
        result = rate(argv[1], "/luna.v1.KalmanService/FilterStream", {{"x-api-key", argv[2]}},
                      pack(&first.base), pack(&next.base));
    }
    printf("stream_messages %.0f /s\n", result);
    return result > 0 ? 0 : 1;
}
