/* Private to counts/: rows that are not shown, and each reactor's memory. */
#ifndef LUNA_COUNTS_COUNTS_PRIVATE_H
#define LUNA_COUNTS_COUNTS_PRIVATE_H

#include "base/list.h"
#include "counts/counts.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "run/timer.h"

/* ---- rows ------------------------------------------------------------------------------------ */

struct counts_holds {
    int64_t first;
    int64_t second;
};

struct counts_refused {
    int64_t place; /* from 1 */
    int16_t outcome;
};

struct counts_announced {
    int32_t dpu_id;
    usec_t upto;
};

/* A current count, and the snapshot it is as of. */
struct counts_learned {
    int64_t space_id;
    int64_t count;
    int64_t entrances;
    int64_t exits;
    int32_t capacity;
    const char *snapshot;
};

/* A DPU's readings from `starts_at` to `ends_at` (exclusive) count for a space. */
struct counts_part {
    int64_t space_id;
    int32_t dpu_id;
    int32_t sign;
    usec_t starts_at;
    usec_t ends_at;
};

/* What a transaction changed. The first row of an answer is there in any case and tells the
 * snapshot it was made with. */
struct counts_pulse {
    const char *snapshot;
    int64_t floor;
    int64_t xid;
    bool has_xid;
    usec_t first_at;
    bool has_first_at; /* not: all may be different */
    usec_t last_at;
    struct db_array dpus;
    struct db_array ns;
    struct db_array nets;
};

struct counts_extent {
    usec_t first_at;
    bool has_first_at;
    usec_t seen_until;
    bool has_seen_until;
};

struct counts_rebuilt {
    int64_t account_id;
    int32_t dpu_id;
    int64_t made;
};

struct counts_edge {
    usec_t at;
};

/* A count, and up to where its account's readings are gone. */
struct counts_value_at {
    int64_t count;
    int64_t entrances;
    int64_t exits;
    int32_t capacity;
    usec_t horizon;
    int32_t grain_seconds;
};

/* Some readings that went through at once. */
struct counts_step {
    usec_t at;
    int64_t entrances;
    int64_t exits;
};

/* A calibration beside what was counted then. */
struct counts_known_point {
    usec_t at;
    int64_t known;
    double deviation;
    int64_t count;
    int64_t passed; /* readings until then */
};

struct counts_rolling {
    int32_t next_dpu;
    bool more;
    int64_t readings;
    int64_t sums;
    bool busy;
};

/* ---- each reactor's memory --------------------------------------------------------------------
 */

/* A checkpoint is made for each so many readings of a DPU. */
#define COUNTS_EVERY 128

struct counts_tally;  /* readings since the last checkpoint, by DPU: counts_checkpoint.c */
struct counts_told;   /* what is to be told to watchers: counts_tell.c */
struct counts_memory; /* current counts: counts_current.c */
struct counts_prune;  /* accounts with pulses: counts_prune.c */

struct counts_reactor {
    struct reactor *reactor;
    struct db_gather *ingest;
    struct counts_memory *memory;
    struct counts_prune *prune;
    struct counts_tally *tally;
    struct counts_told *told;
    struct list watchers; /* struct watcher: counts_watch.c */
    struct db_listener *listener;
    struct timer poll;
    struct timer roll; /* counts_retention.c */
    nsec_t roll_every;
};

struct counts_reactor *counts_of(const struct reactor *r);

/* counts_checkpoint.c: these readings were stored. Suspend: never. */
void counts_tally_add(struct counts_reactor *c, int64_t account_id, int32_t dpu_id, usec_t at);
void counts_tally_init(struct counts_reactor *c);
void counts_tally_fini(struct counts_reactor *c);

/* Until every transaction that is running has ended. Suspends: may. */
enum status counts_wait_for_others(struct ctx *ctx) WARN_UNUSED;

/* counts_retention.c: the newest end of a grain that is not behind `at`, where readings are gone;
 * `at` where they are not. Suspends: never. */
usec_t counts_policy_floor(const struct counts_policy *p, usec_t at);

/* Inside of a transaction: the horizon stays where it is; counts_get_policy tells where. */
enum status counts_hold_horizon(struct ctx *ctx) WARN_UNUSED;

/* Behind counts_hold_horizon: fails when something about the DPU would change from `from` on, and
 * that is before the horizon. */
enum status counts_check_changeable(struct ctx *ctx, int32_t dpu_id, usec_t from) WARN_UNUSED;

/* READINGS_ROLLED_OFF. */
enum status counts_fail_rolled_off(struct ctx *ctx, const char *what, usec_t horizon);

/* counts_read.c: the first instant of which something is left of a space's readings, a grain's
 * beginning where they are gone; DB_INFINITY: there was none. Suspends: may. */
enum status counts_first_at(struct ctx *ctx, int64_t space_id, usec_t *ret) WARN_UNUSED;

void counts_retention_init(struct counts_reactor *c);
void counts_retention_fini(struct counts_reactor *c);

/* counts_tell.c: tells the watchers of all servers, a moment later and together with what else
 * happens in it, that readings were stored, or that counts of the account changed in an interval.
 * Suspend: never. */
void counts_tell_reading(struct counts_reactor *c, int64_t account_id, int32_t dpu_id, usec_t at);
void counts_tell_correction(struct counts_reactor *c, int64_t account_id, usec_t from, usec_t to);
void counts_tell_init(struct counts_reactor *c);
void counts_tell_fini(struct counts_reactor *c);

/* counts_current.c */
void counts_memory_init(struct counts_reactor *c);
void counts_memory_fini(struct counts_reactor *c);

/* counts_prune.c: the account has stored readings, so it leaves pulses. Suspend: never. */
void counts_prune_later(struct counts_reactor *c, int64_t account_id);
void counts_prune_init(struct counts_reactor *c);
void counts_prune_fini(struct counts_reactor *c);

/* counts_watch.c */
void counts_watch_init(struct counts_reactor *c);
void counts_watch_fini(struct counts_reactor *c);

/* counts.c: a name or another text of at most COUNTS_MAX_NAME characters. */
enum status counts_check_text(struct ctx *ctx, const char *field, const char *text, size_t least,
                              size_t most) WARN_UNUSED;
enum status counts_check_zone(struct ctx *ctx, const char *field, const char *zone) WARN_UNUSED;
enum status counts_check_dpu(struct ctx *ctx, int64_t dpu_id) WARN_UNUSED;

/* counts_ingest.c: from a reading to what the statement takes. */
int16_t counts_dedupe_code(const struct counts_reading *r, enum counts_dedupe dedupe);

#endif
