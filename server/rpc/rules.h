/*
 * The rules of a request's fields, (luna.v1.rules) in the protos: tables that protoc-gen-luna
 * writes, and the one function that reads them.
 *
 * Suspends: never.
 */
#ifndef LUNA_RPC_RULES_H
#define LUNA_RPC_RULES_H

#include <protobuf-c/protobuf-c.h>

#include "run/ctx.h"

enum rpc_rule_flags {
    RPC_RULE_REQUIRED = 1 << 0,
    RPC_RULE_MIN = 1 << 1,
    RPC_RULE_MAX = 1 << 2,
    RPC_RULE_FINITE = 1 << 3,
    RPC_RULE_OR_ZERO = 1 << 4,
    RPC_RULE_KNOWN = 1 << 5,
    RPC_RULE_CHARSET = 1 << 6,
    RPC_RULE_TIMESTAMP = 1 << 7, /* the field is a google.protobuf.Timestamp */
    RPC_RULE_DURATION = 1 << 8,  /* the field is a google.protobuf.Duration */
    RPC_RULE_OUTPUT_ONLY = 1 << 9,
};

struct rpc_rule {
    const char *name;
    uint16_t field; /* place among the descriptor's fields */
    uint16_t flags;
    uint32_t min_len, max_len; /* 0: none */
    uint32_t item_min_len, item_max_len;
    double min, max;
    const struct rpc_rules *nested; /* of a message in the field; NULL: none */
    const char *charset;            /* as in the proto, for people */
    uint32_t allowed[4];            /* a bit for each ASCII character */
};

struct rpc_rules {
    const struct rpc_rule *rows;
    size_t count;
};

/* Looks at all of `m` and records each violation, up to as many as an error holds, with its path
 * ("model.level.variance", "scopes[3]"). Fails: BAD_FIELD. */
enum status rules_check(struct ctx *ctx, const struct rpc_rules *rules,
                        const ProtobufCMessage *m) WARN_UNUSED;

#endif
