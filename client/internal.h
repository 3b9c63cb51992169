/* What the files of the client library share. Nothing of this is seen from outside. */
#ifndef LUNA_CLIENT_INTERNAL_H
#define LUNA_CLIENT_INTERNAL_H

#include <grpc/grpc.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "luna/client.h"

/* Queues kept for the next call; more calls at once make and destroy their own. */
#define CHANNEL_IDLE_QUEUES 64

struct luna_channel {
    grpc_channel *core;
    char *target;
    grpc_slice credential_key; /* "x-api-key" or "authorization"; empty: no credentials */
    grpc_slice credential;
    int64_t timeout_ms;
    unsigned max_attempts;
    pthread_mutex_t lock;
    grpc_completion_queue *idle[CHANNEL_IDLE_QUEUES]; /* empty queues, by `lock` */
    size_t idle_count;
};

/* An empty queue (GRPC_CQ_PLUCK) for one call. Given back, it must be empty again. */
grpc_completion_queue *channel_take_queue(struct luna_channel *ch);
void channel_give_queue(struct luna_channel *ch, grpc_completion_queue *cq);

/* ---- cancel.c
 * ------------------------------------------------------------------------------------ */

/* A call that a token can end. In the caller's storage. */
struct cancel_link {
    struct list node;
    grpc_call *call;
    struct luna_cancel *token; /* NULL: not linked */
};

/* From now on the token (may be NULL) ends `call`; one that was fired ends it at once. */
void cancel_join(struct luna_cancel *token, struct cancel_link *link, grpc_call *call);
/* To be called before the call is unreferenced. */
void cancel_leave(struct cancel_link *link);
/* Sleeps; false when the token (may be NULL) was fired before or meanwhile. */
bool cancel_sleep(struct luna_cancel *token, nsec_t d);

/* ---- call.c: what unary calls and streams have in common
 * ----------------------------------------- */

/* The receiving ends of a call's operations. */
struct answer {
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *message; /* NULL: none came */
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);

/* An instant on the monotonic clock, NSEC_NEVER: none. */
nsec_t call_deadline(const struct luna_call_options *options, int64_t default_ms);

/* A call that `link` and the options' token can cancel. */
grpc_call *call_new(struct luna_channel *ch, const struct luna_call_options *options,
                    grpc_completion_queue *cq, const char *path, nsec_t deadline,
                    struct cancel_link *link);
void call_free(grpc_call *call, struct cancel_link *link);

/* The metadata to send: the channel's credentials and the options' pairs. Lives until the operation
 * that sends it has completed. */
struct sent_metadata {
    grpc_metadata *pairs;
    size_t count;
};

/* NULL, or the first key whose pair HTTP/2 cannot carry; `md` must be finished either way. */
const char *sent_metadata_init(struct sent_metadata *md, const struct luna_channel *ch,
                               const struct luna_call_options *options);
void sent_metadata_fini(struct sent_metadata *md);

/* Waits for `tag`; true when the operations succeeded. */
bool queue_pluck(grpc_completion_queue *cq, void *tag);
/* Posts operations, which must be valid; anything else is a bug of this library. */
void call_start(grpc_call *call, const grpc_op *ops, size_t n, void *tag);

/* ---- wire.c
 * ---------------------------------------------------------------------------------------- */

/* NULL: the message is larger than gRPC can frame. */
grpc_byte_buffer *wire_pack(const ProtobufCMessage *message);
grpc_byte_buffer *wire_copy(const void *bytes, size_t size);
/* The message in `a`; NULL: not one of `d`. */
ProtobufCMessage *wire_unpack(struct arena *a, const ProtobufCMessageDescriptor *d,
                              grpc_byte_buffer *bb);
/* Its bytes in `a`, followed by a NUL; NULL: cannot be read. */
const void *wire_bytes(struct arena *a, grpc_byte_buffer *bb, size_t *ret_size);
ProtobufCMessage *wire_unpack_bytes(struct arena *a, const ProtobufCMessageDescriptor *d,
                                    const void *bytes, size_t size);

/* ---- reply.c
 * --------------------------------------------------------------------------------------- */

struct reply_pair {
    const char *name;
    const char *text;
};

struct luna_reply {
    struct arena arena;
    enum luna_code code;
    const char *message;
    const char *reason;
    const char *domain;
    const char *text; /* for people */
    int64_t retry_after_ms;
    unsigned attempts;
    struct luna_metadata *metadata;
    size_t metadata_count;
    struct reply_pair *fields;
    size_t field_count;
    struct reply_pair *quotas;
    size_t quota_count;
};

struct luna_reply *reply_new(void);
/* Copies status, details and metadata, while the call is alive; what a try before left is
 * forgotten. */
void reply_set(struct luna_reply *r, const struct answer *a);
/* Makes it a failure that the library found itself. */
void reply_fail(struct luna_reply *r, enum luna_code code, const char *fmt, ...) PRINTF(3, 4);

#endif
