/* Row-level security alone: statements that name no account, as if the application forgot its
 * filter. */
#include "support/pg_db_test.h"

extern "C" {
#include "tests/unit/db/rls_test.sql.h"
#include "unit/db/rls_rows.h"
}

static db_setup
accounts_database()
{
    static int n;
    const std::string name = migrated_database(pg(), "r" + std::to_string(++n));
    pg().exec(name, R"(
        INSERT INTO account (account_name) VALUES ('one'), ('two'), ('three');
        INSERT INTO api_key (account_id, key_hash, key_prefix, role, scopes)
        SELECT a, decode(repeat('0' || a, 32), 'hex'), 'luna_' || a, 'member', ARRAY['read', 'write']
        FROM generate_series(1, 3) a;
    )");
    db_setup setup;
    setup.url = pg().url(name, "luna_app");
    setup.sql = {&rls_test_sql};
    return setup;
}

static std::vector<int64_t>
accounts_seen(struct ctx *ctx, const struct db_stmt *stmt = &sql_r_accounts)
{
    struct r_account *rows = nullptr;
    size_t n = 0;
    std::vector<int64_t> seen;
    EXPECT_EQ(db_many(ctx, stmt, DB_NO_ARGS, &rows, &n), OK) << failure(ctx);
    for (size_t i = 0; i < n; i++)
        seen.push_back(rows[i].account_id);
    return seen;
}

static std::vector<int64_t>
keys_seen(struct ctx *ctx)
{
    struct db_int8_value *rows = nullptr;
    size_t n = 0;
    std::vector<int64_t> seen;
    EXPECT_EQ(db_many(ctx, &sql_r_keys, DB_NO_ARGS, &rows, &n), OK) << failure(ctx);
    for (size_t i = 0; i < n; i++)
        seen.push_back(rows[i].value);
    return seen;
}

typedef std::vector<int64_t> ids;

TEST(rls, an_account_sees_its_own_rows_alone)
{
    with_db(accounts_database(), [](struct ctx *ctx) {
        for (enum role role : {ROLE_MEMBER, ROLE_DEVICE}) {
            for (int64_t account = 1; account <= 3; account++) {
                act_as(ctx, account, role);
                EXPECT_EQ(accounts_seen(ctx), ids{account});
                EXPECT_EQ(keys_seen(ctx), ids{account});
            }
        }
        act_as(ctx, 99);
        EXPECT_EQ(accounts_seen(ctx), ids{});
    });
}

TEST(rls, nobody_sees_nothing)
{
    with_db(accounts_database(), [](struct ctx *ctx) {
        act_as(ctx, 0, ROLE_NONE);
        EXPECT_EQ(accounts_seen(ctx), ids{});
        EXPECT_EQ(keys_seen(ctx), ids{});
        act_as(ctx, 1, ROLE_ADMIN);
        EXPECT_EQ(accounts_seen(ctx, &sql_r_accounts_system), ids{})
            << "system is nobody, not everybody";
    });
}

TEST(rls, an_admin_sees_all_and_a_member_can_not)
{
    with_db(accounts_database(), [](struct ctx *ctx) {
        act_as(ctx, 1, ROLE_ADMIN);
        EXPECT_EQ(accounts_seen(ctx), (ids{1, 2, 3}));
        EXPECT_EQ(keys_seen(ctx), (ids{1, 2, 3}));
        act_as(ctx, 1, ROLE_MEMBER);
        EXPECT_EQ(accounts_seen(ctx), ids{1}) << "on the very connection the admin has used";
    });
}

TEST(rls, callers_that_share_a_sync_do_not_share_sight)
{
    with_db(accounts_database(), [](struct ctx *ctx) {
        fibers all(ctx);
        const uint64_t syncs = stats_of(ctx).syncs;
        for (int i = 0; i < 60; i++) {
            all.spawn([i](struct ctx *c) {
                const int64_t account = 1 + i % 3;
                if (i % 10 == 9) {
                    act_as(c, account, ROLE_ADMIN);
                    EXPECT_EQ(accounts_seen(c), (ids{1, 2, 3}));
                } else if (i % 10 == 8) {
                    act_as(c, 0, ROLE_NONE);
                    EXPECT_EQ(accounts_seen(c), ids{});
                } else {
                    act_as(c, account);
                    EXPECT_EQ(accounts_seen(c), ids{account});
                }
            });
        }
        all.join();
        EXPECT_EQ(stats_of(ctx).syncs - syncs, 1u);
        EXPECT_LE(stats_of(ctx).identities, 7u)
            << "one for each caller, none for nobody before the first";
    });
}

TEST(rls, a_member_changes_nothing_of_others_or_of_plans)
{
    const db_setup setup = accounts_database();
    with_db(setup, [&](struct ctx *ctx) {
        const char hash[32] = {9};
        int64_t n = -1;
        act_as(ctx, 1);
        EXPECT_EQ(db_exec(ctx, &sql_r_raise_limit, DB_NO_ARGS, &n), OK);
        EXPECT_EQ(n, 0) << "not even its own";
        EXPECT_EQ(db_exec(ctx, &sql_r_delete_keys, DB_NO_ARGS, &n), OK);
        EXPECT_EQ(n, 0);
        for (int64_t victim : {1, 2}) {
            EXPECT_EQ(
                db_exec(ctx, &sql_r_steal, DB_ARGS(db_int8(victim), db_bytea(hash, 32)), NULL),
                INTERNAL);
            EXPECT_NE(failure(ctx).find("42501"), std::string::npos) << failure(ctx);
            fail_clear(ctx);
        }
        EXPECT_EQ(db_exec(ctx, &sql_r_insert_account, DB_ARGS(db_text("four")), NULL), INTERNAL);
        fail_clear(ctx);
        EXPECT_EQ(pg().value(name_of(setup), "SELECT sum(quota_limit) FROM account"), "1500");

        act_as(ctx, 1, ROLE_ADMIN);
        EXPECT_EQ(db_exec(ctx, &sql_r_insert_account, DB_ARGS(db_text("four")), NULL), OK)
            << failure(ctx);
        EXPECT_EQ(db_exec(ctx, &sql_r_insert_account, DB_ARGS(db_text("four")), NULL),
                  ALREADY_EXISTS);
        EXPECT_EQ(ctx->error.reason, REASON_ACCOUNT_EXISTS);
        fail_clear(ctx);
        EXPECT_EQ(db_exec(ctx, &sql_r_raise_limit, DB_NO_ARGS, &n), OK);
        EXPECT_EQ(n, 4);
    });
}

TEST(rls, a_key_is_found_by_its_hash_before_anybody_is_known)
{
    const db_setup setup = accounts_database();
    with_db(setup, [&](struct ctx *ctx) {
        char hash[32];
        struct r_key key = {};
        bool found = false;
        act_as(ctx, 0, ROLE_NONE);
        memset(hash, 2, sizeof(hash));
        ASSERT_EQ(db_maybe(ctx, &sql_r_find_key, DB_ARGS(db_bytea(hash, 32)), &key, &found), OK)
            << failure(ctx);
        ASSERT_TRUE(found);
        EXPECT_EQ(key.account_id, 2);
        EXPECT_STREQ(key.role, "member");
        ASSERT_EQ(key.scopes.n, 2u);
        EXPECT_STREQ(key.scopes.texts[1], "write");
        EXPECT_FALSE(key.expires || key.revoked);
        memset(hash, 7, sizeof(hash));
        ASSERT_EQ(db_maybe(ctx, &sql_r_find_key, DB_ARGS(db_bytea(hash, 32)), &key, &found), OK);
        EXPECT_FALSE(found);

        struct r_found account = {-1};
        EXPECT_EQ(
            db_one(ctx, &sql_r_find_account, DB_ARGS(db_text("three")), REASON_NONE, &account), OK);
        EXPECT_EQ(account.account_id, 3);
        EXPECT_EQ(db_one(ctx, &sql_r_find_account, DB_ARGS(db_text("none")), REASON_NONE, &account),
                  OK);
        EXPECT_EQ(account.account_id, 0);
    });
}

TEST(rls, uses_of_keys_are_noted_to_the_minute)
{
    const db_setup setup = accounts_database();
    with_db(setup, [&](struct ctx *ctx) {
        const int64_t accounts[] = {1, 3, 1, 2};
        const int64_t keys[] = {1, 3, 1, 99}; /* the last is not that account's */
        struct db_int8_value n = {};
        ASSERT_EQ(db_one(ctx, &sql_r_touch_keys,
                         DB_ARGS(db_int8_array(accounts, 4), db_int8_array(keys, 4)), REASON_NONE,
                         &n),
                  OK)
            << failure(ctx);
        EXPECT_EQ(n.value, 2);
        EXPECT_EQ(pg().value(name_of(setup), "SELECT count(*) FROM api_key WHERE last_used_at = "
                                             "date_trunc('minute', last_used_at)"),
                  "2");
    });
}

/* The role that the server connects as. */
TEST(rls, the_role_owns_nothing_and_bypasses_nothing)
{
    const std::string name = name_of(accounts_database());
    EXPECT_EQ(
        pg().value(name, "SELECT count(*) FROM pg_class WHERE relowner = 'luna_app'::regrole"),
        "0");
    EXPECT_EQ(pg().value(name, "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb "
                               "FROM pg_roles WHERE rolname = 'luna_app'"),
              "f");
    /* Every table of the schema has policies, forced, and its account first in the primary key. */
    EXPECT_EQ(
        pg().value(name,
                   "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind IN ('r', 'p') "
                   "AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migration' "
                   "AND NOT (relrowsecurity AND relforcerowsecurity)"),
        "");
    /* Except those that belong to no account: what plans there are, which servers run. */
    EXPECT_EQ(pg().value(name, R"(
        SELECT string_agg(c.relname, ' ') FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
            AND c.relname NOT IN ('schema_migration', 'plan', 'quota_actor') AND NOT EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
                WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = i.indkey[0]
                    AND a.attname = 'account_id'))"),
              "");
    EXPECT_EQ(
        pg().value(name, "SELECT has_table_privilege('luna_app', 'schema_migration', 'SELECT')"),
        "f");
}
