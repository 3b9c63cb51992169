/* luna.v1.rules of a field as JSON Schema says them. */
#include "gateway/openapi_private.h"

#define FIELD_RULES 50802u /* luna.v1.rules */

/* Numbers of luna.v1.FieldRules. */
enum {
    RULES_REQUIRED = 1,
    RULES_MIN_LEN = 2,
    RULES_MAX_LEN = 3,
    RULES_MIN = 4,
    RULES_HAS_MIN = 5,
    RULES_MAX = 6,
    RULES_HAS_MAX = 7,
    RULES_FINITE = 8,
    RULES_CHARSET = 9,
    RULES_OR_ZERO = 10,
    RULES_ITEM_MIN_LEN = 12,
    RULES_ITEM_MAX_LEN = 13,
};

static double
to_double(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

struct field_limits
limits_of(const struct schema_field *f)
{
    const struct str rules = schema_option_bytes(f->options, FIELD_RULES);
    struct field_limits l = {
        .required = schema_option_number(rules, RULES_REQUIRED),
        .has_min = schema_option_number(rules, RULES_HAS_MIN),
        .has_max = schema_option_number(rules, RULES_HAS_MAX),
        .finite = schema_option_number(rules, RULES_FINITE),
        .min_len = schema_option_number(rules, RULES_MIN_LEN),
        .max_len = schema_option_number(rules, RULES_MAX_LEN),
        .min = to_double(schema_option_number(rules, RULES_MIN)),
        .max = to_double(schema_option_number(rules, RULES_MAX)),
        .charset = schema_option_bytes(rules, RULES_CHARSET),
        .item_min_len = schema_option_number(rules, RULES_ITEM_MIN_LEN),
        .item_max_len = schema_option_number(rules, RULES_ITEM_MAX_LEN),
    };
    if (l.required && l.min_len == 0)
        l.min_len = 1;
    if (schema_option_number(rules, RULES_OR_ZERO)) {
        l.min_len = 0;
        l.min = l.min > 0 ? 0 : l.min;
    }
    return l;
}

static void
write_range(struct doc *d, const char *least, const char *most, uint64_t min, uint64_t max)
{
    if (min > 0)
        doc_int(d, least, (int64_t)min);
    if (max > 0)
        doc_int(d, most, (int64_t)max);
}

void
limits_write_list(struct doc *d, const struct field_limits *l)
{
    write_range(d, "minItems", "maxItems", l->min_len, l->max_len);
}

/* The ranges as a bracket expression of ECMA 262. */
static void
write_charset(struct doc *d, struct str charset)
{
    struct buf b;
    if (charset.n == 0)
        return;
    buf_init(&b, charset.n * 2 + 8);
    buf_puts(&b, "^[");
    for (size_t i = 0; i < charset.n; i++) {
        char c = charset.p[i];
        bool last = i + 1 == charset.n;
        if (c == '[' || c == ']' || c == '\\' || c == '^' || (c == '-' && (i == 0 || last)))
            buf_putc(&b, '\\');
        buf_putc(&b, c);
    }
    buf_puts(&b, "]*$");
    doc_string(d, "pattern", (struct str){b.data, b.len});
    buf_fini(&b);
}

void
limits_write_value(struct doc *d, const struct schema_field *f, const struct field_limits *l)
{
    bool list = f->repeated;
    switch (f->type) {
    case TYPE_STRING:
        if (!list)
            write_range(d, "minLength", "maxLength", l->min_len, l->max_len);
        else
            write_range(d, "minLength", "maxLength", l->item_min_len, l->item_max_len);
        write_charset(d, l->charset);
        break;
    case TYPE_BYTES: /* counted in characters of base64, without and with padding */
        if (!list)
            write_range(d, "minLength", "maxLength", (l->min_len * 4 + 2) / 3,
                        (l->max_len + 2) / 3 * 4);
        if (!list)
            write_range(d, "x-luna-min-bytes", "x-luna-max-bytes", l->min_len, l->max_len);
        break;
    case TYPE_BOOL:
    case TYPE_ENUM:
    case TYPE_MESSAGE:
    case TYPE_GROUP:
        break;
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_INT32:
    case TYPE_FIXED64:
    case TYPE_FIXED32:
    case TYPE_UINT32:
    case TYPE_SFIXED32:
    case TYPE_SFIXED64:
    case TYPE_SINT32:
    case TYPE_SINT64:
    default:
        if (l->has_min)
            doc_number(d, "minimum", l->min);
        if (l->has_max)
            doc_number(d, "maximum", l->max);
        if (l->required && !list)
            doc_true(d, "x-luna-not-zero");
    }
}
