/* Accounts and keys on a real Postgres, as the server's role. */
#include "support/pg_db_test.h"

extern "C" {
#include "base/config.h"
#include "edge/list.h"
#include "quota/api_key.h"
#include "quota/quota.h"
}

namespace
{
const char secret[] = "a secret of sixteen bytes or more";

class quota : public testing::Test
{
  protected:
    std::string database;

    void SetUp() override
    {
        static int n;
        database = migrated_database(pg(), "quota" + std::to_string(n++));
        struct config cfg = {};
        cfg.key_secret = secret;
        cfg.anonymous_account = "demo";
        char err[200];
        ASSERT_TRUE(quota_open(&cfg, err, sizeof(err))) << err;
    }

    void TearDown() override
    {
        quota_close();
    }

    void run_as(const char *user, const std::function<void(struct ctx *)> &body)
    {
        db_setup setup;
        setup.url = pg().url(database, user);
        setup.sql = {&quota_sql};
        with_db(setup, [&](struct ctx *ctx) {
            quota_attach(ctx->reactor);
            ASSERT_EQ(fiber_sleep(ctx, MSEC(100)), OK); /* until it listens for changes of keys */
            body(ctx);
            quota_detach(ctx->reactor);
        });
    }

    void run(const std::function<void(struct ctx *)> &body)
    {
        run_as("luna_app", body);
    }

    std::string sql(const std::string &text)
    {
        return pg().value(database, text);
    }

    /* The key that `luna-server admin create-account` prints, or "!REASON". */
    std::string create(const char *name, bool admin = false, bool if_missing = false)
    {
        std::string key;
        run_as("postgres", [&](struct ctx *ctx) {
            char *text = nullptr;
            size_t n = 0;
            FILE *out = open_memstream(&text, &n);
            enum status st = quota_admin_create_account(ctx, name, admin, if_missing, out);
            fclose(out);
            std::string printed = text;
            free(text);
            size_t at = printed.find("key: ");
            if (st == OK)
                key = printed.substr(at + 5, printed.size() - at - 6);
            else
                key = std::string("!") + reason_info(ctx->error.reason)->token;
        });
        return key;
    }
};

/* "account/role", or "!REASON". */
std::string
who(struct ctx *ctx, const std::string &token, bool may_look_up = true)
{
    struct identity id = {};
    fail_clear(ctx);
    if (quota_authenticate(ctx, {token.data(), token.size()}, may_look_up, &id) != OK) {
        std::string why = std::string("!") + reason_info(ctx->error.reason)->token;
        fail_clear(ctx);
        return why;
    }
    return std::to_string(id.account_id) + "/" + std::to_string(id.role) +
           (id.scopes ? std::string("/") + id.scopes : "");
}

uint64_t
statements(const struct ctx *ctx)
{
    return stats_of(ctx).statements;
}
} // namespace

TEST_F(quota, a_short_secret_is_refused)
{
    struct config cfg = {};
    cfg.key_secret = "fifteen bytes..";
    char err[200];
    EXPECT_FALSE(quota_open(&cfg, err, sizeof(err)));
    EXPECT_NE(std::string(err).find("LUNA_KEY_SECRET"), std::string::npos);
    EXPECT_EQ(std::string(err).find("fifteen"), std::string::npos);
}

TEST_F(quota, statements_fit_the_schema)
{
    struct db_options opt = {};
    std::string url = pg().url(database, "luna_app");
    const struct db_sql *all[] = {&quota_sql};
    opt.url = url.c_str();
    opt.connections = 1;
    opt.timeout = SEC(5);
    opt.sql = all;
    opt.n_sql = 1;
    struct db *db = db_open(&opt);
    char err[500] = "";
    EXPECT_EQ(db_check(db, SEC(5), err, sizeof(err)), DB_CHECK_OK) << err;
    db_close(db);
}

TEST_F(quota, create_account)
{
    std::string key = create("demo");
    ASSERT_EQ(key.substr(0, 5), "luna_");
    EXPECT_EQ(create("demo"), "!ACCOUNT_EXISTS");
    std::string second = create("demo", false, true);
    EXPECT_NE(second, key);
    EXPECT_EQ(create("root", true).substr(0, 5), "luna_");
    EXPECT_EQ(create(""), "!BAD_FIELD");
    EXPECT_EQ(create(std::string(101, 'x').c_str()), "!BAD_FIELD");
    EXPECT_EQ(create("\xff"), "!BAD_FIELD");
    std::string hundred;
    for (int i = 0; i < 100; i++)
        hundred += "\xc3\xa4"; /* characters, not bytes */
    EXPECT_EQ(create(hundred.c_str()).substr(0, 5), "luna_");
    EXPECT_EQ(sql("SELECT count(*) FROM account"), "3");
    EXPECT_EQ(sql("SELECT quota_limit || '/' || quota_used FROM account LIMIT 1"), "500/0");
    EXPECT_EQ(sql("SELECT string_agg(role, ',' ORDER BY key_id) FROM api_key"),
              "member,member,admin,member");
    EXPECT_EQ(sql("SELECT key_prefix FROM api_key ORDER BY key_id LIMIT 1"), key.substr(0, 13));
    /* The key itself is nowhere. */
    EXPECT_EQ(
        sql("SELECT count(*) FROM api_key k WHERE k::text LIKE '%" + key.substr(5, 32) + "%'"),
        "0");
    run([&](struct ctx *ctx) {
        EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(who(ctx, second), "1/2");
    });
}

TEST_F(quota, authenticate)
{
    std::string key = create("demo");
    std::string admin = create("root", true);
    run([&](struct ctx *ctx) {
        EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(who(ctx, admin), "2/3");
        EXPECT_EQ(who(ctx, key.substr(5, 32)), "1/2"); /* the bare form of the same key */
        EXPECT_EQ(who(ctx, "f47ac10b-58cc-4372-a567-0e02b2c3d479"), "!BAD_CREDENTIALS");
    });
    EXPECT_EQ(
        sql("UPDATE api_key SET scopes = '{kalman.read,quota}', role = 'device' WHERE key_id = "
            "1 RETURNING 1"),
        "1");
    run([&](struct ctx *ctx) { EXPECT_EQ(who(ctx, key), "1/1/kalman.read quota"); });
}

TEST_F(quota, keys_in_use_cost_no_queries)
{
    std::string key = create("demo");
    run([&](struct ctx *ctx) {
        EXPECT_EQ(who(ctx, key), "1/2");
        uint64_t before = statements(ctx);
        for (int i = 0; i < 1000; i++)
            EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(statements(ctx), before);
    });
}

TEST_F(quota, wrong_keys_cost_one_query_or_none)
{
    std::string key = create("demo");
    run([&](struct ctx *ctx) {
        std::string typo = key;
        typo[20] = typo[20] == 'a' ? 'b' : 'a';
        uint64_t before = statements(ctx);
        EXPECT_EQ(who(ctx, typo), "!BAD_CREDENTIALS");
        EXPECT_EQ(who(ctx, ""), "!BAD_CREDENTIALS");
        EXPECT_EQ(statements(ctx), before);
        for (int i = 0; i < 100; i++)
            EXPECT_EQ(who(ctx, "f47ac10b-58cc-4372-a567-0e02b2c3d479"), "!BAD_CREDENTIALS");
        EXPECT_EQ(statements(ctx), before + 1);
        /* An address that failed too often: only what is known already. */
        before = statements(ctx);
        EXPECT_EQ(who(ctx, key, false), "!RATE_LIMITED");
        EXPECT_EQ(who(ctx, "00000000-58cc-4372-a567-0e02b2c3d479", false), "!RATE_LIMITED");
        EXPECT_EQ(statements(ctx), before);
        EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(who(ctx, key, false), "1/2");
    });
}

TEST_F(quota, revoked_and_expired)
{
    std::string revoked = create("a");
    std::string expired = create("b");
    std::string ends = create("c");
    std::string deleted = create("d");
    pg().exec(database,
              "UPDATE api_key SET revoked_at = now() WHERE account_id = 1;"
              "UPDATE api_key SET expires_at = now() WHERE account_id = 2;"
              "UPDATE api_key SET expires_at = now() + interval '1 s' WHERE account_id = 3");
    run([&](struct ctx *ctx) {
        EXPECT_EQ(who(ctx, revoked), "!BAD_CREDENTIALS");
        EXPECT_EQ(who(ctx, expired), "!EXPIRED_CREDENTIALS");
        EXPECT_EQ(who(ctx, deleted), "4/2");
        EXPECT_EQ(who(ctx, ends), "3/2");
        ASSERT_EQ(fiber_sleep(ctx, MSEC(1100)), OK);
        EXPECT_EQ(who(ctx, ends), "!EXPIRED_CREDENTIALS"); /* at its time, not at the next look */
        pg().exec(database, "DELETE FROM account WHERE account_id = 4");
        ASSERT_EQ(fiber_sleep(ctx, QUOTA_KEY_TTL), OK);
        EXPECT_EQ(who(ctx, deleted), "!BAD_CREDENTIALS");
    });
}

TEST_F(quota, a_key_in_use_survives_a_short_absence)
{
    std::string key = create("demo");
    db_setup setup;
    setup.url = pg().url(database, "luna_app");
    setup.sql = {&quota_sql};
    setup.timeout = MSEC(200);
    with_db(setup, [&](struct ctx *ctx) {
        quota_attach(ctx->reactor);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(200)), OK); /* until it listens */
        EXPECT_EQ(who(ctx, key), "1/2");
        ASSERT_EQ(fiber_sleep(ctx, QUOTA_KEY_TTL / 2 + MSEC(10)), OK);
        pg().stop(SIGQUIT);
        EXPECT_EQ(who(ctx, key), "1/2"); /* could not be read again, and is good until its time */
        EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(who(ctx, "f47ac10b-58cc-4372-a567-0e02b2c3d479"), "!DB_UNAVAILABLE");
        ASSERT_EQ(fiber_sleep(ctx, QUOTA_KEY_TTL / 2), OK);
        EXPECT_EQ(who(ctx, key), "!DB_UNAVAILABLE");
        pg().start();
        ctx->deadline = clock_now() + SEC(20);
        EXPECT_EQ(db_wait_healthy(ctx), OK);
        EXPECT_EQ(who(ctx, key), "1/2");
        quota_detach(ctx->reactor);
    });
}

TEST_F(quota, many_at_once_with_a_new_key)
{
    std::string key = create("demo");
    run([&](struct ctx *ctx) {
        fibers all(ctx);
        int good = 0;
        for (int i = 0; i < 100; i++)
            all.spawn([&](struct ctx *mine) { good += who(mine, key) == "1/2"; });
        all.join();
        EXPECT_EQ(good, 100);
    });
}

TEST_F(quota, anonymous)
{
    run([&](struct ctx *ctx) {
        struct identity id = {};
        EXPECT_EQ(quota_anonymous(ctx, &id), UNAUTHENTICATED);
        EXPECT_EQ(ctx->error.reason, REASON_NO_CREDENTIALS);
        EXPECT_NE(std::string(ctx->error.detail).find("demo"), std::string::npos);
        EXPECT_EQ(std::string(ctx->error.message).find("demo"), std::string::npos);
    });
    create("demo");
    run([&](struct ctx *ctx) {
        struct identity id = {};
        ASSERT_EQ(quota_anonymous(ctx, &id), OK);
        uint64_t before = statements(ctx);
        ASSERT_EQ(quota_anonymous(ctx, &id), OK);
        EXPECT_EQ(statements(ctx), before);
        EXPECT_EQ(id.account_id, 1);
        EXPECT_EQ(id.role, ROLE_MEMBER);
        EXPECT_TRUE(id.anonymous);
    });
}

TEST_F(quota, account_of_the_caller_and_of_others)
{
    create("demo");
    create("other");
    run([&](struct ctx *ctx) {
        struct account a = {};
        act_as(ctx, 1);
        ASSERT_EQ(quota_account(ctx, 0, &a), OK);
        EXPECT_EQ(a.account_id, 1);
        EXPECT_STREQ(a.account_name, "demo");
        EXPECT_EQ(a.quota_limit, 500);
        EXPECT_EQ(a.quota_used, 0);
        EXPECT_NEAR(static_cast<double>(a.created_at), static_cast<double>(clock_wall_us()), 60e6);
        ASSERT_EQ(quota_account(ctx, 1, &a), OK);
        EXPECT_EQ(quota_account(ctx, 2, &a), NOT_FOUND);
        fail_clear(ctx);
        EXPECT_EQ(quota_account(ctx, -1, &a), NOT_FOUND);
        fail_clear(ctx);
        act_as(ctx, 1, ROLE_ADMIN);
        ASSERT_EQ(quota_account(ctx, 2, &a), OK);
        EXPECT_STREQ(a.account_name, "other");
        EXPECT_EQ(quota_account(ctx, 99, &a), NOT_FOUND);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_NOT_FOUND);
    });
}

TEST_F(quota, last_use_is_written_to_the_minute)
{
    std::string key = create("demo");
    run([&](struct ctx *ctx) {
        EXPECT_EQ(who(ctx, key), "1/2");
        EXPECT_EQ(sql("SELECT last_used_at FROM api_key"), "");
        std::string at;
        for (int i = 0; i < 80 && at.empty(); i++) {
            ASSERT_EQ(fiber_sleep(ctx, MSEC(100)), OK);
            at = sql("SELECT extract(second FROM last_used_at)::int FROM api_key");
        }
        /* What is written is seen before its fiber is answered, which must end before we do. */
        ASSERT_EQ(fiber_sleep(ctx, MSEC(100)), OK);
        EXPECT_EQ(at, "0");
        EXPECT_EQ(sql("SELECT now() - last_used_at < interval '80 s' FROM api_key"), "t");
    });
}

TEST_F(quota, accounts_are_made_listed_changed_and_deleted)
{
    std::string key = create("demo");
    run([&](struct ctx *ctx) {
        struct account a = {};
        act_as(ctx, 1, ROLE_ADMIN);
        ASSERT_EQ(quota_create(ctx, "second", 7, &a), OK);
        EXPECT_EQ(a.quota_limit, 7);
        EXPECT_EQ(quota_create(ctx, "second", 7, &a), ALREADY_EXISTS);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_EXISTS);
        fail_clear(ctx);

        struct account *all = nullptr;
        size_t n = 0;
        const char *next = nullptr;
        struct list_request list = {};
        list.normal = list.most = 10;
        ASSERT_EQ(quota_list(ctx, &list, &all, &n, &next), OK);
        ASSERT_EQ(n, 2u);
        EXPECT_STREQ(all[1].account_name, "second");
        list.page_size = 1;
        ASSERT_EQ(quota_list(ctx, &list, &all, &n, &next), OK);
        ASSERT_EQ(n, 1u);
        list.page_token = next;
        ASSERT_EQ(quota_list(ctx, &list, &all, &n, &next), OK) << failure(ctx);
        ASSERT_EQ(n, 1u);
        EXPECT_STREQ(all[0].account_name, "second");
        EXPECT_STREQ(next, "");

        struct account_change change = {};
        change.account_id = a.account_id;
        change.account_name = "renamed";
        change.has_updated_at = true;
        ASSERT_TRUE(quota_etag_parse(quota_etag(ctx->arena, a.updated_at), &change.updated_at));
        struct account b = {};
        ASSERT_EQ(quota_update(ctx, &change, &b), OK);
        EXPECT_STREQ(b.account_name, "renamed");
        EXPECT_EQ(b.quota_limit, 7);
        EXPECT_GT(b.updated_at, a.updated_at);
        EXPECT_EQ(quota_update(ctx, &change, &b), FAILED_PRECONDITION); /* the etag is used up */
        EXPECT_EQ(ctx->error.reason, REASON_CHANGED_MEANWHILE);
        fail_clear(ctx);
        change = {};
        change.account_id = a.account_id;
        change.has_quota_limit = true;
        change.quota_limit = 0;
        ASSERT_EQ(quota_update(ctx, &change, &b), OK);
        EXPECT_EQ(b.quota_limit, 0);
        EXPECT_STREQ(b.account_name, "renamed");
        change.account_id = 99;
        EXPECT_EQ(quota_update(ctx, &change, &b), NOT_FOUND);
        fail_clear(ctx);
        change.account_id = a.account_id;
        change.account_name = "demo";
        EXPECT_EQ(quota_update(ctx, &change, &b), ALREADY_EXISTS);
        fail_clear(ctx);

        EXPECT_EQ(quota_delete(ctx, 1, true, 0), FAILED_PRECONDITION); /* his own */
        fail_clear(ctx);
        struct key_request req = {};
        req.account_id = a.account_id;
        req.name = "k";
        req.role = ROLE_DEVICE;
        struct api_key made = {};
        const char *secret_text = nullptr;
        ASSERT_EQ(quota_key_create(ctx, &req, &made, &secret_text), OK);
        EXPECT_EQ(quota_delete(ctx, a.account_id, false, 0), FAILED_PRECONDITION);
        EXPECT_EQ(ctx->error.reason, REASON_IN_USE);
        EXPECT_NE(std::string(ctx->error.message).find("1 API key"), std::string::npos);
        fail_clear(ctx);
        ASSERT_EQ(quota_delete(ctx, a.account_id, true, 0), OK);
        EXPECT_EQ(quota_delete(ctx, a.account_id, true, 0), NOT_FOUND);
        fail_clear(ctx);
        EXPECT_EQ(sql("SELECT count(*) FROM api_key"), "1");
    });
}

TEST_F(quota, members_change_nothing)
{
    create("demo");
    create("other");
    run([&](struct ctx *ctx) {
        /* The interceptor refuses them first; the database does so as well. */
        struct account a = {};
        act_as(ctx, 1, ROLE_MEMBER);
        EXPECT_NE(quota_create(ctx, "mine", 1, &a), OK);
        fail_clear(ctx);
        struct account_change change = {};
        change.account_id = 1;
        change.has_quota_limit = true;
        change.quota_limit = 1000000;
        EXPECT_NE(quota_update(ctx, &change, &a), OK);
        fail_clear(ctx);
        EXPECT_NE(quota_delete(ctx, 2, true, 0), OK);
        fail_clear(ctx);
        struct account *all = nullptr;
        size_t n = 0;
        const char *next = nullptr;
        struct list_request list = {};
        list.normal = list.most = 10;
        ASSERT_EQ(quota_list(ctx, &list, &all, &n, &next), OK);
        EXPECT_EQ(n, 1u);
        struct api_key *keys = nullptr;
        ASSERT_EQ(quota_key_list(ctx, 0, &list, &keys, &n, &next), OK);
        EXPECT_EQ(n, 1u);
        EXPECT_EQ(quota_key_list(ctx, 2, &list, &keys, &n, &next), NOT_FOUND);
        fail_clear(ctx);
        EXPECT_EQ(sql("SELECT quota_limit FROM account WHERE account_id = 1"), "500");
        EXPECT_EQ(sql("SELECT count(*) FROM account"), "2");
    });
}

TEST_F(quota, keys_are_made_rotated_and_revoked)
{
    create("demo");
    run([&](struct ctx *ctx) {
        act_as(ctx, 1, ROLE_ADMIN);
        const char *scopes[] = {"kalman.read", "counts"};
        struct key_request req = {};
        req.name = "sensor";
        req.role = ROLE_DEVICE;
        req.scopes = scopes;
        req.scope_count = 2;
        struct api_key k = {};
        const char *first = nullptr;
        ASSERT_EQ(quota_key_create(ctx, &req, &k, &first), OK);
        EXPECT_STREQ(k.role, "device");
        EXPECT_EQ(k.scopes.n, 2u);
        EXPECT_FALSE(k.has_expires_at);
        EXPECT_EQ(who(ctx, first), "1/1/kalman.read counts");

        struct api_key r = {};
        const char *second = nullptr;
        ASSERT_EQ(quota_key_rotate(ctx, 1, k.key_id, 2, 0, &r, &second), OK);
        EXPECT_EQ(r.key_id, k.key_id);
        EXPECT_EQ(r.created_at, k.created_at);
        EXPECT_TRUE(r.has_previous_expires_at);
        EXPECT_STRNE(first, second);
        EXPECT_EQ(who(ctx, first), "1/1/kalman.read counts"); /* both work */
        EXPECT_EQ(who(ctx, second), "1/1/kalman.read counts");
        ASSERT_EQ(fiber_sleep(ctx, MSEC(2100)), OK);
        EXPECT_EQ(who(ctx, first), "!EXPIRED_CREDENTIALS");
        EXPECT_EQ(who(ctx, second), "1/1/kalman.read counts");

        const char *third = nullptr;
        ASSERT_EQ(quota_key_rotate(ctx, 1, k.key_id, 0, 0, &r, &third), OK);
        EXPECT_FALSE(r.has_previous_expires_at);
        ASSERT_EQ(fiber_sleep(ctx, MSEC(300)), OK); /* the notification, not the five seconds */
        EXPECT_EQ(who(ctx, second), "!BAD_CREDENTIALS");
        EXPECT_EQ(who(ctx, third), "1/1/kalman.read counts");

        ASSERT_EQ(quota_key_revoke(ctx, 1, k.key_id, 0, &r), OK);
        usec_t at = r.revoked_at;
        ASSERT_EQ(fiber_sleep(ctx, MSEC(300)), OK);
        EXPECT_EQ(who(ctx, third), "!BAD_CREDENTIALS");
        ASSERT_EQ(quota_key_revoke(ctx, 1, k.key_id, 0, &r), OK);
        EXPECT_EQ(r.revoked_at, at);
        EXPECT_EQ(quota_key_rotate(ctx, 1, k.key_id, 0, 0, &r, &third), NOT_FOUND);
        EXPECT_EQ(ctx->error.reason, REASON_API_KEY_NOT_FOUND);
        fail_clear(ctx);
        EXPECT_EQ(quota_key_revoke(ctx, 1, 99, 0, &r), NOT_FOUND);
        fail_clear(ctx);
    });
}

TEST_F(quota, wrong_keys_are_not_made)
{
    create("demo");
    run([&](struct ctx *ctx) {
        act_as(ctx, 1, ROLE_ADMIN);
        struct key_request req = {};
        req.name = "";
        req.role = ROLE_MEMBER;
        req.has_expires_at = true;
        req.expires_at = clock_wall_us() - 1;
        struct api_key k = {};
        const char *text = nullptr;
        EXPECT_EQ(quota_key_create(ctx, &req, &k, &text), INVALID_ARGUMENT);
        EXPECT_STREQ(ctx->error.message, "expires_at is not in the future");
        fail_clear(ctx);
        req = {};
        req.name = "k";
        req.role = ROLE_MEMBER;
        req.account_id = 99;
        EXPECT_EQ(quota_key_create(ctx, &req, &k, &text), NOT_FOUND);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_NOT_FOUND);
        fail_clear(ctx);
    });
}
