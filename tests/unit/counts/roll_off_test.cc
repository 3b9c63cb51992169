/*
 * Roll-off of raw readings against a brute-force oracle that forgets nothing: random histories with
 * moves, calibrations, checkpoints and late readings are asked everything before and after; the
 * work is stopped between any two of its steps; writers and readers go on meanwhile.
 * LUNA_ROLL_OFF_HISTORIES says how many histories: 12 without.
 */
#include <random>

#include "support/counts_domain.h"

namespace
{

constexpr usec_t kDay = 86400 * kSecond;
constexpr int kDays = 9; /* of a history, up to now */

struct seen {
    int dpu;
    usec_t at;
    int dir;
};

struct hung {
    int64_t id;
    int dpu;
    int64_t door;
    usec_t from; /* inclusive */
    usec_t to;   /* exclusive */
};

struct sums {
    int64_t in = 0;
    int64_t out = 0;
    bool operator==(const sums &o) const
    {
        return in == o.in && out == o.out;
    }
};

std::ostream &
operator<<(std::ostream &to, const sums &s)
{
    return to << "+" << s.in << "-" << s.out;
}

class roll_off : public counts
{
  protected:
    std::mt19937_64 random_{20261129};
    usec_t origin = 0; /* a midnight */
    usec_t now = 0;
    int64_t house = 0;
    usec_t grain = 3600 * kSecond;
    std::vector<seen> readings;
    std::vector<hung> hangings;

    int64_t pick(int64_t n)
    {
        return static_cast<int64_t>(random_() % static_cast<uint64_t>(n));
    }

    usec_t some_time()
    {
        usec_t t = origin + pick(now - origin);
        switch (pick(8)) {
        case 0:
            return t / grain * grain;
        case 1:
            return t / kDay * kDay;
        case 2:
            return std::max(origin, t / grain * grain - 1);
        default:
            return t;
        }
    }

    /* Outside -> A (front), B -> A (inner); A and B lie in a house. */
    void make_house(struct ctx *ctx)
    {
        make_floor(ctx);
        struct counts_space space = {};
        space.name = "house";
        ASSERT_EQ(counts_create_space(ctx, &space, &space), OK);
        house = space.space_id;
        for (int64_t room : {a, b}) {
            struct counts_space_change into = {};
            struct counts_space row;
            into.space_id = room;
            into.has_parent = true;
            into.parent_id = house;
            ASSERT_EQ(counts_update_space(ctx, &into, &row), OK) << ctx->error.message;
        }
        struct counts_assignment *rows;
        size_t n;
        for (int dpu : {283, 423}) {
            ASSERT_EQ(counts_list_assignments(ctx, dpu, -DB_INFINITY, 10, &rows, &n), OK);
            ASSERT_EQ(counts_unassign(ctx, dpu, rows[0].assignment_id), OK);
        }
    }

    void hang_at_random(struct ctx *ctx, int dpu)
    {
        for (usec_t t = origin; t < now && pick(6) != 0;) {
            const usec_t from = pick(3) == 0 ? t : std::max(t, some_time());
            const usec_t to = pick(5) == 0 ? DB_INFINITY : std::max(from + 1, some_time());
            hang(ctx, dpu, pick(2) ? front : inner, from, to);
            t = to == DB_INFINITY ? now : to;
        }
    }

    void hang(struct ctx *ctx, int dpu, int64_t door, usec_t from, usec_t to)
    {
        struct counts_assignment in = {};
        in.dpu_id = dpu;
        in.doorway_id = door;
        in.starts_at = from;
        in.ends_at = to;
        ASSERT_EQ(counts_assign(ctx, &in, &in), OK) << ctx->error.message;
        hangings.push_back({in.assignment_id, dpu, door, from, to});
    }

    void put_some(struct ctx *ctx, int n, usec_t least)
    {
        std::vector<struct counts_reading> all;
        for (int i = 0; i < n; i++) {
            struct counts_reading r = {};
            r.dpu_id = pick(3) ? 283 : 423;
            r.at = std::max(least, some_time());
            r.direction = pick(5) < 3 ? 1 : -1;
            for (int64_t copies = pick(6) == 0 ? 2 : 1; copies > 0; copies--) {
                all.push_back(r);
                readings.push_back({static_cast<int>(r.dpu_id), r.at, r.direction});
            }
        }
        struct counts_summary sum = {};
        struct counts_result *results;
        size_t refused;
        ASSERT_EQ(counts_ingest(ctx, all.data(), all.size(), DEDUPE_NONE, &sum, &results, &refused),
                  OK)
            << ctx->error.message;
        ASSERT_EQ(refused, 0u);
    }

    /* Checkpoints at random places; some are announced and never filled. */
    void make_checkpoints(int64_t account)
    {
        const std::string as = "SET luna.account = '" + std::to_string(account) + "'; ";
        const std::string id = std::to_string(account);
        pg().exec(database, as + "SELECT * FROM luna_counts_announce(" + id +
                                ", '{283,423}', '{-infinity,-infinity}', " +
                                std::to_string(3 + pick(8)) + ")");
        pg().exec(database,
                  as + "SELECT luna_counts_fill(" + id +
                      ", array_agg(dpu_id ORDER BY dpu_id, upto), array_agg(upto ORDER BY dpu_id, "
                      "upto)) FROM counts_checkpoint WHERE account_id = " +
                      id + " AND NOT filled AND random() < 0.8");
    }

    /* What brute force says of readings in [from, to). */
    sums expected(int64_t space, usec_t from, usec_t to) const
    {
        sums s;
        for (const seen &r : readings)
            for (const hung &h : hangings) {
                if (h.dpu != r.dpu || r.at < h.from || r.at >= h.to || r.at < from || r.at >= to)
                    continue;
                const int into = (space == a || (space == house && h.door == front)) ? 1
                                 : space == b && h.door == inner                     ? -1
                                                                                     : 0;
                s.in += into * r.dir > 0;
                s.out += into * r.dir < 0;
            }
        return s;
    }

    void check_at(struct ctx *ctx, usec_t horizon, usec_t t)
    {
        const bool gone = t < horizon;
        const usec_t told = gone && t + 1 < horizon ? (t + 1) / grain * grain - 1 : t;
        for (int64_t space : {a, b, house}) {
            struct counts_value v = {};
            ASSERT_EQ(counts_at(ctx, space, t, DB_INFINITY, &v), OK) << ctx->error.message;
            EXPECT_EQ(v.at, told);
            EXPECT_EQ(v.rolled_off, gone);
            EXPECT_EQ((sums{v.entrances, v.exits}), expected(space, origin - kDay, told + 1))
                << "space " << space << " at " << t - origin;
            EXPECT_EQ(v.count, v.entrances - v.exits);
        }
    }

    void check_buckets(const struct counts_bucket *got, size_t n, int64_t space, usec_t horizon)
    {
        for (size_t i = 0; i < n; i++) {
            const struct counts_bucket &k = got[i];
            EXPECT_EQ((sums{k.entrances, k.exits}), expected(space, k.starts_at, k.ends_at));
            const sums first = expected(space, origin - kDay, k.starts_at);
            const sums last = expected(space, origin - kDay, k.ends_at);
            EXPECT_EQ(k.first, first.in - first.out);
            EXPECT_EQ(k.last, last.in - last.out);
            EXPECT_LE(k.min, std::min(k.first, k.last));
            EXPECT_GE(k.max, std::max(k.first, k.last));
            EXPECT_EQ(k.rolled_off, k.starts_at < horizon);
        }
    }

    /* Everything of the time that is kept, as text. */
    std::string tell(struct ctx *ctx, usec_t since)
    {
        std::string out;
        for (int64_t space : {a, b, house}) {
            struct counts_range range = {space, since, now, DB_INFINITY};
            const struct counts_cursor start = {-DB_INFINITY, 0, 0, 0};
            struct counts_bucket *buckets;
            struct counts_event *events;
            size_t n;
            EXPECT_EQ(counts_buckets(ctx, &range, "90m", "UTC", 3600, &buckets, &n), OK)
                << ctx->error.message;
            for (size_t i = 0; i < n; i++) {
                char line[200];
                snprintf(line, sizeof(line), "%ld +%ld -%ld %ld..%ld %ld %ld %.17g %d\n",
                         buckets[i].starts_at, buckets[i].entrances, buckets[i].exits,
                         buckets[i].first, buckets[i].last, buckets[i].min, buckets[i].max,
                         buckets[i].mean, buckets[i].rolled_off);
                out += line;
            }
            EXPECT_EQ(counts_events(ctx, &range, &start, 10000, &events, &n), OK)
                << ctx->error.message;
            for (size_t i = 0; i < n; i++)
                out += std::to_string(events[i].at) + " " + std::to_string(events[i].dpu_id) + " " +
                       std::to_string(events[i].count) + "\n";
        }
        return out;
    }

    std::string tell_estimates(struct ctx *ctx, const std::vector<usec_t> &times)
    {
        std::string out;
        const struct counts_drift drift = {0.05, 0.3};
        for (usec_t t : times)
            for (int64_t space : {a, b, house}) {
                struct counts_estimate e;
                char line[100];
                EXPECT_EQ(counts_estimate(ctx, space, t, &drift, &e), OK) << ctx->error.message;
                snprintf(line, sizeof(line), "%ld %.17g %.17g %ld\n", e.count, e.estimate,
                         e.deviation, e.calibrations);
                out += line;
            }
        return out;
    }

    void check_all(struct ctx *ctx, usec_t horizon)
    {
        for (int i = 0; i < 12; i++)
            check_at(ctx, horizon, some_time());
        check_at(ctx, horizon, horizon == -DB_INFINITY ? now : horizon - 1);
        for (int64_t space : {a, b, house}) {
            struct counts_value v = {};
            ASSERT_EQ(counts_current(ctx, space, &v), OK);
            EXPECT_EQ((sums{v.entrances, v.exits}), expected(space, origin - kDay, now + kDay));
        }
        /* Buckets of all of the history, on the grain and longer. */
        const char *width = grain == kDay ? "1d" : grain == 3600 * kSecond ? "1h" : "15m";
        for (const char *w : {width, "2d"}) {
            struct counts_range range = {pick(2) ? a : house, -DB_INFINITY, DB_INFINITY,
                                         DB_INFINITY};
            struct counts_bucket *buckets;
            size_t n;
            if (w == width && grain != kDay) {
                range.from = some_time() / grain * grain;
                range.to = range.from + 20 * grain;
            }
            ASSERT_EQ(counts_buckets(ctx, &range, w, "UTC", 3600, &buckets, &n), OK)
                << ctx->error.message;
            if (n > 0 && range.from == -DB_INFINITY) {
                EXPECT_EQ(buckets[0].first, 0) << "nothing came before the first bucket";
            }
            check_buckets(buckets, n, range.space_id, horizon);
        }
        struct counts_health *health;
        size_t n;
        ASSERT_EQ(counts_list_health(ctx, 0, 10, &health, &n), OK) << ctx->error.message;
        for (size_t i = 0; i < n; i++) {
            int64_t uncovered = 0;
            usec_t newest = -1;
            for (const seen &r : readings) {
                if (r.dpu != health[i].dpu_id)
                    continue;
                bool covered = false;
                for (const hung &h : hangings)
                    covered |= h.dpu == r.dpu && r.at >= h.from && r.at < h.to;
                uncovered += !covered;
                newest = std::max(newest, r.at);
            }
            EXPECT_EQ(health[i].unassigned, uncovered);
            EXPECT_EQ(health[i].has_last_seen_at, newest >= 0);
            EXPECT_EQ(health[i].has_last_seen_at ? health[i].last_seen_at : -1, newest);
        }
    }

    void set_policy(struct ctx *ctx, int days)
    {
        struct counts_policy_change change = {};
        struct counts_policy p;
        change.has_retention_days = true;
        change.retention_days = days;
        change.grain_seconds = static_cast<int32_t>(grain / kSecond);
        ASSERT_EQ(counts_set_policy(ctx, &change, &p), OK) << ctx->error.message;
        EXPECT_EQ(p.retention_days, days);
        EXPECT_EQ(p.grain_seconds, change.grain_seconds);
    }

    /* The same steps as counts_roll_off, few readings in each; stops anywhere. */
    void roll_some_steps(struct ctx *ctx, int64_t account, usec_t horizon)
    {
        const std::string id = std::to_string(account);
        const std::string as = "SET luna.account = '" + id + "'; ";
        pg().exec(database, as + "SELECT luna_counts_move_horizon(" + id + ")");
        check_all(ctx, horizon);
        for (int64_t steps = pick(4); steps > 0; steps--) {
            pg().exec(database, as + "SELECT * FROM luna_counts_roll_off(" + id + ", " +
                                    (pick(2) ? "0" : "300") + ", " + std::to_string(1 + pick(20)) +
                                    ")");
            check_all(ctx, horizon);
        }
    }

    void refuse_what_is_before(struct ctx *ctx, usec_t horizon)
    {
        struct counts_reading r[2] = {};
        enum counts_outcome outcome;
        r[0].dpu_id = r[1].dpu_id = 283;
        r[0].direction = r[1].direction = 1;
        r[0].at = horizon - 1;
        r[1].at = horizon + pick(now - horizon);
        EXPECT_EQ(why(ctx, counts_ingest_one(ctx, &r[0], DEDUPE_NONE, &outcome)),
                  "READINGS_ROLLED_OFF");
        struct counts_summary sum = {};
        struct counts_result *results;
        size_t n;
        ASSERT_EQ(counts_ingest(ctx, r, 2, DEDUPE_NONE, &sum, &results, &n), OK)
            << ctx->error.message;
        readings.push_back({283, r[1].at, 1});
        ASSERT_EQ(n, 1u);
        EXPECT_EQ(results[0].index, 0);
        EXPECT_EQ(results[0].outcome, OUTCOME_ROLLED_OFF);
        EXPECT_EQ(sum.rejected, 1);
        EXPECT_EQ(sum.stored, 1);
        struct counts_reading out;
        EXPECT_EQ(why(ctx, counts_get_reading(ctx, 283, horizon - 1, 1, &out)),
                  "READINGS_ROLLED_OFF");
        struct counts_calibration c = {};
        c.space_id = a;
        c.at = horizon - 1;
        c.note = "";
        EXPECT_EQ(why(ctx, counts_calibrate(ctx, &c, &c)), "READINGS_ROLLED_OFF");
        struct counts_range range = {a, horizon - 1, DB_INFINITY, DB_INFINITY};
        const struct counts_cursor start = {-DB_INFINITY, 0, 0, 0};
        struct counts_event *events;
        EXPECT_EQ(why(ctx, counts_events(ctx, &range, &start, 10, &events, &n)),
                  "READINGS_ROLLED_OFF");
        EXPECT_EQ(why(ctx, counts_each_event(
                               ctx, &range, [](void *, const struct counts_event *) { return OK; },
                               nullptr)),
                  "READINGS_ROLLED_OFF");
        struct counts_bucket *buckets;
        range.from = horizon - 7 * kSecond;
        EXPECT_EQ(why(ctx, counts_buckets(ctx, &range, "1h", "UTC", 0, &buckets, &n)),
                  "READINGS_ROLLED_OFF");
        /* Assignments: the past stays, what is behind the horizon may change. */
        for (hung &h : hangings) {
            struct counts_assignment_change change = {};
            struct counts_assignment row;
            change.dpu_id = h.dpu;
            change.assignment_id = h.id;
            const bool reported = std::any_of(readings.begin(), readings.end(), [&](const seen &s) {
                return s.dpu == h.dpu && s.at < horizon;
            });
            if (!reported)
                continue;
            if (h.from < horizon) {
                EXPECT_EQ(why(ctx, counts_unassign(ctx, h.dpu, h.id)), "READINGS_ROLLED_OFF");
                change.doorway_id = h.door == front ? inner : front;
                EXPECT_EQ(why(ctx, counts_correct(ctx, &change, &row)), "READINGS_ROLLED_OFF");
                change.doorway_id = 0;
                change.has_starts_at = true;
                change.starts_at = horizon + 1;
                if (h.to > horizon + 1) {
                    EXPECT_EQ(why(ctx, counts_correct(ctx, &change, &row)), "READINGS_ROLLED_OFF");
                }
                change.has_starts_at = false;
            }
            if (h.to > horizon && h.from < now) {
                change.has_ends_at = true;
                change.ends_at = std::max(h.from + 1, horizon + pick(now - horizon));
                if (change.ends_at < h.to) {
                    ASSERT_EQ(counts_correct(ctx, &change, &row), OK) << ctx->error.message;
                    h.to = change.ends_at;
                }
            }
        }
    }

    void rebuild(int64_t account)
    {
        pg().exec(database, "SELECT * FROM luna_counts_rebuild(" + std::to_string(account - 1) +
                                ", 2147483647, 4)");
    }

    void one_history(struct ctx *ctx, int64_t account);
};

void
roll_off::one_history(struct ctx *ctx, int64_t account)
{
    static const usec_t grains[] = {900 * kSecond, 3600 * kSecond, kDay};
    readings.clear();
    hangings.clear();
    now = clock_wall_us();
    origin = (now / kDay - kDays) * kDay;
    grain = grains[pick(3)];
    make_house(ctx);
    for (int dpu : {283, 423})
        hang_at_random(ctx, dpu);
    put_some(ctx, 1 + static_cast<int>(pick(150)), origin);
    make_checkpoints(account);
    for (int64_t i = pick(4); i > 0; i--) {
        struct counts_calibration c = {};
        c.space_id = pick(2) ? a : house;
        c.at = some_time();
        c.count = pick(20);
        c.deviation = static_cast<double>(pick(3));
        c.note = "";
        ASSERT_EQ(counts_calibrate(ctx, &c, &c), OK) << ctx->error.message;
    }
    check_all(ctx, -DB_INFINITY);
    const usec_t before = clock_wall_us();
    for (int days : {6, 3, 1}) {
        const usec_t horizon = (now / kDay - days) * kDay;
        std::vector<usec_t> times = {now, horizon, horizon - 1};
        for (int i = 0; i < 4; i++)
            times.push_back(std::max(horizon, some_time()));
        const std::string told = tell(ctx, horizon);
        const std::string estimates = tell_estimates(ctx, times);
        set_policy(ctx, days);
        struct counts_rolled plan = {};
        struct counts_rolled done = {};
        ASSERT_EQ(counts_roll_off_plan(ctx, &plan), OK) << ctx->error.message;
        EXPECT_EQ(plan.horizon, horizon);
        const bool stopped = pick(2);
        if (stopped)
            roll_some_steps(ctx, account, horizon);
        ASSERT_EQ(counts_roll_off(ctx, &done), OK) << ctx->error.message;
        if (!stopped) {
            EXPECT_EQ(done.readings, plan.readings);
            EXPECT_EQ(done.sums, plan.sums);
        }
        EXPECT_EQ(pg().value(database, "SELECT count(*) FROM counts_reading WHERE account_id = " +
                                           std::to_string(account) + " AND at < to_timestamp(" +
                                           std::to_string(horizon / kSecond) + ")"),
                  "0");
        EXPECT_EQ(tell(ctx, horizon), told);
        EXPECT_EQ(tell_estimates(ctx, times), estimates);
        check_all(ctx, horizon);
        struct counts_value then[3];
        struct counts_value v;
        const int64_t spaces[] = {a, b, house};
        const usec_t known = clock_wall_us();
        for (int i = 0; i < 3; i++)
            ASSERT_EQ(counts_at(ctx, spaces[i], now, DB_INFINITY, &then[i]), OK);
        EXPECT_EQ(why(ctx, counts_at(ctx, a, now, before, &v)), "READINGS_ROLLED_OFF");
        refuse_what_is_before(ctx, horizon);
        put_some(ctx, static_cast<int>(pick(40)), horizon);
        make_checkpoints(account);
        check_all(ctx, horizon);
        for (int i = 0; i < 3; i++) {
            ASSERT_EQ(counts_at(ctx, spaces[i], now, known, &v), OK) << ctx->error.message;
            EXPECT_EQ((sums{v.entrances, v.exits}), (sums{then[i].entrances, then[i].exits}));
        }
        if (pick(2)) {
            rebuild(account);
            check_all(ctx, horizon);
        }
    }
}

TEST_F(roll_off, random_histories)
{
    const char *given = getenv("LUNA_ROLL_OFF_HISTORIES");
    const int total = given ? std::stoi(given) : 12;
    pg().exec(database, "INSERT INTO account (account_name) SELECT 'more' || g FROM "
                        "generate_series(3, " +
                            std::to_string(total + 2) + ") g");
    for (int i = 1; i <= total && !HasFailure(); i++) {
        SCOPED_TRACE("history " + std::to_string(i));
        run([&](struct ctx *ctx) { one_history(ctx, i); }, i);
    }
}

/* Writers go on while the horizon passes them: what was acknowledged counts, what was refused does
 * not, and two who roll off at once are as good as one. */
TEST_F(roll_off, while_readings_come)
{
    constexpr int kWriters = 16;
    constexpr int kEach = 60;
    run([&](struct ctx *ctx) {
        make_floor(ctx);
        now = clock_wall_us();
        const usec_t horizon = (now / kDay - 2) * kDay;
        int64_t stored = 0;
        int64_t refused = 0;
        bool begun = false;
        set_policy(ctx, 2);
        fibers all(ctx);
        for (int w = 0; w < kWriters; w++)
            all.spawn([&, w](struct ctx *mine) {
                for (int i = 0; i < kEach; i++) {
                    struct counts_reading r = {};
                    enum counts_outcome outcome;
                    r.dpu_id = 283;
                    r.at = horizon - kSecond + (w * kEach + i) * 2000;
                    r.direction = 1;
                    enum status st = counts_ingest_one(mine, &r, DEDUPE_NONE, &outcome);
                    if (st == OK) {
                        stored++;
                    } else {
                        EXPECT_EQ(why(mine, st), "READINGS_ROLLED_OFF");
                        EXPECT_LT(r.at, horizon);
                        refused++;
                    }
                    begun = begun || i > kEach / 3;
                }
            });
        for (int k = 0; k < 2; k++)
            all.spawn([&](struct ctx *mine) {
                struct counts_rolled done;
                while (!begun)
                    EXPECT_EQ(fiber_sleep(mine, MSEC(1)), OK);
                EXPECT_EQ(counts_roll_off(mine, &done), OK) << mine->error.message;
            });
        all.spawn([&](struct ctx *mine) {
            int64_t last = 0;
            while (stored + refused < kWriters * kEach) {
                const int64_t now_there = current(mine, a);
                EXPECT_GE(now_there, last) << "a count fell while it was rolled off";
                last = now_there;
                EXPECT_EQ(fiber_sleep(mine, USEC(200)), OK);
            }
        });
        all.join();
        struct counts_rolled rest;
        EXPECT_EQ(counts_roll_off(ctx, &rest), OK);
        EXPECT_EQ(current(ctx, a), stored);
        EXPECT_EQ(pg().value(database, "SELECT count(*) FROM counts_reading WHERE at < "
                                       "(SELECT horizon FROM counts_retention)"),
                  "0");
    });
}

TEST_F(roll_off, a_policy_is_checked)
{
    run([&](struct ctx *ctx) {
        struct counts_policy_change change = {};
        struct counts_policy p;
        ASSERT_EQ(counts_get_policy(ctx, &p), OK);
        EXPECT_EQ(p.retention_days, 0);
        EXPECT_EQ(p.grain_seconds, COUNTS_GRAIN);
        EXPECT_EQ(p.horizon, -DB_INFINITY);
        change.has_retention_days = true;
        for (int days : {-1, 36501}) {
            change.retention_days = days;
            EXPECT_EQ(why(ctx, counts_set_policy(ctx, &change, &p)), "BAD_FIELD");
        }
        change.retention_days = 30;
        change.grain_seconds = 60;
        EXPECT_EQ(why(ctx, counts_set_policy(ctx, &change, &p)), "BAD_FIELD");
        change.grain_seconds = 3600;
        ASSERT_EQ(counts_set_policy(ctx, &change, &p), OK);
        struct counts_rolled done;
        ASSERT_EQ(counts_roll_off(ctx, &done), OK);
        EXPECT_NE(done.horizon, 0);
        ASSERT_EQ(counts_roll_off(ctx, &done), OK);
        EXPECT_EQ(done.horizon, 0) << "once is enough for a day";
        change.grain_seconds = 900;
        EXPECT_EQ(why(ctx, counts_set_policy(ctx, &change, &p)), "BAD_FIELD");
        change.grain_seconds = 86400;
        change.retention_days = 0;
        ASSERT_EQ(counts_set_policy(ctx, &change, &p), OK);
        EXPECT_EQ(p.retention_days, 0);
        EXPECT_NE(p.horizon, -DB_INFINITY) << "it never moves back";
    });
    run(
        [&](struct ctx *ctx) {
            struct counts_policy p;
            ASSERT_EQ(counts_get_policy(ctx, &p), OK);
            EXPECT_EQ(p.horizon, -DB_INFINITY) << "of another account";
        },
        2);
}

} // namespace
