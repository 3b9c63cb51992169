#include <fstream>
#include <sstream>
#include <thread>

#include "support/pg_db_test.h"

static std::string printed;

static bool
migrate(const std::string &database, enum db_migrate_command command,
        const struct db_migration *list = db_migrations, size_t n = db_migration_count)
{
    char *text = nullptr;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const bool good = db_migrate(pg().url(database).c_str(), list, n, command, out);
    fclose(out);
    printed = text;
    free(text);
    return good;
}

/* The schema as pg_dump tells it, without what differs from one machine to another. */
static std::string
schema_of(const std::string &database)
{
    std::istringstream dump(pg_server::output(pg().programs() +
                                              "/pg_dump --schema-only --no-comments " +
                                              "--exclude-table=schema_migration -h " +
                                              pg().folder() + " -p 5432 -U postgres " + database));
    std::string line, out;
    while (std::getline(dump, line)) {
        if (line.empty() || line.rfind("--", 0) == 0 || line.rfind("SET ", 0) == 0 ||
            line.rfind("SELECT pg_catalog.set_config", 0) == 0 || line.rfind("\\", 0) == 0)
            continue;
        out += line + "\n";
    }
    return out;
}

static std::string
fresh()
{
    static int n;
    const std::string name = "m" + std::to_string(++n);
    pg().create_database(name);
    return name;
}

TEST(migrate, up_down_and_up_again_make_the_same_schema)
{
    const std::string db = fresh();
    const std::string empty = schema_of(db);
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP)) << printed;
    const std::string full = schema_of(db);
    EXPECT_NE(full, empty);
    for (size_t i = 0; i < db_migration_count; i++)
        ASSERT_TRUE(migrate(db, DB_MIGRATE_DOWN)) << printed;
    EXPECT_EQ(schema_of(db), empty);
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP)) << printed;
    EXPECT_EQ(schema_of(db), full);
    ASSERT_TRUE(migrate(db, DB_MIGRATE_RECREATE)) << printed;
    EXPECT_EQ(schema_of(db), full);
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP)) << "nothing to do";
    EXPECT_EQ(schema_of(db), full);
}

/* LUNA_UPDATE_SCHEMA=1 writes the snapshot anew. */
TEST(migrate, the_snapshot_is_what_the_migrations_make)
{
    const std::string db = fresh();
    const std::string path = std::string(LUNA_SOURCE_DIR) + "/migrations/schema.sql";
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP)) << printed;
    const std::string now =
        "-- What all migrations make, as pg_dump --schema-only tells it. Made by "
        "LUNA_UPDATE_SCHEMA=1 db_migrate_test.\n" +
        schema_of(db);
    if (getenv("LUNA_UPDATE_SCHEMA"))
        std::ofstream(path) << now;
    std::stringstream snapshot;
    snapshot << std::ifstream(path).rdbuf();
    EXPECT_EQ(snapshot.str(), now);
}

TEST(migrate, status_tells_and_changes_nothing)
{
    const std::string db = fresh();
    EXPECT_FALSE(migrate(db, DB_MIGRATE_STATUS));
    EXPECT_NE(printed.find("missing 0001_accounts"), std::string::npos) << printed;
    EXPECT_EQ(pg().value(db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP));
    EXPECT_TRUE(migrate(db, DB_MIGRATE_STATUS));
    EXPECT_NE(printed.find("applied 0001_accounts"), std::string::npos) << printed;
}

/* What is stored stays what it is when 0013 splits the readings, and when that is undone. */
TEST(migrate, readings_are_carried_over)
{
    const std::string db = fresh();
    size_t before = 0;
    while (std::string(db_migrations[before].name) != "0013_counts_compact")
        ASSERT_LT(++before, db_migration_count);
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP, db_migrations, before)) << printed;
    pg().exec(db, R"(
        INSERT INTO account (account_name) VALUES ('one'), ('two');
        INSERT INTO counts_space (account_id, name) VALUES (1, 's'), (2, 's');
        INSERT INTO counts_within VALUES (1, 1, 1), (2, 2, 2);
        INSERT INTO counts_doorway (account_id, name, ingress_space_id) VALUES (1, 'd', 1), (2, 'd', 2);
        INSERT INTO counts_dpu (account_id, dpu_id) VALUES (1, 7), (2, 7);
        INSERT INTO counts_assignment (account_id, dpu_id, doorway_id) VALUES (1, 7, 1), (2, 7, 2);
        SELECT luna_counts_ingest(a, array_fill(d::smallint, '{30}'), array_fill(7, '{30}'),
                array_agg(make_timestamptz(2019 + g % 13, 1, 1, 0, 0, 0, 'UTC') ORDER BY g),
                array_agg((CASE WHEN g % 5 < 3 THEN 1 ELSE -1 END)::smallint ORDER BY g),
                array_agg(CASE WHEN d = 1 THEN 'e' || g END ORDER BY g))
            FROM generate_series(1, 30) g, generate_series(1, 2) a, generate_series(0, 1) d
            GROUP BY a, d;
        INSERT INTO counts_checkpoint SELECT a, 7, true, '2024-06-01Z', n, net
            FROM generate_series(1, 2) a, luna_counts_prefix(a, 7, '2024-06-01Z', 'infinity');)");
    auto all = [&] {
        return pg().value(db, R"(
            SELECT string_agg(concat_ws('|', account_id, dpu_id, at, received_at, tag, event_id), ' '
                ORDER BY account_id, dpu_id, at, tag) FROM counts_reading)") +
               pg().value(db, R"(
            SELECT string_agg(concat_ws('|', a, t, c), ' ' ORDER BY a, t)
            FROM generate_series(1, 2) a, generate_series('2018-06-01Z'::timestamptz, '2035-01-01Z', '1 year') t,
                luna_counts_at(a, a, t) c)");
    };
    const std::string was = all();
    EXPECT_EQ(pg().value(db, "SELECT count(*) FROM counts_reading"), "120");
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP)) << printed;
    EXPECT_EQ(all(), was);
    EXPECT_NE(pg().value(db, "SELECT count(*) FROM counts_reading_more"), "0");
    for (size_t i = before; i < db_migration_count; i++)
        ASSERT_TRUE(migrate(db, DB_MIGRATE_DOWN)) << printed;
    EXPECT_EQ(all(), was);
}

static struct db_migration
make(int number, const char *name, const char *up, const char *down, const char *checksum)
{
    struct db_migration m = {};
    m.number = number;
    m.name = name;
    m.up = up;
    m.down = down;
    m.checksum = checksum;
    return m;
}

TEST(migrate, refuses_what_was_changed_or_is_unknown)
{
    const std::string db = fresh();
    struct db_migration two[] = {
        make(1, "0001_a", "CREATE TABLE a ()", "DROP TABLE a", "c1"),
        make(2, "0002_b", "CREATE TABLE b ()", "DROP TABLE b", "c2"),
    };
    ASSERT_TRUE(migrate(db, DB_MIGRATE_UP, two, 2)) << printed;
    two[0].checksum = "other";
    for (enum db_migrate_command c :
         {DB_MIGRATE_UP, DB_MIGRATE_DOWN, DB_MIGRATE_STATUS, DB_MIGRATE_RECREATE}) {
        EXPECT_FALSE(migrate(db, c, two, 2));
        EXPECT_NE(printed.find("0001_a was changed"), std::string::npos) << printed;
    }
    two[0].checksum = "c1";
    EXPECT_FALSE(migrate(db, DB_MIGRATE_UP, two, 1));
    EXPECT_NE(printed.find("0002_b, which this program does not know"), std::string::npos)
        << printed;
    EXPECT_EQ(pg().value(db, "SELECT count(*) FROM schema_migration"), "2");
}

TEST(migrate, one_that_fails_leaves_nothing_behind)
{
    const std::string db = fresh();
    struct db_migration two[] = {
        make(1, "0001_a", "CREATE TABLE a ()", "DROP TABLE a", "c1"),
        make(2, "0002_b", "CREATE TABLE b (); SELECT 1/0", "DROP TABLE b", "c2"),
    };
    EXPECT_FALSE(migrate(db, DB_MIGRATE_UP, two, 2));
    EXPECT_NE(printed.find("0002_b"), std::string::npos) << printed;
    EXPECT_NE(printed.find("division by zero"), std::string::npos) << printed;
    EXPECT_EQ(pg().value(db, "SELECT count(*) FROM schema_migration"), "1") << "the first stays";
    EXPECT_EQ(pg().value(db, "SELECT to_regclass('b') IS NULL"), "t");
    two[1].up = "CREATE TABLE b ()";
    EXPECT_TRUE(migrate(db, DB_MIGRATE_UP, two, 2)) << printed;
}

TEST(migrate, two_at_once_take_turns)
{
    const std::string db = fresh();
    bool good[4] = {};
    std::vector<std::thread> all;
    for (int i = 0; i < 4; i++) {
        all.emplace_back([&db, &good, i] {
            FILE *out = tmpfile();
            good[i] = db_migrate(pg().url(db).c_str(), db_migrations, db_migration_count,
                                 DB_MIGRATE_UP, out);
            fclose(out);
        });
    }
    for (std::thread &t : all)
        t.join();
    for (bool g : good)
        EXPECT_TRUE(g);
    EXPECT_EQ(pg().value(db, "SELECT count(*) FROM schema_migration"),
              std::to_string(db_migration_count));
}

/* An owner that is no superuser, as a managed PostgreSQL gives. */
TEST(migrate, works_for_an_ordinary_owner)
{
    pg().exec("postgres", "CREATE ROLE ordinary LOGIN");
    pg().exec("postgres", "CREATE DATABASE owned OWNER ordinary");
    FILE *out = tmpfile();
    ASSERT_TRUE(db_migrate(pg().url("owned", "ordinary").c_str(), db_migrations, db_migration_count,
                           DB_MIGRATE_UP, out));
    fclose(out);
    /* The functions see through the policies although FORCE holds for their owner. */
    pg().exec("owned", "INSERT INTO account (account_name) VALUES ('x')");
    EXPECT_EQ(pg().value("owned", "SELECT luna_find_account('x')"), "1");
    pg().exec("owned", "INSERT INTO api_key (account_id, key_hash, key_prefix, role) "
                       "VALUES (1, decode(repeat('01', 32), 'hex'), 'luna_1', 'admin')");
    EXPECT_EQ(pg().value("owned",
                         "SELECT account_id FROM luna_find_key(decode(repeat('01', 32), 'hex'))"),
              "1");
}

TEST(migrate, says_when_there_is_no_server)
{
    FILE *out = tmpfile();
    EXPECT_FALSE(
        db_migrate("host=/nonexistent", db_migrations, db_migration_count, DB_MIGRATE_UP, out));
    fclose(out);
}

TEST(migrate, knows_its_commands)
{
    enum db_migrate_command c;
    EXPECT_TRUE(db_migrate_parse("recreate", &c));
    EXPECT_EQ(c, DB_MIGRATE_RECREATE);
    EXPECT_FALSE(db_migrate_parse("sideways", &c));
}
