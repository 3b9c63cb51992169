#include "edge/access_log.h"

#include "base/log.h"
#include "edge/auth.h"
#include "edge/request_text.h"

#define MAX_PAIRS 20

static enum status
access_log_begin(struct call *call, size_t slot)
{
    (void)call;
    (void)slot;
    return OK;
}

static enum log_level
level_of(enum status st)
{
    switch (st) {
    case INTERNAL:
    case UNKNOWN:
    case DATA_LOSS:
        return LOG_ERROR;
    case UNAVAILABLE:
        return LOG_WARNING;
    default:
        return LOG_NOTICE;
    }
}

/* What is said of a failure. */
static size_t
put_error(const struct call *call, struct log_kv *kv)
{
    const struct error *e = &call->ctx.error;
    size_t n = 0;
    if (e->reason == REASON_NONE)
        return 0;
    kv[n++] = log_str("reason", reason_info(e->reason)->token);
    kv[n++] = log_str("message", e->message);
    if (e->detail)
        kv[n++] = log_str("detail", e->detail);
    if (level_of(e->status) == LOG_ERROR && e->file) {
        kv[n++] = log_str("file", e->file);
        kv[n++] = log_int("line", e->line);
    }
    return n;
}

static void
access_log_end(struct call *call, size_t slot, enum status st)
{
    (void)slot;
    enum log_level level = level_of(st);
    if (!log_enabled(level))
        return;
    const struct ctx *ctx = &call->ctx;
    struct buf request;
    buf_init(&request, REQUEST_TEXT_MAX);
    if (call->request)
        request_text_put(&request, call->request);

    struct log_kv kv[MAX_PAIRS];
    size_t n = 0;
    kv[n++] = log_str("method", call->method->path);
    kv[n++] = log_str("status", status_name(st));
    if (st != OK)
        n += put_error(call, kv + n);
    kv[n++] = log_duration("duration", clock_now() - call->started);
    if (ctx->who.account_id != 0)
        kv[n++] = log_int("account", ctx->who.account_id);
    if (ctx->who.key_id != 0)
        kv[n++] = log_int("key_id", ctx->who.key_id);
    if (call->charged != 0)
        kv[n++] = log_int("charged", call->charged);
    kv[n++] = log_strn("peer", auth_client_address(call));
    kv[n++] = log_uint("in", call->request_bytes);
    kv[n++] = log_uint("out", call->response_bytes);
    if (ctx->trace.id[0])
        kv[n++] = log_str("trace", ctx->trace.id);
    struct str text = {request.data, request.len};
    if (text.n > 0)
        kv[n++] = log_strn("request", text);
    log_write(level, "call", kv, n);
    buf_fini(&request);
}

const struct interceptor access_log_interceptor = {
    .name = "access_log",
    .begin = access_log_begin,
    .end = access_log_end,
};
