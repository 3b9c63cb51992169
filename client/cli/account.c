/* luna account get: an account and what it may still use. */
#include <inttypes.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "luna/v1/quota.client.h"

/* "" when it is not set. */
static void
time_text(const Google__Protobuf__Timestamp *t, char out[CLOCK_TEXT])
{
    out[0] = '\0';
    if (t)
        clock_format(t->seconds * 1000000 + t->nanos / 1000, out);
}

static void
print_account(const Luna__V1__Account *a, bool json)
{
    char created[CLOCK_TEXT], updated[CLOCK_TEXT];
    time_text(a->created_at, created);
    time_text(a->updated_at, updated);
    if (!json) {
        printf("account  %" PRId64 " %s\nquota    %" PRId64 " of %" PRId64
               " used\ncreated  %s\nchanged  %s\n",
               a->account_id, a->account_name, a->quota_used, a->quota_limit, created, updated);
        return;
    }
    printf("{\"account_id\": %" PRId64 ", \"account_name\": ", a->account_id);
    cli_json_string(stdout, a->account_name);
    printf(", \"quota_limit\": %" PRId64 ", \"quota_used\": %" PRId64, a->quota_limit,
           a->quota_used);
    if (*created)
        printf(", \"created_at\": \"%s\"", created);
    if (*updated)
        printf(", \"updated_at\": \"%s\"", updated);
    fputs("}\n", stdout);
}

int
cmd_account_get(struct cli *cli)
{
    Luna__V1__GetAccountRequest req = LUNA__V1__GET_ACCOUNT_REQUEST__INIT;
    if (cli->operand_count > 0 && !str_to_i64(str_of(cli->operands[0]), &req.account_id))
        return cli_usage("an account's id is a number, not \"%s\"", cli->operands[0]);
    struct luna_reply *reply;
    const Luna__V1__GetAccountResponse *response;
    if (luna_quota_get_account(cli->channel, &cli->call, &req, &reply, &response) == LUNA_OK &&
        response->account)
        print_account(response->account, cli->opt.json);
    int rc = cli_reply(cli, reply);
    luna_reply_free(reply);
    return rc != 0 ? rc : cli_flush();
}
