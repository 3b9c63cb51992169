/*
 * Calls before and after their life: the pool they come from, and those given to core to be filled
 * with what arrives.
 */
#include <stdlib.h>

#include "rpc/internal.h"
#include "run/reactor.h"

#define POOL_MAX      512
#define POST_MAX      256     /* arrivals waiting for one method on one queue */
#define GENERIC_POSTS 4       /* the same for methods nobody knows */
#define ENDING_MAX    SEC(60) /* a caller that does not read its status is cut off then */
#define SCRATCH_BYTES 1008

/* ---- the pool ------------------------------------------------------------------------------ */

static void
event_init(struct rpc_event *ev, struct rpc_call *c, void (*fn)(struct rpc_event *))
{
    ev->call = c;
    ev->functor.functor_run = event_run;
    ev->functor.inlineable = 1;
    ev->fn = fn;
}

static struct rpc_call *
pool_get(struct shard *sh)
{
    struct list *l = list_pop(&sh->pool);
    if (l) {
        sh->pooled--;
        return container_of(l, struct rpc_call, link);
    }
    struct rpc_call *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    c->shard = sh;
    list_init(&c->link);
    arena_init(&c->arena, 0);
    arena_init(&c->stream.scratch, SCRATCH_BYTES);
    event_init(&c->main_event, c, call_on_accepted);
    event_init(&c->close_event, c, call_on_closed);
    event_init(&c->recv_event, c, stream_on_received);
    event_init(&c->send_event, c, stream_on_sent);
    sh->calls++;
    return c;
}

static void
call_destroy(struct rpc_call *c)
{
    c->shard->calls--;
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
    if (sh->pooled >= POOL_MAX || sh->closing) {
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
    list_push_front(&sh->pool, &c->link);
    sh->pooled++;
}

void
call_pool_free(struct shard *sh)
{
    for (struct list *l; (l = list_pop(&sh->pool)) != NULL;)
        call_destroy(container_of(l, struct rpc_call, link));
    sh->pooled = 0;
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
call_post_method(struct shard *sh, struct shard_method *slot)
{
    while (!sh->closing && slot->posted < slot->target && call_post(sh, slot))
        slot->posted++;
}

void
call_post_generic(struct shard *sh)
{
    while (!sh->closing && sh->generic_posted < GENERIC_POSTS && call_post(sh, NULL))
        sh->generic_posted++;
}

void
call_post_all(struct shard *sh)
{
    for (size_t i = 0; i < sh->server->method_count; i++)
        call_post_method(sh, &sh->methods[i]);
    call_post_generic(sh);
}

/* Each completion costs core a scan of all that is posted on the queue, so few are posted and a
 * method that runs out of them gets more, until the janitor sees that they lie idle. */
static void
posted_taken(struct rpc_call *c)
{
    struct shard_method *slot = c->slot;
    if (!slot) {
        c->shard->generic_posted--;
        return;
    }
    slot->posted--;
    if (slot->posted < slot->low_water)
        slot->low_water = slot->posted;
    if (slot->posted == 0 && slot->target < POST_MAX)
        slot->target *= 2;
}

static void
posted_replace(struct rpc_call *c)
{
    if (c->slot)
        call_post_method(c->shard, c->slot);
    else
        call_post_generic(c->shard);
}

static void
slot_settle(struct shard_method *slot)
{
    int idle = slot->low_water;
    if (idle > slot->target / 2 && slot->target > 1)
        slot->target /= 2;
    slot->low_water = slot->posted;
}

void
call_janitor(struct shard *sh)
{
    for (size_t i = 0; i < sh->server->method_count; i++)
        slot_settle(&sh->methods[i]);
    nsec_t now = reactor_now(sh->reactor);
    list_foreach (l, &sh->ending) {
        struct rpc_call *c = container_of(l, struct rpc_call, link);
        if (now - c->ending_since < ENDING_MAX)
            break;
        grpc_call_cancel(c->core, NULL);
    }
}

/* Before any of them is handled, all that arrived together is replaced: a call that finds nothing
 * posted takes a slow way through core, and one lock of the whole server. */
void
call_run_chain(struct rpc_event *chain)
{
    for (struct rpc_event *ev = chain; ev; ev = ev->next) {
        if (ev->fn == call_on_accepted)
            posted_taken(ev->call);
    }
    for (struct rpc_event *ev = chain; ev; ev = ev->next) {
        if (ev->fn == call_on_accepted)
            posted_replace(ev->call);
    }
    while (chain) {
        struct rpc_event *next = chain->next; /* fn may give the event to core again */
        chain->fn(chain);
        chain = next;
    }
}
