/* What syscall_fault_test and the shim share. */
#ifndef LUNA_TESTS_SYSCALL_SHIM_H
#define LUNA_TESTS_SYSCALL_SHIM_H

#ifdef __cplusplus
#include <atomic>
typedef std::atomic<int> shim_int;
#else
#include <stdatomic.h>
#include <stdbool.h>
typedef atomic_int shim_int;
#endif

enum shim_function {
    SHIM_NONE,
    SHIM_SOCKET,
    SHIM_CONNECT,
    SHIM_ACCEPT,
    SHIM_GETSOCKOPT,
    SHIM_SEND,    /* to Postgres and Redis */
    SHIM_SENDMSG, /* to clients */
    SHIM_RECV,    /* from Postgres */
    SHIM_RECVMSG, /* from clients */
    SHIM_READ,    /* from Redis, and wake-ups */
    SHIM_WRITE,   /* wake-ups */
    SHIM_WRITEV,  /* the log */
};

struct shim_page {
    shim_int function; /* which one fails next; the shim resets it when it has */
    shim_int skip;     /* how many calls of it go well before */
    shim_int error;    /* errno */
    shim_int fired;
};

#endif
