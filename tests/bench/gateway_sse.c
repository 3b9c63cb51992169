/*
 * Many EventSource clients at once: gateway_sse PORT PATH CLIENTS SECONDS PID [PID...]
 *
 * Each event's data is {"body": "..."} whose first eight bytes are the time it was sent at
 * (CLOCK_MONOTONIC, nanoseconds, little-endian), on this machine. Prints the delay from there to
 * here over SECONDS, after a second to settle in, what the first process PID has grown by for each
 * client, and the CPU time that this process and each PID have spent on an event.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define IN_BYTES   512
#define STAMP_TEXT 12 /* nine bytes as base64 */
#define WAVE       100
#define DELAYS_MAX (1 << 24)
#define PIDS_MAX   4

static struct client {
    int fd;
    bool answered;
    size_t have;
    char in[IN_BYTES];
} * clients;

static uint32_t *delays_us;
static size_t delay_count, answered, left;
static bool measuring;
static int ep;

static void
die(const char *what)
{
    fprintf(stderr, "gateway_sse: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned
digit(char c)
{
    return (unsigned)(c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                                             : 63);
}

static uint64_t
stamp_of(const char *text)
{
    uint8_t bytes[9];
    for (int i = 0; i < 3; i++) {
        unsigned n = 0;
        for (int j = 0; j < 4; j++)
            n = n << 6 | digit(text[4 * i + j]);
        for (int j = 0; j < 3; j++)
            bytes[3 * i + j] = (uint8_t)(n >> (16 - 8 * j));
    }
    uint64_t stamp = 0;
    for (int i = 7; i >= 0; i--)
        stamp = stamp << 8 | bytes[i];
    return stamp;
}

static void
take_events(struct client *c)
{
    static const char key[] = "\"body\":\"";
    char *at = c->in, *end = c->in + c->have, *hit;
    if (!c->answered && c->have > 12) {
        if (memcmp(c->in + 9, "200", 3) != 0)
            die("a client was refused");
        c->answered = true;
        answered++;
    }
    while ((hit = memmem(at, (size_t)(end - at), key, sizeof(key) - 1)) != NULL &&
           end - hit >= (ptrdiff_t)(sizeof(key) - 1 + STAMP_TEXT)) {
        uint64_t sent = stamp_of(hit + sizeof(key) - 1), now = now_ns();
        if (measuring && delay_count < DELAYS_MAX)
            delays_us[delay_count++] = now > sent ? (uint32_t)((now - sent) / 1000) : 0;
        at = hit + sizeof(key) - 1 + STAMP_TEXT;
    }
    size_t rest = (size_t)(end - at);
    size_t keep = hit ? (size_t)(end - hit) : rest < sizeof(key) ? rest : sizeof(key);
    memmove(c->in, end - keep, keep);
    c->have = keep;
}

static void
serve(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
        left++;
        return;
    }
    c->have += (size_t)n;
    take_events(c);
}

static void
run_until(uint64_t end, size_t wanted)
{
    struct epoll_event events[256];
    while (now_ns() < end && answered < wanted) {
        int n = epoll_wait(ep, events, 256, 10);
        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr);
    }
}

static void
open_client(struct client *c, int port, const char *path)
{
    char request[512];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", path);
    if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n ||
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e))
        die("send");
}

static double
rss_bytes(const char *pid)
{
    char path[64];
    double pages = 0;
    snprintf(path, sizeof(path), "/proc/%s/statm", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*s %lf", &pages) != 1)
        die(path);
    fclose(f);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

static double
cpu_seconds(const char *pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                     &system) != 2)
        die(path);
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Of the processes that were named; [0] is this one. */
static void
read_cpu(char *const *pids, size_t n, double *to)
{
    to[0] = cpu_seconds("self");
    for (size_t i = 0; i < n; i++)
        to[1 + i] = cpu_seconds(pids[i]);
}

static int
by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    if (argc < 6 || argc > 5 + PIDS_MAX)
        return fprintf(stderr, "gateway_sse PORT PATH CLIENTS SECONDS PID [PID...]\n"), 2;
    double cpu_before[1 + PIDS_MAX], cpu[1 + PIDS_MAX];
    size_t pids = (size_t)argc - 5;
    uint64_t port, count, seconds;
    if (!str_to_u64(str_of(argv[1]), &port) || !str_to_u64(str_of(argv[3]), &count) ||
        !str_to_u64(str_of(argv[4]), &seconds) || port > 65535 || count == 0)
        return fprintf(stderr, "gateway_sse: not a number\n"), 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clients = calloc(count, sizeof(*clients));
    delays_us = calloc(DELAYS_MAX, sizeof(*delays_us));
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !delays_us || ep < 0)
        die("start");
    double before = rss_bytes(argv[5]);
    for (size_t i = 0; i < count; i++) {
        open_client(&clients[i], (int)port, argv[2]);
        if (i % WAVE == WAVE - 1)
            run_until(now_ns() + 30000000000u, i + 1 - WAVE / 2);
    }
    run_until(now_ns() + 60000000000u, count);
    if (answered < count)
        return fprintf(stderr, "gateway_sse: %zu of %zu are answered\n", answered, count), 1;
    run_until(now_ns() + 1000000000u, count + 1);
    measuring = true;
    read_cpu(argv + 5, pids, cpu_before);
    uint64_t begin = now_ns();
    run_until(begin + seconds * 1000000000u, count + 1);
    double took = (double)(now_ns() - begin) / 1e9, grown = rss_bytes(argv[5]) - before;
    read_cpu(argv + 5, pids, cpu);
    qsort(delays_us, delay_count, sizeof(*delays_us), by_size);
    if (left > 0 || delay_count == 0)
        return fprintf(stderr, "gateway_sse: %zu clients were left, %zu events\n", left,
                       delay_count),
               1;
    printf("memory %.2f KiB\n", grown / (double)count / 1024);
    printf("rate %.0f events/s\n", (double)delay_count / took);
    printf("p50 %.2f ms\n", delays_us[delay_count / 2] / 1e3);
    printf("p99 %.2f ms\n", delays_us[delay_count * 99 / 100] / 1e3);
    printf("max %.2f ms\n", delays_us[delay_count - 1] / 1e3);
    for (size_t i = 0; i <= pids; i++)
        printf("cpu_%zu %.2f us\n", i, (cpu[i] - cpu_before[i]) * 1e6 / (double)delay_count);
    return 0;
}
