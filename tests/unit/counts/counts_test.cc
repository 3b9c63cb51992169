/* The domain on a real Postgres, as the server's role. */
#include <fstream>
#include <sstream>

#include "support/counts_domain.h"

namespace
{

TEST_F(counts, the_week_of_two_sensors)
{
    std::ifstream in(LUNA_DPU_DATA);
    std::stringstream text;
    text << in.rdbuf();
    const std::string file = text.str();
    run([&](struct ctx *ctx) {
        struct counts_summary sum = {};
        struct counts_result *results;
        size_t n = 0;
        make_floor(ctx);
        ASSERT_EQ(
            counts_import(ctx, {file.data(), file.size()}, false, DEDUPE_NONE, &sum, &results, &n),
            OK)
            << ctx->error.message;
        EXPECT_EQ(sum.received, 563);
        EXPECT_EQ(sum.stored, 563);
        EXPECT_EQ(sum.repeated, 33);
        EXPECT_EQ(n, 0u);
        EXPECT_EQ(current(ctx, a), 11);
        EXPECT_EQ(current(ctx, b), 8);
        /* The same again: nothing new, in the mode that looks. */
        sum = {};
        ASSERT_EQ(
            counts_import(ctx, {file.data(), file.size()}, false, DEDUPE_EXACT, &sum, &results, &n),
            OK);
        EXPECT_EQ(sum.duplicates, 563);
        EXPECT_EQ(current(ctx, a), 11);

        /* A week by hour: the buckets join, and end where the count is. */
        struct counts_range range = {a, -DB_INFINITY, DB_INFINITY, DB_INFINITY};
        struct counts_bucket *days;
        range.to = INT64_C(1520208000) * kSecond; /* 2018-03-05 */
        ASSERT_EQ(counts_buckets(ctx, &range, "1h", "UTC", 3600, &days, &n), OK)
            << ctx->error.message;
        ASSERT_GT(n, 100u);
        int64_t in_all = 0;
        for (size_t i = 0; i < n; i++) {
            in_all += days[i].entrances - days[i].exits;
            EXPECT_EQ(days[i].last, in_all);
            EXPECT_LE(days[i].min, days[i].max);
            EXPECT_GE(days[i].mean, static_cast<double>(days[i].min));
            EXPECT_LE(days[i].mean, static_cast<double>(days[i].max));
            EXPECT_EQ(days[i].starts_at, i > 0 ? days[i - 1].ends_at : days[i].starts_at);
        }
        EXPECT_EQ(days[n - 1].last, 11);
    });
}

TEST_F(counts, a_move_changes_nothing_before_it)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        put(ctx, 283, kNoon, 1);
        put(ctx, 283, kNoon + 10 * kSecond, 1);
        put(ctx, 423, kNoon + 20 * kSecond, -1); /* from A into B */
        EXPECT_EQ(at(ctx, a, kNoon - 1), 0);
        EXPECT_EQ(at(ctx, a, kNoon), 1); /* inclusive */
        EXPECT_EQ(at(ctx, a, kNoon + 15 * kSecond), 2);
        EXPECT_EQ(current(ctx, a), 1);
        EXPECT_EQ(current(ctx, b), 1);
        /* 283 hangs over the inner door from then on. */
        struct counts_assignment moved;
        ASSERT_EQ(counts_move(ctx, 283, inner, kNoon + 15 * kSecond, &moved), OK)
            << ctx->error.message;
        EXPECT_EQ(at(ctx, a, kNoon + 15 * kSecond), 2);
        put(ctx, 283, kNoon + 30 * kSecond, -1);
        EXPECT_EQ(current(ctx, a), 0);
        EXPECT_EQ(current(ctx, b), 2);
        /* Late: it belongs to where the sensor hung then. */
        put(ctx, 283, kNoon + 5 * kSecond, 1);
        EXPECT_EQ(current(ctx, a), 1);
        EXPECT_EQ(at(ctx, a, kNoon + 5 * kSecond), 2);
        /* Correct the move: it happened later. */
        const usec_t before = clock_wall_us();
        EXPECT_EQ(fiber_sleep(ctx, MSEC(2)), OK);
        struct counts_assignment_change change = {};
        change.dpu_id = 283;
        change.assignment_id = moved.assignment_id;
        change.has_starts_at = true;
        change.starts_at = kNoon + 40 * kSecond;
        ASSERT_EQ(counts_correct(ctx, &change, &moved), OK) << ctx->error.message;
        EXPECT_EQ(current(ctx, b), 1); /* the reading in the gap counts nowhere */
        EXPECT_EQ(current(ctx, a), 2);
        /* ... and what would have been said before is known still. */
        EXPECT_EQ(at(ctx, a, kNoon + 60 * kSecond, before), 1);
        EXPECT_EQ(at(ctx, b, kNoon + 60 * kSecond, before), 2);
        struct counts_health *health;
        size_t n;
        ASSERT_EQ(counts_list_health(ctx, 0, 10, &health, &n), OK) << ctx->error.message;
        ASSERT_EQ(n, 2u);
        EXPECT_EQ(health[0].unassigned, 1);
        EXPECT_EQ(health[1].unassigned, 0);
    });
}

TEST_F(counts, a_building_is_the_sum_of_its_outer_doors)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        struct counts_space house = {};
        house.name = "house";
        ASSERT_EQ(counts_create_space(ctx, &house, &house), OK);
        for (int64_t room : {a, b}) {
            struct counts_space_change into = {};
            struct counts_space row;
            into.space_id = room;
            into.has_parent = true;
            into.parent_id = house.space_id;
            ASSERT_EQ(counts_update_space(ctx, &into, &row), OK) << ctx->error.message;
        }
        for (int i = 0; i < 5; i++)
            put(ctx, 283, kNoon + i, 1);
        for (int i = 0; i < 3; i++)
            put(ctx, 423, kNoon + i, -1);
        EXPECT_EQ(current(ctx, house.space_id), 5);
        EXPECT_EQ(current(ctx, a) + current(ctx, b), 5); /* people are moved, not made */
        struct counts_space_change circle = {};
        struct counts_space row;
        circle.space_id = house.space_id;
        circle.has_parent = true;
        circle.parent_id = a;
        EXPECT_EQ(why(ctx, counts_update_space(ctx, &circle, &row)), "BAD_FIELD");
        EXPECT_EQ(why(ctx, counts_delete_space(ctx, house.space_id, false)), "IN_USE");
        ASSERT_EQ(counts_delete_space(ctx, house.space_id, true), OK) << ctx->error.message;
        EXPECT_EQ(current(ctx, a), 2);
    });
}

TEST_F(counts, bad_input_stores_nothing)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        auto reading = [&](int64_t dpu, usec_t t, int dir) {
            struct counts_reading r = {};
            enum counts_outcome o;
            r.dpu_id = dpu;
            r.at = t;
            r.direction = dir;
            return why(ctx, counts_ingest_one(ctx, &r, DEDUPE_NONE, &o));
        };
        EXPECT_EQ(reading(999, kNoon, 1), "DPU_NOT_FOUND");
        EXPECT_EQ(reading(283, kNoon, 0), "BAD_FIELD");
        EXPECT_EQ(reading(283, kNoon, 2), "BAD_FIELD");
        EXPECT_EQ(reading(283, -1, 1), "BAD_FIELD");
        EXPECT_EQ(reading(283, INT64_C(253370764800) * kSecond, 1), "BAD_FIELD"); /* 9999 */
        EXPECT_EQ(reading(283, clock_wall_us() + 86400 * kSecond, 1), "BAD_FIELD");
        EXPECT_EQ(reading(283, clock_wall_us() + 60 * kSecond, 1), "OK"); /* a clock ahead */
        EXPECT_EQ(current(ctx, a), 1);

        struct counts_assignment twice = {};
        twice.dpu_id = 283;
        twice.doorway_id = inner;
        twice.starts_at = kNoon;
        twice.ends_at = kNoon + 1;
        EXPECT_EQ(why(ctx, counts_assign(ctx, &twice, &twice)), "ASSIGNMENT_OVERLAPS");
        twice.ends_at = kNoon;
        EXPECT_EQ(why(ctx, counts_assign(ctx, &twice, &twice)), "BAD_FIELD");
        struct counts_doorway door = {};
        door.name = "to itself";
        door.ingress_space_id = door.egress_space_id = a;
        EXPECT_EQ(why(ctx, counts_create_doorway(ctx, &door, &door)), "BAD_FIELD");
        door.egress_space_id = 99999;
        EXPECT_EQ(why(ctx, counts_create_doorway(ctx, &door, &door)), "SPACE_NOT_FOUND");
        EXPECT_EQ(why(ctx, counts_delete_space(ctx, a, false)), "IN_USE");
        EXPECT_EQ(why(ctx, counts_delete_doorway(ctx, front, false)), "IN_USE");
        EXPECT_EQ(why(ctx, counts_delete_dpu(ctx, 283, false)), "IN_USE");
        EXPECT_EQ(why(ctx, counts_delete_dpu(ctx, 999, false)), "DPU_NOT_FOUND");
        struct counts_space space = {};
        space.name = "nowhere";
        space.time_zone = "Mars/Olympus";
        EXPECT_EQ(why(ctx, counts_create_space(ctx, &space, &space)), "BAD_FIELD");
        struct list_request list = {};
        list.normal = 10;
        list.most = 10;
        struct counts_reading *rows;
        const char *next;
        size_t n;
        for (const char *filter : {"timestamp >", "1 = 1; DROP TABLE counts_reading", "nobody = 1",
                                   "timestamp > 'yesterday'"}) {
            list.filter = filter;
            EXPECT_EQ(why(ctx, counts_list_readings(ctx, &list, &rows, &n, &next)), "BAD_FIELD")
                << filter;
        }
        list.filter = "timestamp>'2018-02-25' and timestamp<'2018-02-26'";
        EXPECT_EQ(why(ctx, counts_list_readings(ctx, &list, &rows, &n, &next)), "OK");
        EXPECT_EQ(n, 0u);
    });
}

TEST_F(counts, a_batch_is_told_by_item)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        struct counts_reading all[5] = {};
        for (auto &r : all) {
            r.dpu_id = 283;
            r.at = kNoon;
            r.direction = 1;
        }
        all[1].dpu_id = 999;
        all[2].direction = 7;
        all[4].at = INT64_MAX;
        struct counts_summary sum = {};
        struct counts_result *results;
        size_t n = 0;
        ASSERT_EQ(counts_ingest(ctx, all, 5, DEDUPE_EXACT, &sum, &results, &n), OK)
            << ctx->error.message;
        ASSERT_EQ(n, 4u);
        EXPECT_EQ(results[0].index, 1);
        EXPECT_EQ(results[0].outcome, OUTCOME_UNKNOWN_DPU);
        EXPECT_EQ(results[1].outcome, OUTCOME_BAD_DIRECTION);
        EXPECT_EQ(results[2].index, 3);
        EXPECT_EQ(results[2].outcome, OUTCOME_DUPLICATE);
        EXPECT_EQ(results[3].outcome, OUTCOME_BAD_TIMESTAMP);
        EXPECT_EQ(sum.stored, 1);
        EXPECT_EQ(sum.rejected, 3);
        EXPECT_EQ(current(ctx, a), 1);
    });
}

TEST_F(counts, accounts_see_nothing_of_each_other)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        put(ctx, 283, kNoon, 1);
    });
    run(
        [&](struct ctx *ctx) {
            struct counts_value v;
            EXPECT_EQ(why(ctx, counts_current(ctx, a, &v)), "SPACE_NOT_FOUND");
            EXPECT_EQ(why(ctx, counts_at(ctx, a, kNoon, DB_INFINITY, &v)), "SPACE_NOT_FOUND");
        },
        2);
    /* With the application's filter removed: row-level security alone. */
    PGconn *c = PQconnectdb(pg().url(database, "luna_app").c_str());
    PQclear(PQexec(c, "SET luna.account = '2'"));
    for (const char *table :
         {"counts_space", "counts_within", "counts_doorway", "counts_dpu", "counts_assignment",
          "counts_reading", "counts_reading_in", "counts_reading_out_2026", "counts_reading_more",
          "counts_checkpoint", "counts_calibration", "counts_retention", "counts_pulse",
          "counts_within_was", "counts_doorway_was"}) {
        PGresult *res = PQexec(c, (std::string("SELECT count(*) FROM ") + table).c_str());
        ASSERT_EQ(PQresultStatus(res), PGRES_TUPLES_OK) << PQerrorMessage(c);
        EXPECT_STREQ(PQgetvalue(res, 0, 0), "0") << table;
        PQclear(res);
    }
    PGresult *res = PQexec(c, "SELECT count FROM luna_counts_at(1, 1, 'infinity')");
    EXPECT_STREQ(PQgetvalue(res, 0, 0), "0");
    PQclear(res);
    res = PQexec(c, "INSERT INTO counts_reading_in VALUES (1, 283, now(), now(), 1)");
    EXPECT_EQ(PQresultStatus(res), PGRES_FATAL_ERROR);
    PQclear(res);
    PQfinish(c);
}

/* Two writers of one instant at once: the second waits for what becomes of the first, and is told
 * what then holds. */
TEST_F(counts, writers_of_one_instant_take_turns)
{
    run([&](struct ctx *ctx) { make_floor(ctx); });
    PGconn *one = PQconnectdb(pg().url(database, "luna_app").c_str());
    PGconn *two = PQconnectdb(pg().url(database, "luna_app").c_str());
    for (PGconn *c : {one, two})
        PQclear(PQexec(c, "SET luna.account = '1'"));
    auto take = [](int dedupe, const char *at, const char *event) {
        return "SELECT count(*) FROM luna_counts_take(1, '{" + std::to_string(dedupe) +
               "}', '{283}', '{" + at + "}', '{1}', '{" + event + "}')";
    };
    struct {
        int dedupe;
        const char *first, *second, *how, *stored, *refused;
    } const cases[] = {
        {1, "a", "a", "COMMIT", "1", "1"}, /* delivered twice */
        {1, "a", "b", "COMMIT", "2", "0"},       {1, "a", "a", "ROLLBACK", "1", "0"},
        {2, "NULL", "NULL", "COMMIT", "1", "1"}, {0, "NULL", "NULL", "COMMIT", "2", "0"},
    };
    int minute = 10;
    for (const auto &k : cases) {
        const std::string at = "2026-03-01T12:" + std::to_string(minute++) + "Z";
        /* Also where the instant is taken, so that both come to be further ones of it. */
        for (const char *taken : {"", "x"}) {
            const std::string then = *taken ? at.substr(0, 11) + "13" + at.substr(13) : at;
            if (*taken)
                PQclear(PQexec(one, take(1, then.c_str(), taken).c_str()));
            PQclear(PQexec(one, "BEGIN"));
            PQclear(PQexec(one, take(k.dedupe, then.c_str(), k.first).c_str()));
            ASSERT_EQ(PQsendQuery(two, take(k.dedupe, then.c_str(), k.second).c_str()), 1);
            const std::string waits =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                "datname = current_database()";
            for (int i = 0; i < 1000 && pg().value(database, waits) != "1"; i++) {
                ASSERT_EQ(PQconsumeInput(two), 1);
                if (!PQisBusy(two))
                    break; /* further ones of different event ids do not meet */
                usleep(10000);
            }
            PQclear(PQexec(one, k.how));
            PGresult *res = PQgetResult(two);
            ASSERT_EQ(PQresultStatus(res), PGRES_TUPLES_OK) << PQerrorMessage(two);
            const bool exact = *taken && k.dedupe == 2; /* x is one of these */
            EXPECT_STREQ(PQgetvalue(res, 0, 0), k.refused) << then << k.dedupe;
            PQclear(res);
            EXPECT_EQ(PQgetResult(two), nullptr);
            EXPECT_EQ(pg().value(
                          database,
                          "SELECT count(*) FROM counts_reading WHERE event_id IS DISTINCT FROM 'x' "
                          "AND at = '" +
                              then + "'"),
                      exact ? "0" : k.stored)
                << then << k.dedupe;
        }
    }
    EXPECT_EQ(pg().value(database, "SELECT count FROM luna_counts_at(1, 1, 'infinity')"),
              pg().value(database, "SELECT count(*) FROM counts_reading"));
    PQfinish(one);
    PQfinish(two);
}

/* Many at once, until checkpoints were made in the background; the sums stay what they are. */
TEST_F(counts, checkpoints_come_by_themselves)
{
    constexpr int kCallers = 400;
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        fibers all(ctx);
        for (int i = 0; i < kCallers; i++)
            all.spawn([=](struct ctx *mine) { put(mine, 283, kNoon + i, i % 4 ? 1 : -1); });
        all.join();
        EXPECT_EQ(current(ctx, a), kCallers / 2);
        std::string n = "0";
        for (int i = 0; i < 2000 && n == "0"; i++) {
            EXPECT_EQ(fiber_sleep(ctx, MSEC(10)), OK);
            n = pg().value(database, "SELECT count(*) FROM counts_checkpoint WHERE filled");
        }
        EXPECT_NE(n, "0");
        /* Many ask at once, and each after the other: they share statements, and are right. */
        int64_t written = kCallers / 2;
        fibers readers(ctx);
        for (int i = 0; i < 100; i++)
            readers.spawn([&, i](struct ctx *mine) {
                EXPECT_EQ(fiber_sleep(mine, USEC(300) * i), OK);
                if (i % 10 == 0) {
                    put(mine, 283, kNoon + 1000 + i, 1);
                    written++;
                }
                const int64_t least = written; /* acknowledged before the question */
                EXPECT_GE(current(mine, a), least);
            });
        readers.join();
        EXPECT_EQ(current(ctx, a), kCallers / 2 + 10);
        put(ctx, 283, kNoon - 5, 1); /* late: below each of them */
        EXPECT_EQ(current(ctx, a), kCallers / 2 + 11);
        EXPECT_EQ(at(ctx, a, kNoon - 1), 1);
        EXPECT_EQ(pg().value(database,
                             "SELECT count(*) FROM counts_checkpoint c WHERE filled AND n <> "
                             "(SELECT count(*) FROM counts_reading r WHERE r.at <= c.upto)"),
                  "0");
    });
}

struct seen {
    std::vector<struct counts_change> changes;
    size_t enough;
};

/* Current counts, remembered from question to question, while others write behind the server's
 * back: readings on both sides of a move, doors that lead elsewhere, pulses that are taken away. */
TEST_F(counts, remembered_counts_are_those_of_the_database)
{
    run([&](struct ctx *ctx) {
        unsigned seed = 1;
        auto pick = [&](unsigned n) { return (seed = seed * 1103515245u + 12345u) / 65536u % n; };
        make_floor(ctx);
        auto time_at = [&](unsigned s) {
            return "'2026-03-01Z'::timestamptz + " + std::to_string(s) + " * interval '1 s'";
        };
        const std::vector<std::function<std::string()>> acts = {
            [&] { /* a batch of five */
                  std::string at;
                  for (int i = 0; i < 5; i++)
                      at += (i ? ", " : "") + time_at(pick(1000));
                  return "SELECT luna_counts_ingest(1, '{0,0,0,0,0}', '{283,423,283,423,283}', "
                         "ARRAY[" +
                         at + "], '{1,-1,1,1,-1}', array_fill(NULL::text, ARRAY[5]))";
            },
            [&] { /* both hang elsewhere from then on */
                  return "UPDATE counts_assignment SET starts_at = " + time_at(pick(500)) +
                         ", ends_at = " + time_at(500 + pick(500)) + " WHERE dpu_id = 283";
            },
            [&] {
                return "UPDATE counts_doorway SET egress_space_id = " +
                       std::string(pick(2) ? "NULL" : std::to_string(b)) +
                       " WHERE doorway_id = " + std::to_string(inner);
            },
            [&] { /* as counts_prune.c does */
                  return std::string(
                      "WITH gone AS (DELETE FROM counts_pulse RETURNING xid) INSERT INTO "
                      "counts_pulse_floor AS f "
                      "SELECT 1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM gone "
                      "LIMIT 1 "
                      "ON CONFLICT (account_id) DO UPDATE SET xid = excluded.xid");
            },
            [&] { return std::string("SELECT 1"); },
        };
        for (int round = 0; round < 300; round++) {
            for (unsigned k = pick(3); k > 0; k--)
                pg().exec(database, acts[pick(2) ? 0 : pick(5)]());
            if (pick(2))
                put(ctx, pick(2) ? 283 : 423, kNoon + pick(1000), pick(2) ? 1 : -1);
            for (int64_t space : {a, b}) {
                struct counts_value v = {};
                ASSERT_EQ(counts_current(ctx, space, &v), OK) << ctx->error.message;
                EXPECT_EQ(
                    std::to_string(v.count) + " " + std::to_string(v.entrances) + " " +
                        std::to_string(v.exits),
                    pg().value(
                        database,
                        "SELECT count || ' ' || entrances || ' ' || exits FROM luna_counts_at(1, " +
                            std::to_string(space) + ", 'infinity')"))
                    << round;
            }
        }
    });
}

TEST_F(counts, watchers_are_told)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        seen s = {{}, 4};
        fibers all(ctx);
        const int64_t spaces[2] = {a, b};
        all.spawn([&](struct ctx *mine) {
            const int64_t known[2] = {0, 0};
            const bool resumed[2] = {false, false};
            enum status st = counts_watch(
                mine, spaces, 2, known, resumed,
                [](void *arg, const struct counts_change *c) {
                    auto *to = static_cast<seen *>(arg);
                    to->changes.push_back(*c);
                    return to->changes.size() >= to->enough ? CANCELLED : OK;
                },
                &s);
            EXPECT_EQ(st, CANCELLED);
        });
        auto wait_for = [&](size_t n) {
            for (int i = 0; i < 2000 && s.changes.size() < n; i++)
                EXPECT_EQ(fiber_sleep(ctx, MSEC(10)), OK);
            ASSERT_GE(s.changes.size(), n);
        };
        wait_for(2);
        put(ctx, 283, kNoon, 1);
        wait_for(3);
        put(ctx, 283, kNoon - kSecond, 1);
        all.join();
        ASSERT_EQ(s.changes.size(), 4u);
        EXPECT_EQ(s.changes[0].kind, CHANGE_SNAPSHOT);
        EXPECT_EQ(s.changes[2].space_id, a);
        EXPECT_EQ(s.changes[2].old_count, 0);
        EXPECT_EQ(s.changes[2].count, 1);
        EXPECT_EQ(s.changes[3].old_count, 1);
        EXPECT_EQ(s.changes[3].count, 2);
    });
}

/* In Berlin the 29th of March 2026 has 23 hours, the 25th of October 25; in Kathmandu days begin at
 * a quarter past. */
TEST_F(counts, buckets_follow_the_calendar_of_a_zone)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        const usec_t midnight = INT64_C(1774652400) * kSecond; /* 2026-03-28T00:00 in Berlin */
        put(ctx, 283, midnight + 3600 * kSecond, 1);
        auto lengths = [&](usec_t from, usec_t to, const char *width, const char *zone) {
            struct counts_range range = {a, from, to, DB_INFINITY};
            struct counts_bucket *b;
            size_t n = 0;
            std::string out;
            EXPECT_EQ(counts_buckets(ctx, &range, width, zone, 0, &b, &n), OK)
                << ctx->error.message;
            for (size_t i = 0; i < n; i++)
                out +=
                    (i ? " " : "") + std::to_string((b[i].ends_at - b[i].starts_at) / kSecond / 60);
            return out;
        };
        const usec_t day = 86400 * kSecond;
        const usec_t hour = 3600 * kSecond;
        EXPECT_EQ(lengths(midnight, midnight + 3 * day - hour, "1d", nullptr), "1440 1380 1440");
        EXPECT_EQ(lengths(midnight, midnight + 3 * day, "1d", "UTC"), "60 1440 1440 1380");
        EXPECT_EQ(lengths(midnight + day, midnight + day + 5 * hour, "6h", "Europe/Berlin"), "300");
        const usec_t autumn = INT64_C(1792879200) * kSecond; /* 2026-10-25T00:00 in Berlin */
        EXPECT_EQ(lengths(autumn, autumn + 2 * day + hour, "1d", "Europe/Berlin"), "1500 1440");
        EXPECT_EQ(lengths(autumn, autumn + 6 * hour, "3h", "Europe/Berlin"), "180 180");
        EXPECT_EQ(lengths(midnight, midnight + day, "1d", "Asia/Kathmandu"), "1155 285");
        EXPECT_EQ(lengths(midnight, midnight + 5 * day, "1mo", "UTC"), "5820 1380");
    });
}

TEST_F(counts, sensors_that_are_silent_or_hang_backwards)
{
    run([&](struct ctx *ctx) {
        struct counts_health *h;
        size_t n;
        make_floor(ctx);
        const usec_t now = clock_wall_us();
        for (int i = 0; i < 60; i++)
            put(ctx, 283, now - (i + 1) * 60 * kSecond, i % 5 ? -1 : 1);
        ASSERT_EQ(counts_list_health(ctx, 0, 10, &h, &n), OK) << ctx->error.message;
        ASSERT_EQ(n, 2u);
        EXPECT_EQ(h[0].recent, 60);
        EXPECT_EQ(h[0].outwards, 48);
        EXPECT_TRUE(h[0].outer);
        EXPECT_EQ(h[0].last_seen_at, now - 60 * kSecond);
        EXPECT_GE(h[0].last_received_at, now);
        EXPECT_EQ(h[0].doorway_id, front);
        EXPECT_FALSE(h[1].has_last_seen_at);
        EXPECT_FALSE(h[1].outer);
    });
}

TEST_F(counts, an_estimate_stands_beside_the_count)
{
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        for (int i = 0; i < 100; i++)
            put(ctx, 283, kNoon + i, 1);
        struct counts_estimate e;
        const struct counts_drift drift = {0.02, 0};
        ASSERT_EQ(counts_estimate(ctx, a, kNoon + kSecond, &drift, &e), OK) << ctx->error.message;
        EXPECT_EQ(e.count, 100);
        EXPECT_DOUBLE_EQ(e.estimate, 100);
        EXPECT_NEAR(e.deviation, 1.4142135623730951, 1e-12); /* sqrt(100 * 0.02) */
        struct counts_calibration c = {};
        c.space_id = a;
        c.at = kNoon + kSecond;
        c.count = 97;
        c.note = "counted by hand";
        ASSERT_EQ(counts_calibrate(ctx, &c, &c), OK) << ctx->error.message;
        ASSERT_EQ(counts_estimate(ctx, a, kNoon + kSecond, &drift, &e), OK);
        EXPECT_DOUBLE_EQ(e.estimate, 97);
        EXPECT_DOUBLE_EQ(e.deviation, 0);
        EXPECT_EQ(current(ctx, a), 100); /* the count is what was counted */

        /* Two calibrations that are not exact: the drift given both, by the formula of a normal
         * distribution conditioned on two numbers. Days are counted from midnight. */
        const double days = 0.5 + 1.0 / 86400;
        const struct counts_drift walk = {0.02, 3};
        c.deviation = 2;
        ASSERT_EQ(counts_calibrate(ctx, &c, &c), OK); /* in place of the exact one */
        for (int i = 0; i < 50; i++)
            put(ctx, 283, kNoon + 86400 * kSecond + i, -1);
        c.at = kNoon + 86401 * kSecond;
        c.count = 40;
        c.deviation = 1;
        ASSERT_EQ(counts_calibrate(ctx, &c, &c), OK);
        const usec_t later = kNoon + 2 * 86400 * kSecond + kSecond;
        ASSERT_EQ(counts_estimate(ctx, a, later, &walk, &e), OK) << ctx->error.message;
        const double v1 = 0.02 * 100 + 3 * days; /* var of the drift at the first... */
        const double v2 = v1 + 0.02 * 50 + 3;    /* ...at the second... */
        const double v3 = v2 + 3; /* ...and at the end; earlier ones are covariances */
        const double y1 = 97 - 100;
        const double y2 = 40 - 50;
        const double s11 = v1 + 4;
        const double s22 = v2 + 1;
        const double det = s11 * s22 - v1 * v1;
        const double g1 = (v1 * s22 - v2 * v1) / det;
        const double g2 = (v2 * s11 - v1 * v1) / det;
        EXPECT_EQ(e.count, 50);
        EXPECT_EQ(e.calibrations, 2);
        EXPECT_NEAR(e.estimate, 50 + g1 * y1 + g2 * y2, 1e-9);
        EXPECT_NEAR(e.deviation * e.deviation, v3 - g1 * v1 - g2 * v2, 1e-9);
    });
}

} // namespace
