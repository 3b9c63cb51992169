/*
 * Bodies of browsers' forms, multipart/form-data, for methods that take bytes: the file in it is
 * the body, and the fields in front of it are query parameters. Taken apart by libmicrohttpd's
 * MHD_PostProcessor as it comes; nothing of the file is kept.
 *
 * Thread: one at a time. Suspends: never.
 */
#ifndef LUNA_GATEWAY_FORM_H
#define LUNA_GATEWAY_FORM_H

#include "gateway/gateway.h"

struct form;

/* The next bytes of the file; none perhaps the first time. False: the exchange is refused. When it
 * first runs, x->query has the fields and x->in.content_type the file's type, or nothing. */
typedef bool form_take(void *arg, struct str bytes, bool first);

/* True when the request's body is a form that is to be taken apart. */
bool form_wanted(const struct exchange *x);

/* NULL: the content type names no boundary, and the exchange is refused. */
struct form *form_new(struct exchange *x, form_take *take, void *arg);
void form_free(struct form *f);

/* Reads the next bytes of the body; false: the exchange is refused. */
bool form_feed(struct form *f, struct str bytes);

/* The body has ended; false: it is cut or holds no file, and the exchange is refused. */
bool form_end(struct form *f);

#endif
