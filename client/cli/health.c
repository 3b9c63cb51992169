/* luna health and luna watch: grpc.health.v1. */
#include "cli/cli.h"
#include "grpc/health/v1/health.client.h"

typedef Grpc__Health__V1__HealthCheckRequest Request;
typedef Grpc__Health__V1__HealthCheckResponse Response;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING

static const char *
status_text(const Response *r)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
        &grpc__health__v1__health_check_response__serving_status__descriptor, (int)r->status);
    return v ? v->name : "UNKNOWN";
}

static void
print_status(const struct cli *cli, const Response *r)
{
    if (cli->opt.json)
        printf("{\"status\": \"%s\"}\n", status_text(r));
    else
        printf("%s\n", status_text(r));
}

static void
set_service(const struct cli *cli, Request *req)
{
    if (cli->operand_count > 0)
        req->service = (char *)(uintptr_t)cli->operands[0]; /* only read */
}

int
cmd_health(struct cli *cli)
{
    Request req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    set_service(cli, &req);
    struct luna_reply *reply;
    const Response *response;
    bool serving = false;
    if (luna_grpc_health_v1_health_check(cli->channel, &cli->call, &req, &reply, &response) ==
        LUNA_OK) {
        print_status(cli, response);
        serving = response->status == SERVING;
    }
    int rc = cli_reply(cli, reply);
    luna_reply_free(reply);
    if (rc == 0)
        rc = cli_flush();
    return rc != 0 ? rc : serving ? 0 : EXIT_LOCAL;
}

int
cmd_watch(struct cli *cli)
{
    Request req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    set_service(cli, &req);
    struct luna_stream *s = luna_grpc_health_v1_health_watch(cli->channel, &cli->call, &req);
    const Response *response;
    int rc = 0;
    while (rc == 0 && luna_grpc_health_v1_health_watch_recv(s, &response) == LUNA_OK) {
        print_status(cli, response);
        rc = cli_flush();
    }
    if (rc == 0) {
        struct luna_reply *reply;
        luna_stream_finish(s, &reply);
        rc = cli_reply(cli, reply);
        luna_reply_free(reply);
    }
    luna_stream_free(s);
    return rc;
}
