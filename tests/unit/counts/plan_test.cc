/* How Postgres runs each hot statement: by index, under row-level security, with plans that do not
 * know the arguments. */
#include "support/pg_db_test.h"

#include <map>

extern "C" {
#include "counts/counts.h"
#include "db/db.sql.h"
}

namespace
{

std::string notices;

std::string
run(PGconn *c, const std::string &sql)
{
    PGresult *res = PQexec(c, sql.c_str());
    std::string out;
    EXPECT_TRUE(PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK)
        << PQerrorMessage(c) << sql;
    for (int i = 0; i < PQntuples(res); i++)
        out += std::string(PQgetvalue(res, i, 0)) + "\n";
    PQclear(res);
    return out;
}

std::string
statement(const std::string &name)
{
    for (const struct db_sql *set : {&counts_sql, &counts_roll_sql})
        for (size_t i = 0; i < set->n; i++)
            if (set->stmts[i]->name == name)
                return set->stmts[i]->sql;
    ADD_FAILURE() << "there is no statement " << name;
    return "";
}

class plan : public testing::Test
{
  protected:
    PGconn *c = nullptr;
    std::string database;

    void SetUp() override
    {
        static int n;
        database = migrated_database(pg(), "plan" + std::to_string(n++));
        c = PQconnectdb(pg().url(database).c_str());
    }

    void TearDown() override
    {
        PQfinish(c);
    }

    void begin()
    {
        run(c, "SET ROLE luna_app");
        run(c, "SET luna.account = '1'");
        run(c, "SET plan_cache_mode = force_generic_plan");
    }

    /* All is there, and counted. The planner takes the indexes of its own accord then:
     * `enable_seqscan` stays on. */
    void begin_with_rows()
    {
        fill_plan();
        fill_readings();
        pg().exec(database, "ANALYZE");
        begin();
    }

    void fill_plan()
    {
        pg().exec(database, R"(
            INSERT INTO account (account_name) VALUES ('one');
            INSERT INTO account (account_name) SELECT 'more' || g FROM generate_series(1, 5000) g;
            INSERT INTO counts_retention (account_id) SELECT account_id FROM account;
            INSERT INTO counts_space (account_id, name) SELECT 1, 's' FROM generate_series(1, 2000);
            INSERT INTO counts_within SELECT 1, g, g FROM generate_series(1, 2000) g;
            INSERT INTO counts_doorway (account_id, name, ingress_space_id, egress_space_id)
                SELECT 1, 'd', g, g % 2000 + 1 FROM generate_series(1, 2000) g;
            INSERT INTO counts_within_was
                SELECT 1, g, g % 2000 + 1, '2026-01-01Z', '2026-02-01Z' FROM generate_series(1, 2000) g;
            INSERT INTO counts_doorway_was
                SELECT 1, g, g, g % 2000 + 1, '2026-02-01Z' FROM generate_series(1, 2000) g;
            INSERT INTO counts_dpu (account_id, dpu_id) SELECT 1, generate_series(1, 20000);
            INSERT INTO counts_assignment (account_id, dpu_id, doorway_id)
                SELECT 1, g, g FROM generate_series(1, 2000) g;
            INSERT INTO counts_calibration (account_id, space_id, at, count, deviation)
                SELECT 1, g % 2000 + 1, '2026-02-01Z'::timestamptz + g * interval '1 s', 1, 1
                FROM generate_series(1, 8000) g;)");
    }

    void fill_readings()
    {
        pg().exec(database, R"(
            INSERT INTO counts_reading_in
                SELECT 1, 1 + g % 2000, make_timestamptz(y, 3, 1, 0, 0, 0, 'UTC') + g * interval '1 s',
                    now(), 1
                FROM generate_series(1, 8000) g, generate_series(2024, 2030) y;
            INSERT INTO counts_reading_out SELECT account_id, dpu_id, at, now(), -1 FROM counts_reading_in;
            INSERT INTO counts_reading_more
                SELECT account_id, dpu_id, at, now(), 2 FROM counts_reading_in WHERE at < '2028-01-01Z';
            INSERT INTO counts_checkpoint
                SELECT 1, g % 2000 + 1, true, '2026-02-01Z'::timestamptz + g * interval '1 s', 1, 1
                FROM generate_series(1, 20000) g;
            INSERT INTO counts_pulse (account_id, xid) SELECT 1, generate_series(1, 20000);
            INSERT INTO counts_pulse_floor SELECT generate_series(1, 2000), 1;)");
    }
};

/* Statement, types, arguments. */
const std::map<std::string, std::pair<std::string, std::string>> hot_reads = {
    {"counts_pulses", {"bigint, bigint", "1, 700"}},
    {"counts_parts", {"bigint, bigint[]", "1, '{7,8}'"}},
    {"counts_at", {"bigint, bigint, timestamptz", "1, 7, '2026-03-01T01:00Z'"}},
    {"counts_of_spaces", {"bigint, bigint[]", "1, '{7,8}'"}},
    {"counts_events",
     {"bigint, bigint, timestamptz, timestamptz, timestamptz, timestamptz, int, int, int",
      "1, 7, '2026-03-01Z', '2026-03-02Z', 'infinity', '-infinity', 0, 0, 100"}},
    {"counts_get_reading", {"bigint, int, timestamptz, int", "1, 7, '2026-03-01Z', 1"}},
    {"counts_extent", {"bigint, bigint", "1, 7"}},
    {"counts_list_health", {"bigint, int, int", "1, 5, 10"}},
    {"counts_get_space", {"bigint, bigint", "1, 7"}},
    {"counts_get_dpu", {"bigint, int", "1, 7"}},
    {"counts_get_policy", {"bigint", "1"}},
    {"counts_fixed_until", {"bigint, int", "1, 7"}},
    {"counts_first_sum", {"bigint, bigint", "1, 7"}},
    {"counts_at_calibrations", {"bigint, bigint, timestamptz", "1, 7, '2026-03-01Z'"}},
    {"counts_at_known",
     {"bigint, bigint, timestamptz, timestamptz, timestamptz, timestamptz",
      "1, 7, '2026-03-01Z', '2026-03-01Z', '2026-02-01Z', '2026-01-31Z'"}},
    {"counts_each_step",
     {"bigint, bigint, timestamptz, timestamptz, timestamptz",
      "1, 7, '2026-03-01Z', '2026-03-02Z', 'infinity'"}},
};

TEST_F(plan, reads_go_by_index)
{
    begin_with_rows();
    for (const auto &[name, args] : hot_reads) {
        run(c, "PREPARE " + name + " (" + args.first + ") AS " + statement(name));
        const std::string how = run(c, "EXPLAIN EXECUTE " + name + " (" + args.second + ")");
        EXPECT_EQ(how.find("Seq Scan"), std::string::npos) << name << "\n" << how;
        /* Sums are made of what is in the index, without the rows. */
        if (name == "counts_at" || name == "counts_of_spaces") {
            EXPECT_NE(how.find("Index Only Scan using counts_reading_in_2026_pkey"),
                      std::string::npos)
                << how;
            EXPECT_EQ(how.find("Index Scan using counts_reading_"), std::string::npos) << how;
        }
        /* Instants reach the index: row-level security lets leakproof conditions through only. */
        EXPECT_EQ(how.find("Filter: ((at "), std::string::npos) << name << "\n" << how;
    }
}

/* Blocks that a statement touched: the top node's, with all below it. */
long
blocks(const std::string &how)
{
    long total = 0;
    const size_t at = how.find("Buffers: shared");
    if (at == std::string::npos)
        return 0;
    const std::string line = how.substr(at, how.find('\n', at) - at);
    for (const std::string word : {"hit=", "read="})
        if (const size_t n = line.find(word); n != std::string::npos)
            total += std::stol(line.substr(n + word.size()));
    return total;
}

/* A server keeps what it planned: that serves when there are many rows, before anything has counted
 * them. */
class kept_plan : public plan
{
  protected:
    void SetUp() override
    {
        plan::SetUp();
        pg().exec(database,
                  "DO $$ DECLARE t text; BEGIN FOR t IN SELECT oid::regclass::text FROM pg_class "
                  "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP EXECUTE "
                  "format('ALTER TABLE %s SET (autovacuum_enabled = off)', t); END LOOP; END $$");
    }

    /* In a session as the server begins each. */
    void make()
    {
        const char *const ms[] = {"60000", "60000"};
        PGresult *res = PQexecParams(c, sql_db_session.sql, 2, nullptr, ms, nullptr, nullptr, 0);
        ASSERT_EQ(PQresultStatus(res), PGRES_TUPLES_OK) << PQerrorMessage(c);
        PQclear(res);
        begin();
        for (const auto &[name, args] : hot_reads) {
            run(c, "PREPARE " + name + " (" + args.first + ") AS " + statement(name));
            run(c, "EXECUTE " + name + " (" + args.second + ")");
        }
    }

    void try_all()
    {
        for (const auto &[name, args] : hot_reads) {
            const std::string how =
                run(c, "EXPLAIN (ANALYZE, BUFFERS) EXECUTE " + name + " (" + args.second + ")");
            const long rows = name == "counts_list_health" ? 10 : 2; /* sensors */
            EXPECT_LT(blocks(how), 400 * rows) << name << "\n" << how;
        }
    }
};

TEST_F(kept_plan, of_a_new_database)
{
    make();
    fill_plan();
    fill_readings();
    try_all();
}

/* As a partition is before the first reading of its year. */
TEST_F(kept_plan, of_readings_that_were_none)
{
    fill_plan();
    pg().exec(database, "VACUUM ANALYZE");
    make();
    fill_readings();
    try_all();
}

TEST_F(plan, writes_go_by_index)
{
    begin_with_rows();
    run(c, "RESET ROLE");
    run(c, "LOAD 'auto_explain'");
    run(c, "SET auto_explain.log_min_duration = 0");
    run(c, "SET auto_explain.log_nested_statements = on");
    run(c, "SET client_min_messages = log");
    run(c, "SET ROLE luna_app");
    PQsetNoticeProcessor(
        c, [](void *, const char *text) { notices += text; }, nullptr);
    for (const char *sql :
         {"SELECT * FROM luna_counts_take(1, '{0}', '{7}', '{2026-03-02T01:00Z}', '{1}', '{NULL}')",
          "SELECT * FROM luna_counts_ingest(1, '{0,1,2}', '{7,8,9}', "
          "'{2026-03-02Z,2026-03-02Z,2026-01-02Z}', '{1,1,1}', '{NULL,x,NULL}')",
          "SELECT * FROM luna_counts_ingest(1, '{0,1,2}', '{7,8,9}', "
          "'{2026-03-02Z,2026-03-02Z,2026-01-02Z}', '{1,1,1}', '{NULL,x,NULL}')",
          "SELECT * FROM luna_counts_announce(1, '{7,8}', '{2026-03-01Z,2026-03-01Z}', 4)",
          "SELECT luna_counts_fill(1, '{7}', '{2026-02-01T00:00:06Z}')",
          "UPDATE counts_retention SET horizon = '2026-01-01Z' WHERE account_id = 1",
          "SELECT * FROM luna_counts_roll_off_plan(1, 0, '2026-01-01Z')",
          "SELECT * FROM luna_counts_roll_off(1, 1990, 100)"})
        run(c, sql);
    EXPECT_NE(notices.find("Index"), std::string::npos);
    /* Late readings lock the checkpoints behind them in one order, whatever the plan: writers would
     * deadlock otherwise. */
    const size_t lock = notices.find("LockRows", notices.find("FOR UPDATE OF k"));
    ASSERT_NE(lock, std::string::npos) << notices;
    const size_t sorted = notices.find("Sort Key: k.dpu_id, k.upto", lock);
    ASSERT_NE(sorted, std::string::npos) << notices.substr(lock, 2000);
    for (const char *join : {"Nested Loop", "Hash Join", "Merge Join"})
        EXPECT_LT(sorted, notices.find(join, lock)) << notices.substr(lock, 2000);
    for (size_t at = notices.find("Seq Scan on counts_"); at != std::string::npos;
         at = notices.find("Seq Scan on counts_", at + 1))
        ADD_FAILURE() << notices.substr(at > 2000 ? at - 2000 : 0, 2500);
}

} // namespace
