/*
 * Types that cross the border to Postgres, and the arguments of statements: part of db/db.h.
 *
 * Owns: nothing; arguments borrow what they point at. Suspends: never.
 */
#ifndef LUNA_DB_ARGS_H
#define LUNA_DB_ARGS_H

#include "base/clock.h"
#include "base/str.h"
#include "base/uuid.h"

/* ---- types ---------------------------------------------------------------------------------- */

/* SQL types that cross the border, always in binary, and the C type of each. */
enum db_type {
    DB_BOOL,        /* boolean       bool */
    DB_INT2,        /* smallint      int16_t */
    DB_INT4,        /* integer       int32_t */
    DB_INT8,        /* bigint        int64_t */
    DB_FLOAT4,      /* real          float */
    DB_FLOAT8,      /* double        double */
    DB_TEXT,        /* text, varchar, char(n), name, json   const char *, NUL terminated, UTF-8 */
    DB_BYTEA,       /* bytea         struct str, may hold NULs */
    DB_UUID,        /* uuid          struct uuid */
    DB_TIMESTAMPTZ, /* timestamptz   usec_t; DB_INFINITY and -DB_INFINITY for 'infinity' */
    DB_DATE,  /* date          int32_t: days since 1970-01-01; INT32_MAX, -INT32_MAX: infinite */
    DB_JSONB, /* jsonb         const char *: JSON text */

    /* One-dimensional arrays: struct db_array. Same order as their elements above. */
    DB_BOOL_ARRAY,
    DB_INT2_ARRAY,
    DB_INT4_ARRAY,
    DB_INT8_ARRAY,
    DB_FLOAT4_ARRAY,
    DB_FLOAT8_ARRAY,
    DB_TEXT_ARRAY,
    DB_BYTEA_ARRAY,
    DB_UUID_ARRAY,
    DB_TIMESTAMPTZ_ARRAY,
    DB_DATE_ARRAY,
    DB_JSONB_ARRAY,

    DB_TYPE_COUNT,
};

/* Instants beyond the year 294246 are stored by Postgres but read here as infinite. */
#define DB_INFINITY INT64_MAX

/* An array, as argument or as column. `nulls` NULL: no element is NULL. */
struct db_array {
    size_t n;
    const bool *nulls; /* n flags; where true the element itself is 0 or NULL */
    union {
        const void *items;
        const bool *bools;
        const int16_t *int2s;
        const int32_t *int4s; /* and dates */
        const int64_t *int8s; /* and timestamptz */
        const float *float4s;
        const double *float8s;
        const char *const *texts; /* and jsonb */
        const struct str *bytes;
        const struct uuid *uuids;
    };
};

/* ---- arguments ------------------------------------------------------------------------------ */

/* One argument of a statement. Made with the functions below; borrows what it points at until the
 * verb returns. */
struct db_arg {
    enum db_type type;
    bool is_null;
    union {
        bool b;
        int64_t i;    /* all integers, timestamptz, date */
        double f;     /* both floats */
        struct str s; /* text, bytea, jsonb */
        const struct uuid *uuid;
        struct db_array array;
    };
};

struct db_args {
    const struct db_arg *v;
    size_t n;
};

/* DB_ARGS(db_int8(id), db_text(name)): the arguments of $1, $2, ... Types and number are compared
 * with the statement's `-- params:` at each call; a difference is an INTERNAL_ERROR. */
#define DB_ARGS(...)                                        \
    ((struct db_args){(const struct db_arg[]){__VA_ARGS__}, \
                      sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)})
#define DB_NO_ARGS ((struct db_args){NULL, 0})

static inline struct db_arg
db_null(enum db_type type)
{
    struct db_arg a;
    memset(&a, 0, sizeof(a));
    a.type = type;
    a.is_null = true;
    return a;
}

/* `a` when `present`, else NULL of the same type. */
static inline struct db_arg
db_opt(bool present, struct db_arg a)
{
    return present ? a : db_null(a.type);
}

static inline struct db_arg
db_int_(enum db_type type, int64_t v)
{
    struct db_arg a;
    a.type = type;
    a.is_null = false;
    a.i = v;
    return a;
}

static inline struct db_arg
db_bool(bool v)
{
    struct db_arg a;
    a.type = DB_BOOL;
    a.is_null = false;
    a.b = v;
    return a;
}

static inline struct db_arg
db_int2(int16_t v)
{
    return db_int_(DB_INT2, v);
}

static inline struct db_arg
db_int4(int32_t v)
{
    return db_int_(DB_INT4, v);
}

static inline struct db_arg
db_int8(int64_t v)
{
    return db_int_(DB_INT8, v);
}

static inline struct db_arg
db_timestamptz(usec_t v)
{
    return db_int_(DB_TIMESTAMPTZ, v);
}

/* 0: NULL. */
static inline struct db_arg
db_timestamptz_or_null(usec_t v)
{
    return db_opt(v != 0, db_timestamptz(v));
}

static inline struct db_arg
db_date(int32_t days)
{
    return db_int_(DB_DATE, days);
}

static inline struct db_arg
db_float_(enum db_type type, double v)
{
    struct db_arg a;
    a.type = type;
    a.is_null = false;
    a.f = v;
    return a;
}

static inline struct db_arg
db_float4(float v)
{
    return db_float_(DB_FLOAT4, (double)v);
}

static inline struct db_arg
db_float8(double v)
{
    return db_float_(DB_FLOAT8, v);
}

static inline struct db_arg
db_bytes_(enum db_type type, struct str v)
{
    struct db_arg a;
    a.type = type;
    a.is_null = v.p == NULL;
    a.s = v;
    return a;
}

/* Text must be valid UTF-8 without NULs. A NULL pointer is SQL NULL. */
static inline struct db_arg
db_text(const char *v)
{
    return db_bytes_(DB_TEXT, str_of(v));
}

static inline struct db_arg
db_str(struct str v)
{
    return db_bytes_(DB_TEXT, v);
}

static inline struct db_arg
db_jsonb(const char *v)
{
    return db_bytes_(DB_JSONB, str_of(v));
}

/* A NULL pointer is SQL NULL; for the empty string give any other pointer and 0. */
static inline struct db_arg
db_bytea(const void *p, size_t n)
{
    struct str s;
    s.p = (const char *)p;
    s.n = n;
    return db_bytes_(DB_BYTEA, s);
}

static inline struct db_arg
db_uuid(const struct uuid *v)
{
    struct db_arg a;
    a.type = DB_UUID;
    a.is_null = v == NULL;
    a.uuid = v;
    return a;
}

/* An array argument from `n` items of the element's C type; `nulls` may be NULL. At most
 * DB_MAX_ARRAY elements. */
static inline struct db_arg
db_array_of(enum db_type array_type, const void *items, const bool *nulls, size_t n)
{
    struct db_arg a;
    a.type = array_type;
    a.is_null = false;
    a.array.n = n;
    a.array.nulls = nulls;
    a.array.items = items;
    return a;
}

#define DB_MAX_ARRAY 1000000

#define DB_ARRAY_ARG_(fn, ctype, type)                           \
    static inline struct db_arg fn(ctype const *items, size_t n) \
    {                                                            \
        return db_array_of(type, items, NULL, n);                \
    }
DB_ARRAY_ARG_(db_bool_array, bool, DB_BOOL_ARRAY)
DB_ARRAY_ARG_(db_int2_array, int16_t, DB_INT2_ARRAY)
DB_ARRAY_ARG_(db_int4_array, int32_t, DB_INT4_ARRAY)
DB_ARRAY_ARG_(db_int8_array, int64_t, DB_INT8_ARRAY)
DB_ARRAY_ARG_(db_float4_array, float, DB_FLOAT4_ARRAY)
DB_ARRAY_ARG_(db_float8_array, double, DB_FLOAT8_ARRAY)
DB_ARRAY_ARG_(db_text_array, char *, DB_TEXT_ARRAY)
DB_ARRAY_ARG_(db_bytea_array, struct str, DB_BYTEA_ARRAY)
DB_ARRAY_ARG_(db_uuid_array, struct uuid, DB_UUID_ARRAY)
DB_ARRAY_ARG_(db_timestamptz_array, usec_t, DB_TIMESTAMPTZ_ARRAY)
DB_ARRAY_ARG_(db_date_array, int32_t, DB_DATE_ARRAY)
DB_ARRAY_ARG_(db_jsonb_array, char *, DB_JSONB_ARRAY)

#endif
