/* Redis and Postgres are kept together: epochs are opened, flushes brought over, lost ones
 * reported. */
#include <signal.h>
#include <sys/random.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "cache/redis.h"
#include "edge/gate_state.h"

#define WORK_DEADLINE SEC(10)
#define OPEN_PAUSE    MSEC(15) /* while somebody else puts an epoch into Redis */
#define LIMITS_TTL    SEC(60)  /* should a notification be lost */
#define FENCE         SEC(30)  /* Postgres has not heard of us for so long: we spend no more */
#define IDLE_FOR      SEC(600) /* what is known of an account is forgotten then */
#define DEAD_S        10.0     /* an actor that was silent for so long is dead */

struct gate_settings gate_settings;

/* A point at which tests let the whole process die. */
#define CRASH(name)               \
    do {                          \
        if (FAILPOINT(name))      \
            (void)raise(SIGKILL); \
    } while (0)

/* ---- one at a time -------------------------------------------------------------------------- */

static enum status
take(struct ctx *ctx, struct gate_account *a)
{
    while (a->busy) {
        enum status st = cond_wait(&a->idle, ctx);
        if (st != OK)
            return st;
    }
    a->busy = true;
    return OK;
}

static void
leave(struct gate_account *a)
{
    a->busy = false;
    cond_broadcast(&a->idle);
}

/* ---- what must be known before anything is spent ----------------------------------------------
 */

static enum status
ask_run(struct ctx *ctx, struct quota_gate *g)
{
    uint64_t connect = redis_connects(g->reactor);
    struct redis_reply *reply;
    enum status st = redis_call(ctx, &reply, STR("INFO"), STR("server"));
    if (st != OK)
        return st;
    const char *at = reply->type == REDIS_STRING ? strstr(reply->str.p, "run_id:") : NULL;
    if (!at)
        return fail(ctx, INTERNAL_ERROR, "Redis does not tell its run_id");
    at += strlen("run_id:");
    size_t n = strcspn(at, "\r\n");
    if (n == 0 || n >= sizeof(g->run))
        return fail(ctx, INTERNAL_ERROR, "Redis tells a run_id that cannot be read");
    if (connect != redis_connects(g->reactor)) /* it broke meanwhile: who asks again will be told */
        return fail_plain(ctx, CACHE_UNAVAILABLE);
    memcpy(g->run, at, n);
    g->run[n] = '\0';
    g->connect = connect;
    return OK;
}

enum status
gate_know_run(struct ctx *ctx, struct quota_gate *g)
{
    for (;;) {
        if (LIKELY(g->run[0] && g->connect == redis_connects(g->reactor)))
            return OK;
        if (!g->asking)
            break;
        enum status st = cond_wait(&g->asked, ctx);
        if (st != OK)
            return st;
    }
    g->asking = true;
    enum status st = ask_run(ctx, g);
    g->asking = false;
    cond_broadcast(&g->asked);
    return st;
}

static enum status
beat(struct ctx *ctx, struct quota_gate *g, struct gate_task **ret, size_t *ret_n)
{
    nsec_t began = clock_now();
    double quiet_s = 3.0 * (double)gate_settings.interval / (double)SEC(1);
    enum status st = gate_store_beat(ctx, g->actor_id, quiet_s, DEAD_S, ret, ret_n);
    if (st == OK)
        g->beaten_at = began;
    return st;
}

enum status
gate_know_actor(struct ctx *ctx, struct quota_gate *g)
{
    for (;;) {
        if (LIKELY(g->beaten_at != 0 && reactor_now(g->reactor) - g->beaten_at < FENCE))
            return OK;
        if (!g->beating)
            break;
        enum status st = cond_wait(&g->beaten, ctx);
        if (st != OK)
            return st;
    }
    struct gate_task *tasks;
    size_t n;
    g->beating = true;
    enum status st = beat(ctx, g, &tasks, &n); /* the next tick gets its tasks again */
    g->beating = false;
    cond_broadcast(&g->beaten);
    return st;
}

enum status
gate_know_limits(struct ctx *ctx, struct gate_account *a)
{
    nsec_t now = reactor_now(ctx->reactor);
    if (LIKELY(a->limits_at != 0 && now - a->limits_at < LIMITS_TTL))
        return OK;
    nsec_t had = a->limits_at;
    struct gate_limits limits = {0};
    bool found;
    enum status st = gate_store_limits(ctx, a->account_id, &limits, &found);
    if (st != OK && had != 0 && st != CANCELLED && ctx_check(ctx) == OK) {
        fail_clear(ctx); /* as they were */
        return OK;
    }
    if (st != OK)
        return st;
    if (!found)
        return fail_plain(ctx, ACCOUNT_NOT_FOUND);
    a->limits = limits;
    a->limits_at = now;
    return OK;
}

/* ---- opening an epoch ----------------------------------------------------------------------- */

static enum status
open_epoch(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, usec_t asked,
           int64_t replaces)
{
    struct gate_epoch e;
    enum gate_opened what;
    enum gate_load loaded = GATE_LOAD_LATE;
    int64_t other = 0;
    enum status st =
        gate_store_open(ctx, a->account_id, a->seen_epoch, gate_settings.chunk, &e, &what);
    if (st != OK)
        return st;
    if (what == GATE_OPEN_NO_ACCOUNT)
        return fail_plain(ctx, ACCOUNT_NOT_FOUND);
    if (what == GATE_OPEN_WAIT)
        return fiber_sleep(ctx, OPEN_PAUSE);
    CRASH(gate_opened);
    st = gate_load(ctx, g->run, &e, asked, replaces, &loaded, &other);
    if (st != OK)
        return st;
    if (loaded == GATE_LOADED) {
        a->seen_epoch = e.epoch;
        GATE_ADD(g, loads, 1);
    }
    if (loaded == GATE_LOAD_OTHER)
        return gate_store_alive(ctx, a->account_id, other);
    return OK;
}

enum status
gate_open(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, usec_t asked,
          int64_t replaces)
{
    bool waited = a->busy;
    enum status st = take(ctx, a);
    if (st != OK)
        return st;
    if (!waited) /* whom we waited for has done it: ask again */
        st = open_epoch(ctx, g, a, asked, replaces);
    leave(a);
    return st;
}

/* ---- flushing ------------------------------------------------------------------------------- */

static enum status
retire(struct ctx *ctx, struct quota_gate *g, const struct gate_epoch *e,
       const struct gate_flushed *done)
{
    CRASH(gate_retiring);
    enum status st = gate_store_retire(ctx, e->account_id, e->epoch, done->grant_no, done->spent);
    if (st == OK)
        GATE_ADD(g, retired, 1);
    return st;
}

/* What a usual grant does not cover is granted beside it. */
static int64_t
next_grant(const struct gate_account *a)
{
    return a->needs > gate_settings.chunk / 2 ? gate_settings.chunk + a->needs
                                              : gate_settings.chunk;
}

static enum status
sync_account(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, bool wants_retire)
{
    struct gate_flush f;
    struct gate_epoch e;
    struct gate_flushed done;
    bool open;
    int64_t added;
    list_remove(&a->dirty);
    int64_t spent = a->spent;
    enum status st = gate_know_run(ctx, g);
    if (st == OK)
        st = gate_flush_begin(ctx, g->run, a->account_id, &f);
    if (st != OK || f.epoch == 0)
        return st;
    CRASH(gate_flush_begun);
    st = gate_store_settle(ctx, a->account_id, &f, next_grant(a), &e, &open, &added);
    if (st != OK)
        return st;
    a->needs = 0;
    CRASH(gate_settled);
    if (!open) { /* Postgres has given it up: so must Redis */
        struct str key =
            str_of(arena_printf(ctx->arena, "user:{%lld}:quota", (long long)a->account_id));
        return redis_call(ctx, NULL, STR("DEL"), key);
    }
    st = gate_flush_end(ctx, g->run, &e, f.flush, wants_retire, &done);
    if (st != OK)
        return st;
    CRASH(gate_flush_ended);
    a->synced_at = clock_now();
    a->spent -= spent;
    GATE_ADD(g, flushes, 1);
    GATE_ADD(g, flushed_units, added > 0 ? (uint64_t)added : 0);
    if (done.more)
        gate_account_dirty(g, a);
    return done.retired ? retire(ctx, g, &e, &done) : OK;
}

static enum status
sync_and_leave(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, bool wants_retire)
{
    enum status st = sync_account(ctx, g, a, wants_retire);
    if (st != OK) {
        gate_account_dirty(g, a);
        GATE_ADD(g, flush_failures, 1);
    }
    leave(a);
    return st;
}

enum status
gate_sync(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, bool wants_retire)
{
    enum status st = take(ctx, a);
    return st == OK ? sync_and_leave(ctx, g, a, wants_retire) : st;
}

enum status
gate_sync_since(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, nsec_t since,
                bool *ret_ours)
{
    enum status st = take(ctx, a);
    if (st != OK)
        return st;
    *ret_ours = a->synced_at == 0 || a->synced_at < since;
    if (*ret_ours)
        return sync_and_leave(ctx, g, a, false);
    leave(a);
    return OK;
}

/* ---- reports -------------------------------------------------------------------------------- */

/* Postgres takes an epoch for lost. Redis is asked whether it is: only then is it reported. */
static enum status
report(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, int64_t epoch)
{
    struct gate_flush f;
    struct gate_report r;
    enum status st = gate_know_run(ctx, g);
    if (st == OK)
        st = gate_flush_begin(ctx, g->run, a->account_id, &f);
    if (st != OK)
        return st;
    if (f.flush != 0)
        gate_account_dirty(g, a);
    if (f.epoch == epoch)
        return gate_store_alive(ctx, a->account_id, epoch);
    if (epoch > a->dead_epoch)
        a->dead_epoch = epoch;
    gate_ledger_collect(a, epoch, ctx->arena, &r);
    st = gate_store_report(ctx, g->actor_id, &r, DEAD_S);
    if (st == OK) {
        gate_ledger_drop(a, epoch);
        GATE_ADD(g, reports, 1);
    }
    return st;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

static void
do_task(struct ctx *ctx, struct quota_gate *g, const struct gate_task *t)
{
    struct gate_account *a = gate_account_get(g, t->account_id);
    enum status st;
    if (strcmp(t->kind, "sync") == 0) {
        st = gate_sync(ctx, g, a, true);
    } else if ((st = take(ctx, a)) == OK) {
        st = report(ctx, g, a, t->epoch);
        leave(a);
    }
    if (st != OK)
        log_debug("the gate's task failed", log_str("kind", t->kind),
                  log_int("account", t->account_id), log_str("why", ctx->error.message));
    fail_clear(ctx);
    gate_account_put(a);
}

/* Flushes the accounts that are dirty now; those that fail stay for the next tick. */
static bool
flush_dirty(struct ctx *ctx, struct quota_gate *g)
{
    struct list now;
    bool all = true;
    list_init(&now);
    list_splice(&now, &g->dirty);
    while (!list_empty(&now)) {
        struct gate_account *a = container_of(list_pop(&now), struct gate_account, dirty);
        a->users++;
        if (gate_sync(ctx, g, a, false) != OK) {
            log_debug("not flushed", log_int("account", a->account_id),
                      log_str("why", ctx->error.message));
            all = false;
            gate_account_dirty(g, a);
        }
        fail_clear(ctx);
        gate_account_put(a);
    }
    return all;
}

/* Calls that take long keep their place. */
static void
renew_calls(struct arena *arena, struct quota_gate *g)
{
    nsec_t now = clock_now();
    list_foreach (it, &g->calls) {
        struct gate_call *c = container_of(it, struct gate_call, link);
        if (c->lease_until - now > GATE_CALL_LEASE / 2)
            continue;
        char step[24];
        snprintf(step, sizeof(step), "%lld", (long long)(GATE_CALL_LEASE / USEC(1)));
        struct str key =
            str_of(arena_printf(arena, "user:{%lld}:calls", (long long)c->req.account_id));
        const struct str argv[] = {STR("ZADD"), key,          STR("XX"),
                                   STR("INCR"), str_of(step), str_of(c->req.call_id)};
        if (redis_post(g->reactor, argv, ARRAY_LEN(argv)))
            c->lease_until += GATE_CALL_LEASE;
    }
}

static void
tick_once(struct quota_gate *g)
{
    struct arena arena;
    struct ctx ctx;
    struct gate_task *tasks = NULL;
    size_t n = 0;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, g->reactor);
    ctx.deadline = clock_now() + WORK_DEADLINE;
    g->tick_again = false;
    (void)flush_dirty(&ctx, g);
    if (beat(&ctx, g, &tasks, &n) != OK)
        n = 0;
    fail_clear(&ctx);
    for (size_t i = 0; i < n; i++)
        do_task(&ctx, g, &tasks[i]);
    gate_leases_return(g, &arena, false);
    renew_calls(&arena, g);
    gate_accounts_sweep(g, IDLE_FOR);
    ctx_fini(&ctx);
    arena_fini(&arena);
}

static void
tick(void *arg)
{
    struct quota_gate *g = arg;
    tick_once(g);
    g->ticking = false;
    if (!g->closing)
        timer_set(g->reactor, &g->timer,
                  clock_now() + (g->tick_again ? MSEC(1) : gate_settings.interval));
}

static void
on_timer(struct timer *t)
{
    struct quota_gate *g = container_of(t, struct quota_gate, timer);
    if (g->ticking || g->closing)
        return;
    g->ticking = fiber_spawn(g->reactor, tick, g);
    if (!g->ticking) /* the reactor is full: later */
        timer_set(g->reactor, t, clock_now() + gate_settings.interval);
}

void
gate_tick_now(struct quota_gate *g)
{
    if (g->ticking)
        g->tick_again = true;
    else if (!g->closing)
        timer_set(g->reactor, &g->timer, clock_now());
}

/* Limits of an account have changed. NULL: those of some have, while nobody listened. */
static void
on_change(void *arg, const char *payload)
{
    struct quota_gate *g = arg;
    int64_t account_id;
    if (payload && str_to_i64(str_of(payload), &account_id)) {
        struct gate_account *a = gate_account_find(g, account_id);
        if (!a)
            return;
        a->limits_at = 0;
        gate_account_dirty(g, a);
        gate_tick_now(g);
        return;
    }
    for (size_t i = 0; i < GATE_BUCKETS; i++)
        for (struct gate_account *a = g->buckets[i]; a; a = a->next)
            a->limits_at = 0;
}

void
gate_sync_init(struct quota_gate *g)
{
    ASSERT(getrandom(&g->actor_id, sizeof(g->actor_id), 0) == (ssize_t)sizeof(g->actor_id));
    g->actor_id &= INT64_MAX;
    list_init(&g->dirty);
    list_init(&g->calls);
    list_init(&g->leases);
    cond_init(&g->asked);
    cond_init(&g->beaten);
    timer_init(&g->timer, on_timer);
    timer_set(g->reactor, &g->timer, clock_now());
    g->changes = db_listen(g->reactor, "luna_quota", on_change, g);
}

void
gate_sync_fini(struct quota_gate *g)
{
    timer_stop(g->reactor, &g->timer);
    db_unlisten(g->changes);
    gate_accounts_sweep(g, 0);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void
say_goodbye(void *arg)
{
    struct quota_gate *g = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, g->reactor);
    ctx.deadline = clock_now() + WORK_DEADLINE;
    bool all = false;
    while ((g->ticking || g->renewals > 0) && fiber_sleep(&ctx, MSEC(1)) == OK)
        continue;
    gate_leases_return(g, &arena, true);
    for (int tries = 0; tries < 3 && !(all && list_empty(&g->dirty)); tries++)
        all = flush_dirty(&ctx, g);
    /* An actor that could not flush stays known: what it admitted is not free for others. */
    if (all && list_empty(&g->dirty) && gate_store_leave(&ctx, g->actor_id) != OK)
        log_debug("the gate did not sign off", log_str("why", ctx.error.message));
    if (!all)
        log_warning("the gate could not flush what was spent: Redis keeps it");
    ctx_fini(&ctx);
    arena_fini(&arena);
}

static void
on_close(struct inbox_msg *m)
{
    struct quota_gate *g = container_of(m, struct quota_gate, close_msg);
    g->closing = true;
    timer_stop(g->reactor, &g->timer);
    if (!fiber_spawn(g->reactor, say_goodbye, g))
        log_warning("the gate could not flush what was spent: the reactor is full");
}

void
quota_gate_close(struct reactor *r)
{
    struct quota_gate *g = gate_of(r);
    if (!g)
        return;
    g->close_msg.fn = on_close;
    inbox_send(r, &g->close_msg);
}
