/* The connection that hears notifications, as the pool sees it. Private to db/. */
#ifndef LUNA_DB_LISTEN_H
#define LUNA_DB_LISTEN_H

#include "db/pool.h"

/* Its connection has become ready: subscribes again. */
void listen_ready(struct conn *c);

/* Every subscription that was asked for has been confirmed: the listeners are told to look. */
void listen_subscribed(struct pool *p, struct conn *c);

/* A notification has come. */
void listen_notify(struct pool *p, const char *channel, const char *payload);

#endif
