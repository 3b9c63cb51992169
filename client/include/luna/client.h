/*
 * Luna's client library for C and C++.
 *
 * A channel is a connection to a server. Each method of each service has a typed function in a
 * generated header (luna/v1/kalman.client.h, ...), which blocks until the answer is there:
 *
 *     const char *error;
 *     struct luna_channel *channel =
 *         luna_channel_new(&(struct luna_channel_options){.target = "127.0.0.1:50051"}, &error);
 *     Luna__V1__FilterRequest request = LUNA__V1__FILTER_REQUEST__INIT;
 *     request.results = values;
 *     request.n_results = count;
 *     struct luna_reply *reply;
 *     const Luna__V1__FilterResponse *response;
 *     if (luna_kalman_filter(channel, NULL, &request, &reply, &response) != LUNA_OK)
 *         fprintf(stderr, "%s\n", luna_reply_text(reply));
 *     luna_reply_free(reply);
 *     luna_channel_free(channel);
 *
 * Ownership: what a call gives back belongs to its reply (or, for streams, to the stream) and is
 * gone with it. What is passed in is copied or no longer needed when the function returns.
 *
 * Threads: a channel and a cancel token may be used by any number of threads at once. A reply
 * belongs to one thread at a time. Of a stream, one thread may send while another one receives.
 *
 * Memory: when the machine has none left the process ends, as it does inside gRPC.
 *
 * Times are milliseconds. Texts are UTF-8 and NUL terminated.
 */
#ifndef LUNA_CLIENT_H
#define LUNA_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LUNA_CLIENT_VERSION "0.1.0"

/* No deadline at all, where a timeout is asked for. */
#define LUNA_NO_TIMEOUT ((int64_t)-1)

/* How a call ended: gRPC's status codes. */
enum luna_code {
    LUNA_END = -1, /* of a stream: no more messages, all is well */
    LUNA_OK = 0,
    LUNA_CANCELLED = 1,
    LUNA_UNKNOWN = 2,
    LUNA_INVALID_ARGUMENT = 3,
    LUNA_DEADLINE_EXCEEDED = 4,
    LUNA_NOT_FOUND = 5,
    LUNA_ALREADY_EXISTS = 6,
    LUNA_PERMISSION_DENIED = 7,
    LUNA_RESOURCE_EXHAUSTED = 8,
    LUNA_FAILED_PRECONDITION = 9,
    LUNA_ABORTED = 10,
    LUNA_OUT_OF_RANGE = 11,
    LUNA_UNIMPLEMENTED = 12,
    LUNA_INTERNAL = 13,
    LUNA_UNAVAILABLE = 14,
    LUNA_DATA_LOSS = 15,
    LUNA_UNAUTHENTICATED = 16,
};

/* "INVALID_ARGUMENT", "OK"; "UNKNOWN" for numbers that are none of the above. */
const char *luna_code_name(enum luna_code code);

/* ---- channels ----------------------------------------------------------------------------------
 */

struct luna_channel;

/* Zero and NULL are the defaults; only `target` must be set. */
struct luna_channel_options {
    /* "host:port", "ipv6:[::1]:50051", "unix:/run/luna.sock", "dns:///host:port". */
    const char *target;
    /* Sent with every call as x-api-key. Without tls it travels in clear. Not together with
     * bearer_token. */
    const char *api_key;
    /* Sent with every call as authorization: Bearer. */
    const char *bearer_token;

    /* Encrypt and check the server's certificate. */
    bool tls;
    /* PEM texts. The roots to trust; NULL: the system's. */
    const char *root_certificates;
    /* This client's own certificate and its key, for mutual TLS; both or neither. */
    const char *certificate;
    const char *private_key;
    /* The name expected in the server's certificate; NULL: the target's host. */
    const char *tls_server_name;

    /* For unary calls that set none. 0: 30 000. LUNA_NO_TIMEOUT: none. Streams have no default. */
    int64_t timeout_ms;
    /* Pings a connection with open calls that was silent for so long. 0: never. Servers end the
     * connection of clients that ping much more often than they allow. */
    int64_t keepalive_ms;
    /* ... and gives it up when no answer came for so long. 0: 20 000. */
    int64_t keepalive_timeout_ms;
    /* Largest message. 0: 256 MiB to receive, and to send whatever the server takes. */
    size_t max_receive_bytes;
    size_t max_send_bytes;
    /* Tries of one call, the first included; only idempotent methods are tried again. 0: 4. */
    unsigned max_attempts;
    /* Put in front of the library's own user agent. */
    const char *user_agent;
};

/* Makes a channel; it connects with the first call, and again whenever the connection was lost.
 * NULL: an option is wrong, and *ret_error (a constant) says which. */
struct luna_channel *luna_channel_new(const struct luna_channel_options *options,
                                      const char **ret_error);

/* After all its calls and streams have ended. NULL is allowed. */
void luna_channel_free(struct luna_channel *channel);

/* The target it was made with. */
const char *luna_channel_target(const struct luna_channel *channel);

/* ---- options of a call -------------------------------------------------------------------------
 */

/* A pair of call metadata. Keys are lower case; those that end in "-bin" take any bytes as value.
 */
struct luna_metadata {
    const char *key;
    const char *value;
    size_t value_size; /* given to the library, 0: up to the NUL */
};

/* A switch that ends calls from another thread. One token may be given to many calls. */
struct luna_cancel;

struct luna_cancel *luna_cancel_new(void);
/* Ends every call that was given the token, and every later one at once, with LUNA_CANCELLED.
 * Thread: any, while the token lives. */
void luna_cancel_now(struct luna_cancel *cancel);
/* After the calls that were given it have ended. NULL is allowed. */
void luna_cancel_free(struct luna_cancel *cancel);

/* NULL in place of the options, and zero in each field, are the defaults. */
struct luna_call_options {
    /* From now to the end of the call, all tries included. 0: the channel's for unary calls, none
     * for streams. LUNA_NO_TIMEOUT: none. */
    int64_t timeout_ms;
    /* Sent with the call. */
    const struct luna_metadata *metadata;
    size_t metadata_count;
    /* Ends the call when luna_cancel_now is called. */
    struct luna_cancel *cancel;
    /* 0: the channel's. */
    unsigned max_attempts;
    /* Wait for a connection until the deadline, instead of failing with LUNA_UNAVAILABLE when the
     * server cannot be reached. */
    bool wait_for_ready;
};

/* ---- replies -----------------------------------------------------------------------------------
 */

/* What came back from a call: its status and details, its metadata and its response. */
struct luna_reply;

/* NULL is allowed. */
void luna_reply_free(struct luna_reply *reply);

enum luna_code luna_reply_code(const struct luna_reply *reply);
/* The server's words, or the library's when it never was reached. "" after success. */
const char *luna_reply_message(const struct luna_reply *reply);
/* ErrorInfo: the stable identifier ("BAD_FIELD", see luna/v1/error.proto) and who defines it
 * ("luna"). "" when the server sent none. */
const char *luna_reply_reason(const struct luna_reply *reply);
const char *luna_reply_domain(const struct luna_reply *reply);
/* One line for people: "INVALID_ARGUMENT (BAD_FIELD): results[3] is not finite". */
const char *luna_reply_text(const struct luna_reply *reply);

/* BadRequest: the n-th wrong field of the request and why. False: there are fewer. */
bool luna_reply_field(const struct luna_reply *reply, size_t n, const char **ret_field,
                      const char **ret_text);
/* QuotaFailure: the n-th exceeded limit ("account:42") and what about it. False: there are fewer.
 */
bool luna_reply_quota(const struct luna_reply *reply, size_t n, const char **ret_subject,
                      const char **ret_text);
/* RetryInfo: when the server wants to be asked again. -1: it did not say. */
int64_t luna_reply_retry_after_ms(const struct luna_reply *reply);

/* How often the call was tried; 0 when it was cancelled before the first. */
unsigned luna_reply_attempts(const struct luna_reply *reply);

/* Metadata of the answer, headers first, then trailers: the first value of `key`, or NULL. The
 * value is followed by a NUL; ret_size may be NULL. */
const char *luna_reply_metadata(const struct luna_reply *reply, const char *key, size_t *ret_size);
/* The n-th pair of all. False: there are fewer. */
bool luna_reply_metadata_at(const struct luna_reply *reply, size_t n, struct luna_metadata *ret);

/* ---- streams -----------------------------------------------------------------------------------
 */

/*
 * A call with many messages. The generated functions give these verbs their types:
 *
 *     server stream   x(channel, options, request)   x_recv ... LUNA_END
 *     client stream   x(channel, options)            x_send ...   x_finish (the response)
 *     both            x(channel, options)            x_send, x_recv in any order,
 * luna_stream_close_send
 *
 * then luna_stream_finish to learn how it ended, if that matters, and luna_stream_free.
 */
struct luna_stream;

/* Sends a message; blocks while the one before is on its way (so a slow server slows the sender).
 * LUNA_END: the call has ended and takes no more; receive or finish to learn why.
 * LUNA_FAILED_PRECONDITION: after luna_stream_close_send. */
enum luna_code luna_stream_send(struct luna_stream *stream, const ProtobufCMessage *message);

/* Says that no more messages will be sent. May be called twice. */
void luna_stream_close_send(struct luna_stream *stream);

/*
 * Receives a message, which lives until the next one is received or the stream is freed.
 * LUNA_END: there are no more, the call succeeded. Any other code than LUNA_OK: the call has failed
 * with it (luna_stream_finish has the details). *ret_message is NULL then.
 */
enum luna_code luna_stream_recv(struct luna_stream *stream, const ProtobufCMessage **ret_message);

/*
 * Ends the sending side, drops the messages that still come, waits for the end and returns the
 * call's status; *ret_reply (may be NULL) holds the details and is the caller's to free. To leave a
 * stream that would never end, cancel it first. May be called once; no other function but
 * luna_stream_cancel and luna_stream_free may run at the same time or later.
 */
enum luna_code luna_stream_finish(struct luna_stream *stream, struct luna_reply **ret_reply);

/* The same for a client stream, whose one response then lives in the reply (not NULL here). */
enum luna_code luna_stream_finish_with(struct luna_stream *stream, struct luna_reply **ret_reply,
                                       const ProtobufCMessage **ret_response);

/* Ends the call at both ends with LUNA_CANCELLED. Thread: any, while the stream lives. */
void luna_stream_cancel(struct luna_stream *stream);

/* Cancels the call when it has not ended. NULL is allowed. */
void luna_stream_free(struct luna_stream *stream);

/* ---- for the generated functions, and for methods that are not known when you compile ----------
 */

struct luna_method {
    const char *path; /* "/luna.v1.KalmanService/Filter" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool client_streams;
    bool server_streams;
    bool idempotent; /* may be tried again */
};

/* Calls a unary method and waits. *ret_reply is always set; *ret_response lives in it and is NULL
 * unless LUNA_OK is returned. */
enum luna_code luna_call_unary(struct luna_channel *channel,
                               const struct luna_call_options *options,
                               const struct luna_method *method, const ProtobufCMessage *request,
                               struct luna_reply **ret_reply,
                               const ProtobufCMessage **ret_response);

/* The same with the encoded messages: `method` needs its path and idempotent alone. */
enum luna_code luna_call_bytes(struct luna_channel *channel,
                               const struct luna_call_options *options,
                               const struct luna_method *method, const void *request,
                               size_t request_size, struct luna_reply **ret_reply,
                               const void **ret_response, size_t *ret_response_size);

/* Opens a stream; never NULL, failures are told by what is done with it. `request` is the one
 * message of a method whose client side does not stream, else NULL. */
struct luna_stream *luna_stream_open(struct luna_channel *channel,
                                     const struct luna_call_options *options,
                                     const struct luna_method *method,
                                     const ProtobufCMessage *request);

#ifdef __cplusplus
}
#endif

#endif
