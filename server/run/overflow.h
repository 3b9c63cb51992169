/* Private to run/. Thread: the reactor's own. */
#ifndef LUNA_RUN_OVERFLOW_H
#define LUNA_RUN_OVERFLOW_H

/* From here on a fault in the guard page of the running fiber writes a line to stderr before it
 * ends the process. Returns what overflow_watch_end needs. */
void *overflow_watch_begin(void);
void overflow_watch_end(void *stack);

#endif
