/*
 * Seasonal ARIMA: the ARMA part in Harvey's form with a stationary start, and the values that the
 * differences look back to as diffuse states (Durbin and Koopman 2012, 3.4; Harvey 1989, 3.3
 * and 4.4).
 *
 *   y[t] = w[t] + delta1 y[t-1] + ... + deltak y[t-k],   (1-B)^d (1-B^s)^D = 1 - delta1 B - ...
 *   states: ARMA (r), constant (0 or 1), y[t-1] .. y[t-k]
 */
#include <math.h>
#include <string.h>

#include "kalman/model.h"

static size_t
lags_ar(const struct model_arima *a)
{
    return a->p + a->s * a->sp;
}

static size_t
lags_ma(const struct model_arima *a)
{
    return a->q + a->s * a->sq;
}

static size_t
lags_difference(const struct model_arima *a)
{
    return a->d + a->s * a->sd;
}

static size_t
arma_states(const struct model_arima *a)
{
    size_t p = lags_ar(a), q = lags_ma(a) + 1;
    return p > q ? p : q;
}

size_t
model_arima_states(const struct model_arima *a)
{
    return arma_states(a) + (a->intercept ? 1 : 0) + lags_difference(a);
}

/* Multiplies poly[0..n] (poly[0] = 1) by 1 + sum coefficients[i] B^(step (i+1)). Returns the new n.
 */
static size_t
multiply(double *poly, size_t n, const double *coefficients, size_t count, size_t step)
{
    size_t to = n + step * count;
    for (size_t k = to + 1; k-- > 0;) {
        double x = k <= n ? poly[k] : 0;
        for (size_t i = 0; i < count; i++) {
            size_t back = step * (i + 1);
            if (k >= back && k - back <= n)
                x += coefficients[i] * poly[k - back];
        }
        poly[k] = x;
    }
    return to;
}

static void
differences(const struct model_arima *a, double *poly)
{
    const double minus = -1;
    size_t n = 0;
    poly[0] = 1;
    for (size_t i = 0; i < a->d; i++)
        n = multiply(poly, n, &minus, 1, 1);
    for (size_t i = 0; i < a->sd; i++)
        n = multiply(poly, n, &minus, 1, a->s);
}

void
model_arima_layout(struct model *m)
{
    const struct model_arima *a = &m->spec->arima;
    size_t n = model_arima_states(a), r = arma_states(a), k = lags_difference(a);
    size_t lags = r + a->intercept;
    model_allocate(m, n, 1, false, false, false);
    m->scratch = arena_array(m->arena, 6 * r + 4, (r > k ? r : k) * sizeof(double) + 64);
    model_add_block(m, "arima.ar", MODEL_STATIONARY, a->ar, a->p);
    model_add_block(m, "arima.ma", MODEL_INVERTIBLE, a->ma, a->q);
    model_add_block(m, "arima.seasonal_ar", MODEL_STATIONARY, a->sar, a->sp);
    model_add_block(m, "arima.seasonal_ma", MODEL_INVERTIBLE, a->sma, a->sq);
    model_add(m, "arima.variance", MODEL_VARIANCE, a->variance);
    double *poly = m->scratch;
    differences(a, poly);
    m->z[0] = 1;
    m->rr[0] = 1;
    for (size_t i = 0; i < r; i++) {
        m->state_names[i] = "arma";
        if (i + 1 < r)
            m->t[i * n + i + 1] = 1;
    }
    if (a->intercept) {
        m->state_names[r] = "intercept";
        m->z[r] = m->t[r * n + r] = m->p1_inf[r] = 1;
    }
    for (size_t i = 0; i < k; i++) {
        m->state_names[lags + i] = "lag";
        m->z[lags + i] = -poly[i + 1];
        m->p1_inf[lags + i] = 1;
        if (i > 0)
            m->t[(lags + i) * n + lags + i - 1] = 1;
    }
    if (k > 0)
        memcpy(m->t + lags * n, m->z, n * sizeof(double)); /* y[t] becomes the first lag */
}

/* The parameters' values as a list with `sign`. */
static struct model_parameter *
take(struct model_parameter *p, size_t count, double sign, double *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = sign * p[i].value;
    return p + count;
}

void
model_arima_apply(struct model *m)
{
    const struct model_arima *a = &m->spec->arima;
    size_t n = m->s.m, r = arma_states(a), square = r * r;
    double *t = m->scratch, *v = t + square, *start = v + square, *work = start + square;
    double ar[MODEL_MAX_ORDER], ma[MODEL_MAX_ORDER], sar[MODEL_MAX_ORDER], sma[MODEL_MAX_ORDER];
    double poly[MODEL_MAX_STATES + 1] = {1};
    struct model_parameter *p = take(m->parameters, a->p, -1, ar);
    p = take(p, a->q, 1, ma);
    p = take(p, a->sp, -1, sar);
    p = take(p, a->sq, 1, sma);
    double variance = p->value;
    size_t last = multiply(poly, multiply(poly, 0, ar, a->p, 1), sar, a->sp, a->s);
    for (size_t i = 0; i < r; i++)
        m->t[i * n] = i + 1 <= last ? -poly[i + 1] : 0;
    memset(poly, 0, sizeof(poly));
    poly[0] = 1;
    last = multiply(poly, multiply(poly, 0, ma, a->q, 1), sma, a->sq, a->s);
    for (size_t i = 0; i < r; i++)
        m->rr[i] = i <= last ? poly[i] : 0;
    m->q[0] = variance;
    for (size_t i = 0; i < r; i++) {
        for (size_t j = 0; j < r; j++) {
            t[i * r + j] = m->t[i * n + j];
            v[i * r + j] = variance * m->rr[i] * m->rr[j];
        }
    }
    /* On the edge of stationarity there is no start: an infinite one makes the likelihood fail. */
    bool fine = model_stationary_variance(t, v, r, work, start);
    for (size_t i = 0; i < r; i++) {
        for (size_t j = 0; j < r; j++)
            m->p1[i * n + j] = fine ? start[i * r + j] : i == j ? INFINITY : 0;
    }
}
