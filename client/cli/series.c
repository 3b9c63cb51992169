/* Reading a series: one number a line, or one column of a CSV file (RFC 4180). */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/number.h"

#define MAX_COLUMNS 1000

/* A row being read: its cells point into the text, or into the arena where quotes were taken off.
 */
struct row {
    struct str cell[MAX_COLUMNS];
    size_t count;
};

struct reader {
    struct arena *arena;
    const char *name;
    struct str rest;
    char separator;
    size_t line; /* of the row read last, 1 based */
    size_t next_line;
};

/* The cell behind an opening quote, without its quotes; two quotes are one. */
static bool
read_quoted(struct reader *r, struct str *ret)
{
    const char *p = r->rest.p + 1, *end = r->rest.p + r->rest.n;
    char *out = arena_alloc_raw(r->arena, r->rest.n), *o = out;
    for (; p < end; p++) {
        if (*p == '\n')
            r->next_line++;
        if (*p != '"') {
            *o++ = *p;
        } else if (p + 1 < end && p[1] == '"') {
            *o++ = *p++;
        } else {
            p++;
            *ret = (struct str){out, (size_t)(o - out)};
            r->rest = (struct str){p, (size_t)(end - p)};
            return true;
        }
    }
    return false;
}

static struct str
read_plain(struct reader *r)
{
    size_t n = 0;
    while (n < r->rest.n && r->rest.p[n] != r->separator && r->rest.p[n] != '\n')
        n++;
    struct str cell = {r->rest.p, n};
    r->rest = (struct str){r->rest.p + n, r->rest.n - n};
    return str_trim(cell);
}

static int
broken(const struct reader *r, const char *what)
{
    return cli_fail("%s:%zu: %s", r->name, r->line, what);
}

/* One row; 0 and false in *ret_found at the end. */
static int
read_row(struct reader *r, struct row *row, bool *ret_found)
{
    row->count = 0;
    *ret_found = r->rest.n > 0;
    r->line = r->next_line;
    while (r->rest.n > 0) {
        struct str cell;
        if (row->count == MAX_COLUMNS)
            return broken(r, "has more than 1000 columns");
        if (*r->rest.p == '"') {
            if (!read_quoted(r, &cell))
                return broken(r, "a quote is not closed");
            (void)read_plain(r); /* spaces and a carriage return before the separator */
        } else {
            cell = read_plain(r);
        }
        row->cell[row->count++] = cell;
        if (r->rest.n == 0)
            break;
        char c = *r->rest.p;
        r->rest = (struct str){r->rest.p + 1, r->rest.n - 1};
        if (c == '\n') {
            r->next_line++;
            break;
        }
    }
    return 0;
}

static bool
is_missing(struct str s)
{
    return s.n == 0 || str_ieq(s, STR("nan")) || str_ieq(s, STR("na")) || str_ieq(s, STR("null"));
}

static bool
cell_value(struct str s, double *ret)
{
    if (is_missing(s)) {
        *ret = NAN;
        return true;
    }
    return number_read(s.p, s.n, ret);
}

/* The separator that the first line has most of; a comma when it has none. */
static char
guess_separator(struct str text)
{
    size_t commas = 0, semicolons = 0, tabs = 0;
    for (size_t i = 0; i < text.n && text.p[i] != '\n'; i++) {
        commas += text.p[i] == ',';
        semicolons += text.p[i] == ';';
        tabs += text.p[i] == '\t';
    }
    if (tabs > commas && tabs >= semicolons)
        return '\t';
    return semicolons > commas ? ';' : ',';
}

static char *
column_names(struct arena *a, const struct row *row)
{
    char *names = arena_strdup(a, "");
    for (size_t i = 0; i < row->count && i < 20; i++)
        names = arena_printf(a, "%s%s" STR_FMT, names, i > 0 ? ", " : "", STR_ARG(row->cell[i]));
    return names;
}

/* Which column is meant, by the first row. */
static int
choose_column(const struct reader *r, const struct row *first, const char *column, size_t *ret)
{
    int64_t number;
    if (!column && first->count > 1)
        return cli_fail("%s has %zu columns (%s): choose one, as in %s:%s", r->name, first->count,
                        column_names(r->arena, first), r->name,
                        arena_strndup(r->arena, first->cell[first->count - 1].p,
                                      first->cell[first->count - 1].n));
    if (!column) {
        *ret = 0;
        return 0;
    }
    for (size_t i = 0; i < first->count; i++) {
        if (str_eq(first->cell[i], str_of(column))) {
            *ret = i;
            return 0;
        }
    }
    if (str_to_i64(str_of(column), &number) && number >= 1 && number <= (int64_t)first->count) {
        *ret = (size_t)number - 1;
        return 0;
    }
    return cli_fail("%s has no column \"%s\": it has %s", r->name, column,
                    column_names(r->arena, first));
}

struct values {
    double *p;
    size_t count;
    size_t cap;
};

static void
push(struct values *v, double x)
{
    if (v->count == v->cap) {
        v->cap = v->cap > 0 ? 2 * v->cap : 1024;
        v->p = realloc(v->p, v->cap * sizeof(double));
        ASSERT(v->p != NULL);
    }
    v->p[v->count++] = x;
}

/* Takes the row's value; the first row may be a header instead. A blank line of a file with one
 * column is a missing value, in a wider one it is nothing. */
static int
take_row(const struct reader *r, const struct row *row, size_t column, size_t width, bool first,
         struct values *v)
{
    double x;
    if (width > 1 && row->count == 1 && row->cell[0].n == 0)
        return 0;
    if (column >= row->count)
        return broken(r, "has too few columns");
    struct str cell = row->cell[column];
    if (cell_value(cell, &x))
        push(v, x);
    else if (!first)
        return cli_fail("%s:%zu: \"" STR_FMT "\" is not a number", r->name, r->line, STR_ARG(cell));
    return 0;
}

static int
read_rows(struct reader *r, const char *column, struct row *row, struct values *v)
{
    bool found;
    size_t index = 0, width = 0;
    int rc = read_row(r, row, &found);
    if (rc == 0 && found) {
        width = row->count;
        rc = choose_column(r, row, column, &index);
    }
    for (bool first = true; rc == 0 && found; first = false) {
        rc = take_row(r, row, index, width, first, v);
        if (rc == 0)
            rc = read_row(r, row, &found);
    }
    return rc;
}

int
series_parse(struct arena *a, const char *name, struct str text, const char *column,
             double **ret_values, size_t *ret_count)
{
    if (str_starts(text, STR("\xef\xbb\xbf"))) /* a byte order mark */
        text = (struct str){text.p + 3, text.n - 3};
    struct reader r = {
        .arena = a, .name = name, .rest = text, .separator = guess_separator(text), .next_line = 1};
    struct row *row = arena_new(a, struct row);
    struct values v = {0};
    int rc = read_rows(&r, column, row, &v);
    if (rc == 0) {
        *ret_values = arena_memdup(a, v.count > 0 ? v.p : (double[]){0}, v.count * sizeof(double));
        *ret_count = v.count;
    }
    free(v.p);
    return rc;
}

int
series_read(struct cli *cli, const char *source, double **ret_values, size_t *ret_count)
{
    const char *path = source, *column = NULL;
    const char *colon = source ? strrchr(source, ':') : NULL;
    if (colon && access(source, F_OK) != 0) { /* else the colon is of the file's own name */
        path = arena_strndup(&cli->arena, source, (size_t)(colon - source));
        column = colon + 1;
    }
    struct str text;
    if (!cli_read_file(cli, path, &text))
        return EXIT_LOCAL;
    const char *name = path && strcmp(path, "-") != 0 ? path : "stdin";
    return series_parse(&cli->arena, name, text, column, ret_values, ret_count);
}
