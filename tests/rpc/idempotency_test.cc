/* Changes with an idempotency key happen once: in a storm, over a kill at each point, over expiry.
 */
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "gate_support.h"
#include "luna/v1/counts.pb-c.h"
#include "luna/v1/quota.pb-c.h"
#include "support/stores.h"

namespace
{
/* A connection of its own, that may hold locks. */
class Session
{
  public:
    explicit Session(const std::string &db) : conn_(PQconnectdb(pg().url(db).c_str()))
    {
    }
    ~Session()
    {
        PQfinish(conn_);
    }
    Session(const Session &) = delete;
    void exec(const std::string &sql)
    {
        PQclear(PQexec(conn_, sql.c_str()));
    }

  private:
    PGconn *conn_;
};

std::string
create_account(const std::string &name, int64_t limit = 5, const std::string &request_id = "")
{
    Luna__V1__CreateAccountRequest r = LUNA__V1__CREATE_ACCOUNT_REQUEST__INIT;
    r.account_name = const_cast<char *>(name.c_str());
    r.request_id = const_cast<char *>(request_id.c_str());
    r.quota_limit_presence_case =
        LUNA__V1__CREATE_ACCOUNT_REQUEST__QUOTA_LIMIT_PRESENCE_QUOTA_LIMIT;
    r.quota_limit = limit;
    return bytes_of(&r.base);
}

std::string
create_key(int64_t account)
{
    Luna__V1__CreateApiKeyRequest r = LUNA__V1__CREATE_API_KEY_REQUEST__INIT;
    r.account_id = account;
    return bytes_of(&r.base);
}

std::string
create_space(const std::string &name)
{
    Luna__V1__CreateSpaceRequest r = LUNA__V1__CREATE_SPACE_REQUEST__INIT;
    r.name = const_cast<char *>(name.c_str());
    return bytes_of(&r.base);
}

Metadata
with_key(const std::string &credentials, const std::string &key)
{
    Metadata md = bearer(credentials);
    md.emplace_back("idempotency-key", key);
    return md;
}

bool
replayed(const Outcome &o)
{
    return o.headers.count("idempotency-replayed") == 1;
}

/* How many rows `what` has. */
int64_t
count(const std::string &db, const std::string &what)
{
    return std::stoll(pg().value(db, "SELECT count(*) FROM " + what));
}

const std::string kCreateAccount = std::string(kQuota) + "CreateAccount";
const std::string kCreateApiKey = std::string(kQuota) + "CreateApiKey";
const std::string kCreateSpace = "/luna.v1.CountsService/CreateSpace";
const std::string kDeleteSpace = "/luna.v1.CountsService/DeleteSpace";
} // namespace

TEST(Idempotency, TheFirstAnswerAgain)
{
    luna_server server(pg(), redis(), "again");
    std::string admin = server.create_account("root", true);
    std::string other = server.create_account("other", true);
    server.start();
    Channel ch(server.target());

    Outcome first = unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k 1"));
    EXPECT_EQ(first.code, 3) << "a space is no character of a key";
    first = unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k-1"));
    ASSERT_EQ(first.code, 0) << first.message;
    EXPECT_FALSE(replayed(first));
    for (int i = 0; i < 8; i++) { /* on each reactor */
        Outcome again = unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k-1"));
        ASSERT_EQ(again.code, 0) << again.message;
        EXPECT_EQ(again.body, first.body);
        EXPECT_TRUE(replayed(again));
    }
    EXPECT_EQ(count("again", "account WHERE account_name = 'ann'"), 1);

    /* Another request, another method, too long a key. */
    Outcome o = unary(ch, kCreateAccount, create_account("bob"), with_key(admin, "k-1"));
    EXPECT_EQ(o.code, 3);
    EXPECT_TRUE(has(o.message, "idempotency-key was used for another request")) << o.message;
    EXPECT_EQ(unary(ch, kCreateApiKey, create_key(1), with_key(admin, "k-1")).code, 3);
    o = unary(ch, kCreateAccount, create_account("bob"), with_key(admin, std::string(129, 'k')));
    EXPECT_EQ(o.code, 3);
    EXPECT_EQ(count("again", "account WHERE account_name = 'bob'"), 0);

    /* Another account's key of that text is another key. */
    o = unary(ch, kCreateAccount, create_account("bob"), with_key(other, "k-1"));
    EXPECT_EQ(o.code, 0) << o.message;
    EXPECT_NE(o.body, first.body);

    /* The field is the same as the header. */
    first = unary(ch, kCreateAccount, create_account("cid", 7, "r-1"), bearer(admin));
    ASSERT_EQ(first.code, 0) << first.message;
    o = unary(ch, kCreateAccount, create_account("cid", 7, "r-1"), with_key(admin, "r-1"));
    EXPECT_EQ(o.body, first.body);
    o = unary(ch, kCreateAccount, create_account("cid", 7, "r-1"), with_key(admin, "r-2"));
    EXPECT_EQ(o.code, 3);
    EXPECT_TRUE(has(o.message, "request_id")) << o.message;
    o = unary(ch, kCreateAccount, create_account("cid", 8, "r-1"), bearer(admin));
    EXPECT_EQ(o.code, 3);

    /* A failure is not kept: the key is free again. */
    o = unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k-2"));
    EXPECT_EQ(o.code, 6);
    o = unary(ch, kCreateAccount, create_account("dan"), with_key(admin, "k-2"));
    EXPECT_EQ(o.code, 0) << o.message;

    /* Who has no key is not concerned; a stream refuses one. */
    EXPECT_EQ(unary(ch, kCreateAccount, create_account("dan"), bearer(admin)).code, 6);
    Call call(ch, "/luna.v1.CountsService/UploadReadings", with_key(admin, "k-3"));
    EXPECT_EQ(call.finish().code, 3);
}

TEST(Idempotency, TheDatabaseTellsNeitherKeyNorAnswer)
{
    luna_server server(pg(), redis(), "sealed");
    std::string admin = server.create_account("root", true);
    server.start();
    Channel ch(server.target());
    Outcome first = unary(ch, kCreateApiKey, create_key(1), with_key(admin, "very-own-key"));
    ASSERT_EQ(first.code, 0) << first.message;
    Answer<Luna__V1__CreateApiKeyResponse> made(first,
                                                &luna__v1__create_api_key_response__descriptor);
    std::string row =
        pg().value("sealed", "SELECT string_agg(encode(key_hash || request_hash || answer, "
                             "'escape'), '') FROM idempotent_call");
    EXPECT_GT(row.size(), first.body.size());
    EXPECT_FALSE(has(row, "very-own-key"));
    EXPECT_FALSE(has(row, made->key));
    EXPECT_FALSE(has(row, std::string(made->key).substr(5, 32)));
    /* A row that was tampered with is not believed. */
    pg().exec("sealed", "UPDATE idempotent_call SET answer = "
                        "set_byte(answer, 19, get_byte(answer, 19) # 255)");
    Outcome o = unary(ch, kCreateApiKey, create_key(1), with_key(admin, "very-own-key"));
    EXPECT_EQ(o.code, 13);
}

TEST(Idempotency, FiftyAtOnceAreOne)
{
    luna_server server(pg(), redis(), "fifty");
    std::string admin = server.create_account("root", true);
    server.start();
    struct {
        std::string path, request, rows;
    } const works[] = {
        {kCreateApiKey, create_key(1), "api_key"},
        {kCreateSpace, create_space("hall"), "counts_space"},
    };
    for (const auto &w : works) {
        int64_t before = count("fifty", w.rows);
        std::atomic<int> ok{0}, in_use{0}, odd{0};
        std::set<std::string> bodies;
        std::mutex lock;
        std::vector<std::thread> threads;
        for (int i = 0; i < 50; i++)
            threads.emplace_back([&] {
                Channel ch(server.target());
                Outcome o = unary(ch, w.path, w.request, with_key(admin, "one"), 60000);
                (o.code == 0 ? ok : o.code == 10 ? in_use : odd)++;
                std::lock_guard<std::mutex> g(lock);
                if (o.code == 0)
                    bodies.insert(o.body);
            });
        for (auto &t : threads)
            t.join();
        EXPECT_GE(ok, 1) << w.path;
        EXPECT_EQ(odd, 0) << w.path;
        EXPECT_EQ(bodies.size(), 1u) << w.path;
        EXPECT_EQ(count("fifty", w.rows) - before, 1) << w.path;
        pg().exec("fifty", "DELETE FROM idempotent_call");
    }
}

TEST(Idempotency, AClaimBlocksWhileItsCallRunsAndWhenItsServerDied)
{
    luna_server server(pg(), redis(), "claim");
    std::string member = server.create_account("demo");
    server.start();
    Channel ch(server.target());
    ASSERT_EQ(unary(ch, kCreateSpace, create_space("hall"), bearer(member)).code, 0);
    Luna__V1__DeleteSpaceRequest r = LUNA__V1__DELETE_SPACE_REQUEST__INIT;
    r.space_id = std::stoll(pg().value("claim", "SELECT space_id FROM counts_space"));
    const std::string request = bytes_of(&r.base);

    /* The space is locked, so that its deletion waits. */
    Session holder("claim");
    holder.exec("BEGIN; SELECT FROM counts_space FOR UPDATE");
    std::thread waiting([&] {
        Channel own(server.target());
        (void)unary(own, kDeleteSpace, request, with_key(member, "gone"), 20000);
    });
    ASSERT_TRUE(eventually([] { return count("claim", "idempotent_call") == 1; }));
    Outcome o = unary(ch, kDeleteSpace, request, with_key(member, "gone"));
    EXPECT_EQ(o.code, 10) << o.message;
    EXPECT_TRUE(has(o.trailers["grpc-status-details-bin"], "IDEMPOTENCY_KEY_IN_USE"));
    server.stop(SIGKILL);
    waiting.join();
    holder.exec("COMMIT");

    /* What became of it is not known, so it is not done again. */
    server.start();
    Channel after(server.target());
    o = unary(after, kDeleteSpace, request, with_key(member, "gone"));
    EXPECT_EQ(o.code, 10) << o.message;
    EXPECT_NE(unary(after, kDeleteSpace, request, with_key(member, "new")).code, 10);
    EXPECT_EQ(count("claim", "counts_space"), 0);
}

/* Dies at a random moment; the same request again, until it is answered: once in the end. */
TEST(Idempotency, KilledAtAnyMomentItIsDoneOnce)
{
    luna_server server(pg(), redis(), "killed");
    std::string admin = server.create_account("root", true);
    std::mt19937 random(20261129);
    int answered_before = 0;
    for (int round = 0; round < 12; round++) {
        const std::string name = "round " + std::to_string(round);
        const Metadata md = with_key(admin, "key-" + std::to_string(round));
        server.start();
        std::string target = server.target();
        Outcome first;
        std::thread caller([&] {
            Channel ch(target);
            first = unary(ch, kCreateAccount, create_account(name), md, 20000);
        });
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
        server.stop(SIGKILL);
        caller.join();
        server.start();
        Channel ch(target);
        Outcome again = unary(ch, kCreateAccount, create_account(name), md);
        for (int i = 0; i < 100 && again.code == 10; i++) { /* Postgres has yet to notice */
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            again = unary(ch, kCreateAccount, create_account(name), md);
        }
        EXPECT_EQ(again.code, 0) << name << ": " << again.message;
        if (first.code == 0) {
            EXPECT_EQ(again.body, first.body);
            answered_before++;
        }
        EXPECT_EQ(count("killed", "account WHERE account_name = '" + name + "'"), 1);
        server.stop();
    }
    RecordProperty("answered_before_the_kill", answered_before);
}

#ifdef LUNA_FAILPOINTS
/* The two moments that matter, each exactly. */
TEST(Idempotency, KilledBetweenEffectAndAnswer)
{
    for (const std::string point : {"idempotency_done", "idempotency_kept"}) {
        const std::string db = "at_" + point;
        luna_server server(pg(), redis(), db);
        std::string admin = server.create_account("root", true);
        luna_server dying(server, {{"LUNA_FAILPOINTS", point + "=1"}});
        dying.start();
        {
            Channel ch(dying.target());
            EXPECT_EQ(unary(ch, kCreateApiKey, create_key(1), with_key(admin, "k")).code, 14);
        }
        EXPECT_EQ(WTERMSIG(dying.stop()), SIGKILL);
        EXPECT_EQ(count(db, "api_key"), point == "idempotency_kept" ? 2 : 1);
        server.start();
        Channel ch(server.target());
        Outcome o;
        EXPECT_TRUE(eventually([&] {
            o = unary(ch, kCreateApiKey, create_key(1), with_key(admin, "k"));
            return o.code != 10;
        }));
        EXPECT_EQ(o.code, 0) << o.message;
        EXPECT_EQ(replayed(o), point == "idempotency_kept");
        EXPECT_EQ(count(db, "api_key"), 2);
        Answer<Luna__V1__CreateApiKeyResponse> made(o,
                                                    &luna__v1__create_api_key_response__descriptor);
        Channel other(server.target());
        EXPECT_EQ(unary(other, std::string(kQuota) + "GetAccount", "", bearer(made->key)).code, 0)
            << "the key that was answered works";
    }
}
#endif

TEST(Idempotency, KeysExpire)
{
    luna_server server(pg(), redis(), "expiry", {{"LUNA_IDEMPOTENCY_KEEP", "300ms"}});
    std::string admin = server.create_account("root", true);
    server.start();
    Channel ch(server.target());
    ASSERT_EQ(unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k")).code, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    Outcome o = unary(ch, kCreateAccount, create_account("ann"), with_key(admin, "k"));
    EXPECT_EQ(o.code, 6) << "it was done again, and the name is taken";
    o = unary(ch, kCreateAccount, create_account("bob"), with_key(admin, "k"));
    EXPECT_EQ(o.code, 0) << o.message;
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_EQ(unary(ch, kCreateAccount, create_account("cid"), with_key(admin, "l")).code, 0);
    EXPECT_EQ(count("expiry", "idempotent_call"), 1) << "expired rows are cleared away";
}

/* An answer that is given again is not paid for again. */
TEST(Idempotency, AReplayCostsNothing)
{
    luna_server server(pg(), redis(), "cost");
    std::string member = server.create_account("demo", false, 10);
    server.start();
    Channel ch(server.target());
    const std::string path = "/luna.v1.KalmanService/CreateFilter";
    Luna__V1__StructuralModel level = LUNA__V1__STRUCTURAL_MODEL__INIT;
    Luna__V1__Model model = LUNA__V1__MODEL__INIT;
    Luna__V1__CreateFilterRequest r = LUNA__V1__CREATE_FILTER_REQUEST__INIT;
    Google__Protobuf__DoubleValue one = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
    one.value = 1;
    level.observation_variance = level.level_variance = &one;
    model.kind_case = LUNA__V1__MODEL__KIND_STRUCTURAL;
    model.structural = &level;
    r.model = &model;
    Outcome first = unary(ch, path, bytes_of(&r.base), with_key(member, "f"));
    ASSERT_EQ(first.code, 0) << first.message;
    EXPECT_EQ(first.headers.count("ratelimit") + first.trailers.count("ratelimit"), 1u);
    Outcome again = unary(ch, path, bytes_of(&r.base), with_key(member, "f"));
    EXPECT_EQ(again.body, first.body);
    Luna__V1__GetUsageRequest usage = LUNA__V1__GET_USAGE_REQUEST__INIT;
    Answer<Luna__V1__GetUsageResponse> used(
        unary(ch, std::string(kQuota) + "GetUsage", bytes_of(&usage.base), bearer(member)),
        &luna__v1__get_usage_response__descriptor);
    EXPECT_EQ(used->quota_used, 1);
}
