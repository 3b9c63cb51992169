#include "cache/redis_conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/uuid.h"

#define MAX_OUT_BYTES  ((size_t)64 << 20)
#define KEEP_OUT_BYTES ((size_t)1 << 20)
#define READ_BYTES     (64U * 1024)
#define READS_A_TURN   16
#define BACKOFF_FIRST  MSEC(20)
#define BACKOFF_MOST   SEC(1)

/* A name look-up in libuv's pool. It may outlive the connection that asked. */
struct redis_resolve {
    uv_getaddrinfo_t req;
    struct redis_conn *conn; /* NULL: not wanted any more */
};

static void conn_try_next_address(struct redis_conn *c);
static void conn_fail_attempt(struct redis_conn *c, const char *why);

static void
redis_conn_move(struct redis_conn *c, enum redis_state state)
{
    c->state = state;
    atomic_store_explicit(&c->is_ready, state == REDIS_READY, memory_order_relaxed);
    log_debug("redis connection", log_str("connection", c->role), log_int("state", state));
}

static void
free_handle(uv_handle_t *h)
{
    free(h);
}

/* Socket, poll handle and buffers go; the state is the caller's business. */
static void
conn_close_socket(struct redis_conn *c)
{
    timer_stop(c->reactor, &c->timer);
    if (c->resolve) {
        c->resolve->conn = NULL;
        uv_cancel((uv_req_t *)&c->resolve->req);
        c->resolve = NULL;
    }
    if (c->poll) {
        uv_poll_stop(c->poll);
        uv_close((uv_handle_t *)c->poll, free_handle);
        c->poll = NULL;
    }
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    turn_hook_cancel(&c->flush);
    c->flush_asked = false;
    buf_clear(&c->out);
    c->out_sent = 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void conn_on_poll(uv_poll_t *poll, int status, int events);

static void
conn_poll_for(struct redis_conn *c, int events)
{
    if (c->poll_events == events)
        return;
    c->poll_events = events;
    uv_poll_start(c->poll, events, conn_on_poll);
}

static void
conn_flush(struct redis_conn *c)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN)) {
            conn_poll_for(c, UV_READABLE | UV_WRITABLE);
            return;
        }
        if (n < 0) {
            redis_conn_break(c, strerror(errno));
            return;
        }
        redis_count(&c->stats->writes, 1);
        redis_count(&c->stats->bytes_out, (uint64_t)n);
        c->out_sent += (size_t)n;
    }
    c->out_sent = 0;
    if (c->out.cap > KEEP_OUT_BYTES) {
        buf_fini(&c->out);
        buf_init(&c->out, MAX_OUT_BYTES);
    } else {
        buf_clear(&c->out);
    }
    conn_poll_for(c, UV_READABLE);
}

static void
conn_on_turn_end(struct turn_hook *hook)
{
    struct redis_conn *c = container_of(hook, struct redis_conn, flush);
    c->flush_asked = false;
    if (c->fd >= 0 && c->state >= REDIS_HANDSHAKE && !(c->poll_events & UV_WRITABLE))
        conn_flush(c);
}

static void
put_length(char **p, char kind, size_t n)
{
    char digits[24];
    char *d = digits + sizeof(digits);
    do
        *--d = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    size_t len = (size_t)(digits + sizeof(digits) - d);
    char *out = *p;
    *out++ = kind;
    memcpy(out, d, len);
    out += len;
    *out++ = '\r';
    *out++ = '\n';
    *p = out;
}

bool
redis_conn_send(struct redis_conn *c, const struct str *argv, size_t argc)
{
    size_t most = 32;
    for (size_t i = 0; i < argc; i++)
        most += argv[i].n + 32;
    char *start = buf_reserve(&c->out, most);
    if (!start) {
        c->out.overflow = false; /* this command is refused, later ones may fit */
        return false;
    }
    char *p = start;
    put_length(&p, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        put_length(&p, '$', argv[i].n);
        if (argv[i].n > 0)
            memcpy(p, argv[i].p, argv[i].n);
        p += argv[i].n;
        *p++ = '\r';
        *p++ = '\n';
    }
    c->out.len += (size_t)(p - start);
    redis_count(&c->stats->commands, 1);
    if (!c->flush_asked) {
        c->flush_asked = true;
        reactor_at_turn_end(c->reactor, &c->flush);
    }
    return true;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void
conn_become_ready(struct redis_conn *c)
{
    redis_conn_move(c, REDIS_READY);
    if (c->failures > 0)
        log_info("redis is reachable", log_str("connection", c->role),
                 log_uint("attempts", c->failures + 1));
    c->failures = 0;
    redis_count(&c->stats->connects, 1);
    c->ops->up(c);
    redis_conn_watch(c);
}

bool
redis_conn_take(struct redis_conn *c, const struct redis_reply *reply)
{
    redis_count(&c->stats->replies, 1);
    if (reply->type == REDIS_ERROR)
        redis_count(&c->stats->error_replies, 1);
    if (FAILPOINT(redis_reply)) {
        redis_conn_break(c, "failpoint redis_reply");
        return false;
    }
    if (c->state == REDIS_HANDSHAKE && c->handshake_left > 0) {
        if (reply->type == REDIS_ERROR) {
            char why[120];
            snprintf(why, sizeof(why), "handshake refused: " STR_FMT, STR_ARG(reply->str));
            conn_fail_attempt(c, why);
            return false;
        }
        if (--c->handshake_left == 0)
            conn_become_ready(c);
        return c->fd >= 0;
    }
    if (!c->ops->reply(c, reply)) {
        redis_conn_break(c, "an answer that nobody asked for");
        return false;
    }
    return c->fd >= 0;
}

static void
conn_read(struct redis_conn *c)
{
    char data[READ_BYTES];
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t n = read(c->fd, data, sizeof(data));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN))
            return;
        if (n <= 0) {
            redis_conn_break(c, n == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        redis_count(&c->stats->bytes_in, (uint64_t)n);
        c->last_read = clock_now();
        const char *why = NULL;
        int fd = c->fd;
        if (!redis_reader_feed(c, data, (size_t)n, &why)) {
            redis_conn_break(c, why);
            return;
        }
        if (c->fd != fd || (size_t)n < sizeof(data))
            return;
    }
}

/* ---- connecting ---------------------------------------------------------------------------- */

void
redis_conn_handshake(struct redis_conn *c, const struct str *argv, size_t argc)
{
    if (redis_conn_send(c, argv, argc))
        c->handshake_left++;
}

static void
conn_begin_handshake(struct redis_conn *c)
{
    const struct redis_url *u = &c->url;
    redis_conn_move(c, REDIS_HANDSHAKE);
    c->handshake_left = 0;
    arena_reset(&c->scratch);
    c->scratch_items = 0;
    redis_reader_free(c->reader);
    c->reader = redis_reader_new(c);
    c->last_read = reactor_now(c->reactor);
    struct str password = str_of(u->password);
    if (u->user[0])
        redis_conn_handshake(c, (struct str[]){STR("AUTH"), str_of(u->user), password}, 3);
    else if (u->password[0])
        redis_conn_handshake(c, (struct str[]){STR("AUTH"), password}, 2);
    if (u->db != 0) {
        char db[8];
        snprintf(db, sizeof(db), "%d", u->db);
        redis_conn_handshake(c, (struct str[]){STR("SELECT"), str_of(db)}, 2);
    }
    if (c->client_name[0])
        redis_conn_handshake(
            c, (struct str[]){STR("CLIENT"), STR("SETNAME"), str_of(c->client_name)}, 3);
    c->ops->handshake(c);
    redis_conn_handshake(c, (struct str[]){STR("PING")}, 1);
    conn_poll_for(c, UV_READABLE);
}

static void
conn_on_connected(struct redis_conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0)
        conn_begin_handshake(c);
    else if (c->address_next < c->address_count)
        conn_try_next_address(c);
    else
        conn_fail_attempt(c, strerror(error));
}

static void
conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_conn *c = poll->data;
    if (c->state == REDIS_CONNECTING) {
        conn_on_connected(c);
        return;
    }
    if (status < 0)
        events = UV_READABLE; /* read(2) says what is wrong */
    if (events & UV_READABLE)
        conn_read(c);
    if (c->poll == poll && (events & UV_WRITABLE))
        conn_flush(c);
}

static void
conn_tune_socket(int fd, bool is_unix)
{
    static const int on = 1;
    static const int idle_s = 15;
    if (is_unix)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static void
conn_try_next_address(struct redis_conn *c)
{
    if (c->poll) {
        uv_poll_stop(c->poll);
        uv_close((uv_handle_t *)c->poll, free_handle);
        c->poll = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    const struct redis_address *a = &c->addresses[c->address_next++];
    c->fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        conn_fail_attempt(c, strerror(errno));
        return;
    }
    conn_tune_socket(c->fd, c->url.is_unix);
    redis_conn_move(c, REDIS_CONNECTING);
    int rc = connect(c->fd, (const struct sockaddr *)&a->addr, a->len);
    if (FAILPOINT(redis_connect)) {
        rc = -1;
        errno = ECONNREFUSED;
    }
    if (rc < 0 && errno != EINPROGRESS) {
        int error = errno;
        if (c->address_next < c->address_count)
            conn_try_next_address(c);
        else
            conn_fail_attempt(c, strerror(error));
        return;
    }
    c->poll = calloc(1, sizeof(*c->poll));
    ASSERT(c->poll);
    c->poll->data = c;
    c->poll_events = 0;
    int err = uv_poll_init(reactor_loop(c->reactor), c->poll, c->fd);
    if (err < 0) {
        free(c->poll);
        c->poll = NULL;
        conn_fail_attempt(c, uv_strerror(err));
        return;
    }
    conn_poll_for(c, UV_WRITABLE);
}

static void
conn_on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct redis_resolve *resolve = container_of(req, struct redis_resolve, req);
    struct redis_conn *c = resolve->conn;
    free(resolve);
    if (!c) {
        uv_freeaddrinfo(list);
        return;
    }
    c->resolve = NULL;
    c->address_count = c->address_next = 0;
    for (struct addrinfo *ai = list; ai && c->address_count < REDIS_MAX_ADDRESSES;
         ai = ai->ai_next) {
        struct redis_address *a = &c->addresses[c->address_count++];
        memcpy(&a->addr, ai->ai_addr, ai->ai_addrlen);
        a->len = ai->ai_addrlen;
    }
    uv_freeaddrinfo(list);
    if (status < 0 || c->address_count == 0)
        conn_fail_attempt(c, status < 0 ? uv_strerror(status) : "the host has no address");
    else
        conn_try_next_address(c);
}

static void
conn_resolve(struct redis_conn *c)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct redis_resolve *resolve = calloc(1, sizeof(*resolve));
    ASSERT(resolve);
    resolve->conn = c;
    redis_conn_move(c, REDIS_RESOLVING);
    int err = uv_getaddrinfo(reactor_loop(c->reactor), &resolve->req, conn_on_resolved, c->url.host,
                             c->url.port, &hints);
    if (err < 0) {
        free(resolve);
        conn_fail_attempt(c, uv_strerror(err));
        return;
    }
    c->resolve = resolve;
}

static void
conn_begin_attempt(struct redis_conn *c)
{
    timer_set(c->reactor, &c->timer, clock_now() + c->connect_timeout);
    if (!c->url.is_unix) {
        conn_resolve(c);
        return;
    }
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, c->url.path, sizeof(un.sun_path));
    memcpy(&c->addresses[0].addr, &un, sizeof(un));
    c->addresses[0].len = sizeof(un);
    c->address_count = 1;
    c->address_next = 0;
    conn_try_next_address(c);
}

/* Doubles from 20 ms to 1 s, less up to a half by chance, so that servers do not come all at once.
 */
static nsec_t
conn_backoff(const struct redis_conn *c)
{
    nsec_t d = BACKOFF_MOST;
    if (c->failures < 6)
        d = BACKOFF_FIRST << c->failures;
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return d - (nsec_t)((double)d * 0.5 * ((double)r / (double)UINT32_MAX));
}

static void
conn_wait_to_retry(struct redis_conn *c, const char *why)
{
    if (why != c->why)
        snprintf(c->why, sizeof(c->why), "%s", why);
    conn_close_socket(c);
    redis_conn_move(c, REDIS_BACKOFF);
    if (c->failures == 0)
        log_warning("redis is not reachable", log_str("connection", c->role),
                    log_str("why", c->why));
    timer_set(c->reactor, &c->timer, clock_now() + conn_backoff(c));
    if (c->failures < UINT32_MAX)
        c->failures++;
}

static void
conn_fail_attempt(struct redis_conn *c, const char *why)
{
    redis_count(&c->stats->connect_failures, 1);
    conn_wait_to_retry(c, why);
}

void
redis_conn_break(struct redis_conn *c, const char *why)
{
    if (c->state != REDIS_READY) {
        conn_fail_attempt(c, why);
        return;
    }
    redis_count(&c->stats->disconnects, 1);
    conn_wait_to_retry(c, why);
    c->ops->down(c);
}

/* ---- time ---------------------------------------------------------------------------------- */

void
redis_conn_watch(struct redis_conn *c)
{
    nsec_t at = c->ops->oldest_deadline(c);
    if (at == NSEC_NEVER)
        at = c->last_read + c->ping_interval;
    if (!timer_pending(&c->timer) || at < c->timer.at)
        timer_set(c->reactor, &c->timer, at);
}

static void
conn_watch_ready(struct redis_conn *c)
{
    /* Timers come before the poll: after a pause of this process the answer may lie in the socket.
     */
    if (c->ops->oldest_deadline(c) <= clock_now()) {
        int fd = c->fd;
        conn_read(c);
        if (c->fd != fd || c->state != REDIS_READY)
            return;
    }
    nsec_t now = clock_now();
    nsec_t oldest = c->ops->oldest_deadline(c);
    if (oldest <= now && c->last_read + c->timeout > now) {
        timer_set(c->reactor, &c->timer, c->last_read + c->timeout); /* a large answer is coming */
        return;
    }
    if (oldest <= now) {
        redis_count(&c->stats->timeouts, 1);
        redis_conn_break(c, "no answer within the timeout");
        return;
    }
    if (oldest == NSEC_NEVER && c->last_read + c->ping_interval <= now)
        c->ops->ping(c); /* has a deadline of its own */
    redis_conn_watch(c);
}

static void
conn_on_timer(struct timer *t)
{
    struct redis_conn *c = container_of(t, struct redis_conn, timer);
    switch (c->state) {
    case REDIS_CLOSED:
        break;
    case REDIS_BACKOFF:
        conn_begin_attempt(c);
        break;
    case REDIS_RESOLVING:
    case REDIS_CONNECTING:
    case REDIS_HANDSHAKE:
        redis_count(&c->stats->timeouts, 1);
        conn_fail_attempt(c, "connecting took too long");
        break;
    case REDIS_READY:
        conn_watch_ready(c);
        break;
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

void
redis_conn_init(struct redis_conn *c, struct reactor *r, const struct redis_conn_ops *ops,
                const char *role, const struct redis_options *opt, const struct redis_url *url,
                struct redis_stats *stats)
{
    *c = (struct redis_conn){.ops = ops, .role = role, .reactor = r, .url = *url, .stats = stats};
    c->timeout = opt->timeout > 0 ? opt->timeout : MSEC(500);
    c->connect_timeout = opt->connect_timeout;
    if (c->connect_timeout <= 0)
        c->connect_timeout = c->timeout > SEC(1) ? c->timeout : SEC(1);
    c->ping_interval = opt->ping_interval > 0 ? opt->ping_interval : SEC(5);
    if (opt->client_name)
        snprintf(c->client_name, sizeof(c->client_name), "%s", opt->client_name);
    c->fd = -1;
    c->state = REDIS_CLOSED;
    timer_init(&c->timer, conn_on_timer);
    turn_hook_init(&c->flush, conn_on_turn_end);
    buf_init(&c->out, MAX_OUT_BYTES);
    arena_init(&c->scratch, 0);
}

void
redis_conn_open(struct redis_conn *c)
{
    redis_conn_move(c, REDIS_BACKOFF);
    timer_set(c->reactor, &c->timer, clock_now());
}

void
redis_conn_close(struct redis_conn *c)
{
    bool was_ready = c->state == REDIS_READY;
    if (c->state == REDIS_CLOSED)
        return;
    snprintf(c->why, sizeof(c->why), "closed");
    conn_close_socket(c);
    redis_conn_move(c, REDIS_CLOSED);
    if (was_ready)
        c->ops->down(c);
}

void
redis_conn_fini(struct redis_conn *c)
{
    redis_conn_close(c);
    redis_reader_free(c->reader);
    c->reader = NULL;
    buf_fini(&c->out);
    arena_fini(&c->scratch);
}
