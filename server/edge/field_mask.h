/*
 * Field masks (AIP-134): which fields of a resource an update changes. Paths are names as in the
 * .proto files, with dots into messages: "quota_limit", "key_rate.units"; "*" is every field.
 *
 * Fields whose rules say output_only are left alone, named or not (AIP-203).
 *
 * Suspends: never.
 */
#ifndef LUNA_EDGE_FIELD_MASK_H
#define LUNA_EDGE_FIELD_MASK_H

#include <protobuf-c/protobuf-c.h>

#include "rpc/rules.h"

struct field_mask {
    char *const *paths;
    size_t n;
};

/* The paths of a google.protobuf.FieldMask message pointer, NULL: none. */
#define FIELD_MASK(m) ((m) ? (struct field_mask){(m)->paths, (m)->n_paths} : (struct field_mask){0})

/* Copies what the mask names from `from` to `into`, messages of one type; without a path in the
 * mask every field. What `from` does not have is cleared. Shares memory with `from`. `rules`: of
 * the type, or NULL. Fails: BAD_FIELD "update_mask" with each path that names nothing. */
enum status field_mask_merge(struct ctx *ctx, struct field_mask mask, const struct rpc_rules *rules,
                             const ProtobufCMessage *from, ProtobufCMessage *into) WARN_UNUSED;

/* For requests whose fields say themselves whether they are given. Fails: BAD_FIELD "update_mask"
 * with each path that is not one of `names`, which ends with NULL. */
enum status field_mask_check(struct ctx *ctx, struct field_mask mask,
                             const char *const *names) WARN_UNUSED;

/* True when `name` may be changed: the mask names it, or names nothing. */
bool field_mask_has(struct field_mask mask, const char *name);

/* The same for fields that say whether they are given: without a path in the mask those are meant.
 * One that the mask names and that is not given becomes what it is in a new resource. */
bool field_mask_changes(struct field_mask mask, const char *name, bool given);

#endif
