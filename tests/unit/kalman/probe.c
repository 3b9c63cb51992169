#include "probe.h"

#include <string.h>

#include "rpc/rpc.h"
#include "run/compute.h"
#include "run/fiber.h"
#include "run/reactor.h"
#include "run/timer.h"

extern const struct rpc_service kalman_service;

static struct compute *pool;

void
probe_run(void (*fn)(struct ctx *ctx, void *arg), void *arg, size_t threads)
{
    pool = compute_new(threads, 0);
    compute_set_default(pool);
    reactor_run_main(fn, arg);
    compute_free(pool);
    pool = NULL;
}

uint64_t
probe_pool_done(void)
{
    return atomic_load(&compute_stats(pool)->done);
}

enum status
probe_unary(struct ctx *ctx, const char *method, const ProtobufCMessage *req,
            ProtobufCMessage *resp, struct error *ret_error)
{
    for (size_t i = 0; i < kalman_service.method_count; i++) {
        const struct rpc_method *m = &kalman_service.methods[i];
        if (strcmp(m->name, method) != 0)
            continue;
        ASSERT(m->kind == RPC_UNARY && req->descriptor == m->request &&
               resp->descriptor == m->response);
        struct call call = {.ctx = *ctx, .method = m, .request = req};
        /* As the server does before each handler. */
        enum status st = m->rules ? rules_check(&call.ctx, m->rules, req) : OK;
        if (st == OK)
            st = m->unary(&call, req, resp);
        *ret_error = call.ctx.error;
        return st;
    }
    assert_failed(method, __FILE__, __LINE__);
}

static struct {
    struct timer timer;
    struct ctx *ctx;
} later;

static void
on_timer(struct timer *t)
{
    (void)t;
    ctx_cancel(later.ctx);
}

void
probe_cancel_later(struct ctx *ctx, nsec_t after)
{
    timer_init(&later.timer, on_timer);
    later.ctx = ctx;
    timer_set(ctx->reactor, &later.timer, clock_now() + after);
}
