/*
 * Latency at a fixed rate: paced_load rest|grpc PORT PATH BODY_FILE RATE SECONDS [HEADER ...]
 *
 * Requests are due at random moments (Poisson, a fixed seed), whatever became of the ones before,
 * and each one's time counts from when it was due: a server that stalls cannot make its load wait
 * for it. One connection carries one request at a time; there are CONNECTIONS of them, and a
 * request for which none is free waits. HTTP/2 is just what one call a connection needs: no HPACK
 * tables, no windows.
 *
 * What is due in the first WARM_UP seconds is not counted: connections are made then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define WARM_UP     0.3 /* seconds: the connections are made, and all is loaded */
#define INPUT_MAX   (1 << 20)
#define OUT_MAX     (1 << 20)

static struct client {
    int fd;
    bool busy;
    bool answered;   /* grpc: with a message; a call that fails has none */
    double due;      /* of the request under way, in seconds */
    uint32_t stream; /* grpc: its number */
    size_t have;
    uint8_t *in;
} clients[CONNECTIONS];

static uint8_t request[OUT_MAX]; /* rest: all of it; grpc: HEADERS and DATA frames */
static size_t request_size, data_frame;
static bool is_grpc;
static struct sample {
    double due, end;
} * samples;
static size_t done, failed;

static void
die(const char *what)
{
    fprintf(stderr, "paced_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
put(const void *p, size_t n)
{
    if (n > sizeof(request) - request_size)
        die("the request is too large");
    memcpy(request + request_size, p, n);
    request_size += n;
}

/* ---- what is sent ---- */

/* A length with a seven bit prefix, as HPACK has it. */
static void
put_length(size_t n)
{
    uint8_t b;
    if (n < 127) {
        b = (uint8_t)n;
        put(&b, 1);
        return;
    }
    put("\x7f", 1);
    for (n -= 127; n >= 128; n >>= 7) {
        b = (uint8_t)(n | 0x80);
        put(&b, 1);
    }
    b = (uint8_t)n;
    put(&b, 1);
}

/* A literal that goes into no table. */
static void
put_field(const char *name, const char *value)
{
    put("", 1);
    put_length(strlen(name));
    put(name, strlen(name));
    put_length(strlen(value));
    put(value, strlen(value));
}

static void
close_frame(size_t start, uint8_t type, uint8_t flags)
{
    size_t n = request_size - start - 9;
    request[start] = (uint8_t)(n >> 16);
    request[start + 1] = (uint8_t)(n >> 8);
    request[start + 2] = (uint8_t)n;
    request[start + 3] = type;
    request[start + 4] = flags;
}

static void
split_header(char *header, char **value)
{
    *value = strchr(header, ':');
    if (!*value)
        die(header);
    *(*value)++ = 0;
    while (**value == ' ')
        (*value)++;
}

static void
make_grpc(const char *path, const char *body, size_t n, char **headers, int count)
{
    char *value;
    uint8_t prefix[5] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    put("\0\0\0\0\0\0\0\0\0", 9);
    put_field(":method", "POST");
    put_field(":scheme", "http");
    put_field(":path", path);
    put_field(":authority", "localhost");
    put_field("content-type", "application/grpc");
    put_field("te", "trailers");
    for (int i = 0; i < count; i++) {
        split_header(headers[i], &value);
        put_field(headers[i], value);
    }
    close_frame(0, 1, 4);
    data_frame = request_size;
    put("\0\0\0\0\0\0\0\0\0", 9);
    put(prefix, sizeof(prefix));
    put(body, n);
    close_frame(data_frame, 0, 1);
}

static void
make_rest(const char *path, const char *body, size_t n, char **headers, int count)
{
    char line[256];
    int len = snprintf(line, sizeof(line),
                       "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n", path, n);
    put(line, (size_t)len);
    for (int i = 0; i < count; i++) {
        put(headers[i], strlen(headers[i]));
        put("\r\n", 2);
    }
    put("\r\n", 2);
    put(body, n);
}

static void
write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t done_now = write(fd, at, n);
        if (done_now <= 0)
            die("write");
        at += done_now;
        n -= (size_t)done_now;
    }
}

static void
connect_to(struct client *c, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->in = malloc(INPUT_MAX);
    c->stream = 1;
    if (c->fd < 0 || !c->in || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* The largest windows there are: nothing more to say about them. */
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                "\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff"
                                "\0\0\4\x08\0\0\0\0\0\x7f\xff\0\0";
    if (is_grpc)
        write_all(c->fd, hello, sizeof(hello) - 1);
}

static void
set_stream(size_t frame, uint32_t stream)
{
    uint32_t n = htonl(stream);
    memcpy(request + frame + 5, &n, 4);
}

static void
start(struct client *c, double due)
{
    c->busy = true;
    c->answered = false;
    c->due = due;
    if (is_grpc) {
        set_stream(0, c->stream);
        set_stream(data_frame, c->stream);
    }
    write_all(c->fd, request, request_size);
}

/* ---- what comes ---- */

static void
finish(struct client *c, bool good)
{
    samples[done++] = (struct sample){c->due, now()};
    failed += !good;
    c->busy = false;
    c->stream += 2;
}

/* The bytes of one answer or frame; 0: not whole yet. */
static size_t
take_rest(struct client *c)
{
    c->in[c->have] = 0;
    char *text = (char *)c->in, *end = strstr(text, "\r\n\r\n");
    char *length = end ? strcasestr(text, "\r\ncontent-length:") : NULL;
    if (!end || !length || length > end)
        return 0;
    size_t total = (size_t)(end - text) + 4 + strtoul(length + 17, NULL, 10);
    if (c->have < total)
        return 0;
    finish(c, strncmp(text, "HTTP/1.1 200 ", 13) == 0);
    return total;
}

static size_t
take_frame(struct client *c)
{
    const uint8_t *p = c->in;
    if (c->have < 9)
        return 0;
    size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    uint8_t type = p[3], flags = p[4];
    if (c->have < 9 + n)
        return 0;
    if (type == 4 && !(flags & 1))
        write_all(c->fd, "\0\0\0\4\1\0\0\0\0", 9);
    if (type == 6 && !(flags & 1)) {
        write_all(c->fd, "\0\0\x08\6\1\0\0\0\0", 9);
        write_all(c->fd, p + 9, 8);
    }
    if (type == 0)
        c->answered = true;
    if (type == 3 || type == 7)
        finish(c, false);
    else if (c->busy && type <= 1 && (flags & 1))
        finish(c, c->answered);
    return 9 + n;
}

static void
receive(struct client *c)
{
    ssize_t got = recv(c->fd, c->in + c->have, INPUT_MAX - 1 - c->have, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("the connection was closed");
    c->have += got > 0 ? (size_t)got : 0;
    for (size_t n; c->have > 0 && (n = is_grpc ? take_frame(c) : take_rest(c)) > 0;) {
        memmove(c->in, c->in + n, c->have - n);
        c->have -= n;
    }
}

/* ---- the run ---- */

static void
turn(double until)
{
    struct pollfd fds[CONNECTIONS];
    double left = until - now();
    struct timespec wait = {.tv_nsec = left > 0 ? (long)(fmin(left, 0.5) * 1e9) : 0};
    for (int i = 0; i < CONNECTIONS; i++)
        fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    if (ppoll(fds, CONNECTIONS, &wait, NULL) < 0)
        die("ppoll");
    for (int i = 0; i < CONNECTIONS; i++)
        if (fds[i].revents)
            receive(&clients[i]);
}

static struct client *
free_client(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (!clients[i].busy)
            return &clients[i];
    return NULL;
}

static void
run(size_t total, double rate)
{
    double due = now();
    struct client *c;
    srand48(7);
    for (size_t i = 0; i < total; i++) {
        due += -log(1 - drand48()) / rate;
        do
            turn(due);
        while (now() < due || !(c = free_client()));
        start(c, due);
    }
    for (double end = now() + 10; done < total && now() < end;)
        turn(end);
    if (done < total)
        die("answers are missing");
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    static char body[1 << 16];
    if (argc < 7) {
        fprintf(stderr,
                "usage: paced_load rest|grpc PORT PATH BODY_FILE RATE SECONDS [HEADER ...]\n");
        return 2;
    }
    FILE *f = fopen(argv[4], "rb");
    if (!f)
        die(argv[4]);
    size_t n = fread(body, 1, sizeof(body), f);
    fclose(f);
    is_grpc = strcmp(argv[1], "grpc") == 0;
    (is_grpc ? make_grpc : make_rest)(argv[3], body, n, argv + 7, argc - 7);
    double rate = strtod(argv[5], NULL);
    size_t total = (size_t)(rate * (strtod(argv[6], NULL) + WARM_UP));
    double *latencies = malloc(total * sizeof(*latencies));
    samples = malloc(total * sizeof(*samples));
    if (total < 100 || !latencies || !samples)
        die("too few requests");
    for (int i = 0; i < CONNECTIONS; i++)
        connect_to(&clients[i], (uint16_t)strtoul(argv[2], NULL, 10));
    double began = now();
    run(total, rate);
    double took = now() - began;
    size_t kept = 0;
    for (size_t i = 0; i < total; i++)
        if (samples[i].due > began + WARM_UP)
            latencies[kept++] = samples[i].end - samples[i].due;
    if (kept == 0)
        die("nothing was due after the warm-up");
    qsort(latencies, kept, sizeof(*latencies), compare);
    printf("requests %zu count\nfailed %zu count\nrate %.1f /s\n", total, failed,
           (double)total / took);
    printf("p50 %.4f ms\np99 %.4f ms\nmax %.4f ms\n", latencies[kept / 2] * 1e3,
           latencies[kept * 99 / 100] * 1e3, latencies[kept - 1] * 1e3);
    return failed ? 1 : 0;
}
