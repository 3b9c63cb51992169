#include "cache/script.h"

#include "cache/redis_private.h"
#include "run/ctx.h"

static bool
is_noscript(const struct redis_reply *reply)
{
    return reply->type == REDIS_ERROR && str_starts(reply->str, STR("NOSCRIPT"));
}

enum status
redis_eval(struct ctx *ctx, const struct redis_script *script, const struct str *keys,
           size_t key_count, const struct str *args, size_t arg_count, struct redis_reply **ret)
{
    ASSERT(key_count + arg_count <= REDIS_EVAL_MAX_ARGS);
    struct str argv[3 + REDIS_EVAL_MAX_ARGS];
    size_t argc = 0;
    char count[4] = {(char)('0' + key_count / 10), (char)('0' + key_count % 10), '\0'};
    argv[argc++] = STR("EVALSHA");
    argv[argc++] = (struct str){script->sha1, 40};
    argv[argc++] = key_count >= 10 ? (struct str){count, 2} : (struct str){count + 1, 1};
    for (size_t i = 0; i < key_count; i++)
        argv[argc++] = keys[i];
    for (size_t i = 0; i < arg_count; i++)
        argv[argc++] = args[i];

    struct redis_reply *reply;
    enum status st = redis_exchange(ctx, argv, argc, &reply);
    if (st == OK && is_noscript(reply)) {
        struct redis *r = reactor_slot(ctx->reactor, SLOT_CACHE);
        if (r)
            redis_count(&r->stats.script_reloads, 1);
        argv[0] = STR("EVAL"); /* runs it and loads it for the next time */
        argv[1] = (struct str){script->text, script->size};
        st = redis_exchange(ctx, argv, argc, &reply);
    }
    if (st != OK)
        return st;
    if (reply->type == REDIS_ERROR)
        return redis_fail_reply(ctx, reply);
    if (ret)
        *ret = reply;
    return OK;
}
