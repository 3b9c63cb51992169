#include "app.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/redis.h"
#include "db/db.h"
#include "edge/access_log.h"
#include "edge/auth.h"
#include "edge/check.h"
#include "edge/gate_store.h"
#include "edge/idempotency.h"
#include "edge/metrics.h"
#include "edge/quota_gate.h"
#include "http/admin.h"
#include "luna/descriptors.h"
#include "rpc/server.h"
#include "run/compute.h"
#include "run/reactor.h"

#include "counts/counts.h"
#include "kalman/kalman.h"
#include "quota/quota.h"

/* How often main looks whether Postgres and Redis are still there. */
#define WATCH_INTERVAL MSEC(100)

struct app_reactor {
    struct reactor *reactor;
    struct redis *redis;
    struct stop_hook stop;
};

struct app {
    const struct config *cfg;
    struct app_reactor *per_reactor;
    struct reactor **reactors; /* the same, as other layers want them */
    struct redis **redis;
    size_t reactor_count;
    struct compute *compute;
    struct db *db;
    struct rpc_server *rpc;
    struct http_admin *admin;
    sigset_t signals;
    bool ready;
    char missing[256]; /* what is waited for; "" when ready */
};

static const struct db_sql *const all_sql[] = {&gate_sql,         &idempotency_sql, &quota_sql,
                                               &quota_limits_sql, &kalman_sql,      &counts_sql,
                                               &counts_roll_sql};
static const struct rpc_service *const all_services[] = {
    &kalman_service, &quota_service, &limiter_service, &counts_service,
    &envoy_service_ratelimit_v3_rate_limit_service};

/* Refused calls are logged too, so the log stands outermost; what is charged has been checked, and
 * is not an answer that is given again. */
static const struct interceptor *const chain[] = {&access_log_interceptor, &auth_interceptor,
                                                  &check_interceptor, &idempotency_interceptor,
                                                  &quota_gate_interceptor};

/* ---- settings ------------------------------------------------------------------------------- */

static bool
is_loopback(struct str address)
{
    return str_starts(address, STR("127.")) || str_starts(address, STR("localhost:")) ||
           str_starts(address, STR("[::1]:")) || str_starts(address, STR("unix:"));
}

bool
app_check_config(const struct config *cfg, char *err, size_t err_size)
{
    const char *what = NULL;
    if (!*cfg->database_url)
        what = "database-url (LUNA_DATABASE_URL) is not set";
    else if (!*cfg->redis_url)
        what = "redis-url (LUNA_REDIS_URL) is not set";
    else if (strlen(cfg->key_secret) < 16)
        what = "key-secret (LUNA_KEY_SECRET) needs 16 bytes or more";
    else if (!*cfg->listen_address)
        what = "listen-address (LUNA_LISTEN_ADDRESS) is empty";
    struct str rest = str_of(cfg->listen_address);
    while (!what && *cfg->anonymous_account && rest.n > 0) {
        if (!is_loopback(str_trim(str_cut(&rest, ','))))
            what = "anonymous-account (LUNA_ANONYMOUS_ACCOUNT) lets anybody in, so every "
                   "listen-address must be loopback (127.0.0.1, [::1], localhost, unix:)";
    }
    if (what)
        snprintf(err, err_size, "%s", what);
    return what == NULL;
}

static struct db *
open_db(const struct config *cfg)
{
    struct db_options opt;
    db_options_from_config(&opt, cfg);
    opt.sql = all_sql;
    opt.n_sql = ARRAY_LEN(all_sql);
    return db_open(&opt);
}

/* ---- made once ------------------------------------------------------------------------------ */

static void
on_reactor_stop(struct stop_hook *h)
{
    struct app_reactor *ar = container_of(h, struct app_reactor, stop);
    counts_detach(ar->reactor);
    kalman_detach(ar->reactor);
    quota_detach(ar->reactor);
    quota_gate_detach(ar->reactor);
    redis_free(ar->redis);
    db_detach(ar->reactor);
}

static bool
make_reactor(struct app *app, size_t i, size_t n, char *err, size_t err_size)
{
    const struct config *cfg = app->cfg;
    struct app_reactor *ar = &app->per_reactor[i];
    const struct reactor_options opt = {
        .index = (int)i,
        .max_fibers = (size_t)cfg->max_fibers,
        .stack_bytes = (size_t)cfg->fiber_stack,
    };
    const struct redis_options redis = {
        .url = cfg->redis_url,
        .client_name = "luna-server",
        .timeout = cfg->redis_timeout,
        .scripts = gate_scripts,
        .script_count = gate_script_count,
    };
    ar->reactor = app->reactors[i] = reactor_new(&opt);
    app->reactor_count = i + 1;
    ar->redis = app->redis[i] = redis_new(ar->reactor, &redis, err, err_size);
    if (!ar->redis)
        return false;
    db_attach(app->db, ar->reactor);
    quota_gate_attach(ar->reactor);
    quota_attach(ar->reactor);
    kalman_attach(ar->reactor, app->reactors, n);
    counts_attach(ar->reactor);
    if (i == 0)
        counts_roll_off_every(ar->reactor, cfg->counts_roll_off_interval);
    ar->stop.fn = on_reactor_stop;
    reactor_at_stop(ar->reactor, &ar->stop);
    return true;
}

static bool
make_reactors(struct app *app, char *err, size_t err_size)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n =
        app->cfg->reactors > 0 ? (size_t)app->cfg->reactors : (size_t)(cores > 0 ? cores : 1);
    size_t threads = app->cfg->compute_threads > 0 ? (size_t)app->cfg->compute_threads : n;
    app->per_reactor = calloc(n, sizeof(*app->per_reactor));
    app->reactors = calloc(n, sizeof(struct reactor *));
    app->redis = calloc(n, sizeof(struct redis *));
    ASSERT(app->per_reactor && app->reactors && app->redis);
    app->compute = compute_new(threads, threads * 256);
    compute_set_default(app->compute);
    for (size_t i = 0; i < n; i++)
        if (!make_reactor(app, i, n, err, err_size))
            return false;
    return true;
}

static bool
make_server(struct app *app, char *err, size_t err_size)
{
    const struct rpc_options opt = {
        .config = app->cfg,
        .reactors = app->reactors,
        .reactor_count = app->reactor_count,
        .services = all_services,
        .service_count = ARRAY_LEN(all_services),
        .interceptors = chain,
        .interceptor_count = ARRAY_LEN(chain),
        .descriptor_set = luna_descriptor_set,
        .descriptor_set_size = luna_descriptor_set_size,
    };
    app->rpc = rpc_server_new(&opt, err, err_size);
    return app->rpc != NULL;
}

/* ---- the admin port -------------------------------------------------------------------------- */

static void
render_metrics(struct buf *out, void *arg)
{
    struct app *app = arg;
    static void (*const more[])(struct buf *) = {quota_gate_metrics};
    const struct metrics_sources src = {
        .server = app->rpc,
        .reactors = app->reactors,
        .reactor_count = app->reactor_count,
        .db = app->db,
        .redis = app->redis,
        .compute = app->compute,
        .version = LUNA_VERSION,
        .more = more,
        .more_count = ARRAY_LEN(more),
    };
    metrics_render(out, &src);
}

static bool
is_healthy(struct buf *why, void *arg)
{
    (void)why;
    (void)arg;
    return true; /* the thread that answers lives; what hangs is for readiness */
}

static bool
is_ready(struct buf *why, void *arg)
{
    struct app *app = arg;
    bool ready = health_get(rpc_server_health(app->rpc), "") == HEALTH_SERVING;
    if (!ready)
        buf_puts(why, "not serving: starting, draining, or Postgres is away");
    return ready;
}

static bool
make_admin(struct app *app, char *err, size_t err_size)
{
    if (!*app->cfg->admin_address)
        return true;
    const struct http_admin_options opt = {
        .address = app->cfg->admin_address,
        .metrics = render_metrics,
        .healthy = is_healthy,
        .ready = is_ready,
        .arg = app,
    };
    app->admin = http_admin_start(&opt, err, err_size);
    return app->admin != NULL;
}

/* ---- serving --------------------------------------------------------------------------------- */

/* What is missing now, "" when nothing. Redis may be away once the server serves: methods say in
 * their policy what they do then. */
static void
look(const struct app *app, bool starting, char *ret_missing, size_t size)
{
    bool db = true;
    bool redis = true;
    for (size_t i = 0; i < app->reactor_count; i++) {
        db = db && db_healthy(app->reactors[i]);
        redis = redis && redis_is_ready(app->redis[i]);
    }
    snprintf(ret_missing, size, "%s%s%s", db ? "" : "Postgres", db || redis ? "" : " and ",
             redis || !starting ? "" : "Redis");
    if (!db && !redis && !starting)
        snprintf(ret_missing, size, "Postgres");
}

/* Tells health and the log when what is missing has changed. */
static void
watch(struct app *app, bool starting)
{
    char missing[sizeof(app->missing)];
    look(app, starting, missing, sizeof(missing));
    bool ready = !*missing;
    if (ready == app->ready && strcmp(missing, app->missing) == 0)
        return;
    if (ready)
        log_info("serving", log_str("addresses", app->cfg->listen_address));
    else
        log_warning("waiting", log_str("for", missing));
    health_set_all(rpc_server_health(app->rpc), ready ? HEALTH_SERVING : HEALTH_NOT_SERVING);
    app->ready = ready;
    snprintf(app->missing, sizeof(app->missing), "%s", missing);
}

/* Waits for a signal for at most `d`. True: one came. */
static bool
wait_signal(const struct app *app, nsec_t d)
{
    const struct timespec ts = {.tv_sec = d / SEC(1), .tv_nsec = d % SEC(1)};
    return sigtimedwait(&app->signals, NULL, &ts) > 0;
}

/* Compares the statements with the schema as soon as Postgres answers. False: they do not fit, or a
 * signal or start_timeout came first. */
static bool
wait_for_dependencies(struct app *app)
{
    nsec_t give_up =
        app->cfg->start_timeout > 0 ? clock_now() + app->cfg->start_timeout : NSEC_NEVER;
    char err[512];
    bool checked = false;
    while (!app->ready) {
        enum db_check_result check =
            checked ? DB_CHECK_OK : db_check(app->db, SEC(1), err, sizeof(err));
        if (check == DB_CHECK_MISMATCH || check == DB_CHECK_REFUSED) {
            log_critical("cannot start", log_str("why", err));
            return false;
        }
        checked = check == DB_CHECK_OK;
        watch(app, true);
        if (app->ready)
            break;
        if (clock_now() >= give_up) {
            log_critical("cannot start", log_str("missing", app->missing));
            return false;
        }
        if (wait_signal(app, MSEC(5)))
            return false;
    }
    return true;
}

static void
run(struct app *app)
{
    while (!wait_signal(app, WATCH_INTERVAL))
        watch(app, false);
    log_info("draining", log_duration("for_at_most", app->cfg->drain_timeout));
    rpc_server_drain(app->rpc);
}

static void
close_app(struct app *app, bool started)
{
    http_admin_stop(app->admin);
    if (started) {
        rpc_server_stop(app->rpc);
        for (size_t i = 0; i < app->reactor_count; i++) {
            quota_gate_close(app->reactors[i]);
            reactor_stop(app->reactors[i]);
        }
        for (size_t i = 0; i < app->reactor_count; i++)
            reactor_join(app->reactors[i]);
    } else {
        for (size_t i = 0; i < app->reactor_count; i++)
            if (app->per_reactor[i].stop.fn)
                on_reactor_stop(&app->per_reactor[i].stop);
    }
    if (app->rpc)
        rpc_server_free(app->rpc);
    for (size_t i = 0; i < app->reactor_count; i++)
        reactor_free(app->reactors[i]);
    compute_set_default(NULL);
    if (app->compute)
        compute_free(app->compute);
    auth_fini();
    quota_close();
    if (app->db)
        db_close(app->db);
    free(app->per_reactor);
    free(app->reactors);
    free(app->redis);
}

static bool
open_app(struct app *app, char *err, size_t err_size)
{
    const struct config *cfg = app->cfg;
    if (!app_check_config(cfg, err, err_size) || !quota_open(cfg, err, err_size))
        return false;
    struct auth_options auth = {
        .token = quota_authenticate,
        .anonymous = *cfg->anonymous_account ? quota_anonymous : NULL,
        .failures_per_minute = (unsigned)cfg->auth_failures,
    };
    struct str bad;
    if (!address_nets_parse(str_of(cfg->trusted_proxies), &auth.trusted, &bad)) {
        snprintf(err, err_size,
                 "trusted-proxies (LUNA_TRUSTED_PROXIES): " STR_FMT
                 " is neither an address, a network nor unix",
                 STR_ARG(bad));
        return false;
    }
    auth_init(&auth);
    quota_gate_init(cfg);
    idempotency_init(cfg);
    app->db = open_db(cfg);
    return make_reactors(app, err, err_size) && make_server(app, err, err_size) &&
           make_admin(app, err, err_size);
}

int
app_serve(const struct config *cfg)
{
    struct app app = {.cfg = cfg};
    char err[512];
    int code = 1;
    sigemptyset(&app.signals);
    sigaddset(&app.signals, SIGTERM);
    sigaddset(&app.signals, SIGINT);
    sigprocmask(SIG_BLOCK, &app.signals, NULL);
    bool opened = open_app(&app, err, sizeof(err));
    if (!opened) {
        fprintf(stderr, "luna-server: %s\n", err);
    } else {
        log_info("starting", log_str("version", LUNA_VERSION),
                 log_uint("reactors", app.reactor_count));
        for (size_t i = 0; i < app.reactor_count; i++)
            reactor_start(app.reactors[i]);
        rpc_server_start(app.rpc);
        if (wait_for_dependencies(&app)) {
            run(&app);
            code = 0;
        }
    }
    close_app(&app, opened);
    if (opened)
        log_info("stopped");
    return code;
}

/* ---- admin commands ---------------------------------------------------------------------------
 */

enum admin_command { CREATE_ACCOUNT, REBUILD_COUNTS, ROLL_OFF_COUNTS };

struct admin_work {
    const struct config *cfg;
    enum admin_command command;
    const char *name;
    bool admin;
    bool if_missing;
    bool dry_run;
    struct db *db;
    struct stop_hook stop;
    bool ok;
};

static void
on_admin_stop(struct stop_hook *h)
{
    (void)h;
    quota_detach(reactor_current());
    db_detach(reactor_current());
}

static enum status
do_command(struct ctx *ctx, const struct admin_work *w)
{
    if (w->command == CREATE_ACCOUNT)
        return quota_admin_create_account(ctx, w->name, w->admin, w->if_missing, stdout);
    ctx->deadline = NSEC_NEVER; /* all of the readings */
    return w->command == REBUILD_COUNTS ? counts_admin_rebuild(ctx, stdout)
                                        : counts_admin_roll_off(ctx, w->dry_run, stdout);
}

static void
do_admin_work(struct ctx *ctx, void *arg)
{
    struct admin_work *w = arg;
    db_attach(w->db, ctx->reactor);
    quota_attach(ctx->reactor);
    w->stop.fn = on_admin_stop;
    reactor_at_stop(ctx->reactor, &w->stop);
    ctx->deadline = clock_now() + SEC(10);
    enum status st = db_wait_healthy(ctx);
    if (st == OK)
        st = do_command(ctx, w);
    w->ok = st == OK;
    if (!w->ok)
        fprintf(stderr, "luna-server: %s%s%s\n",
                ctx->error.message ? ctx->error.message : status_name(st),
                ctx->error.detail ? ": " : "", ctx->error.detail ? ctx->error.detail : "");
}

static bool
parse_create_account(struct admin_work *w, int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--admin") == 0)
            w->admin = true;
        else if (strcmp(words[i], "--if-missing") == 0)
            w->if_missing = true;
        else if (words[i][0] != '-' && !w->name)
            w->name = words[i];
        else
            return false;
    }
    return w->name != NULL;
}

static bool
parse_admin(struct admin_work *w, int count, char **words)
{
    const char *word = count > 0 ? words[0] : "";
    if (strcmp(word, "create-account") == 0)
        return parse_create_account(w, count, words);
    if (strcmp(word, "rebuild-counts") == 0) {
        w->command = REBUILD_COUNTS;
        return count == 1;
    }
    w->command = ROLL_OFF_COUNTS;
    w->dry_run = count == 2 && strcmp(words[1], "--dry-run") == 0;
    return strcmp(word, "roll-off-counts") == 0 && (count == 1 || w->dry_run);
}

int
app_admin(const struct config *cfg, int count, char **words)
{
    struct admin_work w = {.cfg = cfg};
    char err[512];
    if (!parse_admin(&w, count, words)) {
        fputs("luna-server: admin takes create-account NAME [--admin] [--if-missing], "
              "rebuild-counts or roll-off-counts [--dry-run]\n",
              stderr);
        return 2;
    }
    struct config owner = *cfg;
    if (*cfg->database_owner_url)
        owner.database_url = cfg->database_owner_url;
    if (!*owner.database_url) {
        fputs("luna-server: database-owner-url (LUNA_DATABASE_OWNER_URL) is not set\n", stderr);
        return 2;
    }
    if (!quota_open(cfg, err, sizeof(err))) {
        fprintf(stderr, "luna-server: %s\n", err);
        return 2;
    }
    w.db = open_db(&owner);
    reactor_run_main(do_admin_work, &w);
    db_close(w.db);
    quota_close();
    return w.ok ? 0 : 1;
}
