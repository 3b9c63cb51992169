#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "unit/run/run_test.h"

extern "C" {
#include "run/stacks.h"
#include "unit/run/probe.h"
}

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

static size_t
resident_bytes()
{
    long total = 0;
    long resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    EXPECT_EQ(fscanf(f, "%ld %ld", &total, &resident), 2);
    fclose(f);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Uses about `bytes` of stack and nothing of it after its return. */
__attribute__((noinline)) static int
use_stack(size_t bytes)
{
    volatile char page[1024];
    page[0] = (char)bytes;
    page[sizeof(page) - 1] = 1;
    __asm__ volatile("" : : "r"(page) : "memory"); /* all of it is wanted */
    if (bytes <= sizeof(page))
        return page[0];
    return use_stack(bytes - sizeof(page)) + page[0];
}

struct parked {
    struct cond gate;
    struct arena arena;
    size_t arrived = 0;
};

static void
park_at_gate(void *arg)
{
    parked *p = static_cast<parked *>(arg);
    struct ctx ctx;
    ctx_init(&ctx, &p->arena, reactor_current());
    p->arrived++;
    EXPECT_EQ(cond_wait(&p->gate, &ctx), OK);
}

/* Parks `n` fibers; calls `fn` while they are; ends them. */
static void
with_parked(struct reactor *r, size_t n, std::function<void()> fn)
{
    test_ctx ctx;
    parked p;
    cond_init(&p.gate);
    arena_init(&p.arena, 0);
    for (size_t i = 0; i < n; i++)
        ASSERT_TRUE(fiber_spawn(r, park_at_gate, &p));
    while (p.arrived < n)
        ASSERT_EQ(fiber_yield(&ctx), OK);
    fn();
    cond_broadcast(&p.gate);
    while (load(&reactor_stats(r)->fibers_live) > 1)
        ASSERT_EQ(fiber_yield(&ctx), OK);
    arena_fini(&p.arena);
}

TEST(stacks, ten_thousand_parked_fibers_cost_little_more_than_a_page_each)
{
    const size_t n = UNDER_TSAN ? 500 : 10000;
    struct reactor_options opt = {};
    opt.max_fibers = n + 1;
    run_with(opt, [&](struct reactor *r) {
        size_t before = resident_bytes();
        size_t each = 0;
        with_parked(r, n, [&] { each = (resident_bytes() - before) / n; });
        printf("a parked fiber costs %zu bytes of resident memory\n", each);
        if (!UNDER_SANITIZER) {
            EXPECT_LE(each, 8u * 1024);
        }
    });
}

TEST(stacks, give_their_memory_and_address_space_back)
{
    if (UNDER_SANITIZER)
        GTEST_SKIP() << "sanitizers keep memory of their own";
    struct reactor_options opt = {};
    opt.pooled_stacks = 64;
    run_with(opt, [&](struct reactor *r) {
        size_t before = resident_bytes();
        with_parked(r, 5000, [&] {
            EXPECT_GE(load(&reactor_stats(r)->stacks_mapped), 5001u);
            EXPECT_GE(resident_bytes() - before, 5000u * 4096);
        });
        EXPECT_LE(resident_bytes() - before, 3u << 20);
        EXPECT_LE(load(&reactor_stats(r)->stacks_mapped), 65u * 64);
        size_t mapped = load(&reactor_stats(r)->stacks_mapped);
        with_parked(r, 30, [&] {});
        EXPECT_EQ(load(&reactor_stats(r)->stacks_mapped), mapped);
    });
}

TEST(stacks, are_used_again_last_first)
{
    run([](struct reactor *r) {
        test_ctx ctx;
        const void *places[3] = {};
        for (const void *&place : places) {
            spawn(r, [&place] { place = __builtin_frame_address(0); });
            EXPECT_EQ(fiber_yield(&ctx), OK);
        }
        EXPECT_EQ(places[0], places[1]);
        EXPECT_EQ(places[1], places[2]);
        EXPECT_LE(load(&reactor_stats(r)->stacks_mapped), 64u);
    });
}

TEST(stacks, keep_no_more_than_their_top_after_deep_use)
{
    if (UNDER_SANITIZER)
        GTEST_SKIP() << "sanitizers keep memory of their own";
    struct reactor_options opt = {};
    opt.stack_bytes = 256 * 1024;
    run_with(opt, [](struct reactor *r) {
        const size_t n = 200; /* within the pool: all stay warm */
        test_ctx ctx;
        size_t before = resident_bytes();
        for (size_t i = 0; i < n; i++)
            spawn(r, [] {
                test_ctx own;
                EXPECT_EQ(fiber_yield(&own), OK);
                use_stack(128 * 1024);
            });
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_GE((resident_bytes() - before) / n, 120u * 1024);
        probe_sweep_round(r, MSEC(10));
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(200)), OK);
        size_t each = (resident_bytes() - before) / n;
        printf("a warm stack keeps %zu bytes after 128 KiB of use\n", each);
        EXPECT_LE(each, STACK_KEEP + 4096);
        /* And a reactor at rest is not woken for it. */
        uint64_t turns = load(&reactor_stats(r)->turns);
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(300)), OK);
        EXPECT_LE(load(&reactor_stats(r)->turns), turns + 6);
    });
}

/* A stream that worked hard once and then waits for hours. */
TEST(stacks, a_parked_fiber_gives_back_what_it_does_not_use)
{
    run([](struct reactor *r) {
        const size_t n = UNDER_SANITIZER ? 50 : 600; /* more than one step of the sweep */
        struct cond gate;
        cond_init(&gate);
        size_t before = resident_bytes();
        size_t right = 0;
        for (size_t i = 0; i < n; i++)
            spawn(r, [&, i] {
                test_ctx own;
                volatile char kept[20 * 1024]; /* deeper than what is kept in any case */
                for (char &c : const_cast<char(&)[sizeof(kept)]>(kept))
                    c = (char)i;
                if (!UNDER_SANITIZER)
                    use_stack(64 * 1024);
                EXPECT_EQ(cond_wait(&gate, &own), OK);
                bool same = true;
                for (char c : const_cast<char(&)[sizeof(kept)]>(kept))
                    same = same && c == (char)i;
                right += same;
                use_stack(40 * 1024);
            });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        probe_sweep_round(r, MSEC(30));
        EXPECT_EQ(fiber_sleep(&ctx, MSEC(500)), OK);
        size_t each = (resident_bytes() - before) / n;
        printf("a parked fiber that used 84 KiB and needs 20 keeps %zu bytes\n", each);
        if (!UNDER_SANITIZER && probe_trims_parked_fibers()) {
            EXPECT_LE(each, 40u * 1024); /* of which its arena is 4 KiB */
        }
        cond_broadcast(&gate);
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(right, n);
    });
}

TEST(stacks, let_a_fiber_use_nearly_all_of_it)
{
    run([](struct reactor *r) {
        bool over = false;
        spawn(r, [&] {
            use_stack(UNDER_SANITIZER ? 32 * 1024 : 112 * 1024);
            over = true;
        });
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(over);
    });
}

static void
overflow_by_little()
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    run([](struct reactor *r) {
        /* Two stacks, so that what is below the guard page is mapped. */
        test_ctx ctx;
        spawn(r, [] { use_stack(1); });
        spawn(r, [] { use_stack(132 * 1024); });
        EXPECT_EQ(fiber_yield(&ctx), OK);
    });
    _exit(0);
}

TEST(stacks, an_overflow_hits_the_guard_page)
{
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    if (UNDER_SANITIZER)
        EXPECT_DEATH(overflow_by_little(), "");
    else
        EXPECT_EXIT(overflow_by_little(), testing::KilledBySignal(SIGSEGV),
                    "raise LUNA_FIBER_STACK");
}

#ifdef LUNA_FAILPOINTS
TEST(stacks, a_fiber_without_one_is_refused)
{
    run([](struct reactor *r) {
        failpoint_set(FAILPOINT_fiber_stack, 2);
        int ran = 0;
        EXPECT_TRUE(spawn(r, [&] { ran++; }));
        EXPECT_FALSE(spawn(r, [&] { ran++; }));
        EXPECT_TRUE(spawn(r, [&] { ran++; }));
        EXPECT_EQ(load(&reactor_stats(r)->fibers_refused), 1u);
        test_ctx ctx;
        EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_EQ(ran, 2);
    });
}

TEST(stacks, have_guard_pages_on_older_kernels_too)
{
    failpoint_set(FAILPOINT_stack_guard, -1);
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            failpoint_set(FAILPOINT_stack_guard, -1);
            overflow_by_little();
        },
        "");
    failpoint_set(FAILPOINT_stack_guard, 0);
}

TEST(stacks, stop_before_the_process_has_no_maps_left)
{
    if (UNDER_TSAN)
        GTEST_SKIP() << "TSan has room for 8 000 fibers";
    long max = 0;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
    ASSERT_EQ(fscanf(f, "%ld", &max), 1);
    fclose(f);
    if (max > 100000)
        GTEST_SKIP() << "too many maps to use them up";
    failpoint_set(FAILPOINT_stack_guard, -1);
    struct reactor_options opt = {};
    opt.max_fibers = (size_t)max;
    opt.stack_bytes = 32 * 1024;
    run_with(opt, [&](struct reactor *r) {
        size_t n = 0;
        while (fiber_spawn(
            r, [](void *) {}, nullptr))
            n++;
        printf("%zu stacks where each needs two maps\n", n);
        EXPECT_GE(n, (size_t)max * 3 / 8 - 128);
        EXPECT_LE(n, (size_t)max * 3 / 8);
        EXPECT_GT(load(&reactor_stats(r)->fibers_refused), 0u);
        test_ctx ctx;
        while (load(&reactor_stats(r)->fibers_live) > 1)
            EXPECT_EQ(fiber_yield(&ctx), OK);
        EXPECT_TRUE(spawn(r, [] {}));
    });
    failpoint_set(FAILPOINT_stack_guard, 0);
}
#endif
