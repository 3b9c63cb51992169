#include "rpc_probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "google/protobuf/struct.pb-c.h"
#include "luna/descriptors.h"
#include "luna/testing/echo.pb-c.h"
#include "rpc/descriptor.h"
#include "rpc/internal.h"

bool
probe_trace(const char *text, size_t n, char *id, char *span, int *flags)
{
    struct trace t;
    if (!trace_parse((struct str){text, n}, &t))
        return false;
    memcpy(id, t.id, sizeof(t.id));
    memcpy(span, t.span, sizeof(t.span));
    *flags = t.flags;
    return true;
}

static enum reason
reason_of(const char *token)
{
    for (int r = 1; token && r < REASON_COUNT; r++) {
        if (strcmp(reason_info((enum reason)r)->token, token) == 0)
            return (enum reason)r;
    }
    return REASON_NONE;
}

static char *
text_of(struct arena *a, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    memset(s, 'v', n);
    return s;
}

static char *
take(struct str s)
{
    char *out = malloc(s.n + 1);
    ASSERT(out != NULL);
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return out;
}

char *
probe_details(const struct probe_failure *f, size_t *ret_n)
{
    struct arena a;
    arena_init(&a, 0);
    struct error e = {.status = (enum status)f->status,
                      .reason = reason_of(f->reason),
                      .message = f->message,
                      .retry_after = MSEC(f->retry_ms)};
    struct field_violation **field = &e.fields;
    for (size_t i = 0; i < f->fields; i++, field = &(*field)->next) {
        *field = arena_new(&a, struct field_violation);
        (*field)->field = arena_printf(&a, "f%zu", i);
        (*field)->text = text_of(&a, f->text_bytes);
    }
    struct quota_violation **quota = &e.quotas;
    for (size_t i = 0; i < f->quotas; i++, quota = &(*quota)->next) {
        *quota = arena_new(&a, struct quota_violation);
        (*quota)->subject = arena_printf(&a, "account:%zu", i);
        (*quota)->text = text_of(&a, f->text_bytes);
    }
    struct str s = status_details_encode(&a, &e, e.status);
    char *out = take(s);
    *ret_n = s.n;
    arena_fini(&a);
    return out;
}

char *
probe_clip(const char *message)
{
    struct arena a;
    arena_init(&a, 0);
    char *out = take(status_message_clip(&a, message));
    arena_fini(&a);
    return out;
}

char *
probe_clean(const char *text)
{
    struct arena a;
    arena_init(&a, 0);
    char *out = take(str_of(str_clean(&a, text)));
    arena_fini(&a);
    return out;
}

static grpc_byte_buffer *
in_slices(const char *bytes, size_t n, size_t count)
{
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(NULL, 0);
    for (size_t i = 0; i < count; i++) {
        size_t from = n * i / count;
        size_t to = n * (i + 1) / count;
        grpc_slice_buffer_add(&bb->data.raw.slice_buffer,
                              grpc_slice_from_copied_buffer(bytes + from, to - from));
    }
    return bb;
}

static const char *
decode_name(enum decode how)
{
    static const char *const names[] = {[DECODE_OK] = "OK",
                                        [DECODE_NONE] = "NONE",
                                        [DECODE_MALFORMED] = "MALFORMED",
                                        [DECODE_TOO_LARGE] = "TOO_LARGE",
                                        [DECODE_TOO_DEEP] = "TOO_DEEP",
                                        [DECODE_NOT_UTF8] = "NOT_UTF8"};
    return names[how];
}

const char *
probe_unpack(const void *bytes, size_t n, size_t slices, size_t max, size_t budget, bool deep,
             char *ret_text)
{
    struct arena a;
    ProtobufCMessage *m;
    arena_init(&a, 0);
    grpc_byte_buffer *bb = in_slices(bytes, n, slices);
    enum decode how =
        message_unpack(&luna__testing__echo_command__descriptor, bb, deep, max, budget, &a, &m);
    if (how == DECODE_OK)
        snprintf(ret_text, 256, "%s", ((Luna__Testing__EchoCommand *)(void *)m)->text);
    grpc_byte_buffer_destroy(bb);
    arena_fini(&a);
    return decode_name(how);
}

long
probe_inflate(const void *bytes, size_t n, size_t slices, size_t max, char *ret_first)
{
    struct arena a;
    struct str s;
    arena_init(&a, 0);
    grpc_byte_buffer *bb = in_slices(bytes, n, slices);
    enum decode how = message_inflate(bb, max, &a, &s);
    long got = how == DECODE_OK ? (long)s.n : how == DECODE_TOO_LARGE ? -2 : -1;
    if (got > 0)
        *ret_first = s.p[0];
    grpc_byte_buffer_destroy(bb);
    arena_fini(&a);
    return got;
}

bool
probe_pack_roundtrip(size_t text_bytes)
{
    struct arena a;
    arena_init(&a, 0);
    Luna__Testing__EchoCommand m = LUNA__TESTING__ECHO_COMMAND__INIT;
    m.text = text_of(&a, text_bytes);
    m.count = 7;
    size_t bytes;
    grpc_slice s = message_pack(&m.base, &bytes);
    Luna__Testing__EchoCommand *back =
        luna__testing__echo_command__unpack(NULL, bytes, GRPC_SLICE_START_PTR(s));
    bool same = GRPC_SLICE_LENGTH(s) == bytes && back && strcmp(back->text, m.text) == 0 &&
                back->count == 7;
    luna__testing__echo_command__free_unpacked(back, NULL);
    grpc_slice_unref(s);
    arena_fini(&a);
    return same;
}

bool
probe_recursive(const char *message)
{
    if (strcmp(message, "EchoCommand") == 0)
        return message_is_recursive(&luna__testing__echo_command__descriptor);
    if (strcmp(message, "Struct") == 0)
        return message_is_recursive(&google__protobuf__struct__descriptor);
    return message_is_recursive(&luna__testing__echo_message__descriptor);
}

/* ---- tables -------------------------------------------------------------------------------- */

static enum status
no_unary(struct call *call, const ProtobufCMessage *req, ProtobufCMessage *resp)
{
    (void)req;
    (void)resp;
    return fail_plain(&call->ctx, METHOD_NOT_FOUND);
}

#define ROW(method, method_kind, in, out)                                                 \
    {                                                                                     \
        .name = method, .path = "/luna.testing.EchoService/" method, .kind = method_kind, \
        .request = &luna__testing__##in##__descriptor,                                    \
        .response = &luna__testing__##out##__descriptor, .unary = no_unary                \
    }

static void
spoil(struct rpc_method *rows, struct rpc_service *s, const char *what)
{
    if (strcmp(what, "kind") == 0)
        rows[2].kind = RPC_UNARY;
    else if (strcmp(what, "missing") == 0)
        s->method_count--;
    else if (strcmp(what, "request") == 0)
        rows[0].request = &luna__testing__echo_command__descriptor;
    else if (strcmp(what, "response") == 0)
        rows[0].response = &luna__testing__echo_command__descriptor;
    else if (strcmp(what, "path") == 0)
        rows[1].path = "/luna.testing.EchoService/Echo";
    else if (strcmp(what, "extra") == 0)
        rows[4].name = "Nope";
    else if (strcmp(what, "handler") == 0)
        rows[3].unary = NULL;
    else if (strcmp(what, "service") == 0)
        s->name = "luna.testing.Nope";
}

const char *
probe_check(const char *what)
{
    static char err[256];
    struct rpc_method rows[] = {ROW("Echo", RPC_UNARY, echo_message, echo_message),
                                ROW("Obey", RPC_UNARY, echo_command, echo_command),
                                ROW("Download", RPC_SERVER_STREAM, echo_command, echo_message),
                                ROW("Upload", RPC_CLIENT_STREAM, echo_message, echo_command),
                                ROW("Chat", RPC_BIDI, echo_message, echo_message)};
    struct rpc_service service = {"luna.testing.EchoService", rows, ARRAY_LEN(rows)};
    const struct rpc_service *services[] = {&service, &service};
    struct descriptor_index *d =
        descriptor_index_new(luna_testing_descriptor_set, luna_testing_descriptor_set_size);
    spoil(rows, &service, what);
    err[0] = '\0';
    (void)method_check_all(services, strcmp(what, "twice") == 0 ? 2 : 1, d, err, sizeof(err));
    descriptor_index_free(d);
    return err;
}

bool
probe_index_breaks(const void *bytes, size_t n)
{
    struct descriptor_index *d = descriptor_index_new(bytes, n);
    descriptor_index_free(d);
    return d == NULL;
}

static struct descriptor_index *
testing_index(void)
{
    static struct descriptor_index *d;
    if (!d)
        d = descriptor_index_new(luna_testing_descriptor_set, luna_testing_descriptor_set_size);
    return d;
}

bool
probe_has_symbol(const char *name)
{
    return descriptor_find_symbol(testing_index(), str_of(name)) != NULL;
}

const char *
probe_file_of(const char *symbol)
{
    const struct descriptor_symbol *s = descriptor_find_symbol(testing_index(), str_of(symbol));
    return s ? testing_index()->files[s->file].name : "";
}
