/* What a lane remembers from one round to the next: nothing is read or parsed for an append to a
 * filter that was in use just now. It may be stale: the commit tells. */
#include <string.h>

#include "kalman/durable_private.h"

void
durable_hot_init(struct durable_hot *hot)
{
    *hot = (struct durable_hot){.known = false};
    arena_init(&hot->arena, 0);
}

void
durable_hot_forget(struct durable_hot *hot)
{
    if (hot->walking)
        durable_walk_fini(&hot->walk);
    hot->known = hot->walking = false;
    arena_reset(&hot->arena);
}

void
durable_hot_fini(struct durable_hot *hot)
{
    durable_hot_forget(hot);
    arena_fini(&hot->arena);
}

enum status
durable_hot_begin(struct ctx *ctx, struct durable_hot *hot, struct str model)
{
    struct arena *of_ctx = ctx->arena;
    durable_hot_forget(hot);
    model.p = arena_memdup(&hot->arena, model.p, model.n);
    ctx->arena = &hot->arena;
    enum status st = durable_read_model(ctx, model, &hot->spec);
    ctx->arena = of_ctx;
    hot->head.model = model;
    return st;
}

bool
durable_hot_load(struct durable_hot *hot, const struct durable_head *h)
{
    const struct str model = hot->head.model;
    hot->head = *h;
    hot->head.model = model;
    hot->walking = true;
    hot->known = durable_walk_init(&hot->walk, &hot->spec, &hot->arena, h->state, h->time,
                                   h->sequence, h->since);
    hot->head.state = (struct str){NULL, 0};
    return hot->known;
}
