#include "gateway/web/html.h"

void
html_text(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        case '"':
            buf_puts(out, "&quot;");
            break;
        case '\'':
            buf_puts(out, "&#39;");
            break;
        default:
            buf_putc(out, text.p[i]);
        }
    }
}

void
html_fill(struct buf *out, struct str page, const struct html_slot *slots, size_t count)
{
    while (page.n > 0) {
        const struct html_slot *found = NULL;
        for (size_t i = 0; i < count && page.p[0] == '@' && !found; i++)
            if (str_starts(page, str_of(slots[i].name)))
                found = &slots[i];
        size_t taken = found ? strlen(found->name) : 1;
        if (found)
            buf_put(out, found->value.p, found->value.n);
        else
            buf_putc(out, page.p[0]);
        page.p += taken;
        page.n -= taken;
    }
}

void
html_service_card(struct buf *out, const struct schema_service *s)
{
    const char *dot = strrchr(s->full_name, '.');
    const char *name = dot ? dot + 1 : s->full_name;
    buf_printf(out, "<li class=\"card\"><a href=\"/reference#%s\">%s</a><p>", name, name);
    html_text(out, str_of(s->comment));
    buf_printf(out, "</p><p>%zu method%s</p></li>\n", s->method_count,
               s->method_count == 1 ? "" : "s");
}
