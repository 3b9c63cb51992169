/* The local level filter with vectors around it. */
#pragma once

#include <algorithm>
#include <gtest/gtest.h>

#include "series.h"

extern "C" {
#include "kalman/local_level.h"
}

const double kNan = NAN;

struct Filtered {
    std::vector<double> level, variance, innovation, innovation_variance;
    local_level_filter f;
    double full() const
    {
        return local_level_log_likelihood(&f, true);
    }
    double omit() const
    {
        return local_level_log_likelihood(&f, false);
    }
};

struct Start {
    bool diffuse = true;
    double mean = 0, variance = 0;
};

inline Filtered
run(const std::vector<double> &y, local_level_variances v, Start start = Start(),
    bool shortcut = true, const std::vector<size_t> &cuts = {})
{
    Filtered r;
    size_t n = y.size();
    for (auto *x : {&r.level, &r.variance, &r.innovation, &r.innovation_variance})
        x->assign(n, -1);
    double largest = std::fabs(start.mean);
    for (double x : y)
        largest = std::max(largest, std::isnan(x) ? 0 : std::fabs(x));
    local_level_init(&r.f, &v, start.diffuse, start.mean, start.variance, largest);
    r.f.no_shortcut = !shortcut;
    size_t from = 0;
    std::vector<size_t> ends = cuts;
    ends.push_back(n);
    for (size_t end : ends) {
        local_level_out out = {&r.level[from], &r.variance[from], &r.innovation[from],
                               &r.innovation_variance[from]};
        local_level_run(&r.f, y.data() + from, end - from, &out);
        from = end;
    }
    return r;
}

inline local_level_variances
fit(const std::vector<double> &y, double h = kNan, double q = kNan)
{
    local_level_facts facts = {};
    local_level_look(&facts, y.data(), y.size());
    local_level_known known = {h, q};
    local_level_variances v;
    EXPECT_TRUE(local_level_fit(y.data(), y.size(), &facts, &known, nullptr, &v));
    return v;
}

inline double
value_h(const local_level_variances &v)
{
    return local_level_observation_variance(&v);
}

inline double
value_q(const local_level_variances &v)
{
    return local_level_level_variance(&v);
}

inline std::vector<double>
simulate(Random &rnd, size_t n, double h, double q, double missing = 0)
{
    std::vector<double> y(n);
    double mu = 10 * rnd.normal();
    for (double &x : y) {
        x = rnd.uniform() < missing ? kNan : mu + std::sqrt(h) * rnd.normal();
        mu += std::sqrt(q) * rnd.normal();
    }
    return y;
}

const local_level_variances kNile = {15099, 1469.1, 0};
