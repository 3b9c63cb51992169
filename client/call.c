/* What unary calls and streams share: deadlines, metadata, queues, the receiving ends. */
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void
answer_init(struct answer *a)
{
    *a = (struct answer){.status = GRPC_STATUS_UNKNOWN, .details = grpc_empty_slice()};
    grpc_metadata_array_init(&a->headers);
    grpc_metadata_array_init(&a->trailers);
}

void
answer_fini(struct answer *a)
{
    grpc_metadata_array_destroy(&a->headers);
    grpc_metadata_array_destroy(&a->trailers);
    grpc_slice_unref(a->details);
    if (a->message)
        grpc_byte_buffer_destroy(a->message);
}

nsec_t
call_deadline(const struct luna_call_options *options, int64_t default_ms)
{
    int64_t ms = options && options->timeout_ms != 0 ? options->timeout_ms : default_ms;
    if (ms < 0 || ms >= INT64_MAX / MSEC(2))
        return NSEC_NEVER;
    return clock_now() + MSEC(ms);
}

/* gRPC's monotonic clock is CLOCK_MONOTONIC with its own epoch: go by the time that is left. */
static gpr_timespec
core_deadline(nsec_t deadline)
{
    if (deadline == NSEC_NEVER)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(deadline - clock_now(), GPR_TIMESPAN));
}

grpc_call *
call_new(struct luna_channel *ch, const struct luna_call_options *options,
         grpc_completion_queue *cq, const char *path, nsec_t deadline, struct cancel_link *link)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(ch->core, NULL, GRPC_PROPAGATE_DEFAULTS, cq, method,
                                               NULL, core_deadline(deadline), NULL);
    grpc_slice_unref(method);
    cancel_join(options ? options->cancel : NULL, link, call);
    return call;
}

void
call_free(grpc_call *call, struct cancel_link *link)
{
    cancel_leave(link);
    grpc_call_unref(call);
}

static bool
pair_is_legal(const grpc_metadata *pair)
{
    return grpc_header_key_is_legal(pair->key) &&
           (grpc_is_binary_header(pair->key) || grpc_header_nonbin_value_is_legal(pair->value));
}

const char *
sent_metadata_init(struct sent_metadata *md, const struct luna_channel *ch,
                   const struct luna_call_options *options)
{
    size_t n = options ? options->metadata_count : 0;
    md->count = 0;
    md->pairs = calloc(n + 1, sizeof(grpc_metadata));
    ASSERT(md->pairs != NULL);
    if (!GRPC_SLICE_IS_EMPTY(ch->credential_key)) {
        grpc_metadata *pair = &md->pairs[md->count++];
        pair->key = grpc_slice_ref(ch->credential_key);
        pair->value = grpc_slice_ref(ch->credential);
    }
    for (size_t i = 0; i < n; i++) {
        const struct luna_metadata *from = &options->metadata[i];
        size_t size = from->value_size > 0 ? from->value_size : strlen(from->value);
        grpc_metadata *pair = &md->pairs[md->count++];
        pair->key = grpc_slice_from_copied_string(from->key);
        pair->value = grpc_slice_from_copied_buffer(from->value, size);
        if (!pair_is_legal(pair))
            return from->key;
    }
    return NULL;
}

void
sent_metadata_fini(struct sent_metadata *md)
{
    for (size_t i = 0; i < md->count; i++) {
        grpc_slice_unref(md->pairs[i].key);
        grpc_slice_unref(md->pairs[i].value);
    }
    free(md->pairs);
}

bool
queue_pluck(grpc_completion_queue *cq, void *tag)
{
    grpc_event ev = grpc_completion_queue_pluck(cq, tag, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    ASSERT(ev.type == GRPC_OP_COMPLETE);
    return ev.success != 0;
}

void
call_start(grpc_call *call, const grpc_op *ops, size_t n, void *tag)
{
    grpc_call_error error = grpc_call_start_batch(call, ops, n, tag, NULL);
    ASSERT(error == GRPC_CALL_OK);
}
