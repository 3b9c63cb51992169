/* Counts out: at an instant, as events, in buckets. */
#include "counts/counts.h"

#include "counts/counts.sql.h"
#include "counts/counts_bucket.h"
#include "counts/counts_private.h"
#include "counts/counts_roll.sql.h"

/* ---- at an instant --------------------------------------------------------------------------- */

static enum status
read_at(struct ctx *ctx, int64_t space_id, usec_t at, struct counts_value_at *ret)
{
    return db_one(ctx, &sql_counts_at,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id), db_timestamptz(at)),
                  REASON_SPACE_NOT_FOUND, ret);
}

/* By what is known now: one statement, and another one where only sums are left. */
static enum status
count_at(struct ctx *ctx, int64_t space_id, usec_t at, struct counts_value *ret)
{
    struct counts_value_at v = {0};
    usec_t floor = at;
    enum status st = read_at(ctx, space_id, at, &v);
    const struct counts_policy p = {.grain_seconds = v.grain_seconds, .horizon = v.horizon};
    const bool gone = st == OK && p.grain_seconds > 0 && at < p.horizon;
    if (gone)
        floor = counts_policy_floor(&p, at);
    if (floor != at)
        st = read_at(ctx, space_id, floor, &v);
    if (st == OK)
        *ret = (struct counts_value){v.count, v.entrances, v.exits, v.capacity, floor, gone};
    return st;
}

/* What was not known at `known_at` is left out, reading by reading; of those that are gone it must
 * be everything. */
static enum status
count_at_known(struct ctx *ctx, int64_t space_id, usec_t at, usec_t known_at,
               const struct counts_policy *p, struct counts_value *ret)
{
    const usec_t floor = counts_policy_floor(p, at);
    const usec_t summed = floor < p->horizon ? floor : p->horizon - 1;
    const bool some_gone = p->horizon != -DB_INFINITY;
    if (some_gone && known_at < p->announced_at)
        return counts_fail_rolled_off(ctx, "it is not known what was known", p->announced_at);
    enum status st =
        db_one(ctx, &sql_counts_at_known,
               DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id), db_timestamptz(floor),
                       db_timestamptz(known_at), db_timestamptz(p->horizon),
                       db_timestamptz(some_gone ? summed : -DB_INFINITY)),
               REASON_SPACE_NOT_FOUND, ret);
    ret->at = floor;
    ret->rolled_off = some_gone && at < p->horizon;
    return st;
}

enum status
counts_at(struct ctx *ctx, int64_t space_id, usec_t at, usec_t known_at, struct counts_value *ret)
{
    struct counts_policy before;
    struct counts_policy p = {0};
    struct counts_space space;
    if (known_at == DB_INFINITY)
        return count_at(ctx, space_id, at, ret);
    enum status st = counts_get_space(ctx, space_id, &space);
    if (st == OK)
        st = counts_get_policy(ctx, &p);
    do { /* again, when the horizon has moved meanwhile */
        before = p;
        if (st == OK)
            st = count_at_known(ctx, space_id, at, known_at, &p, ret);
        if (st == OK)
            st = counts_get_policy(ctx, &p);
    } while (st == OK && p.horizon != before.horizon);
    return st;
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

/* A range without beginning begins where readings are kept. */
static enum status
begin_at_horizon(struct ctx *ctx, struct counts_range *range)
{
    struct counts_policy p;
    enum status st = counts_get_policy(ctx, &p);
    if (st == OK && range->from == -DB_INFINITY)
        range->from = p.horizon;
    return st;
}

/* Behind the reading of what lies behind `from`: was all of it there? */
static enum status
check_kept(struct ctx *ctx, usec_t from)
{
    struct counts_policy p;
    enum status st = counts_get_policy(ctx, &p);
    return st == OK && from < p.horizon
               ? counts_fail_rolled_off(ctx, "there are no events", p.horizon)
               : st;
}

enum status
counts_events(struct ctx *ctx, const struct counts_range *asked, const struct counts_cursor *after,
              int32_t limit, struct counts_event **ret, size_t *ret_n)
{
    struct counts_range range = *asked;
    const bool first = after->at == -DB_INFINITY;
    int64_t count = after->count;
    enum status st = begin_at_horizon(ctx, &range);
    if (st == OK && first)
        st = count_before(ctx, &range, &count);
    if (st == OK)
        st = db_many(ctx, &sql_counts_events,
                     DB_ARGS(db_int8(ctx->who.account_id), db_int8(range.space_id),
                             db_timestamptz(range.from), db_timestamptz(range.to),
                             db_timestamptz(range.known_at), db_timestamptz(after->at),
                             db_int4(after->dpu_id), db_int4(after->tag), db_int4(limit)),
                     ret, ret_n);
    if (st == OK)
        st = check_kept(ctx, first ? range.from : after->at);
    for (size_t i = 0; st == OK && i < *ret_n; i++)
        (*ret)[i].count = count += (*ret)[i].delta;
    return st;
}

/* Calls `fn` for each row of a :stream that is sorted by time. */
typedef enum status (*row_fn)(void *arg, const void *row);

static enum status
each_row(struct ctx *ctx, const struct db_stmt *stmt, const struct counts_range *range, void *row,
         size_t row_size, row_fn fn, void *arg)
{
    struct db_stream *stream;
    struct arena scratch;
    enum status st = db_stream_open(ctx, stmt,
                                    DB_ARGS(db_int8(ctx->who.account_id), db_int8(range->space_id),
                                            db_timestamptz(range->from), db_timestamptz(range->to),
                                            db_timestamptz(range->known_at)),
                                    &stream);
    if (st != OK)
        return st;
    arena_init(&scratch, 0);
    while (st == OK) {
        st = db_stream_next_at(stream, &scratch, row, row_size);
        if (st == OK)
            st = fn(arg, row);
        arena_reset(&scratch);
    }
    arena_fini(&scratch);
    db_stream_close(stream);
    return st == END ? OK : st;
}

struct each_event {
    counts_event_fn fn;
    void *arg;
    int64_t count;
};

static enum status
pass_event(void *arg, const void *row)
{
    struct each_event *each = arg;
    struct counts_event e = *(const struct counts_event *)row;
    e.count = each->count += e.delta;
    return each->fn(each->arg, &e);
}

enum status
counts_each_event(struct ctx *ctx, const struct counts_range *asked, counts_event_fn fn, void *arg)
{
    struct counts_range range = *asked;
    struct each_event each = {fn, arg, 0};
    struct counts_event row;
    enum status st = begin_at_horizon(ctx, &range);
    if (st == OK)
        st = check_kept(ctx, range.from);
    if (st == OK)
        st = count_before(ctx, &range, &each.count);
    if (st == OK)
        st = each_row(ctx, &sql_counts_each_event, &range, &row, sizeof(row), pass_event, &each);
    return st == OK ? check_kept(ctx, range.from) : st;
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
fold_event(void *arg, const void *row)
{
    const struct counts_event *e = row;
    bucket_fold_step(arg, e->at, e->delta > 0, e->delta < 0);
    return OK;
}

static enum status
fold_step(void *arg, const void *row)
{
    const struct counts_step *s = row;
    bucket_fold_step(arg, s->at, s->entrances, s->exits);
    return OK;
}

/* Fills the buckets: by events, or by what is left of them. */
static enum status
fold(struct ctx *ctx, const struct counts_range *r, bool some_gone, struct counts_bucket *buckets,
     size_t n)
{
    union {
        struct counts_event event;
        struct counts_step step;
    } row;
    struct bucket_fold f;
    int64_t count;
    enum status st = count_before(ctx, r, &count);
    if (st != OK)
        return st;
    bucket_fold_init(&f, buckets, n, count);
    if (some_gone)
        st = each_row(ctx, &sql_counts_each_step, r, &row, sizeof(row.step), fold_step, &f);
    else
        st = each_row(ctx, &sql_counts_each_event, r, &row, sizeof(row.event), fold_event, &f);
    bucket_fold_end(&f);
    return st;
}

/* Where raw readings are gone, buckets begin and end with roll-ups. */
static enum status
mark_rolled_off(struct ctx *ctx, const struct counts_policy *p, struct counts_bucket *buckets,
                size_t n)
{
    for (size_t i = 0; i < n && buckets[i].starts_at < p->horizon; i++) {
        const usec_t starts = buckets[i].starts_at;
        const usec_t ends = buckets[i].ends_at;
        buckets[i].rolled_off = true;
        if (counts_policy_floor(p, starts - 1) != starts - 1 ||
            counts_policy_floor(p, ends - 1) != ends - 1)
            return fail(ctx, READINGS_ROLLED_OFF,
                        "buckets before the time of which raw readings are kept must begin and end "
                        "with whole roll-ups of %d s",
                        p->grain_seconds);
    }
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

static enum status
read_extent(struct ctx *ctx, int64_t space_id, struct counts_extent *ret)
{
    return db_one(ctx, &sql_counts_extent, DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id)),
                  REASON_INTERNAL_ERROR, ret);
}

/* The first instant of the extent, or of what is left before the horizon. */
static enum status
find_first(struct ctx *ctx, int64_t space_id, const struct counts_policy *p,
           const struct counts_extent *extent, usec_t *ret)
{
    const usec_t grain = (usec_t)p->grain_seconds * 1000000;
    struct counts_edge sum = {0};
    *ret = extent->has_first_at ? extent->first_at : DB_INFINITY;
    if (p->horizon == -DB_INFINITY)
        return OK;
    enum status st =
        db_one(ctx, &sql_counts_first_sum, DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id)),
               REASON_INTERNAL_ERROR, &sum);
    if (st == OK && sum.at != 0 && sum.at < *ret)
        *ret = sum.at;
    if (*ret < p->horizon)
        *ret = *ret / grain * grain;
    return st;
}

enum status
counts_first_at(struct ctx *ctx, int64_t space_id, usec_t *ret)
{
    struct counts_policy p;
    struct counts_extent extent;
    enum status st = counts_get_policy(ctx, &p);
    if (st == OK)
        st = read_extent(ctx, space_id, &extent);
    return st == OK ? find_first(ctx, space_id, &p, &extent, ret) : st;
}

/* A range without open ends. */
static enum status
close_ends(struct ctx *ctx, const struct counts_policy *p, struct counts_range *r,
           struct counts_extent *ret_extent)
{
    const bool open = r->from == -DB_INFINITY;
    enum status st = read_extent(ctx, r->space_id, ret_extent);
    if (r->to == DB_INFINITY)
        r->to = clock_wall_us();
    if (st == OK && open)
        st = find_first(ctx, r->space_id, p, ret_extent, &r->from);
    if (open && r->from > r->to)
        r->from = r->to;
    if (st == OK && r->from > r->to)
        return fail_field(ctx, "from", "is after `to`");
    return st;
}

struct bucket_plan {
    struct bucket_width width;
    const char *zone;
    int64_t lateness_s;
};

static enum status
make_buckets(struct ctx *ctx, struct counts_range r, const struct bucket_plan *plan,
             const struct counts_policy *p, struct counts_bucket **ret, size_t *ret_n)
{
    struct counts_extent extent;
    struct counts_edge *edges;
    size_t n = 0;
    enum status st = close_ends(ctx, p, &r, &extent);
    *ret_n = 0;
    if (st != OK || r.from == r.to)
        return st;
    st = read_edges(ctx, &r, &plan->width, plan->zone, &edges, &n);
    if (st == OK)
        st = cut_edges(ctx, &r, edges, n, ret, &n);
    if (st == OK)
        st = mark_rolled_off(ctx, p, *ret, n);
    if (st == OK)
        st = fold(ctx, &r, r.from < p->horizon, *ret, n);
    if (st != OK)
        return st;
    mark_final(*ret, n, &extent, plan->lateness_s);
    *ret_n = n;
    return OK;
}

enum status
counts_buckets(struct ctx *ctx, const struct counts_range *range, const char *width,
               const char *zone, int64_t lateness_s, struct counts_bucket **ret, size_t *ret_n)
{
    struct bucket_plan plan = {.lateness_s = lateness_s};
    struct counts_policy before;
    struct counts_policy p = {0};
    struct counts_space space;
    enum status st = OK;
    if (!bucket_width_parse(str_of(width), &plan.width))
        st = fail_field(ctx, "bucket", "is not a number with s, m, h, d, w, mo or y");
    if (st == OK && zone && *zone)
        st = counts_check_zone(ctx, "time_zone", zone);
    if (st == OK)
        st = counts_get_space(ctx, range->space_id, &space);
    if (st != OK)
        return st;
    plan.zone = zone && *zone ? zone : space.time_zone;
    st = counts_get_policy(ctx, &p);
    do { /* again, when the horizon has moved meanwhile */
        before = p;
        if (st == OK)
            st = make_buckets(ctx, *range, &plan, &p, ret, ret_n);
        if (st == OK)
            st = counts_get_policy(ctx, &p);
    } while (st == OK && p.horizon != before.horizon);
    return st;
}
