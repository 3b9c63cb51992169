#include "test_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "luna/descriptors.h"
#include "rpc/server.h"
#include "run/reactor.h"

#define REACTORS_MAX 64
#define ARGS_MAX     64

struct test_server {
    struct config config;
    struct reactor *reactors[REACTORS_MAX];
    size_t reactor_count;
    struct rpc_server *rpc;
    bool own_config;
};

static bool
load_config(struct test_server *t, int argc, const char *const *argv, char *err, size_t err_size)
{
    char *copy[ARGS_MAX + 2] = {(char *)(uintptr_t) "test"};
    int n = 1;
    for (int i = 0; i < argc && n < ARGS_MAX; i++)
        copy[n++] = (char *)(uintptr_t)argv[i];
    if (!config_load(&t->config, &n, copy, err, err_size))
        return false;
    t->own_config = true;
    if (n > 1)
        snprintf(err, err_size, "unknown argument %s", copy[1]);
    return n == 1;
}

static size_t
reactors_wanted(const struct config *cfg)
{
    long n = cfg->reactors > 0 ? (long)cfg->reactors : sysconf(_SC_NPROCESSORS_ONLN);
    return n > REACTORS_MAX ? REACTORS_MAX : (size_t)n;
}

static void
make_reactors(struct test_server *t)
{
    t->reactor_count = reactors_wanted(&t->config);
    for (size_t i = 0; i < t->reactor_count; i++) {
        struct reactor_options opt = {.index = (int)i,
                                      .max_fibers = (size_t)t->config.max_fibers,
                                      .stack_bytes = (size_t)t->config.fiber_stack};
        t->reactors[i] = reactor_new(&opt);
    }
}

static void
destroy(struct test_server *t)
{
    rpc_server_free(t->rpc);
    for (size_t i = 0; i < t->reactor_count; i++)
        reactor_free(t->reactors[i]);
    if (t->own_config)
        config_fini(&t->config);
    free(t);
}

struct test_server *
test_server_start(const struct test_server_options *opt, int argc, const char *const *argv,
                  char *err, size_t err_size)
{
    struct test_server *t = calloc(1, sizeof(*t));
    ASSERT(t != NULL);
    if (!load_config(t, argc, argv, err, err_size)) {
        destroy(t);
        return NULL;
    }
    make_reactors(t);
    struct rpc_options ro = {.config = &t->config,
                             .reactors = t->reactors,
                             .reactor_count = t->reactor_count,
                             .services = opt->services,
                             .service_count = opt->service_count,
                             .interceptors = opt->interceptors,
                             .interceptor_count = opt->interceptor_count,
                             .descriptor_set = luna_testing_descriptor_set,
                             .descriptor_set_size = luna_testing_descriptor_set_size,
                             .reuse_port = opt->reuse_port};
    t->rpc = rpc_server_new(&ro, err, err_size);
    if (!t->rpc) {
        destroy(t);
        return NULL;
    }
    for (size_t i = 0; i < t->reactor_count; i++)
        reactor_start(t->reactors[i]);
    rpc_server_start(t->rpc);
    health_set_all(rpc_server_health(t->rpc), HEALTH_SERVING);
    return t;
}

void
test_server_stop(struct test_server *t)
{
    rpc_server_stop(t->rpc);
    for (size_t i = 0; i < t->reactor_count; i++)
        reactor_stop(t->reactors[i]);
    for (size_t i = 0; i < t->reactor_count; i++)
        reactor_join(t->reactors[i]);
    destroy(t);
}

int
test_server_port(const struct test_server *t)
{
    return rpc_server_port(t->rpc, 0);
}

void
test_server_drain(struct test_server *t)
{
    rpc_server_drain(t->rpc);
}

void
test_server_set_health(struct test_server *t, const char *service, int status)
{
    health_set(rpc_server_health(t->rpc), service, (enum health_status)status);
}

static const struct rpc_method *
find_method(const struct test_server *t, const char *path)
{
    for (size_t i = 0; i < rpc_server_service_count(t->rpc); i++) {
        const struct rpc_service *s = rpc_server_service(t->rpc, i);
        for (size_t k = 0; k < s->method_count; k++) {
            if (strcmp(s->methods[k].path, path) == 0)
                return &s->methods[k];
        }
    }
    return NULL;
}

bool
test_server_counts(const struct test_server *t, const char *path, struct test_counts *ret)
{
    const struct rpc_method *m = find_method(t, path);
    struct rpc_totals n;
    if (!m)
        return false;
    rpc_server_totals(t->rpc, m, &n);
    *ret = (struct test_counts){.received_messages = n.received_messages,
                                .sent_messages = n.sent_messages,
                                .received_bytes = n.received_bytes,
                                .sent_bytes = n.sent_bytes,
                                .in_flight = n.in_flight};
    memcpy(ret->finished, n.finished, sizeof(ret->finished));
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        ret->latencies += n.latency.buckets[i];
    return true;
}

void
test_server_stats(const struct test_server *t, struct test_stats *ret)
{
    struct rpc_server_stats n;
    rpc_server_stats(t->rpc, &n);
    *ret = (struct test_stats){.connections = n.connections,
                               .connections_refused = n.connections_refused,
                               .calls_refused = n.calls_refused,
                               .calls_unknown = n.calls_unknown,
                               .calls_alive = n.calls_alive};
}

int
test_server_main(const struct test_server_options *opt, int argc, char **argv)
{
    char err[256];
    sigset_t set;
    int sig;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    log_init(LOG_WARNING, LOG_TEXT);
    failpoint_init_from_env();
    struct test_server *t =
        test_server_start(opt, argc - 1, (const char *const *)argv + 1, err, sizeof(err));
    if (!t) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    printf("listening on %d\n", test_server_port(t));
    fflush(stdout);
    sigwait(&set, &sig);
    rpc_server_drain(t->rpc);
    test_server_stop(t);
    return 0;
}
