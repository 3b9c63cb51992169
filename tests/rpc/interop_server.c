/* Serves grpc.testing.TestService: the other side of interop_client.py. Arguments are settings. */
#include "rpc/rpc.h"
#include "test_server.h"

extern const struct rpc_service grpc_testing_test_service;
extern const struct rpc_service luna_testing_echo_service;

int
main(int argc, char **argv)
{
    const struct rpc_service *services[] = {&grpc_testing_test_service, &luna_testing_echo_service};
    struct test_server_options opt = {.services = services, .service_count = 2};
    return test_server_main(&opt, argc, argv);
}
