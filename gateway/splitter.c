#include "gateway/splitter.h"

enum { AT_START, IN_TEXT, AFTER_ARRAY };

void
splitter_init(struct splitter *s, enum splitter_form form, size_t max)
{
    *s = (struct splitter){.form = form, .max = max, .lines = 1, .state = AT_START};
    buf_init(&s->part, max);
}

void
splitter_fini(struct splitter *s)
{
    buf_fini(&s->part);
}

static enum splitter_result
bad(struct splitter *s, const char *what)
{
    s->what = what;
    return SPLITTER_BAD;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The text is what was kept and the first `n` bytes of `*rest`; `skip` more are taken with it.
 * False: too large. */
static bool
cut(struct splitter *s, struct str *rest, size_t n, size_t skip, struct str *ret)
{
    struct str piece = {rest->p, n};
    if (s->part.len > 0) {
        buf_put(&s->part, piece.p, piece.n);
        piece = (struct str){s->part.data, s->part.len};
        s->given = true;
    }
    rest->p += n + skip;
    rest->n -= n + skip;
    *ret = piece.n > 0 ? str_trim(piece) : STR("");
    return !s->part.overflow && piece.n <= s->max;
}

static enum splitter_result
keep(struct splitter *s, struct str *rest)
{
    buf_put(&s->part, rest->p, rest->n);
    rest->p += rest->n;
    rest->n = 0;
    return s->part.overflow ? SPLITTER_TOO_LARGE : SPLITTER_MORE;
}

/* What was given out last is no longer looked at. */
static void
forget(struct splitter *s)
{
    if (s->given)
        buf_clear(&s->part);
    s->given = false;
}

/* ---- lines ---- */

static enum splitter_result
next_line(struct splitter *s, struct str *rest, struct str *ret)
{
    while (rest->n > 0) {
        const char *end = memchr(rest->p, '\n', rest->n);
        if (!end)
            return keep(s, rest);
        if (!cut(s, rest, (size_t)(end - rest->p), 1, ret))
            return SPLITTER_TOO_LARGE;
        s->lines++;
        if (ret->n > 0) {
            s->texts++;
            return SPLITTER_TEXT;
        }
        forget(s);
    }
    return SPLITTER_MORE;
}

/* ---- values ---- */

/* Looks at one byte of a value. True: it is the last one. */
static bool
ends_with(struct splitter *s, char c)
{
    if (s->quoted) {
        bool closed = c == '"' && !s->escaped;
        s->escaped = c == '\\' && !s->escaped;
        s->quoted = !closed;
        return closed && s->depth == 0 && !s->array;
    }
    if (c == '"')
        s->quoted = true;
    else if (c == '{' || c == '[')
        s->depth++;
    else if (c == '}' || c == ']')
        return --s->depth < 0 || (s->depth == 0 && !s->array);
    return false;
}

/* The number of bytes up to the end of the value that has begun, its last byte included; `n` when
 * it goes on behind them, and `*ret_end` tells which. */
static size_t
scan(struct splitter *s, const char *p, size_t n, bool *ret_end)
{
    *ret_end = true;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n')
            s->lines++;
        bool outside = !s->quoted && s->depth == 0;
        if (outside && s->array && (p[i] == ',' || p[i] == ']'))
            return i;
        if (outside && !s->array && is_space(p[i]))
            return i;
        if (ends_with(s, p[i]))
            return i + 1;
    }
    *ret_end = false;
    return n;
}

static void
skip_space(struct splitter *s, struct str *rest)
{
    while (rest->n > 0 && is_space(*rest->p)) {
        s->lines += *rest->p == '\n';
        rest->p++;
        rest->n--;
    }
}

/* Behind an element: "," or "]" is still there. */
static enum splitter_result
element(struct splitter *s, struct str *rest, struct str *ret)
{
    bool last = *rest->p == ']';
    rest->p++;
    rest->n--;
    if (ret->n == 0 && (!last || s->texts > 0))
        return bad(s, "an element is missing");
    s->state = last ? AFTER_ARRAY : IN_TEXT;
    s->texts += ret->n > 0;
    return ret->n > 0 ? SPLITTER_TEXT : SPLITTER_MORE;
}

static enum splitter_result
next_value(struct splitter *s, struct str *rest, struct str *ret)
{
    bool end;
    if (s->state != IN_TEXT)
        skip_space(s, rest);
    if (rest->n == 0)
        return SPLITTER_MORE;
    if (s->state == AFTER_ARRAY)
        return bad(s, "something follows the array");
    if (s->state == AT_START && *rest->p == '[' && s->texts == 0) {
        s->array = true;
        rest->p++;
        rest->n--;
    }
    s->state = IN_TEXT;
    size_t n = scan(s, rest->p, rest->n, &end);
    if (!end)
        return keep(s, rest);
    if (s->depth < 0)
        return bad(s, "a bracket closes what is not open");
    if (!cut(s, rest, n, 0, ret))
        return SPLITTER_TOO_LARGE;
    if (s->array) {
        enum splitter_result r = element(s, rest, ret);
        return r == SPLITTER_MORE ? next_value(s, rest, ret) : r;
    }
    s->state = AT_START;
    s->texts++;
    return SPLITTER_TEXT;
}

/* ---- both ---- */

enum splitter_result
splitter_next(struct splitter *s, struct str *rest, struct str *ret)
{
    forget(s);
    return s->form == SPLITTER_LINES ? next_line(s, rest, ret) : next_value(s, rest, ret);
}

enum splitter_result
splitter_end(struct splitter *s, struct str *ret)
{
    forget(s);
    if (s->array && s->state != AFTER_ARRAY)
        return bad(s, "the array is not closed");
    struct str last = s->part.len > 0 ? str_trim((struct str){s->part.data, s->part.len}) : STR("");
    s->given = true;
    if (last.n == 0)
        return SPLITTER_MORE;
    s->texts++;
    s->lines += s->form == SPLITTER_LINES;
    *ret = last;
    return SPLITTER_TEXT;
}
