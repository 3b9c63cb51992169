/* luna.testing.EchoService: what the wrapper's tests call. */
#include "echo_service.h"

#include "luna/testing/echo.rpc.h"
#include "run/fiber.h"
#include "run/reactor.h"

static enum status
echo(struct call *call, const Luna__Testing__EchoMessage *req, Luna__Testing__EchoMessage *resp)
{
    (void)call;
    resp->body = req->body;
    return OK;
}

static enum status
wait_ms(struct call *call, uint32_t ms)
{
    return ms > 0 ? fiber_sleep(&call->ctx, MSEC(ms)) : OK;
}

static enum status
fail_as_told(struct call *call, const Luna__Testing__EchoCommand *cmd)
{
    struct ctx *ctx = &call->ctx;
    enum status st = OK;
    for (uint32_t i = 0; i < cmd->violations; i++)
        st = fail_field(ctx, arena_printf(ctx->arena, "values[%u]", i), "is not finite");
    if (cmd->fail_code > 0)
        st = (enum status)cmd->fail_code;
    return st;
}

static void
describe(struct call *call, Luna__Testing__EchoCommand *resp)
{
    struct arena *a = call->ctx.arena;
    struct str key;
    struct str value;
    char *text =
        arena_printf(a, "peer=%s address=%s trace=%s left_ms=%lld reactor=%d", call_peer(call),
                     call_peer_address(call), call->ctx.trace.id,
                     (long long)(ctx_left(&call->ctx) / MSEC(1)), reactor_index(call->ctx.reactor));
    for (size_t i = 0; call_metadata_at(call, i, &key, &value); i++) {
        if (str_starts(key, STR("x-mirror")))
            (void)call_set_header_as_is(call, key, value);
        if (str_starts(key, STR("x-echo-")) && !str_starts(key, STR("x-echo-bin")))
            text = arena_printf(a, "%s " STR_FMT "=" STR_FMT, text, STR_ARG(key), STR_ARG(value));
    }
    if (call_metadata(call, "x-echo-bin", &value))
        call_set_trailer_bytes(call, "x-answer-bin", value);
    (void)call_set_header(call, "x-answer-header", "early");
    call_set_trailer(call, "x-answer-trailer", "late");
    resp->text = text;
}

static enum status
obey(struct call *call, const Luna__Testing__EchoCommand *req, Luna__Testing__EchoCommand *resp)
{
    enum status st = wait_ms(call, req->sleep_ms);
    if (st != OK)
        return st;
    st = fail_as_told(call, req);
    if (st != OK)
        return st;
    resp->text = req->text;
    resp->child = req->child;
    resp->count = req->count;
    if (req->describe)
        describe(call, resp);
    return OK;
}

static enum status
download(struct call *call, const Luna__Testing__EchoCommand *req, struct stream *out)
{
    enum status st = OK;
    for (uint32_t i = 0; i < req->count && st == OK; i++) {
        Luna__Testing__EchoMessage m = LUNA__TESTING__ECHO_MESSAGE__INIT;
        st = wait_ms(call, req->sleep_ms);
        m.body.len = req->bytes;
        m.body.data = arena_alloc(stream_arena(out), req->bytes);
        if (req->stamp && req->bytes >= sizeof(nsec_t)) {
            nsec_t now = clock_now();
            memcpy(m.body.data, &now, sizeof(now));
        }
        if (st == OK)
            st = download_send(out, &m);
    }
    while (st == OK && req->forever)
        st = fiber_sleep(&call->ctx, SEC(3600));
    return st == OK ? fail_as_told(call, req) : st;
}

static enum status
upload(struct call *call, struct stream *in, Luna__Testing__EchoCommand *resp)
{
    Luna__Testing__EchoMessage *m;
    enum status st;
    (void)call;
    while ((st = upload_recv(in, &m)) == OK) {
        resp->bytes += (uint32_t)m->body.len;
        resp->count++;
    }
    return st == END ? OK : st;
}

static enum status
chat(struct call *call, struct stream *s)
{
    Luna__Testing__EchoMessage *m;
    enum status st;
    (void)call;
    while ((st = chat_recv(s, &m)) == OK) {
        st = chat_send(s, m);
        if (st != OK)
            return st;
    }
    return st == END ? OK : st;
}
