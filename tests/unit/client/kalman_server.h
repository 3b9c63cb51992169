/* A server of the wrapper with the real KalmanService, without accounts and stores. */
#ifndef LUNA_TESTS_UNIT_CLIENT_KALMAN_SERVER_H
#define LUNA_TESTS_UNIT_CLIENT_KALMAN_SERVER_H

#include <stddef.h>

struct test_server;

/* NULL: `err` says why. End it with test_server_stop. */
struct test_server *kalman_server_start(char *err, size_t err_size);
int kalman_server_port(struct test_server *t);
void test_server_stop(struct test_server *t);

#endif
