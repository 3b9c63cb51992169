/*
 * Selects a second through server/db, to be compared with `pgbench -S -M prepared -c 8` on the same
 * database (`pgbench -i` makes its tables).
 *
 *     db_bench URL [seconds] [reactors] [fibers] [connections of each reactor] [measurement]
 *
 * Prints one line a measurement: name and number.
 */
#include <stdio.h>
#include <stdlib.h>

#include "db/db.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "tests/bench/db_bench.sql.h"

struct bench_balance {
    int32_t abalance;
};

extern const struct db_col bench_balance_row[];
const struct db_col bench_balance_row[] = {
    DB_COL(struct bench_balance, abalance, DB_INT4),
    DB_END,
};

#define ROWS 100000

struct bench {
    const struct db_stmt *stmt;
    struct db *db;
    nsec_t seconds;
    size_t fibers;   /* of each reactor */
    int64_t account; /* 0: nobody */
    bool many_accounts;
};

/* One reactor's part of a measurement. */
struct part {
    const struct bench *bench;
    struct reactor *reactor;
    struct inbox_msg begin;
    size_t left; /* fibers that have not ended */
    size_t at;   /* the next fiber's number */
    uint64_t done;
    uint64_t failed;
    nsec_t took;
    nsec_t start;
    bool ready;
};

static void
select_for(struct ctx *ctx, struct part *part, uint32_t seed)
{
    struct bench_balance row;

    while (reactor_now(ctx->reactor) - part->start < part->bench->seconds) {
        seed = seed * 1664525 + 1013904223;
        int32_t aid = 1 + (int32_t)((seed >> 8) % ROWS);
        if (db_one(ctx, part->bench->stmt, DB_ARGS(db_int4(aid)), REASON_NONE, &row) == OK) {
            part->done++;
        } else {
            part->failed++;
            fprintf(stderr, "%s: %s\n", ctx->error.message,
                    ctx->error.detail ? ctx->error.detail : "");
            return;
        }
        arena_reset(ctx->arena);
    }
}

static void
fiber_body(void *arg)
{
    struct part *part = arg;
    struct arena arena;
    struct ctx ctx;
    size_t number = part->at++;

    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, part->reactor);
    if (db_wait_healthy(&ctx) == OK) {
        ctx.who.account_id = part->bench->account;
        if (part->bench->many_accounts)
            ctx.who.account_id += (int64_t)number;
        ctx.who.role = part->bench->account ? ROLE_MEMBER : ROLE_NONE;
        if (part->start == 0)
            part->start = clock_now();
        select_for(&ctx, part, (uint32_t)number * 7919 + (uint32_t)reactor_index(part->reactor));
    }
    if (--part->left == 0)
        part->took = clock_now() - part->start;
    ctx_fini(&ctx);
    arena_fini(&arena);
}

static void
on_begin(struct inbox_msg *m)
{
    struct part *part = container_of(m, struct part, begin);

    db_attach(part->bench->db, part->reactor);
    part->left = part->bench->fibers;
    for (size_t i = 0; i < part->bench->fibers; i++)
        if (!fiber_spawn(part->reactor, fiber_body, part))
            abort();
    reactor_stop(part->reactor);
}

/* All reactors together: selects a second. */
static double
run(const struct bench *bench, size_t reactors)
{
    struct part *parts = calloc(reactors, sizeof(*parts));
    double rate = 0;

    for (size_t i = 0; i < reactors; i++) {
        parts[i].bench = bench;
        parts[i].reactor = reactor_new(&(struct reactor_options){.index = (int)i});
        parts[i].begin.fn = on_begin;
        reactor_start(parts[i].reactor);
        inbox_send(parts[i].reactor, &parts[i].begin);
    }
    for (size_t i = 0; i < reactors; i++) {
        reactor_join(parts[i].reactor);
        if (parts[i].failed > 0)
            exit(1);
        rate += (double)parts[i].done * 1e9 / (double)parts[i].took;
        reactor_free(parts[i].reactor);
    }
    free(parts);
    return rate;
}

static size_t
argument(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

static const struct measurement {
    const char *name;
    const struct db_stmt *stmt;
    int64_t account;
    bool many_accounts;
    bool alone; /* one fiber on one reactor: the time of one select */
} measurements[] = {
    {"db_one_select_ns", &sql_bench_select, 0, false, true},
    {"db_selects_per_s", &sql_bench_select, 0, false, false},
    {"db_selects_one_account_per_s", &sql_bench_select_as_account, 1, false, false},
    {"db_selects_many_accounts_per_s", &sql_bench_select_as_account, 1, true, false},
};

static void
measure(struct bench *b, const struct measurement *m, size_t fibers, size_t reactors)
{
    b->stmt = m->stmt;
    b->account = m->account;
    b->many_accounts = m->many_accounts;
    b->fibers = m->alone ? 1 : fibers / reactors;
    double rate = run(b, m->alone ? 1 : reactors);
    printf("%s %.0f\n", m->name, m->alone ? 1e9 / rate : rate);
}

int
main(int argc, char **argv)
{
    const struct db_sql *const sql[] = {&db_bench_sql};
    const size_t reactors = argument(argc, argv, 3, 2);
    const size_t fibers = argument(argc, argv, 4, 64);
    char err[256];

    if (argc < 2) {
        fprintf(stderr,
                "usage: %s URL [seconds] [reactors] [fibers] [connections] "
                "[measurement]\n",
                argv[0]);
        return 2;
    }
    struct db *db = db_open(&(struct db_options){
        .url = argv[1],
        .connections = argument(argc, argv, 5, 2),
        .sql = sql,
        .n_sql = 1,
    });
    if (db_check(db, SEC(5), err, sizeof(err)) != DB_CHECK_OK) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    struct bench b = {.db = db, .seconds = SEC(argument(argc, argv, 2, 5))};
    for (size_t i = 0; i < ARRAY_LEN(measurements); i++)
        if (argc <= 6 || strcmp(argv[6], measurements[i].name) == 0)
            measure(&b, &measurements[i], fibers, reactors);
    db_close(db);
    return 0;
}
