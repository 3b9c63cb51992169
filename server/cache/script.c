#include "cache/script.h"

#include "cache/redis_private.h"
#include "run/ctx.h"

/* EVALSHA, or EVAL, which runs the script and loads it for the next time. */
struct eval {
    struct str argv[3 + REDIS_EVAL_MAX_ARGS];
    size_t argc;
    char key_count[4];
};

static void
eval_write(struct eval *e, const struct redis_script *script, bool whole, const struct str *keys,
           size_t key_count, const struct str *args, size_t arg_count)
{
    ASSERT(key_count + arg_count <= REDIS_EVAL_MAX_ARGS);
    char *digits = e->key_count;
    size_t n = 0;
    if (key_count >= 10)
        digits[n++] = (char)('0' + key_count / 10);
    digits[n++] = (char)('0' + key_count % 10);
    e->argv[0] = whole ? STR("EVAL") : STR("EVALSHA");
    e->argv[1] = whole ? (struct str){script->text, script->size} : (struct str){script->sha1, 40};
    e->argv[2] = (struct str){digits, n};
    e->argc = 3;
    for (size_t i = 0; i < key_count; i++)
        e->argv[e->argc++] = keys[i];
    for (size_t i = 0; i < arg_count; i++)
        e->argv[e->argc++] = args[i];
}

bool
redis_is_noscript(const struct redis_reply *reply)
{
    return reply->type == REDIS_ERROR && str_starts(reply->str, STR("NOSCRIPT"));
}

static void
count_reload(struct reactor *reactor)
{
    struct redis *r = reactor_slot(reactor, SLOT_CACHE);
    if (r)
        redis_count(&r->stats.script_reloads, 1);
}

enum status
redis_eval(struct ctx *ctx, const struct redis_script *script, const struct str *keys,
           size_t key_count, const struct str *args, size_t arg_count, struct redis_reply **ret)
{
    struct eval e;
    struct redis_reply *reply;
    eval_write(&e, script, false, keys, key_count, args, arg_count);
    enum status st = redis_exchange(ctx, e.argv, e.argc, &reply);
    if (st == OK && redis_is_noscript(reply)) {
        count_reload(ctx->reactor);
        eval_write(&e, script, true, keys, key_count, args, arg_count);
        st = redis_exchange(ctx, e.argv, e.argc, &reply);
    }
    if (st != OK)
        return st;
    if (reply->type == REDIS_ERROR)
        return redis_fail_reply(ctx, reply);
    if (ret)
        *ret = reply;
    return OK;
}

bool
redis_eval_for(struct reactor *r, const struct redis_script *script, bool whole,
               const struct str *keys, size_t key_count, const struct str *args, size_t arg_count,
               struct redis_listener *l)
{
    struct eval e;
    if (whole)
        count_reload(r);
    eval_write(&e, script, whole, keys, key_count, args, arg_count);
    return redis_post_for(r, e.argv, e.argc, l);
}
