#include "edge/gate_answer.h"

#include <inttypes.h>

#include "edge/gate_state.h"
#include "edge/quota_gate.h"

#define A_DECADE    SEC(INT64_C(315360000))
#define RETRY_TOTAL SEC(3600) /* a quota without a period: somebody must raise it */

static int64_t
seconds(nsec_t d)
{
    return d <= 0 ? 0 : (d + SEC(1) - 1) / SEC(1);
}

/* "key:7" is shown as "key". */
static struct str
shown_name(const struct gate_limit *l)
{
    struct str rest = str_of(l->name);
    return str_cut(&rest, ':');
}

/* Texts are written one behind the other: every metered answer carries some, so they are
 * made without printf. */
struct pen {
    char *p;
};

static void
write_text(struct pen *pen, struct str s)
{
    memcpy(pen->p, s.p, s.n);
    pen->p += s.n;
}

static void
write_number(struct pen *pen, struct str before, int64_t n)
{
    write_text(pen, before);
    pen->p = str_write_i64(pen->p, n);
}

/* Sends what was written from `start` on. */
static void
tell(struct call *call, struct pen *pen, struct str key, char *start)
{
    struct str value = {start, (size_t)(pen->p - start)};
    *pen->p++ = '\0';
    if (!call_set_header_as_is(call, key, value))
        call_set_trailer(call, key.p, value.p);
}

static void
tell_number(struct call *call, struct pen *pen, struct str key, int64_t n)
{
    char *start = pen->p;
    write_number(pen, STR(""), n);
    tell(call, pen, key, start);
}

/* ", \"key\"" of "key:7" */
static void
write_name(struct pen *pen, const struct gate_limit *l)
{
    write_text(pen, STR(", \""));
    for (const char *p = l->name; *p && *p != ':'; p++)
        *pen->p++ = *p;
    *pen->p++ = '"';
}

static bool
is_policy_of(const struct gate_policy *p, const struct gate_request *req, int64_t quota)
{
    if (p->n == 0 || p->quota != quota || p->limit_count != req->limit_count)
        return false;
    for (size_t i = 0; i < p->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        if (p->limits[i].capacity != l->capacity || p->limits[i].unit_us != l->unit_us ||
            p->limits[i].first != l->name[0])
            return false;
    }
    return true;
}

static void
write_policy(struct gate_policy *p, const struct gate_request *req, int64_t quota)
{
    struct pen pen = {p->text};
    write_number(&pen, STR("\"quota\";q="), quota);
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        write_name(&pen, l);
        write_number(&pen, STR(";q="), l->capacity);
        write_number(&pen, STR(";w="), seconds(USEC(l->capacity * l->unit_us)));
        p->limits[i].capacity = l->capacity;
        p->limits[i].unit_us = l->unit_us;
        p->limits[i].first = l->name[0];
    }
    p->quota = quota;
    p->limit_count = req->limit_count;
    p->n = (size_t)(pen.p - p->text);
}

/* It is the same from call to call, and so written once. */
static void
tell_policy(struct call *call, struct pen *pen, struct gate_policy *p,
            const struct gate_request *req, int64_t quota)
{
    char *start = pen->p;
    if (!is_policy_of(p, req, quota))
        write_policy(p, req, quota);
    write_text(pen, (struct str){p->text, p->n});
    tell(call, pen, STR("ratelimit-policy"), start);
}

static void
tell_state(struct call *call, struct pen *pen, const struct gate_request *req,
           const struct gate_decision *d, int64_t left)
{
    char *start = pen->p;
    write_number(pen, STR("\"quota\";r="), left);
    if (d->ends_in < A_DECADE)
        write_number(pen, STR(";t="), seconds(d->ends_in));
    for (size_t i = 0; i < req->limit_count; i++) {
        write_name(pen, &req->limits[i]);
        write_number(pen, STR(";r="), d->limits[i].remaining);
        write_number(pen, STR(";t="), seconds(d->limits[i].reset_after));
    }
    tell(call, pen, STR("ratelimit"), start);
}

/* All of them: a list as long as the policy, and the numbers that stand alone. */
#define ANSWER_ROOM (2 * GATE_POLICY_ROOM + 6 * (STR_I64_SIZE + 1))

/* The older names say the same of the tightest limit. */
static void
tell_older(struct call *call, struct pen *pen, const struct gate_request *req,
           const struct gate_decision *d, int64_t left)
{
    int64_t limit = d->quota_limit;
    int64_t reset = d->ends_in < A_DECADE ? seconds(d->ends_in) : 0;
    for (size_t i = 0; i < req->limit_count; i++) {
        const struct gate_limit *l = &req->limits[i];
        const struct gate_limit_state *s = &d->limits[i];
        if (s->remaining < left && !l->report_only) {
            limit = l->capacity;
            left = s->remaining;
            reset = seconds(s->reset_after);
        }
    }
    tell_number(call, pen, STR("x-ratelimit-limit"), limit);
    tell_number(call, pen, STR("x-ratelimit-remaining"), left);
    tell_number(call, pen, STR("x-ratelimit-reset"), reset);
}

void
gate_answer_headers(struct call *call, struct gate_account *a, const struct gate_request *req,
                    const struct gate_decision *d, int64_t cost)
{
    struct pen pen = {arena_alloc_raw(call->ctx.arena, ANSWER_ROOM)};
    int64_t left = d->quota_remaining > 0 ? d->quota_remaining : 0;
    /* Each field costs a call 0.5 us, of some 16: the server's copies, the caller's reading. What
     * is left out the gateway makes of the rest (gateway/answer.c). The older names do not mean a
     * limit that only reports, and the lists do not tell which is one. */
    bool older = gate_settings.older;
    tell_policy(call, &pen, &a->policy, req, d->quota_limit);
    tell_state(call, &pen, req, d, left);
    for (size_t i = 0; i < req->limit_count; i++)
        older = older || req->limits[i].report_only;
    if (older)
        tell_older(call, &pen, req, d, left);
    if (cost != call->method->policy.cost || call->method->policy.cost_measured)
        tell_number(call, &pen, STR("luna-cost"), cost);
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
