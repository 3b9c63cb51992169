/* JSON to wire bytes: the well-known types, whose fields have the numbers of
 * their .proto files. */
#include "gateway/json_read.h"

static bool
put_seconds(struct json_reader *r, int64_t seconds, int32_t nanos)
{
    if (seconds != 0) {
        wire_put_varint(r->out, wire_tag(1, WIRE_VARINT));
        wire_put_varint(r->out, (uint64_t)seconds);
    }
    if (nanos != 0) {
        wire_put_varint(r->out, wire_tag(2, WIRE_VARINT));
        wire_put_varint(r->out, (uint64_t)(int64_t)nanos);
    }
    return true;
}

/* Unix seconds, with a fraction as the decimal text says. */
static bool
decode_unix_seconds(struct json_reader *r, struct str text)
{
    struct json_number n;
    int64_t nanos;
    if (!json_number_text(text, &n))
        return json_fail(r, "must be a time like 2018-02-25T15:04:05Z");
    n.exponent += 9;
    if (!json_number_i64(&n, &nanos)) {
        int64_t seconds;
        n.exponent -= 9;
        if (!json_number_i64(&n, &seconds) || seconds < -62135596800 || seconds > 253402300799)
            return json_fail(r, "must be Unix seconds of the years 0001 to 9999, to a nanosecond");
        return put_seconds(r, seconds, 0);
    }
    int64_t seconds = nanos / 1000000000;
    nanos %= 1000000000;
    if (nanos < 0) {
        nanos += 1000000000;
        seconds--;
    }
    return put_seconds(r, seconds, (int32_t)nanos);
}

/* Both spellings: capitals become an underscore and a small letter. */
static bool
decode_mask(struct json_reader *r, struct str text)
{
    while (text.p && text.n > 0) {
        struct str path = str_cut(&text, ',');
        size_t mark = wire_open(r->out, 1);
        if (path.n == 0)
            return json_fail(r, "holds an empty path");
        for (size_t i = 0; i < path.n; i++) {
            char c = path.p[i];
            if (c >= 'A' && c <= 'Z') {
                buf_putc(r->out, '_');
                c = (char)(c - 'A' + 'a');
            } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                         c == '*')) {
                return json_fail(r, "is not a list of field paths");
            }
            buf_putc(r->out, c);
        }
        wire_close(r->out, mark);
    }
    return true;
}

bool
json_decode_wkt_text(struct json_reader *r, const struct schema_message *m, struct str text)
{
    int64_t seconds;
    int32_t nanos;
    switch (m->wkt) {
    case WKT_TIMESTAMP:
        if (json_time_parse(text, &seconds, &nanos))
            return put_seconds(r, seconds, nanos);
        return decode_unix_seconds(r, text);
    case WKT_DURATION:
        if (json_duration_parse(text, &seconds, &nanos))
            return put_seconds(r, seconds, nanos);
        return json_fail(r, "must be a duration like 1.5s");
    case WKT_FIELD_MASK:
        return decode_mask(r, text);
    default:
        return json_fail(r, "must be given in the body");
    }
}

/* ---- Struct, Value, ListValue ---- */

static bool decode_value(struct json_reader *r);

static bool
decode_struct(struct json_reader *r)
{
    static const struct schema_field key = {.number = 1, .type = TYPE_STRING, .wire = WIRE_BYTES};
    bool more = true;
    struct json_keys keys = {0};
    if (json_peek(r) != '{')
        return json_skip(r) && json_fail(r, "must be an object");
    r->p++;
    if (json_peek(r) == '}') {
        r->p++;
        return true;
    }
    if (!json_enter(r))
        return false;
    while (more) {
        struct json_frame *frame = json_frame(r);
        if (!json_key(r, &frame->name))
            return false;
        if (!json_keys_add(&keys, r->scratch, frame->name))
            return json_fail(r, "is given twice");
        size_t entry = wire_open(r->out, 1);
        if (!json_decode_key(r, &key, frame->name))
            return false;
        size_t value = wire_open(r->out, 2);
        if (!decode_value(r))
            return false;
        wire_close(r->out, value);
        wire_close(r->out, entry);
        if (!json_comma(r, '}', &more))
            return false;
    }
    json_leave(r);
    return true;
}

static bool
decode_list_value(struct json_reader *r)
{
    bool more = true;
    if (json_peek(r) != '[')
        return json_skip(r) && json_fail(r, "must be a list");
    r->p++;
    if (json_peek(r) == ']') {
        r->p++;
        return true;
    }
    if (!json_enter(r))
        return false;
    for (int64_t i = 0; more; i++) {
        json_frame(r)->index = i;
        size_t mark = wire_open(r->out, 1);
        if (!decode_value(r))
            return false;
        wire_close(r->out, mark);
        if (!json_comma(r, ']', &more))
            return false;
    }
    json_leave(r);
    return true;
}

/* The members of the oneof of google.protobuf.Value. */
static bool
decode_value(struct json_reader *r)
{
    static const struct schema_field number = {.type = TYPE_DOUBLE}, text = {.type = TYPE_STRING};
    size_t mark;
    bool decoded;
    switch (json_peek(r)) {
    case 'n':
        wire_put_varint(r->out, wire_tag(1, WIRE_VARINT));
        wire_put_varint(r->out, 0);
        return json_take(r, STR("null")) || json_syntax(r, "a value expected");
    case 't':
    case 'f':
        wire_put_varint(r->out, wire_tag(4, WIRE_VARINT));
        wire_put_varint(r->out, *r->p == 't');
        return json_take(r, STR("true")) || json_take(r, STR("false")) ||
               json_syntax(r, "a value expected");
    case '"':
        wire_put_varint(r->out, wire_tag(3, WIRE_BYTES));
        return json_decode_scalar(r, &text);
    case '{':
        mark = wire_open(r->out, 5);
        decoded = decode_struct(r);
        wire_close(r->out, mark);
        return decoded;
    case '[':
        mark = wire_open(r->out, 6);
        decoded = decode_list_value(r);
        wire_close(r->out, mark);
        return decoded;
    default:
        wire_put_varint(r->out, wire_tag(2, WIRE_FIXED64));
        return json_decode_scalar(r, &number);
    }
}

/* ---- Any ---- */

#define ANY_DEPTH_MAX 8 /* each level reads its text twice */

/* Finds the member "@type" of the object behind the reader, which stays where
 * it is. */
static bool
find_type(struct json_reader *r, struct str *ret)
{
    const char *start = r->p;
    struct str key;
    bool more = json_peek(r) != '}';
    *ret = (struct str){0};
    while (more && !ret->p) {
        if (!json_key(r, &key))
            return false;
        bool found = str_eq(key, STR("@type"));
        if (found ? !json_string(r, ret) : !json_skip(r))
            return false;
        if (!found && !json_comma(r, '}', &more))
            return false;
    }
    r->p = start;
    return true;
}

/* {"@type": ..., "value": ...}: the form of types with a JSON form of their
 * own. */
static bool
decode_any_value(struct json_reader *r, const struct schema_message *m)
{
    bool more = true, have_value = false, have_type = false;
    struct str key;
    if (!json_enter(r))
        return false;
    while (more) {
        *json_frame(r) = (struct json_frame){.index = -1};
        if (!json_key(r, &key))
            return false;
        bool is_value = str_eq(key, STR("value"));
        if (!is_value && !str_eq(key, STR("@type")))
            return json_fail_at(r, key, "is not a field of %s", m->full_name);
        if (is_value ? have_value : have_type)
            return json_fail_at(r, key, "is given twice");
        have_value |= is_value;
        have_type |= !is_value;
        json_frame(r)->name = key;
        if (is_value ? !json_decode_value(r, m) : !json_skip(r))
            return false;
        if (!json_comma(r, '}', &more))
            return false;
    }
    json_leave(r);
    return true; /* without "value" it is the empty message, as the C++ library writes it */
}

static bool
decode_any(struct json_reader *r)
{
    struct str url;
    if (json_peek(r) != '{')
        return json_skip(r) && json_fail(r, "must be an object");
    r->p++;
    if (!find_type(r, &url))
        return false;
    if (json_peek(r) == '}') {
        r->p++;
        return true;
    }
    if (!url.p)
        return json_fail_at(r, STR("@type"), "is missing");
    const char *slash = memrchr(url.p, '/', url.n);
    struct str name = slash ? (struct str){slash + 1, (size_t)(url.p + url.n - slash - 1)} : url;
    const struct schema_message *m = slash ? schema_message_find(r->schema, name) : NULL;
    if (!m || (name.n > 0 && name.p[0] == '.'))
        return json_fail_at(r, STR("@type"), "names no known type");
    if (r->any_depth == ANY_DEPTH_MAX)
        return json_fail(r, "is nested deeper than %d", ANY_DEPTH_MAX);
    wire_put_bytes(r->out, 1, url);
    size_t mark = wire_open(r->out, 2);
    r->any_depth++;
    bool decoded =
        m->wkt != WKT_NONE ? decode_any_value(r, m) : json_decode_members(r, m, STR("@type"));
    r->any_depth--;
    wire_close(r->out, mark);
    return decoded;
}

bool
json_decode_wkt(struct json_reader *r, const struct schema_message *m)
{
    struct str text;
    switch (m->wkt) {
    case WKT_ANY:
        return decode_any(r);
    case WKT_STRUCT:
        return decode_struct(r);
    case WKT_VALUE:
        return decode_value(r);
    case WKT_LIST_VALUE:
        return decode_list_value(r);
    case WKT_WRAPPER:
        wire_put_varint(r->out, wire_tag(1, m->fields[0].wire));
        return json_decode_scalar(r, &m->fields[0]);
    case WKT_TIMESTAMP: {
        char c = json_peek(r);
        struct json_number n;
        if (c == '-' || (c >= '0' && c <= '9'))
            return json_number(r, &n) &&
                   decode_unix_seconds(r, (struct str){n.p, (size_t)(n.end - n.p)});
        break;
    }
    default:
        break;
    }
    if (json_peek(r) != '"')
        return json_skip(r) && json_fail(r, "must be a string");
    return json_string(r, &text) && json_decode_wkt_text(r, m, text);
}
