/* The sockets: one thread reads them all, and looks after the silent ones. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/websocket_private.h"

#define EVENTS_AT_ONCE 64
#define LOOK_EVERY_MS  1000
#define CLOSE_WAIT     SEC(3)    /* for the client's half of the closing handshake */
#define LAST_WORDS     MSEC(500) /* the same when the gateway stops */
#define BEATS_MISSED   3         /* of a client that is given up */

struct websockets {
    struct gateway *gw;
    pthread_t thread;
    int epoll;
    int wake; /* eventfd: stop */
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the list and `stopped` */
    struct list sockets;
    bool stopped;
};

/* ---- wslay; with the socket's lock held ---- */

static ssize_t
on_recv(wslay_event_context_ptr frames, uint8_t *to, size_t n, int flags, void *arg)
{
    struct websocket *ws = arg;
    size_t early = ws->early.len - ws->early_taken;
    (void)flags;
    if (sendq_full(&ws->queue)) { /* the server does not take it: neither do we */
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (early > 0) {
        early = early < n ? early : n;
        memcpy(to, ws->early.data + ws->early_taken, early);
        ws->early_taken += early;
        return (ssize_t)early;
    }
    ssize_t got = recv(ws->fd, to, n, 0);
    bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (got <= 0) {
        wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    ws->heard = clock_now();
    ws->pinged = 0;
    ws->x->received_bytes += (size_t)got;
    return got;
}

static ssize_t
on_send(wslay_event_context_ptr frames, const uint8_t *p, size_t n, int flags, void *arg)
{
    struct websocket *ws = arg;
    int more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
    ssize_t sent = send(ws->fd, p, n, MSG_NOSIGNAL | more);
    if (sent < 0) {
        bool later = errno == EAGAIN || errno == EINTR;
        wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    ws->x->sent_bytes += (size_t)sent;
    return sent;
}

static void
on_msg(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct websocket *ws = arg;
    (void)frames;
    if (wslay_is_ctrl_frame(m->opcode) || ws->close_code)
        return;
    websocket_take(ws, m->opcode == WSLAY_BINARY_FRAME,
                   (struct str){(const char *)m->msg, m->msg_length});
}

void
websocket_put(struct websocket *ws, bool binary, struct str message)
{
    struct wslay_event_msg m = {
        .opcode = binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME,
        .msg = (const uint8_t *)message.p,
        .msg_length = message.n,
    };
    wslay_event_queue_msg(ws->frames, &m);
}

void
websocket_close(struct websocket *ws, unsigned code, const char *reason)
{
    if (ws->close_code)
        return;
    ws->close_code = code;
    ws->close_reason = reason;
}

/* wslay sends control frames first: the close has to wait until the messages are gone. */
static void
send_close(struct websocket *ws)
{
    if (!ws->close_code || ws->close_by || wslay_event_get_queued_msg_count(ws->frames) > 0)
        return;
    wslay_event_queue_close(ws->frames, (uint16_t)ws->close_code, (const uint8_t *)ws->close_reason,
                            strlen(ws->close_reason));
    ws->close_by = clock_now() + CLOSE_WAIT;
    if (wslay_event_send(ws->frames) != 0)
        ws->dead = true;
}

/* What to wait for: a client that the server does not keep up with is only looked at, not read. */
static void
arm(struct websocket *ws, int operation)
{
    struct epoll_event e = {.data.ptr = ws};
    e.events = sendq_full(&ws->queue) ? EPOLLRDHUP : EPOLLIN;
    if (wslay_event_want_write(ws->frames))
        e.events |= EPOLLOUT;
    epoll_ctl(ws->all->epoll, operation, ws->fd, &e);
}

void
websocket_flush(struct websocket *ws)
{
    if (ws->gone)
        return;
    if (wslay_event_send(ws->frames) != 0)
        ws->dead = true;
    else
        send_close(ws);
    if (!wslay_event_want_read(ws->frames) && !wslay_event_want_write(ws->frames))
        ws->dead = true; /* both halves of the closing handshake are done */
    bool room = wslay_event_get_queued_msg_length(ws->frames) < SOCKET_PENDING_ENOUGH;
    if (ws->wants_next && room && !ws->over) {
        ws->wants_next = false;
        upstream_next(&ws->x->call);
    }
    if (ws->dead)
        shutdown(ws->fd, SHUT_RDWR); /* the thread is told so */
    arm(ws, EPOLL_CTL_MOD);
}

/* ---- the thread ---- */

static void
drop(struct websocket *ws)
{
    struct websockets *all = ws->all;
    pthread_mutex_lock(&ws->lock);
    ws->gone = true;
    bool cancel = ws->started && !ws->over;
    pthread_mutex_unlock(&ws->lock);
    epoll_ctl(all->epoll, EPOLL_CTL_DEL, ws->fd, NULL);
    pthread_mutex_lock(&all->lock);
    list_remove(&ws->node);
    pthread_mutex_unlock(&all->lock);
    if (cancel)
        upstream_cancel(&ws->x->call);
    http_close_upgraded(ws->x, ws->upgrade);
}

static void
serve(struct websocket *ws, uint32_t events)
{
    pthread_mutex_lock(&ws->lock);
    bool unread = !sendq_full(&ws->queue);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && unread && wslay_event_recv(ws->frames) != 0)
        ws->dead = true;
    if (!unread && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ws->dead = true;
    if (!ws->dead)
        websocket_flush(ws);
    bool dead = ws->dead;
    pthread_mutex_unlock(&ws->lock);
    if (dead)
        drop(ws);
}

/* True: the client is not there any more, or does not go. */
static bool
look(struct websocket *ws, nsec_t now)
{
    nsec_t beat = ws->x->gw->cfg->heartbeat, silent = now - ws->heard;
    if (ws->close_by)
        return now > ws->close_by;
    if (sendq_full(&ws->queue))
        return false;
    if (silent >= BEATS_MISSED * beat)
        return true;
    if (silent >= beat && now - ws->pinged >= beat) {
        struct wslay_event_msg ping = {.opcode = WSLAY_PING};
        wslay_event_queue_msg(ws->frames, &ping);
        ws->pinged = now;
        websocket_flush(ws);
    }
    return false;
}

static void
send_away(struct websocket *ws, nsec_t now)
{
    websocket_close(ws, WSLAY_CODE_GOING_AWAY, "the gateway stops");
    websocket_flush(ws);
    if (!ws->close_by || ws->close_by > now + LAST_WORDS)
        ws->close_by = now + LAST_WORDS;
}

static void
look_at_all(struct websockets *all)
{
    nsec_t now = clock_now();
    bool stopping = atomic_load(&all->stopping);
    pthread_mutex_lock(&all->lock);
    list_foreach (it, &all->sockets) {
        struct websocket *ws = container_of(it, struct websocket, node);
        pthread_mutex_lock(&ws->lock);
        if (stopping)
            send_away(ws, now);
        if (look(ws, now)) {
            ws->dead = true;
            shutdown(ws->fd, SHUT_RDWR);
            arm(ws, EPOLL_CTL_MOD);
        }
        pthread_mutex_unlock(&ws->lock);
    }
    pthread_mutex_unlock(&all->lock);
}

/* False when none is left, and none can come. */
static bool
still_open(struct websockets *all)
{
    pthread_mutex_lock(&all->lock);
    bool open = !list_empty(&all->sockets);
    all->stopped |= !open && atomic_load(&all->stopping);
    bool stopped = all->stopped;
    pthread_mutex_unlock(&all->lock);
    return !stopped;
}

static void *
run(void *arg)
{
    struct websockets *all = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    nsec_t looked = clock_now();
    while (still_open(all)) {
        int wait = atomic_load(&all->stopping) ? LOOK_EVERY_MS / 10 : LOOK_EVERY_MS;
        int n = epoll_wait(all->epoll, events, EVENTS_AT_ONCE, wait);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr, events[i].events);
            else
                eventfd_read(all->wake, &(eventfd_t){0});
        }
        if (atomic_load(&all->stopping) || clock_now() - looked >= MSEC(LOOK_EVERY_MS)) {
            look_at_all(all);
            looked = clock_now();
        }
    }
    return NULL;
}

/* ---- life ---- */

void
websocket_add(struct websocket *ws)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_msg};
    struct websockets *all = ws->all;
    int e = wslay_event_context_server_init(&ws->frames, &callbacks, ws);
    ASSERT(e == 0);
    wslay_event_config_set_max_recv_msg_length(ws->frames, (uint64_t)all->gw->cfg->max_body);
    pthread_mutex_lock(&all->lock);
    bool stopped = all->stopped;
    if (!stopped)
        list_push(&all->sockets, &ws->node);
    pthread_mutex_unlock(&all->lock);
    if (stopped) {
        ws->gone = true;
        http_close_upgraded(ws->x, ws->upgrade);
        return;
    }
    pthread_mutex_lock(&ws->lock);
    websocket_begin(ws);
    if (wslay_event_recv(ws->frames) != 0) /* what came with the handshake */
        ws->dead = true;
    arm(ws, EPOLL_CTL_ADD);
    websocket_flush(ws);
    pthread_mutex_unlock(&ws->lock);
}

struct websockets *
websockets_new(struct gateway *gw)
{
    struct websockets *all = calloc(1, sizeof(*all));
    struct epoll_event e = {.events = EPOLLIN};
    ASSERT(all);
    all->gw = gw;
    list_init(&all->sockets);
    pthread_mutex_init(&all->lock, NULL);
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(all->epoll >= 0 && all->wake >= 0);
    epoll_ctl(all->epoll, EPOLL_CTL_ADD, all->wake, &e);
    int failed = pthread_create(&all->thread, NULL, run, all);
    ASSERT(failed == 0);
    return all;
}

void
websockets_stop(struct websockets *all)
{
    atomic_store(&all->stopping, true);
    eventfd_write(all->wake, 1);
    pthread_join(all->thread, NULL);
}

void
websockets_free(struct websockets *all)
{
    if (!atomic_load(&all->stopping))
        websockets_stop(all);
    close(all->epoll);
    close(all->wake);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
