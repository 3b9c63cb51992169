#include "base/status.h"

#define MAX_FIELD_VIOLATIONS 32

static const struct reason_info reasons[REASON_COUNT] = {
    [REASON_NONE] = {"NONE", OK, 200, false, ""},
#define REASON(token, status, http, retryable, text) \
    [REASON_##token] = {#token, status, http, retryable, text},
#include "base/reason.def"
#undef REASON
};

const struct reason_info *
reason_info(enum reason r)
{
    ASSERT(r < REASON_COUNT);
    return &reasons[r];
}

const char *
status_name(enum status st)
{
    static const char *const names[] = {
        [OK] = "OK",
        [CANCELLED] = "CANCELLED",
        [UNKNOWN] = "UNKNOWN",
        [INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [NOT_FOUND] = "NOT_FOUND",
        [ALREADY_EXISTS] = "ALREADY_EXISTS",
        [PERMISSION_DENIED] = "PERMISSION_DENIED",
        [RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [ABORTED] = "ABORTED",
        [OUT_OF_RANGE] = "OUT_OF_RANGE",
        [UNIMPLEMENTED] = "UNIMPLEMENTED",
        [INTERNAL] = "INTERNAL",
        [UNAVAILABLE] = "UNAVAILABLE",
        [DATA_LOSS] = "DATA_LOSS",
        [UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    int i = (int)st;
    if (i == END)
        return "END";
    return i >= 0 && i < (int)ARRAY_LEN(names) ? names[i] : "UNKNOWN";
}

enum status
error_vset(struct error *e, struct arena *a, enum reason r, const char *file, int line,
           const char *fmt, va_list ap)
{
    if (e->status != OK)
        return e->status;
    const struct reason_info *info = reason_info(r);
    ASSERT(info->status != OK);
    e->status = info->status;
    e->reason = r;
    e->message = fmt ? arena_vprintf(a, fmt, ap) : info->text;
    e->file = file;
    e->line = line;
    if (info->retryable)
        e->retry_after = SEC(1);
    return e->status;
}

PRINTF(6, 7)
static enum status
error_set(struct error *e, struct arena *a, enum reason r, const char *file, int line,
          const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status st = error_vset(e, a, r, file, line, fmt, ap);
    va_end(ap);
    return st;
}

enum status
error_field(struct error *e, struct arena *a, const char *file, int line, const char *field,
            const char *text)
{
    enum status st = error_set(e, a, REASON_BAD_FIELD, file, line, "%s %s", field, text);
    if (e->reason != REASON_BAD_FIELD)
        return st;
    struct field_violation **tail = &e->fields;
    int count = 0;
    while (*tail && count < MAX_FIELD_VIOLATIONS) {
        tail = &(*tail)->next;
        count++;
    }
    if (count == MAX_FIELD_VIOLATIONS)
        return st;
    struct field_violation *v = arena_new(a, struct field_violation);
    v->field = arena_strdup(a, field);
    v->text = arena_strdup(a, text);
    *tail = v;
    return st;
}

static const char *
copy_text(struct arena *a, const char *text)
{
    return text ? arena_strdup(a, text) : NULL;
}

void
error_move(struct error *e, struct arena *a)
{
    e->message = copy_text(a, e->message);
    e->detail = copy_text(a, e->detail);
    for (struct field_violation **f = &e->fields; *f; f = &(*f)->next) {
        *f = arena_memdup(a, *f, sizeof(**f));
        (*f)->field = copy_text(a, (*f)->field);
        (*f)->text = copy_text(a, (*f)->text);
    }
    for (struct quota_violation **q = &e->quotas; *q; q = &(*q)->next) {
        *q = arena_memdup(a, *q, sizeof(**q));
        (*q)->subject = copy_text(a, (*q)->subject);
        (*q)->text = copy_text(a, (*q)->text);
    }
}
