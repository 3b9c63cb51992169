/*
 * Unary load on CountsService by one thread, so that the machine is left to what is measured:
 *
 *   counts_load PORT KEY create FIRST_DPU DPUS SECONDS       CreateReading of DPUs in turn
 *   counts_load PORT KEY current FIRST_SPACE SPACES SECONDS  GetCurrentCount of spaces at random
 *
 * 256 calls are in flight over 8 connections; each answer makes the next call. Prints calls/s; ends
 * with 1 when one was not answered with OK.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 8
#define STREAMS     32

struct stream {
    uint8_t body[64];
    size_t size;
    size_t sent;
    bool ok;
};

static struct {
    const char *key;
    const char *path;
    bool current;
    int64_t first;
    int64_t many;
    int64_t made;
    int64_t done;
    int64_t origin; /* us */
    double end;
    struct {
        int fd;
        nghttp2_session *session;
    } connections[CONNECTIONS];
} b;

static void
die(const char *what)
{
    fprintf(stderr, "counts_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Somewhat more than a day ago, to the microsecond: two runs have no instant in common, and no
 * reading repeats another. */
static int64_t
origin(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)(t.tv_sec - 100000) * 1000000 + t.tv_nsec / 1000;
}

/* ---- messages -------------------------------------------------------------------------------- */

static uint8_t *
put_field(uint8_t *p, int number, uint64_t v)
{
    *p++ = (uint8_t)(number << 3);
    for (; v > 127; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

/* A gRPC frame of the next request. */
static void
make_body(struct stream *s)
{
    const int64_t n = b.made++;
    uint8_t *p = s->body + 5;
    if (b.current) {
        p = put_field(p, 1, (uint64_t)(b.first + (int64_t)((uint64_t)random() % (uint64_t)b.many)));
    } else {
        const int64_t at = b.origin + n * 1000;
        uint8_t ts[24];
        uint8_t *t = put_field(ts, 1, (uint64_t)(at / 1000000));
        t = put_field(t, 2, (uint64_t)(at % 1000000 * 1000));
        p = put_field(p, 1, (uint64_t)(b.first + n % b.many));
        *p++ = 2 << 3 | 2;
        *p++ = (uint8_t)(t - ts);
        memcpy(p, ts, (size_t)(t - ts));
        p += t - ts;
        p = put_field(p, 3, n / b.many % 2 == 0 ? 1 : UINT64_MAX);
    }
    s->size = (size_t)(p - s->body);
    memset(s->body, 0, 4);
    s->body[4] = (uint8_t)(s->size - 5);
    s->sent = 0;
    s->ok = false;
}

/* ---- HTTP/2 ---------------------------------------------------------------------------------- */

static ssize_t
on_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
             nghttp2_data_source *source, void *arg)
{
    struct stream *s = source->ptr;
    const size_t n = s->size - s->sent < room ? s->size - s->sent : room;
    memcpy(buf, s->body + s->sent, n);
    s->sent += n;
    if (s->sent == s->size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    (void)session, (void)id, (void)arg;
    return (ssize_t)n;
}

#define HEADER(n, v)                                            \
    {                                                           \
        (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), 0 \
    }

static void
call(nghttp2_session *session, struct stream *s)
{
    const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", b.path),
        HEADER(":authority", "localhost"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
        HEADER("x-api-key", b.key),
    };
    make_body(s);
    if (nghttp2_submit_request(session, NULL, headers, sizeof(headers) / sizeof(headers[0]),
                               &(nghttp2_data_provider){{.ptr = s}, on_read_body}, s) < 0)
        die("submit");
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
          const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && n_name == 11 && memcmp(name, "grpc-status", 11) == 0)
        s->ok = n_value == 1 && value[0] == '0';
    (void)flags, (void)arg;
    return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s || !s->ok)
        die("a call was not answered with OK");
    b.done++;
    if (now() < b.end)
        call(session, s);
    else
        free(s);
    (void)error, (void)arg;
    return 0;
}

static void
flush(int fd, nghttp2_session *session)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(session, &data)) > 0)
        for (ssize_t done = 0; done < n;) {
            const ssize_t some = write(fd, data + done, (size_t)(n - done));
            if (some < 0)
                die("write");
            done += some;
        }
}

static void
open_connection(size_t i, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    nghttp2_session_callbacks *callbacks;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    b.connections[i].fd = fd;
    if (nghttp2_session_client_new(&b.connections[i].session, callbacks, NULL) != 0)
        die("session");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_session *session = b.connections[i].session;
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    for (int k = 0; k < STREAMS; k++) {
        struct stream *s = calloc(1, sizeof(*s));
        if (!s)
            die("memory");
        call(session, s);
    }
}

static void
run(void)
{
    struct pollfd fds[CONNECTIONS];
    uint8_t buf[65536];
    for (size_t i = 0; i < CONNECTIONS; i++)
        fds[i] = (struct pollfd){b.connections[i].fd, POLLIN, 0};
    while (b.done < b.made) {
        for (size_t i = 0; i < CONNECTIONS; i++)
            flush(fds[i].fd, b.connections[i].session);
        if (poll(fds, CONNECTIONS, 10000) <= 0)
            die("no answer");
        for (size_t i = 0; i < CONNECTIONS; i++) {
            if (!fds[i].revents)
                continue;
            const ssize_t n = read(fds[i].fd, buf, sizeof(buf));
            if (n <= 0 || nghttp2_session_mem_recv(b.connections[i].session, buf, (size_t)n) != n)
                die("read");
        }
    }
}

int
main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    b.key = argv[2];
    b.current = strcmp(argv[3], "current") == 0;
    b.path = b.current ? "/luna.v1.CountsService/GetCurrentCount"
                       : "/luna.v1.CountsService/CreateReading";
    b.first = strtoll(argv[4], NULL, 10);
    b.many = strtoll(argv[5], NULL, 10);
    b.origin = origin();
    const double start = now();
    b.end = start + strtod(argv[6], NULL);
    for (size_t i = 0; i < CONNECTIONS; i++)
        open_connection(i, (int)strtol(argv[1], NULL, 10));
    run();
    printf("%.1f\n", (double)b.done / (now() - start));
    return 0;
}
