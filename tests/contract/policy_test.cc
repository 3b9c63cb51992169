/* Every method of luna.v1 has a policy, and the server's tables hold exactly what the options say.
 */
#include <gtest/gtest.h>

#include <map>

#include "contract/descriptors.h"

extern "C" {
#include "contract/tables.h"
}

namespace
{

std::map<std::string, table_row>
rows()
{
    std::map<std::string, table_row> out;
    table_row row;
    for (size_t i = 0; tables_row(i, &row); i++)
        out[row.path] = row;
    return out;
}

std::string
path_of(const pb::MethodDescriptor *m)
{
    return "/" + m->service()->full_name() + "/" + m->name();
}

/* options.proto's rule for the default of IdempotencyKeys: enum rpc_keys. */
int
expected_keys(const pb::MethodDescriptor *m, bool idempotent, int option)
{
    if (idempotent)
        return 0;
    if (m->client_streaming() || m->server_streaming())
        return 1;
    return option == 2 ? 3 : 2;
}

/* options.proto's rule for an empty scope. */
std::string
default_scope(const pb::MethodDescriptor *m, bool idempotent)
{
    std::string name = m->service()->name(), snake;
    size_t end = name.rfind("Service");
    if (end != std::string::npos && end + 7 == name.size())
        name.resize(end);
    for (char c : name)
        snake += isupper(c)
                     ? (snake.empty() ? "" : "_") + std::string(1, static_cast<char>(tolower(c)))
                     : std::string(1, c);
    return snake + (idempotent ? ".read" : ".write");
}

TEST(Policy, EveryMethodSaysWhoMayCallIt)
{
    ASSERT_FALSE(luna_methods().empty());
    for (auto *m : luna_methods()) {
        auto option = method_option(m, "luna.v1.method");
        ASSERT_NE(option, nullptr) << m->full_name();
        EXPECT_NE(get_enum(*option, "access"), 0) << m->full_name();
    }
}

TEST(Policy, TablesHoldTheOptions)
{
    auto table = rows();
    for (auto *m : luna_methods()) {
        ASSERT_EQ(table.count(path_of(m)), 1u) << m->full_name() << " is in no table";
        const table_row &row = table[path_of(m)];
        auto option = method_option(m, "luna.v1.method");
        ASSERT_NE(option, nullptr) << m->full_name();
        SCOPED_TRACE(m->full_name());
        EXPECT_EQ(row.access, get_enum(*option, "access"));
        EXPECT_EQ(row.cost, get_int(*option, "cost"));
        EXPECT_EQ(row.cost_measured, get_bool(*option, "cost_measured"));
        EXPECT_EQ(row.deadline_ns, get_int(*option, "deadline_ms") * 1000000);
        EXPECT_EQ(row.idempotent, get_bool(*option, "idempotent"));
        EXPECT_EQ(row.fail_open, get_enum(*option, "when_limiter_away") == 2);
        EXPECT_EQ(row.cache_seconds, get_int(*option, "cache_seconds"));
        EXPECT_EQ(row.keys,
                  expected_keys(m, row.idempotent, get_enum(*option, "idempotency_keys")));
        std::string scope = get_string(*option, "scope");
        EXPECT_EQ(row.scope, scope.empty() ? default_scope(m, row.idempotent) : scope);
    }
}

TEST(Policy, TablesHoldTheTypesAndKinds)
{
    auto table = rows();
    size_t expected = 0;
    for (const char *name : {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                             "grpc.reflection.v1alpha.ServerReflection"})
        ASSERT_NE(pool().FindServiceByName(name), nullptr) << name;
    for (auto &[path, row] : table) {
        const pb::ServiceDescriptor *s = pool().FindServiceByName(row.service);
        ASSERT_NE(s, nullptr) << row.service;
        const pb::MethodDescriptor *m = s->FindMethodByName(row.name);
        ASSERT_NE(m, nullptr) << path;
        EXPECT_EQ(path, path_of(m));
        EXPECT_EQ(row.request, m->input_type()->full_name());
        EXPECT_EQ(row.response, m->output_type()->full_name());
        int kind = m->client_streaming() ? (m->server_streaming() ? 3 : 1)
                                         : (m->server_streaming() ? 2 : 0);
        EXPECT_EQ(row.kind, kind) << path;
        EXPECT_TRUE(row.has_handler) << path;
        expected += 1;
    }
    EXPECT_GE(expected, luna_methods().size());
}

TEST(Policy, ReadsAreIdempotentAndCachedOnlyThen)
{
    for (auto &[path, row] : rows()) {
        std::string name = row.name;
        bool reads = name.rfind("Get", 0) == 0 || name.rfind("List", 0) == 0;
        bool ours = path.rfind("/luna.v1.", 0) == 0;
        EXPECT_TRUE(row.idempotent || !ours || !reads) << path;
        EXPECT_TRUE(row.idempotent || row.cache_seconds == 0) << path;
    }
}

} // namespace
