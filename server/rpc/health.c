#include "rpc/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "grpc/health/v1/health.pb-c.h"
#include "rpc/internal.h"
#include "run/fiber.h"

#define SERVICES_LISTED 256

struct health_entry {
    char *service;
    enum health_status status;
};

/* The watchers of one reactor. */
struct watchers {
    struct reactor *reactor;
    struct inbox_msg msg;
    atomic_bool told; /* msg is on its way */
    struct cond changed;
};

struct health {
    pthread_mutex_t lock; /* of what follows */
    struct health_entry *entries;
    size_t count;
    bool drained;
    bool open; /* the reactors run */
    struct watchers *watchers;
    size_t watcher_count;
};

/* ---- statuses ------------------------------------------------------------------------------ */

static void
on_changed(struct inbox_msg *m)
{
    struct watchers *w = container_of(m, struct watchers, msg);
    atomic_store(&w->told, false);
    cond_broadcast(&w->changed);
}

/* Under the lock. */
static void
tell(struct health *h)
{
    for (size_t i = 0; h->open && i < h->watcher_count; i++) {
        struct watchers *w = &h->watchers[i];
        if (!atomic_exchange(&w->told, true))
            inbox_send(w->reactor, &w->msg);
    }
}

/* Under the lock. */
static struct health_entry *
find(struct health *h, const char *service)
{
    for (size_t i = 0; i < h->count; i++) {
        if (strcmp(h->entries[i].service, service) == 0)
            return &h->entries[i];
    }
    return NULL;
}

void
health_set(struct health *h, const char *service, enum health_status st)
{
    pthread_mutex_lock(&h->lock);
    struct health_entry *e = find(h, service);
    if (!e) {
        h->entries = reallocarray(h->entries, h->count + 1, sizeof(*e));
        ASSERT(h->entries != NULL);
        e = &h->entries[h->count++];
        e->service = strdup(service);
        ASSERT(e->service != NULL);
    }
    e->status = h->drained ? HEALTH_NOT_SERVING : st;
    tell(h);
    pthread_mutex_unlock(&h->lock);
}

static void
set_all_locked(struct health *h, enum health_status st)
{
    for (size_t i = 0; i < h->count; i++)
        h->entries[i].status = h->drained ? HEALTH_NOT_SERVING : st;
    tell(h);
}

void
health_set_all(struct health *h, enum health_status st)
{
    pthread_mutex_lock(&h->lock);
    set_all_locked(h, st);
    pthread_mutex_unlock(&h->lock);
}

static enum health_status
get(struct health *h, const char *service, bool *ret_drained)
{
    pthread_mutex_lock(&h->lock);
    const struct health_entry *e = find(h, service);
    enum health_status st = e ? e->status : HEALTH_SERVICE_UNKNOWN;
    *ret_drained = h->drained;
    pthread_mutex_unlock(&h->lock);
    return st;
}

enum health_status
health_get(struct health *h, const char *service)
{
    bool drained;
    return get(h, service, &drained);
}

struct health *
health_new(struct reactor *const *reactors, size_t count)
{
    struct health *h = calloc(1, sizeof(*h));
    ASSERT(h != NULL);
    pthread_mutex_init(&h->lock, NULL);
    h->watchers = calloc(count, sizeof(struct watchers));
    ASSERT(h->watchers != NULL);
    h->watcher_count = count;
    for (size_t i = 0; i < count; i++) {
        h->watchers[i].reactor = reactors[i];
        h->watchers[i].msg.fn = on_changed;
        cond_init(&h->watchers[i].changed);
    }
    return h;
}

void
health_open(struct health *h, bool open)
{
    pthread_mutex_lock(&h->lock);
    h->open = open;
    pthread_mutex_unlock(&h->lock);
}

void
health_drain(struct health *h)
{
    pthread_mutex_lock(&h->lock);
    h->drained = true;
    set_all_locked(h, HEALTH_NOT_SERVING);
    pthread_mutex_unlock(&h->lock);
}

void
health_free(struct health *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->count; i++)
        free(h->entries[i].service);
    free(h->entries);
    free(h->watchers);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- the service --------------------------------------------------------------------------- */

static struct health *
health_of(struct call *call)
{
    return rpc_server_health(call_server(call));
}

static enum status
check(struct call *call, const ProtobufCMessage *request, ProtobufCMessage *response)
{
    const Grpc__Health__V1__HealthCheckRequest *req = (const void *)request;
    Grpc__Health__V1__HealthCheckResponse *resp = (void *)response;
    enum health_status st = health_get(health_of(call), req->service);
    if (st == HEALTH_SERVICE_UNKNOWN)
        return fail(&call->ctx, SERVICE_NOT_FOUND, "there is no service %s", req->service);
    resp->status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)st;
    return OK;
}

static enum status
list(struct call *call, const ProtobufCMessage *request, ProtobufCMessage *response)
{
    struct health *h = health_of(call);
    struct arena *a = call->ctx.arena;
    Grpc__Health__V1__HealthListResponse *resp = (void *)response;
    (void)request;
    pthread_mutex_lock(&h->lock);
    size_t n = h->count < SERVICES_LISTED ? h->count : SERVICES_LISTED;
    resp->statuses = arena_new_n(a, Grpc__Health__V1__HealthListResponse__StatusesEntry *, n);
    for (size_t i = 0; i < n; i++) {
        Grpc__Health__V1__HealthListResponse__StatusesEntry *e =
            rpc_new(a, Grpc__Health__V1__HealthListResponse__StatusesEntry,
                    grpc__health__v1__health_list_response__statuses_entry__descriptor);
        e->key = arena_strdup(a, h->entries[i].service);
        e->value = rpc_new(a, Grpc__Health__V1__HealthCheckResponse,
                           grpc__health__v1__health_check_response__descriptor);
        e->value->status =
            (Grpc__Health__V1__HealthCheckResponse__ServingStatus)h->entries[i].status;
        resp->statuses[resp->n_statuses++] = e;
    }
    pthread_mutex_unlock(&h->lock);
    return OK;
}

static enum status
send_status(struct stream *out, enum health_status st)
{
    Grpc__Health__V1__HealthCheckResponse resp = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    resp.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)st;
    return stream_send(out, &resp.base);
}

/* Ends with OK at a drain, so that the watcher asks another server. */
static enum status
watch(struct call *call, const ProtobufCMessage *request, struct stream *out)
{
    const Grpc__Health__V1__HealthCheckRequest *req = (const void *)request;
    struct health *h = health_of(call);
    struct watchers *w = &h->watchers[call_private(call)->shard->index];
    int sent = -1;
    for (;;) {
        bool drained;
        enum health_status now = get(h, req->service, &drained);
        enum status st = OK;
        if ((int)now != sent)
            st = send_status(out, now);
        else if (drained)
            return OK;
        else
            st = cond_wait(&w->changed, &call->ctx);
        if (st != OK)
            return st;
        sent = (int)now;
    }
}

static const struct rpc_method health_methods[] = {
    {.name = "Check",
     .path = "/grpc.health.v1.Health/Check",
     .kind = RPC_UNARY,
     .request = &grpc__health__v1__health_check_request__descriptor,
     .response = &grpc__health__v1__health_check_response__descriptor,
     .policy = {.access = RPC_PUBLIC, .idempotent = true, .fail_open = true, .scope = ""},
     .unary = check},
    {.name = "List",
     .path = "/grpc.health.v1.Health/List",
     .kind = RPC_UNARY,
     .request = &grpc__health__v1__health_list_request__descriptor,
     .response = &grpc__health__v1__health_list_response__descriptor,
     .policy = {.access = RPC_PUBLIC, .idempotent = true, .fail_open = true, .scope = ""},
     .unary = list},
    {.name = "Watch",
     .path = "/grpc.health.v1.Health/Watch",
     .kind = RPC_SERVER_STREAM,
     .request = &grpc__health__v1__health_check_request__descriptor,
     .response = &grpc__health__v1__health_check_response__descriptor,
     .policy = {.access = RPC_PUBLIC, .idempotent = true, .fail_open = true, .scope = ""},
     .server_stream = watch},
};

const struct rpc_service health_service = {"grpc.health.v1.Health", health_methods,
                                           ARRAY_LEN(health_methods)};
