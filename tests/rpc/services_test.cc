// Health, reflection and interceptors.
#include <algorithm>

#include "fixture.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "probe_interceptors.h"

namespace
{
const std::string kCheck = "/grpc.health.v1.Health/Check";
const std::string kWatch = "/grpc.health.v1.Health/Watch";
const std::string kList = "/grpc.health.v1.Health/List";

std::string
health_request(const std::string &service)
{
    Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    m.service = const_cast<char *>(service.c_str());
    return packed(&m.base);
}

int
health_status(const std::string &bytes)
{
    auto *m = grpc__health__v1__health_check_response__unpack(
        nullptr, bytes.size(), reinterpret_cast<const uint8_t *>(bytes.data()));
    int st = m ? static_cast<int>(m->status) : -1;
    grpc__health__v1__health_check_response__free_unpacked(m, nullptr);
    return st;
}

using Request = Grpc__Reflection__V1__ServerReflectionRequest;
using Response = Grpc__Reflection__V1__ServerReflectionResponse;

// One question and its answer, in a conversation of either version.
class Reflection
{
  public:
    Reflection(const Channel &ch, const std::string &version)
        : call_(ch, "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo")
    {
    }
    ~Reflection()
    {
        free_last();
    }
    Response *ask(const std::function<void(Request *)> &fill)
    {
        Request m = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
        char host[] = "host";
        m.host = host;
        fill(&m);
        EXPECT_TRUE(call_.send(packed(&m.base)));
        free_last();
        auto bytes = call_.recv();
        EXPECT_TRUE(bytes.has_value());
        if (bytes)
            last_ = grpc__reflection__v1__server_reflection_response__unpack(
                nullptr, bytes->size(), reinterpret_cast<const uint8_t *>(bytes->data()));
        return last_;
    }
    Response *symbol(const std::string &name)
    {
        return ask([&](Request *r) {
            r->message_request_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
            r->file_containing_symbol = const_cast<char *>(name.c_str());
        });
    }
    Response *filename(const std::string &name)
    {
        return ask([&](Request *r) {
            r->message_request_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
            r->file_by_filename = const_cast<char *>(name.c_str());
        });
    }
    int finish()
    {
        call_.half_close();
        EXPECT_FALSE(call_.recv().has_value());
        return call_.finish().code;
    }

  private:
    void free_last()
    {
        grpc__reflection__v1__server_reflection_response__free_unpacked(last_, nullptr);
        last_ = nullptr;
    }
    Call call_;
    Response *last_ = nullptr;
};

bool
has_files(const Response *r)
{
    return r &&
           r->message_response_case ==
               GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
}

int
error_of(const Response *r)
{
    bool failed =
        r && r->message_response_case ==
                 GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    return failed ? r->error_response->error_code : 0;
}

bool
file_is(const ProtobufCBinaryData &f, const std::string &name)
{
    std::string start = "\x0a" + std::string(1, static_cast<char>(name.size())) + name;
    return f.len > start.size() && memcmp(f.data, start.data(), start.size()) == 0;
}
} // namespace

TEST(Health, CheckKnowsServices)
{
    Server server;
    Channel ch(server.address());
    for (const char *name : {"", "luna.testing.EchoService", "grpc.health.v1.Health"}) {
        Outcome out = unary(ch, kCheck, health_request(name));
        EXPECT_EQ(out.code, 0) << name;
        EXPECT_EQ(health_status(out.body), 1) << name;
    }
    test_server_set_health(server.get(), "luna.testing.EchoService", 2);
    EXPECT_EQ(health_status(unary(ch, kCheck, health_request("luna.testing.EchoService")).body), 2);
    EXPECT_EQ(health_status(unary(ch, kCheck, health_request("")).body), 1);
    Outcome out = unary(ch, kCheck, health_request("nobody"));
    EXPECT_EQ(out.code, 5);
    EXPECT_EQ(details_of(out).reason, "SERVICE_NOT_FOUND");
}

TEST(Health, ListTellsAll)
{
    Server server;
    Channel ch(server.address());
    Outcome out = unary(ch, kList, "");
    ASSERT_EQ(out.code, 0);
    auto *m = grpc__health__v1__health_list_response__unpack(
        nullptr, out.body.size(), reinterpret_cast<const uint8_t *>(out.body.data()));
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->n_statuses, 5u); // "", echo, health, two reflections
    grpc__health__v1__health_list_response__free_unpacked(m, nullptr);
}

TEST(Health, WatchTellsOfChanges)
{
    Server server;
    Channel ch(server.address());
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < 4; i++) {
        calls.push_back(std::make_unique<Call>(ch, kWatch));
        calls.back()->send(health_request("later"));
        calls.back()->half_close();
        EXPECT_EQ(health_status(calls.back()->recv().value_or("?")), 3);
    }
    for (int st : {1, 2, 1}) {
        test_server_set_health(server.get(), "later", st);
        for (auto &c : calls)
            EXPECT_EQ(health_status(c->recv().value_or("?")), st);
    }
    test_server_drain(server.get());
    for (auto &c : calls) {
        EXPECT_EQ(health_status(c->recv().value_or("?")), 2);
        EXPECT_FALSE(c->recv().has_value());
        EXPECT_EQ(c->finish().code, 0);
    }
}

TEST(Reflection, BothVersions)
{
    Server server;
    Channel ch(server.address());
    for (const char *version : {"v1", "v1alpha"}) {
        Reflection r(ch, version);
        Response *a = r.ask([](Request *q) {
            q->message_request_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
            static char star[] = "*";
            q->list_services = star;
        });
        ASSERT_NE(a, nullptr);
        ASSERT_NE(a->list_services_response, nullptr);
        std::vector<std::string> names;
        for (size_t i = 0; i < a->list_services_response->n_service; i++)
            names.push_back(a->list_services_response->service[i]->name);
        std::sort(names.begin(), names.end());
        EXPECT_EQ(names, (std::vector<std::string>{"grpc.health.v1.Health",
                                                   "grpc.reflection.v1.ServerReflection",
                                                   "grpc.reflection.v1alpha.ServerReflection",
                                                   "luna.testing.EchoService"}));
        EXPECT_STREQ(a->valid_host, "host");
        ASSERT_NE(a->original_request, nullptr);
        EXPECT_STREQ(a->original_request->list_services, "*");
        a = r.symbol("luna.testing.EchoService");
        ASSERT_TRUE(has_files(a));
        auto *files = a->file_descriptor_response;
        ASSERT_GE(files->n_file_descriptor_proto, 3u); // echo, options, descriptor
        EXPECT_TRUE(file_is(files->file_descriptor_proto[0], "luna/testing/echo.proto"));
        EXPECT_EQ(r.finish(), 0);
    }
}

TEST(Reflection, SymbolsOfEveryKind)
{
    Server server;
    Channel ch(server.address());
    Reflection r(ch, "v1");
    for (const char *name : {"luna.testing.EchoService.Echo", "luna.testing.EchoMessage",
                             "luna.testing.EchoMessage.body", ".luna.testing.EchoCommand",
                             "luna.v1.Access", "luna.v1.ACCESS_PUBLIC", "luna.v1.method"}) {
        Response *a = r.symbol(name);
        EXPECT_TRUE(has_files(a)) << name;
    }
    for (const char *name : {"luna.testing.Nope", "luna", "", "luna.testing.EchoService.Ech"}) {
        Response *a = r.symbol(name);
        EXPECT_EQ(error_of(a), 5) << name;
    }
    Response *a = r.filename("luna/v1/options.proto");
    ASSERT_TRUE(has_files(a));
    EXPECT_TRUE(
        file_is(a->file_descriptor_response->file_descriptor_proto[0], "luna/v1/options.proto"));
    a = r.filename("nope.proto");
    EXPECT_EQ(error_of(a), 5);
    EXPECT_EQ(r.finish(), 0);
}

TEST(Reflection, Extensions)
{
    Server server;
    Channel ch(server.address());
    Reflection r(ch, "v1");
    Response *a = r.ask([](Request *q) {
        q->message_request_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE;
        static char type[] = "google.protobuf.MethodOptions";
        q->all_extension_numbers_of_type = type;
    });
    ASSERT_NE(a->all_extension_numbers_response, nullptr);
    ASSERT_GE(a->all_extension_numbers_response->n_extension_number, 1u);
    EXPECT_EQ(a->all_extension_numbers_response->extension_number[0], 50801);
    Grpc__Reflection__V1__ExtensionRequest e = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    static char type[] = "google.protobuf.MethodOptions";
    e.containing_type = type;
    for (int number : {50801, 7}) {
        e.extension_number = number;
        a = r.ask([&](Request *q) {
            q->message_request_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION;
            q->file_containing_extension = &e;
        });
        EXPECT_EQ(has_files(a), number == 50801);
        EXPECT_EQ(error_of(a), number == 50801 ? 0 : 5);
    }
}

TEST(Reflection, CanBeSwitchedOff)
{
    Server server({"--reflection=false"});
    Channel ch(server.address());
    Outcome out = unary(ch, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "");
    EXPECT_EQ(out.code, 12);
}

TEST(Interceptors, StandAroundCallsInOrder)
{
    probe_clear();
    Server server({}, {&probe_outer, &probe_inner});
    Channel ch(server.address());
    EXPECT_EQ(unary(ch, kEcho, echo_bytes("x")).code, 0);
    EXPECT_EQ(std::string(probe_text()),
              "begin outer 0;begin inner 1;end inner 1 OK;end outer 0 OK;");
    probe_clear();
    Outcome out = unary(ch, kEcho, echo_bytes("x"), {{"x-refuse", "inner"}});
    EXPECT_EQ(out.code, 7);
    EXPECT_EQ(details_of(out).reason, "NOT_ALLOWED");
    EXPECT_EQ(std::string(probe_text()),
              "begin outer 0;begin inner 1;end inner 1 PERMISSION_DENIED;"
              "end outer 0 PERMISSION_DENIED;");
    probe_clear();
    out = unary(ch, kEcho, echo_bytes("x"), {{"x-refuse", "outer"}});
    EXPECT_EQ(out.code, 7);
    EXPECT_EQ(std::string(probe_text()), "begin outer 0;end outer 0 PERMISSION_DENIED;");
    probe_clear();
    EXPECT_EQ(unary(ch, kObey, "\xff").code, 3);
    EXPECT_EQ(
        std::string(probe_text()),
        "begin outer 0;begin inner 1;end inner 1 INVALID_ARGUMENT;end outer 0 INVALID_ARGUMENT;");
    EXPECT_EQ(unary(ch, kObey, "\xff", {{"x-refuse", "outer"}}).code, 7);
}
