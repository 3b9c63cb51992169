/*
 * A filter on its way: what ssm_filter runs from the first value to the last, and what a durable
 * filter keeps between two values. Both take the same steps, so a run that was saved and loaded
 * any number of times gives the bytes of one that was not.
 *
 * Memory: the caller's arena. Thread: any, one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_SSM_RUN_H
#define LUNA_KALMAN_SSM_RUN_H

#include "kalman/ssm.h"
#include "kalman/ssm_sums.h"

struct ssm_entry {
    uint32_t row, col;
    double x;
};

/* Rows of T that only move states: row to + k has a single 1, in column from + k. */
struct ssm_shift {
    size_t to, from, count;
};

#define SSM_GENERAL UINT32_MAX

/* Up to here models have few states: their loops are unrolled. */
#define SSM_FEW_STATES 4

/* How far apart the rows of matrices of m columns lie: whole vectors of four, the rest is zero. */
static inline size_t
ssm_row(size_t m)
{
    return m <= SSM_FEW_STATES ? m : (m + 3) & ~(size_t)3;
}

/* Between two values: filtered, not yet predicted (the way to the next value may depend on when it
 * comes). The first part is the state; the rest is made anew from the model. Rows of m numbers lie
 * ssm_row(m) apart. */
struct ssm_run {
    const struct ssm *s;
    struct ssm_filtered *out; /* `regular`, `diffuse`, `diffuse_steps`, `impossible` are state */
    unsigned keep;
    struct arena *arena;

    bool begun, diffuse, steady, complete, was_diffuse;
    double *a, *p;     /* m, m x m; p is the predicted variance while steady */
    double *p_inf;     /* m x m, while diffuse */
    double *inf_scale; /* m, while diffuse: the largest the diagonal of p_inf has been */
    double *ptt;       /* m x m, while steady: the filtered variance */
    double *mv, *f;    /* p x m, p: of this time; state while near or steady */
    double *before;    /* m x m: what p was before this time's numbers, unless steady */
    double weight;     /* of the number in hand: robust filters */
    size_t rank;       /* of p_inf */
    double largest, window, decay; /* changes: see notice_steady */
    size_t changes, near;
    uint64_t steady_steps; /* not in log_f yet: each adds the logarithms of f */
    struct ssm_log_sum log_f, log_f_inf;
    struct ssm_sum squares;

    double *inverse; /* p: 1 / F while steady, 0 where F is */
    double *gain;    /* p x m, while steady: mv / F */
    double *a_next, *work, *turned, *mv_inf, *f_inf;
    struct ssm_entry *t; /* the entries of T that are not zero, by rows */
    size_t *t_from;      /* row i from t_from[i] */
    struct ssm_shift *moves;
    struct ssm_entry *moved; /* the rows that are in one of them */
    uint32_t *generals;      /* the other rows */
    uint32_t *source;        /* m: the column of a moved row, SSM_GENERAL of another */
    size_t move_count, moved_count, general_count;
    double *rqr;                   /* m x m: R Q R' */
    struct ssm_entry *rqr_entries; /* its entries that are not zero */
    size_t rqr_count;
    struct ssm_entry *z; /* those of Z, by rows; row i from z_from[i] */
    size_t *z_from;
    bool *cleared;        /* m: see downdate */
    double log_inf_units; /* sum of log P1inf */
    size_t inf_room;      /* diffuse steps that the kept arrays hold */
    bool constant, t_varies, have_z, have_t;
};

/* A run that has seen nothing. `s` and what it points at must outlive it, or be replaced: see
 * ssm_run_attach. */
struct ssm_run *ssm_run_new(const struct ssm *s, unsigned keep, struct arena *arena);

/* Goes on with other matrices of the same shape and the same way of varying: those of the times to
 * come. Time 0 is that of the value seen last, if any. */
void ssm_run_attach(struct ssm_run *f, const struct ssm *s);

/* Takes times from..n-1, whose rows of p numbers begin at y. `from` is 0 for a run that has seen
 * nothing and at least 1 for others. False: stopped. */
bool ssm_run_steps(struct ssm_run *f, const double *y, size_t from, size_t n,
                   const struct ssm_stop *stop) WARN_UNUSED;

/* E(alpha | all so far), m numbers, is f->a; this is its variance (m x m, rows ssm_row(m) apart)
 * without the diffuse part. */
static inline const double *
ssm_run_variance(const struct ssm_run *f)
{
    return f->steady ? f->ptt : f->p;
}

/* m x m numbers whose rows lie side by side, from ones that lie ssm_row(m) apart, and back. */
static inline void
ssm_rows_pack(double *to, const double *from, size_t rows, size_t m)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * m, from + i * ssm_row(m), m * sizeof(double));
}

static inline void
ssm_rows_unpack(double *to, const double *from, size_t rows, size_t m)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * ssm_row(m), from + i * m, m * sizeof(double));
}

/* What follows from the state while steady. */
void ssm_run_make_gains(struct ssm_run *f);

/* Finf, or what is left of Pinf, below this part of its scale is rounding. */
#define SSM_DIFFUSE_TOLERANCE 1e-10

/* Whether state j is still diffuse: its variance is infinite. */
static inline bool
ssm_run_is_diffuse(const struct ssm_run *f, size_t j)
{
    return f->diffuse &&
           f->p_inf[j * ssm_row(f->s->m) + j] > SSM_DIFFUSE_TOLERANCE * f->inf_scale[j];
}

/* The parts of the likelihood so far. */
void ssm_run_sums(const struct ssm_run *f, struct ssm_filtered *ret);

/* The state as bytes of this machine's order: at most ssm_run_state_size. */
size_t ssm_run_state_size(size_t p, size_t m);
size_t ssm_run_save(const struct ssm_run *f, void *to);

/* Into a run that has seen nothing. False: these are not the bytes of a run of this shape. */
bool ssm_run_load(struct ssm_run *f, const void *bytes, size_t size) WARN_UNUSED;

#endif
