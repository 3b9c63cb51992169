#include "edge/gate_answer.h"

#include <inttypes.h>

#include "edge/quota_gate.h"

#define A_DECADE    SEC(INT64_C(315360000))
#define RETRY_TOTAL SEC(3600) /* a quota without a period: somebody must raise it */

static int64_t
seconds(nsec_t d)
{
    return d <= 0 ? 0 : (d + SEC(1) - 1) / SEC(1);
}

static void
tell(struct call *call, const char *key, const char *value)
{
    if (!call_set_header(call, key, value))
        call_set_trailer(call, key, value);
}

/* "key:7" is shown as "key". */
static struct str
shown_name(const struct gate_limit *l)
{
    struct str rest = str_of(l->name);
    return str_cut(&rest, ':');
}

void
gate_answer_headers(struct call *call, const struct gate_request *req,
                    const struct gate_decision *d, int64_t cost)
{
    struct arena *a = call->ctx.arena;
    bool ends = d->ends_in < A_DECADE;
    int64_t limit = d->quota_limit;
    int64_t left = d->quota_remaining > 0 ? d->quota_remaining : 0;
    int64_t reset = ends ? seconds(d->ends_in) : 0;
    const char *policy = arena_printf(a, "\"quota\";q=%" PRId64, limit);
    const char *state = arena_printf(a, "\"quota\";r=%" PRId64, left);
    if (ends)
        state = arena_printf(a, "%s;t=%" PRId64, state, reset);
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        const struct gate_limit_state *s = &d->limits[i];
        struct str name = shown_name(l);
        policy = arena_printf(a, "%s, \"" STR_FMT "\";q=%" PRId64 ";w=%" PRId64, policy,
                              STR_ARG(name), l->capacity, seconds(USEC(l->capacity * l->unit_us)));
        state = arena_printf(a, "%s, \"" STR_FMT "\";r=%" PRId64 ";t=%" PRId64, state,
                             STR_ARG(name), s->remaining, seconds(s->reset_after));
        if (s->remaining < left && !l->report_only) {
            limit = l->capacity;
            left = s->remaining;
            reset = seconds(s->reset_after);
        }
    }
    tell(call, "ratelimit-policy", policy);
    tell(call, "ratelimit", state);
    tell(call, "x-ratelimit-limit", arena_printf(a, "%" PRId64, limit));
    tell(call, "x-ratelimit-remaining", arena_printf(a, "%" PRId64, left));
    tell(call, "x-ratelimit-reset", arena_printf(a, "%" PRId64, reset));
    tell(call, "luna-cost", arena_printf(a, "%" PRId64, cost));
}

static void
violate(struct ctx *ctx, const char *subject, const char *text)
{
    struct quota_violation *v = arena_new(ctx->arena, struct quota_violation);
    v->subject = subject;
    v->text = text;
    v->next = ctx->error.quotas;
    ctx->error.quotas = v;
}

enum status
quota_gate_refuse(struct ctx *ctx, int64_t account_id, int64_t cost, const struct gate_decision *d,
                  const struct gate_limit *limits)
{
    struct arena *a = ctx->arena;
    const char *subject = arena_printf(a, "account:%" PRId64, account_id);
    const char *text = "too many calls at once";
    nsec_t retry = SEC(1);
    enum status st;
    if (d->verdict == GATE_QUOTA_SPENT) {
        text = arena_printf(a,
                            "the quota is %" PRId64 " units, %" PRId64 " of them are left, %" PRId64
                            " are needed",
                            d->quota_limit, d->quota_remaining > 0 ? d->quota_remaining : 0, cost);
        retry = d->ends_in < A_DECADE ? d->ends_in : RETRY_TOTAL;
        st = fail(ctx, QUOTA_SPENT, "%s", text);
    } else if (d->verdict == GATE_RATE_LIMITED) {
        const struct gate_limit *l = &limits[d->refused_by];
        const struct gate_limit_state *s = &d->limits[d->refused_by];
        struct str name = shown_name(l);
        if (str_eq(name, STR("key")))
            subject = l->name;
        text = arena_printf(a,
                            "the rate limit of the " STR_FMT " allows %" PRId64
                            " units at once and one every %" PRId64 " us; %" PRId64
                            " are left, %" PRId64 " are needed",
                            STR_ARG(name), l->capacity, l->unit_us, s->remaining, cost);
        retry = s->retry_after == NSEC_NEVER ? RETRY_TOTAL : s->retry_after;
        st = fail(ctx, RATE_LIMITED, "%s", text);
    } else {
        st = fail(ctx, RATE_LIMITED, "%s", text);
    }
    ctx->error.retry_after = retry;
    violate(ctx, subject, text);
    return st;
}
