/* The target's addresses. Names are asked for by a thread of their own: getaddrinfo waits. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "gateway/upstream_private.h"

#define ASK_AGAIN  SEC(5) /* at the most */
#define ITEMS_MAX  UPSTREAM_ADDRESSES_MAX
#define ASK_FAILED SEC(2) /* a name that is not known is asked for again */

struct item {
    char host[UPSTREAM_HOST_MAX]; /* or the path of a socket */
    char port[16];                /* "": a path */
};

struct upstream_names {
    struct upstream *upstream;
    struct item items[ITEMS_MAX];
    size_t count;
    pthread_t thread;
    bool threaded; /* there are names among them */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, asked; /* with the lock */
};

/* ---- the target ---- */

static bool
copy(char *to, size_t size, struct str s)
{
    if (s.n == 0 || s.n >= size)
        return false;
    memcpy(to, s.p, s.n);
    to[s.n] = 0;
    return true;
}

/* host:port or [ipv6]:port */
static bool
read_item(struct str s, struct item *item)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    uint64_t port;
    struct str number = {s.p + colon, s.n - colon};
    if (colon == 0 || !str_to_u64(number, &port) || port == 0 || port > 65535)
        return false;
    struct str host = {s.p, colon - 1};
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct str){host.p + 1, host.n - 2};
    else if (memchr(host.p, ':', host.n))
        return false;
    return copy(item->host, sizeof(item->host), host) &&
           copy(item->port, sizeof(item->port), number);
}

static struct str
without(struct str s, struct str prefix)
{
    return str_starts(s, prefix) ? (struct str){s.p + prefix.n, s.n - prefix.n} : s;
}

static bool
read_target(struct upstream_names *n, struct str target)
{
    n->upstream->several = memchr(target.p, ',', target.n) || str_starts(target, STR("dns:"));
    if (str_starts(target, STR("unix:"))) {
        struct str path = without(without(target, STR("unix:")), STR("//"));
        n->count = 1;
        return path.n < sizeof(((struct sockaddr_un *)0)->sun_path) &&
               copy(n->items[0].host, sizeof(n->items[0].host), path);
    }
    target = without(without(target, STR("dns:")), STR("///"));
    target = without(without(target, STR("ipv4:")), STR("ipv6:"));
    while (target.p && target.n > 0) {
        if (n->count == ITEMS_MAX ||
            !read_item(str_trim(str_cut(&target, ',')), &n->items[n->count]))
            return false;
        n->count++;
    }
    return n->count > 0;
}

/* ---- addresses ---- */

static void
add_path(const struct item *item, struct upstream_addresses *to)
{
    struct upstream_address *a = &to->list[to->count++];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, item->host, strlen(item->host));
    memcpy(&a->address, &un, sizeof(un));
    a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(item->host) + 1);
    snprintf(a->host, sizeof(a->host), "localhost");
    snprintf(a->authority, sizeof(a->authority), "localhost");
}

/* False: the name is not known. */
static bool
add_item(const struct item *item, int flags, struct upstream_addresses *to)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *all;
    if (!item->port[0]) {
        add_path(item, to);
        return true;
    }
    if (getaddrinfo(item->host, item->port, &hints, &all) != 0)
        return false;
    for (struct addrinfo *i = all; i && to->count < UPSTREAM_ADDRESSES_MAX; i = i->ai_next) {
        struct upstream_address *a = &to->list[to->count++];
        bool v6 = strchr(item->host, ':') != NULL;
        memcpy(&a->address, i->ai_addr, i->ai_addrlen);
        a->size = i->ai_addrlen;
        memcpy(a->host, item->host, sizeof(a->host));
        snprintf(a->authority, sizeof(a->authority), v6 ? "[%.255s]:%.5s" : "%.255s:%.5s",
                 item->host, item->port);
    }
    freeaddrinfo(all);
    return true;
}

static bool
find(const struct upstream_names *n, int flags, struct upstream_addresses *to)
{
    bool all = true;
    to->count = 0;
    for (size_t i = 0; i < n->count && to->count < UPSTREAM_ADDRESSES_MAX; i++)
        all &= add_item(&n->items[i], flags, to);
    return all;
}

/* Each lane gets a copy. */
static void
publish(struct upstream_names *n, const struct upstream_addresses *found)
{
    for (int i = 0; i < n->upstream->lane_count; i++) {
        struct upstream_lane *lane = &n->upstream->lanes[i];
        struct upstream_addresses *own = malloc(sizeof(*own));
        ASSERT(own);
        *own = *found;
        pthread_mutex_lock(&lane->lock);
        free(lane->addresses);
        lane->addresses = own;
        bool first = !lane->job_posted;
        lane->job_posted = true;
        pthread_mutex_unlock(&lane->lock);
        if (first)
            loop_post(lane->loop, &lane->job);
    }
}

/* ---- the thread ---- */

static void
wait_until(struct upstream_names *n, nsec_t at)
{
    struct timespec t = {.tv_sec = at / SEC(1), .tv_nsec = at % SEC(1)};
    pthread_cond_timedwait(&n->changed, &n->lock, &t);
}

static void *
run(void *arg)
{
    struct upstream_names *n = arg;
    struct upstream_addresses *found = calloc(1, sizeof(*found));
    ASSERT(found);
    pthread_mutex_lock(&n->lock);
    while (!n->stop) {
        n->asked = false;
        pthread_mutex_unlock(&n->lock);
        bool all = find(n, 0, found);
        publish(n, found);
        nsec_t soonest = clock_now() + (all ? ASK_AGAIN : ASK_FAILED);
        pthread_mutex_lock(&n->lock);
        while (!n->stop && all && !n->asked)
            pthread_cond_wait(&n->changed, &n->lock);
        while (!n->stop && clock_now() < soonest)
            wait_until(n, soonest);
    }
    pthread_mutex_unlock(&n->lock);
    free(found);
    return NULL;
}

void
names_again(struct upstream_names *n)
{
    if (!n || !n->threaded)
        return;
    pthread_mutex_lock(&n->lock);
    n->asked = true;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

/* ---- life ---- */

static void
start_thread(struct upstream_names *n)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&n->lock, NULL);
    n->threaded = true;
    int failed = pthread_create(&n->thread, NULL, run, n);
    ASSERT(failed == 0);
}

struct upstream_names *
names_new(struct upstream *u, const char *target, char *err, size_t err_size)
{
    struct upstream_names *n = calloc(1, sizeof(*n));
    struct upstream_addresses *found = calloc(1, sizeof(*found));
    ASSERT(n && found);
    n->upstream = u;
    if (!read_target(n, str_of(target))) {
        snprintf(err, err_size, "upstream: %s is not an address, or addresses with commas", target);
        free(n);
        n = NULL;
    } else if (find(n, AI_NUMERICHOST, found)) {
        publish(n, found);
    } else {
        start_thread(n);
    }
    free(found);
    return n;
}

void
names_free(struct upstream_names *n)
{
    if (n->threaded) {
        pthread_mutex_lock(&n->lock);
        n->stop = true;
        pthread_cond_signal(&n->changed);
        pthread_mutex_unlock(&n->lock);
        pthread_join(n->thread, NULL);
        pthread_cond_destroy(&n->changed);
        pthread_mutex_destroy(&n->lock);
    }
    n->upstream->names = NULL;
    free(n);
}
