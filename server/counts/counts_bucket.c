#include "counts/counts_bucket.h"

bool
bucket_width_parse(struct str s, struct bucket_width *ret)
{
    static const struct {
        struct str suffix;
        const char *unit;
        int32_t months;
        int32_t days;
        int64_t seconds;
    } units[] = {
        {STR("mo"), "month", 1, 0, 0}, {STR("s"), NULL, 0, 0, 1},  {STR("m"), NULL, 0, 0, 60},
        {STR("h"), NULL, 0, 0, 3600},  {STR("d"), "day", 0, 1, 0}, {STR("w"), "week", 0, 7, 0},
        {STR("y"), "year", 12, 0, 0},
    };
    size_t digits = 0;
    int64_t n;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (digits > 9 || !str_to_i64((struct str){s.p, digits}, &n) || n < 1)
        return false;
    const struct str suffix = {s.p + digits, s.n - digits};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_eq(units[i].suffix, suffix))
            continue;
        const int64_t most = units[i].months ? 1200 / units[i].months
                             : units[i].days ? 36525 / units[i].days
                                             : INT64_C(3155760000) / units[i].seconds;
        if (n > most)
            return false;
        *ret = (struct bucket_width){units[i].unit, (int32_t)n * units[i].months,
                                     (int32_t)n * units[i].days, n * units[i].seconds};
        return true;
    }
    return false;
}

static void
begin(struct bucket_fold *f)
{
    struct counts_bucket *b = &f->buckets[f->i];
    b->first = b->last = b->min = b->max = f->count;
    b->entrances = b->exits = 0;
    f->since = b->starts_at;
    f->area = 0;
}

void
bucket_fold_init(struct bucket_fold *f, struct counts_bucket *buckets, size_t n, int64_t count)
{
    *f = (struct bucket_fold){.buckets = buckets, .n = n, .count = count};
    if (n > 0)
        begin(f);
}

/* The count has held until `at`. */
static void
hold_until(struct bucket_fold *f, usec_t at)
{
    f->area += (double)f->count * (double)(at - f->since);
    f->since = at;
}

static void
end(struct bucket_fold *f)
{
    struct counts_bucket *b = &f->buckets[f->i];
    hold_until(f, b->ends_at);
    b->last = f->count;
    b->mean = f->area / (double)(b->ends_at - b->starts_at);
    f->i++;
}

void
bucket_fold_step(struct bucket_fold *f, usec_t at, int64_t entrances, int64_t exits)
{
    while (f->i < f->n && f->buckets[f->i].ends_at <= at) {
        end(f);
        if (f->i < f->n)
            begin(f);
    }
    if (f->i == f->n)
        return;
    struct counts_bucket *b = &f->buckets[f->i];
    hold_until(f, at);
    f->count += entrances - exits;
    b->entrances += entrances;
    b->exits += exits;
    b->min = f->count < b->min ? f->count : b->min;
    b->max = f->count > b->max ? f->count : b->max;
}

void
bucket_fold_end(struct bucket_fold *f)
{
    while (f->i < f->n) {
        end(f);
        if (f->i < f->n)
            begin(f);
    }
}
