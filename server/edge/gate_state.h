/*
 * Private to edge/: what a reactor knows of the quotas it spends, and how it keeps Redis and
 * Postgres together.
 *
 * Each reactor is an actor of its own. It remembers, for each account, the units that it admitted
 * and that may not have arrived in Postgres (the ledger): when Redis loses an epoch, that is what
 * the actor reports. An epoch that it has reported is dead for it: an answer of Redis that still
 * comes for it does not count.
 *
 * Thread: the reactor's.
 */
#ifndef LUNA_EDGE_GATE_STATE_H
#define LUNA_EDGE_GATE_STATE_H

#include <stdatomic.h>

#include "base/counter.h"
#include "base/latency.h"
#include "edge/gate_store.h"
#include "edge/quota_gate.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "run/timer.h"

#define GATE_BUCKETS 4096U

/* Units admitted in one flush of an epoch, for one method on one day. */
struct gate_entry {
    int64_t epoch;
    int64_t flush;
    int64_t day;
    const char *method; /* static */
    int64_t units;
    nsec_t at;
};

#define GATE_PLAN_LIMITS 2  /* the account's and the key's */
#define GATE_PLAN_NAME   32 /* room for the name of such a limit */

/*
 * Units of an account that were taken in advance for calls of one kind: a method, called with the
 * quota, the account's rate and the rate of one key. It exists while such calls are watched, with
 * units or without, and holds the account.
 */
struct gate_lease {
    struct list of_account; /* account->leases */
    struct list link;       /* gate->leases */
    struct gate_account *account;
    struct gate_request kind; /* what it is for; its texts are here or static, its cost is 0 */
    struct gate_limit limits[GATE_PLAN_LIMITS];
    char names[GATE_PLAN_LIMITS][GATE_PLAN_NAME];
    struct gate_decision as_of; /* that took it */
    int64_t units;              /* left of it */
    int64_t size;               /* units of the last one; 0: the calls are few */
    int64_t asked;              /* units that were asked for since `asked_since`, without one */
    nsec_t asked_since;
    nsec_t used_at;
    nsec_t taken_at; /* when it was taken */
    nsec_t until;
    nsec_t not_before; /* it was refused: the next attempt */
    bool returning;    /* a fiber gives its rest back */
    bool taking;       /* a fiber asks for the next one */
    struct cond taken; /* it has */
};

/* The RateLimit-Policy of calls with a quota and limits, as it was written last. */
#define GATE_POLICY_ROOM 192
struct gate_policy {
    int64_t quota;
    struct {
        int64_t capacity, unit_us;
        char first; /* letter of its name */
    } limits[GATE_PLAN_LIMITS];
    size_t limit_count;
    size_t n; /* of text; 0: none yet */
    char text[GATE_POLICY_ROOM];
};

struct gate_account {
    struct gate_account *next; /* in its bucket */
    struct list dirty;         /* gate->dirty while there may be something to flush */
    int64_t account_id;
    struct gate_limits limits;
    nsec_t limits_at; /* when they were read; 0: not yet, or they have changed */
    bool busy;        /* one fiber talks to Postgres about it */
    struct cond idle;
    size_t users;       /* fibers that hold a pointer to it */
    int64_t seen_epoch; /* the newest that was in Redis */
    int64_t dead_epoch; /* this one and those before it were reported */
    nsec_t synced_at;   /* 0: never */
    nsec_t noted_at;    /* when the event that it is spent was written */
    nsec_t used_at;
    int64_t spent; /* units since the last flush */
    int64_t needs; /* what was refused for want of a grant since the last one */
    struct gate_entry *ledger;
    size_t ledger_count;
    size_t ledger_capacity;
    int64_t seen_left;   /* of the quota, at the last answer */
    struct list open;    /* batches that gather who asks now */
    struct list waiting; /* gate->to_ask, when they can be sent */
    size_t in_flight;    /* batches that are with Redis */
    struct list leases;  /* the kinds of calls that have one, or are watched */
    size_t lease_count;
    struct gate_policy policy;
};

#define GATE_NUMBERS(X) \
    X(admitted)         \
    X(refused_quota)    \
    X(refused_rate)     \
    X(refused_calls)    \
    X(refused_settling) \
    X(would_refuse)     \
    X(away_open)        \
    X(away_closed)      \
    X(given_back)       \
    X(loads)            \
    X(flushes)          \
    X(flushed_units)    \
    X(flush_failures)   \
    X(retired)          \
    X(reports)          \
    X(questions)        \
    X(leases)           \
    X(leased)

struct gate_numbers {
#define X(name) atomic_uint_fast64_t name;
    GATE_NUMBERS(X)
#undef X
};

#define GATE_ADD(g, name, n) counter_add(&(g)->numbers.name, (n))

/* What a metered call has taken: to be given back when it fails for reasons that are ours. */
struct gate_call {
    struct list link; /* quota_gate.calls */
    struct gate_account *account;
    struct gate_request req;
    struct gate_limit limits[GATE_PLAN_LIMITS];
    int64_t taken; /* units */
    bool decided;
    bool holds_place; /* among the concurrent calls */
    nsec_t lease_until;
    struct gate_decision decision; /* the latest one; not set before `decided` */
};

#define GATE_CALL_LEASE SEC(30)

struct quota_gate {
    struct inbox_msg close_msg;
    struct reactor *reactor;
    int64_t actor_id;
    struct gate_account *buckets[GATE_BUCKETS];
    struct list dirty;
    struct db_listener *changes;

    char run[48];     /* run_id of Redis; "": not asked yet */
    uint64_t connect; /* the number of the connection it was asked on */
    bool asking;
    struct cond asked;

    struct timer timer;
    bool ticking;     /* the fiber of gate_sync.c runs */
    bool tick_again;  /* there was reason to, while it ran */
    bool closing;     /* no more ticks */
    nsec_t beaten_at; /* when Postgres heard of us last; 0: never */
    bool beating;
    struct cond beaten;
    uint64_t call_no;
    struct list to_ask;   /* accounts with batches to be sent */
    struct turn_hook ask; /* sends them */
    struct list batches;  /* that are with Redis */
    struct list free_batches;
    size_t free_batch_count;
    struct list leases;     /* of all accounts */
    size_t renewals;        /* fibers that take one before it is needed */
    struct latency decided; /* how long callers waited for decisions */
    nsec_t logged_at;       /* "the limiter is away", not more than once a second */
    struct list calls;      /* those that hold a place among the concurrent ones */
    struct gate_numbers numbers;
};

struct gate_settings {
    bool on;         /* false: no call is charged */
    nsec_t interval; /* between flushes */
    int64_t chunk;   /* most units that Redis may spend and Postgres not know of */
    int64_t lease;   /* most units of a local lease; 0: none */
    bool older;      /* x-ratelimit-* are told over gRPC too */
};
extern struct gate_settings gate_settings;

static inline struct quota_gate *
gate_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_EDGE);
}

/* ---- gate_state.c ---- */

/* What is known of the account; made when there is nothing. Put back with gate_account_put. */
struct gate_account *gate_account_get(struct quota_gate *g, int64_t account_id);
void gate_account_put(struct gate_account *a);
/* NULL: nothing is known. Not to be kept across a suspension. */
struct gate_account *gate_account_find(struct quota_gate *g, int64_t account_id);
/* Forgets what nobody has used for `idle`; everything with 0. */
void gate_accounts_sweep(struct quota_gate *g, nsec_t idle);
void gate_account_dirty(struct quota_gate *g, struct gate_account *a);

/* Notes units that were admitted (or, negative, given back). */
void gate_ledger_add(struct gate_account *a, const struct gate_decision *d, const char *method,
                     int64_t units);
/* The part of it that is of `epoch`, as it is reported. */
void gate_ledger_collect(const struct gate_account *a, int64_t epoch, struct arena *arena,
                         struct gate_report *ret);
void gate_ledger_drop(struct gate_account *a, int64_t epoch);

/* ---- gate_ask.c ---- */

void gate_ask_init(struct quota_gate *g);
/* When its fibers have ended; what is still with Redis finds nobody. */
void gate_ask_fini(struct quota_gate *g);

/* Asks Redis for one call; calls of one kind that ask in one turn, or while the account's question
 * before is under way, are one question. What was admitted is in the ledger when it returns; with
 * *ret_dead it does not count, since the epoch was reported as lost: ask again. Suspends: once.
 * Fails: CACHE_UNAVAILABLE, INTERNAL_ERROR, CANCELLED, DEADLINE_EXCEEDED (it may have been
 * charged). */
enum status gate_ask(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                     const struct gate_request *req, struct gate_decision *ret,
                     bool *ret_dead) WARN_UNUSED;

/* Copies the limits of a request that ends sooner: `names` has `room` for the name of each. */
void gate_keep_limits(const struct gate_request *req, struct gate_limit *limits, char *names,
                      size_t room);

/* Whether the limits of two requests are the same. */
bool gate_same_limits(const struct gate_request *a, const struct gate_request *b);

/* Gives back `units` of what `decided` has taken; on a context of its own, since the caller's may
 * be cancelled. Suspends: may. False: it is lost and stays charged. */
bool gate_undo(struct reactor *r, struct arena *arena, struct gate_account *a,
               const struct gate_request *req, const struct gate_decision *decided, int64_t units);

/* ---- gate_lease.c ---- */

/* Decides without Redis: true when the account has a lease here that covers the call, or one could
 * be taken now; one that is half spent is renewed meanwhile. Calls whose limits are not all of the
 * account's plan (plan_only) have none. Suspends: may, while one is taken. */
bool gate_lease_spend(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                      const struct gate_request *req, struct gate_decision *ret);

/* Gives back what is left of leases whose time is over, or of all, and forgets those that nobody
 * uses. Suspends: may. */
void gate_leases_return(struct quota_gate *g, struct arena *arena, bool all);

/* ---- gate_sync.c ---- */

/* Makes sure that g->run names the Redis that the reactor is connected to. Suspends: may.
 * Fails: CACHE_UNAVAILABLE. */
enum status gate_know_run(struct ctx *ctx, struct quota_gate *g) WARN_UNUSED;

/* Makes sure that Postgres knows this actor. Suspends: may. */
enum status gate_know_actor(struct ctx *ctx, struct quota_gate *g) WARN_UNUSED;

/* Reads what applies to the account. Suspends: may. Fails: ACCOUNT_NOT_FOUND, DB_... */
enum status gate_know_limits(struct ctx *ctx, struct gate_account *a) WARN_UNUSED;

/* A new epoch for the account: Redis has said at `asked` that there is none, or that the period of
 * `replaces` is over. Suspends: may. */
enum status gate_open(struct ctx *ctx, struct quota_gate *g, struct gate_account *a, usec_t asked,
                      int64_t replaces) WARN_UNUSED;

/* Brings what was spent to Postgres and what Postgres says to Redis. Suspends: may. */
enum status gate_sync(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                      bool retire) WARN_UNUSED;

/* The same, unless it was done at or after `since` (clock_now): then *ret_ours is false. */
enum status gate_sync_since(struct ctx *ctx, struct quota_gate *g, struct gate_account *a,
                            nsec_t since, bool *ret_ours) WARN_UNUSED;

/* A tick soon: something waits for Postgres to know. */
void gate_tick_now(struct quota_gate *g);
void gate_sync_init(struct quota_gate *g);
void gate_sync_fini(struct quota_gate *g);

#endif
