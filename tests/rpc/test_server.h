/*
 * A server of the wrapper for tests: its reactors, its settings, one call to start and one to stop.
 * Settings are given as command-line arguments ("--max-message=64KiB").
 */
#ifndef LUNA_TESTS_RPC_TEST_SERVER_H
#define LUNA_TESTS_RPC_TEST_SERVER_H

#include "rpc/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct test_server;

struct test_server_options {
    const struct rpc_service *const *services;
    size_t service_count;
    const struct interceptor *const *interceptors;
    size_t interceptor_count;
    bool reuse_port;
};

/* NULL: `err` says why. Everything is SERVING. */
struct test_server *test_server_start(const struct test_server_options *opt, int argc,
                                      const char *const *argv, char *err, size_t err_size);
void test_server_stop(struct test_server *t);

struct rpc_server *test_server_rpc(struct test_server *t);

/* A program: --setting=value ... , "listening on <port>" on stdout, until SIGTERM; then drains. */
int test_server_main(const struct test_server_options *opt, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
