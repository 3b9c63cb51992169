/*
 * Telling the watchers of all servers that counts may have changed: PostgreSQL's NOTIFY, outside of
 * the transactions that store readings (a NOTIFY makes commits wait for each other), a moment
 * later, one for all that happened in that moment; of corrections, which are few, at once. A
 * notification that is lost with a process is made up for by the watchers, who look for themselves
 * every two seconds.
 *
 *   r <account> <earliest> <latest instant> <DPU>,<DPU>,...   readings; "*" in place of many DPUs
 *   c <account> <from> <to>                                   assignments, doorways or spaces
 * changed
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

#define MOMENT      MSEC(20)
#define ACCOUNTS    64
#define DPUS        64 /* a power of two */
#define DEADLINE    SEC(10)
#define MAX_PAYLOAD 4000

struct told_account {
    int64_t account_id;
    usec_t earliest;
    usec_t latest;
    size_t n_dpus; /* DPUS: too many */
    int32_t dpus[DPUS];
    bool corrected;
    usec_t from;
    usec_t to;
};

struct counts_told {
    struct told_account accounts[ACCOUNTS];
    size_t n;
    size_t last; /* found last */
    bool telling;
    struct timer timer;
};

static struct told_account *
find_account(struct counts_reactor *c, int64_t account_id)
{
    struct counts_told *t = c->told;
    if (t->n > 0 && t->accounts[t->last].account_id == account_id)
        return &t->accounts[t->last];
    for (size_t i = 0; i < t->n; i++)
        if (t->accounts[i].account_id == account_id) {
            t->last = i;
            return &t->accounts[i];
        }
    if (t->n == ACCOUNTS) /* their watchers look for themselves */
        return NULL;
    t->last = t->n++;
    t->accounts[t->last] = (struct told_account){.account_id = account_id,
                                                 .earliest = DB_INFINITY,
                                                 .latest = -DB_INFINITY,
                                                 .from = DB_INFINITY,
                                                 .to = -DB_INFINITY};
    if (!timer_pending(&t->timer) && !t->telling)
        timer_set(c->reactor, &t->timer, clock_now() + MOMENT);
    return &t->accounts[t->last];
}

void
counts_tell_reading(struct counts_reactor *c, int64_t account_id, int32_t dpu_id, usec_t at)
{
    struct told_account *a = find_account(c, account_id);
    if (!a)
        return;
    if (at < a->earliest)
        a->earliest = at;
    if (at > a->latest)
        a->latest = at;
    if (a->n_dpus == DPUS)
        return;
    for (size_t i = 0; i < a->n_dpus; i++)
        if (a->dpus[i] == dpu_id)
            return;
    a->dpus[a->n_dpus++] = dpu_id;
}

void
counts_tell_correction(struct counts_reactor *c, int64_t account_id, usec_t from, usec_t to)
{
    struct told_account *a = find_account(c, account_id);
    counts_prune_later(c, account_id);
    if (!a)
        return;
    /* At once: a look on behalf of readings that saw it would tell it as theirs. */
    if (!c->told->telling)
        timer_set(c->reactor, &c->told->timer, clock_now());
    a->corrected = true;
    a->from = from < a->from ? from : a->from;
    a->to = to > a->to ? to : a->to;
}

static void
put_payloads(struct ctx *ctx, const struct told_account *a, const char *ret[2])
{
    struct buf b;
    ret[0] = ret[1] = NULL;
    if (a->n_dpus > 0) {
        buf_init(&b, MAX_PAYLOAD);
        buf_printf(&b, "r %" PRId64 " %" PRId64 " %" PRId64 " ", a->account_id, a->earliest,
                   a->latest);
        for (size_t i = 0; i < a->n_dpus && a->n_dpus < DPUS; i++)
            buf_printf(&b, "%s%" PRId32, i > 0 ? "," : "", a->dpus[i]);
        if (a->n_dpus == DPUS)
            buf_puts(&b, "*");
        ret[0] = arena_strndup(ctx->arena, b.data, b.len);
        buf_fini(&b);
    }
    if (a->corrected)
        ret[1] = arena_printf(ctx->arena, "c %" PRId64 " %" PRId64 " %" PRId64, a->account_id,
                              a->from, a->to);
}

static enum status
notify(struct ctx *ctx, const struct told_account *a)
{
    const char *payloads[2];
    enum status st = OK;
    put_payloads(ctx, a, payloads);
    for (size_t i = 0; i < ARRAY_LEN(payloads) && st == OK; i++) {
        struct db_bool_value row;
        if (payloads[i])
            st = db_one(ctx, &sql_counts_notify, DB_ARGS(db_text(payloads[i])),
                        REASON_INTERNAL_ERROR, &row);
    }
    return st;
}

static void
tell(void *arg)
{
    struct counts_reactor *c = arg;
    struct counts_told *t = c->told;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, c->reactor);
    ctx.deadline = clock_now() + DEADLINE;
    const size_t n = t->n;
    struct told_account *all = arena_memdup(&arena, t->accounts, n * sizeof(*all));
    t->n = t->last = 0;
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++)
        st = notify(&ctx, &all[i]);
    if (st != OK)
        log_debug("watchers not told", log_str("why", ctx.error.message));
    ctx_fini(&ctx);
    arena_fini(&arena);
    t->telling = false;
    if (t->n > 0 && !reactor_stopping(c->reactor))
        timer_set(c->reactor, &t->timer, clock_now() + MOMENT);
}

static void
on_timer(struct timer *timer)
{
    struct counts_told *t = container_of(timer, struct counts_told, timer);
    struct counts_reactor *c = counts_of(reactor_current());
    if (t->n > 0 && !t->telling)
        t->telling = fiber_spawn(c->reactor, tell, c);
}

void
counts_tell_init(struct counts_reactor *c)
{
    c->told = calloc(1, sizeof(*c->told));
    ASSERT(c->told);
    timer_init(&c->told->timer, on_timer);
}

void
counts_tell_fini(struct counts_reactor *c)
{
    timer_stop(c->reactor, &c->told->timer);
    free(c->told);
}
