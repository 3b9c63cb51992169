#include "base/defs.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
assert_failed(const char *cond, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "%s:%d: assertion failed: %s\n", file, line, cond);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= sizeof(text))
        len = sizeof(text) - 1;
    ssize_t written = write(STDERR_FILENO, text, len);
    (void)written; /* nothing is left to be done about it */
    abort();
}
