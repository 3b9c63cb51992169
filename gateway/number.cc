#include "gateway/number.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace
{

/* Below, every integer has its own number and its plain digits are the shortest. */
template <typename T>
constexpr T integers_exact = static_cast<T>(1ULL << std::numeric_limits<T>::digits);

const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "37383940414243444546474849505152535455565758596061626364656667686970717273"
    "7475767778798081828384858687888990919293949596979899";

/* Plain digits while people read them as a number, an exponent otherwise. */
template <typename T>
char *
put(char *p, T v)
{
    T magnitude = std::fabs(v);
    if (magnitude < integers_exact<T> && magnitude == std::trunc(magnitude)) {
        if (std::signbit(v))
            *p++ = '-';
        return number_put_uint(p, static_cast<uint64_t>(magnitude));
    }
    auto form = magnitude >= static_cast<T>(1e-5) && magnitude < static_cast<T>(1e16)
                    ? std::chars_format::fixed
                    : std::chars_format::scientific;
    return std::to_chars(p, p + NUMBER_TEXT, v, form).ptr;
}

template <typename T>
bool
get(const char *p, const char *end, T *ret)
{
    T v = 0;
    auto r = std::from_chars(p, end, v);
    if (r.ec == std::errc()) {
        *ret = v;
        return true;
    }
    return false;
}

} // namespace

char *
number_put_uint(char *p, uint64_t v)
{
    char text[20];
    char *at = text + sizeof(text);
    while (v >= 100) {
        at -= 2;
        std::memcpy(at, digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        std::memcpy(at, digit_pairs + v * 2, 2);
    } else {
        *--at = static_cast<char>('0' + v);
    }
    size_t n = static_cast<size_t>(text + sizeof(text) - at);
    std::memcpy(p, at, n);
    return p + n;
}

char *
number_put_int(char *p, int64_t v)
{
    if (v >= 0)
        return number_put_uint(p, static_cast<uint64_t>(v));
    *p++ = '-';
    return number_put_uint(p, ~static_cast<uint64_t>(v) + 1);
}

char *
number_put_double(char *p, double v)
{
    return put(p, v);
}

char *
number_put_float(char *p, float v)
{
    return put(p, v);
}

bool
number_get_double(const char *p, const char *end, double *ret)
{
    return get(p, end, ret);
}

bool
number_get_float(const char *p, const char *end, float *ret)
{
    return get(p, end, ret);
}
