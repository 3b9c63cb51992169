/* Wire bytes to JSON: a message's fields are found in one walk over its bytes,
 * then written in the order of their declaration. */
#include <math.h>

#include "gateway/json_write.h"
#include "gateway/number.h"

#define SAFE_INTEGER 9007199254740991 /* 2^53 - 1 */

bool
json_write_fail(struct json_writer *w, const char *text)
{
    if (!w->failed) {
        w->failed = true;
        w->err->failure = JSON_SYNTAX;
        w->err->path[0] = 0;
        w->err->offset = 0;
        buf_clear(&w->text);
        buf_puts(&w->text, text);
        size_t n = w->text.len < sizeof(w->err->text) ? w->text.len : sizeof(w->err->text) - 1;
        if (n > 0)
            memcpy(w->err->text, w->text.data, n);
        w->err->text[n] = 0;
    }
    return false;
}

char *
json_write_room(struct json_writer *w, size_t n)
{
    char *p = buf_reserve(w->out, n);
    if (!p && json_write_fail(w, "makes the message too large") == false)
        w->err->failure = JSON_TOO_LARGE;
    return p;
}

/* ---- strings ---- */

/* True when one of the eight bytes needs an escape. */
static inline bool
escape8(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
    return (((v - ones * 0x20) & ~v) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) &
           high;
}

static char *
put_escape(char *to, char c)
{
    static const char hex[] = "0123456789abcdef", names[] = "\"\\\b\f\n\r\t",
                      letters[] = "\"\\bfnrt";
    const char *at = c ? memchr(names, c, sizeof(names) - 1) : NULL;
    *to++ = '\\';
    if (at) {
        *to++ = letters[at - names];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = hex[(uint8_t)c >> 4];
    to[4] = hex[c & 15];
    return to + 5;
}

/* The bytes of `s` as a JSON string: at once for short ones at their worst, counted for long ones.
 */
static size_t
string_room(struct str s)
{
    if (s.n <= 128)
        return s.n * 6 + 2;
    size_t n = s.n + 2;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (UNLIKELY((uint8_t)c < 0x20))
            n += 5;
        else if (UNLIKELY(c == '"' || c == '\\'))
            n++;
    }
    return n;
}

bool
json_write_string(struct json_writer *w, struct str s)
{
    if (!str_utf8_valid(s))
        return json_write_fail(w, "a string is not UTF-8");
    char *to = json_write_space(w, string_room(s));
    if (!to)
        return false;
    *to++ = '"';
    const char *p = s.p, *end = p + s.n;
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8) {
            memcpy(&eight, p, 8);
            if (escape8(eight))
                break;
            memcpy(to, p, 8);
            p += 8;
            to += 8;
        }
        for (int i = 0; i < 8 && p < end; i++, p++) {
            if (UNLIKELY((uint8_t)*p < 0x20 || *p == '"' || *p == '\\'))
                to = put_escape(to, *p);
            else
                *to++ = *p;
        }
    }
    *to++ = '"';
    json_write_done(w, to);
    return true;
}

bool
json_write_literal(struct json_writer *w, struct str s)
{
    char *to = json_write_space(w, s.n);
    if (!to)
        return false;
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    json_write_done(w, to + s.n);
    return true;
}

static bool
put_base64(struct json_writer *w, struct str bytes)
{
    if (!json_write_space(w, bytes.n / 3 * 4 + 8))
        return false;
    buf_putc(w->out, '"');
    json_base64_encode(bytes, w->out);
    buf_putc(w->out, '"');
    return true;
}

/* ---- scalars ---- */

static char *
put_i64(const struct json_writer *w, char *p, int64_t v)
{
    bool quoted = w->style->int64_strings || v > SAFE_INTEGER || v < -SAFE_INTEGER;
    if (quoted)
        *p++ = '"';
    p = number_put_int(p, v);
    if (quoted)
        *p++ = '"';
    return p;
}

static char *
put_u64(const struct json_writer *w, char *p, uint64_t v)
{
    bool quoted = w->style->int64_strings || v > SAFE_INTEGER;
    if (quoted)
        *p++ = '"';
    p = number_put_uint(p, v);
    if (quoted)
        *p++ = '"';
    return p;
}

static char *
put_text(char *p, const char *text)
{
    return (char *)mempcpy(p, text, strlen(text));
}

/* NaN and the infinities; NULL: the number is finite. */
static char *
put_special(char *p, double v)
{
    if (LIKELY(isfinite(v)))
        return NULL;
    return put_text(p, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

static char *
put_double(char *p, uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    char *end = put_special(p, v);
    return end ? end : number_put_double(p, v);
}

static char *
put_float(char *p, uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    char *end = put_special(p, (double)v);
    return end ? end : number_put_float(p, v);
}

static bool
put_enum(struct json_writer *w, const struct schema_enum *e, int32_t number)
{
    if (e->is_null_value)
        return json_write_literal(w, STR("null"));
    const struct schema_enum_value *v = schema_value_by_number(e, number);
    if (v)
        return json_write_literal(w, v->quoted);
    char *p = json_write_space(w, NUMBER_TEXT);
    if (!p)
        return false;
    json_write_done(w, number_put_int(p, number));
    return true;
}

/* A number of the field's type from its wire bits. */
static bool
put_number(struct json_writer *w, const struct schema_field *f, uint64_t bits)
{
    if (f->type == TYPE_ENUM)
        return put_enum(w, f->enumeration, (int32_t)(uint32_t)bits);
    char *p = json_write_space(w, NUMBER_TEXT + 2);
    if (!p)
        return false;
    switch (f->type) {
    case TYPE_DOUBLE:
        p = put_double(p, bits);
        break;
    case TYPE_FLOAT:
        p = put_float(p, (uint32_t)bits);
        break;
    case TYPE_INT64:
    case TYPE_SFIXED64:
        p = put_i64(w, p, (int64_t)bits);
        break;
    case TYPE_SINT64:
        p = put_i64(w, p, wire_unzigzag(bits));
        break;
    case TYPE_UINT64:
    case TYPE_FIXED64:
        p = put_u64(w, p, bits);
        break;
    case TYPE_SINT32:
        p = number_put_int(p, (int32_t)wire_unzigzag((uint32_t)bits));
        break;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        p = number_put_uint(p, (uint32_t)bits);
        break;
    case TYPE_BOOL:
        p = put_text(p, bits ? "true" : "false");
        break;
    default: /* int32, sfixed32 */
        p = number_put_int(p, (int32_t)(uint32_t)bits);
        break;
    }
    json_write_done(w, p);
    return true;
}

bool
json_write_value(struct json_writer *w, const struct schema_field *f, const struct wire_field *v)
{
    switch (f->type) {
    case TYPE_STRING:
        return json_write_string(w, v->bytes);
    case TYPE_BYTES:
        return put_base64(w, v->bytes);
    case TYPE_MESSAGE:
        return json_write_message(w, f->message, v->bytes);
    case TYPE_GROUP:
        return json_write_fail(w, "a group has no JSON");
    default:
        return put_number(w, f, v->bits);
    }
}

static bool
put_default(struct json_writer *w, const struct schema_field *f)
{
    if (f->map)
        return json_write_literal(w, STR("{}"));
    if (f->repeated)
        return json_write_literal(w, STR("[]"));
    if (f->presence)
        return json_write_literal(w, STR("null"));
    struct wire_field zero = {.bits = 0, .bytes = STR("")};
    return json_write_value(w, f, &zero);
}

/* ---- lists and maps ---- */

/* The elements of a packed list; `*first` says whether a comma is due. */
static bool
put_packed(struct json_writer *w, const struct schema_field *f, struct str packed, bool *first)
{
    const char *p = packed.p, *end = p + packed.n;
    size_t width = f->wire == WIRE_FIXED64 ? 8 : f->wire == WIRE_FIXED32 ? 4 : 0;
    if (width && packed.n % width != 0)
        return json_write_fail(w, "a packed list is cut");
    while (p < end) {
        uint64_t bits = 0;
        if (width) {
            memcpy(&bits, p, width);
            p += width;
        } else if (!(p = wire_varint(p, end, &bits))) {
            return json_write_fail(w, "a packed list is cut");
        }
        if (!*first && !json_write_literal(w, STR(",")))
            return false;
        *first = false;
        if (!put_number(w, f, bits))
            return false;
    }
    return true;
}

/* A map's key as a JSON string. */
static bool
put_key(struct json_writer *w, const struct schema_field *f, const struct wire_field *v)
{
    if (f->type == TYPE_STRING)
        return json_write_string(w, v->bytes) && json_write_literal(w, STR(":"));
    char *p = json_write_space(w, NUMBER_TEXT + 4);
    if (!p)
        return false;
    size_t start = w->out->len;
    if (!put_number(w, f, v->bits))
        return false;
    if (w->out->data[start] == '"') /* a large integer has its quotes */
        return json_write_literal(w, STR(":"));
    p = w->out->data + start;
    size_t n = w->out->len - start;
    if (!json_write_space(w, 3))
        return false;
    p = w->out->data + start;
    memmove(p + 1, p, n);
    *p = '"';
    w->out->len++;
    return json_write_literal(w, STR("\":"));
}

static bool
put_entry(struct json_writer *w, const struct schema_field *f, struct str entry)
{
    const struct schema_field *fields = f->message->fields;
    struct wire_field key = {.bytes = STR("")}, value = {.bytes = STR("")}, at;
    const char *p = entry.p, *end = p + entry.n;
    while (p < end) {
        p = wire_next(p, end, &at);
        if (!p)
            return json_write_fail(w, "a map entry is cut");
        if (at.number == 1 && at.type == fields[0].wire)
            key = at;
        else if (at.number == 2 && at.type == fields[1].wire)
            value = at;
    }
    return put_key(w, &fields[0], &key) && json_write_value(w, &fields[1], &value);
}

static bool
put_list(struct json_writer *w, const struct schema_field *f, struct json_slot slot)
{
    bool first = true;
    struct wire_field v;
    const char *p = slot.first;
    if (!json_write_literal(w, f->map ? STR("{") : STR("[")))
        return false;
    while (p < slot.end) {
        p = wire_next(p, slot.end, &v); /* was read before: cannot be cut */
        if (!p)
            return json_write_fail(w, "the message is cut");
        if (v.number != f->number)
            continue;
        if (v.type == WIRE_BYTES && f->wire != WIRE_BYTES) {
            if (!put_packed(w, f, v.bytes, &first))
                return false;
            continue;
        }
        if (v.type != f->wire)
            continue;
        if (!first && !json_write_literal(w, STR(",")))
            return false;
        first = false;
        if (f->map ? !put_entry(w, f, v.bytes) : !json_write_value(w, f, &v))
            return false;
    }
    return json_write_literal(w, f->map ? STR("}") : STR("]"));
}

/* ---- messages ---- */

static bool
reserve_slots(struct json_writer *w, size_t n)
{
    if (LIKELY(w->slot_count + n <= w->slot_cap))
        return true;
    size_t cap = (w->slot_count + n) * 2;
    struct json_slot *slots = arena_new_n(&w->arena, struct json_slot, cap);
    memcpy(slots, w->slots, w->slot_count * sizeof(*slots));
    w->slots = slots;
    w->slot_cap = cap;
    return true;
}

/* A member of a oneof puts out the one that was set before it. */
static void
clear_siblings(const struct schema_message *m, const struct schema_field *f,
               struct json_slot *slots)
{
    for (uint32_t i = 0; i < m->field_count; i++)
        if (i != f->index && m->fields[i].oneof == f->oneof)
            slots[i] = (struct json_slot){0};
}

bool
json_write_scan(struct json_writer *w, const struct schema_message *m, struct str wire, size_t base)
{
    const char *p = wire.p, *end = p + wire.n;
    struct json_slot *slots = &w->slots[base];
    struct wire_field v;
    memset(slots, 0, m->field_count * sizeof(*slots));
    while (p < end) {
        const char *start = p;
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "the message is cut");
        const struct schema_field *f = schema_field_by_number(m, v.number);
        if (!f ||
            (v.type != f->wire && !(v.type == WIRE_BYTES && f->repeated && f->wire != WIRE_GROUP)))
            continue;
        struct json_slot *slot = &slots[f->index];
        if (!slot->first) {
            if (f->oneof >= 0)
                clear_siblings(m, f, slots);
            slot->first = start;
        }
        slot->last = start;
        slot->end = p;
    }
    return true;
}

/* A message that came in pieces is their concatenation. */
static struct str
join_pieces(struct json_writer *w, const struct schema_field *f, struct json_slot slot)
{
    struct wire_field v;
    size_t n = 0;
    char *all = arena_alloc_raw(&w->arena, (size_t)(slot.end - slot.first));
    for (const char *p = slot.first; p && p < slot.end;) {
        p = wire_next(p, slot.end, &v);
        if (p && v.number == f->number && v.type == WIRE_BYTES) {
            memcpy(all + n, v.bytes.p, v.bytes.n);
            n += v.bytes.n;
        }
    }
    return (struct str){all, n};
}

bool
json_write_slot(struct json_writer *w, const struct schema_field *f, struct json_slot slot)
{
    struct wire_field v;
    if (!slot.first)
        return put_default(w, f);
    if (f->repeated)
        return put_list(w, f, slot);
    if (!wire_next(slot.last, slot.end, &v))
        return json_write_fail(w, "the message is cut");
    if (f->type == TYPE_MESSAGE && slot.first != slot.last)
        v.bytes = join_pieces(w, f, slot);
    return json_write_value(w, f, &v);
}

/* 0, or empty. Lists and maps are never sent so. */
static bool
is_default(const struct schema_field *f, struct json_slot slot)
{
    struct wire_field v;
    return !f->presence && !f->repeated && wire_next(slot.last, slot.end, &v) &&
           (v.type == WIRE_BYTES ? v.bytes.n == 0 : v.bits == 0);
}

/* True when the field is left out. */
static bool
is_left_out(const struct json_writer *w, const struct schema_field *f, struct json_slot slot)
{
    if (UNLIKELY(w->style->emit == JSON_EMIT_NONE))
        return !slot.first || is_default(f, slot);
    if (slot.first || !f->presence)
        return false;
    return w->style->emit != JSON_EMIT_ALL || f->type != TYPE_MESSAGE || f->oneof >= 0 ||
           f->message->wkt == WKT_VALUE; /* whose null is a value */
}

bool
json_write_fields(struct json_writer *w, const struct schema_message *m, struct str wire,
                  bool first)
{
    size_t base = w->slot_count;
    if (!reserve_slots(w, m->field_count))
        return false;
    w->slot_count += m->field_count;
    if (!json_write_scan(w, m, wire, base))
        return false;
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct schema_field *f = &m->fields[i];
        struct json_slot slot = w->slots[base + i];
        if (is_left_out(w, f, slot))
            continue;
        struct str key = f->key[w->style->names];
        char *to = json_write_space(w, key.n + 1);
        if (!to)
            return false;
        *to = ',';
        to += !first;
        first = false;
        memcpy(to, key.p, key.n);
        json_write_done(w, to + key.n);
        if (!json_write_slot(w, f, slot))
            return false;
    }
    w->slot_count = base;
    return true;
}

bool
json_write_message(struct json_writer *w, const struct schema_message *m, struct str wire)
{
    if (w->depth == JSON_DEPTH_MAX)
        return json_write_fail(w, "the message is nested too deep");
    w->depth++;
    bool written = m->wkt != WKT_NONE
                       ? json_write_wkt(w, m, wire)
                       : json_write_literal(w, STR("{")) && json_write_fields(w, m, wire, true) &&
                             json_write_literal(w, STR("}"));
    w->depth--;
    return written;
}

/* ---- entry points ---- */

static void
writer_init(struct json_writer *w, const struct schema *s, const struct json_style *style,
            struct buf *out, struct json_error *err)
{
    w->schema = s;
    w->style = style;
    w->out = out;
    w->err = err;
    w->failed = false;
    w->depth = 0;
    w->slots = w->few;
    w->slot_count = 0;
    w->slot_cap = ARRAY_LEN(w->few);
    arena_init(&w->arena, 0);
    buf_init(&w->text, sizeof(err->text));
}

static void
writer_fini(struct json_writer *w)
{
    buf_fini(&w->text);
    arena_fini(&w->arena);
}

bool
json_encode(const struct schema *s, const struct schema_message *m, struct str wire,
            const struct json_style *style, struct buf *out, struct json_error *err)
{
    struct json_writer w;
    if (wire.n == 0)
        wire = STR("");
    writer_init(&w, s, style, out, err);
    bool written = json_write_message(&w, m, wire);
    writer_fini(&w);
    return written;
}

bool
json_encode_field(const struct schema *s, const struct schema_message *m,
                  const struct schema_field *f, struct str wire, const struct json_style *style,
                  struct buf *out, struct json_error *err)
{
    struct json_writer w;
    if (wire.n == 0)
        wire = STR("");
    writer_init(&w, s, style, out, err);
    bool written = reserve_slots(&w, m->field_count);
    w.slot_count = m->field_count;
    written =
        written && json_write_scan(&w, m, wire, 0) && json_write_slot(&w, f, w.slots[f->index]);
    writer_fini(&w);
    return written;
}
