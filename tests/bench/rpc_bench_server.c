/* The wrapper with nothing around it: what core_echo is compared with. Arguments are settings. */
#include "rpc/echo_service.h"
#include "rpc/rpc.h"
#include "rpc/test_server.h"

int
main(int argc, char **argv)
{
    const struct rpc_service *services[] = {&luna_testing_echo_service};
    struct test_server_options opt = {.services = services, .service_count = 1};
    return test_server_main(&opt, argc, argv);
}
