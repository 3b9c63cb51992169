/* Any bytes to the gateway's HTTP port: the whole of it runs in this process, in front of a server
 * that is not there. What comes back begins like an answer, and a health check behind it is
 * answered. (Not every connection is closed that the client has closed half: libmicrohttpd may see
 * that only at its timeout.) */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/gateway.h"

#define INPUT_MAX  (64 << 10)
#define ANSWER_MAX (1 << 20)
#define QUIET_MS   20 /* without an answer, behind which none is waited for */
#define PATIENCE_S 20 /* with the health check */

static struct sockaddr_in address = {.sin_family = AF_INET};

static void *
run(void *arg)
{
    char listen[64];
    snprintf(listen, sizeof(listen), "--listen-address=127.0.0.1:%d", ntohs(address.sin_port));
    char *argv[] = {(char[]){"luna-gateway"},
                    listen,
                    (char[]){"--upstream=unix:/nonexistent/luna.sock"},
                    (char[]){"--log-level=CRITICAL"},
                    (char[]){"--threads=1"},
                    NULL};
    (void)arg;
    gateway_main(5, argv);
    return NULL;
}

static int
open_connection(struct timeval patience)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        abort();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void
start(void)
{
    socklen_t n = sizeof(address);
    pthread_t thread;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &n) != 0)
        abort();
    close(fd);
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        abort();
    for (int i = 0; i < 2000; i++) {
        fd = open_connection((struct timeval){.tv_sec = PATIENCE_S});
        if (fd >= 0) {
            close(fd);
            return;
        }
        usleep(10000);
    }
    abort();
}

/* Everything up to the end, or until it is quiet. */
static size_t
receive_all(int fd, char *to, size_t room)
{
    size_t have = 0;
    for (;;) {
        char scrap[4096];
        bool keep = have < room;
        ssize_t n = recv(fd, keep ? to + have : scrap, keep ? room - have : sizeof(scrap), 0);
        if (n <= 0 && errno != EINTR)
            return have;
        have += keep && n > 0 ? (size_t)n : 0;
    }
}

static size_t
exchange_bytes(const void *data, size_t size, struct timeval patience, char *to, size_t room)
{
    int fd = open_connection(patience);
    if (fd < 0)
        abort();
    const char *from = data;
    while (size > 0) {
        ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* closed: it has heard enough */
        from += n;
        size -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    errno = 0;
    size_t n = receive_all(fd, to, room);
    close(fd);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char health[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static char answer[ANSWER_MAX];
    if (address.sin_port == 0)
        start();
    if (size > INPUT_MAX)
        return 0;
    const struct timeval quiet = {.tv_usec = QUIET_MS * 1000};
    size_t n = exchange_bytes(data, size, quiet, answer, sizeof(answer));
    if (n >= 12 && (memcmp(answer, "HTTP/1.", 7) != 0 || answer[9] < '1' || answer[9] > '5'))
        abort();
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    n = exchange_bytes(health, sizeof(health) - 1, patience, answer, sizeof(answer));
    if (n < 12 || memcmp(answer + 9, "200", 3) != 0)
        abort();
    return 0;
}
