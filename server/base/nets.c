#include "base/nets.h"

#include <arpa/inet.h>

bool
address_parse(struct str s, uint8_t out[16], bool *ret_v4)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, out + 12) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        *ret_v4 = true;
        return true;
    }
    *ret_v4 = false;
    return inet_pton(AF_INET6, text, out) == 1;
}

static bool
parse_net(struct str s, struct address_net *ret)
{
    *ret = (struct address_net){.bits = 128};
    if (str_eq(s, STR("unix"))) {
        ret->is_unix = true;
        return true;
    }
    struct str bits = s;
    struct str address = str_cut(&bits, '/');
    bool v4;
    if (!address_parse(address, ret->bytes, &v4))
        return false;
    if (!bits.p)
        return true;
    int64_t n;
    if (!str_to_i64(bits, &n) || n < 0 || n > (v4 ? 32 : 128))
        return false;
    ret->bits = (unsigned)n + (v4 ? 96 : 0);
    return true;
}

bool
address_nets_parse(struct str text, struct address_nets *ret, struct str *ret_bad)
{
    struct address_nets nets = {.count = 0};
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && text.p[n] != ',' && text.p[n] != ' ')
            n++;
        struct str part = {text.p, n};
        text.p += n < text.n ? n + 1 : n;
        text.n -= n < text.n ? n + 1 : n;
        if (part.n == 0)
            continue;
        if (nets.count == ADDRESS_MAX_NETS || !parse_net(part, &nets.nets[nets.count])) {
            *ret_bad = part;
            return false;
        }
        nets.count++;
    }
    *ret = nets;
    return true;
}

static bool
net_contains(const struct address_net *net, const uint8_t a[16])
{
    size_t whole = net->bits / 8;
    if (net->is_unix || memcmp(net->bytes, a, whole) != 0)
        return false;
    unsigned rest = net->bits % 8;
    return rest == 0 || ((net->bytes[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

bool
address_nets_contain(const struct address_nets *nets, struct str address)
{
    uint8_t a[16];
    bool v4;
    bool is_unix = str_eq(address, STR("unix"));
    if (!is_unix && !address_parse(address, a, &v4))
        return false;
    for (size_t i = 0; i < nets->count; i++) {
        const struct address_net *net = &nets->nets[i];
        if (is_unix ? net->is_unix : net_contains(net, a))
            return true;
    }
    return false;
}

struct str
address_of_client(const struct address_nets *trusted, struct str peer, struct str forwarded_for)
{
    struct str address = peer;
    while (forwarded_for.n > 0 && address_nets_contain(trusted, address)) {
        const char *comma = memrchr(forwarded_for.p, ',', forwarded_for.n);
        const char *start = comma ? comma + 1 : forwarded_for.p;
        struct str last = {start, (size_t)(forwarded_for.p + forwarded_for.n - start)};
        last = str_trim(last);
        uint8_t bytes[16];
        bool v4;
        if (!address_parse(last, bytes, &v4))
            break;
        address = last;
        forwarded_for.n = comma ? (size_t)(comma - forwarded_for.p) : 0;
    }
    return address;
}
