/*
 * Spaces, doorways and DPUs. What is alike in the three stands once: `struct family` names the
 * statements and words of each, and get_one, list_some, changed and delete_one work with any of
 * them.
 */
#include <inttypes.h>

#include "counts/counts.h"
#include "counts/counts.sql.h"
#include "counts/counts_private.h"
#include "edge/list.h"

/* ---- what is alike --------------------------------------------------------------------------- */

struct family {
    const char *noun;
    const char *holds_first; /* what one may hold, by the statement `holds` */
    const char *holds_second;
    const struct db_stmt *get;
    const struct db_stmt *list;
    const struct db_stmt *holds;
    const struct db_stmt *drop;
    enum status (*empty)(struct ctx *ctx, int64_t id); /* takes away what the schema does not */
    enum reason absent;
    bool narrow; /* ids are int4 */
};

struct key {
    struct db_arg args[2];
};

static struct db_args
family_key(struct ctx *ctx, const struct family *f, int64_t id, struct key *k)
{
    k->args[0] = db_int8(ctx->who.account_id);
    k->args[1] = f->narrow ? db_int4((int32_t)id) : db_int8(id);
    return (struct db_args){k->args, 2};
}

/* An id that is none stands for nothing. */
static enum status
check_id(struct ctx *ctx, const struct family *f, int64_t id)
{
    return f->narrow ? counts_check_dpu(ctx, id) : OK;
}

static enum status
get_one(struct ctx *ctx, const struct family *f, int64_t id, void *ret, size_t row_size)
{
    struct key k;
    enum status st = check_id(ctx, f, id);
    if (st != OK)
        return st;
    return db_one_at(ctx, f->get, family_key(ctx, f, id, &k), f->absent, ret, row_size);
}

static enum status
list_some(struct ctx *ctx, const struct family *f, const struct list_request *list, void **ret,
          size_t row_size, size_t *ret_n, const char **ret_next)
{
    return list_rows_at(ctx, f->list, DB_ARGS(db_int8(ctx->who.account_id)), list, ret, row_size,
                        ret_n, ret_next);
}

/* Behind an update that found its row or did not: nobody has it, or another change came first. */
static enum status
changed(struct ctx *ctx, const struct family *f, int64_t id, bool found, void *row, size_t row_size)
{
    if (found)
        return OK;
    enum status st = get_one(ctx, f, id, row, row_size);
    return st == OK ? fail_plain(ctx, CHANGED_MEANWHILE) : st;
}

static void
tell_all(struct ctx *ctx)
{
    counts_tell_correction(counts_of(ctx->reactor), ctx->who.account_id, -DB_INFINITY, DB_INFINITY);
}

struct deletion {
    const struct family *family;
    int64_t id;
    bool force;
};

static const char *
plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static enum status
fail_in_use(struct ctx *ctx, const struct family *f, const struct counts_holds *h)
{
    if (!f->holds_second)
        return fail(ctx, IN_USE, "the %s has %" PRId64 " %s%s; use force", f->noun, h->first,
                    f->holds_first, plural(h->first));
    return fail(ctx, IN_USE, "the %s has %" PRId64 " %s%s and %" PRId64 " %s%s; use force", f->noun,
                h->first, f->holds_first, plural(h->first), h->second, f->holds_second,
                plural(h->second));
}

static enum status
delete_in_tx(struct ctx *ctx, void *arg)
{
    const struct deletion *d = arg;
    const struct family *f = d->family;
    struct counts_holds holds = {0, 0};
    struct key k;
    const struct db_args key = family_key(ctx, f, d->id, &k);
    int64_t n = 0;
    enum status st = db_one(ctx, f->holds, key, REASON_INTERNAL_ERROR, &holds);
    if (st == OK && !d->force && holds.first + holds.second > 0)
        return fail_in_use(ctx, f, &holds);
    if (st == OK && f->empty && holds.first + holds.second > 0)
        st = f->empty(ctx, d->id);
    if (st == OK)
        st = db_exec(ctx, f->drop, key, &n);
    return st != OK || n > 0 ? st : fail_at(ctx, f->absent, __FILE__, __LINE__, NULL);
}

static enum status
delete_one(struct ctx *ctx, const struct family *f, int64_t id, bool force)
{
    struct deletion d = {f, id, force};
    enum status st = check_id(ctx, f, id);
    if (st == OK)
        st = db_tx(ctx, delete_in_tx, &d);
    if (st == OK)
        tell_all(ctx);
    return st;
}

static struct db_arg
opt_id(int64_t id)
{
    return db_opt(id != 0, db_int8(id));
}

/* ---- spaces ---------------------------------------------------------------------------------- */

static enum status
check_space(struct ctx *ctx, const char *name, int32_t capacity, int64_t parent_id,
            const char *zone)
{
    enum status st = OK;
    if (name)
        st = counts_check_text(ctx, "name", name, 1, COUNTS_MAX_NAME);
    if (capacity < 0)
        st = fail_field(ctx, "capacity", "must not be negative");
    if (parent_id < 0)
        st = fail_field(ctx, "parent_id", "must not be negative");
    if (st == OK && zone)
        st = counts_check_zone(ctx, "time_zone", zone);
    return ctx->error.reason != REASON_NONE ? ctx->error.status : st;
}

enum status
counts_create_space(struct ctx *ctx, const struct counts_space *in, struct counts_space *ret)
{
    const char *zone = in->time_zone && *in->time_zone ? in->time_zone : "UTC";
    enum status st = check_space(ctx, in->name, in->capacity, in->parent_id, zone);
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_insert_space,
                  DB_ARGS(db_int8(ctx->who.account_id), db_text(in->name),
                          db_opt(in->capacity != 0, db_int4(in->capacity)), opt_id(in->parent_id),
                          db_text(zone)),
                  REASON_INTERNAL_ERROR, ret);
}

enum status
counts_space_ids(struct ctx *ctx, int64_t after, int32_t limit, int64_t **ret, size_t *ret_n)
{
    struct db_int8_value *rows;
    size_t n;
    enum status st =
        db_many(ctx, &sql_counts_space_ids,
                DB_ARGS(db_int8(ctx->who.account_id), db_int8(after), db_int4(limit)), &rows, &n);
    if (st != OK)
        return st;
    *ret = arena_new_n(ctx->arena, int64_t, n);
    *ret_n = n;
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = rows[i].value;
    return OK;
}

struct space_update {
    const struct counts_space_change *change;
    struct counts_space *ret;
};

/* The space leaves what it lay in and, with parent_id, enters that. */
static enum status
change_parent(struct ctx *ctx, int64_t space_id, int64_t parent_id)
{
    const int64_t account = ctx->who.account_id;
    struct db_bool_value row;
    enum status st =
        db_one(ctx, &sql_counts_lock_tree, DB_ARGS(db_int8(account)), REASON_INTERNAL_ERROR, &row);
    if (st == OK && parent_id != 0)
        st = db_one(ctx, &sql_counts_is_within,
                    DB_ARGS(db_int8(account), db_int8(space_id), db_int8(parent_id)),
                    REASON_INTERNAL_ERROR, &row);
    if (st == OK && parent_id != 0 && row.value)
        return fail_field(ctx, "parent_id", "lies within the space itself");
    if (st == OK)
        st = db_exec(ctx, &sql_counts_leave_parent, DB_ARGS(db_int8(account), db_int8(space_id)),
                     NULL);
    if (st == OK && parent_id != 0)
        st = db_exec(ctx, &sql_counts_enter_parent,
                     DB_ARGS(db_int8(account), db_int8(space_id), db_int8(parent_id)), NULL);
    return st;
}

static enum status
update_space_in_tx(struct ctx *ctx, void *arg)
{
    struct space_update *u = arg;
    const struct counts_space_change *c = u->change;
    bool found = false;
    struct counts_space old;
    enum status st = db_one(ctx, &sql_counts_lock_space,
                            DB_ARGS(db_int8(ctx->who.account_id), db_int8(c->space_id)),
                            REASON_SPACE_NOT_FOUND, &old);
    if (st == OK && c->has_parent && c->parent_id != old.parent_id)
        st = change_parent(ctx, c->space_id, c->parent_id);
    if (st == OK)
        st = db_maybe(ctx, &sql_counts_update_space,
                      DB_ARGS(db_int8(ctx->who.account_id), db_int8(c->space_id), db_text(c->name),
                              db_bool(c->has_capacity),
                              db_opt(c->capacity != 0, db_int4(c->capacity)),
                              db_bool(c->has_parent), opt_id(c->parent_id), db_text(c->time_zone),
                              db_timestamptz_or_null(c->updated_at)),
                      u->ret, &found);
    return st != OK || found ? st : fail_plain(ctx, CHANGED_MEANWHILE);
}

enum status
counts_update_space(struct ctx *ctx, const struct counts_space_change *change,
                    struct counts_space *ret)
{
    struct space_update u = {change, ret};
    enum status st =
        check_space(ctx, change->name, change->capacity, change->parent_id, change->time_zone);
    if (st == OK)
        st = db_tx(ctx, update_space_in_tx, &u);
    if (st == OK && change->has_parent)
        tell_all(ctx);
    return st;
}

/* The doorways and spaces of a space that is deleted by force. */
static enum status
empty_space(struct ctx *ctx, int64_t space_id)
{
    const int64_t account = ctx->who.account_id;
    struct db_int8_value *children;
    size_t n = 0;
    enum status st =
        db_exec(ctx, &sql_counts_drop_doorways, DB_ARGS(db_int8(account), db_int8(space_id)), NULL);
    if (st == OK)
        st = db_many(ctx, &sql_counts_children, DB_ARGS(db_int8(account), db_int8(space_id)),
                     &children, &n);
    for (size_t i = 0; i < n && st == OK; i++) {
        struct counts_space row;
        const struct counts_space_change out = {.space_id = children[i].value, .has_parent = true};
        struct space_update u = {&out, &row};
        st = update_space_in_tx(ctx, &u);
    }
    return st;
}

static const struct family spaces = {
    .noun = "space",
    .holds_first = "doorway",
    .holds_second = "space",
    .get = &sql_counts_get_space,
    .list = &sql_counts_list_spaces,
    .holds = &sql_counts_space_holds,
    .drop = &sql_counts_delete_space,
    .empty = empty_space,
    .absent = REASON_SPACE_NOT_FOUND,
};

enum status
counts_get_space(struct ctx *ctx, int64_t space_id, struct counts_space *ret)
{
    return get_one(ctx, &spaces, space_id, ret, sizeof(*ret));
}

enum status
counts_list_spaces(struct ctx *ctx, const struct list_request *list, struct counts_space **ret,
                   size_t *ret_n, const char **ret_next)
{
    return list_some(ctx, &spaces, list, (void **)ret, sizeof(**ret), ret_n, ret_next);
}

enum status
counts_delete_space(struct ctx *ctx, int64_t space_id, bool force)
{
    return delete_one(ctx, &spaces, space_id, force);
}

/* ---- doorways -------------------------------------------------------------------------------- */

static enum status
check_doorway(struct ctx *ctx, const char *name, int64_t ingress, int64_t egress)
{
    enum status st = OK;
    if (name)
        st = counts_check_text(ctx, "name", name, 1, COUNTS_MAX_NAME);
    if (ingress < 0)
        st = fail_field(ctx, "ingress_space_id", "must be positive");
    if (egress < 0)
        st = fail_field(ctx, "egress_space_id", "must not be negative");
    if (egress > 0 && egress == ingress)
        st =
            fail_field(ctx, "egress_space_id", "is the ingress space: the doorway leads to itself");
    return ctx->error.reason != REASON_NONE ? ctx->error.status : st;
}

static enum status
check_ingress(struct ctx *ctx, int64_t ingress)
{
    return ingress != 0 ? OK : fail_field(ctx, "ingress_space_id", "is required");
}

enum status
counts_create_doorway(struct ctx *ctx, const struct counts_doorway *in, struct counts_doorway *ret)
{
    enum status st = check_doorway(ctx, in->name, in->ingress_space_id, in->egress_space_id);
    const enum status ingress = check_ingress(ctx, in->ingress_space_id);
    if (st != OK || ingress != OK)
        return st != OK ? st : ingress;
    return db_one(ctx, &sql_counts_insert_doorway,
                  DB_ARGS(db_int8(ctx->who.account_id), db_text(in->name),
                          db_int8(in->ingress_space_id), opt_id(in->egress_space_id)),
                  REASON_INTERNAL_ERROR, ret);
}

static const struct family doorways = {
    .noun = "doorway",
    .holds_first = "assignment",
    .get = &sql_counts_get_doorway,
    .list = &sql_counts_list_doorways,
    .holds = &sql_counts_doorway_holds,
    .drop = &sql_counts_delete_doorway, /* with its assignments */
    .absent = REASON_DOORWAY_NOT_FOUND,
};

enum status
counts_get_doorway(struct ctx *ctx, int64_t doorway_id, struct counts_doorway *ret)
{
    return get_one(ctx, &doorways, doorway_id, ret, sizeof(*ret));
}

enum status
counts_list_doorways(struct ctx *ctx, const struct list_request *list, struct counts_doorway **ret,
                     size_t *ret_n, const char **ret_next)
{
    return list_some(ctx, &doorways, list, (void **)ret, sizeof(**ret), ret_n, ret_next);
}

enum status
counts_delete_doorway(struct ctx *ctx, int64_t doorway_id, bool force)
{
    return delete_one(ctx, &doorways, doorway_id, force);
}

enum status
counts_update_doorway(struct ctx *ctx, const struct counts_doorway_change *c,
                      struct counts_doorway *ret)
{
    bool found = false;
    struct counts_doorway now;
    enum status st = check_doorway(ctx, c->name, c->ingress_space_id, c->egress_space_id);
    const enum status required = c->has_ingress ? check_ingress(ctx, c->ingress_space_id) : OK;
    if (st == OK)
        st = required;
    if (st == OK)
        st = counts_get_doorway(ctx, c->doorway_id, &now);
    if (st != OK)
        return st;
    const int64_t ingress = c->has_ingress ? c->ingress_space_id : now.ingress_space_id;
    const int64_t egress = c->has_egress ? c->egress_space_id : now.egress_space_id;
    st = check_doorway(ctx, NULL, ingress, egress);
    if (st == OK)
        st =
            db_maybe(ctx, &sql_counts_update_doorway,
                     DB_ARGS(db_int8(ctx->who.account_id), db_int8(c->doorway_id), db_text(c->name),
                             opt_id(c->has_ingress ? ingress : 0), db_bool(c->has_egress),
                             opt_id(c->egress_space_id), db_timestamptz_or_null(c->updated_at)),
                     ret, &found);
    if (st == OK && found)
        tell_all(ctx);
    return st != OK ? st : changed(ctx, &doorways, c->doorway_id, found, &now, sizeof(now));
}

/* ---- DPUs ------------------------------------------------------------------------------------ */

static enum status
check_dpu_texts(struct ctx *ctx, const char *name, const char *serial)
{
    enum status st = OK;
    if (name)
        st = counts_check_text(ctx, "name", name, 0, COUNTS_MAX_NAME);
    if (serial)
        st = counts_check_text(ctx, "serial", serial, 0, COUNTS_MAX_NAME);
    return ctx->error.reason != REASON_NONE ? ctx->error.status : st;
}

enum status
counts_create_dpu(struct ctx *ctx, const struct counts_dpu *in, struct counts_dpu *ret)
{
    enum status st = check_dpu_texts(ctx, in->name, in->serial);
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_insert_dpu,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int4(in->dpu_id), db_text(in->name),
                          db_text(in->serial)),
                  REASON_INTERNAL_ERROR, ret);
}

static enum status
empty_dpu(struct ctx *ctx, int64_t dpu_id)
{
    const struct db_args key = DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)dpu_id));
    enum status st = db_exec(ctx, &sql_counts_drop_readings, key, NULL);
    return st == OK ? db_exec(ctx, &sql_counts_drop_checkpoints, key, NULL) : st;
}

static const struct family dpus = {
    .noun = "DPU",
    .holds_first = "assignment",
    .holds_second = "reading",
    .get = &sql_counts_get_dpu,
    .list = &sql_counts_list_dpus,
    .holds = &sql_counts_dpu_holds,
    .drop = &sql_counts_delete_dpu, /* with its assignments */
    .empty = empty_dpu,
    .absent = REASON_DPU_NOT_FOUND,
    .narrow = true,
};

enum status
counts_get_dpu(struct ctx *ctx, int64_t dpu_id, struct counts_dpu *ret)
{
    return get_one(ctx, &dpus, dpu_id, ret, sizeof(*ret));
}

enum status
counts_list_dpus(struct ctx *ctx, const struct list_request *list, struct counts_dpu **ret,
                 size_t *ret_n, const char **ret_next)
{
    return list_some(ctx, &dpus, list, (void **)ret, sizeof(**ret), ret_n, ret_next);
}

enum status
counts_delete_dpu(struct ctx *ctx, int64_t dpu_id, bool force)
{
    return delete_one(ctx, &dpus, dpu_id, force);
}

enum status
counts_update_dpu(struct ctx *ctx, const struct counts_dpu_change *c, struct counts_dpu *ret)
{
    bool found = false;
    enum status st = check_dpu_texts(ctx, c->name, c->serial);
    if (st == OK)
        st = db_maybe(ctx, &sql_counts_update_dpu,
                      DB_ARGS(db_int8(ctx->who.account_id), db_int4(c->dpu_id), db_text(c->name),
                              db_text(c->serial), db_timestamptz_or_null(c->updated_at)),
                      ret, &found);
    return st != OK ? st : changed(ctx, &dpus, c->dpu_id, found, ret, sizeof(*ret));
}
