/* Formats: src/backend/utils/adt of PostgreSQL, the *_send and *_recv functions; array_recv. */
#include "db/value.h"

#include <endian.h>

/* 2000-01-01, Postgres's epoch. */
#define EPOCH_US   INT64_C(946684800000000)
#define EPOCH_DAYS 10957

#define JSONB_VERSION 1
/* Postgres takes messages of less than 1 GiB. */
#define MAX_VALUE  (INT32_MAX / 2 - 65536)
#define ARRAY_HEAD 20 /* dimensions, flags, element type, length, lower bound */

const struct value_type value_types[DB_TYPE_COUNT] = {
    [DB_BOOL] = {"bool", 16, sizeof(bool), 1},
    [DB_INT2] = {"int2", 21, sizeof(int16_t), 2},
    [DB_INT4] = {"int4", 23, sizeof(int32_t), 4},
    [DB_INT8] = {"int8", 20, sizeof(int64_t), 8},
    [DB_FLOAT4] = {"float4", 700, sizeof(float), 4},
    [DB_FLOAT8] = {"float8", 701, sizeof(double), 8},
    [DB_TEXT] = {"text", 25, sizeof(char *), 0},
    [DB_BYTEA] = {"bytea", 17, sizeof(struct str), 0},
    [DB_UUID] = {"uuid", 2950, sizeof(struct uuid), 16},
    [DB_TIMESTAMPTZ] = {"timestamptz", 1184, sizeof(usec_t), 8},
    [DB_DATE] = {"date", 1082, sizeof(int32_t), 4},
    [DB_JSONB] = {"jsonb", 3802, sizeof(char *), 0},
    [DB_BOOL_ARRAY] = {"bool[]", 1000, sizeof(struct db_array), 0},
    [DB_INT2_ARRAY] = {"int2[]", 1005, sizeof(struct db_array), 0},
    [DB_INT4_ARRAY] = {"int4[]", 1007, sizeof(struct db_array), 0},
    [DB_INT8_ARRAY] = {"int8[]", 1016, sizeof(struct db_array), 0},
    [DB_FLOAT4_ARRAY] = {"float4[]", 1021, sizeof(struct db_array), 0},
    [DB_FLOAT8_ARRAY] = {"float8[]", 1022, sizeof(struct db_array), 0},
    [DB_TEXT_ARRAY] = {"text[]", 1009, sizeof(struct db_array), 0},
    [DB_BYTEA_ARRAY] = {"bytea[]", 1001, sizeof(struct db_array), 0},
    [DB_UUID_ARRAY] = {"uuid[]", 2951, sizeof(struct db_array), 0},
    [DB_TIMESTAMPTZ_ARRAY] = {"timestamptz[]", 1185, sizeof(struct db_array), 0},
    [DB_DATE_ARRAY] = {"date[]", 1182, sizeof(struct db_array), 0},
    [DB_JSONB_ARRAY] = {"jsonb[]", 3807, sizeof(struct db_array), 0},
};

bool
value_accepts(enum db_type t, pg_oid oid)
{
    if (oid == value_types[t].oid)
        return true;
    if (t == DB_TEXT) /* varchar, char(n), name, json: the same bytes */
        return oid == 1043 || oid == 1042 || oid == 19 || oid == 114;
    if (t == DB_TEXT_ARRAY)
        return oid == 1015 || oid == 1014 || oid == 1003 || oid == 199;
    return false;
}

/* ---- to the wire ------------------------------------------------------------------------------
 */

static char *
put_u32(char *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static char *
put_u64(char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static char *
put_i32(char *p, int32_t v)
{
    return put_u32(p, (uint32_t)v);
}

/* Saturates one short of infinity, where the server says "out of range". */
static int64_t
timestamp_to_wire(int64_t us)
{
    if (us == DB_INFINITY)
        return INT64_MAX;
    if (us <= -DB_INFINITY)
        return INT64_MIN;
    if (us < INT64_MIN + 1 + EPOCH_US)
        return INT64_MIN + 1;
    return us - EPOCH_US;
}

static int32_t
date_to_wire(int64_t days)
{
    if (days >= INT32_MAX)
        return INT32_MAX;
    if (days <= -INT32_MAX)
        return INT32_MIN;
    if (days < INT32_MIN + 1 + EPOCH_DAYS)
        return INT32_MIN + 1;
    return (int32_t)(days - EPOCH_DAYS);
}

static char *
put_float4(char *p, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return put_u32(p, bits);
}

static char *
put_float8(char *p, double f)
{
    uint64_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return put_u64(p, bits);
}

/* The integer types, by their width. */
static char *
put_int(char *p, enum db_type t, int64_t v)
{
    switch (value_types[t].wire_bytes) {
    case 2:
        p[0] = (char)((uint64_t)v >> 8);
        p[1] = (char)v;
        return p + 2;
    case 4:
        return put_i32(p, t == DB_DATE ? date_to_wire(v) : (int32_t)v);
    default:
        return put_u64(p, (uint64_t)(t == DB_TIMESTAMPTZ ? timestamp_to_wire(v) : v));
    }
}

/* A scalar of fixed width; `p` has room for it. */
static char *
put_fixed(char *p, const struct db_arg *arg)
{
    switch (arg->type) {
    case DB_BOOL:
        *p = arg->b ? 1 : 0;
        return p + 1;
    case DB_FLOAT4:
        return put_float4(p, (float)arg->f);
    case DB_FLOAT8:
        return put_float8(p, arg->f);
    case DB_UUID:
        memcpy(p, arg->uuid->bytes, sizeof(arg->uuid->bytes));
        return p + sizeof(arg->uuid->bytes);
    default:
        return put_int(p, arg->type, arg->i);
    }
}

/* Element `i` of an array as a scalar argument. */
static struct db_arg
element_at(enum db_type t, const struct db_array *array, size_t i)
{
    struct db_arg e = {.type = t};

    if (array->nulls && array->nulls[i])
        return db_null(t);
    switch (t) {
    case DB_BOOL:
        e.b = array->bools[i];
        return e;
    case DB_INT2:
        e.i = array->int2s[i];
        return e;
    case DB_INT4:
    case DB_DATE:
        e.i = array->int4s[i];
        return e;
    case DB_FLOAT4:
        e.f = (double)array->float4s[i];
        return e;
    case DB_FLOAT8:
        e.f = array->float8s[i];
        return e;
    case DB_UUID:
        return db_uuid(&array->uuids[i]);
    case DB_BYTEA:
        return db_bytea(array->bytes[i].p, array->bytes[i].n);
    case DB_TEXT:
    case DB_JSONB:
        return db_bytes_(t, str_of(array->texts[i]));
    default:
        e.i = array->int8s[i];
        return e;
    }
}

static size_t
scalar_bytes(const struct db_arg *arg)
{
    if (arg->is_null)
        return 0;
    if (value_types[arg->type].wire_bytes)
        return value_types[arg->type].wire_bytes;
    return arg->s.n + (arg->type == DB_JSONB ? 1 : 0);
}

static char *
put_scalar(char *p, const struct db_arg *arg)
{
    if (value_types[arg->type].wire_bytes)
        return put_fixed(p, arg);
    if (arg->type == DB_JSONB)
        *p++ = JSONB_VERSION;
    if (arg->s.n > 0)
        memcpy(p, arg->s.p, arg->s.n);
    return p + arg->s.n;
}

static char *
put_element(char *p, const struct db_arg *e)
{
    if (e->is_null)
        return put_i32(p, -1);
    p = put_i32(p, (int32_t)scalar_bytes(e));
    return put_scalar(p, e);
}

static bool
array_has_null(enum db_type t, const struct db_array *array)
{
    for (size_t i = 0; i < array->n; i++)
        if (element_at(t, array, i).is_null)
            return true;
    return false;
}

/* Bytes of a whole array with `n` elements; SIZE_MAX when it is too large. */
static size_t
array_bytes(const struct db_arg *arg)
{
    const enum db_type t = value_element(arg->type);
    size_t size = ARRAY_HEAD;

    if (arg->array.n > DB_MAX_ARRAY)
        return SIZE_MAX;
    for (size_t i = 0; i < arg->array.n; i++) {
        struct db_arg e = element_at(t, &arg->array, i);
        size += 4 + scalar_bytes(&e);
        if (size > MAX_VALUE)
            return SIZE_MAX;
    }
    return size;
}

static size_t
value_bytes(const struct db_arg *arg)
{
    if (arg->is_null)
        return 0;
    return value_is_array(arg->type) ? array_bytes(arg) : scalar_bytes(arg);
}

const char *
value_check(const enum db_type *types, size_t n_types, struct db_args args)
{
    size_t size = 0;

    if (args.n != n_types)
        return "the number of arguments is wrong";
    for (size_t i = 0; i < args.n; i++) {
        size_t n;
        if (args.v[i].type != types[i])
            return "an argument has the wrong type";
        n = value_bytes(&args.v[i]);
        if (n > MAX_VALUE || (size += n) > MAX_VALUE)
            return VALUE_TOO_LARGE;
    }
    return NULL;
}

static char *
put_array(char *p, const struct db_arg *arg)
{
    const enum db_type t = value_element(arg->type);
    const struct db_array *array = &arg->array;

    p = put_i32(p, array->n > 0 ? 1 : 0);
    p = put_i32(p, array_has_null(t, array) ? 1 : 0);
    p = put_u32(p, value_types[t].oid);
    if (array->n > 0) {
        p = put_i32(p, (int32_t)array->n);
        p = put_i32(p, 1);
    }
    for (size_t i = 0; i < array->n; i++) {
        struct db_arg e = element_at(t, array, i);
        p = put_element(p, &e);
    }
    return p;
}

/* The bytes of one argument that is not NULL. */
static const char *
encode(struct arena *a, const struct db_arg *arg, size_t *ret_n)
{
    const size_t room = value_bytes(arg);
    char *start;
    char *end;

    if (arg->type == DB_TEXT || arg->type == DB_BYTEA) { /* as it is */
        *ret_n = arg->s.n;
        return arg->s.p;
    }
    start = arena_alloc_raw(a, room);
    end = value_is_array(arg->type) ? put_array(start, arg) : put_scalar(start, arg);
    ASSERT(end <= start + room);
    *ret_n = (size_t)(end - start);
    return start;
}

void
value_encode(struct arena *a, struct db_args args, struct value_params *ret)
{
    ASSERT(args.n <= VALUE_MAX_PARAMS);
    ret->n = (int)args.n;
    for (size_t i = 0; i < args.n; i++) {
        size_t n = 0;
        ret->values[i] = args.v[i].is_null ? NULL : encode(a, &args.v[i], &n);
        ret->lengths[i] = (int)n;
    }
}

void
value_append(struct buf *b, struct arena *scratch, const struct db_arg *arg)
{
    char length[4];
    size_t n = 0;
    const char *p = arg->is_null ? NULL : encode(scratch, arg, &n);

    put_i32(length, arg->is_null ? -1 : (int32_t)n);
    buf_put(b, length, sizeof(length));
    if (n > 0)
        buf_put(b, p, n);
}

/* ---- from the wire ----------------------------------------------------------------------------
 */

static uint32_t
get_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t
get_u64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static int64_t
timestamp_from_wire(int64_t v)
{
    if (v == INT64_MIN)
        return -DB_INFINITY;
    if (v > INT64_MAX - EPOCH_US)
        return DB_INFINITY;
    return v + EPOCH_US;
}

static int32_t
date_from_wire(int32_t v)
{
    if (v == INT32_MIN)
        return -INT32_MAX;
    if (v > INT32_MAX - EPOCH_DAYS)
        return INT32_MAX;
    return v + EPOCH_DAYS;
}

/* A value whose width is already known to be right. */
static void
decode_fixed(enum db_type t, const char *p, void *out)
{
    uint16_t u2;
    uint32_t u4;
    uint64_t u8;

    switch (t) {
    case DB_BOOL:
        *(bool *)out = *p != 0;
        break;
    case DB_INT2:
        memcpy(&u2, p, sizeof(u2));
        *(int16_t *)out = (int16_t)be16toh(u2);
        break;
    case DB_INT4:
        *(int32_t *)out = (int32_t)get_u32(p);
        break;
    case DB_DATE:
        *(int32_t *)out = date_from_wire((int32_t)get_u32(p));
        break;
    case DB_FLOAT4:
        u4 = get_u32(p);
        memcpy(out, &u4, sizeof(u4));
        break;
    case DB_FLOAT8:
        u8 = get_u64(p);
        memcpy(out, &u8, sizeof(u8));
        break;
    case DB_UUID:
        memcpy(out, p, sizeof(struct uuid));
        break;
    case DB_TIMESTAMPTZ:
        *(int64_t *)out = timestamp_from_wire((int64_t)get_u64(p));
        break;
    default:
        *(int64_t *)out = (int64_t)get_u64(p);
        break;
    }
}

static bool
decode_scalar(struct arena *a, enum db_type t, const char *p, size_t n, void *out)
{
    if (value_types[t].wire_bytes) {
        if (n != value_types[t].wire_bytes)
            return false;
        decode_fixed(t, p, out);
        return true;
    }
    if (t == DB_BYTEA) {
        *(struct str *)out = (struct str){arena_memdup(a, p, n), n};
        return true;
    }
    if (t == DB_JSONB) {
        if (n < 1 || p[0] != JSONB_VERSION)
            return false;
        p++;
        n--;
    }
    *(const char **)out = arena_strndup(a, p, n);
    return true;
}

/* Elements of a one-dimensional array, the header being read. */
static bool
decode_elements(struct arena *a, enum db_type t, const char *p, const char *end, size_t n,
                struct db_array *out)
{
    const size_t width = value_types[t].c_size;
    char *items = arena_array(a, n, width);
    bool *nulls = NULL;

    for (size_t i = 0; i < n; i++) {
        int32_t length;
        if (end - p < 4)
            return false;
        length = (int32_t)get_u32(p);
        p += 4;
        if (length == -1) {
            if (!nulls)
                nulls = arena_new_n(a, bool, n);
            nulls[i] = true;
            continue;
        }
        if (length < 0 || length > end - p)
            return false;
        if (!decode_scalar(a, t, p, (size_t)length, items + i * width))
            return false;
        p += length;
    }
    *out = (struct db_array){.n = n, .nulls = nulls, .items = items};
    return p == end;
}

static bool
decode_array(struct arena *a, enum db_type t, const char *p, size_t n, struct db_array *out)
{
    const char *end = p + n;
    uint32_t dimensions;
    uint32_t count;

    if (n < 12)
        return false;
    dimensions = get_u32(p);
    if (!value_accepts(t, get_u32(p + 8)))
        return false;
    if (dimensions == 0) {
        *out = (struct db_array){.n = 0, .items = arena_alloc(a, 1)};
        return n == 12;
    }
    if (dimensions != 1 || n < ARRAY_HEAD)
        return false;
    count = get_u32(p + 12);
    if (count > (n - ARRAY_HEAD) / 4) /* each has at least its length */
        return false;
    return decode_elements(a, t, p + ARRAY_HEAD, end, count, out);
}

bool
value_decode(struct arena *a, enum db_type t, const char *p, size_t n, void *out)
{
    if (value_is_array(t))
        return decode_array(a, value_element(t), p, n, (struct db_array *)out);
    return decode_scalar(a, t, p, n, out);
}
