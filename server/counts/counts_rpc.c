/* CountsService: check, domain, convert. */
#include "luna/v1/counts.rpc.h"

#include <inttypes.h>

#include "counts/counts_convert_rpc.h"
#include "edge/field_mask.h"
#include "edge/list.h"
#include "edge/page_token.h"

#define MAX_PAGE 1000

#define TEXT(s) ((char *)(uintptr_t)(s))

/* ---- what spaces, doorways and DPUs have in common --------------------------------------------
 */

#define GET_ONE(handler, Method, kind)                                                    \
    static enum status handler(struct call *call, const Luna__V1__##Method##Request *req, \
                               Luna__V1__##Method##Response *resp)                        \
    {                                                                                     \
        struct counts_##kind row;                                                         \
        enum status st = counts_##handler(&call->ctx, req->kind##_id, &row);              \
        if (st == OK)                                                                     \
            resp->kind = counts_write_##kind(call->ctx.arena, &row);                      \
        return st;                                                                        \
    }

#define LIST_SOME(handler, Method, Message, kind)                                         \
    static enum status handler(struct call *call, const Luna__V1__##Method##Request *req, \
                               Luna__V1__##Method##Response *resp)                        \
    {                                                                                     \
        struct arena *a = call->ctx.arena;                                                \
        const struct list_request list = LIST_REQUEST(req, 100, MAX_PAGE);                \
        struct counts_##kind *rows;                                                       \
        const char *next;                                                                 \
        size_t n;                                                                         \
        enum status st = counts_##handler(&call->ctx, &list, &rows, &n, &next);           \
        if (st != OK)                                                                     \
            return st;                                                                    \
        resp->next_page_token = TEXT(next);                                               \
        resp->n_##kind##s = n;                                                            \
        resp->kind##s = arena_new_n(a, Luna__V1__##Message *, n);                         \
        for (size_t i = 0; i < n; i++)                                                    \
            resp->kind##s[i] = counts_write_##kind(a, &rows[i]);                          \
        return OK;                                                                        \
    }

#define DELETE_ONE(handler, Method, kind)                                                 \
    static enum status handler(struct call *call, const Luna__V1__##Method##Request *req, \
                               Luna__V1__##Method##Response *resp)                        \
    {                                                                                     \
        (void)resp;                                                                       \
        return counts_##handler(&call->ctx, req->kind##_id, req->force);                  \
    }

GET_ONE(get_space, GetSpace, space)
GET_ONE(get_doorway, GetDoorway, doorway)
GET_ONE(get_dpu, GetDpu, dpu)
LIST_SOME(list_spaces, ListSpaces, Space, space)
LIST_SOME(list_doorways, ListDoorways, Doorway, doorway)
LIST_SOME(list_dpus, ListDpus, Dpu, dpu)
DELETE_ONE(delete_space, DeleteSpace, space)
DELETE_ONE(delete_doorway, DeleteDoorway, doorway)
DELETE_ONE(delete_dpu, DeleteDpu, dpu)

/* An update of some of `names`, which ends with NULL. */
static enum status
begin_update(struct ctx *ctx, struct field_mask mask, const char *const *names, const char *etag,
             usec_t *ret_updated_at)
{
    enum status st = field_mask_check(ctx, mask, names);
    return st == OK ? counts_etag_parse(ctx, etag, ret_updated_at) : st;
}

/* A field of an update that says whether it is given: is it changed, and the value it gets. */
#define CHANGES(req, mask, field)  field_mask_changes(mask, #field, (req)->field##_presence_case)
#define GIVEN(req, field, or_else) ((req)->field##_presence_case ? (req)->field : (or_else))

/* ---- spaces ---------------------------------------------------------------------------------- */

static enum status
create_space(struct call *call, const Luna__V1__CreateSpaceRequest *req,
             Luna__V1__CreateSpaceResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct counts_space in = {.name = req->name,
                                    .capacity = req->capacity,
                                    .parent_id = req->parent_id,
                                    .time_zone = req->time_zone};
    struct counts_space row;
    enum status st = counts_create_space(ctx, &in, &row);
    if (st == OK)
        resp->space = counts_write_space(ctx->arena, &row);
    return st;
}

static enum status
update_space(struct call *call, const Luna__V1__UpdateSpaceRequest *req,
             Luna__V1__UpdateSpaceResponse *resp)
{
    static const char *const names[] = {"name", "capacity", "parent_id", "time_zone", NULL};
    const struct field_mask mask = FIELD_MASK(req->update_mask);
    struct counts_space row;
    struct counts_space_change change = {
        .space_id = req->space_id,
        .name = CHANGES(req, mask, name) ? GIVEN(req, name, "") : NULL,
        .has_capacity = CHANGES(req, mask, capacity),
        .capacity = GIVEN(req, capacity, 0),
        .has_parent = CHANGES(req, mask, parent_id),
        .parent_id = GIVEN(req, parent_id, 0),
        .time_zone = CHANGES(req, mask, time_zone) ? GIVEN(req, time_zone, "UTC") : NULL,
    };
    enum status st = begin_update(&call->ctx, mask, names, req->etag, &change.updated_at);
    if (st == OK)
        st = counts_update_space(&call->ctx, &change, &row);
    if (st == OK)
        resp->space = counts_write_space(call->ctx.arena, &row);
    return st;
}

/* ---- doorways -------------------------------------------------------------------------------- */

static enum status
create_doorway(struct call *call, const Luna__V1__CreateDoorwayRequest *req,
               Luna__V1__CreateDoorwayResponse *resp)
{
    const struct counts_doorway in = {.name = req->name,
                                      .ingress_space_id = req->ingress_space_id,
                                      .egress_space_id = req->egress_space_id};
    struct counts_doorway row;
    enum status st = counts_create_doorway(&call->ctx, &in, &row);
    if (st == OK)
        resp->doorway = counts_write_doorway(call->ctx.arena, &row);
    return st;
}

static enum status
update_doorway(struct call *call, const Luna__V1__UpdateDoorwayRequest *req,
               Luna__V1__UpdateDoorwayResponse *resp)
{
    static const char *const names[] = {"name", "ingress_space_id", "egress_space_id", NULL};
    const struct field_mask mask = FIELD_MASK(req->update_mask);
    struct counts_doorway row;
    struct counts_doorway_change change = {
        .doorway_id = req->doorway_id,
        .name = CHANGES(req, mask, name) ? GIVEN(req, name, "") : NULL,
        .has_ingress = CHANGES(req, mask, ingress_space_id),
        .ingress_space_id = GIVEN(req, ingress_space_id, 0),
        .has_egress = CHANGES(req, mask, egress_space_id),
        .egress_space_id = GIVEN(req, egress_space_id, 0),
    };
    enum status st = begin_update(&call->ctx, mask, names, req->etag, &change.updated_at);
    if (st == OK)
        st = counts_update_doorway(&call->ctx, &change, &row);
    if (st == OK)
        resp->doorway = counts_write_doorway(call->ctx.arena, &row);
    return st;
}

/* ---- DPUs ------------------------------------------------------------------------------------ */

static enum status
check_dpu_id(struct ctx *ctx, int64_t dpu_id)
{
    return dpu_id >= 1 && dpu_id <= INT32_MAX
               ? OK
               : fail_field(ctx, "dpu_id", "must be from 1 to %d", INT32_MAX);
}

static enum status
create_dpu(struct call *call, const Luna__V1__CreateDpuRequest *req,
           Luna__V1__CreateDpuResponse *resp)
{
    struct counts_dpu row;
    enum status st = check_dpu_id(&call->ctx, req->dpu_id);
    if (st != OK)
        return st;
    const struct counts_dpu in = {
        .dpu_id = (int32_t)req->dpu_id, .name = req->name, .serial = req->serial};
    st = counts_create_dpu(&call->ctx, &in, &row);
    if (st == OK)
        resp->dpu = counts_write_dpu(call->ctx.arena, &row);
    return st;
}

static enum status
update_dpu(struct call *call, const Luna__V1__UpdateDpuRequest *req,
           Luna__V1__UpdateDpuResponse *resp)
{
    static const char *const names[] = {"name", "serial", NULL};
    const struct field_mask mask = FIELD_MASK(req->update_mask);
    struct counts_dpu row;
    struct counts_dpu_change change = {
        .dpu_id = (int32_t)req->dpu_id,
        .name = CHANGES(req, mask, name) ? GIVEN(req, name, "") : NULL,
        .serial = CHANGES(req, mask, serial) ? GIVEN(req, serial, "") : NULL,
    };
    enum status st = check_dpu_id(&call->ctx, req->dpu_id);
    if (st == OK)
        st = begin_update(&call->ctx, mask, names, req->etag, &change.updated_at);
    if (st == OK)
        st = counts_update_dpu(&call->ctx, &change, &row);
    if (st == OK)
        resp->dpu = counts_write_dpu(call->ctx.arena, &row);
    return st;
}

/* ---- assignments ----------------------------------------------------------------------------- */

static enum status
move_dpu(struct call *call, const Luna__V1__MoveDpuRequest *req, Luna__V1__MoveDpuResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_assignment row;
    usec_t at = clock_wall_us();
    enum status st = counts_read_time(ctx, "at", req->at, &at);
    if (st == OK)
        st = counts_move(ctx, req->dpu_id, req->doorway_id, at, &row);
    if (st == OK)
        resp->assignment = counts_write_assignment(ctx->arena, &row);
    return st;
}

static enum status
create_assignment(struct call *call, const Luna__V1__CreateAssignmentRequest *req,
                  Luna__V1__CreateAssignmentResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_assignment row;
    struct counts_assignment in = {
        .doorway_id = req->doorway_id, .starts_at = -DB_INFINITY, .ends_at = DB_INFINITY};
    enum status st = check_dpu_id(ctx, req->dpu_id);
    in.dpu_id = (int32_t)req->dpu_id;
    if (st == OK)
        st = counts_read_time(ctx, "starts_at", req->starts_at, &in.starts_at);
    if (st == OK)
        st = counts_read_time(ctx, "ends_at", req->ends_at, &in.ends_at);
    if (st == OK)
        st = counts_assign(ctx, &in, &row);
    if (st == OK)
        resp->assignment = counts_write_assignment(ctx->arena, &row);
    return st;
}

static enum status
list_assignments(struct call *call, const Luna__V1__ListAssignmentsRequest *req,
                 Luna__V1__ListAssignmentsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct str binding = str_of(arena_printf(ctx->arena, "assignments|%" PRId64, req->dpu_id));
    struct counts_assignment *rows;
    int64_t after;
    int32_t limit;
    size_t n = 0;
    enum status st = page_size_read(ctx, req->page_size, 100, MAX_PAGE, &limit);
    if (st == OK)
        st = page_token_read_id(ctx, req->page_token, binding, &after);
    if (st == OK)
        st = counts_list_assignments(ctx, req->dpu_id, after ? after : -DB_INFINITY, limit + 1,
                                     &rows, &n);
    if (st != OK)
        return st;
    if (n > (size_t)limit) {
        n = (size_t)limit;
        resp->next_page_token =
            TEXT(page_token_make_id(ctx->arena, binding, rows[n - 1].starts_at));
    }
    resp->n_assignments = n;
    resp->assignments = arena_new_n(ctx->arena, Luna__V1__Assignment *, n);
    for (size_t i = 0; i < n; i++)
        resp->assignments[i] = counts_write_assignment(ctx->arena, &rows[i]);
    return OK;
}

static enum status
update_assignment(struct call *call, const Luna__V1__UpdateAssignmentRequest *req,
                  Luna__V1__UpdateAssignmentResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_assignment row;
    struct counts_assignment_change change = {
        .dpu_id = req->dpu_id,
        .assignment_id = req->assignment_id,
        .doorway_id = req->doorway_id_presence_case ? req->doorway_id : 0,
        .has_starts_at = req->starts_at_presence_case || req->always,
        .starts_at = -DB_INFINITY,
        .has_ends_at = req->ends_at_presence_case || req->still,
        .ends_at = DB_INFINITY,
    };
    enum status st = OK;
    if (req->starts_at_presence_case && req->always)
        st = fail_field(ctx, "always", "stands beside starts_at");
    if (req->ends_at_presence_case && req->still)
        st = fail_field(ctx, "still", "stands beside ends_at");
    if (st == OK && req->starts_at_presence_case)
        st = counts_read_time(ctx, "starts_at", req->starts_at, &change.starts_at);
    if (st == OK && req->ends_at_presence_case)
        st = counts_read_time(ctx, "ends_at", req->ends_at, &change.ends_at);
    if (st == OK)
        st = counts_correct(ctx, &change, &row);
    if (st == OK)
        resp->assignment = counts_write_assignment(ctx->arena, &row);
    return st;
}

static enum status
delete_assignment(struct call *call, const Luna__V1__DeleteAssignmentRequest *req,
                  Luna__V1__DeleteAssignmentResponse *resp)
{
    (void)resp;
    return counts_unassign(&call->ctx, req->dpu_id, req->assignment_id);
}

/* ---- readings -------------------------------------------------------------------------------- */

static enum status
create_reading(struct call *call, const Luna__V1__CreateReadingRequest *req,
               Luna__V1__CreateReadingResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    enum counts_outcome outcome;
    struct counts_reading r = {
        .dpu_id = req->dpu_id, .at = -1, .direction = req->direction, .event_id = req->event_id};
    enum status st = check_dpu_id(ctx, req->dpu_id);
    if (st == OK)
        st = counts_read_time(ctx, "timestamp", req->timestamp, &r.at);
    if (st == OK)
        st = counts_ingest_one(ctx, &r, (enum counts_dedupe)req->dedupe, &outcome);
    if (st == OK)
        resp->outcome = (Luna__V1__ReadingOutcome)outcome;
    return st;
}

static enum status
batch_create_readings(struct call *call, const Luna__V1__BatchCreateReadingsRequest *req,
                      Luna__V1__BatchCreateReadingsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_summary sum = {0};
    struct counts_result *results;
    size_t n = 0;
    if (req->n_readings > COUNTS_MAX_BATCH)
        return fail_field(ctx, "readings", "must be at most %d", COUNTS_MAX_BATCH);
    struct counts_reading *rows = arena_new_n(ctx->arena, struct counts_reading, req->n_readings);
    for (size_t i = 0; i < req->n_readings; i++)
        rows[i] = counts_read_reading(req->readings[i]);
    enum status st = counts_ingest(ctx, rows, req->n_readings, (enum counts_dedupe)req->dedupe,
                                   &sum, &results, &n);
    if (st != OK)
        return st;
    resp->summary = counts_write_summary(ctx->arena, &sum);
    resp->n_results = n;
    resp->results = counts_write_results(ctx->arena, results, n, 0);
    return OK;
}

static enum status
import_readings(struct call *call, const Luna__V1__ImportReadingsRequest *req,
                Luna__V1__ImportReadingsResponse *resp)
{
    return counts_answer_import(call, req, resp);
}

static enum status
ingest_readings(struct call *call, struct stream *s)
{
    return counts_serve_ingest(call, s);
}

static enum status
upload_readings(struct call *call, struct stream *in, Luna__V1__UploadReadingsResponse *resp)
{
    return counts_serve_upload(call, in, resp);
}

static enum status
get_reading(struct call *call, const Luna__V1__GetReadingRequest *req,
            Luna__V1__GetReadingResponse *resp)
{
    struct counts_reading row;
    int64_t dpu_id;
    usec_t at;
    int32_t tag;
    if (!counts_read_reading_id(str_of(req->reading_id), &dpu_id, &at, &tag))
        return fail_plain(&call->ctx, READING_NOT_FOUND);
    enum status st = counts_get_reading(&call->ctx, dpu_id, at, tag, &row);
    if (st == OK)
        resp->reading = counts_write_reading(call->ctx.arena, &row);
    return st;
}

static enum status
list_readings(struct call *call, const Luna__V1__ListReadingsRequest *req,
              Luna__V1__ListReadingsResponse *resp)
{
    struct arena *a = call->ctx.arena;
    const struct list_request list = LIST_REQUEST(req, 100, MAX_PAGE);
    struct counts_reading *rows;
    const char *next;
    enum status st = counts_list_readings(&call->ctx, &list, &rows, &resp->n_readings, &next);
    if (st != OK)
        return st;
    resp->next_page_token = TEXT(next);
    resp->readings = arena_new_n(a, Luna__V1__Reading *, resp->n_readings);
    for (size_t i = 0; i < resp->n_readings; i++)
        resp->readings[i] = counts_write_reading(a, &rows[i]);
    return counts_answer_horizon(&call->ctx, &resp->rolled_off_before);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static enum status
get_current_count(struct call *call, const Luna__V1__GetCurrentCountRequest *req,
                  Luna__V1__GetCurrentCountResponse *resp)
{
    struct counts_value v;
    enum status st = counts_current(&call->ctx, req->space_id, &v);
    if (st != OK)
        return st;
    resp->space_id = req->space_id;
    resp->count = v.count;
    resp->display_count = v.count > 0 ? v.count : 0;
    resp->entrances = v.entrances;
    resp->exits = v.exits;
    resp->utilisation = counts_utilisation((double)v.count, v.capacity);
    return OK;
}

static enum status
get_counts(struct call *call, const Luna__V1__GetCountsRequest *req,
           Luna__V1__GetCountsResponse *resp)
{
    return counts_answer_counts(call, req, resp);
}

static enum status
list_counts(struct call *call, const Luna__V1__ListCountsRequest *req,
            Luna__V1__ListCountsResponse *resp)
{
    return counts_answer_list(call, req, resp);
}

static enum status
export_counts(struct call *call, const Luna__V1__ExportCountsRequest *req, struct stream *out)
{
    return counts_serve_export(call, req, out);
}

static enum status
watch_counts(struct call *call, const Luna__V1__WatchCountsRequest *req, struct stream *out)
{
    return counts_serve_watch(call, req, out);
}

/* ---- health, calibrations -------------------------------------------------------------------- */

static enum status
list_sensor_health(struct call *call, const Luna__V1__ListSensorHealthRequest *req,
                   Luna__V1__ListSensorHealthResponse *resp)
{
    static const struct str binding = {"health", 6};
    struct ctx *ctx = &call->ctx;
    const int64_t silent = req->silent_after_seconds ? req->silent_after_seconds : 86400;
    struct counts_health *rows;
    int64_t after;
    int32_t limit;
    size_t n = 0;
    enum status st = page_size_read(ctx, req->page_size, 100, MAX_PAGE, &limit);
    if (silent < 1 || silent > INT64_C(3155760000))
        st = fail_field(ctx, "silent_after_seconds", "must be from 1 to 3155760000");
    if (st == OK)
        st = page_token_read_id(ctx, req->page_token, binding, &after);
    if (st == OK)
        st = counts_list_health(ctx, after, limit + 1, &rows, &n);
    if (st != OK)
        return st;
    if (n > (size_t)limit) {
        n = (size_t)limit;
        resp->next_page_token = TEXT(page_token_make_id(ctx->arena, binding, rows[n - 1].dpu_id));
    }
    resp->n_sensors = n;
    resp->sensors = arena_new_n(ctx->arena, Luna__V1__SensorHealth *, n);
    for (size_t i = 0; i < n; i++)
        resp->sensors[i] = counts_write_health(ctx->arena, &rows[i], silent);
    return OK;
}

static enum status
calibrate_space(struct call *call, const Luna__V1__CalibrateSpaceRequest *req,
                Luna__V1__CalibrateSpaceResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_calibration row;
    struct counts_calibration in = {.space_id = req->space_id,
                                    .at = clock_wall_us(),
                                    .count = req->count,
                                    .deviation = req->deviation,
                                    .note = req->note};
    enum status st = counts_read_time(ctx, "at", req->at, &in.at);
    if (st == OK)
        st = counts_calibrate(ctx, &in, &row);
    if (st == OK)
        resp->calibration = counts_write_calibration(ctx->arena, &row);
    return st;
}

static enum status
list_calibrations(struct call *call, const Luna__V1__ListCalibrationsRequest *req,
                  Luna__V1__ListCalibrationsResponse *resp)
{
    struct arena *a = call->ctx.arena;
    struct counts_calibration *rows;
    size_t n = 0;
    enum status st = counts_list_calibrations(&call->ctx, req->space_id, &rows, &n);
    if (st != OK)
        return st;
    resp->n_calibrations = n;
    resp->calibrations = arena_new_n(a, Luna__V1__Calibration *, n);
    for (size_t i = 0; i < n; i++)
        resp->calibrations[i] = counts_write_calibration(a, &rows[i]);
    return OK;
}

static enum status
get_estimate(struct call *call, const Luna__V1__GetEstimateRequest *req,
             Luna__V1__GetEstimateResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_estimate e;
    const struct counts_drift drift = {
        .error_rate = req->error_rate != 0 ? req->error_rate : 0.02,
        .daily_variance = req->daily_variance,
    };
    usec_t at = clock_wall_us();
    enum status st = counts_read_time(ctx, "at", req->at, &at);
    if (st == OK)
        st = counts_estimate(ctx, req->space_id, at, &drift, &e);
    if (st != OK)
        return st;
    resp->space_id = req->space_id;
    resp->at = counts_write_time(ctx->arena, e.at);
    resp->count = e.count;
    resp->estimate = e.estimate;
    resp->deviation = e.deviation;
    resp->calibrations = e.calibrations;
    return OK;
}

/* ---- retention ------------------------------------------------------------------------------- */

static enum status
get_retention(struct call *call, const Luna__V1__GetRetentionRequest *req,
              Luna__V1__GetRetentionResponse *resp)
{
    struct counts_policy p;
    (void)req;
    enum status st = counts_get_policy(&call->ctx, &p);
    if (st == OK)
        resp->retention = counts_write_retention(call->ctx.arena, &p);
    return st;
}

static enum status
update_retention(struct call *call, const Luna__V1__UpdateRetentionRequest *req,
                 Luna__V1__UpdateRetentionResponse *resp)
{
    struct counts_policy p;
    const struct counts_policy_change change = {
        .has_retention_days = req->retention_days_presence_case != 0,
        .retention_days = req->retention_days_presence_case ? req->retention_days : 0,
        .grain_seconds = req->rollup_seconds,
    };
    enum status st = counts_set_policy(&call->ctx, &change, &p);
    if (st == OK)
        resp->retention = counts_write_retention(call->ctx.arena, &p);
    return st;
}
