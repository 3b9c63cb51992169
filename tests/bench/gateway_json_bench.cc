// The JSON codec beside protobuf's C++ json_util: one line a measurement, machine readable.
//   gateway_json_bench [seconds]
#include <chrono>
#include <random>

#include "unit/gateway/codec.h"

namespace
{

volatile size_t sink;

template <typename F>
double
microseconds_each(double seconds, F f)
{
    using clock = std::chrono::steady_clock;
    f();
    size_t n = 0;
    auto start = clock::now();
    std::chrono::duration<double> passed{};
    do {
        for (int i = 0; i < 10; i++)
            f();
        n += 10;
        passed = clock::now() - start;
    } while (passed.count() < seconds);
    return passed.count() * 1e6 / static_cast<double>(n);
}

void
report(const char *what, double ours, double theirs, size_t bytes)
{
    std::printf("%-28s ours %8.2f us  json_util %8.2f us  ratio %5.1f  (%.0f MB/s)\n", what, ours,
                theirs, theirs / ours, static_cast<double>(bytes) / ours);
}

std::string
doubles_json()
{
    std::mt19937_64 gen(7);
    std::normal_distribution<double> value(900, 100);
    std::string json = "{\"doubles\":[";
    for (int i = 0; i < 100; i++)
        json += (i ? "," : "") + std::to_string(value(gen));
    return json + "]}";
}

std::string
rows_json()
{
    std::string json = "{\"rows\":[";
    for (int i = 0; i < 150; i++) {
        std::string n = std::to_string(i);
        json += (i ? "," : "") + std::string("{\"id\":") + n + ",\"name\":\"row number " + n +
                "\",\"mean\":" + n +
                ".25,\"open\":true,\"created_at\":\"2018-02-25T15:04:05.25Z\"," +
                "\"kind\":\"KIND_DOOR\"}";
    }
    return json + "]}";
}

} // namespace

int
main(int argc, char **argv)
{
    double seconds = argc > 1 ? std::strtod(argv[1], nullptr) : 1;
    std::string set = codec::read_file(BENCH_TYPES);
    codec::Codec ours(set);
    codec::Oracle theirs(set);
    struct arena scratch;
    struct buf out;
    struct json_error err;
    arena_init(&scratch, 0);
    buf_init(&out, 1 << 24);
    struct json_style style = {};

    auto measure_read = [&](const char *what, const std::string &type, const std::string &json) {
        std::string wire;
        if (!theirs.to_wire(type, json, &wire))
            std::abort();
        double mine = microseconds_each(seconds, [&] {
            buf_clear(&out);
            arena_reset(&scratch);
            if (!json_decode(ours.schema(), ours.message(type), codec::to_str(json), &scratch, &out,
                             &err))
                std::abort();
            sink = out.len;
        });
        double other = microseconds_each(seconds, [&] {
            std::string bytes;
            sink = theirs.to_wire(type, json, &bytes);
        });
        report(what, mine, other, json.size());
    };
    auto measure_write = [&](const char *what, const std::string &type, const std::string &json) {
        std::string wire;
        if (!theirs.to_wire(type, json, &wire))
            std::abort();
        double mine = microseconds_each(seconds, [&] {
            buf_clear(&out);
            if (!json_encode(ours.schema(), ours.message(type), codec::to_str(wire), &style, &out,
                             &err))
                std::abort();
            sink = out.len;
        });
        double other = microseconds_each(seconds, [&] {
            std::string text;
            sink = theirs.to_json(type, wire, &text);
        });
        report(what, mine, other, out.len);
    };

    measure_read("parse 100 doubles", "luna.bench.Series", doubles_json());
    measure_write("print 100 doubles", "luna.bench.Series", doubles_json());
    measure_read("parse 150 rows of 6 fields", "luna.bench.Rows", rows_json());
    measure_write("print 150 rows of 6 fields", "luna.bench.Rows", rows_json());
    buf_fini(&out);
    arena_fini(&scratch);
    return 0;
}
