/*
 * Tells a caller how far a long computation is, as messages of its stream. Such a stream's messages
 * are `event` = {progress, result}.
 *
 * Private to kalman/'s *_rpc.c files. Thread: the reactor of the call.
 */
#ifndef LUNA_KALMAN_PROGRESS_RPC_H
#define LUNA_KALMAN_PROGRESS_RPC_H

#include "kalman/kalman_model.h"
#include "rpc/rpc.h"

struct progress_teller {
    struct kalman_watch watch; /* for whoever computes */
    struct ssm_progress progress;
    struct call *call;
    struct stream *out;
};

/* `every_ms`: between two messages, 0: 1000. Fails: BAD_FIELD ("progress_ms"). */
enum status progress_teller_init(struct progress_teller *t, struct call *call, struct stream *out,
                                 int32_t every_ms) WARN_UNUSED;

/* Forgets what was counted: another computation begins. */
void progress_teller_reset(struct progress_teller *t);

/* Sends the result. Suspends: may. */
enum status progress_teller_end(struct progress_teller *t,
                                const ProtobufCMessage *result) WARN_UNUSED;

#endif
