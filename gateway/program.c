/* Alone, so that the fuzzer can link all the rest. */
#include "gateway/gateway.h"

int
main(int argc, char **argv)
{
    return gateway_main(argc, argv);
}
