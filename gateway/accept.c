#include "gateway/accept.h"

enum { FITS_NOT, FITS_ALL, FITS_GROUP, FITS_EXACTLY };

static const struct {
    struct str group; /* "text/" */
    struct str rest;
    enum accept_kind kind;
} types[] = {
    {{"application/", 12}, {"json", 4}, ACCEPT_JSON},
    {{"application/", 12}, {"x-ndjson", 8}, ACCEPT_NDJSON},
    {{"application/", 12}, {"ndjson", 6}, ACCEPT_NDJSON},
    {{"application/", 12}, {"jsonl", 5}, ACCEPT_NDJSON},
    {{"text/", 5}, {"event-stream", 12}, ACCEPT_SSE},
};

/* Also ".2", as some clients write it. */
static float
number_of(struct str s)
{
    float n = 0, unit = 1;
    bool point = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' && !point) {
            point = true;
        } else if (c < '0' || c > '9') {
            return 0;
        } else if (point) {
            unit /= 10;
            n += (float)(c - '0') * unit;
        } else {
            n = n * 10 + (float)(c - '0');
        }
    }
    return n;
}

float
accept_weight(struct str parameters)
{
    float weight = 1;
    while (parameters.p && parameters.n > 0) {
        struct str value = str_cut(&parameters, ';');
        struct str name = str_trim(str_cut(&value, '='));
        if (value.p && str_ieq(name, STR("q")))
            weight = number_of(str_trim(value));
    }
    return weight;
}

static uint8_t
fits(struct str range, struct str group, struct str rest)
{
    if (str_eq(range, STR("*/*")) || str_eq(range, STR("*")))
        return FITS_ALL;
    if (range.n < group.n || !str_ieq((struct str){range.p, group.n}, group))
        return FITS_NOT;
    range = (struct str){range.p + group.n, range.n - group.n};
    return str_eq(range, STR("*")) ? FITS_GROUP : str_ieq(range, rest) ? FITS_EXACTLY : FITS_NOT;
}

void
accept_read(struct accepted *a, struct str value)
{
    while (value.p && value.n > 0) {
        struct str one = str_cut(&value, ',');
        struct str range = str_trim(str_cut(&one, ';'));
        if (range.n == 0)
            continue;
        float weight = accept_weight(one);
        a->given = true;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            enum accept_kind k = types[i].kind;
            uint8_t exactness = fits(range, types[i].group, types[i].rest);
            if (exactness == FITS_NOT || exactness < a->exactness[k])
                continue;
            if (exactness > a->exactness[k] || weight > a->weights[k])
                a->weights[k] = weight;
            a->exactness[k] = exactness;
        }
    }
}

bool
accept_takes(const struct accepted *a, enum accept_kind kind)
{
    return !a->given || a->weights[kind] > 0;
}

bool
accept_likes_events(const struct accepted *a)
{
    float events = a->weights[ACCEPT_SSE], lines = a->weights[ACCEPT_NDJSON];
    if (a->weights[ACCEPT_JSON] > lines)
        lines = a->weights[ACCEPT_JSON];
    return events > lines ||
           (events > 0 && events == lines && a->exactness[ACCEPT_SSE] == FITS_EXACTLY);
}
