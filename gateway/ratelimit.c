#include "gateway/ratelimit.h"

struct item {
    struct str name;
    struct str parameters; /* "q=500;w=60" */
};

/* `"name";parameters`, the first of a list. */
static bool
take_item(struct str *list, struct item *ret)
{
    struct str s = str_trim(*list);
    if (s.n == 0 || s.p[0] != '"')
        return false;
    s = (struct str){s.p + 1, s.n - 1};
    ret->name = str_cut(&s, '"');
    if (s.n == 0 || s.p[0] != ';')
        return false;
    s = (struct str){s.p + 1, s.n - 1};
    ret->parameters = str_cut(&s, ',');
    *list = s;
    return true;
}

static bool
parameter(struct str all, char name, int64_t *ret)
{
    while (all.n > 0) {
        struct str one = str_cut(&all, ';');
        if (one.n > 2 && one.p[0] == name && one.p[1] == '=')
            return str_to_i64((struct str){one.p + 2, one.n - 2}, ret);
    }
    return false;
}

bool
ratelimit_tightest(struct str policy, struct str state, struct ratelimit *ret)
{
    struct ratelimit least = {.limit = 0};
    for (bool first = true; first || policy.n > 0 || state.n > 0; first = false) {
        struct item allowed;
        struct item left;
        struct ratelimit one = {.reset = 0};
        if (!take_item(&policy, &allowed) || !take_item(&state, &left) ||
            !str_eq(allowed.name, left.name) || !parameter(allowed.parameters, 'q', &one.limit) ||
            !parameter(left.parameters, 'r', &one.remaining))
            return false;
        (void)parameter(left.parameters, 't', &one.reset);
        if (first || one.remaining < least.remaining)
            least = one;
    }
    *ret = least;
    return true;
}
