/* grpc.health.v1.Health.Watch: whether a server that is there wants calls. */
#include <stdlib.h>

#include "gateway/schema.h"
#include "gateway/upstream_private.h"

#define WATCH_AGAIN SEC(1)

enum { STATUS_FIELD = 1, STATUS_SERVING = 1 };

static void
set_health(struct upstream_peer *p, enum upstream_health health)
{
    p->health = health;
    peer_changed(p);
}

static void
on_message(struct upstream_call *c, struct str message)
{
    struct upstream_peer *p = container_of(c, struct upstream_peer, watch);
    bool serving = schema_option_number(message, STATUS_FIELD) == STATUS_SERVING;
    if (p->watched && p->watched == p->link)
        set_health(p, serving ? HEALTH_SERVING : HEALTH_NOT_SERVING);
    upstream_next(c);
}

static void
on_end(struct upstream_call *c)
{
    struct upstream_peer *p = container_of(c, struct upstream_peer, watch);
    bool none = c->status == UNIMPLEMENTED; /* it has no health service: it is well */
    bool same = p->watched && p->watched == p->link;
    upstream_call_fini(c);
    p->watched = NULL;
    if (list_empty(&p->node)) { /* removed */
        free(p);
    } else if (same) {
        set_health(p, none ? HEALTH_SERVING : HEALTH_NOT_SERVING);
        if (!none)
            loop_timer_set(p->lane->loop, &p->timer, clock_now() + WATCH_AGAIN);
    } else if (p->state == PEER_READY) {
        health_watch(p);
    }
}

void
health_watch(struct upstream_peer *p)
{
    struct upstream_call *c = &p->watch;
    if (c->lane)
        return; /* of the link before; its end begins anew */
    c->on_end = on_end;
    c->on_message = on_message;
    call_init(c, p->lane, "/grpc.health.v1.Health/Watch", NULL, 0, NSEC_NEVER);
    c->half_close = true;
    arena_init(&c->arena, 0);
    call_put_message(c, STR(""), false);
    p->watched = p->link;
    if (!http2_submit(p->link, c))
        call_end(c, UNAVAILABLE, STR(""));
}
