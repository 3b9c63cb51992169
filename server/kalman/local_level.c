#include "kalman/local_level.h"

#include <math.h>
#include <string.h>

#define LOG_2PI 1.837877066409345483560659472811235279722

/* Beyond these exponents squares and products could leave the range of a double. */
#define SAFE_Y_EXPONENT   200
#define SAFE_VAR_EXPONENT 400
/* Sums are gathered in runs of this many before they are added with correction. */
#define RUN 512
/* A start variance this much larger than H and Q gives the gain 1 to all digits. */
#define AS_GOOD_AS_DIFFUSE_EXPONENT 600
#define STEADY_TOLERANCE            1e-15

static void
sum_add(struct local_level_sum *s, double x)
{
    double t = s->sum + x;
    s->rest += fabs(s->sum) >= fabs(x) ? (s->sum - t) + x : (x - t) + s->sum;
    s->sum = t;
}

static double
sum_value(const struct local_level_sum *s)
{
    return isfinite(s->sum) ? s->sum + s->rest : s->sum;
}

void
local_level_look(struct local_level_facts *f, const double *y, size_t n)
{
    double min = f->values ? f->min : INFINITY, max = f->values ? f->max : -INFINITY;
    size_t values = 0;
    for (size_t i = 0; i < n; i++) {
        min = y[i] < min ? y[i] : min;
        max = y[i] > max ? y[i] : max;
        values += y[i] == y[i];
    }
    if (values > 0 && f->values == 0) {
        size_t i = 0;
        while (isnan(y[i]))
            i++;
        f->first = f->length + i;
    }
    if (values > 0 && !f->infinite && (isinf(min) || isinf(max))) {
        size_t i = 0;
        while (!isinf(y[i]))
            i++;
        f->infinite = true;
        f->infinite_at = f->length + i;
    }
    f->values += values;
    f->length += n;
    f->min = f->values ? min : 0;
    f->max = f->values ? max : 0;
}

static int
exponent_of(double x)
{
    int e = 0;
    (void)frexp(x, &e);
    return e;
}

void
local_level_init(struct local_level_filter *f, const struct local_level_variances *v, bool diffuse,
                 double mean, double variance, double largest)
{
    memset(f, 0, sizeof(*f));
    int ye = largest > 0 ? exponent_of(largest) : 0;
    if (ye > SAFE_Y_EXPONENT || ye < -SAFE_Y_EXPONENT)
        f->y_exponent = ye > 1000 ? 1000 : ye < -1000 ? -1000 : ye;
    f->y_scale = ldexp(1, -f->y_exponent);
    f->y_unscale = ldexp(1, f->y_exponent);

    double unit = fmax(v->h, v->q);
    int ve = unit > 0 ? exponent_of(unit) + v->exponent
                      : (!diffuse && variance > 0 ? exponent_of(variance) : 0);
    if (ve > SAFE_VAR_EXPONENT || ve < -SAFE_VAR_EXPONENT)
        f->var_exponent = ve;
    f->h = ldexp(v->h, v->exponent - f->var_exponent);
    f->q = ldexp(v->q, v->exponent - f->var_exponent);

    f->mantissas = 1;
    f->starting = diffuse;
    f->start_variance = INFINITY;
    if (diffuse)
        return;
    f->a = mean * f->y_scale;
    if (unit > 0 && variance > 0 && exponent_of(variance) - ve > AS_GOOD_AS_DIFFUSE_EXPONENT) {
        f->starting = true;
        f->start_variance = variance;
    } else {
        f->p = ldexp(variance, -f->var_exponent);
    }
}

static inline double
unscaled_variance(const struct local_level_filter *f, double x)
{
    return f->var_exponent == 0 ? x : ldexp(x, f->var_exponent);
}

static inline double
unscaled_level(const struct local_level_filter *f, double x)
{
    if (f->y_exponent == 0)
        return x;
    double y = x * f->y_unscale;
    /* A mean of finite values is finite: only its last rounding can leave the range. */
    return isinf(y) ? copysign(__DBL_MAX__, y) : y;
}

static inline void
put(double *place, size_t i, double x)
{
    if (place)
        place[i] = x;
}

/* Moves what the changing variances have gathered into the corrected sums. */
static void
flush_changing(struct local_level_filter *f)
{
    sum_add(&f->log_f, log(f->mantissas));
    sum_add(&f->squares, f->run_squares);
    f->mantissas = 1;
    f->run_squares = 0;
    f->pending = 0;
}

/* The same for the steady values: their sums lack F. */
static void
flush_steady(struct local_level_filter *f)
{
    const double *part = f->steady_squares;
    double squares = (part[0] + part[1]) + (part[2] + part[3]);
    if (f->f > 0) {
        sum_add(&f->log_f, (double)f->steady_values * log(f->f));
        sum_add(&f->squares, squares / f->f);
        f->values += f->steady_values;
    } else if (squares > 0) {
        f->impossible = true;
    }
    memset(f->steady_squares, 0, sizeof(f->steady_squares));
    f->steady_values = 0;
}

/* log F by the product of mantissas and the sum of exponents: a logarithm every RUN values.
 * The bits of an IEEE double are read here: frexp costs a call. */
static inline void
log_f_add(struct local_level_filter *f, double x)
{
    uint64_t bits;
    if (UNLIKELY(x < __DBL_MIN__)) {
        x *= 0x1p60;
        f->exponents -= 60;
    }
    memcpy(&bits, &x, sizeof(bits));
    f->exponents += (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    memcpy(&x, &bits, sizeof(x));
    f->mantissas *= x;
}

static void
leave_steady(struct local_level_filter *f)
{
    flush_steady(f);
    f->steady = false;
}

static void
step_missing(struct local_level_filter *f, size_t i, const struct local_level_out *out)
{
    put(out->innovation, i, 0);
    if (f->starting) {
        bool exact = isinf(f->start_variance);
        f->leading += exact;
        put(out->level, i, exact ? 0 : unscaled_level(f, f->a));
        put(out->variance, i, f->start_variance);
        put(out->innovation_variance, i, f->start_variance);
        return;
    }
    put(out->level, i, unscaled_level(f, f->a));
    put(out->variance, i, unscaled_variance(f, f->p));
    put(out->innovation_variance, i, unscaled_variance(f, f->p + f->h));
    f->p += f->q;
    if (f->steady)
        leave_steady(f);
}

/* The first value of a start about which nothing is known: it is the level, with its noise. */
static void
step_start(struct local_level_filter *f, double y, size_t i, const struct local_level_out *out)
{
    put(out->level, i, y);
    y *= f->y_scale;
    put(out->variance, i, unscaled_variance(f, f->h));
    put(out->innovation_variance, i, f->start_variance);
    if (isinf(f->start_variance)) {
        put(out->innovation, i, 0);
        f->diffuse = 1;
    } else {
        double v = y - f->a;
        put(out->innovation, i, v * f->y_unscale);
        f->start_log_f = log(f->start_variance);
        double z = v * f->y_unscale / sqrt(f->start_variance);
        f->start_square = z * z;
        f->start_values = 1;
    }
    f->starting = false;
    f->a = y;
    f->p = f->h + f->q;
}

/* True when the distance of the variance to its limit, |now - before| r / (1 - r) with r = (1 -
 * K)^2, is nothing beside it. */
static inline bool
has_converged(double before, double now, double gain)
{
    double left = 1 - gain, rate = left * left;
    return fabs(now - before) * rate <= STEADY_TOLERANCE * now * (1 - rate);
}

static void
enter_steady(struct local_level_filter *f)
{
    f->steady = true;
    f->place = 0;
    f->f = f->p + f->h;
    f->gain = f->f > 0 ? f->p / f->f : 0;
}

/* Values while the variance still changes, up to a missing one, the steady state, or `n`. */
static size_t
run_changing(struct local_level_filter *f, const double *y, size_t i, size_t n,
             const struct local_level_out *out)
{
    const double h = f->h, q = f->q, scale = f->y_scale;
    double a = f->a, p = f->p;
    bool converged = false;
    for (; i < n && y[i] == y[i] && !converged; i++) {
        double x = y[i] * scale, v = x - a, var = p + h;
        double gain = var > 0 ? p / var : 0;
        if (LIKELY(var > 0)) {
            log_f_add(f, var);
            f->run_squares += v / var * v;
            f->values++;
            if (++f->pending == RUN)
                flush_changing(f);
        } else if (v != 0) {
            f->impossible = true;
        }
        a = gain == 1 ? x : a + gain * v;
        double filtered = gain * h, before = p;
        p = filtered + q;
        put(out->level, i, gain == 1 ? y[i] : unscaled_level(f, a));
        put(out->variance, i, unscaled_variance(f, filtered));
        put(out->innovation, i, v * f->y_unscale);
        put(out->innovation_variance, i, unscaled_variance(f, var));
        converged = !f->no_shortcut && has_converged(before, p, gain);
    }
    f->a = a;
    f->p = p;
    if (converged)
        enter_steady(f);
    return i;
}

/* Steady values with gain 1: each value is the level. */
static size_t
run_exact(struct local_level_filter *f, const double *y, size_t i, size_t end,
          const struct local_level_out *out)
{
    for (; i < end && y[i] == y[i]; i++) {
        double x = y[i] * f->y_scale, v = x - f->a;
        f->a = x;
        f->steady_squares[0] += v * v;
        put(out->level, i, y[i]);
        put(out->innovation, i, v * f->y_unscale);
    }
    return i;
}

/* K, K (1 - K), K (1 - K)^2, K (1 - K)^3: what is left of a value's pull after 0 to 3 others. */
struct pulls {
    double w[4];
};

static struct pulls
pulls_of(double gain)
{
    double left = 1 - gain;
    return (struct pulls){{gain, gain * left, gain * left * left, gain * left * left * left}};
}

/* The level behind value `place` of four that lie d above where the level was before them. */
static inline double
level_of_four(double base, const double d[4], const struct pulls *p, size_t place)
{
    const double *w = p->w;
    switch (place) {
    case 0:
        return base + w[0] * d[0];
    case 1:
        return base + (w[1] * d[0] + w[0] * d[1]);
    case 2:
        return base + ((w[2] * d[0] + w[1] * d[1]) + w[0] * d[2]);
    default:
        return base + ((w[3] * d[0] + w[2] * d[1]) + (w[1] * d[2] + w[0] * d[3]));
    }
}

/* One steady value; returns the next index, or the same when it is missing. */
static size_t
take_one(struct local_level_filter *f, const double *y, size_t i, const struct pulls *p,
         const struct local_level_out *out)
{
    if (y[i] != y[i])
        return i;
    double x = y[i] * f->y_scale, v = x - f->a;
    if (f->place == 0)
        f->base = f->a;
    f->d[f->place] = x - f->base;
    f->a = level_of_four(f->base, f->d, p, f->place);
    f->steady_squares[f->place] += v * v;
    f->place = (f->place + 1) % 4;
    put(out->level, i, f->a * f->y_unscale);
    put(out->innovation, i, v * f->y_unscale);
    return i + 1;
}

/* Writes four numbers; without a loop, which compilers would make a detour through memory of. */
static inline void
put_four(double *place, size_t i, double scale, double x0, double x1, double x2, double x3)
{
    if (!place)
        return;
    place[i] = x0 * scale;
    place[i + 1] = x1 * scale;
    place[i + 2] = x2 * scale;
    place[i + 3] = x3 * scale;
}

/* Fours of steady values, up to one with a missing one. */
static size_t
take_fours(struct local_level_filter *f, const double *y, size_t i, size_t end,
           const struct pulls *pulls, const struct local_level_out *out)
{
    const double scale = f->y_scale, unscale = f->y_unscale;
    const struct pulls p = *pulls;
    double *s = f->steady_squares, s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3], a = f->a;
    for (; i + 3 < end; i += 4) {
        double x0 = y[i] * scale, x1 = y[i + 1] * scale, x2 = y[i + 2] * scale;
        double x3 = y[i + 3] * scale;
        const double d[4] = {x0 - a, x1 - a, x2 - a, x3 - a};
        double l0 = level_of_four(a, d, &p, 0), l1 = level_of_four(a, d, &p, 1);
        double l2 = level_of_four(a, d, &p, 2), l3 = level_of_four(a, d, &p, 3);
        double v1 = x1 - l0, v2 = x2 - l1, v3 = x3 - l2;
        if (UNLIKELY(l3 != l3)) /* one is missing */
            break;
        a = l3;
        s0 += d[0] * d[0];
        s1 += v1 * v1;
        s2 += v2 * v2;
        s3 += v3 * v3;
        put_four(out->level, i, unscale, l0, l1, l2, l3);
        put_four(out->innovation, i, unscale, d[0], v1, v2, v3);
    }
    f->a = a;
    s[0] = s0;
    s[1] = s1;
    s[2] = s2;
    s[3] = s3;
    return i;
}

/*
 * Steady values, four at a time: with d = x - a before them, the level behind them is
 *   a + K (1 - K)^3 d1 + K (1 - K)^2 d2 + K (1 - K) d3 + K d4,
 * which makes the chain of additions that every value waits for a quarter as long. Four that a
 * block has cut are finished by the next block with the same operations, so that results do not
 * depend on the blocks.
 */
static size_t
run_fours(struct local_level_filter *f, const double *y, size_t i, size_t end,
          const struct local_level_out *out)
{
    const struct pulls p = pulls_of(f->gain);
    for (size_t from = SIZE_MAX; i < end && i != from;) {
        from = i;
        if (f->place == 0)
            i = take_fours(f, y, i, end, &p, out);
        if (i < end)
            i = take_one(f, y, i, &p, out);
    }
    return i;
}

/* Steady values up to a missing one or `n`. */
static size_t
run_steady(struct local_level_filter *f, const double *y, size_t i, size_t n,
           const struct local_level_out *out)
{
    double filtered = unscaled_variance(f, f->gain * f->h), var = unscaled_variance(f, f->f);
    size_t from, end;
    do {
        from = i;
        end = n - i > RUN - f->steady_values ? i + RUN - f->steady_values : n;
        i = (f->gain == 1 ? run_exact : run_fours)(f, y, i, end, out);
        f->steady_values += i - from;
        if (f->steady_values == RUN)
            flush_steady(f);
        for (size_t j = from; f->y_exponent != 0 && out->level && j < i; j++)
            out->level[j] =
                isinf(out->level[j]) ? copysign(__DBL_MAX__, out->level[j]) : out->level[j];
        for (size_t j = from; out->variance && j < i; j++)
            out->variance[j] = filtered;
        for (size_t j = from; out->innovation_variance && j < i; j++)
            out->innovation_variance[j] = var;
    } while (i == end && i < n);
    return i;
}

void
local_level_run(struct local_level_filter *f, const double *y, size_t n,
                const struct local_level_out *out)
{
    for (size_t i = 0; i < n;) {
        if (y[i] != y[i])
            step_missing(f, i++, out);
        else if (f->starting)
            step_start(f, y[i], i, out), i++;
        else if (f->steady)
            i = run_steady(f, y, i, n, out);
        else
            i = run_changing(f, y, i, n, out);
    }
}

double
local_level_log_likelihood(const struct local_level_filter *running, bool diffuse_constant)
{
    struct local_level_filter end = *running, *f = &end;
    flush_changing(f);
    flush_steady(f);
    if (f->impossible)
        return -INFINITY;
    double log_f = sum_value(&f->log_f) + f->start_log_f +
                   ((double)f->exponents + (double)f->values * f->var_exponent) * M_LN2;
    double squares =
        ldexp(sum_value(&f->squares), 2 * f->y_exponent - f->var_exponent) + f->start_square;
    double terms = (double)(f->values + f->start_values + (diffuse_constant ? f->diffuse : 0));
    double ll = -0.5 * (terms * LOG_2PI + log_f + squares);
    return isfinite(ll) ? ll : -INFINITY;
}

double
local_level_observation_variance(const struct local_level_variances *v)
{
    return ldexp(v->h, v->exponent);
}

double
local_level_level_variance(const struct local_level_variances *v)
{
    return ldexp(v->q, v->exponent);
}
