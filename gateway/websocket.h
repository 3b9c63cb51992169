/*
 * Streams over WebSocket (RFC 6455), for pages and scripts.
 *
 * The handshake is a GET on any path of the method. Each text message is one JSON message of the
 * request or the answer; google.api.HttpBody travels in binary messages. An empty text message says
 * that the request is complete. A method with one request message takes it from path and query, or
 * where its binding has a body, from the first message. The answer's end is a close with code 1000;
 * a failure is {"error": {...}} and a close with 4000 + the gRPC status.
 *
 * Subprotocols: `luna.json`, chosen when offered; beside it `luna.auth.CREDENTIAL` for those who
 * cannot set headers: an API key or a JWT. Pages of other origins need to be in the CORS list.
 *
 * Threads: one for all sockets, and the upstream's; a socket is theirs under its lock.
 */
#ifndef LUNA_GATEWAY_WEBSOCKET_H
#define LUNA_GATEWAY_WEBSOCKET_H

#include "gateway/gateway.h"

struct websocket;
struct websockets;

struct websockets *websockets_new(struct gateway *gw);

/* Closes what is open, and those that come later at once. */
void websockets_stop(struct websockets *all);

/* After the daemon has stopped. */
void websockets_free(struct websockets *all);

/* True when the request wants to be a WebSocket. */
bool websocket_wanted(const struct exchange *x);

/* Finds the method and checks the handshake; refuses what cannot be one. */
void websocket_check(struct exchange *x);

/* Answers the checked handshake. */
enum MHD_Result websocket_accept(struct exchange *x);

void websocket_free(struct websocket *ws);

#endif
