#include "db/resolve.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/defs.h"
#include "base/str.h"

#define ENDPOINTS_MAX  16 /* of all hosts; what is beyond is not tried */
#define ENDPOINT_BYTES 8192

struct resolve {
    uv_getaddrinfo_t uv;
    uv_loop_t *loop;
    resolve_done *done; /* NULL: cancelled */
    void *arg;
    char *hosts; /* of the URL, comma-separated; owned, as `ports` */
    char *ports;
    struct str hosts_left;
    struct str ports_left;
    struct str port; /* of the host that is looked up */
    char name[256];  /* that host */
    struct buf host; /* what has been found */
    struct buf hostaddr;
    struct buf port_list;
    size_t count;
    const char *why;
};

static bool
is_name(struct str host)
{
    char text[256];
    unsigned char addr[sizeof(struct in6_addr)];
    if (host.n == 0 || host.n >= sizeof(text) || host.p[0] == '/' || host.p[0] == '@')
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, addr) != 1 && inet_pton(AF_INET6, text, addr) != 1;
}

static bool
has_name(const char *hosts)
{
    struct str rest = str_of(hosts);
    while (rest.n > 0)
        if (is_name(str_cut(&rest, ',')))
            return true;
    return false;
}

static void
resolve_free(struct resolve *r)
{
    buf_fini(&r->host);
    buf_fini(&r->hostaddr);
    buf_fini(&r->port_list);
    free(r->hosts);
    free(r->ports);
    free(r);
}

static void
add_endpoint(struct resolve *r, struct str host, const char *address)
{
    if (r->count == ENDPOINTS_MAX)
        return;
    if (r->count++ > 0) {
        buf_putc(&r->host, ',');
        buf_putc(&r->hostaddr, ',');
        buf_putc(&r->port_list, ',');
    }
    if (host.n > 0)
        buf_put(&r->host, host.p, host.n);
    buf_puts(&r->hostaddr, address);
    if (r->port.n > 0)
        buf_put(&r->port_list, r->port.p, r->port.n);
}

static void
finish(struct resolve *r)
{
    buf_putc(&r->host, '\0');
    buf_putc(&r->hostaddr, '\0');
    buf_putc(&r->port_list, '\0');
    const struct endpoints found = {
        .host = r->host.data,
        .hostaddr = r->hostaddr.data,
        .port = r->port_list.data,
    };
    r->done(r->arg, r->count > 0 ? &found : NULL, r->why);
    resolve_free(r);
}

static void next_host(struct resolve *r);

static void
on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *list)
{
    struct resolve *r = container_of(uv, struct resolve, uv);
    char text[INET6_ADDRSTRLEN];
    if (!r->done) {
        uv_freeaddrinfo(list);
        resolve_free(r);
        return;
    }
    if (status < 0)
        r->why = uv_strerror(status);
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
        if (uv_ip_name(ai->ai_addr, text, sizeof(text)) == 0)
            add_endpoint(r, str_of(r->name), text);
    uv_freeaddrinfo(list);
    next_host(r);
}

/* False: it could not even be asked. */
static bool
look_up(struct resolve *r, struct str host)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    memcpy(r->name, host.p, host.n);
    r->name[host.n] = '\0';
    int err = uv_getaddrinfo(r->loop, &r->uv, on_resolved, r->name, NULL, &hints);
    if (err < 0)
        r->why = uv_strerror(err);
    return err == 0;
}

/* One port is for all hosts; else each has its own. */
static void
next_host(struct resolve *r)
{
    while (r->hosts_left.n > 0) {
        struct str host = str_cut(&r->hosts_left, ',');
        if (r->ports_left.n > 0)
            r->port = str_cut(&r->ports_left, ',');
        if (!is_name(host))
            add_endpoint(r, host, "");
        else if (look_up(r, host))
            return;
    }
    finish(r);
}

static const char *
option(const PQconninfoOption *all, const char *keyword)
{
    for (; all->keyword; all++)
        if (strcmp(all->keyword, keyword) == 0)
            return all->val ? all->val : "";
    return "";
}

bool
resolve_start(uv_loop_t *loop, const char *url, resolve_done *done, void *arg, struct resolve **ret)
{
    PQconninfoOption *all = PQconninfoParse(url ? url : "", NULL);
    if (!all)
        return false;
    const char *hosts = option(all, "host");
    if (*option(all, "hostaddr") || !has_name(hosts)) {
        PQconninfoFree(all);
        return false;
    }
    struct resolve *r = calloc(1, sizeof(*r));
    ASSERT(r);
    *r = (struct resolve){.loop = loop, .done = done, .arg = arg, .why = "no address"};
    r->hosts = strdup(hosts);
    r->ports = strdup(option(all, "port"));
    PQconninfoFree(all);
    ASSERT(r->hosts && r->ports);
    r->hosts_left = str_of(r->hosts);
    r->ports_left = str_of(r->ports);
    buf_init(&r->host, ENDPOINT_BYTES);
    buf_init(&r->hostaddr, ENDPOINT_BYTES);
    buf_init(&r->port_list, ENDPOINT_BYTES);
    *ret = r;
    next_host(r);
    return true;
}

void
resolve_cancel(struct resolve *r)
{
    if (!r)
        return;
    r->done = NULL;
    (void)uv_cancel((uv_req_t *)&r->uv);
}
