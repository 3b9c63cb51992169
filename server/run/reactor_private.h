/* What the files of run/ know of each other. Private to run/. */
#ifndef LUNA_RUN_REACTOR_PRIVATE_H
#define LUNA_RUN_REACTOR_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/counter.h"
#include "run/fiber.h"
#include "run/fiber_switch.h"
#include "run/reactor.h"
#include "run/sanitizers.h"
#include "run/stacks.h"
#include "run/timer.h"

#define TURN_FIBERS 256 /* fiber runs in one turn, at most */
#define TURN_PASSES 4   /* fibers, then hooks, again when the hooks woke fibers */

enum fiber_state {
    FIBER_FREE,
    FIBER_READY, /* in reactor.ready or .yielded */
    FIBER_RUNNING,
    FIBER_PARKED,
    FIBER_ENDED,
};

struct fiber {
    struct fiber_point point;
    struct list link; /* ready, yielded, or the free lists of stacks.c */
    struct reactor *reactor;
    fiber_fn fn;
    void *arg;
    struct ctx *waits_for; /* whose cancellation and deadline end the suspension; NULL: nobody's */
    enum fiber_state state;
    bool woken;            /* a wake that no park has taken yet */
    bool primed;           /* its stack holds a fiber_main that can be switched to */
    bool ran;              /* since the last sweep of the stacks */
    bool untrimmed;        /* and since it was trimmed */
    bool signalled;        /* the condition it waits for was */
    struct list cond_link; /* in cond.waiters */
    struct timer deadline; /* stays set between suspensions with the same deadline */
    char *stack_low;
    struct slab *slab;
    SANITIZER_FIBER_FIELDS
};

struct timer_entry {
    nsec_t at; /* as timer->at, so that the heap is compared without touching the timers */
    struct timer *timer;
};

struct timers {
    struct timer_entry *heap;
    size_t count;
    size_t cap;
    nsec_t floor; /* the earliest instant that may be set now */
    nsec_t armed; /* what the timerfd is set to; NSEC_NEVER: nothing */
    int fd;
};

/* The inbox's head is a message, or one of these. */
extern struct inbox_msg inbox_asleep; /* empty, and the next sender must wake the reactor */
extern struct inbox_msg inbox_closed; /* the reactor has ended */

struct inbox {
    _Alignas(CACHE_LINE) _Atomic(struct inbox_msg *) head;
    int fd;            /* eventfd; senders read it */
    bool asleep;       /* the reactor's view: it put inbox_asleep there */
    uint64_t woken_by; /* senders that took inbox_asleep away, and so wrote or will write to fd */
    uint64_t woken;    /* their writes that were read from fd */
};

enum reactor_state { REACTOR_NEW, REACTOR_RUNS, REACTOR_CLOSES, REACTOR_ENDED };

struct reactor {
    uv_loop_t loop;
    uv_prepare_t prepare; /* the turn */
    uv_idle_t idle;       /* started while there is work, so that the poll does not wait */
    uv_poll_t inbox_poll;
    uv_poll_t timer_poll;
    bool idle_on;
    enum reactor_state state;
    nsec_t now; /* 0: not asked for in this phase of the turn */
    size_t max_fibers;
    struct fiber *running;
    struct fiber_point loop_point;
    struct list ready;   /* fibers to run in this turn */
    struct list yielded; /* and in the next */
    struct list hooks;   /* struct turn_hook */
    struct list stop_hooks;
    struct stacks stacks;
    struct timers timers;
    void *slots[SLOT_COUNT];
    struct reactor_options options;
    struct reactor_stats stats;
    struct inbox inbox;
    _Alignas(CACHE_LINE) atomic_bool stop_asked;
    bool stopping; /* the reactor's view of it */
    struct inbox_msg stop_msg;
    pthread_t thread;
    bool started;
    SANITIZER_LOOP_FIELDS
};

/* Statistics have one writer. */
#define stat_set(counter, n) atomic_store_explicit((counter), (n), memory_order_relaxed)
#define stat_get(counter)    atomic_load_explicit((counter), memory_order_relaxed)

void inbox_init(struct inbox *in);
void inbox_fini(struct inbox *in);
void inbox_run(struct reactor *r);   /* runs what has arrived; the reactor is awake from here on */
bool inbox_sleep(struct reactor *r); /* before a poll that waits; false: something has arrived */
bool inbox_close(struct reactor *r); /* false: something has arrived */
void inbox_read_wakes(struct reactor *r);
void inbox_await_wakers(struct reactor *r); /* until no sender is about to touch the reactor */

void timers_init(struct timers *ts);
void timers_fini(struct timers *ts);
void timers_run(struct reactor *r);
bool timers_arm(struct reactor *r); /* false: the first is due now */
void timers_read_fd(struct timers *ts);

void fibers_run(struct reactor *r, size_t *budget);
void fiber_interrupt(struct fiber *f); /* ends its suspension without a wake */
void fiber_main(void *f);
enum status ctx_check_at(struct ctx *ctx, nsec_t now);

/* Threads of ours leave asynchronous signals to the main thread. Synchronous ones (a segmentation
 * fault) stay open: a sanitizer's or a crash handler must see them. */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);

#endif
