/* grpc.testing.TestService as gRPC's interoperability suite wants it. */
#include "grpc/testing/test.rpc.h"
#include "run/fiber.h"

#define PAYLOAD_MAX (16 * 1024 * 1024)
#define PLAN_MAX    64

typedef Grpc__Testing__Payload payload;

static void
echo_metadata(struct call *call)
{
    struct str value;
    if (call_metadata(call, "x-grpc-test-echo-initial", &value))
        (void)call_set_header_bytes(call, "x-grpc-test-echo-initial", value);
    if (call_metadata(call, "x-grpc-test-echo-trailing-bin", &value))
        call_set_trailer_bytes(call, "x-grpc-test-echo-trailing-bin", value);
}

static enum status
status_asked_for(struct ctx *ctx, const Grpc__Testing__EchoStatus *s)
{
    if (!s || s->code == 0)
        return OK;
    ctx->error = (struct error){.status = (enum status)s->code,
                                .message = arena_strdup(ctx->arena, s->message)};
    return ctx->error.status;
}

static enum status
check_compressed(struct call *call, const Grpc__Testing__BoolValue *expected)
{
    if (!expected || expected->value == call_message_compressed(call))
        return OK;
    return fail_field(&call->ctx, "expect_compressed", "differs from what came");
}

static enum status
make_payload(struct call *call, struct arena *a, int32_t size, payload **ret)
{
    if (size < 0 || size > PAYLOAD_MAX)
        return fail_field(&call->ctx, "response_size", "is not from 0 to %d", PAYLOAD_MAX);
    payload *p = rpc_new(a, payload, grpc__testing__payload__descriptor);
    p->body.data = arena_alloc(a, (size_t)size);
    p->body.len = (size_t)size;
    *ret = p;
    return OK;
}

static enum status
empty_call(struct call *call, const Grpc__Testing__Empty *req, Grpc__Testing__Empty *resp)
{
    (void)call;
    (void)req;
    (void)resp;
    return OK;
}

static enum status
unary_call(struct call *call, const Grpc__Testing__SimpleRequest *req,
           Grpc__Testing__SimpleResponse *resp)
{
    echo_metadata(call);
    enum status st = check_compressed(call, req->expect_compressed);
    if (st == OK)
        st = status_asked_for(&call->ctx, req->response_status);
    if (st != OK)
        return st;
    call_set_compression(call, req->response_compressed && req->response_compressed->value);
    if (req->response_size == 0)
        return OK;
    return make_payload(call, call->ctx.arena, req->response_size, &resp->payload);
}

static enum status
cacheable_unary_call(struct call *call, const Grpc__Testing__SimpleRequest *req,
                     Grpc__Testing__SimpleResponse *resp)
{
    (void)call_set_header(call, "cache-control", "max-age=60, public");
    return unary_call(call, req, resp);
}

/* What requests ask for, copied: they live in the stream's scratch arena, which each send empties.
 */
struct plan {
    size_t n;
    struct {
        int32_t size;
        int32_t interval_us;
        bool compressed;
    } items[PLAN_MAX];
};

static enum status
plan_add(struct call *call, struct plan *p, const Grpc__Testing__StreamingOutputCallRequest *req)
{
    for (size_t i = 0; i < req->n_response_parameters; i++, p->n++) {
        const Grpc__Testing__ResponseParameters *r = req->response_parameters[i];
        if (p->n == PLAN_MAX)
            return fail_field(&call->ctx, "response_parameters", "are more than %d", PLAN_MAX);
        p->items[p->n].size = r->size;
        p->items[p->n].interval_us = r->interval_us;
        p->items[p->n].compressed = r->compressed && r->compressed->value;
    }
    return OK;
}

static enum status
plan_send(struct call *call, struct plan *p, struct stream *out)
{
    enum status st = OK;
    for (size_t i = 0; i < p->n && st == OK; i++) {
        Grpc__Testing__StreamingOutputCallResponse m =
            GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
        if (p->items[i].interval_us > 0)
            st = fiber_sleep(&call->ctx, USEC(p->items[i].interval_us));
        call_set_compression(call, p->items[i].compressed);
        if (st == OK)
            st = make_payload(call, stream_arena(out), p->items[i].size, &m.payload);
        if (st == OK)
            st = stream_send(out, &m.base);
    }
    return st;
}

static enum status
streaming_output_call(struct call *call, const Grpc__Testing__StreamingOutputCallRequest *req,
                      struct stream *out)
{
    struct plan plan = {.n = 0};
    echo_metadata(call);
    enum status st = plan_add(call, &plan, req);
    if (st == OK)
        st = plan_send(call, &plan, out);
    return st == OK ? status_asked_for(&call->ctx, req->response_status) : st;
}

static enum status
streaming_input_call(struct call *call, struct stream *in,
                     Grpc__Testing__StreamingInputCallResponse *resp)
{
    Grpc__Testing__StreamingInputCallRequest *req;
    enum status st;
    echo_metadata(call);
    while ((st = streaming_input_call_recv(in, &req)) == OK) {
        st = check_compressed(call, req->expect_compressed);
        if (st != OK)
            return st;
        if (req->payload)
            resp->aggregated_payload_size += (int32_t)req->payload->body.len;
    }
    return st == END ? OK : st;
}

static enum status
full_duplex_call(struct call *call, struct stream *s)
{
    Grpc__Testing__StreamingOutputCallRequest *req;
    enum status st;
    echo_metadata(call);
    while ((st = full_duplex_call_recv(s, &req)) == OK) {
        struct plan plan = {.n = 0};
        st = status_asked_for(&call->ctx, req->response_status);
        if (st == OK)
            st = plan_add(call, &plan, req);
        if (st == OK)
            st = plan_send(call, &plan, s);
        if (st != OK)
            return st;
    }
    return st == END ? OK : st;
}

static enum status
half_duplex_call(struct call *call, struct stream *s)
{
    Grpc__Testing__StreamingOutputCallRequest *req;
    struct plan plan = {.n = 0};
    enum status st;
    echo_metadata(call);
    while ((st = half_duplex_call_recv(s, &req)) == OK) {
        st = plan_add(call, &plan, req);
        if (st != OK)
            return st;
    }
    return st == END ? plan_send(call, &plan, s) : st;
}

/* The suite wants this one to be missing. */
static enum status
test_service_unimplemented_call(struct call *call, const Grpc__Testing__Empty *req,
                                Grpc__Testing__Empty *resp)
{
    (void)req;
    (void)resp;
    return fail_plain(&call->ctx, METHOD_NOT_FOUND);
}

/* The other services of the file are for load balancers and never served: the suite wants
 * UnimplementedService to be missing, and the generated header wants all handlers. */
#define NOT_SERVED(name, request, response)                                        \
    static enum status name(struct call *call, const request *req, response *resp) \
    {                                                                              \
        (void)req;                                                                 \
        (void)resp;                                                                \
        return fail_plain(&call->ctx, METHOD_NOT_FOUND);                           \
    }

NOT_SERVED(unimplemented_service_unimplemented_call, Grpc__Testing__Empty, Grpc__Testing__Empty)
NOT_SERVED(start, Grpc__Testing__ReconnectParams, Grpc__Testing__Empty)
NOT_SERVED(stop, Grpc__Testing__Empty, Grpc__Testing__ReconnectInfo)
NOT_SERVED(get_client_stats, Grpc__Testing__LoadBalancerStatsRequest,
           Grpc__Testing__LoadBalancerStatsResponse)
NOT_SERVED(get_client_accumulated_stats, Grpc__Testing__LoadBalancerAccumulatedStatsRequest,
           Grpc__Testing__LoadBalancerAccumulatedStatsResponse)
NOT_SERVED(set_serving, Grpc__Testing__Empty, Grpc__Testing__Empty)
NOT_SERVED(set_not_serving, Grpc__Testing__Empty, Grpc__Testing__Empty)
NOT_SERVED(configure, Grpc__Testing__ClientConfigureRequest, Grpc__Testing__ClientConfigureResponse)
