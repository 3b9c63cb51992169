/* Shared by the files of durable filters: rounds of appends, and what a reactor knows. Private to
 * kalman/. */
#ifndef LUNA_KALMAN_DURABLE_PRIVATE_H
#define LUNA_KALMAN_DURABLE_PRIVATE_H

#include "base/list.h"
#include "kalman/durable_state.h"
#include "run/inbox.h"

struct fiber;

/* One call of durable_append while it waits. It travels to the reactor of its filter and back:
 * what stands under `answer` belongs to that reactor meanwhile. */
struct append {
    struct inbox_msg msg;
    struct list link; /* in its lane, until a round takes it */
    struct reactor *origin;
    struct fiber *fiber;
    int64_t account_id;
    const char *filter_id;
    const struct durable_observation *observations;
    size_t n;
    ATOMIC(bool) given_up; /* its caller has left: no round needs to take it */
    bool done;

    /* answer */
    struct arena arena;
    struct ctx reply; /* for its failure; memory of `arena` */
    struct durable_appended out;
    enum status st;
    int64_t duplicates; /* of the attempt that counts */
    int64_t last_sequence;
};

/* ---- what a lane remembers (durable_hot.c) -----------------------------------------------------
 */

struct durable_hot {
    bool known, walking;
    struct arena arena;       /* the rest */
    struct durable_head head; /* `state` is empty: `walk` has it */
    struct model_spec spec;
    struct durable_walk walk;
};

void durable_hot_init(struct durable_hot *hot);
void durable_hot_fini(struct durable_hot *hot);
void durable_hot_forget(struct durable_hot *hot);

/* Forgets what it was and reads the model. */
enum status durable_hot_begin(struct ctx *ctx, struct durable_hot *hot,
                              struct str model) WARN_UNUSED;

/* Then takes the state. False: it is none of this model. */
bool durable_hot_load(struct durable_hot *hot, const struct durable_head *h) WARN_UNUSED;

/* ---- commits (durable_commit.c) ----------------------------------------------------------------
 */

struct durable_commits;
struct durable_commits *durable_commits_new(struct reactor *r);
void durable_commits_free(struct durable_commits *c);

/* Stores it together with what others have; `a->stored` tells. Suspends: once. */
enum status durable_commit(struct ctx *ctx, struct durable_commits *c,
                           struct kalman_append *a) WARN_UNUSED;

/* ---- rounds (durable_round.c) ------------------------------------------------------------------
 */

/* Appends of one filter that go together. */
struct round {
    int64_t account_id;
    const char *filter_id;
    struct durable_commits *commits;
    struct durable_hot *hot;
    struct append **appends;
    size_t count;
};

/* Does it: sets `st` of each append and what it returns. `ctx` is the round's own. Suspends: may.
 */
void durable_round(struct ctx *ctx, struct round *r);

/* ---- heads (durable_head.c) --------------------------------------------------------------------
 */

/* From Redis; *ret_found false: not there, or Redis is away. Lives in ctx's arena. Suspends: once.
 */
void durable_head_cached(struct ctx *ctx, int64_t account_id, const char *filter_id,
                         struct durable_head *ret, bool *ret_found);

/* That of `row`: from Redis when what is there is of the same position, otherwise from the log
 * (*ret_rebuilt; not to be believed when the filter was reset meanwhile). Suspends: may. */
enum status durable_head_of(struct ctx *ctx, const struct kalman_filter *row,
                            const struct model_spec *spec, struct durable_head *ret,
                            bool *ret_rebuilt) WARN_UNUSED;

/* Puts it into Redis and tells who watches. Suspends: never. */
void durable_head_post(struct ctx *ctx, const char *filter_id, const struct durable_head *h);

/* Takes it out of Redis and tells who watches. Suspends: once. */
void durable_head_forget(struct ctx *ctx, int64_t account_id, const char *filter_id);

/* The name of the channel that tells of changes. */
struct str durable_channel(struct arena *a, int64_t account_id, const char *filter_id);

/* The walk over one stretch: here, or in the compute pool when it is long. Suspends: may. */
enum status durable_walk_over(struct ctx *ctx, struct durable_walk *w,
                              const struct durable_series *s) WARN_UNUSED;

/* Goes from where `w` is to the end of the log (position `key`'s up to `position`), with `more`
 * merged in. Suspends: may. */
enum status durable_walk_log(struct ctx *ctx, struct durable_walk *w,
                             const struct kalman_log_key *key, int64_t position,
                             const struct durable_series *more) WARN_UNUSED;

/* Begins a walk at the last checkpoint before (time, sequence). Suspends: once. */
enum status durable_walk_from(struct ctx *ctx, struct durable_walk *w,
                              const struct model_spec *spec, const struct kalman_log_key *key,
                              int64_t position, double time, int64_t sequence) WARN_UNUSED;

#endif
