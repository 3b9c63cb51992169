/* Shared by schema.c, schema_load.c and schema_fields.c alone. */
#ifndef LUNA_GATEWAY_SCHEMA_LOAD_H
#define LUNA_GATEWAY_SCHEMA_LOAD_H

#include "gateway/schema.h"

#define NEST_MAX 32 /* messages inside messages */

/* A place in a file as SourceCodeInfo writes it: packed varints. */
struct place {
    char bytes[NEST_MAX * 4 + 16];
    size_t n;
};

struct comment {
    struct str place;
    struct str text;
};

struct file {
    struct str package;
    bool proto3;
    struct comment *comments;
    size_t comment_count;
};

struct raw_message {
    struct schema_message *message;
    struct str descriptor;
    struct place place;
    const struct file *file;
};

struct loader {
    struct schema *s;
    struct arena tmp;
    struct raw_message *messages;
    struct schema_enum **enums;
    const struct schema_service **services;
    size_t messages_cap, enums_cap, services_cap;
    char *err;
    size_t err_size;
};

uint32_t schema_hash(struct str name);

/* Writes "what: name" as the error; always false. */
bool schema_failed(struct loader *l, const char *what, struct str name);

/* The comment in front of the element at `place`, or "". */
const char *schema_comment(struct loader *l, const struct file *file, const struct place *place);

/* The place of the index-th child of that kind. */
struct place schema_place(const struct place *parent, uint32_t kind, uint32_t index);

/* `name` in quotes with `tail` behind. */
struct str schema_quote(struct loader *l, struct str name, const char *tail);

/* "scope.name" */
const char *schema_join(struct loader *l, struct str scope, struct str name);

/* The second pass: fields of a message, methods of a service. */
bool schema_load_message(struct loader *l, struct raw_message *raw);
bool schema_load_service(struct loader *l, const struct file *file, struct str descriptor,
                         const struct place *place, const struct schema_service **ret);

/* Runs the body for each field `f` of `text`; the enclosing function returns
 * false when it is cut.
 */
#define FOREACH_FIELD(l, f, text)                                          \
    for (const char *at_ = (text).p, *end_ = at_ + (text).n; at_ != end_;) \
        if (!(at_ = wire_next(at_, end_, &(f))))                           \
            return schema_failed((l), "a descriptor is cut", STR(""));     \
        else

#endif
