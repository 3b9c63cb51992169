/* Text from outside that becomes a value: times, numbers, UUIDs, UTF-8. What is read must be
 * written and read again as the same. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_time(struct str s)
{
    usec_t t;
    usec_t back;
    char text[CLOCK_TEXT];
    if (!clock_parse(s.p, s.n, &t))
        return;
    clock_format(t, text);
    ASSERT(clock_parse(text, strlen(text), &back) && back == t);
}

static void
check_numbers(struct str s)
{
    int64_t i;
    int64_t i_back;
    uint64_t u;
    uint64_t u_back;
    double d;
    double d_back;
    char text[64];
    if (str_to_i64(s, &i)) {
        snprintf(text, sizeof(text), "%lld", (long long)i);
        ASSERT(str_to_i64(str_of(text), &i_back) && i_back == i);
        ASSERT(str_to_f64(s, &d)); /* an integer is a number */
    }
    if (str_to_u64(s, &u)) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long)u);
        ASSERT(str_to_u64(str_of(text), &u_back) && u_back == u);
    }
    if (str_to_f64(s, &d)) {
        snprintf(text, sizeof(text), "%.17g", d);
        ASSERT(str_to_f64(str_of(text), &d_back) && memcmp(&d, &d_back, sizeof(d)) == 0);
    }
}

static void
check_uuid(struct str s)
{
    char text[64];
    char out[UUID_TEXT];
    struct uuid u;
    struct uuid back;
    if (s.n >= sizeof(text) || memchr(s.p, 0, s.n))
        return;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (!uuid_parse(text, &u))
        return;
    uuid_format(&u, out);
    ASSERT(uuid_parse(out, &back) && memcmp(&u, &back, sizeof(u)) == 0);
}

static void
check_utf8(struct str s)
{
    bool valid = true;
    struct str rest = s;
    while (rest.n > 0) {
        uint32_t cp;
        int len = str_utf8_next(rest, &cp);
        ASSERT(len != 0 && (size_t)(len < 0 ? -len : len) <= rest.n);
        valid = valid && len > 0;
        rest.p += len < 0 ? -len : len;
        rest.n -= (size_t)(len < 0 ? -len : len);
    }
    ASSERT(str_utf8_valid(s) == valid);
    struct buf b;
    buf_init(&b, s.n * 6 + 2);
    buf_put_json(&b, s.p, s.n);
    ASSERT(!b.overflow && str_utf8_valid((struct str){b.data, b.len}));
    buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {size > 0 ? (const char *)data : "", size};
    check_time(s);
    check_numbers(s);
    check_uuid(s);
    check_utf8(s);
    return 0;
}
