/*
 * What nobody else notices of a suspended connection: that its client left, and that an event
 * stream has been silent for long. Looks once a second.
 */
#include "gateway/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/stream.h"

#define LOOK_EVERY   SEC(1)
#define POLL_AT_ONCE 256

struct watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    struct list exchanges;
    bool stop;
};

/* The clients of these are looked at together. With the lock held. */
static void
look(struct exchange **x, struct pollfd *fds, nfds_t n, nsec_t now)
{
    if (n == 0 || poll(fds, n, 0) < 0)
        return;
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
            upstream_cancel(&x[i]->call);
        else if (x[i]->stream)
            stream_beat(x[i], now);
    }
}

static void
look_at_all(struct watch *w)
{
    struct exchange *x[POLL_AT_ONCE];
    struct pollfd fds[POLL_AT_ONCE];
    nfds_t n = 0;
    nsec_t now = clock_now();
    list_foreach (it, &w->exchanges) {
        x[n] = container_of(it, struct exchange, watched);
        fds[n] = (struct pollfd){.fd = x[n]->fd, .events = POLLRDHUP};
        if (++n == POLL_AT_ONCE) {
            look(x, fds, n, now);
            n = 0;
        }
    }
    look(x, fds, n, now);
}

static void *
run(void *arg)
{
    struct watch *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += LOOK_EVERY / SEC(1);
        if (pthread_cond_timedwait(&w->stopping, &w->lock, &at) == ETIMEDOUT)
            look_at_all(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct watch *
watch_new(void)
{
    struct watch *w = calloc(1, sizeof(*w));
    pthread_condattr_t monotonic;
    ASSERT(w);
    list_init(&w->exchanges);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stopping, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int e = pthread_create(&w->thread, NULL, run, w);
    ASSERT(e == 0);
    return w;
}

void
watch_free(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->stopping);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stopping);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void
watch_add(struct watch *w, struct exchange *x)
{
    pthread_mutex_lock(&w->lock);
    list_push(&w->exchanges, &x->watched);
    pthread_mutex_unlock(&w->lock);
}

void
watch_remove(struct watch *w, struct exchange *x)
{
    pthread_mutex_lock(&w->lock);
    list_remove(&x->watched);
    pthread_mutex_unlock(&w->lock);
}
