/* What the tests of server/kalman run again and again: memory, small models, filter and smoother.
 */
#pragma once

#include <gtest/gtest.h>

#include "ssm_oracle.h"

extern "C" {
#include "kalman/model.h"
}

struct Memory {
    arena a;
    Memory()
    {
        arena_init(&a, 0);
    }
    ~Memory()
    {
        arena_fini(&a);
    }
    Memory(const Memory &) = delete;
};

inline model_value
given(double x)
{
    return {true, x};
}

/* A structural model, its numbers to be filled in. */
inline model_spec
structural(model_trend trend)
{
    model_spec s = {};
    s.kind = MODEL_STRUCTURAL;
    s.structural.trend = trend;
    return s;
}

inline std::vector<double>
log_passengers()
{
    std::vector<double> y = read_series("air_passengers.csv");
    for (double &x : y)
        x = std::log(x);
    return y;
}

/* m states without noise that stay what they are, diffuse, one series. */
inline Model
still_states(size_t n, size_t m)
{
    Model o;
    o.n = n;
    o.p = 1;
    o.m = o.r = m;
    o.z.assign(m, 0);
    o.t.assign(m * m, 0);
    for (size_t i = 0; i < m; i++)
        o.t[i * m + i] = 1;
    o.rr = o.t;
    o.h = {0};
    o.q.assign(m * m, 0);
    o.a1.assign(m, 0);
    o.p1.assign(m * m, 0);
    o.p1_inf.assign(m, 1);
    return o;
}

inline Model
local_level(size_t n, double h, double q)
{
    Model o = still_states(n, 1);
    o.z = {1};
    o.h = {h};
    o.q = {q};
    return o;
}

inline Model
trend(size_t n, double h, double level, double slope)
{
    Model o = still_states(n, 2);
    o.z = {1, 0};
    o.t = {1, 1, 0, 1};
    o.h = {h};
    o.q = {level, 0, 0, slope};
    return o;
}

/* A trend, and dummies of a season: Harvey (1989), 2.3.4. */
inline Model
seasonal_trend(size_t n, size_t season, double h, double level, double slope, double seasonal)
{
    const size_t m = 1 + season;
    Model o = still_states(n, m);
    o.z[0] = o.z[2] = 1;
    o.t[1] = 1;
    for (size_t j = 2; j < m; j++) {
        o.t[j * m + j] = 0;
        o.t[2 * m + j] = -1;
    }
    for (size_t j = 3; j < m; j++)
        o.t[j * m + j - 1] = 1;
    o.h = {h};
    o.q[0] = level;
    o.q[m + 1] = slope;
    o.q[2 * m + 2] = seasonal;
    return o;
}

/* What filter and smoother make of a model. */
struct Smoothed {
    ssm_filtered f;
    ssm_smoothed o;
};

inline ssm_filtered
filter(const ssm &s, const std::vector<double> &y, unsigned keep, arena *a)
{
    ssm_filtered f = {};
    EXPECT_TRUE(ssm_filter(&s, y.data(), keep, a, nullptr, &f));
    return f;
}

inline Smoothed
smooth(const ssm &s, const std::vector<double> &y, arena *a, unsigned extra = 0)
{
    Smoothed r = {};
    r.f = filter(s, y, SSM_KEEP_FOR_SMOOTHER | SSM_KEEP_FILTERED | extra, a);
    EXPECT_TRUE(ssm_smooth(&s, &r.f, 7, a, nullptr, &r.o));
    return r;
}

/* A described model, laid out with the parameters it was given. */
inline ssm
laid_out(const model_spec &spec, size_t n, arena *a)
{
    model *m = model_new(&spec, n, a);
    model_apply(m);
    return m->s;
}

/* z a, and z P z' of m states. */
struct Signal {
    double mean = 0, variance = 0;
};

template <typename Mean, typename Covariance>
Signal
signal_of(const double *z, size_t m, Mean mean, Covariance covariance)
{
    Signal s;
    for (size_t i = 0; i < m; i++) {
        s.mean += z[i] * mean(i);
        for (size_t j = 0; j < m; j++)
            s.variance += z[i] * z[j] * covariance(i, j);
    }
    return s;
}

/* Means and mean squares of draws of the same numbers. */
struct Moments {
    int draws = 0;
    std::vector<double> sum, squares;
    explicit Moments(size_t size) : sum(size, 0), squares(size, 0)
    {
    }
    template <typename Draw> void add(Draw draw)
    {
        draws++;
        for (size_t i = 0; i < sum.size(); i++) {
            double x = draw(i);
            sum[i] += x;
            squares[i] += x * x;
        }
    }
    double mean(size_t i) const
    {
        return sum[i] / draws;
    }
    double square(size_t i) const
    {
        return squares[i] / draws;
    }
};
