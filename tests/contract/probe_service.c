/* The handlers of luna.testing's probe services. */
#include "contract/probe_service.h"

#include "luna/testing/probe.rpc.h"
#include "test_server.h"

static enum status
copy(const Luna__Testing__Probe *req, Luna__Testing__Probe *resp, int64_t add)
{
    resp->number = req->number + add;
    return OK;
}

static enum status
handle_remove(struct call *call, const Luna__Testing__Probe *req, Luna__Testing__Probe *resp)
{
    (void)call;
    return copy(req, resp, 1);
}

static enum status
handle_rename(struct call *call, const Luna__Testing__Probe__Inner *req,
              Luna__Testing__Probe__Inner *resp)
{
    resp->text = arena_printf(call->ctx.arena, "<%s>", req->text);
    return OK;
}

static enum status
get_http_status(struct call *call, const Luna__Testing__Probe *req, Luna__Testing__Probe *resp)
{
    (void)call;
    return copy(req, resp, 200);
}

static enum status
count_down(struct call *call, const Luna__Testing__Probe *req, struct stream *out)
{
    (void)call;
    enum status st = OK;
    for (int64_t i = req->number; i > 0 && st == OK; i--) {
        Luna__Testing__Probe m = LUNA__TESTING__PROBE__INIT;
        m.number = i;
        st = count_down_send(out, &m);
    }
    return st;
}

static enum status
sum(struct call *call, struct stream *in, Luna__Testing__Probe *resp)
{
    (void)call;
    Luna__Testing__Probe *m;
    enum status st;
    while ((st = sum_recv(in, &m)) == OK)
        resp->number += m->number;
    return st == END ? OK : st;
}

static enum status
handle_log(struct call *call, struct stream *stream)
{
    (void)call;
    Luna__Testing__Probe *m;
    enum status st;
    while ((st = handle_log_recv(stream, &m)) == OK) {
        Luna__Testing__Probe twice = LUNA__TESTING__PROBE__INIT;
        twice.number = 2 * m->number;
        st = handle_log_send(stream, &twice);
        if (st != OK)
            return st;
    }
    return st == END ? OK : st;
}

static enum status
probe_service_ping(struct call *call, const Luna__Testing__Probe *req, Luna__Testing__Probe *resp)
{
    (void)call;
    return copy(req, resp, 10);
}

static enum status
other_service_ping(struct call *call, const Luna__Testing__Probe *req, Luna__Testing__Probe *resp)
{
    (void)call;
    return copy(req, resp, 20);
}

static const struct rpc_service *const services[] = {
    &luna_testing_probe_service,
    &luna_testing_other_service,
};

struct test_server *
probe_server_start(char *err, size_t err_size)
{
    const struct test_server_options options = {.services = services,
                                                .service_count = ARRAY_LEN(services)};
    const char *args[] = {"--listen-address=127.0.0.1:0"};
    ASSERT(luna_testing_empty_service.method_count == 0);
    return test_server_start(&options, ARRAY_LEN(args), args, err, err_size);
}

int
probe_server_port(struct test_server *t)
{
    return test_server_port(t);
}

bool
probe_policy_read(struct probe_policy *ret)
{
    for (size_t i = 0; i < luna_testing_probe_service.method_count; i++) {
        const struct rpc_method *m = &luna_testing_probe_service.methods[i];
        if (strcmp(m->name, "GetHTTPStatus") != 0)
            continue;
        *ret = (struct probe_policy){
            .access = (int)m->policy.access,
            .cost = m->policy.cost,
            .cost_measured = m->policy.cost_measured,
            .deadline_ns = m->policy.deadline,
            .idempotent = m->policy.idempotent,
            .fail_open = m->policy.fail_open,
            .scope = m->policy.scope,
            .cache_seconds = m->policy.cache_seconds,
        };
        return true;
    }
    return false;
}
