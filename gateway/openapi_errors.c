/* The schemas of the one shape that failures have. */
#include "base/status.h"
#include "gateway/openapi_private.h"

static const char *const details[] = {"google.rpc.ErrorInfo", "google.rpc.BadRequest",
                                      "google.rpc.RetryInfo", "google.rpc.QuotaFailure"};

void
errors_mark(struct doc *d)
{
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        const struct schema_message *m = schema_message_find(d->schema, str_of(details[i]));
        if (m)
            schemas_mark(d, m, USED_OUT | USED_PROTO_NAMES);
    }
}

static void
write_detail(struct doc *d)
{
    doc_open(d, "LunaErrorDetail", '{');
    doc_text(d, "description",
             "One of the messages of google/rpc/error_details.proto, told apart by @type.");
    doc_text(d, "type", "object");
    doc_raw(d, "properties", STR("{\"@type\":{\"type\":\"string\"}}"));
    doc_raw(d, "required", STR("[\"@type\"]"));
    doc_open(d, "anyOf", '[');
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        if (!schema_message_find(d->schema, str_of(details[i])))
            continue;
        doc_open(d, NULL, '{');
        doc_ref(d, "schemas", details[i]);
        doc_close(d, '}');
    }
    doc_raw(d, NULL, STR("{\"title\":\"other\",\"type\":\"object\"}"));
    doc_close(d, ']');
    doc_close(d, '}');
}

static void
write_reasons(struct doc *d)
{
    const char *text = "What stands in google.rpc.ErrorInfo.reason; stable, more may come.\n";
    doc_open(d, "LunaErrorReason", '{');
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        const struct reason_info *info = reason_info((enum reason)r);
        text = arena_printf(&d->arena, "%s\n- `%s` (%s, HTTP %d): %s", text, info->token,
                            status_name(info->status), info->http, info->text);
    }
    doc_text(d, "description", text);
    doc_text(d, "type", "string");
    doc_open(d, "enum", '[');
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
        doc_text(d, NULL, reason_info((enum reason)r)->token);
    doc_close(d, ']');
    doc_close(d, '}');
}

static void
write_error(struct doc *d)
{
    doc_open(d, "LunaError", '{');
    doc_text(d, "description", "A failure, whoever failed.");
    doc_text(d, "type", "object");
    doc_open(d, "properties", '{');
    doc_raw(d, "code",
            STR("{\"type\":\"integer\",\"format\":\"int32\",\"description\":\"gRPC's status "
                "code.\"}"));
    doc_open(d, "status", '{');
    doc_text(d, "description", "Its name.");
    doc_text(d, "type", "string");
    doc_open(d, "enum", '[');
    for (int st = CANCELLED; st <= UNAUTHENTICATED; st++)
        doc_text(d, NULL, status_name((enum status)st));
    doc_close(d, ']');
    doc_close(d, '}');
    doc_raw(d, "message", STR("{\"type\":\"string\",\"description\":\"For people.\"}"));
    doc_raw(d, "detail",
            STR("{\"type\":\"string\",\"description\":\"The same; existing front ends read "
                "it.\"}"));
    doc_raw(d, "details",
            STR("{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/LunaErrorDetail\"},"
                "\"description\":\"For programs: ErrorInfo with a reason always, BadRequest with "
                "the fields, RetryInfo when a retry helps, QuotaFailure for limits.\"}"));
    doc_close(d, '}');
    doc_raw(d, "required", STR("[\"code\",\"status\",\"message\",\"detail\",\"details\"]"));
    doc_close(d, '}');
}

void
errors_write(struct doc *d)
{
    write_error(d);
    write_detail(d);
    write_reasons(d);
}
