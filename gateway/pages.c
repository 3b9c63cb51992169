/* The paths that the gateway answers itself. */
#include "gateway/gateway.h"

#define METRICS_MAX (4 << 20)

static void
answer_metrics(struct exchange *x)
{
    buf_fini(&x->out);
    buf_init(&x->out, METRICS_MAX);
    metrics_write(x->gw, &x->out);
    x->http = MHD_HTTP_OK;
    x->content_type = "text/plain; version=0.0.4; charset=utf-8";
    x->stage = EXCHANGE_DONE;
}

static void
answer_ready(struct exchange *x)
{
    if (atomic_load(&x->gw->draining))
        answer_refuse(x, REASON_SHUTTING_DOWN, NULL, "the gateway is stopping");
    else if (!upstream_ready(x->gw->upstream))
        answer_refuse(x, REASON_SERVER_UNREACHABLE, NULL, NULL);
    else
        answer_text(x, MHD_HTTP_OK, "application/json", STR("{\"status\":\"ok\"}\n"));
}

static void
answer_live(struct exchange *x)
{
    answer_text(x, MHD_HTTP_OK, "application/json", STR("{\"status\":\"ok\"}\n"));
}

bool
pages_answer(struct exchange *x)
{
    static const struct {
        struct str path;
        void (*answer)(struct exchange *x);
    } table[] = {
        {{"/healthz", 8}, answer_live},
        {{"/metrics", 8}, answer_metrics},
        {{"/readyz", 7}, answer_ready},
    };
    struct str verb = str_of(x->method);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!str_eq(x->path, table[i].path))
            continue;
        if (str_eq(verb, STR("GET")) || str_eq(verb, STR("HEAD"))) {
            table[i].answer(x);
            answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        } else if (str_eq(verb, STR("OPTIONS"))) {
            cors_options(x, "GET, HEAD, OPTIONS");
        } else {
            memcpy(x->match.allow_text, "GET, HEAD, OPTIONS", sizeof("GET, HEAD, OPTIONS"));
            answer_refuse(x, REASON_WRONG_HTTP_METHOD, NULL, NULL);
        }
        return true;
    }
    return false;
}
