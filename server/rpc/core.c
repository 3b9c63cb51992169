/* The grpc_server itself: channel arguments, credentials, and sending clients away. */
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "rpc/accept.h"
#include "rpc/internal.h"

#define ARGS_MAX       40
#define CORE_LINES_MAX 20
#define PEM_MAX        ((size_t)1024 * 1024)

struct args {
    grpc_arg items[ARGS_MAX];
    size_t count;
};

static void
add_int(struct args *a, const char *key, int64_t value)
{
    ASSERT(a->count < ARGS_MAX);
    grpc_arg *arg = &a->items[a->count++];
    *arg = (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};
    arg->value.integer = value > INT32_MAX ? INT32_MAX : (int)value;
}

static int64_t
to_ms(nsec_t d)
{
    return (d + MSEC(1) - 1) / MSEC(1);
}

static void
add_limits(struct args *a, const struct config *cfg)
{
    add_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, cfg->max_message);
    add_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1);
    add_int(a, GRPC_ARG_MAX_METADATA_SIZE, cfg->max_metadata);
    add_int(a, GRPC_ARG_MAX_CONCURRENT_STREAMS, cfg->max_streams);
    /* What is read at once is gone through at once: see connections.h. */
    add_int(a, GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 256 * 1024);
    add_int(a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
    /* Calls keep their own deadlines and inflate their own messages; see call.c and inflate.c. */
    add_int(a, GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
    add_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    add_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
}

static void
add_connection(struct args *a, const struct config *cfg)
{
    add_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, to_ms(cfg->keepalive_time));
    add_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, to_ms(cfg->keepalive_timeout));
    add_int(a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    /* Clients may ping every 10 s; the third ping too soon ends the connection. */
    add_int(a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
    add_int(a, GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
    add_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    if (cfg->connection_age > 0) {
        add_int(a, GRPC_ARG_MAX_CONNECTION_AGE_MS, to_ms(cfg->connection_age));
        add_int(a, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, to_ms(cfg->connection_age_grace));
    }
}

static void
add_compression(struct args *a, const struct config *cfg)
{
    add_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, cfg->compression);
    if (cfg->compression)
        add_int(a, GRPC_COMPRESSION_CHANNEL_DEFAULT_LEVEL, GRPC_COMPRESS_LEVEL_MED);
}

/* ---- TLS ----------------------------------------------------------------------------------- */

static char *
read_pem(const char *what, const char *path, char *err, size_t err_size)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(PEM_MAX) : NULL;
    size_t n = text ? fread(text, 1, PEM_MAX, f) : 0;
    if (f)
        fclose(f);
    if (n > 0 && n < PEM_MAX) {
        text[n] = '\0';
        return text;
    }
    snprintf(err, err_size, "%s %s: %s", what, path,
             f ? "empty or larger than 1 MiB" : strerror(errno));
    free(text);
    return NULL;
}

static grpc_server_credentials *
tls_credentials(const struct config *cfg, char *err, size_t err_size)
{
    grpc_server_credentials *creds = NULL;
    char *cert = NULL;
    char *ca = NULL;
    char *key = read_pem("LUNA_TLS_KEY", cfg->tls_key, err, err_size);
    if (key)
        cert = read_pem("LUNA_TLS_CERTIFICATE", cfg->tls_certificate, err, err_size);
    if (cert && *cfg->tls_client_ca) {
        ca = read_pem("LUNA_TLS_CLIENT_CA", cfg->tls_client_ca, err, err_size);
        if (!ca)
            goto out;
    }
    if (!cert)
        goto out;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    creds = grpc_ssl_server_credentials_create_ex(
        ca, &pair, 1,
        ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
           : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
out:
    free(key);
    free(cert);
    free(ca);
    return creds;
}

static grpc_server_credentials *
tcp_credentials(const struct config *cfg, char *err, size_t err_size)
{
    if (*cfg->tls_certificate || *cfg->tls_key || *cfg->tls_client_ca)
        return tls_credentials(cfg, err, err_size);
    return grpc_insecure_server_credentials_create();
}

/* ---- core's own log ------------------------------------------------------------------------- */

/* Anybody can make core complain, so only so many of its lines a second are passed on. */
static void
on_core_log(gpr_log_func_args *args)
{
    static atomic_int_fast64_t second;
    static atomic_int lines;
    int_fast64_t now = clock_now() / SEC(1);
    if (atomic_exchange(&second, now) != now)
        atomic_store(&lines, 0);
    if (atomic_fetch_add(&lines, 1) >= CORE_LINES_MAX)
        return;
    if (args->severity == GPR_LOG_SEVERITY_ERROR)
        log_warning("gRPC core", log_str("says", args->message));
    else
        log_debug("gRPC core", log_str("says", args->message));
}

/* absl::SetMutexDeadlockDetectionMode(kIgnore). Debian's abseil is built with its debugging on:
 * each lock taken inside another walks a graph of all locks of the process. */
extern void core_ignore_deadlocks(int mode) __asm__(
    "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE");

void
server_init_core(void)
{
    core_ignore_deadlocks(0);
    gpr_set_log_function(on_core_log);
    grpc_init();
}

/* ---- the server ---------------------------------------------------------------------------- */

static bool
attach(struct rpc_server *s, char *err, size_t err_size)
{
    grpc_server_credentials *tcp = tcp_credentials(s->config, err, err_size);
    if (!tcp)
        return false;
    grpc_server_credentials *local = grpc_insecure_server_credentials_create();
    bool ok = acceptor_attach(s->acceptor, s->core, tcp, local);
    grpc_server_credentials_release(local);
    grpc_server_credentials_release(tcp);
    if (!ok)
        snprintf(err, err_size, "gRPC core refuses the TLS certificate or key");
    return ok;
}

bool
server_open_core(struct rpc_server *s, char *err, size_t err_size)
{
    const struct config *cfg = s->config;
    s->acceptor = acceptor_new(cfg, s->opt.reuse_port, err, err_size);
    if (!s->acceptor)
        return false;
    struct args a = {.count = ACCEPTOR_ARGS};
    acceptor_args(s->acceptor, a.items);
    add_limits(&a, cfg);
    add_connection(&a, cfg);
    add_compression(&a, cfg);
    grpc_resource_quota *quota = grpc_resource_quota_create("luna");
    grpc_resource_quota_resize(quota, (size_t)cfg->max_memory);
    grpc_arg *arg = &a.items[a.count++];
    *arg = (grpc_arg){.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA};
    arg->value.pointer.p = quota;
    arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
    grpc_channel_args args = {.num_args = a.count, .args = a.items};
    s->core = grpc_server_create(&args, NULL);
    grpc_resource_quota_unref(quota);
    return attach(s, err, err_size);
}

/*
 * grpc_core::Server::SendGoaways: every client is asked to go elsewhere, and what it sends until it
 * has understood is still served. The C API only has grpc_server_shutdown_and_notify, which sends
 * the same GOAWAY but drops the calls that were on their way. The symbol is exported by gRPC core
 * 29 (see acceptor_new for the check of the version).
 */
extern void core_send_goaways(grpc_server *core) __asm__("_ZN9grpc_core6Server11SendGoawaysEv");

static void
send_in_context(void *core)
{
    core_send_goaways(core);
}

/* Core's internals want an execution context, which its public functions make: one of them, the
 * freeing of a byte buffer, calls back into the owner of the bytes. */
void
server_send_goaways(struct rpc_server *s)
{
    static char byte;
    grpc_slice slice = grpc_slice_new_with_user_data(&byte, 1, send_in_context, s->core);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    grpc_byte_buffer_destroy(bb);
}
