/* Durable filters as a whole: made, read, reset, deleted, watched. */
#include <stdlib.h>
#include <string.h>

#include "cache/subscribe.h"
#include "kalman/durable_private.h"
#include "kalman/kalman_model.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "run/timer.h"

#define WATCH_EVERY SEC(5) /* a watcher looks by itself: a message of Redis may be lost */
#define GET_TRIES   5

static bool
is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum status
durable_check_id(struct ctx *ctx, const char *filter_id)
{
    size_t n = strlen(filter_id);
    bool good = n >= 1 && n <= 63 && is_alphanumeric(filter_id[0]);
    for (size_t i = 0; good && i < n; i++)
        good = is_alphanumeric(filter_id[i]) || strchr("-_.", filter_id[i]);
    if (good)
        return OK;
    return fail_field(ctx, "filter_id",
                      "is not 1 to 63 of a-z, A-Z, 0-9, \"-\", \"_\" and \".\", beginning with a "
                      "letter or digit");
}

enum status
durable_check_model(struct ctx *ctx, const struct model_spec *spec)
{
    enum status st = OK, bad;
    if (spec->kind == MODEL_STRUCTURAL && spec->structural.regressor_count > 0)
        return fail_field(ctx, "model.structural.regressors",
                          "have no place in a filter whose values are yet to come");
    if (spec->kind == MODEL_MOTION && spec->times)
        return fail_field(ctx, "model.motion.times", "are those of the observations");
    if ((st = kalman_check_model(ctx, "model", spec, 1)) != OK)
        return st;
    struct model *m = model_new(spec, 1, ctx->arena);
    for (size_t i = 0; i < m->parameter_count; i++) {
        if (m->parameters[i].given)
            continue;
        bad = fail_field(ctx, arena_printf(ctx->arena, "model.%s", m->parameters[i].name),
                         "is not given");
        st = st == OK ? bad : st;
    }
    return st;
}

enum status
durable_create(struct ctx *ctx, int64_t account_id, const char *filter_id, struct str model,
               struct kalman_filter *ret)
{
    enum status st = durable_check_id(ctx, filter_id);
    return st == OK ? kalman_store_insert_filter(ctx, account_id, filter_id, model, ret) : st;
}

static enum status
estimate(struct ctx *ctx, const struct model_spec *spec, const struct durable_head *h,
         struct durable_estimate *ret)
{
    struct durable_walk w;
    *ret = (struct durable_estimate){.position = h->position};
    if (h->position == 0)
        return OK;
    bool good = durable_walk_init(&w, spec, ctx->arena, h->state, h->time, h->sequence, h->since);
    if (good)
        durable_walk_estimate(&w, ctx->arena, ret);
    durable_walk_fini(&w);
    ret->time = h->time;
    return good ? OK : fail(ctx, INTERNAL_ERROR, "the state of the filter cannot be read");
}

/* The log is read in several statements: true when a reset or a deletion came between. */
static enum status
has_changed(struct ctx *ctx, const struct kalman_filter *row, bool *ret)
{
    struct kalman_filter now;
    enum status st = kalman_store_get_filter(ctx, row->account_id, row->filter_id, &now);
    if (st == OK)
        *ret = now.filter_key != row->filter_key || now.generation != row->generation;
    return st;
}

enum status
durable_get(struct ctx *ctx, int64_t account_id, const char *filter_id, struct kalman_filter *ret,
            struct durable_estimate *ret_estimate)
{
    enum status st = durable_check_id(ctx, filter_id);
    for (int i = 0; st == OK && i < GET_TRIES; i++) {
        struct model_spec spec;
        struct durable_head h;
        bool rebuilt = false, changed = false;
        st = kalman_store_get_filter(ctx, account_id, filter_id, ret);
        if (st == OK)
            st = durable_read_model(ctx, ret->model, &spec);
        if (st == OK)
            st = durable_head_of(ctx, ret, &spec, &h, &rebuilt);
        if (st == OK && rebuilt)
            st = has_changed(ctx, ret, &changed);
        if (st != OK || changed)
            continue;
        if (rebuilt)
            durable_head_post(ctx, filter_id, &h);
        return estimate(ctx, &spec, &h, ret_estimate);
    }
    return st != OK ? st : fail_plain(ctx, DB_CONFLICT);
}

enum status
durable_reset(struct ctx *ctx, int64_t account_id, const char *filter_id, struct kalman_filter *ret)
{
    enum status st = durable_check_id(ctx, filter_id);
    if (st == OK)
        st = kalman_store_reset_filter(ctx, account_id, filter_id, ret);
    if (st == OK)
        durable_head_forget(ctx, account_id, filter_id);
    return st;
}

enum status
durable_delete(struct ctx *ctx, int64_t account_id, const char *filter_id)
{
    enum status st = durable_check_id(ctx, filter_id);
    if (st == OK)
        st = kalman_store_delete_filter(ctx, account_id, filter_id);
    if (st == OK)
        durable_head_forget(ctx, account_id, filter_id);
    return st;
}

/* ---- watching ----------------------------------------------------------------------------------
 */

struct durable_watch {
    struct reactor *reactor;
    struct redis_subscription *subscription;
    struct timer timer;
    struct cond changed;
    bool due;
};

static void
look_again(struct durable_watch *w)
{
    w->due = true;
    cond_broadcast(&w->changed);
}

static void
on_event(void *arg, enum redis_event event, struct str payload)
{
    (void)payload;
    if (event != REDIS_EVENT_LOST)
        look_again(arg);
}

static void
on_timer(struct timer *t)
{
    look_again(container_of(t, struct durable_watch, timer));
}

struct durable_watch *
durable_watch_new(struct ctx *ctx, int64_t account_id, const char *filter_id)
{
    struct durable_watch *w = calloc(1, sizeof(*w));
    ASSERT(w);
    w->reactor = ctx->reactor;
    cond_init(&w->changed);
    timer_init(&w->timer, on_timer);
    w->subscription = redis_subscribe(
        ctx->reactor, durable_channel(ctx->arena, account_id, filter_id), on_event, w);
    return w;
}

void
durable_watch_free(struct durable_watch *w)
{
    timer_stop(w->reactor, &w->timer);
    if (w->subscription)
        redis_unsubscribe(w->subscription);
    free(w);
}

enum status
durable_watch_wait(struct durable_watch *w, struct ctx *ctx)
{
    enum status st = OK;
    timer_set(w->reactor, &w->timer, clock_now() + WATCH_EVERY);
    while (st == OK && !w->due)
        st = cond_wait(&w->changed, ctx);
    w->due = false;
    return st;
}
