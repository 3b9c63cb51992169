#include "gateway/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define WAIT_MAX       SEC(60)

struct loop {
    int index;
    int epoll;
    struct loop_fd wake;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    struct list turns;
    struct loop_timer **timers; /* a heap, the first due at [0] */
    size_t timer_count, timer_room;
    pthread_mutex_t lock; /* of `jobs` */
    struct list jobs;
    struct list deferred; /* jobs, too */
};

static _Thread_local const struct loop *here;

int
loop_here(void)
{
    return here ? here->index : -1;
}

/* ---- file descriptors ---- */

static void
control(struct loop *l, int operation, struct loop_fd *f, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = f};
    int failed = epoll_ctl(l->epoll, operation, f->fd, &e);
    ASSERT(failed == 0);
}

void
loop_add(struct loop *l, struct loop_fd *f, uint32_t events)
{
    control(l, EPOLL_CTL_ADD, f, events);
}

void
loop_change(struct loop *l, struct loop_fd *f, uint32_t events)
{
    control(l, EPOLL_CTL_MOD, f, events);
}

void
loop_remove(struct loop *l, struct loop_fd *f)
{
    control(l, EPOLL_CTL_DEL, f, 0);
}

/* ---- timers: a binary heap ---- */

static void
place(struct loop *l, size_t at, struct loop_timer *t)
{
    l->timers[at] = t;
    t->place = at + 1;
}

static void
sift_up(struct loop *l, size_t at, struct loop_timer *t)
{
    while (at > 0 && l->timers[(at - 1) / 2]->at > t->at) {
        place(l, at, l->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(l, at, t);
}

static void
sift_down(struct loop *l, size_t at, struct loop_timer *t)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= l->timer_count)
            break;
        if (child + 1 < l->timer_count && l->timers[child + 1]->at < l->timers[child]->at)
            child++;
        if (l->timers[child]->at >= t->at)
            break;
        place(l, at, l->timers[child]);
        at = child;
    }
    place(l, at, t);
}

void
loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    if (t->place == 0)
        return;
    size_t at = t->place - 1;
    struct loop_timer *last = l->timers[--l->timer_count];
    t->place = 0;
    if (last == t)
        return;
    if (at > 0 && l->timers[(at - 1) / 2]->at > last->at)
        sift_up(l, at, last);
    else
        sift_down(l, at, last);
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, nsec_t at)
{
    loop_timer_stop(l, t);
    t->at = at;
    if (l->timer_count == l->timer_room) {
        l->timer_room = l->timer_room ? 2 * l->timer_room : 64;
        l->timers = realloc(l->timers, l->timer_room * sizeof(struct loop_timer *));
        ASSERT(l->timers);
    }
    sift_up(l, l->timer_count++, t);
}

static void
fire_timers(struct loop *l)
{
    if (l->timer_count == 0)
        return;
    nsec_t now = clock_now();
    while (l->timer_count > 0 && l->timers[0]->at <= now) {
        struct loop_timer *t = l->timers[0];
        loop_timer_stop(l, t);
        t->fire(t);
    }
}

/* ---- jobs ---- */

void
loop_post(struct loop *l, struct loop_job *j)
{
    pthread_mutex_lock(&l->lock);
    bool first = list_empty(&l->jobs);
    list_push(&l->jobs, &j->node);
    pthread_mutex_unlock(&l->lock);
    if (first)
        eventfd_write(l->wake.fd, 1);
}

/* Those that are in the list now. */
static void
run_all(struct list *from, pthread_mutex_t *lock)
{
    struct list jobs, *node;
    list_init(&jobs);
    if (lock)
        pthread_mutex_lock(lock);
    list_splice(&jobs, from);
    if (lock)
        pthread_mutex_unlock(lock);
    while ((node = list_pop(&jobs)) != NULL) {
        struct loop_job *j = container_of(node, struct loop_job, node);
        j->run(j);
    }
}

void
loop_defer(struct loop *l, struct loop_job *j)
{
    if (list_empty(&j->node))
        list_push(&l->deferred, &j->node);
}

static void
on_wake(struct loop_fd *f, uint32_t events)
{
    struct loop *l = container_of(f, struct loop, wake);
    (void)events;
    eventfd_read(f->fd, &(eventfd_t){0});
    run_all(&l->jobs, &l->lock);
}

/* ---- turns ---- */

void
loop_turn_add(struct loop *l, struct loop_turn *t)
{
    list_push(&l->turns, &t->node);
}

void
loop_turn_add_first(struct loop *l, struct loop_turn *t)
{
    list_push_front(&l->turns, &t->node);
}

/* Milliseconds to wait for, rounded up. */
static int
wait_for(struct loop *l, nsec_t until)
{
    if (l->timer_count > 0 && l->timers[0]->at < until)
        until = l->timers[0]->at;
    if (until == 0)
        return 0;
    nsec_t now = clock_now();
    nsec_t left = until <= now ? 0 : until - now < WAIT_MAX ? until - now : WAIT_MAX;
    return (int)((left + MSEC(1) - 1) / MSEC(1));
}

static void *
run(void *arg)
{
    struct loop *l = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    here = l;
    while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
        nsec_t until = NSEC_NEVER;
        run_all(&l->deferred, NULL);
        list_foreach (it, &l->turns) {
            struct loop_turn *t = container_of(it, struct loop_turn, node);
            nsec_t again = t->run(t);
            until = again < until ? again : until;
        }
        if (!list_empty(&l->deferred))
            until = 0;
        int n = epoll_wait(l->epoll, events, EVENTS_AT_ONCE, wait_for(l, until));
        for (int i = 0; i < n; i++) {
            struct loop_fd *f = events[i].data.ptr;
            f->ready(f, events[i].events);
        }
        fire_timers(l);
    }
    here = NULL;
    return NULL;
}

/* ---- life ---- */

struct loop *
loop_new(int index)
{
    struct loop *l = calloc(1, sizeof(*l));
    ASSERT(l);
    l->index = index;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->wake.ready = on_wake;
    ASSERT(l->epoll >= 0 && l->wake.fd >= 0);
    list_init(&l->turns);
    list_init(&l->jobs);
    list_init(&l->deferred);
    pthread_mutex_init(&l->lock, NULL);
    loop_add(l, &l->wake, EPOLLIN);
    return l;
}

void
loop_start(struct loop *l)
{
    int failed = pthread_create(&l->thread, NULL, run, l);
    ASSERT(failed == 0);
    l->running = true;
}

void
loop_stop(struct loop *l)
{
    if (!l->running)
        return;
    atomic_store(&l->stop, true);
    eventfd_write(l->wake.fd, 1);
    pthread_join(l->thread, NULL);
    l->running = false;
}

void
loop_free(struct loop *l)
{
    loop_stop(l);
    close(l->epoll);
    close(l->wake.fd);
    pthread_mutex_destroy(&l->lock);
    free(l->timers);
    free(l);
}
