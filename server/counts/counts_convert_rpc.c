#include "counts/counts_convert_rpc.h"

#include "luna/v1/counts.pb-c.h"

#include <inttypes.h>

#define TEXT(s) ((char *)(uintptr_t)(s))

Google__Protobuf__Timestamp *
counts_write_time(struct arena *a, usec_t t)
{
    if (t == DB_INFINITY || t == -DB_INFINITY)
        return NULL;
    return rpc_timestamp(a, t);
}

static bool
is_time(const Google__Protobuf__Timestamp *ts)
{
    return ts->seconds >= INT64_C(-62135596800) && ts->seconds <= INT64_C(253402300799) &&
           ts->nanos >= 0 && ts->nanos <= 999999999;
}

enum status
counts_read_time(struct ctx *ctx, const char *field, const Google__Protobuf__Timestamp *ts,
                 usec_t *ret)
{
    if (!ts)
        return OK;
    if (!is_time(ts))
        return fail_field(ctx, field, "is not a time between the years 1 and 9999");
    *ret = ts->seconds * 1000000 + ts->nanos / 1000;
    return OK;
}

double
counts_utilisation(double count, int32_t capacity)
{
    return capacity > 0 ? count / capacity : 0;
}

Luna__V1__Space *
counts_write_space(struct arena *a, const struct counts_space *row)
{
    Luna__V1__Space *m = rpc_new(a, Luna__V1__Space, luna__v1__space__descriptor);
    m->space_id = row->space_id;
    m->name = TEXT(row->name);
    m->capacity = row->capacity;
    m->parent_id = row->parent_id;
    m->time_zone = TEXT(row->time_zone);
    m->created_at = counts_write_time(a, row->created_at);
    m->updated_at = counts_write_time(a, row->updated_at);
    m->etag = TEXT(counts_etag(a, row->updated_at));
    return m;
}

Luna__V1__Doorway *
counts_write_doorway(struct arena *a, const struct counts_doorway *row)
{
    Luna__V1__Doorway *m = rpc_new(a, Luna__V1__Doorway, luna__v1__doorway__descriptor);
    m->doorway_id = row->doorway_id;
    m->name = TEXT(row->name);
    m->ingress_space_id = row->ingress_space_id;
    m->egress_space_id = row->egress_space_id;
    m->created_at = counts_write_time(a, row->created_at);
    m->updated_at = counts_write_time(a, row->updated_at);
    m->etag = TEXT(counts_etag(a, row->updated_at));
    return m;
}

Luna__V1__Dpu *
counts_write_dpu(struct arena *a, const struct counts_dpu *row)
{
    Luna__V1__Dpu *m = rpc_new(a, Luna__V1__Dpu, luna__v1__dpu__descriptor);
    m->dpu_id = row->dpu_id;
    m->name = TEXT(row->name);
    m->serial = TEXT(row->serial);
    m->created_at = counts_write_time(a, row->created_at);
    m->updated_at = counts_write_time(a, row->updated_at);
    m->etag = TEXT(counts_etag(a, row->updated_at));
    return m;
}

Luna__V1__Assignment *
counts_write_assignment(struct arena *a, const struct counts_assignment *row)
{
    Luna__V1__Assignment *m = rpc_new(a, Luna__V1__Assignment, luna__v1__assignment__descriptor);
    m->assignment_id = row->assignment_id;
    m->dpu_id = row->dpu_id;
    m->doorway_id = row->doorway_id;
    m->starts_at = counts_write_time(a, row->starts_at);
    m->ends_at = counts_write_time(a, row->ends_at);
    m->recorded_at = counts_write_time(a, row->recorded_at);
    return m;
}

Luna__V1__Reading *
counts_write_reading(struct arena *a, const struct counts_reading *row)
{
    Luna__V1__Reading *m = rpc_new(a, Luna__V1__Reading, luna__v1__reading__descriptor);
    m->dpu_id = row->dpu_id;
    m->timestamp = counts_write_time(a, row->at);
    m->direction = row->direction;
    if (row->event_id)
        m->event_id = TEXT(row->event_id);
    m->reading_id = arena_printf(a, "%" PRId64 "-%" PRId64 "-%s%" PRId32, row->dpu_id, row->at,
                                 row->tag < 0 ? "m" : "", row->tag < 0 ? -row->tag : row->tag);
    m->received_at = counts_write_time(a, row->received_at);
    return m;
}

bool
counts_read_reading_id(struct str id, int64_t *ret_dpu, usec_t *ret_at, int32_t *ret_tag)
{
    int64_t tag;
    bool out = false;
    if (!str_to_i64(str_cut(&id, '-'), ret_dpu) || !str_to_i64(str_cut(&id, '-'), ret_at))
        return false;
    if (id.n > 0 && id.p[0] == 'm') {
        out = true;
        id = (struct str){id.p + 1, id.n - 1};
    }
    if (!str_to_i64(id, &tag) || tag < 1 || tag > INT32_MAX || *ret_dpu < 1 ||
        *ret_dpu > INT32_MAX || *ret_at < 0 || *ret_at > INT64_C(253402300800000000))
        return false;
    *ret_tag = (int32_t)(out ? -tag : tag);
    return true;
}

struct counts_reading
counts_read_reading(const Luna__V1__Reading *m)
{
    struct counts_reading r = {
        .dpu_id = m->dpu_id, .at = -1, .direction = m->direction, .event_id = m->event_id};
    if (m->timestamp && is_time(m->timestamp))
        r.at = m->timestamp->seconds * 1000000 + m->timestamp->nanos / 1000;
    return r;
}

Luna__V1__Calibration *
counts_write_calibration(struct arena *a, const struct counts_calibration *row)
{
    Luna__V1__Calibration *m = rpc_new(a, Luna__V1__Calibration, luna__v1__calibration__descriptor);
    m->space_id = row->space_id;
    m->at = counts_write_time(a, row->at);
    m->count = row->count;
    m->deviation = row->deviation;
    m->note = TEXT(row->note);
    m->recorded_at = counts_write_time(a, row->recorded_at);
    return m;
}

Luna__V1__SpaceCount *
counts_write_count(struct arena *a, int64_t space_id, usec_t at, const struct counts_value *v)
{
    Luna__V1__SpaceCount *m = rpc_new(a, Luna__V1__SpaceCount, luna__v1__space_count__descriptor);
    m->space_id = space_id;
    m->at = counts_write_time(a, at);
    m->count = v->count;
    m->display_count = v->count > 0 ? v->count : 0;
    m->entrances = v->entrances;
    m->exits = v->exits;
    m->utilisation = counts_utilisation((double)v->count, v->capacity);
    m->rolled_off = v->rolled_off;
    return m;
}

Luna__V1__Retention *
counts_write_retention(struct arena *a, const struct counts_policy *p)
{
    Luna__V1__Retention *m = rpc_new(a, Luna__V1__Retention, luna__v1__retention__descriptor);
    m->retention_days = p->retention_days;
    m->rollup_seconds = p->grain_seconds;
    m->rolled_off_before = counts_write_time(a, p->horizon);
    return m;
}

enum status
counts_answer_horizon(struct ctx *ctx, Google__Protobuf__Timestamp **ret)
{
    struct counts_policy p;
    enum status st = counts_get_policy(ctx, &p);
    if (st == OK)
        *ret = counts_write_time(ctx->arena, p.horizon);
    return st;
}

Luna__V1__CountEvent *
counts_write_event(struct arena *a, const struct counts_event *e)
{
    Luna__V1__CountEvent *m = rpc_new(a, Luna__V1__CountEvent, luna__v1__count_event__descriptor);
    m->timestamp = counts_write_time(a, e->at);
    m->dpu_id = e->dpu_id;
    m->delta = e->delta;
    m->count = e->count;
    return m;
}

Luna__V1__CountBucket *
counts_write_bucket(struct arena *a, const struct counts_bucket *b, int32_t capacity)
{
    Luna__V1__CountBucket *m =
        rpc_new(a, Luna__V1__CountBucket, luna__v1__count_bucket__descriptor);
    m->starts_at = counts_write_time(a, b->starts_at);
    m->ends_at = counts_write_time(a, b->ends_at);
    m->entrances = b->entrances;
    m->exits = b->exits;
    m->first = b->first;
    m->last = b->last;
    m->min = b->min;
    m->max = b->max;
    m->mean = b->mean;
    m->utilisation = counts_utilisation(b->mean, capacity);
    m->final = b->final;
    m->rolled_off = b->rolled_off;
    return m;
}

Luna__V1__SensorHealth *
counts_write_health(struct arena *a, const struct counts_health *h, int64_t silent_after_s)
{
    Luna__V1__SensorHealth *m =
        rpc_new(a, Luna__V1__SensorHealth, luna__v1__sensor_health__descriptor);
    m->dpu_id = h->dpu_id;
    if (h->has_last_seen_at)
        m->last_seen_at = counts_write_time(a, h->last_seen_at);
    if (h->has_last_received_at)
        m->last_received_at = counts_write_time(a, h->last_received_at);
    if (h->has_last_seen_at && h->has_last_received_at)
        m->lag_seconds = (double)(h->last_received_at - h->last_seen_at) / 1e6;
    m->silent =
        !h->has_last_seen_at || h->last_seen_at < clock_wall_us() - silent_after_s * 1000000;
    /* Over a door that leads outside, as many leave as come; who only leave came backwards. */
    m->reversed = h->outer && h->recent >= 50 && h->outwards * 5 >= h->recent * 3;
    m->unassigned_readings = h->unassigned;
    m->doorway_id = h->doorway_id;
    return m;
}

Luna__V1__IngestSummary *
counts_write_summary(struct arena *a, const struct counts_summary *s)
{
    Luna__V1__IngestSummary *m =
        rpc_new(a, Luna__V1__IngestSummary, luna__v1__ingest_summary__descriptor);
    m->received = s->received;
    m->stored = s->stored;
    m->duplicates = s->duplicates;
    m->rejected = s->rejected;
    m->repeated = s->repeated;
    return m;
}

Luna__V1__ReadingResult **
counts_write_results(struct arena *a, const struct counts_result *r, size_t n, int64_t first)
{
    Luna__V1__ReadingResult **all = arena_new_n(a, Luna__V1__ReadingResult *, n);
    for (size_t i = 0; i < n; i++) {
        all[i] = rpc_new(a, Luna__V1__ReadingResult, luna__v1__reading_result__descriptor);
        all[i]->index = first + r[i].index;
        all[i]->outcome = (Luna__V1__ReadingOutcome)r[i].outcome;
    }
    return all;
}
