/*
 * Takes pulses away (migrations/0012_counts_pulse): those of the accounts that stored readings
 * here, some seconds after, when whoever reads counts often has long seen them. What a process
 * that died has left, the next one that stores readings of the account takes with it.
 */
#include <stdlib.h>

#include "base/log.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

#define EVERY    SEC(10)
#define ACCOUNTS 256 /* the others' wait until there is room */
#define DEADLINE SEC(10)

struct counts_prune {
    struct {
        int64_t account_id;
        bool active; /* has stored readings since the last round */
    } accounts[ACCOUNTS];
    size_t n;
    size_t last;     /* found last */
    int64_t horizon; /* transactions before it had ended a round ago; 0: not known */
    bool working;
    struct timer timer;
};

void
counts_prune_later(struct counts_reactor *c, int64_t account_id)
{
    struct counts_prune *p = c->prune;
    size_t i = p->last;
    if (i >= p->n || p->accounts[i].account_id != account_id)
        for (i = 0; i < p->n && p->accounts[i].account_id != account_id;)
            i++;
    if (i == ACCOUNTS)
        return;
    p->last = i;
    if (i == p->n)
        p->accounts[p->n++].account_id = account_id;
    p->accounts[i].active = true;
    if (!p->working && !timer_pending(&p->timer))
        timer_set(c->reactor, &p->timer, clock_now() + EVERY);
}

/* An account stays for one more round after it was active last. */
static void
drop_idle(struct counts_prune *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->accounts[i].active) {
            p->accounts[kept] = p->accounts[i];
            p->accounts[kept++].active = false;
        }
    p->n = kept;
    p->last = 0;
}

static enum status
prune(struct ctx *ctx, struct counts_prune *p)
{
    struct db_int8_value now;
    enum status st = db_one(ctx, &sql_counts_oldest, DB_NO_ARGS, REASON_INTERNAL_ERROR, &now);
    for (size_t i = 0; i < p->n && st == OK && p->horizon > 0; i++) {
        const int64_t account = p->accounts[i].account_id;
        ctx->who = (struct identity){.account_id = account, .role = ROLE_MEMBER};
        st = db_exec(ctx, &sql_counts_prune, DB_ARGS(db_int8(account), db_int8(p->horizon)), NULL);
    }
    if (st == OK)
        p->horizon = now.value;
    return st;
}

static void
work(void *arg)
{
    struct counts_reactor *c = arg;
    struct counts_prune *p = c->prune;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, c->reactor);
    ctx.deadline = clock_now() + DEADLINE;
    if (prune(&ctx, p) != OK)
        log_debug("pulses not taken away", log_str("why", ctx.error.message));
    ctx_fini(&ctx);
    arena_fini(&arena);
    drop_idle(p);
    if (p->n == 0)
        p->horizon = 0;
    p->working = false;
    if (p->n > 0 && !reactor_stopping(c->reactor))
        timer_set(c->reactor, &p->timer, clock_now() + EVERY);
}

static void
on_timer(struct timer *timer)
{
    struct counts_prune *p = container_of(timer, struct counts_prune, timer);
    struct counts_reactor *c = counts_of(reactor_current());
    if (!p->working)
        p->working = fiber_spawn(c->reactor, work, c);
}

void
counts_prune_init(struct counts_reactor *c)
{
    c->prune = calloc(1, sizeof(*c->prune));
    ASSERT(c->prune);
    timer_init(&c->prune->timer, on_timer);
}

void
counts_prune_fini(struct counts_reactor *c)
{
    timer_stop(c->reactor, &c->prune->timer);
    free(c->prune);
}
