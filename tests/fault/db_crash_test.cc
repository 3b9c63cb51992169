/*
 * The server crashes under load. The journal decides: what was acknowledged is there, nothing is
 * there twice, what failed for certain is not there, and everything goes on without a restart of
 * ours.
 */
#include "unit/db/db_tables.h"

/* Everything that was tried, by id. */
enum outcome : char { UNTRIED, ACKNOWLEDGED, REFUSED, UNKNOWN_OUTCOME };

struct journal {
    std::vector<outcome> items = std::vector<outcome>(1000000, UNTRIED);
    int64_t next = 1;
    int acknowledged = 0;
    int unknown = 0;
    int reads = 0;
    bool stop = false;
    nsec_t last_ack = 0;
};

static void
write_on(struct ctx *ctx, journal *j,
         const std::function<enum status(struct ctx *, int64_t)> &write)
{
    while (!j->stop) {
        const int64_t id = j->next++;
        const enum status st = write(ctx, id);
        if (st == OK) {
            j->items[static_cast<size_t>(id)] = ACKNOWLEDGED;
            j->acknowledged++;
            j->last_ack = clock_now();
        } else {
            /* Only what was never sent is known not to have happened. */
            const bool sent = failure(ctx).find("not sent") == std::string::npos;
            EXPECT_TRUE(st == UNAVAILABLE || st == DEADLINE_EXCEEDED) << failure(ctx);
            j->items[static_cast<size_t>(id)] = sent ? UNKNOWN_OUTCOME : REFUSED;
            j->unknown += sent;
        }
        fail_clear(ctx);
        arena_reset(ctx->arena);
        EXPECT_EQ(fiber_yield(ctx), OK);
    }
}

static void
read_on(struct ctx *ctx, journal *j)
{
    while (!j->stop) {
        struct db_int8_value v = {};
        const enum status st = db_one(ctx, &sql_t_select_one, DB_ARGS(db_int8(1)), REASON_NONE, &v);
        EXPECT_TRUE(st == OK || st == UNAVAILABLE || st == DEADLINE_EXCEEDED) << failure(ctx);
        j->reads += st == OK;
        fail_clear(ctx);
        arena_reset(ctx->arena);
        EXPECT_EQ(fiber_sleep(ctx, MSEC(1)), OK);
    }
}

static enum status
write_in_tx(struct ctx *ctx, int64_t id)
{
    return db_tx(
        ctx,
        [](struct ctx *c, void *arg) {
            const int64_t n = *static_cast<int64_t *>(arg);
            enum status st = insert_item(c, n, ("tx " + std::to_string(n)).c_str());
            /* The second half stands in another table: both or none. */
            return st == OK ? db_exec(c, &sql_t_part_insert, DB_ARGS(db_int8(n), db_int8(n)), NULL)
                            : st;
        },
        &id);
}

static void
load(fibers *all, journal *j, struct db_gather *g)
{
    for (int i = 0; i < 8; i++)
        all->spawn([j](struct ctx *c) {
            write_on(c, j, [](struct ctx *d, int64_t id) {
                return insert_item(d, id, std::to_string(id).c_str());
            });
        });
    for (int i = 0; i < 4; i++)
        all->spawn([j](struct ctx *c) { write_on(c, j, write_in_tx); });
    for (int i = 0; i < 8; i++)
        all->spawn([j, g](struct ctx *c) {
            write_on(c, j, [g](struct ctx *d, int64_t id) {
                const std::string label = std::to_string(id);
                return db_gather(d, g, DB_ARGS(db_int8(id), db_text(label.c_str())));
            });
        });
    for (int i = 0; i < 4; i++)
        all->spawn([j](struct ctx *c) { read_on(c, j); });
}

static void
compare(struct ctx *ctx, const journal &j)
{
    std::vector<bool> there(j.items.size());
    struct db_int8_value *ids = nullptr;
    struct db_int8_value *halves = nullptr;
    size_t n = 0;
    ASSERT_EQ(db_many(ctx, &sql_t_item_ids, DB_NO_ARGS, &ids, &n), OK) << failure(ctx);
    for (size_t i = 0; i < n; i++)
        there[static_cast<size_t>(ids[i].value)] = true;
    for (size_t id = 1; id < static_cast<size_t>(j.next); id++) {
        if (j.items[id] == ACKNOWLEDGED) {
            EXPECT_TRUE(there[id]) << id << " was acknowledged and is lost";
        } else if (j.items[id] == REFUSED) {
            EXPECT_FALSE(there[id]) << id << " was never sent and is there";
        }
    }
    ASSERT_EQ(db_many(ctx, &sql_t_part_orphans, DB_NO_ARGS, &halves, &n), OK);
    EXPECT_EQ(n, 0u) << "half of a transaction";
}

/* Waits until something new has been acknowledged; returns how long it took. */
static nsec_t
until_served(struct ctx *ctx, const journal &j)
{
    const nsec_t start = clock_now();
    while (j.last_ack <= start && clock_now() - start < SEC(30))
        EXPECT_EQ(fiber_sleep(ctx, MSEC(5)), OK);
    EXPECT_GT(j.last_ack, start);
    return clock_now() - start;
}

static void
under_load(const pg_server &server, int rounds,
           const std::function<void(struct ctx *, const journal &)> &harm)
{
    db_setup setup = test_database(server);
    setup.connections = 2;
    setup.timeout = SEC(3);
    with_db(setup, [&](struct ctx *ctx) {
        journal j;
        struct db_gather_options opt = {};
        opt.stmt = &sql_t_gather;
        struct db_gather *g = db_gather_new(ctx->reactor, &opt);
        fibers all(ctx);
        load(&all, &j, g);
        for (int i = 0; i < rounds; i++) {
            until_served(ctx, j);
            ASSERT_EQ(fiber_sleep(ctx, MSEC(20 + i * 37 % 60)), OK);
            harm(ctx, j);
        }
        const nsec_t healed = until_served(ctx, j);
        j.stop = true;
        all.join();
        db_gather_free(g);
        compare(ctx, j);
        EXPECT_GT(j.reads, 0);
        printf("acknowledged %d, unknown %d, reads %d, lost connections %d, healed in %d ms\n",
               j.acknowledged, j.unknown, j.reads, static_cast<int>(stats_of(ctx).lost),
               static_cast<int>(healed / MSEC(1)));
    });
}

TEST(crash, backends_are_terminated)
{
    under_load(pg(), 15, [](struct ctx *, const journal &) {
        pg().exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE application_name = 'luna' AND random() < 0.5");
    });
}

TEST(crash, a_backend_is_killed_and_takes_the_others_along)
{
    const pg_server server(true);
    under_load(server, 5, [&server](struct ctx *, const journal &) {
        std::string pid;
        try {
            pid = server.value("postgres", "SELECT pid FROM pg_stat_activity "
                                           "WHERE application_name = 'luna' LIMIT 1");
        } catch (const std::exception &) {
            return; /* still recovering from the last */
        }
        if (!pid.empty())
            kill(static_cast<pid_t>(std::stol(pid)), SIGKILL);
    });
}

TEST(crash, the_server_stops_at_once_and_comes_back)
{
    pg_server server(true);
    under_load(server, 4, [&server](struct ctx *ctx, const journal &) {
        server.stop(SIGQUIT);
        EXPECT_EQ(fiber_sleep(ctx, MSEC(100)), OK);
        EXPECT_FALSE(db_healthy(ctx->reactor));
        server.start(); /* blocks this reactor, as any other hiccup would */
    });
}

TEST(crash, the_server_stops_in_order_and_comes_back)
{
    pg_server server(true);
    under_load(server, 2, [&server](struct ctx *, const journal &) {
        server.stop(SIGINT);
        server.start();
    });
}
