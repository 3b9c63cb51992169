#include "gateway/upload.h"

#include <pthread.h>
#include <stdlib.h>

#include "gateway/early.h"
#include "gateway/form.h"
#include "gateway/guard.h"
#include "gateway/sendq.h"
#include "gateway/splitter.h"

#define CHUNK_BYTES (16 << 10) /* of google.api.HttpBody, at most */
#define IGNORED_MAX (1 << 20)  /* bytes of the body that are read behind an early answer */

/* Fields of google.api.HttpBody. */
enum { HTTP_BODY_CONTENT_TYPE = 1, HTTP_BODY_DATA = 2 };

struct upload {
    pthread_mutex_t lock;
    struct exchange *x;
    bool bytes;        /* google.api.HttpBody; otherwise JSON through `split` */
    struct form *form; /* which the bytes are in; NULL: they are the body */
    struct splitter split;
    struct sendq queue;
    struct buf prefix; /* the fields of path and query, for the first message */
    struct buf answer; /* the server's message */
    bool begun;        /* the first message was sent */
    bool suspended;    /* the connection is */
    bool expects;      /* the client waits for "100 Continue" */
    bool ready;        /* the exchange holds the answer */
    bool answered;     /* which was given early */
    bool over;         /* the call has ended */
    bool gone;         /* the connection has */
    bool whole;        /* the body has come */
    size_t ignored;
};

static bool
is_http_body(const struct schema_message *m)
{
    return m && strcmp(m->full_name, "google.api.HttpBody") == 0;
}

bool
upload_takes_bytes(const struct route_binding *b)
{
    if (b->body)
        return is_http_body(b->body->message) && !b->body->repeated;
    return b->body_all && is_http_body(b->method->input);
}

void
upload_put_bytes(const struct exchange *x, struct str bytes, bool first, struct buf *out)
{
    const struct schema_field *f = x->match.binding->body;
    size_t mark = f ? wire_open(out, f->number) : 0;
    if (first && x->in.content_type.n > 0)
        wire_put_bytes(out, HTTP_BODY_CONTENT_TYPE, x->in.content_type);
    if (bytes.n > 0)
        wire_put_bytes(out, HTTP_BODY_DATA, bytes);
    if (f)
        wire_close(out, mark);
}

/* ---- with the lock held ---- */

static void
suspend(struct upload *u)
{
    u->suspended = true;
    http_suspend(u->x);
}

static void
wake(struct upload *u)
{
    if (!u->suspended || u->gone)
        return;
    u->suspended = false;
    http_resume(u->x);
}

/* The exchange holds the answer. In the middle of the body it is given at once, where that can be:
 * behind "100 Continue", which another thread may be about to write. */
static void
answer_now(struct upload *u)
{
    u->ready = true;
    if (!u->gone && !u->expects && !u->whole)
        u->answered = early_answer(u->x);
}

/* The request is wrong: whatever the call says now is not the answer. */
static void
fail_request(struct upload *u)
{
    struct exchange *x = u->x;
    if (u->ready)
        return;
    answer_problem(x);
    answer_now(u);
    if (!u->over)
        upstream_cancel(&x->call);
}

static void
refuse_text(struct upload *u, const struct json_error *err)
{
    struct exchange *x = u->x;
    const struct splitter *s = &u->split;
    const char *place =
        s->array ? arena_printf(&x->arena, "element %llu", (unsigned long long)s->texts)
                 : arena_printf(&x->arena, "line %llu",
                                (unsigned long long)(s->lines - (s->form == SPLITTER_LINES)));
    switch (err->failure) {
    case JSON_FIELD:
        answer_refuse(x, REASON_BAD_FIELD, err->path[0] ? err->path : "body", "%s (%s)", err->text,
                      place);
        break;
    case JSON_TOO_LARGE:
        answer_refuse(x, REASON_TOO_LARGE, NULL, "%s is larger than %lld bytes", place,
                      (long long)x->gw->cfg->max_body);
        break;
    case JSON_SYNTAX:
    default:
        answer_refuse(x, REASON_BAD_REQUEST, NULL, "%s is not JSON: %s, at byte %zu", place,
                      err->text, err->offset);
    }
    fail_request(u);
}

static bool
send_message(struct upload *u, const struct buf *m)
{
    u->begun = true;
    if (sendq_put(&u->queue, (struct str){m->data, m->len}))
        return true;
    answer_refuse(u->x, REASON_TOO_LARGE, NULL, NULL);
    fail_request(u);
    return false;
}

static bool
send_text(struct upload *u, struct str text)
{
    struct exchange *x = u->x;
    const struct route_binding *b = x->match.binding;
    struct json_error err;
    struct arena scratch;
    struct buf m;
    arena_init(&scratch, 0);
    buf_init(&m, (size_t)x->gw->cfg->max_body * 2);
    bool ok = b->body ? json_decode_field(&x->gw->schema, b->body, text, &scratch, &m, &err)
                      : json_decode(&x->gw->schema, b->method->input, text, &scratch, &m, &err);
    if (ok && !u->begun)
        buf_put(&m, u->prefix.data, u->prefix.len);
    if (ok)
        ok = send_message(u, &m);
    else
        refuse_text(u, &err);
    buf_fini(&m);
    arena_fini(&scratch);
    return ok;
}

static bool
send_bytes(struct upload *u, struct str bytes)
{
    struct buf m;
    buf_init(&m, CHUNK_BYTES + u->prefix.len + u->x->in.content_type.n + 64);
    upload_put_bytes(u->x, bytes, !u->begun, &m);
    if (!u->begun)
        buf_put(&m, u->prefix.data, u->prefix.len);
    bool ok = send_message(u, &m);
    buf_fini(&m);
    return ok;
}

static void
refuse_split(struct upload *u, enum splitter_result r)
{
    struct json_error err = {.failure = r == SPLITTER_BAD ? JSON_SYNTAX : JSON_TOO_LARGE};
    if (r == SPLITTER_BAD) {
        answer_refuse(u->x, REASON_BAD_REQUEST, NULL, "the body is not JSON: %s, at line %llu",
                      u->split.what, (unsigned long long)u->split.lines);
        fail_request(u);
        return;
    }
    u->split.lines += u->split.form == SPLITTER_LINES; /* the line has begun, not ended */
    u->split.texts++;
    refuse_text(u, &err);
}

/* Sends what is complete, until enough waits. False: the request is refused. */
static bool
take_texts(struct upload *u, struct str *rest)
{
    struct str text;
    while (!sendq_full(&u->queue)) {
        enum splitter_result r = splitter_next(&u->split, rest, &text);
        if (r == SPLITTER_MORE)
            return true;
        if (r != SPLITTER_TEXT) {
            refuse_split(u, r);
            return false;
        }
        if (!send_text(u, text))
            return false;
    }
    return true;
}

static bool
take_bytes(struct upload *u, struct str *rest)
{
    while (rest->n > 0 && !sendq_full(&u->queue)) {
        size_t n = rest->n < CHUNK_BYTES ? rest->n : CHUNK_BYTES;
        if (!send_bytes(u, (struct str){rest->p, n}))
            return false;
        rest->p += n;
        rest->n -= n;
    }
    return true;
}

static bool bind_prefix(struct exchange *x, struct upload *u);

/* For form.h: path and fields are known when the file begins. */
static bool
take_file(void *arg, struct str bytes, bool first)
{
    struct upload *u = arg;
    if (first && !bind_prefix(u->x, u))
        return false;
    return bytes.n == 0 || send_bytes(u, bytes);
}

static bool
take_form(struct upload *u, struct str *rest)
{
    while (rest->n > 0 && !sendq_full(&u->queue)) {
        size_t n = rest->n < CHUNK_BYTES ? rest->n : CHUNK_BYTES;
        if (!form_feed(u->form, (struct str){rest->p, n})) {
            fail_request(u);
            return false;
        }
        rest->p += n;
        rest->n -= n;
    }
    return true;
}

/* What the body's end completes. */
static void
take_end(struct upload *u)
{
    struct str text;
    if (u->bytes) {
        if (u->form && !form_end(u->form)) {
            fail_request(u);
            return;
        }
        if (!u->begun && !send_bytes(u, STR("")))
            return;
    } else {
        enum splitter_result r = splitter_end(&u->split, &text);
        if (r != SPLITTER_TEXT && r != SPLITTER_MORE) {
            refuse_split(u, r);
            return;
        }
        if (r == SPLITTER_TEXT && !send_text(u, text))
            return;
        if (!u->begun && u->prefix.len > 0 && !send_message(u, &u->prefix))
            return;
    }
    sendq_close(&u->queue);
}

/* ---- from the server ---- */

static void
on_sent(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct upload *u = x->upload;
    pthread_mutex_lock(&u->lock);
    sendq_sent(&u->queue);
    if (!u->whole && !sendq_full(&u->queue))
        wake(u);
    pthread_mutex_unlock(&u->lock);
}

static void
on_message(struct upstream_call *c, struct str message)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct upload *u = x->upload;
    buf_clear(&u->answer);
    buf_put(&u->answer, message.p, message.n);
    upstream_next(c);
}

static void
on_end(struct upstream_call *c)
{
    struct exchange *x = container_of(c, struct exchange, call);
    struct upload *u = x->upload;
    pthread_mutex_lock(&u->lock);
    u->over = true;
    if (!u->ready && !u->gone) {
        unary_finish(x, (struct str){u->answer.data, u->answer.len});
        answer_now(u);
    }
    wake(u);
    pthread_mutex_unlock(&u->lock);
    exchange_unref(x);
}

/* ---- from the client ---- */

/* Notices what of the body has come, and whether that is too much. */
static void
count_bytes(struct upload *u, size_t n)
{
    struct exchange *x = u->x;
    int64_t max = x->gw->cfg->max_upload;
    u->expects = false;
    x->received_bytes += n;
    if (u->ready && !u->answered) {
        answer_now(u);
    } else if (!u->ready && x->received_bytes > (uint64_t)max) {
        answer_refuse(x, REASON_TOO_LARGE, NULL, "the body is larger than %lld bytes",
                      (long long)max);
        fail_request(u);
    }
}

static enum MHD_Result
take_data(struct exchange *x, const char *data, size_t *size)
{
    struct upload *u = x->upload;
    struct str rest = {data, *size};
    enum MHD_Result go_on = MHD_YES;
    pthread_mutex_lock(&u->lock);
    count_bytes(u, rest.n);
    bool taken = !u->ready && (u->form    ? take_form(u, &rest)
                               : u->bytes ? take_bytes(u, &rest)
                                          : take_texts(u, &rest));
    if (taken && rest.n > 0)
        suspend(u);
    if (u->ready) {
        u->ignored += rest.n;
        rest.n = 0;
        go_on = u->ignored > IGNORED_MAX ? MHD_NO : MHD_YES;
    }
    x->received_bytes -= rest.n;
    *size = rest.n;
    pthread_mutex_unlock(&u->lock);
    return go_on;
}

enum MHD_Result
upload_request(struct exchange *x, const char *data, size_t *size)
{
    struct upload *u = x->upload;
    if (*size > 0)
        return take_data(x, data, size);
    pthread_mutex_lock(&u->lock);
    bool first = !u->whole;
    u->whole = true;
    if (first && !u->ready)
        take_end(u);
    bool ready = u->ready, answered = u->answered;
    if (!ready)
        suspend(u);
    pthread_mutex_unlock(&u->lock);
    if (!ready)
        return MHD_YES;
    return answered ? MHD_NO : answer_send(x);
}

bool
upload_answered(const struct exchange *x)
{
    return x->upload && x->upload->answered;
}

/* ---- life ---- */

static bool
choose_form(struct exchange *x, struct upload *u)
{
    struct str type = x->in.content_type;
    bool lines = media_type_is(type, STR("application/x-ndjson")) ||
                 media_type_is(type, STR("application/ndjson")) ||
                 media_type_is(type, STR("application/jsonl"));
    u->bytes = upload_takes_bytes(x->match.binding);
    splitter_init(&u->split, lines ? SPLITTER_LINES : SPLITTER_VALUES,
                  (size_t)x->gw->cfg->max_body);
    if (u->bytes && form_wanted(x))
        return (u->form = form_new(x, take_file, u)) != NULL;
    if (u->bytes || lines || type.n == 0 || media_type_is(type, STR("application/json")))
        return true;
    answer_refuse(x, REASON_WRONG_CONTENT_TYPE, NULL,
                  "the body must be application/x-ndjson, or application/json, not " STR_FMT,
                  STR_ARG(type));
    return false;
}

static bool
bind_prefix(struct exchange *x, struct upload *u)
{
    struct json_error err;
    struct route_input in = {.query = x->query};
    if (route_bind_path(&x->gw->routes, &x->match, &in, &x->arena, &u->prefix, &err))
        return true;
    problem_of_json(&x->problem, &x->arena, &err);
    x->refused = true;
    return false;
}

bool
upload_start(struct exchange *x)
{
    struct gateway *gw = x->gw;
    struct upload *u = calloc(1, sizeof(*u));
    ASSERT(u);
    pthread_mutex_init(&u->lock, NULL);
    u->x = x;
    u->expects = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, "Expect") != NULL;
    buf_init(&u->prefix, (size_t)gw->cfg->max_headers * 2);
    buf_init(&u->answer, (size_t)gw->cfg->max_answer);
    sendq_init(&u->queue, &x->call, (size_t)gw->cfg->max_body * 2);
    if (!choose_form(x, u) || !(u->form || bind_prefix(x, u)) || !unary_admit(x)) {
        upload_free(u);
        return false;
    }
    x->upload = u;
    x->call.on_end = on_end;
    x->call.on_message = on_message;
    x->call.on_sent = on_sent;
    atomic_fetch_add(&x->refs, 1); /* the call's */
    nsec_t deadline = x->in.timeout > 0 ? clock_now() + x->in.timeout : NSEC_NEVER;
    upstream_stream(gw->upstream, &x->call, x->match.binding->method->path, NULL, false,
                    x->in.forwarded, x->in.forwarded_count, deadline);
    guard_calling(x->guarded, &x->call);
    return true;
}

void
upload_leave(struct exchange *x)
{
    struct upload *u = x->upload;
    pthread_mutex_lock(&u->lock);
    u->gone = true;
    bool cancel = !u->over;
    pthread_mutex_unlock(&u->lock);
    if (cancel)
        upstream_cancel(&x->call);
}

void
upload_free(struct upload *u)
{
    if (!u)
        return;
    form_free(u->form);
    splitter_fini(&u->split);
    sendq_fini(&u->queue);
    buf_fini(&u->prefix);
    buf_fini(&u->answer);
    pthread_mutex_destroy(&u->lock);
    free(u);
}
