/*
 * A server of the wrapper for tests: its reactors, its settings, one call to start and one to stop.
 * Settings are given as command-line arguments ("--max-message=64KiB").
 */
#ifndef LUNA_TESTS_RPC_TEST_SERVER_H
#define LUNA_TESTS_RPC_TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rpc/server.h does not compile as C++: what tests need of it is repeated here. */
struct rpc_service;
struct interceptor;

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

int test_server_port(const struct test_server *t);
void test_server_drain(struct test_server *t);

/* See health_set. */
void test_server_set_health(struct test_server *t, const char *service, int status);

/* Of one method ("/luna.testing.EchoService/Echo"), over all reactors. */
struct test_counts {
    uint64_t finished[17];
    uint64_t received_messages;
    uint64_t sent_messages;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t latencies; /* in all buckets */
    int64_t in_flight;
};
bool test_server_counts(const struct test_server *t, const char *path, struct test_counts *ret);

struct test_stats {
    int64_t connections;
    uint64_t connections_refused;
    uint64_t calls_refused;
    uint64_t calls_unknown;
    int64_t calls_alive;
};
void test_server_stats(const struct test_server *t, struct test_stats *ret);

/* A program: --setting=value ... , "listening on <port>" on stdout, until SIGTERM; then drains. */
int test_server_main(const struct test_server_options *opt, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
