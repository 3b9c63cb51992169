/*
 * The gateway's insides: what all requests share, and one request from its first header to its last
 * byte, an exchange.
 *
 * Threads: a few loops (loop.h), each with a libmicrohttpd of its own, driven from outside, and
 * connections of its own to the servers. An exchange stays with the loop of its connection; only
 * WebSockets have a thread besides, and look for it under their lock.
 */
#ifndef LUNA_GATEWAY_GATEWAY_H
#define LUNA_GATEWAY_GATEWAY_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "base/config.h"
#include "base/list.h"
#include "base/nets.h"
#include "gateway/accept.h"
#include "gateway/compress.h"
#include "gateway/problem.h"
#include "gateway/route.h"
#include "gateway/upstream.h"

#define LOOPS_MAX 256

struct cache;
struct cached;
struct exchange_spares;
struct guard;
struct guarded;
struct http_loop;
struct metrics;
struct passed;
struct stream;
struct upload;
struct web;
struct websocket;
struct websockets;

struct gateway {
    const struct config *cfg;
    struct schema schema;  /* what is served, with comments */
    struct schema builtin; /* the same, unless a file is served: the types of error details */
    struct route_table routes;
    struct upstream *upstream;
    struct cache *cache; /* NULL: no Redis was named */
    struct metrics *metrics;
    struct buf descriptors; /* the file of --descriptors; empty: the built-in set is served */
    struct web *web;
    struct websockets *websockets;
    struct guard *guard;
    struct address_nets trusted_proxies;
    enum json_emit emit;
    struct passed *passed;
    atomic_int retry_tokens; /* see unary.c */
    struct loop *loops[LOOPS_MAX];
    struct http_loop *daemons;      /* one for each loop */
    struct exchange_spares *spares; /* the same */
    int loop_count;
    int listen_fd;
    atomic_int in_flight; /* requests from their call to the end of their answer */
    atomic_int suspended; /* of these, with the server or the cache */
    atomic_bool draining; /* not ready; connections are closed after their answer */
};

enum exchange_stage {
    EXCHANGE_NEW,     /* the request line was read */
    EXCHANGE_BODY,    /* the headers were */
    EXCHANGE_LOOKED,  /* the cache was asked */
    EXCHANGE_WAITING, /* with the server */
    EXCHANGE_AGAIN,   /* the server could not be reached; it is asked once more */
    EXCHANGE_ENDED,   /* the call has ended; the answer is to be made of it */
    EXCHANGE_DONE,    /* the answer is made */
    EXCHANGE_SENT,    /* and given to libmicrohttpd */
};

/* The protocols that one port speaks. */
enum exchange_protocol {
    PROTOCOL_REST,
    PROTOCOL_CONNECT_JSON,
    PROTOCOL_CONNECT_PROTO,
    PROTOCOL_WEB, /* gRPC-Web; from here on: see frames.h */
    PROTOCOL_FIRST_FRAMED = PROTOCOL_WEB,
    PROTOCOL_WEB_TEXT,
    PROTOCOL_CONNECT_STREAM_JSON,
    PROTOCOL_CONNECT_STREAM_PROTO,
};

#define EXCHANGE_HEADERS_MAX 24 /* of an answer */
#define FORWARDED_MAX        16 /* headers that become metadata */
#define FORWARDED_OWN        5  /* of these, the gateway's own: a request cannot crowd them out */

/* A header of the answer. Both live as long as the exchange. */
struct answer_header {
    const char *name;
    const char *value;
};

/* What the request's headers say. Values borrow from libmicrohttpd until the answer is sent. */
struct request_headers {
    size_t bytes; /* of all names and values */
    struct str content_type;
    struct accepted accepted;
    const char *origin; /* NULL: none */
    const char *if_none_match;
    struct str cache_control; /* the first one */
    bool pragma_no_cache;
    const char *request_method; /* Access-Control-Request-Method */
    struct str forwarded_for;   /* X-Forwarded-*, Forwarded: settled by forwarded_settle */
    struct str forwarded_proto;
    struct str forwarded_host;
    struct str forwarded_header;
    struct str client; /* the address that the request comes from */
    struct str host;
    struct str content_encoding;
    struct str request_id;
    struct str traceparent;
    enum coding accepts; /* of what we can, the best */
    bool takes_gzip;
    bool connect; /* Connect-Protocol-Version */
    unsigned content_lengths;
    unsigned transfer_encodings;
    bool unknown_transfer;  /* one of them is not chunked */
    int64_t content_length; /* -1: not given */
    nsec_t timeout;         /* that the caller set; 0: none */
    bool bad_timeout;
    const char *illegal; /* a header whose value cannot be forwarded */
    unsigned hosts;
    const char *misframed;           /* why it is not sure where the request ends; NULL: it is */
    struct upstream_pair *forwarded; /* `few`, unless others are passed on */
    size_t forwarded_count;
    size_t forwarded_room;
    size_t forwarded_max;
    size_t passed_count; /* headers that passed.c found */
    bool takes_trailers; /* TE; read where trailers are passed on */
    struct upstream_pair few[FORWARDED_MAX];
};

struct exchange {
    struct gateway *gw;
    struct MHD_Connection *conn;
    int loop; /* the index of the connection's */
    struct arena arena;
    nsec_t started;
    enum exchange_stage stage;
    enum exchange_protocol protocol;

    const char *method;
    struct str path; /* not decoded */
    struct str query;
    struct request_headers in;
    struct buf body;
    struct buf message; /* of the call, while it may be made again */
    nsec_t deadline;    /* of a unary call */
    int attempts;       /* calls made again */
    struct route_match match;
    struct guarded *guarded;

    bool counted; /* in gw->in_flight */
    bool refused; /* `problem` is the answer */
    bool closing; /* the connection is closed behind the answer */
    bool chunks;  /* the client knows chunked bodies */
    struct problem problem;
    struct upstream_call call;
    struct cached *cached;       /* NULL: the cache has no part in it */
    struct stream *stream;       /* NULL: the answer is one message */
    bool streaming;              /* the answer takes its bytes from `stream` */
    struct upload *upload;       /* NULL: the request is one message */
    struct websocket *websocket; /* NULL: it is none, or not yet */
    struct list spare;           /* in a loop's spares, when it is none of a request */
    atomic_int refs;             /* the connection's and, for streams, the call's */
    size_t sent_bytes;           /* of a stream or a WebSocket */
    size_t received_bytes;       /* of an upload or a WebSocket */

    int http;
    const char *content_type;
    struct buf out;
    enum coding coding; /* of `out` */
    bool borrowed;      /* `out` belongs to somebody else */
    struct answer_header headers[EXCHANGE_HEADERS_MAX];
    size_t header_count;
};

/* ---- exchange.c ---- */
/* A request begins to come, on this thread's loop. */
struct exchange *exchange_new(struct gateway *gw, struct MHD_Connection *conn);
/* The exchange is freed with its last reference. */
void exchange_unref(struct exchange *x);
/* What the loops keep for their next exchanges. */
void exchange_spares_new(struct gateway *gw);
void exchange_spares_free(struct gateway *gw);

/* ---- request.c ---- */
/* Reads the headers into x->in; refuses what cannot be served. */
void request_read_headers(struct exchange *x);
/* Adds a header to the metadata, as far as there is room. `key` outlives the exchange's calls. */
void request_forward(struct request_headers *h, const char *key, struct str value);
/* True for headers that always become metadata; `name` is in small letters. */
bool request_forwards(struct str name);
/* Adds the metadata that the gateway itself has for the server: who calls, and in which trace. */
void request_add_own(struct exchange *x);
/* Unpacks a body with a content coding; false: the exchange is refused. */
bool request_unpack(struct exchange *x);
/* True when `type` is the media type of the content type, parameters aside. */
bool media_type_is(struct str content_type, struct str type);

/* ---- forwarded.c ---- */
/* Settles x->in.client and the forwarded_* texts for a connection from `peer`. */
void forwarded_settle(struct exchange *x, struct str peer);

/* ---- answer.c ---- */
void answer_header(struct exchange *x, const char *name, const char *value);
void answer_refuse(struct exchange *x, enum reason r, const char *field, const char *fmt, ...)
    PRINTF(4, 5);
/* Sets x->problem to what the ended call says. */
void answer_status(struct exchange *x);
/* Appends a message of the answer as JSON. */
bool answer_encode(struct exchange *x, struct str wire, struct buf *out, struct json_error *err);
/* Appends the bytes of a google.api.HttpBody and takes its content type. */
bool answer_http_body(struct exchange *x, struct str wire, struct buf *out);
/* True when the method answers with google.api.HttpBody: bytes of whatever type. */
bool answer_is_bytes(const struct route_binding *b);
/* Makes x->problem the answer's body. */
void answer_problem(struct exchange *x);
/* Static text that outlives the exchange. */
void answer_text(struct exchange *x, int http, const char *content_type, struct str text);
/* Headers of the server's answer that callers see, and the HTTP code it asks for. */
void answer_metadata(struct exchange *x);
/* Writes the body that all queued work has, when the server answered 202 with `luna-job` in its
 * metadata (and perhaps `luna-detail`); false: it did not. */
bool answer_queued(struct exchange *x);
/* Compresses, when that helps and the caller reads it. */
void answer_compress(struct exchange *x);
/* Gives the answer to libmicrohttpd. */
enum MHD_Result answer_send(struct exchange *x);

/* ---- cors.c ---- */
/* Adds what a page of the caller's origin needs to see the answer. */
void cors_headers(struct exchange *x);
/* True when a page of the caller's origin may: it is from this `host` (the header), or in the list;
 * or the caller is no page. */
bool cors_origin_may(const struct exchange *x, struct str host);
/* Answers OPTIONS for a path that takes the methods of `allow`. */
void cors_options(struct exchange *x, const char *allow);

/* ---- unary.c ---- */
/* Hands the exchange to the server, or refuses it. The connection is suspended when true. */
bool unary_start(struct exchange *x);
/* Makes the call of an exchange whose message is there. Always true. */
bool unary_ask(struct exchange *x);
/* Makes the call again, for EXCHANGE_AGAIN. */
void unary_again(struct exchange *x);
/* Counts a request that goes to the server; refuses what is too many. */
bool unary_admit(struct exchange *x);
/* Makes the answer of a call that has ended, with its one message. */
void unary_finish(struct exchange *x, struct str wire);

/* ---- metrics.c ---- */
struct metrics *metrics_new(const struct schema *s);
void metrics_free(struct metrics *m);
void metrics_count(struct metrics *m, const struct schema_method *method, int http, nsec_t took,
                   size_t in_bytes, size_t out_bytes);
void metrics_write(const struct gateway *gw, struct buf *out);

/* ---- pages.c ---- */
/* Answers the gateway's own paths; false: it is none of them. */
bool pages_answer(struct exchange *x);

/* ---- http.c ---- */
bool http_start(struct gateway *gw, char *err, size_t err_size);
/* Takes the connection from libmicrohttpd, and gives it back: from any thread, and the exchange may
 * be gone behind it. */
void http_suspend(struct exchange *x);
void http_resume(struct exchange *x);
/* Closes the connection of a WebSocket; the exchange may be gone behind it. From any thread. */
void http_close_upgraded(struct exchange *x, struct MHD_UpgradeResponseHandle *upgrade);
/* Lets requests end, cancels those that take too long, and stops. */
void http_stop(struct gateway *gw);

/* ---- main.c ---- */
/* The program; its exit status. */
int gateway_main(int argc, char **argv);

/* ---- file.c ---- */
/* Appends the whole file and a NUL that is not counted; false: it cannot be read, or not whole. */
bool read_file(const char *path, struct buf *out);

#endif
