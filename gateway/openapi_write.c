/* JSON with commas in their places, and comments as Markdown. */
#include <math.h>

#include "gateway/number.h"
#include "gateway/openapi_private.h"

#define SUMMARY_MAX 120

static void
start_value(struct doc *d, const char *key)
{
    if (d->comma)
        buf_putc(&d->out, ',');
    d->comma = true;
    if (key) {
        buf_put_json(&d->out, key, strlen(key));
        buf_putc(&d->out, ':');
    }
}

void
doc_open(struct doc *d, const char *key, char bracket)
{
    start_value(d, key);
    buf_putc(&d->out, bracket);
    d->comma = false;
}

void
doc_close(struct doc *d, char bracket)
{
    buf_putc(&d->out, bracket);
    d->comma = true;
}

void
doc_string(struct doc *d, const char *key, struct str value)
{
    start_value(d, key);
    buf_put_json(&d->out, value.p, value.n);
}

void
doc_text(struct doc *d, const char *key, const char *value)
{
    if (*value)
        doc_string(d, key, str_of(value));
}

void
doc_int(struct doc *d, const char *key, int64_t value)
{
    start_value(d, key);
    buf_put_int(&d->out, value);
}

void
doc_number(struct doc *d, const char *key, double value)
{
    char text[NUMBER_TEXT];
    if (!isfinite(value))
        return;
    start_value(d, key);
    buf_put(&d->out, text, (size_t)(number_put_double(text, value) - text));
}

void
doc_true(struct doc *d, const char *key)
{
    start_value(d, key);
    buf_puts(&d->out, "true");
}

void
doc_raw(struct doc *d, const char *key, struct str json)
{
    start_value(d, key);
    buf_put(&d->out, json.p, json.n);
}

void
doc_ref(struct doc *d, const char *section, const char *name)
{
    doc_text(d, "$ref", arena_printf(&d->arena, "#/components/%s/%s", section, name));
}

/* ---- comments ---- */

static void
put_line(struct buf *b, struct str line, bool code)
{
    bool verbatim = code;
    if (code)
        buf_puts(b, "  "); /* to the four that Markdown asks for */
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        if (c == '`' && !code)
            verbatim = !verbatim;
        if (!verbatim && c == '<')
            buf_puts(b, "&lt;");
        else if (!verbatim && c == '*' && (i > 0 || line.n < 2 || line.p[1] != ' '))
            buf_puts(b, "\\*");
        else
            buf_putc(b, c);
    }
}

void
doc_comment(struct doc *d, const char *key, const char *comment)
{
    struct buf b;
    struct str rest = str_of(comment);
    bool blank = true, code = false;
    if (rest.n == 0)
        return;
    buf_init(&b, 2 * rest.n * sizeof("&lt;") + 16);
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        bool indented = str_starts(line, STR("  "));
        code = indented && (blank || code);
        blank = str_trim(line).n == 0;
        if (b.len > 0)
            buf_putc(&b, '\n');
        put_line(&b, line, code);
    }
    doc_string(d, key, (struct str){b.data, b.len});
    buf_fini(&b);
}

const char *
doc_summary(struct doc *d, const char *comment)
{
    size_t n = 0;
    char *text = arena_strdup(&d->arena, comment);
    for (; text[n] && n < SUMMARY_MAX; n++) {
        char next = text[n + 1];
        if (text[n] == '\n' && (next == '\n' || next == ' '))
            break;
        if (text[n] == '.' && (next == 0 || next == ' ' || next == '\n'))
            break;
        if (text[n] == '\n')
            text[n] = ' ';
    }
    if (text[n] && n == SUMMARY_MAX) /* at a word's end */
        while (n > 0 && text[n] != ' ')
            n--;
    while (n > 0 && (text[n - 1] == ':' || text[n - 1] == ' '))
        n--;
    text[n] = 0;
    return text;
}
