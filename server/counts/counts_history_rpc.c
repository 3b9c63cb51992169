/* Counts at an instant and histories: GetCounts and ListCounts. */
#include <inttypes.h>

#include "counts/counts_convert_rpc.h"
#include "edge/page_token.h"
#include "luna/v1/counts.pb-c.h"

#define TEXT(s) ((char *)(uintptr_t)(s))

/* What both requests ask. */
struct question {
    bool has_at;
    usec_t at;
    struct counts_range range;
    const char *bucket;
    const char *zone;
    int64_t lateness_s;
};

static enum status
read_question(struct ctx *ctx, const Google__Protobuf__Timestamp *at,
              const Google__Protobuf__Timestamp *known_at, const Google__Protobuf__Timestamp *from,
              const Google__Protobuf__Timestamp *to, struct question *q)
{
    q->has_at = at != NULL;
    q->range.from = -DB_INFINITY;
    q->range.to = q->range.known_at = q->at = DB_INFINITY;
    enum status st = counts_read_time(ctx, "at", at, &q->at);
    if (st == OK)
        st = counts_read_time(ctx, "known_at", known_at, &q->range.known_at);
    if (st == OK)
        st = counts_read_time(ctx, "from", from, &q->range.from);
    if (st == OK)
        st = counts_read_time(ctx, "to", to, &q->range.to);
    if (at && (from || to))
        st = fail_field(ctx, "at", "stands beside `from` or `to`");
    if (q->lateness_s < 0 || q->lateness_s > INT64_C(3155760000))
        st = fail_field(ctx, "lateness_seconds", "must be from 0 to 3155760000");
    if (q->lateness_s == 0)
        q->lateness_s = 3600;
    return st;
}

/* The count that stands beside the history: at `at`, or at its end. */
static enum status
answer_count(struct ctx *ctx, const struct question *q, struct counts_value *v,
             Luna__V1__SpaceCount **ret)
{
    const usec_t end = q->range.to == DB_INFINITY ? DB_INFINITY : q->range.to - 1;
    const usec_t at = q->has_at ? q->at : end;
    enum status st = counts_at(ctx, q->range.space_id, at, q->range.known_at, v);
    if (st == OK)
        *ret = counts_write_count(ctx->arena, q->range.space_id, v->at, v);
    return st;
}

static enum status
answer_buckets(struct ctx *ctx, const struct question *q, int32_t capacity,
               Luna__V1__CountBucket ***ret, size_t *ret_n)
{
    struct counts_bucket *buckets;
    enum status st =
        counts_buckets(ctx, &q->range, q->bucket, q->zone, q->lateness_s, &buckets, ret_n);
    if (st != OK)
        return st;
    *ret = arena_new_n(ctx->arena, Luna__V1__CountBucket *, *ret_n);
    for (size_t i = 0; i < *ret_n; i++)
        (*ret)[i] = counts_write_bucket(ctx->arena, &buckets[i], capacity);
    return OK;
}

/* ---- events in pages ------------------------------------------------------------------------- */

static struct str
event_binding(struct ctx *ctx, const struct counts_range *r)
{
    return str_of(arena_printf(ctx->arena, "events|%" PRId64 "|%" PRId64 "|%" PRId64 "|%" PRId64,
                               r->space_id, r->from, r->to, r->known_at));
}

static enum status
read_cursor(struct ctx *ctx, const struct counts_range *r, const char *token,
            struct counts_cursor *ret)
{
    struct str cursor;
    int64_t v[4];
    *ret = (struct counts_cursor){.at = -DB_INFINITY};
    if (!*token)
        return OK;
    bool good = page_token_read(ctx->arena, str_of(token), event_binding(ctx, r), &cursor);
    for (size_t i = 0; good && i < ARRAY_LEN(v); i++)
        good = str_to_i64(str_cut(&cursor, ' '), &v[i]);
    if (!good)
        return fail_field(ctx, "page_token", "is not one of this history");
    *ret = (struct counts_cursor){v[0], (int32_t)v[1], (int32_t)v[2], v[3]};
    return OK;
}

static enum status
answer_events(struct ctx *ctx, const struct counts_range *range, int32_t page_size,
              const char *token, Luna__V1__GetCountsResponse *resp)
{
    struct counts_cursor after;
    struct counts_event *rows;
    int32_t limit;
    size_t n = 0;
    enum status st = page_size_read(ctx, page_size, 1000, 10000, &limit);
    if (st == OK)
        st = read_cursor(ctx, range, token, &after);
    if (st == OK)
        st = counts_events(ctx, range, &after, limit + 1, &rows, &n);
    if (st != OK)
        return st;
    if (n > (size_t)limit) {
        n = (size_t)limit;
        const struct counts_event *e = &rows[n - 1];
        const char *cursor =
            arena_printf(ctx->arena, "%" PRId64 " %" PRId32 " %" PRId32 " %" PRId64, e->at,
                         e->dpu_id, e->tag, e->count);
        resp->next_page_token =
            TEXT(page_token_make(ctx->arena, event_binding(ctx, range), str_of(cursor)));
    }
    resp->n_events = n;
    resp->events = arena_new_n(ctx->arena, Luna__V1__CountEvent *, n);
    for (size_t i = 0; i < n; i++)
        resp->events[i] = counts_write_event(ctx->arena, &rows[i]);
    return OK;
}

/* ---- the methods ----------------------------------------------------------------------------- */

/* May be kept by caches: no late data is expected, and "up to now" is another history each time. */
static bool
is_final(const Luna__V1__GetCountsRequest *req, const Luna__V1__GetCountsResponse *resp)
{
    for (size_t i = 0; i < resp->n_buckets; i++)
        if (!resp->buckets[i]->final)
            return false;
    return req->to && resp->n_buckets > 0;
}

enum status
counts_answer_counts(struct call *call, const Luna__V1__GetCountsRequest *req,
                     Luna__V1__GetCountsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct question q = {.range = {.space_id = req->space_id},
                         .bucket = req->bucket,
                         .zone = req->time_zone,
                         .lateness_s = req->lateness_seconds};
    struct counts_value v;
    enum status st = read_question(ctx, req->at, req->known_at, req->from, req->to, &q);
    if (st == OK)
        st = answer_count(ctx, &q, &v, &resp->count);
    if (st == OK && !q.has_at && *q.bucket)
        st = answer_buckets(ctx, &q, v.capacity, &resp->buckets, &resp->n_buckets);
    else if (st == OK && !q.has_at)
        st = answer_events(ctx, &q.range, req->page_size, req->page_token, resp);
    if (st == OK && !q.has_at)
        st = counts_answer_horizon(ctx, &resp->rolled_off_before);
    if (st == OK && !is_final(req, resp))
        call_set_header(call, "cache-control", "no-store");
    return st;
}

static enum status
answer_space(struct ctx *ctx, struct question *q, int64_t space_id, Luna__V1__SpaceHistory **ret)
{
    Luna__V1__SpaceHistory *h =
        rpc_new(ctx->arena, Luna__V1__SpaceHistory, luna__v1__space_history__descriptor);
    struct counts_value v;
    q->range.space_id = space_id;
    enum status st = answer_count(ctx, q, &v, &h->count);
    if (st == OK && !q->has_at && *q->bucket)
        st = answer_buckets(ctx, q, v.capacity, &h->buckets, &h->n_buckets);
    *ret = h;
    return st;
}

enum status
counts_answer_list(struct call *call, const Luna__V1__ListCountsRequest *req,
                   Luna__V1__ListCountsResponse *resp)
{
    static const struct str binding = {"counts", 6};
    struct ctx *ctx = &call->ctx;
    struct question q = {
        .bucket = req->bucket, .zone = req->time_zone, .lateness_s = req->lateness_seconds};
    int64_t *ids;
    int64_t after;
    int32_t limit;
    size_t n = 0;
    enum status st = read_question(ctx, req->at, req->known_at, req->from, req->to, &q);
    if (st == OK)
        st = page_size_read(ctx, req->page_size, 100, 1000, &limit);
    if (st == OK)
        st = page_token_read_id(ctx, req->page_token, binding, &after);
    if (st == OK)
        st = counts_space_ids(ctx, after, limit + 1, &ids, &n);
    if (st != OK)
        return st;
    if (n > (size_t)limit) {
        n = (size_t)limit;
        resp->next_page_token = TEXT(page_token_make_id(ctx->arena, binding, ids[n - 1]));
    }
    resp->counts = arena_new_n(ctx->arena, Luna__V1__SpaceHistory *, n);
    for (; resp->n_counts < n && st == OK; resp->n_counts++)
        st = answer_space(ctx, &q, ids[resp->n_counts], &resp->counts[resp->n_counts]);
    return st;
}
