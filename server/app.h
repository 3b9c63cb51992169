/*
 * The process: everything that is made once, in the order in which it is made, and the order of the
 * interceptors. The only place that knows all services.
 *
 * Thread: main's.
 */
#ifndef LUNA_APP_H
#define LUNA_APP_H

#include <stddef.h>

#include "base/config.h"

/* Serves until SIGTERM or SIGINT, then drains. Returns the process's exit code; what is wrong with
 * the settings, the schema or an address is one line on stderr and code 1. */
int app_serve(const struct config *cfg);

/* Settings that cannot work together or are missing: one line in `err`. */
bool app_check_config(const struct config *cfg, char *err, size_t err_size);

/* `luna-server admin ...`: words[0] is the verb. Returns the exit code. */
int app_admin(const struct config *cfg, int count, char **words);

#endif
