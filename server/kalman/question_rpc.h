/*
 * Answering a question about series: what all of these methods have in common, once. A method is a
 * row that says where its messages keep the common fields, what only it asks, and what only it
 * tells; the rest is done here: output mask, account, model, charge, computation, mask, progress.
 *
 * Private to kalman/'s *_rpc.c files. Memory: the call's arena. Thread: the reactor of the call.
 */
#ifndef LUNA_KALMAN_QUESTION_RPC_H
#define LUNA_KALMAN_QUESTION_RPC_H

#include "kalman/kalman_convert_rpc.h"
#include "kalman/progress_rpc.h"

struct question;

/* A question on its way to its answer. */
struct asked {
    struct call *call;
    const struct question *q;
    const void *req; /* the messages of the method */
    void *resp;      /* empty at first */
    struct model_spec spec;
    struct kalman_ask ask;
    struct kalman_answer answer;
    struct progress_teller *teller; /* NULL: nobody wants to know how far it is */
};

/* Offsets of the common fields; 0: there is none (the messages' own header lies there). */
struct question {
    enum kalman_question kind;
    struct {
        size_t account_id, output, n_output; /* all have these */
        size_t results, n_results, model, horizon, likelihood_convention;
    } request;
    struct {
        size_t parameters, n_parameters, cost_units;
    } response;
    /* What only this method asks, into a->ask, when the common part stands there; NULL: nothing. */
    enum status (*read)(struct asked *a);
    /* What only this method tells of a->answer; NULL: nothing. */
    enum status (*write)(struct asked *a);
    /* In place of question_answer, for what is not one question to one model; NULL: it is. */
    enum status (*answer)(struct asked *a);
};

/* analysis_rpc.c */
extern const struct question question_filter, question_smooth, question_forecast, question_simulate,
    question_fit, question_diagnose;
/* collection_rpc.c */
extern const struct question question_select, question_filter_batch;

/* Answers a unary call. Suspends: may. */
enum status kalman_answer(struct call *call, const struct question *q, const ProtobufCMessage *req,
                          ProtobufCMessage *resp) WARN_UNUSED;

/* Answers a server stream. Its request has the question as first and `progress_ms` as second field,
 * its messages are `event` = {progress, result}. Suspends: may. */
enum status kalman_answer_stream(struct call *call, const struct question *q,
                                 const ProtobufCMessage *req, struct stream *out) WARN_UNUSED;

/* One question to one model. Suspends: may. */
enum status question_answer(struct asked *a) WARN_UNUSED;

/* Takes the quota units of work that is about to begin: kalman_charge_fn. */
enum status question_charge(struct ctx *ctx, double work) WARN_UNUSED;

/* n numbers of the call's arena, all zero. */
static inline double *
question_numbers(const struct asked *a, size_t n)
{
    return arena_array(a->call->ctx.arena, n, sizeof(double));
}

#endif
