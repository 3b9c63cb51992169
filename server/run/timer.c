/* The heap has four children a node: two comparisons more a level, half the levels, and the
 * children of a node in one or two cache lines. */
#include "run/timer.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "run/reactor_private.h"

#define CHILDREN 4

void
timers_init(struct timers *ts)
{
    *ts = (struct timers){.armed = NSEC_NEVER};
    ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    ASSERT(ts->fd >= 0);
}

void
timers_fini(struct timers *ts)
{
    close(ts->fd);
    free(ts->heap);
}

static inline void
put(struct timers *ts, size_t i, struct timer_entry e)
{
    ts->heap[i] = e;
    e.timer->slot = i + 1;
}

static void
move_up(struct timers *ts, size_t i, struct timer_entry e)
{
    while (i > 0) {
        size_t parent = (i - 1) / CHILDREN;
        if (ts->heap[parent].at <= e.at)
            break;
        put(ts, i, ts->heap[parent]);
        i = parent;
    }
    put(ts, i, e);
}

static void
move_down(struct timers *ts, size_t i, struct timer_entry e)
{
    for (;;) {
        size_t first = i * CHILDREN + 1;
        if (first >= ts->count)
            break;
        size_t end = first + CHILDREN < ts->count ? first + CHILDREN : ts->count;
        size_t least = first;
        for (size_t c = first + 1; c < end; c++)
            if (ts->heap[c].at < ts->heap[least].at)
                least = c;
        if (ts->heap[least].at >= e.at)
            break;
        put(ts, i, ts->heap[least]);
        i = least;
    }
    put(ts, i, e);
}

static void
move(struct timers *ts, size_t i, struct timer_entry e)
{
    if (i > 0 && ts->heap[(i - 1) / CHILDREN].at > e.at)
        move_up(ts, i, e);
    else
        move_down(ts, i, e);
}

void
timer_init(struct timer *t, void (*fn)(struct timer *))
{
    *t = (struct timer){.at = NSEC_NEVER, .fn = fn};
}

void
timer_set(struct reactor *r, struct timer *t, nsec_t at)
{
    struct timers *ts = &r->timers;
    struct timer_entry e = {.at = at > ts->floor ? at : ts->floor, .timer = t};
    t->at = at;
    if (t->slot) {
        move(ts, t->slot - 1, e);
        return;
    }
    if (ts->count == ts->cap) {
        size_t cap = ts->cap ? ts->cap * 2 : 64;
        struct timer_entry *heap = realloc(ts->heap, cap * sizeof(*heap));
        ASSERT(heap != NULL);
        ts->heap = heap;
        ts->cap = cap;
    }
    move_up(ts, ts->count++, e);
    stat_set(&r->stats.timers, ts->count);
}

void
timer_stop(struct reactor *r, struct timer *t)
{
    if (!t->slot)
        return;
    struct timers *ts = &r->timers;
    size_t i = t->slot - 1;
    t->slot = 0;
    struct timer_entry last = ts->heap[--ts->count];
    if (i < ts->count)
        move(ts, i, last);
    stat_set(&r->stats.timers, ts->count);
}

void
timers_run(struct reactor *r)
{
    struct timers *ts = &r->timers;
    nsec_t now = reactor_now(r);
    /* What a callback sets to the past waits for the next turn: it holds up neither the loop nor
     * others. */
    ts->floor = now + 1;
    while (ts->count > 0 && ts->heap[0].at <= now) {
        struct timer *t = ts->heap[0].timer;
        timer_stop(r, t);
        t->fn(t);
    }
    ts->floor = 0;
}

/* An alarm that is too early stays: it costs one turn. Deadlines, of which most are stopped long
 * before they pass, so set the timerfd seldom. */
bool
timers_arm(struct reactor *r)
{
    struct timers *ts = &r->timers;
    nsec_t first = ts->count ? ts->heap[0].at : NSEC_NEVER;
    if (r->stacks.sweep_at < first)
        first = r->stacks.sweep_at;
    if (first >= ts->armed)
        return true;
    if (first <= reactor_now(r))
        return false;
    struct itimerspec spec = {
        .it_value = {.tv_sec = first / SEC(1), .tv_nsec = first % SEC(1)},
    };
    ASSERT(timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0);
    ts->armed = first;
    return true;
}

void
timers_read_fd(struct timers *ts)
{
    uint64_t times = 0;
    if (read(ts->fd, &times, sizeof(times)) == sizeof(times))
        ts->armed = NSEC_NEVER;
}
