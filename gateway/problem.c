#include "gateway/problem.h"

#include "gateway/json_read.h"
#include "gateway/number.h"

#define TYPE_PREFIX "type.googleapis.com/google.rpc."

static int
http_of_status(enum status st)
{
    static const int codes[] = {
        [OK] = 200,
        [CANCELLED] = 499,
        [UNKNOWN] = 500,
        [INVALID_ARGUMENT] = 422,
        [DEADLINE_EXCEEDED] = 504,
        [NOT_FOUND] = 404,
        [ALREADY_EXISTS] = 409,
        [PERMISSION_DENIED] = 403,
        [RESOURCE_EXHAUSTED] = 429,
        [FAILED_PRECONDITION] = 412,
        [ABORTED] = 409,
        [OUT_OF_RANGE] = 422,
        [UNIMPLEMENTED] = 501,
        [INTERNAL] = 500,
        [UNAVAILABLE] = 503,
        [DATA_LOSS] = 500,
        [UNAUTHENTICATED] = 401,
    };
    return (int)st >= 0 && (size_t)st < ARRAY_LEN(codes) ? codes[st] : 500;
}

/* One google.protobuf.Any of the details: RetryInfo and ErrorInfo say more than their text. */
static void
settle_detail(struct problem *p, struct str any)
{
    struct str type = schema_option_bytes(any, 1), value = schema_option_bytes(any, 2);
    if (str_eq(type, STR(TYPE_PREFIX "RetryInfo"))) {
        struct str delay = schema_option_bytes(value, 1);
        uint64_t seconds = schema_option_number(delay, 1);
        if (seconds < INT32_MAX)
            p->retry_after_s = (int64_t)seconds + (schema_option_number(delay, 2) > 0);
        return;
    }
    if (!str_eq(type, STR(TYPE_PREFIX "ErrorInfo")) ||
        !str_eq(schema_option_bytes(value, 2), STR("luna")))
        return;
    struct str token = schema_option_bytes(value, 1);
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
        if (str_eq(str_of(reason_info((enum reason)r)->token), token))
            p->http = reason_info((enum reason)r)->http;
}

void
problem_settle(struct problem *p)
{
    struct wire_field f;
    p->http = http_of_status(p->status);
    p->retry_after_s = 0;
    for (const char *at = p->details.p, *end = at + p->details.n; at && at < end;) {
        at = wire_next(at, end, &f);
        if (at && f.number == 3 && f.type == WIRE_BYTES)
            settle_detail(p, f.bytes);
        else if (at && f.number == 2 && f.type == WIRE_BYTES && f.bytes.n > p->message.n)
            p->message = f.bytes;
    }
    if (p->retry_after_s == 0 && (p->http == 429 || p->http == 503))
        p->retry_after_s = 1;
}

/* ---- the gateway's own ---- */

static void
put_detail(struct buf *b, const char *type, const struct buf *value)
{
    size_t any = wire_open(b, 3);
    wire_put_bytes(b, 1, str_of(type));
    wire_put_bytes(b, 2, (struct str){value->data, value->len});
    wire_close(b, any);
}

static struct str
make_details(struct arena *a, const struct reason_info *info, const char *message,
             const char *field, const char *field_text)
{
    struct buf b, value;
    buf_init(&b, 8192);
    buf_init(&value, 4096);
    wire_put_varint(&b, wire_tag(1, WIRE_VARINT));
    wire_put_varint(&b, (uint64_t)info->status);
    wire_put_bytes(&b, 2, str_of(message));
    wire_put_bytes(&value, 1, str_of(info->token));
    wire_put_bytes(&value, 2, STR("luna"));
    put_detail(&b, TYPE_PREFIX "ErrorInfo", &value);
    if (field) {
        buf_clear(&value);
        size_t violation = wire_open(&value, 1);
        wire_put_bytes(&value, 1, str_of(field));
        wire_put_bytes(&value, 2, str_of(field_text));
        wire_close(&value, violation);
        put_detail(&b, TYPE_PREFIX "BadRequest", &value);
    }
    if (info->retryable) {
        buf_clear(&value);
        size_t delay = wire_open(&value, 1);
        wire_put_varint(&value, wire_tag(1, WIRE_VARINT));
        wire_put_varint(&value, 1);
        wire_close(&value, delay);
        put_detail(&b, TYPE_PREFIX "RetryInfo", &value);
    }
    struct str details = {arena_memdup(a, b.data, b.len), b.len};
    buf_fini(&value);
    buf_fini(&b);
    return details;
}

void
problem_make(struct problem *p, struct arena *a, enum reason r, const char *field, const char *fmt,
             ...)
{
    const struct reason_info *info = reason_info(r);
    const char *text = info->text;
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        text = arena_vprintf(a, fmt, ap);
        va_end(ap);
    }
    const char *message = field && *field ? arena_printf(a, "%s %s", field, text) : text;
    p->status = info->status;
    p->message = str_of(message);
    p->details = make_details(a, info, message, field, text);
    problem_settle(p);
}

void
problem_of_json(struct problem *p, struct arena *a, const struct json_error *e)
{
    switch (e->failure) {
    case JSON_SYNTAX:
        problem_make(p, a, REASON_BAD_REQUEST, NULL, "the body is not JSON: %s, at byte %zu",
                     e->text, e->offset);
        break;
    case JSON_TOO_LARGE:
        problem_make(p, a, REASON_TOO_LARGE, NULL, NULL);
        break;
    case JSON_FIELD:
    default:
        problem_make(p, a, REASON_BAD_FIELD, e->path[0] ? e->path : "body", "%s", e->text);
    }
}

/* ---- writing ---- */

static void
put_number(struct buf *b, int64_t v)
{
    char text[NUMBER_TEXT];
    buf_put(b, text, (size_t)(number_put_int(text, v) - text));
}

void
problem_write(const struct problem *p, const struct schema *s, struct buf *out)
{
    static const struct json_style style = {.lenient_any = true};
    struct json_error err;
    struct wire_field f;
    bool first = true;
    buf_puts(out, "{\"code\":");
    put_number(out, p->status);
    buf_puts(out, ",\"status\":\"");
    buf_puts(out, status_name(p->status));
    buf_puts(out, "\",\"message\":");
    buf_put_json(out, p->message.p, p->message.n);
    buf_puts(out, ",\"detail\":");
    buf_put_json(out, p->message.p, p->message.n);
    buf_puts(out, ",\"details\":[");
    const struct schema_message *any = schema_message_find(s, STR("google.protobuf.Any"));
    for (const char *at = p->details.p, *end = at + p->details.n; at && at < end;) {
        at = wire_next(at, end, &f);
        if (!at || f.number != 3 || f.type != WIRE_BYTES || !any)
            continue;
        size_t before = out->len;
        if (!first)
            buf_putc(out, ',');
        if (json_encode(s, any, f.bytes, &style, out, &err))
            first = false;
        else
            out->len = before; /* a broken detail must not hide the failure */
    }
    buf_puts(out, "]}");
}

void
problem_write_connect(const struct problem *p, struct buf *out)
{
    struct wire_field f;
    bool first = true;
    buf_puts(out, "{\"code\":\"");
    const char *name = p->status == CANCELLED ? "canceled" : status_name(p->status);
    for (; *name; name++)
        buf_putc(out, *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name);
    buf_puts(out, "\",\"message\":");
    buf_put_json(out, p->message.p, p->message.n);
    buf_puts(out, ",\"details\":[");
    for (const char *at = p->details.p, *end = at + p->details.n; at && at < end;) {
        at = wire_next(at, end, &f);
        if (!at || f.number != 3 || f.type != WIRE_BYTES)
            continue;
        struct str type = schema_option_bytes(f.bytes, 1);
        const char *slash = type.n ? memrchr(type.p, '/', type.n) : NULL;
        if (slash)
            type = (struct str){slash + 1, (size_t)(type.p + type.n - slash - 1)};
        buf_puts(out, first ? "{\"type\":" : ",{\"type\":");
        first = false;
        buf_put_json(out, type.p, type.n);
        buf_puts(out, ",\"value\":\"");
        size_t before = out->len;
        json_base64_encode(schema_option_bytes(f.bytes, 2), out);
        while (out->len > before && out->data[out->len - 1] == '=')
            out->len--;
        buf_puts(out, "\"}");
    }
    buf_puts(out, "]}");
}
