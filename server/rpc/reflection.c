/*
 * grpc.reflection v1 and v1alpha: the same messages under two package names, answered by the same
 * code from the embedded descriptor set. Within a stream each file is sent once.
 */
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "rpc/descriptor.h"
#include "rpc/internal.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;

/* A v1alpha request is read as a v1 request. */
#define SAME(field)                                                                        \
    static_assert(offsetof(request, field) ==                                              \
                      offsetof(Grpc__Reflection__V1alpha__ServerReflectionRequest, field), \
                  "v1 and v1alpha differ")
SAME(host);
SAME(message_request_case);
SAME(file_by_filename);
SAME(file_containing_extension);
static_assert(sizeof(request) == sizeof(Grpc__Reflection__V1alpha__ServerReflectionRequest),
              "v1 and v1alpha differ");
static_assert(sizeof(Grpc__Reflection__V1__ExtensionRequest) ==
                  sizeof(Grpc__Reflection__V1alpha__ExtensionRequest),
              "v1 and v1alpha differ");

#define ONE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_##name

/* One conversation: what has been told already. */
struct session {
    const struct rpc_server *server;
    const struct descriptor_index *index;
    struct arena *scratch;
    bool *sent; /* by file */
};

static void
set_error(struct session *s, response *resp, enum status st, const char *what, const char *name)
{
    struct arena *a = s->scratch;
    Grpc__Reflection__V1__ErrorResponse *e = rpc_new(
        a, Grpc__Reflection__V1__ErrorResponse, grpc__reflection__v1__error_response__descriptor);
    e->error_code = (int32_t)st;
    e->error_message = arena_printf(a, "%s: %s", what, name);
    resp->message_response_case = ONE(RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE);
    resp->error_response = e;
}

/* `file` first, then what it imports and was not sent before. */
static void
collect(struct session *s, size_t file, ProtobufCBinaryData *list, size_t *count)
{
    const struct descriptor_file *f = &s->index->files[file];
    s->sent[file] = true;
    list[*count].data = (uint8_t *)(uintptr_t)f->bytes.p;
    list[(*count)++].len = f->bytes.n;
    for (size_t i = 0; i < f->import_count; i++) {
        if (!s->sent[f->imports[i]])
            collect(s, f->imports[i], list, count);
    }
}

static void
set_file(struct session *s, response *resp, size_t file)
{
    struct arena *a = s->scratch;
    Grpc__Reflection__V1__FileDescriptorResponse *files =
        rpc_new(a, Grpc__Reflection__V1__FileDescriptorResponse,
                grpc__reflection__v1__file_descriptor_response__descriptor);
    files->file_descriptor_proto = arena_new_n(a, ProtobufCBinaryData, s->index->file_count);
    collect(s, file, files->file_descriptor_proto, &files->n_file_descriptor_proto);
    resp->message_response_case = ONE(RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
    resp->file_descriptor_response = files;
}

static void
by_filename(struct session *s, const char *name, response *resp)
{
    const struct descriptor_file *f = descriptor_find_file(s->index, str_of(name));
    if (f)
        set_file(s, resp, (size_t)(f - s->index->files));
    else
        set_error(s, resp, NOT_FOUND, "no such file", name);
}

static void
by_symbol(struct session *s, const char *name, response *resp)
{
    const struct descriptor_symbol *sym =
        descriptor_find_symbol(s->index, str_of(*name == '.' ? name + 1 : name));
    if (sym)
        set_file(s, resp, sym->file);
    else
        set_error(s, resp, NOT_FOUND, "no such symbol", name);
}

static void
by_extension(struct session *s, const Grpc__Reflection__V1__ExtensionRequest *r, response *resp)
{
    const struct descriptor_extension *e =
        r ? descriptor_find_extension(s->index, str_of(r->containing_type), r->extension_number)
          : NULL;
    if (e)
        set_file(s, resp, e->file);
    else
        set_error(s, resp, NOT_FOUND, "no such extension of", r ? r->containing_type : "");
}

static void
extension_numbers(struct session *s, const char *type, response *resp)
{
    struct arena *a = s->scratch;
    const struct descriptor_index *d = s->index;
    if (!descriptor_find_symbol(d, str_of(type))) {
        set_error(s, resp, NOT_FOUND, "no such type", type);
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse *n =
        rpc_new(a, Grpc__Reflection__V1__ExtensionNumberResponse,
                grpc__reflection__v1__extension_number_response__descriptor);
    n->base_type_name = arena_strdup(a, type);
    n->extension_number = arena_new_n(a, int32_t, d->extension_count);
    for (size_t i = 0; i < d->extension_count; i++) {
        if (strcmp(d->extensions[i].extendee, type) == 0)
            n->extension_number[n->n_extension_number++] = d->extensions[i].number;
    }
    resp->message_response_case = ONE(RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE);
    resp->all_extension_numbers_response = n;
}

static void
list_services(struct session *s, response *resp)
{
    struct arena *a = s->scratch;
    size_t n = rpc_server_service_count(s->server);
    Grpc__Reflection__V1__ListServiceResponse *l =
        rpc_new(a, Grpc__Reflection__V1__ListServiceResponse,
                grpc__reflection__v1__list_service_response__descriptor);
    l->service = arena_new_n(a, Grpc__Reflection__V1__ServiceResponse *, n);
    for (size_t i = 0; i < n; i++) {
        l->service[i] = rpc_new(a, Grpc__Reflection__V1__ServiceResponse,
                                grpc__reflection__v1__service_response__descriptor);
        l->service[i]->name = arena_strdup(a, rpc_server_service(s->server, i)->name);
    }
    l->n_service = n;
    resp->message_response_case = ONE(RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE);
    resp->list_services_response = l;
}

static void
answer(struct session *s, request *req, response *resp)
{
    resp->valid_host = req->host;
    resp->original_request = req;
    switch (req->message_request_case) {
    case ONE(REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME):
        by_filename(s, req->file_by_filename, resp);
        return;
    case ONE(REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL):
        by_symbol(s, req->file_containing_symbol, resp);
        return;
    case ONE(REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION):
        by_extension(s, req->file_containing_extension, resp);
        return;
    case ONE(REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE):
        extension_numbers(s, req->all_extension_numbers_of_type, resp);
        return;
    case ONE(REQUEST__MESSAGE_REQUEST_LIST_SERVICES):
        list_services(s, resp);
        return;
    case ONE(REQUEST__MESSAGE_REQUEST__NOT_SET):
    default:
        set_error(s, resp, INVALID_ARGUMENT, "no such request", "");
    }
}

static enum status
converse(struct call *call, struct stream *stream)
{
    struct session s = {.server = call_server(call), .scratch = stream_arena(stream)};
    s.index = s.server->descriptors;
    s.sent = arena_new_n(call->ctx.arena, bool, s.index->file_count);
    for (;;) {
        ProtobufCMessage *m;
        enum status st = stream_recv(stream, &m);
        if (st == END)
            return OK;
        if (st != OK)
            return st;
        response resp = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
        answer(&s, (request *)(void *)m, &resp);
        st = stream_send(stream, &resp.base);
        if (st != OK)
            return st;
    }
}

#define REFLECTION(package)                                                                   \
    {                                                                                         \
        .name = "ServerReflectionInfo",                                                       \
        .path = "/grpc.reflection." #package ".ServerReflection/ServerReflectionInfo",        \
        .kind = RPC_BIDI,                                                                     \
        .request = &grpc__reflection__##package##__server_reflection_request__descriptor,     \
        .response = &grpc__reflection__##package##__server_reflection_response__descriptor,   \
        .policy = {.access = RPC_PUBLIC, .idempotent = true, .fail_open = true, .scope = ""}, \
        .bidi = converse,                                                                     \
    }

static const struct rpc_method v1_methods[] = {REFLECTION(v1)};
static const struct rpc_method v1alpha_methods[] = {REFLECTION(v1alpha)};

const struct rpc_service reflection_v1_service = {"grpc.reflection.v1.ServerReflection", v1_methods,
                                                  1};
const struct rpc_service reflection_v1alpha_service = {"grpc.reflection.v1alpha.ServerReflection",
                                                       v1alpha_methods, 1};
