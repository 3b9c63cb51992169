#include "unit/client/kalman_server.h"

#include "rpc/rpc.h"
#include "test_server.h"

extern const struct rpc_service kalman_service;

struct test_server *
kalman_server_start(char *err, size_t err_size)
{
    static const struct rpc_service *const services[] = {&kalman_service};
    const struct test_server_options options = {.services = services, .service_count = 1};
    const char *args[] = {"--listen-address=127.0.0.1:0"};
    return test_server_start(&options, ARRAY_LEN(args), args, err, err_size);
}

int
kalman_server_port(struct test_server *t)
{
    return test_server_port(t);
}
