/* Cross-origin requests (https://fetch.spec.whatwg.org): which pages may call, and what they may
 * see. */
#include "gateway/passed.h"

#define PREFLIGHT_MAX_AGE "600"

#define ALLOWED_HEADERS                                                                 \
    "Authorization, Content-Type, X-Api-Key, X-Request-Id, Idempotency-Key, If-Match, " \
    "If-None-Match, Last-Event-ID, Traceparent, Tracestate, Connect-Protocol-Version, " \
    "Connect-Timeout-Ms, Grpc-Timeout, X-Grpc-Web, X-User-Agent, X-Server-Timeout"

#define EXPOSED_HEADERS                                                                          \
    "RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, " \
    "Retry-After, ETag, Age, Cache-Status, Location, Link, X-Request-Id, Grpc-Status, "          \
    "Grpc-Message, Grpc-Status-Details-Bin"

/* The value of Access-Control-Allow-Origin, or NULL: the page may not. */
static const char *
allowed_origin(const struct exchange *x)
{
    struct str list = str_of(x->gw->cfg->cors_origins);
    if (!x->in.origin || list.n == 0)
        return NULL;
    if (str_eq(list, STR("*")))
        return "*";
    while (list.p && list.n > 0)
        if (str_eq(str_trim(str_cut(&list, ',')), str_of(x->in.origin)))
            return x->in.origin;
    return NULL;
}

bool
cors_origin_may(const struct exchange *x, struct str host)
{
    const char *own = x->in.origin ? strstr(x->in.origin, "://") : NULL;
    return !x->in.origin || allowed_origin(x) || (own && str_ieq(str_of(own + 3), host));
}

/* The names of a header's list, with those that settings add. */
static const char *
with_listed(struct exchange *x, const char *names, const char *more)
{
    return *more ? arena_printf(&x->arena, "%s%s", names, more) : names;
}

void
cors_headers(struct exchange *x)
{
    const char *origin = allowed_origin(x);
    bool gzip = x->gw->cfg->gzip, listed = *x->gw->cfg->cors_origins && !(origin && *origin == '*');
    if (gzip || listed)
        answer_header(x, MHD_HTTP_HEADER_VARY,
                      gzip && listed ? "Accept-Encoding, Origin"
                      : gzip         ? "Accept-Encoding"
                                     : "Origin");
    if (!origin)
        return;
    answer_header(x, "Access-Control-Allow-Origin", origin);
    answer_header(x, "Access-Control-Expose-Headers",
                  with_listed(x, EXPOSED_HEADERS, passed_answer_names(x->gw->passed)));
}

void
cors_options(struct exchange *x, const char *allow)
{
    answer_text(x, MHD_HTTP_NO_CONTENT, NULL, STR(""));
    answer_header(x, MHD_HTTP_HEADER_ALLOW, allow);
    if (!x->in.request_method || !allowed_origin(x))
        return;
    answer_header(x, "Access-Control-Allow-Methods", allow);
    answer_header(x, "Access-Control-Allow-Headers",
                  with_listed(x, ALLOWED_HEADERS, passed_request_names(x->gw->passed)));
    answer_header(x, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
}
