/* Unary calls: one batch a try, and when to try again. */
#include <grpc/byte_buffer.h>

#include "internal.h"

/* Before the n-th retry: half to all of 50 ms * 2^(n-1), at most 2 s. */
#define BACKOFF_FIRST MSEC(50)
#define BACKOFF_MAX   SEC(2)

struct unary {
    struct luna_channel *channel;
    const struct luna_call_options *options;
    const struct luna_method *method;
    grpc_byte_buffer *request;
    struct sent_metadata metadata;
    nsec_t deadline;
    unsigned max_attempts;
    struct luna_reply *reply;
};

static void
run_batch(const struct unary *u, grpc_completion_queue *cq, grpc_call *call, struct answer *a)
{
    bool wait = u->options && u->options->wait_for_ready;
    /* Sending empties the buffer; another try needs the bytes again. The copy shares them. */
    grpc_byte_buffer *request = grpc_byte_buffer_copy(u->request);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .flags = wait ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                             GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                       : 0,
         .data.send_initial_metadata = {.count = u->metadata.count, .metadata = u->metadata.pairs}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &a->headers},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &a->message},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &a->trailers,
                                        .status = &a->status,
                                        .status_details = &a->details}},
    };
    call_start(call, ops, ARRAY_LEN(ops), a);
    queue_pluck(cq, a); /* fails never: the status says how the call went */
    grpc_byte_buffer_destroy(request);
}

/* One try; its end is in the reply, its message in `a`. */
static void
try_once(const struct unary *u, struct answer *a)
{
    struct cancel_link link;
    grpc_completion_queue *cq = channel_take_queue(u->channel);
    grpc_call *call = call_new(u->channel, u->options, cq, u->method->path, u->deadline, &link);
    run_batch(u, cq, call, a);
    reply_set(u->reply, a); /* now: the metadata belongs to the call */
    call_free(call, &link);
    channel_give_queue(u->channel, cq);
    if (u->reply->code == LUNA_OK && !a->message)
        reply_fail(u->reply, LUNA_INTERNAL, "%s: the server sent no response", u->method->path);
}

/* splitmix64 (Steele, Lea, Flood 2014) of the time: enough to spread clients. */
static uint64_t
random_u64(void)
{
    uint64_t z = (uint64_t)clock_now() + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static nsec_t
backoff(unsigned attempts)
{
    nsec_t full = BACKOFF_FIRST;
    for (unsigned i = 1; i < attempts && full < BACKOFF_MAX; i++)
        full *= 2;
    if (full > BACKOFF_MAX)
        full = BACKOFF_MAX;
    return full / 2 + (nsec_t)(random_u64() % (uint64_t)(full / 2));
}

/* UNAVAILABLE always may pass; the others only when the server names a time. */
static bool
may_pass(const struct luna_reply *r)
{
    if (r->code == LUNA_RESOURCE_EXHAUSTED || r->code == LUNA_ABORTED)
        return r->retry_after_ms >= 0;
    return r->code == LUNA_UNAVAILABLE;
}

/* Sleeps before the next try; false when there will be none. */
static bool
wait_to_retry(const struct unary *u)
{
    const struct luna_reply *r = u->reply;
    if (!u->method->idempotent || r->attempts >= u->max_attempts || !may_pass(r))
        return false;
    nsec_t d = backoff(r->attempts);
    if (r->retry_after_ms > 0 && MSEC(r->retry_after_ms) > d)
        d = MSEC(r->retry_after_ms);
    if (u->deadline != NSEC_NEVER && clock_now() + d >= u->deadline)
        return false;
    if (cancel_sleep(u->options ? u->options->cancel : NULL, d))
        return true;
    reply_fail(u->reply, LUNA_CANCELLED, "cancelled while waiting to try again");
    return false;
}

/* Tries until it succeeds or should not be tried again. `a` is of the last try. */
static void
call_with_retries(struct unary *u, struct answer *a)
{
    for (;;) {
        u->reply->attempts++;
        try_once(u, a);
        if (u->reply->code == LUNA_OK || !wait_to_retry(u))
            return;
        answer_fini(a);
        answer_init(a);
    }
}

/* The call up to its encoded response, which is in `a`. Takes `request`, which is NULL when the
 * message was too large. */
static struct luna_reply *
call_unary(struct luna_channel *channel, const struct luna_call_options *options,
           const struct luna_method *method, grpc_byte_buffer *request, struct answer *a)
{
    struct unary u = {
        .channel = channel,
        .options = options,
        .method = method,
        .request = request,
        .deadline = call_deadline(options, channel->timeout_ms),
        .max_attempts =
            options && options->max_attempts > 0 ? options->max_attempts : channel->max_attempts,
        .reply = reply_new(),
    };
    const char *illegal = sent_metadata_init(&u.metadata, channel, options);
    if (illegal)
        reply_fail(u.reply, LUNA_INVALID_ARGUMENT, "metadata \"%s\" cannot be sent", illegal);
    else if (!request)
        reply_fail(u.reply, LUNA_INVALID_ARGUMENT, "the request is larger than 4 GiB");
    else
        call_with_retries(&u, a);
    sent_metadata_fini(&u.metadata);
    if (request)
        grpc_byte_buffer_destroy(request);
    return u.reply;
}

enum luna_code
luna_call_unary(struct luna_channel *channel, const struct luna_call_options *options,
                const struct luna_method *method, const ProtobufCMessage *request,
                struct luna_reply **ret_reply, const ProtobufCMessage **ret_response)
{
    struct answer a;
    answer_init(&a);
    struct luna_reply *r = call_unary(channel, options, method, wire_pack(request), &a);
    const ProtobufCMessage *response = NULL;
    if (r->code == LUNA_OK) {
        response = wire_unpack(&r->arena, method->response, a.message);
        if (!response)
            reply_fail(r, LUNA_INTERNAL, "the response is not a valid %s", method->response->name);
    }
    answer_fini(&a);
    *ret_reply = r;
    *ret_response = response;
    return r->code;
}

enum luna_code
luna_call_bytes(struct luna_channel *channel, const struct luna_call_options *options,
                const struct luna_method *method, const void *request, size_t request_size,
                struct luna_reply **ret_reply, const void **ret_response, size_t *ret_response_size)
{
    struct answer a;
    answer_init(&a);
    struct luna_reply *r =
        call_unary(channel, options, method, wire_copy(request, request_size), &a);
    const void *response = NULL;
    *ret_response_size = 0;
    if (r->code == LUNA_OK) {
        response = wire_bytes(&r->arena, a.message, ret_response_size);
        if (!response)
            reply_fail(r, LUNA_INTERNAL, "the response cannot be decompressed");
    }
    answer_fini(&a);
    *ret_reply = r;
    *ret_response = response;
    return r->code;
}
