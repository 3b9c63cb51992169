/* luna call: any unary method, with encoded messages. */
#include "cli/cli.h"

int
cmd_call(struct cli *cli)
{
    struct luna_method method = {.path = cli->operands[0]};
    struct str request;
    if (*method.path != '/')
        method.path = arena_printf(&cli->arena, "/%s", method.path);
    if (!strchr(method.path + 1, '/'))
        return cli_usage("a method is written /luna.v1.QuotaService/GetAccount, not \"%s\"",
                         cli->operands[0]);
    if (!cli_read_file(cli, cli->operand_count > 1 ? cli->operands[1] : NULL, &request))
        return EXIT_LOCAL;
    struct luna_reply *reply;
    const void *response;
    size_t size;
    if (luna_call_bytes(cli->channel, &cli->call, &method, request.p, request.n, &reply, &response,
                        &size) == LUNA_OK)
        fwrite(response, 1, size, stdout);
    int rc = cli_reply(cli, reply);
    luna_reply_free(reply);
    return rc != 0 ? rc : cli_flush();
}
