/* libmicrohttpd: the daemon, and the life of an exchange in it. */
#include <linux/filter.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/cache.h"
#include "gateway/connect_get.h"
#include "gateway/frames.h"
#include "gateway/guard.h"
#include "gateway/httpd_errors.h"
#include "gateway/stream.h"
#include "gateway/upload.h"
#include "gateway/websocket.h"

/* Of a connection's pool, beside the request's headers: their list, and what is being sent. Half of
 * a pool is written to whatever the request holds, and an event stream keeps it: it is as small as
 * max-headers allows. */
#define POOL_ROOM (4 << 10)
#define DISCARD_MAX                                                               \
    (64 << 10) /* of a refused body that is read so that the connection can go on \
                */
#define LISTEN_QUEUE 1024
#define PEM_MAX      (1 << 20)
#define HAND_OVER    SEC(1)    /* for the connections that wait to be accepted */
#define LAST_ANSWERS MSEC(500) /* for the answers of cancelled calls to be sent */

#define RUNS_AT_ONCE 4 /* of libmicrohttpd, before the servers get what it has brought */

/* A loop's HTTP side. */
struct http_loop {
    struct MHD_Daemon *daemon;
    struct loop_fd fd; /* what it waits with */
    struct loop_turn turn;
    struct loop_job job;
    atomic_bool posted; /* `job` is */
    bool ready;         /* `fd` is, or a connection was resumed */
    unsigned share;     /* connections it may have */
    struct loop *loop;
};

/* ---- life ---- */

/* "http://host/path", which proxies are sent and servers must understand, as "/path". */
static struct str
origin_form(struct str target)
{
    size_t scheme = str_starts(target, STR("http://"))    ? 7
                    : str_starts(target, STR("https://")) ? 8
                                                          : 0;
    if (scheme == 0)
        return target;
    const char *path = memchr(target.p + scheme, '/', target.n - scheme);
    return path ? (struct str){path, target.n - (size_t)(path - target.p)} : STR("/");
}

/* The first that is known of a request: its target as it came. */
static void *
on_target(void *cls, const char *target, struct MHD_Connection *conn)
{
    struct exchange *x = exchange_new(cls, conn);
    guard_reading(x->guarded, x->started + x->gw->cfg->read_timeout, 0);
    struct str rest = origin_form(str_of(arena_strdup(&x->arena, target)));
    x->path = str_cut(&rest, '?');
    x->query = rest.p ? rest : STR("");
    return x;
}

static void
on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
             enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)conn;
    *con_cls = NULL;
    if (!x)
        return;
    guard_idle(x->guarded);
    if (x->stream)
        stream_leave(x);
    if (x->upload)
        upload_leave(x);
    nsec_t took = clock_now() - x->started;
    bool answered = code == MHD_REQUEST_TERMINATED_COMPLETED_OK || upload_answered(x);
    int http = answered ? x->http : 499;
    const struct schema_method *method = x->match.binding ? x->match.binding->method : NULL;
    metrics_count(x->gw->metrics, method, http, took, x->body.len + x->received_bytes,
                  x->out.len + x->sent_bytes);
    log_notice("request", log_str("http_method", x->method ? x->method : ""),
               log_strn("path", x->path), log_int("status", http), log_duration("took", took),
               log_uint("bytes", x->out.len + x->sent_bytes),
               log_strn("request_id", x->in.request_id),
               log_str("grpc", method ? method->path : ""));
    exchange_unref(x);
}

/* ---- one request ---- */

static void
refuse_route(struct exchange *x, enum route_result found)
{
    if (found == ROUTE_BAD_PATH)
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the path is not percent-encoded");
    else if (found == ROUTE_WRONG_VERB)
        answer_refuse(x, REASON_WRONG_HTTP_METHOD, NULL, NULL);
    else
        answer_refuse(x, REASON_PATH_NOT_FOUND, NULL, NULL);
}

/* Chooses how the body is read: JSON, or on a method's own path Connect's bare message. */
static void
choose_protocol(struct exchange *x)
{
    const struct route_binding *b = x->match.binding;
    struct str type = x->in.content_type;
    bool json = media_type_is(type, STR("application/json")) || type.n == 0;
    if (b->automatic && frames_protocol(type, &x->protocol))
        return;
    if (b->automatic && media_type_is(type, STR("application/proto")))
        x->protocol = PROTOCOL_CONNECT_PROTO;
    else if (b->automatic && x->in.connect && json)
        x->protocol = PROTOCOL_CONNECT_JSON;
    bool has_body = x->in.content_length > 0 || x->in.transfer_encodings > 0;
    if (!json && has_body && !b->method->client_streaming && !upload_takes_bytes(b) &&
        x->protocol == PROTOCOL_REST && (b->body || b->body_all))
        answer_refuse(x, REASON_WRONG_CONTENT_TYPE, NULL,
                      "the body must be application/json, not " STR_FMT, STR_ARG(type));
}

/* Failures are JSON for everybody. */
static void
check_accept(struct exchange *x)
{
    const struct route_binding *b = x->match.binding;
    const struct accepted *a = &x->in.accepted;
    if (x->protocol != PROTOCOL_REST || !x->gw->cfg->strict_accept || answer_is_bytes(b) ||
        accept_takes(a, ACCEPT_JSON))
        return;
    if (!b->method->server_streaming)
        answer_refuse(x, REASON_NOT_ACCEPTABLE, NULL, NULL);
    else if (!accept_takes(a, ACCEPT_NDJSON) && !accept_takes(a, ACCEPT_SSE))
        answer_refuse(x, REASON_NOT_ACCEPTABLE, NULL,
                      "the answer is application/x-ndjson or text/event-stream, and Accept takes "
                      "neither");
}

/* Bodies of many messages go to the server as they come; others are kept until they are whole. */
static void
choose_way(struct exchange *x)
{
    const struct schema_method *m = x->match.binding->method;
    bool kept = !m->client_streaming;
    int64_t most = kept ? x->gw->cfg->max_body : x->gw->cfg->max_upload;
    if (m->client_streaming && frames_used(x)) {
        answer_refuse(x, REASON_METHOD_NOT_FOUND, NULL,
                      "streams of the caller are served over WebSocket and gRPC");
    } else if (m->client_streaming && m->server_streaming) {
        answer_refuse(x, REASON_METHOD_NOT_FOUND, NULL, "this method is served over WebSocket");
        x->problem.http = MHD_HTTP_UPGRADE_REQUIRED;
        answer_header(x, MHD_HTTP_HEADER_UPGRADE, "websocket");
    } else if (x->in.content_length > most) {
        answer_refuse(x, REASON_TOO_LARGE, NULL, "the body is larger than %lld bytes",
                      (long long)most);
    } else if (!kept) {
        upload_start(x);
    }
}

static void
route(struct exchange *x)
{
    struct str verb = str_of(x->method);
    if (pages_answer(x))
        return;
    if (str_eq(x->path, STR("*")) && str_eq(verb, STR("OPTIONS"))) {
        cors_options(x, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return;
    }
    enum route_result found = route_find(&x->gw->routes, verb, x->path, &x->match);
    if (found == ROUTE_WRONG_VERB && str_eq(verb, STR("OPTIONS")))
        cors_options(x, x->match.allow_text);
    else if (found == ROUTE_WRONG_VERB && connect_get(x))
        return;
    else if (found != ROUTE_FOUND)
        refuse_route(x, found);
    else
        choose_protocol(x);
    if (x->match.binding && !x->refused)
        check_accept(x);
    if (x->match.binding && !x->refused) {
        request_add_own(x);
        choose_way(x);
    }
}

static enum MHD_Result
on_headers(struct exchange *x)
{
    x->stage = EXCHANGE_BODY;
    request_read_headers(x);
    if (!x->refused && websocket_wanted(x)) {
        websocket_check(x);
        guard_read(x->guarded);
        if (!x->refused) {
            request_add_own(x);
            return websocket_accept(x);
        }
    } else if (!x->refused) {
        route(x);
    }
    if (x->upload) {
        guard_read(x->guarded);
        return MHD_YES;
    }
    if (x->in.content_length > 0)
        guard_reading(x->guarded, x->started + x->gw->cfg->read_timeout, x->in.content_length);
    bool long_body = x->in.content_length > DISCARD_MAX || x->in.transfer_encodings > 0;
    if (!x->refused || !long_body)
        return MHD_YES;
    answer_problem(x); /* instead of reading it all: the connection closes behind the answer */
    return answer_send(x);
}

static enum MHD_Result
on_body(struct exchange *x, const char *data, size_t *size)
{
    if (!x->refused && x->stage == EXCHANGE_BODY) {
        buf_put(&x->body, data, *size);
        if (x->body.overflow) {
            answer_refuse(x, REASON_TOO_LARGE, NULL, "the body is larger than %lld bytes",
                          (long long)x->gw->cfg->max_body);
            buf_fini(&x->body);
        }
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
           const char *version, const char *data, size_t *size, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls;
    (void)conn;
    (void)url;
    if (x->upload)
        return upload_request(x, data, size);
    if (x->stage == EXCHANGE_NEW) {
        x->method = arena_strdup(&x->arena, method);
        x->chunks = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
        return on_headers(x);
    }
    if (*size > 0)
        return on_body(x, data, size);
    guard_read(x->guarded);
    if (x->stage == EXCHANGE_BODY && !x->refused && unary_start(x))
        return MHD_YES;
    if (x->stage == EXCHANGE_LOOKED && !cache_answer(x) && !x->refused && unary_ask(x))
        return MHD_YES;
    if (x->stage == EXCHANGE_AGAIN) {
        unary_again(x);
        return MHD_YES;
    }
    if (x->stage == EXCHANGE_ENDED)
        unary_finish(x, x->call.answer);
    else if (x->stage != EXCHANGE_DONE)
        answer_problem(x);
    return answer_send(x);
}

/* ---- the daemon ---- */

/* Escapes stay as they are: the routes decode what is theirs. */
static size_t
keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
    (void)cls;
    (void)conn;
    return strlen(s);
}

static void on_daemon_message(void *cls, const char *fmt, va_list ap) PRINTF(2, 0);

static void
on_daemon_message(void *cls, const char *fmt, va_list ap)
{
    char text[256];
    (void)cls;
    vsnprintf(text, sizeof(text), fmt, ap);
    log_debug("http", log_strn("message", str_trim(str_of(text))));
}

static int
listen_on(const char *address, char *err, size_t err_size)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *info;
    size_t n = colon ? (size_t)(colon - address) : sizeof(host);
    if (n >= sizeof(host)) {
        snprintf(err, err_size, "listen-address: %s is not host:port", address);
        return -1;
    }
    bool bracketed = n >= 2 && address[0] == '[' && address[n - 1] == ']';
    memcpy(host, address + bracketed, n - 2 * bracketed);
    host[n - 2 * bracketed] = 0;
    int e = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &info);
    if (e != 0) {
        snprintf(err, err_size, "listen-address: %s: %s", address, gai_strerror(e));
        return -1;
    }
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* SO_REUSEPORT: the next version may listen before this one leaves. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, LISTEN_QUEUE) != 0) {
        snprintf(err, err_size, "cannot listen on %s: %m", address);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(info);
    return fd;
}

/* TLS 1.2 and 1.3. */
static char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* libmicrohttpd has something to do. */
static void
on_daemon(struct loop_fd *f, uint32_t events)
{
    (void)events;
    container_of(f, struct http_loop, fd)->ready = true;
}

static void
on_job(struct loop_job *j)
{
    struct http_loop *h = container_of(j, struct http_loop, job);
    atomic_store(&h->posted, false);
    h->ready = true;
}

/* libmicrohttpd tells nobody that there is something to do when it is driven from outside. */
static void
wake(struct http_loop *h, int index)
{
    if (loop_here() == index)
        h->ready = true;
    else if (!atomic_exchange(&h->posted, true))
        loop_post(h->loop, &h->job);
}

void
http_suspend(struct exchange *x)
{
    atomic_fetch_add(&x->gw->suspended, 1);
    MHD_suspend_connection(x->conn);
}

void
http_resume(struct exchange *x)
{
    struct gateway *gw = x->gw;
    int loop = x->loop;
    MHD_resume_connection(x->conn);
    wake(&gw->daemons[loop], loop);
    atomic_fetch_sub(&gw->suspended, 1);
}

void
http_close_upgraded(struct exchange *x, struct MHD_UpgradeResponseHandle *upgrade)
{
    struct gateway *gw = x->gw;
    int loop = x->loop;
    MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
    wake(&gw->daemons[loop], loop);
}

static bool
is_full(const struct http_loop *h)
{
    return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections >=
           h->share;
}

/* Answers what has come back, and takes what has come in. A daemon that was full listens again only
 * at the beginning of the run after the one in which somebody left. */
static nsec_t
on_turn(struct loop_turn *t)
{
    struct http_loop *h = container_of(t, struct http_loop, turn);
    for (int runs = 0; runs < RUNS_AT_ONCE; runs++) {
        MHD_UNSIGNED_LONG_LONG ms;
        bool due = MHD_get_timeout(h->daemon, &ms) == MHD_YES;
        if (!h->ready && (!due || ms > 0))
            return due ? clock_now() + MSEC(ms) : NSEC_NEVER;
        bool full = is_full(h);
        h->ready = false;
        MHD_run(h->daemon);
        h->ready |= full && !is_full(h);
    }
    return 0;
}

static struct MHD_Daemon *
start_daemon(struct gateway *gw, unsigned share, unsigned flags, struct MHD_OptionItem *tls)
{
    const struct config *cfg = gw->cfg;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, gw, MHD_OPTION_LISTEN_SOCKET, gw->listen_fd,
        MHD_OPTION_EXTERNAL_LOGGER, on_daemon_message, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        gw, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, gw, MHD_OPTION_NOTIFY_CONNECTION, guard_on_connection, gw->guard,
        MHD_OPTION_CONNECTION_LIMIT, share, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(cfg->idle_timeout / SEC(1)), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)cfg->max_headers + POOL_ROOM, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls, MHD_OPTION_END);
}

static bool
start_daemons(struct gateway *gw, unsigned flags, struct MHD_OptionItem *tls)
{
    gw->daemons = calloc((size_t)gw->loop_count, sizeof(gw->daemons[0]));
    ASSERT(gw->daemons);
    for (int i = 0; i < gw->loop_count; i++) {
        struct http_loop *h = &gw->daemons[i];
        h->share = (unsigned)((gw->cfg->max_connections + gw->loop_count - 1) / gw->loop_count);
        h->daemon = start_daemon(gw, h->share, flags, tls);
        if (!h->daemon)
            return false;
        h->fd.fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        h->fd.ready = on_daemon;
        h->turn.run = on_turn;
        h->job.run = on_job;
        h->loop = gw->loops[i];
        h->ready = true;
        loop_add(gw->loops[i], &h->fd, EPOLLIN);
        loop_turn_add_first(gw->loops[i], &h->turn);
    }
    return true;
}

/* Each would close the socket that they share. */
static void
stop_listening(struct gateway *gw)
{
    for (int i = 0; i < gw->loop_count; i++)
        if (gw->daemons[i].daemon)
            MHD_quiesce_daemon(gw->daemons[i].daemon);
}

static void
stop_daemons(struct gateway *gw)
{
    for (int i = 0; i < gw->loop_count; i++)
        if (gw->daemons[i].daemon)
            MHD_stop_daemon(gw->daemons[i].daemon);
    free(gw->daemons);
    gw->daemons = NULL;
    close(gw->listen_fd);
}

bool
http_start(struct gateway *gw, char *err, size_t err_size)
{
    const struct config *cfg = gw->cfg;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG;
    struct buf certificate, key;
    buf_init(&certificate, PEM_MAX);
    buf_init(&key, PEM_MAX);
    if (*cfg->tls_certificate || *cfg->tls_key) {
        if (!read_file(cfg->tls_certificate, &certificate) || !read_file(cfg->tls_key, &key)) {
            snprintf(err, err_size, "tls-certificate and tls-key: a file cannot be read");
            buf_fini(&certificate);
            buf_fini(&key);
            return false;
        }
        flags |= MHD_USE_TLS;
    }
    httpd_errors_init(&gw->builtin);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, certificate.data},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, key.data},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, tls_priorities},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    gw->listen_fd = listen_on(cfg->listen_address, err, err_size);
    bool ok = gw->listen_fd >= 0;
    if (ok)
        guard_listener(gw->listen_fd, cfg->heartbeat);
    if (ok && !start_daemons(gw, flags, flags & MHD_USE_TLS ? tls : plain)) {
        snprintf(err, err_size, "cannot serve HTTP on %s", cfg->listen_address);
        stop_listening(gw);
        stop_daemons(gw);
        ok = false;
    }
    buf_fini(&certificate);
    buf_fini(&key);
    return ok;
}

/* A daemon with suspended connections cannot be stopped. Those of cancelled calls are given back at
 * once, but for those of clients that do not take what they were sent. */
static void
wait_for_suspended(struct gateway *gw)
{
    const struct timespec tick = {.tv_nsec = 5000000};
    for (; atomic_load(&gw->suspended) > 0; nanosleep(&tick, NULL))
        guard_cut_slow(gw->guard);
}

/* Waits until the count is zero or the time has come. */
static void
wait_for_none(atomic_int *count, nsec_t until)
{
    const struct timespec tick = {.tv_nsec = 5000000};
    while (atomic_load(count) > 0 && clock_now() < until)
        nanosleep(&tick, NULL);
}

/*
 * From here on new connections go to the process that listens on the same address and came later,
 * if there is one; the kernel would reset those that are in our queue when it closes. Sockets of
 * one address are numbered as they came: the program says 1, and where there is no such socket the
 * kernel goes on choosing us.
 */
static void
hand_over(struct gateway *gw)
{
    struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, 1}};
    struct sock_fprog program = {ARRAY_LEN(code), code};
    struct pollfd queue = {.fd = gw->listen_fd, .events = POLLIN};
    const struct timespec tick = {.tv_nsec = 5000000};
    nsec_t until = clock_now() + HAND_OVER;
    if (setsockopt(gw->listen_fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                   sizeof(program)) != 0)
        return;
    for (int empty = 0; empty < 10 && clock_now() < until; nanosleep(&tick, NULL))
        empty = poll(&queue, 1, 0) > 0 ? 0 : empty + 1;
}

void
http_stop(struct gateway *gw)
{
    hand_over(gw);
    stop_listening(gw);
    wait_for_none(&gw->in_flight, clock_now() + gw->cfg->drain_timeout);
    upstream_cancel_all(gw->upstream);
    wait_for_suspended(gw);
    wait_for_none(&gw->in_flight, clock_now() + LAST_ANSWERS);
    websockets_stop(gw->websockets);
    for (int i = 0; i < gw->loop_count; i++)
        loop_stop(gw->loops[i]);
    stop_daemons(gw);
}
