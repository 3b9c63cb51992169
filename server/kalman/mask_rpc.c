/* Output masks: an answer with the fields that were asked for. */
#include <string.h>

#include "kalman/handlers_rpc.h"
#include "luna/v1/kalman.pb-c.h"

enum status
kalman_mask_check(struct ctx *ctx, const ProtobufCMessage *resp, char *const *names, size_t n)
{
    enum status st = OK;
    for (size_t i = 0; i < n; i++) {
        if (!protobuf_c_message_descriptor_get_field_by_name(resp->descriptor, names[i]))
            st = fail_field(ctx, arena_printf(ctx->arena, "output[%zu]", i),
                            "is no field of the answer");
    }
    return st;
}

static void
clear(ProtobufCMessage *resp, const ProtobufCFieldDescriptor *f)
{
    char *at = (char *)resp + f->offset, *quantifier = (char *)resp + f->quantifier_offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        memset(quantifier, 0, sizeof(size_t));
    else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        memset(quantifier, 0, sizeof(uint32_t)); /* the answers' oneofs have one field each */
    else if (f->type == PROTOBUF_C_TYPE_STRING)
        *(const char **)(void *)at = protobuf_c_empty_string;
    else
        memset(at, 0, rpc_item_size(f->type));
}

void
kalman_mask(ProtobufCMessage *resp, char *const *names, size_t n)
{
    for (size_t i = 0; n > 0 && i < resp->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &resp->descriptor->fields[i];
        bool wanted = false;
        for (size_t k = 0; k < n && !wanted; k++)
            wanted = strcmp(f->name, names[k]) == 0;
        if (!wanted)
            clear(resp, f);
    }
}
