/* last_used_at, to the minute: gathered for some seconds, written in one statement. What a stopping
 * server has not written yet is lost: it is for people, not for decisions. */
#include "base/log.h"
#include "quota/quota_private.h"
#include "quota/quota_store.h"
#include "run/fiber.h"

#define TOUCH_DELAY    SEC(5)
#define TOUCH_DEADLINE SEC(10)

static void
write_touches(void *arg)
{
    struct quota_reactor *q = arg;
    struct arena arena;
    struct ctx ctx;
    arena_init(&arena, 0);
    ctx_init(&ctx, &arena, q->reactor);
    ctx.deadline = clock_now() + TOUCH_DEADLINE;
    size_t n = q->touch_count;
    int64_t *accounts = arena_memdup(&arena, q->touch_accounts, n * sizeof(*accounts));
    int64_t *keys = arena_memdup(&arena, q->touch_keys, n * sizeof(*keys));
    q->touch_count = 0;
    int64_t touched;
    if (quota_store_touch_keys(&ctx, accounts, keys, n, &touched) != OK)
        log_debug("last use of keys not written", log_str("why", ctx.error.message));
    ctx_fini(&ctx);
    arena_fini(&arena);
    q->touching = false;
    if (q->touch_count > 0 && !reactor_stopping(q->reactor))
        timer_set(q->reactor, &q->touch_timer, clock_now() + TOUCH_DELAY);
}

static void
on_touch_timer(struct timer *t)
{
    struct quota_reactor *q = container_of(t, struct quota_reactor, touch_timer);
    if (q->touch_count > 0 && !q->touching)
        q->touching = fiber_spawn(q->reactor, write_touches, q);
    if (!q->touching && q->touch_count > 0) /* the reactor is full: later */
        timer_set(q->reactor, &q->touch_timer, clock_now() + TOUCH_DELAY);
}

void
quota_touch(struct quota_reactor *q, struct key_entry *e)
{
    int64_t minute = clock_wall_us() / (60 * INT64_C(1000000));
    if (e->touched == minute || q->touch_count == QUOTA_MAX_TOUCHES)
        return;
    e->touched = minute;
    q->touch_accounts[q->touch_count] = e->account_id;
    q->touch_keys[q->touch_count] = e->key_id;
    q->touch_count++;
    if (!timer_pending(&q->touch_timer) && !q->touching)
        timer_set(q->reactor, &q->touch_timer, clock_now() + TOUCH_DELAY);
}

void
quota_touch_init(struct quota_reactor *q)
{
    timer_init(&q->touch_timer, on_touch_timer);
}

void
quota_touch_fini(struct quota_reactor *q)
{
    timer_stop(q->reactor, &q->touch_timer);
}
