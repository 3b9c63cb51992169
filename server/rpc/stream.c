/* Messages of streaming calls: one read and one write are with gRPC core at a time. */
#include "rpc/internal.h"
#include "rpc/rules.h"
#include "run/fiber.h"

void
stream_bind(struct stream *s, struct rpc_call *c)
{
    s->call = c;
}

void
stream_reset(struct stream *s)
{
    if (s->incoming)
        grpc_byte_buffer_destroy(s->incoming);
    arena_reset(&s->scratch);
    *s = (struct stream){.scratch = s->scratch};
}

struct arena *
stream_arena(struct stream *s)
{
    return &s->scratch;
}

struct call *
stream_call(struct stream *s)
{
    return &s->call->pub;
}

void
stream_on_received(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    struct stream *s = &c->stream;
    c->pending--;
    s->receiving = false;
    s->received = true;
    if (s->receiver)
        fiber_wake(s->receiver);
    call_maybe_release(c);
}

void
stream_on_sent(struct rpc_event *ev)
{
    struct rpc_call *c = ev->call;
    struct stream *s = &c->stream;
    c->pending--;
    s->sending = false;
    if (!ev->ok)
        s->broken = true;
    if (c->phase == CALL_FLUSHING) {
        call_send_final(c);
        return;
    }
    if (s->sender)
        fiber_wake(s->sender);
    call_maybe_release(c);
}

static void
start_receive(struct stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->incoming;
    s->receiving = true;
    call_batch(s->call, &s->call->recv_event, &op, 1);
}

/* A read that ended without a message: the caller is done, or gone. */
static enum status
no_more(struct stream *s)
{
    struct rpc_call *c = s->call;
    s->half_closed = true;
    if (grpc_call_failed_before_recv_message(c->core))
        return fail_plain(&c->pub.ctx, CANCELLED_BY_CALLER);
    return END;
}

enum status
stream_recv(struct stream *s, ProtobufCMessage **ret)
{
    struct rpc_call *c = s->call;
    struct ctx *ctx = &c->pub.ctx;
    enum status st = ctx_check(ctx);
    arena_reset(&s->scratch);
    if (st != OK)
        return st;
    if (s->half_closed)
        return END;
    if (!s->receiving && !s->received)
        start_receive(s);
    while (!s->received) {
        s->receiver = fiber_self();
        st = fiber_park(ctx);
        s->receiver = NULL;
        if (st != OK)
            return st;
    }
    s->received = false;
    grpc_byte_buffer *bb = s->incoming;
    s->incoming = NULL;
    if (!bb)
        return no_more(s);
    size_t bytes = message_bytes(bb);
    const struct rpc_server *srv = c->shard->server;
    enum decode how =
        message_unpack(c->pub.method->request, bb, c->slot->deep, (size_t)srv->config->max_message,
                       srv->decode_budget, &s->scratch, ret);
    c->was_compressed = bb->data.raw.compression != GRPC_COMPRESS_NONE;
    grpc_byte_buffer_destroy(bb);
    c->pub.request_bytes += bytes;
    counter_add(&c->slot->counters.received_messages, 1);
    counter_add(&c->slot->counters.received_bytes, bytes);
    if (how != DECODE_OK)
        return message_fail(ctx, how);
    return c->pub.method->rules ? rules_check(ctx, c->pub.method->rules, *ret) : OK;
}

/* Waits until nothing is on its way to the caller. */
static enum status
wait_sent(struct stream *s)
{
    struct ctx *ctx = &s->call->pub.ctx;
    enum status st = ctx_check(ctx);
    while (st == OK && s->sending) {
        s->sender = fiber_self();
        st = fiber_park(ctx);
        s->sender = NULL;
    }
    if (st == OK && s->broken)
        st = fail_plain(ctx, CANCELLED_BY_CALLER);
    return st;
}

enum status
stream_send(struct stream *s, const ProtobufCMessage *m)
{
    struct rpc_call *c = s->call;
    enum status st = wait_sent(s);
    if (st != OK)
        return st;
    grpc_op ops[2];
    size_t n = 0;
    size_t bytes;
    if (!c->headers_sent)
        ops[n++] = call_op_headers(c);
    ops[n++] = call_op_message(c, message_pack(m, &bytes));
    s->sending = true;
    c->pub.response_bytes += bytes;
    counter_add(&c->slot->counters.sent_messages, 1);
    counter_add(&c->slot->counters.sent_bytes, bytes);
    cork_before_answer(c);
    call_batch(c, &c->send_event, ops, n);
    arena_reset(&s->scratch);
    return OK;
}

enum status
stream_send_headers(struct stream *s)
{
    struct rpc_call *c = s->call;
    enum status st = wait_sent(s);
    if (st != OK || c->headers_sent)
        return st;
    grpc_op op = call_op_headers(c);
    s->sending = true;
    call_batch(c, &c->send_event, &op, 1);
    return OK;
}
