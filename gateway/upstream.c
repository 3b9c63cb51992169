#include "gateway/upstream.h"

#include <stdlib.h>

#include "gateway/upstream_private.h"

#define REFUSALS_MAX 3
#define UNARY_ARENA  1000 /* first bytes for metadata: the limits' headers */
#define STREAM_ARENA 400

/* Asked for by threads that are not the loop's. */
enum { POST_START = 1, POST_NEXT = 2, POST_SEND = 4, POST_CLOSE = 8, POST_CANCEL = 16 };

/* ---- events ---- */

void
call_notice(struct upstream_call *c)
{
    if (list_empty(&c->event))
        list_push(&c->lane->events, &c->event);
}

static void
end(struct upstream_call *c)
{
    struct upstream_lane *lane = c->lane;
    pthread_mutex_lock(&lane->lock);
    c->ended = true;
    list_remove(&c->posted);
    pthread_mutex_unlock(&lane->lock);
    c->on_end(c);
}

bool
lane_settle(struct upstream_lane *lane)
{
    struct list *node;
    bool any = false;
    while ((node = list_pop(&lane->events)) != NULL) {
        struct upstream_call *c = container_of(node, struct upstream_call, event);
        any = true;
        if (c->over) {
            end(c);
            continue;
        }
        if (c->sent) {
            c->sent = c->sending = false;
            c->on_sent(c);
        }
        call_deliver(c); /* somebody wants what has come before */
    }
    return any;
}

static void
leave_link(struct upstream_call *c)
{
    list_remove(&c->node);
    if (c->link)
        c->link->call_count--;
    c->link = NULL;
    c->stream = 0;
}

void
call_detach(struct upstream_call *c)
{
    leave_link(c);
    list_push(&c->lane->finishing, &c->node);
}

void
call_end(struct upstream_call *c, enum status status, struct str message)
{
    if (c->over)
        return;
    c->over = true;
    c->status = status;
    c->message = message.n > 0
                     ? (struct str){arena_strndup(&c->arena, message.p, message.n), message.n}
                     : STR("");
    loop_timer_stop(c->lane->loop, &c->timer);
    leave_link(c);
    call_notice(c);
}

void
call_abandon(struct upstream_call *c, enum status status, struct str message)
{
    if (c->over)
        return;
    if (c->link)
        http2_reset(c, NGHTTP2_CANCEL);
    call_end(c, status, message);
}

static void
on_deadline(struct loop_timer *t)
{
    call_abandon(container_of(t, struct upstream_call, timer), DEADLINE_EXCEEDED,
                 STR("deadline passed"));
}

/* ---- which server ---- */

/* In turn: the one that is taken goes to the end. */
static struct upstream_peer *
pick(struct upstream_lane *lane)
{
    list_foreach (it, &lane->peers) {
        struct upstream_peer *p = container_of(it, struct upstream_peer, node);
        if (!peer_usable(p))
            continue;
        list_remove(&p->node);
        list_push(&lane->peers, &p->node);
        return p;
    }
    return NULL;
}

/* A server may be found without one having failed to answer. */
static bool
is_hopeful(const struct upstream_lane *lane)
{
    if (!lane->resolved)
        return true;
    list_foreach (it, &lane->peers) {
        const struct upstream_peer *p = container_of(it, struct upstream_peer, node);
        if (p->state == PEER_CONNECTING ||
            (p->state == PEER_READY && p->health == HEALTH_UNKNOWN && lane->upstream->several))
            return true;
    }
    return false;
}

/* To a server, or to those that wait. What is too late already would be too late there as well,
 * and until the loop's timer says so an answer of the server could come first. */
static void
dispatch(struct upstream_call *c)
{
    struct upstream_lane *lane = c->lane;
    if (c->deadline != NSEC_NEVER && clock_now() >= c->deadline) {
        on_deadline(&c->timer);
        return;
    }
    struct upstream_peer *p = pick(lane);
    if (p && http2_submit(p->link, c))
        return;
    if (p || is_hopeful(lane))
        list_push(&lane->waiting, &c->node);
    else
        call_end(c, UNAVAILABLE, STR("no server can be reached"));
}

void
lane_dispatch(struct upstream_lane *lane)
{
    struct list now, *node;
    bool found = false;
    list_init(&now);
    list_splice(&now, &lane->waiting);
    while ((node = list_pop(&now)) != NULL)
        dispatch(container_of(node, struct upstream_call, node));
    list_foreach (it, &lane->peers)
        found |= peer_usable(container_of(it, struct upstream_peer, node));
    if (!found)
        return;
    list_splice(&now, &lane->hopeful);
    while ((node = list_pop(&now)) != NULL) {
        struct upstream_call *c = container_of(node, struct upstream_call, node);
        loop_timer_stop(lane->loop, &c->timer);
        c->on_ready(c);
    }
}

void
call_refused(struct upstream_call *c)
{
    leave_link(c);
    if (c->answered || c->sends_later || ++c->refusals > REFUSALS_MAX) {
        call_end(c, UNAVAILABLE, STR("the server refused the call"));
        return;
    }
    /* What was sent is still there, in front of what is left. */
    size_t left = c->out.n, whole = 0;
    for (size_t i = 1; i < sizeof(c->prefix); i++)
        whole = whole << 8 | c->prefix[i];
    if (c->out.p) {
        c->out = (struct str){c->out.p - (whole - left), whole};
        c->prefix_left = sizeof(c->prefix);
    }
    dispatch(c);
}

/* ---- calls; on the loop ---- */

void
call_init(struct upstream_call *c, struct upstream_lane *lane, const char *path,
          const struct upstream_pair *metadata, size_t count, nsec_t deadline)
{
    c->lane = lane;
    list_init(&c->node);
    list_init(&c->event);
    list_init(&c->posted);
    buf_init(&c->in, lane->upstream->max_message + 2 * UPSTREAM_WINDOW);
    c->path = path;
    c->metadata = metadata;
    c->metadata_count = count;
    c->deadline = deadline;
    c->code = -1;
    c->wants = true;
}

void
call_put_message(struct upstream_call *c, struct str message, bool copy)
{
    c->out = message;
    if (copy) {
        free(c->owned);
        c->owned = malloc(message.n + 1);
        ASSERT(c->owned);
        memcpy(c->owned, message.n ? message.p : "", message.n);
        c->out.p = c->owned;
    } else if (!message.p) {
        c->out.p = "";
    }
    for (size_t i = 0; i < 4; i++)
        c->prefix[1 + i] = (uint8_t)(message.n >> (24 - 8 * i));
    c->prefix_left = sizeof(c->prefix);
}

static void
start(struct upstream_call *c)
{
    if (c->deadline != NSEC_NEVER) {
        c->timer.fire = on_deadline;
        loop_timer_set(c->lane->loop, &c->timer, c->deadline);
    }
    dispatch(c);
}

static void
next(struct upstream_call *c)
{
    c->wants = true;
    if (c->in.len > 0 || c->owed > 0 || c->ending)
        call_notice(c);
}

static void
on_ready_time(struct loop_timer *t)
{
    struct upstream_call *c = container_of(t, struct upstream_call, timer);
    list_remove(&c->node);
    c->on_ready(c);
}

void
upstream_when_ready(struct upstream_call *c, nsec_t until,
                    void (*on_ready)(struct upstream_call *c))
{
    c->on_ready = on_ready;
    c->timer.fire = on_ready_time;
    loop_timer_set(c->lane->loop, &c->timer, until);
    list_push(&c->lane->hopeful, &c->node);
}

/* ---- from other threads ---- */

static bool
is_here(const struct upstream_lane *lane)
{
    return loop_here() == lane->index;
}

/* With the lock held. */
static bool
must_post(struct upstream_lane *lane)
{
    bool first = !lane->job_posted;
    lane->job_posted = true;
    return first;
}

static void
post(struct upstream_call *c, uint8_t what, const struct str *message)
{
    struct upstream_lane *lane = c->lane;
    bool first = false;
    pthread_mutex_lock(&lane->lock);
    if (!c->ended) {
        c->posts |= what;
        if (message) {
            c->posted_message = malloc(message->n + 1);
            ASSERT(c->posted_message);
            memcpy(c->posted_message, message->n ? message->p : "", message->n);
            c->posted_bytes = message->n;
        }
        if (list_empty(&c->posted))
            list_push(&lane->posted, &c->posted);
        first = must_post(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    if (first)
        loop_post(lane->loop, &lane->job);
}

static void
send_posted(struct upstream_call *c, char *message, size_t n)
{
    free(c->owned);
    c->owned = message;
    call_put_message(c, (struct str){message, n}, false);
}

static void
do_posts(struct upstream_call *c, unsigned posts, char *message, size_t n)
{
    if (posts & POST_START)
        start(c);
    if (message && !c->over)
        send_posted(c, message, n);
    else
        free(message);
    if (c->over)
        return;
    if (posts & (POST_SEND | POST_CLOSE)) {
        c->sends_later = c->sending = true;
        c->half_close |= (posts & POST_CLOSE) != 0;
        http2_resume(c);
    }
    if (posts & POST_NEXT)
        next(c);
    if (posts & POST_CANCEL)
        call_abandon(c, CANCELLED, STR("cancelled"));
}

static void
cancel_list(struct list *calls)
{
    list_foreach_safe (it, tmp, calls)
        call_abandon(container_of(it, struct upstream_call, node), CANCELLED, STR("cancelled"));
}

static void
cancel_lane(struct upstream_lane *lane)
{
    list_foreach (it, &lane->links)
        cancel_list(&container_of(it, struct upstream_link, node)->calls);
    cancel_list(&lane->waiting);
    cancel_list(&lane->finishing);
    list_foreach_safe (it, tmp, &lane->hopeful) {
        struct upstream_call *c = container_of(it, struct upstream_call, node);
        loop_timer_stop(lane->loop, &c->timer);
        on_ready_time(&c->timer);
    }
}

static void
on_job(struct loop_job *j)
{
    struct upstream_lane *lane = container_of(j, struct upstream_lane, job);
    struct list *node;
    pthread_mutex_lock(&lane->lock);
    lane->job_posted = false;
    bool cancel_all = lane->cancel_all;
    struct upstream_addresses *addresses = lane->addresses;
    lane->cancel_all = false;
    lane->addresses = NULL;
    while ((node = list_pop(&lane->posted)) != NULL) {
        struct upstream_call *c = container_of(node, struct upstream_call, posted);
        unsigned posts = c->posts;
        char *message = c->posted_message;
        size_t n = c->posted_bytes;
        c->posts = 0;
        c->posted_message = NULL;
        pthread_mutex_unlock(&lane->lock);
        do_posts(c, posts, message, n);
        pthread_mutex_lock(&lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
    if (addresses)
        peers_set(lane, addresses);
    free(addresses);
    if (cancel_all)
        cancel_lane(lane);
}

/* ---- calls ---- */

static struct upstream_lane *
choose_lane(struct upstream *u)
{
    int own = loop_here();
    if (own >= 0)
        return &u->lanes[own];
    unsigned at = atomic_fetch_add_explicit(&u->next, 1, memory_order_relaxed);
    return &u->lanes[at % (unsigned)u->lane_count];
}

static void
start_or_post(struct upstream_call *c)
{
    if (is_here(c->lane))
        start(c);
    else
        post(c, POST_START, NULL);
}

void
upstream_unary(struct upstream *u, struct upstream_call *c, const char *path, struct str message,
               const struct upstream_pair *metadata, size_t count, nsec_t deadline)
{
    call_init(c, choose_lane(u), path, metadata, count, deadline);
    c->unary = c->half_close = true;
    arena_init(&c->arena, UNARY_ARENA);
    call_put_message(c, message, false);
    start_or_post(c);
}

void
upstream_stream(struct upstream *u, struct upstream_call *c, const char *path,
                const struct str *message, bool half_close, const struct upstream_pair *metadata,
                size_t count, nsec_t deadline)
{
    call_init(c, choose_lane(u), path, metadata, count, deadline);
    c->half_close = half_close;
    arena_init(&c->arena, STREAM_ARENA);
    if (message)
        call_put_message(c, *message, true);
    start_or_post(c);
}

void
upstream_next(struct upstream_call *c)
{
    if (!is_here(c->lane))
        post(c, POST_NEXT, NULL);
    else if (!c->over)
        next(c);
}

void
upstream_send(struct upstream_call *c, const struct str *message)
{
    if (!is_here(c->lane)) {
        post(c, message ? POST_SEND : POST_CLOSE, message);
        return;
    }
    if (c->over)
        return;
    if (message)
        call_put_message(c, *message, true);
    c->half_close |= !message;
    c->sends_later = c->sending = true;
    http2_resume(c);
}

void
upstream_cancel(struct upstream_call *c)
{
    if (is_here(c->lane))
        call_abandon(c, CANCELLED, STR("cancelled"));
    else
        post(c, POST_CANCEL, NULL);
}

void
upstream_call_fini(struct upstream_call *c)
{
    if (!c->lane)
        return;
    free(c->owned);
    free(c->posted_message);
    buf_fini(&c->in);
    arena_fini(&c->arena);
    memset(c, 0, sizeof(*c));
}

struct str
upstream_find(const struct upstream_metadata *m, struct str key)
{
    for (size_t i = 0; i < m->count; i++)
        if (str_eq(m->pairs[i].key, key))
            return m->pairs[i].value;
    return (struct str){0};
}

/* ---- life ---- */

static nsec_t
on_turn(struct loop_turn *t)
{
    struct upstream_lane *lane = container_of(t, struct upstream_lane, turn);
    bool again = lane_settle(lane);
    lane->stirred = false;
    links_flush(lane);
    again |= lane_settle(lane);
    return again || lane->stirred ? 0 : NSEC_NEVER;
}

static void
init_lane(struct upstream *u, struct upstream_lane *lane, struct loop *loop, int index)
{
    lane->upstream = u;
    lane->loop = loop;
    lane->index = index;
    lane->job.run = on_job;
    lane->turn.run = on_turn;
    pthread_mutex_init(&lane->lock, NULL);
    list_init(&lane->posted);
    list_init(&lane->peers);
    list_init(&lane->links);
    list_init(&lane->waiting);
    list_init(&lane->hopeful);
    list_init(&lane->finishing);
    list_init(&lane->events);
    loop_turn_add(loop, &lane->turn);
}

struct upstream *
upstream_new(const struct upstream_options *o, struct loop *const *loops, int loop_count, char *err,
             size_t err_size)
{
    struct upstream *u = calloc(1, sizeof(*u));
    ASSERT(u);
    u->lanes = calloc((size_t)loop_count, sizeof(u->lanes[0]));
    ASSERT(u->lanes);
    u->lane_count = loop_count;
    u->peers_each = (o->connections + loop_count - 1) / loop_count;
    u->max_message = (size_t)o->max_message;
    u->callbacks = http2_callbacks_new();
    u->options = http2_options_new();
    for (int i = 0; i < loop_count; i++)
        init_lane(u, &u->lanes[i], loops[i], i);
    if (tls_make(u, o, err, err_size))
        u->names = names_new(u, o->target, err, err_size);
    if (u->names)
        return u;
    upstream_free(u);
    return NULL;
}

/* What was posted and never looked at. */
static void
end_posted(struct upstream_lane *lane)
{
    struct list *node;
    while ((node = list_pop(&lane->posted)) != NULL) {
        struct upstream_call *c = container_of(node, struct upstream_call, posted);
        call_end(c, CANCELLED, STR("cancelled"));
    }
}

void
upstream_free(struct upstream *u)
{
    if (u->names)
        names_free(u->names);
    for (int i = 0; i < u->lane_count; i++) {
        struct upstream_lane *lane = &u->lanes[i];
        end_posted(lane);
        cancel_lane(lane);
        links_free(lane);
        lane_settle(lane);
        free(lane->addresses);
        free(lane->read_buffer);
        pthread_mutex_destroy(&lane->lock);
    }
    nghttp2_session_callbacks_del(u->callbacks);
    nghttp2_option_del(u->options);
    SSL_CTX_free(u->tls);
    free(u->lanes);
    free(u);
}

void
upstream_cancel_all(struct upstream *u)
{
    for (int i = 0; i < u->lane_count; i++) {
        struct upstream_lane *lane = &u->lanes[i];
        pthread_mutex_lock(&lane->lock);
        lane->cancel_all = true;
        bool first = must_post(lane);
        pthread_mutex_unlock(&lane->lock);
        if (first)
            loop_post(lane->loop, &lane->job);
    }
}

bool
upstream_ready(struct upstream *u)
{
    return atomic_load(&u->ready) > 0;
}
