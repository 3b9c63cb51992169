/*
 * Who is really calling: X-Forwarded-For, -Proto and -Host, or RFC 7239's Forwarded. They are
 * believed of trusted proxies only; of others they are dropped, so that nobody can give himself an
 * address.
 */
#include "base/nets.h"
#include "gateway/gateway.h"

#define CHAIN_MAX 1024 /* bytes of the addresses that are passed on */

/* The address of `for=`: "[2001:db8::1]:4711", 192.0.2.43:80, without its port; empty: it is
 * hidden. */
static struct str
node_address(struct str v)
{
    uint8_t bytes[16];
    bool v4;
    v = str_trim(v);
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = (struct str){v.p + 1, v.n - 2};
    if (v.n > 0 && v.p[0] == '[') {
        v = (struct str){v.p + 1, v.n - 1};
        v = str_cut(&v, ']');
    } else if (memchr(v.p, ':', v.n) == memrchr(v.p, ':', v.n)) {
        v = str_cut(&v, ':');
    }
    return address_parse(v, bytes, &v4) ? v : STR("");
}

static struct str
unquoted(struct str v)
{
    v = str_trim(v);
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        return (struct str){v.p + 1, v.n - 2};
    return v;
}

/* Reads a Forwarded header into the three older ones. */
static void
read_forwarded(struct exchange *x, struct str value)
{
    struct request_headers *h = &x->in;
    struct buf chain;
    buf_init(&chain, CHAIN_MAX);
    while (value.p && value.n > 0) {
        struct str element = str_cut(&value, ',');
        while (element.p && element.n > 0) {
            struct str pair = str_cut(&element, ';');
            struct str name = str_trim(str_cut(&pair, '='));
            if (!pair.p)
                continue;
            if (str_ieq(name, STR("for"))) {
                struct str address = node_address(pair);
                buf_printf(&chain, "%s" STR_FMT, chain.len ? ", " : "", STR_ARG(address));
            } else if (str_ieq(name, STR("proto")) && h->forwarded_proto.n == 0) {
                h->forwarded_proto = unquoted(pair);
            } else if (str_ieq(name, STR("host")) && h->forwarded_host.n == 0) {
                h->forwarded_host = unquoted(pair);
            }
        }
    }
    if (!chain.overflow && chain.len > 0)
        h->forwarded_for = (struct str){arena_memdup(&x->arena, chain.data, chain.len), chain.len};
    buf_fini(&chain);
}

static bool
is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr(".-_:[]%", c, 7)))
            return false;
    }
    return s.n > 0 && s.n < 256;
}

void
forwarded_settle(struct exchange *x, struct str peer)
{
    struct request_headers *h = &x->in;
    struct str none = STR("");
    if (!address_nets_contain(&x->gw->trusted_proxies, peer)) {
        h->forwarded_for = h->forwarded_proto = h->forwarded_host = none;
    } else if (h->forwarded_header.n > 0 && h->forwarded_for.n == 0) {
        read_forwarded(x, h->forwarded_header);
    }
    if (h->forwarded_for.n > CHAIN_MAX)
        h->forwarded_for = none;
    h->client = address_of_client(&x->gw->trusted_proxies, peer, h->forwarded_for);
    if (!str_ieq(h->forwarded_proto, STR("http")) && !str_ieq(h->forwarded_proto, STR("https")))
        h->forwarded_proto = *x->gw->cfg->tls_certificate ? STR("https") : STR("http");
    if (!is_host(h->forwarded_host))
        h->forwarded_host = is_host(h->host) ? h->host : none;
}
