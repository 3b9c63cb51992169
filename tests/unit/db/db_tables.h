/* The tables that db_test.sql speaks of, and a database with them for each test. */
#ifndef LUNA_TESTS_DB_TABLES_H
#define LUNA_TESTS_DB_TABLES_H

#include "support/pg_db_test.h"

extern "C" {
#include "tests/unit/db/db_test.sql.h"
#include "unit/db/db_rows.h"
}

static inline void
make_tables(const pg_server &server, const std::string &database)
{
    server.exec(database, R"(
        CREATE TABLE item (id bigint PRIMARY KEY, label text NOT NULL CONSTRAINT item_label_key UNIQUE,
                           weight double precision CHECK (weight < 1e6));
        CREATE TABLE part (part_id bigint PRIMARY KEY, item_id bigint NOT NULL REFERENCES item);
        CREATE TABLE late (item_id bigint REFERENCES item DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE counter (id bigint PRIMARY KEY, n bigint NOT NULL);
        INSERT INTO counter VALUES (1, 0), (2, 0);
        CREATE FUNCTION raise_state(state text) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'raised for a test' USING ERRCODE = state; END $$;
        GRANT ALL ON item, part, late, counter TO luna_app;
    )");
}

/* A fresh database of the running test, and how to use it as luna_app. */
static inline db_setup
test_database(const pg_server &server = pg())
{
    static int n;
    const std::string name = migrated_database(server, "t" + std::to_string(++n));
    make_tables(server, name);
    db_setup setup;
    setup.url = server.url(name, "luna_app");
    setup.sql = {&db_test_sql};
    return setup;
}

static inline enum status
insert_item(struct ctx *ctx, int64_t id, const char *label)
{
    return db_exec(ctx, &sql_t_item_insert_plain, DB_ARGS(db_int8(id), db_text(label)), NULL);
}

static inline int64_t
count_items(struct ctx *ctx)
{
    struct db_int8_value v = {-1};
    EXPECT_EQ(db_one(ctx, &sql_t_item_count, DB_NO_ARGS, REASON_NONE, &v), OK) << failure(ctx);
    return v.value;
}

#endif
