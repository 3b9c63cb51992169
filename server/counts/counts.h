/*
 * People counts: spaces, doorways, door sensors (DPUs), their assignments, their readings, and how
 * many people are where. docs/counts.md says how counts are made; migrations/0004_counts how they
 * are stored.
 *
 * Everything is of the account ctx->who. Instants are microseconds since 1970; -DB_INFINITY and
 * DB_INFINITY stand for "always" and "still". What is returned lives in ctx->arena.
 *
 * Thread: a reactor's. Suspends: may, unless it says otherwise.
 */
#ifndef LUNA_COUNTS_COUNTS_H
#define LUNA_COUNTS_COUNTS_H

#include <stdio.h>

#include "db/db.h"
#include "run/ctx.h"

struct list_request;
struct reactor;
struct rpc_service;

extern const struct db_sql counts_sql;
extern const struct db_sql counts_roll_sql;
extern const struct rpc_service counts_service;

#define COUNTS_MAX_NAME    200
#define COUNTS_MAX_BATCH   10000
#define COUNTS_MAX_EVENT   200                      /* bytes of an event id */
#define COUNTS_MAX_SKEW_US (INT64_C(600) * 1000000) /* a clock may be ahead by so much */
#define COUNTS_MAX_BUCKETS 10000
#define COUNTS_MAX_WATCHED 100
#define COUNTS_GRAIN       3600 /* seconds of a roll-up, unless the account says otherwise */

/* The reactor's gathered writes, checkpoint maker and watchers (SLOT_COUNTS). After db_attach;
 * detached when its fibers have ended. */
void counts_attach(struct reactor *r);
void counts_detach(struct reactor *r);

/* ---- spaces, doorways, DPUs ------------------------------------------------------------------ */

struct counts_space {
    int64_t space_id;
    const char *name;
    int32_t capacity;  /* 0: not known */
    int64_t parent_id; /* 0: none */
    const char *time_zone;
    usec_t created_at;
    usec_t updated_at;
};

struct counts_doorway {
    int64_t doorway_id;
    const char *name;
    int64_t ingress_space_id;
    int64_t egress_space_id; /* 0: outside */
    usec_t created_at;
    usec_t updated_at;
};

struct counts_dpu {
    int32_t dpu_id;
    const char *name;
    const char *serial;
    usec_t created_at;
    usec_t updated_at;
};

/* What an update changes: NULL texts and false flags stay. `updated_at`: only while it is this one,
 * the etag; 0: in any case. */
struct counts_space_change {
    int64_t space_id;
    const char *name;
    bool has_capacity;
    int32_t capacity;
    bool has_parent;
    int64_t parent_id;
    const char *time_zone;
    usec_t updated_at;
};

struct counts_doorway_change {
    int64_t doorway_id;
    const char *name;
    bool has_ingress;
    int64_t ingress_space_id;
    bool has_egress;
    int64_t egress_space_id;
    usec_t updated_at;
};

struct counts_dpu_change {
    int32_t dpu_id;
    const char *name;
    const char *serial;
    usec_t updated_at;
};

/* Fail: BAD_FIELD, SPACE_NOT_FOUND (the parent), CHANGED_MEANWHILE, IN_USE. */
enum status counts_create_space(struct ctx *ctx, const struct counts_space *in,
                                struct counts_space *ret) WARN_UNUSED;
enum status counts_get_space(struct ctx *ctx, int64_t space_id,
                             struct counts_space *ret) WARN_UNUSED;
enum status counts_list_spaces(struct ctx *ctx, const struct list_request *list,
                               struct counts_space **ret, size_t *ret_n,
                               const char **ret_next) WARN_UNUSED;
enum status counts_update_space(struct ctx *ctx, const struct counts_space_change *change,
                                struct counts_space *ret) WARN_UNUSED;
enum status counts_delete_space(struct ctx *ctx, int64_t space_id, bool force) WARN_UNUSED;

/* Up to `limit` ids above `after`, in order. */
enum status counts_space_ids(struct ctx *ctx, int64_t after, int32_t limit, int64_t **ret,
                             size_t *ret_n) WARN_UNUSED;

/* Fail: BAD_FIELD, SPACE_NOT_FOUND, DOORWAY_NOT_FOUND, CHANGED_MEANWHILE, IN_USE. */
enum status counts_create_doorway(struct ctx *ctx, const struct counts_doorway *in,
                                  struct counts_doorway *ret) WARN_UNUSED;
enum status counts_get_doorway(struct ctx *ctx, int64_t doorway_id,
                               struct counts_doorway *ret) WARN_UNUSED;
enum status counts_list_doorways(struct ctx *ctx, const struct list_request *list,
                                 struct counts_doorway **ret, size_t *ret_n,
                                 const char **ret_next) WARN_UNUSED;
enum status counts_update_doorway(struct ctx *ctx, const struct counts_doorway_change *change,
                                  struct counts_doorway *ret) WARN_UNUSED;
enum status counts_delete_doorway(struct ctx *ctx, int64_t doorway_id, bool force) WARN_UNUSED;

/* Fail: BAD_FIELD, DPU_EXISTS, DPU_NOT_FOUND, CHANGED_MEANWHILE, IN_USE. */
enum status counts_create_dpu(struct ctx *ctx, const struct counts_dpu *in,
                              struct counts_dpu *ret) WARN_UNUSED;
enum status counts_get_dpu(struct ctx *ctx, int64_t dpu_id, struct counts_dpu *ret) WARN_UNUSED;
enum status counts_list_dpus(struct ctx *ctx, const struct list_request *list,
                             struct counts_dpu **ret, size_t *ret_n,
                             const char **ret_next) WARN_UNUSED;
enum status counts_update_dpu(struct ctx *ctx, const struct counts_dpu_change *change,
                              struct counts_dpu *ret) WARN_UNUSED;
enum status counts_delete_dpu(struct ctx *ctx, int64_t dpu_id, bool force) WARN_UNUSED;

/* The etag of something that was updated then, and back. Suspend: never. */
const char *counts_etag(struct arena *a, usec_t updated_at);
enum status counts_etag_parse(struct ctx *ctx, const char *etag, usec_t *ret) WARN_UNUSED;

/* ---- assignments ----------------------------------------------------------------------------- */

struct counts_assignment {
    int64_t assignment_id;
    int32_t dpu_id;
    int64_t doorway_id;
    usec_t starts_at; /* inclusive */
    usec_t ends_at;   /* exclusive */
    usec_t recorded_at;
};

struct counts_assignment_change {
    int64_t dpu_id;
    int64_t assignment_id;
    int64_t doorway_id; /* 0: it stays */
    bool has_starts_at;
    usec_t starts_at;
    bool has_ends_at;
    usec_t ends_at;
};

/* Fail: BAD_FIELD, DPU_NOT_FOUND, DOORWAY_NOT_FOUND, ASSIGNMENT_NOT_FOUND, ASSIGNMENT_OVERLAPS,
 * READINGS_ROLLED_OFF when counts before the horizon would change. */
enum status counts_assign(struct ctx *ctx, const struct counts_assignment *in,
                          struct counts_assignment *ret) WARN_UNUSED;
enum status counts_list_assignments(struct ctx *ctx, int64_t dpu_id, usec_t after, int32_t limit,
                                    struct counts_assignment **ret, size_t *ret_n) WARN_UNUSED;
enum status counts_correct(struct ctx *ctx, const struct counts_assignment_change *change,
                           struct counts_assignment *ret) WARN_UNUSED;
enum status counts_unassign(struct ctx *ctx, int64_t dpu_id, int64_t assignment_id) WARN_UNUSED;

/* Ends the assignment that `dpu_id` has at `at` and, unless doorway_id is 0, begins another. */
enum status counts_move(struct ctx *ctx, int64_t dpu_id, int64_t doorway_id, usec_t at,
                        struct counts_assignment *ret) WARN_UNUSED;

/* ---- readings -------------------------------------------------------------------------------- */

/* luna.v1.Dedupe; NONE, EVENT_ID and EXACT are what the database calls them less one. */
enum counts_dedupe { DEDUPE_DEFAULT, DEDUPE_NONE, DEDUPE_EVENT_ID, DEDUPE_EXACT };

/* luna.v1.ReadingOutcome */
enum counts_outcome {
    OUTCOME_STORED = 1,
    OUTCOME_DUPLICATE,
    OUTCOME_UNKNOWN_DPU,
    OUTCOME_BAD_DIRECTION,
    OUTCOME_BAD_TIMESTAMP,
    OUTCOME_BAD_EVENT_ID,
    OUTCOME_ROLLED_OFF,
};

struct counts_reading {
    int64_t dpu_id;
    usec_t at;
    int32_t direction;
    const char *event_id; /* "" or NULL: none */
    int32_t tag;          /* of stored ones */
    usec_t received_at;   /* of stored ones */
};

struct counts_summary {
    int64_t received;
    int64_t stored;
    int64_t duplicates;
    int64_t rejected;
    int64_t repeated;
};

/* A reading that was not stored. */
struct counts_result {
    int64_t index;
    enum counts_outcome outcome;
};

/* What is wrong with it in itself; OUTCOME_STORED: nothing. Suspends: never. */
enum counts_outcome counts_reading_check(const struct counts_reading *r, enum counts_dedupe dedupe);

/* One reading, in a transaction with others that are in flight. Fails: BAD_FIELD, DPU_NOT_FOUND,
 * READINGS_ROLLED_OFF. */
enum status counts_ingest_one(struct ctx *ctx, const struct counts_reading *r,
                              enum counts_dedupe dedupe, enum counts_outcome *ret) WARN_UNUSED;

/* Up to COUNTS_MAX_BATCH readings in one transaction. *ret_results are those that were not stored,
 * in order; *sum is added to. */
enum status counts_ingest(struct ctx *ctx, const struct counts_reading *readings, size_t n,
                          enum counts_dedupe dedupe, struct counts_summary *sum,
                          struct counts_result **ret_results, size_t *ret_n) WARN_UNUSED;

/* A whole file, CSV or NDJSON: see counts_upload.c. *ret_results: the first 100 rejected. */
enum status counts_import(struct ctx *ctx, struct str file, bool ndjson, enum counts_dedupe dedupe,
                          struct counts_summary *sum, struct counts_result **ret_results,
                          size_t *ret_n) WARN_UNUSED;

/* Fails: READING_NOT_FOUND; READINGS_ROLLED_OFF when it may have been one before the horizon. */
enum status counts_get_reading(struct ctx *ctx, int64_t dpu_id, usec_t at, int32_t tag,
                               struct counts_reading *ret) WARN_UNUSED;
enum status counts_list_readings(struct ctx *ctx, const struct list_request *list,
                                 struct counts_reading **ret, size_t *ret_n,
                                 const char **ret_next) WARN_UNUSED;

/* ---- counts ---------------------------------------------------------------------------------- */

struct counts_value {
    int64_t count;
    int64_t entrances;
    int64_t exits;
    int32_t capacity; /* of the space; 0: not known */
    usec_t at;        /* of counts_at: the instant of which it is the count */
    bool rolled_off;  /* raw readings are gone: `at` is the end of a roll-up, not behind what was
                         asked */
};

/* By everything received so far, by any server. Callers of an account share a statement, which
 * begins after each of them has come. Fails: SPACE_NOT_FOUND. */
enum status counts_current(struct ctx *ctx, int64_t space_id, struct counts_value *ret) WARN_UNUSED;

/* The same for `n` spaces at one instant; ret_found[i]: there is such a space. */
enum status counts_current_of(struct ctx *ctx, const int64_t *spaces, size_t n,
                              struct counts_value *ret, bool *ret_found) WARN_UNUSED;

/* At `at`, inclusive, by what was known at `known_at` (DB_INFINITY: now). Before the horizon: at
 * the newest end of a roll-up not behind `at`. Fails: SPACE_NOT_FOUND; READINGS_ROLLED_OFF for a
 * `known_at` before the roll-off. */
enum status counts_at(struct ctx *ctx, int64_t space_id, usec_t at, usec_t known_at,
                      struct counts_value *ret) WARN_UNUSED;

/* One reading of the history of a space, with the sign it has there. */
struct counts_event {
    usec_t at;
    int32_t dpu_id;
    int32_t tag;
    int32_t delta;
    int64_t count; /* after it */
};

struct counts_range {
    int64_t space_id;
    usec_t from;     /* inclusive */
    usec_t to;       /* exclusive */
    usec_t known_at; /* DB_INFINITY: now */
};

/* Behind which event a page begins; `at` -DB_INFINITY: at the first. */
struct counts_cursor {
    usec_t at;
    int32_t dpu_id;
    int32_t tag;
    int64_t count; /* after it */
};

/* Up to `limit` events behind `after`. A range without beginning begins at the horizon. Fails:
 * SPACE_NOT_FOUND; READINGS_ROLLED_OFF for what begins before. */
enum status counts_events(struct ctx *ctx, const struct counts_range *range,
                          const struct counts_cursor *after, int32_t limit,
                          struct counts_event **ret, size_t *ret_n) WARN_UNUSED;

/* Calls `fn` for each event in order, what it points at being good for the call alone. Fails as
 * counts_events, also behind the last event when the horizon has passed them meanwhile. */
typedef enum status (*counts_event_fn)(void *arg, const struct counts_event *e);
enum status counts_each_event(struct ctx *ctx, const struct counts_range *range, counts_event_fn fn,
                              void *arg) WARN_UNUSED;

struct counts_bucket {
    usec_t starts_at;
    usec_t ends_at;
    int64_t entrances;
    int64_t exits;
    int64_t first;
    int64_t last;
    int64_t min;
    int64_t max;
    double mean;
    bool final;
    bool rolled_off; /* min, max and mean know the counts at the ends of roll-ups only */
};

/* The history in buckets of `width` ("15m", "1d", "1mo") in `zone` (NULL: the space's). `to` may be
 * DB_INFINITY (now), `from` -DB_INFINITY (the first reading). `lateness_s` is for `final`.
 * Before the horizon buckets must begin and end with roll-ups.
 * Fails: BAD_FIELD "bucket", "time_zone", "from"; SPACE_NOT_FOUND; READINGS_ROLLED_OFF. */
enum status counts_buckets(struct ctx *ctx, const struct counts_range *range, const char *width,
                           const char *zone, int64_t lateness_s, struct counts_bucket **ret,
                           size_t *ret_n) WARN_UNUSED;

/* ---- watching -------------------------------------------------------------------------------- */

enum counts_change_kind { CHANGE_SNAPSHOT = 1, CHANGE_READINGS, CHANGE_CORRECTION };

struct counts_change {
    int64_t space_id;
    enum counts_change_kind kind;
    int64_t old_count;
    int64_t count;
    usec_t changed_from; /* DB_INFINITY: not known */
    usec_t changed_to;   /* DB_INFINITY: up to now */
    usec_t observed_at;
};

/* Called on the watcher's fiber; it may suspend. */
typedef enum status (*counts_change_fn)(void *arg, const struct counts_change *change);

/* Tells each change of the spaces until `fn` fails or ctx ends. `known[i]` is the count that the
 * watcher has seen of spaces[i] where resumed[i]; both are read at the beginning only.
 * Fails: SPACE_NOT_FOUND. */
enum status counts_watch(struct ctx *ctx, const int64_t *spaces, size_t n, const int64_t *known,
                         const bool *resumed, counts_change_fn fn, void *arg) WARN_UNUSED;

/* ---- health, calibrations -------------------------------------------------------------------- */

struct counts_health {
    int32_t dpu_id;
    bool has_last_seen_at;
    usec_t last_seen_at;
    bool has_last_received_at;
    usec_t last_received_at;
    int64_t recent;   /* readings of the last week */
    int64_t outwards; /* of them, those of direction -1 */
    int64_t unassigned;
    int64_t doorway_id; /* 0: nowhere */
    bool outer;         /* that doorway leads outside */
};

enum status counts_list_health(struct ctx *ctx, int64_t after, int32_t limit,
                               struct counts_health **ret, size_t *ret_n) WARN_UNUSED;

struct counts_calibration {
    int64_t space_id;
    usec_t at;
    int64_t count;
    double deviation;
    const char *note;
    usec_t recorded_at;
};

/* Fails: BAD_FIELD, SPACE_NOT_FOUND, READINGS_ROLLED_OFF. */
enum status counts_calibrate(struct ctx *ctx, const struct counts_calibration *in,
                             struct counts_calibration *ret) WARN_UNUSED;
enum status counts_list_calibrations(struct ctx *ctx, int64_t space_id,
                                     struct counts_calibration **ret, size_t *ret_n) WARN_UNUSED;

struct counts_estimate {
    usec_t at; /* as of counts_at */
    int64_t count;
    double estimate;
    double deviation;
    int64_t calibrations;
};

/* How fast the drift (the true count less the counted one) walks away: see counts_care.c. */
struct counts_drift {
    double error_rate;     /* variance of a reading: the part of them that is wrong; (0, 1] */
    double daily_variance; /* of a day, besides; 0 and more */
};

/* The count corrected by the calibrations up to `at`. Fails: BAD_FIELD, SPACE_NOT_FOUND. */
enum status counts_estimate(struct ctx *ctx, int64_t space_id, usec_t at,
                            const struct counts_drift *drift,
                            struct counts_estimate *ret) WARN_UNUSED;

/* ---- retention ------------------------------------------------------------------------------- */

/* How long an account keeps its raw readings. */
struct counts_policy {
    int32_t retention_days; /* 0: for ever */
    int32_t grain_seconds;  /* of the roll-up */
    usec_t horizon;         /* raw readings before it are gone; -DB_INFINITY: all are there */
    usec_t announced_at;    /* when it was moved last */
};

struct counts_policy_change {
    bool has_retention_days;
    int32_t retention_days; /* 0 to 36500 */
    int32_t grain_seconds;  /* 900, 1800, 3600, 86400; 0: it stays */
};

enum status counts_get_policy(struct ctx *ctx, struct counts_policy *ret) WARN_UNUSED;

/* Fails: BAD_FIELD, also for grains that are shorter than those of what is gone already. */
enum status counts_set_policy(struct ctx *ctx, const struct counts_policy_change *c,
                              struct counts_policy *ret) WARN_UNUSED;

struct counts_rolled {
    usec_t horizon; /* 0: there was nothing to do */
    int64_t readings;
    int64_t sums; /* that stay in their place */
    bool busy;    /* somebody else is at it: not all was done */
};

/* Rolls off what the account does not keep any more. Changes no count; may be stopped anywhere and
 * begun again. */
enum status counts_roll_off(struct ctx *ctx, struct counts_rolled *ret) WARN_UNUSED;

/* What counts_roll_off would do. */
enum status counts_roll_off_plan(struct ctx *ctx, struct counts_rolled *ret) WARN_UNUSED;

/* On one reactor of each server, behind counts_attach: all accounts' roll-off again and again;
 * 0: never. Suspends: never. */
void counts_roll_off_every(struct reactor *r, nsec_t interval);

/* `luna-server admin roll-off-counts [--dry-run]`, as the owner of the schema: a line for each
 * account with a retention. */
enum status counts_admin_roll_off(struct ctx *ctx, bool dry_run, FILE *out) WARN_UNUSED;

/* `luna-server admin rebuild-counts`, as the owner of the schema: makes all checkpoints of all
 * accounts anew from the readings, and says how many to `out`. No answer changes, before, while or
 * after. */
enum status counts_admin_rebuild(struct ctx *ctx, FILE *out) WARN_UNUSED;

#endif
