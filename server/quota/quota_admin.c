/* What `luna-server admin` does. */
#include "quota/quota_private.h"
#include "quota/quota_store.h"

/* What (luna.v1.rules) say of CreateAccountRequest, for who does not come through it. */
static enum status
check_name(struct ctx *ctx, const char *name)
{
    struct str s = str_of(name);
    size_t characters = 0;
    for (size_t i = 0; i < s.n; i++)
        characters += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    if (!str_utf8_valid(s) || characters < 1 || characters > QUOTA_MAX_NAME)
        return fail_field(ctx, "account_name", "must have 1 to %d characters", QUOTA_MAX_NAME);
    return OK;
}

struct create {
    const char *name;
    bool admin;
    bool if_missing;
    int64_t ret_account_id;
    const char *ret_secret;
};

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

    struct secret secret;
    quota_key_new_secret(ctx, &secret);
    const struct new_key key = {
        .account_id = account.account_id,
        .hash = secret.hash,
        .prefix = secret.prefix,
        .role = c->admin ? ROLE_ADMIN : ROLE_MEMBER,
        .name = "made by luna-server admin",
    };
    struct api_key made;
    c->ret_account_id = account.account_id;
    c->ret_secret = secret.text;
    return quota_store_insert_key(ctx, &key, &made);
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
    fprintf(out, "account: %lld\nkey: %s\n", (long long)c.ret_account_id, c.ret_secret);
    return fflush(out) == 0 ? OK : fail(ctx, INTERNAL_ERROR, "the key could not be written");
}
