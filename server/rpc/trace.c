#include "rpc/internal.h"

#define TRACEPARENT_LEN 55 /* "00-<32>-<16>-<2>" */

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* upper case is not allowed */
}

/* `n` hex digits, not all of them 0, copied with a NUL. */
static bool
take_id(const char *p, size_t n, char *out)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        int v = hex_value(p[i]);
        if (v < 0)
            return false;
        any |= v > 0;
        out[i] = p[i];
    }
    out[n] = '\0';
    return any;
}

/* https://www.w3.org/TR/trace-context/#traceparent-header: a later version may be longer, and is
 * read as if it were version 00. */
bool
trace_parse(struct str s, struct trace *ret)
{
    struct trace t = {.flags = 0};
    if (s.n < TRACEPARENT_LEN || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    int v1 = hex_value(s.p[0]);
    int v0 = hex_value(s.p[1]);
    int f1 = hex_value(s.p[53]);
    int f0 = hex_value(s.p[54]);
    if (v1 < 0 || v0 < 0 || f1 < 0 || f0 < 0 || (v1 == 15 && v0 == 15))
        return false;
    bool first_version = v1 == 0 && v0 == 0;
    if (s.n > TRACEPARENT_LEN && (first_version || s.p[TRACEPARENT_LEN] != '-'))
        return false;
    if (!take_id(s.p + 3, 32, t.id) || !take_id(s.p + 36, 16, t.span))
        return false;
    t.flags = (uint8_t)(f1 * 16 + f0);
    *ret = t;
    return true;
}
