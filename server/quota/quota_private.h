/* Private to quota/: the process's settings and each reactor's memory. */
#ifndef LUNA_QUOTA_QUOTA_PRIVATE_H
#define LUNA_QUOTA_QUOTA_PRIVATE_H

#include "quota/key_cache.h"
#include "quota/quota.h"
#include "run/reactor.h"
#include "run/timer.h"

#define QUOTA_MAX_TOUCHES 4096U

struct quota_reactor {
    struct reactor *reactor;
    struct api_key_hasher *hasher;
    struct key_cache *keys;
    struct db_listener *key_changes;
    uint64_t key_drops; /* times keys were forgotten because they changed */
    struct limit_rules *rules;

    /* The anonymous account. */
    int64_t anonymous_id;
    nsec_t anonymous_read_at; /* 0: never */
    bool anonymous_refreshing;

    /* Keys whose use is not noted in the database yet. */
    struct timer touch_timer;
    bool touching;
    size_t touch_count;
    int64_t touch_accounts[QUOTA_MAX_TOUCHES];
    int64_t touch_keys[QUOTA_MAX_TOUCHES];
};

struct quota_reactor *quota_of(const struct reactor *r);

/* A hasher with the process's secret. */
struct api_key_hasher *quota_hasher_new(void);

/* quota_accounts.c: the account a call is about: 0 becomes the caller's own. Fails:
 * ACCOUNT_NOT_FOUND (another one's, for who is no admin). */
enum status quota_check_own(struct ctx *ctx, int64_t *account_id);

/* quota_keys.c: a new secret of a key; texts in ctx's arena. */
struct secret {
    uint8_t hash[API_KEY_HASH];
    const char *text;
    const char *prefix;
};
void quota_key_new_secret(struct ctx *ctx, struct secret *ret);

/* key_touch.c: notes that the key was used in this minute; written later, in batches. */
void quota_touch(struct quota_reactor *q, struct key_entry *e);
void quota_touch_init(struct quota_reactor *q);
void quota_touch_fini(struct quota_reactor *q);

#endif
