/* From the arrival of a call over its handler to its last batch; see internal.h for the states. */
#include "base/failpoint.h"
#include "rpc/internal.h"
#include "rpc/rules.h"
#include "run/fiber.h"
#include "run/reactor.h"

#define WATCH_AFTER MSEC(10) /* that long, and its caller may have left: see call_watch_due */

static void on_final(struct rpc_event *ev);

/* ---- batches ------------------------------------------------------------------------------- */

/* Core refuses a batch only when it is malformed. Then the call is cancelled and the completion is
 * delivered all the same, so that there is one path out. */
void
call_batch(struct rpc_call *c, struct rpc_event *ev, const grpc_op *ops, size_t n)
{
    c->pending++;
    GIVE_TO_CORE(ev);
    if (grpc_call_start_batch(c->core, ops, n, ev, NULL) == GRPC_CALL_OK)
        return;
    grpc_call_cancel(c->core, NULL);
    ev->ok = false;
    ev->next = NULL;
    event_send(c->shard->reactor, ev);
}

static grpc_op
op_close(struct rpc_call *c)
{
    c->close_started = true;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &c->cancelled_flag;
    return op;
}

void
call_start_close(struct rpc_call *c)
{
    grpc_op op = op_close(c);
    call_batch(c, &c->close_event, &op, 1);
}

grpc_op
call_op_headers(struct rpc_call *c)
{
    c->headers_sent = true;
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.count = c->headers.count;
    op.data.send_initial_metadata.metadata = metadata_for_core(&c->shard->headers_out, &c->headers);
    return op;
}

/* Takes the slice. The buffer is the shard's: core empties it within grpc_call_start_batch. */
grpc_op
call_op_message(struct rpc_call *c, grpc_slice bytes)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    grpc_slice_buffer_add(&c->shard->out->data.raw.slice_buffer, bytes);
    op.flags = c->plain ? GRPC_WRITE_NO_COMPRESS : 0;
    op.data.send_message.send_message = c->shard->out;
    return op;
}

/* ---- the end ------------------------------------------------------------------------------- */

void
call_maybe_release(struct rpc_call *c)
{
    if (c->pending > 0 || c->phase != CALL_ENDING)
        return;
    counter_add(&c->shard->stats.alive, -1);
    call_recycle(c);
}

static grpc_op
op_status(struct rpc_call *c, grpc_slice *message)
{
    const struct error *e = &c->pub.ctx.error;
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    if (e->status != OK) {
        struct str details = status_details_encode(&c->arena, e, e->status);
        struct str text = status_message_clip(&c->arena, e->message);
        metadata_add(&c->arena, &c->trailers, STR("grpc-status-details-bin"), details);
        *message = grpc_slice_from_static_buffer(text.p, text.n);
        op.data.send_status_from_server.status_details = message;
    }
    op.data.send_status_from_server.status = (grpc_status_code)e->status;
    op.data.send_status_from_server.trailing_metadata_count = c->trailers.count;
    op.data.send_status_from_server.trailing_metadata =
        metadata_for_core(&c->shard->trailers_out, &c->trailers);
    return op;
}

void
call_send_final(struct rpc_call *c)
{
    grpc_op ops[4];
    size_t n = 0;
    grpc_slice message;
    c->phase = CALL_ENDING;
    if (!c->headers_sent)
        ops[n++] = call_op_headers(c);
    if (c->has_response)
        ops[n++] = call_op_message(c, c->response);
    c->has_response = false;
    ops[n++] = op_status(c, &message);
    if (!c->close_started)
        ops[n++] = op_close(c);
    c->main_event.fn = on_final;
    cork_before_answer(c);
    call_batch(c, &c->main_event, ops, n);
}

static void
count_end(struct rpc_call *c, enum status st)
{
    struct rpc_counters *n = &c->slot->counters;
    latency_note(&n->latency, clock_now() - c->pub.started);
    counter_add(&n->finished[st], 1);
    counter_add(&n->in_flight, -1);
}

/* The handler has ended (or never ran): the status is in ctx.error. */
static void
call_end(struct rpc_call *c)
{
    enum status st = c->pub.ctx.error.status;
    struct shard *sh = c->shard;
    if (c->slot)
        count_end(c, st);
    list_remove(&c->unwatched);
    list_remove(&c->link);
    list_push(&sh->ending, &c->link);
    c->ending_since = reactor_now(sh->reactor);
    if (!c->stream.sending) {
        call_send_final(c);
        return;
    }
    /* The last message is with core: it goes out first, unless nobody may wait for it. */
    if (st != CANCELLED && st != DEADLINE_EXCEEDED && !c->shut_down) {
        c->phase = CALL_FLUSHING;
        return;
    }
    c->phase = CALL_ENDING;
    if (!c->close_started)
        call_start_close(c);
    grpc_call_cancel_with_status(c->core, (grpc_status_code)st, c->pub.ctx.error.message, NULL);
}

/* ---- the handler --------------------------------------------------------------------------- */

/* Whatever the handler returned, ctx.error says it from here on. */
static void
settle_status(struct ctx *ctx, enum status st)
{
    if (st == OK) {
        fail_clear(ctx);
        return;
    }
    if (ctx->error.status != OK)
        return;
    if (st < OK || st > UNAUTHENTICATED) {
        (void)fail_plain(ctx, INTERNAL_ERROR);
        return;
    }
    ctx->error.status = st;
    ctx->error.message = status_name(st);
}

static enum decode
read_request(struct rpc_call *c)
{
    const struct config *cfg = c->shard->server->config;
    if (!c->payload)
        return DECODE_NONE;
    ProtobufCMessage *m = NULL;
    enum decode how =
        message_unpack(c->pub.method->request, c->payload, c->slot->deep, (size_t)cfg->max_message,
                       c->shard->server->decode_budget, &c->arena, &m);
    c->was_compressed = c->payload->data.raw.compression != GRPC_COMPRESS_NONE;
    c->pub.request_bytes += message_bytes(c->payload);
    counter_add(&c->slot->counters.received_messages, 1);
    counter_add(&c->slot->counters.received_bytes, message_bytes(c->payload));
    grpc_byte_buffer_destroy(c->payload);
    c->payload = NULL;
    c->pub.request = m;
    return how;
}

static void
take_response(struct rpc_call *c, grpc_slice message, size_t bytes)
{
    c->response = message;
    c->has_response = true;
    c->pub.response_bytes += bytes;
    counter_add(&c->slot->counters.sent_messages, 1);
    counter_add(&c->slot->counters.sent_bytes, bytes);
}

static enum status
answer(struct rpc_call *c, enum status st, const ProtobufCMessage *resp)
{
    if (st != OK)
        return st;
    size_t bytes;
    grpc_slice packed = message_pack(resp, &bytes);
    take_response(c, packed, bytes);
    return OK;
}

void
call_answer(struct call *call, struct str bytes)
{
    struct rpc_call *c = call_private(call);
    take_response(c, grpc_slice_from_copied_buffer(bytes.p, bytes.n), bytes.n);
}

static enum status
run_handler(struct rpc_call *c)
{
    struct call *call = &c->pub;
    const struct rpc_method *m = call->method;
    const struct rpc_server *srv = c->shard->server;
    ProtobufCMessage *resp;
    switch (m->kind) {
    case RPC_UNARY:
        if (srv->around < srv->interceptor_count && call->interceptor_data[srv->around])
            return srv->interceptors[srv->around]->around(call, srv->around);
        resp = rpc_message_new(&c->arena, m->response);
        return answer(c, m->unary(call, call->request, resp), resp);
    case RPC_CLIENT_STREAM:
        resp = rpc_message_new(&c->arena, m->response);
        return answer(c, m->client_stream(call, &c->stream, resp), resp);
    case RPC_SERVER_STREAM:
        return m->server_stream(call, call->request, &c->stream);
    case RPC_BIDI:
        return m->bidi(call, &c->stream);
    }
    return fail_plain(&call->ctx, INTERNAL_ERROR);
}

enum status
call_check_request(struct call *call)
{
    struct rpc_call *c = container_of(call, struct rpc_call, pub);
    const struct rpc_rules *rules = call->method->rules;
    if (c->checked)
        return OK;
    c->checked = true;
    if (c->how != DECODE_OK)
        return message_fail(&call->ctx, c->how);
    return rules && call->request ? rules_check(&call->ctx, rules, call->request) : OK;
}

/* Interceptors see a request that could not be read as well: it is refused after they agreed. */
static void
serve(struct rpc_call *c)
{
    const struct rpc_server *srv = c->shard->server;
    struct call *call = &c->pub;
    struct str traceparent;
    if (call_metadata(call, "traceparent", &traceparent))
        (void)trace_parse(traceparent, &call->ctx.trace);
    c->how = method_takes_payload(call->method) ? read_request(c) : DECODE_OK;
    c->checked = false;
    enum status st = ctx_check(&call->ctx);
    size_t begun = 0;
    while (st == OK && !c->has_response && begun < srv->interceptor_count) {
        const struct interceptor *in = srv->interceptors[begun];
        if (in->begin)
            st = in->begin(call, begun);
        begun++;
    }
    if (st == OK)
        st = call_check_request(call);
    if (st == OK && !c->has_response)
        st = run_handler(c);
    settle_status(&call->ctx, st);
    while (begun-- > 0) {
        if (srv->interceptors[begun]->end)
            srv->interceptors[begun]->end(call, begun, call->ctx.error.status);
    }
}

static void
call_main(void *arg)
{
    struct rpc_call *c = arg;
    c->pub.ctx.fiber = fiber_self();
    serve(c);
    ctx_fini(&c->pub.ctx);
    call_end(c);
}

/* ---- arrival ------------------------------------------------------------------------------- */

static nsec_t
core_deadline(gpr_timespec t)
{
    nsec_t ns;
    t = gpr_convert_clock_type(t, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(t, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0 ||
        __builtin_mul_overflow(t.tv_sec, SEC(1), &ns) ||
        __builtin_add_overflow(ns, (nsec_t)t.tv_nsec, &ns))
        return NSEC_NEVER;
    return ns;
}

static nsec_t
deadline_of(const struct rpc_call *c)
{
    const struct rpc_method *m = c->pub.method;
    nsec_t asked = core_deadline(c->core_deadline);
    if (asked != NSEC_NEVER)
        return asked;
    nsec_t d = m->policy.deadline;
    if (d == 0 && m->kind == RPC_UNARY)
        d = c->shard->server->default_deadline;
    return d > 0 ? c->pub.started + d : NSEC_NEVER;
}

static void
pub_reset(struct rpc_call *c)
{
    struct call *call = &c->pub;
    struct shard *sh = c->shard;
    ctx_init(&call->ctx, &c->arena, sh->reactor);
    call->method = c->slot ? c->slot->method : NULL;
    call->started = reactor_now(sh->reactor);
    call->request_bytes = call->response_bytes = 0;
    call->request = NULL;
    call->charged = 0;
    for (size_t i = 0; i < sh->server->interceptor_count; i++)
        call->interceptor_data[i] = NULL;
}

static void
refuse(struct rpc_call *c, enum status st)
{
    settle_status(&c->pub.ctx, st);
    ctx_fini(&c->pub.ctx);
    call_end(c);
}

/*
 * Only a call that waits for something can be told that its caller has left, and to ask core for
 * that is a batch of its own, which costs about as much as the answer's. Most calls that wait do so
 * for one question to Postgres or Redis: a unary one is watched when it is still there after a
 * while, and asks together with its answer otherwise.
 */
static void
watch(struct rpc_call *c)
{
    struct shard *sh = c->shard;
    if (c->pub.method->kind != RPC_UNARY) {
        call_start_close(c);
        return;
    }
    list_push(&sh->unwatched, &c->unwatched);
    if (!timer_pending(&sh->watch))
        timer_set(sh->reactor, &sh->watch, c->pub.started + WATCH_AFTER);
}

void
call_watch_due(struct timer *t)
{
    struct shard *sh = container_of(t, struct shard, watch);
    nsec_t now = reactor_now(sh->reactor);
    list_foreach_safe (l, next, &sh->unwatched) {
        struct rpc_call *c = container_of(l, struct rpc_call, unwatched);
        if (now - c->pub.started < WATCH_AFTER) {
            timer_set(sh->reactor, t, c->pub.started + WATCH_AFTER);
            return;
        }
        list_remove(&c->unwatched);
        call_start_close(c);
    }
}

static void
call_begin(struct rpc_call *c)
{
    struct shard *sh = c->shard;
    c->phase = CALL_RUNNING;
    list_push(&sh->running, &c->link);
    counter_add(&sh->stats.alive, 1);
    pub_reset(c);
    stream_bind(&c->stream, c);
    struct ctx *ctx = &c->pub.ctx;
    if (!c->slot) {
        counter_add(&sh->stats.unknown, 1);
        refuse(c, fail_plain(ctx, METHOD_NOT_FOUND));
        return;
    }
    counter_add(&c->slot->counters.in_flight, 1);
    ctx->deadline = deadline_of(c);
    if (FAILPOINT(rpc_accept) || !fiber_run(sh->reactor, call_main, c)) {
        counter_add(&sh->stats.refused, 1);
        refuse(c, fail_plain(ctx, OVERLOADED));
        return;
    }
    if (c->phase == CALL_RUNNING)
        watch(c);
}

void
call_on_accepted(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    c->pending--;
    call_begin(c);
}

void
call_on_closed(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    c->pending--;
    if (c->phase == CALL_RUNNING && c->cancelled_flag)
        ctx_cancel(&c->pub.ctx);
    call_maybe_release(c);
}

static void
on_final(struct rpc_event *ev)
{
    ev->call->pending--;
    call_maybe_release(ev->call);
}

/* The drain's time is over: what runs is told so, and its caller gets SHUTTING_DOWN. */
void
call_cut_all(struct shard *sh)
{
    list_foreach_safe (l, next, &sh->running) {
        struct rpc_call *c = container_of(l, struct rpc_call, link);
        c->shut_down = true;
        (void)fail_plain(&c->pub.ctx, SHUTTING_DOWN);
        ctx_cancel(&c->pub.ctx);
    }
}
