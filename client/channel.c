/* Channels: options to gRPC's arguments, credentials, and queues that are used again. */
#include <grpc/grpc_security.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_TIMEOUT_MS           30000
#define DEFAULT_KEEPALIVE_TIMEOUT_MS 20000
#define DEFAULT_MAX_ATTEMPTS         4
#define DEFAULT_MAX_RECEIVE_BYTES    (256 << 20)
#define MAX_METADATA_BYTES           (64 << 10) /* the server's limit too */
#define MAX_ARGS                     12

/* A restarted server is found soon, an absent one not asked all the time. */
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MAX_MS   5000

const char *
luna_code_name(enum luna_code code)
{
    static const char *const names[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    if (code == LUNA_END)
        return "END";
    return code >= 0 && (size_t)code < ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

/* Printable ASCII: what HTTP/2 allows in a value. */
static bool
is_header_text(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s < 0x20 || *s > 0x7e)
            return false;
    return true;
}

static const char *
options_error(const struct luna_channel_options *o)
{
    if (!o->target || !*o->target)
        return "target is empty";
    if (o->api_key && o->bearer_token)
        return "api_key and bearer_token cannot be used together";
    if (o->api_key && !is_header_text(o->api_key))
        return "api_key has characters that no key has";
    if (o->bearer_token && !is_header_text(o->bearer_token))
        return "bearer_token has characters that no token has";
    if (!o->certificate != !o->private_key)
        return "certificate and private_key go together";
    if (!o->tls && (o->root_certificates || o->certificate || o->tls_server_name))
        return "certificates need tls";
    if (o->timeout_ms < LUNA_NO_TIMEOUT)
        return "timeout_ms is negative";
    if (o->keepalive_ms < 0 || o->keepalive_ms > INT_MAX)
        return "keepalive_ms is out of range";
    if (o->keepalive_timeout_ms < 0 || o->keepalive_timeout_ms > INT_MAX)
        return "keepalive_timeout_ms is out of range";
    if (o->max_receive_bytes > INT_MAX || o->max_send_bytes > INT_MAX)
        return "max_receive_bytes and max_send_bytes are below 2 GiB";
    return NULL;
}

struct args {
    grpc_arg arg[MAX_ARGS];
    size_t n;
};

static void
add_int(struct args *args, const char *key, int64_t value)
{
    ASSERT(args->n < MAX_ARGS);
    /* gRPC does not write to keys and strings; its types lack the const. */
    args->arg[args->n++] =
        (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = (int)value};
}

static void
add_string(struct args *args, const char *key, const char *value)
{
    ASSERT(args->n < MAX_ARGS);
    args->arg[args->n++] =
        (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

static int64_t
or_default(int64_t value, int64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void
args_fill(struct args *args, const struct luna_channel_options *o, const char *agent)
{
    add_string(args, GRPC_ARG_PRIMARY_USER_AGENT_STRING, agent);
    add_int(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
            or_default((int64_t)o->max_receive_bytes, DEFAULT_MAX_RECEIVE_BYTES));
    if (o->max_send_bytes > 0)
        add_int(args, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, (int64_t)o->max_send_bytes);
    add_int(args, GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
    add_int(args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS);
    add_int(args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS);
    if (o->keepalive_ms > 0) {
        add_int(args, GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_ms);
        add_int(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                or_default(o->keepalive_timeout_ms, DEFAULT_KEEPALIVE_TIMEOUT_MS));
        /* By default gRPC stops after two pings without data. */
        add_int(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    if (o->tls_server_name)
        add_string(args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, o->tls_server_name);
}

static grpc_channel_credentials *
credentials_new(const struct luna_channel_options *o)
{
    if (!o->tls)
        return grpc_insecure_credentials_create();
    grpc_ssl_pem_key_cert_pair pair = {o->private_key, o->certificate};
    return grpc_ssl_credentials_create_ex(o->root_certificates, o->certificate ? &pair : NULL, NULL,
                                          NULL);
}

static void
channel_set_credential(struct luna_channel *ch, const struct luna_channel_options *o)
{
    ch->credential_key = grpc_empty_slice();
    ch->credential = grpc_empty_slice();
    if (o->api_key) {
        ch->credential_key = grpc_slice_from_static_string("x-api-key");
        ch->credential = grpc_slice_from_copied_string(o->api_key);
    } else if (o->bearer_token) {
        struct arena a;
        arena_init(&a, 0);
        ch->credential_key = grpc_slice_from_static_string("authorization");
        ch->credential =
            grpc_slice_from_copied_string(arena_printf(&a, "Bearer %s", o->bearer_token));
        arena_fini(&a);
    }
}

struct luna_channel *
luna_channel_new(const struct luna_channel_options *o, const char **ret_error)
{
    const char *error = options_error(o);
    if (error) {
        *ret_error = error;
        return NULL;
    }
    grpc_init();
    grpc_channel_credentials *creds = credentials_new(o);
    if (!creds) {
        grpc_shutdown_blocking();
        *ret_error = "the certificates cannot be used";
        return NULL;
    }
    struct arena a;
    arena_init(&a, 0);
    const char *agent = o->user_agent
                            ? arena_printf(&a, "%s luna-c/" LUNA_CLIENT_VERSION, o->user_agent)
                            : "luna-c/" LUNA_CLIENT_VERSION;
    struct args args = {.n = 0};
    args_fill(&args, o, agent);
    grpc_channel_args core_args = {args.n, args.arg};

    struct luna_channel *ch = calloc(1, sizeof(*ch));
    ASSERT(ch != NULL);
    ch->target = strdup(o->target);
    ASSERT(ch->target != NULL);
    ch->core = grpc_channel_create(o->target, creds, &core_args);
    grpc_channel_credentials_release(creds);
    arena_fini(&a);
    channel_set_credential(ch, o);
    ch->timeout_ms = or_default(o->timeout_ms, DEFAULT_TIMEOUT_MS);
    ch->max_attempts = o->max_attempts > 0 ? o->max_attempts : DEFAULT_MAX_ATTEMPTS;
    pthread_mutex_init(&ch->lock, NULL);
    return ch;
}

static void
queue_free(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    while (grpc_completion_queue_pluck(cq, NULL, forever, NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(cq);
}

void
luna_channel_free(struct luna_channel *ch)
{
    if (!ch)
        return;
    for (size_t i = 0; i < ch->idle_count; i++)
        queue_free(ch->idle[i]);
    grpc_channel_destroy(ch->core);
    grpc_slice_unref(ch->credential_key);
    grpc_slice_unref(ch->credential);
    pthread_mutex_destroy(&ch->lock);
    free(ch->target);
    free(ch);
    grpc_shutdown_blocking();
}

const char *
luna_channel_target(const struct luna_channel *ch)
{
    return ch->target;
}

grpc_completion_queue *
channel_take_queue(struct luna_channel *ch)
{
    grpc_completion_queue *cq = NULL;
    pthread_mutex_lock(&ch->lock);
    if (ch->idle_count > 0)
        cq = ch->idle[--ch->idle_count];
    pthread_mutex_unlock(&ch->lock);
    return cq ? cq : grpc_completion_queue_create_for_pluck(NULL);
}

void
channel_give_queue(struct luna_channel *ch, grpc_completion_queue *cq)
{
    pthread_mutex_lock(&ch->lock);
    bool kept = ch->idle_count < CHANNEL_IDLE_QUEUES;
    if (kept)
        ch->idle[ch->idle_count++] = cq;
    pthread_mutex_unlock(&ch->lock);
    if (!kept)
        queue_free(cq);
}
