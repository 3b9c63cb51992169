/* The life of an exchange. Most are made and freed on the loop of their connection, one after the
 * other: a few are kept there for the next requests, with the first chunk of their arena. */
#include <stdlib.h>

#include "gateway/gateway.h"
#include "gateway/guard.h"
#include "gateway/stream.h"
#include "gateway/upload.h"
#include "gateway/websocket.h"

#define SPARES_MAX  64
#define ARENA_FIRST 2000 /* bytes: enough for most requests, and each open stream keeps them */

/* Of one loop, which alone touches it while it runs. */
struct exchange_spares {
    struct list exchanges; /* of exchange.spare */
    unsigned count;
};

static struct exchange *
take_spare(struct gateway *gw)
{
    struct exchange_spares *spares = &gw->spares[loop_here()];
    struct list *node = list_pop(&spares->exchanges);
    if (!node) {
        struct exchange *x = malloc(sizeof(*x));
        ASSERT(x);
        arena_init(&x->arena, ARENA_FIRST);
        return x;
    }
    spares->count--;
    return container_of(node, struct exchange, spare);
}

struct exchange *
exchange_new(struct gateway *gw, struct MHD_Connection *conn)
{
    struct exchange *x = take_spare(gw);
    struct arena arena = x->arena;
    *x = (struct exchange){.gw = gw, .conn = conn, .arena = arena};
    x->loop = loop_here();
    x->started = clock_now();
    x->guarded = guard_of(conn);
    atomic_init(&x->refs, 1);
    buf_init(&x->body, (size_t)gw->cfg->max_body);
    buf_init(&x->out, 0);
    buf_init(&x->message, 0);
    return x;
}

static void
free_exchange(struct exchange *x)
{
    arena_fini(&x->arena);
    free(x);
}

void
exchange_unref(struct exchange *x)
{
    if (atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    if (x->counted)
        atomic_fetch_sub(&x->gw->in_flight, 1);
    upstream_call_fini(&x->call);
    stream_free(x->stream);
    upload_free(x->upload);
    websocket_free(x->websocket);
    buf_fini(&x->body);
    buf_fini(&x->message);
    if (!x->borrowed)
        buf_fini(&x->out);
    struct exchange_spares *spares = &x->gw->spares[x->loop];
    if (loop_here() != x->loop || spares->count == SPARES_MAX) {
        free_exchange(x);
        return;
    }
    arena_reset(&x->arena);
    list_push_front(&spares->exchanges, &x->spare);
    spares->count++;
}

void
exchange_spares_new(struct gateway *gw)
{
    gw->spares = calloc((size_t)gw->loop_count, sizeof(gw->spares[0]));
    ASSERT(gw->spares);
    for (int i = 0; i < gw->loop_count; i++)
        list_init(&gw->spares[i].exchanges);
}

void
exchange_spares_free(struct gateway *gw)
{
    struct list *node;
    for (int i = 0; gw->spares && i < gw->loop_count; i++)
        while ((node = list_pop(&gw->spares[i].exchanges)) != NULL)
            free_exchange(container_of(node, struct exchange, spare));
    free(gw->spares);
}
