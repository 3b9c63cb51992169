#include "kalman/question_rpc.h"

#include "edge/quota_gate.h"
#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"
#include "luna/v1/kalman.pb-c.h"

/* The field of `m` at `offset`. */
#define AT(type, m, offset)       (*(type *)(void *)((char *)(m) + (offset)))
#define CONST_AT(type, m, offset) (*(type const *)(const void *)((const char *)(m) + (offset)))

/* One for every million of work, beside the unit that the call itself costs. */
enum status
question_charge(struct ctx *ctx, double work)
{
    return quota_gate_measure(container_of(ctx, struct call, ctx), (int64_t)(work / 1e6));
}

/* What all questions ask. */
static enum status
read_common(struct asked *a)
{
    const struct question *q = a->q;
    struct kalman_convention c = {false, SSM_FULL};
    size_t count = CONST_AT(size_t, a->req, q->request.n_results);
    size_t horizon = q->request.horizon ? (size_t)CONST_AT(int32_t, a->req, q->request.horizon) : 0;
    if (q->request.likelihood_convention)
        kalman_read_convention(CONST_AT(int, a->req, q->request.likelihood_convention), &c);
    a->ask = (struct kalman_ask){
        .charge = question_charge,
        .watch = a->teller ? &a->teller->watch : NULL,
        .question = q->kind,
        .path = "model",
        .spec = &a->spec,
        .values = CONST_AT(double *, a->req, q->request.results),
        .count = count,
        .horizon = horizon,
        .concentrated = c.concentrated,
        .convention = c.convention,
    };
    return kalman_read_model(&a->call->ctx, "model",
                             CONST_AT(Luna__V1__Model *, a->req, q->request.model), count, horizon,
                             &a->spec);
}

/* What all answers tell. */
static void
write_common(struct asked *a)
{
    const struct question *q = a->q;
    if (q->response.parameters)
        AT(Luna__V1__FittedParameter **, a->resp, q->response.parameters) = kalman_write_parameters(
            a->call->ctx.arena, &a->answer, &AT(size_t, a->resp, q->response.n_parameters));
    if (q->response.cost_units)
        AT(int64_t, a->resp, q->response.cost_units) = a->answer.units;
}

enum status
question_answer(struct asked *a)
{
    enum status st = read_common(a);
    if (st == OK && a->q->read)
        st = a->q->read(a);
    if (st == OK)
        st = kalman_analyse(&a->call->ctx, &a->ask, &a->answer);
    if (st != OK)
        return st;
    write_common(a);
    return a->q->write ? a->q->write(a) : OK;
}

static enum status
answer_masked(struct asked *a)
{
    struct ctx *ctx = &a->call->ctx;
    const struct question *q = a->q;
    char **names = CONST_AT(char **, a->req, q->request.output);
    size_t n = CONST_AT(size_t, a->req, q->request.n_output);
    enum status st = kalman_mask_check(ctx, a->resp, names, n);
    if (st == OK)
        st = kalman_check_account(ctx, CONST_AT(int64_t, a->req, q->request.account_id));
    if (st == OK)
        st = q->answer ? q->answer(a) : question_answer(a);
    if (st == OK)
        kalman_mask(a->resp, names, n);
    return st;
}

enum status
kalman_answer(struct call *call, const struct question *q, const ProtobufCMessage *req,
              ProtobufCMessage *resp)
{
    struct asked a = {.call = call, .q = q, .req = req, .resp = resp};
    return answer_masked(&a);
}

/* The fields that are wrong are those of the request within the request. */
static void
name_within(struct ctx *ctx)
{
    if (!ctx->error.fields)
        return;
    for (struct field_violation *f = ctx->error.fields; f; f = f->next)
        f->field = arena_printf(ctx->arena, "request.%s", f->field);
    ctx->error.message = arena_printf(ctx->arena, "request.%s", ctx->error.message);
}

enum status
kalman_answer_stream(struct call *call, const struct question *q, const ProtobufCMessage *req,
                     struct stream *out)
{
    struct ctx *ctx = &call->ctx;
    const ProtobufCFieldDescriptor *f = req->descriptor->fields;
    const ProtobufCMessageDescriptor *answer = call->method->response->fields[1].descriptor;
    struct progress_teller *t = arena_new(ctx->arena, struct progress_teller);
    enum status st = progress_teller_init(t, call, out, CONST_AT(int32_t, req, f[1].offset));
    if (st != OK)
        return st;
    struct asked a = {.call = call,
                      .q = q,
                      .req = CONST_AT(ProtobufCMessage *, req, f[0].offset),
                      .resp = rpc_message_new(ctx->arena, answer),
                      .teller = t};
    st = answer_masked(&a);
    if (st == OK)
        return progress_teller_end(t, a.resp);
    name_within(ctx);
    return st;
}
