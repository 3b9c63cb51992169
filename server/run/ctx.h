/*
 * What one piece of work carries: its arena, its deadline, who asked, and its first failure.
 * A call, a job and an admin command each have one, and pass it first to everything they call.
 *
 * Thread: the reactor that owns it. It never moves.
 */
#ifndef LUNA_RUN_CTX_H
#define LUNA_RUN_CTX_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/defs.h"
#include "base/status.h"
#include "base/uuid.h"

struct reactor;
struct fiber;

enum role {
    ROLE_NONE,   /* not authenticated */
    ROLE_DEVICE, /* posts readings only */
    ROLE_MEMBER, /* the account's own data */
    ROLE_ADMIN,  /* accounts, keys, plans */
};

/* Who is calling, as the auth interceptor found. */
struct identity {
    int64_t account_id; /* 0: nobody */
    int64_t key_id;     /* 0: not by an API key */
    enum role role;
    bool anonymous;     /* acts as LUNA_ANONYMOUS_ACCOUNT */
    const char *scopes; /* what its key is restricted to, spaces between; NULL: all */
};

/* W3C trace context, https://www.w3.org/TR/trace-context/ */
struct trace {
    char id[33];   /* 32 hex digits and NUL; empty: none */
    char span[17]; /* 16 hex digits of the caller's span */
    uint8_t flags;
};

struct ctx_defer; /* private */

struct ctx {
    struct arena *arena;
    struct reactor *reactor;
    struct fiber *fiber;     /* the fiber that runs it */
    struct fiber *suspended; /* that fiber, while a ctx_cancel wakes it; private to run/ */
    nsec_t deadline;         /* monotonic instant, NSEC_NEVER: none */
    bool cancelled;          /* set by ctx_cancel; every suspension then fails */
    struct identity who;
    struct trace trace;
    struct error error; /* the first failure */
    struct ctx_defer *defers;
    struct db_lease *tx; /* the transaction that is open; db/ only */
};

/* For the caller's storage. `arena` outlives the context. */
void ctx_init(struct ctx *ctx, struct arena *arena, struct reactor *reactor);

/* Runs the deferred functions, last first. Suspends: what they do. */
void ctx_fini(struct ctx *ctx);

/* `fn(arg)` runs in ctx_fini: for what is not memory (leases, counters, descriptors). */
void ctx_defer(struct ctx *ctx, void (*fn)(void *), void *arg);

/* Makes the work stop at its next suspension, and wakes it if it is suspended now: that suspension
 * fails with CANCELLED, recorded as CANCELLED_BY_CALLER. Thread: the owning reactor. */
void ctx_cancel(struct ctx *ctx);

/* OK, or CANCELLED or DEADLINE_EXCEEDED (recorded in ctx) that long loops must stop for. */
enum status ctx_check(struct ctx *ctx) WARN_UNUSED;

/* Time left, 0 when none; NSEC_NEVER without a deadline. */
nsec_t ctx_left(const struct ctx *ctx);

/* Record the first failure and return its status: `return fail(ctx, BAD_FIELD, "...");` */
enum status fail_at(struct ctx *ctx, enum reason r, const char *file, int line, const char *fmt,
                    ...) PRINTF(5, 6);
#define fail(ctx, token, ...) fail_at((ctx), REASON_##token, __FILE__, __LINE__, __VA_ARGS__)
/* With the reason's own public text. */
#define fail_plain(ctx, token) fail_at((ctx), REASON_##token, __FILE__, __LINE__, NULL)

/* A wrong field: fail_field(ctx, "results[3]", "is not finite"). Several may be collected: the
 * first sets the status, the others join the answer. The path may be built with arena_printf. */
enum status fail_field_at(struct ctx *ctx, const char *file, int line, const char *field,
                          const char *fmt, ...) PRINTF(5, 6);
#define fail_field(ctx, field, ...) fail_field_at((ctx), __FILE__, __LINE__, (field), __VA_ARGS__)

/* What the log should know of the recorded failure and the caller should not. */
void fail_detail(struct ctx *ctx, const char *fmt, ...) PRINTF(2, 3);

/* Records a failure of another context, whose texts are copied: those that are gone or move. */
enum status fail_copy(struct ctx *ctx, const struct error *e);

/* Forgets a failure that has been dealt with. */
void fail_clear(struct ctx *ctx);

#endif
