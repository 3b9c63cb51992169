/* Wire bytes to JSON: the well-known types. */
#include <math.h>

#include "gateway/json_write.h"
#include "gateway/number.h"

static bool write_value(struct json_writer *w, struct str wire);

/* Fields 1 and 2 of Timestamp and Duration. */
static bool
read_seconds(struct json_writer *w, struct str wire, int64_t *ret_seconds, int64_t *ret_nanos)
{
    const char *p = wire.p, *end = p + wire.n;
    struct wire_field v;
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "a time is cut");
        if (v.type == WIRE_VARINT && v.number == 1)
            *ret_seconds = (int64_t)v.bits;
        else if (v.type == WIRE_VARINT && v.number == 2)
            *ret_nanos = (int32_t)(uint32_t)v.bits;
    }
    return true;
}

static bool
write_time(struct json_writer *w, struct str wire, bool duration)
{
    int64_t seconds = 0, nanos = 0;
    if (!read_seconds(w, wire, &seconds, &nanos))
        return false;
    char *p = json_write_space(w, 48);
    if (!p)
        return false;
    p = duration ? json_duration_format(p, seconds, nanos) : json_time_format(p, seconds, nanos);
    if (!p)
        return json_write_fail(w, "a time is out of range");
    json_write_done(w, p);
    return true;
}

/* One path in the spelling of the names; false: it would not read back as it
 * was. */
static bool
write_path(struct json_writer *w, struct str path)
{
    char *to = json_write_space(w, path.n);
    if (!to)
        return false;
    bool camel = w->style->names == JSON_NAMES_CAMEL;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '*'))
            return json_write_fail(w, "a field mask holds what is no path");
        if (camel && c == '_') {
            if (++i == path.n || path.p[i] < 'a' || path.p[i] > 'z')
                return json_write_fail(w, "a field mask has no lowerCamelCase form");
            c = (char)(path.p[i] - 'a' + 'A');
        }
        *to++ = c;
    }
    json_write_done(w, to);
    return true;
}

static bool
write_mask(struct json_writer *w, struct str wire)
{
    const char *p = wire.p, *end = p + wire.n;
    struct wire_field v;
    bool first = true;
    if (!json_write_literal(w, STR("\"")))
        return false;
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "a field mask is cut");
        if (v.number != 1 || v.type != WIRE_BYTES)
            continue;
        if ((!first && !json_write_literal(w, STR(","))) || !write_path(w, v.bytes))
            return false;
        first = false;
    }
    return json_write_literal(w, STR("\""));
}

/* ---- Struct, Value, ListValue ---- */

static bool
write_entry(struct json_writer *w, struct str entry)
{
    const char *p = entry.p, *end = p + entry.n;
    struct str key = STR(""), value = STR("");
    struct wire_field v;
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "a struct is cut");
        if (v.type == WIRE_BYTES && v.number == 1)
            key = v.bytes;
        else if (v.type == WIRE_BYTES && v.number == 2)
            value = v.bytes;
    }
    return json_write_string(w, key) && json_write_literal(w, STR(":")) && write_value(w, value);
}

/* Struct and ListValue: field 1, entries or values. */
static bool
write_elements(struct json_writer *w, struct str wire, bool object)
{
    const char *p = wire.p, *end = p + wire.n;
    struct wire_field v;
    bool first = true;
    if (!json_write_literal(w, object ? STR("{") : STR("[")))
        return false;
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "a struct is cut");
        if (v.number != 1 || v.type != WIRE_BYTES)
            continue;
        if (!first && !json_write_literal(w, STR(",")))
            return false;
        first = false;
        if (object ? !write_entry(w, v.bytes) : !write_value(w, v.bytes))
            return false;
    }
    return json_write_literal(w, object ? STR("}") : STR("]"));
}

static bool
write_number(struct json_writer *w, uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    char *p = json_write_space(w, NUMBER_TEXT);
    if (!p)
        return false;
    if (!isfinite(d))
        return json_write_fail(w, "a Value holds a number that JSON has not");
    json_write_done(w, number_put_double(p, d));
    return true;
}

/* The last member of the oneof that was set counts; pieces of lists and structs
 * follow each other.
 */
static bool
write_value(struct json_writer *w, struct str wire)
{
    static const enum wire_type types[] = {0,           WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES,
                                           WIRE_VARINT, WIRE_BYTES,  WIRE_BYTES};
    const char *p = wire.p, *end = p + wire.n;
    struct wire_field v, kind = {.number = 0};
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "a value is cut");
        if (v.number < ARRAY_LEN(types) && v.type == types[v.number])
            kind = v;
    }
    if (w->depth == JSON_DEPTH_MAX)
        return json_write_fail(w, "the message is nested too deep");
    w->depth++;
    bool written = false;
    switch (kind.number) {
    case 1:
        written = json_write_literal(w, STR("null"));
        break;
    case 2:
        written = write_number(w, kind.bits);
        break;
    case 3:
        written = json_write_string(w, kind.bytes);
        break;
    case 4:
        written = json_write_literal(w, kind.bits ? STR("true") : STR("false"));
        break;
    case 5:
    case 6:
        written = write_elements(w, kind.bytes, kind.number == 5);
        break;
    default:
        /* Nothing is set: JSON has no word for it, and null is the least wrong. */
        written = json_write_literal(w, STR("null"));
    }
    w->depth--;
    return written;
}

/* ---- Any ---- */

static bool
write_unknown_any(struct json_writer *w, struct str value)
{
    if (!w->style->lenient_any)
        return json_write_fail(w, "an Any is of no known type");
    if (!json_write_literal(w, STR(",\"value\":\"")))
        return false;
    json_base64_encode(value, w->out);
    return json_write_literal(w, STR("\"}"));
}

static bool
write_any(struct json_writer *w, struct str wire)
{
    const char *p = wire.p, *end = p + wire.n;
    struct str url = STR(""), value = STR("");
    struct wire_field v;
    while (p < end) {
        p = wire_next(p, end, &v);
        if (!p)
            return json_write_fail(w, "an Any is cut");
        if (v.type == WIRE_BYTES && v.number == 1)
            url = v.bytes;
        else if (v.type == WIRE_BYTES && v.number == 2)
            value = v.bytes;
    }
    if (url.n == 0 && value.n == 0)
        return json_write_literal(w, STR("{}"));
    if (!json_write_literal(w, STR("{\"@type\":")) || !json_write_string(w, url))
        return false;
    const char *slash = url.n ? memrchr(url.p, '/', url.n) : NULL;
    struct str name = {slash ? slash + 1 : "", slash ? (size_t)(url.p + url.n - slash - 1) : 0};
    const struct schema_message *m = schema_message_find(w->schema, name);
    if (!m)
        return write_unknown_any(w, value);
    if (m->wkt != WKT_NONE)
        return json_write_literal(w, STR(",\"value\":")) && json_write_message(w, m, value) &&
               json_write_literal(w, STR("}"));
    return json_write_fields(w, m, value, false) && json_write_literal(w, STR("}"));
}

bool
json_write_wkt(struct json_writer *w, const struct schema_message *m, struct str wire)
{
    switch (m->wkt) {
    case WKT_ANY:
        return write_any(w, wire);
    case WKT_TIMESTAMP:
    case WKT_DURATION:
        return write_time(w, wire, m->wkt == WKT_DURATION);
    case WKT_FIELD_MASK:
        return write_mask(w, wire);
    case WKT_STRUCT:
    case WKT_LIST_VALUE:
        return write_elements(w, wire, m->wkt == WKT_STRUCT);
    case WKT_VALUE:
        return write_value(w, wire);
    case WKT_WRAPPER: {
        const struct schema_field *f = &m->fields[0];
        struct wire_field v, last = {.bytes = STR("")};
        const char *p = wire.p, *end = p + wire.n;
        while (p < end) {
            p = wire_next(p, end, &v);
            if (!p)
                return json_write_fail(w, "a wrapper is cut");
            if (v.number == 1 && v.type == f->wire)
                last = v;
        }
        return json_write_value(w, f, &last);
    }
    default:
        return json_write_fail(w, "a type has no JSON");
    }
}
