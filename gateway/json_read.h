/* The reading half's insides: the lexer and the state that json_decode*.c
 * share. */
#ifndef LUNA_GATEWAY_JSON_READ_H
#define LUNA_GATEWAY_JSON_READ_H

#include "gateway/json.h"

/* Where in the message the reader stands, for error paths. */
struct json_frame {
    struct str name; /* field, or key of an object without fields; NULL: none */
    struct str key;  /* of a map entry */
    int64_t index;   /* in a list, -1: none */
};

struct json_reader {
    const char *begin;
    const char *p;
    const char *end;
    struct buf *out;
    const struct schema *schema;
    struct arena *scratch;
    struct json_error *err;
    bool failed;
    int depth;     /* frames in use */
    int any_depth; /* Any inside Any */
    struct json_frame frames[JSON_DEPTH_MAX + 1];
};

/* A number token, taken apart. */
struct json_number {
    const char *p;
    const char *end;
    uint64_t digits;  /* the first 19 or 20 significant ones */
    int32_t exponent; /* value = digits * 10^exponent, when exact */
    int32_t count;    /* of significant digits */
    bool negative;
    bool dropped; /* there were more digits */
    bool inexact; /* which were not all zero */
};

void json_reader_init(struct json_reader *r, const struct schema *s, struct str text,
                      struct arena *scratch, struct buf *out, struct json_error *err);

/* Record the first failure with the path of the frames in use; always false.
 * `fail_at` adds `name`.
 */
bool json_fail(struct json_reader *r, const char *fmt, ...) PRINTF(2, 3);
bool json_fail_at(struct json_reader *r, struct str name, const char *fmt, ...) PRINTF(3, 4);
bool json_syntax(struct json_reader *r, const char *fmt, ...) PRINTF(2, 3);

static inline void
json_space(struct json_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* The first byte of the next token; 0 at the end. */
static inline char
json_peek(struct json_reader *r)
{
    json_space(r);
    return r->p < r->end ? *r->p : 0;
}

/* Takes the one-byte token `c`, or fails. */
bool json_expect(struct json_reader *r, char c);

/* Takes `literal` ("null") when it is the next token. */
bool json_take(struct json_reader *r, struct str literal);

/* Between elements: takes "," and sets *ret_more, or takes `close` and clears
 * it. */
bool json_comma(struct json_reader *r, char close, bool *ret_more);

/* Takes a string: of the text itself, or unescaped in scratch. */
bool json_string(struct json_reader *r, struct str *ret);

/* Takes an object's key and its colon. */
bool json_key(struct json_reader *r, struct str *ret);

bool json_number(struct json_reader *r, struct json_number *ret);

/* Takes apart a whole text that must be one number of JSON's grammar. */
bool json_number_text(struct str text, struct json_number *ret);

/* The values, or false when out of the type's range or, for integers, not an
 * integer. */
bool json_number_i64(const struct json_number *n, int64_t *ret);
bool json_number_u64(const struct json_number *n, uint64_t *ret);
bool json_number_double(const struct json_number *n, double *ret);
bool json_number_float(const struct json_number *n, float *ret);

/* Takes any value, checking that it is JSON. */
bool json_skip(struct json_reader *r);

/* Enters a list or message: one frame more. False: too deep. */
bool json_enter(struct json_reader *r);

static inline void
json_leave(struct json_reader *r)
{
    r->depth--;
}

static inline struct json_frame *
json_frame(struct json_reader *r)
{
    return &r->frames[r->depth - 1];
}

/* Nothing but space may follow. */
bool json_finish(struct json_reader *r);

/* ---- json_decode.c ---- */
/* The value of a message, without tag and length. */
bool json_decode_value(struct json_reader *r, const struct schema_message *m);
/* The members of an object up to its "}", but for the member named `ignore`. */
bool json_decode_members(struct json_reader *r, const struct schema_message *m, struct str ignore);
/* A value, without its tag, of a field that is no message. */
bool json_decode_scalar(struct json_reader *r, const struct schema_field *f);
/* The same from text, with the tag. */
bool json_decode_key(struct json_reader *r, const struct schema_field *f, struct str text);

/* ---- json_decode_wkt.c ---- */
bool json_decode_wkt(struct json_reader *r, const struct schema_message *m);
/* Timestamp, Duration and FieldMask from bare text. */
bool json_decode_wkt_text(struct json_reader *r, const struct schema_message *m, struct str text);

/* ---- json_keys.c ---- */
struct json_keys {
    struct str *slots;
    size_t n, mask;
};

/* Keeps `key`, which is borrowed; false: it is there already. Starts from
 * zeroes. */
bool json_keys_add(struct json_keys *k, struct arena *a, struct str key);

/* ---- json_base64.c ---- */
/* Decodes either alphabet, with or without padding, into `out`. */
bool json_base64_decode(struct str text, struct buf *out);
void json_base64_encode(struct str bytes, struct buf *out);

/* ---- json_time.c ---- */
/* RFC 3339 with any offset, or a bare date. Years 0001 to 9999. */
bool json_time_parse(struct str text, int64_t *ret_seconds, int32_t *ret_nanos);
/* "1.5s", within 10 000 years. */
bool json_duration_parse(struct str text, int64_t *ret_seconds, int32_t *ret_nanos);
/* Write at most 40 bytes with quotes, return the byte behind; NULL: out of
 * range. */
char *json_time_format(char *p, int64_t seconds, int64_t nanos);
char *json_duration_format(char *p, int64_t seconds, int64_t nanos);

#endif
