/*
 * A gRPC server for the client's tests that does what a function says, message by message: also
 * what no proper server does (bytes that are no message, silence, a status out of range). Each call
 * runs the function on a thread of its own.
 */
#ifndef LUNA_TESTS_UNIT_CLIENT_SCRIPT_SERVER_H
#define LUNA_TESTS_UNIT_CLIENT_SCRIPT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_server;
struct script_call;

/* Must end with script_finish or script_wait_cancelled. */
typedef void (*script_fn)(struct script_call *call, void *arg);

/* Listens on `address` ("127.0.0.1:0"); with a PEM certificate and key (both or none) over TLS. */
struct script_server *script_server_start(const char *address, const char *certificate,
                                          const char *private_key, script_fn fn, void *arg);
int script_server_port(const struct script_server *s);
/* Cancels what runs and joins all threads. */
void script_server_stop(struct script_server *s);

const char *script_path(const struct script_call *call);
/* Request metadata into `out` (NUL terminated); false: not sent. */
bool script_metadata(const struct script_call *call, const char *key, char *out, size_t size);
/* The time the caller left it, in milliseconds; -1: no deadline. */
int64_t script_deadline_ms(const struct script_call *call);

/* The next message, malloc'd; NULL: half-closed, or the call is over. */
uint8_t *script_recv(struct script_call *call, size_t *ret_size);
/* False: the call is over. */
bool script_send(struct script_call *call, const void *bytes, size_t size);
/* Headers (key, value, ..., NULL) to go out with the first message or the status. */
void script_headers(struct script_call *call, const char *const *pairs);

/* `details` (may be NULL) is sent as grpc-status-details-bin. */
void script_finish(struct script_call *call, int code, const char *message, const void *details,
                   size_t details_size);
/* Waits until the caller has gone; true when it cancelled or its deadline passed. */
bool script_wait_cancelled(struct script_call *call);

#endif
