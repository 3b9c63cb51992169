#include "rpc/descriptor.h"

#include <stdlib.h>

#include "google/protobuf/descriptor.pb-c.h"

struct builder {
    struct descriptor_index *d;
    size_t symbol_cap;
    size_t extension_cap;
    size_t file;
};

/* ---- filling it ---------------------------------------------------------------------------- */

static void *
grown(void *p, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 256;
    p = reallocarray(p, *cap, size);
    ASSERT(p != NULL);
    return p;
}

static struct descriptor_symbol *
add_symbol(struct builder *b, const char *scope, const char *name)
{
    struct descriptor_index *d = b->d;
    d->symbols = grown(d->symbols, &b->symbol_cap, d->symbol_count, sizeof(*d->symbols));
    struct descriptor_symbol *s = &d->symbols[d->symbol_count++];
    *s = (struct descriptor_symbol){.file = b->file};
    s->name =
        *scope ? arena_printf(&d->arena, "%s.%s", scope, name) : arena_strdup(&d->arena, name);
    return s;
}

static const char *
without_dot(struct arena *a, const char *type)
{
    return arena_strdup(a, *type == '.' ? type + 1 : type);
}

static void
add_extension(struct builder *b, const char *scope, const Google__Protobuf__FieldDescriptorProto *f)
{
    struct descriptor_index *d = b->d;
    (void)add_symbol(b, scope, f->name);
    d->extensions =
        grown(d->extensions, &b->extension_cap, d->extension_count, sizeof(*d->extensions));
    d->extensions[d->extension_count++] = (struct descriptor_extension){
        .extendee = without_dot(&d->arena, f->extendee), .number = f->number, .file = b->file};
}

/* Values are symbols of the scope around their enum, as in C++. */
static void
add_enum(struct builder *b, const char *scope, const Google__Protobuf__EnumDescriptorProto *e)
{
    (void)add_symbol(b, scope, e->name);
    for (size_t i = 0; i < e->n_value; i++)
        (void)add_symbol(b, scope, e->value[i]->name);
}

static void
add_message(struct builder *b, const char *scope, const Google__Protobuf__DescriptorProto *m)
{
    const char *name = add_symbol(b, scope, m->name)->name;
    for (size_t i = 0; i < m->n_field; i++)
        (void)add_symbol(b, name, m->field[i]->name);
    for (size_t i = 0; i < m->n_oneof_decl; i++)
        (void)add_symbol(b, name, m->oneof_decl[i]->name);
    for (size_t i = 0; i < m->n_nested_type; i++)
        add_message(b, name, m->nested_type[i]);
    for (size_t i = 0; i < m->n_enum_type; i++)
        add_enum(b, name, m->enum_type[i]);
    for (size_t i = 0; i < m->n_extension; i++)
        add_extension(b, name, m->extension[i]);
}

static void
add_service(struct builder *b, const char *scope,
            const Google__Protobuf__ServiceDescriptorProto *service)
{
    struct arena *a = &b->d->arena;
    const char *name = add_symbol(b, scope, service->name)->name;
    for (size_t i = 0; i < service->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *m = service->method[i];
        struct descriptor_symbol *s = add_symbol(b, name, m->name);
        s->input = without_dot(a, m->input_type);
        s->output = without_dot(a, m->output_type);
        s->client_streaming = m->client_streaming;
        s->server_streaming = m->server_streaming;
    }
}

/* Imports come first in a set, so those known by now are all there will be. */
static void
add_imports(struct descriptor_index *d, struct descriptor_file *f,
            const Google__Protobuf__FileDescriptorProto *p)
{
    f->imports = arena_new_n(&d->arena, size_t, p->n_dependency);
    for (size_t i = 0; i < p->n_dependency; i++) {
        const struct descriptor_file *of = descriptor_find_file(d, str_of(p->dependency[i]));
        if (of)
            f->imports[f->import_count++] = (size_t)(of - d->files);
    }
}

static bool
add_file(struct builder *b, struct str bytes)
{
    struct descriptor_index *d = b->d;
    Google__Protobuf__FileDescriptorProto *p =
        google__protobuf__file_descriptor_proto__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    if (!p || !p->name) {
        google__protobuf__file_descriptor_proto__free_unpacked(p, NULL);
        return false;
    }
    struct descriptor_file *f = &d->files[d->file_count];
    *f = (struct descriptor_file){.name = arena_strdup(&d->arena, p->name), .bytes = bytes};
    add_imports(d, f, p);
    b->file = d->file_count++;
    const char *scope = p->package ? p->package : "";
    for (size_t i = 0; i < p->n_message_type; i++)
        add_message(b, scope, p->message_type[i]);
    for (size_t i = 0; i < p->n_enum_type; i++)
        add_enum(b, scope, p->enum_type[i]);
    for (size_t i = 0; i < p->n_service; i++)
        add_service(b, scope, p->service[i]);
    for (size_t i = 0; i < p->n_extension; i++)
        add_extension(b, scope, p->extension[i]);
    google__protobuf__file_descriptor_proto__free_unpacked(p, NULL);
    return true;
}

/* ---- the set itself: field 1, length-delimited, again and again ------------------------------ */

static bool
next_file(struct str *s, struct str *ret)
{
    uint64_t n = 0;
    if (s->n == 0 || *s->p != 0x0a)
        return false;
    size_t at = 1;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (at == s->n)
            return false;
        unsigned char c = (unsigned char)s->p[at++];
        n |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            break;
    }
    if (n > s->n - at)
        return false;
    *ret = (struct str){s->p + at, (size_t)n};
    *s = (struct str){s->p + at + n, s->n - at - (size_t)n};
    return true;
}

static size_t
count_files(struct str s)
{
    size_t n = 0;
    struct str file;
    while (next_file(&s, &file))
        n++;
    return s.n == 0 ? n : 0;
}

static int
symbol_cmp(const void *a, const void *b)
{
    const struct descriptor_symbol *x = a;
    const struct descriptor_symbol *y = b;
    return strcmp(x->name, y->name);
}

static int
extension_cmp(const void *a, const void *b)
{
    const struct descriptor_extension *x = a;
    const struct descriptor_extension *y = b;
    int c = strcmp(x->extendee, y->extendee);
    return c ? c : (x->number > y->number) - (x->number < y->number);
}

struct descriptor_index *
descriptor_index_new(const unsigned char *set, size_t size)
{
    struct str rest = {(const char *)set, size};
    size_t count = count_files(rest);
    if (count == 0)
        return NULL;
    struct descriptor_index *d = calloc(1, sizeof(*d));
    ASSERT(d != NULL);
    arena_init(&d->arena, 0);
    d->files = arena_new_n(&d->arena, struct descriptor_file, count);
    struct builder b = {.d = d};
    struct str file;
    while (next_file(&rest, &file)) {
        if (!add_file(&b, file)) {
            descriptor_index_free(d);
            return NULL;
        }
    }
    if (d->symbol_count > 0)
        qsort(d->symbols, d->symbol_count, sizeof(*d->symbols), symbol_cmp);
    if (d->extension_count > 0)
        qsort(d->extensions, d->extension_count, sizeof(*d->extensions), extension_cmp);
    return d;
}

void
descriptor_index_free(struct descriptor_index *d)
{
    if (!d)
        return;
    free(d->symbols);
    free(d->extensions);
    arena_fini(&d->arena);
    free(d);
}

/* ---- asking it ----------------------------------------------------------------------------- */

static int
name_cmp(struct str key, const char *name)
{
    int c = strncmp(key.p, name, key.n);
    return c ? c : (name[key.n] ? -1 : 0);
}

const struct descriptor_symbol *
descriptor_find_symbol(const struct descriptor_index *d, struct str name)
{
    size_t lo = 0;
    size_t hi = d->symbol_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = name_cmp(name, d->symbols[mid].name);
        if (c == 0)
            return &d->symbols[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct descriptor_file *
descriptor_find_file(const struct descriptor_index *d, struct str name)
{
    for (size_t i = 0; i < d->file_count; i++) {
        if (str_eq(name, str_of(d->files[i].name)))
            return &d->files[i];
    }
    return NULL;
}

const struct descriptor_extension *
descriptor_find_extension(const struct descriptor_index *d, struct str extendee, int32_t number)
{
    for (size_t i = 0; i < d->extension_count; i++) {
        const struct descriptor_extension *e = &d->extensions[i];
        if (e->number == number && str_eq(extendee, str_of(e->extendee)))
            return e;
    }
    return NULL;
}
