/* The method tables against the protos they were made from: a difference stops the start. */
#include <stdio.h>

#include "rpc/descriptor.h"
#include "rpc/internal.h"

static const char *
kind_name(bool client_streaming, bool server_streaming)
{
    if (client_streaming)
        return server_streaming ? "bidirectional" : "client-streaming";
    return server_streaming ? "server-streaming" : "unary";
}

static bool
kind_matches(enum rpc_kind kind, const struct descriptor_symbol *s)
{
    bool client = kind == RPC_CLIENT_STREAM || kind == RPC_BIDI;
    bool server = kind == RPC_SERVER_STREAM || kind == RPC_BIDI;
    return client == s->client_streaming && server == s->server_streaming;
}

static bool
path_matches(const struct rpc_service *service, const struct rpc_method *m)
{
    struct str path = str_of(m->path);
    size_t n = strlen(service->name);
    return path.n > n + 2 && path.p[0] == '/' && memcmp(path.p + 1, service->name, n) == 0 &&
           path.p[n + 1] == '/' && strcmp(path.p + n + 2, m->name) == 0;
}

static bool
method_check(const struct rpc_service *service, const struct rpc_method *m,
             const struct descriptor_index *index, char *err, size_t err_size)
{
    char name[256];
    snprintf(name, sizeof(name), "%s.%s", service->name, m->name);
    const struct descriptor_symbol *s = descriptor_find_symbol(index, str_of(name));
    if (!s || !s->input)
        snprintf(err, err_size, "method %s is not in the embedded protos", name);
    else if (!path_matches(service, m))
        snprintf(err, err_size, "method %s has the path %s", name, m->path);
    else if (!kind_matches(m->kind, s))
        snprintf(err, err_size, "method %s is %s in the protos, but not in the table", name,
                 kind_name(s->client_streaming, s->server_streaming));
    else if (strcmp(m->request->name, s->input) != 0)
        snprintf(err, err_size, "method %s takes %s in the protos, but %s in the table", name,
                 s->input, m->request->name);
    else if (strcmp(m->response->name, s->output) != 0)
        snprintf(err, err_size, "method %s returns %s in the protos, but %s in the table", name,
                 s->output, m->response->name);
    else if (!m->unary)
        snprintf(err, err_size, "method %s has no handler", name);
    else
        return true;
    return false;
}

static bool
has_method(const struct rpc_service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Symbols are sorted, so a service's methods stand right behind it. */
static bool
service_check(const struct rpc_service *service, const struct descriptor_index *index, char *err,
              size_t err_size)
{
    const struct descriptor_symbol *s = descriptor_find_symbol(index, str_of(service->name));
    if (!s) {
        snprintf(err, err_size, "service %s is not in the embedded protos", service->name);
        return false;
    }
    size_t n = strlen(service->name);
    const struct descriptor_symbol *end = index->symbols + index->symbol_count;
    for (s++; s < end && strncmp(s->name, service->name, n) == 0; s++) {
        if (s->name[n] != '.' || !s->input)
            continue;
        if (!has_method(service, s->name + n + 1)) {
            snprintf(err, err_size, "method %s has no row in the table", s->name);
            return false;
        }
    }
    for (size_t i = 0; i < service->method_count; i++) {
        if (!method_check(service, &service->methods[i], index, err, err_size))
            return false;
    }
    return true;
}

bool
method_check_all(const struct rpc_service *const *services, size_t count,
                 const struct descriptor_index *index, char *err, size_t err_size)
{
    for (size_t i = 0; i < count; i++) {
        if (!service_check(services[i], index, err, err_size))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(services[i]->name, services[k]->name) == 0) {
                snprintf(err, err_size, "service %s is given twice", services[i]->name);
                return false;
            }
        }
    }
    return true;
}
