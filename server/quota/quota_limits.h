/*
 * Plans, usage, the log of events, and reservations.
 *
 * Thread: a reactor's. Every function suspends and fails as db/db.h says, besides what is said
 * beside it.
 */
#ifndef LUNA_QUOTA_QUOTA_LIMITS_H
#define LUNA_QUOTA_QUOTA_LIMITS_H

#include "db/db.h"
#include "edge/list.h"
#include "quota/quota.h"

struct plan {
    int64_t plan_id;
    const char *plan_name;
    int64_t quota_limit;
    const char *quota_period; /* "total", "day", "week", "month", "year" */
    int64_t account_capacity; /* units at once; 0: no rate */
    int64_t account_unit_us;  /* in which one unit comes back */
    int64_t key_capacity;
    int64_t key_unit_us;
    int64_t concurrent_calls; /* 0: any number */
    bool report_only;
    usec_t created_at;
    usec_t updated_at;
};

/* For a transaction that changes the plan: it is locked until its end. Fails: PLAN_NOT_FOUND. */
enum status quota_plan_lock(struct ctx *ctx, int64_t plan_id, struct plan *ret) WARN_UNUSED;
/* Makes a plan (plan_id 0), or replaces it. The rates are right. Fails: BAD_FIELD, also with what
 * is noted in ctx already; PLAN_EXISTS, PLAN_NOT_FOUND. */
enum status quota_plan_put(struct ctx *ctx, const struct plan *plan, struct plan *ret) WARN_UNUSED;
enum status quota_plan_get(struct ctx *ctx, int64_t plan_id, struct plan *ret) WARN_UNUSED;
enum status quota_plan_list(struct ctx *ctx, const struct list_request *list, struct plan **ret,
                            size_t *ret_n, const char **ret_next) WARN_UNUSED;
/* updated_at: only while the plan's is this one; 0: in any case. Fails: PLAN_NOT_FOUND, IN_USE,
 * CHANGED_MEANWHILE. */
enum status quota_plan_delete(struct ctx *ctx, int64_t plan_id, usec_t updated_at) WARN_UNUSED;
/* plan_id 0: none. updated_at: only while the account's is this one; 0: in any case. Fails:
 * ACCOUNT_NOT_FOUND, PLAN_NOT_FOUND, CHANGED_MEANWHILE. */
enum status quota_plan_assign(struct ctx *ctx, int64_t account_id, int64_t plan_id,
                              usec_t updated_at, struct account *ret) WARN_UNUSED;

struct usage_now {
    int64_t account_id;
    int64_t quota_limit;
    int64_t quota_used;
    const char *quota_period;
    usec_t period_ends_at; /* DB_INFINITY: never */
    int64_t plan_id;       /* 0: none */
    usec_t read_at;
};

struct usage_units {
    const char *name;
    int64_t units;
};

struct quota_usage {
    struct usage_now now;
    struct usage_units *days;
    size_t day_count;
    struct usage_units *methods;
    size_t method_count;
    usec_t runs_out_at; /* 0: not in this period */
};

/* account_id 0: the caller's own; `days` back, 0: 30. Fails: BAD_FIELD, ACCOUNT_NOT_FOUND. */
enum status quota_usage_read(struct ctx *ctx, int64_t account_id, int32_t days,
                             struct quota_usage *ret) WARN_UNUSED;

/* When `left` units are used up at `used` units in `days` days, after `now`; 0: not before `ends`,
 * or never. */
usec_t quota_forecast(int64_t left, int64_t used, int days, usec_t now, usec_t ends);

struct quota_event {
    int64_t event_id;
    int64_t account_id;
    usec_t occurred_at;
    const char *kind;
    bool has_by_account_id;
    int64_t by_account_id; /* 0: the server */
    const char *data;      /* JSON */
};

enum status quota_events_list(struct ctx *ctx, int64_t account_id, const struct list_request *list,
                              struct quota_event **ret, size_t *ret_n,
                              const char **ret_next) WARN_UNUSED;

/* Events of one account as they happen. */
struct quota_watch;
/* after_id 0: from now on. Ends with the ctx. Fails: ACCOUNT_NOT_FOUND. */
enum status quota_watch_open(struct ctx *ctx, int64_t account_id, int64_t after_id,
                             struct quota_watch **ret) WARN_UNUSED;
/* Waits for the next ones, at least one and at most 100, made in `scratch`. */
enum status quota_watch_next(struct quota_watch *w, struct arena *scratch, struct quota_event **ret,
                             size_t *ret_n) WARN_UNUSED;

struct reservation {
    bool changed;      /* by this call */
    const char *state; /* "held", "committed", "released", "expired" */
    int64_t cost;
    int64_t actual;
    usec_t expires_at;
};

#define QUOTA_MAX_TTL_MS 86400000

/* Fails: BAD_FIELD, QUOTA_SPENT, RATE_LIMITED, CACHE_UNAVAILABLE. */
enum status quota_reserve(struct ctx *ctx, const char *request_id, int64_t cost, int64_t ttl_ms,
                          struct reservation *ret) WARN_UNUSED;
/* Fails: BAD_FIELD, RESERVATION_NOT_FOUND, RESERVATION_ENDED. */
enum status quota_commit(struct ctx *ctx, const char *request_id, int64_t actual,
                         struct reservation *ret) WARN_UNUSED;
enum status quota_release(struct ctx *ctx, const char *request_id,
                          struct reservation *ret) WARN_UNUSED;

#endif
