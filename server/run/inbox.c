/*
 * The head of the list is NULL (empty, the reactor is awake), &inbox_asleep (empty, and the reactor
 * waits in its poll or is about to), a message, or &inbox_closed. Being asleep is part of the word
 * that senders change: exactly one of them takes the mark away, that one wakes the reactor, and
 * none can come between the reactor's look at the list and its sleep.
 *
 * The sender that took the mark away still has to write to the eventfd, maybe after its message has
 * been run. The reactor counts those senders and the writes it has read, and does not end before
 * they are equal.
 */
#include "run/inbox.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "run/reactor_private.h"

struct inbox_msg inbox_asleep;
struct inbox_msg inbox_closed;

void
inbox_init(struct inbox *in)
{
    atomic_init(&in->head, NULL);
    in->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(in->fd >= 0);
    in->asleep = false;
    in->woken_by = 0;
    in->woken = 0;
}

void
inbox_fini(struct inbox *in)
{
    close(in->fd);
}

static void
wake(int fd)
{
    uint64_t one = 1;
    ssize_t n;
    if (FAILPOINT(inbox_wake))
        usleep(5000);
    do
        n = write(fd, &one, sizeof(one));
    while (n < 0 && errno == EINTR);
    ASSERT(n == sizeof(one));
}

/* The reactor is awake: takes back the mark of sleep. True: there are messages. */
static bool
mark_awake(struct inbox *in)
{
    struct inbox_msg *head = atomic_load_explicit(&in->head, memory_order_relaxed);
    if (!in->asleep)
        return head != NULL;
    in->asleep = false;
    if (head == &inbox_asleep &&
        atomic_compare_exchange_strong_explicit(&in->head, &head, NULL, memory_order_relaxed,
                                                memory_order_relaxed))
        return false;
    in->woken_by++;
    return true;
}

void
inbox_send(struct reactor *r, struct inbox_msg *m)
{
    struct inbox *in = &r->inbox;
    if (r == reactor_current())
        (void)mark_awake(in); /* callbacks behind the poll need no wake-up: a turn follows them */
    int fd = in->fd;
    struct inbox_msg *old = atomic_load_explicit(&in->head, memory_order_relaxed);
    do {
        ASSERT(old != &inbox_closed);
        m->next = old == &inbox_asleep ? NULL : old;
    } while (!atomic_compare_exchange_weak_explicit(&in->head, &old, m, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on neither `m` nor `r` may be touched; only `fd`, see inbox_await_wakers. */
    if (old == &inbox_asleep)
        wake(fd);
}

static struct inbox_msg *
reverse(struct inbox_msg *m)
{
    struct inbox_msg *out = NULL;
    while (m) {
        struct inbox_msg *next = m->next;
        m->next = out;
        out = m;
        m = next;
    }
    return out;
}

void
inbox_run(struct reactor *r)
{
    struct inbox *in = &r->inbox;
    bool any = mark_awake(in);
    stat_set(&r->stats.wakeups, in->woken_by);
    if (!any)
        return;
    struct inbox_msg *m = reverse(atomic_exchange_explicit(&in->head, NULL, memory_order_acquire));
    uint64_t n = 0;
    while (m) {
        struct inbox_msg *next = m->next; /* `fn` may free or send it */
        m->fn(m);
        m = next;
        n++;
    }
    counter_add(&r->stats.inbox_messages, n);
}

bool
inbox_sleep(struct reactor *r)
{
    struct inbox_msg *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&r->inbox.head, &none, &inbox_asleep,
                                                 memory_order_relaxed, memory_order_relaxed))
        return false;
    r->inbox.asleep = true;
    return true;
}

bool
inbox_close(struct reactor *r)
{
    struct inbox_msg *none = NULL;
    return atomic_compare_exchange_strong_explicit(&r->inbox.head, &none, &inbox_closed,
                                                   memory_order_relaxed, memory_order_relaxed);
}

void
inbox_read_wakes(struct reactor *r)
{
    uint64_t n = 0;
    if (read(r->inbox.fd, &n, sizeof(n)) == sizeof(n))
        r->inbox.woken += n;
}

void
inbox_await_wakers(struct reactor *r)
{
    while (r->inbox.woken != r->inbox.woken_by) {
        struct pollfd p = {.fd = r->inbox.fd, .events = POLLIN};
        (void)poll(&p, 1, -1);
        inbox_read_wakes(r);
    }
}
