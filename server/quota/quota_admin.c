/* What `luna-server admin` does. */
#include "quota/quota_private.h"
#include "quota/quota_store.h"

struct create {
    const char *name;
    bool admin;
    bool if_missing;
    struct uuid key;
    int64_t ret_account_id;
};

static enum status
check_name(struct ctx *ctx, const char *name)
{
    struct str s = str_of(name);
    if (!str_utf8_valid(s))
        return fail_field(ctx, "account_name", "is not UTF-8");
    size_t characters = 0;
    for (size_t i = 0; i < s.n; i++)
        characters += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    if (characters < 1 || characters > QUOTA_MAX_NAME)
        return fail_field(ctx, "account_name", "must have 1 to %d characters", QUOTA_MAX_NAME);
    return OK;
}

static enum status
create_in_tx(struct ctx *ctx, void *arg)
{
    struct create *c = arg;
    struct account account = {.account_id = 0};
    bool found = false;
    enum status st = OK;
    if (c->if_missing)
        st = quota_store_account_by_name(ctx, c->name, &account, &found);
    if (st == OK && !found)
        st = quota_store_insert_account(ctx, c->name, QUOTA_DEFAULT_LIMIT, &account);
    if (st != OK)
        return st;

    uint8_t hash[API_KEY_HASH];
    char text[API_KEY_TEXT];
    struct api_key_hasher *hasher = quota_hasher_new();
    api_key_generate(&c->key);
    api_key_hash(hasher, &c->key, hash);
    api_key_hasher_free(hasher);
    api_key_format(&c->key, text);
    const struct new_key key = {
        .account_id = account.account_id,
        .hash = hash,
        .prefix = arena_strndup(ctx->arena, text, API_KEY_PREFIX_SHOWN),
        .role = c->admin ? ROLE_ADMIN : ROLE_MEMBER,
        .name = "made by luna-server admin",
    };
    int64_t key_id;
    c->ret_account_id = account.account_id;
    return quota_store_insert_key(ctx, &key, &key_id);
}

enum status
quota_admin_create_account(struct ctx *ctx, const char *name, bool admin, bool if_missing,
                           FILE *out)
{
    struct create c = {.name = name, .admin = admin, .if_missing = if_missing};
    enum status st = check_name(ctx, name);
    if (st != OK)
        return st;
    ctx->who.role = ROLE_ADMIN;
    st = db_tx(ctx, create_in_tx, &c);
    if (st != OK)
        return st;
    char text[API_KEY_TEXT];
    api_key_format(&c.key, text);
    fprintf(out, "account: %lld\nkey: %s\n", (long long)c.ret_account_id, text);
    return fflush(out) == 0 ? OK : fail(ctx, INTERNAL_ERROR, "the key could not be written");
}
