/* The inbox and its reactor as a model whose every schedule can be played: see inbox_model.c. */
#ifndef LUNA_TESTS_RUN_INBOX_MODEL_H
#define LUNA_TESTS_RUN_INBOX_MODEL_H

#include <stdint.h>

/* Runs the inbox with two producers, of so many messages each, under all schedules with at most so
 * many preemptions. Returns what went wrong, or NULL. */
const char *inbox_model_check(int first_sends, int second_sends, int preemptions,
                              uint64_t *ret_schedules);

#endif
