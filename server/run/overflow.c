/* A fiber that runs out of stack says so: a plain SIGSEGV would not tell what to do. */
#include "run/overflow.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/reactor_private.h"

#define HANDLER_BYTES ((size_t)64 * 1024) /* the kernel puts all vector registers there */

#if defined(WITH_ASAN) || defined(WITH_TSAN)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static size_t page_bytes;

/* Only what may be done in a signal handler. The instruction is run again behind it, and then ends
 * the process as it would have without. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
    static const char text[] = "a fiber ran out of stack: raise LUNA_FIBER_STACK\n";
    const struct reactor *r = reactor_current();
    const struct fiber *f = r ? r->running : NULL;
    (void)context;
    if (f && (char *)info->si_addr < f->stack_low &&
        (char *)info->si_addr >= f->stack_low - page_bytes)
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    signal(sig, SIG_DFL);
}

static void
install(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&act.sa_mask);
    ASSERT(sigaction(SIGSEGV, &act, NULL) == 0);
    ASSERT(sigaction(SIGBUS, &act, NULL) == 0);
}

void *
overflow_watch_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (SANITIZED) /* it has a handler of its own */
        return NULL;
    pthread_once(&once, install);
    stack_t stack = {.ss_sp = malloc(HANDLER_BYTES), .ss_size = HANDLER_BYTES};
    ASSERT(stack.ss_sp != NULL);
    ASSERT(sigaltstack(&stack, NULL) == 0);
    return stack.ss_sp;
}

void
overflow_watch_end(void *stack)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    if (!stack)
        return;
    ASSERT(sigaltstack(&none, NULL) == 0);
    free(stack);
}
