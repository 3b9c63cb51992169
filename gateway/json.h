/*
 * JSON and protobuf's wire format, each into the other, driven by the tables of a schema: the
 * proto3 JSON mapping (https://protobuf.dev/programming-guides/json) with these rules of Luna's:
 *
 *   - Names are written as in the .proto file or in lowerCamelCase, by option; both are read.
 *   - int64 is written as a number when it fits in 53 bits, as a string otherwise; both are read.
 *   - Fields without presence are always written, absent ones with presence never, unless json_emit
 *     says otherwise.
 *   - A single value is read as a list of one.
 *   - Strict: unknown and repeated names, null in lists, and whatever is not JSON are refused.
 *   - Times: any offset, a space for the T, a bare date, and Unix seconds as a number are read.
 *
 * Depth is at most JSON_DEPTH_MAX; size is bounded by the maximum of the buffer written to.
 *
 * Thread: any; no state but the caller's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_JSON_H
#define LUNA_GATEWAY_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "gateway/schema.h"

#define JSON_DEPTH_MAX 100

enum json_failure {
    JSON_SYNTAX,    /* the text is not JSON, or the bytes are no message */
    JSON_FIELD,     /* a field is wrong: see `path` */
    JSON_TOO_LARGE, /* the result does not fit the buffer */
};

struct json_error {
    enum json_failure failure;
    char path[256]; /* from the message: "results[3]", "labels[\"a\"].name"; ""
                       for the whole */
    char text[160]; /* continues it: "must be a number" */
    size_t offset;  /* of the byte in the JSON text where it was noticed */
};

/* Appends the message of type `m` that `text` holds to `out`, as wire bytes.
 * What is needed meanwhile comes from `scratch`, at most a few times the text.
 * On failure `out` holds a part of the message. */
bool json_decode(const struct schema *s, const struct schema_message *m, struct str text,
                 struct arena *scratch, struct buf *out, struct json_error *err) WARN_UNUSED;

/* The same for the value of the one field `f`, with its tag. */
bool json_decode_field(const struct schema *s, const struct schema_field *f, struct str text,
                       struct arena *scratch, struct buf *out, struct json_error *err) WARN_UNUSED;

/* Appends field `f`, or one more element of it, from text as it stands in a
 * path or a query: strings and enum names bare, times and masks bare, Struct
 * and Value as JSON. `err->path` stays empty. */
bool json_decode_text(const struct schema *s, const struct schema_field *f, struct str text,
                      struct arena *scratch, struct buf *out, struct json_error *err) WARN_UNUSED;

/* Appends an entry of the map field `f` from texts. */
bool json_decode_entry(const struct schema *s, const struct schema_field *f, struct str key,
                       struct str value, struct arena *scratch, struct buf *out,
                       struct json_error *err) WARN_UNUSED;

/* Appends to `mask`, which is a serialized FieldMask, the path of each leaf
 * that the JSON object `text` of type `m` names: nested messages are followed,
 * lists, maps and well-known types are leaves. The text must have passed
 * json_decode. */
void json_mask_paths(const struct schema *s, const struct schema_message *m, struct str text,
                     struct arena *scratch, struct buf *mask);

/* What is written of fields that are not set. */
enum json_emit {
    JSON_EMIT_PRIMITIVE, /* those without presence: 0, "", the first enum, [] and {} */
    JSON_EMIT_ALL,       /* messages outside of a oneof as well, as null */
    JSON_EMIT_NONE,      /* nothing, nor what is set to the same */
};

struct json_style {
    enum json_emit emit;
    enum json_names names;
    bool int64_strings; /* always, as the plain proto3 mapping has it */
    bool lenient_any;   /* an Any of unknown type is written as {"@type", "value":
                           base64} */
};

/* Appends the JSON of the message `wire` of type `m` to `out`. Bytes that are
 * no message of that type are refused, and so are strings that are not UTF-8;
 * unknown fields are left out. */
bool json_encode(const struct schema *s, const struct schema_message *m, struct str wire,
                 const struct json_style *style, struct buf *out,
                 struct json_error *err) WARN_UNUSED;

/* The same for the value of the field `f` of the message `wire` alone
 * (google.api.HttpRule's response_body); null when it is absent. */
bool json_encode_field(const struct schema *s, const struct schema_message *m,
                       const struct schema_field *f, struct str wire,
                       const struct json_style *style, struct buf *out,
                       struct json_error *err) WARN_UNUSED;

#endif
