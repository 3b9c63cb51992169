/*
 * The pool of one reactor: its connections, what waits for them, its numbers. Private to db/.
 *
 * A request is one or more statements of one caller. It belongs to the pool from request_submit
 * until its `done` is called; whoever waits keeps only a pointer to it and detaches before leaving.
 * Requests wait in a queue of their group, are sent at the end of the loop turn, and complete when
 * the Sync behind them has been answered.
 *
 * Thread: the reactor's.
 */
#ifndef LUNA_DB_POOL_H
#define LUNA_DB_POOL_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "base/counter.h"
#include "base/list.h"
#include "db/db.h"
#include "db/row.h"
#include "db/value.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "run/timer.h"

/* What db_open made: constant while reactors are attached. */
struct db {
    char *url;
    char *replica_url; /* NULL: none */
    size_t connections;
    size_t leases;
    size_t queue;
    nsec_t timeout;
    struct db_stmt **stmts; /* of this db; their ids are those of the process */
    size_t n_stmts;
    size_t max_id; /* above every id */
};

/* ---- requests ---------------------------------------------------------------------------------
 */

enum request_state { REQUEST_QUEUED, REQUEST_SENT, REQUEST_DONE };

/* How it ended. */
enum fate {
    FATE_OK,
    FATE_FAILED,   /* the server said no: see `failed` */
    FATE_AWAY,     /* it was never sent: no connection in time */
    FATE_LOST,     /* the connection broke and whether it happened is not known */
    FATE_TIMEOUT,  /* no answer in time, and the connection was closed for it */
    FATE_SHUTDOWN, /* the reactor is being detached */
    FATE_ABORTED,  /* a neighbour's error aborted it; never seen by callers */
};

struct group;

struct request {
    struct list link; /* in a queue, in a connection's `answered`, or in the free list */
    struct pool *pool;
    struct group *group;            /* in whose queue it waits */
    struct conn *conn;              /* pinned to it (leases) or sent on it; NULL: any */
    void (*done)(struct request *); /* NULL: nobody waits, the request is freed */
    void *owner;                    /* for `done` */
    const struct db_item *items; /* the owner's; not looked at after it detached or has been sent */
    uint16_t n_items;
    uint16_t n_sent;
    uint16_t failed; /* item whose result holds the error */
    enum request_state state;
    enum fate fate;
    bool reads;       /* every statement of it reads */
    bool idempotent;  /* may be sent again when its outcome is unknown */
    bool replica;     /* the replica may answer */
    bool solo;        /* it shares a Sync with nobody */
    bool pinned;      /* of a transaction: it stays on its connection */
    uint8_t attempts; /* times sent */
    enum role role;   /* as whom; ROLE_NONE and 0: nobody */
    int64_t account;
    nsec_t submitted;
    nsec_t expires;      /* then it is given up, when it has not been sent */
    PGresult *results[]; /* one each, when answered */
};

/* A request for `n` items, not submitted. Never NULL. */
struct request *request_new(struct pool *p, const struct identity *who, const struct db_item *items,
                            size_t n);

/* Frees one that is not queued or sent. */
void request_free(struct request *q);

/* Queues it for the end of this turn. False: the queue is full, and it is still the caller's. */
bool request_submit(struct request *q) WARN_UNUSED;

/* Its owner leaves: `done` will not be called. The request must not be touched afterwards. */
void request_detach(struct request *q);

/* For connections: the Sync behind it has been answered, or it cannot be any more. Either calls
 * `done` or queues it again. */
void request_finish(struct request *q, enum fate fate);

/* ---- connections -------------------------------------------------------------------------------
 */

enum group_kind { GROUP_PRIMARY, GROUP_REPLICA, GROUP_LEASE, GROUP_LISTEN, GROUP_COUNT };

/* A state is the list that a connection is in; conn_move is the only mover. */
enum conn_state {
    CONN_WAITING,    /* for its next attempt */
    CONN_CONNECTING, /* libpq shakes hands */
    CONN_PREPARING,  /* statements are prepared and described */
    CONN_READY,
    CONN_LEASED, /* one fiber's own */
    CONN_STATES,
};

struct group {
    enum group_kind kind;
    const char *url; /* NULL: there is none */
    size_t max;      /* connections */
    size_t total;    /* of any state */
    struct list conns[CONN_STATES];
    struct list reads; /* may share a Sync */
    struct list alone; /* each with its own */
    size_t queued;     /* in both */
};

/* What an answer belongs to. */
enum flight_kind {
    FLIGHT_STMT,
    FLIGHT_IDENTITY, /* set_config in front of a caller's statements */
    FLIGHT_SYNC,
    FLIGHT_PREPARE,
    FLIGHT_DESCRIBE,
    FLIGHT_COMMAND, /* its answer matters only when it fails */
};

struct flight {
    enum flight_kind kind;
    uint16_t item;
    union {
        struct request *request;    /* STMT */
        const struct db_stmt *stmt; /* PREPARE, DESCRIBE */
    };
    nsec_t sent;
};

struct lease;
struct poll_handle;
struct resolve;

struct conn {
    struct list link; /* in its state's list */
    struct pool *pool;
    struct group *group;
    enum conn_state state;
    nsec_t state_since;
    nsec_t retry_at;         /* CONN_WAITING */
    unsigned failures;       /* in a row */
    unsigned index;          /* among its group's */
    struct resolve *resolve; /* before `pq`: the hosts are being looked up */
    PGconn *pq;
    struct poll_handle *poll;
    int events;           /* polled for */
    bool manual;          /* a stream or COPY drives it: events wake `lease` */
    enum role group_role; /* as whom the open group runs */
    int64_t group_account;
    struct flight *ring; /* what was sent and not answered, oldest first */
    size_t ring_cap;     /* a power of two */
    size_t head;
    size_t tail;
    size_t stmts;           /* FLIGHT_STMTs in the ring */
    size_t writes;          /* of them, not reads */
    nsec_t progress;        /* when something was last received */
    struct list answered;   /* requests whose Sync is not yet answered */
    PGresult *group_error;  /* first error since the last Sync */
    struct db_lease *lease; /* CONN_LEASED */
};

/* Makes one, in CONN_WAITING, to be started at once. */
struct conn *conn_new(struct pool *p, struct group *g);

/* Closes its socket with FATE_SHUTDOWN for what is under way, and frees it. */
void conn_close(struct conn *c);

/* How long to wait before the next attempt. */
nsec_t conn_backoff(const struct conn *c);

/* Begins to connect. */
void conn_start(struct conn *c);

/* One step of the handshake, when its socket is ready. */
void conn_connect_step(struct conn *c);

/* Sends Prepare and Describe for every statement of its group. False: it broke. */
bool conn_prepare_all(struct conn *c);

/* The answer of a FLIGHT_PREPARE or FLIGHT_DESCRIBE. False: it does not fit, the connection is
 * broken. */
bool conn_take_prepared(struct conn *c, const struct flight *f, const PGresult *res);

void conn_move(struct conn *c, enum conn_state to);

/* Closes the socket, gives back all that was under way, and plans the next attempt. `fate` is for
 * requests that can not be sent again: FATE_LOST, FATE_TIMEOUT, or FATE_SHUTDOWN when we close it
 * on purpose, which is not logged. */
void conn_break(struct conn *c, enum fate fate, const char *why);

/* Puts one request, whose arguments were checked, behind what was sent already. The connection
 * takes care of it, also when it breaks at that. */
void conn_send(struct conn *c, struct request *q);

/* Ends the open group: one Sync, and a flush. */
void conn_sync(struct conn *c);

/* Sends a statement of ours whose answer only matters when it fails. */
bool conn_send_internal(struct conn *c, const struct db_stmt *stmt, struct db_args args,
                        enum flight_kind kind);

/* Sends set_config for this caller unless the open group runs as them already. */
bool conn_send_identity(struct conn *c, int64_t account, enum role role);

/* Writes what libpq holds; polls for writing when the socket is full. */
void conn_flush(struct conn *c);

/* Chooses what the socket is polled for: UV_READABLE, UV_WRITABLE, 0. */
void conn_poll(struct conn *c, int events);

struct flight *conn_push_flight(struct conn *c, enum flight_kind kind);

static inline size_t
conn_in_flight(const struct conn *c)
{
    return c->tail - c->head;
}

/* ---- the pool ----------------------------------------------------------------------------------
 */

enum counter {
    COUNT_STATEMENTS,
    COUNT_FAILURES,
    COUNT_SYNCS,
    COUNT_FLUSHES,
    COUNT_IDENTITIES,
    COUNT_CONNECTS,
    COUNT_CONNECT_FAILURES,
    COUNT_LOST,
    COUNT_RETRIED_READS,
    COUNT_RETRIED_TX,
    COUNT_DETACHED,
    COUNT_TIMEOUTS,
    COUNT_REFUSED,
    COUNT_GATHERED_ROWS,
    COUNT_GATHERED_BATCHES,
    COUNT_NOTIFICATIONS,
    /* not counters but present values: */
    GAUGE_IN_FLIGHT,
    GAUGE_QUEUED,
    GAUGE_STATE, /* one each of enum conn_state */
    COUNTERS = GAUGE_STATE + CONN_STATES,
};

struct stmt_counters {
    atomic_uint_fast64_t calls;
    atomic_uint_fast64_t failures;
    atomic_uint_fast64_t rows;
    atomic_uint_fast64_t total_ns;
};

struct pool {
    size_t refs; /* attached, requests, leases, listeners, gathers */
    struct db *db;
    struct reactor *reactor;
    struct group groups[GROUP_COUNT];
    struct turn_hook hook; /* sends what was queued in this turn */
    struct stop_hook stop;
    struct timer janitor;
    bool closing;
    atomic_bool healthy;
    struct cond became_healthy;
    size_t n_plans;
    struct row_plan *plans;     /* by statement id */
    struct list free_requests;  /* of one item */
    struct list lease_waiters;  /* struct db_lease */
    struct list listeners;      /* struct db_listener */
    int calling_listeners;      /* depth: the list must stay as it is */
    struct arena scratch;       /* arguments being encoded */
    struct value_params params; /* the same */
    atomic_uint_fast64_t counters[COUNTERS];
    struct stmt_counters *stmt_counters; /* by statement id */
};

static inline struct pool *
pool_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_DB);
}

static inline void
pool_count(struct pool *p, enum counter c)
{
    counter_add(&p->counters[c], 1);
}

void pool_ref(struct pool *p);
void pool_unref(struct pool *p);

/* Sends what is queued at the end of this turn. */
void pool_wants_turn(struct pool *p);

/* A connection has become ready, has room again, or was given back. */
void pool_conn_ready(struct conn *c);

/* A connection broke, or was made: db_healthy is looked at again. */
void pool_update_health(struct pool *p);

/* The janitor should come soon, for what waits or is under way, or at that instant at the latest.
 */
void pool_wants_janitor(struct pool *p);
void pool_wants_janitor_at(struct pool *p, nsec_t at);

/* The primary's, or the replica's when the request may and a connection is there. */
struct group *pool_group_for(struct pool *p, const struct request *q);

/* Puts a request into its group's queue, at the end or in front of all. */
void pool_enqueue(struct pool *p, struct request *q, bool in_front);

/* Takes one out that is queued. */
void pool_dequeue(struct request *q);

#endif
