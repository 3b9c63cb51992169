#include "base/failpoint.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"

#define FAIL_ALWAYS (-1)

/* Passes left until the one that fails; 0: never, FAIL_ALWAYS: each. */
static atomic_int_fast64_t passes_left[FAILPOINT_COUNT];

void
failpoint_set(enum failpoint fp, int64_t nth)
{
    ASSERT(fp < FAILPOINT_COUNT && nth >= FAIL_ALWAYS);
    atomic_store(&passes_left[fp], nth);
}

bool
failpoint_hit(enum failpoint fp)
{
    int_fast64_t left = atomic_load_explicit(&passes_left[fp], memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&passes_left[fp], &left, left - 1))
            return left == 1;
    }
    return left == FAIL_ALWAYS;
}

#ifdef LUNA_FAILPOINTS

static const char *const failpoint_names[] = {
#define FAILPOINT_DEF(name, help) #name,
#include "base/failpoint.def"
#undef FAILPOINT_DEF
};

static bool
failpoint_set_from(struct str item)
{
    struct str count = item;
    struct str name = str_cut(&count, '=');
    int64_t nth = FAIL_ALWAYS;
    if (!str_eq(count, STR("*")) && (!str_to_i64(count, &nth) || nth < 1))
        return false;
    for (size_t i = 0; i < FAILPOINT_COUNT; i++) {
        if (str_eq(name, str_of(failpoint_names[i]))) {
            failpoint_set((enum failpoint)i, nth);
            return true;
        }
    }
    return false;
}

void
failpoint_init_from_env(void)
{
    struct str list = str_of(getenv("LUNA_FAILPOINTS"));
    while (list.n > 0) {
        struct str item = str_trim(str_cut(&list, ','));
        if (!failpoint_set_from(item)) {
            /* A test that switches on nothing would pass for the wrong reason. */
            log_critical("LUNA_FAILPOINTS is wrong", log_strn("item", item));
            abort();
        }
    }
}

#else

void
failpoint_init_from_env(void)
{
    if (getenv("LUNA_FAILPOINTS"))
        log_warning("LUNA_FAILPOINTS is ignored: built without failpoints");
}

#endif
