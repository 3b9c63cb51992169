/* Durable filters: check, domain, convert. */
#include <math.h>
#include <string.h>

#include "base/uuid.h"
#include "edge/page_token.h"
#include "kalman/durable.h"
#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"
#include "kalman/kalman_convert_rpc.h"
#include "luna/v1/kalman.pb-c.h"

#define MAX_PAGE 1000

typedef Luna__V1__FilterEstimate Estimate;

/* The account a call is about: 0 is the caller's own. */
static enum status
account_of(struct call *call, int64_t account_id, int64_t *ret)
{
    *ret = account_id ? account_id : call->ctx.who.account_id;
    return kalman_check_account(&call->ctx, account_id);
}

/* What filter_of needs of the stored model. */
static enum status
filter_of(struct call *call, const struct kalman_filter *row, const struct durable_estimate *e,
          Luna__V1__DurableFilter **ret)
{
    struct arena *a = call->ctx.arena;
    struct model_spec spec;
    Luna__V1__DurableFilter *f =
        rpc_new(a, Luna__V1__DurableFilter, luna__v1__durable_filter__descriptor);
    f->account_id = row->account_id;
    f->filter_id = (char *)(uintptr_t)row->filter_id;
    f->model = kalman_unpack_model(a, row->model);
    f->observation_count = row->position;
    f->created_at = rpc_timestamp(a, row->created_at);
    f->reset_at = rpc_timestamp(a, row->reset_at);
    f->estimate = e ? kalman_write_estimate(a, e) : NULL;
    enum status st = durable_read_model(&call->ctx, row->model, &spec);
    if (st != OK)
        return st;
    struct model *m = model_new(&spec, 1, a);
    f->state_names = (char **)(void *)m->state_names;
    f->n_state_names = m->s.m - m->noise_states;
    *ret = f;
    return OK;
}

enum status
kalman_rpc_create_filter(struct call *call, const Luna__V1__CreateFilterRequest *req,
                         Luna__V1__CreateFilterResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct model_spec spec;
    struct kalman_filter row;
    struct uuid id;
    int64_t account;
    char name[UUID_TEXT];
    const struct durable_estimate nothing = {0};
    enum status st = account_of(call, req->account_id, &account);
    if (st == OK)
        st = kalman_read_still_model(ctx, req->model, &spec);
    if (st == OK)
        st = durable_check_model(ctx, &spec);
    if (st != OK)
        return st;
    uuid_v4(&id);
    uuid_format(&id, name);
    st = durable_create(ctx, account, *req->filter_id ? req->filter_id : name,
                        kalman_pack_model(ctx->arena, req->model), &row);
    return st == OK ? filter_of(call, &row, &nothing, &resp->filter) : st;
}

enum status
kalman_rpc_get_filter(struct call *call, const Luna__V1__GetFilterRequest *req,
                      Luna__V1__GetFilterResponse *resp)
{
    struct kalman_filter row;
    struct durable_estimate e;
    int64_t account;
    enum status st = account_of(call, req->account_id, &account);
    if (st == OK)
        st = durable_get(&call->ctx, account, req->filter_id, &row, &e);
    return st == OK ? filter_of(call, &row, &e, &resp->filter) : st;
}

enum status
kalman_rpc_reset_filter(struct call *call, const Luna__V1__ResetFilterRequest *req,
                        Luna__V1__ResetFilterResponse *resp)
{
    struct kalman_filter row;
    int64_t account;
    const struct durable_estimate nothing = {0};
    enum status st = account_of(call, req->account_id, &account);
    if (st == OK)
        st = durable_reset(&call->ctx, account, req->filter_id, &row);
    return st == OK ? filter_of(call, &row, &nothing, &resp->filter) : st;
}

enum status
kalman_rpc_delete_filter(struct call *call, const Luna__V1__DeleteFilterRequest *req,
                         Luna__V1__DeleteFilterResponse *resp)
{
    int64_t account;
    (void)resp;
    enum status st = account_of(call, req->account_id, &account);
    return st == OK ? durable_delete(&call->ctx, account, req->filter_id) : st;
}

enum status
kalman_rpc_list_filters(struct call *call, const Luna__V1__ListFiltersRequest *req,
                        Luna__V1__ListFiltersResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct kalman_filter *rows;
    int64_t account, after;
    int32_t limit;
    size_t n = 0;
    enum status st = account_of(call, req->account_id, &account);
    if (st != OK)
        return st;
    struct str binding = str_of(arena_printf(ctx->arena, "filters|%lld", (long long)account));
    st = page_size_read(ctx, req->page_size, 100, MAX_PAGE, &limit);
    if (st == OK)
        st = page_token_read_id(ctx, req->page_token, binding, &after);
    if (st == OK)
        st = kalman_store_list_filters(ctx, account, after, limit + 1, &rows, &n);
    if (st == OK && n > (size_t)limit) {
        n = (size_t)limit;
        resp->next_page_token =
            (char *)(uintptr_t)page_token_make_id(ctx->arena, binding, rows[n - 1].filter_key);
    }
    resp->filters = arena_new_n(ctx->arena, Luna__V1__DurableFilter *, n);
    for (size_t i = 0; st == OK && i < n; i++) {
        st = filter_of(call, &rows[i], NULL, &resp->filters[i]);
        resp->n_filters = i + 1;
    }
    return st;
}

/* ---- appending ---------------------------------------------------------------------------------
 */

static enum status
append(struct call *call, int64_t account_id, const char *filter_id,
       Luna__V1__FilterObservation *const *list, size_t n, struct durable_appended *ret)
{
    int64_t account;
    enum status st = account_of(call, account_id, &account);
    if (st != OK)
        return st;
    size_t most = n <= DURABLE_MAX_APPEND ? n : 0; /* more are refused by their number */
    struct durable_observation *o = arena_new_n(call->ctx.arena, struct durable_observation, most);
    for (size_t i = 0; i < most; i++)
        o[i] = (struct durable_observation){list[i]->sequence, list[i]->time, list[i]->values,
                                            list[i]->n_values};
    return durable_append(&call->ctx, account, filter_id, o, n, ret);
}

enum status
kalman_rpc_append(struct call *call, const Luna__V1__AppendRequest *req,
                  Luna__V1__AppendResponse *resp)
{
    struct durable_appended out;
    enum status st =
        append(call, req->account_id, req->filter_id, req->observations, req->n_observations, &out);
    if (st != OK)
        return st;
    resp->position = out.position;
    resp->duplicates = out.duplicates;
    resp->estimate = kalman_write_estimate(call->ctx.arena, &out.estimate);
    return OK;
}

/* What lives longer than a message of a stream. */
struct conversation {
    char filter_id[64];
    int64_t account_id;
    struct arena scratch; /* instead of the call's, which grows until its end */
    struct arena *of_call;
};

static void
conversation_end(void *arg)
{
    struct conversation *c = arg;
    arena_fini(&c->scratch);
}

static struct conversation *
conversation_new(struct call *call)
{
    struct conversation *c = arena_new(call->ctx.arena, struct conversation);
    arena_init(&c->scratch, 0);
    c->of_call = call->ctx.arena;
    ctx_defer(&call->ctx, conversation_end, c);
    return c;
}

/* An empty id is that of the message before. */
static const char *
filter_named(struct conversation *c, const char *filter_id, int64_t *account_id)
{
    if (!*filter_id) {
        *account_id = *account_id ? *account_id : c->account_id;
        return c->filter_id;
    }
    if (strlen(filter_id) < sizeof(c->filter_id))
        memcpy(c->filter_id, filter_id, strlen(filter_id) + 1);
    c->account_id = *account_id;
    return filter_id;
}

/* Back from the scratch memory. A failure is told when that is gone: its texts move. */
static enum status
leave_scratch(struct call *call, struct conversation *c, enum status st)
{
    call->ctx.arena = c->of_call;
    if (st != OK)
        error_move(&call->ctx.error, c->of_call);
    return st;
}

/* Appends one message with the scratch memory in place of the call's. */
static enum status
append_message(struct call *call, struct conversation *c, int64_t account_id, const char *filter_id,
               Luna__V1__FilterObservation *const *list, size_t n, struct durable_appended *ret)
{
    arena_reset(&c->scratch);
    call->ctx.arena = &c->scratch;
    filter_id = filter_named(c, filter_id, &account_id);
    return leave_scratch(call, c, append(call, account_id, filter_id, list, n, ret));
}

enum status
kalman_rpc_append_all(struct call *call, struct stream *in, Luna__V1__AppendAllResponse *resp)
{
    struct conversation *c = conversation_new(call);
    struct durable_appended out = {0};
    ProtobufCMessage *m;
    enum status st;
    while ((st = stream_recv(in, &m)) == OK) {
        const Luna__V1__AppendAllRequest *req = (const void *)m;
        st = append_message(call, c, req->account_id, req->filter_id, req->observations,
                            req->n_observations, &out);
        if (st != OK)
            return st;
        resp->messages++;
        resp->duplicates += out.duplicates;
        resp->appended += (int64_t)req->n_observations - out.duplicates;
    }
    if (st != END)
        return st;
    if (resp->messages > 0)
        resp->estimate = kalman_write_estimate(call->ctx.arena, &out.estimate);
    return OK;
}

enum status
kalman_rpc_append_stream(struct call *call, struct stream *s)
{
    struct conversation *c = conversation_new(call);
    struct durable_appended out;
    ProtobufCMessage *m;
    enum status st;
    while ((st = stream_recv(s, &m)) == OK) {
        const Luna__V1__AppendStreamRequest *req = (const void *)m;
        Luna__V1__AppendStreamResponse resp = LUNA__V1__APPEND_STREAM_RESPONSE__INIT;
        st = append_message(call, c, req->account_id, req->filter_id, req->observations,
                            req->n_observations, &out);
        if (st != OK)
            return st;
        resp.acknowledged_sequence = out.last_sequence;
        resp.position = out.position;
        resp.duplicates = out.duplicates;
        resp.estimate = kalman_write_estimate(stream_arena(s), &out.estimate);
        if ((st = stream_send(s, &resp.base)) != OK)
            return st;
    }
    return st == END ? OK : st;
}

/* ---- watching ----------------------------------------------------------------------------------
 */

static void
end_watch(void *arg)
{
    durable_watch_free(arg);
}

enum status
kalman_rpc_watch_filter(struct call *call, const Luna__V1__WatchFilterRequest *req,
                        struct stream *out)
{
    struct ctx *ctx = &call->ctx;
    struct kalman_filter row;
    struct durable_estimate e;
    int64_t account, key = 0, generation = 0, position = -1;
    enum status st = account_of(call, req->account_id, &account);
    if (st != OK || (st = durable_check_id(ctx, req->filter_id)) != OK)
        return st;
    struct conversation *c = conversation_new(call);
    struct durable_watch *w = durable_watch_new(ctx, account, req->filter_id);
    ctx_defer(ctx, end_watch, w);
    do {
        arena_reset(&c->scratch);
        ctx->arena = &c->scratch;
        st = durable_get(ctx, account, req->filter_id, &row, &e);
        if ((st = leave_scratch(call, c, st)) != OK)
            return st;
        if (key != 0 && row.filter_key != key)
            return fail_plain(ctx, FILTER_NOT_FOUND); /* another one of that name */
        key = row.filter_key;
        if (row.position != position || row.generation != generation) {
            Luna__V1__WatchFilterResponse resp = LUNA__V1__WATCH_FILTER_RESPONSE__INIT;
            resp.estimate = kalman_write_estimate(stream_arena(out), &e);
            st = stream_send(out, &resp.base);
        }
        position = row.position;
        generation = row.generation;
        if (st == OK)
            st = durable_watch_wait(w, ctx);
    } while (st == OK);
    return st;
}
