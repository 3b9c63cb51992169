/*
 * The switch from one stack to another: callee-saved registers, the stack pointer and the
 * floating-point control words, nothing else. Written in assembly for x86-64 and AArch64; other
 * machines use ucontext, whose swapcontext makes two system calls for a signal mask that never
 * differs here (tests/bench/run_bench measures both).
 *
 * Shadow stacks (Intel CET, Arm GCS) are not switched: fiber_switch.c is compiled without the mark
 * that would ask the loader for them (Debian 12's start files do not carry it either). Landing pads
 * for indirect branches (endbr64, bti) are in place.
 *
 * Private to run/.
 */
#ifndef LUNA_RUN_FIBER_SWITCH_H
#define LUNA_RUN_FIBER_SWITCH_H

#include <stdbool.h>
#include <stddef.h>

#if (defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__)
#if !defined(LUNA_FIBER_UCONTEXT)
#define FIBER_SWITCH_ASM 1
#endif
#endif

#ifndef FIBER_SWITCH_ASM
#include <ucontext.h>
#endif

/* Where somebody who is not running will go on. */
struct fiber_point {
#ifdef FIBER_SWITCH_ASM
    void *sp;
#else
    ucontext_t uc;
    bool fresh; /* takes the signal mask of the thread that first switches to it */
#endif
};

/* Makes `p` the beginning of `entry(arg)` on the stack [low, low + bytes). `entry` must not return.
 * `low` and `bytes` are multiples of 16. */
void fiber_point_init(struct fiber_point *p, void *low, size_t bytes, void (*entry)(void *),
                      void *arg);

/* The stack pointer of one who is not running; NULL where it cannot be known. */
static inline const char *
fiber_point_sp(const struct fiber_point *p)
{
#ifdef FIBER_SWITCH_ASM
    return p->sp;
#else
    (void)p;
    return NULL;
#endif
}

/* Goes on at `to`; returns when somebody switches to `from`. */
#ifdef FIBER_SWITCH_ASM
void luna_fiber_switch(void **ret_sp, void *sp);
#define fiber_switch(from, to) luna_fiber_switch(&(from)->sp, (to)->sp)
#else
void fiber_switch(struct fiber_point *from, struct fiber_point *to);
#endif

#endif
