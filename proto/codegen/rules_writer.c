/* The rules of fields as tables of struct rpc_rule (server/rpc/rules.h). */
#include <stdlib.h>
#include <string.h>

#include "luna/v1/options.pb-c.h"
#include "plugin.h"

#define FIELD_OPTION_NUMBER 50802 /* (luna.v1.rules) in luna/v1/options.proto */
#define MAX_TYPES           512   /* messages that one request may consist of */

typedef Google__Protobuf__DescriptorProto Message;
typedef Google__Protobuf__FieldDescriptorProto Field;
typedef Luna__V1__FieldRules Rules;

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define IS_LIST(f) ((f)->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
#define TIMESTAMP  ".google.protobuf.Timestamp"
#define DURATION   ".google.protobuf.Duration"

static File *const *all_files;
static size_t all_count;

void
rules_init(File *const *files, size_t n)
{
    all_files = files;
    all_count = n;
}

/* ---- finding -------------------------------------------------------------------------------- */

static const Message *
find_nested(Message *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]->name);
        if (strncmp(list[i]->name, name, len) != 0)
            continue;
        if (name[len] == '\0')
            return list[i];
        if (name[len] == '.')
            return find_nested(list[i]->nested_type, list[i]->n_nested_type, name + len + 1);
    }
    return NULL;
}

/* ".luna.v1.Filter" */
static const Message *
find_message(const char *type)
{
    for (size_t i = 0; i < all_count; i++) {
        const File *file = all_files[i];
        const char *package = file->package ? file->package : "";
        size_t len = strlen(package);
        const char *rest = type + 1 + len + (len > 0);
        if (strncmp(type + 1, package, len) != 0 || (len > 0 && type[1 + len] != '.'))
            continue;
        const Message *m = find_nested(file->message_type, file->n_message_type, rest);
        if (m)
            return m;
    }
    return NULL;
}

/* NULL: none. */
static Rules *
rules_of(const Field *field)
{
    size_t len;
    uint8_t *bytes =
        field->options ? option_bytes(&field->options->base, FIELD_OPTION_NUMBER, &len) : NULL;
    Rules *rules = bytes ? luna__v1__field_rules__unpack(NULL, len, bytes) : NULL;
    free(bytes);
    return rules;
}

static bool
is_time(const Field *f)
{
    return f->type == TYPE(MESSAGE) &&
           (strcmp(f->type_name, TIMESTAMP) == 0 || strcmp(f->type_name, DURATION) == 0);
}

static bool
has_own(const Message *m)
{
    for (size_t i = 0; i < m->n_field; i++) {
        Rules *rules = rules_of(m->field[i]);
        if (rules)
            luna__v1__field_rules__free_unpacked(rules, NULL);
        if (rules || is_time(m->field[i]))
            return true;
    }
    return false;
}

/* The types that `type` consists of, itself included, each once. */
struct types {
    const char *names[MAX_TYPES];
    size_t n;
};

static void
collect(struct types *t, const char *type)
{
    const Message *m = find_message(type);
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->names[i], type) == 0)
            return;
    if (!m || strncmp(type, ".google.", 8) == 0)
        return;
    if (t->n == MAX_TYPES) {
        fprintf(stderr, "protoc-gen-luna: %s consists of more than %d messages\n", type, MAX_TYPES);
        exit(1);
    }
    t->names[t->n++] = type;
    for (size_t i = 0; i < m->n_field; i++)
        if (m->field[i]->type == TYPE(MESSAGE))
            collect(t, m->field[i]->type_name);
}

static bool
matters(const char *type)
{
    struct types t = {.n = 0};
    collect(&t, type);
    for (size_t i = 0; i < t.n; i++)
        if (has_own(find_message(t.names[i])))
            return true;
    return false;
}

/* ---- checking ------------------------------------------------------------------------------- */

static bool
is_number(const Field *f)
{
    return f->type != TYPE(STRING) && f->type != TYPE(BYTES) && f->type != TYPE(BOOL) &&
           f->type != TYPE(ENUM) && f->type != TYPE(MESSAGE) && f->type != TYPE(GROUP);
}

static const char *
misfit(const Field *f, const Rules *r)
{
    const bool text = f->type == TYPE(STRING) || f->type == TYPE(BYTES);
    if ((r->min_len || r->max_len) && !text && !IS_LIST(f))
        return "min_len and max_len are for texts and lists";
    if ((r->item_min_len || r->item_max_len) && !(text && IS_LIST(f)))
        return "item_min_len and item_max_len are for lists of texts";
    if (r->max_len && r->min_len > r->max_len)
        return "min_len is more than max_len";
    if ((r->has_min || r->has_max) && !is_number(f))
        return "min and max are for numbers";
    if ((r->min != 0 && !r->has_min) || (r->max != 0 && !r->has_max))
        return "min and max need has_min and has_max";
    if (r->has_min && r->has_max && r->min > r->max)
        return "min is more than max";
    if (r->finite && f->type != TYPE(DOUBLE) && f->type != TYPE(FLOAT))
        return "finite is for double and float";
    if (*r->charset && f->type != TYPE(STRING))
        return "charset is for strings";
    if (r->known && f->type != TYPE(ENUM))
        return "known is for enums";
    return NULL;
}

static bool
check_message(const File *file, const Message *m, FILE *err)
{
    bool good = true;
    for (size_t i = 0; i < m->n_field; i++) {
        Rules *r = rules_of(m->field[i]);
        const char *wrong = r ? misfit(m->field[i], r) : NULL;
        if (wrong)
            fprintf(err, "%s: %s.%s: (luna.v1.rules): %s\n", file->name, m->name, m->field[i]->name,
                    wrong);
        good = good && !wrong;
        if (r)
            luna__v1__field_rules__free_unpacked(r, NULL);
    }
    for (size_t i = 0; i < m->n_nested_type; i++)
        good = check_message(file, m->nested_type[i], err) && good;
    return good;
}

bool
rules_check_file(const File *file, FILE *err)
{
    bool good = true;
    for (size_t i = 0; i < file->n_message_type; i++)
        good = check_message(file, file->message_type[i], err) && good;
    return good;
}

/* ---- writing -------------------------------------------------------------------------------- */

struct name
rules_name(const char *type)
{
    struct name out, descriptor = name_descriptor(type);
    if (!matters(type)) {
        name_printf(&out, "NULL");
        return out;
    }
    char *end = strstr(descriptor.s, "__descriptor");
    *end = '\0';
    name_printf(&out, "&%s__rules_", descriptor.s);
    return out;
}

/* protobuf-c sorts a message's fields by number. */
static size_t
place_of(const Message *m, const Field *f)
{
    size_t place = 0;
    for (size_t i = 0; i < m->n_field; i++)
        place += m->field[i]->number < f->number;
    return place;
}

static const char *
charset_flags(const char *charset, unsigned long bits[4])
{
    for (const char *p = charset; *p; p++) {
        unsigned char from = (unsigned char)*p, to = from;
        if (p[1] == '-' && p[2] != '\0') {
            to = (unsigned char)p[2];
            p += 2;
        }
        for (unsigned c = from; c <= to && c < 128; c++)
            bits[c / 32] |= 1UL << (c % 32);
    }
    return *charset ? "RPC_RULE_CHARSET | " : "";
}

static void
write_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++)
        fprintf(out, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    fputc('"', out);
}

static void
write_row(FILE *out, const Message *m, const Field *f, const Rules *r)
{
    unsigned long bits[4] = {0};
    const bool nested = f->type == TYPE(MESSAGE) && !is_time(f);
    fprintf(out, "    {.name = \"%s\", .field = %zu, .flags = ", f->name, place_of(m, f));
    if (is_time(f))
        fputs(strcmp(f->type_name, TIMESTAMP) == 0 ? "RPC_RULE_TIMESTAMP | "
                                                   : "RPC_RULE_DURATION | ",
              out);
    fprintf(out, "%s%s%s%s%s%s%s%s0", r->output_only ? "RPC_RULE_OUTPUT_ONLY | " : "",
            r->required ? "RPC_RULE_REQUIRED | " : "", r->has_min ? "RPC_RULE_MIN | " : "",
            r->has_max ? "RPC_RULE_MAX | " : "", r->finite ? "RPC_RULE_FINITE | " : "",
            r->or_zero ? "RPC_RULE_OR_ZERO | " : "", r->known ? "RPC_RULE_KNOWN | " : "",
            charset_flags(r->charset, bits));
    fprintf(out,
            ",\n     .min_len = %u, .max_len = %u, .item_min_len = %u, .item_max_len = %u,\n"
            "     .min = %.17g, .max = %.17g, .nested = %s,\n     .charset = ",
            r->min_len, r->max_len, r->item_min_len, r->item_max_len, r->min, r->max,
            nested ? rules_name(f->type_name).s : "NULL");
    write_string(out, r->charset);
    fprintf(out, ", .allowed = {0x%lx, 0x%lx, 0x%lx, 0x%lx}},\n", bits[0], bits[1], bits[2],
            bits[3]);
}

static void
write_table(FILE *out, const char *type)
{
    const Message *m = find_message(type);
    const char *name = rules_name(type).s + 1;
    struct name own;
    name_printf(&own, "%s", name);
    size_t n = 0;
    fprintf(out, "static const struct rpc_rule %srows[] = {\n", own.s);
    for (size_t i = 0; i < m->n_field; i++) {
        const Field *f = m->field[i];
        Rules none = LUNA__V1__FIELD_RULES__INIT;
        Rules *r = rules_of(f);
        if (r || is_time(f) || (f->type == TYPE(MESSAGE) && matters(f->type_name))) {
            write_row(out, m, f, r ? r : &none);
            n++;
        }
        if (r)
            luna__v1__field_rules__free_unpacked(r, NULL);
    }
    fprintf(out, "};\nstatic const struct rpc_rules %s = {%srows, %zu};\n", own.s, own.s, n);
}

void
write_rules(FILE *out, const File *file)
{
    struct types t = {.n = 0};
    for (size_t s = 0; s < file->n_service; s++)
        for (size_t m = 0; m < file->service[s]->n_method; m++)
            collect(&t, file->service[s]->method[m]->input_type);
    for (size_t i = 0; i < t.n; i++)
        if (matters(t.names[i]))
            fprintf(out, "\nstatic const struct rpc_rules %s;", rules_name(t.names[i]).s + 1);
    fputc('\n', out);
    for (size_t i = 0; i < t.n; i++)
        if (matters(t.names[i]))
            write_table(out, t.names[i]);
}
