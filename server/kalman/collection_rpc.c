/* Questions with several models or many series: Select, FilterBatch and FilterBatchStream. */
#include <math.h>
#include <stdatomic.h>

#include "edge/quota_gate.h"
#include "kalman/handlers_rpc.h"
#include "kalman/kalman.h"
#include "kalman/question_rpc.h"
#include "luna/v1/kalman.pb-c.h"

/* ---- Select ---- */

static double
criterion(Luna__V1__Criterion c, const Luna__V1__FitResponse *f)
{
    return c == LUNA__V1__CRITERION__CRITERION_BIC    ? f->bic
           : c == LUNA__V1__CRITERION__CRITERION_AICC ? f->aicc
                                                      : f->aic;
}

/* Fits model i; one without a likelihood is a row that says so, not a failure. */
static enum status
try_model(struct asked *a, size_t i, Luna__V1__SelectRow *row)
{
    struct ctx *ctx = &a->call->ctx;
    const Luna__V1__SelectRequest *req = a->req;
    const char *path = arena_printf(ctx->arena, "models[%zu]", i);
    enum status st = kalman_read_model(ctx, path, req->models[i], req->n_results, 0, &a->spec);
    if (st == OK && i > 0)
        st = quota_gate_measure(a->call, 1); /* each model is a question */
    if (st != OK)
        return st;
    a->ask = (struct kalman_ask){.charge = question_charge,
                                 .watch = a->teller ? &a->teller->watch : NULL,
                                 .question = KALMAN_FIT,
                                 .path = path,
                                 .spec = &a->spec,
                                 .values = req->results,
                                 .count = req->n_results};
    st = kalman_analyse(ctx, &a->ask, &a->answer);
    if (st != OK && ctx->error.reason == REASON_NO_RESULT) {
        fail_clear(ctx);
        row->failed = true;
        return OK;
    }
    if (st != OK)
        return st;
    row->fit = arena_new(ctx->arena, Luna__V1__FitResponse);
    luna__v1__fit_response__init(row->fit);
    kalman_write_fit(ctx->arena, &a->answer, a->answer.log_likelihood, row->fit);
    return OK;
}

static enum status
answer_select(struct asked *a)
{
    struct arena *arena = a->call->ctx.arena;
    const Luna__V1__SelectRequest *req = a->req;
    Luna__V1__SelectResponse *resp = a->resp;
    double best = INFINITY;
    resp->rows = arena_new_n(arena, Luna__V1__SelectRow *, req->n_models);
    for (size_t i = 0; i < req->n_models; i++) {
        Luna__V1__SelectRow *row = resp->rows[i] = arena_new(arena, Luna__V1__SelectRow);
        luna__v1__select_row__init(row);
        enum status st = try_model(a, i, row);
        if (st != OK)
            return st;
        if (a->teller)
            atomic_store_explicit(&a->teller->progress.models, i + 1, memory_order_relaxed);
        if (row->failed)
            continue;
        resp->cost_units += row->fit->cost_units;
        if (criterion(req->criterion, row->fit) < best) {
            best = criterion(req->criterion, row->fit);
            resp->best = (int32_t)i;
        }
    }
    resp->n_rows = req->n_models;
    return isfinite(best) ? OK : fail(&a->call->ctx, NO_RESULT, "no model fits these values");
}

const struct question question_select = {
    .request.account_id = offsetof(Luna__V1__SelectRequest, account_id),
    .request.output = offsetof(Luna__V1__SelectRequest, output),
    .request.n_output = offsetof(Luna__V1__SelectRequest, n_output),
    .answer = answer_select,
};

/* ---- FilterBatch ---- */

/* Series of a message. */
struct batch_series {
    Luna__V1__BatchSeries **list;
    size_t n;
};

static enum status
read_series(struct ctx *ctx, const struct batch_series *in, const double ***ret)
{
    const double **series = arena_new_n(ctx->arena, const double *, in->n);
    for (size_t i = 0; i < in->n; i++) {
        if (in->list[i]->n_results != in->list[0]->n_results)
            return fail_field(ctx, arena_printf(ctx->arena, "series[%zu].results", i),
                              "holds %zu numbers, the first series %zu", in->list[i]->n_results,
                              in->list[0]->n_results);
        series[i] = in->list[i]->results;
    }
    *ret = series;
    return OK;
}

/* What a message says of its series. */
struct batch_ask {
    const Luna__V1__Model *model;
    struct batch_series series;
    bool include_states;
    int64_t convention;
    const struct kalman_watch *watch;
};

struct batch_answer {
    Luna__V1__BatchResult **results;
    char **state_names;
    size_t states;
    int64_t cost_units;
};

static Luna__V1__BatchResult *
write_result(struct arena *arena, const struct analysis_batch *b, const struct ssm *s, size_t i)
{
    Luna__V1__BatchResult *r = arena_new(arena, Luna__V1__BatchResult);
    luna__v1__batch_result__init(r);
    r->n_last_states = s->m;
    r->last_states = b->last + i * s->m;
    r->n_states = b->states ? s->n * s->m : 0;
    r->states = b->states ? b->states + i * s->n * s->m : NULL;
    r->log_likelihood = b->log_likelihood[i];
    return r;
}

static enum status
filter_series(struct call *call, const struct batch_ask *in, struct batch_answer *ret)
{
    struct ctx *ctx = &call->ctx;
    struct model_spec spec;
    struct kalman_convention c;
    struct analysis_batch out;
    struct model *m;
    const double **series;
    enum status st = read_series(ctx, &in->series, &series);
    if (st != OK)
        return st;
    size_t count = in->series.list[0]->n_results;
    st = kalman_read_model(ctx, "model", in->model, count, 0, &spec);
    kalman_read_convention(in->convention, &c);
    struct kalman_batch ask = {.spec = &spec,
                               .series = series,
                               .series_count = in->series.n,
                               .count = count,
                               .want_states = in->include_states,
                               .concentrated = c.concentrated,
                               .convention = c.convention,
                               .charge = question_charge,
                               .watch = in->watch};
    if (st != OK || (st = kalman_filter_batch(ctx, &ask, &m, &out)) != OK)
        return st;
    ret->results = arena_new_n(ctx->arena, Luna__V1__BatchResult *, in->series.n);
    for (size_t i = 0; i < in->series.n; i++)
        ret->results[i] = write_result(ctx->arena, &out, &m->s, i);
    ret->state_names = (char **)(void *)m->state_names;
    ret->states = m->s.m;
    ret->cost_units = kalman_units(m->s.m, m->s.n, in->series.n);
    return OK;
}

static enum status
answer_filter_batch(struct asked *a)
{
    const Luna__V1__FilterBatchRequest *req = a->req;
    Luna__V1__FilterBatchResponse *resp = a->resp;
    struct batch_answer out;
    struct batch_ask in = {.model = req->model,
                           .series = {req->series, req->n_series},
                           .include_states = req->include_states,
                           .convention = req->likelihood_convention};
    enum status st = filter_series(a->call, &in, &out);
    if (st != OK)
        return st;
    resp->results = out.results;
    resp->n_results = req->n_series;
    resp->state_names = out.state_names;
    resp->n_state_names = out.states;
    resp->cost_units = out.cost_units;
    return OK;
}

const struct question question_filter_batch = {
    .request.account_id = offsetof(Luna__V1__FilterBatchRequest, account_id),
    .request.output = offsetof(Luna__V1__FilterBatchRequest, output),
    .request.n_output = offsetof(Luna__V1__FilterBatchRequest, n_output),
    .answer = answer_filter_batch,
};

/* ---- FilterBatchStream ---- */

/* What lives as long as the stream; `scratch` holds one message and its answer. */
struct batch_talk {
    struct call *call;
    struct progress_teller teller;
    Luna__V1__Model *model;
    struct arena scratch;
    int64_t answered;
};

static void
end_talk(void *arg)
{
    struct batch_talk *k = arg;
    arena_fini(&k->scratch);
}

static enum status
begin_talk(struct batch_talk *k, struct stream *s, const Luna__V1__FilterBatchStreamRequest *req)
{
    struct ctx *ctx = &k->call->ctx;
    enum status st = kalman_check_account(ctx, req->account_id);
    if (st == OK && !req->model)
        st = fail_field(ctx, "model", "is not given");
    if (st != OK)
        return st;
    /* The message goes with the next one, the model stays. */
    k->model = kalman_unpack_model(ctx->arena, kalman_pack_model(ctx->arena, req->model));
    return progress_teller_init(&k->teller, k->call, s, req->progress_ms);
}

/* The message itself goes when progress is sent, so it is copied first. */
static struct batch_series
copy_series(struct arena *a, const Luna__V1__FilterBatchStreamRequest *req)
{
    struct batch_series to = {arena_new_n(a, Luna__V1__BatchSeries *, req->n_series),
                              req->n_series};
    for (size_t i = 0; i < to.n; i++) {
        to.list[i] = arena_memdup(a, req->series[i], sizeof(*req->series[i]));
        to.list[i]->results =
            arena_memdup(a, req->series[i]->results, req->series[i]->n_results * sizeof(double));
    }
    return to;
}

static enum status
answer_message(struct batch_talk *k, const Luna__V1__FilterBatchStreamRequest *req)
{
    Luna__V1__BatchResults results = LUNA__V1__BATCH_RESULTS__INIT;
    struct batch_answer out;
    struct batch_ask in = {.model = k->model,
                           .series = copy_series(&k->scratch, req),
                           .include_states = req->include_states,
                           .convention = req->likelihood_convention,
                           .watch = &k->teller.watch};
    progress_teller_reset(&k->teller);
    enum status st = filter_series(k->call, &in, &out);
    if (st != OK)
        return st;
    results.first = k->answered;
    results.results = out.results;
    results.n_results = in.series.n;
    results.state_names = out.state_names;
    results.n_state_names = out.states;
    results.cost_units = out.cost_units;
    k->answered += (int64_t)in.series.n;
    return progress_teller_end(&k->teller, &results.base);
}

enum status
kalman_rpc_filter_batch_stream(struct call *call, struct stream *s)
{
    struct ctx *ctx = &call->ctx;
    struct arena *whole = ctx->arena;
    struct batch_talk *k = arena_new(whole, struct batch_talk);
    ProtobufCMessage *m;
    enum status st;
    k->call = call;
    arena_init(&k->scratch, 0);
    ctx_defer(ctx, end_talk, k);
    while ((st = stream_recv(s, &m)) == OK) {
        const Luna__V1__FilterBatchStreamRequest *req = (const void *)m;
        if (k->model && req->model)
            return fail_field(ctx, "model", "belongs into the first message");
        bool first = !k->model;
        if (first && (st = begin_talk(k, s, req)) != OK)
            return st;
        if (req->n_series == 0 && first)
            continue;
        if (req->n_series == 0)
            return fail_field(ctx, "series", "holds none");
        arena_reset(&k->scratch);
        ctx->arena = &k->scratch;
        st = answer_message(k, req);
        ctx->arena = whole;
        if (st != OK) { /* is told when the scratch memory is gone */
            error_move(&ctx->error, whole);
            return st;
        }
    }
    return st == END ? OK : st;
}
