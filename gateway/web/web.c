#include "gateway/web/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "gateway/openapi.h"
#include "gateway/web/embedded.h"
#include "gateway/web/html.h"

#define PACKAGE       "luna.v1"
#define PAGES_MAX     24
#define PAGE_MAX      (16 << 20)
#define COMPRESS_FROM 1024
#define GZIP_WRAPPER  16 /* zlib's window bits + 16: gzip */

#define HTML "text/html; charset=utf-8"
#define CSS  "text/css; charset=utf-8"
#define JS   "text/javascript; charset=utf-8"
#define JSON "application/json"
#define SVG  "image/svg+xml"
#define TEXT "text/plain; charset=utf-8"

#define POLICY(style, more)                                            \
    "default-src 'none'; script-src 'self'; style-src 'self'" style    \
    "; img-src 'self' data:; font-src 'self'; connect-src 'self'" more \
    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const char policy_plain[] = POLICY("", "");
/* Swagger UI and Redoc style their elements from scripts; Redoc searches in a worker of its own. */
#ifdef LUNA_WEB_ASSETS
static const char policy_docs[] = POLICY(" 'unsafe-inline'", "; worker-src blob:");
#endif

struct web {
    struct arena arena;
    struct openapi *openapi;
    struct buf index, reference;
    struct web_page pages[PAGES_MAX];
    size_t page_count;
};

#define FILE_OF(name)                               \
    (struct str)                                    \
    {                                               \
        (const char *)web_##name, web_##name##_size \
    }

static uint64_t
hash(struct str s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
    return h;
}

static struct str
compress_text(struct arena *a, struct str s)
{
    z_stream z = {0};
    struct str packed = STR("");
    if (s.n < COMPRESS_FROM ||
        deflateInit2(&z, 9, Z_DEFLATED, 15 + GZIP_WRAPPER, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return packed;
    uLong bound = deflateBound(&z, (uLong)s.n);
    char *out = arena_alloc_raw(a, bound);
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < s.n)
        packed = (struct str){out, z.total_out};
    deflateEnd(&z);
    return packed;
}

/* `packed` empty: compressed here. */
static void
add(struct web *w, const char *path, const char *type, const char *policy, struct str body,
    struct str packed)
{
    ASSERT(w->page_count < PAGES_MAX);
    unsigned long long tag = hash(body);
    w->pages[w->page_count++] = (struct web_page){
        .path = str_of(path),
        .content_type = type,
        .cache_control = "no-cache",
        .policy = policy,
        .etag = arena_printf(&w->arena, "\"%016llx\"", tag),
        .etag_gzip = arena_printf(&w->arena, "\"%016llx-gzip\"", tag),
        .body = body,
        .gzip = packed.n > 0 ? packed : compress_text(&w->arena, body),
    };
}

static void
make_index(struct web *w, const struct schema *s)
{
    struct buf services;
    buf_init(&services, PAGE_MAX);
    buf_init(&w->index, PAGE_MAX);
    buf_puts(&services, "<ul class=\"cards\">\n");
    for (size_t i = 0; i < s->service_count; i++)
        if (service_is_of(s->services[i], PACKAGE))
            html_service_card(&services, s->services[i]);
    buf_puts(&services, "</ul>");
    struct html_slot slots[] = {{"@VERSION@", STR(LUNA_VERSION)},
                                {"@SERVICES@", {services.data, services.len}}};
    html_fill(&w->index, FILE_OF(index_html), slots, ARRAY_LEN(slots));
    buf_fini(&services);
}

static struct str
text_of(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

static void
add_docs(struct web *w)
{
    struct str none = STR("");
#ifdef LUNA_WEB_ASSETS
    add(w, "/docs", HTML, policy_docs, FILE_OF(docs_html), none);
    add(w, "/redoc", HTML, policy_docs, FILE_OF(redoc_html), none);
    add(w, "/assets/frame.css", CSS, NULL, FILE_OF(frame_css), none);
    add(w, "/assets/docs.js", JS, NULL, FILE_OF(docs_js), none);
    add(w, "/assets/redoc.js", JS, NULL, FILE_OF(redoc_js), none);
    add(w, "/assets/swagger-ui.css", CSS, NULL, FILE_OF(swagger_ui_css),
        FILE_OF(swagger_ui_css_gz));
    add(w, "/assets/swagger-ui-bundle.js", JS, NULL, FILE_OF(swagger_ui_bundle_js),
        FILE_OF(swagger_ui_bundle_js_gz));
    add(w, "/assets/redoc.standalone.js", JS, NULL, FILE_OF(redoc_standalone_js),
        FILE_OF(redoc_standalone_js_gz));
    add(w, "/assets/licenses.txt", TEXT, NULL, FILE_OF(licenses_txt), FILE_OF(licenses_txt_gz));
#else
    add(w, "/docs", HTML, policy_plain, text_of(&w->reference), none);
    add(w, "/redoc", HTML, policy_plain, text_of(&w->reference), none);
#endif
}

static bool
make(struct web *w, const struct schema *s, const struct route_table *routes, struct str set,
     enum json_emit emit, char *err, size_t err_size)
{
    struct str examples = FILE_OF(examples_json), none = STR("");
    struct openapi_options options = {.descriptor_set = set,
                                      .examples = examples,
                                      .package = PACKAGE,
                                      .version = LUNA_VERSION,
                                      .emit = emit};
    w->openapi = openapi_new(s, routes, &options, err, err_size);
    buf_init(&w->reference, PAGE_MAX);
    if (!w->openapi ||
        !reference_write(&w->reference, s, routes, set, examples, PACKAGE, err, err_size))
        return false;
    make_index(w, s);
    if (w->index.overflow || w->reference.overflow) {
        snprintf(err, err_size, "a page is larger than %d bytes", PAGE_MAX);
        return false;
    }
    add(w, "/", HTML, policy_plain, text_of(&w->index), none);
    add(w, "/reference", HTML, policy_plain, text_of(&w->reference), none);
    add(w, "/openapi.json", JSON, NULL, openapi_json(w->openapi), none);
    add(w, "/assets/luna.css", CSS, NULL, FILE_OF(luna_css), none);
    add(w, "/assets/status.js", JS, NULL, FILE_OF(status_js), none);
    add(w, "/assets/luna.svg", SVG, NULL, FILE_OF(luna_svg), none);
    add(w, "/favicon.ico", SVG, NULL, FILE_OF(luna_svg), none); /* asked for by every browser */
    add_docs(w);
    return true;
}

struct web *
web_new(const struct schema *s, const struct route_table *routes, struct str set,
        enum json_emit emit, char *err, size_t err_size)
{
    struct web *w = calloc(1, sizeof(*w));
    ASSERT(w);
    arena_init(&w->arena, 64 << 10);
    if (make(w, s, routes, set, emit, err, err_size))
        return w;
    web_free(w);
    return NULL;
}

void
web_free(struct web *w)
{
    if (!w)
        return;
    openapi_free(w->openapi);
    buf_fini(&w->index);
    buf_fini(&w->reference);
    arena_fini(&w->arena);
    free(w);
}

const struct web_page *
web_find(const struct web *w, struct str path)
{
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    for (size_t i = 0; i < w->page_count; i++)
        if (str_eq(w->pages[i].path, path))
            return &w->pages[i];
    return NULL;
}
