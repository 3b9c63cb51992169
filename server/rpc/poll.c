/*
 * One thread for each queue: it sits in grpc_completion_queue_next, where core also does its
 * reading of sockets, replaces the calls that arrived, and moves what completes to the reactor.
 * What is there at once goes as one chain, so that a busy reactor is woken once for many calls
 * rather than for each.
 */
#include <grpc/support/time.h>
#include <signal.h>
#include <stdio.h>

#include "rpc/connections.h"
#include "rpc/internal.h"

#define CHAIN_MAX 64

static void
on_chain(struct inbox_msg *m)
{
    struct rpc_event *ev = container_of(m, struct rpc_event, msg);
    while (ev) {
        struct rpc_event *next = ev->next; /* fn may give the event to core again */
        ev->fn(ev);
        ev = next;
    }
}

void
event_send(struct reactor *r, struct rpc_event *chain)
{
    chain->msg.fn = on_chain;
    inbox_send(r, &chain->msg);
}

void
event_run(grpc_completion_queue_functor *f, int ok)
{
    struct rpc_event *ev = (struct rpc_event *)(void *)f;
    TAKE_FROM_CORE(ev);
    ev->ok = ok != 0;
    ev->next = NULL;
    event_send(ev->call->shard->reactor, ev);
}

/* False: the queue has ended. NULL in *ret: nothing came until `until`, or nothing for the reactor.
 */
static bool
next_event(grpc_completion_queue *cq, gpr_timespec until, struct rpc_event **ret)
{
    grpc_event got = grpc_completion_queue_next(cq, until, NULL);
    *ret = NULL;
    if (got.type == GRPC_OP_COMPLETE) {
        struct rpc_event *ev = got.tag;
        TAKE_FROM_CORE(ev);
        ev->ok = got.success != 0;
        ev->next = NULL;
        if (ev->fn != call_on_accepted || call_arrived(ev))
            *ret = ev;
    }
    return got.type != GRPC_QUEUE_SHUTDOWN;
}

static void *
poller_main(void *arg)
{
    struct shard *sh = arg;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    gpr_timespec at_once = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    struct rpc_event *first;
    bool open = true;
    call_post_all(sh);
    while (open) {
        call_begin_epoch(sh);
        open = next_event(sh->cq, never, &first);
        struct rpc_event *last = first;
        for (int n = 1; open && last && n < CHAIN_MAX; n++) {
            open = next_event(sh->cq, at_once, &last->next);
            last = last->next;
        }
        if (first)
            event_send(sh->reactor, first);
    }
    return NULL;
}

void
poller_start(struct shard *sh)
{
    sigset_t all;
    sigset_t before;
    char name[16];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(pthread_create(&sh->poller, NULL, poller_main, sh) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    snprintf(name, sizeof(name), "rpc/poll%u", (unsigned)(sh->index % 1000));
    pthread_setname_np(sh->poller, name);
}

void
poller_join(struct shard *sh)
{
    ASSERT(pthread_join(sh->poller, NULL) == 0);
}

bool
poller_stuck(struct shard *sh)
{
    nsec_t cpu = thread_cpu(sh->poller);
    unsigned epoch = atomic_load_explicit(&sh->epoch, memory_order_relaxed);
    bool stuck = epoch == sh->seen.epoch && cpu - sh->seen.cpu >= CONNECTIONS_STUCK_CPU;
    sh->seen.cpu = cpu;
    sh->seen.epoch = epoch;
    return stuck;
}
