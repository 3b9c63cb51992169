#include "quota/limit_rules.h"

#include <stdlib.h>

#include "edge/list.h"
#include "quota/quota_limits.sql.h"
#include "quota/quota_private.h"

#define PLACES  256U   /* accounts that a reactor remembers */
#define BELIEVE SEC(5) /* without asking, should a notification be lost */

const struct db_col limit_rule_row[] = {
    DB_COL(struct limit_rule, rule_id, DB_INT8),
    DB_COL(struct limit_rule, domain, DB_TEXT),
    DB_COL(struct limit_rule, entry_keys, DB_TEXT_ARRAY),
    DB_COL(struct limit_rule, entry_values, DB_TEXT_ARRAY),
    DB_COL(struct limit_rule, capacity, DB_INT8),
    DB_COL(struct limit_rule, unit_us, DB_INT8),
    DB_COL(struct limit_rule, units, DB_INT8),
    DB_COL(struct limit_rule, period_ms, DB_INT8),
    DB_COL(struct limit_rule, report_only, DB_BOOL),
    DB_COL(struct limit_rule, created_at, DB_TIMESTAMPTZ),
    DB_END,
};

/* The rules of one account; account_id 0: empty. */
struct place {
    int64_t account_id;
    nsec_t read_at;
    struct arena *arena; /* its own, malloc'ed */
    struct limit_rule *rules;
    size_t n;
};

struct limit_rules {
    struct place places[PLACES];
    uint64_t changes; /* notifications so far */
    struct db_listener *listener;
};

static void
empty(struct place *p)
{
    if (p->arena) {
        arena_fini(p->arena);
        free(p->arena);
    }
    *p = (struct place){0};
}

/* The rules of an account have changed; NULL: those of any may have. */
static void
on_change(void *arg, const char *payload)
{
    struct limit_rules *l = arg;
    int64_t account_id = 0;
    bool one = payload && str_to_i64(str_of(payload), &account_id);
    l->changes++;
    for (size_t i = 0; i < PLACES; i++)
        if (!one || l->places[i].account_id == account_id)
            empty(&l->places[i]);
}

struct limit_rules *
limit_rules_new(struct reactor *r)
{
    struct limit_rules *l = calloc(1, sizeof(*l));
    ASSERT(l);
    l->listener = db_listen(r, "luna_limit_rules", on_change, l);
    return l;
}

void
limit_rules_free(struct limit_rules *l)
{
    db_unlisten(l->listener);
    for (size_t i = 0; i < PLACES; i++)
        empty(&l->places[i]);
    free(l);
}

enum status
limit_rules_create(struct ctx *ctx, const struct limit_rule *rule, struct limit_rule *ret)
{
    bool made = false;
    const struct db_arg args[] = {
        db_int8(ctx->who.account_id),
        db_text(rule->domain),
        db_array_of(DB_TEXT_ARRAY, rule->entry_keys.texts, NULL, rule->entry_keys.n),
        db_array_of(DB_TEXT_ARRAY, rule->entry_values.texts, NULL, rule->entry_values.n),
        db_int8(rule->capacity),
        db_int8(rule->unit_us),
        db_int8(rule->units),
        db_int8(rule->period_ms),
        db_bool(rule->report_only),
    };
    enum status st = db_maybe(ctx, &sql_quota_insert_rule,
                              ((struct db_args){args, ARRAY_LEN(args)}), ret, &made);
    return st == OK && !made ? fail(ctx, IN_USE, "an account has at most 1000 rules") : st;
}

enum status
limit_rules_list(struct ctx *ctx, const struct list_request *list, struct limit_rule **ret,
                 size_t *ret_n, const char **ret_next)
{
    return list_rows(ctx, &sql_quota_list_rules, DB_ARGS(db_int8(ctx->who.account_id)), list, ret,
                     ret_n, ret_next);
}

enum status
limit_rules_delete(struct ctx *ctx, int64_t rule_id)
{
    int64_t n = 0;
    enum status st = db_exec(ctx, &sql_quota_delete_rule,
                             DB_ARGS(db_int8(ctx->who.account_id), db_int8(rule_id)), &n);
    return st == OK && n == 0 ? fail_plain(ctx, RULE_NOT_FOUND) : st;
}

/* Reads them into an arena that the place keeps, unless they have changed meanwhile. */
static enum status
read_rules(struct ctx *ctx, struct limit_rules *l, struct place *p)
{
    struct arena *kept = ctx->arena;
    struct arena *own = malloc(sizeof(*own));
    struct place fresh = {.account_id = ctx->who.account_id, .arena = own};
    uint64_t before = l->changes;
    ASSERT(own);
    arena_init(own, 0);
    ctx->arena = own;
    enum status st = db_many(ctx, &sql_quota_all_rules, DB_ARGS(db_int8(ctx->who.account_id)),
                             &fresh.rules, &fresh.n);
    ctx->arena = kept;
    if (st != OK) {
        if (ctx->error.message) /* it was made in the arena that goes */
            ctx->error.message = arena_strdup(kept, ctx->error.message);
        if (ctx->error.detail)
            ctx->error.detail = arena_strdup(kept, ctx->error.detail);
        empty(&fresh);
        return st;
    }
    fresh.read_at = before == l->changes ? clock_now() : 0; /* 0: for this call alone */
    empty(p);
    *p = fresh;
    return OK;
}

enum status
limit_rules_get(struct ctx *ctx, const struct limit_rule **ret, size_t *ret_n)
{
    struct limit_rules *l = quota_of(ctx->reactor)->rules;
    struct place *p = &l->places[(uint64_t)ctx->who.account_id % PLACES];
    bool good = p->account_id == ctx->who.account_id && p->read_at != 0 &&
                clock_now() - p->read_at < BELIEVE;
    enum status st = good ? OK : read_rules(ctx, l, p);
    if (st != OK)
        return st;
    *ret = p->rules;
    *ret_n = p->n;
    return OK;
}

/* Which values are exact, the first key in the highest bit; -1: it does not fit. */
static int
fit(const struct limit_rule *r, const char *domain, const struct limit_entry *entries, size_t n)
{
    int exact = 0;
    if (r->entry_keys.n != n || strcmp(r->domain, domain) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const char *value = r->entry_values.texts[i];
        if (strcmp(r->entry_keys.texts[i], entries[i].key) != 0)
            return -1;
        if (*value && strcmp(value, entries[i].value) != 0)
            return -1;
        exact = exact << 1 | (*value != '\0');
    }
    return exact;
}

const struct limit_rule *
limit_rules_match(const struct limit_rule *rules, size_t rule_count, const char *domain,
                  const struct limit_entry *entries, size_t n)
{
    const struct limit_rule *best = NULL;
    int most = -1;
    for (size_t i = 0; i < rule_count; i++) {
        int fits = fit(&rules[i], domain, entries, n);
        if (fits > most) {
            most = fits;
            best = &rules[i];
        }
    }
    return best;
}
