#include "rpc/connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/defs.h"
#include "base/log.h"

/* What a connection must have sent in all to be suspected: more than any handshake. */
#define SUSPECT_BYTES (256 * 1024)

static ino_t
inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

uint64_t
connection_name(const char *peer)
{
    uint64_t h = 0xcbf29ce484222325U; /* FNV-1a */
    for (; *peer; peer++)
        h = (h ^ (unsigned char)*peer) * 0x100000001b3U;
    return h ? h : 1;
}

/* As core writes it, which takes an IPv4 address mapped into IPv6 for what it is. */
static uint64_t
name_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[INET6_ADDRSTRLEN];
    char peer[INET6_ADDRSTRLEN + 32];
    if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    const struct sockaddr_in *v4 = (const void *)&ss;
    const struct sockaddr_in6 *v6 = (const void *)&ss;
    if (ss.ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
    else if (ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
    else if (ss.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
    else
        return 0;
    /* The port stands in the same place of both. */
    snprintf(peer, sizeof(peer), strchr(host, ':') ? "ipv6:%%5B%s%%5D:%u" : "ipv4:%s:%u", host,
             ntohs(v4->sin_port));
    return connection_name(peer);
}

void
connections_fini(struct connections *c)
{
    free(c->items);
    *c = (struct connections){0};
}

void
connections_add(struct connections *c, int fd)
{
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->items = reallocarray(c->items, c->cap, sizeof(*c->items));
        ASSERT(c->items != NULL);
    }
    c->items[c->count++] =
        (struct connection){.name = name_of(fd), .fd = fd, .inode = inode_of(fd)};
}

int
connections_find(const struct connections *c, uint64_t name)
{
    for (size_t i = c->count; i-- > 0;) {
        if (c->items[i].name == name)
            return c->items[i].fd;
    }
    return -1;
}

void
connections_sweep(struct connections *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (inode_of(c->items[i].fd) == c->items[i].inode)
            c->items[kept++] = c->items[i];
    }
    c->count = kept;
}

static bool
traffic_of(int fd, uint64_t *ret_received, uint64_t *ret_sent)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(info.tcpi_bytes_sent))
        return false;
    *ret_received = info.tcpi_bytes_received;
    *ret_sent = info.tcpi_bytes_sent;
    return true;
}

/* The one that has sent the most since it was last written to. Notes the traffic of all others. */
static struct connection *
worst(struct connections *c, uint64_t *ret_bytes)
{
    struct connection *found = NULL;
    uint64_t most = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct connection *k = &c->items[i];
        uint64_t received;
        uint64_t sent;
        if (k->shut || !traffic_of(k->fd, &received, &sent))
            continue;
        if (sent != k->sent) {
            k->sent = sent;
            k->received = received;
        } else if (received >= SUSPECT_BYTES && received - k->received > most) {
            most = received - k->received;
            found = k;
        }
    }
    *ret_bytes = most;
    return found;
}

/* The number may be another file's by now: what is shut down is a copy that was looked at. */
static bool
shut_down(struct connection *k)
{
    int fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool same = inode_of(fd) == k->inode;
    k->shut = true;
    if (same)
        (void)shutdown(fd, SHUT_RDWR);
    close(fd);
    return same;
}

bool
connections_watch(struct connections *c, bool stuck)
{
    bool was_stuck = c->stuck;
    uint64_t bytes;
    c->stuck = stuck;
    struct connection *k = stuck ? worst(c, &bytes) : NULL;
    if (!k || !was_stuck || !shut_down(k))
        return false;
    log_warning("a connection was closed: it sent without end and kept a poller from all others",
                log_uint("bytes", bytes));
    return true;
}

nsec_t
thread_cpu(pthread_t thread)
{
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return 0;
    return SEC(t.tv_sec) + t.tv_nsec;
}
