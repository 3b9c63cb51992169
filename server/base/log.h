/*
 * One line per event on stderr, logfmt-like text or JSON. Whole lines are written with one
 * write(2); lines of several threads never mix. What cannot be written is dropped and counted, and
 * so is a line for which a reader that has stopped would have to be waited for.
 *
 *     2026-01-02T03:04:05.678901Z NOTICE rpc call method=/luna.v1.X/Y took=1.25ms note="two words"
 *     {"time":"2026-01-02T03:04:05.678901Z","level":"NOTICE","event":"rpc call","took":0.00125,...}
 *
 * Durations are seconds in JSON. Control characters are escaped, invalid UTF-8 is replaced. A value
 * is cut at 1 KiB ("..."); pairs that do not fit into 4 KiB are left out, and truncated=true says
 * so.
 *
 * Values are typed key/value pairs, so that a secret cannot be formatted by mistake: use
 * log_secret, which prints "***" whatever it is given.
 */
#ifndef LUNA_BASE_LOG_H
#define LUNA_BASE_LOG_H

#include "base/defs.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_kind { LOG_KV_STR, LOG_KV_INT, LOG_KV_UINT, LOG_KV_F64, LOG_KV_DURATION, LOG_KV_SECRET };

struct log_kv {
    const char *key;
    enum log_kind kind;
    struct str s;
    union {
        int64_t i;
        uint64_t u;
        double f;
    };
};

#define log_str(k, v)  ((struct log_kv){.key = (k), .kind = LOG_KV_STR, .s = str_of(v)})
#define log_strn(k, v) ((struct log_kv){.key = (k), .kind = LOG_KV_STR, .s = (v)})
#define log_int(k, v)  ((struct log_kv){.key = (k), .kind = LOG_KV_INT, .i = (v)})
#define log_uint(k, v) ((struct log_kv){.key = (k), .kind = LOG_KV_UINT, .u = (v)})
#define log_f64(k, v)  ((struct log_kv){.key = (k), .kind = LOG_KV_F64, .f = (v)})
#define log_duration(k, v) \
    ((struct log_kv){.key = (k), .kind = LOG_KV_DURATION, .i = (v)}) /* nsec_t */
#define log_secret(k) ((struct log_kv){.key = (k), .kind = LOG_KV_SECRET})

void log_init(enum log_level level, enum log_format format);
bool log_level_parse(const char *s, enum log_level *ret);
bool log_enabled(enum log_level level);

/* Writes the event `what` (a constant phrase) with its pairs. */
void log_write(enum log_level level, const char *what, const struct log_kv *kv, size_t n);

#define log_at(level, what, ...)                                      \
    do {                                                              \
        if (log_enabled(level)) {                                     \
            const struct log_kv kv_[] = {{.key = NULL}, __VA_ARGS__}; \
            log_write((level), (what), kv_ + 1, ARRAY_LEN(kv_) - 1);  \
        }                                                             \
    } while (0)
#define log_debug(what, ...)    log_at(LOG_DEBUG, what, ##__VA_ARGS__)
#define log_info(what, ...)     log_at(LOG_INFO, what, ##__VA_ARGS__)
#define log_notice(what, ...)   log_at(LOG_NOTICE, what, ##__VA_ARGS__)
#define log_warning(what, ...)  log_at(LOG_WARNING, what, ##__VA_ARGS__)
#define log_error(what, ...)    log_at(LOG_ERROR, what, ##__VA_ARGS__)
#define log_critical(what, ...) log_at(LOG_CRITICAL, what, ##__VA_ARGS__)

/* Lines that could not be written since the start. */
uint64_t log_dropped(void);

#endif
