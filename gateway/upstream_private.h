/*
 * Shared by the upstream*.c alone.
 *
 * A lane is what one loop has of the upstream; a peer is one connection that it wants to one
 * server, a link is that connection while it lives. Everything but what is said to be locked or
 * atomic is the loop's.
 */
#ifndef LUNA_GATEWAY_UPSTREAM_PRIVATE_H
#define LUNA_GATEWAY_UPSTREAM_PRIVATE_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "gateway/upstream.h"

#define UPSTREAM_HOST_MAX      256
#define UPSTREAM_ADDRESSES_MAX 64
#define UPSTREAM_METADATA_MAX  (64 << 10)  /* bytes of an answer; the server's own for requests */
#define UPSTREAM_WINDOW        (256 << 10) /* of a stream: what the server may send ahead */

struct upstream_address {
    struct sockaddr_storage address;
    socklen_t size;
    char host[UPSTREAM_HOST_MAX];           /* that its certificate must name */
    char authority[UPSTREAM_HOST_MAX + 16]; /* of its calls */
};

struct upstream_addresses {
    struct upstream_address list[UPSTREAM_ADDRESSES_MAX];
    size_t count;
};

struct upstream_names;

enum upstream_peer_state {
    PEER_CONNECTING, /* and no attempt has failed since the last success: calls wait */
    PEER_READY,
    PEER_FAILED, /* tries again when its timer fires; calls do not wait */
};

enum upstream_health { HEALTH_UNKNOWN, HEALTH_SERVING, HEALTH_NOT_SERVING };

struct upstream_peer {
    struct list node; /* in the lane's peers */
    struct upstream_lane *lane;
    struct upstream_address address;
    enum upstream_peer_state state;
    unsigned failures; /* attempts in a row */
    nsec_t attempted;  /* the last one */
    struct loop_timer timer;
    struct upstream_link *link; /* NULL: between attempts */
    bool ready;                 /* counted in the upstream's */

    /* Of its health service, where servers are several. */
    enum upstream_health health;
    struct upstream_call watch;
    struct upstream_link *watched; /* whose `watch` runs */
};

struct upstream_link {
    struct loop_fd fd;
    struct list node; /* in the lane's links */
    struct upstream_lane *lane;
    struct upstream_peer *peer; /* NULL: replaced; its calls end, and no new ones begin */
    char authority[UPSTREAM_HOST_MAX + 16];
    SSL *tls; /* NULL: plain */
    nghttp2_session *session;
    bool connected; /* TCP; then TLS, then HTTP/2 by the server's first SETTINGS */
    bool secured;
    bool ready;
    bool draining; /* the server has said goodbye */
    bool broken;   /* closed at the end of the turn */
    bool pinged;   /* an answer is owed */
    nsec_t heard;
    uint32_t events;         /* waited for */
    struct loop_timer timer; /* until ready: the end of the attempt; then keepalive */
    struct buf out;          /* not taken by the socket yet, from `out_taken` on */
    size_t out_taken;
    struct list calls;
    size_t call_count;
};

struct upstream_lane {
    struct upstream *upstream;
    struct loop *loop;
    int index;
    struct loop_turn turn;
    struct loop_job job;
    pthread_mutex_t lock;
    struct list posted;                   /* calls; with the lock */
    bool job_posted;                      /* with the lock */
    bool cancel_all;                      /* with the lock */
    struct upstream_addresses *addresses; /* new ones, or NULL; with the lock */
    struct list peers;
    struct list links;
    struct list waiting;   /* calls, for a peer */
    struct list hopeful;   /* upstream_when_ready */
    struct list finishing; /* calls that have ended, but for messages that wait to be taken */
    struct list events;    /* calls with something to say */
    bool stirred;          /* a call was put on a link since they were flushed */
    bool resolved;         /* it is known which peers there are */
    uint8_t *read_buffer;
};

struct upstream {
    struct upstream_lane *lanes;
    int lane_count;
    int peers_each; /* connections of a lane to each server */
    atomic_uint next;
    atomic_int ready; /* peers that take calls */
    size_t max_message;
    bool several; /* servers: those that do not serve are passed by */
    SSL_CTX *tls; /* NULL: none */
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    struct upstream_names *names;
};

/* ---- upstream.c ---- */
/* Starts those that wait, or ends them when there is nothing to wait for. */
void lane_dispatch(struct upstream_lane *lane);
/* Runs what is due of on_sent and on_end; true: something was. */
bool lane_settle(struct upstream_lane *lane);
/* Asks that lane_settle looks at it. */
void call_notice(struct upstream_call *c);
/* The call is over; `message` is copied. */
void call_end(struct upstream_call *c, enum status status, struct str message);
/* The server has ended the call, and messages wait: it does not need its link any more. */
void call_detach(struct upstream_call *c);
/* The same, whatever the server says from here on. */
void call_abandon(struct upstream_call *c, enum status status, struct str message);
/* The server did not look at it: it is made again elsewhere, or ends. */
void call_refused(struct upstream_call *c);
void call_init(struct upstream_call *c, struct upstream_lane *lane, const char *path,
               const struct upstream_pair *metadata, size_t count, nsec_t deadline);
/* The message becomes what is to be sent. `copy`: it is not the caller's to keep. */
void call_put_message(struct upstream_call *c, struct str message, bool copy);

/* ---- upstream_message.c ---- */
/* Bytes of the answer. */
void call_take(struct upstream_call *c, const uint8_t *p, size_t n);
/* Hands on what is wanted and there; tells the server that there is room. */
void call_deliver(struct upstream_call *c);
/* A header or trailer of the answer. */
void call_header(struct upstream_call *c, struct str name, struct str value, bool trailer);
/* A head of the answer is there: it must be gRPC's. */
void call_head(struct upstream_call *c);
/* Ends the call as its trailers say, or else as the stream's error code does. */
void call_closed(struct upstream_call *c, uint32_t error_code);

/* ---- upstream_http2.c ---- */
nghttp2_session_callbacks *http2_callbacks_new(void);
nghttp2_option *http2_options_new(void);
/* The session of a connection that stands. */
void http2_start(struct upstream_link *link);
/* Begins the call on the link; false: it cannot take another. */
bool http2_submit(struct upstream_link *link, struct upstream_call *c);
/* There is something more to send. */
void http2_resume(struct upstream_call *c);
/* Resets the call's stream and forgets the call. */
void http2_reset(struct upstream_call *c, uint32_t error_code);
/* Tells the server that the call's window has room for `n` more bytes. */
void http2_consume(struct upstream_call *c, size_t n);

/* ---- upstream_link.c ---- */
/* Brings the lane's peers to what the addresses say. */
void peers_set(struct upstream_lane *lane, const struct upstream_addresses *to);
bool peer_usable(const struct upstream_peer *p);
/* The peer may be usable now, or not any more. */
void peer_changed(struct upstream_peer *p);
/* The server has answered: the link may take calls. */
void link_ready(struct upstream_link *link);
/* The server wants no new calls on it. */
void link_drain(struct upstream_link *link);
/* Sends what is there, of all links; closes those that are broken or done. */
void links_flush(struct upstream_lane *lane);
/* Ends all, without a word. */
void links_free(struct upstream_lane *lane);

/* ---- upstream_tls.c ---- */
/* Sets u->tls as the options say; false: `err` says what is wrong. */
bool tls_make(struct upstream *u, const struct upstream_options *o, char *err, size_t err_size);

/* ---- upstream_health.c ---- */
/* Begins to watch what the server of the peer's new link says of itself. */
void health_watch(struct upstream_peer *p);

/* ---- upstream_names.c ---- */
/* Reads the target; NULL: `err` says what is wrong with it. Addresses of the lanes come at once, or
 * when their names are known. */
struct upstream_names *names_new(struct upstream *u, const char *target, char *err,
                                 size_t err_size);
void names_free(struct upstream_names *n);
/* Something does not answer: are the addresses still right? From any thread. */
void names_again(struct upstream_names *n);

#endif
