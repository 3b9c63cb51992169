/*
 * What AddressSanitizer and ThreadSanitizer must be told when the stack is switched. Without them
 * all of this is nothing.
 * https://github.com/llvm/llvm-project/blob/main/compiler-rt/include/sanitizer/{common,tsan}_interface*.h
 *
 * Private to run/.
 */
#ifndef LUNA_RUN_SANITIZERS_H
#define LUNA_RUN_SANITIZERS_H

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#elif __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#define SANITIZER_FIBER_FIELDS void *fake_stack;
#define SANITIZER_LOOP_FIELDS \
    void *fake_stack;         \
    const void *loop_stack;   \
    size_t loop_stack_bytes;

/* Around the switch from the loop to fiber `f`. */
#define sanitizer_before_enter(r, f) \
    __sanitizer_start_switch_fiber(&(r)->fake_stack, (f)->stack_low, (r)->stacks.stack_bytes)
#define sanitizer_after_enter(r) __sanitizer_finish_switch_fiber((r)->fake_stack, NULL, NULL)

/* Around the switch from fiber `f` to the loop. A fiber that has ended leaves no frames behind. */
#define sanitizer_before_leave(r, f, ended)                                            \
    __sanitizer_start_switch_fiber((ended) ? NULL : &(f)->fake_stack, (r)->loop_stack, \
                                   (r)->loop_stack_bytes)
#define sanitizer_after_leave(r, f, ended)                                              \
    __sanitizer_finish_switch_fiber((ended) ? NULL : (f)->fake_stack, &(r)->loop_stack, \
                                    &(r)->loop_stack_bytes)
#define sanitizer_fiber_begin(r, f) sanitizer_after_leave(r, f, true)
#define sanitizer_fiber_prime(f)    ((void)0)
#define sanitizer_fiber_drop(f)     ((void)0)
#define sanitizer_loop_begin(r)     ((void)0)
#define sanitizer_forget(p, n)      __asan_unpoison_memory_region((p), (n))

#elif defined(WITH_TSAN)
#include <sanitizer/tsan_interface.h>

#define SANITIZER_FIBER_FIELDS              void *tsan;
#define SANITIZER_LOOP_FIELDS               void *tsan;
#define sanitizer_before_enter(r, f)        __tsan_switch_to_fiber((f)->tsan, 0)
#define sanitizer_after_enter(r)            ((void)0)
#define sanitizer_before_leave(r, f, ended) __tsan_switch_to_fiber((r)->tsan, 0)
#define sanitizer_after_leave(r, f, ended)  ((void)0)
#define sanitizer_fiber_begin(r, f)         ((void)0)
#define sanitizer_fiber_prime(f)            ((f)->tsan = __tsan_create_fiber(0))
#define sanitizer_fiber_drop(f)             __tsan_destroy_fiber((f)->tsan)
#define sanitizer_loop_begin(r)             ((r)->tsan = __tsan_get_current_fiber())
#define sanitizer_forget(p, n)              ((void)0)

#else

#define SANITIZER_FIBER_FIELDS
#define SANITIZER_LOOP_FIELDS
#define sanitizer_before_enter(r, f)        ((void)0)
#define sanitizer_after_enter(r)            ((void)0)
#define sanitizer_before_leave(r, f, ended) ((void)0)
#define sanitizer_after_leave(r, f, ended)  ((void)0)
#define sanitizer_fiber_begin(r, f)         ((void)0)
#define sanitizer_fiber_prime(f)            ((void)0)
#define sanitizer_fiber_drop(f)             ((void)0)
#define sanitizer_loop_begin(r)             ((void)0)
#define sanitizer_forget(p, n)              ((void)0)

#endif

#endif
