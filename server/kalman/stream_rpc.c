/* FilterStream: values come, estimates go, nothing is kept. */
#include <math.h>
#include <string.h>

#include "kalman/durable_state.h"
#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"
#include "kalman/kalman_convert_rpc.h"
#include "luna/v1/kalman.pb-c.h"

struct following {
    struct model_spec spec;
    struct durable_walk walk;
    bool begun;
    int64_t count;
};

static void
end_following(void *arg)
{
    struct following *f = arg;
    if (f->begun)
        durable_walk_fini(&f->walk);
}

static enum status
begin(struct call *call, struct following *f, const Luna__V1__FilterStreamRequest *req)
{
    struct ctx *ctx = &call->ctx;
    const struct str start = {NULL, 0};
    enum status st = kalman_check_account(ctx, req->account_id);
    if (st != OK)
        return st;
    /* The message goes with the next one, the model stays. */
    struct str bytes =
        req->model ? kalman_pack_model(ctx->arena, req->model) : (struct str){NULL, 0};
    Luna__V1__Model *model = req->model ? kalman_unpack_model(ctx->arena, bytes) : NULL;
    st = kalman_read_still_model(ctx, model, &f->spec);
    if (st == OK)
        st = durable_check_model(ctx, &f->spec);
    if (st != OK)
        return st;
    f->begun = true;
    return durable_walk_init(&f->walk, &f->spec, ctx->arena, start, -INFINITY, 0, 0)
               ? OK
               : fail_plain(ctx, INTERNAL_ERROR);
}

static enum status
take(struct call *call, struct following *f, const Luna__V1__FilterStreamRequest *req)
{
    struct ctx *ctx = &call->ctx;
    size_t p = model_series(&f->spec);
    if (req->n_values != p)
        return fail_field(ctx, "values", "holds %zu numbers, not %zu", req->n_values, p);
    for (size_t i = 0; i < p; i++) {
        if (isinf(req->values[i]))
            return fail_field(ctx, arena_printf(ctx->arena, "values[%zu]", i), "is not finite");
    }
    if (f->spec.kind == MODEL_MOTION && !(isfinite(req->time) && req->time >= f->walk.time))
        return fail_field(ctx, "time", isfinite(req->time) ? "goes backwards" : "is not finite");
    const struct durable_series one = {&req->time, &f->count, req->values, 1};
    f->count++;
    enum status st = ctx_check(ctx);
    return st != OK || durable_walk_on(&f->walk, &one, NULL) ? st : fail_plain(ctx, INTERNAL_ERROR);
}

enum status
kalman_rpc_filter_stream(struct call *call, struct stream *s)
{
    struct following *f = arena_new(call->ctx.arena, struct following);
    ProtobufCMessage *m;
    enum status st;
    ctx_defer(&call->ctx, end_following, f);
    while ((st = stream_recv(s, &m)) == OK) {
        const Luna__V1__FilterStreamRequest *req = (const void *)m;
        if (f->begun && req->model)
            return fail_field(&call->ctx, "model", "belongs into the first message");
        bool first = !f->begun;
        if (first && (st = begin(call, f, req)) != OK)
            return st;
        if (first && req->n_values == 0)
            continue;
        if ((st = take(call, f, req)) != OK)
            return st;
        Luna__V1__FilterStreamResponse resp = LUNA__V1__FILTER_STREAM_RESPONSE__INIT;
        struct durable_estimate e = {.position = f->count, .time = req->time};
        durable_walk_estimate(&f->walk, stream_arena(s), &e);
        resp.estimate = kalman_write_estimate(stream_arena(s), &e);
        if ((st = stream_send(s, &resp.base)) != OK)
            return st;
    }
    return st == END ? OK : st;
}
