/* What the tool says, and how it reads files. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/number.h"

#define INPUT_MAX_BYTES ((size_t)1 << 30)

int
cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("luna: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return EXIT_LOCAL;
}

int
cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("luna: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\n      luna --help lists commands and options.\n", stderr);
    va_end(ap);
    return EXIT_USAGE;
}

int
cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return cli_fail("cannot write the output: %s", strerror(errno));
}

static void
print_metadata(const struct luna_reply *reply)
{
    struct luna_metadata md;
    for (size_t i = 0; luna_reply_metadata_at(reply, i, &md); i++) {
        size_t n = strlen(md.key);
        bool binary = n > 4 && strcmp(md.key + n - 4, "-bin") == 0;
        if (binary)
            fprintf(stderr, "  %s: %zu bytes\n", md.key, md.value_size);
        else
            fprintf(stderr, "  %s: %s\n", md.key, md.value);
    }
}

static void
print_hint(const struct cli *cli, const struct luna_reply *reply)
{
    bool credentials = cli->opt.key || cli->opt.token;
    switch (luna_reply_code(reply)) {
    case LUNA_UNAVAILABLE:
        fputs("      Is a server running there? `./dev up` starts one on " CLI_DEFAULT_SERVER
              ";\n      --server HOST:PORT or LUNA_SERVER names another.\n",
              stderr);
        break;
    case LUNA_UNAUTHENTICATED:
        fputs(credentials
                  ? "      The key was sent. `./dev up` prints the one of its demo account.\n"
                  : "      Give an API key in LUNA_API_KEY or with --key; `./dev up` prints one.\n",
              stderr);
        break;
    case LUNA_DEADLINE_EXCEEDED:
        fputs("      --timeout SECONDS waits longer.\n", stderr);
        break;
    default:
        break;
    }
}

int
cli_reply(const struct cli *cli, const struct luna_reply *reply)
{
    const char *name, *text;
    enum luna_code code = luna_reply_code(reply);
    if (cli->opt.verbose)
        print_metadata(reply);
    if (code == LUNA_OK)
        return 0;
    fprintf(stderr, "luna: %s: %s\n", luna_channel_target(cli->channel), luna_reply_text(reply));
    for (size_t i = 0; luna_reply_field(reply, i, &name, &text); i++)
        fprintf(stderr, "      %s %s\n", name, text);
    for (size_t i = 0; luna_reply_quota(reply, i, &name, &text); i++)
        fprintf(stderr, "      %s: %s\n", name, text);
    int64_t retry = luna_reply_retry_after_ms(reply);
    if (retry >= 0)
        fprintf(stderr, "      Try again in %lld.%03lld s.\n", (long long)(retry / 1000),
                (long long)(retry % 1000));
    print_hint(cli, reply);
    return EXIT_STATUS + (int)code;
}

void
cli_json_string(FILE *out, const char *s)
{
    struct buf b;
    buf_init(&b, 6 * strlen(s) + 2);
    buf_put_json(&b, s, strlen(s));
    fputs(b.data, out);
    buf_fini(&b);
}

void
cli_json_number(FILE *out, double x)
{
    char text[NUMBER_TEXT];
    number_print(x, text);
    fprintf(out, isfinite(x) ? "%s" : "\"%s\"", text);
}

static bool
read_stream(struct cli *cli, FILE *f, const char *name, struct str *ret)
{
    struct buf b;
    buf_init(&b, INPUT_MAX_BYTES);
    char chunk[65536];
    size_t n;
    while (!b.overflow && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_put(&b, chunk, n);
    bool ok = !ferror(f) && !b.overflow;
    if (!ok)
        cli_fail("cannot read %s: %s", name,
                 b.overflow ? "it is larger than 1 GiB" : strerror(errno));
    else
        *ret = (struct str){arena_strndup(&cli->arena, b.data ? b.data : "", b.len), b.len};
    buf_fini(&b);
    return ok;
}

bool
cli_read_file(struct cli *cli, const char *path, struct str *ret)
{
    if (!path || strcmp(path, "-") == 0)
        return read_stream(cli, stdin, "stdin", ret);
    FILE *f = fopen(path, "rb");
    if (!f) {
        cli_fail("cannot read %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = read_stream(cli, f, path, ret);
    fclose(f);
    return ok;
}
