/*
 * Rules for descriptors: domain and a list of keys with their values, as Envoy's rate limit service
 * has them. Each reactor remembers the rules of the accounts that ask, until they change.
 *
 * Thread: a reactor's. Suspends: once, where the database is asked.
 */
#ifndef LUNA_QUOTA_LIMIT_RULES_H
#define LUNA_QUOTA_LIMIT_RULES_H

#include "db/db.h"
#include "quota/quota.h"

#define LIMIT_RULES_MAX_ENTRIES 8

struct limit_rule {
    int64_t rule_id;
    const char *domain;
    struct db_array entry_keys;
    struct db_array entry_values; /* "": any */
    int64_t capacity;             /* units at once */
    int64_t unit_us;              /* in which one comes back */
    int64_t units;                /* as it was asked for: so many in */
    int64_t period_ms;            /* so long */
    bool report_only;
    usec_t created_at;
};

/* A descriptor: `n` keys with their values. */
struct limit_entry {
    const char *key;
    const char *value;
};

/* The reactor's memory; part of quota_attach. */
struct limit_rules;
struct limit_rules *limit_rules_new(struct reactor *r);
void limit_rules_free(struct limit_rules *l);

/* Fails: RULE_EXISTS, IN_USE (1000 of them), DB_... */
enum status limit_rules_create(struct ctx *ctx, const struct limit_rule *rule,
                               struct limit_rule *ret) WARN_UNUSED;
enum status limit_rules_list(struct ctx *ctx, const struct list_request *list,
                             struct limit_rule **ret, size_t *ret_n,
                             const char **ret_next) WARN_UNUSED;
/* Fails: RULE_NOT_FOUND. */
enum status limit_rules_delete(struct ctx *ctx, int64_t rule_id) WARN_UNUSED;

/* All rules of the caller's account; they may be gone after the next suspension. */
enum status limit_rules_get(struct ctx *ctx, const struct limit_rule **ret,
                            size_t *ret_n) WARN_UNUSED;

/* The rule for a descriptor: same keys in the same order, values equal or any; the one with an
 * exact value for an earlier key. NULL: none. Suspends: never. */
const struct limit_rule *limit_rules_match(const struct limit_rule *rules, size_t rule_count,
                                           const char *domain, const struct limit_entry *entries,
                                           size_t n);

#endif
