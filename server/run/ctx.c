#include "run/ctx.h"

#include <string.h>

#include "run/reactor_private.h"

struct ctx_defer {
    struct ctx_defer *next;
    void (*fn)(void *);
    void *arg;
};

void
ctx_init(struct ctx *ctx, struct arena *arena, struct reactor *reactor)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->arena = arena;
    ctx->reactor = reactor;
    ctx->fiber = fiber_self();
    ctx->deadline = NSEC_NEVER;
}

void
ctx_fini(struct ctx *ctx)
{
    while (ctx->defers) {
        struct ctx_defer *d = ctx->defers;
        ctx->defers = d->next;
        d->fn(d->arg);
    }
}

void
ctx_defer(struct ctx *ctx, void (*fn)(void *), void *arg)
{
    struct ctx_defer *d = arena_new(ctx->arena, struct ctx_defer);
    *d = (struct ctx_defer){.next = ctx->defers, .fn = fn, .arg = arg};
    ctx->defers = d;
}

void
ctx_cancel(struct ctx *ctx)
{
    ctx->cancelled = true;
    if (ctx->suspended)
        fiber_interrupt(ctx->suspended);
}

enum status
ctx_check_at(struct ctx *ctx, nsec_t now)
{
    if (UNLIKELY(ctx->cancelled)) {
        fail_plain(ctx, CANCELLED_BY_CALLER);
        return CANCELLED;
    }
    if (UNLIKELY(now >= ctx->deadline)) {
        fail_plain(ctx, DEADLINE_PASSED);
        return DEADLINE_EXCEEDED;
    }
    return OK;
}

enum status
ctx_check(struct ctx *ctx)
{
    return ctx_check_at(ctx, ctx->deadline == NSEC_NEVER ? 0 : clock_now());
}

nsec_t
ctx_left(const struct ctx *ctx)
{
    if (ctx->deadline == NSEC_NEVER)
        return NSEC_NEVER;
    nsec_t left = ctx->deadline - clock_now();
    return left > 0 ? left : 0;
}

enum status
fail_at(struct ctx *ctx, enum reason r, const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status st = error_vset(&ctx->error, ctx->arena, r, file, line, fmt, ap);
    va_end(ap);
    return st;
}

enum status
fail_field_at(struct ctx *ctx, const char *file, int line, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    return error_field(&ctx->error, ctx->arena, file, line, field, text);
}

void
fail_detail(struct ctx *ctx, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    const char *before = ctx->error.detail;
    ctx->error.detail = before ? arena_printf(ctx->arena, "%s; %s", before, text) : text;
}

enum status
fail_copy(struct ctx *ctx, const struct error *e)
{
    enum status st = e->status;
    for (const struct field_violation *f = e->fields; f; f = f->next)
        st = fail_field_at(ctx, e->file, e->line, f->field, "%s", f->text);
    if (!e->fields)
        st = fail_at(ctx, e->reason, e->file, e->line, "%s", e->message);
    if (e->detail)
        fail_detail(ctx, "%s", e->detail);
    return st;
}

void
fail_clear(struct ctx *ctx)
{
    ctx->error = (struct error){.status = OK};
}
