/* Between the messages of durable filters and the domain. */
#include "kalman/durable.h"
#include "kalman/kalman_convert_rpc.h"
#include "luna/v1/kalman.pb-c.h"
#include "rpc/rpc.h"

enum status
kalman_read_still_model(struct ctx *ctx, const Luna__V1__Model *model, struct model_spec *ret)
{
    if (model && model->kind_case == LUNA__V1__MODEL__KIND_STRUCTURAL &&
        model->structural->n_regressors > 0)
        return fail_field(ctx, "model.structural.regressors",
                          "have no place where the values are yet to come");
    if (model && model->kind_case == LUNA__V1__MODEL__KIND_MOTION && model->motion->n_times > 0)
        return fail_field(ctx, "model.motion.times", "are those of the observations");
    size_t series = 1; /* one time of as many numbers as the model observes */
    if (model && model->kind_case == LUNA__V1__MODEL__KIND_MOTION && model->motion->axes > 0)
        series = (size_t)model->motion->axes;
    if (model && model->kind_case == LUNA__V1__MODEL__KIND_FREE && model->free->series > 0)
        series = (size_t)model->free->series;
    return kalman_read_model(ctx, "model", model, series, 0, ret);
}

struct str
kalman_pack_model(struct arena *a, const Luna__V1__Model *model)
{
    size_t n = luna__v1__model__get_packed_size(model);
    uint8_t *to = arena_alloc_raw(a, n);
    return (struct str){(const char *)to, luna__v1__model__pack(model, to)};
}

static void *
take(void *arena, size_t n)
{
    return arena_alloc_raw(arena, n);
}

static void
leave(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

Luna__V1__Model *
kalman_unpack_model(struct arena *a, struct str bytes)
{
    ProtobufCAllocator in_arena = {take, leave, a};
    return luna__v1__model__unpack(&in_arena, bytes.n, (const uint8_t *)bytes.p);
}

enum status
durable_read_model(struct ctx *ctx, struct str bytes, struct model_spec *ret)
{
    Luna__V1__Model *model = kalman_unpack_model(ctx->arena, bytes);
    if (!model)
        return fail(ctx, INTERNAL_ERROR, "the model of the filter cannot be read");
    return kalman_read_still_model(ctx, model, ret);
}

Luna__V1__FilterEstimate *
kalman_write_estimate(struct arena *a, const struct durable_estimate *e)
{
    Luna__V1__FilterEstimate *m =
        rpc_new(a, Luna__V1__FilterEstimate, luna__v1__filter_estimate__descriptor);
    m->position = e->position;
    m->time = e->time;
    m->signal = e->signal;
    m->signal_variances = e->signal_variances;
    m->n_signal = m->n_signal_variances = e->series;
    m->states = e->means;
    m->variances = e->variances;
    m->n_states = m->n_variances = e->states;
    m->log_likelihood = e->log_likelihood;
    return m;
}
