#include "rpc/server.h"

#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "rpc/accept.h"
#include "rpc/descriptor.h"
#include "rpc/internal.h"
#include "run/reactor.h"

#define SERVICES_MAX  64
#define DECODE_FACTOR 8 /* memory a request may take, as a multiple of max_message */
#define JANITOR_EVERY SEC(1)
#define CUT_GRACE     SEC(1) /* for answers to calls that were cut off */
#define DRAIN_POLL    MSEC(5)
#define DRAIN_QUIET   SEC(1)
#define FEW_METHODS   32

/* ---- making -------------------------------------------------------------------------------- */

static void
add_service(struct rpc_server *s, const struct rpc_service *service)
{
    s->services[s->service_count++] = service;
    s->method_count += service->method_count;
}

static bool
collect_services(struct rpc_server *s, char *err, size_t err_size)
{
    const struct rpc_options *opt = &s->opt;
    if (opt->service_count + 3 > SERVICES_MAX) {
        snprintf(err, err_size, "more than %d services", SERVICES_MAX - 3);
        return false;
    }
    s->services = calloc(SERVICES_MAX, sizeof(struct rpc_service *));
    ASSERT(s->services != NULL);
    for (size_t i = 0; i < opt->service_count; i++)
        add_service(s, opt->services[i]);
    add_service(s, &health_service);
    if (s->config->reflection) {
        add_service(s, &reflection_v1_service);
        add_service(s, &reflection_v1alpha_service);
    }
    s->descriptors = descriptor_index_new(opt->descriptor_set, opt->descriptor_set_size);
    if (!s->descriptors) {
        snprintf(err, err_size, "the embedded protos cannot be read");
        return false;
    }
    return method_check_all(s->services, s->service_count, s->descriptors, err, err_size);
}

static void
register_methods(struct rpc_server *s)
{
    size_t n = 0;
    s->registered = calloc(s->method_count, sizeof(void *));
    s->methods = calloc(s->method_count, sizeof(struct rpc_method *));
    ASSERT(s->registered != NULL && s->methods != NULL);
    for (size_t i = 0; i < s->service_count; i++) {
        for (size_t k = 0; k < s->services[i]->method_count; k++, n++) {
            const struct rpc_method *m = &s->services[i]->methods[k];
            s->methods[n] = m;
            s->registered[n] = grpc_server_register_method(
                s->core, m->path, NULL,
                method_takes_payload(m) ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER
                                        : GRPC_SRM_PAYLOAD_NONE,
                0);
            ASSERT(s->registered[n] != NULL);
        }
    }
}

static void
on_start(struct inbox_msg *m)
{
    struct shard *sh = container_of(m, struct shard, start_msg);
    timer_set(sh->reactor, &sh->janitor, reactor_now(sh->reactor) + JANITOR_EVERY);
}

static void
on_cut(struct inbox_msg *m)
{
    call_cut_all(container_of(m, struct shard, cut_msg));
}

/* The janitor's timer lives in the shard: it is off before the shard is freed. */
static void
on_quiet(struct inbox_msg *m)
{
    struct shard *sh = container_of(m, struct shard, quiet_msg);
    struct rpc_server *s = sh->server;
    timer_stop(sh->reactor, &sh->janitor);
    timer_stop(sh->reactor, &sh->watch);
    turn_hook_cancel(&sh->cork.hook);
    pthread_mutex_lock(&s->lock);
    s->quiet++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void
on_janitor(struct timer *t)
{
    struct shard *sh = container_of(t, struct shard, janitor);
    call_janitor(sh);
    timer_set(sh->reactor, t, reactor_now(sh->reactor) + JANITOR_EVERY);
}

static void
on_done_shutdown(grpc_completion_queue_functor *f, int ok)
{
    TAKE_FROM_CORE(f);
    struct rpc_server *s = container_of(f, struct poller, done_shutdown)->server;
    (void)ok;
    pthread_mutex_lock(&s->lock);
    s->queues_down++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void
poller_init(struct rpc_server *s, size_t i)
{
    struct poller *p = &s->pollers[i];
    size_t first = i * POLLER_REACTORS;
    size_t left = s->shard_count - first;
    p->server = s;
    p->index = i;
    p->shards = &s->shards[first];
    p->shard_count = left < POLLER_REACTORS ? left : POLLER_REACTORS;
    p->cq = grpc_completion_queue_create_for_next(NULL);
    p->done_shutdown.functor_run = on_done_shutdown;
    p->done_shutdown.inlineable = 1;
    p->done_cq = grpc_completion_queue_create_for_callback(&p->done_shutdown, NULL);
    p->methods = calloc(s->method_count, sizeof(struct poller_method));
    ASSERT(p->methods != NULL);
    for (size_t k = 0; k < s->method_count; k++) {
        p->methods[k] = (struct poller_method){
            .method = s->methods[k],
            .registered = s->registered[k],
            .target = s->method_count <= FEW_METHODS ? 2 : 1,
        };
    }
    grpc_server_register_completion_queue(s->core, p->cq, NULL);
}

static void
shard_init(struct rpc_server *s, size_t i)
{
    struct shard *sh = &s->shards[i];
    sh->server = s;
    sh->poller = &s->pollers[i / POLLER_REACTORS];
    sh->reactor = s->opt.reactors[i];
    sh->index = i;
    sh->chain_end = &sh->chain;
    sh->out = grpc_raw_byte_buffer_create(NULL, 0);
    list_init(&sh->running);
    list_init(&sh->ending);
    list_init(&sh->unwatched);
    timer_init(&sh->janitor, on_janitor);
    timer_init(&sh->watch, call_watch_due);
    cork_init(&sh->cork);
    sh->start_msg.fn = on_start;
    sh->cut_msg.fn = on_cut;
    sh->quiet_msg.fn = on_quiet;
    sh->methods = aligned_alloc(CACHE_LINE, s->method_count * sizeof(struct shard_method));
    ASSERT(sh->methods != NULL);
    memset(sh->methods, 0, s->method_count * sizeof(struct shard_method));
    for (size_t k = 0; k < s->method_count; k++) {
        struct shard_method *slot = &sh->methods[k];
        slot->method = s->methods[k];
        slot->deep = message_is_recursive(s->methods[k]->request);
    }
}

static void
on_down(struct rpc_event *ev)
{
    struct rpc_server *s = container_of(ev, struct rpc_server, down_event);
    pthread_mutex_lock(&s->lock);
    s->core_down++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static struct rpc_server *
server_alloc(const struct rpc_options *opt)
{
    struct rpc_server *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;
    ASSERT(s != NULL);
    server_init_core();
    s->opt = *opt;
    s->interceptor_count = s->around = opt->interceptor_count;
    for (size_t i = 0; i < opt->interceptor_count; i++) {
        s->interceptors[i] = opt->interceptors[i];
        if (opt->interceptors[i]->around)
            s->around = i;
    }
    s->config = opt->config;
    s->default_deadline = opt->config->default_deadline;
    s->decode_budget = (size_t)opt->config->max_message * DECODE_FACTOR;
    s->down_event.fn = on_down;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->health = health_new(opt->reactors, opt->reactor_count);
    return s;
}

static void
health_know_services(struct rpc_server *s)
{
    health_set(s->health, "", HEALTH_NOT_SERVING);
    for (size_t i = 0; i < s->service_count; i++)
        health_set(s->health, s->services[i]->name, HEALTH_NOT_SERVING);
}

struct rpc_server *
rpc_server_new(const struct rpc_options *opt, char *err, size_t err_size)
{
    ASSERT(opt->reactor_count > 0 && opt->interceptor_count <= CALL_MAX_INTERCEPTORS);
    struct rpc_server *s = server_alloc(opt);
    if (!collect_services(s, err, err_size) || !server_open_core(s, err, err_size)) {
        rpc_server_free(s);
        return NULL;
    }
    register_methods(s);
    s->shard_count = opt->reactor_count;
    s->shards = calloc(s->shard_count, sizeof(struct shard));
    s->poller_count = (s->shard_count + POLLER_REACTORS - 1) / POLLER_REACTORS;
    s->pollers = calloc(s->poller_count, sizeof(struct poller));
    ASSERT(s->shards != NULL && s->pollers != NULL);
    for (size_t i = 0; i < s->poller_count; i++)
        poller_init(s, i);
    for (size_t i = 0; i < s->shard_count; i++)
        shard_init(s, i);
    health_know_services(s);
    return s;
}

/* ---- running ------------------------------------------------------------------------------- */

static bool
any_poller_stuck(void *arg)
{
    struct rpc_server *s = arg;
    bool stuck = false;
    for (size_t i = 0; i < s->poller_count; i++)
        stuck |= poller_stuck(&s->pollers[i]);
    return stuck;
}

void
rpc_server_start(struct rpc_server *s)
{
    grpc_server_start(s->core);
    s->started = true;
    for (size_t i = 0; i < s->poller_count; i++)
        poller_start(&s->pollers[i]);
    for (size_t i = 0; i < s->shard_count; i++)
        inbox_send(s->shards[i].reactor, &s->shards[i].start_msg);
    health_open(s->health, true);
    acceptor_start(s->acceptor, any_poller_stuck, s);
}

int
rpc_server_port(const struct rpc_server *s, size_t n)
{
    return acceptor_port(s->acceptor, n);
}

struct rpc_server *
call_server(const struct call *call)
{
    return call_private(call)->shard->server;
}

struct health *
rpc_server_health(struct rpc_server *s)
{
    return s->health;
}

/* ---- ending -------------------------------------------------------------------------------- */

static void
sleep_for(nsec_t d)
{
    struct timespec t = {.tv_sec = d / SEC(1), .tv_nsec = d % SEC(1)};
    while (nanosleep(&t, &t) < 0)
        ;
}

static int64_t
calls_alive(const struct rpc_server *s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->shard_count; i++)
        n += atomic_load_explicit(&s->shards[i].stats.alive, memory_order_relaxed);
    return n;
}

static bool
wait_until(struct rpc_server *s, bool (*done)(struct rpc_server *), nsec_t until)
{
    while (!done(s)) {
        if (clock_now() >= until)
            return false;
        sleep_for(DRAIN_POLL);
    }
    return true;
}

static bool
no_calls(struct rpc_server *s)
{
    return calls_alive(s) == 0;
}

/* Clients close when their last call has ended; those that do not have had time to understand. */
static bool
all_gone(struct rpc_server *s)
{
    nsec_t now = clock_now();
    if (!no_calls(s))
        s->last_busy = now;
    return acceptor_count_open(s->acceptor) == 0 || now - s->last_busy >= DRAIN_QUIET;
}

static void
drain(struct rpc_server *s, nsec_t delay, nsec_t timeout)
{
    if (s->drained || !s->started)
        return;
    s->drained = true;
    health_drain(s->health);
    if (delay > 0)
        sleep_for(delay);
    acceptor_stop(s->acceptor);
    server_send_goaways(s);
    s->last_busy = clock_now();
    if (timeout > 0 && wait_until(s, all_gone, s->last_busy + timeout))
        return;
    for (size_t i = 0; i < s->shard_count; i++)
        inbox_send(s->shards[i].reactor, &s->shards[i].cut_msg);
    if (timeout > 0)
        (void)wait_until(s, no_calls, clock_now() + CUT_GRACE);
}

void
rpc_server_drain(struct rpc_server *s)
{
    drain(s, s->config->drain_delay, s->config->drain_timeout);
}

static void
wait_count(struct rpc_server *s, const size_t *n, size_t wanted)
{
    pthread_mutex_lock(&s->lock);
    while (*n < wanted)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void
close_done_queues(struct rpc_server *s)
{
    for (size_t i = 0; i < s->poller_count; i++) {
        GIVE_TO_CORE(&s->pollers[i].done_shutdown);
        grpc_completion_queue_shutdown(s->pollers[i].done_cq);
    }
    wait_count(s, &s->queues_down, s->poller_count);
}

void
rpc_server_stop(struct rpc_server *s)
{
    if (!s->started || s->stopped)
        return;
    s->stopped = true;
    drain(s, 0, 0);
    GIVE_TO_CORE(&s->down_event);
    grpc_server_shutdown_and_notify(s->core, s->pollers[0].cq, &s->down_event);
    grpc_server_cancel_all_calls(s->core);
    wait_count(s, &s->core_down, 1);
    while (!no_calls(s))
        sleep_for(DRAIN_POLL);
    health_open(s->health, false);
    for (size_t i = 0; i < s->shard_count; i++)
        inbox_send(s->shards[i].reactor, &s->shards[i].quiet_msg);
    wait_count(s, &s->quiet, s->shard_count);
    for (size_t i = 0; i < s->poller_count; i++) {
        grpc_completion_queue_shutdown(s->pollers[i].cq);
        poller_join(&s->pollers[i]);
    }
    close_done_queues(s);
}

static void
drain_queue(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
}

/* A server that was made and not started is shut down on its first queue by hand. */
static void
close_unstarted(struct rpc_server *s)
{
    if (s->poller_count == 0) {
        grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(s->core, cq, NULL);
        grpc_server_shutdown_and_notify(s->core, cq, &s->down_event);
        drain_queue(cq);
        grpc_completion_queue_destroy(cq);
        return;
    }
    grpc_server_shutdown_and_notify(s->core, s->pollers[0].cq, &s->down_event);
    for (size_t i = 0; i < s->poller_count; i++)
        drain_queue(s->pollers[i].cq);
    close_done_queues(s);
}

void
rpc_server_free(struct rpc_server *s)
{
    if (!s)
        return;
    ASSERT(!s->started || s->stopped);
    if (s->core && !s->started)
        close_unstarted(s);
    if (s->core)
        grpc_server_destroy(s->core);
    for (size_t i = 0; i < s->poller_count; i++) {
        struct poller *p = &s->pollers[i];
        call_pool_free(p);
        ASSERT(atomic_load(&p->calls) == 0);
        grpc_completion_queue_destroy(p->cq);
        grpc_completion_queue_destroy(p->done_cq);
        free(p->methods);
    }
    for (size_t i = 0; i < s->shard_count; i++) {
        struct shard *sh = &s->shards[i];
        grpc_byte_buffer_destroy(sh->out);
        free(sh->headers_out.items);
        free(sh->trailers_out.items);
        free(sh->methods);
    }
    acceptor_free(s->acceptor);
    health_free(s->health);
    descriptor_index_free(s->descriptors);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s->services);
    free(s->registered);
    free(s->methods);
    free(s->pollers);
    free(s->shards);
    free(s);
    grpc_shutdown();
}
