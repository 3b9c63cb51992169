/* What came back: status, the details of google.rpc, metadata. */
#include <stdlib.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "internal.h"

#define TYPE_PREFIX "type.googleapis.com/"

struct luna_reply *
reply_new(void)
{
    struct luna_reply *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    arena_init(&r->arena, 0);
    r->message = r->reason = r->domain = r->text = "";
    r->retry_after_ms = -1;
    return r;
}

void
luna_reply_free(struct luna_reply *r)
{
    if (!r)
        return;
    arena_fini(&r->arena);
    free(r);
}

static char *
copy_slice(struct arena *a, grpc_slice s)
{
    return arena_strndup(a, (const char *)GRPC_SLICE_START_PTR(s), GRPC_SLICE_LENGTH(s));
}

static void
add_metadata(struct luna_reply *r, const grpc_metadata_array *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const grpc_metadata *md = &from->metadata[i];
        size_t size = GRPC_SLICE_LENGTH(md->value);
        char *value = arena_alloc(&r->arena, size + 1);
        memcpy(value, GRPC_SLICE_START_PTR(md->value), size);
        r->metadata[r->metadata_count++] =
            (struct luna_metadata){copy_slice(&r->arena, md->key), value, size};
    }
}

static void *
unpack_any(struct arena *a, const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *d)
{
    if (strncmp(any->type_url, TYPE_PREFIX, strlen(TYPE_PREFIX)) != 0 ||
        strcmp(any->type_url + strlen(TYPE_PREFIX), d->name) != 0)
        return NULL;
    return wire_unpack_bytes(a, d, any->value.data, any->value.len);
}

static void
take_fields(struct luna_reply *r, const Google__Rpc__BadRequest *bad)
{
    r->fields = arena_new_n(&r->arena, struct reply_pair, bad->n_field_violations);
    r->field_count = bad->n_field_violations;
    for (size_t i = 0; i < r->field_count; i++)
        r->fields[i] = (struct reply_pair){bad->field_violations[i]->field,
                                           bad->field_violations[i]->description};
}

static void
take_quotas(struct luna_reply *r, const Google__Rpc__QuotaFailure *quota)
{
    r->quotas = arena_new_n(&r->arena, struct reply_pair, quota->n_violations);
    r->quota_count = quota->n_violations;
    for (size_t i = 0; i < r->quota_count; i++)
        r->quotas[i] =
            (struct reply_pair){quota->violations[i]->subject, quota->violations[i]->description};
}

static int64_t
duration_ms(const Google__Protobuf__Duration *d)
{
    if (d->seconds < 0 || d->seconds > INT32_MAX || d->nanos < 0)
        return 0;
    return d->seconds * 1000 + (d->nanos + 999999) / 1000000;
}

static void
take_detail(struct luna_reply *r, const Google__Protobuf__Any *any)
{
    struct arena *a = &r->arena;
    const Google__Rpc__ErrorInfo *info = unpack_any(a, any, &google__rpc__error_info__descriptor);
    if (info) {
        r->reason = info->reason;
        r->domain = info->domain;
    }
    const Google__Rpc__BadRequest *bad = unpack_any(a, any, &google__rpc__bad_request__descriptor);
    if (bad)
        take_fields(r, bad);
    const Google__Rpc__QuotaFailure *quota =
        unpack_any(a, any, &google__rpc__quota_failure__descriptor);
    if (quota)
        take_quotas(r, quota);
    const Google__Rpc__RetryInfo *retry = unpack_any(a, any, &google__rpc__retry_info__descriptor);
    if (retry && retry->retry_delay)
        r->retry_after_ms = duration_ms(retry->retry_delay);
}

static void
take_details(struct luna_reply *r)
{
    size_t size;
    const char *bytes = luna_reply_metadata(r, "grpc-status-details-bin", &size);
    const Google__Rpc__Status *st =
        bytes ? (const void *)wire_unpack_bytes(&r->arena, &google__rpc__status__descriptor, bytes,
                                                size)
              : NULL;
    for (size_t i = 0; st && i < st->n_details; i++)
        take_detail(r, st->details[i]);
}

static void
make_text(struct luna_reply *r)
{
    const char *name = luna_code_name(r->code);
    if (r->code == LUNA_OK)
        r->text = "OK";
    else if (*r->reason)
        r->text = arena_printf(&r->arena, "%s (%s): %s", name, r->reason, r->message);
    else if (*r->message)
        r->text = arena_printf(&r->arena, "%s: %s", name, r->message);
    else
        r->text = name;
}

static void
reply_clear(struct luna_reply *r)
{
    arena_reset(&r->arena);
    r->message = r->reason = r->domain = r->text = "";
    r->retry_after_ms = -1;
    r->metadata = NULL;
    r->fields = r->quotas = NULL;
    r->metadata_count = r->field_count = r->quota_count = 0;
}

void
reply_set(struct luna_reply *r, const struct answer *a)
{
    reply_clear(r);
    r->code = a->status >= GRPC_STATUS_OK && a->status <= GRPC_STATUS_UNAUTHENTICATED
                  ? (enum luna_code)a->status
                  : LUNA_UNKNOWN;
    if (r->code != LUNA_OK)
        r->message = copy_slice(&r->arena, a->details);
    r->metadata =
        arena_new_n(&r->arena, struct luna_metadata, a->headers.count + a->trailers.count);
    add_metadata(r, &a->headers);
    add_metadata(r, &a->trailers);
    if (r->code != LUNA_OK)
        take_details(r);
    make_text(r);
}

void
reply_fail(struct luna_reply *r, enum luna_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->code = code;
    r->message = arena_vprintf(&r->arena, fmt, ap);
    va_end(ap);
    r->reason = r->domain = "";
    make_text(r);
}

enum luna_code
luna_reply_code(const struct luna_reply *r)
{
    return r->code;
}

const char *
luna_reply_message(const struct luna_reply *r)
{
    return r->message;
}

const char *
luna_reply_reason(const struct luna_reply *r)
{
    return r->reason;
}

const char *
luna_reply_domain(const struct luna_reply *r)
{
    return r->domain;
}

const char *
luna_reply_text(const struct luna_reply *r)
{
    return r->text;
}

bool
luna_reply_field(const struct luna_reply *r, size_t n, const char **ret_field,
                 const char **ret_text)
{
    if (n >= r->field_count)
        return false;
    *ret_field = r->fields[n].name;
    *ret_text = r->fields[n].text;
    return true;
}

bool
luna_reply_quota(const struct luna_reply *r, size_t n, const char **ret_subject,
                 const char **ret_text)
{
    if (n >= r->quota_count)
        return false;
    *ret_subject = r->quotas[n].name;
    *ret_text = r->quotas[n].text;
    return true;
}

int64_t
luna_reply_retry_after_ms(const struct luna_reply *r)
{
    return r->retry_after_ms;
}

unsigned
luna_reply_attempts(const struct luna_reply *r)
{
    return r->attempts;
}

const char *
luna_reply_metadata(const struct luna_reply *r, const char *key, size_t *ret_size)
{
    for (size_t i = 0; i < r->metadata_count; i++) {
        if (strcmp(r->metadata[i].key, key) != 0)
            continue;
        if (ret_size)
            *ret_size = r->metadata[i].value_size;
        return r->metadata[i].value;
    }
    return NULL;
}

bool
luna_reply_metadata_at(const struct luna_reply *r, size_t n, struct luna_metadata *ret)
{
    if (n >= r->metadata_count)
        return false;
    *ret = r->metadata[n];
    return true;
}
