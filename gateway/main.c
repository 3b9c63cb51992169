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
#include "gateway/passed.h"
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

/* One for each core: a loop never waits but for events. */
static void
make_loops(struct gateway *gw)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t set = gw->cfg->threads;
    gw->loop_count = (int)(set > 0 ? set : cores > 1 ? cores : 1);
    if (gw->loop_count > LOOPS_MAX)
        gw->loop_count = LOOPS_MAX;
    for (int i = 0; i < gw->loop_count; i++)
        gw->loops[i] = loop_new(i);
}

/* The content of a file that a setting names; an empty setting leaves it empty. */
static bool
read_setting(const char *name, const char *path, struct buf *out, char *err, size_t err_size)
{
    if (!*path || read_file(path, out))
        return true;
    snprintf(err, err_size, "%s: %s cannot be read", name, path);
    return false;
}

static bool
start_upstream(struct gateway *gw, char *err, size_t err_size)
{
    const struct config *cfg = gw->cfg;
    struct buf ca, certificate, key;
    buf_init(&ca, PEM_MAX);
    buf_init(&certificate, PEM_MAX);
    buf_init(&key, PEM_MAX);
    if (read_setting("upstream-ca", cfg->upstream_ca, &ca, err, err_size) &&
        read_setting("upstream-certificate", cfg->upstream_certificate, &certificate, err,
                     err_size) &&
        read_setting("upstream-key", cfg->upstream_key, &key, err, err_size)) {
        struct upstream_options o = {
            .target = cfg->upstream,
            .ca = ca.data,
            .certificate = certificate.data,
            .key = key.data,
            .connections = (int)(cfg->upstream_channels > 0 ? cfg->upstream_channels : 1),
            .max_message = (int)cfg->max_answer,
        };
        gw->upstream = upstream_new(&o, gw->loops, gw->loop_count, err, err_size);
    }
    buf_fini(&ca);
    buf_fini(&certificate);
    buf_fini(&key);
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
    gw->web = web_new(&gw->schema, &gw->routes, set, gw->emit, err, err_size);
    if (!gw->web)
        return false;
    gw->cache = *gw->cfg->redis_url ? cache_new(gw->cfg, set, err, err_size) : NULL;
    return gw->cache || !*gw->cfg->redis_url;
}

static bool
parse_emit(const char *text, enum json_emit *ret)
{
    static const char *const names[] = {
        [JSON_EMIT_PRIMITIVE] = "primitive", [JSON_EMIT_ALL] = "all", [JSON_EMIT_NONE] = "none"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum json_emit)i;
            return true;
        }
    return false;
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
    if (!parse_emit(gw->cfg->emit, &gw->emit)) {
        snprintf(err, err_size, "emit: %s is not primitive, all or none", gw->cfg->emit);
        return false;
    }
    gw->passed = passed_new(gw->cfg, err, err_size);
    if (!gw->passed || !load_schema(gw, err, err_size))
        return false;
    gw->routes.ignored_query = str_trim(str_of(gw->cfg->ignored_query));
    gw->metrics = metrics_new(&gw->schema);
    gw->websockets = websockets_new(gw);
    gw->guard = guard_new(gw->cfg->read_timeout, gw->loops);
    raise_file_limit(gw->cfg->max_connections);
    make_loops(gw);
    exchange_spares_new(gw);
    if (!start_upstream(gw, err, err_size) || !http_start(gw, err, err_size))
        return false;
    for (int i = 0; i < gw->loop_count; i++)
        loop_start(gw->loops[i]);
    return true;
}

static void
stop(struct gateway *gw)
{
    if (gw->daemons)
        http_stop(gw);
    if (gw->upstream)
        upstream_free(gw->upstream);
    cache_free(gw->cache);
    for (int i = 0; i < gw->loop_count; i++)
        loop_free(gw->loops[i]);
    if (gw->websockets)
        websockets_free(gw->websockets);
    exchange_spares_free(gw);
    passed_free(gw->passed);
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
gateway_main(int argc, char **argv)
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
