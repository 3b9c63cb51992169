/*
 * An independent answer to what a state space model says: the joint normal distribution of
 * everything, with generalised least squares for the diffuse part, dense and in long double.
 *
 * All is linear in delta (the diffuse elements of the first state) and w (all that is random):
 *   y = mu + X delta + G w,   w ~ N(0, S).
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "series.h"

extern "C" {
#include "kalman/ssm.h"
}

typedef std::vector<long double> Row;

/* A model that owns its numbers. */
struct Model {
    size_t n, p, m, r;
    std::vector<double> z, h, d, t, c, rr, q, a1, p1, p1_inf;
    bool varying = false;

    ssm_matrix of(const std::vector<double> &x, size_t size) const
    {
        return {x.empty() ? nullptr : x.data(), x.size() > size ? size : 0};
    }
    ssm view() const
    {
        ssm s = {};
        s.n = n;
        s.p = p;
        s.m = m;
        s.r = r;
        s.z = of(z, p * m);
        s.h = of(h, p);
        s.d = of(d, p);
        s.t = of(t, m * m);
        s.c = of(c, m);
        s.rr = of(rr, m * r);
        s.q = of(q, r * r);
        s.a1 = a1.data();
        s.p1 = p1.data();
        s.p1_inf = p1_inf.data();
        return s;
    }
};

/* A * A' with random A of `size` rows: a variance. */
inline std::vector<double>
random_variance(Random &rnd, size_t size)
{
    std::vector<double> a(size * size), v(size * size, 0);
    for (double &x : a)
        x = rnd.normal();
    for (size_t i = 0; i < size; i++) {
        for (size_t j = 0; j < size; j++) {
            for (size_t k = 0; k < size; k++)
                v[i * size + j] += a[i * size + k] * a[j * size + k];
        }
    }
    return v;
}

inline Model
random_model(Random &rnd, size_t n, bool varying)
{
    Model o;
    o.n = n;
    o.m = 1 + static_cast<size_t>(rnd.below(4));
    o.p = 1 + static_cast<size_t>(rnd.below(3));
    o.r = 1 + static_cast<size_t>(rnd.below(static_cast<int>(o.m)));
    o.varying = varying;
    size_t times = varying ? n : 1;
    auto fill = [&](std::vector<double> &x, size_t size, double zero) {
        x.resize(size * times);
        for (double &e : x)
            e = rnd.uniform() < zero ? 0 : rnd.normal();
    };
    fill(o.z, o.p * o.m, 0.2);
    fill(o.t, o.m * o.m, 0.3);
    for (double &x : o.t)
        x *= 0.7;
    fill(o.rr, o.m * o.r, 0.2);
    fill(o.h, o.p, 0.1);
    for (double &x : o.h)
        x *= x;
    if (rnd.below(2))
        fill(o.d, o.p, 0);
    if (rnd.below(2))
        fill(o.c, o.m, 0);
    for (size_t t = 0; t < times; t++) {
        std::vector<double> q = random_variance(rnd, o.r);
        o.q.insert(o.q.end(), q.begin(), q.end());
    }
    o.a1.assign(o.m, 0);
    o.p1 = random_variance(rnd, o.m);
    o.p1_inf.assign(o.m, 0);
    for (size_t j = 0; j < o.m; j++) {
        o.a1[j] = rnd.normal();
        if (rnd.below(2)) {
            o.p1_inf[j] = 1;
            for (size_t k = 0; k < o.m; k++)
                o.p1[j * o.m + k] = o.p1[k * o.m + j] = 0;
        }
    }
    return o;
}

/* mu + x delta + g w */
struct Linear {
    long double mu = 0;
    Row x, g;
};

inline Linear
operator+(const Linear &a, const Linear &b)
{
    Linear o = a;
    o.mu += b.mu;
    for (size_t i = 0; i < o.x.size(); i++)
        o.x[i] += b.x[i];
    for (size_t i = 0; i < o.g.size(); i++)
        o.g[i] += b.g[i];
    return o;
}

inline Linear
operator*(long double k, Linear a)
{
    a.mu *= k;
    for (auto *list : {&a.x, &a.g}) {
        for (long double &e : *list)
            e *= k;
    }
    return a;
}

struct Oracle {
    size_t diffuse, random;
    std::vector<std::vector<Linear>> alpha, eps, eta; /* by time */
    std::vector<Linear> y;                            /* observed numbers */
    Row values;
    std::vector<Row> s;  /* random x random */
    Row chol;            /* of V */
    Row white;           /* of y - mu - X delta */
    std::vector<Row> xw; /* columns of X, whitened */
    Row xx;              /* inverse of X'V^-1X */
    Row delta;
    long double log_det = 0, rss = 0, log_det_xx = 0;
    bool identified = true;

    Linear zero() const
    {
        return {0, Row(diffuse, 0), Row(random, 0)};
    }
    Linear unit_g(size_t i) const
    {
        Linear o = zero();
        o.g[i] = 1;
        return o;
    }

    Oracle(const Model &mo, const std::vector<double> &data, size_t until)
    {
        size_t m = mo.m, p = mo.p, r = mo.r, n = mo.n;
        diffuse = static_cast<size_t>(std::count(mo.p1_inf.begin(), mo.p1_inf.end(), 1));
        random = m + n * r + n * p;
        s.assign(random, Row(random, 0));
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < m; j++)
                s[i][j] = mo.p1[i * m + j];
        }
        auto at = [&](const std::vector<double> &x, size_t size, size_t t) {
            return x.empty() ? nullptr : x.data() + (x.size() > size ? t * size : 0);
        };
        std::vector<Linear> a(m, zero());
        size_t k = 0;
        for (size_t j = 0; j < m; j++) {
            a[j] = unit_g(j);
            a[j].mu = mo.a1[j];
            if (mo.p1_inf[j] > 0)
                a[j].x[k++] = 1;
        }
        for (size_t t = 0; t < n; t++) {
            const double *z = at(mo.z, p * m, t), *h = at(mo.h, p, t), *d = at(mo.d, p, t);
            const double *tt = at(mo.t, m * m, t), *c = at(mo.c, m, t), *rr = at(mo.rr, m * r, t);
            const double *q = at(mo.q, r * r, t);
            alpha.push_back(a);
            eps.emplace_back();
            eta.emplace_back();
            for (size_t i = 0; i < p; i++) {
                size_t e = m + n * r + t * p + i;
                s[e][e] = h[i];
                eps[t].push_back(unit_g(e));
                Linear o = unit_g(e);
                o.mu = d ? d[i] : 0;
                for (size_t j = 0; j < m; j++)
                    o = o + static_cast<long double>(z[i * m + j]) * a[j];
                if (t < until && !std::isnan(data[t * p + i])) {
                    y.push_back(o);
                    values.push_back(data[t * p + i]);
                }
            }
            std::vector<Linear> next(m, zero());
            for (size_t b = 0; b < r; b++) {
                size_t e = m + t * r + b;
                eta[t].push_back(unit_g(e));
                for (size_t b2 = 0; b2 < r; b2++)
                    s[e][m + t * r + b2] = q[b * r + b2];
            }
            for (size_t i = 0; i < m; i++) {
                next[i].mu = c ? c[i] : 0;
                for (size_t j = 0; j < m; j++)
                    next[i] = next[i] + static_cast<long double>(tt[i * m + j]) * a[j];
                for (size_t b = 0; b < r; b++)
                    next[i] = next[i] + static_cast<long double>(rr[i * r + b]) * eta[t][b];
            }
            a = next;
        }
        solve();
    }

    long double cov(const Row &a, const Row &b) const
    {
        long double x = 0;
        for (size_t i = 0; i < random; i++) {
            if (a[i] == 0)
                continue;
            for (size_t j = 0; j < random; j++)
                x += a[i] * s[i][j] * b[j];
        }
        return x;
    }

    Row whiten(Row b) const
    {
        size_t n = y.size();
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < i; j++)
                b[i] -= chol[i * n + j] * b[j];
            b[i] /= chol[i * n + i];
        }
        return b;
    }

    static long double dot(const Row &a, const Row &b)
    {
        long double x = 0;
        for (size_t i = 0; i < a.size(); i++)
            x += a[i] * b[i];
        return x;
    }

    void solve()
    {
        size_t n = y.size();
        chol.assign(n * n, 0);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                long double x = cov(y[i].g, y[j].g);
                for (size_t k = 0; k < j; k++)
                    x -= chol[i * n + k] * chol[j * n + k];
                chol[i * n + j] = i == j ? sqrtl(x) : x / chol[j * n + j];
                if (i == j && !(x > 1e-12L))
                    identified = false;
            }
            log_det += 2 * logl(chol[i * n + i]);
        }
        Row b(n);
        for (size_t i = 0; i < n; i++)
            b[i] = values[i] - y[i].mu;
        white = whiten(b);
        for (size_t k = 0; k < diffuse; k++) {
            for (size_t i = 0; i < n; i++)
                b[i] = y[i].x[k];
            xw.push_back(whiten(b));
        }
        invert();
        delta.assign(diffuse, 0);
        for (size_t i = 0; i < diffuse; i++) {
            for (size_t j = 0; j < diffuse; j++)
                delta[i] += xx[i * diffuse + j] * dot(xw[j], white);
        }
        for (size_t k = 0; k < diffuse; k++) {
            for (size_t i = 0; i < n; i++)
                white[i] -= xw[k][i] * delta[k];
        }
        rss = dot(white, white);
    }

    /* xx = (X'V^-1X)^-1 by Gauss-Jordan. */
    void invert()
    {
        size_t k = diffuse;
        Row a(k * k);
        xx.assign(k * k, 0);
        for (size_t i = 0; i < k; i++) {
            xx[i * k + i] = 1;
            for (size_t j = 0; j < k; j++)
                a[i * k + j] = dot(xw[i], xw[j]);
        }
        for (size_t i = 0; i < k; i++) {
            long double pivot = a[i * k + i];
            if (!(pivot > 1e-6L))
                identified = false;
            log_det_xx += logl(pivot);
            for (size_t j = 0; j < k; j++) {
                a[i * k + j] /= pivot;
                xx[i * k + j] /= pivot;
            }
            for (size_t row = 0; row < k; row++) {
                long double f = a[row * k + i];
                for (size_t j = 0; row != i && j < k; j++) {
                    a[row * k + j] -= f * a[i * k + j];
                    xx[row * k + j] -= f * xx[i * k + j];
                }
            }
        }
    }

    double log_likelihood() const
    {
        long double two_pi = static_cast<long double>(y.size()) * logl(2 * acosl(-1));
        return static_cast<double>(-0.5L * (two_pi + log_det + log_det_xx + rss));
    }

    void given(const Linear &a, const Linear &b, double *mean, double *covariance) const
    {
        Row ca(y.size()), cb(y.size());
        for (size_t i = 0; i < y.size(); i++) {
            ca[i] = cov(a.g, y[i].g);
            cb[i] = cov(b.g, y[i].g);
        }
        ca = whiten(ca);
        cb = whiten(cb);
        Row xa = a.x, xb = b.x;
        for (size_t k = 0; k < diffuse; k++) {
            xa[k] -= dot(ca, xw[k]);
            xb[k] -= dot(cb, xw[k]);
        }
        long double m = a.mu + dot(ca, white), v = cov(a.g, b.g) - dot(ca, cb);
        for (size_t i = 0; i < diffuse; i++) {
            m += a.x[i] * delta[i];
            for (size_t j = 0; j < diffuse; j++)
                v += xa[i] * xx[i * diffuse + j] * xb[j];
        }
        *mean = static_cast<double>(m);
        *covariance = static_cast<double>(v);
    }
};
