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
html_comment(struct buf *out, struct str comment)
{
    const char *open = NULL; /* the element that lines go to */
    while (comment.p && comment.n > 0) {
        struct str line = str_cut(&comment, '\n');
        const char *wanted = str_starts(line, STR("  ")) ? "pre" : "p";
        if (str_trim(line).n == 0) {
            if (open)
                buf_printf(out, "</%s>\n", open);
            open = NULL;
            continue;
        }
        buf_puts(out, open ? "\n" : "");
        if (!open)
            buf_printf(out, "<%s>", wanted);
        open = open ? open : wanted;
        html_text(out, open[1] == 'r' ? line : str_trim(line));
    }
    if (open)
        buf_printf(out, "</%s>\n", open);
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

/* What stands before the first empty line. */
static struct str
first_paragraph(struct str text)
{
    struct str rest = text;
    while (rest.p && rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (str_trim(line).n == 0)
            return (struct str){text.p, (size_t)(line.p - text.p)};
    }
    return text;
}

void
html_service_card(struct buf *out, const struct schema_service *s)
{
    const char *dot = strrchr(s->full_name, '.');
    const char *name = dot ? dot + 1 : s->full_name;
    buf_printf(out, "<li class=\"card\"><a href=\"/reference#%s\">%s</a>", name, name);
    html_comment(out, first_paragraph(str_of(s->comment)));
    buf_printf(out, "<p class=\"count\">%zu method%s</p></li>\n", s->method_count,
               s->method_count == 1 ? "" : "s");
}
