#include "edge/auth.h"

#include <stdatomic.h>

#define MAX_TOKEN 4096U

static struct {
    struct auth_options opt;
    struct address_limit *failures;
    atomic_uint_fast64_t missing;
    atomic_uint_fast64_t bad;
    atomic_uint_fast64_t expired;
    atomic_uint_fast64_t role;
    atomic_uint_fast64_t scope;
    atomic_uint_fast64_t limited;
} auth;

static void
count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void
auth_init(const struct auth_options *opt)
{
    auth.opt = *opt;
    address_limit_free(auth.failures);
    auth.failures = address_limit_new(opt->failures_per_minute ? opt->failures_per_minute : 30);
}

void
auth_fini(void)
{
    address_limit_free(auth.failures);
    auth.failures = NULL;
}

bool
auth_parse_bearer(struct str header, struct str *ret_token)
{
    struct str rest = str_trim(header);
    struct str scheme = str_cut(&rest, ' ');
    if (!str_ieq(scheme, STR("Bearer")))
        return false;
    rest = str_trim(rest);
    if (rest.n == 0 || rest.n > MAX_TOKEN)
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] > '~')
            return false;
    *ret_token = rest;
    return true;
}

bool
auth_scope_covers(const char *scopes, struct str scope)
{
    if (!scopes)
        return true;
    struct str list = str_of(scopes);
    struct str rest = scope;
    struct str service = str_cut(&rest, '.');
    while (list.n > 0) {
        struct str held = str_cut(&list, ' ');
        if (held.n > 2 && memcmp(held.p + held.n - 2, ".*", 2) == 0)
            held.n -= 2;
        if (str_eq(held, STR("*")) || str_eq(held, scope) || str_eq(held, service))
            return true;
    }
    return false;
}

struct str
auth_client_address(struct call *call)
{
    struct str forwarded = {NULL, 0};
    (void)call_metadata(call, "x-forwarded-for", &forwarded);
    return address_of_client(&auth.opt.trusted, str_of(call_peer_address(call)), forwarded);
}

/* The token that was sent. False: none, or (*ret_malformed) one that cannot be read. */
static bool
find_token(const struct call *call, struct str *ret, bool *ret_malformed)
{
    struct str value;
    *ret_malformed = false;
    if (call_metadata(call, "authorization", &value)) {
        *ret_malformed = !auth_parse_bearer(value, ret);
        return !*ret_malformed;
    }
    if (call_metadata(call, "x-api-key", &value)) {
        *ret = str_trim(value);
        *ret_malformed = ret->n == 0 || ret->n > MAX_TOKEN;
        return !*ret_malformed;
    }
    return false;
}

static enum status
refuse_missing(struct call *call)
{
    count(&auth.missing);
    call_set_trailer(call, "www-authenticate", "Bearer realm=\"luna\"");
    return fail_plain(&call->ctx, NO_CREDENTIALS);
}

static enum status
check_token(struct call *call, struct str token, bool malformed)
{
    struct ctx *ctx = &call->ctx;
    struct str address = auth_client_address(call);
    nsec_t retry_after = 0;
    bool allowed = address_limit_allows(auth.failures, address, clock_now(), &retry_after);
    enum status st = malformed ? fail_plain(ctx, BAD_CREDENTIALS)
                               : auth.opt.token(ctx, token, allowed, &ctx->who);
    if (st == OK)
        return OK;
    switch (ctx->error.reason) {
    case REASON_BAD_CREDENTIALS:
        count(&auth.bad);
        break;
    case REASON_EXPIRED_CREDENTIALS:
        count(&auth.expired);
        break;
    case REASON_RATE_LIMITED:
        count(&auth.limited);
        if (retry_after > ctx->error.retry_after)
            ctx->error.retry_after = retry_after;
        return st;
    default: /* the store is away: not the caller's fault */
        return st;
    }
    address_limit_count(auth.failures, address, clock_now());
    call_set_trailer(call, "www-authenticate", "Bearer realm=\"luna\", error=\"invalid_token\"");
    return st;
}

static enum status
check_access(struct call *call)
{
    struct ctx *ctx = &call->ctx;
    const struct rpc_policy *policy = &call->method->policy;
    /* enum role and enum rpc_access stand in the same order, one apart. */
    if ((int)ctx->who.role + 1 < (int)policy->access) {
        count(&auth.role);
        return fail_plain(ctx, NOT_ALLOWED);
    }
    struct str scope = str_of(policy->scope);
    if (scope.n > 0 && !auth_scope_covers(ctx->who.scopes, scope)) {
        count(&auth.scope);
        return fail(ctx, NOT_ALLOWED, "the key lacks the scope %s", policy->scope);
    }
    return OK;
}

static enum status
auth_begin(struct call *call, size_t slot)
{
    (void)slot;
    if (call->method->policy.access == RPC_PUBLIC)
        return OK;
    struct str token;
    bool malformed;
    enum status st;
    if (find_token(call, &token, &malformed) || malformed)
        st = check_token(call, token, malformed);
    else if (auth.opt.anonymous)
        st = auth.opt.anonymous(&call->ctx, &call->ctx.who);
    else
        st = refuse_missing(call);
    return st == OK ? check_access(call) : st;
}

static void
auth_end(struct call *call, size_t slot, enum status st)
{
    (void)call;
    (void)slot;
    (void)st;
}

const struct interceptor auth_interceptor = {.name = "auth", .begin = auth_begin, .end = auth_end};

static uint64_t
number(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
auth_numbers(struct auth_numbers *ret)
{
    *ret = (struct auth_numbers){
        .refused_missing = number(&auth.missing),
        .refused_bad = number(&auth.bad),
        .refused_expired = number(&auth.expired),
        .refused_role = number(&auth.role),
        .refused_scope = number(&auth.scope),
        .limited = number(&auth.limited),
    };
}
