/* Sums that stay exact to a few units in the last place over millions of terms. Private to kalman/.
 */
#ifndef LUNA_KALMAN_SSM_SUMS_H
#define LUNA_KALMAN_SSM_SUMS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Neumaier's corrected sum. */
struct ssm_sum {
    double sum, rest;
};

static inline void
ssm_sum_add(struct ssm_sum *s, double x)
{
    double t = s->sum + x;
    s->rest += fabs(s->sum) >= fabs(x) ? (s->sum - t) + x : (x - t) + s->sum;
    s->sum = t;
}

static inline double
ssm_sum_value(const struct ssm_sum *s)
{
    return isfinite(s->sum) ? s->sum + s->rest : s->sum;
}

/* The sum of logarithms as a product of mantissas and a sum of exponents. */
struct ssm_log_sum {
    struct ssm_sum sum;
    double mantissas;
    int64_t exponents;
    int pending;
};

static inline double
ssm_log_value(const struct ssm_log_sum *s)
{
    return ssm_sum_value(&s->sum) + log(s->mantissas) + (double)s->exponents * M_LN2;
}

/* Adds log x, x > 0 and finite. */
static inline void
ssm_log_add(struct ssm_log_sum *s, double x)
{
    uint64_t bits;
    if (x < __DBL_MIN__) {
        x *= 0x1p60;
        s->exponents -= 60;
    }
    memcpy(&bits, &x, sizeof(bits));
    s->exponents += (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    memcpy(&x, &bits, sizeof(x));
    s->mantissas *= x;
    if (++s->pending == 512) {
        ssm_sum_add(&s->sum, log(s->mantissas));
        s->mantissas = 1;
        s->pending = 0;
    }
}

#endif
