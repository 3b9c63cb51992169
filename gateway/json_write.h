/* The writing half's insides: the state that json_encode*.c share. */
#ifndef LUNA_GATEWAY_JSON_WRITE_H
#define LUNA_GATEWAY_JSON_WRITE_H

#include "gateway/json.h"
#include "gateway/json_read.h"

/* Where a field stands in the bytes of its message. */
struct json_slot {
    const char *first; /* its first occurrence; NULL: absent */
    const char *last;  /* its last one */
    const char *end;   /* the byte behind that */
};

struct json_writer {
    const struct schema *schema;
    const struct json_style *style;
    struct buf *out;
    struct json_error *err;
    bool failed;
    int depth;
    struct json_slot *slots; /* of the messages being written, innermost last */
    size_t slot_count;
    size_t slot_cap;
    struct arena arena;
    struct buf text;
    struct json_slot few[128];
};

/* Records the first failure; always false. */
bool json_write_fail(struct json_writer *w, const char *text);

/* Room for n bytes, NULL when it does not fit; json_write_done says where
 * writing ended. */
char *json_write_room(struct json_writer *w, size_t n);

static inline char *
json_write_space(struct json_writer *w, size_t n)
{
    struct buf *b = w->out;
    if (LIKELY(b->cap - b->len > n && b->max - b->len >= n && !b->overflow))
        return b->data + b->len;
    return json_write_room(w, n);
}

static inline void
json_write_done(struct json_writer *w, const char *end)
{
    w->out->len = (size_t)(end - w->out->data);
}

bool json_write_literal(struct json_writer *w, struct str s);
bool json_write_string(struct json_writer *w, struct str s);

/* One value of the field's type, as read from the wire. */
bool json_write_value(struct json_writer *w, const struct schema_field *f,
                      const struct wire_field *v);

/* Finds the fields of `wire` and notes them from slot `base` on. */
bool json_write_scan(struct json_writer *w, const struct schema_message *m, struct str wire,
                     size_t base);
bool json_write_slot(struct json_writer *w, const struct schema_field *f, struct json_slot slot);

/* The members without braces; a comma in front unless `first`. */
bool json_write_fields(struct json_writer *w, const struct schema_message *m, struct str wire,
                       bool first);
bool json_write_message(struct json_writer *w, const struct schema_message *m, struct str wire);

/* json_encode_wkt.c */
bool json_write_wkt(struct json_writer *w, const struct schema_message *m, struct str wire);

#endif
