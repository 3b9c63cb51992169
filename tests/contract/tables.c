#include "contract/tables.h"

#include "rpc/rpc.h"

static const struct rpc_service *services[64];
static size_t service_count;

void
tables_add(const struct rpc_service *service)
{
    ASSERT(service_count < ARRAY_LEN(services));
    services[service_count++] = service;
}

static const struct rpc_method *
find(size_t n, const struct rpc_service **ret_service)
{
    for (size_t s = 0; s < service_count; s++) {
        *ret_service = services[s];
        if (n < services[s]->method_count)
            return &services[s]->methods[n];
        n -= services[s]->method_count;
    }
    return NULL;
}

bool
tables_row(size_t n, struct table_row *ret)
{
    const struct rpc_service *s;
    const struct rpc_method *m = find(n, &s);
    if (!m)
        return false;
    *ret = (struct table_row){
        .service = s->name,
        .name = m->name,
        .path = m->path,
        .kind = (int)m->kind,
        .request = m->request->name,
        .response = m->response->name,
        .access = (int)m->policy.access,
        .cost = m->policy.cost,
        .cost_measured = m->policy.cost_measured,
        .deadline_ns = m->policy.deadline,
        .idempotent = m->policy.idempotent,
        .fail_open = m->policy.fail_open,
        .scope = m->policy.scope,
        .cache_seconds = m->policy.cache_seconds,
        .keys = (int)m->policy.keys,
        .has_handler = m->unary != NULL && m->counters != NULL,
    };
    return true;
}
