#include "kalman/durable_state.h"

#include <math.h>
#include <string.h>

#include "kalman/kalman_convert_rpc.h"

#define MAGIC      0x4c4b4600U
#define SLICE      256 /* steps whose matrices are laid out at once */
#define FIRST_ROOM 4

struct packed_head {
    uint32_t magic, format;
    int64_t account_id, filter_key, generation, position, max_sequence, since, sequence;
    double time;
    uint64_t model_size, state_size;
};

struct str
durable_head_pack(struct arena *a, const struct durable_head *h)
{
    struct packed_head p = {
        .magic = MAGIC,
        .format = DURABLE_FORMAT,
        .account_id = h->key.account_id,
        .filter_key = h->key.filter_key,
        .generation = h->key.generation,
        .position = h->position,
        .max_sequence = h->max_sequence,
        .since = h->since,
        .sequence = h->sequence,
        .time = h->time,
        .model_size = h->model.n,
        .state_size = h->state.n,
    };
    struct str out = {NULL, sizeof(p) + h->model.n + h->state.n};
    char *to = arena_alloc_raw(a, out.n);
    memcpy(to, &p, sizeof(p));
    if (h->model.n > 0)
        memcpy(to + sizeof(p), h->model.p, h->model.n);
    if (h->state.n > 0)
        memcpy(to + sizeof(p) + h->model.n, h->state.p, h->state.n);
    out.p = to;
    return out;
}

bool
durable_head_unpack(struct str bytes, struct durable_head *ret)
{
    struct packed_head p;
    if (bytes.n < sizeof(p))
        return false;
    memcpy(&p, bytes.p, sizeof(p));
    size_t rest = bytes.n - sizeof(p);
    if (p.magic != MAGIC || p.format != DURABLE_FORMAT || p.model_size > rest ||
        p.state_size != rest - p.model_size || (p.position == 0) != (p.state_size == 0))
        return false;
    *ret = (struct durable_head){
        .key = {p.account_id, p.filter_key, p.generation},
        .position = p.position,
        .max_sequence = p.max_sequence,
        .since = p.since,
        .time = p.time,
        .sequence = p.sequence,
        .model = {bytes.p + sizeof(p), p.model_size},
        .state = {bytes.p + sizeof(p) + p.model_size, p.state_size},
    };
    return true;
}

/* Lays the model out for the last time taken (if any) and `n` more. */
static struct model *
lay_out(const struct durable_walk *w, const double *times, size_t n, struct arena *a)
{
    bool begun = w->run && w->run->begun;
    size_t all = n + begun;
    struct model_spec *spec = arena_memdup(a, w->spec, sizeof(*spec));
    if (spec->kind == MODEL_MOTION) {
        double *t = arena_array(a, all, sizeof(double));
        t[0] = w->time;
        memcpy(t + begun, times, n * sizeof(double));
        spec->times = t;
    } else {
        all = 1; /* the same at all times */
    }
    struct model *m = model_new(spec, all, a);
    model_apply(m);
    return m;
}

bool
durable_walk_init(struct durable_walk *w, const struct model_spec *spec, struct arena *arena,
                  struct str state, double time, int64_t sequence, int64_t since)
{
    static const double origin = 0;
    *w = (struct durable_walk){
        .spec = spec, .arena = arena, .time = time, .sequence = sequence, .since = since};
    arena_init(&w->scratch, 0);
    w->model = lay_out(w, &origin, 1, arena);
    w->run = ssm_run_new(&w->model->s, 0, arena);
    return state.n == 0 || ssm_run_load(w->run, state.p, state.n);
}

void
durable_walk_fini(struct durable_walk *w)
{
    arena_fini(&w->scratch);
}

void
durable_walk_resume(struct durable_walk *w, struct arena *arena)
{
    w->arena = arena;
    w->want_checkpoints = true;
    w->checkpoints = NULL;
    w->checkpoint_count = w->checkpoint_room = 0;
}

bool
durable_walk_is_finite(const struct durable_walk *w)
{
    const struct ssm_run *f = w->run;
    bool finite = true;
    for (size_t j = 0; j < w->model->s.m; j++)
        finite = finite && isfinite(f->a[j]) && isfinite(f->p[j * ssm_row(w->model->s.m) + j]);
    return finite;
}

struct str
durable_walk_state(const struct durable_walk *w)
{
    const struct ssm *s = &w->model->s;
    char *to = arena_alloc_raw(w->arena, ssm_run_state_size(s->p, s->m));
    return (struct str){to, ssm_run_save(w->run, to)};
}

static void
add_checkpoint(struct durable_walk *w)
{
    if (w->checkpoint_count == w->checkpoint_room) {
        size_t room = w->checkpoint_room ? 2 * w->checkpoint_room : FIRST_ROOM;
        struct checkpoint *more = arena_new_n(w->arena, struct checkpoint, room);
        if (w->checkpoint_count > 0)
            memcpy(more, w->checkpoints, w->checkpoint_count * sizeof(*more));
        w->checkpoints = more;
        w->checkpoint_room = room;
    }
    w->checkpoints[w->checkpoint_count++] =
        (struct checkpoint){w->time, w->sequence, durable_walk_state(w)};
}

/* At most SLICE of them, up to the next checkpoint. */
static bool
take_slice(struct durable_walk *w, const double *times, const double *numbers, size_t n,
           const struct ssm_stop *stop)
{
    size_t begun = w->run->begun;
    const struct ssm *before = &w->model->s;
    if (w->spec->kind == MODEL_MOTION) {
        arena_reset(&w->scratch);
        struct model *m = lay_out(w, times, n, &w->scratch);
        ssm_run_attach(w->run, &m->s);
    }
    bool done = ssm_run_steps(w->run, numbers, begun, begun + n, stop);
    if (w->spec->kind == MODEL_MOTION)
        ssm_run_attach(w->run, before);
    return done;
}

bool
durable_walk_on(struct durable_walk *w, const struct durable_series *s, const struct ssm_stop *stop)
{
    size_t p = w->model->s.p;
    for (size_t i = 0; i < s->n;) {
        size_t left = (size_t)(DURABLE_CHECKPOINT - w->since), n = s->n - i;
        n = n < left ? n : left;
        n = n < SLICE ? n : SLICE;
        if (!take_slice(w, s->times + i, s->numbers + i * p, n, stop))
            return false;
        i += n;
        w->time = s->times[i - 1];
        w->sequence = s->sequences[i - 1];
        w->since += (int64_t)n;
        if (w->since < DURABLE_CHECKPOINT)
            continue;
        w->since = 0;
        if (w->want_checkpoints)
            add_checkpoint(w);
    }
    return true;
}

void
durable_walk_estimate(const struct durable_walk *w, struct arena *a, struct durable_estimate *ret)
{
    const struct ssm *s = &w->model->s;
    const struct ssm_run *f = w->run;
    size_t m = s->m, p = s->p, states = m - w->model->noise_states;
    double *variance = arena_array(a, m * m, sizeof(double));
    struct ssm_filtered sums;
    ssm_rows_pack(variance, ssm_run_variance(f), m, m);
    ret->series = p;
    ret->states = states;
    ret->means = arena_memdup(a, f->a, m * sizeof(double));
    ret->variances = arena_array(a, states, sizeof(double));
    ret->signal = arena_array(a, p, sizeof(double));
    ret->signal_variances = arena_array(a, p, sizeof(double));
    for (size_t j = 0; j < m; j++) {
        double *v = &variance[j * m + j];
        *v = ssm_run_is_diffuse(f, j) ? INFINITY : *v < 0 ? 0 : *v; /* as ssm_filter keeps it */
    }
    for (size_t j = 0; j < states; j++)
        ret->variances[j] = variance[j * m + j];
    const struct kalman_table t = {
        .values = ret->means, .variances = variance, .times = 1, .width = m, .square = true};
    kalman_signal(w->model, &t, false, ret->signal, ret->signal_variances);
    ssm_run_sums(f, &sums);
    ret->log_likelihood = ssm_log_likelihood(&sums, SSM_FULL);
}

void
durable_estimate_copy(struct arena *a, const struct durable_estimate *from,
                      struct durable_estimate *to)
{
    *to = *from;
    size_t p = from->series * sizeof(double), m = from->states * sizeof(double);
    if (from->series == 0)
        return;
    to->signal = arena_memdup(a, from->signal, p);
    to->signal_variances = arena_memdup(a, from->signal_variances, p);
    to->means = arena_memdup(a, from->means, m);
    to->variances = arena_memdup(a, from->variances, m);
}
