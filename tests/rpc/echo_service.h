/* The service of the wrapper's own tests: every kind of call, and every way to end one. */
#ifndef LUNA_TESTS_RPC_ECHO_SERVICE_H
#define LUNA_TESTS_RPC_ECHO_SERVICE_H

#include "rpc/rpc.h"

/* Named so by the code generator. */
extern const struct rpc_service luna_testing_echo_service;

#endif
