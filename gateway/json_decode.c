/* JSON to wire bytes: messages, lists, maps and scalars, in one pass. */
#include "gateway/json_read.h"

#include <math.h>

#define SEEN_WORDS 4 /* fields whose "was there" bits need no allocation, in 64s */

/* Room for the widest scalar with its tag. */
#define SCALAR_ROOM 16

static char *
room(struct json_reader *r, size_t n)
{
    struct buf *b = r->out;
    if (LIKELY(b->cap - b->len > n && b->max - b->len >= n && !b->overflow))
        return b->data + b->len;
    char *p = buf_reserve(b, n);
    if (!p && !r->failed) {
        json_fail(r, "makes the message too large");
        r->err->failure = JSON_TOO_LARGE;
    }
    return p;
}

static bool
put_bits(struct json_reader *r, uint64_t bits, size_t n)
{
    char *p = room(r, n);
    if (!p)
        return false;
    memcpy(p, &bits, n);
    r->out->len += n;
    return true;
}

static bool
put_varint(struct json_reader *r, uint64_t v)
{
    char *p = room(r, WIRE_VARINT_MAX);
    if (!p)
        return false;
    r->out->len += (size_t)(wire_write_varint(p, v) - p);
    return true;
}

static bool
put_text(struct json_reader *r, struct str s)
{
    char *p = room(r, s.n + WIRE_VARINT_MAX);
    if (!p)
        return false;
    char *to = wire_write_varint(p, s.n);
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    r->out->len += (size_t)(to - p) + s.n;
    return true;
}

/* ---- scalars ---- */

static bool
put_integer(struct json_reader *r, const struct schema_field *f, const struct json_number *n)
{
    int64_t i = 0;
    uint64_t u = 0;
    bool is_unsigned = f->type == TYPE_UINT32 || f->type == TYPE_FIXED32 ||
                       f->type == TYPE_UINT64 || f->type == TYPE_FIXED64;
    if (is_unsigned ? !json_number_u64(n, &u) : !json_number_i64(n, &i))
        return json_fail(r, "must be an integer in the type's range");
    switch (f->type) {
    case TYPE_INT32:
    case TYPE_SFIXED32:
    case TYPE_SINT32:
        if (i < INT32_MIN || i > INT32_MAX)
            return json_fail(r, "must be an integer of 32 bits");
        if (f->type == TYPE_SFIXED32)
            return put_bits(r, (uint64_t)i, 4);
        return put_varint(r, f->type == TYPE_SINT32 ? wire_zigzag(i) : (uint64_t)i);
    case TYPE_UINT32:
    case TYPE_FIXED32:
        if (u > UINT32_MAX)
            return json_fail(r, "must be an integer from 0 to 4294967295");
        return f->type == TYPE_FIXED32 ? put_bits(r, u, 4) : put_varint(r, u);
    case TYPE_SINT64:
        return put_varint(r, wire_zigzag(i));
    case TYPE_SFIXED64:
        return put_bits(r, (uint64_t)i, 8);
    case TYPE_FIXED64:
        return put_bits(r, u, 8);
    case TYPE_UINT64:
        return put_varint(r, u);
    default:
        return put_varint(r, (uint64_t)i);
    }
}

static bool
put_real(struct json_reader *r, const struct schema_field *f, const struct json_number *n)
{
    uint64_t bits = 0;
    if (f->type == TYPE_DOUBLE) {
        double v;
        if (!json_number_double(n, &v))
            return json_fail(r, "is too large for a double");
        memcpy(&bits, &v, sizeof(v));
        return put_bits(r, bits, 8);
    }
    float v;
    if (!json_number_float(n, &v))
        return json_fail(r, "is too large for a float");
    memcpy(&bits, &v, sizeof(v));
    return put_bits(r, bits, 4);
}

static bool
put_special(struct json_reader *r, const struct schema_field *f, struct str s, bool *ret_is_special)
{
    double d;
    uint64_t bits = 0;
    *ret_is_special = true;
    if (str_eq(s, STR("NaN")))
        d = (double)NAN;
    else if (str_eq(s, STR("Infinity")))
        d = (double)INFINITY;
    else if (str_eq(s, STR("-Infinity")))
        d = -(double)INFINITY;
    else
        return *ret_is_special = false;
    if (f->type == TYPE_DOUBLE) {
        memcpy(&bits, &d, sizeof(d));
        return put_bits(r, bits, 8);
    }
    float v = (float)d;
    memcpy(&bits, &v, sizeof(v));
    return put_bits(r, bits, 4);
}

static bool
is_real(const struct schema_field *f)
{
    return f->type == TYPE_DOUBLE || f->type == TYPE_FLOAT;
}

/* A number that stands in a string or in bare text. */
static bool
put_number_text(struct json_reader *r, const struct schema_field *f, struct str text)
{
    struct json_number n;
    bool special;
    if (is_real(f)) {
        bool put = put_special(r, f, text, &special);
        if (special)
            return put;
    }
    if (!json_number_text(text, &n))
        return json_fail(r, is_real(f) ? "must be a number" : "must be an integer");
    return is_real(f) ? put_real(r, f, &n) : put_integer(r, f, &n);
}

static bool
decode_number(struct json_reader *r, const struct schema_field *f)
{
    struct json_number n;
    struct str text;
    char c = json_peek(r);
    if (LIKELY(c == '-' || (unsigned)(c - '0') <= 9))
        return json_number(r, &n) && (is_real(f) ? put_real(r, f, &n) : put_integer(r, f, &n));
    if (c == '"')
        return json_string(r, &text) && put_number_text(r, f, text);
    return json_skip(r) && json_fail(r, is_real(f) ? "must be a number" : "must be an integer");
}

static bool
not_a_value(struct json_reader *r, const struct schema_enum *e)
{
    return json_fail(r, "is not a value of %s", e->full_name);
}

static bool
put_enum_name(struct json_reader *r, const struct schema_enum *e, struct str name)
{
    const struct schema_enum_value *v = schema_value_find(e, name);
    return v ? put_varint(r, (uint64_t)(int64_t)v->number) : not_a_value(r, e);
}

/* Numbers without a name are kept, but null is all that a NullValue can be. */
static bool
put_enum_number(struct json_reader *r, const struct schema_enum *e, const struct json_number *n)
{
    int64_t v;
    if (!json_number_i64(n, &v) || v < INT32_MIN || v > INT32_MAX || (e->is_null_value && v != 0))
        return not_a_value(r, e);
    return put_varint(r, (uint64_t)v);
}

static bool
decode_enum(struct json_reader *r, const struct schema_field *f)
{
    struct json_number n;
    struct str name;
    char c = json_peek(r);
    if (c == '"')
        return json_string(r, &name) && put_enum_name(r, f->enumeration, name);
    if (f->enumeration->is_null_value && json_take(r, STR("null")))
        return put_varint(r, 0);
    if (c == '{' || c == '[' || c == 't' || c == 'f' || c == 'n')
        return json_skip(r) && not_a_value(r, f->enumeration);
    return json_number(r, &n) && put_enum_number(r, f->enumeration, &n);
}

static bool
put_base64(struct json_reader *r, struct str text)
{
    size_t mark = r->out->len + 1;
    if (!room(r, text.n + SCALAR_ROOM))
        return false;
    buf_putc(r->out, 0);
    if (!json_base64_decode(text, r->out))
        return json_fail(r, "must be base64");
    wire_close(r->out, mark);
    return true;
}

bool
json_decode_scalar(struct json_reader *r, const struct schema_field *f)
{
    struct str text;
    switch (f->type) {
    case TYPE_STRING:
    case TYPE_BYTES:
        if (json_peek(r) != '"')
            return json_skip(r) && json_fail(r, "must be a string");
        if (!json_string(r, &text))
            return false;
        return f->type == TYPE_STRING ? put_text(r, text) : put_base64(r, text);
    case TYPE_BOOL:
        if (json_take(r, STR("true")))
            return put_varint(r, 1);
        if (json_take(r, STR("false")))
            return put_varint(r, 0);
        return json_skip(r) && json_fail(r, "must be true or false");
    case TYPE_ENUM:
        return decode_enum(r, f);
    case TYPE_GROUP:
    case TYPE_MESSAGE:
        return json_fail(r, "is of a type without JSON");
    default:
        return decode_number(r, f);
    }
}

static bool
put_text_value(struct json_reader *r, const struct schema_field *f, struct str text)
{
    struct json_number n;
    switch (f->type) {
    case TYPE_STRING:
        return str_utf8_valid(text) ? put_text(r, text) : json_fail(r, "is not UTF-8");
    case TYPE_BYTES:
        return put_base64(r, text);
    case TYPE_BOOL:
        if (str_eq(text, STR("true")) || str_eq(text, STR("1")))
            return put_varint(r, 1);
        if (str_eq(text, STR("false")) || str_eq(text, STR("0")))
            return put_varint(r, 0);
        return json_fail(r, "must be true or false");
    case TYPE_ENUM:
        return json_number_text(text, &n) ? put_enum_number(r, f->enumeration, &n)
                                          : put_enum_name(r, f->enumeration, text);
    default:
        return put_number_text(r, f, text);
    }
}

/* ---- fields ---- */

static bool
put_tag(struct json_reader *r, const struct schema_field *f)
{
    return put_varint(r, wire_tag(f->number, f->wire));
}

static bool
open_field(struct json_reader *r, const struct schema_field *f, size_t *ret_mark)
{
    if (!room(r, SCALAR_ROOM))
        return false;
    *ret_mark = wire_open(r->out, f->number);
    return true;
}

static bool
close_field(struct json_reader *r, size_t mark)
{
    if (!room(r, SCALAR_ROOM))
        return false;
    wire_close(r->out, mark);
    return true;
}

/* One value with its tag. */
static bool
decode_one(struct json_reader *r, const struct schema_field *f)
{
    size_t mark;
    if (f->type == TYPE_GROUP)
        return json_fail(r, "is of a type without JSON");
    if (f->type == TYPE_MESSAGE)
        return open_field(r, f, &mark) && json_decode_value(r, f->message) && close_field(r, mark);
    return put_tag(r, f) && json_decode_scalar(r, f);
}

/* Null stands for a value of its own in Value and NullValue. */
static bool
null_is_value(const struct schema_field *f)
{
    return f->message ? f->message->wkt == WKT_VALUE
                      : f->type == TYPE_ENUM && f->enumeration->is_null_value;
}

static bool
refuse_null(struct json_reader *r, const struct schema_field *f)
{
    if (json_peek(r) == 'n' && !null_is_value(f))
        return json_skip(r) && json_fail(r, "must not be null");
    return true;
}

static bool
decode_element(struct json_reader *r, const struct schema_field *f)
{
    if (UNLIKELY(json_peek(r) == 'n') && !refuse_null(r, f))
        return false;
    return f->packed ? json_decode_scalar(r, f) : decode_one(r, f);
}

static bool
decode_list(struct json_reader *r, const struct schema_field *f)
{
    struct json_frame *frame = json_frame(r);
    size_t before = r->out->len, mark = 0;
    bool more = true, single = json_peek(r) != '[';
    if (f->packed && !open_field(r, f, &mark))
        return false;
    if (single && !decode_element(r, f))
        return false;
    if (!single) {
        r->p++;
        if (json_peek(r) == ']') {
            r->p++;
            r->out->len = before;
            return true;
        }
        for (frame->index = 0; more; frame->index++)
            if (!decode_element(r, f) || !json_comma(r, ']', &more))
                return false;
        frame->index = -1;
    }
    return !f->packed || close_field(r, mark);
}

/* ---- maps ---- */

bool
json_decode_key(struct json_reader *r, const struct schema_field *f, struct str text)
{
    bool one_spelling = text.n > 0 && text.p[0] != '+' && !memchr(text.p, '.', text.n) &&
                        !memchr(text.p, 'e', text.n) && !memchr(text.p, 'E', text.n) &&
                        !str_eq(text, STR("-0"));
    if (f->type == TYPE_BOOL && text.n == 1)
        return json_fail(r, "must be true or false");
    if (f->type != TYPE_STRING && f->type != TYPE_BOOL && !one_spelling)
        return json_fail(r, "must be an integer");
    return put_tag(r, f) && put_text_value(r, f, text);
}

static bool
decode_map(struct json_reader *r, const struct schema_field *f)
{
    const struct schema_field *value = &f->message->fields[1];
    struct json_frame *frame = json_frame(r);
    struct json_keys keys = {0};
    bool more = true;
    if (json_peek(r) != '{')
        return json_skip(r) && json_fail(r, "must be an object");
    r->p++;
    if (json_peek(r) == '}') {
        r->p++;
        return true;
    }
    while (more) {
        size_t mark;
        if (!json_key(r, &frame->key))
            return false;
        if (!json_keys_add(&keys, r->scratch, frame->key))
            return json_fail(r, "is given twice");
        if (!open_field(r, f, &mark) || !json_decode_key(r, &f->message->fields[0], frame->key) ||
            !refuse_null(r, value) || !decode_one(r, value) || !close_field(r, mark) ||
            !json_comma(r, '}', &more))
            return false;
    }
    frame->key.p = NULL;
    return true;
}

/* ---- messages ---- */

static bool
decode_field(struct json_reader *r, const struct schema_field *f)
{
    if (f->map)
        return decode_map(r, f);
    return f->repeated ? decode_list(r, f) : decode_one(r, f);
}

/* The field of that name; usually the one behind the last. */
static const struct schema_field *
find_field(const struct schema_message *m, uint32_t next, struct str name)
{
    if (LIKELY(next < m->field_count) && str_eq(m->fields[next].name, name))
        return &m->fields[next];
    return schema_field_find(m, name);
}

static bool
mark_seen(uint64_t *seen, uint32_t bit)
{
    uint64_t mask = (uint64_t)1 << bit % 64;
    bool was = seen[bit / 64] & mask;
    seen[bit / 64] |= mask;
    return was;
}

/* One member behind its key. */
static bool
decode_member(struct json_reader *r, const struct schema_message *m, const struct schema_field *f,
              uint64_t *seen)
{
    struct json_frame *frame = json_frame(r);
    frame->name = f->name;
    if (mark_seen(seen, f->index))
        return json_fail(r, "is given twice");
    if (json_peek(r) == 'n' && (f->repeated || !null_is_value(f)))
        return json_take(r, STR("null")) || json_syntax(r, "a value expected");
    if (f->oneof >= 0 && mark_seen(seen, m->field_count + (uint32_t)f->oneof))
        return json_fail(r, "must not be given beside another of its group");
    return decode_field(r, f);
}

bool
json_decode_members(struct json_reader *r, const struct schema_message *m, struct str ignore)
{
    uint64_t few[SEEN_WORDS] = {0}, *seen = few;
    uint32_t bits = m->field_count + m->oneof_count;
    uint32_t next = 0;
    bool more = true, ignored = false;
    struct str key;
    if (bits > SEEN_WORDS * 64)
        seen = arena_new_n(r->scratch, uint64_t, bits / 64 + 1);
    if (json_peek(r) == '}') {
        r->p++;
        return true;
    }
    if (!json_enter(r))
        return false;
    while (more) {
        *json_frame(r) = (struct json_frame){.index = -1};
        if (!json_key(r, &key))
            return false;
        const struct schema_field *f = find_field(m, next, key);
        if (LIKELY(f)) {
            next = f->index + 1;
            if (!decode_member(r, m, f, seen))
                return false;
        } else if (!ignore.p || !str_eq(key, ignore)) {
            return json_fail_at(r, key, "is not a field of %s", m->full_name);
        } else if (ignored) {
            return json_fail_at(r, key, "is given twice");
        } else {
            ignored = true;
            if (!json_skip(r))
                return false;
        }
        if (!json_comma(r, '}', &more))
            return false;
    }
    json_leave(r);
    return true;
}

bool
json_decode_value(struct json_reader *r, const struct schema_message *m)
{
    if (m->wkt != WKT_NONE)
        return json_decode_wkt(r, m);
    if (json_peek(r) != '{')
        return json_skip(r) && json_fail(r, "must be an object");
    r->p++;
    return json_decode_members(r, m, (struct str){0});
}

/* ---- entry points ---- */

bool
json_decode(const struct schema *s, const struct schema_message *m, struct str text,
            struct arena *scratch, struct buf *out, struct json_error *err)
{
    struct json_reader r;
    json_reader_init(&r, s, text, scratch, out, err);
    return json_decode_value(&r, m) && json_finish(&r) && room(&r, 0);
}

bool
json_decode_field(const struct schema *s, const struct schema_field *f, struct str text,
                  struct arena *scratch, struct buf *out, struct json_error *err)
{
    struct json_reader r;
    json_reader_init(&r, s, text, scratch, out, err);
    if (!json_enter(&r))
        return false;
    json_frame(&r)->name = f->name;
    if (json_peek(&r) == 'n' && (f->repeated || !null_is_value(f)))
        return json_skip(&r) && json_finish(&r);
    return decode_field(&r, f) && json_finish(&r) && room(&r, 0);
}

static bool
decode_text(struct json_reader *r, const struct schema_field *f, struct str text)
{
    size_t mark;
    if (f->type == TYPE_GROUP)
        return json_fail(r, "is of a type without text");
    if (f->type != TYPE_MESSAGE)
        return put_tag(r, f) && put_text_value(r, f, text);
    const struct schema_message *m = f->message;
    if (!open_field(r, f, &mark))
        return false;
    if (m->wkt == WKT_WRAPPER) {
        if (!put_tag(r, &m->fields[0]) || !put_text_value(r, &m->fields[0], text))
            return false;
    } else if (m->wkt == WKT_STRUCT || m->wkt == WKT_VALUE || m->wkt == WKT_LIST_VALUE) {
        if (!json_decode_wkt(r, m) || !json_finish(r))
            return false;
    } else if (!json_decode_wkt_text(r, m, text)) {
        return false;
    }
    return close_field(r, mark);
}

bool
json_decode_text(const struct schema *s, const struct schema_field *f, struct str text,
                 struct arena *scratch, struct buf *out, struct json_error *err)
{
    struct json_reader r;
    json_reader_init(&r, s, text, scratch, out, err);
    return decode_text(&r, f, text) && room(&r, 0);
}

bool
json_decode_entry(const struct schema *s, const struct schema_field *f, struct str key,
                  struct str value, struct arena *scratch, struct buf *out, struct json_error *err)
{
    struct json_reader r;
    size_t mark;
    json_reader_init(&r, s, value, scratch, out, err);
    return open_field(&r, f, &mark) && json_decode_key(&r, &f->message->fields[0], key) &&
           decode_text(&r, &f->message->fields[1], value) && close_field(&r, mark) && room(&r, 0);
}
