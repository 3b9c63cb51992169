/* luna-gateway: every method of the server as REST. */
#include "luna/descriptors.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/cache.h"
#include "gateway/gateway.h"
#include "gateway/guard.h"
#include "gateway/watch.h"
#include "gateway/web/web.h"
#include "gateway/websocket.h"

#define FILES_BESIDE_CONNECTIONS 256
#define DESCRIPTORS_MAX          (64 << 20)
#define PEM_MAX                  (1 << 20)
#define RETRY_TOKENS             100 /* of a process that has had no success yet */

static void
raise_file_limit(int64_t connections)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)connections + FILES_BESIDE_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
        log_warning("the limit of open files is too low for max-connections",
                    log_uint("limit", (uint64_t)limit.rlim_cur),
                    log_uint("wanted", (uint64_t)want));
}

static bool
start_upstream(struct gateway *gw, char *err, size_t err_size)
{
    const struct config *cfg = gw->cfg;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct upstream_options o = {
        .target = cfg->upstream,
        /* Fewer connections carry more calls in each write: with one instead of two on two cores a
         * call costs a third less CPU. Half of the cores is the server's where both share them. */
        .channels = (int)(cfg->upstream_channels > 0 ? cfg->upstream_channels
                          : cores > 3                ? cores / 2
                                                     : 1),
        .max_message = (int)cfg->max_answer,
    };
    struct buf ca;
    buf_init(&ca, PEM_MAX);
    if (*cfg->upstream_ca && !read_file(cfg->upstream_ca, &ca)) {
        snprintf(err, err_size, "upstream-ca: %s cannot be read", cfg->upstream_ca);
        return false;
    }
    o.ca = ca.data;
    gw->upstream = upstream_new(&o);
    if (!gw->upstream)
        snprintf(err, err_size, "upstream: %s is not an address, or addresses with commas",
                 cfg->upstream);
    buf_fini(&ca);
    return gw->upstream != NULL;
}

static bool
load_schema(struct gateway *gw, char *err, size_t err_size)
{
    struct str set = {(const char *)luna_descriptor_set_with_source,
                      luna_descriptor_set_with_source_size};
    if (!schema_load(&gw->builtin, set, err, err_size))
        return false;
    if (*gw->cfg->descriptors) {
        if (!read_file(gw->cfg->descriptors, &gw->descriptors)) {
            snprintf(err, err_size, "descriptors: %s cannot be read", gw->cfg->descriptors);
            return false;
        }
        set = (struct str){gw->descriptors.data, gw->descriptors.len};
    }
    if (!schema_load(&gw->schema, set, err, err_size) ||
        !route_table_init(&gw->routes, &gw->schema, err, err_size))
        return false;
    gw->web = web_new(&gw->schema, &gw->routes, set, err, err_size);
    if (!gw->web)
        return false;
    gw->cache = *gw->cfg->redis_url ? cache_new(gw->cfg, set, err, err_size) : NULL;
    return gw->cache || !*gw->cfg->redis_url;
}

static bool
start(struct gateway *gw, char *err, size_t err_size)
{
    struct str bad;
    if (!address_nets_parse(str_of(gw->cfg->trusted_proxies), &gw->trusted_proxies, &bad)) {
        snprintf(err, err_size, "trusted-proxies: " STR_FMT " is no address or network",
                 STR_ARG(bad));
        return false;
    }
    if (!load_schema(gw, err, err_size))
        return false;
    gw->metrics = metrics_new(&gw->schema);
    gw->watch = watch_new();
    gw->websockets = websockets_new(gw);
    gw->guard = guard_new(gw->cfg->read_timeout);
    raise_file_limit(gw->cfg->max_connections);
    return start_upstream(gw, err, err_size) && http_start(gw, err, err_size);
}

static void
stop(struct gateway *gw)
{
    if (gw->daemon)
        http_stop(gw);
    if (gw->upstream)
        upstream_free(gw->upstream);
    cache_free(gw->cache);
    if (gw->websockets)
        websockets_free(gw->websockets);
    if (gw->watch)
        watch_free(gw->watch);
    guard_free(gw->guard);
    if (gw->metrics)
        metrics_free(gw->metrics);
    if (gw->web)
        web_free(gw->web);
    if (gw->routes.schema)
        route_table_fini(&gw->routes);
    if (gw->schema.messages)
        schema_fini(&gw->schema);
    if (gw->builtin.messages)
        schema_fini(&gw->builtin);
    buf_fini(&gw->descriptors);
}

/* Until SIGTERM or SIGINT; a second one ends the wait for proxies to look elsewhere. */
static void
run(struct gateway *gw, const sigset_t *signals)
{
    int signal;
    sigwait(signals, &signal);
    log_info("stopping", log_str("signal", strsignal(signal)));
    atomic_store(&gw->draining, true);
    nsec_t delay = gw->cfg->drain_delay;
    struct timespec wait = {.tv_sec = delay / SEC(1), .tv_nsec = delay % SEC(1)};
    if (delay > 0)
        sigtimedwait(signals, NULL, &wait);
}

static int
serve(const struct config *cfg)
{
    struct gateway gw = {.cfg = cfg, .retry_tokens = RETRY_TOKENS};
    char err[512];
    buf_init(&gw.descriptors, DESCRIPTORS_MAX);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* inherited by all threads */
    signal(SIGPIPE, SIG_IGN);
    if (!start(&gw, err, sizeof(err))) {
        fprintf(stderr, "luna-gateway: %s\n", err);
        stop(&gw);
        return 1;
    }
    log_info("listening", log_str("address", cfg->listen_address),
             log_str("upstream", cfg->upstream), log_uint("routes", gw.routes.binding_count),
             log_str("version", LUNA_VERSION));
    run(&gw, &signals);
    stop(&gw);
    log_info("stopped");
    return 0;
}

static bool
start_log(const struct config *cfg)
{
    enum log_level level;
    bool json = strcmp(cfg->log_format, "json") == 0;
    if (!log_level_parse(cfg->log_level, &level) || (!json && strcmp(cfg->log_format, "text") != 0))
        return false;
    log_init(level, json ? LOG_JSON : LOG_TEXT);
    return true;
}

int
main(int argc, char **argv)
{
    struct config cfg;
    char err[512];
    if (!config_load(&cfg, &argc, argv, err, sizeof(err))) {
        fprintf(stderr, "luna-gateway: %s\n", err);
        return 2;
    }
    int code = 0;
    const char *first = argc > 1 ? argv[1] : "";
    if (strcmp(first, "--help") == 0) {
        printf("luna-gateway serves the methods of luna-server as REST.\n\n");
        config_print_help(stdout);
    } else if (strcmp(first, "--version") == 0) {
        printf("luna-gateway %s\n", LUNA_VERSION);
    } else if (strcmp(first, "--print-config") == 0) {
        config_print_values(stdout, &cfg);
    } else if (argc > 1) {
        fprintf(stderr, "luna-gateway: %s is not known; --help lists the settings\n", first);
        code = 2;
    } else if (!start_log(&cfg)) {
        fprintf(stderr, "luna-gateway: log-level or log-format is not one\n");
        code = 2;
    } else {
        code = serve(&cfg);
    }
    config_fini(&cfg);
    return code;
}
