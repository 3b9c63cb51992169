/* Counts out: current, at an instant, as events, in buckets. */
#include "counts/counts.h"

#include <stdlib.h>

#include "counts/counts.sql.h"
#include "counts/counts_bucket.h"
#include "counts/counts_private.h"

/* ---- current: callers of the same space share a statement -------------------------------------
 */

/* A statement that waits to leave, or is under way. For each space one is in the air at most, and
 * one takes callers on meanwhile: nobody's answer is older than his question. */
struct flight {
    struct list link; /* in the reactor's flights, until it lands */
    int64_t account_id;
    int64_t space_id;
    size_t callers; /* who hold on to it, the first included */
    struct cond landed;
    bool airborne;
    bool done;
    enum reason failed;
    struct counts_value value;
};

static struct flight *
find_flight(struct counts_reactor *c, int64_t account_id, int64_t space_id, bool airborne)
{
    list_foreach (it, &c->flights) {
        struct flight *f = container_of(it, struct flight, link);
        if (f->account_id == account_id && f->space_id == space_id && f->airborne == airborne)
            return f;
    }
    return NULL;
}

static enum status
read_current(struct ctx *ctx, int64_t space_id, struct counts_value *ret)
{
    return db_one(ctx, &sql_counts_current,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id)), REASON_SPACE_NOT_FOUND,
                  ret);
}

static void
leave_flight(struct flight *f)
{
    if (--f->callers == 0)
        free(f);
}

static enum status
wait_landed(struct ctx *ctx, struct flight *f)
{
    enum status st = OK;
    f->callers++;
    while (!f->done && st == OK)
        st = cond_wait(&f->landed, ctx);
    return st;
}

/* Waits for the flight of another caller. When that failed for a reason of its own (cancelled,
 * late), this one asks for itself. */
static enum status
join_flight(struct ctx *ctx, struct flight *f, struct counts_value *ret)
{
    enum status st = wait_landed(ctx, f);
    const int64_t space_id = f->space_id;
    const enum reason failed = f->failed;
    const bool landed = st == OK && failed == REASON_NONE;
    if (landed)
        *ret = f->value;
    leave_flight(f);
    if (st != OK || landed)
        return st;
    if (failed == REASON_SPACE_NOT_FOUND)
        return fail_plain(ctx, SPACE_NOT_FOUND);
    return read_current(ctx, space_id, ret);
}

/* Others get aboard while the flight before is in the air, or until the end of this turn. */
static enum status
board(struct ctx *ctx, struct counts_reactor *c, const struct flight *f)
{
    struct flight *before = find_flight(c, f->account_id, f->space_id, true);
    if (!before)
        return fiber_yield(ctx);
    enum status st = wait_landed(ctx, before);
    leave_flight(before);
    return st;
}

enum status
counts_current(struct ctx *ctx, int64_t space_id, struct counts_value *ret)
{
    struct counts_reactor *c = counts_of(ctx->reactor);
    struct flight *f = find_flight(c, ctx->who.account_id, space_id, false);
    if (f)
        return join_flight(ctx, f, ret);
    f = calloc(1, sizeof(*f));
    ASSERT(f);
    f->account_id = ctx->who.account_id;
    f->space_id = space_id;
    f->callers = 1;
    cond_init(&f->landed);
    list_push(&c->flights, &f->link);
    enum status st = board(ctx, c, f);
    f->airborne = true;
    if (st == OK)
        st = read_current(ctx, space_id, &f->value);
    list_remove(&f->link);
    f->done = true;
    f->failed = st == OK ? REASON_NONE : ctx->error.reason;
    if (st == OK)
        *ret = f->value;
    cond_broadcast(&f->landed);
    leave_flight(f);
    return st;
}

enum status
counts_at(struct ctx *ctx, int64_t space_id, usec_t at, usec_t known_at, struct counts_value *ret)
{
    const int64_t account = ctx->who.account_id;
    if (known_at == DB_INFINITY)
        return db_one(ctx, &sql_counts_at,
                      DB_ARGS(db_int8(account), db_int8(space_id), db_timestamptz(at)),
                      REASON_SPACE_NOT_FOUND, ret);
    struct counts_space space;
    enum status st = counts_get_space(ctx, space_id, &space);
    if (st != OK)
        return st;
    return db_one(
        ctx, &sql_counts_at_known,
        DB_ARGS(db_int8(account), db_int8(space_id), db_timestamptz(at), db_timestamptz(known_at)),
        REASON_SPACE_NOT_FOUND, ret);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The count just before the range. */
static enum status
count_before(struct ctx *ctx, const struct counts_range *range, int64_t *ret)
{
    struct counts_value value;
    const usec_t before = range->from == -DB_INFINITY ? range->from : range->from - 1;
    enum status st = counts_at(ctx, range->space_id, before, range->known_at, &value);
    if (st == OK)
        *ret = range->from == -DB_INFINITY ? 0 : value.count;
    return st;
}

enum status
counts_events(struct ctx *ctx, const struct counts_range *range, const struct counts_cursor *after,
              int32_t limit, struct counts_event **ret, size_t *ret_n)
{
    int64_t count = after->count;
    enum status st = OK;
    if (after->at == -DB_INFINITY)
        st = count_before(ctx, range, &count);
    if (st == OK)
        st = db_many(ctx, &sql_counts_events,
                     DB_ARGS(db_int8(ctx->who.account_id), db_int8(range->space_id),
                             db_timestamptz(range->from), db_timestamptz(range->to),
                             db_timestamptz(range->known_at), db_timestamptz(after->at),
                             db_int4(after->dpu_id), db_int4(after->tag), db_int4(limit)),
                     ret, ret_n);
    for (size_t i = 0; st == OK && i < *ret_n; i++)
        (*ret)[i].count = count += (*ret)[i].delta;
    return st;
}

enum status
counts_each_event(struct ctx *ctx, const struct counts_range *range, counts_event_fn fn, void *arg)
{
    struct db_stream *stream;
    struct arena scratch;
    int64_t count = 0;
    enum status st = count_before(ctx, range, &count);
    if (st == OK)
        st = db_stream_open(ctx, &sql_counts_each_event,
                            DB_ARGS(db_int8(ctx->who.account_id), db_int8(range->space_id),
                                    db_timestamptz(range->from), db_timestamptz(range->to),
                                    db_timestamptz(range->known_at)),
                            &stream);
    if (st != OK)
        return st;
    arena_init(&scratch, 0);
    while (st == OK) {
        struct counts_event e = {0};
        st = db_stream_next(stream, &scratch, &e);
        if (st != OK)
            break;
        e.count = count += e.delta;
        st = fn(arg, &e);
        arena_reset(&scratch);
    }
    arena_fini(&scratch);
    db_stream_close(stream);
    return st == END ? OK : st;
}

/* ---- buckets --------------------------------------------------------------------------------- */

static enum status
read_edges(struct ctx *ctx, const struct counts_range *r, const struct bucket_width *w,
           const char *zone, struct counts_edge **ret, size_t *ret_n)
{
    enum status st;
    if (w->unit)
        st = db_many(ctx, &sql_counts_calendar_edges,
                     DB_ARGS(db_timestamptz(r->from), db_timestamptz(r->to), db_text(w->unit),
                             db_int4(w->months), db_int4(w->days), db_text(zone)),
                     ret, ret_n);
    else
        st = db_many(ctx, &sql_counts_clock_edges,
                     DB_ARGS(db_timestamptz(r->from), db_timestamptz(r->to),
                             db_float8((double)w->seconds), db_bool(86400 % w->seconds == 0),
                             db_text(zone)),
                     ret, ret_n);
    return st;
}

/* Buckets between the edges, cut to the range. */
static enum status
cut_edges(struct ctx *ctx, const struct counts_range *r, const struct counts_edge *edges, size_t n,
          struct counts_bucket **ret, size_t *ret_n)
{
    struct counts_bucket *buckets = arena_new_n(ctx->arena, struct counts_bucket, n + 1);
    size_t k = 0;
    bool complete = false;
    for (size_t i = 0; i + 1 < n && !complete; i++) {
        if (edges[i + 1].at <= r->from)
            continue;
        const usec_t starts = edges[i].at > r->from ? edges[i].at : r->from;
        const usec_t ends = edges[i + 1].at < r->to ? edges[i + 1].at : r->to;
        if (starts < ends)
            buckets[k++] = (struct counts_bucket){.starts_at = starts, .ends_at = ends};
        complete = edges[i + 1].at >= r->to;
    }
    if (!complete || k > COUNTS_MAX_BUCKETS)
        return fail_field(ctx, "bucket", "makes more than %d buckets", COUNTS_MAX_BUCKETS);
    *ret = buckets;
    *ret_n = k;
    return OK;
}

static enum status
fold_event(void *arg, const struct counts_event *e)
{
    bucket_fold_event(arg, e->at, e->delta);
    return OK;
}

static void
mark_final(struct counts_bucket *buckets, size_t n, const struct counts_extent *extent,
           int64_t lateness_s)
{
    const usec_t quiet = clock_wall_us() - lateness_s * 1000000;
    for (size_t i = 0; i < n; i++)
        buckets[i].final = buckets[i].ends_at <= quiet &&
                           (!extent->has_seen_until || buckets[i].ends_at <= extent->seen_until);
}

/* A range without open ends. */
static enum status
close_ends(struct ctx *ctx, struct counts_range *r, struct counts_extent *ret_extent)
{
    enum status st =
        db_one(ctx, &sql_counts_extent, DB_ARGS(db_int8(ctx->who.account_id), db_int8(r->space_id)),
               REASON_INTERNAL_ERROR, ret_extent);
    if (st != OK)
        return st;
    if (r->to == DB_INFINITY)
        r->to = clock_wall_us();
    if (r->from == -DB_INFINITY)
        r->from = ret_extent->has_first_at ? ret_extent->first_at : r->to;
    if (r->from > r->to)
        return fail_field(ctx, "from", "is after `to`");
    return OK;
}

enum status
counts_buckets(struct ctx *ctx, const struct counts_range *range, const char *width,
               const char *zone, int64_t lateness_s, struct counts_bucket **ret, size_t *ret_n)
{
    struct counts_range r = *range;
    struct counts_extent extent;
    struct counts_space space;
    struct bucket_width w;
    struct counts_edge *edges;
    struct bucket_fold fold;
    int64_t count;
    size_t n = 0;
    enum status st = OK;
    if (!bucket_width_parse(str_of(width), &w))
        st = fail_field(ctx, "bucket", "is not a number with s, m, h, d, w, mo or y");
    if (st == OK && zone && *zone)
        st = counts_check_zone(ctx, "time_zone", zone);
    if (st == OK)
        st = counts_get_space(ctx, r.space_id, &space);
    if (st == OK)
        st = close_ends(ctx, &r, &extent);
    *ret_n = 0;
    if (st != OK || r.from == r.to)
        return st;
    st = read_edges(ctx, &r, &w, zone && *zone ? zone : space.time_zone, &edges, &n);
    if (st == OK)
        st = cut_edges(ctx, &r, edges, n, ret, &n);
    if (st == OK)
        st = count_before(ctx, &r, &count);
    if (st != OK)
        return st;
    bucket_fold_init(&fold, *ret, n, count);
    st = counts_each_event(ctx, &r, fold_event, &fold);
    if (st != OK)
        return st;
    bucket_fold_end(&fold);
    mark_final(*ret, n, &extent, lateness_s);
    *ret_n = n;
    return OK;
}
