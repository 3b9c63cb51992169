#include "base/uuid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"

void
random_bytes(void *p, size_t n)
{
    char *to = p;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);
        if (got < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        to += got;
        n -= (size_t)got;
    }
}

/* Random bytes of a thread, asked of the kernel in larger pieces: a system call for each id costs
 * as much as the rest of a small request. What was handed out is gone from memory. */
#define POOL_BYTES 512

static void
pool_bytes(void *p, size_t n)
{
    static _Thread_local uint8_t pool[POOL_BYTES];
    static _Thread_local size_t left;
    if (left < n) {
        random_bytes(pool, sizeof(pool));
        left = sizeof(pool);
    }
    left -= n;
    memcpy(p, pool + left, n);
    explicit_bzero(pool + left, n);
}

static void
uuid_stamp(struct uuid *u, unsigned version)
{
    u->bytes[6] = (uint8_t)((u->bytes[6] & 0x0fu) | version << 4);
    u->bytes[8] = (uint8_t)((u->bytes[8] & 0x3fu) | 0x80u);
}

void
uuid_v4(struct uuid *ret)
{
    random_bytes(ret->bytes, sizeof(ret->bytes));
    uuid_stamp(ret, 4);
}

void
uuid_v7(struct uuid *ret, int64_t unix_ms)
{
    uint64_t ms = (uint64_t)unix_ms;
    for (int i = 0; i < 6; i++)
        ret->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    pool_bytes(ret->bytes + 6, sizeof(ret->bytes) - 6);
    uuid_stamp(ret, 7);
}

/* A hyphen stands before these bytes. */
static bool
hyphen_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool
uuid_parse(const char *s, struct uuid *ret)
{
    struct uuid u;
    bool hyphens = strnlen(s, 9) == 9 && s[8] == '-';
    for (size_t i = 0; i < sizeof(u.bytes); i++) {
        if (hyphens && hyphen_before(i) && *s++ != '-')
            return false;
        int high = str_hex_digit(s[0]);
        int low = high < 0 ? -1 : str_hex_digit(s[1]);
        if (low < 0)
            return false;
        u.bytes[i] = (uint8_t)(high << 4 | low);
        s += 2;
    }
    if (*s != '\0')
        return false;
    *ret = u;
    return true;
}

void
uuid_format(const struct uuid *u, char out[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(u->bytes); i++) {
        if (hyphen_before(i))
            *out++ = '-';
        *out++ = hex[u->bytes[i] >> 4];
        *out++ = hex[u->bytes[i] & 15];
    }
    *out = '\0';
}
