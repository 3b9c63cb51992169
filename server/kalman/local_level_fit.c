/*
 * Maximum likelihood for the local level.
 *
 * With H = s2 h and Q = s2 q, h + q = 1, the filter depends on psi = log(Q/H) alone, and s2 comes
 * in by -2 l = sum log F + m log s2 + S / s2 + m log(2 pi),    S = sum v^2 / F,  m = values - 1.
 * Both unknown: s2 = S / m (Durbin and Koopman 2.10.2). One known: s2 = H / h or Q / q.
 * The derivatives of P, a and v with respect to psi run along with the filter, so the score is
 * exact.
 */
#include <math.h>
#include <string.h>

#include "kalman/local_level.h"

#define LANES      8
#define GRID       (4 * LANES)
#define LOG_PERIOD 16 /* F stays within [1, values + 2]: so many may be multiplied */
/* Further out the limits q = 0 and h = 0 cannot be told from their neighbours by 2^27 values. */
#define PSI_LOW  (-42.)
#define PSI_HIGH 28.

enum unknown { BOTH, LEVEL, OBSERVATION };

struct problem {
    const double *y;
    size_t n;
    double scale, centre; /* x = y * scale - centre */
    double m;             /* values - 1 */
    enum unknown unknown;
    double known; /* the known variance, in scaled units */
    const struct local_level_stop *stop;
    bool stopped;
};

/* One candidate. */
struct point {
    double psi; /* -infinity: q = 0; infinity: h = 0 */
    double h, q;
    double log_f, squares; /* sums over the series */
    double dlog_f, dsquares;
    double loglik; /* without the constant */
    double score;
};

static void
point_set(struct point *pt, double psi)
{
    memset(pt, 0, sizeof(*pt));
    pt->psi = psi;
    pt->h = psi > 0 ? exp(-psi) / (1 + exp(-psi)) : 1 / (1 + exp(psi));
    pt->q = psi > 0 ? 1 / (1 + exp(-psi)) : exp(psi) / (1 + exp(psi));
}

static double
scale_of(const struct problem *pr, const struct point *pt)
{
    switch (pr->unknown) {
    case LEVEL:
        return pt->h > 0 ? pr->known / pt->h : INFINITY;
    case OBSERVATION:
        return pt->q > 0 ? pr->known / pt->q : INFINITY;
    case BOTH:
        break;
    }
    return pt->squares / pr->m;
}

static void
point_finish(const struct problem *pr, struct point *pt)
{
    double s2 = scale_of(pr, pt);
    pt->loglik = -0.5 * (pt->log_f + pr->m * log(s2) + pt->squares / s2);
    if (!isfinite(pt->loglik))
        pt->loglik = -INFINITY;
    double dlog_s2 = pr->unknown == LEVEL ? pt->q : pr->unknown == OBSERVATION ? -pt->h : 0;
    pt->score = -0.5 * (pt->dlog_f + pt->dsquares / s2 + dlog_s2 * (pr->m - pt->squares / s2));
}

static bool
stopped(struct problem *pr)
{
    if (!pr->stopped && pr->stop && pr->stop->stop && pr->stop->stop(pr->stop->arg))
        pr->stopped = true;
    return pr->stopped;
}

static size_t
block_end(const struct problem *pr, size_t i, size_t block)
{
    return pr->n - i > block ? i + block : pr->n;
}

/* The likelihood at LANES candidates in one pass: their chains hide each other's latency. */
static void
evaluate_lanes(struct problem *pr, struct point *pts)
{
    double a[LANES] = {0}, p[LANES], h[LANES], q[LANES];
    double squares[LANES] = {0}, product[LANES], log_f[LANES] = {0};
    size_t i = 0;
    for (size_t g = 0; g < LANES; g++) {
        h[g] = pts[g].h;
        q[g] = pts[g].q;
        p[g] = INFINITY;
        product[g] = 1;
    }
    while (i < pr->n && isnan(pr->y[i]))
        i++;
    for (size_t g = 0; g < LANES && i < pr->n; g++) {
        a[g] = pr->y[i] * pr->scale - pr->centre;
        p[g] = h[g] + q[g];
    }
    unsigned pending = 0;
    for (i++; i < pr->n && !stopped(pr);) {
        for (size_t end = block_end(pr, i, LOCAL_LEVEL_BLOCK / 4); i < end; i++) {
            double x = pr->y[i] * pr->scale - pr->centre;
            if (x != x) {
                for (size_t g = 0; g < LANES; g++)
                    p[g] += q[g];
                continue;
            }
            for (size_t g = 0; g < LANES; g++) {
                double v = x - a[g], f = p[g] + h[g], gain = p[g] / f;
                product[g] *= f;
                squares[g] += v * v / f;
                a[g] += gain * v;
                p[g] = gain * h[g] + q[g];
            }
            if (++pending == LOG_PERIOD) {
                pending = 0;
                for (size_t g = 0; g < LANES; g++) {
                    log_f[g] += log(product[g]);
                    product[g] = 1;
                }
            }
        }
    }
    for (size_t g = 0; g < LANES; g++) {
        pts[g].log_f = log_f[g] + log(product[g]);
        pts[g].squares = squares[g];
        point_finish(pr, &pts[g]);
    }
}

/* What evaluate_point carries from value to value: the filter, its derivatives, the sums. */
struct chain {
    double a, p, da, dp;
    double log_f, squares, dlog_f, dsquares;
    double product;
    unsigned pending;
    bool steady;
    double f, gain, df, dgain; /* while steady */
};

/* One value with the derivatives. dK = (dP F - P dF) / F^2 = (h dP - P dh) / F^2. */
static void
chain_step(struct chain *c, double x, double h, double q, double dh, double dq)
{
    double v = x - c->a, dv = -c->da;
    double f = c->p + h, df = c->dp + dh, w = 1 / f;
    double gain = c->p * w, dgain = (h * c->dp - c->p * dh) * w * w;
    double vw = v * w;
    c->product *= f;
    c->dlog_f += df * w;
    c->squares += v * vw;
    c->dsquares += (2 * dv - vw * df) * vw;
    c->a += gain * v;
    c->da += dgain * v + gain * dv;
    double p = gain * h + q, dp = dgain * h + gain * dh + dq;
    double left = h * w, rate = left * left;
    c->steady = fabs(p - c->p) * rate <= 1e-15 * p * (1 - rate) &&
                fabs(dp - c->dp) * rate <= 1e-14 * fabs(dp) * (1 - rate);
    c->p = p;
    c->dp = dp;
    if (c->steady) {
        c->f = p + h;
        c->df = dp + dh;
        c->gain = p / c->f;
        c->dgain = (h * dp - p * dh) / (c->f * c->f);
    }
    if (++c->pending == LOG_PERIOD) {
        c->log_f += log(c->product);
        c->product = 1;
        c->pending = 0;
    }
}

/* Steady values up to the first missing one or `end`. */
static size_t
chain_steady(struct chain *c, const struct problem *pr, size_t i, size_t end)
{
    double a = c->a, da = c->da, squares = 0, cross = 0;
    size_t from = i;
    for (; i < end; i++) {
        double x = pr->y[i] * pr->scale - pr->centre;
        if (x != x)
            break;
        double v = x - a;
        squares += v * v;
        cross -= v * da;
        da = da * (1 - c->gain) + c->dgain * v;
        a += c->gain * v;
    }
    double w = 1 / c->f, steps = (double)(i - from);
    c->a = a;
    c->da = da;
    c->log_f += steps * log(c->f);
    c->dlog_f += steps * c->df * w;
    c->squares += squares * w;
    c->dsquares += (2 * cross - squares * w * c->df) * w;
    return i;
}

/* The likelihood and its derivative with respect to psi. */
static void
evaluate_point(struct problem *pr, struct point *pt)
{
    double h = pt->h, q = pt->q, dh = -h * q, dq = h * q;
    struct chain c = {.product = 1};
    size_t i = 0;
    while (i < pr->n && isnan(pr->y[i]))
        i++;
    if (i < pr->n)
        c.a = pr->y[i] * pr->scale - pr->centre;
    c.p = h + q;
    c.dp = dh + dq;
    for (i++; i < pr->n && !stopped(pr);) {
        for (size_t end = block_end(pr, i, LOCAL_LEVEL_BLOCK); i < end;) {
            double x = pr->y[i] * pr->scale - pr->centre;
            if (x != x) {
                c.p += q;
                c.dp += dq;
                c.steady = false;
                i++;
            } else if (c.steady) {
                i = chain_steady(&c, pr, i, end);
            } else {
                chain_step(&c, x, h, q, dh, dq);
                i++;
            }
        }
    }
    pt->log_f = c.log_f + log(c.product);
    pt->squares = c.squares;
    pt->dlog_f = c.dlog_f;
    pt->dsquares = c.dsquares;
    point_finish(pr, pt);
}

static struct point
evaluate(struct problem *pr, double psi)
{
    struct point pt;
    point_set(&pt, psi);
    evaluate_point(pr, &pt);
    return pt;
}

/* The root of the score between lo (score > 0) and hi (score < 0): the secant kept inside by
 * bisection (Illinois). Without a change of sign the better end stays. */
static struct point
refine(struct problem *pr, struct point lo, struct point hi, struct point best)
{
    if (!(lo.score > 0) || !(hi.score < 0))
        return best;
    double glo = lo.score, ghi = hi.score;
    int side = 0;
    for (int round = 0; round < 100 && !pr->stopped; round++) {
        double psi = round % 12 == 11 ? 0.5 * (lo.psi + hi.psi)
                                      : (lo.psi * ghi - hi.psi * glo) / (ghi - glo);
        if (!(psi > lo.psi && psi < hi.psi))
            psi = 0.5 * (lo.psi + hi.psi);
        struct point pt = evaluate(pr, psi);
        if (fabs(psi - best.psi) <= 4e-15 * (1 + fabs(psi)) || pt.score == 0)
            return pt;
        best = pt;
        if (pt.score > 0) {
            lo = pt;
            glo = pt.score;
            ghi = side == 1 ? ghi / 2 : hi.score;
            side = 1;
        } else {
            hi = pt;
            ghi = pt.score;
            glo = side == -1 ? glo / 2 : lo.score;
            side = -1;
        }
        if (hi.psi - lo.psi <= 4e-15 * (1 + fabs(psi)))
            return pt;
    }
    return best;
}

/* Where psi is looked for. With one variance known the other is at most about the squared range. */
static void
interval(const struct problem *pr, double range, double *lo, double *hi)
{
    double most = log(range) * 2 - log(pr->known) + 3;
    *lo = PSI_LOW;
    *hi = PSI_HIGH;
    if (pr->unknown == LEVEL)
        *hi = fmax(PSI_LOW + 1, fmin(700, most));
    if (pr->unknown == OBSERVATION)
        *lo = fmin(PSI_HIGH - 1, fmax(-700, -most));
}

/* The best of a grid with both limits, then the root of the score beside it. */
static struct point
search(struct problem *pr, double range)
{
    struct point grid[GRID];
    double lo, hi;
    interval(pr, range, &lo, &hi);
    point_set(&grid[0], -INFINITY);
    point_set(&grid[GRID - 1], INFINITY);
    for (size_t g = 1; g < GRID - 1; g++)
        point_set(&grid[g], lo + (hi - lo) * (double)(g - 1) / (GRID - 3));
    for (size_t g = 0; g < GRID; g += LANES)
        evaluate_lanes(pr, &grid[g]);

    size_t best = 0;
    for (size_t g = 1; g < GRID; g++)
        best = grid[g].loglik > grid[best].loglik ? g : best;
    struct point limit = grid[0].loglik >= grid[GRID - 1].loglik ? grid[0] : grid[GRID - 1];
    if (best == 0 || best == GRID - 1)
        return limit;
    struct point left = evaluate(pr, best == 1 ? lo - 10 : grid[best - 1].psi);
    struct point right = evaluate(pr, best == GRID - 2 ? hi + 10 : grid[best + 1].psi);
    struct point found = refine(pr, left, right, grid[best]);
    /* What rounding alone can make of the difference does not speak against zero. */
    double noise = 1e-13 * (fabs(found.loglik) + pr->m);
    return limit.loglik >= found.loglik - noise ? limit : found;
}

static int
even_exponent(double x)
{
    int e = 0;
    (void)frexp(x, &e);
    e = e > 1000 ? 1000 : e < -1000 ? -1000 : e;
    return e & ~1;
}

static double
scaled_known(double variance, int exponent)
{
    return fmin(ldexp(variance, -2 * exponent), ldexp(1, 900));
}

bool
local_level_fit(const double *y, size_t n, const struct local_level_facts *facts,
                const struct local_level_known *known, const struct local_level_stop *stop,
                struct local_level_variances *ret)
{
    bool need_h = isnan(known->observation_variance), need_q = isnan(known->level_variance);
    struct local_level_variances v = {need_h ? 0 : known->observation_variance,
                                      need_q ? 0 : known->level_variance, 0};
    *ret = v;
    if ((!need_h && !need_q) || facts->max == facts->min || facts->values < 2)
        return true;
    double range = fmin(facts->max - facts->min, __DBL_MAX__);

    int e = even_exponent(range);
    struct problem pr = {.y = y, .n = n, .scale = ldexp(1, -e), .stop = stop};
    pr.centre = y[facts->first] * pr.scale;
    pr.m = (double)facts->values - 1;
    pr.unknown = need_h && need_q ? BOTH : need_q ? LEVEL : OBSERVATION;
    pr.known = scaled_known(need_h ? v.q : v.h, e);

    struct point pt;
    if (pr.unknown != BOTH && pr.known == 0) {
        /* The known one is zero: the other is s2 itself. */
        pr.unknown = BOTH;
        pt = evaluate(&pr, need_q ? INFINITY : -INFINITY);
    } else {
        pt = search(&pr, range * pr.scale);
    }
    if (pr.stopped)
        return false;
    double s2 = scale_of(&pr, &pt);
    if (need_h && need_q) {
        *ret = (struct local_level_variances){s2 * pt.h, s2 * pt.q, 2 * e};
        return true;
    }
    if (need_h)
        v.h = ldexp(s2 * pt.h, 2 * e);
    else
        v.q = ldexp(s2 * pt.q, 2 * e);
    *ret = v;
    return true;
}
