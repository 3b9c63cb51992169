#include "gateway/form.h"

#include <stdlib.h>

#define WINDOW     (8 << 10)  /* bytes that MHD_PostProcessor looks at; a part's headers fit */
#define FIELDS_MAX (64 << 10) /* of all fields, encoded */

enum part { PART_NONE, PART_FIELD, PART_FILE };

struct form {
    struct exchange *x;
    struct MHD_PostProcessor *reader;
    form_take *take;
    void *arg;
    struct buf query;
    enum part part;   /* the last one that has begun */
    const char *name; /* of it */
    uint64_t size;    /* that has come of it */
    bool file;        /* the file has begun */
};

bool
form_wanted(const struct exchange *x)
{
    return x->gw->cfg->forms && media_type_is(x->in.content_type, STR("multipart/form-data"));
}

static void
put_encoded(struct buf *b, const char *p, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i];
        buf_putc(b, '%');
        buf_putc(b, hex[c >> 4]);
        buf_putc(b, hex[c & 15]);
    }
}

static bool
refuse(struct form *f, const char *name, const char *text)
{
    if (!f->x->refused)
        answer_refuse(f->x, name ? REASON_BAD_FIELD : REASON_BAD_REQUEST, name, "%s", text);
    return false;
}

/* ---- parts ---- */

static bool
begin_file(struct form *f, const char *content_type, const char *coding)
{
    struct exchange *x = f->x;
    if (f->file)
        return refuse(f, f->name, "is a second file: a form may have one");
    if (coding && strcasecmp(coding, "binary") != 0 && strcasecmp(coding, "8bit") != 0 &&
        strcasecmp(coding, "7bit") != 0)
        return refuse(f, f->name, "has a transfer encoding: files are taken as they are");
    f->file = true;
    x->in.content_type = str_of(arena_strdup(&x->arena, content_type ? content_type : ""));
    if (f->query.overflow) {
        answer_refuse(x, REASON_TOO_LARGE, NULL, "the form's fields are larger than %d bytes",
                      FIELDS_MAX);
        return false;
    }
    x->query = (struct str){arena_strndup(&x->arena, f->query.data, f->query.len), f->query.len};
    return f->take(f->arg, STR(""), true);
}

static bool
begin_field(struct form *f)
{
    if (f->file)
        return refuse(f, f->name, "comes behind the file: fields come in front of it");
    if (f->query.len > 0)
        buf_putc(&f->query, '&');
    put_encoded(&f->query, f->name, strlen(f->name));
    buf_putc(&f->query, '=');
    return true;
}

/* A part begins with its byte 0. While none of its bytes have come, it may begin once more. */
static bool
begins(const struct form *f, enum part part, const char *name, uint64_t at)
{
    return at == 0 && (f->size > 0 || f->part != part || strcmp(f->name, name) != 0);
}

static enum MHD_Result
on_part(void *cls, enum MHD_ValueKind kind, const char *name, const char *file_name,
        const char *content_type, const char *coding, const char *data, uint64_t at, size_t n)
{
    struct form *f = cls;
    enum part part = file_name ? PART_FILE : PART_FIELD;
    (void)kind;
    if (!name || f->x->refused)
        return MHD_NO;
    if (begins(f, part, name, at)) {
        f->part = part;
        f->name = arena_strdup(&f->x->arena, name);
        f->size = 0;
        if (part == PART_FILE ? !begin_file(f, content_type, coding) : !begin_field(f))
            return MHD_NO;
    }
    f->size += n;
    if (part == PART_FIELD)
        put_encoded(&f->query, data, n);
    else if (n > 0 && !f->take(f->arg, (struct str){data, n}, false))
        return MHD_NO;
    return MHD_YES;
}

/* ---- life ---- */

struct form *
form_new(struct exchange *x, form_take *take, void *arg)
{
    struct form *f = calloc(1, sizeof(*f));
    ASSERT(f);
    *f = (struct form){.x = x, .take = take, .arg = arg};
    buf_init(&f->query, FIELDS_MAX);
    buf_put(&f->query, x->query.p, x->query.n);
    f->reader = MHD_create_post_processor(x->conn, WINDOW, on_part, f);
    if (f->reader)
        return f;
    refuse(f, NULL, "the form's content type names no boundary");
    form_free(f);
    return NULL;
}

void
form_free(struct form *f)
{
    if (!f)
        return;
    if (f->reader)
        MHD_destroy_post_processor(f->reader);
    buf_fini(&f->query);
    free(f);
}

bool
form_feed(struct form *f, struct str bytes)
{
    enum MHD_Result read = MHD_post_process(f->reader, bytes.p, bytes.n);
    if (f->x->refused)
        return false;
    return read == MHD_YES || refuse(f, NULL, "the body is not the form that it says it is");
}

bool
form_end(struct form *f)
{
    enum MHD_Result whole = MHD_destroy_post_processor(f->reader);
    f->reader = NULL;
    if (f->x->refused)
        return false;
    if (whole != MHD_YES)
        return refuse(f, NULL, "the form is cut");
    return f->file || refuse(f, NULL, "the form holds no file");
}
