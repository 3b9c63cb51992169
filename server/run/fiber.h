/*
 * Fibers: functions with a stack of their own on one reactor, switched with a few instructions and
 * never moved to another thread. They let handlers, stores and jobs read top to bottom.
 *
 * Rules: no lock and no pointer to thread-local data across a suspension; no large locals (the
 * stack is LUNA_FIBER_STACK, with a guard page below); whoever will wake a fiber keeps a pointer to
 * the struct ctx or wait record in its own memory, and a fiber that gives up waiting detaches
 * first.
 *
 * Thread: the reactor's own, except where a function says otherwise.
 */
#ifndef LUNA_RUN_FIBER_H
#define LUNA_RUN_FIBER_H

#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"

struct ctx;
struct reactor;
struct fiber;

typedef void (*fiber_fn)(void *arg);

/* Makes a fiber that runs `fn(arg)` at the end of this loop turn. False: the reactor's cap is
 * reached or no stack could be mapped (memory, or three quarters of vm.max_map_count where guard
 * pages need maps of their own, before Linux 6.13); then `fn` never runs. Suspends: never. Also
 * allowed before the reactor was started, from the thread that starts it. */
bool fiber_spawn(struct reactor *r, fiber_fn fn, void *arg) WARN_UNUSED;

/* Like fiber_spawn, but switches to it at once and returns when it first suspends or ends.
 * To be called from the loop (inbox messages, timers, hooks, libuv's callbacks), not from another
 * fiber. The hot path of an arriving call. */
bool fiber_run(struct reactor *r, fiber_fn fn, void *arg) WARN_UNUSED;

/* The running fiber, NULL on the loop. */
struct fiber *fiber_self(void);

/*
 * Suspends the running fiber until fiber_wake, or until ctx is cancelled or its deadline passes.
 * OK: woken. Otherwise CANCELLED or DEADLINE_EXCEEDED, recorded in ctx: the caller must then make
 * sure that nobody wakes it later (detach its record) before it returns. A wake that came before
 * the park is kept: the park returns at once. Several wakes before a park count once, and so do
 * several before the woken fiber runs. When ctx is cancelled or late before it parks, the park
 * fails and a kept wake stays for the next one; when both happen while it is parked, the wake wins.
 */
enum status fiber_park(struct ctx *ctx) WARN_UNUSED;

/* The same, blind to cancellation and deadline: for the few places that must finish. */
void fiber_park_uninterruptible(void);

/* Makes a parked fiber runnable; it runs later in this loop turn. Never switches itself. The fiber
 * must be alive: a fiber's memory is used again for the next one. Thread: the fiber's reactor. */
void fiber_wake(struct fiber *f);

/* Lets other runnable fibers and the loop's events run first. Suspends: once. */
enum status fiber_yield(struct ctx *ctx) WARN_UNUSED;

/* Suspends for at least `d`; d <= 0 is a fiber_yield. Wakes meanwhile are kept for the next park.
 */
enum status fiber_sleep(struct ctx *ctx, nsec_t d) WARN_UNUSED;

/*
 * A condition: fibers wait in arrival order. Wrap a wait in a loop that looks at what is waited
 * for.
 */
struct cond {
    struct list waiters;
};

void cond_init(struct cond *c);

/* Fails like fiber_park; a signal is never lost to a waiter that gives up. */
enum status cond_wait(struct cond *c, struct ctx *ctx) WARN_UNUSED; /* Suspends: once */
void cond_signal(struct cond *c);                                   /* wakes the first */
void cond_broadcast(struct cond *c);

#endif
