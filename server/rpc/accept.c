#include "rpc/accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "rpc/connections.h"

#define LISTENERS_MAX 16
#define BACKLOG       4096
#define ACCEPT_BATCH  64       /* of one listener before the next has its turn */
#define FDS_RESERVED  256      /* for the stores, logs and core itself */
#define SWEEP_EVERY   10       /* looks of the watcher */
#define SWEEP_SOON    MSEC(50) /* while connections are being refused */
#define ADDRESS_MAX   256

/*
 * The object behind core's "external:" listeners: grpc_core::TcpServerFdHandler, whose one method
 * besides the destructors takes an accepted socket. It is how C++'s ExternalConnectionAcceptor
 * works; the C API has nothing for it (grpc_server_add_channel_from_fd puts connections on queues
 * by chance, has no TLS and knows no peer). The layout is that of gRPC core 29 and checked by its
 * version.
 */
struct fd_handler {
    const struct {
        void (*destroy)(struct fd_handler *);
        void (*destroy_and_delete)(struct fd_handler *);
        void (*handle)(struct fd_handler *, int listener_fd, int fd, grpc_byte_buffer *pending);
    } * vtable;
};

struct listener {
    int fd;
    int port; /* 0: a unix socket */
    char unix_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

struct acceptor {
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct fd_handler *tcp_handler;
    struct fd_handler *unix_handler;
    int wake_fd;
    int spare_fd; /* given up to accept and close one connection when there is no descriptor left */
    pthread_t thread;
    bool running;
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the table */
    struct connections connections;
    size_t connection_max;
    pthread_t watcher;
    bool (*stuck)(void *arg);
    void *stuck_arg;
    nsec_t own_cpu; /* of `thread`, and what it had accepted, when the watcher last looked */
    uint64_t own_accepted;
    bool refusing;
    nsec_t swept_at; /* for room */
    struct acceptor_stats stats;
};

/* ---- addresses ----------------------------------------------------------------------------- */

static bool
fail_text(char *err, size_t err_size, const char *address, const char *what)
{
    snprintf(err, err_size, "cannot listen on %s: %s", address, what);
    return false;
}

static const char *
bind_error(int e)
{
    switch (e) {
    case EADDRINUSE:
        return "it is in use; stop the other program or set LUNA_LISTEN_ADDRESS";
    case EACCES:
        return "permission denied";
    case EADDRNOTAVAIL:
        return "this machine has no such address";
    default:
        return strerror(e);
    }
}

static int
open_socket(const struct sockaddr *sa, socklen_t len, bool reuse_port)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return -1;
    if (sa->sa_family != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (reuse_port)
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        if (sa->sa_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(fd, sa, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* A socket file that nobody answers at is left from a server that was killed. */
static void
remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
        (void)unlink(sa->sun_path);
    close(fd);
}

static bool
listen_unix(struct acceptor *a, const char *address, const char *path, char *err, size_t err_size)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(sa.sun_path))
        return fail_text(err, err_size, address, "the path is empty or longer than 107 bytes");
    memcpy(sa.sun_path, path, n + 1);
    remove_stale(&sa);
    int fd = open_socket((const struct sockaddr *)&sa, sizeof(sa), false);
    if (fd < 0)
        return fail_text(err, err_size, address, bind_error(errno));
    struct listener *l = &a->listeners[a->listener_count++];
    l->fd = fd;
    memcpy(l->unix_path, path, n + 1);
    return true;
}

static int
bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    return ntohs(ss.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)&ss)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)&ss)->sin_port);
}

/* "host:port" and "[ipv6]:port" into two texts. */
static bool
split_host_port(char *address, char **ret_host, char **ret_port)
{
    char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1])
        return false;
    *colon = '\0';
    *ret_port = colon + 1;
    *ret_host = address;
    size_t n = strlen(address);
    if (address[0] == '[' && address[n - 1] == ']') {
        address[n - 1] = '\0';
        *ret_host = address + 1;
    } else if (strchr(address, ':')) {
        return false;
    }
    return **ret_host != '\0';
}

static bool
listen_tcp(struct acceptor *a, const char *address, bool reuse_port, char *err, size_t err_size)
{
    char copy[ADDRESS_MAX];
    char *host;
    char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    snprintf(copy, sizeof(copy), "%s", address);
    if (!split_host_port(copy, &host, &port))
        return fail_text(err, err_size, address,
                         "an address is host:port, [ipv6]:port or unix:/path");
    int e = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (e != 0)
        return fail_text(err, err_size, address, gai_strerror(e));
    bool ok = true;
    for (const struct addrinfo *ai = found; ai && ok; ai = ai->ai_next) {
        if (a->listener_count == LISTENERS_MAX) {
            ok = fail_text(err, err_size, address, "too many addresses");
            break;
        }
        int fd = open_socket(ai->ai_addr, ai->ai_addrlen, reuse_port);
        if (fd < 0) {
            ok = fail_text(err, err_size, address, bind_error(errno));
            break;
        }
        struct listener *l = &a->listeners[a->listener_count++];
        l->fd = fd;
        l->port = bound_port(fd);
        if (strcmp(port, "0") == 0)
            break; /* one port, whatever number of addresses */
    }
    freeaddrinfo(found);
    return ok;
}

static bool
listen_all(struct acceptor *a, const char *addresses, bool reuse_port, char *err, size_t err_size)
{
    struct str rest = str_of(addresses);
    while (rest.p) {
        struct str one = str_trim(str_cut(&rest, ','));
        char address[ADDRESS_MAX];
        bool ok;
        if (one.n == 0)
            continue;
        snprintf(address, sizeof(address), STR_FMT, STR_ARG(one));
        if (a->listener_count == LISTENERS_MAX || one.n >= sizeof(address))
            ok = fail_text(err, err_size, address, "too many addresses, or too long");
        else if (str_starts(one, STR("unix:")))
            ok = listen_unix(a, address, address + 5, err, err_size);
        else
            ok = listen_tcp(a, address, reuse_port, err, err_size);
        if (!ok)
            return false;
    }
    if (a->listener_count == 0)
        return fail_text(err, err_size, "nothing", "LUNA_LISTEN_ADDRESS is empty");
    return true;
}

/* ---- limits -------------------------------------------------------------------------------- */

/* Raises the limit of descriptors as far as it goes; says how many connections fit below it. */
static size_t
connections_allowed(int64_t wanted)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
        return (size_t)wanted;
    rlim_t need = (rlim_t)wanted + FDS_RESERVED;
    if (rl.rlim_cur < need && rl.rlim_cur < rl.rlim_max) {
        rlim_t before = rl.rlim_cur;
        rl.rlim_cur = need < rl.rlim_max ? need : rl.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
            rl.rlim_cur = before;
    }
    rlim_t reserve = rl.rlim_cur / 2 < FDS_RESERVED ? rl.rlim_cur / 2 : FDS_RESERVED;
    rlim_t room = rl.rlim_cur - reserve;
    if ((rlim_t)wanted <= room)
        return (size_t)wanted;
    log_warning("fewer connections than LUNA_MAX_CONNECTIONS: RLIMIT_NOFILE is low",
                log_int("wanted", wanted), log_uint("possible", room));
    return (size_t)room;
}

static size_t
count_changed(struct acceptor *a)
{
    size_t n = a->connections.count;
    atomic_store_explicit(&a->stats.open, (int64_t)n, memory_order_relaxed);
    return n;
}

static size_t
sweep(struct acceptor *a)
{
    pthread_mutex_lock(&a->lock);
    connections_sweep(&a->connections);
    size_t n = count_changed(a);
    pthread_mutex_unlock(&a->lock);
    return n;
}

static void
remember(struct acceptor *a, int fd)
{
    pthread_mutex_lock(&a->lock);
    connections_add(&a->connections, fd);
    count_changed(a);
    pthread_mutex_unlock(&a->lock);
    atomic_fetch_add_explicit(&a->stats.accepted, 1, memory_order_relaxed);
}

static bool
is_full(struct acceptor *a)
{
    if ((size_t)atomic_load(&a->stats.open) < a->connection_max)
        return false;
    nsec_t now = clock_now();
    if (now - a->swept_at < SWEEP_SOON)
        return true;
    a->swept_at = now;
    return sweep(a) >= a->connection_max;
}

/* ---- watching ------------------------------------------------------------------------------ */

/* Core reads the first bytes of a connection on the thread that hands it over. */
static bool
acceptor_stuck(struct acceptor *a)
{
    nsec_t cpu = thread_cpu(a->thread);
    uint64_t accepted = atomic_load_explicit(&a->stats.accepted, memory_order_relaxed);
    bool stuck = accepted == a->own_accepted && cpu - a->own_cpu >= CONNECTIONS_STUCK_CPU;
    a->own_cpu = cpu;
    a->own_accepted = accepted;
    return stuck;
}

/* A thread of its own, since all others that core reads on may be kept busy. */
static void *
watcher_main(void *arg)
{
    struct acceptor *a = arg;
    struct pollfd wake = {.fd = a->wake_fd, .events = POLLIN};
    for (int n = 1; poll(&wake, 1, CONNECTIONS_WATCH_MS) <= 0; n++) {
        bool own = acceptor_stuck(a);
        bool stuck = a->stuck(a->stuck_arg) || own;
        pthread_mutex_lock(&a->lock);
        if (connections_watch(&a->connections, stuck))
            atomic_fetch_add_explicit(&a->stats.shed, 1, memory_order_relaxed);
        if (n % SWEEP_EVERY == 0) {
            connections_sweep(&a->connections);
            count_changed(a);
        }
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* ---- accepting ----------------------------------------------------------------------------- */

static void
refused(struct acceptor *a)
{
    if (!a->refusing)
        log_warning("connections are refused: too many are open",
                    log_int("open", atomic_load(&a->stats.open)),
                    log_uint("limit", a->connection_max));
    a->refusing = true;
    atomic_fetch_add_explicit(&a->stats.refused, 1, memory_order_relaxed);
}

/* The last descriptor is used to take one connection out of the queue and close it. */
static bool
refuse_without_descriptor(struct acceptor *a, int listener)
{
    if (a->spare_fd >= 0)
        close(a->spare_fd);
    refused(a);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void
hand_over(struct acceptor *a, const struct listener *l, int fd)
{
    int one = 1;
    struct fd_handler *h = l->port ? a->tcp_handler : a->unix_handler;
    if (l->port)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    remember(a, fd);
    h->vtable->handle(h, l->fd, fd, NULL);
}

/* False: nobody waits at `l` any more. */
static bool
accept_one(struct acceptor *a, const struct listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            return refuse_without_descriptor(a, l->fd);
        return errno != EAGAIN && errno != EBADF && errno != EINVAL;
    }
    if (is_full(a)) {
        refused(a);
        close(fd);
        return true;
    }
    a->refusing = false;
    hand_over(a, l, fd);
    return true;
}

static void
accept_all(struct acceptor *a, const struct listener *l, int most)
{
    while (most-- > 0 && accept_one(a, l))
        ;
}

static void *
acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    struct pollfd fds[LISTENERS_MAX + 1];
    size_t n = a->listener_count;
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = a->listeners[i].fd, .events = POLLIN};
    fds[n] = (struct pollfd){.fd = a->wake_fd, .events = POLLIN};
    while (!atomic_load(&a->stopping)) {
        int got = poll(fds, n + 1, -1);
        for (size_t i = 0; i < n && got > 0; i++) {
            if (fds[i].revents)
                accept_all(a, &a->listeners[i], ACCEPT_BATCH);
        }
    }
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct acceptor *
acceptor_new(const struct config *cfg, bool reuse_port, char *err, size_t err_size)
{
    if (strcmp(grpc_version_string(), "29.0.0") != 0) {
        snprintf(err, err_size, "gRPC core is %s, and 29.0.0 (of Debian 12) is needed",
                 grpc_version_string());
        return NULL;
    }
    struct acceptor *a = calloc(1, sizeof(*a));
    ASSERT(a != NULL);
    pthread_mutex_init(&a->lock, NULL);
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    a->connection_max = connections_allowed(cfg->max_connections);
    if (!listen_all(a, cfg->listen_address, reuse_port, err, err_size)) {
        acceptor_free(a);
        return NULL;
    }
    return a;
}

static void *
arg_copy(void *p)
{
    return p;
}

static void
arg_destroy(void *p)
{
    (void)p;
}

static int
arg_cmp(void *a, void *b)
{
    return (a > b) - (a < b);
}

void
acceptor_args(struct acceptor *a, grpc_arg *ret_args)
{
    static const grpc_arg_pointer_vtable vtable = {arg_copy, arg_destroy, arg_cmp};
    static char tcp[] = "external:tcp";
    static char local[] = "external:unix";
    ret_args[0] = (grpc_arg){.type = GRPC_ARG_POINTER, .key = tcp};
    ret_args[0].value.pointer.p = &a->tcp_handler;
    ret_args[0].value.pointer.vtable = &vtable;
    ret_args[1] = (grpc_arg){.type = GRPC_ARG_POINTER, .key = local};
    ret_args[1].value.pointer.p = &a->unix_handler;
    ret_args[1].value.pointer.vtable = &vtable;
}

bool
acceptor_attach(struct acceptor *a, grpc_server *core, grpc_server_credentials *tcp_creds,
                grpc_server_credentials *unix_creds)
{
    (void)grpc_server_add_http2_port(core, "external:tcp", tcp_creds);
    (void)grpc_server_add_http2_port(core, "external:unix", unix_creds);
    return a->tcp_handler && a->unix_handler;
}

void
acceptor_start(struct acceptor *a, bool (*stuck)(void *arg), void *arg)
{
    a->stuck = stuck;
    a->stuck_arg = arg;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(pthread_create(&a->thread, NULL, acceptor_main, a) == 0);
    ASSERT(pthread_create(&a->watcher, NULL, watcher_main, a) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(a->thread, "rpc/accept");
    pthread_setname_np(a->watcher, "rpc/watch");
    a->running = true;
}

static void
close_listeners(struct acceptor *a)
{
    for (size_t i = 0; i < a->listener_count; i++) {
        struct listener *l = &a->listeners[i];
        if (l->unix_path[0])
            (void)unlink(l->unix_path);
        close(l->fd);
    }
    a->listener_count = 0;
}

void
acceptor_stop(struct acceptor *a)
{
    uint64_t one = 1;
    if (!a->running)
        return;
    atomic_store(&a->stopping, true);
    ASSERT(write(a->wake_fd, &one, sizeof(one)) == sizeof(one));
    ASSERT(pthread_join(a->thread, NULL) == 0);
    ASSERT(pthread_join(a->watcher, NULL) == 0);
    a->running = false;
    for (size_t i = 0; i < a->listener_count; i++)
        accept_all(a, &a->listeners[i], BACKLOG);
    close_listeners(a);
}

void
acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    acceptor_stop(a);
    close_listeners(a);
    close(a->wake_fd);
    if (a->spare_fd >= 0)
        close(a->spare_fd);
    connections_fini(&a->connections);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

int
acceptor_port(const struct acceptor *a, size_t n)
{
    return n < a->listener_count ? a->listeners[n].port : 0;
}

const struct acceptor_stats *
acceptor_stats(const struct acceptor *a)
{
    return &a->stats;
}

int
acceptor_find(struct acceptor *a, uint64_t name)
{
    pthread_mutex_lock(&a->lock);
    int fd = connections_find(&a->connections, name);
    pthread_mutex_unlock(&a->lock);
    return fd;
}

int64_t
acceptor_count_open(struct acceptor *a)
{
    return (int64_t)sweep(a);
}
