/* The paths that the gateway answers itself. */
#include "gateway/gateway.h"
#include "gateway/web/web.h"

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

/* A page or a file that a page loads; made at start, kept by browsers. */
static void
answer_page(struct exchange *x, const struct web_page *page)
{
    bool packed = page->gzip.n > 0 && x->in.takes_gzip && x->gw->cfg->gzip;
    const char *have = x->in.if_none_match;
    answer_text(x, MHD_HTTP_OK, page->content_type, packed ? page->gzip : page->body);
    x->coding = packed ? CODING_GZIP : CODING_NONE;
    if (have && (strstr(have, page->etag) || (page->gzip.n > 0 && strstr(have, page->etag_gzip)))) {
        answer_text(x, MHD_HTTP_NOT_MODIFIED, page->content_type, STR(""));
        x->coding = CODING_NONE;
    }
    answer_header(x, MHD_HTTP_HEADER_ETAG, packed ? page->etag_gzip : page->etag);
    answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, page->cache_control);
    answer_header(x, "Referrer-Policy", "no-referrer");
    if (page->policy)
        answer_header(x, "Content-Security-Policy", page->policy);
}

static void
answer_own(struct exchange *x, void (*answer)(struct exchange *x))
{
    answer(x);
    if (!x->refused)
        answer_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

bool
pages_answer(struct exchange *x)
{
    static const char allow[] = "GET, HEAD, OPTIONS";
    static const struct {
        struct str path;
        void (*answer)(struct exchange *x);
    } table[] = {
        {{"/healthz", 8}, answer_live},
        {{"/metrics", 8}, answer_metrics},
        {{"/readyz", 7}, answer_ready},
    };
    struct str verb = str_of(x->method);
    const struct web_page *page = web_find(x->gw->web, x->path);
    size_t i = 0;
    while (i < ARRAY_LEN(table) && !str_eq(x->path, table[i].path))
        i++;
    if (!page && i == ARRAY_LEN(table))
        return false;
    if (str_eq(verb, STR("OPTIONS"))) {
        cors_options(x, allow);
    } else if (!str_eq(verb, STR("GET")) && !str_eq(verb, STR("HEAD"))) {
        memcpy(x->match.allow_text, allow, sizeof(allow));
        answer_refuse(x, REASON_WRONG_HTTP_METHOD, NULL, NULL);
    } else if (page) {
        answer_page(x, page);
    } else {
        answer_own(x, table[i].answer);
    }
    return true;
}
