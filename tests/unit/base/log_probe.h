/* Writes the log lines that log_test.cc reads back: the macros of base/log.h are not C++. */
#ifndef LUNA_TESTS_UNIT_BASE_LOG_PROBE_H
#define LUNA_TESTS_UNIT_BASE_LOG_PROBE_H

#include <stddef.h>
#include <stdint.h>

void probe_every_kind(void);
void probe_str(const char *key, const char *p, size_t n);
void probe_null(void);
void probe_f64(double v);
void probe_duration(int64_t ns);
void probe_event(const char *what);
void probe_thread_line(int thread, int line, const char *text);
void probe_many(const char *value);
void probe_every_level(void);
int probe_evaluations(void); /* how often a debug line's argument was evaluated */

#endif
