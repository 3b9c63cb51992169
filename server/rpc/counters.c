/* The reactors' counters, summed for whoever asks. */
#include "rpc/accept.h"
#include "rpc/internal.h"

#define READ(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

size_t
rpc_server_service_count(const struct rpc_server *s)
{
    return s->service_count;
}

const struct rpc_service *
rpc_server_service(const struct rpc_server *s, size_t n)
{
    return n < s->service_count ? s->services[n] : NULL;
}

static void
add(struct rpc_totals *t, const struct rpc_counters *c)
{
    for (size_t i = 0; i < ARRAY_LEN(t->finished); i++)
        t->finished[i] += READ(c->finished[i]);
    latency_add(&t->latency, &c->latency);
    t->received_messages += READ(c->received_messages);
    t->sent_messages += READ(c->sent_messages);
    t->received_bytes += READ(c->received_bytes);
    t->sent_bytes += READ(c->sent_bytes);
    t->in_flight += READ(c->in_flight);
}

void
rpc_server_totals(const struct rpc_server *s, const struct rpc_method *m, struct rpc_totals *ret)
{
    *ret = (struct rpc_totals){0};
    for (size_t k = 0; k < s->method_count; k++) {
        if (s->methods[k] != m)
            continue;
        for (size_t i = 0; i < s->shard_count; i++)
            add(ret, &s->shards[i].methods[k].counters);
    }
}

void
rpc_server_stats(const struct rpc_server *s, struct rpc_server_stats *ret)
{
    const struct acceptor_stats *a = acceptor_stats(s->acceptor);
    *ret = (struct rpc_server_stats){
        .connections = READ(a->open),
        .connections_accepted = READ(a->accepted),
        .connections_refused = READ(a->refused),
        .connections_shed = READ(a->shed),
    };
    for (size_t i = 0; i < s->shard_count; i++) {
        const struct shard_stats *st = &s->shards[i].stats;
        ret->calls_refused += READ(st->refused);
        ret->calls_unknown += READ(st->unknown);
        ret->calls_alive += READ(st->alive);
    }
}
