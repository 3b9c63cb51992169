#include "edge/idempotency.h"

#include <signal.h>

#include "base/config.h"
#include "base/failpoint.h"
#include "edge/idempotency.sql.h"
#include "edge/seal.h"

#define FIELD    "request_id"
#define METADATA "idempotency-key"

static struct {
    struct str secret;
    int64_t keep_us;
} settings;

/* A call that came with a key. */
struct keyed_call {
    const char *field; /* what the key is called in failures */
    struct seal seal;
    uint8_t request[SEAL_HASH];
    struct str answer; /* to give again, or of this call; packed */
    bool found;
};

struct idempotent_call {
    struct str request_hash;
    struct str answer; /* p NULL: a claim */
};

const struct db_col idempotent_call_row[] = {
    DB_COL(struct idempotent_call, request_hash, DB_BYTEA),
    DB_COL_NULLABLE(struct idempotent_call, answer, DB_BYTEA),
    DB_END,
};

void
idempotency_init(const struct config *cfg)
{
    settings.secret = str_of(cfg->key_secret);
    settings.keep_us = cfg->idempotency_keep / USEC(1);
}

/* ---- the key -------------------------------------------------------------------------------- */

static struct str
field_of(const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f =
        m ? protobuf_c_message_descriptor_get_field_by_name(m->descriptor, FIELD) : NULL;
    if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
        return STR("");
    const char *text;
    memcpy(&text, (const char *)m + f->offset, sizeof(text));
    return str_of(text ? text : "");
}

static bool
is_key(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n >= 1 && s.n <= IDEMPOTENCY_MAX_KEY;
}

/* *ret empty: the call has none. *ret_field: FIELD as it comes. */
static enum status
read_key(struct call *call, struct str *ret, const char **ret_field)
{
    struct str sent = STR("");
    struct str field = field_of(call->request);
    bool header = call_metadata(call, METADATA, &sent);
    if (header && field.n > 0 && !str_eq(sent, field))
        return fail_field(&call->ctx, FIELD, "is not the %s that was sent", METADATA);
    *ret = header ? sent : field;
    if (header)
        *ret_field = METADATA;
    if (!header && field.n == 0)
        return OK;
    if (!is_key(*ret))
        return fail_field(&call->ctx, *ret_field, "must be 1 to %d visible ASCII characters",
                          IDEMPOTENCY_MAX_KEY);
    return OK;
}

static struct str
packed(struct arena *a, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = arena_alloc_raw(a, n + 1);
    protobuf_c_message_pack(m, bytes);
    return (struct str){(const char *)bytes, n};
}

/* ---- what is kept --------------------------------------------------------------------------- */

static struct db_args
key_args(struct ctx *ctx, struct keyed_call *k, struct db_arg args[2])
{
    args[0] = db_int8(ctx->who.account_id);
    args[1] = db_bytea(k->seal.hash, SEAL_HASH);
    return (struct db_args){args, 2};
}

/* What was found under the key: the answer, or why there is none. */
static enum status
judge(struct ctx *ctx, struct keyed_call *k, const struct idempotent_call *row)
{
    struct str same = {(const char *)k->request, SEAL_HASH};
    if (!str_eq(row->request_hash, same))
        return fail_field(ctx, k->field, "was used for another request");
    if (!row->answer.p)
        return fail_plain(ctx, IDEMPOTENCY_KEY_IN_USE);
    if (!seal_open(&k->seal, ctx->arena, k->request, row->answer, &k->answer)) {
        enum status st = fail_plain(ctx, INTERNAL_ERROR);
        fail_detail(ctx, "the kept answer cannot be opened: has LUNA_KEY_SECRET changed?");
        return st;
    }
    k->found = true;
    return OK;
}

static enum status
find(struct ctx *ctx, struct keyed_call *k)
{
    struct db_arg args[2];
    struct idempotent_call row;
    bool found = false;
    enum status st = db_maybe(ctx, &sql_idempotency_find, key_args(ctx, k, args), &row, &found);
    return st == OK && found ? judge(ctx, k, &row) : st;
}

/* `answer` p NULL: a claim. *ret_taken false: another call has the key. */
static enum status
put(struct ctx *ctx, struct keyed_call *k, struct str answer, bool *ret_taken)
{
    int64_t n = 0;
    enum status st = db_exec(
        ctx, &sql_idempotency_claim,
        DB_ARGS(db_int8(ctx->who.account_id), db_bytea(k->seal.hash, SEAL_HASH),
                db_bytea(k->request, SEAL_HASH),
                db_opt(answer.p != NULL, db_bytea(answer.p, answer.n)), db_int8(settings.keep_us)),
        &n);
    *ret_taken = n > 0;
    return st;
}

static struct str
sealed(struct ctx *ctx, const struct keyed_call *k)
{
    return seal_close(&k->seal, ctx->arena, k->request, k->answer);
}

/* Runs the handler; its answer is kept in `k`. */
static enum status
handle(struct call *call, struct keyed_call *k)
{
    const struct rpc_method *m = call->method;
    ProtobufCMessage *resp = rpc_message_new(call->ctx.arena, m->response);
    enum status st = m->unary(call, call->request, resp);
    if (st == OK)
        k->answer = packed(call->ctx.arena, resp);
    return st;
}

/* ---- in one transaction ---------------------------------------------------------------------- */

struct keyed_work {
    struct call *call;
    struct keyed_call *k;
};

static enum status
work_in_tx(struct ctx *ctx, void *arg)
{
    const struct keyed_work *w = arg;
    struct keyed_call *k = w->k;
    struct db_arg args[2];
    struct db_bool_value locked;
    struct idempotent_call row;
    size_t found = 0;
    int64_t lock;
    bool taken = false;
    memcpy(&lock, k->seal.hash, sizeof(lock));
    const struct db_item items[] = {
        DB_ITEM_ONE(&sql_idempotency_lock, DB_ARGS(db_int8(lock)), REASON_INTERNAL_ERROR, &locked),
        DB_ITEM_EXEC(&sql_idempotency_purge, DB_ARGS(db_int8(ctx->who.account_id)), NULL),
        DB_ITEM_MAYBE(&sql_idempotency_find, key_args(ctx, k, args), &row, &found),
    };
    enum status st = db_batch(ctx, items, ARRAY_LEN(items));
    if (st == OK && found > 0)
        return judge(ctx, k, &row);
    if (st == OK && !locked.value)
        return fail_plain(ctx, IDEMPOTENCY_KEY_IN_USE);
    if (st == OK)
        st = handle(w->call, k);
    if (st == OK && FAILPOINT(idempotency_done))
        (void)raise(SIGKILL);
    if (st == OK)
        st = put(ctx, k, sealed(ctx, k), &taken);
    return st == OK && !taken ? fail_plain(ctx, IDEMPOTENCY_KEY_IN_USE) : st;
}

/* ---- by a claim ------------------------------------------------------------------------------ */

/* The call has ended, and its context may be cancelled: on one of its own. */
static void
settle_claim(struct call *call, struct keyed_call *k, enum status st)
{
    struct db_arg args[2];
    struct ctx ctx;
    ctx_init(&ctx, call->ctx.arena, call->ctx.reactor);
    ctx.who = call->ctx.who;
    ctx.deadline = clock_now() + SEC(2);
    if (st != OK) {
        st = db_exec(&ctx, &sql_idempotency_forget, key_args(&ctx, k, args), NULL);
    } else {
        struct str answer = sealed(&ctx, k);
        st = db_exec(&ctx, &sql_idempotency_finish,
                     DB_ARGS(db_int8(ctx.who.account_id), db_bytea(k->seal.hash, SEAL_HASH),
                             db_bytea(answer.p, answer.n)),
                     NULL);
    }
    (void)st; /* not reached: the claim stays, and blocks the key until it expires */
    ctx_fini(&ctx);
}

static enum status
work_with_claim(struct call *call, struct keyed_call *k)
{
    struct ctx *ctx = &call->ctx;
    bool taken = false;
    enum status st =
        db_exec(ctx, &sql_idempotency_purge, DB_ARGS(db_int8(ctx->who.account_id)), NULL);
    if (st == OK)
        st = put(ctx, k, (struct str){NULL, 0}, &taken);
    if (st == OK && !taken) {
        st = find(ctx, k);
        return st == OK && !k->found ? fail_plain(ctx, IDEMPOTENCY_KEY_IN_USE) : st;
    }
    if (st != OK)
        return st;
    st = handle(call, k);
    if (st == OK && FAILPOINT(idempotency_done))
        (void)raise(SIGKILL);
    settle_claim(call, k, st);
    return st;
}

/* ---- the interceptor ------------------------------------------------------------------------- */

static void
give(struct call *call, const struct keyed_call *k)
{
    if (k->found)
        (void)call_set_header(call, "idempotency-replayed", "true");
    call_answer(call, k->answer);
}

static enum status
idempotency_begin(struct call *call, size_t slot)
{
    struct ctx *ctx = &call->ctx;
    enum rpc_keys how = call->method->policy.keys;
    struct str key;
    const char *field = FIELD;
    if (how == RPC_KEYS_IGNORED || ctx->who.account_id == 0)
        return OK;
    enum status st = read_key(call, &key, &field);
    if (st != OK || key.n == 0)
        return st;
    if (how == RPC_KEYS_REFUSED)
        return fail_field(ctx, field, "is not for streams");
    struct keyed_call *k = arena_new(ctx->arena, struct keyed_call);
    k->field = field;
    seal_init(&k->seal, settings.secret, ctx->who.account_id, key);
    seal_hash_request(str_of(call->method->path), packed(ctx->arena, call->request), k->request);
    st = find(ctx, k);
    if (st == OK && k->found)
        give(call, k);
    call->interceptor_data[slot] = k;
    return st;
}

static enum status
idempotency_around(struct call *call, size_t slot)
{
    struct keyed_call *k = call->interceptor_data[slot];
    struct keyed_work w = {call, k};
    enum status st = call->method->policy.keys == RPC_KEYS_TRANSACTION
                         ? db_tx(&call->ctx, work_in_tx, &w)
                         : work_with_claim(call, k);
    if (st != OK)
        return st;
    if (FAILPOINT(idempotency_kept))
        (void)raise(SIGKILL);
    give(call, k);
    return OK;
}

const struct interceptor idempotency_interceptor = {
    .name = "idempotency",
    .begin = idempotency_begin,
    .around = idempotency_around,
};
