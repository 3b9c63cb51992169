/* A run as bytes: scalars first, then the arrays that count just now. */
#include <string.h>

#include "kalman/ssm_run.h"

#define IS_BEGUN      1U
#define IS_DIFFUSE    2U
#define IS_STEADY     4U
#define IS_COMPLETE   8U
#define WAS_DIFFUSE   16U
#define IS_IMPOSSIBLE 32U
#define HAS_GAINS     64U
#define ALL_FLAGS     127U

struct scalars {
    uint32_t p, m, flags, pending, pending_inf, reserved;
    uint64_t rank, changes, near, regular, diffuse, diffuse_steps, steady_steps;
    double largest, window, decay;
    double log_f[3], log_f_inf[3], squares[2];
    int64_t exponents, exponents_inf;
};

/* Walks over the arrays; `fn` copies one of them. */
struct cursor {
    char *at;
    const char *from;
};

static void
put(struct cursor *c, double *x, size_t rows, size_t m)
{
    ssm_rows_pack((double *)(void *)c->at, x, rows, m);
    c->at += rows * m * sizeof(double);
}

static void
get(struct cursor *c, double *x, size_t rows, size_t m)
{
    ssm_rows_unpack(x, (const double *)(const void *)c->from, rows, m);
    c->from += rows * m * sizeof(double);
}

static void
walk(const struct ssm_run *f, struct cursor *c,
     void (*fn)(struct cursor *, double *, size_t rows, size_t m))
{
    size_t m = f->s->m, p = f->s->p;
    fn(c, f->a, 1, m);
    fn(c, f->p, m, m);
    if (f->diffuse) {
        fn(c, f->p_inf, m, m);
        fn(c, f->inf_scale, 1, m);
    }
    fn(c, f->steady ? f->ptt : f->before, m, m);
    if (f->steady || f->near > 0) {
        fn(c, f->mv, p, m);
        fn(c, f->f, 1, p);
    }
}

static size_t
arrays_size(size_t p, size_t m, unsigned flags)
{
    size_t n = m + 2 * m * m;
    n += flags & IS_DIFFUSE ? m * m + m : 0;
    n += flags & HAS_GAINS ? p * m + p : 0;
    return n * sizeof(double);
}

size_t
ssm_run_state_size(size_t p, size_t m)
{
    return sizeof(struct scalars) + arrays_size(p, m, IS_DIFFUSE | HAS_GAINS);
}

static void
save_sum(const struct ssm_log_sum *s, double to[3], int64_t *exponents, uint32_t *pending)
{
    to[0] = s->sum.sum;
    to[1] = s->sum.rest;
    to[2] = s->mantissas;
    *exponents = s->exponents;
    *pending = (uint32_t)s->pending;
}

static void
load_sum(struct ssm_log_sum *s, const double from[3], int64_t exponents, uint32_t pending)
{
    s->sum.sum = from[0];
    s->sum.rest = from[1];
    s->mantissas = from[2];
    s->exponents = exponents;
    s->pending = (int)pending;
}

size_t
ssm_run_save(const struct ssm_run *f, void *to)
{
    struct scalars k = {
        .p = (uint32_t)f->s->p,
        .m = (uint32_t)f->s->m,
        .flags = (f->begun ? IS_BEGUN : 0) | (f->diffuse ? IS_DIFFUSE : 0) |
                 (f->steady ? IS_STEADY : 0) | (f->steady || f->near > 0 ? HAS_GAINS : 0) |
                 (f->complete ? IS_COMPLETE : 0) | (f->was_diffuse ? WAS_DIFFUSE : 0) |
                 (f->out->impossible ? IS_IMPOSSIBLE : 0),
        .rank = f->rank,
        .changes = f->changes,
        .near = f->near,
        .regular = f->out->regular,
        .diffuse = f->out->diffuse,
        .diffuse_steps = f->out->diffuse_steps,
        .steady_steps = f->steady_steps,
        .largest = f->largest,
        .window = f->window,
        .decay = f->decay,
        .squares = {f->squares.sum, f->squares.rest},
    };
    save_sum(&f->log_f, k.log_f, &k.exponents, &k.pending);
    save_sum(&f->log_f_inf, k.log_f_inf, &k.exponents_inf, &k.pending_inf);
    memcpy(to, &k, sizeof(k));
    struct cursor c = {.at = (char *)to + sizeof(k)};
    walk(f, &c, put);
    return sizeof(k) + arrays_size(f->s->p, f->s->m, k.flags);
}

bool
ssm_run_load(struct ssm_run *f, const void *bytes, size_t size)
{
    struct scalars k;
    size_t p = f->s->p, m = f->s->m;
    if (size < sizeof(k))
        return false;
    memcpy(&k, bytes, sizeof(k));
    bool gains = (k.flags & IS_STEADY) || k.near > 0;
    if (k.p != p || k.m != m || gains != ((k.flags & HAS_GAINS) != 0) || (k.flags & ~ALL_FLAGS) ||
        k.rank > m || size != sizeof(k) + arrays_size(p, m, k.flags))
        return false;
    f->begun = k.flags & IS_BEGUN;
    f->diffuse = k.flags & IS_DIFFUSE;
    f->steady = k.flags & IS_STEADY;
    f->complete = k.flags & IS_COMPLETE;
    f->was_diffuse = k.flags & WAS_DIFFUSE;
    f->out->impossible = k.flags & IS_IMPOSSIBLE;
    f->rank = k.rank;
    f->changes = k.changes;
    f->near = k.near;
    f->out->regular = k.regular;
    f->out->diffuse = k.diffuse;
    f->out->diffuse_steps = k.diffuse_steps;
    f->steady_steps = k.steady_steps;
    f->largest = k.largest;
    f->window = k.window;
    f->decay = k.decay;
    f->squares = (struct ssm_sum){k.squares[0], k.squares[1]};
    load_sum(&f->log_f, k.log_f, k.exponents, k.pending);
    load_sum(&f->log_f_inf, k.log_f_inf, k.exponents_inf, k.pending_inf);
    struct cursor c = {.from = (const char *)bytes + sizeof(k)};
    walk(f, &c, get);
    if (f->steady)
        ssm_run_make_gains(f);
    return true;
}

void
ssm_run_attach(struct ssm_run *f, const struct ssm *s)
{
    f->s = s;
    f->have_z = f->have_t = false;
}
