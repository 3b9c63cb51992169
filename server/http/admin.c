#include "http/admin.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

#define MAX_PAGE ((size_t)8 << 20)

struct http_admin {
    struct http_admin_options opt;
    struct MHD_Daemon *daemon;
    int port;
    char unix_path[108]; /* empty: none */
};

/* ---- answers -------------------------------------------------------------------------------- */

static enum MHD_Result
answer(struct MHD_Connection *conn, unsigned status, const char *type, const char *allow,
       struct str body)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (allow)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
    enum MHD_Result queued = MHD_queue_response(conn, status, r);
    MHD_destroy_response(r);
    return queued;
}

static const char text_type[] = "text/plain; charset=utf-8";

static enum MHD_Result
answer_metrics(const struct http_admin *a, struct MHD_Connection *conn)
{
    struct buf page;
    buf_init(&page, MAX_PAGE);
    a->opt.metrics(&page, a->opt.arg);
    enum MHD_Result r;
    if (page.overflow)
        r = answer(conn, MHD_HTTP_INTERNAL_SERVER_ERROR, text_type, NULL,
                   STR("too many metrics\n"));
    else
        r = answer(conn, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", NULL,
                   (struct str){page.len ? page.data : "", page.len});
    buf_fini(&page);
    return r;
}

static enum MHD_Result
answer_check(const struct http_admin *a, struct MHD_Connection *conn,
             bool (*check)(struct buf *why, void *arg))
{
    struct buf why;
    buf_init(&why, 4096);
    bool ok = check(&why, a->opt.arg);
    if (ok)
        buf_clear(&why);
    if (why.len == 0)
        buf_puts(&why, ok ? "ok" : "not now");
    buf_putc(&why, '\n');
    enum MHD_Result r = answer(conn, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text_type,
                               NULL, (struct str){why.data, why.len});
    buf_fini(&why);
    return r;
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
           const char *version, const char *upload_data, size_t *upload_data_size, void **state)
{
    static int seen;
    const struct http_admin *a = cls;
    (void)version;
    (void)upload_data;
    if (!*state) { /* the headers have arrived; the answer is given when the (unwanted) body has */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        *upload_data_size = 0;
        return MHD_YES;
    }
    struct str path = str_of(url);
    bool metrics = a->opt.metrics && str_eq(path, STR("/metrics"));
    bool healthz = a->opt.healthy && str_eq(path, STR("/healthz"));
    bool readyz = a->opt.ready && str_eq(path, STR("/readyz"));
    if (!metrics && !healthz && !readyz)
        return answer(conn, MHD_HTTP_NOT_FOUND, text_type, NULL,
                      STR("here are /metrics, /healthz and /readyz\n"));
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(conn, MHD_HTTP_METHOD_NOT_ALLOWED, text_type, "GET, HEAD",
                      STR("GET and HEAD only\n"));
    if (metrics)
        return answer_metrics(a, conn);
    return answer_check(a, conn, healthz ? a->opt.healthy : a->opt.ready);
}

/* ---- listening ------------------------------------------------------------------------------ */

static int
listen_failed(int fd, const char *address, int error, char *err, size_t err_size)
{
    if (error == EADDRINUSE)
        snprintf(err, err_size,
                 "admin address %s is taken: stop what listens there or set LUNA_ADMIN_ADDRESS",
                 address);
    else
        snprintf(err, err_size, "admin address %s: %s (LUNA_ADMIN_ADDRESS)", address,
                 strerror(error));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int
listen_unix(struct http_admin *a, const char *path, char *err, size_t err_size)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(un.sun_path)) {
        snprintf(err, err_size, "admin address unix:%s: the path must have 1 to 107 bytes", path);
        return -1;
    }
    memcpy(un.sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return listen_failed(fd, path, errno, err, err_size);
    /* A socket that nobody answers on was left by a process that died. */
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe >= 0 && connect(probe, (struct sockaddr *)&un, sizeof(un)) < 0 &&
            errno == ECONNREFUSED)
            unlink(path);
        if (probe >= 0)
            close(probe);
    }
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 64) < 0)
        return listen_failed(fd, path, errno, err, err_size);
    memcpy(a->unix_path, path, n + 1);
    return fd;
}

/* "host:port" into its parts; an IPv6 host stands in brackets. */
static bool
split_address(const char *address, char *host, size_t host_size, const char **ret_port)
{
    const char *start = address;
    const char *end;
    const char *colon;
    if (address[0] == '[') {
        start = address + 1;
        end = strchr(start, ']');
        if (!end || end[1] != ':')
            return false;
        colon = end + 1;
    } else {
        colon = strchr(address, ':');
        if (!colon || strchr(colon + 1, ':'))
            return false;
        end = colon;
    }
    size_t n = (size_t)(end - start);
    int64_t port;
    if (n >= host_size || !str_to_i64(str_of(colon + 1), &port) || port < 0 || port > 65535)
        return false;
    memcpy(host, start, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return true;
}

static int
listen_tcp(struct http_admin *a, const char *address, char *err, size_t err_size)
{
    char host[256];
    const char *port;
    if (!split_address(address, host, sizeof(host), &port)) {
        snprintf(err, err_size, "admin address %s is not host:port, [ipv6]:port or unix:/path",
                 address);
        return -1;
    }
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (rc != 0) {
        snprintf(err, err_size, "admin address %s: %s", address, gai_strerror(rc));
        return -1;
    }
    int error = 0;
    int fd = -1;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        static const int on = 1;
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
            if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 64) == 0)
                break;
        }
        error = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return listen_failed(-1, address, error, err, err_size);
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    getsockname(fd, (struct sockaddr *)&bound, &len);
    if (bound.ss_family == AF_INET6)
        a->port = ntohs(((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
    else
        a->port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
    return fd;
}

struct http_admin *
http_admin_start(const struct http_admin_options *opt, char *err, size_t err_size)
{
    struct http_admin *a = calloc(1, sizeof(*a));
    ASSERT(a);
    a->opt = *opt;
    int fd = str_starts(str_of(opt->address), STR("unix:"))
                 ? listen_unix(a, opt->address + 5, err, err_size)
                 : listen_tcp(a, opt->address, err, err_size);
    a->opt.address = NULL;
    if (fd < 0) {
        free(a);
        return NULL;
    }
    a->daemon =
        MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
                         a, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, 64U,
                         MHD_OPTION_CONNECTION_TIMEOUT, 10U, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)16384, MHD_OPTION_END);
    if (!a->daemon) {
        snprintf(err, err_size, "the admin port's thread could not be started: %s",
                 strerror(errno));
        close(fd);
        free(a);
        return NULL;
    }
    return a;
}

int
http_admin_port(const struct http_admin *a)
{
    return a->port;
}

void
http_admin_stop(struct http_admin *a)
{
    if (!a)
        return;
    MHD_stop_daemon(a->daemon);
    if (a->unix_path[0])
        unlink(a->unix_path);
    free(a);
}
