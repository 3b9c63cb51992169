/*
 * The yardstick of rpc_bench_server: the fastest reasonable echo on gRPC core's C API alone.
 * Registered methods, the unary one's payload read with the call, one completion queue and one
 * thread for each core, one batch an answer, nothing allocated of our own. A stream answers each
 * message in the batch that asks for the next one.
 *
 *     core_echo [--threads=N] [--port=N] [--pairs=N]
 *
 * --pairs: each answer of the unary method carries so many of the metadata pairs of a charged call.
 */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH    "/luna.testing.EchoService/Echo"
#define STREAM  "/luna.testing.EchoService/Chat"
#define POSTS   64 /* outstanding on each queue; core scans them at each completion */
#define STREAMS 8
#define THREADS 64

enum state { ASKED, CHATTING, ENDING };

struct slot {
    enum state state;
    bool chat; /* of the stream */
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_byte_buffer *sent;
    int cancelled;
};

static grpc_server *server;
static void *method, *stream;

/* Those of a call with a quota, a rate of the account and one of the key. */
static const char *const charged[][2] = {
    {"ratelimit-policy",
     "\"quota\";q=1000000000000, \"account\";q=1000000;w=1, \"key\";q=1000000;w=1"},
    {"ratelimit", "\"quota\";r=999892200577, \"account\";r=999999;t=1, \"key\";r=999999;t=1"},
    {"x-ratelimit-limit", "1000000"},
    {"x-ratelimit-remaining", "999999"},
    {"x-ratelimit-reset", "1"},
};
#define PAIRS (sizeof(charged) / sizeof(charged[0]))
static int pairs;

static void
post(struct slot *s, grpc_completion_queue *cq)
{
    s->state = ASKED;
    s->payload = s->sent = NULL;
    grpc_metadata_array_init(&s->metadata);
    if (grpc_server_request_registered_call(
            server, s->chat ? stream : method, &s->call, &s->deadline, &s->metadata,
            s->chat ? NULL : &s->payload, cq, cq, s) != GRPC_CALL_OK)
        abort();
}

static void
start(struct slot *s, enum state state, const grpc_op *ops, size_t n)
{
    s->state = state;
    if (grpc_call_start_batch(s->call, ops, n, s, NULL) != GRPC_CALL_OK)
        abort();
}

static void
answer(struct slot *s)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    grpc_metadata md[PAIRS];
    for (int i = 0; i < pairs; i++) {
        md[i].key = grpc_slice_from_static_string(charged[i][0]);
        md[i].value = grpc_slice_from_static_string(charged[i][1]);
    }
    ops[0].data.send_initial_metadata.metadata = md;
    ops[0].data.send_initial_metadata.count = (size_t)pairs;
    ops[1].data.send_message.send_message = s->payload;
    ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
    ops[3].data.recv_close_on_server.cancelled = &s->cancelled;
    start(s, ENDING, ops, 4);
}

static void
chat_begin(struct slot *s)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_MESSAGE}};
    ops[1].data.recv_message.recv_message = &s->payload;
    start(s, CHATTING, ops, 2);
}

/* Answers the message that came and asks for the next one, or ends. */
static void
chat_on(struct slot *s, bool ok)
{
    if (s->sent)
        grpc_byte_buffer_destroy(s->sent);
    s->sent = s->payload;
    s->payload = NULL;
    if (ok && s->sent) {
        grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_RECV_MESSAGE}};
        ops[0].data.send_message.send_message = s->sent;
        ops[1].data.recv_message.recv_message = &s->payload;
        start(s, CHATTING, ops, 2);
    } else {
        grpc_op ops[2] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                          {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
        ops[0].data.send_status_from_server.status = GRPC_STATUS_OK;
        ops[1].data.recv_close_on_server.cancelled = &s->cancelled;
        start(s, ENDING, ops, 2);
    }
}

static void
finish(struct slot *s)
{
    grpc_metadata_array_destroy(&s->metadata);
    if (s->payload)
        grpc_byte_buffer_destroy(s->payload);
    if (s->sent)
        grpc_byte_buffer_destroy(s->sent);
    grpc_call_unref(s->call);
}

static void *
work(void *arg)
{
    grpc_completion_queue *cq = arg;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    for (int i = 0; i < POSTS + STREAMS; i++) {
        struct slot *s = calloc(1, sizeof(*s));
        s->chat = i >= POSTS;
        post(s, cq);
    }
    struct slot *free_slot = NULL;
    for (;;) {
        grpc_event ev = grpc_completion_queue_next(cq, never, NULL);
        struct slot *s = ev.tag;
        if (ev.type != GRPC_OP_COMPLETE)
            return NULL;
        if (s->state == ENDING) {
            finish(s);
            free(free_slot);
            free_slot = s;
            continue;
        }
        if (s->state == CHATTING) {
            chat_on(s, ev.success);
            continue;
        }
        struct slot *next = free_slot ? free_slot : malloc(sizeof(*next));
        free_slot = NULL;
        next->chat = s->chat;
        post(next, cq);
        if (s->chat)
            chat_begin(s);
        else
            answer(s);
    }
}

static int
option(int argc, char **argv, const char *name, int def)
{
    size_t n = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return (int)strtol(argv[i] + n + 1, NULL, 10);
    }
    return def;
}

int
main(int argc, char **argv)
{
    grpc_completion_queue *cqs[THREADS];
    pthread_t threads[THREADS];
    char address[64];
    int count = option(argc, argv, "--threads", (int)sysconf(_SC_NPROCESSORS_ONLN));
    if (count < 1 || count > THREADS)
        count = THREADS;
    pairs = option(argc, argv, "--pairs", 0);
    if (pairs < 0 || pairs > (int)PAIRS)
        return 2;
    grpc_init();
    /* What the wrapper tells core as well, so that both run the same core. */
    static char *const off[] = {"grpc.enable_channelz", "grpc.per_message_compression",
                                "grpc.per_message_decompression", "grpc.enable_deadline_checking"};
    grpc_arg args[4];
    for (int i = 0; i < 4; i++)
        args[i] = (grpc_arg){.type = GRPC_ARG_INTEGER, .key = off[i], .value.integer = 0};
    grpc_channel_args channel_args = {.num_args = 4, .args = args};
    server = grpc_server_create(&channel_args, NULL);
    method = grpc_server_register_method(server, PATH, NULL,
                                         GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    stream = grpc_server_register_method(server, STREAM, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
    for (int i = 0; i < count; i++) {
        cqs[i] = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(server, cqs[i], NULL);
    }
    snprintf(address, sizeof(address), "127.0.0.1:%d", option(argc, argv, "--port", 0));
    grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server, address, creds);
    grpc_server_credentials_release(creds);
    if (port == 0)
        return 1;
    grpc_server_start(server);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, cqs[i]);
    printf("listening on %d\n", port);
    fflush(stdout);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
