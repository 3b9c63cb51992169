/*
 * Streams. Each direction has one operation at a time and its own tag, so that one thread may send
 * while another one receives; a pluck queue lets both wait on it.
 */
#include <grpc/byte_buffer.h>
#include <stdlib.h>

#include "internal.h"

enum tag { TAG_START, TAG_HEADERS, TAG_SEND, TAG_RECV, TAG_STATUS, TAG_COUNT };

struct luna_stream {
    struct luna_channel *channel;
    const struct luna_method *method;
    grpc_completion_queue *cq; /* NULL: no call was made, `reply` says why */
    grpc_call *call;
    struct cancel_link link;
    struct sent_metadata metadata;
    struct answer answer;
    struct luna_reply *reply; /* complete when `ended` */
    struct arena message;     /* of the last message received */
    bool send_closed;
    bool recv_ended; /* no more messages come */
    bool ended;      /* the status is in */
    char tags[TAG_COUNT];
};

static void
start_one(struct luna_stream *s, enum tag tag, const grpc_op *op)
{
    call_start(s->call, op, 1, &s->tags[tag]);
}

static bool
pluck(struct luna_stream *s, enum tag tag)
{
    return queue_pluck(s->cq, &s->tags[tag]);
}

static void
start_sending(struct luna_stream *s, const struct luna_call_options *options,
              grpc_byte_buffer *request)
{
    bool wait = options && options->wait_for_ready;
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .flags = wait ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                             GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                       : 0,
         .data.send_initial_metadata = {.count = s->metadata.count, .metadata = s->metadata.pairs}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
    };
    call_start(s->call, ops, request ? ARRAY_LEN(ops) : 1, &s->tags[TAG_START]);
    s->send_closed = request != NULL;
}

static void
start_receiving(struct luna_stream *s)
{
    const grpc_op headers = {
        .op = GRPC_OP_RECV_INITIAL_METADATA,
        .data.recv_initial_metadata.recv_initial_metadata = &s->answer.headers,
    };
    start_one(s, TAG_HEADERS, &headers);
    const grpc_op status = {
        .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
        .data.recv_status_on_client = {.trailing_metadata = &s->answer.trailers,
                                       .status = &s->answer.status,
                                       .status_details = &s->answer.details},
    };
    start_one(s, TAG_STATUS, &status);
}

/* The stream ends before it begins. */
static void
refuse(struct luna_stream *s)
{
    s->send_closed = s->recv_ended = s->ended = true;
}

struct luna_stream *
luna_stream_open(struct luna_channel *channel, const struct luna_call_options *options,
                 const struct luna_method *method, const ProtobufCMessage *request)
{
    struct luna_stream *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL);
    s->channel = channel;
    s->method = method;
    s->reply = reply_new();
    arena_init(&s->message, 0);
    answer_init(&s->answer);
    grpc_byte_buffer *bytes = request ? wire_pack(request) : NULL;
    const char *illegal = sent_metadata_init(&s->metadata, channel, options);
    if (illegal || (request && !bytes)) {
        if (illegal)
            reply_fail(s->reply, LUNA_INVALID_ARGUMENT, "metadata \"%s\" cannot be sent", illegal);
        else
            reply_fail(s->reply, LUNA_INVALID_ARGUMENT, "the request is larger than 4 GiB");
        refuse(s);
    } else {
        nsec_t deadline = call_deadline(options, LUNA_NO_TIMEOUT);
        s->cq = channel_take_queue(channel);
        s->call = call_new(channel, options, s->cq, method->path, deadline, &s->link);
        s->reply->attempts = 1;
        start_sending(s, options, bytes);
        start_receiving(s);
    }
    if (bytes)
        grpc_byte_buffer_destroy(bytes);
    return s;
}

enum luna_code
luna_stream_send(struct luna_stream *s, const ProtobufCMessage *message)
{
    if (!s->cq)
        return LUNA_END;
    if (s->send_closed)
        return LUNA_FAILED_PRECONDITION;
    grpc_byte_buffer *bytes = wire_pack(message);
    if (!bytes)
        return LUNA_INVALID_ARGUMENT;
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bytes};
    start_one(s, TAG_SEND, &op);
    bool sent = pluck(s, TAG_SEND);
    grpc_byte_buffer_destroy(bytes);
    return sent ? LUNA_OK : LUNA_END;
}

void
luna_stream_close_send(struct luna_stream *s)
{
    if (s->send_closed)
        return;
    s->send_closed = true;
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    start_one(s, TAG_SEND, &op);
    pluck(s, TAG_SEND); /* false: the call has ended, which the status tells */
}

/* Waits for the status; all messages have been received. */
static void
take_status(struct luna_stream *s)
{
    if (s->ended)
        return;
    pluck(s, TAG_STATUS);
    s->ended = true;
    reply_set(s->reply, &s->answer);
}

/* The next message's bytes; false: no more. */
static bool
receive(struct luna_stream *s, grpc_byte_buffer **ret)
{
    grpc_byte_buffer *bytes = NULL;
    if (s->recv_ended)
        return false;
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &bytes};
    start_one(s, TAG_RECV, &op);
    pluck(s, TAG_RECV);
    if (!bytes) {
        s->recv_ended = true;
        return false;
    }
    *ret = bytes;
    return true;
}

/* Ends the call at our side for a reason that the server does not know. */
static void
abandon(struct luna_stream *s, const char *type)
{
    grpc_call_cancel(s->call, NULL);
    s->recv_ended = true;
    take_status(s);
    reply_fail(s->reply, LUNA_INTERNAL, "the response is not a valid %s", type);
}

enum luna_code
luna_stream_recv(struct luna_stream *s, const ProtobufCMessage **ret_message)
{
    grpc_byte_buffer *bytes;
    *ret_message = NULL;
    if (receive(s, &bytes)) {
        arena_reset(&s->message);
        *ret_message = wire_unpack(&s->message, s->method->response, bytes);
        grpc_byte_buffer_destroy(bytes);
        if (*ret_message)
            return LUNA_OK;
        abandon(s, s->method->response->name);
    }
    take_status(s);
    return s->reply->code == LUNA_OK ? LUNA_END : s->reply->code;
}

/* Gives the reply away; what is asked of the stream afterwards finds an empty one. */
static enum luna_code
hand_over(struct luna_stream *s, struct luna_reply **ret_reply)
{
    enum luna_code code = s->reply->code;
    if (ret_reply) {
        *ret_reply = s->reply;
        s->reply = reply_new();
        s->reply->code = code;
    }
    return code;
}

enum luna_code
luna_stream_finish(struct luna_stream *s, struct luna_reply **ret_reply)
{
    grpc_byte_buffer *bytes;
    luna_stream_close_send(s);
    while (receive(s, &bytes))
        grpc_byte_buffer_destroy(bytes);
    take_status(s);
    return hand_over(s, ret_reply);
}

enum luna_code
luna_stream_finish_with(struct luna_stream *s, struct luna_reply **ret_reply,
                        const ProtobufCMessage **ret_response)
{
    grpc_byte_buffer *bytes = NULL;
    *ret_response = NULL;
    luna_stream_close_send(s);
    bool received = receive(s, &bytes);
    s->recv_ended = true; /* one response, the status follows */
    take_status(s);
    if (s->reply->code == LUNA_OK) {
        if (received)
            *ret_response = wire_unpack(&s->reply->arena, s->method->response, bytes);
        if (!*ret_response)
            reply_fail(s->reply, LUNA_INTERNAL, "the server sent no valid %s",
                       s->method->response->name);
    }
    if (received)
        grpc_byte_buffer_destroy(bytes);
    return hand_over(s, ret_reply);
}

void
luna_stream_cancel(struct luna_stream *s)
{
    if (s->call)
        grpc_call_cancel(s->call, NULL);
}

void
luna_stream_free(struct luna_stream *s)
{
    if (!s)
        return;
    if (s->cq) {
        if (!s->ended) {
            grpc_call_cancel(s->call, NULL);
            pluck(s, TAG_STATUS);
        }
        pluck(s, TAG_START);
        pluck(s, TAG_HEADERS);
        call_free(s->call, &s->link);
        channel_give_queue(s->channel, s->cq);
    }
    sent_metadata_fini(&s->metadata);
    answer_fini(&s->answer);
    luna_reply_free(s->reply);
    arena_fini(&s->message);
    free(s);
}
