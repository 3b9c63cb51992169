/* A server of luna.testing's probe services, made with the generated handlers. */
#ifndef LUNA_TESTS_CONTRACT_PROBE_SERVICE_H
#define LUNA_TESTS_CONTRACT_PROBE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_server;

/* NULL: `err` says why. End it with test_server_stop. */
struct test_server *probe_server_start(char *err, size_t err_size);
int probe_server_port(struct test_server *t);
void test_server_stop(struct test_server *t);

/* The row of ProbeService.GetHTTPStatus (rpc.h is not for C++). */
struct probe_policy {
    int access;
    int64_t cost;
    bool cost_measured;
    int64_t deadline_ns;
    bool idempotent;
    bool fail_open;
    const char *scope;
    int cache_seconds;
};
bool probe_policy_read(struct probe_policy *ret);

#endif
