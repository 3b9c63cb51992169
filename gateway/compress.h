/* Content codings: gzip and brotli for answers, gzip for request bodies. */
#ifndef LUNA_GATEWAY_COMPRESS_H
#define LUNA_GATEWAY_COMPRESS_H

#include "base/buf.h"
#include "base/str.h"

enum coding { CODING_NONE, CODING_GZIP, CODING_BROTLI };

/* What the value of Accept-Encoding likes best of what we have; brotli before gzip where it likes
 * both the same. */
enum coding coding_accepted(struct str accept_encoding);

/* True when gzip is among them. */
bool coding_takes_gzip(struct str accept_encoding);

/* "gzip", "br"; NULL: none. */
const char *coding_name(enum coding c);

/* Packs `from` into `to`, which is initialised then; false: it would not be smaller, and `to` is
 * not touched. */
bool coding_pack(enum coding c, struct str from, struct buf *to);

/* Makes `to` the text of a whole gzip member of `max` bytes at most. `to` is initialised in any
 * case. */
enum coding_result { CODING_OK, CODING_BROKEN, CODING_TOO_LARGE };
enum coding_result coding_unpack_gzip(struct str from, size_t max, struct buf *to);

#endif
