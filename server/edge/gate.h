/*
 * The limiter's scripts: each function is one script, one decision of Redis. What stands around
 * them (epochs, flushes, what a server remembers) is in gate_state.h; what callers use is in
 * quota_gate.h.
 *
 * Rates are GCRA: a limit of capacity c and period p refills one unit every p microseconds and
 * never holds more than c, so that no window of any length w admits more than c + w / p. Times are
 * Redis', in microseconds; a unit's period is a whole number of them, 1 to 2^45 (407 days) - rates
 * above a million a second are given as a larger cost.
 *
 * Keys: user:{account}:quota holds what remains; user:{account}:epoch, :spent, :flushing, :calls
 * and user:{account}:rate:<name> for each limit. All of an account are in one slot of a cluster.
 *
 * Every function here suspends once and fails with CACHE_UNAVAILABLE or INTERNAL_ERROR; a refusal
 * is not a failure.
 *
 * Thread: the reactor's.
 */
#ifndef LUNA_EDGE_GATE_H
#define LUNA_EDGE_GATE_H

#include "base/clock.h"
#include "cache/script.h"
#include "run/ctx.h"

#define GATE_MAX_LIMITS   8
#define GATE_MAX_NAME     127
#define GATE_MAX_CALLS    256 /* that one question may decide */
#define GATE_MAX_COST     INT64_C(1000000000000)
#define GATE_MAX_CAPACITY INT64_C(1000000000)
#define GATE_MAX_UNIT_US  (INT64_C(1) << 45)
#define GATE_NO_END       INT64_C(9000000000000000) /* a period that never ends, microseconds */

struct gate_limit {
    const char *name; /* "key:7", "account": part of the Redis key; [a-z0-9:._-], GATE_MAX_NAME */
    int64_t capacity; /* burst + 1; 1 to GATE_MAX_CAPACITY */
    int64_t unit_us;  /* microseconds in which one unit comes back; 1 to GATE_MAX_UNIT_US */
    bool report_only; /* would refuse, and is told, but admits */
};

enum gate_verdict {
    GATE_ADMITTED,
    GATE_QUOTA_SPENT,
    GATE_RATE_LIMITED,
    GATE_TOO_MANY_CALLS,
    GATE_NOT_LOADED,  /* the quota of this account is not in Redis: load it, ask again */
    GATE_NEEDS_GRANT, /* it is, but Postgres has not granted so much yet */
    GATE_PERIOD_OVER, /* a new epoch is needed */
};

struct gate_limit_state {
    bool admits;
    int64_t remaining; /* whole units left after this decision */
    nsec_t
        retry_after; /* when refused: from when on the same cost is admitted; NSEC_NEVER: never */
    nsec_t reset_after; /* until the limit is full again */
};

struct gate_decision {
    enum gate_verdict verdict;
    size_t refused_by;       /* GATE_RATE_LIMITED: index of the first limit that refused */
    int64_t quota_remaining; /* when the quota was charged or refused */
    int64_t quota_limit;
    int64_t epoch;
    int64_t flush;  /* the flush that will carry this charge */
    int64_t day;    /* since 1970, of Redis */
    int64_t calls;  /* running now, this one included; 0: not counted */
    usec_t now;     /* GATE_NOT_LOADED: the time of Redis */
    nsec_t ends_in; /* until the period of the quota ends; decades: it does not */
    struct gate_limit_state limits[GATE_MAX_LIMITS];
};

struct gate_request {
    int64_t account_id;
    int64_t cost; /* 0: only look */
    bool charge_quota;
    bool dry_run;   /* decides, and takes nothing */
    bool plan_only; /* its limits are those of the account's plan: a lease may cover it */
    const struct gate_limit *limits;
    size_t limit_count;
    usec_t now;         /* 0: Redis' own time. Otherwise for simulations and tests */
    const char *run;    /* run_id of the Redis that the reactor is connected to */
    const char *method; /* what the usage is counted for; NULL: "" */
    int64_t max_calls;  /* at once; 0: any number */
    const char *call_id;
    nsec_t lease; /* after which the call counts as ended when nobody says so */
};

extern const struct redis_script *const gate_scripts[];
extern const size_t gate_script_count;

/* What the script says of some calls that ask for the same, in their order: those admitted come
 * first. */
struct gate_answer {
    enum gate_verdict verdict; /* of the first that is not admitted; GATE_ADMITTED: all are */
    size_t refused_by;
    int64_t admitted;
    int64_t left; /* of the quota, before the first */
    int64_t quota_limit;
    int64_t epoch;
    int64_t flush;
    int64_t day;
    int64_t calls;
    usec_t now; /* GATE_NOT_LOADED only */
    nsec_t ends_in;
    usec_t ahead[GATE_MAX_LIMITS]; /* before the first: time until the limit is full again */
};

/* One run of the script, written out: what it holds points into it and to the request's texts. */
struct gate_question {
    struct str keys[4 + GATE_MAX_LIMITS];
    struct str args[9 + 3 * GATE_MAX_LIMITS];
    size_t key_count;
    size_t arg_count;
    char text[(4 + GATE_MAX_LIMITS) * 48 + GATE_MAX_LIMITS * GATE_MAX_NAME +
              (9 + 3 * GATE_MAX_LIMITS) * 21];
};

/* Whether the request is in the ranges above. */
bool gate_request_sane(const struct gate_request *req);

/* The question whether `calls` such calls are admitted: 1 to GATE_MAX_CALLS, 1 when it is a dry run
 * or has max_calls. The request must be sane. */
void gate_question_write(struct gate_question *q, const struct gate_request *req, size_t calls);

/* Sends it for a listener: see redis_eval_for. */
bool gate_question_send(struct reactor *r, const struct gate_question *q, bool whole,
                        struct redis_listener *l);

/* False: the answer cannot be read. */
bool gate_answer_read(const struct redis_reply *reply, const struct gate_request *req, size_t calls,
                      struct gate_answer *ret);

/* What the answer is to the nth of the calls, from 0: the same as if each had asked by itself. */
void gate_decision_of(const struct gate_answer *answer, const struct gate_request *req, size_t nth,
                      struct gate_decision *ret);

/* What Postgres has noted of an epoch: see gate_store.h. */
struct gate_epoch {
    int64_t account_id;
    int64_t epoch;
    int64_t version;
    int64_t quota_limit;
    int64_t base; /* units used that are not of this epoch; limit - base may be spent in it */
    int64_t granted;
    int64_t grant_no;
    usec_t period_end; /* GATE_NO_END: none */
};

enum gate_load {
    GATE_LOAD_LATE, /* Redis was asked more than a second ago */
    GATE_LOADED,
    GATE_LOAD_OTHER, /* another epoch is there: *ret_other */
    GATE_LOAD_BUSY,  /* the one to replace must be flushed first */
};

/* Puts an epoch into Redis. `asked`: when Redis said GATE_NOT_LOADED. `replaces`: the epoch whose
 * period is over, 0: none. */
enum status gate_load(struct ctx *ctx, const char *run, const struct gate_epoch *e, usec_t asked,
                      int64_t replaces, enum gate_load *ret, int64_t *ret_other) WARN_UNUSED;

/* A flush: what was spent and must go to Postgres. In the context's arena. */
struct gate_flush {
    int64_t epoch; /* 0: nothing is loaded */
    int64_t flush; /* its number; 0: nothing to flush */
    size_t count;
    const char **fields; /* "<day>|<method>" */
    int64_t *units;
};

enum status gate_flush_begin(struct ctx *ctx, const char *run, int64_t account_id,
                             struct gate_flush *ret) WARN_UNUSED;

struct gate_flushed {
    bool there; /* false: another epoch is loaded, or none; nothing was changed */
    int64_t remaining;
    int64_t spent; /* in this epoch */
    int64_t grant_no;
    bool retired;
    bool more; /* units were spent meanwhile */
};

/* Postgres has flush number `flush` (0: none) and says `e`. `retire`: give back what is granted and
 * not spent, unless there is more to flush. */
enum status gate_flush_end(struct ctx *ctx, const char *run, const struct gate_epoch *e,
                           int64_t flush, bool retire, struct gate_flushed *ret) WARN_UNUSED;

/* Gives back `cost` units of a charge that `d` decided. *ret_flush: the flush that will carry it;
 * 0: the epoch is gone. */
enum status gate_give_back(struct ctx *ctx, const struct gate_request *req,
                           const struct gate_decision *d, int64_t cost,
                           int64_t *ret_flush) WARN_UNUSED;

/* The call has ended. Nobody waits for it. */
void gate_release_call(struct reactor *r, struct arena *a, int64_t account_id, const char *call_id);

#endif
