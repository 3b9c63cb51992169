#include "edge/check.h"

static enum status
check_begin(struct call *call, size_t slot)
{
    (void)slot;
    return call_check_request(call);
}

const struct interceptor check_interceptor = {.name = "check", .begin = check_begin};
