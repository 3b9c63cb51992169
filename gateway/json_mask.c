/* The field mask that a PATCH body stands for. */
#include "gateway/json_read.h"

struct mask {
    struct json_reader reader;
    struct buf path;
    struct buf *out;
};

static void
walk(struct mask *k, const struct schema_message *m)
{
    struct json_reader *r = &k->reader;
    bool more = json_expect(r, '{') && json_peek(r) != '}';
    if (!more) {
        json_expect(r, '}');
        return;
    }
    while (more) {
        struct str key;
        size_t before = k->path.len;
        const struct schema_field *f = json_key(r, &key) ? schema_field_find(m, key) : NULL;
        if (!f)
            return;
        if (before > 0)
            buf_putc(&k->path, '.');
        buf_put(&k->path, f->name.p, f->name.n);
        bool inside = f->type == TYPE_MESSAGE && !f->repeated && f->message->wkt == WKT_NONE &&
                      f->message->field_count > 0 && json_peek(r) == '{';
        if (inside) {
            walk(k, f->message);
        } else {
            wire_put_bytes(k->out, 1, (struct str){k->path.data, k->path.len});
            if (!json_skip(r))
                return;
        }
        if (r->failed || !json_comma(r, '}', &more))
            return;
        k->path.len = before;
    }
}

void
json_mask_paths(const struct schema *s, const struct schema_message *m, struct str text,
                struct arena *scratch, struct buf *mask)
{
    struct mask k = {.out = mask};
    struct json_error err;
    json_reader_init(&k.reader, s, text, scratch, NULL, &err);
    buf_init(&k.path, 64 * 1024);
    walk(&k, m);
    buf_fini(&k.path);
}
