/*
 * google.rpc.Status for the grpc-status-details-bin trailer: ErrorInfo always, BadRequest,
 * QuotaFailure and RetryInfo where they help.
 *
 * A caller with gRPC's default limit of 8 KiB loses its whole connection to a larger answer, so the
 * details are cut to STATUS_DETAILS_MAX: first half of the violations go, again and again, then the
 * message's second copy.
 */
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/internal.h"

#define MESSAGE_MAX_ENCODED 1536 /* bytes of grpc-message, percent-encoded */
#define VIOLATIONS_MAX      64
#define DETAILS_MAX         4

struct details {
    Google__Rpc__Status status;
    Google__Protobuf__Any any[DETAILS_MAX];
    Google__Protobuf__Any *list[DETAILS_MAX];
};

static void
add_detail(struct details *d, struct arena *a, const char *type_url, const ProtobufCMessage *m)
{
    Google__Protobuf__Any *any = &d->any[d->status.n_details];
    google__protobuf__any__init(any);
    size_t n = protobuf_c_message_get_packed_size(m);
    any->type_url = arena_strdup(a, type_url);
    any->value.data = arena_alloc_raw(a, n);
    any->value.len = protobuf_c_message_pack(m, any->value.data);
    d->list[d->status.n_details++] = any;
}

static void
add_error_info(struct details *d, struct arena *a, const struct error *e)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = arena_strdup(a, e->reason == REASON_NONE ? status_name(e->status)
                                                           : reason_info(e->reason)->token);
    info.domain = arena_strdup(a, "luna");
    add_detail(d, a, "type.googleapis.com/google.rpc.ErrorInfo", &info.base);
}

static void
add_fields(struct details *d, struct arena *a, const struct error *e, size_t max)
{
    Google__Rpc__BadRequest__FieldViolation items[VIOLATIONS_MAX];
    Google__Rpc__BadRequest__FieldViolation *list[VIOLATIONS_MAX];
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    size_t n = 0;
    for (const struct field_violation *v = e->fields; v && n < max; v = v->next, n++) {
        google__rpc__bad_request__field_violation__init(&items[n]);
        items[n].field = str_clean(a, v->field);
        items[n].description = str_clean(a, v->text);
        list[n] = &items[n];
    }
    if (n == 0)
        return;
    bad.field_violations = list;
    bad.n_field_violations = n;
    add_detail(d, a, "type.googleapis.com/google.rpc.BadRequest", &bad.base);
}

static void
add_quotas(struct details *d, struct arena *a, const struct error *e, size_t max)
{
    Google__Rpc__QuotaFailure__Violation items[VIOLATIONS_MAX];
    Google__Rpc__QuotaFailure__Violation *list[VIOLATIONS_MAX];
    Google__Rpc__QuotaFailure quota = GOOGLE__RPC__QUOTA_FAILURE__INIT;
    size_t n = 0;
    for (const struct quota_violation *v = e->quotas; v && n < max; v = v->next, n++) {
        google__rpc__quota_failure__violation__init(&items[n]);
        items[n].subject = str_clean(a, v->subject);
        items[n].description = str_clean(a, v->text);
        list[n] = &items[n];
    }
    if (n == 0)
        return;
    quota.violations = list;
    quota.n_violations = n;
    add_detail(d, a, "type.googleapis.com/google.rpc.QuotaFailure", &quota.base);
}

static void
add_retry(struct details *d, struct arena *a, const struct error *e)
{
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    if (e->retry_after <= 0)
        return;
    delay.seconds = e->retry_after / SEC(1);
    delay.nanos = (int32_t)(e->retry_after % SEC(1));
    retry.retry_delay = &delay;
    add_detail(d, a, "type.googleapis.com/google.rpc.RetryInfo", &retry.base);
}

/* With at most `violations` of each kind. */
static struct str
encode(struct arena *a, const struct error *e, enum status st, const char *message,
       size_t violations)
{
    struct details d = {.status = GOOGLE__RPC__STATUS__INIT};
    d.status.code = (int32_t)st;
    d.status.message = arena_strdup(a, message);
    d.status.details = d.list;
    add_error_info(&d, a, e);
    add_fields(&d, a, e, violations);
    add_quotas(&d, a, e, violations);
    add_retry(&d, a, e);
    size_t n = google__rpc__status__get_packed_size(&d.status);
    uint8_t *p = arena_alloc_raw(a, n);
    (void)google__rpc__status__pack(&d.status, p);
    return (struct str){(const char *)p, n};
}

struct str
status_details_encode(struct arena *a, const struct error *e, enum status st)
{
    const char *message = status_message_clip(a, e->message).p;
    struct str s = {NULL, STATUS_DETAILS_MAX + 1};
    for (size_t max = VIOLATIONS_MAX; s.n > STATUS_DETAILS_MAX && max > 0; max /= 2)
        s = encode(a, e, st, message, max);
    if (s.n > STATUS_DETAILS_MAX)
        s = encode(a, e, st, message, 0);
    return s;
}

/* Text from anywhere as UTF-8: what is not becomes '?'. */
char *
str_clean(struct arena *a, const char *s)
{
    char *out = arena_strdup(a, s ? s : "");
    for (char *p = out; !str_utf8_valid(str_of(p)); p++) {
        while ((unsigned char)*p < 0x80)
            p++;
        size_t n = 2;
        while (n <= 4 && !(strnlen(p, n) == n && str_utf8_valid((struct str){p, n})))
            n++;
        if (n <= 4)
            p += n - 1;
        else
            *p = '?';
    }
    return out;
}

/* As long as its percent-encoding may be, cut between characters. */
struct str
status_message_clip(struct arena *a, const char *message)
{
    char *s = str_clean(a, message);
    size_t n = 0;
    size_t cut = 0;
    size_t encoded = 0;
    for (; s[n]; n++) {
        unsigned char c = (unsigned char)s[n];
        if ((c & 0xc0) != 0x80)
            cut = n;
        encoded += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
        if (encoded > MESSAGE_MAX_ENCODED) {
            s[cut] = '\0';
            return (struct str){s, cut};
        }
    }
    return (struct str){s, n};
}
