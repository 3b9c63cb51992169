/* The log of what happened to an account, and who watches it. */
#include "quota/quota_limits.h"
#include "quota/quota_limits.sql.h"
#include "quota/quota_private.h"
#include "quota/quota_store.h"
#include "run/fiber.h"

const struct db_col quota_event_row[] = {
    DB_COL(struct quota_event, event_id, DB_INT8),
    DB_COL(struct quota_event, account_id, DB_INT8),
    DB_COL(struct quota_event, occurred_at, DB_TIMESTAMPTZ),
    DB_COL(struct quota_event, kind, DB_TEXT),
    DB_COL_OPT(struct quota_event, by_account_id, DB_INT8, has_by_account_id),
    DB_COL_NULLABLE(struct quota_event, data, DB_TEXT),
    DB_END,
};

enum status
quota_events_list(struct ctx *ctx, int64_t account_id, const struct list_request *list,
                  struct quota_event **ret, size_t *ret_n, const char **ret_next)
{
    enum status st = quota_check_own(ctx, &account_id);
    if (st != OK)
        return st;
    st = list_rows(ctx, &sql_quota_list_events, DB_ARGS(db_int8(account_id)), list, ret, ret_n,
                   ret_next);
    if (st != OK || *ret_n > 0)
        return st;
    struct account account; /* nothing happened, or there is no such account */
    return quota_store_get_account(ctx, account_id, &account);
}

struct quota_watch {
    struct ctx *ctx;
    int64_t account_id;
    int64_t after;
    bool news;
    struct cond changed;
    struct db_listener *listener;
};

/* An event of this account was written; NULL: some may have been. */
static void
on_event(void *arg, const char *payload)
{
    struct quota_watch *w = arg;
    int64_t account_id;
    if (payload && (!str_to_i64(str_of(payload), &account_id) || account_id != w->account_id))
        return;
    w->news = true;
    cond_signal(&w->changed);
}

static void
close_watch(void *arg)
{
    struct quota_watch *w = arg;
    db_unlisten(w->listener);
}

enum status
quota_watch_open(struct ctx *ctx, int64_t account_id, int64_t after_id, struct quota_watch **ret)
{
    struct account account;
    struct db_int8_value last = {.value = after_id};
    if (after_id < 0)
        return fail_field(ctx, "after_event_id", "must not be negative");
    enum status st = quota_account(ctx, account_id, &account);
    if (st == OK && after_id == 0)
        st = db_one(ctx, &sql_quota_last_event, DB_ARGS(db_int8(account.account_id)),
                    REASON_INTERNAL_ERROR, &last);
    if (st != OK)
        return st;
    struct quota_watch *w = arena_new(ctx->arena, struct quota_watch);
    *w = (struct quota_watch){.ctx = ctx, .account_id = account.account_id, .after = last.value};
    w->news = true;
    cond_init(&w->changed);
    w->listener = db_listen(ctx->reactor, "luna_quota_events", on_event, w);
    ctx_defer(ctx, close_watch, w);
    *ret = w;
    return OK;
}

enum status
quota_watch_next(struct quota_watch *w, struct arena *scratch, struct quota_event **ret,
                 size_t *ret_n)
{
    struct ctx *ctx = w->ctx;
    struct arena *kept = ctx->arena;
    for (;;) {
        enum status st = OK;
        while (!w->news && st == OK)
            st = cond_wait(&w->changed, ctx);
        if (st != OK)
            return st;
        w->news = false;
        ctx->arena = scratch;
        st = db_many(ctx, &sql_quota_events_after,
                     DB_ARGS(db_int8(w->account_id), db_int8(w->after)), ret, ret_n);
        ctx->arena = kept;
        if (st != OK)
            return st;
        if (*ret_n > 0) {
            w->after = (*ret)[*ret_n - 1].event_id;
            w->news = *ret_n == 100;
            return OK;
        }
    }
}
