/*
 * A connection that belongs to one fiber for a while: transactions, streams, COPY. Private to db/.
 */
#ifndef LUNA_DB_LEASE_H
#define LUNA_DB_LEASE_H

#include "db/pool.h"

struct db_lease {
    struct list link; /* in pool->lease_waiters */
    struct pool *pool;
    struct fiber *fiber;         /* whose it is */
    struct conn *conn;           /* NULL: not yet, or it broke */
    bool gave_up;                /* no connection came in time */
    const struct db_stmt *begin; /* of which isolation level */
    bool begun;                  /* BEGIN has been sent */
    bool failed;                 /* a statement failed: it cannot commit any more */
    bool conflict;               /* for a conflict with others: it may be tried again */
    bool commit_sent;
    nsec_t expires;    /* to get a connection */
    nsec_t wait_until; /* a manual wait: then the connection is broken */
    bool timed_out;    /* it was */
};

/* Gets a connection in CONN_LEASED. Suspends: may. Fails: DB_UNAVAILABLE. */
enum status lease_acquire(struct ctx *ctx, struct db_lease **ret) WARN_UNUSED;

/* Gives it back; a connection that still has something under way is given back when that is over.
 */
void lease_release(struct db_lease *l);

/* Closes the connection as well, on purpose: what is under way on it would take too long to end. */
void lease_abandon(struct db_lease *l);

/* For connections in manual mode: waits until the socket can be read (or written as well, when
 * `writable`) or the database timeout is over, which closes the connection. Suspends: once. Fails:
 * DB_UNAVAILABLE, DB_TIMEOUT. */
enum status lease_wait(struct ctx *ctx, struct db_lease *l, bool writable) WARN_UNUSED;

/* For the pool: a connection is free or was lost, or the janitor looks for those who waited too
 * long. */
void lease_serve(struct pool *p);
void lease_expire(struct pool *p, nsec_t now);

/* Its connection has broken. */
void lease_lost(struct db_lease *l);

/* verb_run inside of a transaction. */
enum status tx_run(struct ctx *ctx, const struct db_item *items, size_t n,
                   struct request **ret) WARN_UNUSED;

/* db_tx_at with a number of tries. */
enum status tx_do(struct ctx *ctx, enum db_isolation level, db_tx_fn fn, void *arg,
                  int max_tries) WARN_UNUSED;

/* Makes sure that the transaction has begun and nothing of it is under way. */
enum status tx_settle(struct ctx *ctx, struct db_lease *l) WARN_UNUSED;

#endif
