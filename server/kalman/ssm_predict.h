/*
 * The inner loops of ssm_filter.c between two times: the predicted state and whether its variance
 * still changes. Included by that file alone, which compiles them for several numbers of states:
 * m of them, rows ld apart.
 */
#ifndef LUNA_KALMAN_SSM_PREDICT_H
#define LUNA_KALMAN_SSM_PREDICT_H

#include <math.h>
#include <string.h>

#include "kalman/ssm_run.h"
#include "kalman/ssm_vector.h"

#define STEADY_TOLERANCE 2e-13 /* of a variance: how far its limit may be */
#define ROUNDING_HIDES   1e-11
#define ROUNDING         1e-14

/* The entries of x (rows of `cols`, `row` apart) that are not zero; `from`: where each row begins.
 */
static size_t
ssm_gather(const double *x, size_t rows, size_t cols, size_t row, struct ssm_entry *to,
           size_t *from)
{
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
        if (from)
            from[i] = count;
        for (size_t j = 0; j < cols; j++) {
            if (x[i * row + j] != 0)
                to[count++] = (struct ssm_entry){(uint32_t)i, (uint32_t)j, x[i * row + j]};
        }
    }
    if (from)
        from[rows] = count;
    return count;
}

/* Whether row i of T is the one after the last of `v`, its column too. */
static bool
goes_on(const struct ssm_shift *v, size_t i, size_t col)
{
    return v->to + v->count == i && v->from + v->count == col;
}

/* Sorts the rows of T: those with a single 1 (shifts, constants) only move numbers of P about, in
 * runs of neighbours where T has an identity on a diagonal; the others have sums to make. */
static void
ssm_load_transition(struct ssm_run *f, const double *t)
{
    size_t m = f->s->m;
    ssm_gather(t, m, m, m, f->t, f->t_from);
    f->move_count = f->moved_count = f->general_count = 0;
    for (size_t i = 0; i < m; i++) {
        const struct ssm_entry *e = f->t + f->t_from[i];
        bool general = f->t_from[i + 1] - f->t_from[i] != 1 || e->x != 1;
        f->source[i] = general ? SSM_GENERAL : e->col;
        if (general) {
            f->generals[f->general_count++] = (uint32_t)i;
            continue;
        }
        f->moved[f->moved_count++] = *e;
        if (f->move_count > 0 && goes_on(&f->moves[f->move_count - 1], i, e->col))
            f->moves[f->move_count - 1].count++;
        else
            f->moves[f->move_count++] = (struct ssm_shift){i, e->col, 1};
    }
}

/* The sum of the products of a row's entries with x. */
static ALWAYS_INLINE double
times_entries(const struct ssm_entry *e, const struct ssm_entry *end, const double *x)
{
    double sum[4] = {0, 0, 0, 0};
    for (; end - e >= 4; e += 4) {
        for (size_t k = 0; k < 4; k++)
            sum[k] += e[k].x * x[e[k].col];
    }
    for (; e < end; e++)
        sum[0] += e->x * x[e->col];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Row i of T times x. */
static ALWAYS_INLINE double
times_row(const struct ssm_run *f, size_t i, const double *x)
{
    return times_entries(f->t + f->t_from[i], f->t + f->t_from[i + 1], x);
}

/* z a */
static ALWAYS_INLINE double
product(const double *z, const double *a, size_t m)
{
    double x = z[0] * a[0];
    for (size_t j = 1; j < m; j++)
        x += z[j] * a[j];
    return x;
}

/* to = T a + c */
static ALWAYS_INLINE void
predict_mean(const struct ssm_run *f, const double *a, size_t t, double *to, size_t m)
{
    const double *c = ssm_at(f->s->c, t);
    if (m <= SSM_FEW_STATES) {
        for (size_t i = 0; i < m; i++)
            to[i] = product(ssm_at(f->s->t, t) + i * m, a, m);
    } else {
        for (size_t g = 0; g < f->general_count; g++)
            to[f->generals[g]] = times_row(f, f->generals[g], a);
        for (size_t v = 0; v < f->move_count; v++)
            ssm_move(to + f->moves[v].to, a + f->moves[v].from, f->moves[v].count);
    }
    for (size_t i = 0; c && i < m; i++)
        to[i] += c[i];
}

static ALWAYS_INLINE void
advance_mean(struct ssm_run *f, size_t t, size_t m)
{
    double *swap = f->a;
    predict_mean(f, f->a, t, f->a_next, m);
    f->a = f->a_next;
    f->a_next = swap;
}

/* T P T' (+ RQR'): few states. */
static ALWAYS_INLINE void
predict_few(const double *p, const double *t, const double *add, double *to, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        double tp[SSM_FEW_STATES];
        for (size_t j = 0; j < m; j++) {
            tp[j] = t[i * m] * p[j];
            for (size_t k = 1; k < m; k++)
                tp[j] += t[i * m + k] * p[k * m + j];
        }
        for (size_t j = 0; j <= i; j++) {
            double x = (add ? add[i * m + j] : 0) + product(tp, t + j * m, m);
            to[i * m + j] = to[j * m + i] = x;
        }
    }
}

/* What of a row of T P T' is only moved: from that row of T P. */
static ALWAYS_INLINE void
move_row(const struct ssm_shift *moves, const struct ssm_shift *end, const double *tp, double *to)
{
    for (const struct ssm_shift *v = moves; v < end; v++)
        ssm_move(to + v->to, tp + v->from, v->count);
}

/* The row of T P that belongs to a row of T. */
static ALWAYS_INLINE void
row_of_tp(const struct ssm_entry *row, const struct ssm_entry *end, const double *p, double *tp,
          size_t ld)
{
    const size_t most = 4, blocks = ld / 4; /* of columns, as many as there are registers for */
    for (size_t from = 0; from < blocks; from += most) {
        ssm_four sum[4] = {{0}};
        for (const struct ssm_entry *e = row; e < end; e++) {
            for (size_t b = 0; b < most && from + b < blocks; b++)
                sum[b] += e->x * SSM_FOUR_OF(p + e->col * ld + 4 * (from + b));
        }
        for (size_t b = 0; b < most && from + b < blocks; b++)
            SSM_FOUR(tp + 4 * (from + b)) = sum[b];
    }
}

/* T P T' (+ RQR'): many states, most of which are only moved. */
static ALWAYS_INLINE void
predict_many(const struct ssm_run *f, const double *p, bool add, double *to, size_t ld)
{
    const struct ssm_shift *moves = f->moves, *moves_end = moves + f->move_count;
    const struct ssm_entry *moved = f->moved, *moved_end = moved + f->moved_count;
    const size_t general_count = f->general_count;
    const uint32_t *generals = f->generals;
    for (const struct ssm_entry *e = moved; e < moved_end; e++)
        move_row(moves, moves_end, p + e->col * ld, to + e->row * ld);
    for (size_t g = 0; g < general_count; g++) {
        size_t i = generals[g];
        double *tp = f->work + g * ld, *row = to + i * ld;
        row_of_tp(f->t + f->t_from[i], f->t + f->t_from[i + 1], p, tp, ld);
        move_row(moves, moves_end, tp, row);
        for (size_t h = 0; h <= g; h++)
            row[generals[h]] = to[generals[h] * ld + i] = times_row(f, generals[h], tp);
        for (const struct ssm_entry *e = moved; e < moved_end; e++)
            to[e->row * ld + i] = row[e->row];
    }
    const struct ssm_entry *q = f->rqr_entries, *end = add ? q + f->rqr_count : q;
    for (; q < end; q++)
        to[q->row * ld + q->col] += q->x;
}

/* *p becomes T *p T' (+ RQR'); what it was is then in f->turned. */
static ALWAYS_INLINE void
predict_variance(struct ssm_run *f, double **p, size_t t, bool add, size_t m, size_t ld)
{
    if (m <= SSM_FEW_STATES)
        predict_few(*p, ssm_at(f->s->t, t), add ? f->rqr : NULL, f->turned, m);
    else
        predict_many(f, *p, add, f->turned, ld);
    double *swap = *p;
    *p = f->turned;
    f->turned = swap;
}

/* unit = 1 / the diagonal of p, 0 for states that are known for certain; false: one has become so.
 */
static ALWAYS_INLINE bool
units_of_change(const struct ssm_run *f, double *unit, size_t m, size_t ld)
{
    for (size_t i = 0; i < ld; i++)
        unit[i] = i < m ? f->p[i * ld + i] : 1;
    ssm_row_invert(unit, ld);
    for (size_t i = 0; i < m; i++) {
        if (LIKELY(f->p[i * ld + i] > 0))
            continue;
        if (memcmp(f->p + i * ld, f->before + i * ld, m * sizeof(double)) != 0)
            return false;
        unit[i] = 0;
    }
    return true;
}

/* The largest change of the predicted variance since the step before, each entry beside the root
 * of the variances of its two states. */
static ALWAYS_INLINE double
change_of_variance(struct ssm_run *f, size_t m, size_t ld)
{
    const double *now = f->p, *before = f->before;
    double *unit = f->work, change = 0;
    if (!units_of_change(f, unit, m, ld))
        return INFINITY;
    for (size_t j = 0; ld < 4 && j < m; j++) {
        for (size_t i = j; i < m; i++)
            change =
                ssm_largest_square(change, now[i * ld + j], before[i * ld + j], unit[i], unit[j]);
    }
    /* The pairs (i, j <= i), and what else there is in their fours. */
    for (size_t j = 0; ld >= 4 && j < m; j += 4) {
        ssm_four most = {0, 0, 0, 0}, columns = SSM_FOUR_OF(unit + j);
        for (size_t i = j; i < m; i++)
            ssm_four_largest_square(&most, now + i * ld + j, before + i * ld + j, unit[i],
                                    &columns);
        for (size_t k = 0; k < 4; k++)
            change = most[k] > change ? most[k] : change;
    }
    return sqrt(change);
}

/* Compares the predicted variance with that of the step before: see STEADY_TOLERANCE. True: from
 * now on it may stay as it is. */
static ALWAYS_INLINE bool
notice_steady(struct ssm_run *f, size_t m, size_t ld)
{
    /* The largest change of each window of m + 2 steps: changes that travel through the states (as
     * in seasonal models) show at least once in it. */
    double change = change_of_variance(f, m, ld);
    f->largest = change > f->largest ? change : f->largest;
    if (++f->changes < m + 2)
        return false;
    double before = f->window, now = f->largest, rate = before > 0 ? now / before : now > 0;
    f->window = now;
    f->largest = 0;
    f->changes = 0;
    /* Changes near rounding no longer tell their rate: that of the last larger ones holds. */
    if (isfinite(before) && before >= ROUNDING_HIDES)
        f->decay = rate;
    else
        rate = fmax(f->decay, now <= ROUNDING ? 0 : rate);
    /* Twice, so that a fast mode that ends does not hide a slow one. */
    bool near = isfinite(before) && (double)(m + 2) * now <= STEADY_TOLERANCE * (1 - rate);
    f->near = near ? f->near + 1 : 0;
    return f->near >= 2 && !(f->keep & SSM_NO_SHORTCUT);
}

#endif
