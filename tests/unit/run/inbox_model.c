/*
 * The inbox under every schedule. The real inbox.c is compiled here once more with a scheduling
 * point before each atomic operation and each system call; its threads are stacks of one thread,
 * and a depth-first search runs them in all orders that switch away from a runnable thread at most
 * `preemptions` times. (Musuvathi and Qadeer, "Iterative context bounding for systematic testing",
 * PLDI 2007.)
 */
#include "unit/run/inbox_model.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/reactor_private.h"

#define THREADS   3 /* the reactor and two producers */
#define MAX_STEPS 400
#define STACK     ((size_t)64 * 1024)
#define MAX_SEND  3

static void step(void);
static long model_write(void);
static long model_read(uint64_t *ret);
static struct reactor *model_current(void);

typedef struct inbox_msg *_Atomic head_type;

static bool
model_cas(head_type *head, struct inbox_msg **expected, struct inbox_msg *desired)
{
    step();
    return atomic_compare_exchange_strong(head, expected, desired);
}

static struct inbox_msg *
model_exchange(head_type *head, struct inbox_msg *desired)
{
    step();
    return atomic_exchange(head, desired);
}

#undef atomic_load_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#define atomic_load_explicit(p, order)                           (step(), *(p))
#define atomic_exchange_explicit(p, d, order)                    model_exchange((p), (d))
#define atomic_compare_exchange_strong_explicit(p, e, d, o1, o2) model_cas((p), (e), (d))
#define atomic_compare_exchange_weak_explicit(p, e, d, o1, o2)   model_cas((p), (e), (d))
#define write(fd, p, n)                                          ((void)(fd), (void)(p), model_write())
#define read(fd, p, n)                                           ((void)(fd), model_read(p))
#define reactor_current()                                        model_current()
#include "run/inbox.c" /* NOLINT */

struct model_msg {
    struct inbox_msg msg;
    int producer;
    int number;
};

static struct {
    struct reactor reactor;
    struct fiber_point scheduler;
    struct fiber_point threads[THREADS];
    char *stacks[THREADS];
    int running;
    bool over[THREADS];
    bool polls; /* the reactor waits for a write */
    uint64_t writes;
    uint64_t sleeps;
    struct model_msg msgs[THREADS][MAX_SEND];
    int to_send[THREADS];
    int next[THREADS]; /* the number that must come next */
    int ran;
    int expected;
    const char *wrong;
} m;

/* One schedule: at each scheduling point, which thread goes on. */
static struct {
    int chosen[MAX_STEPS]; /* index among the options */
    int options[MAX_STEPS];
    int length;
} path;

static void
step(void)
{
    fiber_switch(&m.threads[m.running], &m.scheduler);
}

static struct reactor *
model_current(void)
{
    return m.running == 0 ? &m.reactor : NULL;
}

static long
model_write(void)
{
    step();
    m.writes++;
    return sizeof(uint64_t);
}

static long
model_read(uint64_t *ret)
{
    *ret = m.writes;
    m.writes = 0;
    return sizeof(uint64_t);
}

static void
on_model_msg(struct inbox_msg *msg)
{
    struct model_msg *got = container_of(msg, struct model_msg, msg);
    if (got->number != m.next[got->producer])
        m.wrong = "a message came out of its producer's order";
    m.next[got->producer] = got->number + 1;
    m.ran++;
}

static void
run_reactor(void *arg)
{
    (void)arg;
    while (m.ran < m.expected) {
        inbox_run(&m.reactor);
        if (m.ran == m.expected || !inbox_sleep(&m.reactor))
            continue;
        m.sleeps++;
        m.polls = true;
        step();
        m.polls = false;
        inbox_read_wakes(&m.reactor);
    }
    /* The end: every sender that took the mark away has written, or will. */
    while (m.reactor.inbox.woken != m.reactor.inbox.woken_by) {
        m.polls = true;
        step();
        m.polls = false;
        inbox_read_wakes(&m.reactor);
    }
    m.over[0] = true;
    for (;;)
        step();
}

static void
run_producer(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < m.to_send[me]; i++)
        inbox_send(&m.reactor, &m.msgs[me][i].msg);
    m.over[me] = true;
    for (;;)
        step();
}

static void
reset(const int *to_send)
{
    memset(&m.reactor, 0, sizeof(m.reactor));
    memset(m.over, 0, sizeof(m.over));
    memset(m.next, 0, sizeof(m.next));
    m.polls = false;
    m.writes = m.sleeps = 0;
    m.ran = m.expected = 0;
    for (int t = 0; t < THREADS; t++) {
        m.to_send[t] = to_send[t];
        m.expected += to_send[t];
        for (int i = 0; i < to_send[t]; i++)
            m.msgs[t][i] = (struct model_msg){{NULL, on_model_msg}, t, i};
        fiber_point_init(&m.threads[t], m.stacks[t], STACK, t == 0 ? run_reactor : run_producer,
                         (void *)(intptr_t)t);
    }
}

static bool
runnable(int t)
{
    return !m.over[t] && !(t == 0 && m.polls && m.writes == 0);
}

/* The threads that may go on, the running one first; without preemptions left only that one. */
static int
list_options(int *options, int preemptions)
{
    int n = 0;
    if (runnable(m.running))
        options[n++] = m.running;
    if (n > 0 && preemptions == 0)
        return n;
    for (int t = 0; t < THREADS; t++)
        if (t != m.running && runnable(t))
            options[n++] = t;
    return n;
}

static void
run_schedule(int preemptions)
{
    m.running = 0;
    for (int i = 0; i < MAX_STEPS; i++) {
        int options[THREADS];
        int n = list_options(options, preemptions);
        if (n == 0) {
            if (!m.over[0])
                m.wrong = "the reactor sleeps and nobody will wake it";
            else if (m.reactor.inbox.woken_by > m.sleeps)
                m.wrong = "more wake-ups than sleeps";
            return;
        }
        if (i >= path.length) {
            path.chosen[i] = 0;
            path.options[i] = n;
            path.length = i + 1;
        }
        int t = options[path.chosen[i]];
        if (t != m.running && runnable(m.running))
            preemptions--;
        m.running = t;
        fiber_switch(&m.scheduler, &m.threads[t]);
        if (m.wrong)
            return;
    }
    m.wrong = "the schedule does not end";
}

/* To the next schedule; false: there is none. */
static bool
advance(void)
{
    while (path.length > 0) {
        int last = path.length - 1;
        if (++path.chosen[last] < path.options[last])
            return true;
        path.length--;
    }
    return false;
}

const char *
inbox_model_check(int first_sends, int second_sends, int preemptions, uint64_t *ret_schedules)
{
    const int to_send[THREADS] = {0, first_sends, second_sends};
    uint64_t n = 0;
    for (int t = 0; t < THREADS; t++) {
        m.stacks[t] = aligned_alloc(64, STACK);
        ASSERT(m.stacks[t] != NULL);
    }
    m.wrong = NULL;
    path.length = 0;
    do {
        reset(to_send);
        run_schedule(preemptions);
        n++;
    } while (!m.wrong && advance());
    for (int t = 0; t < THREADS; t++)
        free(m.stacks[t]);
    *ret_schedules = n;
    return m.wrong;
}
