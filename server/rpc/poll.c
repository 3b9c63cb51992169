/*
 * One thread for each queue: it sits in grpc_completion_queue_next, where core also does its
 * reading of sockets, replaces the calls that arrived, and moves what completes to the reactors.
 * What is there at once goes as one chain to each, so that a busy reactor is woken once for many
 * calls rather than for each.
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

/* The shard that is told. What is no call's is the server's end. */
static struct shard *
shard_of(struct poller *p, const struct rpc_event *ev)
{
    return ev->call ? ev->call->shard : p->shards;
}

static void
chain_add(struct shard *sh, struct rpc_event *ev)
{
    *sh->chain_end = ev;
    sh->chain_end = &ev->next;
}

static void
chains_send(struct poller *p)
{
    for (size_t i = 0; i < p->shard_count; i++) {
        struct shard *sh = &p->shards[i];
        struct rpc_event *chain = sh->chain;
        sh->chain = NULL;
        sh->chain_end = &sh->chain;
        if (chain)
            event_send(sh->reactor, chain);
    }
}

/* Moves an event to its shard's chain. False: there was none until `until`, or none but the end of
 * the queue, or only one of a server that shuts down. */
static bool
next_event(struct poller *p, gpr_timespec until, bool *ret_open)
{
    grpc_event got = grpc_completion_queue_next(p->cq, until, NULL);
    *ret_open = got.type != GRPC_QUEUE_SHUTDOWN;
    if (got.type != GRPC_OP_COMPLETE)
        return false;
    struct rpc_event *ev = got.tag;
    TAKE_FROM_CORE(ev);
    ev->ok = got.success != 0;
    ev->next = NULL;
    if (ev->fn == call_on_accepted && !call_arrived(ev))
        return false;
    chain_add(shard_of(p, ev), ev);
    return true;
}

static void *
poller_main(void *arg)
{
    struct poller *p = arg;
    gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    gpr_timespec at_once = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    bool open = true;
    call_post_all(p);
    while (open) {
        call_begin_epoch(p);
        bool more = next_event(p, never, &open);
        for (int n = 1; more && open && n < CHAIN_MAX; n++)
            more = next_event(p, at_once, &open);
        chains_send(p);
    }
    return NULL;
}

void
poller_start(struct poller *p)
{
    sigset_t all;
    sigset_t before;
    char name[16];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(pthread_create(&p->thread, NULL, poller_main, p) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    snprintf(name, sizeof(name), "rpc/poll%u", (unsigned)(p->index % 1000));
    pthread_setname_np(p->thread, name);
}

void
poller_join(struct poller *p)
{
    ASSERT(pthread_join(p->thread, NULL) == 0);
}

bool
poller_stuck(struct poller *p)
{
    nsec_t cpu = thread_cpu(p->thread);
    unsigned epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed);
    bool stuck = epoch == p->seen.epoch && cpu - p->seen.cpu >= CONNECTIONS_STUCK_CPU;
    p->seen.cpu = cpu;
    p->seen.epoch = epoch;
    return stuck;
}
