/* Connections to the servers: their making, breaking and bytes. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/upstream_private.h"

#define ATTEMPT_MAX     SEC(5)
#define KEEPALIVE       SEC(30)
#define KEEPALIVE_WAIT  SEC(20)
#define RECONNECT_FIRST MSEC(100) /* a restarted server is found soon, */
#define RECONNECT_MAX   SEC(3)    /* an absent one is not asked all the time */
#define READ_BYTES      (64 << 10)
#define READS_AT_ONCE   8
#define OUT_ENOUGH      (64 << 10) /* bytes for the socket, before which more is gathered */

/* ---- peers ---- */

bool
peer_usable(const struct upstream_peer *p)
{
    return p->state == PEER_READY && (!p->lane->upstream->several || p->health == HEALTH_SERVING);
}

void
peer_changed(struct upstream_peer *p)
{
    bool ready = peer_usable(p);
    if (ready != p->ready)
        atomic_fetch_add(&p->lane->upstream->ready, ready ? 1 : -1);
    p->ready = ready;
    lane_dispatch(p->lane);
}

static void
peer_failed(struct upstream_peer *p)
{
    nsec_t wait = RECONNECT_FIRST;
    for (unsigned i = 0; i < p->failures && wait < RECONNECT_MAX; i++)
        wait += wait / 2;
    wait = wait < RECONNECT_MAX ? wait : RECONNECT_MAX;
    wait += wait / 5 * (random() % 100) / 100; /* so that not all come back at once */
    p->failures++;
    p->state = PEER_FAILED;
    p->health = HEALTH_UNKNOWN;
    loop_timer_set(p->lane->loop, &p->timer, clock_now() + wait);
    names_again(p->lane->upstream->names);
    peer_changed(p);
}

/* The connection that stood does no more. */
static void
peer_lost(struct upstream_peer *p)
{
    nsec_t now = clock_now(), soonest = p->attempted + RECONNECT_FIRST;
    p->link = NULL;
    p->state = PEER_CONNECTING;
    p->health = HEALTH_UNKNOWN;
    loop_timer_set(p->lane->loop, &p->timer, soonest > now ? soonest : now);
    names_again(p->lane->upstream->names);
    peer_changed(p);
}

static void
remove_peer(struct upstream_peer *p)
{
    struct upstream_link *link = p->link;
    loop_timer_stop(p->lane->loop, &p->timer);
    list_remove(&p->node);
    p->link = NULL;
    p->state = PEER_FAILED;
    if (link) {
        link->peer = NULL;
        link->draining = true;
        link->broken |= !link->ready;
    }
    peer_changed(p);
    if (p->watch.lane)
        upstream_cancel(&p->watch); /* it frees the peer */
    else
        free(p);
}

/* ---- the attempt ---- */

static void
link_failed(struct upstream_link *link)
{
    link->broken = true; /* the turn's end does the rest */
}

static void
on_attempt_end(struct loop_timer *t)
{
    link_failed(container_of(t, struct upstream_link, timer));
}

static bool
start_tls(struct upstream_link *link)
{
    const struct upstream_address *a = &link->peer->address;
    link->tls = SSL_new(link->lane->upstream->tls);
    ASSERT(link->tls);
    SSL_set_fd(link->tls, link->fd.fd);
    SSL_set_connect_state(link->tls);
    X509_VERIFY_PARAM *verify = SSL_get0_param(link->tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, a->host) == 1)
        return true;
    ERR_clear_error();
    SSL_set_tlsext_host_name(link->tls, a->host);
    return SSL_set1_host(link->tls, a->host) == 1;
}

/* False: not yet, or never. */
static bool
connected(struct upstream_link *link)
{
    int error = 0;
    socklen_t n = sizeof(error);
    if (!link->connected) {
        if (getsockopt(link->fd.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0 ||
            (link->lane->upstream->tls && !start_tls(link))) {
            link_failed(link);
            return false;
        }
        link->connected = true;
    }
    if (link->tls && !link->secured) {
        int r = SSL_do_handshake(link->tls);
        int e = r == 1 ? SSL_ERROR_NONE : SSL_get_error(link->tls, r);
        ERR_clear_error();
        if (e != SSL_ERROR_NONE && e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
            link_failed(link);
        if (e != SSL_ERROR_NONE) {
            link->events = e == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN;
            loop_change(link->lane->loop, &link->fd, link->events);
            return false;
        }
        link->secured = true;
    }
    http2_start(link);
    return true;
}

static void on_link(struct loop_fd *f, uint32_t events);

static void
connect_peer(struct upstream_peer *p)
{
    const struct upstream_address *a = &p->address;
    int one = 1, wait_ms = (int)(KEEPALIVE_WAIT / MSEC(1));
    p->attempted = clock_now();
    int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && a->address.ss_family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof(wait_ms));
    }
    if (fd < 0 ||
        (connect(fd, (const struct sockaddr *)&a->address, a->size) != 0 && errno != EINPROGRESS)) {
        if (fd >= 0)
            close(fd);
        peer_failed(p);
        return;
    }
    struct upstream_link *link = calloc(1, sizeof(*link));
    ASSERT(link);
    link->lane = p->lane;
    link->peer = p;
    link->fd = (struct loop_fd){fd, on_link};
    link->events = EPOLLOUT;
    link->timer.fire = on_attempt_end;
    memcpy(link->authority, a->authority, sizeof(link->authority));
    list_init(&link->calls);
    buf_init(&link->out, 2 * OUT_ENOUGH);
    list_push(&p->lane->links, &link->node);
    p->link = link;
    loop_add(p->lane->loop, &link->fd, link->events);
    loop_timer_set(p->lane->loop, &link->timer, clock_now() + ATTEMPT_MAX);
}

static void
on_peer_time(struct loop_timer *t)
{
    struct upstream_peer *p = container_of(t, struct upstream_peer, timer);
    if (p->state == PEER_READY)
        health_watch(p); /* it was lost; its server is not */
    else
        connect_peer(p);
}

/* ---- keepalive ---- */

static void
on_keepalive(struct loop_timer *t)
{
    struct upstream_link *link = container_of(t, struct upstream_link, timer);
    struct loop *loop = link->lane->loop;
    nsec_t now = clock_now();
    if (now - link->heard < KEEPALIVE || link->call_count == 0) {
        link->pinged = false;
        loop_timer_set(loop, t, (link->call_count ? link->heard : now) + KEEPALIVE);
    } else if (link->pinged) {
        link->broken = true;
    } else {
        link->pinged = true;
        nghttp2_submit_ping(link->session, NGHTTP2_FLAG_NONE, NULL);
        loop_timer_set(loop, t, now + KEEPALIVE_WAIT);
    }
}

void
link_ready(struct upstream_link *link)
{
    struct upstream_peer *p = link->peer;
    if (link->ready)
        return;
    link->ready = true;
    link->timer.fire = on_keepalive;
    loop_timer_set(link->lane->loop, &link->timer, clock_now() + KEEPALIVE);
    if (!p)
        return;
    p->state = PEER_READY;
    p->failures = 0;
    if (link->lane->upstream->several)
        health_watch(p);
    peer_changed(p);
}

void
link_drain(struct upstream_link *link)
{
    struct upstream_peer *p = link->peer;
    link->draining = true;
    if (!p)
        return;
    link->peer = NULL;
    peer_lost(p);
}

/* ---- bytes ---- */

/* > 0: bytes; 0: later; < 0: broken. */
static ssize_t
result_of(struct upstream_link *link, ssize_t n)
{
    if (n > 0)
        return n;
    if (link->tls) {
        int e = SSL_get_error(link->tls, (int)n);
        ERR_clear_error();
        return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void
read_link(struct upstream_link *link)
{
    struct upstream_lane *lane = link->lane;
    if (!lane->read_buffer) {
        lane->read_buffer = malloc(READ_BYTES);
        ASSERT(lane->read_buffer);
    }
    for (int i = 0; i < READS_AT_ONCE && !link->broken; i++) {
        ssize_t n = link->tls ? SSL_read(link->tls, lane->read_buffer, READ_BYTES)
                              : recv(link->fd.fd, lane->read_buffer, READ_BYTES, 0);
        n = result_of(link, n);
        if (n == 0)
            break;
        if (n < 0 || nghttp2_session_mem_recv(link->session, lane->read_buffer, (size_t)n) < 0) {
            link->broken = true;
            break;
        }
        link->heard = clock_now();
        link->pinged = false;
        if (!link->tls && n < READ_BYTES)
            break;
    }
}

static void
on_link(struct loop_fd *f, uint32_t events)
{
    struct upstream_link *link = container_of(f, struct upstream_link, fd);
    if (link->broken)
        return;
    if (!link->session) {
        connected(link);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_link(link);
    lane_settle(link->lane);
}

/* Frames of the session until there are enough. */
static void
gather(struct upstream_link *link)
{
    const uint8_t *p;
    while (link->out.len - link->out_taken < OUT_ENOUGH) {
        ssize_t n = nghttp2_session_mem_send(link->session, &p);
        if (n < 0)
            link->broken = true;
        if (n <= 0)
            return;
        buf_put(&link->out, p, (size_t)n);
    }
}

/* False: there is no more, or the socket takes no more. */
static bool
write_some(struct upstream_link *link)
{
    gather(link);
    size_t left = link->out.len - link->out_taken;
    if (left == 0 || link->broken)
        return false;
    const char *from = link->out.data + link->out_taken;
    ssize_t n = link->tls ? SSL_write(link->tls, from, (int)left)
                          : send(link->fd.fd, from, left, MSG_NOSIGNAL);
    n = result_of(link, n);
    if (n < 0)
        link->broken = true;
    if (n <= 0)
        return false;
    link->out_taken += (size_t)n;
    if (link->out_taken == link->out.len) {
        buf_clear(&link->out);
        link->out_taken = 0;
    } else if (link->out_taken >= OUT_ENOUGH) {
        memmove(link->out.data, link->out.data + link->out_taken, link->out.len - link->out_taken);
        link->out.len -= link->out_taken;
        link->out_taken = 0;
    }
    return true;
}

static void
flush(struct upstream_link *link)
{
    if (!link->session || link->broken)
        return;
    while (write_some(link))
        continue;
    uint32_t events = EPOLLIN | (link->out.len > link->out_taken ? EPOLLOUT : 0u);
    if (!link->broken && events != link->events) {
        link->events = events;
        loop_change(link->lane->loop, &link->fd, events);
    }
    if (link->draining && link->call_count == 0 && link->out.len == 0)
        link->broken = true; /* it is done */
    if (!nghttp2_session_want_read(link->session) && !nghttp2_session_want_write(link->session))
        link->broken = true;
}

/* ---- the end ---- */

static void
free_link(struct upstream_link *link)
{
    struct loop *loop = link->lane->loop;
    loop_remove(loop, &link->fd);
    loop_timer_stop(loop, &link->timer);
    list_remove(&link->node);
    if (link->tls) {
        if (link->secured)
            SSL_shutdown(link->tls);
        ERR_clear_error();
        SSL_free(link->tls);
    }
    close(link->fd.fd);
    if (link->session)
        nghttp2_session_del(link->session);
    buf_fini(&link->out);
    free(link);
}

static void
close_link(struct upstream_link *link)
{
    struct upstream_peer *p = link->peer;
    list_foreach_safe (it, tmp, &link->calls)
        call_end(container_of(it, struct upstream_call, node), UNAVAILABLE,
                 STR("the connection to the server broke"));
    bool was_ready = link->ready;
    free_link(link);
    if (!p)
        return;
    p->link = NULL;
    if (was_ready)
        peer_lost(p);
    else
        peer_failed(p);
}

void
links_flush(struct upstream_lane *lane)
{
    list_foreach_safe (it, tmp, &lane->links) {
        struct upstream_link *link = container_of(it, struct upstream_link, node);
        flush(link);
        if (link->broken)
            close_link(link);
    }
}

void
links_free(struct upstream_lane *lane)
{
    struct list *node;
    list_foreach (it, &lane->peers)
        container_of(it, struct upstream_peer, node)->state = PEER_FAILED;
    while ((node = lane->links.next) != &lane->links) {
        struct upstream_link *link = container_of(node, struct upstream_link, node);
        list_foreach_safe (it, tmp, &link->calls)
            call_end(container_of(it, struct upstream_call, node), CANCELLED, STR("cancelled"));
        if (link->peer)
            link->peer->link = NULL;
        free_link(link);
    }
    lane_settle(lane);
    while ((node = lane->peers.next) != &lane->peers)
        remove_peer(container_of(node, struct upstream_peer, node));
}

/* ---- addresses ---- */

static bool
is_same(const struct upstream_address *a, const struct upstream_address *b)
{
    return a->size == b->size && memcmp(&a->address, &b->address, a->size) == 0;
}

static int
count_peers(const struct upstream_lane *lane, const struct upstream_address *a)
{
    int n = 0;
    list_foreach (it, &lane->peers)
        n += is_same(&container_of(it, struct upstream_peer, node)->address, a);
    return n;
}

static void
add_peer(struct upstream_lane *lane, const struct upstream_address *a)
{
    struct upstream_peer *p = calloc(1, sizeof(*p));
    ASSERT(p);
    p->lane = lane;
    p->address = *a;
    p->timer.fire = on_peer_time;
    list_push(&lane->peers, &p->node);
    connect_peer(p);
}

static bool
is_listed(const struct upstream_addresses *all, const struct upstream_address *a)
{
    for (size_t i = 0; i < all->count; i++)
        if (is_same(&all->list[i], a))
            return true;
    return false;
}

void
peers_set(struct upstream_lane *lane, const struct upstream_addresses *to)
{
    /* None: the names are not known now; who is there stays. */
    list_foreach_safe (it, tmp, &lane->peers) {
        struct upstream_peer *p = container_of(it, struct upstream_peer, node);
        if (to->count > 0 && !is_listed(to, &p->address))
            remove_peer(p);
    }
    for (size_t i = 0; i < to->count; i++)
        for (int n = count_peers(lane, &to->list[i]); n < lane->upstream->peers_each; n++)
            add_peer(lane, &to->list[i]);
    lane->resolved = true;
    lane_dispatch(lane);
}
