/*
 * Redis: one connection a reactor, commands of one loop turn in one write, answers in order.
 *
 * What is in Redis may be lost at any moment without a wrong answer. A command fails with
 * CACHE_UNAVAILABLE at once while the connection is down, when it breaks, or when no answer came
 * within the timeout; it may have been executed all the same. A connection that misses a timeout is
 * closed and opened anew (20 ms to 1 s apart, with jitter), so one outage costs each caller one
 * timeout at most and later callers nothing.
 *
 * Replies are read by hiredis' parser; the socket is ours, because hiredis 0.14's async layer has
 * no timeouts, resolves names blocking and stops the process on an answer it did not expect.
 *
 * Thread: the reactor's own, except where a function says otherwise.
 */
#ifndef LUNA_CACHE_REDIS_H
#define LUNA_CACHE_REDIS_H

#include "base/clock.h"
#include "base/status.h"
#include "base/str.h"

struct ctx;
struct reactor;
struct redis;
struct redis_script;

enum redis_type { REDIS_NIL, REDIS_INTEGER, REDIS_STRING, REDIS_STATUS, REDIS_ERROR, REDIS_ARRAY };

struct redis_reply {
    enum redis_type type;
    int64_t integer;           /* REDIS_INTEGER */
    struct str str;            /* REDIS_STRING, REDIS_STATUS, REDIS_ERROR; NUL terminated too */
    size_t count;              /* REDIS_ARRAY */
    struct redis_reply *items; /* its `count` elements; a nested error is an element */
};

struct redis_options {
    const char *url;         /* as redis_url.h says; copied */
    const char *client_name; /* CLIENT SETNAME, no spaces; NULL: none; copied */
    nsec_t timeout;          /* for one answer; 0: 500 ms */
    nsec_t connect_timeout;  /* for connect and handshake; 0: the larger of `timeout` and 1 s */
    nsec_t ping_interval;    /* silent for this long: PING; 0: 5 s */
    const struct redis_script *const *scripts; /* loaded at each connect; static */
    size_t script_count;
};

/* Makes the reactor's Redis (SLOT_CACHE) and begins to connect; the first attempt is made once the
 * loop runs. NULL and a line in `err`: the URL is wrong. Thread: the reactor's, or before its
 * start. */
struct redis *redis_new(struct reactor *r, const struct redis_options *opt, char *err,
                        size_t err_size);

/* Fails what waits, closes (a stopping reactor does that by itself) and frees. The loop must turn
 * once more before the reactor is freed. Thread: the reactor's own, or, between its end and
 * reactor_free, the one that frees it. */
void redis_free(struct redis *r);

/* Connected and handshaken. Thread: any. */
bool redis_is_ready(const struct redis *r);

/*
 * Runs one command and copies its answer into ctx's arena. Suspends: once. An error reply is a
 * failure: CACHE_UNAVAILABLE when Redis says that it cannot now (LOADING, OOM, READONLY, ...),
 * INTERNAL_ERROR with the text as detail otherwise. A cancelled caller detaches: its answer is
 * dropped. `ret` may be NULL.
 */
enum status redis_command(struct ctx *ctx, const struct str *argv, size_t argc,
                          struct redis_reply **ret) WARN_UNUSED;

/* redis_call(ctx, &reply, STR("GET"), key) */
#define redis_call(ctx, ret, ...)                           \
    redis_command((ctx), (const struct str[]){__VA_ARGS__}, \
                  sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str), (ret))

/* Sends a command whose answer nobody waits for. False: the connection is down. Suspends: never. */
bool redis_post(struct reactor *reactor, const struct str *argv, size_t argc);

/* A command whose answer goes to a function, not to a fiber: called once, on the loop, with the
 * reply, which is valid until it returns, or with NULL: the answer is lost, the command may have
 * been executed. Until then the record is the connection's. It must not suspend. */
struct redis_listener {
    void (*fn)(struct redis_listener *l, const struct redis_reply *reply);
};

/* False: not sent, and `l` is not called. Suspends: never. */
bool redis_post_for(struct reactor *reactor, const struct str *argv, size_t argc,
                    struct redis_listener *l);

/* What a lost answer (NULL) or an error reply is to its caller: recorded in ctx as redis_command
 * does. */
enum status redis_fail_lost(struct ctx *ctx, const struct redis_reply *reply);

/* How often the reactor has connected to a Redis; 0 also when it has none. */
uint64_t redis_connects(const struct reactor *reactor);

/* Counters since the start. Thread: any. */
struct redis_numbers {
    uint64_t commands; /* sent, those of handshakes and watchdog included */
    uint64_t replies;  /* received */
    uint64_t error_replies;
    uint64_t writes; /* write(2) calls */
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t connects; /* handshakes completed */
    uint64_t connect_failures;
    uint64_t disconnects; /* of a connection that was ready */
    uint64_t timeouts;
    uint64_t refused;        /* commands that failed at once: down, or too much in flight */
    uint64_t detached;       /* callers that left before their answer */
    uint64_t script_reloads; /* NOSCRIPT answers repaired */
    uint64_t messages;       /* of subscriptions */
    uint64_t in_flight;      /* now */
    uint64_t ready;          /* 1: connected now */
};
void redis_numbers(const struct redis *r, struct redis_numbers *ret);

#endif
