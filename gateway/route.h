/*
 * From an HTTP request line to a method of the API: the routes of all google.api.http options of a
 * schema, in a trie, and of `POST /package.Service/Method` for each method.
 *
 *   - A literal beats `*`, which beats `**`; of several bindings of one path the HTTP method
 * chooses.
 *   - The path is split at `/` before it is decoded. A variable of one segment is decoded whole;
 * one of several keeps the escapes of reserved characters (RFC 6570), `%2F` among them.
 *   - One slash at the end is ignored. A custom verb is what follows the last `:` of the last
 * segment, when it is one that a template names there.
 *   - HEAD is served as GET.
 *
 * Thread: any, once built. Suspends: never.
 */
#ifndef LUNA_GATEWAY_ROUTE_H
#define LUNA_GATEWAY_ROUTE_H

#include "gateway/json.h"
#include "gateway/schema.h"

#define ROUTE_SEGMENTS_MAX 32 /* a longer path is not found */
#define ROUTE_FIELDS_MAX   8  /* fields in a variable's path: "a.b.c" are three */

enum route_verb {
    ROUTE_GET = 1,
    ROUTE_PUT = 2,
    ROUTE_POST = 4,
    ROUTE_DELETE = 8,
    ROUTE_PATCH = 16,
    ROUTE_OTHER = 32, /* a custom kind: matched by name */
};

/* "{book.name=shelves/...}": which field takes which segments. */
struct route_variable {
    const struct schema_field *fields[ROUTE_FIELDS_MAX];
    unsigned field_count;
    unsigned first; /* segment */
    unsigned count; /* segments; all from `first` on when open */
    bool open;      /* ends with `**` */
};

struct route_binding {
    const struct schema_method *method;
    const char *pattern; /* as written, for messages and documentation */
    enum route_verb verb;
    const char *verb_name;                    /* "GET"; "*" fits every method */
    bool automatic;                           /* POST /package.Service/Method */
    bool body_all;                            /* body: "*" */
    const struct schema_field *body;          /* body: "field"; NULL: none, or all */
    const struct schema_field *response_body; /* NULL: the whole response */
    const struct schema_field *mask; /* the FieldMask that PATCH or PUT implies; NULL: none */
    enum json_names names;
    const struct route_variable *variables;
    size_t variable_count;
};

struct route_node;

struct route_table {
    const struct schema *schema;
    struct arena arena;
    struct route_node *root;
    const struct route_binding **bindings; /* all, as declared */
    size_t binding_count;
    size_t binding_cap;
    struct str ignored_query; /* names with commas, or "*": see route_bind */
};

struct route_match {
    const struct route_binding *binding;
    struct str segments[ROUTE_SEGMENTS_MAX]; /* not decoded, without the custom verb */
    unsigned segment_count;
    unsigned allow;       /* verbs of the bindings that fit the path but for the method */
    char allow_text[128]; /* the same as Allow's value: "GET, HEAD, POST" */
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NOT_FOUND,  /* 404 */
    ROUTE_WRONG_VERB, /* 405: see allow_text */
    ROUTE_BAD_PATH,   /* 400: an escape is no escape */
};

/* Builds the table. grpc.health and grpc.reflection have no routes. False: two bindings are
 * the same or one is wrong, and `err` names them. The schema must outlive the table. */
bool route_table_init(struct route_table *t, const struct schema *s, char *err, size_t err_size);
void route_table_fini(struct route_table *t);

/* Finds the binding for a path without its query. `ret` borrows from `path`. */
enum route_result route_find(const struct route_table *t, struct str verb, struct str path,
                             struct route_match *ret);

/* What a request carries besides its path. */
struct route_input {
    struct str query; /* behind the "?", not decoded */
    struct str body;  /* JSON, or empty */
};

/* Appends the request message to `out`: the body's fields, then those of path and query, which win.
 * Misplaced and repeated query parameters are refused by name, and so are unknown ones, but for
 * those of ignored_query. */
bool route_bind(const struct route_table *t, const struct route_match *m,
                const struct route_input *in, struct arena *scratch, struct buf *out,
                struct json_error *err) WARN_UNUSED;

/* The same without the body: for requests whose messages come as a stream. */
bool route_bind_path(const struct route_table *t, const struct route_match *m,
                     const struct route_input *in, struct arena *scratch, struct buf *out,
                     struct json_error *err) WARN_UNUSED;

#endif
