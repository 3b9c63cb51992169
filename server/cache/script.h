/*
 * Lua scripts: a file <name>.lua beside the code that uses it, embedded at build by
 * luna_embed_lua() as <name>_lua (lua/<name>.lua.h), loaded at each connect and run by its SHA1.
 */
#ifndef LUNA_CACHE_SCRIPT_H
#define LUNA_CACHE_SCRIPT_H

#include "cache/redis.h"

struct redis_script {
    const char *name; /* "quota_gate": metric label */
    const char *text;
    size_t size;
    const char *sha1; /* 40 hex digits of the text */
};

/*
 * EVALSHA of a script that was in redis_options.scripts. When Redis has forgotten it (SCRIPT FLUSH,
 * a restart behind a proxy) it is sent once more with its text. Suspends: once, twice after
 * NOSCRIPT. Fails as redis_command.
 */
enum status redis_eval(struct ctx *ctx, const struct redis_script *script, const struct str *keys,
                       size_t key_count, const struct str *args, size_t arg_count,
                       struct redis_reply **ret) WARN_UNUSED;

/* The same for a listener. `whole`: with the text, after an answer for which redis_is_noscript.
 * False: not sent. Suspends: never. */
bool redis_eval_for(struct reactor *r, const struct redis_script *script, bool whole,
                    const struct str *keys, size_t key_count, const struct str *args,
                    size_t arg_count, struct redis_listener *l);
bool redis_is_noscript(const struct redis_reply *reply);

#define REDIS_EVAL_MAX_ARGS 64 /* keys and arguments together */

#endif
