/*
 * Cuts a body into the JSON texts it holds, piece by piece as it comes: one a line (NDJSON), or the
 * elements of one array, or values one behind the other.
 *
 * What a text holds is not looked at beyond what is needed to find its end.
 *
 * Thread: any; no state but the caller's. Suspends: never.
 */
#ifndef LUNA_GATEWAY_SPLITTER_H
#define LUNA_GATEWAY_SPLITTER_H

#include "base/buf.h"
#include "base/str.h"

enum splitter_form {
    SPLITTER_LINES,  /* blank lines are skipped */
    SPLITTER_VALUES, /* an array when the first byte is "[" */
};

enum splitter_result {
    SPLITTER_MORE,      /* all bytes are taken, and no text is complete */
    SPLITTER_TEXT,      /* here is one */
    SPLITTER_BAD,       /* no JSON: see `what` */
    SPLITTER_TOO_LARGE, /* a text is longer than the limit */
};

struct splitter {
    enum splitter_form form;
    struct buf part;  /* of the text that has begun */
    size_t max;       /* bytes of a text */
    uint64_t lines;   /* that have begun */
    uint64_t texts;   /* that were given out */
    bool array;       /* within "[" and "]" */
    const char *what; /* is wrong */

    /* private */
    int state;
    int depth;
    bool quoted, escaped, given;
};

void splitter_init(struct splitter *s, enum splitter_form form, size_t max);
void splitter_fini(struct splitter *s);

/* Takes bytes from the front of `*rest`. A text is valid until the next call and as long as what
 * `*rest` pointed at; it is not empty. */
enum splitter_result splitter_next(struct splitter *s, struct str *rest, struct str *ret);

/* The body has ended: its last text, MORE when there is none, BAD when it was cut. */
enum splitter_result splitter_end(struct splitter *s, struct str *ret);

#endif
