#include "gateway/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/list.h"

#define LOOK_EVERY     SEC(1)
#define BYTES_A_SECOND (32 << 10)
#define LEFT_GRACE     MSEC(200) /* for the answer to one that has only closed its sending side */

#define ASK_TIMES 3

enum guarded_state { GUARDED_IDLE, GUARDED_READING, GUARDED_BUSY };

struct guarded {
    struct list link;
    struct loop_fd fd;
    struct loop *loop;
    struct upstream_call *call; /* NULL: the request is not with the server */
    struct loop_timer grace;
    bool left; /* the client has, a while ago */
    void (*writable)(void *arg);
    void *writable_arg;
    atomic_bool slow; /* `writable` is set */
    char peer[INET6_ADDRSTRLEN];
    atomic_int state;
    atomic_int_fast64_t until; /* READING: when it must be done */
    atomic_uint requests;      /* begun */
    /* IDLE, known to the guard's thread alone: */
    unsigned seen;     /* of `requests` */
    bool counted;      /* `received` is of this idle time */
    uint64_t received; /* bytes, when nothing of a request had come */
    nsec_t first;      /* when more had; 0: not yet */
};

struct guard {
    pthread_t thread;
    pthread_mutex_t lock; /* of the list; what is in it is open */
    pthread_cond_t stopping;
    struct list connections;
    atomic_uint count; /* of these */
    struct loop *const *loops;
    nsec_t limit;
    bool stop;
};

/* ---- requests that dawdle ---- */

static bool
read_info(const struct guarded *c, struct tcp_info *ret)
{
    socklen_t n = sizeof(*ret);
    return getsockopt(c->fd.fd, IPPROTO_TCP, TCP_INFO, ret, &n) == 0 &&
           n >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(ret->tcpi_bytes_received);
}

/* True when a request has begun to come and its headers take too long. */
static bool
dawdles_idle(struct guarded *c, nsec_t now, nsec_t limit)
{
    struct tcp_info info;
    if (!read_info(c, &info))
        return false;
    unsigned requests = atomic_load(&c->requests);
    if (requests != c->seen) {
        c->seen = requests; /* what has come was of requests that are over */
        c->counted = false;
    }
    if (!c->counted) {
        c->counted = true;
        c->received = info.tcpi_bytes_received;
        c->first = 0;
    } else if (info.tcpi_bytes_received != c->received && c->first == 0) {
        c->first = now;
    }
    return c->first != 0 && now - c->first > limit;
}

static void
look(struct guard *g, struct guarded *c, nsec_t now)
{
    bool dawdles = false;
    switch (atomic_load(&c->state)) {
    case GUARDED_IDLE:
        dawdles = dawdles_idle(c, now, g->limit);
        break;
    case GUARDED_READING:
        c->counted = false;
        dawdles = now > atomic_load(&c->until);
        break;
    default:
        c->counted = false;
    }
    if (dawdles)
        shutdown(c->fd.fd, SHUT_RDWR); /* libmicrohttpd sees its end, and closes it */
}

static void *
run(void *arg)
{
    struct guard *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += LOOK_EVERY / SEC(1);
        if (pthread_cond_timedwait(&g->stopping, &g->lock, &at) != ETIMEDOUT)
            continue;
        nsec_t now = clock_now();
        list_foreach (it, &g->connections)
            look(g, container_of(it, struct guarded, link), now);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

struct guard *
guard_new(nsec_t limit, struct loop *const *loops)
{
    struct guard *g = calloc(1, sizeof(*g));
    pthread_condattr_t monotonic;
    ASSERT(g);
    g->limit = limit;
    g->loops = loops;
    list_init(&g->connections);
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&g->stopping, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int e = pthread_create(&g->thread, NULL, run, g);
    ASSERT(e == 0);
    return g;
}

void
guard_free(struct guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->stopping);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->stopping);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- clients that leave ---- */

void
guard_listener(int fd, nsec_t silent)
{
    int silent_s = silent < SEC(ASK_TIMES) ? 1 : (int)(silent / SEC(1));
    const struct {
        int level, name, value;
    } all[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
               {IPPROTO_TCP, TCP_KEEPIDLE, silent_s},
               {IPPROTO_TCP, TCP_KEEPINTVL, silent_s < ASK_TIMES ? 1 : silent_s / ASK_TIMES},
               {IPPROTO_TCP, TCP_KEEPCNT, ASK_TIMES}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        setsockopt(fd, all[i].level, all[i].name, &all[i].value, sizeof(all[i].value));
}

bool
guard_vanished(const struct guarded *c, nsec_t silent)
{
    struct tcp_info info;
    return c && read_info(c, &info) && info.tcpi_unacked > 0 &&
           MSEC(info.tcpi_last_ack_recv) >= silent;
}

/* libmicrohttpd reads what is left, and then the end that it has overlooked. */
static void
show_end(const struct guarded *c)
{
    shutdown(c->fd.fd, SHUT_RD);
}

static void
on_left(struct loop_timer *t)
{
    struct guarded *c = container_of(t, struct guarded, grace);
    c->left = true;
    if (c->call)
        upstream_cancel(c->call);
    else if (atomic_load(&c->state) != GUARDED_BUSY)
        show_end(c);
}

static void
on_events(struct loop_fd *f, uint32_t events)
{
    struct guarded *c = container_of(f, struct guarded, fd);
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) && !c->left && c->grace.place == 0)
        loop_timer_set(c->loop, &c->grace, clock_now() + LEFT_GRACE);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && c->writable) {
        void (*ready)(void *) = c->writable, *arg = c->writable_arg;
        guard_when_writable(c, NULL, NULL);
        ready(arg);
    }
}

void
guard_when_writable(struct guarded *c, void (*ready)(void *arg), void *arg)
{
    if (!ready == !c->writable)
        return;
    c->writable = ready;
    c->writable_arg = arg;
    atomic_store(&c->slow, ready != NULL);
    loop_change(c->loop, &c->fd, EPOLLRDHUP | EPOLLET | (ready ? EPOLLOUT : 0u));
}

void
guard_cut_slow(struct guard *g)
{
    pthread_mutex_lock(&g->lock);
    list_foreach (it, &g->connections) {
        struct guarded *c = container_of(it, struct guarded, link);
        if (atomic_load(&c->slow))
            shutdown(c->fd.fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&g->lock);
}

void
guard_calling(struct guarded *c, struct upstream_call *call)
{
    if (!c)
        return;
    c->call = call;
    if (c->left && c->grace.place == 0)
        loop_timer_set(c->loop, &c->grace, clock_now() + LEFT_GRACE);
}

/* ---- connections ---- */

static void
note_peer(struct guarded *c, const struct sockaddr *a)
{
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, c->peer,
                  sizeof(c->peer));
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, c->peer,
                  sizeof(c->peer));
}

static struct guarded *
guarded_new(struct guard *g, struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct guarded *c = calloc(1, sizeof(*c));
    ASSERT(c && fd && loop_here() >= 0);
    note_peer(c, address ? address->client_addr : NULL);
    c->fd = (struct loop_fd){fd->connect_fd, on_events};
    c->loop = g->loops[loop_here()];
    c->grace.fire = on_left;
    c->counted = true; /* from its first byte on */
    loop_add(c->loop, &c->fd, EPOLLRDHUP | EPOLLET);
    pthread_mutex_lock(&g->lock);
    list_push(&g->connections, &c->link);
    atomic_fetch_add(&g->count, 1);
    pthread_mutex_unlock(&g->lock);
    return c;
}

static void
guarded_free(struct guard *g, struct guarded *c)
{
    pthread_mutex_lock(&g->lock);
    list_remove(&c->link);
    atomic_fetch_sub(&g->count, 1);
    pthread_mutex_unlock(&g->lock);
    loop_timer_stop(c->loop, &c->grace);
    loop_remove(c->loop, &c->fd);
    free(c);
}

void
guard_on_connection(void *guard, struct MHD_Connection *conn, void **socket_context,
                    enum MHD_ConnectionNotificationCode code)
{
    struct guarded *c = *socket_context;
    *socket_context = code == MHD_CONNECTION_NOTIFY_CLOSED ? NULL : guarded_new(guard, conn);
    if (c)
        guarded_free(guard, c);
}

struct guarded *
guard_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void
guard_reading(struct guarded *c, nsec_t until, int64_t body_bytes)
{
    if (!c)
        return;
    atomic_store(&c->until, until + body_bytes / BYTES_A_SECOND * SEC(1));
    atomic_fetch_add(&c->requests, 1);
    atomic_store(&c->state, GUARDED_READING);
}

void
guard_read(struct guarded *c)
{
    if (c)
        atomic_store(&c->state, GUARDED_BUSY);
}

void
guard_idle(struct guarded *c)
{
    if (!c)
        return;
    c->call = NULL;
    atomic_store(&c->state, GUARDED_IDLE);
    if (c->left)
        show_end(c);
}

unsigned
guard_connections(const struct guard *g)
{
    return atomic_load(&g->count);
}

const char *
guard_peer(const struct guarded *c)
{
    return c ? c->peer : "";
}

int
guard_fd(const struct guarded *c)
{
    return c ? c->fd.fd : -1;
}
