/* Where the state of a durable filter comes from: Redis, or the log behind its last checkpoint. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cache/redis.h"
#include "kalman/durable_private.h"
#include "run/compute.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log holds little-endian doubles");

#define PAGE      4096 /* observations read at once */
#define STEP_NS   60   /* for states^2 x observations */
#define INLINE_NS 200000
#define KEEP_S    "604800" /* how long Redis keeps what nobody asks for */

static struct str
head_name(struct arena *a, int64_t account_id, const char *filter_id)
{
    return str_of(arena_printf(a, "kalman:{%" PRId64 "}:%s", account_id, filter_id));
}

struct str
durable_channel(struct arena *a, int64_t account_id, const char *filter_id)
{
    return str_of(arena_printf(a, "kalman-changes:{%" PRId64 "}:%s", account_id, filter_id));
}

void
durable_head_cached(struct ctx *ctx, int64_t account_id, const char *filter_id,
                    struct durable_head *ret, bool *ret_found)
{
    struct redis_reply *reply;
    struct str name = head_name(ctx->arena, account_id, filter_id);
    *ret_found = false;
    if (redis_call(ctx, &reply, STR("GET"), name) != OK) {
        if (!ctx->cancelled && ctx_left(ctx) > 0)
            fail_clear(ctx); /* the log knows as well */
        return;
    }
    *ret_found = reply->type == REDIS_STRING && durable_head_unpack(reply->str, ret) &&
                 ret->key.account_id == account_id;
}

void
durable_head_post(struct ctx *ctx, const char *filter_id, const struct durable_head *h)
{
    struct str name = head_name(ctx->arena, h->key.account_id, filter_id);
    const struct str set[] = {STR("SET"), name, durable_head_pack(ctx->arena, h), STR("EX"),
                              STR(KEEP_S)};
    const struct str tell[] = {STR("PUBLISH"),
                               durable_channel(ctx->arena, h->key.account_id, filter_id), STR("")};
    if (redis_post(ctx->reactor, set, ARRAY_LEN(set)))
        (void)redis_post(ctx->reactor, tell, ARRAY_LEN(tell));
}

void
durable_head_forget(struct ctx *ctx, int64_t account_id, const char *filter_id)
{
    const struct str tell[] = {STR("PUBLISH"), durable_channel(ctx->arena, account_id, filter_id),
                               STR("")};
    if (redis_call(ctx, NULL, STR("DEL"), head_name(ctx->arena, account_id, filter_id)) != OK)
        fail_clear(ctx); /* what stays there is of a generation or a filter that is gone */
    (void)redis_post(ctx->reactor, tell, ARRAY_LEN(tell));
}

/* ---- walking -----------------------------------------------------------------------------------
 */

struct stretch {
    struct durable_walk *walk;
    const struct durable_series *series;
    struct compute_task *task;
    bool done;
};

static bool
is_stopped(void *arg)
{
    const struct stretch *s = arg;
    return s->task && compute_cancelled(s->task);
}

static void
run_stretch(struct compute_task *task, void *arg)
{
    struct stretch *s = arg;
    struct ssm_stop stop = {.stop = is_stopped, .arg = s};
    s->task = task;
    s->done = durable_walk_on(s->walk, s->series, &stop);
}

enum status
durable_walk_over(struct ctx *ctx, struct durable_walk *w, const struct durable_series *s)
{
    struct stretch one = {.walk = w, .series = s};
    double m = (double)w->model->s.m;
    enum status st = OK;
    if (m * m * (double)s->n * STEP_NS <= INLINE_NS)
        run_stretch(NULL, &one);
    else
        st = compute_run(ctx, run_stretch, &one);
    if (st != OK || one.done)
        return st;
    return (st = ctx_check(ctx)) != OK ? st : fail_plain(ctx, CANCELLED_BY_CALLER);
}

static bool
is_before(double time, int64_t sequence, double other_time, int64_t other_sequence)
{
    return time < other_time || (time == other_time && sequence < other_sequence);
}

/* Both in order of time; of `b` only what lies before the end of `a`, or all when `a` is the last
 * page. */
static struct durable_series
merge(struct arena *arena, const struct durable_series *a, const struct durable_series *b,
      bool last_page, size_t p, size_t *ret_taken)
{
    double *times = arena_array(arena, a->n + b->n, sizeof(double));
    double *numbers = arena_array(arena, a->n + b->n, p * sizeof(double));
    int64_t *sequences = arena_array(arena, a->n + b->n, sizeof(int64_t));
    size_t n = 0, i = 0, k = 0;
    while (i < a->n || (last_page && k < b->n)) {
        bool from_b = k < b->n && (i == a->n || is_before(b->times[k], b->sequences[k], a->times[i],
                                                          a->sequences[i]));
        const struct durable_series *from = from_b ? b : a;
        size_t at = from_b ? k++ : i++;
        times[n] = from->times[at];
        sequences[n] = from->sequences[at];
        memcpy(numbers + n++ * p, from->numbers + at * p, p * sizeof(double));
    }
    *ret_taken = k;
    return (struct durable_series){times, sequences, numbers, n};
}

enum status
durable_walk_log(struct ctx *ctx, struct durable_walk *w, const struct kalman_log_key *key,
                 int64_t position, const struct durable_series *more)
{
    struct durable_series left = *more;
    size_t p = w->model->s.p;
    struct kalman_log page;
    do {
        enum status st =
            kalman_store_read_log(ctx, key, position, w->time, w->sequence, PAGE, &page);
        if (st != OK)
            return st;
        if (page.numbers.n != page.times.n * p * sizeof(double))
            return fail(ctx, INTERNAL_ERROR, "the log of the filter cannot be read");
        struct durable_series read = {page.times.float8s, page.sequences.int8s,
                                      arena_memdup(ctx->arena, page.numbers.p, page.numbers.n),
                                      page.times.n};
        size_t taken;
        struct durable_series all = merge(ctx->arena, &read, &left, read.n < PAGE, p, &taken);
        if ((st = durable_walk_over(ctx, w, &all)) != OK)
            return st;
        if (taken > 0) {
            left.times += taken;
            left.sequences += taken;
            left.numbers += taken * p;
            left.n -= taken;
        }
    } while (page.times.n == PAGE);
    return OK;
}

enum status
durable_walk_from(struct ctx *ctx, struct durable_walk *w, const struct model_spec *spec,
                  const struct kalman_log_key *key, int64_t position, double time, int64_t sequence)
{
    struct kalman_checkpoint c = {.time = -INFINITY};
    bool found = false;
    enum status st = kalman_store_find_checkpoint(ctx, key, position, DURABLE_FORMAT, time,
                                                  sequence, &c, &found);
    if (st != OK)
        return st;
    if (found && durable_walk_init(w, spec, ctx->arena, c.state, c.time, c.sequence, 0))
        return OK;
    if (found)
        durable_walk_fini(w);
    const struct str start = {NULL, 0};
    if (!durable_walk_init(w, spec, ctx->arena, start, -INFINITY, 0, 0)) {
        durable_walk_fini(w);
        return fail(ctx, INTERNAL_ERROR, "a filter cannot begin");
    }
    return OK;
}

/* The state behind the whole log. */
static enum status
rebuild(struct ctx *ctx, const struct kalman_filter *row, const struct model_spec *spec,
        struct durable_head *h)
{
    struct durable_walk w;
    const struct durable_series nothing = {0};
    enum status st = durable_walk_from(ctx, &w, spec, &h->key, row->position, INFINITY, INT64_MAX);
    if (st != OK)
        return st;
    st = durable_walk_log(ctx, &w, &h->key, row->position, &nothing);
    if (st == OK) {
        h->time = w.time;
        h->sequence = w.sequence;
        h->since = w.since;
        h->state = durable_walk_state(&w);
    }
    durable_walk_fini(&w);
    return st;
}

enum status
durable_head_of(struct ctx *ctx, const struct kalman_filter *row, const struct model_spec *spec,
                struct durable_head *ret, bool *ret_rebuilt)
{
    struct durable_head h;
    bool found;
    durable_head_cached(ctx, row->account_id, row->filter_id, &h, &found);
    if (ctx->error.reason != REASON_NONE)
        return ctx->error.status;
    if (found && h.key.filter_key == row->filter_key && h.key.generation == row->generation &&
        h.position == row->position) {
        *ret = h;
        *ret_rebuilt = false;
        return OK;
    }
    h = (struct durable_head){
        .key = {row->account_id, row->filter_key, row->generation},
        .position = row->position,
        .max_sequence = row->max_sequence,
        .time = -INFINITY,
        .model = row->model,
    };
    enum status st = row->position > 0 ? rebuild(ctx, row, spec, &h) : OK;
    if (st == OK) {
        *ret = h;
        *ret_rebuilt = true;
    }
    return st;
}
