#include <gtest/gtest.h>

#include <climits>
#include <cstring>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "base/arena.h"
}

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace
{

class Arena : public testing::Test
{
  protected:
    void SetUp() override
    {
        arena_init(&a, 0);
    }
    void TearDown() override
    {
        arena_fini(&a);
    }
    arena a;
};

bool
all_bytes_are(const void *p, size_t n, int value)
{
    const unsigned char *bytes = static_cast<const unsigned char *>(p);
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

struct piece {
    unsigned char *p;
    size_t n;
    int mark;
};

/* Sizes from 0 to far above a chunk: each piece is aligned, zeroed, and keeps what is written to
 * it. */
TEST_F(Arena, GivesZeroedAlignedDisjointMemory)
{
    std::mt19937 rng(1);
    for (int round = 0; round < 20; round++) {
        std::vector<piece> pieces;
        size_t asked = 0;
        for (int i = 0; i < 400; i++) {
            size_t n = rng() % (1u << (rng() % 16));
            unsigned char *p = static_cast<unsigned char *>(arena_alloc(&a, n));
            ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 16, 0u);
            ASSERT_TRUE(all_bytes_are(p, n, 0)) << n;
            int mark = 1 + static_cast<int>(rng() % 255);
            memset(p, mark, n);
            pieces.push_back({p, n, mark});
            asked += n;
        }
        EXPECT_EQ(a.used_bytes, asked);
        for (const piece &one : pieces)
            ASSERT_TRUE(all_bytes_are(one.p, one.n, one.mark));
        arena_reset(&a);
        EXPECT_EQ(a.used_bytes, 0u);
    }
}

TEST_F(Arena, AllocatesNothingBeforeTheFirstUse)
{
    EXPECT_EQ(a.chunk, nullptr);
    arena_reset(&a);
    EXPECT_EQ(a.chunk, nullptr);
}

TEST_F(Arena, SizeZeroGivesDistinctPointers)
{
    EXPECT_NE(arena_alloc(&a, 0), arena_alloc(&a, 0));
    EXPECT_NE(arena_alloc_raw(&a, 0), arena_alloc_raw(&a, 0));
}

TEST_F(Arena, ResetKeepsTheFirstChunkAlone)
{
    void *first = arena_alloc(&a, 10);
    arena_chunk *chunk = a.chunk;
    for (int i = 0; i < 1000; i++)
        arena_alloc(&a, 300);
    arena_alloc(&a, 1 << 20);
    EXPECT_NE(a.chunk, chunk);
    arena_reset(&a);
    EXPECT_EQ(a.chunk, chunk);
    EXPECT_LE(static_cast<size_t>(a.end - a.cur), a.first_bytes);
    EXPECT_EQ(arena_alloc(&a, 10), first);
    arena_alloc(&a, 1000);
    EXPECT_EQ(a.chunk, chunk);
}

TEST_F(Arena, ResetFindsTheFirstChunkBehindALargeOne)
{
    void *large = arena_alloc(&a, 1 << 20); /* before anything else */
    ASSERT_NE(large, nullptr);
    arena_chunk *chunk = a.chunk;
    arena_reset(&a);
    EXPECT_EQ(a.chunk, chunk);
    EXPECT_LE(static_cast<size_t>(a.end - a.cur), a.first_bytes);
}

TEST_F(Arena, LargePiecesDoNotEndTheCurrentChunk)
{
    arena_alloc(&a, 16);
    arena_chunk *chunk = a.chunk;
    char *cur = a.cur;
    memset(arena_alloc(&a, 100000), 1, 100000);
    EXPECT_EQ(a.chunk, chunk);
    EXPECT_EQ(a.cur, cur);
    EXPECT_EQ(arena_alloc(&a, 16), static_cast<void *>(cur));
}

TEST_F(Arena, ChunksDouble)
{
    size_t switches = 0;
    arena_chunk *last = nullptr;
    for (int i = 0; i < 10000; i++) {
        arena_alloc(&a, 64);
        switches += a.chunk != last;
        last = a.chunk;
    }
    /* 640 KB in chunks of 4, 8, 16, ... 512 KiB */
    EXPECT_GE(switches, 7u);
    EXPECT_LE(switches, 9u);
}

TEST_F(Arena, CopiesText)
{
    const char text[] = "abc\0def";
    EXPECT_STREQ(arena_strdup(&a, "x"), "x");
    EXPECT_STREQ(arena_strndup(&a, "abcdef", 3), "abc");
    EXPECT_STREQ(arena_strndup(&a, "ab", 9), "ab");
    EXPECT_STREQ(arena_strndup(&a, nullptr, 0), "");
    EXPECT_EQ(memcmp(arena_memdup(&a, text, sizeof(text)), text, sizeof(text)), 0);
    EXPECT_NE(arena_memdup(&a, nullptr, 0), nullptr);
}

TEST_F(Arena, PrintsTextOfAnyLength)
{
    for (size_t n = 250; n < 262; n++) {
        std::string want(n, 'x');
        EXPECT_EQ(arena_printf(&a, "%s", want.c_str()), want);
    }
    std::string want(100000, 'y');
    EXPECT_EQ(arena_printf(&a, "%s%d", want.c_str(), 7), want + "7");
}

TEST_F(Arena, ArraysAreZeroed)
{
    int64_t *v = arena_new_n(&a, int64_t, 1000);
    EXPECT_TRUE(all_bytes_are(v, 1000 * sizeof(*v), 0));
}

TEST_F(Arena, StopsWhenAnArrayOverflows)
{
    EXPECT_DEATH(arena_array(&a, SIZE_MAX / 2, 3), "assertion failed");
    EXPECT_DEATH(arena_array(&a, SIZE_MAX / 4, 2), "assertion failed");
}

TEST_F(Arena, IsUsableAfterFini)
{
    arena_alloc(&a, 100);
    arena_fini(&a);
    EXPECT_EQ(a.chunk, nullptr);
    EXPECT_TRUE(all_bytes_are(arena_alloc(&a, 100), 100, 0));
}

#ifdef WITH_ASAN
TEST_F(Arena, PoisonsWhatIsFree)
{
    char *p = static_cast<char *>(arena_alloc(&a, 20));
    char *q = static_cast<char *>(arena_alloc(&a, 20));
    EXPECT_FALSE(__asan_address_is_poisoned(p + 19));
    EXPECT_TRUE(__asan_address_is_poisoned(p + 20));
    EXPECT_TRUE(__asan_address_is_poisoned(q - 1));
    EXPECT_TRUE(__asan_address_is_poisoned(q + 20));
    EXPECT_TRUE(__asan_address_is_poisoned(a.end - 1));
    arena_reset(&a);
    EXPECT_TRUE(__asan_address_is_poisoned(p));
}
#endif

} // namespace
