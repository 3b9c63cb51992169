/*
 * A request as one short line for the log: `account_id:5 results:[100: 1,2,3,4,...]
 * start:{mean:1}`.
 *
 * Fields that are not set are left out; strings are cut at 64 bytes, lists after four items; what
 * may be a secret (a name that is, or ends with _ and, key, secret, token, password, credential or
 * authorization) is written as ***.
 *
 * Suspends: never.
 */
#ifndef LUNA_EDGE_REQUEST_TEXT_H
#define LUNA_EDGE_REQUEST_TEXT_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

#define REQUEST_TEXT_MAX 512

/* Appends at most REQUEST_TEXT_MAX bytes to `out`, whose maximum must allow them. A text that was
 * cut ends with "...". */
void request_text_put(struct buf *out, const ProtobufCMessage *m);

/* True for the name of a field whose value must not be shown. */
bool request_text_is_secret(const char *field);

#endif
