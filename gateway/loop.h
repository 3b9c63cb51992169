/*
 * One thread that waits for everything: sockets, timers, and work from other threads. The gateway
 * has a few of them; a connection of a client and the calls it makes belong to one, so that a
 * request never changes threads.
 *
 * Thread: a loop's functions are for its own thread, or before loop_start and after loop_stop for
 * whoever owns it; loop_post is for all.
 */
#ifndef LUNA_GATEWAY_LOOP_H
#define LUNA_GATEWAY_LOOP_H

#include "base/clock.h"
#include "base/list.h"

struct loop;

/* A file descriptor to wait for, level-triggered. `events` are EPOLL*. May be called once more in
 * the turn in which it was removed: its owner keeps it until the turn has ended. */
struct loop_fd {
    int fd;
    void (*ready)(struct loop_fd *f, uint32_t events);
};

/* Embedded, zeroed. */
struct loop_timer {
    nsec_t at;    /* monotonic */
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct loop_timer *t);
};

/* Something to do on the loop's thread, soon. Embedded; posted once at a time. */
struct loop_job {
    struct list node;
    void (*run)(struct loop_job *j);
};

/* Called before each wait, in the order of their adding: what a turn has gathered is done there at
 * once. Gives the time by which it wants to be called again: 0 for now, or NSEC_NEVER. */
struct loop_turn {
    struct list node;
    nsec_t (*run)(struct loop_turn *t);
};

/* `index` is for the owner. */
struct loop *loop_new(int index);
void loop_free(struct loop *l);

/* Starts the thread. */
void loop_start(struct loop *l);
/* Ends it, after the turn that runs. Harmless when it does not run. */
void loop_stop(struct loop *l);

/* The index of the loop that this thread is, or -1. */
int loop_here(void);

void loop_add(struct loop *l, struct loop_fd *f, uint32_t events);
void loop_change(struct loop *l, struct loop_fd *f, uint32_t events);
void loop_remove(struct loop *l, struct loop_fd *f);

/* Sets it anew, or again. */
void loop_timer_set(struct loop *l, struct loop_timer *t, nsec_t at);
void loop_timer_stop(struct loop *l, struct loop_timer *t);

void loop_turn_add(struct loop *l, struct loop_turn *t);
/* The same, in front of those that are there. */
void loop_turn_add_first(struct loop *l, struct loop_turn *t);

/* From any thread. */
void loop_post(struct loop *l, struct loop_job *j);

/* Runs the job before the loop waits again, behind what the events at hand bring: what is gathered
 * leaves at once. On the loop's thread; list_init(&j->node) first. A job that is in the list stays
 * there, and list_remove(&j->node) takes it out. */
void loop_defer(struct loop *l, struct loop_job *j);

#endif
