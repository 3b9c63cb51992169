/*
 * Who may do what: every method of every service, by every role, on ids of every kind, against what
 * the methods' own options say. A new service is covered by existing; what it needs to succeed is a
 * line in access_world.h.
 */
#include <gtest/gtest.h>

#include "access_world.h"

namespace
{
/* luna.v1.Access */
enum { PUBLIC = 1, DEVICE = 2, MEMBER = 3, ADMIN = 4 };

struct Caller {
    std::string name;
    Metadata md;
    int access; /* the most it may; 0: it is nobody */
};

/* `lives`: a stream that begins well goes on until we leave, after a moment. */
Outcome
open_stream(const Channel &ch, const pb::MethodDescriptor *m, const std::string &path,
            const std::string &request, const Metadata &md, bool lives)
{
    Call call(ch, path, md, lives && !m->client_streaming() ? 200 : 20000);
    call.send(request);
    call.half_close();
    while (call.recv())
        ;
    Outcome o = call.finish();
    if (lives && o.code == 4)
        o.code = 0;
    return o;
}

/* Those of luna.v1, and those of others' interfaces that we serve with a policy of ours. */
std::vector<const pb::MethodDescriptor *>
all_methods()
{
    std::vector<const pb::MethodDescriptor *> out = luna_methods();
    const auto *envoy = pool().FindServiceByName("envoy.service.ratelimit.v3.RateLimitService");
    for (int i = 0; envoy && i < envoy->method_count(); i++)
        out.push_back(envoy->method(i));
    return out;
}

/* What a message says, but for the id that was asked for. */
std::string
without_numbers(const std::string &message)
{
    std::string out;
    for (char c : message)
        if (!isdigit(static_cast<unsigned char>(c)))
            out += c;
    return out;
}

class Matrix : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        pg_ = new pg_server();
        redis_ = new redis_server();
        world_ = new World(*pg_, *redis_);
    }
    static void TearDownTestSuite()
    {
        delete world_;
        delete redis_;
        delete pg_;
    }

    static Outcome call(const pb::MethodDescriptor *m, const Things &things, const Metadata &md,
                        bool lives = false)
    {
        const std::string path = "/" + m->service()->full_name() + "/" + m->name();
        const std::string request = world_->request(m, things);
        if (m->client_streaming() || m->server_streaming())
            return open_stream(*world_->channel, m, path, request, md, lives);
        return unary(*world_->channel, path, request, md);
    }

    static int access_of(const pb::MethodDescriptor *m)
    {
        auto option = method_option(m, "luna.v1.method");
        return option ? get_enum(*option, "access") : PUBLIC;
    }

    static std::string scope_of(const pb::MethodDescriptor *m)
    {
        auto option = method_option(m, "luna.v1.method");
        std::string scope = get_string(*option, "scope");
        if (!scope.empty())
            return scope;
        std::string name = m->service()->name();
        name = name.substr(0, name.rfind("Service"));
        for (char &c : name)
            c = static_cast<char>(tolower(c));
        return name + (get_bool(*option, "idempotent") ? ".read" : ".write");
    }

    /* A key of the account "mine". */
    static Metadata key(const std::string &role, const std::string &scope = "")
    {
        std::string text = "account_id: 2 role: ROLE_" + role;
        if (!scope.empty())
            text += " scopes: '" + scope + "'";
        Outcome o = world_->call("Quota", "CreateApiKey", world_->admin, text);
        return {{"x-api-key", world_->get(o, "key")}};
    }

    static Things own(int64_t account = 2)
    {
        return account == 1 ? world_->make("root", world_->admin)
                            : world_->make("mine", world_->member);
    }

    /* All that "theirs" has, as one text. */
    static std::string possessions()
    {
        std::string all;
        for (const char *table :
             {"account", "api_key", "kalman_filter", "counts_space", "counts_doorway", "counts_dpu",
              "counts_assignment", "counts_reading", "counts_calibration", "limit_rule"})
            all += pg_->value("access",
                              std::string("SELECT string_agg(row, '\n' ORDER BY row) FROM "
                                          "(SELECT (to_jsonb(t) - 'last_used_at' - 'quota_used')"
                                          "::text AS row FROM ") +
                                  table + " t WHERE account_id = 3) x") +
                   "\n--\n";
        return all;
    }

    static pg_server *pg_;
    static redis_server *redis_;
    static World *world_;
};

pg_server *Matrix::pg_;
redis_server *Matrix::redis_;
World *Matrix::world_;

} // namespace

/* Credentials and roles: exactly the option, before anything else is looked at. */
TEST_F(Matrix, RolesAreThoseOfTheOptions)
{
    const std::vector<Caller> callers = {
        {"nobody", {}, 0},
        {"a wrong key", {{"x-api-key", "f47ac10b-58cc-4372-a567-0e02b2c3d479"}}, 0},
        {"a mistyped key", {{"authorization", "Bearer luna_x"}}, 0},
        {"a device", key("DEVICE"), DEVICE},
        {"a member", key("MEMBER"), MEMBER},
        {"an admin", key("ADMIN"), ADMIN},
    };
    size_t looked = 0;
    for (auto *m : all_methods()) {
        const int access = access_of(m);
        for (const Caller &who : callers) {
            SCOPED_TRACE(World::short_name(m) + " by " + who.name);
            const bool may = access == PUBLIC || who.access >= access;
            Outcome o = call(m, world_->random(), who.md, may && World::ids_of(m).empty());
            looked++;
            if (may)
                EXPECT_TRUE(o.code != 16 && o.code != 7) << o.code << " " << o.message;
            else
                EXPECT_EQ(o.code, who.access == 0 ? 16 : 7) << o.message;
            EXPECT_FALSE(o.code == 2 || o.code == 12 || o.code == 13) << o.code << o.message;
        }
    }
    EXPECT_GE(looked, 60u * callers.size());
}

/* A key that is restricted to scopes has those, and nothing beside them. */
TEST_F(Matrix, ScopesAreThoseOfTheOptions)
{
    std::map<std::string, Metadata> keys;
    for (auto *m : all_methods())
        if (access_of(m) != PUBLIC)
            keys.emplace(scope_of(m), key("ADMIN", scope_of(m)));
    for (auto *m : all_methods()) {
        if (access_of(m) == PUBLIC)
            continue;
        for (const auto &[scope, md] : keys) {
            SCOPED_TRACE(World::short_name(m) + " with the scope " + scope);
            const bool lives = scope == scope_of(m) && World::ids_of(m).empty();
            int code = call(m, world_->random(), md, lives).code;
            EXPECT_EQ(code == 7, scope != scope_of(m)) << code;
        }
    }
}

/* Ids: one's own work; another's, deleted ones and such that never were look the same. */
TEST_F(Matrix, OnlyOnesOwnIsThere)
{
    const std::vector<Caller> callers = {{"a device", key("DEVICE"), DEVICE},
                                         {"a member", key("MEMBER"), MEMBER}};
    const std::string before = possessions();
    for (auto *m : all_methods()) {
        const int access = access_of(m);
        for (const auto &[who, md, most] : callers) {
            if (access == PUBLIC || access > most)
                continue;
            SCOPED_TRACE(World::short_name(m) + " by " + who);
            Outcome mine = call(m, own(), md, true);
            EXPECT_EQ(mine.code, 0) << mine.message;
            if (World::ids_of(m).empty())
                continue;
            Outcome never = call(m, world_->random(), md);
            EXPECT_EQ(never.code, 5) << never.message;
            for (auto [which, things] : {std::pair{Ids::others, world_->theirs},
                                         std::pair{Ids::deleted, world_->deleted}}) {
                SCOPED_TRACE(name_of(which));
                Outcome o = call(m, things, md);
                EXPECT_EQ(o.code, 5) << o.message;
                EXPECT_EQ(without_numbers(o.message), without_numbers(never.message))
                    << "it tells that there is something";
            }
        }
    }
    EXPECT_EQ(possessions(), before) << "another account's things were touched";
}

/* The same with each id alone pointing elsewhere, the others at one's own. */
TEST_F(Matrix, EachIdIsLookedAt)
{
    const Metadata member = key("MEMBER");
    const std::string before = possessions();
    for (auto *m : all_methods()) {
        const int access = access_of(m);
        const Things ids = World::ids_of(m);
        if (access == PUBLIC || access == ADMIN || ids.size() < 2)
            continue;
        for (const auto &[field, kind] : ids) {
            SCOPED_TRACE(World::short_name(m) + " with another's " + field);
            Things mixed = own();
            mixed[field] = world_->theirs[kind];
            Outcome o = call(m, mixed, member);
            EXPECT_EQ(o.code, 5) << o.message;
        }
    }
    EXPECT_EQ(possessions(), before) << "another account's things were touched";
}

/* Admins see each account; what is deleted or never was is NOT_FOUND for them too. */
TEST_F(Matrix, AdminsReachEveryAccount)
{
    const Metadata admin = {{"x-api-key", world_->admin}};
    for (auto *m : all_methods()) {
        if (m->service()->name() != "QuotaService")
            continue;
        SCOPED_TRACE(World::short_name(m));
        Things mine = own();
        const bool deletes = m->name() == "DeleteAccount" || m->name() == "DeletePlan";
        if (m->name() == "DeleteAccount")
            mine["account_id"] = world_->get(
                world_->call("Quota", "CreateAccount", world_->admin, "account_name: '$x'"),
                "account.account_id");
        Outcome o = call(m, mine, admin, true);
        EXPECT_EQ(o.code, 0) << o.message;
        if (World::ids_of(m).empty())
            continue;
        if (!deletes) {
            o = call(m, world_->theirs, admin, true);
            EXPECT_EQ(o.code, 0) << "another's: " << o.message;
        }
        const bool outlives = m->name() == "ListQuotaEvents"; /* the log does its account */
        EXPECT_EQ(call(m, world_->deleted, admin).code, outlives ? 0 : 5) << "deleted";
        EXPECT_EQ(call(m, world_->random(), admin).code, 5) << "random";
    }
}

/* What no descriptor names is not there, whoever asks. */
TEST_F(Matrix, DeniedByDefault)
{
    const Metadata admin = {{"x-api-key", world_->admin}};
    for (const char *path : {"/luna.v1.QuotaService/Nothing", "/luna.v1.NoService/Get",
                             "/luna.v1.QuotaService/getAccount", "/"})
        EXPECT_EQ(unary(*world_->channel, path, "", admin).code, 12) << path;
}
