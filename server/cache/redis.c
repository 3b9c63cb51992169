#include "cache/redis.h"

#include <stdlib.h>

#include "cache/redis_private.h"
#include "run/ctx.h"
#include "run/fiber.h"

/* Beyond it commands are refused: Redis does not keep up, and waiting would not help. */
#define MAX_IN_FLIGHT 65536U
#define KEEP_FREE_OPS 1024U

static struct redis *
redis_of_conn(struct redis_conn *c)
{
    return container_of(c, struct redis, conn);
}

/* ---- commands in flight -------------------------------------------------------------------- */

static struct redis_op *
op_new(struct redis *r)
{
    struct list *l = list_pop(&r->free_ops);
    struct redis_op *op;
    if (l) {
        op = container_of(l, struct redis_op, link);
        r->free_op_count--;
        *op = (struct redis_op){.done = false};
    } else {
        op = calloc(1, sizeof(*op));
        ASSERT(op);
    }
    list_init(&op->link);
    return op;
}

static void
op_free(struct redis *r, struct redis_op *op)
{
    if (r->free_op_count >= KEEP_FREE_OPS) {
        free(op);
        return;
    }
    list_push_front(&r->free_ops, &op->link);
    r->free_op_count++;
}

static void
in_flight_add(struct redis *r, struct redis_op *op)
{
    list_push(&r->in_flight, &op->link);
    r->in_flight_count++;
    atomic_store_explicit(&r->stats.in_flight, r->in_flight_count, memory_order_relaxed);
}

/* Sends the command. NULL: refused, the connection is down or too much is in flight. */
static struct redis_op *
op_send(struct redis *r, const struct str *argv, size_t argc)
{
    if (r->conn.state != REDIS_READY || r->in_flight_count >= MAX_IN_FLIGHT ||
        !redis_conn_send(&r->conn, argv, argc)) {
        redis_count(&r->stats.refused, 1);
        return NULL;
    }
    struct redis_op *op = op_new(r);
    op->deadline = clock_now() + r->conn.timeout;
    bool first = list_empty(&r->in_flight);
    in_flight_add(r, op);
    if (first)
        redis_conn_watch(&r->conn);
    return op;
}

/* Replies nest at most as deep as hiredis' parser allows (7). */
static void
copy_reply(struct arena *a, struct redis_reply *to, const struct redis_reply *from)
{
    *to = *from;
    if (from->str.p) /* with the NUL behind it */
        to->str.p = arena_memdup(a, from->str.p, from->str.n + 1);
    if (from->type != REDIS_ARRAY)
        return;
    to->items = arena_new_n(a, struct redis_reply, from->count);
    for (size_t i = 0; i < from->count; i++)
        copy_reply(a, &to->items[i], &from->items[i]);
}

/* Takes the oldest op out of flight and hands it to its waiter, with the reply or lost (NULL). */
static void
op_finish_oldest(struct redis *r, const struct redis_reply *reply)
{
    struct redis_op *op = container_of(list_pop(&r->in_flight), struct redis_op, link);
    r->in_flight_count--;
    atomic_store_explicit(&r->stats.in_flight, r->in_flight_count, memory_order_relaxed);
    if (!op->waiter) {
        struct redis_listener *listener = op->listener;
        op_free(r, op);
        if (listener)
            listener->fn(listener, reply);
        return;
    }
    if (reply) {
        op->reply = arena_new(op->waiter->arena, struct redis_reply);
        copy_reply(op->waiter->arena, op->reply, reply);
    }
    op->done = true;
    fiber_wake(op->fiber);
}

/* ---- what the connection calls ------------------------------------------------------------- */

static void
on_handshake(struct redis_conn *c)
{
    struct redis *r = redis_of_conn(c);
    for (size_t i = 0; i < r->opt.script_count; i++) {
        const struct redis_script *s = r->opt.scripts[i];
        redis_conn_handshake(
            c, (struct str[]){STR("SCRIPT"), STR("LOAD"), (struct str){s->text, s->size}}, 3);
    }
}

static void
on_up(struct redis_conn *c)
{
    (void)c;
}

static bool
on_reply(struct redis_conn *c, const struct redis_reply *reply)
{
    struct redis *r = redis_of_conn(c);
    if (list_empty(&r->in_flight))
        return false;
    op_finish_oldest(r, reply);
    return true;
}

static void
on_down(struct redis_conn *c)
{
    struct redis *r = redis_of_conn(c);
    while (!list_empty(&r->in_flight))
        op_finish_oldest(r, NULL);
}

static nsec_t
on_oldest_deadline(struct redis_conn *c)
{
    struct redis *r = redis_of_conn(c);
    if (list_empty(&r->in_flight))
        return NSEC_NEVER;
    return container_of(r->in_flight.next, struct redis_op, link)->deadline;
}

static void
on_ping(struct redis_conn *c)
{
    (void)op_send(redis_of_conn(c), (struct str[]){STR("PING")}, 1);
}

static const struct redis_conn_ops ops = {on_handshake,       on_up,  on_reply, on_down,
                                          on_oldest_deadline, on_ping};

/* ---- verbs --------------------------------------------------------------------------------- */

static enum status
fail_away(struct ctx *ctx, const char *why)
{
    enum status st = fail_plain(ctx, CACHE_UNAVAILABLE);
    if (ctx->error.reason == REASON_CACHE_UNAVAILABLE) {
        fail_detail(ctx, "redis: %s", why);
        ctx->error.retry_after = SEC(1);
    }
    return st;
}

static void redis_release(struct redis *r);

static enum status
op_wait(struct redis *r, struct redis_op *op, struct ctx *ctx, struct redis_reply **ret)
{
    op->waiter = ctx;
    op->fiber = fiber_self();
    r->users++;
    enum status st = OK;
    while (!op->done && st == OK)
        st = fiber_park(ctx);
    if (st != OK) {
        redis_count(&r->stats.detached, 1);
        op->waiter = NULL;
    } else if (op->reply) {
        *ret = op->reply;
    } else {
        st = fail_away(ctx, r->conn.why);
    }
    if (op->done)
        op_free(r, op);
    redis_release(r);
    return st;
}

enum status
redis_exchange(struct ctx *ctx, const struct str *argv, size_t argc, struct redis_reply **ret)
{
    enum status st = ctx_check(ctx);
    if (st != OK)
        return st;
    struct redis *r = reactor_slot(ctx->reactor, SLOT_CACHE);
    if (!r)
        return fail_away(ctx, "none is configured");
    struct redis_op *op = op_send(r, argv, argc);
    if (!op)
        return fail_away(ctx, r->conn.state == REDIS_READY ? "too much in flight" : r->conn.why);
    return op_wait(r, op, ctx, ret);
}

enum status
redis_fail_reply(struct ctx *ctx, const struct redis_reply *reply)
{
    /* Redis is there and cannot serve now: https://redis.io/docs/ lists no table of these, they are
     * the shared.*err of its server.c. */
    static const struct str away[] = {
        {"LOADING", 7},  {"BUSY", 4},        {"OOM", 3},         {"READONLY", 8},
        {"MISCONF", 7},  {"MASTERDOWN", 10}, {"NOREPLICAS", 10}, {"CLUSTERDOWN", 11},
        {"TRYAGAIN", 8}, {"NOAUTH", 6},      {"NOPERM", 6},
    };
    struct str rest = reply->str;
    struct str code = str_cut(&rest, ' ');
    for (size_t i = 0; i < ARRAY_LEN(away); i++) {
        if (!str_eq(code, away[i]))
            continue;
        struct redis *r = reactor_slot(ctx->reactor, SLOT_CACHE);
        /* A replica answers where a primary did: the name may lead elsewhere by now. */
        if (r && str_eq(code, STR("READONLY")) && r->conn.state == REDIS_READY)
            redis_conn_break(&r->conn, "Redis is a read-only replica");
        return fail_away(ctx, arena_strndup(ctx->arena, reply->str.p, reply->str.n));
    }
    enum status st = fail_plain(ctx, INTERNAL_ERROR);
    fail_detail(ctx, "redis: " STR_FMT, STR_ARG(reply->str));
    return st;
}

enum status
redis_command(struct ctx *ctx, const struct str *argv, size_t argc, struct redis_reply **ret)
{
    struct redis_reply *reply;
    enum status st = redis_exchange(ctx, argv, argc, &reply);
    if (st != OK)
        return st;
    if (reply->type == REDIS_ERROR)
        return redis_fail_reply(ctx, reply);
    if (ret)
        *ret = reply;
    return OK;
}

bool
redis_post(struct reactor *reactor, const struct str *argv, size_t argc)
{
    struct redis *r = reactor_slot(reactor, SLOT_CACHE);
    return r && op_send(r, argv, argc) != NULL;
}

bool
redis_post_for(struct reactor *reactor, const struct str *argv, size_t argc,
               struct redis_listener *l)
{
    struct redis *r = reactor_slot(reactor, SLOT_CACHE);
    struct redis_op *op = r ? op_send(r, argv, argc) : NULL;
    if (op)
        op->listener = l;
    return op != NULL;
}

enum status
redis_fail_lost(struct ctx *ctx, const struct redis_reply *reply)
{
    const struct redis *r = reactor_slot(ctx->reactor, SLOT_CACHE);
    if (reply)
        return redis_fail_reply(ctx, reply);
    return fail_away(ctx, r ? r->conn.why : "none is configured");
}

uint64_t
redis_connects(const struct reactor *reactor)
{
    const struct redis *r = reactor_slot(reactor, SLOT_CACHE);
    return r ? atomic_load_explicit(&r->stats.connects, memory_order_relaxed) : 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
on_stop(struct stop_hook *hook)
{
    struct redis *r = container_of(hook, struct redis, stop);
    if (r->subscriber)
        redis_subscriber_stop(r->subscriber);
    redis_conn_close(&r->conn);
}

struct redis *
redis_new(struct reactor *reactor, const struct redis_options *opt, char *err, size_t err_size)
{
    struct redis_url url;
    if (!redis_url_parse(opt->url, &url, err, err_size))
        return NULL;
    struct redis *r = calloc(1, sizeof(*r));
    ASSERT(r);
    r->users = 1;
    r->reactor = reactor;
    r->opt = *opt;
    list_init(&r->in_flight);
    list_init(&r->free_ops);
    redis_conn_init(&r->conn, reactor, &ops, "commands", opt, &url, &r->stats);
    r->opt.url = NULL;
    r->opt.client_name = r->conn.client_name;
    list_init(&r->stop.link);
    r->stop.fn = on_stop;
    reactor_at_stop(reactor, &r->stop);
    reactor_set_slot(reactor, SLOT_CACHE, r);
    redis_conn_open(&r->conn);
    return r;
}

/* The last of redis_free and those who still wait frees the memory. */
static void
redis_release(struct redis *r)
{
    if (--r->users > 0)
        return;
    struct list *l;
    while ((l = list_pop(&r->free_ops)))
        free(container_of(l, struct redis_op, link));
    free(r);
}

void
redis_free(struct redis *r)
{
    if (!r)
        return;
    if (r->subscriber)
        redis_subscriber_free(r->subscriber);
    redis_conn_fini(&r->conn);
    list_remove(&r->stop.link);
    reactor_set_slot(r->reactor, SLOT_CACHE, NULL);
    redis_release(r);
}

bool
redis_is_ready(const struct redis *r)
{
    return atomic_load_explicit(&r->conn.is_ready, memory_order_relaxed);
}

static uint64_t
number(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
redis_numbers(const struct redis *r, struct redis_numbers *ret)
{
    const struct redis_stats *s = &r->stats;
    *ret = (struct redis_numbers){
        .commands = number(&s->commands),
        .replies = number(&s->replies),
        .error_replies = number(&s->error_replies),
        .writes = number(&s->writes),
        .bytes_out = number(&s->bytes_out),
        .bytes_in = number(&s->bytes_in),
        .connects = number(&s->connects),
        .connect_failures = number(&s->connect_failures),
        .disconnects = number(&s->disconnects),
        .timeouts = number(&s->timeouts),
        .refused = number(&s->refused),
        .detached = number(&s->detached),
        .script_reloads = number(&s->script_reloads),
        .messages = number(&s->messages),
        .in_flight = number(&s->in_flight),
        .ready = redis_is_ready(r),
    };
}
