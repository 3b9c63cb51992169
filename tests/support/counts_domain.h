/* The domain on a real Postgres, as the server's role: accounts 1 and 2, and a floor plan. */
#ifndef LUNA_TESTS_COUNTS_DOMAIN_H
#define LUNA_TESTS_COUNTS_DOMAIN_H

#include "support/pg_db_test.h"

extern "C" {
#include "counts/counts.h"
#include "edge/list.h"
}

constexpr usec_t kSecond = 1000000;
constexpr usec_t kNoon = INT64_C(1772366400) * kSecond; /* 2026-03-01T12:00:00Z */

class counts : public testing::Test
{
  protected:
    std::string database;
    int64_t a = 0;
    int64_t b = 0;
    int64_t front = 0;
    int64_t inner = 0;

    void SetUp() override
    {
        static int n;
        database = migrated_database(pg(), "counts" + std::to_string(n++));
        pg().exec(database, "INSERT INTO account (account_name) VALUES ('one'), ('two')");
    }

    void run(const std::function<void(struct ctx *)> &body, int64_t account = 1)
    {
        db_setup setup;
        setup.url = pg().url(database, "luna_app");
        setup.sql = {&counts_sql, &counts_roll_sql};
        setup.connections = 2;
        struct stop_hook stop = {};
        stop.fn = [](struct stop_hook *) { counts_detach(reactor_current()); };
        with_db(setup, [&](struct ctx *ctx) {
            ctx->who.account_id = account;
            ctx->who.role = ROLE_MEMBER;
            counts_attach(ctx->reactor);
            reactor_at_stop(ctx->reactor, &stop); /* when what it does behind the calls has ended */
            body(ctx);
        });
    }

    /* Outside -> A by the front door (DPU 283), B -> A by the inner one (DPU 423). */
    void make_floor(struct ctx *ctx)
    {
        struct counts_space space = {};
        struct counts_doorway door = {};
        struct counts_dpu dpu = {};
        struct counts_assignment hung = {};
        space.name = "A";
        space.capacity = 20;
        space.time_zone = "Europe/Berlin";
        ASSERT_EQ(counts_create_space(ctx, &space, &space), OK) << ctx->error.message;
        a = space.space_id;
        space = {};
        space.name = "B";
        ASSERT_EQ(counts_create_space(ctx, &space, &space), OK);
        b = space.space_id;
        door.name = "front";
        door.ingress_space_id = a;
        ASSERT_EQ(counts_create_doorway(ctx, &door, &door), OK);
        front = door.doorway_id;
        door.name = "inner";
        door.egress_space_id = b;
        ASSERT_EQ(counts_create_doorway(ctx, &door, &door), OK);
        inner = door.doorway_id;
        for (int id : {283, 423}) {
            dpu.dpu_id = id;
            dpu.name = dpu.serial = "";
            ASSERT_EQ(counts_create_dpu(ctx, &dpu, &dpu), OK);
            hung.dpu_id = id;
            hung.doorway_id = id == 283 ? front : inner;
            hung.starts_at = -DB_INFINITY;
            hung.ends_at = DB_INFINITY;
            ASSERT_EQ(counts_assign(ctx, &hung, &hung), OK) << ctx->error.message;
        }
    }

    int64_t current(struct ctx *ctx, int64_t space)
    {
        struct counts_value v = {};
        EXPECT_EQ(counts_current(ctx, space, &v), OK) << ctx->error.message;
        return v.count;
    }

    int64_t at(struct ctx *ctx, int64_t space, usec_t t, usec_t known = DB_INFINITY)
    {
        struct counts_value v = {};
        EXPECT_EQ(counts_at(ctx, space, t, known, &v), OK) << ctx->error.message;
        return v.count;
    }

    static void put(struct ctx *ctx, int64_t dpu, usec_t t, int dir, const char *event = nullptr)
    {
        struct counts_reading r = {};
        enum counts_outcome o;
        r.dpu_id = dpu;
        r.at = t;
        r.direction = dir;
        r.event_id = event;
        EXPECT_EQ(counts_ingest_one(ctx, &r, DEDUPE_DEFAULT, &o), OK) << ctx->error.message;
    }

    /* "!REASON" of the recorded failure, which is forgotten. */
    static std::string why(struct ctx *ctx, enum status st)
    {
        std::string out = st == OK ? "OK" : reason_info(ctx->error.reason)->token;
        fail_clear(ctx);
        return out;
    }
};

#endif
