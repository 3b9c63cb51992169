/* Which DPU hung over which doorway, and when. A correction never rewrites a row: see the
 * migration. */
#include "counts/counts.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"

static void
tell(struct ctx *ctx, usec_t from, usec_t to)
{
    counts_tell_correction(counts_of(ctx->reactor), ctx->who.account_id, from, to);
}

static enum status
check_assignment(struct ctx *ctx, int64_t dpu_id, int64_t doorway_id, usec_t from, usec_t to)
{
    enum status st = counts_check_dpu(ctx, dpu_id);
    if (doorway_id <= 0)
        st = fail_field(ctx, "doorway_id", "must be positive");
    if (from >= to)
        st = fail_field(ctx, "ends_at", "must be after starts_at");
    return st;
}

static enum status
insert(struct ctx *ctx, int32_t dpu_id, int64_t doorway_id, usec_t from, usec_t to,
       struct counts_assignment *ret)
{
    return db_one(ctx, &sql_counts_insert_assignment,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int4(dpu_id), db_int8(doorway_id),
                          db_timestamptz(from), db_timestamptz(to)),
                  REASON_INTERNAL_ERROR, ret);
}

struct assigning {
    const struct counts_assignment *in;
    struct counts_assignment *ret;
};

static enum status
assign_in_tx(struct ctx *ctx, void *arg)
{
    const struct assigning *a = arg;
    const struct counts_assignment in = *a->in; /* may be *ret */
    enum status st = counts_hold_horizon(ctx);
    if (st == OK)
        st = counts_check_changeable(ctx, in.dpu_id, in.starts_at);
    return st == OK ? insert(ctx, in.dpu_id, in.doorway_id, in.starts_at, in.ends_at, a->ret) : st;
}

enum status
counts_assign(struct ctx *ctx, const struct counts_assignment *in, struct counts_assignment *ret)
{
    struct assigning a = {in, ret};
    enum status st = check_assignment(ctx, in->dpu_id, in->doorway_id, in->starts_at, in->ends_at);
    if (st == OK)
        st = db_tx(ctx, assign_in_tx, &a);
    if (st == OK)
        tell(ctx, in->starts_at, in->ends_at);
    return st;
}

enum status
counts_list_assignments(struct ctx *ctx, int64_t dpu_id, usec_t after, int32_t limit,
                        struct counts_assignment **ret, size_t *ret_n)
{
    struct counts_dpu dpu;
    enum status st = counts_get_dpu(ctx, dpu_id, &dpu);
    if (st != OK)
        return st;
    return db_many(ctx, &sql_counts_list_assignments,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)dpu_id),
                           db_opt(after != -DB_INFINITY, db_timestamptz(after)), db_int4(limit)),
                   ret, ret_n);
}

/* The row `old` is superseded by one that says `next`. */
static enum status
replace(struct ctx *ctx, const struct counts_assignment *old, const struct counts_assignment *next,
        struct counts_assignment *ret)
{
    const int64_t account = ctx->who.account_id;
    enum status st = db_exec(ctx, &sql_counts_supersede,
                             DB_ARGS(db_int8(account), db_int8(old->assignment_id)), NULL);
    if (st == OK)
        st = db_one(ctx, &sql_counts_correct_assignment,
                    DB_ARGS(db_int8(account), db_int8(old->assignment_id), db_int4(old->dpu_id),
                            db_int8(next->doorway_id), db_timestamptz(next->starts_at),
                            db_timestamptz(next->ends_at)),
                    REASON_INTERNAL_ERROR, ret);
    return st;
}

struct correction {
    const struct counts_assignment_change *change;
    struct counts_assignment old;
    struct counts_assignment *ret;
};

static enum status
find(struct ctx *ctx, int64_t dpu_id, int64_t assignment_id, struct counts_assignment *ret)
{
    return db_one(
        ctx, &sql_counts_get_assignment,
        DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)dpu_id), db_int8(assignment_id)),
        REASON_ASSIGNMENT_NOT_FOUND, ret);
}

/* From when on counts change when one assignment takes the place of another. */
static usec_t
changed_from(const struct counts_assignment *a, const struct counts_assignment *b)
{
    if (a->doorway_id != b->doorway_id || a->starts_at != b->starts_at)
        return a->starts_at < b->starts_at ? a->starts_at : b->starts_at;
    return a->ends_at < b->ends_at ? a->ends_at : b->ends_at;
}

/* ... and up to when: that of which readings count elsewhere. */
static usec_t
changed_to(const struct counts_assignment *a, const struct counts_assignment *b)
{
    if (a->doorway_id != b->doorway_id || a->ends_at != b->ends_at)
        return a->ends_at > b->ends_at ? a->ends_at : b->ends_at;
    return a->starts_at > b->starts_at ? a->starts_at : b->starts_at;
}

static enum status
correct_in_tx(struct ctx *ctx, void *arg)
{
    struct correction *k = arg;
    const struct counts_assignment_change *c = k->change;
    enum status st = counts_hold_horizon(ctx);
    if (st == OK)
        st = find(ctx, c->dpu_id, c->assignment_id, &k->old);
    if (st != OK)
        return st;
    struct counts_assignment next = k->old;
    if (c->doorway_id)
        next.doorway_id = c->doorway_id;
    if (c->has_starts_at)
        next.starts_at = c->starts_at;
    if (c->has_ends_at)
        next.ends_at = c->ends_at;
    st = check_assignment(ctx, next.dpu_id, next.doorway_id, next.starts_at, next.ends_at);
    if (st == OK)
        st = counts_check_changeable(ctx, next.dpu_id, changed_from(&k->old, &next));
    return st == OK ? replace(ctx, &k->old, &next, k->ret) : st;
}

enum status
counts_correct(struct ctx *ctx, const struct counts_assignment_change *change,
               struct counts_assignment *ret)
{
    struct correction k = {.change = change, .ret = ret};
    enum status st = counts_check_dpu(ctx, change->dpu_id);
    if (change->doorway_id < 0)
        st = fail_field(ctx, "doorway_id", "must be positive");
    if (st == OK)
        st = db_tx(ctx, correct_in_tx, &k);
    if (st == OK)
        tell(ctx, changed_from(&k.old, ret), changed_to(&k.old, ret));
    return st;
}

static enum status
unassign_in_tx(struct ctx *ctx, void *arg)
{
    struct correction *k = arg;
    enum status st = counts_hold_horizon(ctx);
    if (st == OK)
        st = find(ctx, k->change->dpu_id, k->change->assignment_id, &k->old);
    if (st == OK)
        st = counts_check_changeable(ctx, k->old.dpu_id, k->old.starts_at);
    if (st != OK)
        return st;
    return db_exec(ctx, &sql_counts_supersede,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int8(k->old.assignment_id)), NULL);
}

enum status
counts_unassign(struct ctx *ctx, int64_t dpu_id, int64_t assignment_id)
{
    const struct counts_assignment_change what = {.dpu_id = dpu_id, .assignment_id = assignment_id};
    struct correction k = {.change = &what};
    enum status st = counts_check_dpu(ctx, dpu_id);
    if (st == OK)
        st = db_tx(ctx, unassign_in_tx, &k);
    if (st == OK)
        tell(ctx, k.old.starts_at, k.old.ends_at);
    return st;
}

struct move {
    int32_t dpu_id;
    int64_t doorway_id;
    usec_t at;
    struct counts_assignment *ret;
};

/* Ends the assignment at `at`; one that would begin there is taken back altogether. */
static enum status
end_at(struct ctx *ctx, const struct move *m, const struct counts_assignment *old)
{
    struct counts_assignment next = *old;
    next.ends_at = m->at;
    if (old->starts_at < m->at)
        return replace(ctx, old, &next, m->ret);
    *m->ret = *old;
    return db_exec(ctx, &sql_counts_supersede,
                   DB_ARGS(db_int8(ctx->who.account_id), db_int8(old->assignment_id)), NULL);
}

static enum status
move_in_tx(struct ctx *ctx, void *arg)
{
    const struct move *m = arg;
    const int64_t account = ctx->who.account_id;
    struct counts_assignment old;
    struct counts_dpu dpu;
    bool found = false;
    enum status st = counts_hold_horizon(ctx);
    if (st == OK)
        st = counts_get_dpu(ctx, m->dpu_id, &dpu);
    if (st == OK)
        st = counts_check_changeable(ctx, m->dpu_id, m->at);
    if (st == OK)
        st = db_maybe(ctx, &sql_counts_assignment_at,
                      DB_ARGS(db_int8(account), db_int4(m->dpu_id), db_timestamptz(m->at)), &old,
                      &found);
    if (st == OK && !found && m->doorway_id == 0)
        return fail(ctx, ASSIGNMENT_NOT_FOUND, "the DPU hangs nowhere at that time");
    if (st == OK && found)
        st = end_at(ctx, m, &old);
    if (st == OK && m->doorway_id != 0)
        st =
            insert(ctx, m->dpu_id, m->doorway_id, m->at, found ? old.ends_at : DB_INFINITY, m->ret);
    return st;
}

enum status
counts_move(struct ctx *ctx, int64_t dpu_id, int64_t doorway_id, usec_t at,
            struct counts_assignment *ret)
{
    struct move m = {(int32_t)dpu_id, doorway_id, at, ret};
    enum status st = counts_check_dpu(ctx, dpu_id);
    if (doorway_id < 0)
        st = fail_field(ctx, "doorway_id", "must not be negative");
    if (st == OK)
        st = db_tx(ctx, move_in_tx, &m);
    if (st == OK)
        tell(ctx, at, DB_INFINITY);
    return st;
}
