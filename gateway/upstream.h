/*
 * The gateway's side of gRPC: connections to the servers, and calls on them, over HTTP/2 by
 * libnghttp2.
 *
 * gRPC core's client was here first: a request changed threads twice, and each call cost its 15 us
 * and 10 KiB. Now each loop (loop.h) has connections of its own; what a request starts on a loop is
 * answered on it, and what one turn of it brings leaves in one write.
 *
 * Thread: calls may be started, sent to and cancelled from any; callbacks run on the call's loop,
 * never within one of these functions, and must not block.
 */
#ifndef LUNA_GATEWAY_UPSTREAM_H
#define LUNA_GATEWAY_UPSTREAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/loop.h"

struct upstream;
struct upstream_lane;
struct upstream_link;

struct upstream_options {
    /* "host:port": every address that the name has; "10.0.0.1:1,10.0.0.2:1"; "unix:/path". Calls go
     * to the servers in turn, and where there may be several only to those whose health service
     * says SERVING. */
    const char *target;
    const char *ca;          /* PEM text; NULL: no TLS */
    const char *certificate; /* PEM text of the client's chain and its key; NULL: none */
    const char *key;
    int connections; /* to each server, in all; each loop has at least one */
    int max_message; /* bytes of an answer's message */
};

/* Connects in the background, once the loops run. NULL: `err` says what is wrong. */
struct upstream *upstream_new(const struct upstream_options *o, struct loop *const *loops,
                              int loop_count, char *err, size_t err_size);

/* After the loops have stopped. Ends what is left; every call's on_end has run then. */
void upstream_free(struct upstream *u);

/* Cancels all calls there are, soon. */
void upstream_cancel_all(struct upstream *u);

/* True when a server takes calls. */
bool upstream_ready(struct upstream *u);

/* Metadata. Keys are lower case, values are printable ASCII, or anything for keys that end in
 * "-bin". */
struct upstream_pair {
    struct str key;
    struct str value;
};

struct upstream_metadata {
    struct upstream_pair *pairs;
    size_t count;
};

/* One call. The owner embeds it, zeroed, and keeps it until on_end has run. */
struct upstream_call {
    /* Runs once, last: status, message and metadata are there; for unary calls, `answer`, too. */
    void (*on_end)(struct upstream_call *c);
    /* Streams only: the next message, borrowed until this returns. Not called after on_end. The one
     * behind it comes after upstream_next. */
    void (*on_message)(struct upstream_call *c, struct str message);
    /* Streams only: the message or the half-close given to upstream_send is on its way. Not called
     * when the call ends before that. */
    void (*on_sent)(struct upstream_call *c);

    enum status status;
    struct str message; /* of the status; this and the next until upstream_call_fini */
    struct upstream_metadata headers;  /* of the answer, without gRPC's own */
    struct upstream_metadata trailers; /* the same, but with grpc-status-details-bin */
    struct str answer;                 /* of a unary call */
    bool answered;                     /* a server has said something */

    /* ---- private from here on ---- */
    struct upstream_lane *lane;
    struct upstream_link *link; /* NULL: none yet, or no more */
    struct list node;           /* in the link's calls, or the lane's waiting or hopeful ones */
    struct list event;          /* in the lane's events */
    struct list posted;         /* in the lane's posted ones */
    struct loop_timer timer;    /* the deadline; then that of upstream_when_ready */
    void (*on_ready)(struct upstream_call *c);
    int32_t stream;
    const char *path;
    const struct upstream_pair *metadata;
    size_t metadata_count;
    nsec_t deadline;
    struct arena arena; /* metadata of the answer, texts */

    struct str out; /* being sent: what is left of a message */
    char *owned;    /* its memory, when it is ours */
    uint8_t prefix[5];
    uint8_t prefix_left;
    uint8_t posts; /* what other threads asked for: POST_* */
    char *posted_message;
    size_t posted_bytes;
    uint8_t refusals;
    bool unary;
    bool half_close;  /* behind `out` */
    bool sending;     /* on_sent is owed */
    bool sent;        /* and due */
    bool sends_later; /* upstream_send was used: the call cannot be made again */
    bool wants;       /* a message */
    bool over;        /* on_end is due, or has run */
    bool ended;       /* it has, or is about to; with the lane's lock */
    bool ending;      /* the server has ended it; messages wait */
    bool grpc;        /* the answer's content type is gRPC's */
    int http;         /* the answer's :status */
    int code;         /* grpc-status; -1: none */
    size_t metadata_bytes;
    size_t owed;   /* bytes received that the stream's window does not know yet */
    struct buf in; /* received, from `taken` on */
    size_t taken;
};

/* Starts a unary call; on_end will run. `path`, `message` and the metadata stay the caller's, and
 * where they are until then. The deadline is monotonic time or NSEC_NEVER. */
void upstream_unary(struct upstream *u, struct upstream_call *c, const char *path,
                    struct str message, const struct upstream_pair *metadata, size_t count,
                    nsec_t deadline);

/* Starts a stream; on_end will run. `message` (copied; NULL: none) is sent and the sending side
 * closed when `half_close`. Metadata must be there until the first message or the end. The first
 * message comes by itself. */
void upstream_stream(struct upstream *u, struct upstream_call *c, const char *path,
                     const struct str *message, bool half_close,
                     const struct upstream_pair *metadata, size_t count, nsec_t deadline);

/* Asks for the next message; call once for each on_message. */
void upstream_next(struct upstream_call *c);

/* Sends a message (copied), or with NULL closes the sending side; one at a time: wait for on_sent.
 */
void upstream_send(struct upstream_call *c, const struct str *message);

/* Within on_end: runs `on_ready` once a server takes calls, or when `until` has come. */
void upstream_when_ready(struct upstream_call *c, nsec_t until,
                         void (*on_ready)(struct upstream_call *c));

/* Ends the call soon; between start and on_end's end. */
void upstream_cancel(struct upstream_call *c);

/* Frees what the call holds, after on_end. Harmless on one that was never started. */
void upstream_call_fini(struct upstream_call *c);

/* The value of `key`, or p == NULL. */
struct str upstream_find(const struct upstream_metadata *m, struct str key);

#endif
