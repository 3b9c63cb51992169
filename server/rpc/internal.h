/*
 * What the files of rpc/ share: the call behind struct call, the pollers of a server, and the shard
 * that each reactor has of it.
 *
 * A call's life (call.c):
 *
 *   POSTED   given to gRPC core to be filled with an arriving call
 *   RUNNING  its fiber is in the interceptors or the handler
 *   FLUSHING the handler has ended, its last stream message is on its way
 *   ENDING   the status is on its way
 *   POOLED   free, in its poller's pool
 *
 * Each batch given to core has an event in the call; `pending` counts those whose completion has
 * not come back. A call leaves ENDING for the pool when `pending` is 0: no completion can find it
 * freed.
 */
#ifndef LUNA_RPC_INTERNAL_H
#define LUNA_RPC_INTERNAL_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <pthread.h>

#include "base/counter.h"
#include "base/list.h"
#include "rpc/rpc.h"
#include "rpc/server.h"
#include "run/inbox.h"
#include "run/reactor.h"
#include "run/timer.h"

/* gRPC core is not instrumented: ThreadSanitizer is told what core's own locks order. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RPC_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define RPC_TSAN 1
#endif
#ifdef RPC_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define GIVE_TO_CORE(p)   __tsan_release(p)
#define TAKE_FROM_CORE(p) __tsan_acquire(p)
#else
#define GIVE_TO_CORE(p)   ((void)(p))
#define TAKE_FROM_CORE(p) ((void)(p))
#endif

struct rpc_call;
struct poller;
struct shard;
struct acceptor;
struct descriptor_index;

/* A completion on its way from the poller to the reactor, with those that came with it. */
struct rpc_event {
    grpc_completion_queue_functor functor; /* first: the tag on the poller's callback queue */
    struct inbox_msg msg;                  /* of the first of a chain */
    struct rpc_event *next;
    void (*fn)(struct rpc_event *); /* runs on the reactor; must not suspend */
    struct rpc_call *call;
    bool ok; /* what core said of the batch */
};

/* How unpacking a message went. */
enum decode {
    DECODE_OK,
    DECODE_NONE, /* no message came */
    DECODE_MALFORMED,
    DECODE_TOO_LARGE,
    DECODE_TOO_DEEP,
    DECODE_NOT_UTF8,
};

enum call_phase { CALL_POOLED, CALL_POSTED, CALL_RUNNING, CALL_FLUSHING, CALL_ENDING };

/* Metadata to send; grows in the call's arena. */
struct metadata_list {
    struct metadata_pair {
        struct str key, value;
    } * items;
    size_t count;
    size_t capacity;
};

/* The same as core wants it, three times as large: core copies it within grpc_call_start_batch, so
 * one that is warm serves all calls of a shard. */
struct metadata_out {
    grpc_metadata *items;
    size_t capacity;
};

struct stream {
    struct rpc_call *call;
    struct arena scratch;
    struct fiber *receiver; /* parked until the read ends */
    struct fiber *sender;   /* parked until the write ends */
    grpc_byte_buffer *incoming;
    bool receiving;   /* a read is with core */
    bool received;    /* ... and has ended; `incoming` NULL: no more messages */
    bool half_closed; /* the caller will send no more */
    bool sending;     /* a write is with core */
    bool broken;      /* a write failed: the caller is gone */
};

struct rpc_call {
    struct call pub; /* first: what handlers see */
    enum call_phase phase;
    int pending;
    struct poller *poller;
    struct poller_method *asked; /* what it was posted for; NULL: an unknown method */
    struct shard *shard;         /* from its arrival on */
    struct shard_method *slot;   /* the same; NULL: an unknown method */
    struct list link;            /* shard->running or shard->ending */
    struct list unwatched; /* shard->unwatched, while nobody would tell us that it is cancelled */
    struct rpc_call *next_free;
    nsec_t ending_since;
    struct arena arena;

    grpc_call *core;
    grpc_byte_buffer *payload;
    gpr_timespec core_deadline;
    grpc_metadata_array metadata;
    grpc_call_details details; /* of unknown methods */
    const char *peer;
    uint64_t peer_name; /* connection_name; 0: not asked for yet, or none */
    const char *peer_address;

    struct rpc_event main_event; /* its arrival, then its end */
    struct rpc_event close_event;
    struct rpc_event recv_event;
    struct rpc_event send_event;

    struct metadata_list headers;
    struct metadata_list trailers;
    grpc_slice response;
    int cancelled_flag; /* RECV_CLOSE_ON_SERVER's answer */
    bool close_started;
    bool headers_sent;
    bool has_response;
    bool was_compressed; /* the message received last */
    bool plain;          /* call_set_compression(off) */
    bool shut_down;      /* cancelled by us at the end of a drain */
    bool checked;        /* call_check_request has looked */
    enum decode how;     /* the request was read */
    struct stream stream;
};

/* What a poller has for each method. */
struct poller_method {
    const struct rpc_method *method;
    void *registered; /* core's handle */
    int posted;       /* arrivals waiting with core */
    int target;       /* how many there should be */
    int burst;        /* arrived in the chain `epoch` */
    int peak;         /* the longest burst since the janitor came by */
    unsigned epoch;
};

/* What a shard has for each method. `counters` are written by the reactor and read by others. */
struct shard_method {
    const struct rpc_method *method;
    bool deep; /* its request type contains itself */
    struct rpc_counters counters __attribute__((aligned(CACHE_LINE)));
} __attribute__((aligned(CACHE_LINE)));

/* Where the calls of a connection go. */
struct home {
    uint64_t connection;
    struct shard *shard; /* NULL: free */
};

/*
 * A completion queue, the thread that waits at it and what is posted there: for the shards of
 * POLLER_REACTORS reactors. Fewer threads wait in core than there are reactors, because core lets
 * one of them wait for sockets at a time: each event costs the others a wake-up, to take turns.
 */
#define POLLER_REACTORS 2
#define HOME_SETS       256
#define HOME_WAYS       4
struct poller {
    struct rpc_server *server;
    size_t index;
    grpc_completion_queue *cq;      /* arrivals, and all that streams do */
    grpc_completion_queue *done_cq; /* the ends of unary calls, see queue_of */
    grpc_completion_queue_functor done_shutdown;
    struct shard *shards;
    size_t shard_count;
    pthread_t thread;
    struct {
        nsec_t cpu;
        unsigned epoch;
    } seen; /* of the thread, by poller_stuck */

    /* The thread's: */
    struct poller_method *methods;
    int generic_posted;
    struct rpc_call *pool;                   /* free */
    struct home homes[HOME_SETS][HOME_WAYS]; /* in each set the newest first */
    size_t turn;                             /* the shard that the next connection gets */
    atomic_uint epoch;                       /* number of the chain; others may look */
    bool closing;                            /* core takes no more posts */

    /* Also the reactors': */
    _Atomic(struct rpc_call *) returned; /* free again, for the pool */
    atomic_size_t returned_count;
    atomic_size_t calls; /* made and not freed: pooled, posted and alive */
    atomic_bool settle;  /* the janitor asks for fewer posts */
};

/* A connection that answers went to lately; see cork.c. */
struct cork_peer {
    uint64_t name; /* connection_name; 0: free */
    int fd;        /* -1: no TCP connection of ours */
    unsigned answers;
    bool corked;
    bool busy; /* in the last turn that it had answers in */
};

#define CORK_PEERS 64
struct cork {
    struct turn_hook hook;
    unsigned answers; /* of all connections in this turn */
    bool busy;        /* in the last turn with answers */
    size_t touched_count;
    struct cork_peer *touched[CORK_PEERS];
    struct cork_peer peers[CORK_PEERS];
};

struct shard_stats {
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t unknown;
    atomic_int_fast64_t alive;
};

/* A server's part on one reactor. */
struct shard {
    struct rpc_server *server;
    struct poller *poller;
    struct reactor *reactor;
    size_t index;
    struct shard_method *methods;

    /* The poller's: */
    struct rpc_event *chain; /* for the reactor, and where it ends */
    struct rpc_event **chain_end;

    /* The reactor's: */
    struct list running;   /* calls whose handler has not ended */
    struct list ending;    /* calls in FLUSHING or ENDING, longest first */
    struct list unwatched; /* those of `running` that call_watch_due will look at, longest first */
    struct timer watch;    /* set while there are any */
    grpc_byte_buffer *out; /* emptied by each send, so that none is allocated */
    struct metadata_out headers_out;
    struct metadata_out trailers_out;
    struct timer janitor;
    struct cork cork;
    struct shard_stats stats;

    struct inbox_msg start_msg;
    struct inbox_msg cut_msg;
    struct inbox_msg quiet_msg;
};

struct rpc_server {
    struct rpc_options opt; /* its arrays only while the server is made */
    const struct interceptor *interceptors[CALL_MAX_INTERCEPTORS];
    size_t interceptor_count;
    size_t around; /* place of the interceptor that has it; none: interceptor_count */
    const struct config *config;
    grpc_server *core;
    const struct rpc_service **services;
    size_t service_count;
    size_t method_count;
    void **registered; /* core's handles, by method */
    const struct rpc_method **methods;
    struct poller *pollers;
    size_t poller_count;
    struct shard *shards; /* one for each reactor */
    size_t shard_count;
    struct acceptor *acceptor;
    struct health *health;
    struct descriptor_index *descriptors;
    nsec_t default_deadline;
    size_t decode_budget; /* bytes that unpacking one message may take */
    nsec_t last_busy;     /* while draining: when a call was last seen */
    bool started;
    bool drained;
    bool stopped;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    size_t core_down;   /* 1: the shutdown tag has arrived */
    size_t quiet;       /* shards that have stopped their timers */
    size_t queues_down; /* callback queues that have ended */
    struct rpc_event down_event;
};

/* Unary and server-streaming calls arrive together with their one message. */
static inline bool
method_takes_payload(const struct rpc_method *m)
{
    return m->kind == RPC_UNARY || m->kind == RPC_SERVER_STREAM;
}

/* server.c */
struct rpc_server *call_server(const struct call *call);
static inline struct rpc_call *
call_private(const struct call *call)
{
    return (struct rpc_call *)(uintptr_t)call;
}

/* poll.c: the thread that waits for completions */
void poller_start(struct poller *p);
void poller_join(struct poller *p);
bool poller_stuck(struct poller *p); /* it computed since the last time and completed nothing */
void event_send(struct reactor *r, struct rpc_event *chain);
void event_run(grpc_completion_queue_functor *f, int ok);

/* post.c */
void call_recycle(struct rpc_call *c);
void call_post_all(struct poller *p);
bool call_arrived(struct rpc_event *ev); /* false: the server shuts down, and it is gone */
void call_begin_epoch(struct poller *p);
void call_pool_free(struct poller *p);
void call_janitor(struct shard *sh);

/* call.c */
void call_on_accepted(struct rpc_event *ev);
void call_on_closed(struct rpc_event *ev);
void call_start_close(struct rpc_call *c);
void call_cut_all(struct shard *sh);
void call_watch_due(struct timer *t);
void call_batch(struct rpc_call *c, struct rpc_event *ev, const grpc_op *ops, size_t n);
void call_maybe_release(struct rpc_call *c);
void call_send_final(struct rpc_call *c);
grpc_op call_op_headers(struct rpc_call *c);
grpc_op call_op_message(struct rpc_call *c, grpc_slice bytes);

/* metadata.c: connection_name of the caller; 0: it came through a unix socket, which has none. */
uint64_t call_connection(struct rpc_call *c);

/* cork.c */
void cork_init(struct cork *k);
void cork_forget(struct cork *k);            /* sockets' numbers are used again */
void cork_before_answer(struct rpc_call *c); /* before core is given what it will write */

/* stream.c */
void stream_reset(struct stream *s);
void stream_bind(struct stream *s, struct rpc_call *c);
void stream_on_received(struct rpc_event *ev);
void stream_on_sent(struct rpc_event *ev);

/* message.c */
enum decode message_unpack(const ProtobufCMessageDescriptor *d, const grpc_byte_buffer *bb,
                           bool deep, size_t max_bytes, size_t budget, struct arena *a,
                           ProtobufCMessage **ret);
size_t message_bytes(const grpc_byte_buffer *bb);
grpc_slice message_pack(const ProtobufCMessage *m, size_t *ret_bytes);
bool message_is_recursive(const ProtobufCMessageDescriptor *d);
enum status message_fail(struct ctx *ctx, enum decode why);

/* inflate.c: gzip or zlib into one block of the arena, at most `max` bytes. */
enum decode message_inflate(const grpc_byte_buffer *bb, size_t max, struct arena *a,
                            struct str *ret);

/* metadata.c */
void metadata_add(struct arena *a, struct metadata_list *l, struct str key, struct str value);
/* Holds until the next call with the same `out`. */
grpc_metadata *metadata_for_core(struct metadata_out *out, const struct metadata_list *l);

/* status_details.c */
#define STATUS_DETAILS_MAX 4096
struct str status_details_encode(struct arena *a, const struct error *e, enum status st);
struct str status_message_clip(struct arena *a, const char *message);
char *str_clean(struct arena *a, const char *s); /* what is not UTF-8 becomes ? */

/* trace.c */
bool trace_parse(struct str traceparent, struct trace *ret);

/* method.c */
bool method_check_all(const struct rpc_service *const *services, size_t count,
                      const struct descriptor_index *index, char *err, size_t err_size);

/* health.c, reflection.c */
extern const struct rpc_service health_service;
extern const struct rpc_service reflection_v1_service;
extern const struct rpc_service reflection_v1alpha_service;
struct health *health_new(struct reactor *const *reactors, size_t count);
void health_open(struct health *h, bool open); /* whether reactors run and may be told */
void health_drain(struct health *h);
void health_free(struct health *h);

/* core.c */
void server_init_core(void);
bool server_open_core(struct rpc_server *s, char *err, size_t err_size);
void server_send_goaways(struct rpc_server *s);

#endif
