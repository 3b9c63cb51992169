/*
 * Values on the wire: Postgres's binary formats from and to C. Private to db/.
 *
 * Suspends: never.
 */
#ifndef LUNA_DB_VALUE_H
#define LUNA_DB_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "db/db.h"

#define VALUE_MAX_PARAMS 64

#define VALUE_TOO_LARGE "the arguments are too large"

typedef uint32_t pg_oid;

struct value_type {
    const char *name; /* as in `-- params:` */
    pg_oid oid;
    uint16_t c_size;     /* of the C type */
    uint16_t wire_bytes; /* of an element, 0: it varies */
};
extern const struct value_type value_types[DB_TYPE_COUNT];

static inline bool
value_is_array(enum db_type t)
{
    return t >= DB_BOOL_ARRAY;
}

/* Of an array's elements. */
static inline enum db_type
value_element(enum db_type array)
{
    return (enum db_type)(array - DB_BOOL_ARRAY);
}

/* True when a column or parameter of type `oid` can be read as `t`. */
bool value_accepts(enum db_type t, pg_oid oid);

/* Arguments as libpq takes them. The arrays point into the arguments and into an arena. */
struct value_params {
    int n;
    const char *values[VALUE_MAX_PARAMS];
    int lengths[VALUE_MAX_PARAMS];
};

/* Whether the arguments are of these types, and small enough to be sent. NULL, or what is wrong. */
const char *value_check(const enum db_type *types, size_t n_types, struct db_args args);

/* Encodes arguments that were checked; what has to be written anew is made in `a`. */
void value_encode(struct arena *a, struct db_args args, struct value_params *ret);

/* Appends one checked value as COPY's binary format wants it: its length and its bytes. */
void value_append(struct buf *b, struct arena *scratch, const struct db_arg *arg);

/* Decodes `n` bytes into the C value at `out`; what it points at is made in `a`. False: the bytes
 * are not a value of that type. Hostile bytes are safe. */
bool value_decode(struct arena *a, enum db_type t, const char *p, size_t n, void *out);

#endif
