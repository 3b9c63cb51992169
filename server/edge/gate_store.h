/*
 * Epochs in Postgres: what Redis may spend, what has arrived, who must report. The statements are
 * in gate.sql, what they mean stands in migrations/0008_quota_gate.
 *
 * Every function suspends once and fails as db/db.h says.
 */
#ifndef LUNA_EDGE_GATE_STORE_H
#define LUNA_EDGE_GATE_STORE_H

#include "db/db.h"
#include "edge/gate.h"

extern const struct db_sql gate_sql;

/* What applies to the calls of an account: of its plan. */
struct gate_limits {
    int64_t account_capacity; /* 0: no rate limit */
    int64_t account_unit_us;
    int64_t key_capacity;
    int64_t key_unit_us;
    int64_t concurrent_calls; /* 0: any number */
    bool report_only;
};

enum status gate_store_limits(struct ctx *ctx, int64_t account_id, struct gate_limits *ret,
                              bool *ret_found) WARN_UNUSED;

enum gate_opened { GATE_OPENED, GATE_OPEN_WAIT, GATE_OPEN_NO_ACCOUNT };

/* A new epoch that may spend `chunk` units at first. `seen`: the newest that the caller has seen in
 * Redis, 0: none. GATE_OPEN_WAIT: another one is just being put there. */
enum status gate_store_open(struct ctx *ctx, int64_t account_id, int64_t seen, int64_t chunk,
                            struct gate_epoch *ret, enum gate_opened *ret_what) WARN_UNUSED;

/* Takes in a flush (flush 0: none) and tells what holds now. *ret_open false: the epoch is closed.
 * *ret_added: units that were new. */
enum status gate_store_settle(struct ctx *ctx, int64_t account_id, const struct gate_flush *f,
                              int64_t chunk, struct gate_epoch *ret, bool *ret_open,
                              int64_t *ret_added) WARN_UNUSED;

enum status gate_store_retire(struct ctx *ctx, int64_t account_id, int64_t epoch, int64_t grant_no,
                              int64_t spent) WARN_UNUSED;

struct gate_report {
    int64_t account_id;
    int64_t epoch;
    size_t count;
    const int64_t *flushes;
    const char *const *fields;
    const int64_t *units;
};
enum status gate_store_report(struct ctx *ctx, int64_t actor_id, const struct gate_report *r,
                              double dead_s) WARN_UNUSED;
enum status gate_store_alive(struct ctx *ctx, int64_t account_id, int64_t epoch) WARN_UNUSED;

struct gate_task {
    const char *kind; /* "report", "sync" */
    int64_t account_id;
    int64_t epoch;
};
enum status gate_store_beat(struct ctx *ctx, int64_t actor_id, double quiet_s, double dead_s,
                            struct gate_task **ret, size_t *ret_n) WARN_UNUSED;
enum status gate_store_leave(struct ctx *ctx, int64_t actor_id) WARN_UNUSED;

/* Appends to the account's events. */
enum status gate_store_event(struct ctx *ctx, int64_t account_id, const char *kind,
                             const char *json) WARN_UNUSED;

#endif
