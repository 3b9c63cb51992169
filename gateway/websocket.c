/* The handshake. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "gateway/json_read.h"
#include "gateway/upload.h"
#include "gateway/websocket_private.h"

#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */
#define KEY_TEXT    24
#define SUBPROTOCOL "luna.json"
#define AUTH_PREFIX "luna.auth."

static struct str
header_of(const struct exchange *x, const char *name)
{
    const char *value = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, name);
    return value ? str_of(value) : STR("");
}

/* True when the list with commas names `token`. */
static bool
names(struct str list, struct str token)
{
    while (list.p && list.n > 0)
        if (str_ieq(str_trim(str_cut(&list, ',')), token))
            return true;
    return false;
}

bool
websocket_wanted(const struct exchange *x)
{
    return strcmp(x->method, "GET") == 0 && names(header_of(x, "Upgrade"), STR("websocket"));
}

/* The method of the path, whatever verb its binding has: the handshake is always a GET. */
static bool
find_method(struct exchange *x)
{
    static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (route_find(&x->gw->routes, str_of(verbs[i]), x->path, &x->match) == ROUTE_FOUND)
            return true;
    answer_refuse(x, REASON_PATH_NOT_FOUND, NULL, NULL);
    return false;
}

/* A browser cannot set headers, but name subprotocols. */
static bool
take_subprotocols(struct exchange *x)
{
    struct str list = header_of(x, "Sec-WebSocket-Protocol");
    bool offered = list.n > 0, known = false;
    while (list.p && list.n > 0) {
        struct str one = str_trim(str_cut(&list, ','));
        known |= str_eq(one, STR(SUBPROTOCOL));
        if (!str_starts(one, STR(AUTH_PREFIX)) || x->in.forwarded_count == x->in.forwarded_room)
            continue;
        one.p += strlen(AUTH_PREFIX);
        one.n -= strlen(AUTH_PREFIX);
        x->in.forwarded[x->in.forwarded_count++] = (struct upstream_pair){
            STR("authorization"), str_of(arena_printf(&x->arena, "Bearer " STR_FMT, STR_ARG(one)))};
    }
    if (known)
        answer_header(x, "Sec-WebSocket-Protocol", SUBPROTOCOL);
    if (!offered || known)
        return true;
    answer_refuse(x, REASON_BAD_REQUEST, NULL, "the subprotocols must include " SUBPROTOCOL);
    return false;
}

void
websocket_check(struct exchange *x)
{
    if (!find_method(x))
        return;
    if (!cors_origin_may(x, header_of(x, "Host"))) {
        answer_refuse(x, REASON_NOT_ALLOWED, NULL, "pages of this origin may not call");
    } else if (!names(header_of(x, "Connection"), STR("upgrade")) ||
               header_of(x, "Sec-WebSocket-Key").n != KEY_TEXT) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the handshake is not one of WebSocket");
    } else if (!str_eq(header_of(x, "Sec-WebSocket-Version"), STR("13"))) {
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "the version of WebSocket must be 13");
        x->problem.http = MHD_HTTP_UPGRADE_REQUIRED;
        answer_header(x, "Sec-WebSocket-Version", "13");
    } else if (take_subprotocols(x)) {
        unary_admit(x);
    }
}

/* ---- the answer ---- */

static const char *
accept_of(struct exchange *x)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    struct buf text;
    struct str key = header_of(x, "Sec-WebSocket-Key");
    char *both = arena_printf(&x->arena, STR_FMT GUID, STR_ARG(key));
    SHA1((const unsigned char *)both, strlen(both), digest);
    buf_init(&text, 64);
    json_base64_encode((struct str){(const char *)digest, sizeof(digest)}, &text);
    const char *value = arena_strndup(&x->arena, text.data, text.len);
    buf_fini(&text);
    return value;
}

/* What borrows from the connection, which reads no more requests. */
static void
keep_metadata(struct exchange *x)
{
    for (size_t i = 0; i < x->in.forwarded_count; i++) {
        struct str *v = &x->in.forwarded[i].value;
        v->p = arena_memdup(&x->arena, v->p, v->n); /* binary ones hold any bytes */
    }
    x->in.request_id.p = arena_strndup(&x->arena, x->in.request_id.p, x->in.request_id.n);
    x->in.content_type = STR("");
}

static void
prepare_socket(int fd)
{
    const int one = 1, none = 0;
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    /* Fails for the pair of sockets that TLS is spoken behind, which waits for nothing anyway. */
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &none, sizeof(none));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
on_upgraded(void *cls, struct MHD_Connection *conn, void *con_cls, const char *extra,
            size_t extra_size, MHD_socket fd, struct MHD_UpgradeResponseHandle *upgrade)
{
    struct exchange *x = cls;
    struct websocket *ws = calloc(1, sizeof(*ws));
    (void)conn;
    (void)con_cls;
    ASSERT(ws);
    pthread_mutex_init(&ws->lock, NULL);
    ws->all = x->gw->websockets;
    ws->x = x;
    ws->upgrade = upgrade;
    ws->fd = fd;
    ws->heard = clock_now();
    list_init(&ws->node);
    buf_init(&ws->early, 0);
    buf_init(&ws->prefix, (size_t)x->gw->cfg->max_headers * 2);
    ws->early.max = extra_size;
    buf_put(&ws->early, extra, extra_size);
    sendq_init(&ws->queue, &x->call, (size_t)x->gw->cfg->max_body * 2);
    ws->bytes_in = upload_takes_bytes(x->match.binding);
    x->websocket = ws;
    prepare_socket(fd);
    websocket_add(ws);
}

enum MHD_Result
websocket_accept(struct exchange *x)
{
    struct MHD_Response *r = MHD_create_response_for_upgrade(on_upgraded, x);
    if (!r)
        return MHD_NO;
    keep_metadata(x);
    x->http = MHD_HTTP_SWITCHING_PROTOCOLS;
    x->stage = EXCHANGE_SENT;
    MHD_add_response_header(r, MHD_HTTP_HEADER_UPGRADE, "websocket");
    MHD_add_response_header(r, "Sec-WebSocket-Accept", accept_of(x));
    MHD_add_response_header(r, "X-Request-Id", x->in.request_id.p);
    for (size_t i = 0; i < x->header_count; i++)
        MHD_add_response_header(r, x->headers[i].name, x->headers[i].value);
    enum MHD_Result queued = MHD_queue_response(x->conn, (unsigned)x->http, r);
    MHD_destroy_response(r);
    return queued;
}

void
websocket_free(struct websocket *ws)
{
    if (!ws)
        return;
    if (ws->frames)
        wslay_event_context_free(ws->frames);
    sendq_fini(&ws->queue);
    buf_fini(&ws->early);
    buf_fini(&ws->prefix);
    pthread_mutex_destroy(&ws->lock);
    free(ws);
}
