#include "kalman/durable_admit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What holds a sequence number: in the log, or admitted in this round. */
struct slot {
    int64_t sequence; /* 0: free */
    double time;
    const double *values; /* NULL: taken back */
};

struct admitting {
    struct ctx *ctx;
    size_t series;
    struct slot *slots;
    size_t mask;
    struct admission out;
};

static struct slot *
find(struct admitting *a, int64_t sequence)
{
    uint64_t h = (uint64_t)sequence * 0x9e3779b97f4a7c15ULL;
    size_t i = (size_t)(h >> 32) & a->mask;
    while (a->slots[i].sequence != 0 && a->slots[i].sequence != sequence)
        i = (i + 1) & a->mask;
    return &a->slots[i];
}

static bool
same_numbers(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i])))
            return false;
    }
    return true;
}

static const char *
path(struct append *a, size_t i, const char *field)
{
    return arena_printf(a->reply.arena, "observations[%zu].%s", i, field);
}

static enum status
check_shape(struct append *a, size_t i, size_t series)
{
    const struct durable_observation *o = &a->observations[i];
    if (o->value_count != series)
        return fail_field(&a->reply, path(a, i, "values"), "holds %zu numbers, not %zu",
                          o->value_count, series);
    for (size_t k = 0; k < series; k++) {
        if (isinf(o->values[k]))
            return fail_field(&a->reply,
                              arena_printf(a->reply.arena, "observations[%zu].values[%zu]", i, k),
                              "is not finite");
    }
    if (!isfinite(o->time))
        return fail_field(&a->reply, path(a, i, "time"), "is not finite");
    if (o->sequence < 0)
        return fail_field(&a->reply, path(a, i, "sequence"), "is negative");
    return OK;
}

static const double *
clean_values(struct admitting *a, const double *values)
{
    double *to = arena_array(a->ctx->arena, a->series, sizeof(double));
    for (size_t k = 0; k < a->series; k++)
        to[k] = isnan(values[k]) ? (double)NAN : values[k];
    return to;
}

/* Observation i of an append whose explicit numbers end at `most`. */
static enum status
admit_one(struct admitting *a, struct append *w, size_t i, int64_t *most)
{
    const struct durable_observation *o = &w->observations[i];
    int64_t sequence = o->sequence;
    if (sequence == 0) {
        if (*most == INT64_MAX)
            return fail_field(&w->reply, path(w, i, "sequence"),
                              "is required: none is left to give");
        sequence = ++*most;
    }
    w->last_sequence = sequence;
    struct slot *s = find(a, sequence);
    if (s->sequence == sequence && s->values) {
        if (s->time != o->time || !same_numbers(s->values, o->values, a->series))
            return fail_field(&w->reply, path(w, i, "sequence"),
                              "was used for another observation");
        w->duplicates++;
        return OK;
    }
    *s = (struct slot){sequence, o->time + 0.0, clean_values(a, o->values)};
    a->out.items[a->out.n++] = (struct admitted){s->time, sequence, s->values};
    return OK;
}

/* All of an append or nothing. */
static enum status
admit(struct admitting *a, struct append *w)
{
    size_t before = a->out.n;
    int64_t most = a->out.max_sequence;
    enum status st = OK;
    w->duplicates = 0;
    for (size_t i = 0; i < w->n && st == OK; i++) {
        st = check_shape(w, i, a->series);
        if (st == OK && w->observations[i].sequence > most)
            most = w->observations[i].sequence;
    }
    for (size_t i = 0; i < w->n && st == OK; i++)
        st = admit_one(a, w, i, &most);
    if (st == OK) {
        a->out.max_sequence = most;
        a->out.clean = a->out.clean && a->out.n > before;
        return OK;
    }
    while (a->out.n > before)
        find(a, a->out.items[--a->out.n].sequence)->values = NULL;
    a->out.clean = false;
    return st;
}

/* Notes which of the numbers that may have been used were. */
static enum status
look_up(struct admitting *a, const struct round *r, const struct durable_head *head, size_t total)
{
    int64_t *asked = arena_array(a->ctx->arena, total, sizeof(int64_t));
    struct kalman_observation *rows;
    size_t n = 0, found = 0;
    for (size_t k = 0; k < r->count; k++) {
        for (size_t i = 0; i < r->appends[k]->n; i++) {
            int64_t s = r->appends[k]->observations[i].sequence;
            if (s > 0 && s <= head->max_sequence)
                asked[n++] = s;
        }
    }
    if (n == 0)
        return OK;
    enum status st = kalman_store_find_sequences(a->ctx, &head->key, asked, n, &rows, &found);
    for (size_t i = 0; st == OK && i < found; i++) {
        if (rows[i].numbers.n != a->series * sizeof(double))
            return fail(a->ctx, INTERNAL_ERROR, "the log of the filter cannot be read");
        *find(a, rows[i].sequence) =
            (struct slot){rows[i].sequence, rows[i].time,
                          arena_memdup(a->ctx->arena, rows[i].numbers.p, rows[i].numbers.n)};
    }
    return st;
}

static int
in_time(const void *x, const void *y)
{
    const struct admitted *a = x, *b = y;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

enum status
durable_admit(struct ctx *ctx, const struct round *r, const struct durable_head *head,
              size_t series, struct admission *ret)
{
    struct admitting a = {.ctx = ctx, .series = series};
    size_t total = 0, room = 16;
    for (size_t k = 0; k < r->count; k++)
        total += r->appends[k]->n;
    while (room < 4 * total)
        room *= 2;
    a.mask = room - 1;
    a.slots = arena_new_n(ctx->arena, struct slot, room);
    a.out.items = arena_new_n(ctx->arena, struct admitted, total);
    a.out.max_sequence = head->max_sequence;
    a.out.clean = true;
    enum status st = look_up(&a, r, head, total);
    for (size_t k = 0; st == OK && k < r->count; k++) {
        fail_clear(&r->appends[k]->reply); /* of an attempt before */
        r->appends[k]->st = admit(&a, r->appends[k]);
    }
    if (st != OK)
        return st;
    qsort(a.out.items, a.out.n, sizeof(*a.out.items), in_time);
    *ret = a.out;
    return OK;
}
