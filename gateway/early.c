#include "gateway/early.h"
#include "gateway/guard.h"

#include <sys/socket.h>

#define ANSWER_MAX (48 << 10) /* an empty socket buffer takes that at once */

static void
put_header(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, name);
    buf_puts(b, ": ");
    buf_puts(b, value);
    buf_puts(b, "\r\n");
}

static void
put_answer(struct exchange *x, struct buf *b)
{
    buf_printf(b, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n", x->http,
               MHD_get_reason_phrase_for((unsigned)x->http), x->out.len);
    if (x->content_type)
        put_header(b, MHD_HTTP_HEADER_CONTENT_TYPE, x->content_type);
    if (x->coding != CODING_NONE)
        put_header(b, MHD_HTTP_HEADER_CONTENT_ENCODING, coding_name(x->coding));
    put_header(b, "X-Content-Type-Options", "nosniff");
    put_header(b, "X-Request-Id", arena_strndup(&x->arena, x->in.request_id.p, x->in.request_id.n));
    for (size_t i = 0; i < x->header_count; i++)
        put_header(b, x->headers[i].name, x->headers[i].value);
    buf_puts(b, "\r\n");
    buf_put(b, x->out.data, x->out.len);
}

bool
early_answer(struct exchange *x)
{
    struct buf b;
    size_t headers = x->header_count;
    int fd = guard_fd(x->guarded);
    if (*x->gw->cfg->tls_certificate || fd < 0 || x->out.len > ANSWER_MAX)
        return false;
    buf_init(&b, ANSWER_MAX + (16 << 10));
    cors_headers(x);
    put_answer(x, &b);
    ssize_t sent = b.overflow ? -1 : send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        shutdown(fd, SHUT_WR); /* a part of it is all that this client can still get */
    else
        x->header_count = headers;
    buf_fini(&b);
    return sent >= 0;
}
