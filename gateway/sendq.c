#include "gateway/sendq.h"

void
sendq_init(struct sendq *q, struct upstream_call *c, size_t max)
{
    *q = (struct sendq){.call = c};
    buf_init(&q->waiting, 2 * (max + SENDQ_ENOUGH));
}

void
sendq_fini(struct sendq *q)
{
    buf_fini(&q->waiting);
}

static void
send_next(struct sendq *q)
{
    size_t n;
    if (q->sending || q->closed)
        return;
    if (sendq_bytes(q) == 0) {
        q->closed = q->closing;
        if (q->closing)
            upstream_send(q->call, NULL);
        return;
    }
    memcpy(&n, q->waiting.data + q->taken, sizeof(n));
    struct str message = {q->waiting.data + q->taken + sizeof(n), n};
    q->sending = true;
    q->taken += sizeof(n) + n;
    upstream_send(q->call, &message);
    if (q->taken == q->waiting.len) {
        buf_clear(&q->waiting);
        q->taken = 0;
    }
}

/* Moves what waits to the front when most of the buffer is behind it. */
static void
compact(struct sendq *q)
{
    if (q->taken < SENDQ_ENOUGH || q->taken < q->waiting.len / 2)
        return;
    memmove(q->waiting.data, q->waiting.data + q->taken, sendq_bytes(q));
    q->waiting.len -= q->taken;
    q->taken = 0;
}

bool
sendq_put(struct sendq *q, struct str message)
{
    compact(q);
    buf_put(&q->waiting, &message.n, sizeof(message.n));
    buf_put(&q->waiting, message.p, message.n);
    if (q->waiting.overflow)
        return false;
    send_next(q);
    return true;
}

void
sendq_close(struct sendq *q)
{
    q->closing = true;
    send_next(q);
}

void
sendq_sent(struct sendq *q)
{
    q->sending = false;
    send_next(q);
}
