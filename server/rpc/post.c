/*
 * Calls before and after their life: the pool they come from, and those given to core to be filled
 * with what arrives.
 */
#include <grpc/grpc_security.h>
#include <stdlib.h>

#include "rpc/internal.h"
#include "run/reactor.h"

#define POOL_MAX      512     /* free calls kept for each reactor */
#define POST_MAX      128     /* arrivals waiting for one method on one queue */
#define GENERIC_POSTS 4       /* the same for methods nobody knows */
#define ENDING_MAX    SEC(60) /* a caller that does not read its status is cut off then */
#define SCRATCH_BYTES 1008

/* ---- the pool: taken from by the poller, given back to by the reactors ------------------------
 */

static void
event_init(struct rpc_event *ev, struct rpc_call *c, void (*fn)(struct rpc_event *))
{
    ev->call = c;
    ev->functor.functor_run = event_run;
    ev->functor.inlineable = 1;
    ev->fn = fn;
}

/* What the reactors have given back since. */
static void
pool_refill(struct poller *p)
{
    struct rpc_call *c = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    size_t n = 0;
    for (; c; n++) {
        struct rpc_call *next = c->next_free;
        c->next_free = p->pool;
        p->pool = c;
        c = next;
    }
    atomic_fetch_sub_explicit(&p->returned_count, n, memory_order_relaxed);
}

static struct rpc_call *
pool_get(struct poller *p)
{
    if (!p->pool)
        pool_refill(p);
    struct rpc_call *c = p->pool;
    if (c) {
        p->pool = c->next_free;
        return c;
    }
    c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    c->poller = p;
    list_init(&c->link);
    list_init(&c->unwatched);
    arena_init(&c->arena, 0);
    arena_init(&c->stream.scratch, SCRATCH_BYTES);
    event_init(&c->main_event, c, call_on_accepted);
    event_init(&c->close_event, c, call_on_closed);
    event_init(&c->recv_event, c, stream_on_received);
    event_init(&c->send_event, c, stream_on_sent);
    atomic_fetch_add_explicit(&p->calls, 1, memory_order_relaxed);
    return c;
}

static void
call_destroy(struct rpc_call *c)
{
    atomic_fetch_sub_explicit(&c->poller->calls, 1, memory_order_relaxed);
    arena_fini(&c->arena);
    arena_fini(&c->stream.scratch);
    free(c);
}

/* Gives back what the call held of core and clears it for the next one. */
void
call_recycle(struct rpc_call *c)
{
    struct poller *p = c->poller;
    list_remove(&c->link);
    stream_reset(&c->stream);
    if (c->payload)
        grpc_byte_buffer_destroy(c->payload);
    if (c->core)
        grpc_call_unref(c->core);
    grpc_metadata_array_destroy(&c->metadata);
    if (!c->asked)
        grpc_call_details_destroy(&c->details);
    c->payload = NULL;
    c->core = NULL;
    c->phase = CALL_POOLED;
    if (atomic_load_explicit(&p->returned_count, memory_order_relaxed) >=
        POOL_MAX * p->shard_count) {
        call_destroy(c);
        return;
    }
    arena_reset(&c->arena);
    c->headers = (struct metadata_list){0};
    c->trailers = (struct metadata_list){0};
    c->peer = c->peer_address = NULL;
    c->peer_name = 0;
    c->shard = NULL;
    c->slot = NULL;
    c->cancelled_flag = 0;
    c->plain = c->was_compressed = false;
    c->close_started = c->headers_sent = c->has_response = c->shut_down = false;
    atomic_fetch_add_explicit(&p->returned_count, 1, memory_order_relaxed);
    c->next_free = atomic_load_explicit(&p->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&p->returned, &c->next_free, c,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

void
call_pool_free(struct poller *p)
{
    for (pool_refill(p); p->pool;) {
        struct rpc_call *c = p->pool;
        p->pool = c->next_free;
        call_destroy(c);
    }
}

/* ---- posting ------------------------------------------------------------------------------- */

/* The answer of a unary call usually completes on the reactor itself, inside grpc_call_start_batch:
 * on a callback queue that costs nothing, on the polled one it would wake the poller. What streams
 * wait for completes on the poller. */
static grpc_completion_queue *
queue_of(const struct poller *p, const struct rpc_method *m)
{
    return m->kind == RPC_UNARY ? p->done_cq : p->cq;
}

static bool
call_post(struct poller *p, struct poller_method *m)
{
    struct rpc_call *c = pool_get(p);
    c->asked = m;
    c->phase = CALL_POSTED;
    c->pending = 1;
    c->main_event.fn = call_on_accepted;
    grpc_metadata_array_init(&c->metadata);
    grpc_call_error err;
    GIVE_TO_CORE(&c->main_event);
    if (m) {
        err = grpc_server_request_registered_call(
            p->server->core, m->registered, &c->core, &c->core_deadline, &c->metadata,
            method_takes_payload(m->method) ? &c->payload : NULL, queue_of(p, m->method), p->cq,
            &c->main_event);
    } else {
        grpc_call_details_init(&c->details);
        err = grpc_server_request_call(p->server->core, &c->core, &c->details, &c->metadata, p->cq,
                                       p->cq, &c->main_event);
    }
    if (err != GRPC_CALL_OK) {
        p->closing = true;
        c->pending = 0;
        call_recycle(c);
        return false;
    }
    return true;
}

static void
post_method(struct poller *p, struct poller_method *m)
{
    while (!p->closing && m->posted < m->target && call_post(p, m))
        m->posted++;
}

static void
post_generic(struct poller *p)
{
    while (!p->closing && p->generic_posted < GENERIC_POSTS && call_post(p, NULL))
        p->generic_posted++;
}

void
call_post_all(struct poller *p)
{
    for (size_t i = 0; i < p->server->method_count; i++)
        post_method(p, &p->methods[i]);
    post_generic(p);
}

/*
 * Each completion costs core a scan of all that is posted on the queue, so few are posted. A method
 * of which as many calls arrive at once as are posted gets more: a call that finds nothing posted
 * takes a slow way through core, and one lock of the whole server.
 */
static void
method_arrived(struct poller *p, struct poller_method *m)
{
    m->posted--;
    unsigned epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed);
    if (m->epoch != epoch) {
        m->epoch = epoch;
        m->burst = 0;
    }
    m->burst++;
    if (m->burst > m->peak)
        m->peak = m->burst;
    if (m->burst >= m->target && m->target < POST_MAX)
        m->target *= 2;
    post_method(p, m);
}

/* The same for all calls of a connection, and no other's while it stands. Those through unix
 * sockets have no name; but core makes an authentication context for each connection, even an
 * insecure one. (That alone would not do: its place in memory is that of the connection that has
 * just ended.) */
static uint64_t
connection_of(struct rpc_call *c)
{
    uint64_t name = call_connection(c);
    if (name != 0)
        return name;
    grpc_auth_context *a = grpc_call_auth_context(c->core);
    grpc_auth_context_release(a);
    return (uintptr_t)a;
}

/*
 * All calls of a connection go to one reactor: its answers leave together (cork.c), no other
 * reactor waits for core's locks of it, and what the reactor has learned of its caller (keys,
 * limits) is there. Connections get theirs in turn.
 */
static struct shard *
home_of(struct poller *p, struct rpc_call *c)
{
    if (p->shard_count == 1)
        return p->shards;
    uint64_t connection = connection_of(c);
    uint64_t mixed = connection * UINT64_C(0x9e3779b97f4a7c15);
    struct home *set = p->homes[(mixed >> 32) % HOME_SETS];
    for (size_t i = 0; i < HOME_WAYS && set[i].shard; i++) {
        if (set[i].connection == connection)
            return set[i].shard;
    }
    struct shard *next = &p->shards[p->turn];
    p->turn = (p->turn + 1) % p->shard_count;
    memmove(&set[1], set, (HOME_WAYS - 1) * sizeof(*set));
    set[0] = (struct home){connection, next};
    return next;
}

bool
call_arrived(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    struct poller *p = c->poller;
    if (!ev->ok) { /* the server shuts down */
        p->closing = true;
        c->pending = 0;
        call_recycle(c);
        return false;
    }
    c->shard = home_of(p, c);
    if (c->asked) {
        c->slot = &c->shard->methods[c->asked - p->methods];
        method_arrived(p, c->asked);
    } else {
        p->generic_posted--;
        post_generic(p);
    }
    return true;
}

void
call_begin_epoch(struct poller *p)
{
    unsigned epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed);
    atomic_store_explicit(&p->epoch, epoch + 1, memory_order_relaxed);
    if (!atomic_load_explicit(&p->settle, memory_order_relaxed))
        return;
    atomic_store_explicit(&p->settle, false, memory_order_relaxed);
    for (size_t i = 0; i < p->server->method_count; i++) {
        struct poller_method *m = &p->methods[i];
        if (m->peak < m->target / 4)
            m->target /= 2;
        m->peak = 0;
    }
}

void
call_janitor(struct shard *sh)
{
    nsec_t now = reactor_now(sh->reactor);
    if (sh == sh->poller->shards) /* once, not for each of its shards */
        atomic_store_explicit(&sh->poller->settle, true, memory_order_relaxed);
    cork_forget(&sh->cork);
    list_foreach (l, &sh->ending) {
        struct rpc_call *c = container_of(l, struct rpc_call, link);
        if (now - c->ending_since < ENDING_MAX)
            break;
        grpc_call_cancel(c->core, NULL);
    }
}
