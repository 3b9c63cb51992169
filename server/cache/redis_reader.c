/* hiredis' incremental RESP parser, building struct redis_reply in the connection's scratch arena.
 */
#include <hiredis/read.h>

#include "cache/redis_conn.h"

/* More than any answer of ours: what exceeds them is a broken peer, not a reply. */
#define MAX_REPLY_ITEMS (1U << 20)
#define MAX_REPLY_BYTES ((size_t)256 << 20)

static struct redis_reply *
place(const redisReadTask *task)
{
    struct redis_conn *c = task->privdata;
    if (!task->parent)
        return arena_new(&c->scratch, struct redis_reply);
    struct redis_reply *parent = task->parent->obj;
    return &parent->items[task->idx];
}

static void *
make_string(const redisReadTask *task, char *p, size_t n)
{
    struct redis_conn *c = task->privdata;
    struct redis_reply *r = place(task);
    r->type = task->type == REDIS_REPLY_STRING   ? REDIS_STRING
              : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
                                                 : REDIS_ERROR;
    char *text = arena_alloc_raw(&c->scratch, n + 1);
    memcpy(text, p, n);
    text[n] = '\0';
    r->str = (struct str){text, n};
    return r;
}

static void *
make_array(const redisReadTask *task, int count)
{
    struct redis_conn *c = task->privdata;
    size_t n = count > 0 ? (size_t)count : 0;
    if (n > MAX_REPLY_ITEMS - c->scratch_items)
        return NULL;
    c->scratch_items += n;
    struct redis_reply *r = place(task);
    r->type = REDIS_ARRAY;
    r->count = n;
    r->items = arena_new_n(&c->scratch, struct redis_reply, n);
    return r;
}

static void *
make_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *r = place(task);
    r->type = REDIS_INTEGER;
    r->integer = value;
    return r;
}

static void *
make_nil(const redisReadTask *task)
{
    struct redis_reply *r = place(task);
    r->type = REDIS_NIL;
    return r;
}

static void
free_nothing(void *reply)
{
    (void)reply; /* the arena's */
}

static redisReplyObjectFunctions functions = {make_string, make_array, make_integer, make_nil,
                                              free_nothing};

struct redisReader *
redis_reader_new(struct redis_conn *c)
{
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    ASSERT(reader);
    reader->privdata = c;
    return reader;
}

void
redis_reader_free(struct redisReader *reader)
{
    if (reader)
        redisReaderFree(reader);
}

bool
redis_reader_feed(struct redis_conn *c, const char *p, size_t n, const char **why)
{
    redisReader *reader = c->reader;
    if (reader->len - reader->pos > MAX_REPLY_BYTES) {
        *why = "a reply is larger than 256 MiB";
        return false;
    }
    if (redisReaderFeed(reader, p, n) != REDIS_OK) {
        *why = "the reply could not be buffered";
        return false;
    }
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            *why = "the answer is not RESP, or larger than allowed";
            return false;
        }
        if (!reply)
            return true;
        if (!redis_conn_take(c, reply))
            return true;
        arena_reset(&c->scratch);
        c->scratch_items = 0;
    }
}
