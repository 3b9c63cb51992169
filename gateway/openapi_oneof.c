/* Names and comments of oneofs, from the descriptor set itself. */
#include "gateway/openapi_private.h"

/* Numbers of google/protobuf/descriptor.proto. */
enum {
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_SOURCE = 9,
    MESSAGE_NESTED = 3,
    MESSAGE_ONEOF = 8,
};

#define PATH_MAX_BYTES 128

struct place {
    char bytes[PATH_MAX_BYTES];
    size_t n;
};

struct walk {
    struct doc *d;
    struct str source; /* SourceCodeInfo of the file */
};

/* The place of the index-th child of that kind; false: too deep to be found. */
static bool
place_child(const struct place *parent, uint32_t kind, uint32_t index, struct place *ret)
{
    *ret = *parent;
    if (ret->n + 2 * WIRE_VARINT_MAX > sizeof(ret->bytes))
        return false;
    char *p = wire_write_varint(ret->bytes + ret->n, kind);
    ret->n = (size_t)(wire_write_varint(p, index) - ret->bytes);
    return true;
}

/* The comment without the one space in front of each line. */
static const char *
clean(struct doc *d, struct str text)
{
    text = str_trim(text);
    char *out = arena_alloc(&d->arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (!(text.p[i] == ' ' && i > 0 && text.p[i - 1] == '\n'))
            out[n++] = text.p[i];
    return out;
}

static const char *
comment_at(struct walk *w, const struct place *at)
{
    struct wire_field f;
    for (const char *p = w->source.p, *end = p + w->source.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (!p || f.number != 1 || f.type != WIRE_BYTES)
            continue;
        if (str_eq(schema_option_bytes(f.bytes, 1), (struct str){at->bytes, at->n}))
            return clean(w->d, schema_option_bytes(f.bytes, 3));
    }
    return "";
}

static void
read_message(struct walk *w, struct str scope, struct str descriptor, const struct place *at)
{
    struct doc *d = w->d;
    struct wire_field f;
    struct place child;
    uint32_t nested = 0, oneof = 0;
    struct str name = schema_option_bytes(descriptor, 1);
    const char *full =
        scope.n ? arena_printf(&d->arena, STR_FMT "." STR_FMT, STR_ARG(scope), STR_ARG(name))
                : arena_strndup(&d->arena, name.p, name.n);
    const struct schema_message *m = schema_message_find(d->schema, str_of(full));
    struct oneof_info *all =
        m ? arena_new_n(&d->arena, struct oneof_info, m->oneof_count + 1) : NULL;
    if (m)
        d->oneofs[doc_message_index(d, m)] = all;
    for (const char *p = descriptor.p, *end = p + descriptor.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (!p || f.type != WIRE_BYTES)
            continue;
        if (f.number == MESSAGE_NESTED && place_child(at, MESSAGE_NESTED, nested++, &child)) {
            read_message(w, str_of(full), f.bytes, &child);
        } else if (f.number == MESSAGE_ONEOF && m && oneof < m->oneof_count &&
                   place_child(at, MESSAGE_ONEOF, oneof, &child)) {
            struct str own = schema_option_bytes(f.bytes, 1);
            all[oneof++] =
                (struct oneof_info){arena_strndup(&d->arena, own.p, own.n), comment_at(w, &child)};
        }
    }
}

static void
read_file(struct doc *d, struct str file)
{
    struct walk w = {d, schema_option_bytes(file, FILE_SOURCE)};
    struct place root = {.n = 0}, child;
    struct wire_field f;
    uint32_t index = 0;
    for (const char *p = file.p, *end = p + file.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (p && f.number == FILE_MESSAGE && f.type == WIRE_BYTES &&
            place_child(&root, FILE_MESSAGE, index++, &child))
            read_message(&w, schema_option_bytes(file, FILE_PACKAGE), f.bytes, &child);
    }
}

void
oneofs_load(struct doc *d)
{
    struct str set = d->options->descriptor_set;
    struct wire_field f;
    d->oneofs = arena_new_n(&d->arena, struct oneof_info *, d->schema->message_count + 1);
    for (const char *p = set.p, *end = p + set.n; p && p < end;) {
        p = wire_next(p, end, &f);
        if (p && f.number == 1 && f.type == WIRE_BYTES)
            read_file(d, f.bytes);
    }
}

size_t
doc_message_index(const struct doc *d, const struct schema_message *m)
{
    size_t low = 0, high = d->schema->message_count;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(d->schema->messages[middle]->full_name, m->full_name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct oneof_info *
oneof_find(const struct doc *d, const struct schema_message *m, int32_t n)
{
    static const struct oneof_info unknown = {"", ""};
    const struct oneof_info *all = d->oneofs[doc_message_index(d, m)];
    return all && n >= 0 && (uint32_t)n < m->oneof_count && all[n].name ? &all[n] : &unknown;
}

bool
oneof_is_presence(const struct schema_message *m, int32_t n)
{
    unsigned fields = 0;
    for (uint32_t i = 0; i < m->field_count; i++)
        fields += m->fields[i].oneof == n;
    return fields == 1;
}
