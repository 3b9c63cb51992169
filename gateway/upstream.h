/*
 * The gateway's side of gRPC: channels to the server, and calls on them.
 *
 * Each channel has its own connection, since the server deals connections, not calls, to its
 * reactors. Callbacks run on the thread of a completion queue, which serves several channels; they
 * must not block.
 */
#ifndef LUNA_GATEWAY_UPSTREAM_H
#define LUNA_GATEWAY_UPSTREAM_H

#include <grpc/grpc.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/schema.h"

struct upstream;
struct upstream_queue;

struct upstream_options {
    /* "host:port": every address that the name has; "10.0.0.1:1,10.0.0.2:1"; "unix:/path". Calls go
     * to the servers in turn, and where there may be several only to those whose health service
     * says SERVING. */
    const char *target;
    const char *ca; /* PEM text; NULL: no TLS */
    int channels;
    int max_message; /* bytes of an answer's message */
};

/* Connects in the background. NULL: the address or the certificates are wrong. */
struct upstream *upstream_new(const struct upstream_options *o);

/* Cancels what is left and waits for it; every call's on_end has run then. */
void upstream_free(struct upstream *u);

/* Cancels all calls there are. */
void upstream_cancel_all(struct upstream *u);

/* True when a connection stands. Tries to connect. */
bool upstream_ready(struct upstream *u);

/* Metadata, borrowed until the call has started. Keys are lower case, values are printable ASCII,
 * or anything for keys that end in "-bin". */
struct upstream_pair {
    struct str key;
    struct str value;
};

/* A finished batch comes back with the address of one of these. */
struct upstream_tag {
    void (*done)(struct upstream_tag *tag, bool ok);
};

/* One call. The owner embeds it, zeroed, and keeps it until on_end has run. */
struct upstream_call {
    struct upstream_queue *queue;
    grpc_call *call;
    /* Runs once, last: status, message and metadata are there; for unary calls, `answer`, too. */
    void (*on_end)(struct upstream_call *c);
    /* Streams only: the next message, the caller's until this returns. Not called after on_end. The
     * one behind it comes after upstream_next. */
    void (*on_message)(struct upstream_call *c, grpc_byte_buffer *message);
    /* Streams only: the message or the half-close given to upstream_send is on its way. */
    void (*on_sent)(struct upstream_call *c, bool ok);

    enum status status;
    struct str message;          /* of the status; valid until upstream_call_fini */
    grpc_metadata_array headers; /* of the answer */
    grpc_metadata_array trailers;
    grpc_byte_buffer *answer; /* NULL: none came */

    /* private */
    grpc_channel *channel;
    nsec_t ready_until;
    void (*on_ready)(struct upstream_call *c);
    struct list node; /* in the queue's calls */
    grpc_byte_buffer *sending;
    grpc_status_code code;
    grpc_slice details;
    struct upstream_tag start_tag, status_tag, receive_tag, send_tag;
    atomic_int pending; /* batches in flight; on_end runs when none is left */
};

/* Starts a unary call; on_end will run. The deadline is monotonic time or NSEC_NEVER. */
void upstream_unary(struct upstream *u, struct upstream_call *c, const char *path,
                    struct str message, const struct upstream_pair *metadata, size_t count,
                    nsec_t deadline);

/* Starts a stream; on_end will run. `message` is sent and the sending side closed when
 * `half_close`. The first message comes by itself. */
void upstream_stream(struct upstream *u, struct upstream_call *c, const char *path,
                     const struct str *message, bool half_close,
                     const struct upstream_pair *metadata, size_t count, nsec_t deadline);

/* Asks for the next message; call once for each on_message, from any thread. */
void upstream_next(struct upstream_call *c);

/* Sends a message, or with NULL closes the sending side; one at a time: wait for on_sent. */
void upstream_send(struct upstream_call *c, const struct str *message);

/* After on_end: runs `on_ready` once the call's channel is connected, or when `until` has come. */
void upstream_when_ready(struct upstream_call *c, nsec_t until,
                         void (*on_ready)(struct upstream_call *c));

/* Ends the call soon; from any thread between start and on_end's end. */
void upstream_cancel(struct upstream_call *c);

/* Frees what the call holds, after on_end. */
void upstream_call_fini(struct upstream_call *c);

/* The whole of a message; copies into `a` only when it lies in pieces. */
struct str upstream_bytes(grpc_byte_buffer *b, struct arena *a);

/* The value of `key`, or p == NULL. */
struct str upstream_find(const grpc_metadata_array *m, const char *key);

#endif
