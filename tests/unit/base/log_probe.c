/* The log macros are C: these are the lines that log_test.cc reads back. */
#include "log_probe.h"

#include "base/log.h"

void
probe_every_kind(void)
{
    log_notice("rpc call", log_str("method", "/luna.v1.X/Y"),
               log_strn("part", ((struct str){"abcdef", 3})), log_int("low", INT64_MIN),
               log_uint("high", UINT64_MAX), log_f64("tenth", 0.1), log_f64("third", 1.0 / 3),
               log_duration("took", 1250000), log_secret("key"));
}

void
probe_str(const char *key, const char *p, size_t n)
{
    log_info("text", log_strn(key, ((struct str){p, n})), log_int("after", 1));
}

void
probe_null(void)
{
    log_info("text", log_str("nothing", NULL));
}

void
probe_f64(double v)
{
    log_info("number", log_f64("v", v));
}

void
probe_duration(int64_t ns)
{
    log_info("pause", log_duration("d", ns));
}

void
probe_event(const char *what)
{
    log_info(what);
}

void
probe_thread_line(int thread, int line, const char *text)
{
    log_info("from a thread", log_int("thread", thread), log_int("line", line),
             log_str("text", text));
}

void
probe_many(const char *value)
{
    log_info("many", log_str("a", value), log_str("b", value), log_str("c", value),
             log_str("d", value), log_str("e", value), log_int("last", 7));
}

void
probe_every_level(void)
{
    log_debug("debug");
    log_info("info");
    log_notice("notice");
    log_warning("warning");
    log_error("error");
    log_critical("critical");
}

static int evaluated;

static int64_t
count_evaluation(void)
{
    return ++evaluated;
}

int
probe_evaluations(void)
{
    evaluated = 0;
    log_debug("costly", log_int("n", count_evaluation()));
    return evaluated;
}
