#include "gateway/upstream.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define METADATA_BYTES_MAX (64 << 10) /* of an answer; the server's own limit for requests */
#define KEEPALIVE_MS       30000
#define RECONNECT_FIRST_MS 100 /* a restarted server is found soon, */
#define RESOLVE_AGAIN_MS   5000
#define TARGET_MAX         4096
#define RECONNECT_MAX_MS   3000 /* an absent one is not asked all the time */
#define PAIRS_MAX          64
#define WINDOW_BYTES       (1 << 20) /* of a stream: what the server may send ahead */

/* One thread polls for several channels. gRPC core's epoll set has a single poller in the whole
 * process: with a thread for each channel the role went from thread to thread at nearly every
 * event, and half of the throughput with it. */
#define CHANNELS_OF_A_QUEUE 16

/* absl::SetMutexDeadlockDetectionMode(kIgnore), as in server/rpc/core.c: Debian's abseil is built
 * with its debugging on, and each lock taken inside another walks a graph of all locks of the
 * process. */
extern void core_ignore_deadlocks(int mode) __asm__(
    "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE");

/* A completion queue, its thread, and the calls that end there. */
struct upstream_queue {
    grpc_completion_queue *cq;
    pthread_t thread;
    pthread_mutex_t lock; /* of `calls` */
    struct list calls;    /* not ended yet */
};

struct upstream {
    grpc_channel **channels;
    int channel_count;
    struct upstream_queue *queues;
    int queue_count;
    atomic_uint next;
};

static void *
run_queue(void *arg)
{
    struct upstream_queue *q = arg;
    for (;;) {
        grpc_event ev = grpc_completion_queue_next(q->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct upstream_tag *tag = ev.tag;
        tag->done(tag, ev.success != 0);
    }
}

/* ---- channels ---- */

static grpc_arg
int_arg(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

#define ROUND_ROBIN "\"loadBalancingConfig\":[{\"round_robin\":{}}]"

/* A single server is always asked: what it says of its failures is better than what we would. */
static const char *
service_config(const char *target)
{
    bool several = strchr(target, ',') || strncmp(target, "dns:", 4) == 0;
    return several ? "{" ROUND_ROBIN ",\"healthCheckConfig\":{\"serviceName\":\"\"}}"
                   : "{" ROUND_ROBIN "}";
}

/* gRPC core's name for what the setting says. */
static void
name_target(const char *target, struct buf *name)
{
    bool list = strchr(target, ',') && !strstr(target, "ipv4:") && !strstr(target, "ipv6:");
    if (list)
        buf_puts(name, target[0] == '[' ? "ipv6:" : "ipv4:");
    buf_puts(name, target);
}

static grpc_channel *
new_channel(const struct upstream_options *o, int index)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, METADATA_BYTES_MAX),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, o->max_message),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
        int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
        int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS * 10),
        int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
        int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0), /* no pings to size windows with */
        int_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, WINDOW_BYTES),
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        int_arg("luna.channel", index), /* no two channels are the same one */
        int_arg(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, RESOLVE_AGAIN_MS),
        {.type = GRPC_ARG_STRING,
         .key = (char *)(uintptr_t)GRPC_ARG_SERVICE_CONFIG,
         .value.string = (char *)(uintptr_t)service_config(o->target)},
    };
    grpc_channel_args all = {ARRAY_LEN(args), args};
    grpc_channel_credentials *credentials =
        o->ca ? grpc_ssl_credentials_create(o->ca, NULL, NULL, NULL)
              : grpc_insecure_credentials_create();
    struct buf target;
    buf_init(&target, TARGET_MAX);
    name_target(o->target, &target);
    grpc_channel *channel = grpc_channel_create(target.data, credentials, &all);
    buf_fini(&target);
    grpc_channel_credentials_release(credentials);
    return channel;
}

static bool
add_queue(struct upstream *u)
{
    struct upstream_queue *q = &u->queues[u->queue_count];
    pthread_mutex_init(&q->lock, NULL);
    list_init(&q->calls);
    q->cq = grpc_completion_queue_create_for_next(NULL);
    if (pthread_create(&q->thread, NULL, run_queue, q) == 0) {
        u->queue_count++;
        return true;
    }
    grpc_completion_queue_shutdown(q->cq);
    run_queue(q);
    grpc_completion_queue_destroy(q->cq);
    pthread_mutex_destroy(&q->lock);
    return false;
}

struct upstream *
upstream_new(const struct upstream_options *o)
{
    struct upstream *u = calloc(1, sizeof(*u));
    int queues = (o->channels + CHANNELS_OF_A_QUEUE - 1) / CHANNELS_OF_A_QUEUE;
    bool ok = true;
    ASSERT(u);
    core_ignore_deadlocks(0);
    grpc_init();
    u->channels = calloc((size_t)o->channels, sizeof(u->channels[0]));
    u->queues = calloc((size_t)queues, sizeof(u->queues[0]));
    ASSERT(u->channels && u->queues);
    while (ok && u->queue_count < queues)
        ok = add_queue(u);
    for (int i = 0; ok && i < o->channels; i++) {
        u->channels[i] = new_channel(o, i);
        ok = u->channels[i] != NULL;
        u->channel_count += ok;
    }
    if (!ok) {
        upstream_free(u);
        return NULL;
    }
    upstream_ready(u);
    return u;
}

void
upstream_free(struct upstream *u)
{
    for (int i = 0; i < u->channel_count; i++)
        grpc_channel_destroy(u->channels[i]);
    for (int i = 0; i < u->queue_count; i++) {
        struct upstream_queue *q = &u->queues[i];
        grpc_completion_queue_shutdown(q->cq);
        pthread_join(q->thread, NULL);
        grpc_completion_queue_destroy(q->cq);
        pthread_mutex_destroy(&q->lock);
    }
    free(u->channels);
    free(u->queues);
    free(u);
    grpc_shutdown();
}

bool
upstream_ready(struct upstream *u)
{
    bool ready = false;
    for (int i = 0; i < u->channel_count; i++)
        ready |= grpc_channel_check_connectivity_state(u->channels[i], 1) == GRPC_CHANNEL_READY;
    return ready;
}

void
upstream_cancel_all(struct upstream *u)
{
    for (int i = 0; i < u->queue_count; i++) {
        struct upstream_queue *q = &u->queues[i];
        pthread_mutex_lock(&q->lock);
        list_foreach (it, &q->calls)
            upstream_cancel(container_of(it, struct upstream_call, node));
        pthread_mutex_unlock(&q->lock);
    }
}

/* ---- calls ---- */

static void
call_done(struct upstream_call *c)
{
    if (atomic_fetch_sub(&c->pending, 1) != 1)
        return;
    pthread_mutex_lock(&c->queue->lock);
    list_remove(&c->node);
    pthread_mutex_unlock(&c->queue->lock);
    c->status =
        c->code < 0 || c->code > GRPC_STATUS_UNAUTHENTICATED ? UNKNOWN : (enum status)c->code;
    c->message =
        (struct str){(const char *)GRPC_SLICE_START_PTR(c->details), GRPC_SLICE_LENGTH(c->details)};
    c->on_end(c);
}

static void
on_start(struct upstream_tag *tag, bool ok)
{
    (void)ok; /* the status tells */
    call_done(container_of(tag, struct upstream_call, start_tag));
}

static void
on_status(struct upstream_tag *tag, bool ok)
{
    (void)ok;
    call_done(container_of(tag, struct upstream_call, status_tag));
}

static void
on_receive(struct upstream_tag *tag, bool ok)
{
    struct upstream_call *c = container_of(tag, struct upstream_call, receive_tag);
    grpc_byte_buffer *message = c->answer;
    c->answer = NULL; /* the next one may come while this one is looked at */
    if (ok && message)
        c->on_message(c, message);
    if (message)
        grpc_byte_buffer_destroy(message);
    call_done(c);
}

static void
on_send(struct upstream_tag *tag, bool ok)
{
    struct upstream_call *c = container_of(tag, struct upstream_call, send_tag);
    if (c->sending)
        grpc_byte_buffer_destroy(c->sending);
    c->sending = NULL;
    if (c->on_sent)
        c->on_sent(c, ok);
    call_done(c);
}

static grpc_byte_buffer *
wrap(struct str message)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(message.n ? message.p : "", message.n);
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return b;
}

static void
call_init(struct upstream *u, struct upstream_call *c, const char *path, nsec_t deadline)
{
    unsigned at = atomic_fetch_add_explicit(&u->next, 1, memory_order_relaxed);
    c->channel = u->channels[at % (unsigned)u->channel_count];
    c->queue = &u->queues[at % (unsigned)u->queue_count];
    gpr_timespec end = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (deadline != NSEC_NEVER)
        end = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                           gpr_time_from_nanos(deadline - clock_now(), GPR_TIMESPAN));
    c->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue->cq,
                                       grpc_slice_from_static_string(path), NULL, end, NULL);
    c->start_tag.done = on_start;
    c->status_tag.done = on_status;
    c->receive_tag.done = on_receive;
    c->send_tag.done = on_send;
    c->details = grpc_empty_slice();
    grpc_metadata_array_init(&c->headers);
    grpc_metadata_array_init(&c->trailers);
    pthread_mutex_lock(&c->queue->lock);
    list_push(&c->queue->calls, &c->node);
    pthread_mutex_unlock(&c->queue->lock);
}

static size_t
fill_metadata(grpc_metadata *to, const struct upstream_pair *from, size_t count)
{
    ASSERT(count <= PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        to[i] = (grpc_metadata){
            .key = grpc_slice_from_copied_buffer(from[i].key.p, from[i].key.n),
            .value = grpc_slice_from_copied_buffer(from[i].value.p, from[i].value.n),
        };
    }
    return count;
}

static void
drop_metadata(grpc_metadata *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(m[i].key);
        grpc_slice_unref(m[i].value);
    }
}

static grpc_op
status_op(struct upstream_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &c->trailers;
    op.data.recv_status_on_client.status = &c->code;
    op.data.recv_status_on_client.status_details = &c->details;
    return op;
}

/* A batch can only be refused for what the caller checked before: metadata that is none. */
static void
start_batch(struct upstream_call *c, const grpc_op *ops, size_t n, struct upstream_tag *tag)
{
    grpc_call_error e = grpc_call_start_batch(c->call, ops, n, tag, NULL);
    ASSERT(e == GRPC_CALL_OK);
}

void
upstream_unary(struct upstream *u, struct upstream_call *c, const char *path, struct str message,
               const struct upstream_pair *metadata, size_t count, nsec_t deadline)
{
    grpc_metadata pairs[PAIRS_MAX];
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_MESSAGE}};
    call_init(u, c, path, deadline);
    grpc_byte_buffer *sending = wrap(message);
    ops[0].data.send_initial_metadata.count = fill_metadata(pairs, metadata, count);
    ops[0].data.send_initial_metadata.metadata = pairs;
    ops[1].data.send_message.send_message = sending;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &c->headers;
    ops[4].data.recv_message.recv_message = &c->answer;
    ops[5] = status_op(c);
    atomic_store(&c->pending, 1);
    start_batch(c, ops, ARRAY_LEN(ops), &c->start_tag);
    /* From here on the call may have ended: its batch holds what it needs. */
    grpc_byte_buffer_destroy(sending);
    drop_metadata(pairs, count);
}

void
upstream_stream(struct upstream *u, struct upstream_call *c, const char *path,
                const struct str *message, bool half_close, const struct upstream_pair *metadata,
                size_t count, nsec_t deadline)
{
    grpc_metadata pairs[PAIRS_MAX];
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    size_t n = 2;
    call_init(u, c, path, deadline);
    grpc_byte_buffer *sending = message ? wrap(*message) : NULL;
    ops[0].data.send_initial_metadata.count = fill_metadata(pairs, metadata, count);
    ops[0].data.send_initial_metadata.metadata = pairs;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &c->headers;
    if (sending) {
        ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        ops[n++].data.send_message.send_message = sending;
    }
    if (half_close)
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    grpc_op receive = {.op = GRPC_OP_RECV_MESSAGE};
    receive.data.recv_message.recv_message = &c->answer;
    grpc_op end = status_op(c);
    /* The count of this function keeps the call until all three are on their way. */
    atomic_store(&c->pending, 4);
    start_batch(c, ops, n, &c->start_tag);
    start_batch(c, &receive, 1, &c->receive_tag);
    start_batch(c, &end, 1, &c->status_tag);
    if (sending)
        grpc_byte_buffer_destroy(sending);
    drop_metadata(pairs, count);
    call_done(c);
}

/* One more batch, unless the call has ended. */
static bool
hold(struct upstream_call *c)
{
    int n = atomic_load(&c->pending);
    while (n > 0)
        if (atomic_compare_exchange_weak(&c->pending, &n, n + 1))
            return true;
    return false;
}

void
upstream_next(struct upstream_call *c)
{
    if (!hold(c))
        return;
    grpc_op receive = {.op = GRPC_OP_RECV_MESSAGE};
    receive.data.recv_message.recv_message = &c->answer;
    start_batch(c, &receive, 1, &c->receive_tag);
}

void
upstream_send(struct upstream_call *c, const struct str *message)
{
    grpc_op op = {.op = message ? GRPC_OP_SEND_MESSAGE : GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    if (!hold(c))
        return;
    if (message) {
        c->sending = wrap(*message);
        op.data.send_message.send_message = c->sending;
    }
    start_batch(c, &op, 1, &c->send_tag);
}

static gpr_timespec
core_time(nsec_t at)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(at - clock_now(), GPR_TIMESPAN));
}

static void
look_if_ready(struct upstream_call *c)
{
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(c->channel, 1);
    if (state == GRPC_CHANNEL_READY || clock_now() >= c->ready_until)
        c->on_ready(c);
    else
        grpc_channel_watch_connectivity_state(c->channel, state, core_time(c->ready_until),
                                              c->queue->cq, &c->start_tag);
}

/* The state has changed, or the time has come. */
static void
on_state(struct upstream_tag *tag, bool ok)
{
    struct upstream_call *c = container_of(tag, struct upstream_call, start_tag);
    if (!ok)
        c->ready_until = 0;
    look_if_ready(c);
}

void
upstream_when_ready(struct upstream_call *c, nsec_t until,
                    void (*on_ready)(struct upstream_call *c))
{
    c->ready_until = until;
    c->on_ready = on_ready;
    c->start_tag.done = on_state;
    look_if_ready(c);
}

void
upstream_cancel(struct upstream_call *c)
{
    grpc_call_cancel(c->call, NULL);
}

void
upstream_call_fini(struct upstream_call *c)
{
    if (!c->call)
        return;
    if (c->answer)
        grpc_byte_buffer_destroy(c->answer);
    grpc_slice_unref(c->details);
    grpc_metadata_array_destroy(&c->headers);
    grpc_metadata_array_destroy(&c->trailers);
    grpc_call_unref(c->call);
    c->call = NULL;
}

struct str
upstream_bytes(grpc_byte_buffer *b, struct arena *a)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    if (!b || !grpc_byte_buffer_reader_init(&reader, b))
        return STR("");
    size_t total = grpc_byte_buffer_length(b), at = 0;
    struct str whole = STR("");
    char *copy = NULL;
    while (grpc_byte_buffer_reader_peek(&reader, &slice)) {
        const char *p = (const char *)GRPC_SLICE_START_PTR(*slice);
        size_t n = GRPC_SLICE_LENGTH(*slice);
        if (n == total) {
            whole = (struct str){p, n};
            break;
        }
        if (!copy)
            copy = arena_alloc_raw(a, total);
        memcpy(copy + at, p, n);
        at += n;
        whole = (struct str){copy, at};
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return whole;
}

struct str
upstream_find(const grpc_metadata_array *m, const char *key)
{
    for (size_t i = 0; i < m->count; i++)
        if (grpc_slice_str_cmp(m->metadata[i].key, key) == 0)
            return (struct str){(const char *)GRPC_SLICE_START_PTR(m->metadata[i].value),
                                GRPC_SLICE_LENGTH(m->metadata[i].value)};
    return (struct str){0};
}
