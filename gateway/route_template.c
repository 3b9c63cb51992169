#include "gateway/route_template.h"

struct parser {
    const char *p;
    const char *end;
    struct path_template *t;
    const char *wrong; /* the first thing */
};

static bool
wrong(struct parser *s, const char *what)
{
    if (!s->wrong)
        s->wrong = what;
    return false;
}

static bool
at(const struct parser *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool
take(struct parser *s, char c)
{
    if (!at(s, c))
        return false;
    s->p++;
    return true;
}

static bool
push(struct parser *s, enum segment_kind kind, struct str literal)
{
    struct path_template *t = s->t;
    if (t->segment_count == ROUTE_SEGMENTS_MAX)
        return wrong(s, "it has too many segments");
    if (t->segment_count > 0 && t->segments[t->segment_count - 1].kind == SEGMENT_MANY)
        return wrong(s, "** must be the last segment");
    t->segments[t->segment_count++] = (struct template_segment){kind, literal};
    return true;
}

/* A literal: up to what has a meaning of its own in templates. */
static struct str
take_literal(struct parser *s)
{
    const char *start = s->p;
    while (s->p < s->end && !memchr("/{}=*:", *s->p, 6))
        s->p++;
    return (struct str){start, (size_t)(s->p - start)};
}

/* "*", "**" or a literal. */
static bool
parse_plain(struct parser *s)
{
    if (take(s, '*'))
        return push(s, take(s, '*') ? SEGMENT_MANY : SEGMENT_ONE, STR(""));
    struct str literal = take_literal(s);
    if (literal.n == 0)
        return wrong(s, "a segment is empty");
    return push(s, SEGMENT_LITERAL, literal);
}

static bool
is_path(struct str path)
{
    bool start = true;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (start ? !letter : !letter && !(c >= '0' && c <= '9') && c != '.')
            return false;
        start = c == '.';
    }
    return path.n > 0 && !start;
}

/* "{path}" or "{path=segments}", behind the brace. */
static bool
parse_variable(struct parser *s)
{
    struct path_template *t = s->t;
    const char *start = s->p;
    while (s->p < s->end && *s->p != '=' && *s->p != '}')
        s->p++;
    struct template_variable v = {.path = {start, (size_t)(s->p - start)},
                                  .first = t->segment_count};
    if (!is_path(v.path))
        return wrong(s, "a variable is not named by a field path");
    if (take(s, '=')) {
        do {
            if (!parse_plain(s))
                return false;
        } while (take(s, '/'));
    } else if (!push(s, SEGMENT_ONE, STR(""))) {
        return false;
    }
    if (!take(s, '}'))
        return wrong(s, "a variable does not end with }");
    if (t->variable_count == TEMPLATE_VARIABLES_MAX)
        return wrong(s, "it has too many variables");
    v.count = t->segment_count - v.first;
    v.open = t->segments[t->segment_count - 1].kind == SEGMENT_MANY;
    t->variables[t->variable_count++] = v;
    return true;
}

const char *
template_parse(struct str text, struct path_template *ret)
{
    struct parser s = {.p = text.p, .end = text.p + text.n, .t = ret};
    ret->segment_count = ret->variable_count = 0;
    ret->verb = (struct str){0};
    if (!take(&s, '/'))
        return "it does not start with /";
    while (s.p < s.end) {
        if (!(take(&s, '{') ? parse_variable(&s) : parse_plain(&s)))
            return s.wrong;
        if (take(&s, ':')) {
            ret->verb = take_literal(&s);
            if (ret->verb.n == 0 || s.p < s.end)
                return "its verb is not one word";
        } else if (s.p < s.end && !take(&s, '/')) {
            return "a / is missing between segments";
        }
    }
    return NULL;
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
percent_decode(struct str text, bool keep_reserved, bool plus, struct arena *a, struct str *ret)
{
    if (text.n == 0 || (!memchr(text.p, '%', text.n) && !(plus && memchr(text.p, '+', text.n)))) {
        *ret = text;
        return true;
    }
    char *out = arena_alloc_raw(a, text.n);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int high = text.n - i > 2 ? hex(text.p[i + 1]) : -1;
            int low = text.n - i > 2 ? hex(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            if (keep_reserved && c && memchr("!#$&'()*+,/:;=?@[]", c, 18)) {
                out[n++] = text.p[i++];
                out[n++] = text.p[i++];
                c = text.p[i];
            } else {
                i += 2;
            }
        }
        out[n++] = c;
    }
    *ret = (struct str){out, n};
    return true;
}
