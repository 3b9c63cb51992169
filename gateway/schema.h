/*
 * What the gateway knows of the API: messages, enums, services and their
 * options, read once at start from a serialized FileDescriptorSet and never
 * changed afterwards.
 *
 * Ownership: everything lives in the schema and dies with it. Thread: any, once
 * loaded.
 */
#ifndef LUNA_GATEWAY_SCHEMA_H
#define LUNA_GATEWAY_SCHEMA_H

#include "base/arena.h"
#include "base/str.h"
#include "gateway/wire.h"

/* FieldDescriptorProto.Type */
enum schema_type {
    TYPE_DOUBLE = 1,
    TYPE_FLOAT = 2,
    TYPE_INT64 = 3,
    TYPE_UINT64 = 4,
    TYPE_INT32 = 5,
    TYPE_FIXED64 = 6,
    TYPE_FIXED32 = 7,
    TYPE_BOOL = 8,
    TYPE_STRING = 9,
    TYPE_GROUP = 10,
    TYPE_MESSAGE = 11,
    TYPE_BYTES = 12,
    TYPE_UINT32 = 13,
    TYPE_ENUM = 14,
    TYPE_SFIXED32 = 15,
    TYPE_SFIXED64 = 16,
    TYPE_SINT32 = 17,
    TYPE_SINT64 = 18,
};

/* The messages that have a JSON form of their own. */
enum schema_wkt {
    WKT_NONE,
    WKT_ANY,
    WKT_TIMESTAMP,
    WKT_DURATION,
    WKT_FIELD_MASK,
    WKT_STRUCT,
    WKT_VALUE,
    WKT_LIST_VALUE,
    WKT_WRAPPER, /* Int32Value and its kin: the value is field 1 */
};

/* How fields are spelled in JSON that is written; both are read. */
enum json_names { JSON_NAMES_PROTO, JSON_NAMES_CAMEL };

struct schema_enum_value {
    const char *name;
    struct str quoted; /* with quotes */
    int32_t number;
    const char *comment; /* the comment in front of it in the .proto file, or "" */
};

struct schema_enum {
    const char *full_name;
    const struct schema_enum_value *values; /* as declared */
    size_t value_count;
    bool is_null_value; /* google.protobuf.NullValue: null in JSON */
    const char *comment;
};

struct schema_field {
    struct str name;      /* NUL terminated, too */
    struct str json_name; /* likewise */
    struct str key[2];    /* `"name":` by enum json_names */
    uint32_t number;
    uint32_t index; /* in the message */
    enum schema_type type;
    enum wire_type wire; /* of one value */
    bool repeated;       /* maps, too */
    bool map;
    bool packed;   /* is written packed */
    bool presence; /* is left out when absent */
    int32_t oneof; /* number of its oneof, synthetic ones included; -1: none */
    const struct schema_message *message;
    const struct schema_enum *enumeration;
    struct str options; /* serialized FieldOptions */
    const char *comment;
};

struct schema_message {
    const char *full_name; /* without a leading dot */
    enum schema_wkt wkt;
    const struct schema_field *fields; /* as declared */
    uint32_t field_count;
    uint32_t oneof_count;
    bool is_map_entry;
    uint16_t *name_slots; /* open hash of both spellings: index + 1, 0 is free */
    uint32_t name_mask;
    uint16_t *by_number; /* index + 1 for numbers below number_count */
    uint32_t number_count;
    const char *comment;
};

/* luna.v1.MethodPolicy; what is not set is 0. */
struct method_policy {
    unsigned access; /* luna.v1.Access */
    int64_t cost, deadline_ms, cache_seconds;
    bool cost_measured, idempotent;
    bool cache_public; /* callers without credentials may share what is kept */
    struct str scope;  /* "": that of the service */
};
#define ACCESS_PUBLIC 1

struct schema_method {
    const char *name;
    const char *path; /* "/luna.v1.KalmanService/Filter" */
    const struct schema_service *service;
    const struct schema_message *input;
    const struct schema_message *output;
    bool client_streaming;
    bool server_streaming;
    struct str options; /* serialized MethodOptions */
    struct str http;    /* serialized google.api.HttpRule, empty when there is none */
    struct method_policy policy;
    const char *comment;
};

struct schema_service {
    const char *full_name;
    const struct schema_method *methods;
    size_t method_count;
    struct str options; /* serialized ServiceOptions */
    const char *comment;
};

struct schema {
    struct arena arena;
    const struct schema_message **messages; /* sorted by name */
    size_t message_count;
    const struct schema_enum **enums;
    size_t enum_count;
    const struct schema_service **services; /* as declared */
    size_t service_count;
};

/* Reads a FileDescriptorSet that holds all its imports. `set` may be freed
 * afterwards. False: it is not one, and `err` says what is wrong with it. */
bool schema_load(struct schema *s, struct str set, char *err, size_t err_size);
void schema_fini(struct schema *s);

/* By name, with or without a leading dot; NULL: no such message. */
const struct schema_message *schema_message_find(const struct schema *s, struct str full_name);
const struct schema_enum *schema_enum_find(const struct schema *s, struct str full_name);

/* By either spelling; NULL: no such field. */
const struct schema_field *schema_field_find(const struct schema_message *m, struct str name);
const struct schema_field *schema_field_by_number(const struct schema_message *m, uint32_t number);

const struct schema_enum_value *schema_value_find(const struct schema_enum *e, struct str name);
const struct schema_enum_value *schema_value_by_number(const struct schema_enum *e, int32_t number);

/* True for messages that stand in a path or a query as one text: times, masks, wrappers, values. */
bool schema_is_text(const struct schema_message *m);

/* Finds the field `number` in serialized options (the last one wins); false: it
 * is not there. */
bool schema_option(struct str options, uint32_t number, struct wire_field *ret);
/* Its number, 0 when it is not there; its bytes, "" when it is not there or holds none. */
uint64_t schema_option_number(struct str options, uint32_t number);
struct str schema_option_bytes(struct str options, uint32_t number);

#endif
