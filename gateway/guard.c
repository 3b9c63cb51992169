#include "gateway/guard.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/list.h"

#define LOOK_EVERY     SEC(1)
#define BYTES_A_SECOND (32 << 10)

enum guarded_state { GUARDED_IDLE, GUARDED_READING, GUARDED_BUSY };

struct guarded {
    struct list link;
    int fd;
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
    nsec_t limit;
    bool stop;
};

/* True when a request has begun to come and its headers take too long. */
static bool
dawdles_idle(struct guarded *c, nsec_t now, nsec_t limit)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
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
        shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees its end, and closes it */
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
guard_new(nsec_t limit)
{
    struct guard *g = calloc(1, sizeof(*g));
    pthread_condattr_t monotonic;
    ASSERT(g);
    g->limit = limit;
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

void
guard_on_connection(void *guard, struct MHD_Connection *conn, void **socket_context,
                    enum MHD_ConnectionNotificationCode code)
{
    struct guard *g = guard;
    struct guarded *c = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (!c)
            return;
        pthread_mutex_lock(&g->lock);
        list_remove(&c->link);
        pthread_mutex_unlock(&g->lock);
        *socket_context = NULL;
        free(c);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    c = calloc(1, sizeof(*c));
    ASSERT(c);
    c->fd = info ? info->connect_fd : -1;
    c->counted = true; /* from its first byte on */
    pthread_mutex_lock(&g->lock);
    list_push(&g->connections, &c->link);
    pthread_mutex_unlock(&g->lock);
    *socket_context = c;
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
    if (c)
        atomic_store(&c->state, GUARDED_IDLE);
}
