/*
 * Preloaded into luna-server by syscall_fault_test: lets one call of a chosen libc function fail,
 * as the kernel would. The test and the shim share a page, named by LUNA_SHIM_PAGE.
 *
 * epoll_ctl and epoll_wait are left alone: libuv ends the process by design when they fail.
 */
#include "syscall_shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct shim_page *page;

__attribute__((constructor)) static void
shim_open(void)
{
    const char *path = getenv("LUNA_SHIM_PAGE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    page = p == MAP_FAILED ? NULL : p;
}

static bool
fails(enum shim_function fn)
{
    if (!page || atomic_load_explicit(&page->function, memory_order_acquire) != (int)fn)
        return false;
    if (atomic_fetch_sub(&page->skip, 1) != 0)
        return false;
    errno = atomic_load(&page->error);
    atomic_store(&page->function, SHIM_NONE);
    atomic_fetch_add(&page->fired, 1);
    return true;
}

/* The real one, looked up once. */
#define REAL(type, name)   \
    static type (*real)(); \
    if (!real)             \
    *(void **)(&real) = dlsym(RTLD_NEXT, name)

int
socket(int domain, int type, int protocol)
{
    REAL(int, "socket");
    return fails(SHIM_SOCKET) ? -1 : real(domain, type, protocol);
}

int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    REAL(int, "connect");
    return fails(SHIM_CONNECT) ? -1 : real(fd, addr, len);
}

int
accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    REAL(int, "accept4");
    return fails(SHIM_ACCEPT) ? -1 : real(fd, addr, len, flags);
}

int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    REAL(int, "getsockopt");
    return fails(SHIM_GETSOCKOPT) ? -1 : real(fd, level, name, value, len);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
    REAL(ssize_t, "send");
    return fails(SHIM_SEND) ? -1 : real(fd, p, n, flags);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
    REAL(ssize_t, "sendmsg");
    return fails(SHIM_SENDMSG) ? -1 : real(fd, m, flags);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
    REAL(ssize_t, "recv");
    return fails(SHIM_RECV) ? -1 : real(fd, p, n, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
    REAL(ssize_t, "recvmsg");
    return fails(SHIM_RECVMSG) ? -1 : real(fd, m, flags);
}

ssize_t
read(int fd, void *p, size_t n)
{
    REAL(ssize_t, "read");
    return fails(SHIM_READ) ? -1 : real(fd, p, n);
}

ssize_t
write(int fd, const void *p, size_t n)
{
    REAL(ssize_t, "write");
    return fails(SHIM_WRITE) ? -1 : real(fd, p, n);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
    REAL(ssize_t, "writev");
    return fails(SHIM_WRITEV) ? -1 : real(fd, v, n);
}
