/*
 * The way into a reactor from other threads: a lock-free list of messages (many producers, one
 * consumer) and at most one wake-up per loop turn, none while the reactor is awake (it is asleep
 * from the end of a turn until the next one begins).
 *
 * Order: messages of one producer arrive in the order they were sent.
 */
#ifndef LUNA_RUN_INBOX_H
#define LUNA_RUN_INBOX_H

#include "base/defs.h"

struct reactor;

/* Embedded in what is sent; belongs to the reactor from inbox_send until `fn` is called. */
struct inbox_msg {
    struct inbox_msg *next;
    void (*fn)(struct inbox_msg *); /* runs on the reactor's loop; must not suspend */
};

/* Thread: any. Never blocks. After reactor_stop the messages still sent are run before it ends;
 * sending to a reactor that has ended is a bug and stops the process: stop the senders first. */
void inbox_send(struct reactor *r, struct inbox_msg *m);

#endif
