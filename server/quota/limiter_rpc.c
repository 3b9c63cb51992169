/* LimiterService: check, domain, convert. */
#include "luna/v1/limiter.rpc.h"

#include "edge/list.h"
#include "edge/quota_gate.h"
#include "quota/limit_rules.h"
#include "quota/quota_limits.h"
#include "quota/quota_limits_rpc.h"

#define MAX_NAMED    6
#define MAX_NAME     100
#define CHECK_METHOD "/luna.v1.LimiterService/Check"
#define NAME_PREFIX  "own:" /* the caller's names stand apart from ours */

/* ---- Check ------------------------------------------------------------------------------------
 */

static bool
is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                    c == ':' || c == '-';
        if (!good)
            return false;
    }
    return s.n >= 1 && s.n <= MAX_NAME;
}

static enum status
read_limit(struct ctx *ctx, size_t i, const Luna__V1__NamedLimit *m, struct gate_limit *ret)
{
    const char *path = arena_printf(ctx->arena, "limits[%zu]", i);
    struct gate_limit l = {.name = arena_printf(ctx->arena, NAME_PREFIX "%s", m->name),
                           .report_only = m->report_only};
    enum status st = quota_rate_read(ctx, arena_printf(ctx->arena, "%s.rate", path), m->rate,
                                     &l.capacity, &l.unit_us);
    if (!is_name(str_of(m->name)))
        st = fail_field(ctx, arena_printf(ctx->arena, "%s.name", path),
                        "must be 1 to %d of a-z 0-9 . _ : -", MAX_NAME);
    if (!m->rate)
        st = fail_field(ctx, arena_printf(ctx->arena, "%s.rate", path), "is not given");
    if (st == OK)
        *ret = l;
    return st;
}

static enum status
read_check(struct ctx *ctx, const Luna__V1__CheckRequest *req, struct gate_limit *limits,
           struct quota_charge *ret)
{
    int64_t cost = req->cost ? req->cost : 1;
    enum status st = OK;
    if (cost < 1 || cost > GATE_MAX_COST)
        st = fail_field(ctx, "cost", "is not from 1 to %lld", (long long)GATE_MAX_COST);
    if (req->n_limits > MAX_NAMED)
        return fail_field(ctx, "limits", "are more than %d", MAX_NAMED);
    if (req->only_limits && req->n_limits == 0)
        st = fail_field(ctx, "only_limits", "needs limits");
    for (size_t i = 0; i < req->n_limits; i++) {
        enum status bad = read_limit(ctx, i, req->limits[i], &limits[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(req->limits[k]->name, req->limits[i]->name) == 0)
                bad = fail_field(ctx, arena_printf(ctx->arena, "limits[%zu].name", i),
                                 "is that of limits[%zu], too", k);
        if (bad == OK && (double)cost * (double)limits[i].unit_us > 0x1p52)
            bad = fail_field(ctx, "cost", "is far more than limits[%zu] will ever allow", i);
        st = bad != OK ? bad : st;
    }
    if (st != OK)
        return st;
    *ret = (struct quota_charge){
        .account_id = ctx->who.account_id,
        .key_id = ctx->who.key_id,
        .cost = cost,
        .method = CHECK_METHOD,
        .charge_quota = !req->only_limits,
        .account_limits = !req->only_limits,
        .dry_run = req->dry_run,
        .limits = limits,
        .limit_count = req->n_limits,
    };
    return OK;
}

/* "own:x" is the caller's x, "key:7" is key. */
static char *
name_of(struct arena *a, const struct gate_limit *l)
{
    struct str rest = str_of(l->name);
    struct str first = str_cut(&rest, ':');
    struct str shown = str_eq(first, STR("own")) ? rest : first;
    return arena_strndup(a, shown.p, shown.n);
}

static int64_t
milliseconds(nsec_t d)
{
    return d == NSEC_NEVER ? -1 : (d + MSEC(1) - 1) / MSEC(1);
}

static enum status
check(struct call *call, const Luna__V1__CheckRequest *req, Luna__V1__CheckResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct gate_limit own[MAX_NAMED];
    struct quota_charge charge;
    struct gate_decision d;
    const struct gate_limit *limits;
    size_t n;
    enum status st = read_check(ctx, req, own, &charge);
    if (st == OK)
        st = quota_gate_charge(ctx, &charge, &d, &limits, &n);
    if (st != OK)
        return st;
    resp->allowed = d.verdict == GATE_ADMITTED;
    resp->quota_remaining = d.quota_remaining > 0 ? d.quota_remaining : 0;
    resp->quota_limit = d.quota_limit;
    resp->n_limits = n;
    resp->limits = arena_new_n(ctx->arena, Luna__V1__LimitState *, n);
    for (size_t i = 0; i < n; i++) {
        Luna__V1__LimitState *m =
            rpc_new(ctx->arena, Luna__V1__LimitState, luna__v1__limit_state__descriptor);
        m->name = name_of(ctx->arena, &limits[i]);
        m->allowed = d.limits[i].admits;
        m->remaining = d.limits[i].remaining;
        m->retry_after_ms = milliseconds(d.limits[i].retry_after);
        m->reset_after_ms = milliseconds(d.limits[i].reset_after);
        resp->limits[i] = m;
    }
    if (d.verdict == GATE_QUOTA_SPENT)
        resp->refused_by = arena_strdup(ctx->arena, "quota");
    else if (d.verdict == GATE_RATE_LIMITED)
        resp->refused_by = resp->limits[d.refused_by]->name;
    return OK;
}

/* ---- reservations -----------------------------------------------------------------------------
 */

static Luna__V1__ReservationState
state_of(const char *state)
{
    switch (state[0]) {
    case 'h':
        return LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_HELD;
    case 'c':
        return LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_COMMITTED;
    case 'r':
        return LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_RELEASED;
    default:
        return LUNA__V1__RESERVATION_STATE__RESERVATION_STATE_EXPIRED;
    }
}

static Luna__V1__Reservation *
reservation_of(struct arena *a, const char *request_id, const struct reservation *row)
{
    Luna__V1__Reservation *m = rpc_new(a, Luna__V1__Reservation, luna__v1__reservation__descriptor);
    m->request_id = arena_strdup(a, request_id);
    m->state = state_of(row->state);
    m->cost = row->cost;
    m->actual = row->actual;
    m->expires_at = rpc_timestamp(a, row->expires_at);
    return m;
}

static enum status
reserve(struct call *call, const Luna__V1__ReserveRequest *req, Luna__V1__ReserveResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct reservation r;
    enum status st = quota_reserve(ctx, req->request_id, req->cost, req->ttl_ms, &r);
    if (st == OK)
        resp->reservation = reservation_of(ctx->arena, req->request_id, &r);
    return st;
}

static enum status
commit(struct call *call, const Luna__V1__CommitRequest *req, Luna__V1__CommitResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct reservation r;
    enum status st = quota_commit(ctx, req->request_id, req->actual, &r);
    if (st == OK)
        resp->reservation = reservation_of(ctx->arena, req->request_id, &r);
    return st;
}

static enum status
release(struct call *call, const Luna__V1__ReleaseRequest *req, Luna__V1__ReleaseResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    struct reservation r;
    enum status st = quota_release(ctx, req->request_id, &r);
    if (st == OK)
        resp->reservation = reservation_of(ctx->arena, req->request_id, &r);
    return st;
}

/* ---- rules -------------------------------------------------------------------------------------
 */

static Luna__V1__LimitRule *
rule_of(struct arena *a, const struct limit_rule *row)
{
    Luna__V1__LimitRule *m = rpc_new(a, Luna__V1__LimitRule, luna__v1__limit_rule__descriptor);
    m->rule_id = row->rule_id;
    m->domain = (char *)(uintptr_t)row->domain;
    m->n_entries = row->entry_keys.n;
    m->entries = arena_new_n(a, Luna__V1__LimitRuleEntry *, row->entry_keys.n);
    for (size_t i = 0; i < row->entry_keys.n; i++) {
        m->entries[i] =
            rpc_new(a, Luna__V1__LimitRuleEntry, luna__v1__limit_rule_entry__descriptor);
        m->entries[i]->key = (char *)(uintptr_t)row->entry_keys.texts[i];
        m->entries[i]->value = (char *)(uintptr_t)row->entry_values.texts[i];
    }
    m->rate = rpc_new(a, Luna__V1__RateLimit, luna__v1__rate_limit__descriptor);
    m->rate->units = row->units;
    m->rate->period_ms = row->period_ms;
    m->rate->burst = row->capacity;
    m->report_only = row->report_only;
    m->created_at = rpc_timestamp(a, row->created_at);
    return m;
}

static enum status
create_limit_rule(struct call *call, const Luna__V1__CreateLimitRuleRequest *req,
                  Luna__V1__CreateLimitRuleResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const Luna__V1__LimitRule *in = req->rule;
    const char *keys[LIMIT_RULES_MAX_ENTRIES];
    const char *values[LIMIT_RULES_MAX_ENTRIES];
    struct limit_rule row;
    struct limit_rule rule = {
        .domain = in->domain,
        .entry_keys = {.n = in->n_entries, .texts = keys},
        .entry_values = {.n = in->n_entries, .texts = values},
        .units = in->rate->units,
        .period_ms = in->rate->period_ms ? in->rate->period_ms : 1000,
        .report_only = in->report_only,
    };
    for (size_t i = 0; i < in->n_entries; i++) {
        keys[i] = in->entries[i]->key;
        values[i] = in->entries[i]->value;
    }
    enum status st = quota_rate_read(ctx, "rule.rate", in->rate, &rule.capacity, &rule.unit_us);
    if (st == OK)
        st = limit_rules_create(ctx, &rule, &row);
    if (st == OK)
        resp->rule = rule_of(ctx->arena, &row);
    return st;
}

static enum status
list_limit_rules(struct call *call, const Luna__V1__ListLimitRulesRequest *req,
                 Luna__V1__ListLimitRulesResponse *resp)
{
    struct ctx *ctx = &call->ctx;
    const struct list_request list = LIST_REQUEST(req, 100, QUOTA_MAX_PAGE_SIZE);
    struct limit_rule *rows;
    const char *next;
    size_t n;
    enum status st = limit_rules_list(ctx, &list, &rows, &n, &next);
    if (st != OK)
        return st;
    resp->next_page_token = (char *)(uintptr_t)next;
    resp->n_rules = n;
    resp->rules = arena_new_n(ctx->arena, Luna__V1__LimitRule *, n);
    for (size_t i = 0; i < n; i++)
        resp->rules[i] = rule_of(ctx->arena, &rows[i]);
    return OK;
}

static enum status
delete_limit_rule(struct call *call, const Luna__V1__DeleteLimitRuleRequest *req,
                  Luna__V1__DeleteLimitRuleResponse *resp)
{
    (void)resp;
    return limit_rules_delete(&call->ctx, req->rule_id);
}
