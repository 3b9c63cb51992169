/*
 * Questions to Redis. Calls of one kind - same account, cost, method and limits - that ask in one
 * turn of the loop, or while the account's question before is under way, are one question: the
 * script is as fast for many as for one, and decides them in their order. No timers, and no delay
 * for who asks alone.
 *
 * A batch belongs to its askers while it is open, to the connection while it is with Redis, and to
 * those who read its answer then.
 */
#include <stdlib.h>

#include "edge/gate_state.h"

#define KEEP_FREE_BATCHES 64U

enum batch_state { BATCH_OPEN, BATCH_SENT, BATCH_ANSWERED };

struct asker {
    struct fiber *fiber;
    size_t nth; /* in its batch */
};

struct gate_batch {
    struct redis_listener listener;
    struct list link;        /* account->open, gate->batches or gate->free_batches */
    struct quota_gate *gate; /* NULL: it has gone, while the batch was with Redis */
    struct gate_account *account;
    enum batch_state state;
    bool shared; /* may hold several askers */
    bool dead;   /* the answer is of an epoch that was reported as lost */
    bool failed;
    size_t readers; /* who have not read their answer yet */
    struct gate_answer answer;
    char error[160];         /* failed: Redis' error reply; "": the answer is lost */
    struct gate_request req; /* its texts are the batch's own or static */
    struct gate_limit limits[GATE_MAX_LIMITS];
    char names[GATE_MAX_LIMITS][GATE_MAX_NAME + 1];
    char call_id[40];
    size_t count;
    struct asker *askers[GATE_MAX_CALLS]; /* on their fibers' stacks; NULL: it has left */
};

/* ---- life ----------------------------------------------------------------------------------- */

static void on_answer(struct redis_listener *l, const struct redis_reply *reply);

/* The batch may outlive the caller whose text it is. */
static const char *
keep(char *to, size_t room, const char *text)
{
    size_t n = strlen(text);
    ASSERT(n < room);
    return memcpy(to, text, n + 1);
}

void
gate_keep_limits(const struct gate_request *req, struct gate_limit *limits, char *names,
                 size_t room)
{
    for (size_t i = 0; i < req->limit_count; i++) {
        limits[i] = req->limits[i];
        limits[i].name = keep(names + i * room, room, req->limits[i].name);
    }
}

static struct gate_batch *
batch_new(struct quota_gate *g, struct gate_account *a, const struct gate_request *req)
{
    struct list *l = list_pop(&g->free_batches);
    struct gate_batch *b = l ? container_of(l, struct gate_batch, link) : malloc(sizeof(*b));
    ASSERT(b);
    if (l)
        g->free_batch_count--;
    list_init(&b->link);
    b->listener.fn = on_answer;
    b->gate = g;
    b->account = a;
    b->state = BATCH_OPEN;
    b->shared = !req->dry_run && req->max_calls == 0;
    b->dead = b->failed = false;
    b->readers = b->count = 0;
    b->error[0] = '\0';
    b->req = *req;
    b->req.limits = b->limits;
    gate_keep_limits(req, b->limits, b->names[0], sizeof(b->names[0]));
    if (req->call_id)
        b->req.call_id = keep(b->call_id, sizeof(b->call_id), req->call_id);
    a->users++;
    return b;
}

static void
batch_free(struct gate_batch *b)
{
    struct quota_gate *g = b->gate;
    list_remove(&b->link);
    gate_account_put(b->account);
    if (g->free_batch_count >= KEEP_FREE_BATCHES) {
        free(b);
        return;
    }
    list_push_front(&g->free_batches, &b->link);
    g->free_batch_count++;
}

/* ---- gathering ------------------------------------------------------------------------------ */

bool
gate_same_limits(const struct gate_request *a, const struct gate_request *b)
{
    if (a->limit_count != b->limit_count)
        return false;
    for (size_t i = 0; i < a->limit_count; i++) {
        const struct gate_limit *l = &a->limits[i];
        const struct gate_limit *m = &b->limits[i];
        if (l->capacity != m->capacity || l->unit_us != m->unit_us ||
            l->report_only != m->report_only ||
            (l->name != m->name && strcmp(l->name, m->name) != 0))
            return false;
    }
    return true;
}

/* A batch that is open belongs to requests of one account. */
static bool
same_kind(const struct gate_request *a, const struct gate_request *b)
{
    return a->cost == b->cost && a->charge_quota == b->charge_quota && a->method == b->method &&
           a->now == b->now && gate_same_limits(a, b);
}

static void
ask_at_turn_end(struct quota_gate *g, struct gate_account *a)
{
    if (a->in_flight > 0 || !list_empty(&a->waiting) || list_empty(&a->open))
        return;
    list_push(&g->to_ask, &a->waiting);
    reactor_at_turn_end(g->reactor, &g->ask);
}

static struct gate_batch *
open_batch(struct quota_gate *g, struct gate_account *a, const struct gate_request *req)
{
    list_foreach (it, &a->open) {
        struct gate_batch *b = container_of(it, struct gate_batch, link);
        if (b->count < GATE_MAX_CALLS && same_kind(&b->req, req))
            return b;
    }
    struct gate_batch *b = batch_new(g, a, req);
    list_push(&a->open, &b->link);
    ask_at_turn_end(g, a);
    return b;
}

/* ---- with Redis ----------------------------------------------------------------------------- */

static void batch_answer(struct gate_batch *b, const struct redis_reply *reply);

/* False: not sent. What was written to a file by another run of Redis must not pass for this one:
 * so the run must still be that of the connection. */
static bool
batch_post(struct gate_batch *b, bool whole)
{
    struct quota_gate *g = b->gate;
    struct gate_question q;
    if (!g->run[0] || g->connect != redis_connects(g->reactor))
        return false;
    b->req.run = g->run;
    gate_question_write(&q, &b->req, b->count);
    return gate_question_send(g->reactor, &q, whole, &b->listener);
}

static void
batch_send(struct gate_batch *b)
{
    struct quota_gate *g = b->gate;
    list_remove(&b->link);
    list_push(&g->batches, &b->link);
    b->state = BATCH_SENT;
    if (b->shared)
        b->account->in_flight++;
    GATE_ADD(g, questions, 1);
    if (!batch_post(b, false))
        batch_answer(b, NULL);
}

static void
on_turn_end(struct turn_hook *h)
{
    struct quota_gate *g = container_of(h, struct quota_gate, ask);
    struct list *l;
    while ((l = list_pop(&g->to_ask))) {
        struct gate_account *a = container_of(l, struct gate_account, waiting);
        struct list now;
        list_init(&now);
        list_splice(&now, &a->open);
        while (!list_empty(&now))
            batch_send(container_of(now.next, struct gate_batch, link));
    }
}

/* What was admitted is in the ledger before anybody acts on it. */
static void
note(struct gate_batch *b)
{
    struct quota_gate *g = b->gate;
    struct gate_account *a = b->account;
    const struct gate_answer *answer = &b->answer;
    int64_t units = answer->admitted * b->req.cost;
    struct gate_decision d;
    if (!b->req.charge_quota || answer->epoch == 0)
        return;
    if (answer->epoch > a->seen_epoch)
        a->seen_epoch = answer->epoch;
    a->seen_left = answer->left - units;
    b->dead = answer->epoch <= a->dead_epoch;
    if (b->dead || b->req.dry_run || units == 0)
        return;
    gate_decision_of(answer, &b->req, 0, &d);
    gate_ledger_add(a, &d, b->req.method, units);
    gate_account_dirty(g, a);
    a->spent += units;
    if (a->spent >= gate_settings.chunk / 4)
        gate_tick_now(g);
}

static void
batch_answer(struct gate_batch *b, const struct redis_reply *reply)
{
    struct gate_account *a = b->account;
    b->state = BATCH_ANSWERED;
    if (b->shared && --a->in_flight == 0)
        ask_at_turn_end(b->gate, a);
    b->failed = !reply || !gate_answer_read(reply, &b->req, b->count, &b->answer);
    if (b->failed && reply && reply->type == REDIS_ERROR)
        snprintf(b->error, sizeof(b->error), STR_FMT, STR_ARG(reply->str));
    else if (b->failed && reply)
        snprintf(b->error, sizeof(b->error), "the limiter's answer cannot be read");
    if (!b->failed)
        note(b);
    for (size_t i = 0; i < b->count; i++) {
        if (!b->askers[i])
            continue;
        b->readers++;
        fiber_wake(b->askers[i]->fiber);
    }
    if (b->readers == 0)
        batch_free(b);
}

static void
on_answer(struct redis_listener *l, const struct redis_reply *reply)
{
    struct gate_batch *b = container_of(l, struct gate_batch, listener);
    if (!b->gate) {
        free(b);
        return;
    }
    if (reply && redis_is_noscript(reply) && batch_post(b, true))
        return;
    batch_answer(b, reply);
}

/* ---- callers -------------------------------------------------------------------------------- */

static void
leave(struct gate_batch *b, const struct asker *me)
{
    if (b->state == BATCH_SENT) {
        b->askers[me->nth] = NULL;
        return;
    }
    struct asker *last = b->askers[--b->count];
    b->askers[me->nth] = last;
    last->nth = me->nth;
    if (b->count > 0)
        return;
    struct gate_account *a = b->account;
    a->users++; /* until its lists are seen to */
    batch_free(b);
    if (list_empty(&a->open))
        list_remove(&a->waiting);
    gate_account_put(a);
}

static enum status
read_answer(struct ctx *ctx, struct gate_batch *b, const struct asker *me,
            struct gate_decision *ret, bool *ret_dead)
{
    enum status st = OK;
    if (!b->failed) {
        gate_decision_of(&b->answer, &b->req, me->nth, ret);
        *ret_dead = b->dead;
    } else {
        const struct redis_reply error = {.type = REDIS_ERROR, .str = str_of(b->error)};
        st = redis_fail_lost(ctx, b->error[0] ? &error : NULL);
    }
    if (--b->readers == 0)
        batch_free(b);
    return st;
}

enum status
gate_ask(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
         const struct gate_request *req, struct gate_decision *ret, bool *ret_dead)
{
    enum status st = ctx_check(ctx);
    if (st != OK)
        return st;
    if (!gate_request_sane(req))
        return fail(ctx, INTERNAL_ERROR, "a limit is out of range");
    struct asker me = {.fiber = fiber_self()};
    struct gate_batch *b;
    if (req->dry_run || req->max_calls > 0)
        b = batch_new(g, a, req);
    else
        b = open_batch(g, a, req);
    me.nth = b->count;
    b->askers[b->count++] = &me;
    if (!b->shared)
        batch_send(b);
    while (b->state != BATCH_ANSWERED && st == OK)
        st = fiber_park(ctx);
    if (b->state != BATCH_ANSWERED) {
        leave(b, &me);
        return st;
    }
    return read_answer(ctx, b, &me, ret, ret_dead);
}

bool
gate_undo(struct reactor *r, struct arena *arena, struct gate_account *a,
          const struct gate_request *req, const struct gate_decision *decided, int64_t units)
{
    struct quota_gate *g = gate_of(r);
    struct gate_decision d = *decided;
    struct ctx ctx;
    int64_t flush = 0;
    ctx_init(&ctx, arena, r);
    ctx.deadline = clock_now() + SEC(2);
    bool back = gate_give_back(&ctx, req, &d, units, &flush) == OK && flush != 0;
    if (back) {
        d.flush = flush;
        gate_ledger_add(a, &d, req->method, -units);
        gate_account_dirty(g, a);
        a->spent -= units;
    } else if (d.epoch > a->dead_epoch) {
        /* Redis has lost it; what we are going to report must not hold it. */
        gate_ledger_add(a, &d, req->method, -units);
    }
    ctx_fini(&ctx);
    return back;
}

void
gate_ask_init(struct quota_gate *g)
{
    list_init(&g->to_ask);
    list_init(&g->batches);
    list_init(&g->free_batches);
    turn_hook_init(&g->ask, on_turn_end);
}

void
gate_ask_fini(struct quota_gate *g)
{
    struct list *l;
    ASSERT(list_empty(&g->to_ask));
    turn_hook_cancel(&g->ask);
    while ((l = list_pop(&g->batches)))
        container_of(l, struct gate_batch, link)->gate = NULL;
    while ((l = list_pop(&g->free_batches)))
        free(container_of(l, struct gate_batch, link));
}
