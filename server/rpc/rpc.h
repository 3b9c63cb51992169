/*
 * Serving gRPC: a thin wrapper of gRPC core's C API. What a handler sees is in this header; the
 * server itself is in rpc/server.h.
 *
 * A method is a row of a generated table (see any <service>.rpc.h in the build folder): its types,
 * its kind, its policy from the proto options, its handler. A handler runs on a fiber of one
 * reactor and reads top to bottom: check, domain, convert.
 *
 * Ownership: request and response live in the call's arena and die with the call.
 */
#ifndef LUNA_RPC_RPC_H
#define LUNA_RPC_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>

#include "base/latency.h"
#include "base/str.h"
#include "rpc/rules.h"
#include "run/ctx.h"

struct call;
struct stream;

enum rpc_kind { RPC_UNARY, RPC_CLIENT_STREAM, RPC_SERVER_STREAM, RPC_BIDI };

/* luna.v1.Access */
enum rpc_access { RPC_PUBLIC = 1, RPC_DEVICE = 2, RPC_MEMBER = 3, RPC_ADMIN = 4 };

/* luna.v1.IdempotencyKeys, with its default settled */
enum rpc_keys { RPC_KEYS_IGNORED, RPC_KEYS_REFUSED, RPC_KEYS_CLAIM, RPC_KEYS_TRANSACTION };

/* luna.v1.MethodPolicy */
struct rpc_policy {
    enum rpc_access access;
    int64_t cost;       /* quota units, 0: not metered */
    bool cost_measured; /* the handler may charge more with quota */
    nsec_t deadline;    /* when the caller sets none; 0: the server's default */
    bool idempotent;
    bool fail_open;    /* when the limiter's store is away */
    const char *scope; /* "kalman.read" */
    int cache_seconds;
    enum rpc_keys keys;
};

/* A method's numbers on one reactor, written by it alone. rpc_server_totals (rpc/server.h) sums
 * them for metrics; what rpc_method.counters points at is not used. */
struct rpc_counters {
    atomic_uint_fast64_t finished[17]; /* by status */
    struct latency latency;            /* from arrival to the handler's end */
    atomic_uint_fast64_t received_messages;
    atomic_uint_fast64_t sent_messages;
    atomic_uint_fast64_t received_bytes;
    atomic_uint_fast64_t sent_bytes;
    atomic_int_fast64_t in_flight;
};

struct rpc_method {
    const char *name; /* "GetAccount" */
    const char *path; /* "/luna.v1.QuotaService/GetAccount" */
    enum rpc_kind kind;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    const struct rpc_rules *rules; /* of the request's fields: rpc/rules.h; NULL: none */
    struct rpc_policy policy;
    struct rpc_counters *counters;
    union { /* by kind; the generated thunks give the messages their types */
        enum status (*unary)(struct call *, const ProtobufCMessage *req, ProtobufCMessage *resp);
        enum status (*client_stream)(struct call *, struct stream *in, ProtobufCMessage *resp);
        enum status (*server_stream)(struct call *, const ProtobufCMessage *req,
                                     struct stream *out);
        enum status (*bidi)(struct call *, struct stream *s);
    };
};

struct rpc_service {
    const char *name; /* "luna.v1.QuotaService" */
    const struct rpc_method *methods;
    size_t method_count;
};

#define CALL_MAX_INTERCEPTORS 8

/* A call as handlers and interceptors see it. `ctx` is first: a struct call * is a struct ctx *. */
struct call {
    struct ctx ctx;
    const struct rpc_method *method;
    nsec_t started;                  /* when the call arrived */
    size_t request_bytes;            /* received so far, messages only */
    size_t response_bytes;           /* sent so far, messages only */
    const ProtobufCMessage *request; /* of unary and server-streaming calls; NULL otherwise */
    int64_t charged;                 /* quota units taken for it so far */
    void *interceptor_data[CALL_MAX_INTERCEPTORS]; /* by place in the chain, for that interceptor */
};

/* Whether the request could be read and its fields keep to their rules (options.proto). It is
 * looked at once: by an interceptor that must know before it charges, or else before the handler.
 * Each message of a stream is checked by stream_recv. Suspends: never. Fails: BAD_REQUEST,
 * TOO_LARGE, BAD_FIELD with all violations. */
enum status call_check_request(struct call *call) WARN_UNUSED;

/* Answers a unary call with the packed message `bytes`, which are copied: from the `begin` of an
 * interceptor, then neither the later ones nor the handler run, or from its `around`. Suspends:
 * never. */
void call_answer(struct call *call, struct str bytes);

/* Request metadata: the first value of `key` (lower case), valid for the call's life. Binary keys
 * ("-bin") come decoded. False: not sent. */
bool call_metadata(const struct call *call, const char *key, struct str *ret);

/* The n-th pair, for those who forward or log all of it. False: there are fewer. */
bool call_metadata_at(const struct call *call, size_t n, struct str *ret_key,
                      struct str *ret_value);

/* "ipv4:127.0.0.1:51234", "unix:". Valid for the call's life. */
const char *call_peer(struct call *call);

/* The URL-decoded address alone ("127.0.0.1", "::1", "unix"): for limits by address and logs. */
const char *call_peer_address(struct call *call);

/* Metadata of the answer. Copied. Keys are lower case; too late for headers once they were sent
 * (returns false), trailers can always be set while the handler runs. */
bool call_set_header(struct call *call, const char *key, const char *value);
void call_set_trailer(struct call *call, const char *key, const char *value);

/* The same without a copy and without a look, for what every answer carries: both live as long as
 * the call (static, or in its arena), the key is legal and lower case, the value printable ASCII.
 */
bool call_set_header_as_is(struct call *call, struct str key, struct str value);

/* The same for "-bin" keys: `value` is sent as it is (base64 on the wire). */
bool call_set_header_bytes(struct call *call, const char *key, struct str value);
void call_set_trailer_bytes(struct call *call, const char *key, struct str value);

/* Whether the message received last came compressed. */
bool call_message_compressed(const struct call *call);

/* Whether the messages sent from now on are compressed, where the server's setting and the caller
 * allow it. On at first. */
void call_set_compression(struct call *call, bool on);

/* The next message of a client or bidirectional stream, in the stream's scratch arena: it lives
 * until the next stream_recv or stream_send. END after the last one. Suspends: may. Fails:
 * CANCELLED_BY_CALLER, DEADLINE_PASSED, BAD_REQUEST (not this message), TOO_LARGE. */
enum status stream_recv(struct stream *s, ProtobufCMessage **ret) WARN_UNUSED;

/* Sends one message. Suspends: may, while the message before is on its way (so a slow reader slows
 * the sender and nobody else). The message may live in stream_arena. */
enum status stream_send(struct stream *s, const ProtobufCMessage *m) WARN_UNUSED;

/* Sends the headers now, before the first message. */
enum status stream_send_headers(struct stream *s) WARN_UNUSED;

/* Memory for building the message to send; reset after each stream_send and stream_recv. */
struct arena *stream_arena(struct stream *s);
struct call *stream_call(struct stream *s);

/* Interceptors stand around every call, in the order of the array given to the server. */
struct interceptor {
    const char *name;
    /* Before the handler, on its fiber. Not OK: the handler does not run, the call ends with it. */
    enum status (*begin)(struct call *call, size_t slot);
    /* After it, in reverse order, for each whose begin was called; `st` is the call's status. */
    void (*end)(struct call *call, size_t slot, enum status st);
    /* Stands in for the handler of a unary call that has interceptor_data[slot]: runs it as often
     * as it must, and answers with call_answer. At most one interceptor of a chain has it. */
    enum status (*around)(struct call *call, size_t slot);
};

/* An empty message of `d`'s type in `a`. */
ProtobufCMessage *rpc_message_new(struct arena *a, const ProtobufCMessageDescriptor *d);
#define rpc_new(a, type, descriptor) ((type *)(void *)rpc_message_new((a), &(descriptor)))

/* `t`: microseconds since 1970, before it negative. */
struct Google__Protobuf__Timestamp *rpc_timestamp(struct arena *a, int64_t t);

/* Bytes that a value of this type takes in a message's struct, or as an item of a list. */
size_t rpc_item_size(ProtobufCType type);

#endif
