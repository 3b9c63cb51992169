/*
 * Files of readings.
 *
 * CSV: a header line names the columns timestamp, direction, dpu_id and perhaps event_id, in any
 * order and among others; cells may stand in quotes, with "" for one. NDJSON: one flat object a
 * line with those fields, their values as strings or numbers. A timestamp is RFC 3339, a date, or
 * Unix seconds. Empty lines are skipped. A line that cannot be read is a reading that is wrong.
 */
#include "counts/counts.h"
#include "counts/counts_private.h"

#define MAX_TOLD 100
#define COLUMNS  32

enum field { FIELD_TIMESTAMP, FIELD_DIRECTION, FIELD_DPU, FIELD_EVENT, FIELD_COUNT };

static const char *const field_names[] = {"timestamp", "direction", "dpu_id", "event_id"};

static enum field
find_field(struct str name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (str_eq(name, str_of(field_names[i])))
            return (enum field)i;
    return FIELD_COUNT;
}

static bool
read_timestamp(struct str s, usec_t *ret)
{
    double seconds;
    if (clock_parse(s.p, s.n, ret))
        return true;
    if (!str_to_f64(s, &seconds) || !(seconds >= 0 && seconds < 253402300800.0))
        return false;
    *ret = (usec_t)(seconds * 1e6 + 0.5);
    return true;
}

/* A cell or value of a field; what cannot be read becomes what no check lets pass. */
static void
set_field(struct arena *a, struct counts_reading *r, enum field f, struct str s)
{
    int64_t n;
    switch (f) {
    case FIELD_TIMESTAMP:
        if (!read_timestamp(s, &r->at))
            r->at = -1;
        break;
    case FIELD_DIRECTION:
        r->direction = str_to_i64(s, &n) && (n == 1 || n == -1) ? (int32_t)n : 0;
        break;
    case FIELD_DPU:
        r->dpu_id = str_to_i64(s, &n) ? n : 0;
        break;
    case FIELD_EVENT:
        r->event_id = arena_strndup(a, s.p, s.n);
        break;
    case FIELD_COUNT:
        break;
    }
}

/* The next cell of a line; *ret lives in `a` when it had doubled quotes. */
static struct str
next_cell(struct arena *a, struct str *line)
{
    if (line->n == 0 || line->p[0] != '"')
        return str_trim(str_cut(line, ','));
    char *out = arena_alloc(a, line->n);
    size_t n = 0;
    size_t i = 1;
    for (; i < line->n; i++) {
        if (line->p[i] == '"' && i + 1 < line->n && line->p[i + 1] == '"')
            i++;
        else if (line->p[i] == '"')
            break;
        out[n++] = line->p[i];
    }
    struct str rest = {line->p + i, line->n - i};
    (void)str_cut(&rest, ',');
    *line = rest;
    return (struct str){out, n};
}

struct upload {
    struct ctx *ctx;
    bool ndjson;
    size_t n_columns;
    enum field columns[COLUMNS];
    enum counts_dedupe dedupe;
    struct counts_reading *readings;
    size_t n;
    int64_t first; /* the number of readings[0] in the file */
    struct counts_summary *sum;
    struct counts_result *results;
    size_t n_results;
};

static void
read_csv(struct upload *u, struct str line, struct counts_reading *r)
{
    for (size_t i = 0; i < u->n_columns && line.p; i++)
        set_field(u->ctx->arena, r, u->columns[i], next_cell(u->ctx->arena, &line));
}

/* A JSON string behind its quote, or a bare word; false: neither. Escapes but \" \\ \/ are not for
 * the texts we look for. */
static bool
next_value(struct arena *a, struct str *s, struct str *ret)
{
    *s = str_trim(*s);
    if (s->n == 0)
        return false;
    if (s->p[0] != '"') {
        size_t n = 0;
        while (n < s->n && !strchr(",:}{[] \t", s->p[n]))
            n++;
        *ret = (struct str){s->p, n};
        *s = (struct str){s->p + n, s->n - n};
        return n > 0;
    }
    char *out = arena_alloc(a, s->n);
    size_t n = 0;
    for (size_t i = 1; i < s->n; i++) {
        if (s->p[i] == '"') {
            *ret = (struct str){out, n};
            *s = (struct str){s->p + i + 1, s->n - i - 1};
            return true;
        }
        if (s->p[i] == '\\' && (i + 1 == s->n || !strchr("\"\\/", s->p[++i])))
            return false;
        out[n++] = s->p[i];
    }
    return false;
}

static bool
eat(struct str *s, char c)
{
    *s = str_trim(*s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = (struct str){s->p + 1, s->n - 1};
    return true;
}

static bool
read_object(struct upload *u, struct str line, struct counts_reading *r)
{
    bool more = eat(&line, '{');
    while (more) {
        struct str name;
        struct str value;
        if (!next_value(u->ctx->arena, &line, &name) || !eat(&line, ':') ||
            !next_value(u->ctx->arena, &line, &value) || find_field(name) == FIELD_COUNT)
            return false;
        set_field(u->ctx->arena, r, find_field(name), value);
        more = eat(&line, ',');
    }
    return eat(&line, '}') && str_trim(line).n == 0;
}

static enum status
read_header(struct upload *u, struct str *file)
{
    struct str line = str_trim(str_cut(file, '\n'));
    bool seen[FIELD_COUNT + 1] = {false};
    if (line.n >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0)
        line = (struct str){line.p + 3, line.n - 3};
    while (line.p && u->n_columns < COLUMNS) {
        const enum field f = find_field(next_cell(u->ctx->arena, &line));
        u->columns[u->n_columns++] = f;
        seen[f] = true;
    }
    for (size_t i = 0; i < FIELD_EVENT; i++)
        if (!seen[i])
            return fail_field(u->ctx, "file", "has no column %s in its first line", field_names[i]);
    return OK;
}

static enum status
store(struct upload *u)
{
    struct counts_result *results;
    size_t n = 0;
    enum status st = OK;
    if (u->n > 0)
        st = counts_ingest(u->ctx, u->readings, u->n, u->dedupe, u->sum, &results, &n);
    for (size_t i = 0; st == OK && i < n && u->n_results < MAX_TOLD; i++)
        if (results[i].outcome > OUTCOME_DUPLICATE)
            u->results[u->n_results++] =
                (struct counts_result){u->first + results[i].index, results[i].outcome};
    u->first += (int64_t)u->n;
    u->n = 0;
    return st;
}

static void
take_line(struct upload *u, struct str line)
{
    struct counts_reading *r = &u->readings[u->n++];
    *r = (struct counts_reading){.at = -1};
    if (!u->ndjson)
        read_csv(u, line, r);
    else if (!read_object(u, line, r))
        *r = (struct counts_reading){.dpu_id = 1, .direction = 1, .at = -1};
}

enum status
counts_import(struct ctx *ctx, struct str file, bool ndjson, enum counts_dedupe dedupe,
              struct counts_summary *sum, struct counts_result **ret_results, size_t *ret_n)
{
    struct upload u = {
        .ctx = ctx,
        .ndjson = ndjson,
        .dedupe = dedupe,
        .readings = arena_new_n(ctx->arena, struct counts_reading, COUNTS_MAX_BATCH),
        .sum = sum,
        .results = arena_new_n(ctx->arena, struct counts_result, MAX_TOLD),
    };
    enum status st = ndjson ? OK : read_header(&u, &file);
    while (st == OK && file.n > 0 && u.n_results < MAX_TOLD) {
        struct str line = str_trim(str_cut(&file, '\n'));
        if (line.n > 0)
            take_line(&u, line);
        if (u.n == COUNTS_MAX_BATCH)
            st = store(&u);
    }
    if (st == OK)
        st = store(&u);
    *ret_results = u.results;
    *ret_n = u.n_results;
    return st;
}
