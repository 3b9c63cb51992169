#include <math.h>
#include <string.h>

#include "kalman/ssm_predict.h"

/* What is left of a variance after an update is rounding when it is less than this part of it. */
#define NOTHING_LEFT (8 * __DBL_EPSILON__)

static size_t
gather(const double *x, size_t rows, size_t cols, struct ssm_entry *to, size_t *from)
{
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
        if (from)
            from[i] = count;
        for (size_t j = 0; j < cols; j++) {
            if (x[i * cols + j] != 0)
                to[count++] = (struct ssm_entry){(uint32_t)i, (uint32_t)j, x[i * cols + j]};
        }
    }
    if (from)
        from[rows] = count;
    return count;
}

/* R Q R' */
static void
make_rqr(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    const double *r = ssm_at(s->rr, t), *q = ssm_at(s->q, t);
    double *rq = f->work;
    size_t m = s->m, k = s->r;
    memset(f->rqr, 0, m * m * sizeof(double));
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
            f->rqr[i * m + j] = f->rqr[j * m + i] = x;
        }
    }
}

/* Brings in what the numbers of time t are seen through. */
static ALWAYS_INLINE void
load_observation(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    if (LIKELY(f->have_z && s->z.step == 0))
        return;
    gather(ssm_at(s->z, t), s->p, s->m, f->z, f->z_from);
    f->have_z = true;
}

/* Brings in what leads from time t to the next. */
static ALWAYS_INLINE void
load_transition(struct ssm_run *f, size_t t)
{
    const struct ssm *s = f->s;
    if (LIKELY(f->have_t && !f->t_varies))
        return;
    if (!f->have_t || s->t.step)
        ssm_load_transition(f, gather(ssm_at(s->t, t), s->m, s->m, f->t, f->t_from));
    if (!f->have_t || s->rr.step || s->q.step)
        make_rqr(f, t);
    f->have_t = true;
}

/* Sets states whose variance is nothing but rounding to be known exactly. */
static ALWAYS_INLINE void
clear_state(double *p, size_t m, size_t j)
{
    for (size_t k = 0; k < m; k++)
        p[j * m + k] = p[k * m + j] = 0;
}

/* mv = P z', returns z P z'. */
static ALWAYS_INLINE double
project(const struct ssm_entry *z, size_t count, const double *p, size_t m, double *mv)
{
    double f = 0;
    if (m <= 4 || count > 4) {
        for (size_t i = 0; i < m; i++) {
            double x = 0;
            for (size_t k = 0; k < count; k++)
                x += p[i * m + z[k].col] * z[k].x;
            mv[i] = x;
        }
    } else { /* the same sums along rows: P is symmetric to the last bit */
        memset(mv, 0, m * sizeof(double));
        for (size_t k = 0; k < count; k++) {
            const double *row = p + z[k].col * m, x = z[k].x;
            for (size_t i = 0; i < m; i++)
                mv[i] += row[i] * x;
        }
    }
    for (size_t k = 0; k < count; k++)
        f += z[k].x * mv[z[k].col];
    return f;
}

/* P -= mv mv' / F, bit for bit symmetric, without squares of variances. `clean`: P is a variance,
 * and what is left of it may be rounding. (Beside a diffuse part P need not be semi-definite.) */
static ALWAYS_INLINE void
downdate(double *p, const double *mv, double f, size_t m, double *scaled, bool clean)
{
    double w = 1 / sqrt(f);
    for (size_t i = 0; i < m; i++)
        scaled[i] = mv[i] * w;
    for (size_t i = 0; i < m; i++) {
        double was = p[i * m + i];
        for (size_t j = 0; j < m; j++)
            p[i * m + j] -= scaled[i] * scaled[j];
        if (clean && p[i * m + i] <= NOTHING_LEFT * was)
            p[i * m + i] = -1;
    }
    for (size_t i = 0; clean && i < m; i++) {
        if (p[i * m + i] < 0)
            clear_state(p, m, i);
    }
}

/* One number that tells about the diffuse part. */
static ALWAYS_INLINE void
update_diffuse(struct ssm_run *f, size_t i, double v, size_t m)
{
    const double *mv = f->mv + i * m, *mv_inf = f->mv_inf + i * m;
    double fs = f->f[i], fi = f->f_inf[i], *k = f->work;
    for (size_t j = 0; j < m; j++) {
        k[j] = mv_inf[j] / fi;
        f->a[j] += k[j] * v;
    }
    for (size_t a = 0; a < m; a++) {
        for (size_t b = 0; b < m; b++)
            f->p[a * m + b] += k[a] * k[b] * fs - (k[a] * mv[b] + mv[a] * k[b]);
    }
    downdate(f->p_inf, mv_inf, fi, m, f->work, true);
    ssm_log_add(&f->log_f_inf, fi);
    f->out->diffuse++;
    if (--f->rank == 0)
        f->diffuse = false;
}

/* How large Finf would be if nothing were known yet. */
static ALWAYS_INLINE double
inf_reference(const struct ssm_run *f, const struct ssm_entry *z, size_t count)
{
    double x = 0;
    for (size_t k = 0; k < count; k++)
        x += z[k].x * z[k].x * f->inf_scale[z[k].col];
    return x;
}

/* What a number counts whose innovation squared is `z2` times its variance. */
static double
robust_weight(const struct ssm_robust *r, double z2)
{
    double c = r->threshold;
    if (r->kind == SSM_GATE)
        return z2 > c ? 0 : 1;
    if (r->kind == SSM_HUBER)
        return z2 > c * c ? c / sqrt(z2) : 1;
    return fmin(1, (c + 1) / (c + z2));
}

/* One number of time t. */
static ALWAYS_INLINE enum ssm_kind
update(struct ssm_run *f, size_t i, double y, size_t m, double *ret_v)
{
    const struct ssm_entry *z = f->z + f->z_from[i];
    size_t count = f->z_from[i + 1] - f->z_from[i];
    double v = y, *mv = f->mv + i * m;
    for (size_t k = 0; k < count; k++)
        v -= z[k].x * f->a[z[k].col];
    *ret_v = v;
    double h = f->f[i]; /* the caller puts h there */
    f->f[i] = project(z, count, f->p, m, mv) + h;
    f->f_inf[i] = 0;
    if (f->diffuse) {
        f->f_inf[i] = project(z, count, f->p_inf, m, f->mv_inf + i * m);
        if (f->f_inf[i] > SSM_DIFFUSE_TOLERANCE * inf_reference(f, z, count)) {
            update_diffuse(f, i, v, m);
            return SSM_DIFFUSE;
        }
        f->f_inf[i] = 0;
    }
    if (!(f->f[i] > 0)) {
        f->f[i] = 0;
        f->out->impossible |= v != 0;
        return SSM_CERTAIN;
    }
    double variance = f->f[i];
    if (UNLIKELY(f->s->robust.kind)) {
        f->weight = robust_weight(&f->s->robust, v / variance * v);
        if (!(f->weight > 0))
            return SSM_MISSING;
        variance /= f->weight;
    }
    double vf = v / variance;
    for (size_t j = 0; j < m; j++)
        f->a[j] += mv[j] * vf;
    downdate(f->p, mv, variance, m, f->work, !f->diffuse);
    ssm_log_add(&f->log_f, f->f[i]);
    ssm_sum_add(&f->squares, v * vf);
    f->out->regular++;
    return SSM_REGULAR;
}

static ALWAYS_INLINE void
predict_mean(struct ssm_run *f, size_t t, size_t m)
{
    const double *c = ssm_at(f->s->c, t);
    for (size_t j = 0; j < m; j++)
        f->a_next[j] = c ? c[j] : 0;
    for (size_t e = 0; e < f->t_count; e++)
        f->a_next[f->t[e].row] += f->t[e].x * f->a[f->t[e].col];
    double *swap = f->a;
    f->a = f->a_next;
    f->a_next = swap;
}

static ALWAYS_INLINE void
predict_variances(struct ssm_run *f, size_t m)
{
    predict_variance(f, &f->p, f->rqr, m);
    if (!f->diffuse)
        return;
    predict_variance(f, &f->p_inf, NULL, m);
    double left = 0;
    for (size_t j = 0; j < m; j++) {
        double x = f->p_inf[j * m + j];
        f->inf_scale[j] = fmax(f->inf_scale[j], x);
        left = fmax(left, x / fmax(f->inf_scale[j], __DBL_MIN__));
    }
    /* T may forget what was diffuse. */
    if (left < SSM_DIFFUSE_TOLERANCE) {
        f->diffuse = false;
        f->rank = 0;
    }
}

static void
keep_diffuse_room(struct ssm_run *f)
{
    struct ssm_filtered *o = f->out;
    size_t have = o->diffuse_steps, p = f->s->p, m = f->s->m;
    if (have < f->inf_room)
        return;
    size_t room = f->inf_room ? 2 * f->inf_room : 16;
    room = room > f->s->n ? f->s->n : room;
    double *p_inf = arena_array(f->arena, room * m, m * sizeof(double));
    double *mv_inf = arena_array(f->arena, room * p, m * sizeof(double));
    double *f_inf = arena_array(f->arena, room, p * sizeof(double));
    if (have > 0) {
        memcpy(p_inf, o->p_inf, have * m * m * sizeof(double));
        memcpy(mv_inf, o->mv_inf, have * p * m * sizeof(double));
        memcpy(f_inf, o->f_inf, have * p * sizeof(double));
    }
    o->p_inf = p_inf;
    o->mv_inf = mv_inf;
    o->f_inf = f_inf;
    f->inf_room = room;
}

static ALWAYS_INLINE void
keep_predicted(struct ssm_run *f, size_t t, size_t m)
{
    struct ssm_filtered *o = f->out;
    if (f->keep & SSM_KEEP_PREDICTED) {
        memcpy(o->a + t * m, f->a, m * sizeof(double));
        memcpy(o->p + t * m * m, f->p, m * m * sizeof(double));
    }
    if (f->diffuse && (f->keep & SSM_KEEP_GAINS)) {
        keep_diffuse_room(f);
        memcpy(o->p_inf + t * m * m, f->p_inf, m * m * sizeof(double));
    }
}

static ALWAYS_INLINE void
keep_updated(struct ssm_run *f, size_t t, size_t m, bool was_diffuse)
{
    struct ssm_filtered *o = f->out;
    size_t p = f->s->p;
    if (f->keep & SSM_KEEP_FILTERED) {
        memcpy(o->att + t * m, f->a, m * sizeof(double));
        memcpy(o->ptt + t * m * m, ssm_run_variance(f), m * m * sizeof(double));
        for (size_t j = 0; j < m; j++) {
            double *v = &o->ptt[t * m * m + j * m + j];
            *v = ssm_run_is_diffuse(f, j) ? INFINITY : *v < 0 ? 0 : *v; /* rounding of a zero */
        }
    }
    if (f->keep & SSM_KEEP_INNOVATIONS)
        memcpy(o->f + t * p, f->f, p * sizeof(double));
    if (f->keep & SSM_KEEP_GAINS) {
        memcpy(o->mv + t * p * m, f->mv, p * m * sizeof(double));
        if (was_diffuse) {
            memcpy(o->mv_inf + t * p * m, f->mv_inf, p * m * sizeof(double));
            memcpy(o->f_inf + t * p, f->f_inf, p * sizeof(double));
        }
    }
}

static ALWAYS_INLINE void
keep_number(struct ssm_run *f, size_t at, enum ssm_kind kind, double v)
{
    if (f->keep & SSM_KEEP_INNOVATIONS) {
        f->out->v[at] = v;
        f->out->kind[at] = (uint8_t)kind;
        if (UNLIKELY(f->out->weight))
            f->out->weight[at] = kind == SSM_MISSING ? 0 : f->weight;
    }
}

static ALWAYS_INLINE void
forget_changes(struct ssm_run *f)
{
    f->changes = f->near = 0;
    f->largest = 0;
    f->decay = 1;
    f->window = INFINITY;
}

/* All numbers of time t while the variance changes. */
static ALWAYS_INLINE void
observe(struct ssm_run *f, size_t t, const double *y, size_t m)
{
    const struct ssm *s = f->s;
    const double *h = ssm_at(s->h, t), *d = ssm_at(s->d, t);
    load_observation(f, t);
    keep_predicted(f, t, m);
    f->complete = true;
    f->was_diffuse = f->diffuse;
    for (size_t i = 0; i < s->p; i++) {
        double v = 0;
        enum ssm_kind kind = SSM_MISSING;
        f->f[i] = h[i];
        f->weight = 1;
        if (y[i] == y[i]) {
            kind = update(f, i, y[i] - (d ? d[i] : 0), m, &v);
        } else {
            f->complete = false;
            const struct ssm_entry *z = f->z + f->z_from[i];
            f->f[i] += project(z, f->z_from[i + 1] - f->z_from[i], f->p, m, f->mv + i * m);
            f->f_inf[i] = 0;
            if (f->diffuse)
                f->f_inf[i] =
                    project(z, f->z_from[i + 1] - f->z_from[i], f->p_inf, m, f->mv_inf + i * m);
        }
        keep_number(f, t * s->p + i, kind, v);
    }
    keep_updated(f, t, m, f->was_diffuse);
    f->out->diffuse_steps += f->was_diffuse;
}

/* All numbers of time t with the gains of the step before; false when one is missing. */
static ALWAYS_INLINE bool
observe_steady(struct ssm_run *f, size_t t, const double *y, size_t m)
{
    const struct ssm *s = f->s;
    const double *d = ssm_at(s->d, t);
    for (size_t i = 0; i < s->p; i++) {
        if (y[i] != y[i])
            return false;
    }
    load_observation(f, t);
    keep_predicted(f, t, m);
    for (size_t i = 0; i < s->p; i++) {
        const double *mv = f->mv + i * m;
        double v = y[i] - (d ? d[i] : 0);
        for (size_t k = f->z_from[i]; k < f->z_from[i + 1]; k++)
            v -= f->z[k].x * f->a[f->z[k].col];
        double vf = v * f->inverse[i];
        bool regular = f->inverse[i] > 0;
        for (size_t j = 0; j < m; j++)
            f->a[j] += mv[j] * vf;
        if (regular) {
            ssm_log_add(&f->log_f, f->f[i]);
            ssm_sum_add(&f->squares, v * vf);
            f->out->regular++;
        } else {
            f->out->impossible |= v != 0;
        }
        keep_number(f, t * s->p + i, regular ? SSM_REGULAR : SSM_CERTAIN, v);
    }
    if (f->keep & (SSM_KEEP_FILTERED | SSM_KEEP_INNOVATIONS | SSM_KEEP_GAINS))
        keep_updated(f, t, m, false);
    return true;
}

/* From the filtered state of time t to the predicted one of the next. While steady the variances
 * stay as they are. */
static ALWAYS_INLINE void
advance(struct ssm_run *f, size_t t, size_t m)
{
    load_transition(f, t);
    predict_mean(f, t, m);
    if (f->steady)
        return;
    if (f->near > 0) /* may become steady: then this stays the filtered variance */
        memcpy(f->ptt, f->p, m * m * sizeof(double));
    predict_variances(f, m);
    if (f->constant && f->complete && !f->was_diffuse)
        notice_steady(f, m);
    else
        forget_changes(f);
}

static ALWAYS_INLINE bool
run_steps(struct ssm_run *f, const double *y, size_t from, size_t n, const struct ssm_stop *stop,
          size_t m)
{
    const size_t period = ssm_stop_period(m);
    for (size_t t = from; t < n; t++) {
        if ((t & (period - 1)) == 0 && ssm_stopped(stop, ssm_stop_steps(t, n, period)))
            return false;
        const double *now = y + (t - from) * f->s->p;
        if (f->begun)
            advance(f, t - 1, m);
        f->begun = true;
        if (f->steady && observe_steady(f, t, now, m))
            continue;
        f->steady = false;
        observe(f, t, now, m);
    }
    return true;
}

static ALWAYS_INLINE bool
run(struct ssm_run *f, const double *y, size_t from, size_t n, const struct ssm_stop *stop)
{
    /* The inner loops are compiled for the common small models. */
    switch (f->s->m) {
    case 1:
        return run_steps(f, y, from, n, stop, 1);
    case 2:
        return run_steps(f, y, from, n, stop, 2);
    case 3:
        return run_steps(f, y, from, n, stop, 3);
    case 4:
        return run_steps(f, y, from, n, stop, 4);
    default:
        return run_steps(f, y, from, n, stop, f->s->m);
    }
}

bool
ssm_run_steps(struct ssm_run *f, const double *y, size_t from, size_t n,
              const struct ssm_stop *stop)
{
    /* On copies that no number written in the loops can be part of: twice as fast. */
    struct ssm_run here = *f;
    struct ssm_filtered out = *f->out;
    here.out = &out;
    bool done = run(&here, y, from, n, stop);
    here.out = f->out;
    *f->out = out;
    *f = here;
    return done;
}

static double *
numbers(struct arena *a, size_t rows, size_t cols)
{
    return arena_array(a, rows, cols * sizeof(double));
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
prepare(struct ssm_run *f)
{
    const struct ssm *s = f->s;
    struct arena *a = f->arena;
    size_t m = s->m, wide = m > s->r ? m : s->r;
    f->a = arena_memdup(a, s->a1, m * sizeof(double));
    f->p = arena_memdup(a, s->p1, m * m * sizeof(double));
    f->p_inf = numbers(a, m, m);
    f->ptt = numbers(a, m, m);
    f->a_next = numbers(a, m, 1);
    f->work = numbers(a, wide, wide);
    f->turned = numbers(a, m, m);
    f->mv = numbers(a, s->p, m);
    f->mv_inf = numbers(a, s->p, m);
    f->f = numbers(a, s->p, 1);
    f->f_inf = numbers(a, s->p, 1);
    f->inverse = numbers(a, s->p, 1);
    f->rqr = numbers(a, m, m);
    f->before = numbers(a, m, m);
    f->inf_scale = numbers(a, m, 1);
    f->t = arena_array(a, m * m, sizeof(*f->t));
    f->t_from = arena_array(a, m + 1, sizeof(*f->t_from));
    f->singles = arena_array(a, m, sizeof(*f->singles));
    f->generals = arena_array(a, m, sizeof(*f->generals));
    f->z = arena_array(a, s->p * m, sizeof(*f->z));
    f->z_from = arena_array(a, s->p + 1, sizeof(*f->z_from));
    for (size_t j = 0; j < m; j++) {
        f->p_inf[j * m + j] = f->inf_scale[j] = s->p1_inf[j];
        f->rank += s->p1_inf[j] > 0;
        f->log_inf_units += s->p1_inf[j] > 0 ? log(s->p1_inf[j]) : 0;
    }
    f->diffuse = f->rank > 0;
    f->constant =
        !(s->z.step || s->h.step || s->t.step || s->rr.step || s->q.step || s->robust.kind);
    f->t_varies = s->t.step || s->rr.step || s->q.step;
    forget_changes(f);
    f->log_f.mantissas = f->log_f_inf.mantissas = 1;
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
    prepare(f);
    return f;
}

void
ssm_run_sums(const struct ssm_run *f, struct ssm_filtered *ret)
{
    *ret = *f->out;
    ret->rank_left = f->diffuse ? f->rank : 0;
    ret->log_f = ssm_log_value(&f->log_f);
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
    if (s->n > 0)
        advance(f, s->n - 1, s->m);
    ret->a_end = f->a;
    ret->p_end = f->p;
    return true;
}
