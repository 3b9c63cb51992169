/* Tokens that end calls from another thread. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"

struct luna_cancel {
    pthread_mutex_t lock;
    pthread_cond_t fired_cond; /* on CLOCK_MONOTONIC */
    bool fired;
    struct list links;
};

struct luna_cancel *
luna_cancel_new(void)
{
    struct luna_cancel *c = calloc(1, sizeof(*c));
    ASSERT(c != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->fired_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    list_init(&c->links);
    return c;
}

void
luna_cancel_now(struct luna_cancel *c)
{
    pthread_mutex_lock(&c->lock);
    c->fired = true;
    list_foreach (node, &c->links)
        grpc_call_cancel(container_of(node, struct cancel_link, node)->call, NULL);
    pthread_cond_broadcast(&c->fired_cond);
    pthread_mutex_unlock(&c->lock);
}

void
luna_cancel_free(struct luna_cancel *c)
{
    if (!c)
        return;
    ASSERT(list_empty(&c->links));
    pthread_cond_destroy(&c->fired_cond);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void
cancel_join(struct luna_cancel *token, struct cancel_link *link, grpc_call *call)
{
    link->call = call;
    link->token = token;
    if (!token)
        return;
    pthread_mutex_lock(&token->lock);
    list_push(&token->links, &link->node);
    if (token->fired)
        grpc_call_cancel(call, NULL);
    pthread_mutex_unlock(&token->lock);
}

void
cancel_leave(struct cancel_link *link)
{
    struct luna_cancel *token = link->token;
    if (!token)
        return;
    pthread_mutex_lock(&token->lock);
    list_remove(&link->node);
    pthread_mutex_unlock(&token->lock);
    link->token = NULL;
}

static struct timespec
timespec_of(nsec_t t)
{
    return (struct timespec){.tv_sec = t / SEC(1), .tv_nsec = t % SEC(1)};
}

bool
cancel_sleep(struct luna_cancel *token, nsec_t d)
{
    struct timespec until = timespec_of(clock_now() + d);
    if (!token) {
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            continue;
        return true;
    }
    pthread_mutex_lock(&token->lock);
    int rc = 0;
    while (!token->fired && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&token->fired_cond, &token->lock, &until);
    bool fired = token->fired;
    pthread_mutex_unlock(&token->lock);
    return !fired;
}
