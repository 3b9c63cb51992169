/* What the files openapi*.c share: the document being written. */
#ifndef LUNA_GATEWAY_OPENAPI_PRIVATE_H
#define LUNA_GATEWAY_OPENAPI_PRIVATE_H

#include "gateway/openapi.h"

/* How a message or an enum is used. */
enum {
    USED_IN = 1,  /* is sent */
    USED_OUT = 2, /* is answered */
    USED_PROTO_NAMES = 4,
    USED_CAMEL_NAMES = 8,
};

struct oneof_info {
    const char *name;
    const char *comment;
};

/* One call out of examples.json; the texts are JSON. */
struct example {
    struct example *next; /* of the same file, in its order */
    struct str method;    /* "luna.v1.KalmanService.Filter" */
    struct str name;
    struct str summary;
    struct str request;    /* empty: none */
    struct str response;   /* likewise */
    struct str parameters; /* an object: values of path parameters that the request does not hold */
};

struct doc {
    const struct schema *schema;
    const struct route_table *routes;
    const struct openapi_options *options;
    struct arena arena;
    struct buf out;
    bool comma;           /* a value was written at this level */
    uint8_t *message_use; /* by index in the schema */
    uint8_t *enum_use;
    struct oneof_info **oneofs; /* by message index, then by oneof */
    struct example *examples;
};

/* ---- openapi_write.c ---- */
void doc_open(struct doc *d, const char *key, char bracket); /* key NULL: an element */
void doc_close(struct doc *d, char bracket);
void doc_string(struct doc *d, const char *key, struct str value);
/* Like doc_string, nothing for the empty text. */
void doc_text(struct doc *d, const char *key, const char *value);
void doc_int(struct doc *d, const char *key, int64_t value);
void doc_number(struct doc *d, const char *key, double value);
void doc_true(struct doc *d, const char *key);
void doc_raw(struct doc *d, const char *key, struct str json);
void doc_ref(struct doc *d, const char *section, const char *name);

/* A proto comment as Markdown: indented lines become code, what looks like a tag does not act. */
void doc_comment(struct doc *d, const char *key, const char *comment);
/* Its first sentence without the full stop, in the document's arena. */
const char *doc_summary(struct doc *d, const char *comment);

/* ---- openapi_oneof.c ---- */
/* Reads names and comments of all oneofs; the schema keeps their numbers alone. */
void oneofs_load(struct doc *d);
size_t doc_message_index(const struct doc *d, const struct schema_message *m);
const struct oneof_info *oneof_find(const struct doc *d, const struct schema_message *m, int32_t n);
/* True when the oneof stands for the presence of its one field. */
bool oneof_is_presence(const struct schema_message *m, int32_t n);

/* ---- openapi_examples.c ---- */
bool examples_load(struct doc *d, char *err, size_t err_size);
/* The member of a JSON object, or p == NULL. */
struct str example_member(struct doc *d, struct str object, struct str name);
/* The object without those members, which stand in the path. */
struct str example_without(struct doc *d, struct str object, const struct route_binding *b);
bool example_is_of(const struct example *e, const struct schema_method *m);

/* ---- openapi_schemas.c ---- */
void schemas_mark(struct doc *d, const struct schema_message *m, unsigned use);
void schemas_write(struct doc *d);
/* A field as a property; the description as well unless `bare`. */
void schema_write_field(struct doc *d, const char *key, const struct schema_message *m,
                        const struct schema_field *f, enum json_names names);
/* A field as one parameter's text: integers are just that. */
void schema_write_parameter(struct doc *d, const struct schema_field *f, enum json_names names);
void schema_write_message_ref(struct doc *d, const char *key, const struct schema_message *m,
                              enum json_names names);
/* The request without what the path holds. */
void schema_write_rest(struct doc *d, const struct route_binding *b);
const char *schema_field_comment(const struct doc *d, const struct schema_message *m,
                                 const struct schema_field *f);

/* ---- openapi_limits.c ---- */
struct field_limits {
    bool required, has_min, has_max, finite;
    uint64_t min_len, max_len, item_min_len, item_max_len;
    double min, max;
    struct str charset;
};
struct field_limits limits_of(const struct schema_field *f);
/* Of the list, and of one value. */
void limits_write_list(struct doc *d, const struct field_limits *l);
void limits_write_value(struct doc *d, const struct schema_field *f, const struct field_limits *l);

/* ---- openapi_responses.c ---- */
/* The gateway and its callers may keep the answer: see cache.h. */
bool answer_is_kept(const struct route_binding *b, const struct method_policy *p);
void responses_write(struct doc *d, const struct route_binding *b, const struct method_policy *p);
/* The parts under components. */
void responses_write_components(struct doc *d);
bool method_has_http_body(const struct schema_message *m);

/* ---- openapi_errors.c ---- */
void errors_mark(struct doc *d);
void errors_write(struct doc *d);

/* ---- openapi_paths.c ---- */
void paths_write(struct doc *d);
/* The binding as a command line, in the document's arena. */
const char *curl_text(struct doc *d, const struct route_binding *b, const struct example *e);

/* ---- openapi_parameters.c ---- */
#define PATH_PARAMETERS_MAX 16
struct path_parameter {
    const char *name;
    const struct schema_field *field; /* NULL: a wildcard that no field takes */
    const char *whole;                /* the template it is a part of; NULL: it is all */
};
/* The template as OpenAPI writes it, and its parameters. */
const char *path_of_binding(struct doc *d, const struct route_binding *b,
                            struct path_parameter *ret_all, size_t *ret_count);
void parameters_write(struct doc *d, const struct route_binding *b,
                      const struct path_parameter *all, size_t count,
                      const struct method_policy *p);

#endif
