#include "quota/quota_limits_rpc.h"

#include "edge/gate.h"
#include "luna/v1/quota.pb-c.h"

static const char *const periods[] = {
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_UNSPECIFIED] = "total",
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_TOTAL] = "total",
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_DAY] = "day",
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_WEEK] = "week",
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_MONTH] = "month",
    [LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_YEAR] = "year",
};

static Luna__V1__QuotaPeriod
period_of(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(periods); i++)
        if (strcmp(periods[i], name) == 0)
            return (Luna__V1__QuotaPeriod)i;
    return LUNA__V1__QUOTA_PERIOD__QUOTA_PERIOD_UNSPECIFIED;
}

static char *
text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* Written in the smallest whole numbers: a unit every `unit_us`. */
static Luna__V1__RateLimit *
rate_of(struct arena *a, int64_t capacity, int64_t unit_us)
{
    if (capacity == 0)
        return NULL;
    Luna__V1__RateLimit *m = rpc_new(a, Luna__V1__RateLimit, luna__v1__rate_limit__descriptor);
    m->burst = capacity;
    m->units = 1;
    while (unit_us * m->units % 1000 != 0)
        m->units *= 10;
    m->period_ms = unit_us * m->units / 1000;
    if (1000 % m->period_ms == 0) { /* said by the second, where that is whole */
        m->units *= 1000 / m->period_ms;
        m->period_ms = 1000;
    }
    return m;
}

Luna__V1__Plan *
quota_plan_of(struct arena *a, const struct plan *row)
{
    Luna__V1__Plan *m = rpc_new(a, Luna__V1__Plan, luna__v1__plan__descriptor);
    m->plan_id = row->plan_id;
    m->plan_name = text(row->plan_name);
    m->quota_limit = row->quota_limit;
    m->quota_period = period_of(row->quota_period);
    m->account_rate = rate_of(a, row->account_capacity, row->account_unit_us);
    m->key_rate = rate_of(a, row->key_capacity, row->key_unit_us);
    m->concurrent_calls = row->concurrent_calls;
    m->report_only = row->report_only;
    m->created_at = rpc_timestamp(a, row->created_at);
    m->updated_at = rpc_timestamp(a, row->updated_at);
    m->etag = text(quota_etag(a, row->updated_at));
    return m;
}

/* Notes what is wrong in the field `part` of the rate. */
static void PRINTF(4, 5)
    violate(struct ctx *ctx, const char *rate, const char *part, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    (void)fail_field(ctx, arena_printf(ctx->arena, "%s.%s", rate, part), "%s", text);
}

enum status
quota_rate_read(struct ctx *ctx, const char *field, const Luna__V1__RateLimit *m,
                int64_t *ret_capacity, int64_t *ret_unit_us)
{
    *ret_capacity = *ret_unit_us = 0;
    if (!m)
        return OK;
    const bool has_units = m->units >= 1 && m->units <= GATE_MAX_CAPACITY;
    const int64_t period_ms = m->period_ms ? m->period_ms : 1000;
    const bool has_period = period_ms >= 1 && period_ms <= GATE_MAX_UNIT_US;
    const int64_t burst = m->burst || !has_units ? m->burst : m->units;
    const bool has_burst = (burst >= 1 && burst <= GATE_MAX_CAPACITY) || (burst == 0 && !has_units);
    if (!has_units)
        violate(ctx, field, "units", "is not from 1 to %lld", (long long)GATE_MAX_CAPACITY);
    if (!has_period)
        violate(ctx, field, "period_ms", "is not from 1 to %lld", (long long)GATE_MAX_UNIT_US);
    if (!has_burst)
        violate(ctx, field, "burst", "is not from 1 to %lld", (long long)GATE_MAX_CAPACITY);
    if (!has_units || !has_period || !has_burst)
        return ctx->error.status;
    int64_t unit_us = (period_ms * 1000 + m->units - 1) / m->units; /* never faster than said */
    if (unit_us > GATE_MAX_UNIT_US || (double)burst * (double)unit_us > 0x1p50) {
        violate(ctx, field, "period_ms",
                "is too long: a unit comes back within 407 days, a burst within 35 years");
        return ctx->error.status;
    }
    *ret_capacity = burst;
    *ret_unit_us = unit_us;
    return OK;
}

void
quota_plan_read(struct ctx *ctx, const Luna__V1__Plan *m, struct plan *ret)
{
    const bool known = (int)m->quota_period >= 0 && (size_t)m->quota_period < ARRAY_LEN(periods);
    if (!known)
        (void)fail_field(ctx, "plan.quota_period", "is not known");
    *ret = (struct plan){
        .plan_name = m->plan_name,
        .quota_limit = m->quota_limit,
        .quota_period = periods[known ? m->quota_period : 0],
        .concurrent_calls = m->concurrent_calls,
        .report_only = m->report_only,
    };
    (void)quota_rate_read(ctx, "plan.account_rate", m->account_rate, &ret->account_capacity,
                          &ret->account_unit_us);
    (void)quota_rate_read(ctx, "plan.key_rate", m->key_rate, &ret->key_capacity, &ret->key_unit_us);
}

/* ---- usage and events ----------------------------------------------------------------------- */

static Luna__V1__UsageUnits **
units_of(struct arena *a, const struct usage_units *rows, size_t n)
{
    Luna__V1__UsageUnits **list = arena_new_n(a, Luna__V1__UsageUnits *, n);
    for (size_t i = 0; i < n; i++) {
        list[i] = rpc_new(a, Luna__V1__UsageUnits, luna__v1__usage_units__descriptor);
        list[i]->name = text(rows[i].name);
        list[i]->units = rows[i].units;
    }
    return list;
}

void
quota_usage_write(struct arena *a, const struct quota_usage *u, Luna__V1__GetUsageResponse *resp)
{
    int64_t left = u->now.quota_limit - u->now.quota_used;
    resp->account_id = u->now.account_id;
    resp->quota_limit = u->now.quota_limit;
    resp->quota_used = u->now.quota_used;
    resp->quota_remaining = left > 0 ? left : 0;
    resp->quota_period = period_of(u->now.quota_period);
    if (u->now.period_ends_at != DB_INFINITY)
        resp->period_ends_at = rpc_timestamp(a, u->now.period_ends_at);
    resp->plan_id = u->now.plan_id;
    resp->n_by_day = u->day_count;
    resp->by_day = units_of(a, u->days, u->day_count);
    resp->n_by_method = u->method_count;
    resp->by_method = units_of(a, u->methods, u->method_count);
    if (u->runs_out_at != 0)
        resp->runs_out_at = rpc_timestamp(a, u->runs_out_at);
}

Luna__V1__QuotaEvent *
quota_event_of(struct arena *a, const struct quota_event *row)
{
    Luna__V1__QuotaEvent *m = rpc_new(a, Luna__V1__QuotaEvent, luna__v1__quota_event__descriptor);
    m->event_id = row->event_id;
    m->account_id = row->account_id;
    m->occurred_at = rpc_timestamp(a, row->occurred_at);
    m->kind = text(row->kind);
    m->by_account_id = row->by_account_id;
    m->data = text(row->data);
    return m;
}
