#include "run/fiber_switch.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "base/defs.h"

#if defined(FIBER_SWITCH_ASM) && defined(__x86_64__)

/*
 * System V ABI 3.2.1 and 3.2.3: rbx, rbp, r12-r15 and the control bits of mxcsr and the x87 control
 * word belong to the caller. The control words are loaded only when they differ. The way back is a
 * jump and not a ret, whose target a return stack buffer cannot know here (equal on Zen 1, where it
 * was measured). `notrack` is for IBT: the place behind the call has no endbr64.
 */
__asm__(".text\n"
        ".p2align 5\n"
        ".globl luna_fiber_switch\n"
        ".hidden luna_fiber_switch\n"
        ".type luna_fiber_switch, @function\n"
        "luna_fiber_switch:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r15, 0\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movl (%rsp), %eax\n"
        "    movzwl 4(%rsp), %ecx\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    cmpl (%rsp), %eax\n"
        "    jne 3f\n"
        "1:  cmpw 4(%rsp), %cx\n"
        "    jne 4f\n"
        "    .cfi_remember_state\n"
        "2:  movq 8(%rsp), %r15\n"
        "    movq 16(%rsp), %r14\n"
        "    movq 24(%rsp), %r13\n"
        "    movq 32(%rsp), %r12\n"
        "    movq 40(%rsp), %rbx\n"
        "    movq 48(%rsp), %rbp\n"
        "    movq 56(%rsp), %rdx\n"
        "    addq $64, %rsp\n"
        "    .cfi_def_cfa %rsp, 0\n"
        "    .cfi_register %rip, %rdx\n"
        "    .cfi_same_value %rbp\n"
        "    .cfi_same_value %rbx\n"
        "    .cfi_same_value %r12\n"
        "    .cfi_same_value %r13\n"
        "    .cfi_same_value %r14\n"
        "    .cfi_same_value %r15\n"
        "    notrack jmp *%rdx\n"
        "    .cfi_restore_state\n"
        "3:  ldmxcsr (%rsp)\n"
        "    jmp 1b\n"
        "4:  fldcw 4(%rsp)\n"
        "    jmp 2b\n"
        ".cfi_endproc\n"
        ".size luna_fiber_switch, .-luna_fiber_switch\n");

/* The first frame of a stack: entry and argument come in r12 and r13. Unwinders stop here. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl luna_fiber_start\n"
        ".hidden luna_fiber_start\n"
        ".type luna_fiber_start, @function\n"
        "luna_fiber_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined %rip\n"
        "    endbr64\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size luna_fiber_start, .-luna_fiber_start\n");

extern char luna_fiber_start[] __attribute__((visibility("hidden")));

struct frame {
    uint32_t mxcsr;
    uint16_t x87_control;
    uint16_t unused;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    uint64_t rip;
    uint64_t end[2]; /* zero, the return address of the first frame, should anybody look */
};

void
fiber_point_init(struct fiber_point *p, void *low, size_t bytes, void (*entry)(void *), void *arg)
{
    struct frame *f = (struct frame *)(void *)((char *)low + bytes - sizeof(struct frame));
    memset(f, 0, sizeof(*f));
    __asm__ volatile("stmxcsr %0" : "=m"(f->mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(f->x87_control));
    f->r12 = (uintptr_t)entry;
    f->r13 = (uintptr_t)arg;
    f->rip = (uintptr_t)luna_fiber_start;
    p->sp = f;
}

/* luna_fiber_start calls with a stack aligned to 16. */
_Static_assert(sizeof(struct frame) == 80 && offsetof(struct frame, end) == 64, "as the assembly");

#elif defined(FIBER_SWITCH_ASM) && defined(__aarch64__)

/* AAPCS64 6.1: x19-x29, the link register, d8-d15 and the control bits of FPCR belong to the
 * caller. */
__asm__(".text\n"
        ".p2align 5\n"
        ".globl luna_fiber_switch\n"
        ".hidden luna_fiber_switch\n"
        ".type luna_fiber_switch, %function\n"
        "luna_fiber_switch:\n"
        ".cfi_startproc\n"
        "    hint #34\n" /* bti c */
        "    sub sp, sp, #176\n"
        "    .cfi_def_cfa_offset 176\n"
        "    stp x29, x30, [sp, #0]\n"
        "    .cfi_offset x29, -176\n"
        "    .cfi_offset x30, -168\n"
        "    stp x19, x20, [sp, #16]\n"
        "    .cfi_offset x19, -160\n"
        "    .cfi_offset x20, -152\n"
        "    stp x21, x22, [sp, #32]\n"
        "    .cfi_offset x21, -144\n"
        "    .cfi_offset x22, -136\n"
        "    stp x23, x24, [sp, #48]\n"
        "    .cfi_offset x23, -128\n"
        "    .cfi_offset x24, -120\n"
        "    stp x25, x26, [sp, #64]\n"
        "    .cfi_offset x25, -112\n"
        "    .cfi_offset x26, -104\n"
        "    stp x27, x28, [sp, #80]\n"
        "    .cfi_offset x27, -96\n"
        "    .cfi_offset x28, -88\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x10, sp\n"
        "    str x10, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x11, [sp, #160]\n"
        "    cmp x9, x11\n"
        "    b.eq 1f\n"
        "    msr fpcr, x11\n"
        "1:  ldp d14, d15, [sp, #144]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x29, x30, [sp, #0]\n"
        "    add sp, sp, #176\n"
        "    .cfi_def_cfa_offset 0\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size luna_fiber_switch, .-luna_fiber_switch\n");

__asm__(".text\n"
        ".p2align 4\n"
        ".globl luna_fiber_start\n"
        ".hidden luna_fiber_start\n"
        ".type luna_fiber_start, %function\n"
        "luna_fiber_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "    hint #34\n"
        "    mov x0, x20\n"
        "    mov x30, #0\n"
        "    blr x19\n"
        "    brk #1\n"
        ".cfi_endproc\n"
        ".size luna_fiber_start, .-luna_fiber_start\n");

extern char luna_fiber_start[] __attribute__((visibility("hidden")));

struct frame {
    uint64_t x29, x30, x19, x20, x21_x28[8];
    double d8_d15[8];
    uint64_t fpcr;
    uint64_t unused;
    uint64_t end[2];
};

void
fiber_point_init(struct fiber_point *p, void *low, size_t bytes, void (*entry)(void *), void *arg)
{
    struct frame *f = (struct frame *)(void *)((char *)low + bytes - sizeof(struct frame));
    memset(f, 0, sizeof(*f));
    __asm__ volatile("mrs %0, fpcr" : "=r"(f->fpcr));
    f->x19 = (uintptr_t)entry;
    f->x20 = (uintptr_t)arg;
    f->x30 = (uintptr_t)luna_fiber_start;
    p->sp = f;
}

_Static_assert(offsetof(struct frame, fpcr) == 160 && offsetof(struct frame, end) == 176,
               "as the assembly");

#else

/* makecontext passes ints: a pointer takes two. */
static void
start(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)(((uint64_t)entry_high << 32) | entry_low);
    entry((void *)(uintptr_t)(((uint64_t)arg_high << 32) | arg_low));
}

void
fiber_point_init(struct fiber_point *p, void *low, size_t bytes, void (*entry)(void *), void *arg)
{
    uint64_t e = (uintptr_t)entry;
    uint64_t a = (uintptr_t)arg;
    ASSERT(getcontext(&p->uc) == 0);
    p->uc.uc_stack.ss_sp = low;
    p->uc.uc_stack.ss_size = bytes;
    p->uc.uc_link = NULL;
    p->fresh = true;
    makecontext(&p->uc, (void (*)(void))start, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(a >> 32), (unsigned)a);
}

void
fiber_switch(struct fiber_point *from, struct fiber_point *to)
{
    if (UNLIKELY(to->fresh)) {
        to->fresh = false;
        pthread_sigmask(SIG_SETMASK, NULL, &to->uc.uc_sigmask);
    }
    ASSERT(swapcontext(&from->uc, &to->uc) == 0);
}

#endif
