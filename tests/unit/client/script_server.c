#include "unit/client/script_server.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/defs.h"

struct script_server {
    grpc_server *core;
    grpc_completion_queue *cq; /* of arriving calls */
    pthread_t thread;
    int port;
    script_fn fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t running; /* calls with a thread, by `lock` */
};

struct script_call {
    struct script_server *server;
    grpc_completion_queue *cq;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    const char *const *headers;
    bool headers_sent;
    int cancelled; /* written by gRPC */
    bool close_taken;
    char path[256];
    char tags[2]; /* an operation, the close */
};

static bool
run(struct script_call *c, const grpc_op *op)
{
    grpc_call_error e = grpc_call_start_batch(c->core, op, 1, &c->tags[0], NULL);
    ASSERT(e == GRPC_CALL_OK);
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return grpc_completion_queue_pluck(c->cq, &c->tags[0], forever, NULL).success != 0;
}

static void
send_headers(struct script_call *c)
{
    grpc_metadata pairs[16];
    size_t n = 0;
    if (c->headers_sent)
        return;
    c->headers_sent = true;
    for (const char *const *p = c->headers; p && *p; p += 2, n++) {
        ASSERT(n < ARRAY_LEN(pairs));
        pairs[n].key = grpc_slice_from_static_string(p[0]);
        pairs[n].value = grpc_slice_from_static_string(p[1]);
    }
    const grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA,
                        .data.send_initial_metadata = {.count = n, .metadata = pairs}};
    run(c, &op);
}

void
script_headers(struct script_call *c, const char *const *pairs)
{
    c->headers = pairs;
}

uint8_t *
script_recv(struct script_call *c, size_t *ret_size)
{
    grpc_byte_buffer *bb = NULL;
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &bb};
    run(c, &op);
    if (!bb)
        return NULL;
    grpc_byte_buffer_reader reader;
    ASSERT(grpc_byte_buffer_reader_init(&reader, bb));
    grpc_slice s = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(bb);
    *ret_size = GRPC_SLICE_LENGTH(s);
    uint8_t *bytes = malloc(*ret_size + 1);
    ASSERT(bytes != NULL);
    memcpy(bytes, GRPC_SLICE_START_PTR(s), *ret_size);
    grpc_slice_unref(s);
    return bytes;
}

bool
script_send(struct script_call *c, const void *bytes, size_t size)
{
    send_headers(c);
    grpc_slice s = grpc_slice_from_copied_buffer(bytes, size);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&s, 1);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bb};
    bool sent = run(c, &op);
    grpc_byte_buffer_destroy(bb);
    grpc_slice_unref(s);
    return sent;
}

void
script_finish(struct script_call *c, int code, const char *message, const void *details,
              size_t details_size)
{
    send_headers(c);
    grpc_slice text = grpc_slice_from_copied_string(message);
    grpc_metadata md = {.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                        .value =
                            grpc_slice_from_copied_buffer(details ? details : "", details_size)};
    const grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                        .data.send_status_from_server = {.trailing_metadata_count = details ? 1 : 0,
                                                         .trailing_metadata = &md,
                                                         .status = (grpc_status_code)code,
                                                         .status_details = &text}};
    run(c, &op);
    grpc_slice_unref(text);
    grpc_slice_unref(md.value);
}

bool
script_wait_cancelled(struct script_call *c)
{
    if (!c->close_taken) {
        gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_completion_queue_pluck(c->cq, &c->tags[1], forever, NULL);
        c->close_taken = true;
    }
    return c->cancelled != 0;
}

const char *
script_path(const struct script_call *c)
{
    return c->path;
}

bool
script_metadata(const struct script_call *c, const char *key, char *out, size_t size)
{
    for (size_t i = 0; i < c->metadata.count; i++) {
        const grpc_metadata *md = &c->metadata.metadata[i];
        if (grpc_slice_str_cmp(md->key, key) != 0)
            continue;
        size_t n = GRPC_SLICE_LENGTH(md->value);
        ASSERT(n < size);
        memcpy(out, GRPC_SLICE_START_PTR(md->value), n);
        out[n] = '\0';
        return true;
    }
    return false;
}

int64_t
script_deadline_ms(const struct script_call *c)
{
    gpr_timespec d = gpr_convert_clock_type(c->details.deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(d, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return -1;
    return gpr_time_to_millis(gpr_time_sub(d, gpr_now(GPR_CLOCK_MONOTONIC)));
}

static void
drain(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    while (grpc_completion_queue_pluck(cq, NULL, forever, NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(cq);
}

static void
call_free(struct script_call *c)
{
    drain(c->cq);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    free(c);
}

static void *
call_thread(void *arg)
{
    struct script_call *c = arg;
    struct script_server *s = c->server;
    const grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                           .data.recv_close_on_server.cancelled = &c->cancelled};
    ASSERT(grpc_call_start_batch(c->core, &close, 1, &c->tags[1], NULL) == GRPC_CALL_OK);
    size_t n = GRPC_SLICE_LENGTH(c->details.method);
    ASSERT(n < sizeof(c->path));
    memcpy(c->path, GRPC_SLICE_START_PTR(c->details.method), n);
    s->fn(c, s->arg);
    script_wait_cancelled(c);
    grpc_call_unref(c->core);
    call_free(c);
    pthread_mutex_lock(&s->lock);
    if (--s->running == 0)
        pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void
request_call(struct script_server *s)
{
    struct script_call *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    c->server = s;
    c->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
    grpc_call_error e =
        grpc_server_request_call(s->core, &c->core, &c->details, &c->metadata, c->cq, s->cq, c);
    if (e == GRPC_CALL_OK)
        return;
    ASSERT(e == GRPC_CALL_ERROR_COMPLETION_QUEUE_SHUTDOWN); /* the server is being stopped */
    call_free(c);
}

static void
start_call(struct script_server *s, struct script_call *c)
{
    pthread_t thread;
    pthread_mutex_lock(&s->lock);
    s->running++;
    pthread_mutex_unlock(&s->lock);
    ASSERT(pthread_create(&thread, NULL, call_thread, c) == 0);
    pthread_detach(thread);
}

static void *
server_thread(void *arg)
{
    struct script_server *s = arg;
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    request_call(s);
    for (;;) {
        grpc_event ev = grpc_completion_queue_next(s->cq, forever, NULL);
        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (ev.tag == s)
            continue; /* the server has shut down */
        if (!ev.success) {
            call_free(ev.tag);
            continue;
        }
        start_call(s, ev.tag);
        request_call(s);
    }
}

struct script_server *
script_server_start(const char *address, const char *certificate, const char *private_key,
                    script_fn fn, void *arg)
{
    struct script_server *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL);
    grpc_init();
    s->fn = fn;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    s->cq = grpc_completion_queue_create_for_next(NULL);
    s->core = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(s->core, s->cq, NULL);
    grpc_ssl_pem_key_cert_pair pair = {private_key, certificate};
    grpc_server_credentials *creds =
        certificate ? grpc_ssl_server_credentials_create_ex(
                          NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL)
                    : grpc_insecure_server_credentials_create();
    s->port = grpc_server_add_http2_port(s->core, address, creds);
    ASSERT(s->port > 0);
    grpc_server_credentials_release(creds);
    grpc_server_start(s->core);
    ASSERT(pthread_create(&s->thread, NULL, server_thread, s) == 0);
    return s;
}

int
script_server_port(const struct script_server *s)
{
    return s->port;
}

void
script_server_stop(struct script_server *s)
{
    grpc_server_shutdown_and_notify(s->core, s->cq, s);
    grpc_server_cancel_all_calls(s->core);
    pthread_mutex_lock(&s->lock);
    while (s->running > 0)
        pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
    grpc_completion_queue_shutdown(s->cq);
    pthread_join(s->thread, NULL);
    grpc_server_destroy(s->core);
    grpc_completion_queue_destroy(s->cq);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->idle);
    free(s);
    grpc_shutdown_blocking();
}
