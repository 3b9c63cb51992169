#include "cli/number.h"

#include <charconv>
#include <cmath>
#include <cstring>

void
number_print(double x, char out[NUMBER_TEXT])
{
    if (std::isnan(x)) {
        std::memcpy(out, "NaN", sizeof("NaN"));
        return;
    }
    if (std::isinf(x)) {
        const char *text = x > 0 ? "Infinity" : "-Infinity";
        std::memcpy(out, text, std::strlen(text) + 1);
        return;
    }
    *std::to_chars(out, out + NUMBER_TEXT - 1, x).ptr = '\0';
}

bool
number_read(const char *s, size_t n, double *ret)
{
    if (n > 1 && *s == '+' && s[1] != '-' && s[1] != '+') {
        s++;
        n--;
    }
    double x;
    auto [end, error] = std::from_chars(s, s + n, x);
    if (error != std::errc() || end != s + n || std::isnan(x))
        return false;
    *ret = x;
    return true;
}
