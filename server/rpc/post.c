/*
 * Calls before and after their life: the pool they come from, and those given to core to be filled
 * with what arrives.
 */
#include <stdlib.h>

#include "rpc/internal.h"
#include "run/reactor.h"

#define POOL_MAX      512     /* free calls kept */
#define POST_MAX      128     /* arrivals waiting for one method on one queue */
#define GENERIC_POSTS 4       /* the same for methods nobody knows */
#define ENDING_MAX    SEC(60) /* a caller that does not read its status is cut off then */
#define SCRATCH_BYTES 1008

/* ---- the pool: taken from by the poller, given back to by the reactor -------------------------
 */

static void
event_init(struct rpc_event *ev, struct rpc_call *c, void (*fn)(struct rpc_event *))
{
    ev->call = c;
    ev->functor.functor_run = event_run;
    ev->functor.inlineable = 1;
    ev->fn = fn;
}

/* What the reactor has given back since. */
static void
pool_refill(struct shard *sh)
{
    struct rpc_call *c = atomic_exchange_explicit(&sh->returned, NULL, memory_order_acquire);
    size_t n = 0;
    for (; c; n++) {
        struct rpc_call *next = c->next_free;
        c->next_free = sh->pool;
        sh->pool = c;
        c = next;
    }
    atomic_fetch_sub_explicit(&sh->returned_count, n, memory_order_relaxed);
}

static struct rpc_call *
pool_get(struct shard *sh)
{
    if (!sh->pool)
        pool_refill(sh);
    struct rpc_call *c = sh->pool;
    if (c) {
        sh->pool = c->next_free;
        return c;
    }
    c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    c->shard = sh;
    list_init(&c->link);
    list_init(&c->unwatched);
    arena_init(&c->arena, 0);
    arena_init(&c->stream.scratch, SCRATCH_BYTES);
    event_init(&c->main_event, c, call_on_accepted);
    event_init(&c->close_event, c, call_on_closed);
    event_init(&c->recv_event, c, stream_on_received);
    event_init(&c->send_event, c, stream_on_sent);
    atomic_fetch_add_explicit(&sh->calls, 1, memory_order_relaxed);
    return c;
}

static void
call_destroy(struct rpc_call *c)
{
    atomic_fetch_sub_explicit(&c->shard->calls, 1, memory_order_relaxed);
    arena_fini(&c->arena);
    arena_fini(&c->stream.scratch);
    free(c);
}

/* Gives back what the call held of core and clears it for the next one. */
void
call_recycle(struct rpc_call *c)
{
    struct shard *sh = c->shard;
    list_remove(&c->link);
    stream_reset(&c->stream);
    if (c->payload)
        grpc_byte_buffer_destroy(c->payload);
    if (c->core)
        grpc_call_unref(c->core);
    grpc_metadata_array_destroy(&c->metadata);
    if (!c->slot)
        grpc_call_details_destroy(&c->details);
    c->payload = NULL;
    c->core = NULL;
    c->phase = CALL_POOLED;
    if (atomic_load_explicit(&sh->returned_count, memory_order_relaxed) >= POOL_MAX) {
        call_destroy(c);
        return;
    }
    arena_reset(&c->arena);
    c->headers = (struct metadata_list){0};
    c->trailers = (struct metadata_list){0};
    c->peer = c->peer_address = NULL;
    c->cancelled_flag = 0;
    c->plain = c->was_compressed = false;
    c->close_started = c->headers_sent = c->has_response = c->shut_down = false;
    atomic_fetch_add_explicit(&sh->returned_count, 1, memory_order_relaxed);
    c->next_free = atomic_load_explicit(&sh->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&sh->returned, &c->next_free, c,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

void
call_pool_free(struct shard *sh)
{
    for (pool_refill(sh); sh->pool;) {
        struct rpc_call *c = sh->pool;
        sh->pool = c->next_free;
        call_destroy(c);
    }
}

/* ---- posting ------------------------------------------------------------------------------- */

/* The answer of a unary call usually completes on the reactor itself, inside grpc_call_start_batch:
 * on a callback queue that costs nothing, on the polled one it would wake the poller. What streams
 * wait for completes on the poller. */
static grpc_completion_queue *
queue_of(const struct shard *sh, const struct rpc_method *m)
{
    return m->kind == RPC_UNARY ? sh->done_cq : sh->cq;
}

static bool
call_post(struct shard *sh, struct shard_method *slot)
{
    struct rpc_call *c = pool_get(sh);
    c->slot = slot;
    c->phase = CALL_POSTED;
    c->pending = 1;
    c->main_event.fn = call_on_accepted;
    grpc_metadata_array_init(&c->metadata);
    grpc_call_error err;
    GIVE_TO_CORE(&c->main_event);
    if (slot) {
        err = grpc_server_request_registered_call(
            sh->server->core, slot->registered, &c->core, &c->core_deadline, &c->metadata,
            method_takes_payload(slot->method) ? &c->payload : NULL, queue_of(sh, slot->method),
            sh->cq, &c->main_event);
    } else {
        grpc_call_details_init(&c->details);
        err = grpc_server_request_call(sh->server->core, &c->core, &c->details, &c->metadata,
                                       sh->cq, sh->cq, &c->main_event);
    }
    if (err != GRPC_CALL_OK) {
        sh->closing = true;
        c->pending = 0;
        call_recycle(c);
        return false;
    }
    return true;
}

static void
post_method(struct shard *sh, struct shard_method *slot)
{
    while (!sh->closing && slot->posted < slot->target && call_post(sh, slot))
        slot->posted++;
}

static void
post_generic(struct shard *sh)
{
    while (!sh->closing && sh->generic_posted < GENERIC_POSTS && call_post(sh, NULL))
        sh->generic_posted++;
}

void
call_post_all(struct shard *sh)
{
    for (size_t i = 0; i < sh->server->method_count; i++)
        post_method(sh, &sh->methods[i]);
    post_generic(sh);
}

/*
 * Each completion costs core a scan of all that is posted on the queue, so few are posted. A method
 * of which as many calls arrive at once as are posted gets more: a call that finds nothing posted
 * takes a slow way through core, and one lock of the whole server.
 */
static void
slot_arrived(struct shard *sh, struct shard_method *slot)
{
    slot->posted--;
    unsigned epoch = atomic_load_explicit(&sh->epoch, memory_order_relaxed);
    if (slot->epoch != epoch) {
        slot->epoch = epoch;
        slot->burst = 0;
    }
    slot->burst++;
    if (slot->burst > slot->peak)
        slot->peak = slot->burst;
    if (slot->burst >= slot->target && slot->target < POST_MAX)
        slot->target *= 2;
    post_method(sh, slot);
}

bool
call_arrived(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    struct shard *sh = c->shard;
    if (!ev->ok) { /* the server shuts down */
        sh->closing = true;
        c->pending = 0;
        call_recycle(c);
        return false;
    }
    if (c->slot) {
        slot_arrived(sh, c->slot);
    } else {
        sh->generic_posted--;
        post_generic(sh);
    }
    return true;
}

void
call_begin_epoch(struct shard *sh)
{
    unsigned epoch = atomic_load_explicit(&sh->epoch, memory_order_relaxed);
    atomic_store_explicit(&sh->epoch, epoch + 1, memory_order_relaxed);
    if (!atomic_load_explicit(&sh->settle, memory_order_relaxed))
        return;
    atomic_store_explicit(&sh->settle, false, memory_order_relaxed);
    for (size_t i = 0; i < sh->server->method_count; i++) {
        struct shard_method *slot = &sh->methods[i];
        if (slot->peak < slot->target / 4)
            slot->target /= 2;
        slot->peak = 0;
    }
}

void
call_janitor(struct shard *sh)
{
    nsec_t now = reactor_now(sh->reactor);
    atomic_store_explicit(&sh->settle, true, memory_order_relaxed);
    cork_forget(&sh->cork);
    list_foreach (l, &sh->ending) {
        struct rpc_call *c = container_of(l, struct rpc_call, link);
        if (now - c->ending_since < ENDING_MAX)
            break;
        grpc_call_cancel(c->core, NULL);
    }
}
