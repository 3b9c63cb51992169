#include "run/stacks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "run/reactor_private.h"

#define SLAB_MAX_STACKS 64
#define SLAB_MAX_BYTES  ((size_t)32 * 1024 * 1024)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: a guard page that is no map of its own */
#endif

#define SWEEP_SLABS ((size_t)8) /* at a time */

struct slab {
    struct list all_link; /* in stacks.all */
    struct list link;     /* in stacks.slabs while `cold_count` > 0 */
    char *map;
    size_t map_bytes;
    size_t count;
    size_t cold_count;
    long maps;        /* of the process's budget */
    struct list cold; /* of struct fiber */
    struct fiber fibers[];
};

/* Where guards are maps of their own, stacks leave a quarter of the process's maps to all others.
 */
static struct {
    pthread_once_t once;
    long limit;
    atomic_long used;
} map_budget = {.once = PTHREAD_ONCE_INIT};

static void
map_budget_init(void)
{
    long max = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        if (fscanf(f, "%ld", &max) != 1 || max <= 0)
            max = 65530;
        fclose(f);
    }
    map_budget.limit = max / 4 * 3;
}

static bool
map_budget_take(long n)
{
    pthread_once(&map_budget.once, map_budget_init);
    if (atomic_fetch_add_explicit(&map_budget.used, n, memory_order_relaxed) + n <=
        map_budget.limit)
        return true;
    atomic_fetch_sub_explicit(&map_budget.used, n, memory_order_relaxed);
    return false;
}

static void
map_budget_give(long n)
{
    atomic_fetch_sub_explicit(&map_budget.used, n, memory_order_relaxed);
}

void
stacks_init(struct stacks *s, struct reactor *r, size_t stack_bytes, size_t max_stacks,
            size_t warm_max)
{
    *s = (struct stacks){.reactor = r, .warm_max = warm_max};
    s->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    s->stack_bytes = (stack_bytes + s->page_bytes - 1) & ~(s->page_bytes - 1);
    size_t n = SLAB_MAX_BYTES / (s->stack_bytes + s->page_bytes);
    n = n > SLAB_MAX_STACKS ? SLAB_MAX_STACKS : n;
    n = n > max_stacks ? max_stacks : n;
    s->slab_stacks = n ? n : 1;
    list_init(&s->warm);
    list_init(&s->slabs);
    list_init(&s->all);
    s->round = SWEEP_ROUND;
    s->sweep_at = NSEC_NEVER;
}

static bool
guard_install(char *page, size_t bytes)
{
    return !FAILPOINT(stack_guard) && madvise(page, bytes, MADV_GUARD_INSTALL) == 0;
}

static bool
guards_install(struct slab *slab, size_t stride, size_t page)
{
    bool light = true;
    for (size_t i = 0; i < slab->count && light; i++)
        light = guard_install(slab->map + i * stride, page);
    if (light)
        return true;
    slab->maps = (long)slab->count * 2;
    if (!map_budget_take(slab->maps)) {
        slab->maps = 0;
        return false;
    }
    for (size_t i = 0; i < slab->count; i++)
        if (mprotect(slab->map + i * stride, page, PROT_NONE) != 0)
            return false;
    return true;
}

static void
slab_free(struct slab *slab)
{
    list_remove(&slab->all_link);
    sanitizer_forget(slab->map, slab->map_bytes);
    munmap(slab->map, slab->map_bytes);
    map_budget_give(slab->maps);
    free(slab);
}

/* Maps a slab whose stacks are all cold. */
static struct slab *
slab_new(struct stacks *s)
{
    size_t n = s->slab_stacks;
    size_t stride = s->page_bytes + s->stack_bytes;
    struct slab *slab = calloc(1, sizeof(*slab) + n * sizeof(struct fiber));
    if (!slab)
        return NULL;
    list_init(&slab->all_link);
    slab->count = n;
    slab->map_bytes = n * stride;
    slab->map = mmap(NULL, slab->map_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->map == MAP_FAILED) {
        free(slab);
        return NULL;
    }
    /* A huge page would give each stack 2 MiB of memory. Fails where the kernel has none: as well.
     */
    (void)madvise(slab->map, slab->map_bytes, MADV_NOHUGEPAGE);
    if (!guards_install(slab, stride, s->page_bytes)) {
        slab_free(slab);
        return NULL;
    }
    list_init(&slab->link);
    list_init(&slab->cold);
    for (size_t i = 0; i < n; i++) {
        struct fiber *f = &slab->fibers[i];
        f->slab = slab;
        f->stack_low = slab->map + i * stride + s->page_bytes;
        list_push(&slab->cold, &f->link);
    }
    slab->cold_count = n;
    return slab;
}

static void
stack_prime(struct stacks *s, struct fiber *f)
{
    f->reactor = s->reactor;
    fiber_point_init(&f->point, f->stack_low, s->stack_bytes, fiber_main, f);
    sanitizer_fiber_prime(f);
    f->primed = true;
    f->ran = false;
    f->untrimmed = false;
}

struct fiber *
stacks_get(struct stacks *s)
{
    if (FAILPOINT(fiber_stack))
        return NULL;
    struct list *n = list_pop(&s->warm);
    if (LIKELY(n != NULL)) {
        s->warm_count--;
        return container_of(n, struct fiber, link);
    }
    if (list_empty(&s->slabs)) {
        struct slab *fresh = slab_new(s);
        if (!fresh)
            return NULL;
        list_push(&s->slabs, &fresh->link);
        list_push(&s->all, &fresh->all_link);
        s->slab_count++;
        counter_add(&s->reactor->stats.stacks_mapped, fresh->count);
    }
    struct slab *slab = container_of(s->slabs.next, struct slab, link);
    struct fiber *f = container_of(list_pop(&slab->cold), struct fiber, link);
    if (--slab->cold_count == 0)
        list_remove(&slab->link);
    stack_prime(s, f);
    return f;
}

static void
stack_go_cold(struct stacks *s, struct fiber *f)
{
    sanitizer_fiber_drop(f);
    sanitizer_forget(f->stack_low, s->stack_bytes);
    f->primed = false;
    (void)madvise(f->stack_low, s->stack_bytes, MADV_DONTNEED);
    struct slab *slab = f->slab;
    list_push_front(&slab->cold, &f->link);
    if (slab->cold_count++ == 0)
        list_push(&s->slabs, &slab->link);
    bool another = s->slabs.next != s->slabs.prev;
    if (slab->cold_count == slab->count && another) {
        list_remove(&slab->link);
        s->slab_count--;
        counter_add(&s->reactor->stats.stacks_mapped, -slab->count);
        slab_free(slab);
    }
}

void
stacks_put(struct stacks *s, struct fiber *f)
{
    if (s->warm_count >= s->warm_max) {
        stack_go_cold(s, f);
        return;
    }
    list_push_front(&s->warm, &f->link);
    s->warm_count++;
}

/* Gives back what is below both the part to keep and the page below the stack pointer. */
static void
stack_trim(const struct stacks *s, const struct fiber *f)
{
    char *end = f->stack_low + s->stack_bytes - STACK_KEEP;
    const char *sp = fiber_point_sp(&f->point);
    if (!sp && f->state != FIBER_FREE)
        return;
    if (sp && sp - s->page_bytes < end)
        end = f->stack_low + ((size_t)(sp - f->stack_low) / s->page_bytes - 1) * s->page_bytes;
    if (end > f->stack_low)
        (void)madvise(f->stack_low, (size_t)(end - f->stack_low), MADV_DONTNEED);
}

/* True: some must be looked at again in the next round. */
static bool
slab_sweep(const struct stacks *s, struct slab *slab)
{
    bool again = false;
    for (size_t i = 0; i < slab->count; i++) {
        struct fiber *f = &slab->fibers[i];
        if (!f->primed)
            continue;
        if (f->ran) {
            f->ran = false;
            f->untrimmed = again = true;
        } else if (f->untrimmed) {
            f->untrimmed = false;
            stack_trim(s, f);
        }
    }
    return again;
}

void
stacks_sweep(struct stacks *s, nsec_t now)
{
    for (size_t n = 0; n < SWEEP_SLABS && s->swept < s->slab_count; n++, s->swept++) {
        struct slab *slab = container_of(list_pop(&s->all), struct slab, all_link);
        list_push(&s->all, &slab->all_link);
        if (slab_sweep(s, slab))
            s->dirty = true;
    }
    if (s->swept >= s->slab_count) {
        bool again = s->dirty;
        s->swept = 0;
        s->dirty = false;
        if (!again) {
            s->sweep_at = NSEC_NEVER;
            return;
        }
    }
    size_t steps = (s->slab_count + SWEEP_SLABS - 1) / SWEEP_SLABS;
    s->sweep_at = now + s->round / (nsec_t)(steps ? steps : 1);
}

void
stacks_fini(struct stacks *s)
{
    struct list *n;
    while ((n = list_pop(&s->warm)))
        stack_go_cold(s, container_of(n, struct fiber, link));
    s->warm_count = 0;
    while ((n = list_pop(&s->slabs))) {
        struct slab *slab = container_of(n, struct slab, link);
        ASSERT(slab->cold_count == slab->count);
        s->slab_count--;
        slab_free(slab);
    }
    ASSERT(s->slab_count == 0);
}
