/*
 * Operations on rows of numbers, four at once where there are at least four: n is then a multiple
 * of four. Each number is computed by itself, so the bytes are those of a loop. Private to kalman/.
 */
#ifndef LUNA_KALMAN_SSM_VECTOR_H
#define LUNA_KALMAN_SSM_VECTOR_H

#include <stddef.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Four doubles, anywhere in memory. */
typedef double ssm_four __attribute__((vector_size(32), aligned(8), may_alias));
typedef long long ssm_bits __attribute__((vector_size(32)));
#define SSM_FOUR(p)    (*(ssm_four *)(p))
#define SSM_FOUR_OF(p) (*(const ssm_four *)(p))

/* to = x row */
static ALWAYS_INLINE void
ssm_row_scale(double *to, double x, const double *row, size_t n)
{
    for (size_t j = 0; n < 4 && j < n; j++)
        to[j] = x * row[j];
    for (size_t j = 0; n >= 4 && j < n; j += 4)
        SSM_FOUR(to + j) = x * SSM_FOUR_OF(row + j);
}

/* to += x row */
static ALWAYS_INLINE void
ssm_row_add(double *to, double x, const double *row, size_t n)
{
    for (size_t j = 0; n < 4 && j < n; j++)
        to[j] += x * row[j];
    for (size_t j = 0; n >= 4 && j < n; j += 4)
        SSM_FOUR(to + j) += x * SSM_FOUR_OF(row + j);
}

/* to = from - x row; `to` may be `from`. */
static ALWAYS_INLINE void
ssm_row_subtract(double *to, const double *from, double x, const double *row, size_t n)
{
    for (size_t j = 0; n < 4 && j < n; j++)
        to[j] = from[j] - x * row[j];
    for (size_t j = 0; n >= 4 && j < n; j += 4)
        SSM_FOUR(to + j) = SSM_FOUR_OF(from + j) - x * SSM_FOUR_OF(row + j);
}

/* to = 1 / to */
static ALWAYS_INLINE void
ssm_row_invert(double *to, size_t n)
{
    for (size_t j = 0; n < 4 && j < n; j++)
        to[j] = 1 / to[j];
    for (size_t j = 0; n >= 4 && j < n; j += 4)
        SSM_FOUR(to + j) = 1 / SSM_FOUR_OF(to + j);
}

/* The largest of `most` and (a - b)^2 x c, where the square alone might leave the range. */
static ALWAYS_INLINE double
ssm_largest_square(double most, double a, double b, double x, double c)
{
    double d = a - b, square = (d * x) * (d * c);
    return square > most ? square : most;
}

/* Of four. */
static ALWAYS_INLINE void
ssm_four_largest_square(ssm_four *most, const double *a, const double *b, double x,
                        const ssm_four *c)
{
    ssm_four d = SSM_FOUR_OF(a) - SSM_FOUR_OF(b), square = (d * x) * (d * *c);
    ssm_bits larger = square > *most;
    *most = (ssm_four)(((ssm_bits)square & larger) | ((ssm_bits)*most & ~larger));
}

/* to[0..count) = from[0..count), count >= 1: the last may overlap those before them. */
static ALWAYS_INLINE void
ssm_move(double *to, const double *from, size_t count)
{
    if (count < 4) {
        to[0] = from[0];
        to[count / 2] = from[count / 2];
        to[count - 1] = from[count - 1];
        return;
    }
    for (size_t j = 0; j + 4 < count; j += 4)
        SSM_FOUR(to + j) = SSM_FOUR_OF(from + j);
    SSM_FOUR(to + count - 4) = SSM_FOUR_OF(from + count - 4);
}

#endif
