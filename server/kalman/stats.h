/* Distributions and random numbers. Pure; Thread: any. Suspends: never. */
#ifndef LUNA_KALMAN_STATS_H
#define LUNA_KALMAN_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Quantile of the standard normal distribution, 0 < p < 1: Wichura (1988), AS 241, to 1e-15. */
double stats_normal_quantile(double p);

/* Probability that chi-squared with `df` degrees of freedom exceeds x. */
double stats_chi2_above(double x, double df);

/* Probability that F with d1 and d2 degrees of freedom exceeds x. */
double stats_f_above(double x, double d1, double d2);

/* xoshiro256++ (Blackman and Vigna 2019), seeded with splitmix64. */
struct stats_random {
    uint64_t s[4];
    double spare; /* the polar method makes two at a time */
    int has_spare;
};

void stats_seed(struct stats_random *r, uint64_t seed);
uint64_t stats_next(struct stats_random *r);
double stats_uniform(struct stats_random *r); /* in [0, 1), 53 bits */
double stats_normal(struct stats_random *r);  /* Marsaglia's polar method */

#endif
