/* Streams out: the export of a history, and watches. */
#include <inttypes.h>

#include "counts/counts_convert_rpc.h"
#include "edge/page_token.h"
#include "luna/v1/counts.pb-c.h"

#define EVENTS_A_MESSAGE 500

#define MAX_THRESHOLDS 10

/* How long a watcher may take nothing. */
#define PATIENCE SEC(10)

/* ---- export ---------------------------------------------------------------------------------- */

/* CRC-32C (Castagnoli), RFC 3720 appendix B.4, a bit at a time by a table of 16. */
static uint32_t
crc32c_add(uint32_t crc, const char *p, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

struct exporter {
    struct stream *out;
    struct counts_event events[EVENTS_A_MESSAGE];
    size_t n;
    int64_t total;
    uint32_t crc;
    usec_t horizon;
};

static enum status
send_events(struct exporter *x, bool complete)
{
    struct arena *a = stream_arena(x->out);
    Luna__V1__ExportCountsResponse *m =
        rpc_new(a, Luna__V1__ExportCountsResponse, luna__v1__export_counts_response__descriptor);
    m->n_events = x->n;
    m->events = arena_new_n(a, Luna__V1__CountEvent *, x->n);
    for (size_t i = 0; i < x->n; i++)
        m->events[i] = counts_write_event(a, &x->events[i]);
    x->n = 0;
    m->complete = complete;
    m->total = complete ? x->total : 0;
    m->crc32c = complete ? x->crc : 0;
    m->rolled_off_before = complete ? counts_write_time(a, x->horizon) : NULL;
    return stream_send(x->out, &m->base);
}

static enum status
export_event(void *arg, const struct counts_event *e)
{
    struct exporter *x = arg;
    char line[96];
    const int n = snprintf(line, sizeof(line), "%" PRId64 " %" PRId32 " %" PRId32 " %" PRId64 "\n",
                           e->at, e->dpu_id, e->delta, e->count);
    x->crc = crc32c_add(x->crc, line, (size_t)n);
    x->events[x->n++] = *e;
    x->total++;
    return x->n == EVENTS_A_MESSAGE ? send_events(x, false) : OK;
}

enum status
counts_serve_export(struct call *call, const Luna__V1__ExportCountsRequest *req, struct stream *out)
{
    struct ctx *ctx = &call->ctx;
    struct counts_range range = {.space_id = req->space_id,
                                 .from = -DB_INFINITY,
                                 .to = DB_INFINITY,
                                 .known_at = DB_INFINITY};
    struct exporter *x = arena_new(ctx->arena, struct exporter);
    struct counts_policy p = {0};
    x->out = out;
    enum status st = counts_read_time(ctx, "from", req->from, &range.from);
    if (st == OK)
        st = counts_read_time(ctx, "to", req->to, &range.to);
    if (st == OK)
        st = counts_each_event(ctx, &range, export_event, x);
    if (st == OK && x->n > 0)
        st = send_events(x, false);
    if (st == OK)
        st = counts_get_policy(ctx, &p);
    x->horizon = p.horizon;
    return st == OK ? send_events(x, true) : st;
}

/* ---- watch ----------------------------------------------------------------------------------- */

struct watch_call {
    struct call *call;
    struct stream *out;
    int64_t spaces[COUNTS_MAX_WATCHED];
    int64_t counts[COUNTS_MAX_WATCHED];
    bool told[COUNTS_MAX_WATCHED]; /* counts[i] is known */
    bool above[COUNTS_MAX_WATCHED][MAX_THRESHOLDS];
    size_t n;
    const Luna__V1__WatchCountsRequest *req;
};

static struct str
token_binding(struct call *call)
{
    return str_of(arena_printf(call->ctx.arena, "watch|%" PRId64, call->ctx.who.account_id));
}

/* "1=11,2=8": the counts as they were told last, as far as they fit a token. */
static const char *
resume_token(struct watch_call *w, struct arena *a)
{
    char text[PAGE_TOKEN_MAX_CURSOR + 1] = "";
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        char part[48];
        const int len =
            snprintf(part, sizeof(part), "%s%" PRIx64 "=%s%" PRIx64, n > 0 ? "," : "", w->spaces[i],
                     w->counts[i] < 0 ? "-" : "", w->counts[i] < 0 ? -w->counts[i] : w->counts[i]);
        if (!w->told[i] || n + (size_t)len > PAGE_TOKEN_MAX_CURSOR)
            continue;
        memcpy(text + n, part, (size_t)len + 1);
        n += (size_t)len;
    }
    return page_token_make(a, token_binding(w->call), (struct str){text, n});
}

static bool
read_hex(struct str s, int64_t *ret)
{
    const bool negative = s.n > 0 && s.p[0] == '-';
    int64_t v = 0;
    for (size_t i = negative; i < s.n; i++) {
        const int digit = str_hex_digit(s.p[i]);
        if (digit < 0 || s.n > 16)
            return false;
        v = v * 16 + digit;
    }
    *ret = negative ? -v : v;
    return s.n > negative;
}

/* Where the count stands with each threshold as long as nothing was told about the space. */
static void
begin_thresholds(struct watch_call *w, size_t space, int64_t count)
{
    for (size_t i = 0; i < w->req->n_thresholds; i++)
        w->above[space][i] = count >= w->req->thresholds[i]->level;
}

static enum status
read_resume_token(struct watch_call *w, const char *token)
{
    struct ctx *ctx = &w->call->ctx;
    struct str cursor;
    if (!page_token_read(ctx->arena, str_of(token), token_binding(w->call), &cursor))
        return fail_field(ctx, "resume_token", "is not one of a message that was received");
    while (cursor.n > 0) {
        struct str value = str_cut(&cursor, ',');
        const struct str name = str_cut(&value, '=');
        int64_t space;
        int64_t count;
        if (!read_hex(name, &space) || !read_hex(value, &count))
            continue;
        for (size_t i = 0; i < w->n; i++)
            if (w->spaces[i] == space) {
                w->counts[i] = count;
                w->told[i] = true;
                begin_thresholds(w, i, count);
            }
    }
    return OK;
}

/* A level that was crossed upwards is crossed upwards again only after it was crossed downwards. */
static void
put_thresholds(struct watch_call *w, size_t space, int64_t count, struct arena *a,
               Luna__V1__WatchCountsResponse *m)
{
    const size_t n = w->req->n_thresholds;
    m->crossed_up = arena_new_n(a, int64_t, n);
    m->crossed_down = arena_new_n(a, int64_t, n);
    for (size_t i = 0; i < n; i++) {
        const Luna__V1__CountThreshold *t = w->req->thresholds[i];
        const int64_t low = t->level - (t->hysteresis > 0 ? t->hysteresis : 1);
        bool *above = &w->above[space][i];
        if (!*above && count >= t->level)
            m->crossed_up[m->n_crossed_up++] = t->level;
        if (*above && count <= low)
            m->crossed_down[m->n_crossed_down++] = t->level;
        *above = *above ? count > low : count >= t->level;
    }
}

static size_t
place_of(const struct watch_call *w, int64_t space_id)
{
    size_t i = 0;
    while (i + 1 < w->n && w->spaces[i] != space_id)
        i++;
    return i;
}

/* A message that is not taken for PATIENCE ends the watch: nobody waits for a slow reader. */
static enum status
send_patiently(struct watch_call *w, const ProtobufCMessage *m)
{
    struct ctx *ctx = &w->call->ctx;
    const nsec_t deadline = ctx->deadline;
    const nsec_t patience = clock_now() + PATIENCE;
    ctx->deadline = patience < deadline ? patience : deadline;
    enum status st = stream_send(w->out, m);
    ctx->deadline = deadline;
    if (st == DEADLINE_EXCEEDED && patience < deadline) {
        fail_clear(ctx);
        st = fail(ctx, SLOW_READER, "a change was not taken within ten seconds; resume");
    }
    return st;
}

static enum status
send_change(void *arg, const struct counts_change *c)
{
    struct watch_call *w = arg;
    struct arena *a = stream_arena(w->out);
    Luna__V1__WatchCountsResponse *m =
        rpc_new(a, Luna__V1__WatchCountsResponse, luna__v1__watch_counts_response__descriptor);
    m->space_id = c->space_id;
    m->kind = (Luna__V1__CountChangeKind)c->kind;
    m->old_count = c->old_count;
    m->count = c->count;
    m->display_count = c->count > 0 ? c->count : 0;
    m->changed_from = counts_write_time(a, c->changed_from);
    m->changed_to = counts_write_time(a, c->changed_to);
    m->observed_at = counts_write_time(a, c->observed_at);
    const size_t i = place_of(w, c->space_id);
    if (c->kind == CHANGE_SNAPSHOT)
        begin_thresholds(w, i, c->count);
    else
        put_thresholds(w, i, c->count, a, m);
    w->counts[i] = c->count;
    w->told[i] = true;
    m->resume_token = (char *)(uintptr_t)resume_token(w, a);
    return send_patiently(w, &m->base);
}

static enum status
choose_spaces(struct watch_call *w)
{
    struct ctx *ctx = &w->call->ctx;
    int64_t *ids;
    size_t n;
    if (w->req->n_space_ids > COUNTS_MAX_WATCHED)
        return fail_field(ctx, "space_ids", "must be at most %d", COUNTS_MAX_WATCHED);
    if (w->req->n_thresholds > MAX_THRESHOLDS)
        return fail_field(ctx, "thresholds", "must be at most %d", MAX_THRESHOLDS);
    for (size_t i = 0; i < w->req->n_thresholds; i++)
        if (w->req->thresholds[i]->hysteresis < 0)
            return fail_field(ctx, arena_printf(ctx->arena, "thresholds[%zu].hysteresis", i),
                              "must not be negative");
    w->n = w->req->n_space_ids;
    if (w->n > 0) {
        memcpy(w->spaces, w->req->space_ids, w->n * sizeof(w->spaces[0]));
        return OK;
    }
    enum status st = counts_space_ids(ctx, 0, COUNTS_MAX_WATCHED, &ids, &n);
    if (st == OK) {
        memcpy(w->spaces, ids, n * sizeof(w->spaces[0]));
        w->n = n;
    }
    return st;
}

enum status
counts_serve_watch(struct call *call, const Luna__V1__WatchCountsRequest *req, struct stream *out)
{
    struct watch_call *w = arena_new(call->ctx.arena, struct watch_call);
    w->call = call;
    w->out = out;
    w->req = req;
    enum status st = choose_spaces(w);
    if (st == OK && *req->resume_token)
        st = read_resume_token(w, req->resume_token);
    if (st == OK)
        st = stream_send_headers(out);
    return st == OK ? counts_watch(&call->ctx, w->spaces, w->n, w->counts, w->told, send_change, w)
                    : st;
}
