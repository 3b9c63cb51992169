/* The handlers of KalmanService by file: kalman_rpc.c, which holds the generated table, calls them.
 * Private to kalman/'s *_rpc.c files. */
#ifndef LUNA_KALMAN_HANDLERS_RPC_H
#define LUNA_KALMAN_HANDLERS_RPC_H

#include "rpc/rpc.h"

#define KALMAN_UNARY(name, Name)                                                           \
    typedef struct Luna__V1__##Name##Request Luna__V1__##Name##Request;                    \
    typedef struct Luna__V1__##Name##Response Luna__V1__##Name##Response;                  \
    enum status kalman_rpc_##name(struct call *call, const Luna__V1__##Name##Request *req, \
                                  Luna__V1__##Name##Response *resp)

/* mask_rpc.c: are these fields of the answer? Names `output[i]` when not. */
enum status kalman_mask_check(struct ctx *ctx, const ProtobufCMessage *resp, char *const *names,
                              size_t n) WARN_UNUSED;
/* Empties the fields that are not named; no name: none. */
void kalman_mask(ProtobufCMessage *resp, char *const *names, size_t n);

/* collection_rpc.c; the questions of question_rpc.h need no handlers of their own. */
enum status kalman_rpc_filter_batch_stream(struct call *call, struct stream *s);

/* durable_rpc.c */
KALMAN_UNARY(create_filter, CreateFilter);
KALMAN_UNARY(append, Append);
KALMAN_UNARY(get_filter, GetFilter);
KALMAN_UNARY(list_filters, ListFilters);
KALMAN_UNARY(reset_filter, ResetFilter);
KALMAN_UNARY(delete_filter, DeleteFilter);
typedef struct Luna__V1__AppendAllResponse Luna__V1__AppendAllResponse;
typedef struct Luna__V1__WatchFilterRequest Luna__V1__WatchFilterRequest;
enum status kalman_rpc_append_all(struct call *call, struct stream *in,
                                  Luna__V1__AppendAllResponse *resp);
enum status kalman_rpc_append_stream(struct call *call, struct stream *s);
enum status kalman_rpc_watch_filter(struct call *call, const Luna__V1__WatchFilterRequest *req,
                                    struct stream *out);

/* stream_rpc.c */
enum status kalman_rpc_filter_stream(struct call *call, struct stream *s);

#endif
