/*
 * The yardstick of rpc_bench_server: the fastest reasonable echo on gRPC core's C API alone. One
 * registered method, its payload read with the call, one completion queue and one thread for each
 * core, one batch an answer, nothing allocated of our own.
 *
 *     core_echo [--threads=N] [--port=N]
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
#define POSTS   64 /* outstanding on each queue; core scans them at each completion */
#define THREADS 64

struct slot {
    bool answering;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    int cancelled;
};

static grpc_server *server;
static void *method;

static void
post(struct slot *s, grpc_completion_queue *cq)
{
    s->answering = false;
    s->payload = NULL;
    grpc_metadata_array_init(&s->metadata);
    if (grpc_server_request_registered_call(server, method, &s->call, &s->deadline, &s->metadata,
                                            &s->payload, cq, cq, s) != GRPC_CALL_OK)
        abort();
}

static void
answer(struct slot *s)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    s->answering = true;
    ops[1].data.send_message.send_message = s->payload;
    ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
    ops[3].data.recv_close_on_server.cancelled = &s->cancelled;
    if (grpc_call_start_batch(s->call, ops, 4, s, NULL) != GRPC_CALL_OK)
        abort();
}

static void
finish(struct slot *s)
{
    grpc_metadata_array_destroy(&s->metadata);
    if (s->payload)
        grpc_byte_buffer_destroy(s->payload);
    grpc_call_unref(s->call);
}

static void *
work(void *arg)
{
    grpc_completion_queue *cq = arg;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    for (int i = 0; i < POSTS; i++)
        post(calloc(1, sizeof(struct slot)), cq);
    struct slot *free_slot = NULL;
    for (;;) {
        grpc_event ev = grpc_completion_queue_next(cq, never, NULL);
        struct slot *s = ev.tag;
        if (ev.type != GRPC_OP_COMPLETE)
            return NULL;
        if (s->answering) {
            finish(s);
            free(free_slot);
            free_slot = s;
            continue;
        }
        struct slot *next = free_slot ? free_slot : malloc(sizeof(*next));
        free_slot = NULL;
        post(next, cq);
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
