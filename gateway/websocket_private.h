/* Shared by the websocket*.c alone. */
#ifndef LUNA_GATEWAY_WEBSOCKET_PRIVATE_H
#define LUNA_GATEWAY_WEBSOCKET_PRIVATE_H

#include <pthread.h>
#include <wslay/wslay.h>

#include "gateway/sendq.h"
#include "gateway/websocket.h"

#define SOCKET_PENDING_ENOUGH \
    (64 << 10) /* bytes for the client, from which on no more is asked for */

struct websocket {
    pthread_mutex_t lock;
    struct websockets *all;
    struct list node; /* in all->sockets */
    struct exchange *x;
    struct MHD_UpgradeResponseHandle *upgrade;
    wslay_event_context_ptr frames;
    int fd;
    struct buf early; /* bytes that came with the handshake, from `early_taken` on */
    size_t early_taken;
    nsec_t heard;        /* from the client */
    nsec_t pinged;       /* 0: not since `heard` */
    unsigned close_code; /* behind what is queued; 0: none */
    const char *close_reason;
    nsec_t close_by; /* the client's half; 0: ours was not sent */
    bool dead;       /* the thread shall drop it */
    bool gone;       /* it has */

    struct sendq queue;
    struct buf prefix; /* the fields of path and query, for the first message */
    bool bytes_in;     /* binary messages are google.api.HttpBody */
    bool bytes_out;
    bool started;    /* the call is */
    bool begun;      /* the first message was sent */
    bool complete;   /* the client sends no more messages */
    bool over;       /* the call has ended */
    bool wants_next; /* the next answer was not asked for yet */
};

/* ---- websocket_loop.c; with the lock held ---- */
/* Starts looking after the socket. */
void websocket_add(struct websocket *ws);
/* Queues a message for the client. */
void websocket_put(struct websocket *ws, bool binary, struct str message);
/* Queues the close, behind all messages. `reason` is static text. */
void websocket_close(struct websocket *ws, unsigned code, const char *reason);
/* Sends what can be sent. Not within a callback of wslay. */
void websocket_flush(struct websocket *ws);

/* ---- websocket_call.c; with the lock held ---- */
/* The handshake is done. */
void websocket_begin(struct websocket *ws);
/* A message of the client. */
void websocket_take(struct websocket *ws, bool binary, struct str message);

#endif
