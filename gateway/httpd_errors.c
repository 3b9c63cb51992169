/*
 * libmicrohttpd answers what it cannot read by itself, with pages of its own and no hook for
 * others. It does so through its public MHD_queue_response, which is defined here once more: the
 * program's definition comes before the library's. Failures that are not ours get Luna's error
 * shape.
 */
#include "gateway/httpd_errors.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

typedef enum MHD_Result (*queue_fn)(struct MHD_Connection *conn, unsigned code,
                                    struct MHD_Response *response);

#define PROBLEM_MAX (8 << 10)

static _Thread_local bool ours;
static const struct schema *types;

static queue_fn
library_queue(void)
{
    static _Atomic(queue_fn) found;
    queue_fn fn = atomic_load_explicit(&found, memory_order_relaxed);
    if (fn)
        return fn;
    void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
    ASSERT(symbol);
    memcpy(&fn, &symbol, sizeof(fn));
    atomic_store_explicit(&found, fn, memory_order_relaxed);
    return fn;
}

static enum reason
reason_of(unsigned code, const char **text)
{
    *text = NULL;
    switch (code) {
    case MHD_HTTP_CONTENT_TOO_LARGE:
        *text = "the body is larger than can be read";
        return REASON_TOO_LARGE;
    case MHD_HTTP_URI_TOO_LONG:
        *text = "the request's target is longer than the limit";
        return REASON_HEADERS_TOO_LARGE;
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE:
        return REASON_HEADERS_TOO_LARGE;
    case MHD_HTTP_NOT_IMPLEMENTED:
        *text = "this transfer coding is not known";
        return REASON_METHOD_NOT_FOUND;
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED:
        *text = "this version of HTTP is not spoken";
        return REASON_METHOD_NOT_FOUND;
    default:
        if (code >= 500)
            return REASON_INTERNAL_ERROR;
        *text = "the request is not HTTP/1.1";
        return REASON_BAD_REQUEST;
    }
}

static struct MHD_Response *
make_answer(unsigned code)
{
    struct problem p = {.status = OK};
    struct arena arena;
    struct buf body;
    const char *text;
    arena_init(&arena, 0);
    buf_init(&body, PROBLEM_MAX);
    enum reason r = reason_of(code, &text);
    problem_make(&p, &arena, r, NULL, text ? "%s" : NULL, text);
    problem_write(&p, types, &body);
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(body.len, body.data, MHD_RESPMEM_MUST_COPY);
    if (answer)
        MHD_add_response_header(answer, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    buf_fini(&body);
    arena_fini(&arena);
    return answer;
}

enum MHD_Result
MHD_queue_response(struct MHD_Connection *conn, unsigned code, struct MHD_Response *response)
{
    if (ours || code < 400 || !types)
        return library_queue()(conn, code, response);
    struct MHD_Response *answer = make_answer(code);
    if (!answer)
        return MHD_NO;
    enum MHD_Result queued = library_queue()(conn, code, answer);
    MHD_destroy_response(answer);
    return queued;
}

enum MHD_Result
httpd_queue(struct MHD_Connection *conn, unsigned code, struct MHD_Response *response)
{
    ours = true;
    enum MHD_Result queued = library_queue()(conn, code, response);
    ours = false;
    return queued;
}

void
httpd_errors_init(const struct schema *builtin)
{
    types = builtin;
}
