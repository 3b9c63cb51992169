#include "probe_interceptors.h"

#include <pthread.h>
#include <stdio.h>

#include "rpc/rpc.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[4096];
static char copy[4096];

void
probe_clear(void)
{
    pthread_mutex_lock(&lock);
    text[0] = '\0';
    pthread_mutex_unlock(&lock);
}

const char *
probe_text(void)
{
    pthread_mutex_lock(&lock);
    memcpy(copy, text, sizeof(copy));
    pthread_mutex_unlock(&lock);
    return copy;
}

static void
note(const char *what, const char *who, size_t slot, const char *status)
{
    pthread_mutex_lock(&lock);
    size_t n = strlen(text);
    snprintf(text + n, sizeof(text) - n, "%s %s %zu%s%s;", what, who, slot, *status ? " " : "",
             status);
    pthread_mutex_unlock(&lock);
}

static enum status
begin(struct call *call, size_t slot, const char *who)
{
    struct str refuse;
    note("begin", who, slot, "");
    call->interceptor_data[slot] = (void *)(uintptr_t)who;
    if (call_metadata(call, "x-refuse", &refuse) && str_eq(refuse, str_of(who)))
        return fail_plain(&call->ctx, NOT_ALLOWED);
    return OK;
}

static void
end(struct call *call, size_t slot, enum status st)
{
    note("end", call->interceptor_data[slot], slot, status_name(st));
}

static enum status
begin_outer(struct call *call, size_t slot)
{
    return begin(call, slot, "outer");
}

static enum status
begin_inner(struct call *call, size_t slot)
{
    return begin(call, slot, "inner");
}

const struct interceptor probe_outer = {.name = "outer", .begin = begin_outer, .end = end};
const struct interceptor probe_inner = {.name = "inner", .begin = begin_inner, .end = end};
