/* Messages to gRPC's byte buffers and back. */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <string.h>

#include "internal.h"

grpc_byte_buffer *
wire_pack(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > UINT32_MAX) /* the frame's length has 32 bits */
        return NULL;
    grpc_slice slice = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return bb;
}

grpc_byte_buffer *
wire_copy(const void *bytes, size_t size)
{
    if (size > UINT32_MAX)
        return NULL;
    grpc_slice slice = grpc_slice_from_copied_buffer(size > 0 ? bytes : "", size);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return bb;
}

static void *
allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void
keep(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

ProtobufCMessage *
wire_unpack_bytes(struct arena *a, const ProtobufCMessageDescriptor *d, const void *bytes,
                  size_t size)
{
    ProtobufCAllocator allocator = {allocate, keep, a};
    return protobuf_c_message_unpack(d, &allocator, size, bytes);
}

/* The bytes in one piece. False: the buffer cannot be read (a broken compression). */
static bool
slice_of(grpc_byte_buffer *bb, grpc_slice *ret)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, bb))
        return false;
    *ret = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return true;
}

ProtobufCMessage *
wire_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, grpc_byte_buffer *bb)
{
    grpc_slice slice;
    if (!slice_of(bb, &slice))
        return NULL;
    ProtobufCMessage *m =
        wire_unpack_bytes(a, d, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    grpc_slice_unref(slice);
    return m;
}

const void *
wire_bytes(struct arena *a, grpc_byte_buffer *bb, size_t *ret_size)
{
    grpc_slice slice;
    if (!slice_of(bb, &slice))
        return NULL;
    size_t size = GRPC_SLICE_LENGTH(slice);
    char *copy = arena_alloc_raw(a, size + 1);
    memcpy(copy, GRPC_SLICE_START_PTR(slice), size);
    copy[size] = '\0';
    grpc_slice_unref(slice);
    *ret_size = size;
    return copy;
}
