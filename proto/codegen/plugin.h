/*
 * protoc-gen-luna: a protoc plugin that gives the methods of a .proto file their C types.
 *
 * For each x.proto it writes x.rpc.h (the server's side, on server/rpc/rpc.h) and x.client.h with
 * x.client.c (the client's side, on client/include/luna/client.h). A file without services gives
 * files that declare nothing, so that the first service needs no new build rule.
 *
 * Names on the server's side:
 *   service  QuotaService in package luna.v1     -> quota_service
 *            other packages keep their own name  -> grpc_health_v1_health
 *   handler  GetAccount                          -> get_account
 *            a method of two services in a file  -> other_service_ping
 *            taken by libc or a macro of server/ -> handle_remove
 *            a keyword of C: refused, protobuf-c cannot compile it
 *   streams  <handler>_send, <handler>_recv
 *
 * Names on the client's side:
 *   luna.v1.QuotaService.GetAccount              -> luna_quota_get_account
 *   luna.testing.ProbeService.Ping               -> luna_testing_probe_ping
 *   grpc.health.v1.Health.Check                  -> luna_grpc_health_v1_health_check
 */
#ifndef LUNA_CODEGEN_PLUGIN_H
#define LUNA_CODEGEN_PLUGIN_H

#include <stdbool.h>
#include <stdio.h>

#include "google/protobuf/compiler/plugin.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"

typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__ServiceDescriptorProto Service;
typedef Google__Protobuf__MethodDescriptorProto Method;

/* A C name made from a protobuf name. Longer ones are refused. */
#define NAME_MAX_BYTES 512
struct name {
    char s[NAME_MAX_BYTES];
};

/* What the server is told about a method: struct rpc_policy as text. */
struct policy {
    const char *access; /* "RPC_MEMBER" */
    long long cost;
    bool cost_measured;
    long long deadline_ms;
    bool idempotent;
    bool fail_open;
    struct name scope;
    int cache_seconds;
    const char *keys; /* "RPC_KEYS_CLAIM" */
    bool cache_public;
};

/* ---- names.c: all of them fail by ending the program with a message, names are bounded ----------
 */

/* "GetHTTPStatus" -> "get_http_status" */
struct name name_snake(const char *camel);
/* ".luna.v1.FilterRequest" -> "Luna__V1__FilterRequest", protobuf-c's type */
struct name name_type(const char *full_name);
/* ".luna.v1.FilterRequest" -> "luna__v1__filter_request__descriptor", protobuf-c's descriptor */
struct name name_descriptor(const char *full_name);
/* "luna/v1/quota.proto" -> "luna/v1/quota" */
struct name name_stem(const char *path);
/* "luna/v1/quota" and "_RPC_H" -> "LUNA_V1_QUOTA_RPC_H" */
struct name name_guard(const char *stem, const char *suffix);
/* "luna.v1" and "QuotaService" -> "luna.v1.QuotaService" */
struct name name_full(const File *file, const Service *service);
struct name name_service(const File *file, const Service *service);
struct name name_handler(const File *file, const Service *service, const Method *method);
struct name name_stub(const File *file, const Service *service, const Method *method);
/* "QuotaService" -> "quota" */
struct name name_service_short(const Service *service);
/* No C identifier at all: the method must be renamed. */
bool name_is_keyword(const char *name);
/* Taken by libc or by server/: a handler gets a prefix. */
bool name_is_reserved(const char *name);
void name_printf(struct name *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- options.c
 * ----------------------------------------------------------------------------------- */

bool file_is_luna(const File *file);

/* The (luna.v1.method) option with its defaults filled in. False: `err` says what is wrong with it.
 */
bool policy_read(const File *file, const Service *service, const Method *method,
                 struct policy *ret_policy, FILE *err);

/* The payload of the option `number` of `options`, malloc'ed; NULL: it is not there. An option
 * written in several statements comes in several pieces, whose concatenation is their merge. */
uint8_t *option_bytes(const ProtobufCMessage *options, unsigned number, size_t *ret_len);

/* Every method has a policy and all generated names of the file differ. */
bool file_check(const File *file, FILE *err);

/* ---- writers
 * ------------------------------------------------------------------------------------- */

/* Method `m` of service `s` as its .proto file explains it: a C comment, or nothing. */
void write_comment(FILE *out, const File *file, size_t s, size_t m);

/* ---- rules_writer.c: (luna.v1.rules) --------------------------------------------------------- */

/* All files of the request: messages are looked up there by their full name. Once, first. */
void rules_init(File *const *files, size_t n);

/* Every rule of the file fits its field. */
bool rules_check_file(const File *file, FILE *err);

/* The tables of the messages that the methods of `file` take. */
void write_rules(FILE *out, const File *file);

/* What `type` is called in such a table: "&luna__v1__x__rules", or "NULL" without any rule. */
struct name rules_name(const char *type);

void write_rpc_header(FILE *out, const File *file);
void write_client_header(FILE *out, const File *file);
void write_client_source(FILE *out, const File *file);

#endif
