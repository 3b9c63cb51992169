#include <string.h>

#include "plugin.h"

/* Numbers of fields in descriptor.proto, which a location's path is made of. */
enum { FILE_SERVICE = 6, SERVICE_METHOD = 2 };

static const char *
leading_comment(const File *file, size_t s, size_t m)
{
    const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    for (size_t i = 0; info && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *at = info->location[i];
        if (at->n_path == 4 && at->path[0] == FILE_SERVICE && at->path[1] == (int32_t)s &&
            at->path[2] == SERVICE_METHOD && at->path[3] == (int32_t)m)
            return at->leading_comments;
    }
    return NULL;
}

/* What would end or nest the C comment is pulled apart. */
static void
write_line(FILE *out, const char *line, size_t n)
{
    fputs(" *", out);
    for (size_t i = 0; i < n; i++) {
        bool star = i > 0 && line[i - 1] == '*' && line[i] == '/';
        bool slash = i > 0 && line[i - 1] == '/' && line[i] == '*';
        if (star || slash)
            fputc(' ', out);
        fputc(line[i], out);
    }
    fputc('\n', out);
}

void
write_comment(FILE *out, const File *file, size_t s, size_t m)
{
    const char *text = leading_comment(file, s, m);
    if (!text || !*text)
        return;
    fputs("/*\n", out);
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        write_line(out, text, n);
        text += n + (text[n] == '\n');
    }
    fputs(" */\n", out);
}
