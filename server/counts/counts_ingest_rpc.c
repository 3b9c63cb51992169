/* Readings in, but one by one: streams and files. */
#include "counts/counts_convert_rpc.h"

#include "luna/v1/counts.pb-c.h"

#define MAX_RESULTS 1000

/* One message's readings; rejected ones are numbered from `first`, the stream's. */
struct intake {
    struct counts_summary sum;
    enum counts_dedupe dedupe;
    bool begun;
    struct counts_result rejected[MAX_RESULTS];
    size_t n_rejected;
};

static void
keep_rejected(struct intake *in, const struct counts_result *results, size_t n, int64_t first)
{
    for (size_t i = 0; i < n && in->n_rejected < MAX_RESULTS; i++)
        if (results[i].outcome > OUTCOME_DUPLICATE)
            in->rejected[in->n_rejected++] =
                (struct counts_result){first + results[i].index, results[i].outcome};
}

/* Stores a message. What it takes of memory is gone with it: a stream may go on for months. */
static enum status
store(struct call *call, struct intake *in, Luna__V1__Reading **readings, size_t n,
      enum counts_dedupe dedupe)
{
    struct ctx *ctx = &call->ctx;
    struct arena *kept = ctx->arena;
    struct arena arena;
    struct counts_result *results;
    size_t n_results = 0;
    const int64_t first = in->sum.received;
    if (n > COUNTS_MAX_BATCH)
        return fail_field(ctx, "readings", "must be at most %d", COUNTS_MAX_BATCH);
    if (!in->begun)
        in->dedupe = dedupe;
    in->begun = true;
    arena_init(&arena, 0);
    ctx->arena = &arena;
    struct counts_reading *rows = arena_new_n(&arena, struct counts_reading, n);
    for (size_t i = 0; i < n; i++)
        rows[i] = counts_read_reading(readings[i]);
    enum status st = counts_ingest(ctx, rows, n, in->dedupe, &in->sum, &results, &n_results);
    if (st == OK)
        keep_rejected(in, results, n_results, first);
    ctx->arena = kept;
    if (st != OK && ctx->error.message)
        ctx->error.message = arena_strdup(kept, ctx->error.message);
    if (st != OK && ctx->error.detail)
        ctx->error.detail = arena_strdup(kept, ctx->error.detail);
    arena_fini(&arena);
    return st;
}

static enum status
acknowledge(struct stream *s, struct intake *in, int64_t position)
{
    struct arena *a = stream_arena(s);
    Luna__V1__IngestReadingsResponse *m = rpc_new(a, Luna__V1__IngestReadingsResponse,
                                                  luna__v1__ingest_readings_response__descriptor);
    m->position = position;
    m->summary = counts_write_summary(a, &in->sum);
    m->n_results = in->n_rejected;
    m->results = counts_write_results(a, in->rejected, in->n_rejected, 0);
    in->n_rejected = 0;
    return stream_send(s, &m->base);
}

enum status
counts_serve_ingest(struct call *call, struct stream *s)
{
    struct intake *in = arena_new(call->ctx.arena, struct intake);
    ProtobufCMessage *m;
    enum status st;
    while ((st = stream_recv(s, &m)) == OK) {
        const Luna__V1__IngestReadingsRequest *req = (void *)m;
        const int64_t position = req->position;
        st = store(call, in, req->readings, req->n_readings, (enum counts_dedupe)req->dedupe);
        if (st == OK)
            st = acknowledge(s, in, position);
        if (st != OK)
            return st;
    }
    return st == END ? OK : st;
}

enum status
counts_serve_upload(struct call *call, struct stream *s, Luna__V1__UploadReadingsResponse *resp)
{
    struct arena *a = call->ctx.arena;
    struct intake *in = arena_new(a, struct intake);
    ProtobufCMessage *m;
    enum status st;
    while ((st = stream_recv(s, &m)) == OK) {
        const Luna__V1__UploadReadingsRequest *req = (void *)m;
        st = store(call, in, req->readings, req->n_readings, (enum counts_dedupe)req->dedupe);
        if (st != OK)
            return st;
    }
    if (st != END)
        return st;
    resp->summary = counts_write_summary(a, &in->sum);
    resp->n_results = in->n_rejected;
    resp->results = counts_write_results(a, in->rejected, in->n_rejected, 0);
    return OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Of a content type: "application/x-ndjson; charset=utf-8". */
static bool
is_type(const char *type, struct str want)
{
    struct str rest = str_of(type);
    return str_ieq(str_trim(str_cut(&rest, ';')), want);
}

enum status
counts_answer_import(struct call *call, const Luna__V1__ImportReadingsRequest *req,
                     Luna__V1__ImportReadingsResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct counts_summary sum = {0};
    struct counts_result *results;
    size_t n = 0;
    if (!req->file)
        return fail_field(ctx, "file", "is required");
    const bool ndjson = is_type(req->file->content_type, STR("application/x-ndjson"));
    if (!ndjson && !is_type(req->file->content_type, STR("text/csv")))
        return fail_field(ctx, "file.content_type", "must be text/csv or application/x-ndjson");
    const struct str file = {(const char *)req->file->data.data, req->file->data.len};
    enum status st =
        counts_import(ctx, file, ndjson, (enum counts_dedupe)req->dedupe, &sum, &results, &n);
    if (st != OK)
        return st;
    resp->summary = counts_write_summary(ctx->arena, &sum);
    resp->n_results = n;
    resp->results = counts_write_results(ctx->arena, results, n, 0);
    return OK;
}
