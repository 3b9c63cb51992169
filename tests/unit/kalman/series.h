/* Sample series for the tests of server/kalman. */
#pragma once

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

/* The second column of a file of tests/support/data. */
inline std::vector<double>
read_series(const std::string &name)
{
    std::ifstream in(std::string(LUNA_TEST_DATA) + "/" + name);
    std::string line;
    std::vector<double> values;
    std::getline(in, line);
    while (std::getline(in, line))
        values.push_back(std::stod(line.substr(line.find(',') + 1)));
    if (values.empty())
        throw std::runtime_error("no data in " + name);
    return values;
}

inline std::vector<double>
nile()
{
    return read_series("nile.csv");
}

/* A small generator of our own, so that failures can be repeated everywhere. */
struct Random {
    uint64_t s;
    explicit Random(uint64_t seed) : s(seed * 0x9e3779b97f4a7c15ull + 1)
    {
    }
    uint64_t next()
    {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        return s * 0x2545f4914f6cdd1dull;
    }
    double uniform()
    {
        return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53;
    }
    double normal()
    {
        return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    }
    int below(int n)
    {
        return static_cast<int>(next() % static_cast<uint64_t>(n));
    }
};
