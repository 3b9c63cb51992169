/*
 * The state of a durable filter: how it moves over observations and how it is kept. Private to
 * kalman/.
 *
 * Thread: any, one at a time for each struct. Suspends: never.
 */
#ifndef LUNA_KALMAN_DURABLE_STATE_H
#define LUNA_KALMAN_DURABLE_STATE_H

#include "kalman/durable.h"
#include "kalman/ssm_run.h"

/* What Redis keeps: the filter's row, and its state behind `position` observations. */
struct durable_head {
    struct kalman_log_key key;
    int64_t position, max_sequence;
    int64_t since; /* observations behind the last checkpoint */
    double time;   /* of the last in order of time; -infinity and 0 before the first */
    int64_t sequence;
    struct str model; /* a serialized luna.v1.Model */
    struct str state; /* ssm_run_save; empty before the first observation */
};

/* Bytes in `a`, and back (borrowing from them). False: not bytes of this format. */
struct str durable_head_pack(struct arena *a, const struct durable_head *h);
bool durable_head_unpack(struct str bytes, struct durable_head *ret) WARN_UNUSED;

/* Observations in order of (time, sequence). */
struct durable_series {
    const double *times;
    const int64_t *sequences;
    const double *numbers; /* rows of the model's series */
    size_t n;
};

/* A filter on its way through a log. */
struct durable_walk {
    const struct model_spec *spec;
    struct arena *arena;  /* what outlives a step */
    struct arena scratch; /* what does not */
    struct ssm_run *run;
    struct model *model; /* the one attached */
    double time;         /* of the last one taken */
    int64_t sequence;
    int64_t since;
    bool want_checkpoints;
    struct checkpoint {
        double time;
        int64_t sequence;
        struct str state;
    } * checkpoints; /* in `arena` */
    size_t checkpoint_count, checkpoint_room;
};

/* Begins behind `state` (empty: at the start), `since` observations after a checkpoint. False:
 * these bytes are no state of this model. */
bool durable_walk_init(struct durable_walk *w, const struct model_spec *spec, struct arena *arena,
                       struct str state, double time, int64_t sequence, int64_t since) WARN_UNUSED;
void durable_walk_fini(struct durable_walk *w);

/* Goes on with what outlives a step in another arena, and no checkpoints yet. */
void durable_walk_resume(struct durable_walk *w, struct arena *arena);

/* Takes more of them. False: stopped. */
bool durable_walk_on(struct durable_walk *w, const struct durable_series *s,
                     const struct ssm_stop *stop) WARN_UNUSED;

/* Whether all of the state fits doubles. */
bool durable_walk_is_finite(const struct durable_walk *w);

/* The state as it is now, in w->arena. */
struct str durable_walk_state(const struct durable_walk *w);

/* What the state says, lists in `a`. `position` and `time` are the caller's. */
void durable_walk_estimate(const struct durable_walk *w, struct arena *a,
                           struct durable_estimate *ret);

/* Copies the lists into `a`. */
void durable_estimate_copy(struct arena *a, const struct durable_estimate *from,
                           struct durable_estimate *to);

#endif
