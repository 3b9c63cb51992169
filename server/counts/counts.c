/* Rules of spaces, doorways and DPUs. */
#include "counts/counts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "counts/counts.sql.h"
#include "counts/counts_private.h"
#include "edge/list.h"

/* ---- the reactor's memory -------------------------------------------------------------------- */

void
counts_attach(struct reactor *r)
{
    struct counts_reactor *c = calloc(1, sizeof(*c));
    ASSERT(c);
    const struct db_gather_options opt = {.stmt = &sql_counts_ingest};
    c->reactor = r;
    c->ingest = db_gather_new(r, &opt);
    list_init(&c->flights);
    list_init(&c->watchers);
    reactor_set_slot(r, SLOT_COUNTS, c);
    counts_tally_init(c);
    counts_tell_init(c);
    counts_watch_init(c);
    counts_retention_init(c);
}

void
counts_detach(struct reactor *r)
{
    struct counts_reactor *c = counts_of(r);
    if (!c)
        return;
    counts_retention_fini(c);
    counts_watch_fini(c);
    counts_tell_fini(c);
    counts_tally_fini(c);
    db_gather_free(c->ingest);
    reactor_set_slot(r, SLOT_COUNTS, NULL);
    free(c);
}

struct counts_reactor *
counts_of(const struct reactor *r)
{
    return reactor_slot(r, SLOT_COUNTS);
}

/* ---- checks ---------------------------------------------------------------------------------- */

enum status
counts_check_text(struct ctx *ctx, const char *field, const char *text, size_t least, size_t most)
{
    struct str s = str_of(text);
    if (!str_utf8_valid(s))
        return fail_field(ctx, field, "is not UTF-8");
    size_t characters = 0;
    for (size_t i = 0; i < s.n; i++)
        characters += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    if (characters < least || characters > most)
        return fail_field(ctx, field, "must have %zu to %zu characters", least, most);
    return OK;
}

enum status
counts_check_zone(struct ctx *ctx, const char *field, const char *zone)
{
    struct db_bool_value row;
    enum status st = counts_check_text(ctx, field, zone, 1, 100);
    if (st != OK)
        return st;
    st = db_one(ctx, &sql_counts_check_zone, DB_ARGS(db_text(zone)), REASON_INTERNAL_ERROR, &row);
    if (st == OK || ctx->error.reason != REASON_BAD_FIELD)
        return st;
    fail_clear(ctx);
    return fail_field(ctx, field, "is not a name of the IANA time zone database");
}

enum status
counts_check_dpu(struct ctx *ctx, int64_t dpu_id)
{
    if (dpu_id < 1 || dpu_id > INT32_MAX)
        return fail_field(ctx, "dpu_id", "must be from 1 to %d", INT32_MAX);
    return OK;
}

const char *
counts_etag(struct arena *a, usec_t updated_at)
{
    return arena_printf(a, "%" PRIx64, (uint64_t)updated_at);
}

enum status
counts_etag_parse(struct ctx *ctx, const char *etag, usec_t *ret)
{
    uint64_t n = 0;
    struct str s = str_of(etag);
    bool good = s.n <= 15;
    for (size_t i = 0; good && i < s.n; i++) {
        int digit = str_hex_digit(s.p[i]);
        good = digit >= 0;
        n = n << 4 | (uint64_t)(digit & 15);
    }
    if (!good)
        return fail_field(ctx, "etag", "is not one that was read");
    *ret = (usec_t)n;
    return OK;
}

static struct db_arg
opt_id(int64_t id)
{
    return db_opt(id != 0, db_int8(id));
}

static struct db_arg
opt_etag(usec_t updated_at)
{
    return db_opt(updated_at != 0, db_timestamptz(updated_at));
}

static void
tell_all(struct ctx *ctx)
{
    counts_tell_correction(counts_of(ctx->reactor), ctx->who.account_id, -DB_INFINITY, DB_INFINITY);
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
counts_get_space(struct ctx *ctx, int64_t space_id, struct counts_space *ret)
{
    return db_one(ctx, &sql_counts_get_space,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(space_id)), REASON_SPACE_NOT_FOUND,
                  ret);
}

enum status
counts_list_spaces(struct ctx *ctx, const struct list_request *list, struct counts_space **ret,
                   size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_counts_list_spaces, DB_ARGS(db_int8(ctx->who.account_id)), list, ret,
                     ret_n, ret_next);
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
        st =
            db_maybe(ctx, &sql_counts_update_space,
                     DB_ARGS(db_int8(ctx->who.account_id), db_int8(c->space_id), db_text(c->name),
                             db_bool(c->has_capacity),
                             db_opt(c->capacity != 0, db_int4(c->capacity)), db_bool(c->has_parent),
                             opt_id(c->parent_id), db_text(c->time_zone), opt_etag(c->updated_at)),
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

struct deletion {
    int64_t id;
    bool force;
};

static const char *
plural(int64_t n)
{
    return n == 1 ? "" : "s";
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

static enum status
delete_space_in_tx(struct ctx *ctx, void *arg)
{
    const struct deletion *d = arg;
    const struct db_args key = DB_ARGS(db_int8(ctx->who.account_id), db_int8(d->id));
    struct counts_holds holds = {0, 0};
    struct counts_space row;
    enum status st = db_one(ctx, &sql_counts_lock_space, key, REASON_SPACE_NOT_FOUND, &row);
    if (st == OK)
        st = db_one(ctx, &sql_counts_space_holds, key, REASON_INTERNAL_ERROR, &holds);
    if (st == OK && !d->force && holds.first + holds.second > 0)
        return fail(ctx, IN_USE,
                    "the space has %" PRId64 " doorway%s and %" PRId64 " space%s; use force",
                    holds.first, plural(holds.first), holds.second, plural(holds.second));
    if (st == OK && holds.first + holds.second > 0)
        st = empty_space(ctx, d->id);
    return st == OK ? db_exec(ctx, &sql_counts_delete_space, key, NULL) : st;
}

enum status
counts_delete_space(struct ctx *ctx, int64_t space_id, bool force)
{
    struct deletion d = {space_id, force};
    enum status st = db_tx(ctx, delete_space_in_tx, &d);
    if (st == OK)
        tell_all(ctx);
    return st;
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

enum status
counts_create_doorway(struct ctx *ctx, const struct counts_doorway *in, struct counts_doorway *ret)
{
    enum status st = check_doorway(ctx, in->name, in->ingress_space_id, in->egress_space_id);
    if (in->ingress_space_id == 0)
        st = fail_field(ctx, "ingress_space_id", "is required");
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_insert_doorway,
                  DB_ARGS(db_int8(ctx->who.account_id), db_text(in->name),
                          db_int8(in->ingress_space_id), opt_id(in->egress_space_id)),
                  REASON_INTERNAL_ERROR, ret);
}

enum status
counts_get_doorway(struct ctx *ctx, int64_t doorway_id, struct counts_doorway *ret)
{
    return db_one(ctx, &sql_counts_get_doorway,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int8(doorway_id)),
                  REASON_DOORWAY_NOT_FOUND, ret);
}

enum status
counts_list_doorways(struct ctx *ctx, const struct list_request *list, struct counts_doorway **ret,
                     size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_counts_list_doorways, DB_ARGS(db_int8(ctx->who.account_id)), list,
                     ret, ret_n, ret_next);
}

enum status
counts_update_doorway(struct ctx *ctx, const struct counts_doorway_change *c,
                      struct counts_doorway *ret)
{
    bool found = false;
    struct counts_doorway now;
    enum status st = check_doorway(ctx, c->name, c->ingress_space_id, c->egress_space_id);
    if (st == OK)
        st = counts_get_doorway(ctx, c->doorway_id, &now);
    if (st != OK)
        return st;
    const int64_t ingress = c->ingress_space_id ? c->ingress_space_id : now.ingress_space_id;
    const int64_t egress = c->has_egress ? c->egress_space_id : now.egress_space_id;
    st = check_doorway(ctx, NULL, ingress, egress);
    if (st == OK)
        st = db_maybe(ctx, &sql_counts_update_doorway,
                      DB_ARGS(db_int8(ctx->who.account_id), db_int8(c->doorway_id),
                              db_text(c->name), opt_id(c->ingress_space_id), db_bool(c->has_egress),
                              opt_id(c->egress_space_id), opt_etag(c->updated_at)),
                      ret, &found);
    if (st == OK && found)
        tell_all(ctx);
    return st != OK || found ? st : fail_plain(ctx, CHANGED_MEANWHILE);
}

static enum status
delete_doorway_in_tx(struct ctx *ctx, void *arg)
{
    const struct deletion *d = arg;
    const struct db_args key = DB_ARGS(db_int8(ctx->who.account_id), db_int8(d->id));
    struct db_int8_value holds = {0};
    int64_t n = 0;
    enum status st = db_one(ctx, &sql_counts_doorway_holds, key, REASON_INTERNAL_ERROR, &holds);
    if (st == OK && !d->force && holds.value > 0)
        return fail(ctx, IN_USE, "the doorway has %" PRId64 " assignment%s; use force", holds.value,
                    plural(holds.value));
    if (st == OK)
        st = db_exec(ctx, &sql_counts_delete_doorway, key, &n);
    return st != OK || n > 0 ? st : fail_plain(ctx, DOORWAY_NOT_FOUND);
}

enum status
counts_delete_doorway(struct ctx *ctx, int64_t doorway_id, bool force)
{
    struct deletion d = {doorway_id, force};
    enum status st = db_tx(ctx, delete_doorway_in_tx, &d);
    if (st == OK)
        tell_all(ctx);
    return st;
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

enum status
counts_get_dpu(struct ctx *ctx, int64_t dpu_id, struct counts_dpu *ret)
{
    enum status st = counts_check_dpu(ctx, dpu_id);
    if (st != OK)
        return st;
    return db_one(ctx, &sql_counts_get_dpu,
                  DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)dpu_id)),
                  REASON_DPU_NOT_FOUND, ret);
}

enum status
counts_list_dpus(struct ctx *ctx, const struct list_request *list, struct counts_dpu **ret,
                 size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_counts_list_dpus, DB_ARGS(db_int8(ctx->who.account_id)), list, ret,
                     ret_n, ret_next);
}

enum status
counts_update_dpu(struct ctx *ctx, const struct counts_dpu_change *c, struct counts_dpu *ret)
{
    bool found = false;
    enum status st = check_dpu_texts(ctx, c->name, c->serial);
    if (st == OK)
        st = db_maybe(ctx, &sql_counts_update_dpu,
                      DB_ARGS(db_int8(ctx->who.account_id), db_int4(c->dpu_id), db_text(c->name),
                              db_text(c->serial), opt_etag(c->updated_at)),
                      ret, &found);
    if (st != OK || found)
        return st;
    st = counts_get_dpu(ctx, c->dpu_id, ret);
    return st != OK ? st : fail_plain(ctx, CHANGED_MEANWHILE);
}

static enum status
delete_dpu_in_tx(struct ctx *ctx, void *arg)
{
    const struct deletion *d = arg;
    const struct db_args key = DB_ARGS(db_int8(ctx->who.account_id), db_int4((int32_t)d->id));
    struct counts_holds holds = {0, 0};
    int64_t n = 0;
    enum status st = db_one(ctx, &sql_counts_dpu_holds, key, REASON_INTERNAL_ERROR, &holds);
    if (st == OK && !d->force && holds.first + holds.second > 0)
        return fail(ctx, IN_USE,
                    "the DPU has %" PRId64 " assignment%s and %" PRId64 " reading%s; use force",
                    holds.first, plural(holds.first), holds.second, plural(holds.second));
    if (st == OK)
        st = db_exec(ctx, &sql_counts_delete_dpu, key, &n);
    if (st == OK && n == 0)
        return fail_plain(ctx, DPU_NOT_FOUND);
    if (st == OK && holds.second > 0)
        st = db_exec(ctx, &sql_counts_drop_readings, key, NULL);
    return st == OK ? db_exec(ctx, &sql_counts_drop_checkpoints, key, NULL) : st;
}

enum status
counts_delete_dpu(struct ctx *ctx, int64_t dpu_id, bool force)
{
    struct deletion d = {dpu_id, force};
    enum status st = counts_check_dpu(ctx, dpu_id);
    if (st == OK)
        st = db_tx(ctx, delete_dpu_in_tx, &d);
    if (st == OK)
        tell_all(ctx);
    return st;
}
