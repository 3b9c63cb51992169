/*
 * What a FileDescriptorSet holds, indexed once: files by name, symbols by full name, extensions by
 * type and number. The set's bytes are kept as they are (reflection answers with them).
 *
 * Thread: any, once made.
 */
#ifndef LUNA_RPC_DESCRIPTOR_H
#define LUNA_RPC_DESCRIPTOR_H

#include "base/arena.h"
#include "base/str.h"

struct descriptor_file {
    const char *name; /* "luna/v1/quota.proto" */
    struct str bytes; /* a serialized FileDescriptorProto */
    size_t *imports;  /* indexes of files */
    size_t import_count;
};

struct descriptor_symbol {
    const char *name; /* "luna.v1.QuotaService.GetAccount", without a leading dot */
    size_t file;
    /* Of methods; NULL otherwise. */
    const char *input;
    const char *output;
    bool client_streaming;
    bool server_streaming;
};

struct descriptor_extension {
    const char *extendee; /* "google.protobuf.MethodOptions" */
    int32_t number;
    size_t file;
};

struct descriptor_index {
    struct arena arena;
    struct descriptor_file *files;
    size_t file_count;
    struct descriptor_symbol *symbols; /* sorted by name */
    size_t symbol_count;
    struct descriptor_extension *extensions; /* sorted by extendee, number */
    size_t extension_count;
};

/* NULL: the bytes are not a FileDescriptorSet. They must outlive the index. */
struct descriptor_index *descriptor_index_new(const unsigned char *set, size_t size);
void descriptor_index_free(struct descriptor_index *d);

/* NULL: not there. */
const struct descriptor_symbol *descriptor_find_symbol(const struct descriptor_index *d,
                                                       struct str name);
const struct descriptor_file *descriptor_find_file(const struct descriptor_index *d,
                                                   struct str name);
const struct descriptor_extension *descriptor_find_extension(const struct descriptor_index *d,
                                                             struct str extendee, int32_t number);

#endif
