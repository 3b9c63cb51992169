#include "cache/subscribe.h"

#include <stdlib.h>

#include "cache/redis_private.h"
#include "run/reactor.h"

#define BUCKETS 256U

struct redis_channel {
    struct redis_channel *next; /* in its bucket */
    struct list subscriptions;
    bool live; /* Redis has confirmed it on this connection */
    size_t n;
    char name[];
};

struct redis_subscription {
    struct list link; /* in its channel, or in `garbage` */
    struct redis_channel
        *channel; /* NULL: unsubscribed while its channel is being told something */
    struct redis_subscriber *subscriber;
    redis_event_fn fn;
    void *arg;
};

struct redis_subscriber {
    struct redis_conn conn;
    struct redis_channel *buckets[BUCKETS];
    unsigned telling;     /* depth of callbacks running now */
    struct list garbage;  /* subscriptions that ended meanwhile */
    nsec_t ping_deadline; /* NSEC_NEVER: no PING is out */
};

static struct redis_subscriber *
subscriber_of_conn(struct redis_conn *c)
{
    return container_of(c, struct redis_subscriber, conn);
}

static uint32_t
bucket_of(struct str name)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619U;
    return h % BUCKETS;
}

static struct redis_channel *
channel_find(struct redis_subscriber *s, struct str name)
{
    for (struct redis_channel *ch = s->buckets[bucket_of(name)]; ch; ch = ch->next)
        if (str_eq((struct str){ch->name, ch->n}, name))
            return ch;
    return NULL;
}

static struct redis_channel *
channel_add(struct redis_subscriber *s, struct str name)
{
    struct redis_channel *ch = calloc(1, sizeof(*ch) + name.n + 1);
    ASSERT(ch);
    list_init(&ch->subscriptions);
    memcpy(ch->name, name.p, name.n);
    ch->n = name.n;
    uint32_t b = bucket_of(name);
    ch->next = s->buckets[b];
    s->buckets[b] = ch;
    return ch;
}

static void
channel_remove(struct redis_subscriber *s, struct redis_channel *ch)
{
    struct redis_channel **p = &s->buckets[bucket_of((struct str){ch->name, ch->n})];
    while (*p != ch)
        p = &(*p)->next;
    *p = ch->next;
    free(ch);
}

static void
send_verb(struct redis_subscriber *s, struct str verb, const struct redis_channel *ch)
{
    if (s->conn.state == REDIS_READY)
        (void)redis_conn_send(&s->conn, (struct str[]){verb, {ch->name, ch->n}}, 2);
}

static void
empty_garbage(struct redis_subscriber *s)
{
    struct list *l;
    while (s->telling == 0 && (l = list_pop(&s->garbage)))
        free(container_of(l, struct redis_subscription, link));
}

/* Takes the ended subscriptions out of `ch`, and `ch` out of the table when none is left. */
static void
channel_sweep(struct redis_subscriber *s, struct redis_channel *ch)
{
    if (s->telling > 0)
        return;
    list_foreach_safe (it, tmp, &ch->subscriptions) {
        struct redis_subscription *sub = container_of(it, struct redis_subscription, link);
        if (!sub->channel) {
            list_remove(&sub->link);
            list_push(&s->garbage, &sub->link);
        }
    }
    if (list_empty(&ch->subscriptions)) {
        send_verb(s, STR("UNSUBSCRIBE"), ch);
        channel_remove(s, ch);
    }
}

static void
channel_tell(struct redis_subscriber *s, struct redis_channel *ch, enum redis_event event,
             struct str payload)
{
    s->telling++;
    list_foreach (it, &ch->subscriptions) {
        struct redis_subscription *sub = container_of(it, struct redis_subscription, link);
        if (sub->channel)
            sub->fn(sub->arg, event, payload);
    }
    s->telling--;
}

/* ---- what the connection calls ------------------------------------------------------------- */

static void
on_handshake(struct redis_conn *c)
{
    (void)c;
}

static void
on_up(struct redis_conn *c)
{
    struct redis_subscriber *s = subscriber_of_conn(c);
    s->ping_deadline = NSEC_NEVER;
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct redis_channel *ch = s->buckets[b]; ch; ch = ch->next)
            send_verb(s, STR("SUBSCRIBE"), ch);
}

static bool
on_reply(struct redis_conn *c, const struct redis_reply *reply)
{
    struct redis_subscriber *s = subscriber_of_conn(c);
    s->ping_deadline = NSEC_NEVER;
    if (reply->type == REDIS_STATUS) /* PONG while nothing is subscribed */
        return true;
    if (reply->type != REDIS_ARRAY || reply->count < 2 || reply->items[0].type != REDIS_STRING)
        return false;
    struct str kind = reply->items[0].str;
    struct redis_channel *ch = channel_find(s, reply->items[1].str);
    if (!ch) /* a pong, or of a channel that was left meanwhile */
        return true;
    if (str_eq(kind, STR("subscribe"))) {
        ch->live = true;
        channel_tell(s, ch, REDIS_EVENT_READY, (struct str){NULL, 0});
    } else if (str_eq(kind, STR("message")) && reply->count == 3) {
        redis_count(&c->stats->messages, 1);
        channel_tell(s, ch, REDIS_EVENT_MESSAGE, reply->items[2].str);
    }
    channel_sweep(s, ch);
    empty_garbage(s);
    return true;
}

static void
on_down(struct redis_conn *c)
{
    struct redis_subscriber *s = subscriber_of_conn(c);
    s->ping_deadline = NSEC_NEVER;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (struct redis_channel *ch = s->buckets[b], *next; ch; ch = next) {
            if (ch->live)
                channel_tell(s, ch, REDIS_EVENT_LOST, (struct str){NULL, 0});
            next = ch->next;
            ch->live = false;
            channel_sweep(s, ch);
        }
    }
    empty_garbage(s);
}

static nsec_t
on_oldest_deadline(struct redis_conn *c)
{
    return subscriber_of_conn(c)->ping_deadline;
}

static void
on_ping(struct redis_conn *c)
{
    if (redis_conn_send(c, (struct str[]){STR("PING")}, 1))
        subscriber_of_conn(c)->ping_deadline = clock_now() + c->timeout;
}

static const struct redis_conn_ops ops = {on_handshake,       on_up,  on_reply, on_down,
                                          on_oldest_deadline, on_ping};

/* ---- verbs --------------------------------------------------------------------------------- */

static struct redis_subscriber *
subscriber_get(struct redis *r)
{
    if (r->subscriber)
        return r->subscriber;
    struct redis_subscriber *s = calloc(1, sizeof(*s));
    ASSERT(s);
    list_init(&s->garbage);
    s->ping_deadline = NSEC_NEVER;
    redis_conn_init(&s->conn, r->reactor, &ops, "subscriptions", &r->opt, &r->conn.url, &r->stats);
    redis_conn_open(&s->conn);
    r->subscriber = s;
    return s;
}

struct redis_subscription *
redis_subscribe(struct reactor *reactor, struct str channel, redis_event_fn fn, void *arg)
{
    struct redis *r = reactor_slot(reactor, SLOT_CACHE);
    if (!r)
        return NULL;
    struct redis_subscriber *s = subscriber_get(r);
    struct redis_subscription *sub = calloc(1, sizeof(*sub));
    ASSERT(sub);
    struct redis_channel *ch = channel_find(s, channel);
    if (!ch)
        ch = channel_add(s, channel);
    *sub = (struct redis_subscription){.channel = ch, .subscriber = s, .fn = fn, .arg = arg};
    list_push(&ch->subscriptions, &sub->link);
    /* Also for a channel that is followed already: the confirmation is what tells the newcomer
     * (and, harmlessly, the others) that the present state can be read. */
    send_verb(s, STR("SUBSCRIBE"), ch);
    return sub;
}

void
redis_unsubscribe(struct redis_subscription *sub)
{
    struct redis_subscriber *s = sub->subscriber;
    struct redis_channel *ch = sub->channel;
    sub->channel = NULL;
    channel_sweep(s, ch);
    empty_garbage(s);
}

void
redis_subscriber_stop(struct redis_subscriber *s)
{
    redis_conn_close(&s->conn);
}

void
redis_subscriber_free(struct redis_subscriber *s)
{
    for (size_t b = 0; b < BUCKETS; b++) {
        while (s->buckets[b]) {
            struct redis_channel *ch = s->buckets[b];
            struct list *l;
            while ((l = list_pop(&ch->subscriptions)))
                free(container_of(l, struct redis_subscription, link));
            channel_remove(s, ch);
        }
    }
    redis_conn_fini(&s->conn);
    free(s);
}
