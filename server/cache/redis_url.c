#include "cache/redis_url.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct parse {
    struct redis_url *url;
    char *err;
    size_t err_size;
};

static bool
bad(struct parse *p, const char *what)
{
    snprintf(p->err, p->err_size, "%s", what);
    return false;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decodes `s` into `out`, NUL terminated. False: it does not fit, or holds a bad escape or
 * NUL. */
static bool
decode(struct str s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (i + 2 >= s.n)
                return false;
            int high = hex_value(s.p[i + 1]);
            int low = hex_value(s.p[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool
copy(struct str s, char *out, size_t size)
{
    if (s.n >= size || memchr(s.p ? s.p : "", '\0', s.n))
        return false;
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static bool
parse_db(struct parse *p, struct str s)
{
    int64_t db;
    if (!str_to_i64(s, &db) || db < 0 || db > 65535)
        return bad(p, "the database number is not between 0 and 65535");
    p->url->db = (int)db;
    return true;
}

static bool
parse_query(struct parse *p, struct str query)
{
    while (query.n > 0) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');
        if (str_eq(key, STR("db"))) {
            if (!parse_db(p, value))
                return false;
        } else if (str_eq(key, STR("user"))) {
            if (!decode(value, p->url->user, sizeof(p->url->user)))
                return bad(p, "the user is too long or not percent-encoded");
        } else if (str_eq(key, STR("password"))) {
            if (!decode(value, p->url->password, sizeof(p->url->password)))
                return bad(p, "the password is too long or not percent-encoded");
        } else {
            return bad(p, "only db, user and password may follow the question mark");
        }
    }
    return true;
}

static bool
parse_unix(struct parse *p, struct str rest)
{
    p->url->is_unix = true;
    if (str_starts(rest, STR("//"))) {
        rest.p += 2;
        rest.n -= 2;
    }
    struct str path = str_cut(&rest, '?');
    if (path.n == 0 || path.p[0] != '/')
        return bad(p, "a unix socket is written as unix:/path");
    if (!copy(path, p->url->path, sizeof(p->url->path)))
        return bad(p, "the path of the unix socket is longer than 107 bytes");
    return parse_query(p, rest);
}

static bool
parse_userinfo(struct parse *p, struct str info)
{
    struct str user = str_cut(&info, ':');
    if (!decode(user, p->url->user, sizeof(p->url->user)))
        return bad(p, "the user is too long or not percent-encoded");
    if (!decode(info, p->url->password, sizeof(p->url->password)))
        return bad(p, "the password is too long or not percent-encoded");
    return true;
}

static bool
parse_host(struct parse *p, struct str host)
{
    struct str port = {NULL, 0};
    if (host.n > 0 && host.p[0] == '[') {
        host.p++;
        host.n--;
        struct str inner = str_cut(&host, ']');
        if (!host.p || (host.n > 0 && host.p[0] != ':'))
            return bad(p, "an IPv6 address is written as [::1]:6379");
        if (host.n > 0)
            port = (struct str){host.p + 1, host.n - 1};
        host = inner;
    } else {
        struct str name = str_cut(&host, ':');
        port = host;
        host = name;
    }
    if (host.n == 0 || !copy(host, p->url->host, sizeof(p->url->host)))
        return bad(p, "the host is missing or too long");
    int64_t number = 6379;
    if (port.p && (!str_to_i64(port, &number) || number < 1 || number > 65535))
        return bad(p, "the port is not between 1 and 65535");
    snprintf(p->url->port, sizeof(p->url->port), "%u", (unsigned)number & 0xffffU);
    return true;
}

static bool
parse_tcp(struct parse *p, struct str rest)
{
    struct str db = {NULL, 0};
    const char *slash = rest.n ? memrchr(rest.p, '/', rest.n) : NULL;
    const char *at = rest.n ? memrchr(rest.p, '@', rest.n) : NULL;
    if (slash && (!at || slash > at)) {
        db = (struct str){slash + 1, (size_t)(rest.p + rest.n - slash - 1)};
        rest.n = (size_t)(slash - rest.p);
    }
    if (at) {
        if (!parse_userinfo(p, (struct str){rest.p, (size_t)(at - rest.p)}))
            return false;
        rest = (struct str){at + 1, (size_t)(rest.p + rest.n - at - 1)};
    }
    if (db.n > 0 && !parse_db(p, db))
        return false;
    return parse_host(p, rest);
}

bool
redis_url_parse(const char *text, struct redis_url *ret, char *err, size_t err_size)
{
    static const struct str schemes[] = {{"redis://", 8}, {"unix:", 5}, {"rediss://", 9}};
    struct redis_url url = {.db = 0};
    struct parse p = {.url = &url, .err = err, .err_size = err_size};
    struct str s = str_of(text);
    bool ok;
    if (str_starts(s, schemes[0]))
        ok = parse_tcp(&p, (struct str){s.p + schemes[0].n, s.n - schemes[0].n});
    else if (str_starts(s, schemes[1]))
        ok = parse_unix(&p, (struct str){s.p + schemes[1].n, s.n - schemes[1].n});
    else if (str_starts(s, schemes[2]))
        ok = bad(&p, "rediss:// (TLS) is not supported: use a unix socket or a local TLS proxy");
    else
        ok = bad(&p, "neither redis://[user:password@]host:port/db nor unix:/path");
    if (ok)
        *ret = url;
    return ok;
}
