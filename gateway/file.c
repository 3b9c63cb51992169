#include <stdio.h>

#include "gateway/gateway.h"

bool
read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    char *to;
    size_t n = 0;
    if (!f)
        return false;
    while ((to = buf_reserve(out, 4096)) && (n = fread(to, 1, 4096, f)) > 0)
        out->len += n;
    bool whole = to && !ferror(f);
    fclose(f);
    return whole && buf_reserve(out, 0) != NULL;
}
