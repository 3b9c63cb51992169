/* Runs the body of a test on a fiber of a reactor of its own, on the test's thread. */
#ifndef LUNA_TESTS_RUN_TEST_H
#define LUNA_TESTS_RUN_TEST_H

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

/* C's structs and functions may share a name; g++ takes that for shadowing. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "base/arena.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "run/ctx.h"
#include "run/fiber.h"
#include "run/inbox.h"
#include "run/reactor.h"
#include "run/timer.h"
}
#pragma GCC diagnostic pop

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

template <typename T>
static inline T
load(const T *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* A context with its arena, on a fiber's stack. */
struct test_ctx : ctx {
    struct arena memory;

    test_ctx()
    {
        arena_init(&memory, 0);
        ctx_init(this, &memory, reactor_current());
    }
    ~test_ctx()
    {
        ctx_fini(this);
        arena_fini(&memory);
    }
    test_ctx(const test_ctx &) = delete;
};

using body = std::function<void()>;

static inline void
run_body(void *arg)
{
    body *b = static_cast<body *>(arg);
    (*b)();
    delete b;
}

static inline bool
spawn(struct reactor *r, body fn)
{
    body *b = new body(std::move(fn));
    if (fiber_spawn(r, run_body, b))
        return true;
    delete b;
    return false;
}

/* Runs `fn` as the first fiber of `r`; the reactor ends when all fibers have. */
static inline void
run_on(struct reactor *r, body fn)
{
    ASSERT_TRUE(spawn(r, [&] {
        fn();
        reactor_stop(r);
    }));
    reactor_run(r);
}

static inline void
run_with(struct reactor_options opt, std::function<void(struct reactor *)> fn)
{
    struct reactor *r = reactor_new(&opt);
    run_on(r, [&] { fn(r); });
    reactor_free(r);
}

static inline void
run(std::function<void(struct reactor *)> fn)
{
    run_with(reactor_options{}, fn);
}

#endif
