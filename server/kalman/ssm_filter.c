#include <math.h>
#include <string.h>

#include "kalman/ssm_steady.h"

/* R Q R' */
static void
make_rqr(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    const double *r = ssm_at(s->rr, t), *q = ssm_at(s->q, t);
    double *rq = f->work;
    size_t m = s->m, k = s->r, ld = ssm_row(m);
    for (size_t i = 0; i < m; i++) {
        for (size_t b = 0; b < k; b++) {
            double x = 0;
            for (size_t a = 0; a < k; a++)
                x += r[i * k + a] * q[a * k + b];
            rq[b] = x;
        }
        for (size_t j = 0; j <= i; j++) {
            double x = 0;
            for (size_t b = 0; b < k; b++)
                x += rq[b] * r[j * k + b];
            f->rqr[i * ld + j] = f->rqr[j * ld + i] = x;
        }
    }
    f->rqr_count = ssm_gather(f->rqr, m, m, ld, f->rqr_entries, NULL);
}

/* Brings in what the numbers of time t are seen through. */
static void
load_observation(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    if (LIKELY(f->have_z && s->z.step == 0))
        return;
    ssm_gather(ssm_at(s->z, t), s->p, s->m, s->m, f->z, f->z_from);
    f->have_z = true;
}

/* Brings in what leads from time t to the next. */
static void
load_transition(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    if (LIKELY(f->have_t && !f->t_varies))
        return;
    if (!f->have_t || s->t.step)
        ssm_load_transition(f, ssm_at(s->t, t));
    if (!f->have_t || s->rr.step || s->q.step)
        make_rqr(f, t);
    f->have_t = true;
}

static void
forget_changes(struct ssm_run *f)
{
    f->changes = f->near = 0;
    f->largest = 0;
    f->decay = 1;
    f->window = INFINITY;
}

/* A number that is missing: what a smoother needs of it. */
static ALWAYS_INLINE void
pass_missing(struct ssm_run *f, const double *p, size_t i, size_t ld)
{
    const struct ssm_entry *z = f->z + f->z_from[i];
    size_t count = f->z_from[i + 1] - f->z_from[i];
    f->complete = false;
    f->f[i] += project(z, count, p, ld, f->mv + i * ld);
    f->f_inf[i] = f->diffuse ? project(z, count, f->p_inf, ld, f->mv_inf + i * ld) : 0;
}

/* All numbers of time t while the variance changes. */
static ALWAYS_INLINE void
observe(struct ssm_run *f, size_t t, const double *y, size_t m, size_t ld)
{
    const struct ssm *s = f->s;
    const double *h = ssm_at(s->h, t), *d = ssm_at(s->d, t);
    load_observation(f, t);
    if (UNLIKELY(f->keep & SSM_KEEPS_ANYTHING))
        keep_predicted(f, t);
    double *p = f->p;
    f->p = f->before;
    f->before = p;
    if (s->p > 1 || f->diffuse || y[0] != y[0]) { /* otherwise the only update copies */
        copy_variance(f, p, m, ld);
        p = f->p;
    }
    f->complete = true;
    f->was_diffuse = f->diffuse;
    for (size_t i = 0; i < s->p; i++) {
        double v = 0;
        enum ssm_kind kind = SSM_MISSING;
        f->f[i] = h[i];
        f->weight = 1;
        if (y[i] == y[i])
            kind = update(f, p, i, y[i] - (d ? d[i] : 0), m, ld, &v);
        else
            pass_missing(f, p, i, ld);
        if (UNLIKELY(f->keep & SSM_KEEPS_ANYTHING))
            keep_number(f, t * s->p + i, kind, v);
    }
    if (UNLIKELY(f->keep & SSM_KEEPS_ANYTHING))
        keep_updated(f, t, f->was_diffuse);
    f->out->diffuse_steps += f->was_diffuse;
}

/* T may forget what was diffuse. */
static void
predict_diffuse(struct ssm_run *f, size_t t)
{
    size_t m = f->s->m, ld = ssm_row(m);
    double left = 0;
    predict_variance(f, &f->p_inf, t, false, m, ld);
    for (size_t j = 0; j < m; j++) {
        double x = f->p_inf[j * ld + j];
        f->inf_scale[j] = fmax(f->inf_scale[j], x);
        left = fmax(left, x / fmax(f->inf_scale[j], __DBL_MIN__));
    }
    if (left < SSM_DIFFUSE_TOLERANCE) {
        f->diffuse = false;
        f->rank = 0;
    }
}

/* From the filtered variance of time t to the predicted one of the next, unless that stays. */
static ALWAYS_INLINE void
advance_variance(struct ssm_run *f, size_t t, size_t m, size_t ld)
{
    load_transition(f, t);
    if (f->steady)
        return;
    if (f->diffuse)
        predict_diffuse(f, t);
    predict_variance(f, &f->p, t, true, m, ld);
    if (!f->constant || !f->complete || f->was_diffuse)
        forget_changes(f);
    else if (notice_steady(f, m, ld))
        enter_steady(f);
}

/* Takes time t, or while steady all up to `end`; returns the time after. */
static ALWAYS_INLINE size_t
step(struct ssm_run *f, const double *y, size_t t, size_t end, size_t m, size_t ld)
{
    if (f->begun)
        advance_variance(f, t - 1, m, ld);
    if (f->steady) {
        load_observation(f, t);
        size_t now = run_steady(f, y, t, end, m, ld);
        if (now > t)
            return now;
        leave_steady(f);
    }
    if (f->begun)
        advance_mean(f, t - 1, m);
    f->begun = true;
    observe(f, t, y, m, ld);
    return t + 1;
}

static ALWAYS_INLINE bool
run_steps(struct ssm_run *f, const double *y, size_t from, size_t n, const struct ssm_stop *stop,
          size_t m, size_t ld)
{
    const size_t period = ssm_stop_period(m);
    for (size_t t = from; t < n;) {
        if ((t & (period - 1)) == 0 && ssm_stopped(stop, ssm_stop_steps(t, n, period)))
            return false;
        size_t end = (t | (period - 1)) + 1;
        end = end < n ? end : n;
        while (t < end)
            t = step(f, y + (t - from) * f->s->p, t, end, m, ld);
    }
    return true;
}

typedef bool steps_fn(struct ssm_run *, const double *, size_t, size_t, const struct ssm_stop *);

/* The inner loops, compiled for models of few states and for some lengths of rows, and for
 * processors that take four numbers at once: the operations are the same, and so are the bytes. */
#define STEPS(name, attributes, m, ld)                                                     \
    attributes static bool name(struct ssm_run *f, const double *y, size_t from, size_t n, \
                                const struct ssm_stop *stop)                               \
    {                                                                                      \
        return run_steps(f, y, from, n, stop, m, ld);                                      \
    }
STEPS(steps_1, , 1, 1)
STEPS(steps_2, , 2, 2)
STEPS(steps_3, , 3, 3)
STEPS(steps_4, , 4, 4)
STEPS(steps_many, , f->s->m, ssm_row(f->s->m))

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
STEPS(steps_4_avx2, AVX2, 4, 4)
STEPS(steps_8_avx2, AVX2, f->s->m, 8)
STEPS(steps_12_avx2, AVX2, f->s->m, 12)
STEPS(steps_16_avx2, AVX2, f->s->m, 16)
STEPS(steps_many_avx2, AVX2, f->s->m, ssm_row(f->s->m))

static steps_fn *
steps_avx2(size_t row)
{
    return row == 4    ? steps_4_avx2
           : row == 8  ? steps_8_avx2
           : row == 12 ? steps_12_avx2
           : row == 16 ? steps_16_avx2
                       : steps_many_avx2;
}
#endif

static steps_fn *
steps_of(const struct ssm_run *f)
{
    size_t row = ssm_row(f->s->m);
#ifdef __x86_64__
    if (row >= 4 && !(f->keep & SSM_NO_WIDE_VECTORS) && __builtin_cpu_supports("avx2"))
        return steps_avx2(row);
#endif
    return row == 1   ? steps_1
           : row == 2 ? steps_2
           : row == 3 ? steps_3
           : row == 4 ? steps_4
                      : steps_many;
}

bool
ssm_run_steps(struct ssm_run *f, const double *y, size_t from, size_t n,
              const struct ssm_stop *stop)
{
    /* On copies that no number written in the loops can be part of: twice as fast. */
    struct ssm_run here = *f;
    struct ssm_filtered out = *f->out;
    here.out = &out;
    bool done = steps_of(f)(&here, y, from, n, stop);
    here.out = f->out;
    *f->out = out;
    *f = here;
    return done;
}

void
ssm_run_make_gains(struct ssm_run *f)
{
    size_t ld = ssm_row(f->s->m);
    for (size_t i = 0; i < f->s->p; i++) {
        f->inverse[i] = f->f[i] > 0 ? 1 / f->f[i] : 0;
        for (size_t j = 0; j < ld; j++)
            f->gain[i * ld + j] = f->mv[i * ld + j] * f->inverse[i];
    }
}

static double *
numbers(struct arena *a, size_t rows, size_t cols)
{
    return arena_array(a, rows, cols * sizeof(double));
}

/* Whose rows do not lie across lines of the cache. */
static double *
matrix(struct arena *a, size_t rows, size_t cols)
{
    enum { LINE = 64 };
    char *room = arena_array(a, rows * cols * sizeof(double) + LINE, 1);
    return (double *)(void *)(room + (LINE - (uintptr_t)room % LINE) % LINE);
}

static void
prepare_kept(const struct ssm *s, unsigned keep, struct arena *a, struct ssm_filtered *o)
{
    if (keep & SSM_KEEP_PREDICTED) {
        o->a = numbers(a, s->n, s->m);
        o->p = numbers(a, s->n, s->m * s->m);
    }
    if (keep & SSM_KEEP_FILTERED) {
        o->att = numbers(a, s->n, s->m);
        o->ptt = numbers(a, s->n, s->m * s->m);
    }
    if (keep & SSM_KEEP_INNOVATIONS) {
        o->v = numbers(a, s->n, s->p);
        o->f = numbers(a, s->n, s->p);
        o->kind = arena_array(a, s->n, s->p);
        if (s->robust.kind)
            o->weight = numbers(a, s->n, s->p);
    }
    if (keep & SSM_KEEP_GAINS)
        o->mv = numbers(a, s->n, s->p * s->m);
}

static void
prepare_state(struct ssm_run *f)
{
    const struct ssm *s = f->s;
    struct arena *a = f->arena;
    size_t m = s->m, ld = ssm_row(m);
    f->a = matrix(a, ld, 1);
    memcpy(f->a, s->a1, m * sizeof(double));
    f->p = matrix(a, m, ld);
    ssm_rows_unpack(f->p, s->p1, m, m);
    f->p_inf = matrix(a, m, ld);
    f->inf_scale = numbers(a, m, 1);
    f->ptt = matrix(a, m, ld);
    f->before = matrix(a, m, ld);
    f->mv = matrix(a, s->p, ld);
    f->f = numbers(a, s->p, 1);
    for (size_t j = 0; j < m; j++) {
        f->p_inf[j * ld + j] = f->inf_scale[j] = s->p1_inf[j];
        f->rank += s->p1_inf[j] > 0;
        f->log_inf_units += s->p1_inf[j] > 0 ? log(s->p1_inf[j]) : 0;
    }
    f->diffuse = f->rank > 0;
    forget_changes(f);
    f->log_f.mantissas = f->log_f_inf.mantissas = 1;
}

static void
prepare_work(struct ssm_run *f)
{
    const struct ssm *s = f->s;
    struct arena *a = f->arena;
    size_t m = s->m, ld = ssm_row(m);
    f->work = matrix(a, (m > 2 ? m : 2) * ld + s->r, 1);
    f->turned = matrix(a, m, ld);
    f->a_next = matrix(a, ld, 1);
    f->mv_inf = matrix(a, s->p, ld);
    f->f_inf = numbers(a, s->p, 1);
    f->inverse = numbers(a, s->p, 1);
    f->gain = matrix(a, s->p, ld);
    f->rqr = matrix(a, m, ld);
    f->rqr_entries = arena_array(a, m * m, sizeof(*f->rqr_entries));
    f->t = arena_array(a, m * m, sizeof(*f->t));
    f->t_from = arena_array(a, m + 1, sizeof(*f->t_from));
    f->moves = arena_array(a, m, sizeof(*f->moves));
    f->moved = arena_array(a, m, sizeof(*f->moved));
    f->generals = arena_array(a, m, sizeof(*f->generals));
    f->source = arena_array(a, m, sizeof(*f->source));
    f->z = arena_array(a, s->p * m, sizeof(*f->z));
    f->z_from = arena_array(a, s->p + 1, sizeof(*f->z_from));
    f->cleared = arena_array(a, m, sizeof(*f->cleared));
    f->constant =
        !(s->z.step || s->h.step || s->t.step || s->rr.step || s->q.step || s->robust.kind);
    f->t_varies = s->t.step || s->rr.step || s->q.step;
}

struct ssm_run *
ssm_run_new(const struct ssm *s, unsigned keep, struct arena *arena)
{
    struct ssm_run *f = arena_new(arena, struct ssm_run);
    f->s = s;
    f->out = arena_new(arena, struct ssm_filtered);
    f->keep = keep;
    f->arena = arena;
    prepare_kept(s, keep, arena, f->out);
    prepare_state(f);
    prepare_work(f);
    return f;
}

void
ssm_run_sums(const struct ssm_run *f, struct ssm_filtered *ret)
{
    *ret = *f->out;
    ret->rank_left = f->diffuse ? f->rank : 0;
    ret->log_f = ssm_log_value(&f->log_f) + steady_log_f(f);
    ret->log_f_inf = ssm_log_value(&f->log_f_inf) - (ret->rank_left ? 0 : f->log_inf_units);
    ret->squares = ssm_sum_value(&f->squares);
    ret->steady = f->steady;
}

bool
ssm_filter(const struct ssm *s, const double *y, unsigned keep, struct arena *arena,
           const struct ssm_stop *stop, struct ssm_filtered *ret)
{
    struct ssm_run *f = ssm_run_new(s, keep, arena);
    if (!ssm_run_steps(f, y, 0, s->n, stop))
        return false;
    ssm_run_sums(f, ret);
    if (s->n > 0) {
        advance_variance(f, s->n - 1, s->m, ssm_row(s->m));
        advance_mean(f, s->n - 1, s->m);
    }
    ret->a_end = f->a;
    ret->p_end = numbers(arena, s->m, s->m);
    ssm_rows_pack(ret->p_end, f->p, s->m, s->m);
    return true;
}
